package parallel

import "time"

// sizer says how many calls go to a worker together. The rules and their numbers
// are joblib's: a batch is to take long enough to hide what sending it costs, and
// not so long that some workers wait for the last batch of another.
type sizer struct {
	isFixed  bool
	size     int
	smoothed float64 // seconds that a batch of this size takes; 0: not known
	report   *report
}

const (
	shortBatch = 0.2 // seconds
	longBatch  = 2.0
)

// next returns the size of the next batch.
func (s *sizer) next() int {
	old := s.size
	switch {
	case s.isFixed || s.smoothed <= 0:
		return s.size
	case s.smoothed < shortBatch:
		s.size = max(1, min(2*old, 2*s.ideal()))
		s.report.batchSize("fast", s.smoothed, s.size)
	case s.smoothed > longBatch && old >= 2:
		s.size = max(1, 2*s.ideal())
		s.report.batchSize("slow", s.smoothed, s.size)
	}
	if s.size != old {
		s.smoothed = 0
	}
	return s.size
}

// ideal returns the size of a batch that takes shortBatch.
func (s *sizer) ideal() int { return int(float64(s.size) * shortBatch / s.smoothed) }

// sent is for a batch that is sent: it keeps when, if anybody asks.
func (s *sizer) sent(at *time.Time) {
	if !s.isFixed {
		*at = time.Now()
	}
}

// ended is for a batch of a size that was sent at some time.
func (s *sizer) ended(size int, sent time.Time) {
	if !s.isFixed && size == s.size {
		s.took(time.Since(sent))
	}
}

// took keeps how long a batch of this size has taken.
func (s *sizer) took(d time.Duration) {
	if s.smoothed == 0 {
		s.smoothed = d.Seconds()
	} else {
		s.smoothed = 0.8*s.smoothed + 0.2*d.Seconds()
	}
}
