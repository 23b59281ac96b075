package pool

import (
	"context"
	"slices"

	"github.com/gofutures/futures/executor"
)

// Map calls fn for each element of in and returns the results in order: Pool.map.
// If elements fail, it returns nil and the error of the lowest index, the one that
// a plain loop would have met first: what comes after a failed element is
// cancelled, what comes before it is finished. With [CollectErrors], all are made.
//
// If ctx ends, the error matches ctx's. Map returns when the elements that run
// have returned.
func Map[In, Out any](ctx context.Context, p *Pool, fn executor.Func[In, Out], in []In, opts ...Option) ([]Out, error) {
	o := newOptions(opts)
	if err := o.forMap(); err != nil {
		return nil, err
	}
	ctx, j, err := p.begin(ctx, "Map", true)
	if err != nil {
		return nil, err
	}
	defer p.finish(j)
	return mapSlice(ctx, p, "pool: Map", fn, in, o)
}

// MapAsync is [Map] without waiting: Pool.map_async. To cancel the future, or the
// end of ctx, ends the map. A callback is OnDone of the future, get is Result,
// ready and successful are State.
func MapAsync[In, Out any](ctx context.Context, p *Pool, fn executor.Func[In, Out], in []In, opts ...Option) *executor.Future[[]Out] {
	o := newOptions(opts)
	err := o.forMap()
	var j *job
	if err == nil {
		ctx, j, err = p.begin(ctx, "MapAsync", true)
	}
	if err != nil {
		return failed[[]Out](err)
	}
	f := executor.Go(ctx, new(executor.ThreadPerTask), func(ctx context.Context) ([]Out, error) {
		return mapSlice(ctx, p, "pool: MapAsync", fn, in, o)
	})
	f.OnDone(func(*executor.Future[[]Out]) { p.finish(j) })
	return f
}

// failed returns a future that has failed.
func failed[Out any](err error) *executor.Future[Out] {
	promise := executor.NewPromise[Out]()
	_ = promise.Reject(err)
	return promise.Future()
}

// mapSlice is the map of a job, which the executor takes although the pool may be
// closed meanwhile.
func mapSlice[In, Out any](ctx context.Context, p *Pool, doing string, fn executor.Func[In, Out], in []In, o options) ([]Out, error) {
	if o.collects {
		return collect(ctx, p, doing, fn, in, o.chunk)
	}
	opts := []executor.MapOption{executor.Doing(doing)}
	if n := p.chunkSize(o.chunk, len(in)); n > 0 {
		opts = append(opts, executor.ChunkSize(n))
	}
	return executor.MapSlice(ctx, p.ex, fn, in, opts...)
}

// chunkSize returns the length of chunks of a map of n elements: the one given, or
// multiprocessing's, or 0 for MapSlice's own.
func (p *Pool) chunkSize(given, n int) int {
	if given > 0 || !p.isChunky {
		return given
	}
	return quarter(n, p.Workers())
}

// quarter is the rule of multiprocessing: a quarter of a worker's share of n
// elements, rounded up.
func quarter(n, workers int) int {
	size := share(n, 4, workers)
	if size*4*max(1, workers) < n { // no overflow: size is 0 where there are so many workers
		size++
	}
	return size
}

// share returns how many of n elements a chunk has, rounded down, if each worker is to
// get so many chunks. There may be any number of workers: math.MaxInt is no limit.
func share(n, chunks, workers int) int { return n / chunks / max(1, workers) }

// collect makes all elements, each with its outcome. Without a chunk size, there are many
// chunks for each worker, because nothing is known of what an element costs.
func collect[In, Out any](ctx context.Context, p *Pool, doing string, fn executor.Func[In, Out], in []In, chunk int) ([]Out, error) {
	if fn == nil || len(in) == 0 {
		return executor.MapSlice(ctx, p.ex, fn, in, executor.Doing(doing))
	}
	const chunksPerWorker = 32
	if chunk = p.chunkSize(chunk, len(in)); chunk == 0 {
		chunk = max(1, share(len(in), chunksPerWorker, p.Workers()))
	}
	var last error
	var failures executor.ItemErrors
	out := make([]Out, 0, len(in))
	for value, err := range executor.Map(ctx, p.ex, fn, slices.Values(in), executor.ChunkSize(chunk), executor.Buffer(max(1, len(in))), executor.Doing(doing)) {
		if last = err; err != nil {
			failures = append(failures, &executor.ItemError{Index: len(out), Err: err})
		}
		out = append(out, value)
	}
	hasEnded := len(out) < len(in) || executor.Is(last, executor.ErrShutdown) || ctx.Err() != nil && executor.Is(last, ctx.Err())
	switch {
	case last != nil && hasEnded: // the map, and not its last item
		return nil, last
	case len(failures) > 0:
		return out, failures
	}
	return out, nil
}
