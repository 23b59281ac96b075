package pool

import (
	"context"
	"iter"

	"github.com/gofutures/futures/executor"
)

// Imap calls fn for each item of in and yields the results in order: Pool.imap. An
// item that fails yields its error, and the iteration goes on, also within a
// chunk.
//
//	for page, err := range pool.Imap(ctx, p, fetch, slices.Values(urls)) {
//
// Imap is lazy: nothing runs until it is ranged over, and then at most twice the
// pool's Workers items are ahead of what was yielded (see [Buffer]), so in may be
// infinite. Leaving the loop cancels what has not started, ends the ctx of what
// runs and waits until that has returned. When ctx ends, or the pool is closed,
// the results that are there are yielded, then one error that says so.
func Imap[In, Out any](ctx context.Context, p *Pool, fn executor.Func[In, Out], in iter.Seq[In], opts ...Option) iter.Seq2[Out, error] {
	return imap(ctx, p, fn, in, newOptions(opts))
}

// ImapUnordered is [Imap] in whatever order the results come:
// Pool.imap_unordered.
func ImapUnordered[In, Out any](ctx context.Context, p *Pool, fn executor.Func[In, Out], in iter.Seq[In], opts ...Option) iter.Seq2[Out, error] {
	return imap(ctx, p, fn, in, newOptions(opts), executor.Unordered())
}

func imap[In, Out any](ctx context.Context, p *Pool, fn executor.Func[In, Out], in iter.Seq[In], o options, opts ...executor.MapOption) iter.Seq2[Out, error] {
	if o.chunk > 0 {
		opts = append(opts, executor.ChunkSize(o.chunk))
	}
	if o.buffer > 0 {
		opts = append(opts, executor.Buffer(o.buffer))
	}
	opts = append(opts, executor.Doing("pool: Imap"))
	return func(yield func(Out, error) bool) {
		err := o.forImap()
		if err == nil {
			var j *stoppable
			if j, err = p.begin(ctx, "Imap", false); err == nil {
				defer p.finish(j)
				for value, err := range executor.Map(j, p, fn, in, opts...) {
					isLast := executor.Is(err, executor.ErrCancelled) && j.Cause() != nil // so are all behind it
					if !yield(value, err) || isLast {
						return
					}
				}
				return
			}
		}
		var none Out
		yield(none, err)
	}
}
