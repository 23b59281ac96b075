package pool

import (
	"context"

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
	j, err := p.begin(ctx, "Map", true)
	if err != nil {
		return nil, err
	}
	defer p.finish(j)
	return mapSlice(p, j, "pool: Map", fn, in, o)
}

// MapAsync is [Map] without waiting: Pool.map_async. To cancel the future, or the
// end of ctx, ends the map. A callback is OnDone of the future, get is Result,
// ready and successful are State.
func MapAsync[In, Out any](ctx context.Context, p *Pool, fn executor.Func[In, Out], in []In, opts ...Option) *executor.Future[[]Out] {
	o := newOptions(opts)
	err := o.forMap()
	var j *stoppable
	if err == nil {
		j, err = p.begin(ctx, "MapAsync", true)
	}
	if err != nil {
		failed := executor.NewPromise[[]Out]()
		_ = failed.Reject(err)
		return failed.Future()
	}
	g := &goroutine{over: func() { p.finish(j) }}
	f := executor.Go(ctx, g, func(ctx context.Context) ([]Out, error) {
		j.Context = ctx // which ends by Cancel too
		return mapSlice(p, j, "pool: MapAsync", fn, in, o)
	})
	if !g.isAsked { // ctx has ended
		p.finish(j)
	}
	return f
}

// goroutine is an executor for one call, which calls over when that has ended.
type goroutine struct {
	executor.ThreadPerTask
	over    func()
	isAsked bool
}

func (g *goroutine) Execute(ctx context.Context, c *executor.Call) {
	g.isAsked = true
	c.OnDone(g.over)
	g.ThreadPerTask.Execute(ctx, c)
}

// mapSlice is the map of a job, which the executor takes although the pool may be
// closed meanwhile.
func mapSlice[In, Out any](p *Pool, j *stoppable, doing string, fn executor.Func[In, Out], in []In, o options) ([]Out, error) {
	opts := []executor.MapOption{executor.Doing(doing)}
	if n := p.chunkSize(o.chunk, len(in)); n > 0 {
		opts = append(opts, executor.ChunkSize(n))
	}
	if o.collects {
		opts = append(opts, executor.CollectErrors())
	}
	return executor.MapSlice(j, p.ex, fn, in, opts...)
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
// elements, rounded up. There may be any number of workers: math.MaxInt is no limit.
func quarter(n, workers int) int {
	size := n / 4 / max(1, workers)
	if size*4*max(1, workers) < n { // no overflow: size is 0 where there are so many workers
		size++
	}
	return size
}
