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

// remove is take for who holds e.mu.
func (e *Executor) remove(t *ticket) bool {
	i := slices.Index(e.waiting, t)
	if i < 0 {
		return false
	}
	e.waiting = slices.Delete(e.waiting, i, i+1)
	e.settle()
	return true
}

// wake starts feed if there is a call for it. e.mu is held.
func (e *Executor) wake() {
	if !e.feeding && len(e.ready()) > 0 {
		e.feeding = true
		go e.feed()
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
// place, so that nobody runs while the next call is chosen.
type turn struct {
	future  *executor.Future[struct{}]
	has     chan struct{} // closed when it has the place
	release chan struct{} // to be closed to give it up
}

// feed gives turns until no call is ready.
func (e *Executor) feed() {
	for {
		t := e.ask()
		select {
		case <-t.has:
			time.Sleep(time.Nanosecond) // in a bubble: until everybody else waits for something
		case <-t.future.Done(): // Shutdown has ended it
		}
		if !e.give(t) {
			return
		}
	}
}

// ask asks the inner executor for a turn.
func (e *Executor) ask() *turn {
	t := &turn{has: make(chan struct{}), release: make(chan struct{})}
	e.mu.Lock()
	defer e.mu.Unlock()
	t.future = executor.Go(context.Background(), &e.inner, func(context.Context) (struct{}, error) {
		close(t.has)
		<-t.release
		return struct{}{}, nil
	})
	e.turn = t
	return t
}

// give gives the turn t to one of the calls that are ready, and reports whether
// there are more. The call is queued behind t before t ends: till then, in a
// bubble, nobody runs who could cancel it. And t ends under the lock, which it
// does at once, so that who holds the lock knows how t has been counted.
func (e *Executor) give(t *turn) (more bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if ready := e.ready(); len(ready) > 0 {
		e.start(ready[e.rand.IntN(len(ready))])
	}
	close(t.release)
	<-t.future.Done()
	if _, err := t.future.Result(ended); err == nil {
		e.turns++
	}
	e.turn = nil
	more = len(e.ready()) > 0
	e.feeding = more
	e.settle()
	return more
}

// start starts a call, or what is to happen to it instead. e.mu is held.
func (e *Executor) start(t *ticket) {
	e.trace = append(e.trace, t.n)
	e.remove(t)
	close(t.taken)
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

// discount takes a turn that has not ended out of the counters of the inner
// executor, of whose queue it is the last.
func (t *turn) discount(s *executor.Stats) {
	switch {
	case t == nil:
	case s.Queued > 0:
		s.Queued--
	case t.future.State() <= executor.Running: // or it has just left the queue
		s.Running--
	}
}
