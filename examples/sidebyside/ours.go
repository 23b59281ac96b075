package main

import (
	"context"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/parallel"
	mppool "github.com/gofutures/futures/pool"
)

// This library. Submit never blocks, and each call has a future.

var ourPool = poolKind{"futures", func(workers int) (pool, error) {
	return &oursPool{ex: &executor.ThreadPoolExecutor{MaxWorkers: workers}}, nil
}}

var ourHelpedPool = poolKind{"futures, WaitersHelp", func(workers int) (pool, error) {
	return &oursPool{ex: helped(workers)}, nil
}}

// helped returns an executor for whose calls nobody needs to wait idly.
func helped(workers int) *executor.ThreadPoolExecutor {
	return &executor.ThreadPoolExecutor{MaxWorkers: workers, WaitersHelp: true}
}

type oursPool struct {
	ex      *executor.ThreadPoolExecutor
	futures []*executor.Future[int64]
}

func (p *oursPool) run(items, out []int64, producers int) error {
	p.futures = grown(p.futures, len(items))
	return produce(len(items), producers, func(from, to int) error {
		return submitAll(p.ex, items[from:to], out[from:to], p.futures[from:to])
	})
}

// submitAll submits the call of each item, and then takes the results.
func submitAll(ex executor.Executor, items, out []int64, futures []*executor.Future[int64]) error {
	ctx := context.Background()
	for i, x := range items {
		futures[i] = executor.Submit(ctx, ex, callIn, x)
	}
	for i, f := range futures {
		v, err := f.Result(ctx)
		if err != nil {
			return err
		}
		out[i], futures[i] = v, nil
	}
	return nil
}

func (p *oursPool) one(item int64) (int64, error) {
	ctx := context.Background()
	return executor.Submit(ctx, p.ex, callIn, item).Result(ctx)
}

func (p *oursPool) pile(items, out []int64, gate <-chan struct{}) (wait func() error) {
	ctx := context.Background()
	for range p.ex.Workers() {
		executor.Go(ctx, p.ex, func(context.Context) (int64, error) { <-gate; return 0, nil })
	}
	futures := make([]*executor.Future[int64], len(items))
	for i, x := range items {
		futures[i] = executor.Submit(ctx, p.ex, callIn, x)
	}
	return func() error {
		results, err := executor.Gather(ctx, futures...)
		copy(out, results)
		return err
	}
}

func (p *oursPool) close() { _ = p.ex.Close() }

var (
	ourPoolMap = mapKind{"pool.Map", func(workers int) (mapping, error) {
		p := mppool.Threads(workers)
		do := func(items []int64, f function) ([]int64, error) {
			return mppool.Map(context.Background(), p, f.in, items)
		}
		return mapping{do, func() { _ = p.Close() }}, nil
	}}
	ourParallelMap = mapKind{"parallel.Map", func(workers int) (mapping, error) {
		return kept(func(items []int64, f function) ([]int64, error) {
			return parallel.Map(context.Background(), workers, f.in, items)
		})
	}}
	ourHelpedPoolMap = mapKind{"pool.Map, WaitersHelp", func(workers int) (mapping, error) {
		ex := helped(workers)
		p := mppool.Over(ex)
		do := func(items []int64, f function) ([]int64, error) {
			return mppool.Map(context.Background(), p, f.in, items)
		}
		return mapping{do, func() { _, _ = p.Close(), ex.Close() }}, nil
	}}
	ourHelpedMapSlice = mapKind{"executor.MapSlice, WaitersHelp", func(workers int) (mapping, error) {
		ex := helped(workers)
		do := func(items []int64, f function) ([]int64, error) {
			return executor.MapSlice(context.Background(), ex, f.in, items)
		}
		return mapping{do, func() { _ = ex.Close() }}, nil
	}}
)
