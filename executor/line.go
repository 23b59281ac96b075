package executor

import (
	"sync/atomic"

	"github.com/gofutures/futures/executor/internal/fifo"
)

// line is the calls of a goroutine pool that wait to start, in the order in which they were
// submitted: first those in the batch, then those in the queue. tracker.mu guards all of it,
// but for popFast.
//
// Calls enter with queue.Push, which is inlined into execute, and leave with pop or popFast,
// which give each to one caller. A call
// that is withdrawn stays, because nobody knows where it is: pop or popFast returns it later,
// and it does not start. In the queue, such calls are dropped when they are the most of it.
//
// What holds whenever tracker.mu is free:
//
//   - All calls of the batch entered before those of the queue.
//   - With a limit, the batch is empty: each call that starts makes room, and popFast would
//     tell nobody.
//   - Calls that were withdrawn are counted twice on their way: by withdrawn, when the pool
//     hears of it, and by skipped, when whoever has popped one finds that it does not start.
//     Either may come first, so dead may be negative, and as large as the line is long and
//     larger, for a moment. When all have been heard of and found, it is the number of calls
//     in the line that will not start.
//   - earlier + batch.taken() calls have left batches, slow of them through pop. The rest,
//     fast, left through popFast. Each of those stands for one call that has succeeded and
//     is counted nowhere else: the worker that took it had ended another.
//   - With a limit, the last len - limit calls, if that is more than 0, have a submitter that
//     is blocked, or fewer of them: while dead counts a call that has left, len is too small,
//     and may let a submitter go early.
type line struct {
	batch atomic.Pointer[batch] // nil before the first
	_     [64]byte              // workers read what is above for each call, and submitters write what is below

	queue   fifo.Queue[*Call]
	dead    int // calls in the line that will not start; see above
	earlier int // calls of the batches before this one
	slow    int // calls that pop has taken from batches
	room    room
}

// batch is calls that have left the queue together. Workers take them one by one, in order,
// with one addition to next, where the queue takes a lock: a lock that submitters and workers
// meet at was a quarter of what a tiny call costs. It is one batch for all workers.
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
	b.calls[i] = nil // the batch must not keep what the call computes
	return c
}

// taken is how many calls were taken.
func (b *batch) taken() int {
	if b == nil {
		return 0
	}
	return int(min(b.next.Load(), b.n))
}

// popFast takes the first call out of the batch, nil if the batch is empty. It is for workers
// that do not hold tracker.mu and have ended a call that they count nowhere else.
func (l *line) popFast() *Call { return l.batch.Load().take() }

// pop takes the first call out, nil if there is none. After a call of a long queue, the next
// ones are a batch.
func (l *line) pop() *Call {
	b := l.batch.Load()
	if c := b.take(); c != nil {
		l.slow++
		return c
	}
	if l.queue.Len() < worthBatch || l.room.limit > 0 {
		return l.queue.Pop()
	}
	if b != nil {
		l.earlier += int(b.n)
	}
	b = &batch{n: int32(min(l.queue.Len(), len(b.calls)))}
	for i := range b.n {
		b.calls[i] = l.queue.Pop()
	}
	c := b.take()
	l.slow++
	l.batch.Store(b)
	return c
}

// remove takes out c, which is in the line and has started elsewhere. Where it is not found
// soon, it stays as a dead call.
func (l *line) remove(c *Call) {
	if l.queue.TakeBack(c) {
		return
	}
	const soon = 1024
	l.queue.Replace(c, longCancelled, soon) // so that the line does not hold its result
	l.dead++
	l.compact()
}

// longCancelled is a call that was cancelled.
var longCancelled = func() *Call {
	c := new(Call)
	c.origin.Store(fromBackground)
	c.state.Store(cancelled)
	return c
}()

// withdrawn hears of c, which was withdrawn while it was in the line, or after it was popped
// and before it started.
func (l *line) withdrawn(c *Call) {
	l.dead++
	l.compact()
	if l.room.limit > 0 {
		l.freeRoom(c)
	}
}

// skipped hears of n calls that were popped and did not start.
func (l *line) skipped(n int) { l.dead -= n }

// compact drops dead calls from the queue when they are the most of a long one, so that each
// is looked at a bounded number of times.
func (l *line) compact() {
	if l.dead < 64 || l.dead <= l.queue.Len()/2 {
		return
	}
	for range l.queue.Len() {
		if c := l.queue.Pop(); c.state.Load() == pending {
			l.queue.Push(c)
		} else {
			l.dead--
		}
	}
}

// len is how many calls wait that have not been withdrawn.
func (l *line) len() (n int) {
	n, _ = l.count()
	return n
}

// count returns len, and how many calls have left through popFast, at one moment.
func (l *line) count() (n, fast int) {
	all := l.queue.Len()
	b := l.batch.Load()
	taken := b.taken()
	if b != nil {
		all += int(b.n) - taken
	}
	return min(max(all-l.dead, 0), all), l.earlier + taken - l.slow
}

// block returns a submitter to wait as if the line has become too long with c, its last call,
// or nil.
func (l *line) block(c *Call) *submitter {
	n, _ := l.count() // not len, which is not inlined
	return l.room.block(c, n)
}

// unblock lets submitters go for whose calls there is room, after a pop.
func (l *line) unblock() {
	if l.room.limit > 0 {
		l.fillRoom()
	}
}

// freeRoom lets the submitter of c go, which needs no room any more, and those for whose calls
// there is room now.
func (l *line) freeRoom(c *Call) {
	l.room.remove(c)
	l.fillRoom()
}

func (l *line) fillRoom() {
	n, _ := l.count()
	l.room.unblock(n)
}
