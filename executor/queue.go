package executor

import (
	"iter"
	"slices"
)

// queue is a first-in, first-out queue of calls without a bound. It is made of
// segments, so that it never copies, and a queue that was long gives its memory
// back. It may hold calls that have been cancelled: who takes a call finds out
// when it does not start.
type queue struct {
	head, tail *segment
	first      int // index in head of the first call
	end        int // index in tail after the last
	len        int
	dead       int // calls in it that were cancelled, or are made by a helper. Who does that adds 1, who takes it out takes 1 off; the latter may be first
	spare      *segment
}

type segment struct {
	calls [256]*Call
	next  *segment
}

func (q *queue) push(c *Call) {
	if q.tail == nil || q.end == len(q.tail.calls) {
		q.extend()
	}
	q.tail.calls[q.end] = c
	q.end++
	q.len++
}

func (q *queue) extend() {
	s := q.spare
	q.spare = nil
	if s == nil {
		s = new(segment)
	}
	if q.tail == nil {
		q.head, q.first = s, 0
	} else {
		q.tail.next = s
	}
	q.tail, q.end = s, 0
}

// pop returns the first call, nil if the queue is empty.
func (q *queue) pop() *Call {
	if q.len == 0 {
		return nil
	}
	c := q.head.calls[q.first]
	q.head.calls[q.first] = nil
	q.first++
	q.len--
	if q.first == len(q.head.calls) {
		q.drop()
	} else if q.len == 0 {
		q.first, q.end = 0, 0 // head is tail
	}
	return c
}

// front yields the first calls, at most n.
func (q *queue) front(n int) iter.Seq[*Call] {
	return func(yield func(*Call) bool) {
		for i, s := q.first, q.head; n > 0 && s != nil && (s != q.tail || i < q.end); n-- {
			if !yield(s.calls[i]) {
				return
			}
			if i++; i == len(s.calls) {
				i, s = 0, s.next
			}
		}
	}
}

// takeBack takes out c if it is the last call, and reports whether it was.
func (q *queue) takeBack(c *Call) bool {
	if q.len == 0 || q.end == 0 || q.tail.calls[q.end-1] != c {
		return false
	}
	q.end--
	q.tail.calls[q.end] = nil
	q.len--
	if q.len == 0 {
		q.first, q.end = 0, 0 // head is tail
	}
	return true
}

// replace replaces c, which a helper makes, by a call that was cancelled long ago, so
// that the queue does not hold its result. A call that is not among the first and the
// last of a very long queue is left there, until it is taken out or buried.
func (q *queue) replace(c *Call) {
	first, left := q.first, 1024
	for s := q.head; s != nil && left > 0; s = s.next {
		end := len(s.calls)
		if s == q.tail {
			end = q.end
		}
		if i := slices.Index(s.calls[first:end], c); i >= 0 {
			s.calls[first+i] = longCancelled
			return
		}
		left -= end - first
		first = 0
	}
}

// longCancelled is a call that was cancelled.
var longCancelled = func() *Call {
	c := new(Call)
	c.route.Store(fromBackground)
	c.state.Store(cancelled)
	return c
}()

// drop drops the first segment, which is used up.
func (q *queue) drop() {
	s := q.head
	q.head, q.first = s.next, 0
	if q.head == nil {
		q.tail = nil
	}
	s.next = nil
	q.spare = s
}

// live is the number of calls that have not been cancelled.
func (q *queue) live() int { return min(max(q.len-q.dead, 0), q.len) }

// bury gives back the places of cancelled calls when they are the most of a
// long queue, so that each is looked at a bounded number of times.
func (q *queue) bury() {
	if q.dead < 64 || q.dead <= q.len/2 {
		return
	}
	kept := queue{spare: q.spare, dead: q.dead}
	for c := q.pop(); c != nil; c = q.pop() {
		if c.state.Load() == pending {
			kept.push(c)
		} else {
			kept.dead--
		}
	}
	*q = kept
}
