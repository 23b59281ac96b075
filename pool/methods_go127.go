//go:build go1.27

package pool

import (
	"context"
	"iter"

	"github.com/gofutures/futures/executor"
)

// Map is the function [Map] as a method.
func (p *Pool) Map[In, Out any](ctx context.Context, fn executor.Func[In, Out], in []In, opts ...Option) ([]Out, error) {
	return Map(ctx, p, fn, in, opts...)
}

// MapAsync is the function [MapAsync] as a method.
func (p *Pool) MapAsync[In, Out any](ctx context.Context, fn executor.Func[In, Out], in []In, opts ...Option) *executor.Future[[]Out] {
	return MapAsync(ctx, p, fn, in, opts...)
}

// Apply is the function [Apply] as a method.
func (p *Pool) Apply[In, Out any](ctx context.Context, fn executor.Func[In, Out], in In) (Out, error) {
	return Apply(ctx, p, fn, in)
}

// ApplyAsync is the function [ApplyAsync] as a method.
func (p *Pool) ApplyAsync[In, Out any](ctx context.Context, fn executor.Func[In, Out], in In) *executor.Future[Out] {
	return ApplyAsync(ctx, p, fn, in)
}

// Imap is the function [Imap] as a method.
func (p *Pool) Imap[In, Out any](ctx context.Context, fn executor.Func[In, Out], in iter.Seq[In], opts ...Option) iter.Seq2[Out, error] {
	return Imap(ctx, p, fn, in, opts...)
}

// ImapUnordered is the function [ImapUnordered] as a method.
func (p *Pool) ImapUnordered[In, Out any](ctx context.Context, fn executor.Func[In, Out], in iter.Seq[In], opts ...Option) iter.Seq2[Out, error] {
	return ImapUnordered(ctx, p, fn, in, opts...)
}
