//go:build go1.27

package executor

import (
	"context"
	"iter"
)

// Submit is the function [Submit] as a method.
func (e *ThreadPoolExecutor) Submit[In, Out any](ctx context.Context, fn Func[In, Out], in In) *Future[Out] {
	return Submit(ctx, e, fn, in)
}

// Go is the function [Go] as a method.
func (e *ThreadPoolExecutor) Go[Out any](ctx context.Context, fn func(context.Context) (Out, error)) *Future[Out] {
	return Go(ctx, e, fn)
}

// Map is the function [Map] as a method.
func (e *ThreadPoolExecutor) Map[In, Out any](ctx context.Context, fn Func[In, Out], in iter.Seq[In], opts ...MapOption) iter.Seq2[Out, error] {
	return Map(ctx, e, fn, in, opts...)
}

// MapSlice is the function [MapSlice] as a method.
func (e *ThreadPoolExecutor) MapSlice[In, Out any](ctx context.Context, fn Func[In, Out], in []In, opts ...MapOption) ([]Out, error) {
	return MapSlice(ctx, e, fn, in, opts...)
}

// Submit is the function [Submit] as a method.
func (e *ThreadPerTask) Submit[In, Out any](ctx context.Context, fn Func[In, Out], in In) *Future[Out] {
	return Submit(ctx, e, fn, in)
}

// Go is the function [Go] as a method.
func (e *ThreadPerTask) Go[Out any](ctx context.Context, fn func(context.Context) (Out, error)) *Future[Out] {
	return Go(ctx, e, fn)
}

// Map is the function [Map] as a method.
func (e *ThreadPerTask) Map[In, Out any](ctx context.Context, fn Func[In, Out], in iter.Seq[In], opts ...MapOption) iter.Seq2[Out, error] {
	return Map(ctx, e, fn, in, opts...)
}

// MapSlice is the function [MapSlice] as a method.
func (e *ThreadPerTask) MapSlice[In, Out any](ctx context.Context, fn Func[In, Out], in []In, opts ...MapOption) ([]Out, error) {
	return MapSlice(ctx, e, fn, in, opts...)
}

// Submit is the function [Submit] as a method.
func (e *Sequential) Submit[In, Out any](ctx context.Context, fn Func[In, Out], in In) *Future[Out] {
	return Submit(ctx, e, fn, in)
}

// Go is the function [Go] as a method.
func (e *Sequential) Go[Out any](ctx context.Context, fn func(context.Context) (Out, error)) *Future[Out] {
	return Go(ctx, e, fn)
}

// Map is the function [Map] as a method.
func (e *Sequential) Map[In, Out any](ctx context.Context, fn Func[In, Out], in iter.Seq[In], opts ...MapOption) iter.Seq2[Out, error] {
	return Map(ctx, e, fn, in, opts...)
}

// MapSlice is the function [MapSlice] as a method.
func (e *Sequential) MapSlice[In, Out any](ctx context.Context, fn Func[In, Out], in []In, opts ...MapOption) ([]Out, error) {
	return MapSlice(ctx, e, fn, in, opts...)
}

// Submit is the function [Submit] as a method.
func (e *ProcessPoolExecutor) Submit[In, Out any](ctx context.Context, fn Func[In, Out], in In) *Future[Out] {
	return Submit(ctx, e, fn, in)
}

// Go is the function [Go] as a method.
func (e *ProcessPoolExecutor) Go[Out any](ctx context.Context, fn func(context.Context) (Out, error)) *Future[Out] {
	return Go(ctx, e, fn)
}

// Map is the function [Map] as a method.
func (e *ProcessPoolExecutor) Map[In, Out any](ctx context.Context, fn Func[In, Out], in iter.Seq[In], opts ...MapOption) iter.Seq2[Out, error] {
	return Map(ctx, e, fn, in, opts...)
}

// MapSlice is the function [MapSlice] as a method.
func (e *ProcessPoolExecutor) MapSlice[In, Out any](ctx context.Context, fn Func[In, Out], in []In, opts ...MapOption) ([]Out, error) {
	return MapSlice(ctx, e, fn, in, opts...)
}
