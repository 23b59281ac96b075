package executor

import (
	"context"
	"runtime/pprof"
)

// With WaitersHelp, a goroutine that waits for a call makes it, if it has not started. It
// needs a place, as a worker does (place.go), and starts the call as a worker would, by moving
// it from pending to running: whoever finds the call in the line later finds that it does not
// start, as with one that was cancelled.
//
//  1. helper says whether a goroutine may help at all. A wait that may end before the
//     call never helps.
//  2. begin takes the place, and the call from the line or from the worker that was summoned
//     for it. As long as that worker has not arrived, it loses its place too, and looks for
//     another, or parks. When it has, one compare-and-swap of the state decides, and if the
//     worker loses, it goes on in startNext.
//  3. run makes the call, and end gives the place back. If others of the call that the helper
//     is in have begun to wait meanwhile, their place is lent then.
//  4. MapSlice knows that it will wait, so its first runner does not go through the line:
//     where a place is free, it begins on the caller's goroutine (beginNew), and no worker is
//     woken for it. A map of one element takes 0.75 to 0.8 of the time.
//
// It is a choice of the user's, because two promises end there: a function that ends its
// goroutine ends that of the waiter, and calls may overtake each other.

// help makes c here, on the goroutine that waits for it with ctx, if that may
// be, and reports whether it did: see [ThreadPoolExecutor.WaitersHelp].
func (e *ThreadPoolExecutor) help(ctx context.Context, c *Call) bool {
	h, mayHelp := e.helper(ctx)
	if !mayHelp || !h.begin(c) {
		return false
	}
	h.run(c)
	return true
}

// run makes c, which has begun here.
func (h *helper) run(c *Call) {
	defer h.end(c) // deferred, because the function may end this goroutine
	pprof.SetGoroutineLabels(h.pool.tracker.labels)
	c.run(new(contexts))
}

// helper is a goroutine that makes a call while it waits for it.
type helper struct {
	pool    *ThreadPoolExecutor
	ctx     context.Context // that it waits with
	waiting *Call           // the call that it is in, nil if none
	own     *place          // of that
}

// helper returns one for a goroutine that waits with ctx, if that may help: nothing
// but the end of the call is to end its wait, and a call of another executor
// would keep its place there, which the call that it makes may wait for.
func (e *ThreadPoolExecutor) helper(ctx context.Context) (h helper, mayHelp bool) {
	if !e.WaitersHelp || e.Initializer != nil {
		return helper{}, false
	}
	h = helper{pool: e, ctx: ctx, waiting: callOf(ctx)}
	isOwn := isOwn(ctx)
	if !isOwn && ctx.Done() != nil {
		return h, false
	} else if h.waiting == nil {
		return h, !isOwn // the ctx of a call that has ended
	}
	if h.waiting.tracker() != &e.tracker || e.KeepPlaces {
		return h, false
	}
	h.own = h.waiting.place()
	return h, true
}

// begin takes a place and starts c, or does neither.
func (h *helper) begin(c *Call) bool {
	e, r := h.pool, c.origin.Load()
	if r.done != nil && r.ctx.Err() != nil {
		return false
	}
	e.tracker.lock()
	if !h.mayTake(c) || !c.state.CompareAndSwap(pending, running) {
		e.tracker.mu.Unlock()
		return false
	}
	h.take(c)
	if e.line.room.limit > 0 {
		e.line.freeRoom(c)
	}
	e.tracker.mu.Unlock()
	if r.done != nil {
		e.tracker.watches.remove(c, r.done)
	}
	return true
}

// helpful is an executor whose waiters help.
type helpful interface {
	// beginHere begins c, which was submitted with ctx and is in no executor yet, on this
	// goroutine, which will wait for it with forever, if that may be.
	beginHere(forever, ctx context.Context, c *Call) (h helper, isHere bool)
}

func (e *ThreadPoolExecutor) beginHere(forever, ctx context.Context, c *Call) (h helper, isHere bool) {
	if e == nil {
		return helper{}, false
	}
	h, mayHelp := e.helper(forever)
	if !mayHelp {
		return h, false
	}
	c.origin.Store(e.tracker.origin(ctx))
	return h, h.beginNew(c)
}

// beginNew is begin for a call that is not in the pool yet.
func (h *helper) beginNew(c *Call) bool {
	e := h.pool
	e.tracker.lock()
	mayBegin := e.refusal() == nil && e.QueueLimit == 0 && e.places.mayOccupy(h.own)
	if mayBegin {
		e.tracker.countIn(c)
		c.state.Store(running)
		e.places.occupy(h.own)
	}
	e.tracker.mu.Unlock()
	return mayBegin
}

// mayTake reports whether there is a place to make c: the helper's own, if it is
// there, one that nobody has, or that of a worker which comes to make c. tracker.mu is
// held.
func (h *helper) mayTake(c *Call) bool {
	ps := &h.pool.places
	return ps.mayOccupy(h.own) || h.own == nil && len(ps.returning) == 0 && h.pool.isSummonedFor(c)
}

// take takes the place, and c from the line or from the worker that was summoned for it,
// which finds that it has neither when it arrives. tracker.mu is held.
func (h *helper) take(c *Call) {
	e := h.pool
	isSummoned := e.isSummonedFor(c)
	if isSummoned {
		e.summoned.next = nil
	} else {
		e.line.remove(c)
	}
	switch {
	case !isSummoned:
		e.places.occupy(h.own)
	case h.own != nil: // the worker's place is not needed
		e.places.occupy(h.own)
		if !e.handOver() {
			e.places.release()
		}
	}
}

// isSummonedFor reports whether a worker was summoned for c and has not arrived.
func (e *ThreadPoolExecutor) isSummonedFor(c *Call) bool {
	return e.summoned != nil && e.summoned.next == c
}

// end ends c, and gives the place back: also its own, if other goroutines of the call
// that it is in have begun to wait, or that call is over.
func (h *helper) end(c *Call) {
	e := h.pool
	var r *rare
	if x := c.cold.Load(); x != nil {
		r = x.peek()
	}
	e.tracker.lock()
	e.tracker.count(c.failure())
	e.tracker.doneLocked(c)
	c.state.Store(finished)
	w, back := h.giveUp(e.loses(r))
	e.tracker.mu.Unlock()
	e.unpark(w)
	h.relabel()
	c.wake()
	<-back
}

// giveUp gives up the place that c was made in, unless c has lost it, and returns a worker
// to wake, and what to wait for. tracker.mu is held.
func (h *helper) giveUp(isLost bool) (w *worker, back <-chan struct{}) {
	e := h.pool
	isGivenUp, back := e.places.vacate(h.own, isLost)
	if isGivenUp {
		w = e.giveUp()
	}
	if h.own != nil {
		e.hurryBack(h.own)
	}
	return w, back
}

// relabel undoes what c may have done to the labels of this goroutine. In a call, they
// are what it began with: to ask its ctx would ask those of all calls around it.
func (h *helper) relabel() {
	if h.own != nil {
		pprof.SetGoroutineLabels(h.pool.tracker.labels)
		return
	}
	pprof.SetGoroutineLabels(h.ctx)
}
