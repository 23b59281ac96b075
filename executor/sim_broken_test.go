package executor_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gofutures/futures/executor"
)

// A simulation that finds nothing wrong is worth something only if it finds
// what is.
func TestSimulationFindsBrokenExecutors(t *testing.T) {
	canaries := []struct {
		name string
		want string // in the problems
		open func(program) opened
	}{
		{"one worker too many", "executed at once", func(p program) opened { p.Workers++; return openPool(p) }},
		{"a miscount", "the counters do not add up", func(p program) opened { return miscounting{openPool(p)} }},
		{"calls that overtake", "submitted later by the same goroutine", func(p program) opened { return &stacking{holding: hold(p)} }},
		{"a call that is forgotten", "hang", func(p program) opened { return &forgetful{opened: openPool(p)} }},
		{"waits that hold their place", "hang", func(p program) opened { return hold(p) }},
		{"Close that does not wait", "Workers:", func(p program) opened { return hasty{openPool(p)} }},
	}
	for _, c := range canaries {
		t.Run(c.name, func(t *testing.T) {
			programs := genProgram(mapSlice, shutdown, shutdownInCall)
			for seed := range 500 {
				if problems, _ := simulate(t, programs.Example(seed), c.open); strings.Contains(problems, c.want) {
					return
				}
			}
			t.Errorf("500 programs found nothing like %q", c.want)
		})
	}
}

type miscounting struct{ opened }

func (e miscounting) Stats() executor.Stats {
	s := e.opened.Stats()
	if s.Failed > 0 {
		s.Succeeded++
	}
	return s
}

// forgetful loses its fourth call.
type forgetful struct {
	opened
	calls atomic.Int64
}

func (e *forgetful) Execute(ctx context.Context, c *executor.Call) {
	if e.calls.Add(1) != 4 {
		e.opened.Execute(ctx, c)
	}
}

// hasty does not wait in Close.
type hasty struct{ opened }

func (e hasty) Close() error {
	go e.opened.Close()
	return nil
}

// holding is the naive executor: a semaphore.
type holding struct {
	places chan struct{}
	all    sync.WaitGroup
}

func hold(p program) *holding { return &holding{places: make(chan struct{}, p.Workers)} }

func (e *holding) Execute(ctx context.Context, c *executor.Call) {
	e.enter(func() { c.Run(ctx) })
}

func (e *holding) enter(run func()) {
	e.all.Go(func() {
		e.places <- struct{}{}
		defer func() { <-e.places }()
		run()
	})
}

func (e *holding) Workers() int                   { return cap(e.places) }
func (e *holding) Close() error                   { e.all.Wait(); return nil }
func (e *holding) Shutdown(context.Context) error { return nil }
func (e *holding) Stats() executor.Stats          { return executor.Stats{} }

// stacking makes the last call first.
type stacking struct {
	*holding
	mu    sync.Mutex
	stack []func()
}

func (e *stacking) Execute(ctx context.Context, c *executor.Call) {
	e.mu.Lock()
	e.stack = append(e.stack, func() { c.Run(ctx) })
	e.mu.Unlock()
	e.enter(func() {
		e.mu.Lock()
		last := len(e.stack) - 1
		run := e.stack[last]
		e.stack = e.stack[:last]
		e.mu.Unlock()
		run()
	})
}
