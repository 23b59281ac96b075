// Package fifo has a first-in, first-out queue without a bound.
package fifo

import "iter"

// Queue is a first-in, first-out queue without a bound. The zero value is empty and
// ready to use. It must not be copied after the first use, and is not safe for use by
// several goroutines at once.
//
// It is made of segments, so that it never copies what it holds, and a queue that was
// long gives its memory back: of the segments that are used up, it keeps one for the
// next values. It does not keep a value that has left it.
type Queue[T comparable] struct {
	head, tail *segment[T] // nil before the first Push
	first      int         // index in head of the first value
	end        int         // index in tail behind the last value
	len        int
	spare      *segment[T] // empty
}

// segment is a part of a queue. None is empty, but for the only one of an empty queue.
type segment[T comparable] struct {
	values     [segmentSize]T
	prev, next *segment[T]
}

const segmentSize = 256

// Len returns the number of values in q.
func (q *Queue[T]) Len() int { return q.len }

// Push adds v as the last value.
func (q *Queue[T]) Push(v T) {
	if q.tail == nil || q.end == segmentSize {
		q.extend()
	}
	q.tail.values[q.end] = v
	q.end++
	q.len++
}

// extend adds an empty segment.
func (q *Queue[T]) extend() {
	s := q.spare
	q.spare = nil
	if s == nil {
		s = new(segment[T])
	}
	if q.tail == nil {
		q.head = s // first is 0
	} else {
		q.tail.next, s.prev = s, q.tail
	}
	q.tail, q.end = s, 0
}

// Pop takes out the first value and returns it, or the zero value if q is empty.
func (q *Queue[T]) Pop() T {
	var none T
	if q.len == 0 {
		return none
	}
	v := q.head.values[q.first]
	q.head.values[q.first] = none
	q.first++
	q.len--
	if q.first == segmentSize {
		q.dropHead()
	} else if q.len == 0 {
		q.first, q.end = 0, 0 // head is tail
	}
	return v
}

// dropHead takes off the first segment, which is empty.
func (q *Queue[T]) dropHead() {
	s := q.head
	q.head, q.first = s.next, 0
	if q.head == nil {
		q.tail = nil
	} else {
		q.head.prev, s.next = nil, nil
	}
	q.spare = s
}

// dropTail takes off the last segment, which is empty, and not the only one.
func (q *Queue[T]) dropTail() {
	s := q.tail
	q.tail, q.end = s.prev, segmentSize
	q.tail.next, s.prev = nil, nil
	q.spare = s
}

// Front yields the first values, at most n, in order. q must not change meanwhile.
func (q *Queue[T]) Front(n int) iter.Seq[T] {
	return func(yield func(T) bool) {
		i, s := q.first, q.head
		for range min(n, q.len) {
			if !yield(s.values[i]) {
				return
			}
			if i++; i == segmentSize {
				i, s = 0, s.next
			}
		}
	}
}

// TakeBack takes out the last value if that is v, and reports whether it is.
func (q *Queue[T]) TakeBack(v T) bool {
	if q.len == 0 || q.tail.values[q.end-1] != v {
		return false
	}
	var none T
	q.end--
	q.tail.values[q.end] = none
	q.len--
	if q.len == 0 {
		q.first, q.end = 0, 0 // head is tail
	} else if q.end == 0 {
		q.dropTail()
	}
	return true
}

// Replace puts v in the place of the first value that equals old, if that is among the
// first n, and reports whether it is.
func (q *Queue[T]) Replace(old, v T, n int) bool {
	i, s := q.first, q.head
	for range min(n, q.len) {
		if s.values[i] == old {
			s.values[i] = v
			return true
		}
		if i++; i == segmentSize {
			i, s = 0, s.next
		}
	}
	return false
}
