package executor

import (
	"log/slog"
	"runtime/debug"
	"sync"
)

// extra is what most calls never need: an error, somebody who waits. The first
// to need it adds it to the call.
//
// Who adds to an extra looks at the state of the call afterwards, and who ends
// the call looks for an extra after setting the state. So at least one of them
// sees the other, and calls end.
type extra struct {
	err   error          // written before the call is published, and not afterwards
	ended sync.WaitGroup // 1 until end

	mu   sync.Mutex    // guards the fields below
	over bool          // end was here
	done chan struct{} // made when somebody asks
	rare *rare
}

// rare is what few calls with an extra need.
type rare struct {
	arrivals  []arrival
	callbacks []func()
	calling   bool // a goroutine is in callBack

	life    *ownLife // of the call, when its Done was asked for, or it was to stop
	isBrief bool     // it ends with the call
	from    *life    // what it is made from; nil: that of the route

	panic *lostPanic // nil if the function did not panic

	place place // guarded by intake.mu
}

// place is what has become of the place of a call that waits, on goroutines of its own.
type place struct {
	waits  int           // goroutines that wait: the place is lent, or one of them helps there
	back   chan struct{} // closed when the place is back, for which one waits; nil if none does
	isOver bool          // the call has ended without its place
}

// isThere reports whether the call has its place, and is not about to get it back.
func (p *place) isThere() bool { return p.waits == 0 && p.back == nil && !p.isOver }

// more returns the call's extra and makes it if there is none.
func (c *Call) more() *extra {
	if x := c.extra.Load(); x != nil {
		return x
	}
	x := new(extra)
	x.ended.Add(1)
	if c.extra.CompareAndSwap(nil, x) {
		return x
	}
	return c.extra.Load()
}

// rarely returns what x needs rarely and makes it if there is none. x.mu is
// held.
func (x *extra) rarely() *rare {
	if x.rare == nil {
		x.rare = new(rare)
	}
	return x.rare
}

// peek returns what x needs rarely, nil if it has needed nothing yet.
func (x *extra) peek() *rare {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.rare
}

// end wakes all who wait for c, which has ended. It returns true if there are
// callbacks, for which the caller is to see that callBack is called.
func (x *extra) end(c *Call) (callbacks bool) {
	x.mu.Lock()
	if x.over {
		defer x.mu.Unlock()
		return x.rare != nil && len(x.rare.callbacks) > 0
	}
	x.over = true
	if x.done != nil {
		close(x.done)
	}
	x.ended.Done()
	r := x.rare
	if r == nil {
		x.mu.Unlock()
		return false
	}
	arrivals, life := r.arrivals, r.takeLife(c)
	r.arrivals = nil
	callbacks = len(r.callbacks) > 0
	if len(arrivals) > 0 || callbacks {
		r.look()
	}
	x.mu.Unlock()

	if life != nil {
		c.leaveLife(life)
	}
	for _, a := range arrivals {
		a.at.arrive(a.index)
	}
	return callbacks
}

// settle is called by who has added to x: if c ended meanwhile, nobody else may
// know of what was added. Callbacks are left to who added them and to who ended
// the call.
func (x *extra) settle(c *Call) {
	if c.ended() {
		x.end(c)
	}
}

func (x *extra) doneChan(c *Call) <-chan struct{} {
	x.mu.Lock()
	if x.done == nil {
		x.done = make(chan struct{})
		if x.over {
			close(x.done)
		}
	}
	done := x.done
	x.mu.Unlock()
	x.settle(c)
	return done
}

// onDone adds a callback, and calls it here if c has ended.
func (x *extra) onDone(c *Call, fn func()) {
	x.mu.Lock()
	r := x.rarely()
	r.callbacks = append(r.callbacks, fn)
	x.mu.Unlock()
	if c.ended() {
		c.look()
		x.end(c)
		x.callBack()
	}
}

// callBack calls the callbacks of a call that has ended, one after another,
// unless another goroutine is at it.
func (x *extra) callBack() {
	x.mu.Lock()
	defer x.mu.Unlock()
	r := x.rare
	if r == nil || r.calling {
		return
	}
	r.calling = true
	for len(r.callbacks) > 0 {
		fn := r.callbacks[0]
		r.callbacks[0] = nil
		r.callbacks = r.callbacks[1:]
		x.mu.Unlock()
		x.callOne(fn)
		x.mu.Lock()
	}
	r.callbacks = nil
	r.calling = false
}

// callOne calls fn and contains its panic. If fn ends this goroutine, another
// goes on with the callbacks that are left.
func (x *extra) callOne(fn func()) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if v := recover(); v != nil {
			slog.Error("executor: a callback of a future panicked", "panic", v, "stack", string(debug.Stack()))
			return
		}
		x.mu.Lock()
		x.rare.calling = false // callBack's deferred Unlock is for this Lock
		go x.callBack()
	}()
	fn()
	returned = true
}
