package executor

import (
	"log/slog"
	"runtime/debug"
	"sync"
)

// cold is what most calls never need: an error, somebody who waits. The first
// to need it adds it to the call.
//
// A goroutine that adds to a cold part looks at the state of the call afterwards, and the
// one that ends the call looks for a cold part after setting the state. So at least one of
// them sees the other, and calls end.
type cold struct {
	err   error          // written before the call is published, and not afterwards
	ended sync.WaitGroup // 1 until end

	mu   sync.Mutex    // guards the fields below
	over bool          // end was here
	done chan struct{} // made when somebody asks
	rare *rare
}

// rare is what few calls with a cold part need.
type rare struct {
	arrivals  []arrival
	callbacks []func()
	calling   bool // a goroutine is in callBack

	life *ownLife // of the call, when its Done was asked for, or it was to stop
	from *life    // what it is made from; nil: that of the origin

	isAsked bool // somebody will look at the result

	place   place    // guarded by tracker.mu
	absence *absence // from the place that a Lender has given it; nil if it never waited
}

// coldPart returns the call's cold part and makes it if there is none.
func (c *Call) coldPart() *cold {
	if x := c.cold.Load(); x != nil {
		return x
	}
	x := new(cold)
	x.ended.Add(1)
	if c.cold.CompareAndSwap(nil, x) {
		return x
	}
	return c.cold.Load()
}

// rarePart returns what x needs rarely and makes it if there is none. x.mu is
// held.
func (x *cold) rarePart() *rare {
	if x.rare == nil {
		x.rare = new(rare)
	}
	return x.rare
}

// peek returns what x needs rarely, nil if it has needed nothing yet.
func (x *cold) peek() *rare {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.rare
}

// end wakes all who wait for c, which has ended. It returns true if there are
// callbacks, for which the caller is to see that callBack is called.
func (x *cold) end(c *Call) (callbacks bool) {
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
	if r.isAsked {
		see(x.err)
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

// recheck is called by the goroutine that has added to x: if c ended meanwhile, nobody
// else may know of what was added. Callbacks are left to the goroutine that added them
// and to the one that ended the call.
func (x *cold) recheck(c *Call) {
	if c.ended() {
		x.end(c)
	}
}

func (x *cold) doneChan(c *Call) <-chan struct{} {
	x.mu.Lock()
	if x.done == nil {
		x.done = make(chan struct{})
		if x.over {
			close(x.done)
		}
	}
	done := x.done
	x.mu.Unlock()
	x.recheck(c)
	return done
}

// ask says that somebody will look at the result.
func (x *cold) ask() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.rarePart().isAsked = true
	if x.over {
		see(x.err)
	}
}

// onDone adds a callback, and calls it here if c has ended.
func (x *cold) onDone(c *Call, fn func()) {
	x.mu.Lock()
	r := x.rarePart()
	r.callbacks = append(r.callbacks, fn)
	x.mu.Unlock()
	if c.ended() {
		x.end(c)
		x.callBack()
	}
}

// OnDone calls fn when the call has ended, as [Future.OnDone] does. It is for executors:
// it does not count as somebody who asks for the result, see [IgnoreLostPanics].
func (c *Call) OnDone(fn func()) { c.coldPart().onDone(c, fn) }

// callBack calls the callbacks of a call that has ended, one after another,
// unless another goroutine is at it.
func (x *cold) callBack() {
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
func (x *cold) callOne(fn func()) {
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
