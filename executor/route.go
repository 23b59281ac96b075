package executor

import (
	"context"
	"reflect"
	"sync/atomic"
)

// route is where a call comes from, the ctx of Submit, and where it went, the
// executor of this package that took it. Calls with one ctx on one executor share
// their route, which spares each of them three words.
type route struct {
	life                 // with ctx, and intake: nil if no executor of this package has taken the call
	done <-chan struct{} // of ctx; nil: it never ends

	isShared  bool  // it may be that of other calls
	isLasting bool  // it holds nothing of the user's
	isBrief   bool  // the ctx of its calls ends with them
	reason    error // why a call that has ended was cancelled; nil if its state says enough

	first    callContext // of one call, which spares it an object
	hasFirst atomic.Bool

	calls atomic.Int64          // that were taken and have not ended, unless isLasting
	end   atomic.Pointer[route] // that of its calls when ctx has ended before they started
}

// routeFrom returns a route without an end.
func routeFrom(ctx context.Context) *route {
	if ctx == context.Background() {
		return fromBackground
	}
	return newRoute(ctx, nil)
}

var fromBackground = newRoute(context.Background(), nil)

// inWorker is the route of calls in a worker process, where nothing uses the ctx of a
// call that has returned.
var inWorker = &route{life: life{ctx: context.Background()}, isLasting: true, isBrief: true}

func newRoute(ctx context.Context, in *intake) *route {
	isLasting := ctx == context.Background()
	// Only pointers are compared with: other types may not be comparable.
	isShared := isLasting || reflect.TypeOf(ctx).Kind() == reflect.Pointer
	return &route{life: life{ctx: ctx, intake: in}, done: ctx.Done(), isShared: isShared, isLasting: isLasting}
}

// lastingRoute returns a route to in that holds nothing of the user's.
func lastingRoute(in *intake, reason error) *route {
	return &route{life: life{ctx: context.Background(), intake: in}, isLasting: true, reason: reason}
}

// route returns a route from ctx to in.
func (in *intake) route(ctx context.Context) *route {
	if r := in.last.Load(); r != nil && r.ctx == ctx {
		return r
	}
	return newRoute(ctx, in)
}

// enter makes in the end of c's route. It returns false if c has been here, or
// elsewhere, before.
func (in *intake) enter(c *Call) bool {
	r := c.route.Load()
	return r.intake == nil && c.route.CompareAndSwap(r, in.route(r.ctx))
}

// keepRoute keeps the route of c, which was taken, for the calls that follow.
func (in *intake) keepRoute(c *Call) {
	r := c.route.Load()
	if !r.isLasting {
		r.calls.Add(1)
	}
	if r.isShared && r != in.last.Load() {
		in.last.Store(r)
	}
}

// nowhere is the intake of a call that has ended before an executor took it.
var nowhere intake

// loseWay makes nowhere the end of c's route, unless it has an end.
func (c *Call) loseWay(state uint32) bool {
	r := c.route.Load()
	if r == nil {
		return true
	}
	return r.intake == nil && c.route.CompareAndSwap(r, r.after(&nowhere, state))
}

// forgetRoute undoes keepRoute. The call, which has ended, goes on without the ctx, which
// is the user's, and so does the executor when this was its last call.
func (in *intake) forgetRoute(c *Call) {
	r := c.route.Load()
	if r.isLasting {
		return
	}
	c.route.Store(r.after(in, c.state.Load()))
	if r.calls.Add(-1) == 0 {
		in.last.CompareAndSwap(r, nil)
	}
}

// after returns the route of a call that has come to state, its last, instead of r.
func (r *route) after(in *intake, state uint32) *route {
	if state != expired {
		return in.lasting()
	}
	if r.end.Load() == nil {
		r.end.CompareAndSwap(nil, lastingRoute(in, r.expiry()))
	}
	return r.end.Load()
}

// lasting returns the route that calls have when they have ended.
func (in *intake) lasting() *route {
	if in.after.Load() == nil {
		in.after.CompareAndSwap(nil, lastingRoute(in, nil))
	}
	return in.after.Load()
}

// expiry returns the error of a call that was cancelled by the end of its ctx.
func (r *route) expiry() error {
	if r.reason != nil {
		return r.reason
	}
	return endedBy(r.ctx, ErrCancelled, "executor: call cancelled")
}

// ctx returns the ctx of Submit; nil for a promise.
func (c *Call) ctx() context.Context {
	if r := c.route.Load(); r != nil {
		return r.ctx
	}
	return nil
}

// intake returns that of the executor of this package that took the call, nil if
// none did.
func (c *Call) intake() *intake {
	if r := c.route.Load(); r != nil {
		return r.intake
	}
	return nil
}
