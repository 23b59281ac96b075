package executor

import (
	"context"
	"errors"
	"runtime/trace"
	"sync/atomic"
)

// The life of a call is one word, its state, which only goes forward:
//
//	              start                              publish
//	  pending ----------------> running ------------------------------------> finished
//	   | | |                      |                                              ^
//	   | | |                      +-- Complete, Promise's Resolve --+            |
//	   | | |                          and Reject                    v            |
//	   | | +------ Complete, Promise's Resolve and Reject ------> writing ------+
//	   | |
//	   | +-- Call.Reject, tracker.reject --> writing --> refused
//	   |
//	   +-- withdraw --> cancelled (by Cancel), expired (by the end of the ctx of Submit)
//
//  1. One compare-and-swap moves a call out of pending. Of a worker that starts the call and
//     a goroutine that cancels it, one wins, and the other does nothing to it. The winner
//     owns the body: it makes the call, or forgets the function and its argument. If a
//     goroutine encodes these at that moment, it forgets them when it has (encodeBody).
//  2. A call in a ProcessPoolExecutor is delegated: package procpool knows whether it waits,
//     runs, or is to be tried again, and it is pending here until End finishes it. State asks
//     the host, and so does a goroutine that withdraws it (processPool.withdraw), which
//     decides where procpool and the worker do.
//  3. writing looks like running. A goroutine that writes a result which no function has
//     returned moves the call there first, so that no other goroutine writes beside it.
//  4. The result is written before the state says that the call has ended, and never
//     afterwards, so that a goroutine which sees that the call has ended reads it without a
//     lock.
//  5. Most calls end before anybody waits. A goroutine that waits adds a cold part to the
//     call, and looks at the state again; the goroutine that ends the call looks for a cold
//     part after it has set the state (cold.go). So one of them sees the other. wake closes
//     Done and wakes the waiters first. Callbacks run on a goroutine of their own; on that of
//     Cancel, if that cancelled the call; on that of OnDone, if the call had ended.
//  6. A pool decides what its worker does next, and counts the call, before it sets the
//     state: a waiter that then looks at the pool finds that the call has ended.
//  7. Cancel waits for nothing. It asks the host to withdraw the call, or, if that has
//     started, to end its ctx, until one of the two is true.
//  8. Where a call comes from and where it went is its origin, which calls share, and which
//     lets go of the ctx of Submit when the call has ended (origin.go). What its function
//     gets as a ctx has a plan of its own (context.go).

// Call is one call of one function, its types erased: what an [Executor] is
// given. The executor makes it with [Call.Run] or turns it down with
// [Call.Reject]; whoever submitted it may cancel it until it starts. All
// methods are safe for many goroutines, and a call runs at most once.
type Call struct {
	// 40 bytes, so that a Future[int], its function and its argument take one
	// object of 64, a cache line.
	state  state
	slot   uint32                 // guarded by watches.mu: 1 + its index in a watch, 0 outside
	cold   atomic.Pointer[cold]   // nil until somebody needs more than the result
	origin atomic.Pointer[origin] // nil for a promise
	body   body                   // nil for a promise
}

// body is the part of a call that knows its types. It belongs to whoever moved
// the call out of pending.
type body interface {
	run(ctx context.Context) // calls the function and keeps its result
	forget()                 // gives back the function and its argument
	name() string            // of the function

	encode() (request, error) // the call for another process
	// complete keeps what came back from there, of a chunk for n items that it sent,
	// from one on, or for allItems. Its error is that of the call.
	complete(from, n int, r reply) error
	// lose keeps why nothing came back. Its error is that of the call: nil for a chunk,
	// whose items have their own.
	lose(from, n int, err error) error
}

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
	defer c.finish()
	r := c.origin.Load()
	if r.ctx != ctx {
		r = newOrigin(ctx, r.tracker)
		x := c.coldPart()
		x.mu.Lock()
		x.rarePart().from = &r.life
		x.mu.Unlock()
	}
	c.runFrom(r, new(contexts))
}

// finish publishes a call that no executor of this package has admitted.
func (c *Call) finish() {
	if r := c.origin.Load(); r.first.call.Load() == c { // by Context
		r.first.leave(c)
	}
	c.publish(finished)
	c.dropOrigin(finished)
}

// start moves the call from pending to running. Only a caller that is told true may
// run and publish it. A call whose ctx has ended does not start.
func (c *Call) start() bool {
	r := c.origin.Load()
	if r.done != nil && r.ctx.Err() != nil {
		if c.withdrawFrom(plainHost{}, expired) { // whoever starts it has it, and is not asked
			c.callBackLater()
		}
		return false
	}
	if !c.state.CompareAndSwap(pending, running) {
		return false
	}
	if r.done != nil && r.tracker != nil {
		r.tracker.watches.remove(c, r.done)
	}
	return true
}

