package executor

import (
	"context"
	"errors"
	"runtime/trace"
	"sync/atomic"
)

// Call is one call of one function, its types erased: what an [Executor] is
// given. The executor makes it with [Call.Run] or turns it down with
// [Call.Reject]; whoever submitted it may cancel it until it starts. All
// methods are safe for many goroutines, and a call runs at most once.
type Call struct {
	// 40 bytes, so that a Future[int], its function and its argument take one
	// object of 64, a cache line.
	state atomic.Uint32
	slot  uint32                // guarded by watches.mu: 1 + its index in a watch, 0 outside
	extra atomic.Pointer[extra] // nil until somebody needs more than the result
	route atomic.Pointer[route] // nil for a promise
	body  body                  // nil for a promise
}

// body is the part of a call that knows its types. It belongs to whoever moved
// the call out of pending.
type body interface {
	run(ctx context.Context) // calls the function and keeps its result
	forget()                 // gives back the function and its argument
	name() string            // of the function

	encode() (parcel, error) // the call for another process
	// complete keeps what came back from there, of a chunk for n items that it sent,
	// from one on, or for allItems. Its error is that of the call.
	complete(from, n int, r result) error
	// lose keeps why nothing came back. Its error is that of the call: nil for a chunk,
	// whose items have their own.
	lose(from, n int, err error) error
}

// The states of a call. All past running have ended.
const (
	pending uint32 = iota
	running
	settling // as running, while a result that no function returned is written
	finished
	cancelled // by Cancel
	expired   // cancelled by the end of its ctx
	refused   // by its executor
)

func (c *Call) ended() bool { return c.state.Load() >= finished }

// Run makes the call on this goroutine and returns when it has ended: the
// usual way for an executor to keep its promise. The function gets a ctx that
// hands on the values and the end of ctx, which is the one that Execute was
// given or derived from it, and that also ends when Cancel asks a running call
// to stop. It goes on when Run has returned, as ctx does.
//
// Run returns at once if the call has ended or was run before. A panic of the
// function does not leave Run. A [runtime.Goexit] does, when the call has
// ended: an executor with workers replaces the goroutine.
func (c *Call) Run(ctx context.Context) {
	if !c.start() {
		return
	}
	defer c.settle()
	r := c.route.Load()
	if r.ctx != ctx {
		r = newRoute(ctx, r.intake)
		x := c.more()
		x.mu.Lock()
		x.rarely().from = &r.life
		x.mu.Unlock()
	}
	c.runFrom(r, new(contexts))
}

// settle publishes a call that no executor of this package has taken.
func (c *Call) settle() {
	c.publish(finished)
	c.loseWay(finished)
}

// start moves the call from pending to running. Only who is told true may run
// and publish it. A call whose ctx has ended does not start.
func (c *Call) start() bool {
	r := c.route.Load()
	if r.done != nil && r.ctx.Err() != nil {
		c.drop(expired)
		return false
	}
	if !c.state.CompareAndSwap(pending, running) {
		return false
	}
	if r.done != nil && r.intake != nil {
		r.intake.watches.remove(c, r.done)
	}
	return true
}

// run makes a started call and keeps its result, which is not visible before
// publish. The ctx of its function is the next of s.
func (c *Call) run(s *contexts) { c.runFrom(c.route.Load(), s) }

// runFrom is run with a ctx that hands on that of r.
func (c *Call) runFrom(r *route, s *contexts) {
	s.follow(r)
	if r.isLasting {
		c.runWith((*rootContext)(c))
		return
	}
	cc := s.enter(c)
	defer s.leave(c, cc) // deferred, because the function may end this goroutine
	c.runWith(cc)
}

func (c *Call) runWith(ctx context.Context) {
	if trace.IsEnabled() {
		traced, task := trace.NewTask(ctx, c.body.name())
		defer task.End()
		ctx = traced
	}
	c.body.run(ctx)
}

// fail keeps err as the error of a call that is not yet published.
func (c *Call) fail(err error) { c.more().err = err }

// failure returns the error of a call that has run.
func (c *Call) failure() error {
	if x := c.extra.Load(); x != nil {
		return x.err
	}
	return nil
}

// publish makes the result visible and wakes all who wait for it.
func (c *Call) publish(state uint32) {
	c.state.Store(state)
	c.wake()
}

// wake wakes all who wait for the call, which has ended, and sees that its
// callbacks are called.
func (c *Call) wake() {
	if x := c.extra.Load(); x != nil && x.end(c) {
		go x.callBack()
	}
}

// Reject ends a call that has not started with err, and reports whether it
// did. An executor that takes no more calls rejects them with [ErrShutdown].
func (c *Call) Reject(err error) bool {
	if err == nil {
		err = errors.New("executor: Call.Reject: nil error")
	}
	if !c.state.CompareAndSwap(pending, settling) {
		return false
	}
	c.fail(err)
	c.body.forget()
	c.publish(refused)
	if r := c.route.Load(); r != nil && !r.isLasting {
		c.route.CompareAndSwap(r, nowhere.lasting())
	}
	return true
}

// Cancel cancels the call if it has not started, and returns true if it was
// cancelled, now or before: then it never starts. A running call sees its ctx
// end, and nothing else: it ends when its function returns.
func (c *Call) Cancel() bool {
	state := cancelled
	if ctx := c.ctx(); ctx != nil && ctx.Err() != nil {
		state = expired // which the error is to say
	}
	for {
		if c.withdraw(state) {
			c.callBack()
			return true
		}
		switch c.state.Load() {
		case pending, running: // pending: where it runs, it has started
			if c.interrupt(ErrCancelled) {
				return false
			}
		case cancelled, expired:
			return true
		default:
			return false
		}
	}
}

// drop is Cancel for those who must not run callbacks, and who leave a running
// call alone.
func (c *Call) drop(state uint32) bool {
	if !c.withdraw(state) {
		return false
	}
	if c.extra.Load() != nil {
		go c.callBack()
	}
	return true
}

func (c *Call) callBack() {
	if x := c.extra.Load(); x != nil {
		x.callBack()
	}
}

// withdraw moves a call that has not started to state, cancelled or expired,
// and reports whether it did. Everybody who waits is awake when it returns;
// callbacks are left to the caller.
func (c *Call) withdraw(state uint32) bool {
	in := c.intake()
	if in != nil && !in.stop(c, state) || in == nil && !c.state.CompareAndSwap(pending, state) {
		return false
	}
	if in == nil && !c.loseWay(state) {
		in = c.intake() // an executor that hands its calls on has done so meanwhile
	}
	if c.body != nil {
		c.body.forget()
	}
	if in != nil {
		in.withdrawn(c)
	}
	if x := c.extra.Load(); x != nil {
		x.end(c)
	}
	if in != nil {
		in.leave(c)
	}
	return true
}

// Context returns the ctx of the call: it hands on the values and the end of the
// ctx of Submit, ends when Cancel asks the call to stop after it has started, and when
// the call has ended.
// Run gives the function such a ctx by itself; Context is for executors that make
// calls elsewhere, to make them end there.
func (c *Call) Context() context.Context {
	x := c.more()
	x.mu.Lock()
	x.rarely().isBrief = true
	x.mu.Unlock()
	return (*rootContext)(c)
}

// Done returns a channel that is closed when the call has ended.
func (c *Call) Done() <-chan struct{} {
	if c.ended() {
		return closedChan
	}
	return c.more().doneChan(c)
}

var closedChan = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()
