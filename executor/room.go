package executor

import (
	"context"
	"slices"
)

// room makes submitters wait while a queue is longer than its limit. Their
// calls are in the queue already, the last ones. The lock of the queue guards
// it.
type room struct {
	limit   int // 0: none
	blocked []*submitter
}

// submitter is a goroutine that waits in Submit for room in the queue.
type submitter struct {
	call *Call
	room chan struct{}
}

// block returns a submitter to wait as, if the queue has become too long with
// c, its last call, or nil. live is its length without what was cancelled.
func (r *room) block(c *Call, live int) *submitter {
	if r.limit == 0 || live <= r.limit {
		return nil
	}
	s := &submitter{call: c, room: make(chan struct{})}
	r.blocked = append(r.blocked, s)
	return s
}

// unblock lets submitters go for whose calls there is room.
func (r *room) unblock(live int) {
	for len(r.blocked) > 0 && live-len(r.blocked) < r.limit {
		close(r.blocked[0].room)
		r.blocked[0] = nil // its call may hold a result
		r.blocked = r.blocked[1:]
	}
}

// remove lets the submitter of c go, which was cancelled, if it waits.
func (r *room) remove(c *Call) {
	for i, s := range r.blocked {
		if s.call == c {
			close(s.room)
			r.blocked = slices.Delete(r.blocked, i, i+1)
			return
		}
	}
}

// clear lets nobody wait any more, and returns the submitters that did, for rejectBlocked.
func (r *room) clear() []*submitter {
	blocked := r.blocked
	r.blocked = nil
	return blocked
}

// wait waits until there is room for the call of s, or it has ended.
func (s *submitter) wait(ctx context.Context) {
	if !await(ctx, s.room) {
		s.call.cancelAs(expired)
	}
}
