package executor

import (
	"context"
	"reflect"
	"sync/atomic"
)

// origin is where a call comes from, the ctx of Submit, and where it went, the
// executor that has it. Calls with one ctx on one executor of this package share
// their origin, which spares each of them three words.
type origin struct {
	life                     // with ctx, and tracker: nil if no executor of this package has taken the call
	done     <-chan struct{} // of ctx; nil: it never ends
	outsider Executor        // that has the call, is not of this package, and is a Canceller or a Lender; nil if none is

	isShared  bool // it may be that of other calls
	isLasting bool // its ctx has no end and no values of the user's
	isBrief   bool // the ctx of its calls ends with them
	isWatched bool // its calls are to hear of the end of ctx by the outsider, a Canceller

	hasFirst atomic.Bool // first was given away
	first    callContext // of one call, which spares it an object

	reason *error // why a call that has ended was cancelled; nil if its state says enough

	calls atomic.Int64           // that were taken and have not ended, unless isLasting
	end   atomic.Pointer[origin] // that of its calls when ctx has ended before they started
}

// originFrom returns an origin without an end.
func originFrom(ctx context.Context) *origin {
	if ctx == context.Background() {
		return fromBackground
	}
	return newOrigin(ctx, nil)
}

// originTo returns an origin to an executor that is not of this package.
func originTo(ex Executor, ctx context.Context) *origin {
	if !isOutsider(ex) {
		return originFrom(ctx)
	}
	r := newOrigin(ctx, nil)
	_, isCanceller := ex.(Canceller)
	r.outsider, r.isWatched = ex, isCanceller && r.done != nil
	return r
}

var fromBackground = newOrigin(context.Background(), nil)

// inWorker is the origin of calls in a worker process, where nothing uses the ctx of a
// call that has returned.
var inWorker = &origin{life: life{ctx: context.Background()}, isLasting: true, isBrief: true}

func newOrigin(ctx context.Context, in *tracker) *origin {
	isLasting := ctx == context.Background()
	// Only pointers are compared with: other types may not be comparable.
	isShared := isLasting || reflect.TypeOf(ctx).Kind() == reflect.Pointer
	r := &origin{life: life{ctx: ctx, tracker: in}, done: ctx.Done(), isShared: isShared, isLasting: isLasting}
	r.first.from = &r.life
	return r
}

// lastingOrigin returns an origin to in that holds nothing of the user's.
func lastingOrigin(in *tracker, reason error) *origin {
	r := &origin{life: life{ctx: context.Background(), tracker: in}, isLasting: true}
	if reason != nil {
		r.reason = &reason
	}
	return r
}

// origin returns an origin from ctx to in.
func (in *tracker) origin(ctx context.Context) *origin {
	if r := in.last.Load(); r != nil && r.ctx == ctx {
		return r
	}
	return newOrigin(ctx, in)
}

// claim makes in the end of c's origin. It returns false if c has been here, or
// elsewhere, before.
func (in *tracker) claim(c *Call) bool {
	r := c.origin.Load()
	if r.tracker != nil || !c.origin.CompareAndSwap(r, in.origin(r.ctx)) {
		return false
	}
	c.unwatch(r) // the executor that hands the call on is not asked any more
	return true
}

// keepOrigin keeps the origin of c, which was taken, for the calls that follow.
func (in *tracker) keepOrigin(c *Call) {
	r := c.origin.Load()
	if !r.isLasting {
		r.calls.Add(1)
	}
	if r.isShared && r != in.last.Load() {
		in.last.Store(r)
	}
}

// nowhere is the tracker of a call that has ended before an executor of this package took
// it.
var nowhere tracker

// dropOrigin takes the ctx of Submit away from a call that has ended in no executor of this
// package, and reports whether that is so.
func (c *Call) dropOrigin(state uint32) bool {
	for {
		r := c.origin.Load()
		switch {
		case r == nil:
			return true
		case r.tracker != nil:
			return false
		case c.origin.CompareAndSwap(r, r.after(&nowhere, state)):
			c.unwatch(r)
			return true
		}
	}
}

// forgetOrigin undoes keepOrigin. The call, which has ended, goes on without the ctx, which
// is the user's, and so does the executor when this was its last call.
func (in *tracker) forgetOrigin(c *Call) {
	r := c.origin.Load()
	if r.isLasting {
		return
	}
	c.origin.Store(r.after(in, c.state.Load()))
	if r.calls.Add(-1) == 0 {
		in.last.CompareAndSwap(r, nil)
	}
}

// after returns the origin of a call that has come to state, its last, instead of r.
func (r *origin) after(in *tracker, state uint32) *origin {
	if state != expired {
		return in.lasting()
	}
	if r.end.Load() == nil {
		r.end.CompareAndSwap(nil, lastingOrigin(in, r.expiry()))
	}
	return r.end.Load()
}

// lasting returns the origin that calls have when they have ended.
func (in *tracker) lasting() *origin {
	if in.after.Load() == nil {
		in.after.CompareAndSwap(nil, lastingOrigin(in, nil))
	}
	return in.after.Load()
}

// expiry returns the error of a call that was cancelled by the end of its ctx.
func (r *origin) expiry() error {
	if r.reason != nil {
		return *r.reason
	}
	return endedBy(r.ctx, ErrCancelled, "executor: call cancelled")
}

// ctx returns the ctx of Submit; nil for a promise.
func (c *Call) ctx() context.Context {
	if r := c.origin.Load(); r != nil {
		return r.ctx
	}
	return nil
}

// tracker returns that of the executor of this package that took the call, nil if
// none did.
func (c *Call) tracker() *tracker {
	if r := c.origin.Load(); r != nil {
		return r.tracker
	}
	return nil
}
