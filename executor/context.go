package executor

import (
	"context"
	"time"
)

// callContext is the ctx that a running call gives its function: the call
// itself under another method set, so that it costs nothing. The usual cancel
// context is made when the function first asks for Done.
//
// Its Value is how a wait inside the function, with this ctx or one derived
// from it, finds the call that waits: see await.
type callContext Call

// callKey is the key under which a callContext finds its call.
type callKey struct{}

// callOf returns the running call whose ctx, or a ctx derived from it, ctx is.
// It returns nil for any other ctx and when that call has ended.
func callOf(ctx context.Context) *Call {
	c, _ := ctx.Value(callKey{}).(*Call)
	if c == nil || c.ended() {
		return nil
	}
	return c
}

// killed builds the cancel context of a call whose executor has ended all: it
// has the cause.
func (cc *callContext) killed() bool {
	in := (*Call)(cc).intake()
	return in != nil && in.killed.Load() && (*Call)(cc).build() != nil
}

// built returns the ctx that Done made, nil if it has not, and the ctx that
// this one hands on.
func (cc *callContext) built() (own, parent context.Context) {
	c := (*Call)(cc)
	x := c.extra.Load()
	if x == nil {
		return nil, c.ctx()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	switch r := x.rare; {
	case r == nil:
		return nil, c.ctx()
	case r.parent != nil:
		return r.ctx, r.parent
	default:
		return r.ctx, c.ctx()
	}
}

func (cc *callContext) Done() <-chan struct{} { return (*Call)(cc).build().Done() }

func (cc *callContext) Err() error {
	own, parent := cc.built()
	if own == nil && cc.killed() {
		own, _ = cc.built()
	}
	if own != nil {
		return own.Err()
	}
	if err := parent.Err(); err != nil {
		return err
	}
	if (*Call)(cc).ended() {
		return context.Canceled
	}
	return nil
}

func (cc *callContext) Value(key any) any {
	if key == (callKey{}) {
		return (*Call)(cc)
	}
	own, parent := cc.built()
	if own == nil && cc.killed() {
		own, _ = cc.built()
	}
	if own == nil {
		own = parent
	}
	if v := own.Value(key); v != nil {
		return v
	}
	// pprof.Do adds to the labels of its ctx, and sets those again when it
	// returns: without this, a worker would lose its own.
	if in := (*Call)(cc).intake(); in != nil && in.labels != nil {
		return in.labels.Value(key)
	}
	return nil
}

// String makes the ctx print as what it is: fmt would walk, and race with, the
// call behind it.
func (cc *callContext) String() string { return "executor.callContext" }

// build returns the call's cancel context and makes it if there is none.
func (c *Call) build() context.Context {
	own, parent := (*callContext)(c).built()
	if own != nil {
		return own
	}
	ctx, cancel := context.WithCancelCause(parent) // not under a lock: parent may be anybody's
	x := c.more()
	x.mu.Lock()
	r := x.rarely()
	if r.ctx != nil {
		defer x.mu.Unlock()
		cancel(nil)
		return r.ctx
	}
	r.ctx, r.cancel.killer = ctx, cancelKiller(cancel)
	over := x.over
	x.mu.Unlock()

	switch in := c.intake(); {
	case over:
		cancel(nil)
	case in != nil:
		in.enroll(&r.cancel)
		x.settle(c)
		if c.ended() {
			in.strike(&r.cancel) // end may have been here before enroll
		}
	default:
		x.settle(c)
	}
	return ctx
}

// interrupt ends the ctx of a running call. It returns false if the call does not
// run any more, and will run again.
func (c *Call) interrupt(cause error) bool {
	switch in := c.intake(); {
	case c.ctx() == nil:
		return true // a promise has none
	case in != nil && in.processes != nil:
		return in.processes.interrupt(c, cause)
	}
	c.build()
	x := c.extra.Load()
	x.mu.Lock()
	cancel := x.rare.cancel.killer
	x.mu.Unlock()
	cancel.kill(cause)
	return true
}

func (cc *callContext) Deadline() (time.Time, bool) {
	_, parent := cc.built()
	return parent.Deadline()
}

// endless is a ctx with the values of another one, as of [context.WithoutCancel],
// which makes an object each time somebody asks for a value.
type endless struct{ context.Context }

func (*endless) Deadline() (time.Time, bool) { return time.Time{}, false }
func (*endless) Done() <-chan struct{}       { return nil }
func (*endless) Err() error                  { return nil }
