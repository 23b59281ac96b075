package executortest

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/gofutures/futures/executor"
)

// nestingPromises are about calls that wait for calls of their own executor.
var nestingPromises = []promise{
	{id: "D7, NEST-01", says: "a call that waits for a call of its own executor gets its result", workers: 1, check: nestedWith(byResult)},
	{id: "D7, NEST-05", says: "a call that uses Wait on its own executor goes on", workers: 1, check: nestedWith(byWait)},
	{id: "D7, NEST-05", says: "a call that uses AsCompleted on its own executor goes on", workers: 1, check: nestedWith(byAsCompleted)},
	{id: "D7, NEST-05", says: "a call that uses Gather on its own executor goes on", workers: 1, check: nestedWith(byGather)},
	{id: "D7, NEST-05, MAP-15", says: "a call that uses Map on its own executor goes on", workers: 1, check: nestedWith(byMap)},
	{id: "D7, NEST-05, MAP-15", says: "a call that uses MapSlice on its own executor goes on", workers: 1, check: nestedWith(byMapSlice)},
	{id: "D7, NEST-02", says: "calls that wait for each other nest deeper than there are workers", check: nestsDeep},
	{id: "D7, NEST-03", says: "no more than Workers calls compute while others wait", workers: 3, check: nestedLimit},
}

// A nestedWait makes n calls of echo on ex, and returns their results.
type nestedWait func(ctx context.Context, ex executor.Executor, n int) ([]int, error)

func byResult(ctx context.Context, ex executor.Executor, n int) (out []int, err error) {
	for _, f := range echoes(ctx, ex, n) {
		v, err := f.Result(ctx)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func byWait(ctx context.Context, ex executor.Executor, n int) ([]int, error) {
	fs := echoes(ctx, ex, n)
	if _, pending, err := executor.Wait(ctx, executor.AllCompleted, fs...); err != nil || len(pending) > 0 {
		return nil, fmt.Errorf("after Wait, %d are pending: %w", len(pending), err)
	}
	return executor.Gather(ctx, fs...)
}

func byAsCompleted(ctx context.Context, ex executor.Executor, n int) ([]int, error) {
	out := make([]int, n)
	for i, f := range executor.AsCompleted(ctx, echoes(ctx, ex, n)...) {
		v, err := f.Result(ctx)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, ctx.Err()
}

func byGather(ctx context.Context, ex executor.Executor, n int) ([]int, error) {
	return executor.Gather(ctx, echoes(ctx, ex, n)...)
}

func byMap(ctx context.Context, ex executor.Executor, n int) ([]int, error) {
	return executor.Collect(executor.Map(ctx, ex, echo, slices.Values(numbers(n))))
}

func byMapSlice(ctx context.Context, ex executor.Executor, n int) ([]int, error) {
	return executor.MapSlice(ctx, ex, echo, numbers(n))
}

func echoes(ctx context.Context, ex executor.Executor, n int) []*executor.Future[int] {
	fs := make([]*executor.Future[int], n)
	for i := range fs {
		fs[i] = executor.Submit(ctx, ex, echo, i)
	}
	return fs
}

// nestedWith checks that as many calls as there are workers, and one more, can
// wait at once.
func nestedWith(wait nestedWait) func(*trial) {
	return func(k *trial) {
		k.needVisits()
		fs := make([]*executor.Future[int], max(k.ex.Workers(), 1)+1)
		got := make([][]int, len(fs))
		for i := range fs {
			fs[i] = k.visit(k.ctx, func(ctx context.Context) (n int, err error) {
				got[i], err = wait(ctx, k.ex, 5)
				return len(got[i]), err
			})
		}
		for i, f := range fs {
			_, err := result(k, fmt.Sprintf("call %d, which waits for calls of its own executor", i), f)
			if err != nil {
				k.violated("call %d has waited for calls of its own executor and has failed: %v", i, err)
			} else if want := numbers(5); !slices.Equal(got[i], want) {
				k.violated("call %d has waited for calls of its own executor and got %v; want %v", i, got[i], want)
			}
		}
	}
}

func nestsDeep(k *trial) {
	k.needVisits()
	depth := 5*k.ex.Workers() + 5
	var descend func(ctx context.Context, left int) (int, error)
	descend = func(ctx context.Context, left int) (int, error) {
		if left == 0 {
			return 0, nil
		}
		f := k.visit(ctx, func(ctx context.Context) (int, error) { return descend(ctx, left-1) })
		below, err := f.Result(ctx)
		return below + 1, err
	}
	f := k.visit(k.ctx, func(ctx context.Context) (int, error) { return descend(ctx, depth) })
	got, err := result(k, fmt.Sprintf("calls that nest %d deep", depth), f)
	if got != depth || err != nil {
		k.violated("calls that nest %d deep have counted %d, %v; want %d, nil", depth, got, err, depth)
	}
}

func nestedLimit(k *trial) {
	if k.inline || k.ex.Workers() == 0 {
		k.skip("the executor has no limit that several goroutines would share")
	}
	k.needVisits()
	var g gauge
	f := k.visit(k.ctx, func(ctx context.Context) (int, error) { return k.fibonacci(ctx, &g, 9) })
	if got, err := result(k, "Fibonacci's 9th number by calls that wait for calls", f); got != 34 || err != nil {
		k.violated("Fibonacci's 9th number by calls that wait for calls = %d, %v; want 34, nil", got, err)
	}
	if peak := int(g.peak.Load()); peak > k.ex.Workers() {
		k.violated("%d calls have computed at once; want at most %d, which Workers says", peak, k.ex.Workers())
	}
}

// fibonacci is two calls that wait for two calls, and so on. A call that waits
// does not count on the gauge.
func (k *trial) fibonacci(ctx context.Context, g *gauge, n int) (int, error) {
	g.enter()
	defer g.leave()
	pause(ctx) // so that calls that compute at once are seen to
	if n < 2 {
		return n, nil
	}
	var fs []*executor.Future[int]
	for i := 1; i <= 2; i++ {
		fs = append(fs, k.visit(ctx, func(ctx context.Context) (int, error) { return k.fibonacci(ctx, g, n-i) }))
	}
	g.leave()
	got, err := executor.Gather(ctx, fs...)
	g.enter()
	if err != nil {
		return 0, err
	}
	return got[0] + got[1], nil
}

// gauge counts the calls that compute.
type gauge struct{ in, peak atomic.Int64 }

func (g *gauge) enter() {
	n := g.in.Add(1)
	for old := g.peak.Load(); n > old && !g.peak.CompareAndSwap(old, n); old = g.peak.Load() {
	}
}

func (g *gauge) leave() { g.in.Add(-1) }
