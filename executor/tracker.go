package executor

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// Stats counts the calls of an executor since it was made. When nothing is
// queued or running, Submitted is the sum of Succeeded, Failed and Cancelled.
// The runners of [MapSlice] count as calls, its items do not. A call that was
// refused, or whose ctx had ended before Submit, counts nowhere.
type Stats struct {
	Submitted int // taken
	Queued    int // not started
	Running   int // started, whether they compute or wait
	Succeeded int // returned without an error
	Failed    int // returned an error, panicked or ended their goroutine
	Cancelled int // never started
	Workers   int // goroutines or processes that exist now
	Restarts  int // workers that were replaced because they died
}

// tracker is what the executors of this package share: it admits calls until it is
// closed, counts them, and knows when the last is done. This is how a call comes and goes,
// in words that mean the same in all executors:
//
//	admit      the executor has the call: claim has made the tracker the end of its
//	           origin, and countIn has counted it. Before, Call.Reject refuses it.
//	withdraw   the call will not start: Cancel, the end of its ctx (cancelAs), or reject,
//	           because the executor is closed or broken. The host decides; then withdrawn
//	           counts it, and done follows.
//	count      the call has run, and this is its result.
//	done       the call is not open any more. A pool says so before it wakes the waiters.
//
// Shutdown returns when no call is open and no worker is left. Calls that wait in Shutdown
// with their own ctx, and the calls around them, are not waited for: around finds them,
// waiting counts them, and remains subtracts them, from the workers too. When its ctx ends,
// dropQueue cancels what has not started, and stopAll ends the ctx of what runs.
type tracker struct {
	watches   watches
	isStopped atomic.Bool            // Shutdown has ended what runs
	host      host                   // the executor; nil if a plainHost is enough
	labels    context.Context        // with the pprof labels of the workers; nil if there are none
	last      atomic.Pointer[origin] // of the last call, kept while there are calls of it
	after     atomic.Pointer[origin] // of calls that have ended

	_        [64]byte   // what is above is read for each call, and what is below written
	mu       sync.Mutex // guards the fields below
	closed   bool
	open     int           // calls that were admitted and are not done
	waiting  map[*Call]int // of those: calls that wait in Shutdown themselves, and how often
	stats    Stats
	bell     chan struct{} // closed when Shutdown should look again
	stoppers []*stopper    // what stopAll is to stop

	initializing int // workers in their Initializer
}

// lock is mu.Lock for a caller that holds it for some nanoseconds, for each call. A mutex
// that is held waits for more than a microsecond before it looks again: with 8
// submitters on two cores a call took a quarter more.
func (t *tracker) lock() {
	for range 50 {
		if t.mu.TryLock() {
			return
		}
	}
	t.mu.Lock()
}

// admit admits c, and reports whether it did: it rejects a call when it is closed, and
// leaves one alone that was cancelled before.
func (t *tracker) admit(c *Call) bool {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		c.Reject(ErrShutdown)
		return false
	}
	defer t.mu.Unlock()
	return t.admitLocked(c)
}

// admitLocked is admit for a caller that holds mu, and has looked at closed. A call may
// have been cancelled on its way here, through an executor that hands calls on.
func (t *tracker) admitLocked(c *Call) bool {
	if !t.claim(c) {
		return false
	}
	t.countIn(c)
	return true
}

// countIn counts a call that was claimed. mu is held.
func (t *tracker) countIn(c *Call) {
	t.keepOrigin(c)
	t.open++
	t.stats.Submitted++
}

// count counts the result of a call, before it is published. t.mu is held.
func (t *tracker) count(err error) {
	if err == nil {
		t.stats.Succeeded++
	} else {
		t.stats.Failed++
	}
}

// withdrawn counts a call that was admitted and will never start.
func (t *tracker) withdrawn(c *Call) {
	if done := c.origin.Load().done; done != nil {
		t.watches.remove(c, done)
	}
	t.mu.Lock()
	t.stats.Cancelled++
	t.hostOf().withdrawn(c)
	t.mu.Unlock()
}

// reject ends a call that was admitted, and has not started, with err.
func (t *tracker) reject(c *Call, err error) {
	if !t.hostOf().withdraw(c, writing) {
		return
	}
	c.fail(err)
	c.forgetBody()
	t.withdrawn(c)
	c.state.Store(refused)
	t.done(c) // before wake: a waiter that then looks at the executor finds that it has ended
	c.wake()
}

// rejectBlocked rejects the calls of submitters that wait for room.
func (t *tracker) rejectBlocked(blocked []*submitter) {
	for _, s := range blocked {
		t.reject(s.call, ErrShutdown)
		close(s.room)
	}
}

// done says that c has ended and everybody who waited for it is awake.
func (t *tracker) done(c *Call) {
	t.mu.Lock()
	t.doneLocked(c)
	t.mu.Unlock()
}

