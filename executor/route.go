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
	ctx    context.Context
	done   <-chan struct{} // of ctx; nil: it never ends
	intake *intake         // nil: no executor of this package has taken the call

	isShared  bool // it may be that of other calls
	isLasting bool // it holds nothing of the user's

	calls atomic.Int64 // that were taken and have not ended, unless isLasting
}

// routeFrom returns a route without an end.
func routeFrom(ctx context.Context) *route {
	if ctx == context.Background() {
		return fromBackground
	}
	return newRoute(ctx, nil)
}

var fromBackground = newRoute(context.Background(), nil)

func newRoute(ctx context.Context, in *intake) *route {
	isLasting := ctx == context.Background()
	// Only pointers are compared with: other types may not be comparable.
	isShared := isLasting || reflect.TypeOf(ctx).Kind() == reflect.Pointer
	return &route{ctx: ctx, done: ctx.Done(), intake: in, isShared: isShared, isLasting: isLasting}
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

// nowhere is the intake of a call that was cancelled before an executor took it.
var nowhere intake

// loseWay makes nowhere the end of c's route, unless it has an end.
func (c *Call) loseWay() bool {
	r := c.route.Load()
	if r == nil {
		return true
	}
	return r.intake == nil && c.route.CompareAndSwap(r, &route{ctx: r.ctx, done: r.done, intake: &nowhere})
}

// forgetRoute undoes keepRoute when the last call of a ctx has ended, which is the
// user's.
func (in *intake) forgetRoute(c *Call) {
	if r := c.route.Load(); !r.isLasting && r.calls.Add(-1) == 0 {
		in.last.CompareAndSwap(r, nil)
	}
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
