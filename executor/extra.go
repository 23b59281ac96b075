package executor

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
)

// extra is what most calls never need: an error, somebody who waits, a
// callback, a ctx whose Done was asked for. The first to need it adds it to
// the call.
//
// Who adds to it looks at the state of the call afterwards, and who ends the
// call looks for an extra after setting the state. So one of them sees the
// other, and end, which may be called twice, is called.
type extra struct {
	err error // written before the call is published, and not afterwards

	mu        sync.Mutex // guards the fields below
	over      bool       // end was here
	done      chan struct{}
	arrivals  []arrival
	callbacks []func()
	calling   bool            // a goroutine is in callBack
	parent    context.Context // of Call.Run; nil: the call's own
	ctx       context.Context // what callContext.Done built
	cancel    context.CancelCauseFunc
	waits     int // goroutines of the call that wait and have lent its place
}

// more returns the call's extra and makes it if there is none.
func (c *Call) more() *extra {
	if x := c.extra.Load(); x != nil {
		return x
	}
	x := new(extra)
	if c.extra.CompareAndSwap(nil, x) {
		return x
	}
	return c.extra.Load()
}

// end wakes all who wait for c, which has ended. It returns true if there are
// callbacks, for which the caller is to see that callBack is called.
func (x *extra) end(c *Call) bool {
	x.mu.Lock()
	if x.over {
		x.mu.Unlock()
		return false
	}
	x.over = true
	if x.done != nil {
		close(x.done)
	}
	arrivals, cancel := x.arrivals, x.cancel
	x.arrivals = nil
	callbacks := len(x.callbacks) > 0
	x.mu.Unlock()

	if cancel != nil {
		cancel(nil)
		if c.intake != nil {
			c.intake.strike(c)
		}
	}
	for _, a := range arrivals {
		a.at.arrive(a.index)
	}
	return callbacks
}

// settle is called by who has added to x: if c ended meanwhile, nobody else
// may know of what was added.
func (x *extra) settle(c *Call) {
	if c.ended() && x.end(c) {
		go x.callBack()
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

// onDone adds a callback and calls it here if c has ended.
func (x *extra) onDone(c *Call, fn func()) {
	x.mu.Lock()
	x.callbacks = append(x.callbacks, fn)
	x.mu.Unlock()
	if c.ended() {
		x.end(c)
		x.callBack()
	}
}

// callBack calls the callbacks of a call that has ended, one after another,
// unless another goroutine does so already.
func (x *extra) callBack() {
	x.mu.Lock()
	if x.calling {
		x.mu.Unlock()
		return
	}
	x.calling = true
	for len(x.callbacks) > 0 {
		fn := x.callbacks[0]
		x.callbacks = x.callbacks[1:]
		x.mu.Unlock()
		x.callOne(fn)
		x.mu.Lock()
	}
	x.callbacks = nil
	x.calling = false
	x.mu.Unlock()
}

// callOne calls fn and contains its panic. A Goexit ends this goroutine; the
// callbacks that are left get another.
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
		x.calling = false
		x.mu.Unlock()
		go x.callBack()
	}()
	fn()
	returned = true
}
