package executor

import (
	"context"
	"runtime/pprof"
)

// help makes the call here, on the goroutine that waits for it with ctx, if that may
// be, and reports whether it did: see [ThreadPoolExecutor.WaitersHelp].
//
// It takes the place of a worker, or, if the waiter is itself in a call of the same
// executor, that call's own. The queue may hold the call still, or a worker that was
// summoned for it: both find out when it does not start, as with one that was
// cancelled.
func (c *Call) help(ctx context.Context) bool {
	in := c.intake()
	if in == nil || in.pool == nil || c.state.Load() != pending {
		return false
	}
	h, mayHelp := in.pool.helper(ctx)
	if !mayHelp || !h.begin(c) {
		return false
	}
	h.run(c)
	return true
}

// run makes c, which has begun here.
func (h *helper) run(c *Call) {
	defer h.end(c) // deferred, because the function may end this goroutine
	pprof.SetGoroutineLabels(h.pool.intake.labels)
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
	if h.waiting.intake() != &e.intake || e.KeepPlaces {
		return h, false
	}
	h.own = h.waiting.place()
	return h, true
}

// begin takes a place and starts c, or does neither.
func (h *helper) begin(c *Call) bool {
	e, r := h.pool, c.route.Load()
	if r.done != nil && r.ctx.Err() != nil {
		return false
	}
	e.intake.lock()
	if !h.mayTake(c) || !c.state.CompareAndSwap(pending, running) {
		e.intake.mu.Unlock()
		return false
	}
	h.take(c)
	e.room.leave(c)
	e.unblock()
	e.intake.mu.Unlock()
	if r.done != nil {
		e.intake.watches.remove(c, r.done)
	}
	return true
}

// beginNew is begin for a call that is not in the pool yet: it does not go through the
// queue, and no worker is woken for it.
func (h *helper) beginNew(c *Call) bool {
	e := h.pool
	e.intake.lock()
	mayBegin := e.refusal() == nil && e.QueueLimit == 0 && h.hasPlace()
	if mayBegin {
		e.intake.welcome(c)
		c.state.Store(running)
		h.occupy()
	}
	e.intake.mu.Unlock()
	return mayBegin
}

// mayTake reports whether there is a place to make c: the helper's own, if it is
// there, one that nobody has, or that of a worker which comes to make c. intake.mu is
// held.
func (h *helper) mayTake(c *Call) bool {
	return h.hasPlace() || h.own == nil && len(h.pool.returning) == 0 && h.pool.isSummonedFor(c)
}

// hasPlace reports whether the helper's own place is there, or else one that nobody
// has. intake.mu is held.
func (h *helper) hasPlace() bool {
	if h.own != nil {
		return h.own.isThere()
	}
	return h.pool.taken < h.pool.places && len(h.pool.returning) == 0
}

// occupy takes that place. intake.mu is held.
func (h *helper) occupy() {
	if h.own != nil {
		h.own.waits++
	} else {
		h.pool.taken++
	}
}

// take takes the place, and c from the queue or from the worker that was summoned for
// it. intake.mu is held.
func (h *helper) take(c *Call) {
	e := h.pool
	h.occupy()
	switch {
	case e.isSummonedFor(c): // which finds that it has no place when it arrives
		e.summoned.next = nil
		e.taken--
	case !e.queue.takeBack(c):
		e.queue.replace(c)
		e.queue.dead++
		e.queue.bury()
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
	if x := c.extra.Load(); x != nil {
		r = x.peek()
	}
	e.intake.lock()
	e.intake.count(c.failure())
	e.intake.left(c)
	c.state.Store(finished)
	w, back := h.leave(e.hasLost(r))
	e.intake.mu.Unlock()
	e.start(w)
	h.relabel()
	c.wake()
	<-back
}

// leave gives up the place that c was made in, unless c has lost it, and returns a worker
// to start, and what to wait for. intake.mu is held.
func (h *helper) leave(isLost bool) (w *worker, back <-chan struct{}) {
	back = closedChan
	isFree := !isLost
	if h.own != nil {
		h.own.waits--
		if h.own.waits == 0 && !h.own.isOver { // it is the call's own again
			isFree = false
			if isLost {
				back = h.pool.askBack(h.own)
			}
		}
	}
	if isFree {
		w = h.pool.vacate()
	}
	return w, back
}

// relabel undoes what c may have done to the labels of this goroutine. In a call, they
// are what it began with: to ask its ctx would ask those of all calls around it.
func (h *helper) relabel() {
	if h.own != nil {
		pprof.SetGoroutineLabels(h.pool.intake.labels)
		return
	}
	pprof.SetGoroutineLabels(h.ctx)
}
