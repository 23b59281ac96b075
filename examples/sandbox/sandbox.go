package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gofutures/futures/executor"
)

// sandbox runs programs that may do to their process what they like.
type sandbox struct {
	input
	pool    *executor.ProcessPoolExecutor
	printed counter // what the programs print, and what their crashes do
}

// newSandbox returns a sandbox, which has to be closed.
func newSandbox(in input) *sandbox {
	s := &sandbox{input: in}
	s.pool = &executor.ProcessPoolExecutor{
		MaxWorkers:       in.limits.workers,
		MemoryLimit:      in.limits.memory,
		MaxTasksPerChild: 1,                      // what a program leaves behind ends with its worker, and meets no other
		KillGrace:        100 * time.Millisecond, // interpret does not look at its ctx, so there is not much to wait for
		Initializer:      limitStack,
		Stdout:           &s.printed,
		Stderr:           &s.printed,
	}
	return s
}

func (s *sandbox) close() { _ = s.pool.Close() }

func init() { executor.RegisterInitializer(limitStack) }

// maxStack is how large a stack may grow, in bytes. Go's own limit is a
// gigabyte: a stack overflow would look like any other lack of memory.
const maxStack = 16 << 20

func limitStack(context.Context) error {
	debug.SetMaxStack(maxStack)
	return nil
}

// run runs all programs and returns what came of them, in order.
//
// Each call has a timeout of its own, from when it is made on. So that it does
// not wait in the queue meanwhile, only as many are made at once as there are
// workers: by goroutines, each of which waits for one call.
func (s *sandbox) run(ctx context.Context) iter.Seq2[outcome, error] {
	return func(yield func(outcome, error) bool) {
		threads := &executor.ThreadPoolExecutor{MaxWorkers: s.limits.workers}
		defer threads.Close()
		executor.Map(ctx, threads, s.try, slices.Values(s.programs))(yield)
	}
}

// try runs one program. Its error is that of the sandbox, or of an ended ctx.
func (s *sandbox) try(ctx context.Context, name string) (outcome, error) {
	source, err := s.read(name)
	if err != nil {
		return outcome{name: name, kind: failed, what: err.Error(), err: err}, nil
	}
	limited, cancel := context.WithTimeout(ctx, s.limits.timeout)
	defer cancel()
	start := time.Now()
	// The wait has no timeout: when that of the call ends, the pool kills its
	// worker, and the result says where it was.
	result, err := executor.Submit(limited, s.pool, interpret, source).Result(context.Background())
	if ctx.Err() != nil {
		return outcome{}, ctx.Err()
	}
	if errors.Is(err, executor.ErrBroken) || errors.Is(err, executor.ErrNotRegistered) {
		return outcome{}, fmt.Errorf("%s: %w", name, err)
	}
	kind, what := judge(result, err, s.limits)
	return outcome{name, kind, oneLine(what), time.Since(start), err}, nil
}

// counter counts what is written to it, and drops it.
type counter struct{ n atomic.Int64 }

var _ io.Writer = (*counter)(nil)

func (c *counter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return len(b), nil
}
