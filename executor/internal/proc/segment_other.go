//go:build !linux

package proc

// NewSegment has nothing to make it of here.
func NewSegment(int) (*Segment, error) { return nil, ErrNoSegments }

// OpenSegment has nothing to open here.
func OpenSegment(Handle, int, bool) (*Segment, error) { return nil, ErrNoSegments }

// IsClosed reports whether the process that has made it has closed it.
func (s *Segment) IsClosed() bool { return true }

// Close gives it back.
func (s *Segment) Close() {}
