package proc

import "errors"

// Segment is memory that any process of this machine can map that knows its
// Handle and may look at the process that has made it: one of the same user.
// Only pages that were touched cost memory.
type Segment struct {
	Handle
	Data []byte // begins at a page; nil when it is unmapped

	memory []byte // the header, a page, and Data
	isMade bool   // by this process, and not opened
}

// Handle says where a segment is.
type Handle struct {
	PID   int      // of the process that has made it
	FD    int      // of that process
	Nonce [16]byte // of the segment alone: the number of a descriptor goes to another file when it is closed
}

// What is wrong with a segment that cannot be had.
var (
	ErrNoSegments    = errors.New("this system has no memory that processes can share")
	ErrSegmentClosed = errors.New("it is closed")
	ErrSegmentLarge  = errors.New("it is larger than the address space")
)
