package executor

import "sync/atomic"

// batch is calls that have left the queue of a pool together. Workers take them one
// by one, in order, with one addition to next, where the queue takes a lock: a lock
// that submitters and workers meet at was a quarter of what a tiny call costs.
//
// It is one batch for all workers, so that calls start in the order in which they were
// submitted, and none waits behind another that one worker has.
type batch struct {
	next  atomic.Int32 // how many were taken, or more
	n     int32
	calls [32]*Call
}

// worthBatch is how many calls have to be queued for a batch. For fewer, making it
// costs more than it spares.
const worthBatch = 8

// take returns the next call, nil if there is none.
func (b *batch) take() *Call {
	if b == nil || b.next.Load() >= b.n {
		return nil
	}
	i := b.next.Add(1) - 1
	if i >= b.n {
		return nil
	}
	c := b.calls[i]
	b.calls[i] = nil // D28
	return c
}

// taken is how many calls were taken.
func (b *batch) taken() int {
	if b == nil {
		return 0
	}
	return int(min(b.next.Load(), b.n))
}