// doneLocked is done for a caller that holds mu, and ends or wakes what is left
// afterwards.
func (t *tracker) doneLocked(c *Call) {
	t.open--
	t.forgetOrigin(c)
	if t.closed && t.opened() <= len(t.waiting) {
		t.ring()
	}
}

// opened is how many calls were admitted and are not done. mu is held.
func (t *tracker) opened() int {
	return t.open - t.hostOf().unsettled()
}

// ring wakes the goroutines that wait for the end. t.mu is held.
func (t *tracker) ring() {
	if t.bell != nil {
		close(t.bell)
		t.bell = nil
	}
}

// shutdown takes no more calls and waits for those it has. If ctx ends first,
// it calls dropQueue, which cancels what has not started, and ends what runs.
func (t *tracker) shutdown(ctx context.Context, dropQueue func()) error {
	if ctx == nil {
		return errNilContext("Shutdown")
	}
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	// Lent until after stopAll: a call that has this one's place may go on until
	// its ctx ends.
	if self := callOf(ctx); self != nil {
		if h := self.host(); h.lend(self) {
			defer h.reclaim(self)
		}
	}
	if t.drain(ctx) == nil {
		return nil
	}
	dropQueue()
	t.stopAll()
	return t.drain(ctx) // not to wait: to say what is left
}

// drain waits until all calls are done, or ctx ends. A call that waits with its
// own ctx is not waited for, nor are the calls that it was submitted by: they
// may wait for it. Two such calls would else wait for each other.
func (t *tracker) drain(ctx context.Context) error {
	inside, ended := t.around(ctx), ctx.Done() // not under mu, which the ctx of a call takes
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wait(inside, 1)
	defer t.wait(inside, -1)
	for {
		left := t.remains(inside)
		if left.isNothing() {
			return nil
		}
		bell, end := t.nextBell(), ended
		if left.areIdle() {
			end = nil // they are about to end
		}
		t.mu.Unlock()
		select {
		case <-bell:
		case <-end:
		}
		t.mu.Lock()
		if t.bell == bell { // else something has changed
			return pendingIn(ctx, "Shutdown: "+t.remains(inside).String())
		}
	}
}

// remains is what Shutdown waits for. Workers count beside calls, because a worker counts
// its call before the future is done, and ends afterwards.
type remains struct {
	calls   int
	workers int
	early   int // workers in their Initializer, or starting
}

// remains returns what is left to wait for by a goroutine that is in the calls inside. mu is
// held.
func (t *tracker) remains(inside []*Call) remains {
	exempt := 0
	if len(inside) > 0 {
		exempt = t.waitingCalls()
	}
	processes, early := t.hostOf().processes()
	return remains{calls: t.opened() - exempt, workers: t.stats.Workers + processes - exempt, early: t.initializing + early}
}

func (r remains) isNothing() bool { return r.calls <= 0 && r.workers <= 0 }

// areIdle reports whether only workers are left that have nothing to do.
func (r remains) areIdle() bool { return r.calls <= 0 && r.early == 0 }

func (r remains) String() string {
	if r.calls > 0 {
		return fmt.Sprintf("%d calls have not ended", r.calls)
	}
	return "a worker is in its Initializer"
}

// nextBell returns a channel that is closed when Shutdown should look again. mu is held.
func (t *tracker) nextBell() <-chan struct{} {
	if t.bell == nil {
		t.bell = make(chan struct{})
	}
	return t.bell
}

// around returns the calls of this executor that the goroutine with ctx is in:
// the call whose ctx it is, and those that made it and may wait for it.
func (t *tracker) around(ctx context.Context) []*Call {
	var calls []*Call
	for c := callOf(ctx); c != nil; c = callOf(c.ctx()) {
		if c.tracker() == t {
			calls = append(calls, c)
		}
	}
	return calls
}

// wait adds n to how often each of calls waits in Shutdown. t.mu is held.
func (t *tracker) wait(calls []*Call, n int) {
	for _, c := range calls {
		if t.waiting == nil {
			t.waiting = make(map[*Call]int)
		}
		if t.waiting[c] += n; t.waiting[c] == 0 {
			delete(t.waiting, c)
		}
	}
	if len(calls) > 0 {
		t.ring()
	}
}

// waitingCalls counts the open calls that wait in Shutdown. t.mu is held.
func (t *tracker) waitingCalls() int {
	n := 0
	for c := range t.waiting {
		if !c.ended() {
			n++
		}
	}
	return n
}

// snapshot returns the counters, with Running for executors that have no queue.
func (t *tracker) snapshot() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stats
	s.Running = s.Submitted - s.Succeeded - s.Failed - s.Cancelled
	return s
}
