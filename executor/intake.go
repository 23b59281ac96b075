package executor

import (
	"context"
	"fmt"
	"slices"
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

// intake is what the executors of this package share: it takes calls until it
// is closed, counts them, and knows when the last has ended.
type intake struct {
	watches   watches
	killed    atomic.Bool           // Shutdown has ended what runs
	pool      *ThreadPoolExecutor   // the executor, if its calls queue for places
	processes *processPool          // the executor, if its calls run in worker processes
	labels    context.Context       // with the pprof labels of the workers; nil if there are none
	last      atomic.Pointer[route] // of the last call, kept while there are calls of it
	after     atomic.Pointer[route] // of calls that have ended

	_       [64]byte   // what is above is read for each call, and what is below written
	mu      sync.Mutex // guards the fields below
	closed  bool
	open    int           // calls taken and not yet ended for everybody
	waiting map[*Call]int // of those: calls that wait in Shutdown themselves, and how often
	stats   Stats
	bell    chan struct{} // closed when who waits for the end should look again
	mortals []*mortal     // what kill is to end

	initializing int // workers in their Initializer
}

// lock is mu.Lock for those who hold it for some nanoseconds, for each call. A mutex
// that is held waits for more than a microsecond before it looks again: with 8
// submitters on two cores a call took a quarter more.
func (in *intake) lock() {
	for range 50 {
		if in.mu.TryLock() {
			return
		}
	}
	in.mu.Lock()
}

// take counts a call that is taken. It returns false if it is not: it is refused,
// or was cancelled before.
func (in *intake) take(c *Call) bool {
	in.mu.Lock()
	if in.closed {
		in.mu.Unlock()
		c.Reject(ErrShutdown)
		return false
	}
	defer in.mu.Unlock()
	return in.admit(c)
}

// admit counts a call, unless it was cancelled before it came here, on its way
// through an executor that hands calls on. in.mu is held.
func (in *intake) admit(c *Call) bool {
	if !in.enter(c) {
		return false
	}
	in.welcome(c)
	return true
}

// welcome counts a call that has entered. in.mu is held.
func (in *intake) welcome(c *Call) {
	in.keepRoute(c)
	in.open++
	in.stats.Submitted++
}

// count counts the result of a call, before it is published. in.mu is held.
func (in *intake) count(err error) {
	if err == nil {
		in.stats.Succeeded++
	} else {
		in.stats.Failed++
	}
}

// withdrawn counts a call that was taken and will never start.
func (in *intake) withdrawn(c *Call) {
	if done := c.route.Load().done; done != nil {
		in.watches.remove(c, done)
	}
	in.mu.Lock()
	in.stats.Cancelled++
	if in.pool != nil {
		in.pool.withdrawn(c)
	}
	in.mu.Unlock()
}

// refuse ends a call that was taken, and has not started, with err.
func (in *intake) refuse(c *Call, err error) {
	if !in.stop(c, settling) {
		return
	}
	c.fail(err)
	c.body.forget()
	in.withdrawn(c)
	c.state.Store(refused)
	in.leave(c) // before wake: to who waits and then looks, it has ended
	c.wake()
}

// turnAway refuses the calls of submitters that wait for room.
func (in *intake) turnAway(blocked []*submitter) {
	for _, s := range blocked {
		in.refuse(s.call, ErrShutdown)
		close(s.room)
	}
}

// stop moves a call that was taken, and has not started, to state, and reports
// whether it did.
func (in *intake) stop(c *Call, state uint32) bool {
	if in.processes != nil {
		return in.processes.withdraw(c, state)
	}
	return c.state.CompareAndSwap(pending, state)
}

// leave says that a call has ended and everybody who waited for it is awake.
func (in *intake) leave(c *Call) {
	in.mu.Lock()
	in.left(c)
	in.mu.Unlock()
}

// left is leave for who holds in.mu, or who ends a worker afterwards.
func (in *intake) left(c *Call) {
	in.open--
	in.forgetRoute(c)
	if in.closed && in.opened() <= len(in.waiting) {
		in.ring()
	}
}

// opened is how many calls were taken and have not ended for everybody. in.mu is held.
func (in *intake) opened() int {
	if in.pool != nil {
		return in.open - in.pool.quick()
	}
	return in.open
}

// ring wakes who waits for the end. in.mu is held.
func (in *intake) ring() {
	if in.bell != nil {
		close(in.bell)
		in.bell = nil
	}
}

// accept takes and starts a call, on an executor that does not queue.
func (in *intake) accept(c *Call) bool {
	return in.take(c) && c.start()
}

// conduct makes a call that was taken and started, from its first to its last
// moment, on a goroutine that may end with it.
func (in *intake) conduct(c *Call) {
	defer func() {
		in.mu.Lock()
		in.count(c.failure())
		in.mu.Unlock()
		c.publish(finished)
		in.leave(c)
	}()
	c.run(new(contexts))
}

// shutdown takes no more calls and waits for those it has. If ctx ends first,
// it calls dropQueue, which cancels what has not started, and ends what runs.
func (in *intake) shutdown(ctx context.Context, dropQueue func()) error {
	if ctx == nil {
		return errNilContext("Shutdown")
	}
	in.mu.Lock()
	in.closed = true
	in.mu.Unlock()
	// Lent until after kill: a call that has this one's place may go on until
	// its ctx ends.
	if self := callOf(ctx); self != nil && self.lend() {
		defer self.reclaim()
	}
	if in.drain(ctx) == nil {
		return nil
	}
	dropQueue()
	in.kill()
	return in.drain(ctx) // not to wait: to say what is left
}

// drain waits until all calls have ended, or ctx. A call that waits with its
// own ctx is not waited for, nor are the calls that it was submitted by: they
// may wait for it. Two such calls would else wait for each other.
func (in *intake) drain(ctx context.Context) error {
	inside, ended := in.around(ctx), ctx.Done() // not under in.mu, which the ctx of a call takes
	in.mu.Lock()
	defer in.mu.Unlock()
	in.wait(inside, 1)
	defer in.wait(inside, -1)
	for {
		exempt := 0
		if len(inside) > 0 {
			exempt = in.waitingCalls()
		}
		// A worker counts a call before its future is done, and ends
		// afterwards, so the workers count too.
		if max(in.opened(), in.stats.Workers) <= exempt {
			return nil
		}
		if in.bell == nil {
			in.bell = make(chan struct{})
		}
		bell, end := in.bell, ended
		if in.opened() <= exempt && in.initializing == 0 {
			end = nil // only workers are left, and about to end
		}
		in.mu.Unlock()
		select {
		case <-bell:
		case <-end:
		}
		in.mu.Lock()
		if in.bell == bell { // else something has changed
			what := "a worker is in its Initializer"
			if n := in.opened() - exempt; n > 0 {
				what = fmt.Sprintf("%d calls have not ended", n)
			}
			return pendingIn(ctx, "Shutdown: "+what)
		}
	}
}

// around returns the calls of this executor that the goroutine with ctx is in:
// the call whose ctx it is, and those that made it and may wait for it.
func (in *intake) around(ctx context.Context) []*Call {
	var calls []*Call
	for c := callOf(ctx); c != nil; c = callOf(c.ctx()) {
		if c.intake() == in {
			calls = append(calls, c)
		}
	}
	return calls
}

// wait adds n to how often each of calls waits in Shutdown. in.mu is held.
func (in *intake) wait(calls []*Call, n int) {
	for _, c := range calls {
		if in.waiting == nil {
			in.waiting = make(map[*Call]int)
		}
		if in.waiting[c] += n; in.waiting[c] == 0 {
			delete(in.waiting, c)
		}
	}
	if len(calls) > 0 {
		in.ring()
	}
}

// waitingCalls counts the open calls that wait in Shutdown. in.mu is held.
func (in *intake) waitingCalls() int {
	n := 0
	for c := range in.waiting {
		if !c.ended() {
			n++
		}
	}
	return n
}

// mortal is what runs and is to hear when Shutdown ends all that does: a call that
// asked for Done, a runner of MapSlice, an initializer.
type mortal struct {
	slot int // guarded by intake.mu: 1 + its index in mortals, 0 outside
	killer
}

// killer ends something. kill may be called when it has ended.
type killer interface{ kill(cause error) }

// cancelKiller ends a ctx.
type cancelKiller context.CancelCauseFunc

func (f cancelKiller) kill(cause error) { f(cause) }

// enroll lets kill end m.
func (in *intake) enroll(m *mortal) {
	in.lock()
	in.enlist(m)
	in.mu.Unlock()
	if in.killed.Load() {
		m.kill(ErrShutdown)
	}
}

// strike undoes enroll.
func (in *intake) strike(m *mortal) {
	in.lock()
	defer in.mu.Unlock()
	in.unlist(m)
}

// enlist is enroll for a caller that holds in.mu, and looks at killed afterwards.
func (in *intake) enlist(m *mortal) {
	in.mortals = append(in.mortals, m)
	m.slot = len(in.mortals)
}

// unlist is strike for a caller that holds in.mu.
func (in *intake) unlist(m *mortal) {
	if m.slot == 0 {
		return
	}
	end := len(in.mortals) - 1
	last := in.mortals[end]
	in.mortals[m.slot-1], last.slot = last, m.slot
	in.mortals[end] = nil
	in.mortals = in.mortals[:end]
	m.slot = 0
}

// kill ends the ctx of all calls that run and will run.
func (in *intake) kill() {
	in.killed.Store(true)
	in.mu.Lock()
	mortals := slices.Clone(in.mortals)
	in.mu.Unlock()
	for _, m := range mortals {
		m.kill(ErrShutdown)
	}
}

// snapshot returns the counters, with Running for who has no queue.
func (in *intake) snapshot() Stats {
	in.mu.Lock()
	defer in.mu.Unlock()
	s := in.stats
	s.Running = s.Submitted - s.Succeeded - s.Failed - s.Cancelled
	return s
}
