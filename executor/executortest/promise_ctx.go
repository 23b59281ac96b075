package executortest

import (
	"context"
	"errors"
	"runtime"
	"weak"

	"github.com/gofutures/futures/executor"
)

// ctxPromises are about the ctx of a call that is done.
var ctxPromises = []promise{
	{id: "D32", says: "what a call returns may use the ctx of the call until that of Submit ends", check: ctxGoesOn},
	{id: "D28, D32", says: "a future that is done keeps no value of the ctx of Submit", check: keepsNoCtx},
}

type ctxKey struct{}

func ctxGoesOn(k *trial) {
	k.needVisits()
	end := errors.New("the end of the ctx of Submit")
	ctx, cancel := context.WithCancelCause(context.WithValue(k.ctx, ctxKey{}, "value"))
	defer cancel(nil)
	var own, derived context.Context
	f := k.visit(ctx, func(ctx context.Context) (int, error) {
		own = ctx
		var stop context.CancelFunc
		derived, stop = context.WithCancel(ctx)
		context.AfterFunc(k.ctx, stop)
		return 0, nil
	})
	finish(k, "a call that keeps its ctx", f)
	f.Cancel()
	finish(k, "the next call", executor.Submit(k.ctx, k.ex, echo, 1))
	for name, ctx := range map[string]context.Context{"the ctx of a call": own, "a ctx derived from it": derived} {
		if ctx.Err() != nil || ctx.Value(ctxKey{}) != "value" {
			k.violated("%s has Err %v and Value %v when the call is done; want nil and that of the ctx of Submit", name, ctx.Err(), ctx.Value(ctxKey{}))
		}
	}
	cancel(end)
	for name, ctx := range map[string]context.Context{"the ctx of a call": own, "a ctx derived from it": derived} {
		k.until(func() bool { return ctx.Err() != nil }, "%s to end with that of Submit", name)
		if cause := context.Cause(ctx); cause != end {
			k.violated("%s has ended with the cause %v; want that of the ctx of Submit", name, cause)
		}
	}
}

func keepsNoCtx(k *trial) {
	f, value := submitWithValue(k)
	finish(k, "a call", f)
	k.untilCollected(value, "the value of the ctx of a call that is done")
	runtime.KeepAlive(f)
}

//go:noinline
func submitWithValue(k *trial) (*executor.Future[int], weak.Pointer[parcel]) {
	p := &parcel{Content: make([]byte, 1<<10)}
	return executor.Submit(context.WithValue(k.ctx, ctxKey{}, p), k.ex, echo, 1), weak.Make(p)
}