// run makes a started call and keeps its result, which is not visible before
// publish. The ctx of its function is the next of s.
func (c *Call) run(s *contexts) { c.runFrom(c.origin.Load(), s) }

// runFrom is run with a ctx that hands on that of r.
func (c *Call) runFrom(r *origin, s *contexts) {
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
func (c *Call) fail(err error) { c.coldPart().err = err }

// failure returns the error of a call that has run.
func (c *Call) failure() error {
	if x := c.cold.Load(); x != nil {
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
	if x := c.cold.Load(); x != nil && x.end(c) {
		go x.callBack()
	}
}

// Reject ends a call that has not started with err, and reports whether it
// did. An executor that takes no more calls rejects them with [ErrShutdown].
func (c *Call) Reject(err error) bool {
	if err == nil {
		err = errors.New("executor: Call.Reject: nil error")
	}
	if !c.state.CompareAndSwap(pending, writing) {
		return false
	}
	c.fail(err)
	c.forgetBody()
	c.publish(refused)
	if r := c.origin.Load(); !c.dropOrigin(refused) && !r.isLasting {
		c.origin.CompareAndSwap(r, nowhere.lasting())
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

// cancelAs is Cancel for a caller that must not run callbacks, and leaves a running call
// alone. The state is cancelled or expired.
func (c *Call) cancelAs(state uint32) bool {
	if !c.withdraw(state) {
		return false
	}
	c.callBackLater()
	return true
}

// callBackLater calls the callbacks, if there may be some, on a goroutine of their own.
func (c *Call) callBackLater() {
	if c.cold.Load() != nil {
		go c.callBack()
	}
}

func (c *Call) callBack() {
	if x := c.cold.Load(); x != nil {
		x.callBack()
	}
}

// withdraw moves a call that has not started to state, cancelled or expired,
// and reports whether it did. Everybody who waits is awake when it returns;
// callbacks are left to the caller.
func (c *Call) withdraw(state uint32) bool {
	return c.withdrawFrom(c.host(), state)
}

// withdrawFrom is withdraw for a caller that knows whom to ask.
func (c *Call) withdrawFrom(h host, state uint32) bool {
	in := c.tracker()
	if !h.withdraw(c, state) {
		return false
	}
	if in == nil && !c.dropOrigin(state) {
		in = c.tracker() // an executor that hands its calls on has done so meanwhile
	}
	c.forgetBody()
	if in != nil {
		in.withdrawn(c)
	}
	if x := c.cold.Load(); x != nil {
		x.end(c)
	}
	if in != nil {
		in.done(c)
	}
	return true
}

// encodeBody encodes the body, which a goroutine that cancels the call meanwhile leaves alone.
func (c *Call) encodeBody() (request, error) {
	isGuarded := c.state.beginRead()
	if !isGuarded && c.ended() {
		return request{}, c.Err()
	}
	r, err := c.body.encode()
	if isGuarded && c.state.endRead() {
		c.body.forget()
	}
	return r, err
}

// forgetBody gives back the function and the argument of a call that has ended, or sees that
// the goroutine that encodes them does.
func (c *Call) forgetBody() {
	if c.body != nil && !c.state.leaveToReader() {
		c.body.forget()
	}
}

// Context returns the ctx that Run gives the function: it hands on the values and the end
// of the ctx of Submit, and ends when Cancel asks the call to stop after it has started.
// It is for executors that make calls with [Invoke] in this process: a function that waits
// with it lends its place, see [Lender]. To send an end elsewhere, do not watch it: see
// [Canceller].
func (c *Call) Context() context.Context {
	r := c.origin.Load()
	switch {
	case r.isLasting:
		return (*rootContext)(c)
	case r.tracker != nil: // which others have
		cc := &callContext{from: &r.life}
		cc.call.Store(c)
		return cc
	}
	r.hasFirst.Store(true)
	r.first.call.Store(c)
	return &r.first
}

// Done returns a channel that is closed when the call has ended.
func (c *Call) Done() <-chan struct{} {
	if c.ended() {
		return closedChan
	}
	return c.coldPart().doneChan(c)
}

// Err returns the error with which the call has ended, and nil if it has ended without one
// or has not ended. It is for executors: it does not count as somebody who asks for the
// result, see [IgnoreLostPanics].
func (c *Call) Err() error {
	switch c.state.Load() {
	case cancelled:
		return ErrCancelled
	case expired:
		return c.origin.Load().expiry()
	case finished, refused:
		return c.failure()
	}
	return nil
}

// Made returns how many items of a chunk, which [Map] and [MapSlice] make calls of, have
// ended, as far as is known while a worker process makes them. Of any other call it
// returns 0.
func (c *Call) Made() int { return c.host().made(c) }

var closedChan = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()
