package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/gofutures/futures/examples/internal/cli"
	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/parallel"
	"github.com/gofutures/futures/pool"
)

// levers is the table: one lever is one line. The first is what the others are
// compared with.
var levers = []lever{
	{name: "a plain loop", run: loop},
	{name: "executor.Sequential", run: on(func() closer { return &executor.Sequential{} })},
	{name: "executor.ThreadPoolExecutor", run: on(func() closer { return &executor.ThreadPoolExecutor{} })},
	{name: "executor.ThreadPerTask", run: on(func() closer { return &executor.ThreadPerTask{} })},
	{name: "executor.ProcessPoolExecutor", run: on(func() closer { return &executor.ProcessPoolExecutor{} })},
	{name: "pool.Threads", run: pooled(pool.Threads)},
	{name: "pool.Processes", run: pooled(pool.Processes)},
	{name: "parallel, threads", run: jobs("threads", parse)},
	{name: "parallel, processes", run: jobs("processes", parse)},
}

// leversFor returns all levers that the command line asks for.
func leversFor(in input) []lever {
	if in.cache == "" {
		return levers
	}
	return slices.Concat(levers, []lever{cached(in.cache)})
}

// A function that runs in other processes is registered.
func init() { executor.Register(parse) }

// lever is one way to parse files: it returns a report of each, in any order.
type lever struct {
	name  string
	run   func(ctx context.Context, files []string) reports
	cache *parallel.Memory // that run asks; nil: none
}

type reports = iter.Seq2[Report, error]

// loop is how it is done without this module.
func loop(ctx context.Context, files []string) reports {
	return func(yield func(Report, error) bool) {
		for _, path := range files {
			r, err := parse(ctx, path)
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// on returns a lever that parses files on an executor, which it opens and
// closes.
//
// Map bounds what is under way, and with it memory and descriptors: it is at
// most twice the executor's Workers ahead of the loop that ranges over it. The
// ThreadPerTask has no Workers to count, so twice GOMAXPROCS is the bound: each
// file has a goroutine of its own, a few at a time. MapSlice would start them
// all at once: measured, 240 MiB instead of 80 for 7,700 files.
//
// Unordered lets the results come as they are ready, so that the bound does not
// make all wait for one long file. The total is the same in any order.
func on(open func() closer) func(context.Context, []string) reports {
	return func(ctx context.Context, files []string) reports {
		return func(yield func(Report, error) bool) {
			ex := open()
			defer ex.Close()
			executor.Map(ctx, ex, parse, slices.Values(files), executor.Unordered())(yield)
		}
	}
}

// pooled returns a lever that parses files on a pool, bounded like the others.
func pooled(open func(int) *pool.Pool) func(context.Context, []string) reports {
	return func(ctx context.Context, files []string) reports {
		return func(yield func(Report, error) bool) {
			p := open(0)
			defer p.Close()
			pool.ImapUnordered(ctx, p, parse, slices.Values(files))(yield)
		}
	}
}

// jobs returns a lever that parses files with parallel. On processes, it sends as
// many together as take a fifth of a second.
func jobs(backend string, parse executor.Func[string, Report]) func(context.Context, []string) reports {
	return func(ctx context.Context, files []string) reports {
		calls := func(yield func(parallel.Call[Report]) bool) {
			for _, path := range files {
				if !yield(parallel.Delayed(parse, path)) {
					return
				}
			}
		}
		return parallel.StreamUnordered(ctx, parallel.Jobs{N: -1, Backend: backend}, calls)
	}
}

// closer is an executor that has an end.
type closer interface {
	executor.Executor
	io.Closer
}

// measured is what one lever found, and what that cost.
type measured struct {
	name  string
	total Total
	wall  time.Duration
	peak  uint64                // bytes; 0: not known
	cache *parallel.MemoryStats // nil: the lever has none
}

// measure does the job with one lever.
func measure(ctx context.Context, l lever, in input, g gauge, p *progress) (measured, error) {
	defer p.erase()
	runtime.GC()
	debug.FreeOSMemory() // what the lever before has left is not this one's
	peak := g.start()
	start := time.Now()
	total, err := l.total(ctx, in, p)
	return measured{l.name, total, time.Since(start), peak(), l.stats()}, err
}

// stats returns what the cache of a lever was good for, nil if it has none.
func (l lever) stats() *parallel.MemoryStats {
	if l.cache == nil {
		return nil
	}
	stats := l.cache.Stats()
	return &stats
}

// total adds up the reports of a lever.
func (l lever) total(ctx context.Context, in input, p *progress) (Total, error) {
	t := Total{Failures: slices.Clone(in.lost)}
	for r, err := range l.run(ctx, in.files) {
		if err != nil {
			return Total{}, fmt.Errorf("%s, after %s of %s files: %w", l.name, cli.Thousands(t.Files), cli.Thousands(len(in.files)), err)
		}
		t.add(r)
		p.step()
	}
	t.sort()
	return t, nil
}
