package executortest

import (
	"context"
	"slices"
	"time"

	"github.com/gofutures/futures/executor"
)

// ticket is a call whose turn has not come.
type ticket struct {
	ctx   context.Context
	call  *executor.Call
	n     int // counted from 1
	fault fault
	ready bool          // guarded by Executor.mu: its delay has passed
	taken chan struct{} // closed when its turn has come
}

func newTicket(ctx context.Context, c *executor.Call, n int, f fault) *ticket {
	return &ticket{ctx: ctx, call: c, n: n, fault: f, ready: f.delay == 0, taken: make(chan struct{})}
}

// gone reports whether the call was cancelled.
func (t *ticket) gone() bool {
	select {
	case <-t.call.Done():
		return true
	default:
		return false
	}
}

// cancel cancels the call, and does not wait for its callbacks.
func (t *ticket) cancel() {
	go t.call.Cancel()
	<-t.call.Done()
}

// keep keeps t until its turn has come or it needs none: until then, nobody
// else cancels the call when its ctx ends.
func (e *Executor) keep(t *ticket) {
	var ripe <-chan time.Time
	if t.fault.delay > 0 {
		delay := time.NewTimer(t.fault.delay)
		defer delay.Stop()
		ripe = delay.C
	}
	for {
		select {
		case <-t.taken:
			return
		case <-ripe:
			e.ripen(t)
		case <-t.call.Done():
			e.take(t)
			return
		case <-t.ctx.Done():
			if e.take(t) {
				t.call.Run(t.ctx) // its ctx has ended: it does not start, and its error says why
			}
			return
		}
	}
}

// ripen makes t ready.
func (e *Executor) ripen(t *ticket) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t.ready = true
	e.wake()
}

// take takes t out of those that wait, and reports whether it did.
func (e *Executor) take(t *ticket) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.remove(t)
}

// remove is take for a caller that holds e.mu.
func (e *Executor) remove(t *ticket) bool {
	i := slices.Index(e.waiting, t)
	if i < 0 {
		return false
	}
	e.waiting = slices.Delete(e.waiting, i, i+1)
	e.settle()
	return true
}

// wake asks for a turn if a call is ready and nobody has asked. It asks before
// it returns, so that whoever has submitted the call cannot end, and leave the
// place to another, before. e.mu is held.
func (e *Executor) wake() {
	if e.turn == nil && len(e.ready()) > 0 {
		e.turn = e.ask()
		go e.feed(e.turn)
	}
}

// ready returns the calls that may have the next turn. e.mu is held.
func (e *Executor) ready() []*ticket {
	var ready []*ticket
	for _, t := range e.waiting {
		if t.ready && !t.gone() {
			ready = append(ready, t)
		}
	}
	return ready
}

// turn is a call of the inner executor that does nothing but have its only
// place, so that nobody runs while the next call is chosen. Calls that have lent
// the place and want it back go before a turn.
type turn struct {
	future  *executor.Future[struct{}]
	has     chan struct{} // closed when it has the place
	release chan struct{} // to be closed to give it up
}

// ask asks for a turn. e.mu is held.
func (e *Executor) ask() *turn {
	t := &turn{has: make(chan struct{}), release: make(chan struct{})}
	t.future = executor.Go(context.Background(), &e.inner, func(context.Context) (struct{}, error) {
		close(t.has)
		<-t.release
		return struct{}{}, nil
	})
	return t
}

// end ends a turn that has the place, or was refused because the inner executor
// is closed.
func (e *Executor) end(t *turn) {
	close(t.release)
	<-t.future.Done()
	if _, err := t.future.Result(ended); err == nil {
		e.turns++
	}
}

// feed takes turns for as long as anything may come of it.
func (e *Executor) feed(t *turn) {
	for t != nil {
		select {
		case <-t.has:
			time.Sleep(time.Nanosecond) // in a bubble: until everybody else waits for something
			t = e.give(t)
		case <-t.future.Done(): // Shutdown has ended it, or refused it
			e.mu.Lock()
			e.turn, t = nil, nil
			e.mu.Unlock()
		}
	}
}

// give gives the turn t to one of the calls that are ready, and returns the next
// turn, which is queued before t ends: if the call, or one that wants its place
// back, could end before, it would be left to chance whether a call that waits
// for it goes on first, or the next is chosen. So there is always a turn, unless
// nobody runs and nothing is ready.
//
// It ends turns under the lock, which they do at once, so that a caller that holds
// the lock knows how they have been counted.
func (e *Executor) give(t *turn) (next *turn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ready := e.ready()
	if len(ready) > 0 {
		e.start(ready[e.rand.IntN(len(ready))])
	}
	next = e.ask()
	e.end(t)
	// When t has ended, next is in the queue only if somebody else has the place.
	if len(ready) == 0 && e.inner.Stats().Queued == 0 {
		e.end(next)
		next = nil
	}
	e.turn = next
	return next
}

// start starts a call, or what is to happen to it instead. e.mu is held.
func (e *Executor) start(t *ticket) {
	e.trace = append(e.trace, t.n)
	close(t.taken)
	defer e.remove(t) // not before inner has the call: a caller that waits for the last closes inner then
	switch {
	case t.fault.err != nil:
		if t.call.Reject(t.fault.err) {
			e.failed++
		}
	case t.fault.cancel:
		t.cancel()
	default:
		e.inner.Execute(t.ctx, t.call)
	}
}

// discount takes a turn out of the counters of the inner executor, of whose queue
// it is the last.
func (t *turn) discount(s *executor.Stats) {
	switch {
	case t == nil:
	case s.Queued > 0:
		s.Queued--
	case t.future.State() <= executor.Running: // or it has just left the queue
		s.Running--
	}
}
