//go:build go1.27

package parallel

import (
	"context"
	"iter"

	"github.com/gofutures/futures/executor"
)

// Run is the function [Run] as a method.
func (j Jobs) Run[Out any](ctx context.Context, calls iter.Seq[Call[Out]]) ([]Out, error) {
	return Run(ctx, j, calls)
}

// Stream is the function [Stream] as a method.
func (j Jobs) Stream[Out any](ctx context.Context, calls iter.Seq[Call[Out]]) iter.Seq2[Out, error] {
	return Stream(ctx, j, calls)
}

// StreamUnordered is the function [StreamUnordered] as a method.
func (j Jobs) StreamUnordered[Out any](ctx context.Context, calls iter.Seq[Call[Out]]) iter.Seq2[Out, error] {
	return StreamUnordered(ctx, j, calls)
}

// Cache is the function [Cache] as a method.
func (m *Memory) Cache[In, Out any](name, version string, fn executor.Func[In, Out]) executor.Func[In, Out] {
	return Cache(m, name, version, fn)
}
