package pool

import (
	"context"

	"github.com/gofutures/futures/executor"
)

// Apply calls fn with in and returns what it returned: Pool.apply. ctx is that of
// the call; if it ends, Apply returns when the function has, or when the worker
// process that does not return was killed.
func Apply[In, Out any](ctx context.Context, p *Pool, fn executor.Func[In, Out], in In) (Out, error) {
	f := ApplyAsync(ctx, p, fn, in)
	if ctx == nil {
		ctx = context.Background() // the future says so
	}
	return f.Result(context.WithoutCancel(ctx))
}

// ApplyAsync is [Apply] without waiting: Pool.apply_async. A callback is OnDone of
// the future, an error_callback too; get is Result, wait is Done, ready and
// successful are State.
func ApplyAsync[In, Out any](ctx context.Context, p *Pool, fn executor.Func[In, Out], in In) *executor.Future[Out] {
	return executor.Submit(ctx, p, fn, in)
}
