package executor

import (
	"context"
	"sync"
)

// Canceller is an [Executor] that is asked when one of its calls is to end early: by
// [Future.Cancel], or because the ctx of Submit has ended. It is for executors that make
// calls elsewhere, in another process or on another machine, and costs a call nothing: the
// package watches each ctx once, and the executor watches none. An executor that makes its
// calls with [Call.Run], here, does not need it, for the ctx of the function ends by itself.
//
// Both methods are called on any goroutine, without a lock of this package: by Cancel as
// soon as Execute has the call, and for the end of a ctx when Execute has returned. They must
// not wait, because the goroutine that cancels waits for them. A call that Execute has handed
// on to another executor is that one's.
type Canceller interface {
	Executor

	// Withdraw gives up c, which has not started as far as Start has said: it is to be
	// cancelled. It returns true if the executor has not begun to make c, or will still ask
	// Start: c is cancelled then, unless Start is called at this very moment and comes first,
	// and Interrupt follows. It returns false if c has begun where nobody asks Start, so that
	// it cannot be cancelled any more; then Interrupt follows, too. An executor that finds c
	// in its queue takes it out.
	Withdraw(c *Call) bool

	// Interrupt asks c, which has started and has not ended, to stop: the ctx of its
	// function is to end, with reason as its cause. What comes of it is for Complete to
	// say, as always. It may be called more than once, and after c has ended.
	Interrupt(c *Call, reason error)
}

// Lender is an [Executor] that limits how many calls run at once, and is told when one of
// them waits for others: with its ctx or one derived from it, in [Future.Result], [Await]
// and all other waits of this package. Then others may run in its place, so that calls that
// wait for each other do not wait for ever. It is typically written with a counter of
// places, as [ThreadPoolExecutor] has one.
//
// A call that waits on several goroutines has lent its place when the first of them waits,
// and has it back before the last goes on: for each call, Lend and Reclaim alternate.
type Lender interface {
	Executor

	// Lend gives the place of c, which runs, to others. It must not wait.
	Lend(c *Call)

	// Reclaim returns when c has a place again. Calls that want their place back should go
	// before those that have not started, for others may wait for what they have begun.
	Reclaim(c *Call)
}

// outside is the host of the calls of an executor that is not of this package, and is a
// Canceller, a Lender, or both. Call.watch registers such a call; Cancel, and watches.end
// for the end of its ctx, call withdraw, and then interrupt.
type outside struct {
	plainHost
	ex Executor
}

// isOutsider reports whether ex is to be asked about its calls, or told of them.
func isOutsider(ex Executor) bool {
	if _, isCanceller := ex.(Canceller); isCanceller {
		return true
	}
	_, isLender := ex.(Lender)
	return isLender
}

// HandOn gives the call to ex, with the ctx that Execute was given: what an executor that
// wraps another one does in Execute, instead of calling that of ex. From now on, ex has the
// call, and is asked about it if it is a [Canceller], and told of it if it is a [Lender].
func (c *Call) HandOn(ctx context.Context, ex Executor) {
	if !isOutsider(ex) {
		ex.Execute(ctx, c)
		return
	}
	before := c.origin.Load()
	r := originTo(ex, before.ctx)
	if before.tracker == nil && c.origin.CompareAndSwap(before, r) {
		c.unwatch(before)
	}
	ex.Execute(ctx, c)
	c.watch(r)
}

// outsiders watch the ctxs of the calls that such executors have.
var outsiders watches

// watch lets the executor behind r hear of the end of the ctx, until the call has ended or
// was handed on.
func (c *Call) watch(r *origin) {
	if r.isWatched && !c.ended() {
		outsiders.add(c)
	}
}

// unwatch undoes watch for a call that had r.
func (c *Call) unwatch(r *origin) {
	if r.isWatched {
		outsiders.remove(c, r.done)
	}
}

// watches returns those that watch the calls with r.
func (r *origin) watches() *watches {
	if r.tracker != nil {
		return &r.tracker.watches
	}
	return &outsiders
}

func (o outside) withdraw(c *Call, state uint32) bool {
	if asked, ok := o.ex.(Canceller); ok && (c.state.Load() != pending || !asked.Withdraw(c)) {
		return false
	}
	return c.state.CompareAndSwap(pending, state)
}

// hearsOfEnds: a Canceller hears of the end of a ctx by interrupt.
func (o outside) hearsOfEnds() bool {
	_, isAsked := o.ex.(Canceller)
	return !isAsked
}

func (o outside) interrupt(c *Call, reason error) bool {
	if ctx := c.ctx(); ctx.Err() != nil {
		reason = context.Cause(ctx) // which was first
	}
	o.plainHost.interrupt(c, reason) // for whoever has the ctx of the call
	if asked, ok := o.ex.(Canceller); ok {
		asked.Interrupt(c, reason)
	}
	return true
}

// absence is that of a call from the place that a Lender gave it. The goroutines of the
// call that wait are counted, so that the Lender hears of the first and of the last.
type absence struct {
	mu      sync.Mutex    // guards the fields below
	waits   int           // goroutines that wait
	settled chan struct{} // closed when nobody is in Lend or Reclaim any more; nil while nobody is
}

func (o outside) lend(c *Call) bool {
	lender, ok := o.ex.(Lender)
	if !ok {
		return false
	}
	a := c.absence()
	a.mu.Lock()
	a.waits++
	if a.waits > 1 || a.settled != nil { // it is lent, or the goroutine that is in Reclaim lends it
		a.mu.Unlock()
		return true
	}
	a.settled = make(chan struct{})
	a.mu.Unlock()
	lender.Lend(c)
	a.moved(false)
	return true
}

func (o outside) reclaim(c *Call) {
	lender, a := o.ex.(Lender), c.absence()
	a.mu.Lock()
	a.waits--
	if settled := a.settled; settled != nil && a.waits == 0 {
		a.mu.Unlock()
		<-settled
		return
	}
	if a.waits > 0 || c.ended() { // others still wait; or nobody needs the place any more
		a.mu.Unlock()
		return
	}
	a.settled = make(chan struct{})
	a.mu.Unlock()
	for {
		lender.Reclaim(c)
		if a.moved(true) {
			return
		}
		lender.Lend(c) // others have begun to wait meanwhile
		if a.moved(false) {
			return
		}
	}
}

// moved says that the caller has left Lend, or Reclaim if the place is back. It returns
// false if that is not what is wanted any more, and the caller is to go on.
func (a *absence) moved(isBack bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if isBack != (a.waits == 0) {
		return false
	}
	close(a.settled)
	a.settled = nil
	return true
}

// absence returns that of a call, and makes it if there is none.
func (c *Call) absence() *absence {
	x := c.coldPart()
	x.mu.Lock()
	defer x.mu.Unlock()
	r := x.rarePart()
	if r.absence == nil {
		r.absence = new(absence)
	}
	return r.absence
}
