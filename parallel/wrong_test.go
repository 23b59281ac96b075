package parallel_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/parallel"
)

// What is wrong with the arguments is an error that names it, and no call is
// pulled.
func TestWrongArgumentsAreAnErrorBeforeAnyCall(t *testing.T) {
	in, pulled := counting(3, double)
	for _, row := range []struct {
		name string
		ctx  context.Context
		jobs parallel.Jobs
		in   iter.Seq[parallel.Call[int]]
		says []string
	}{
		{"nil ctx", nilCtx, parallel.Jobs{N: 2}, in, []string{"nil Context"}},
		{"nil iterator", t.Context(), parallel.Jobs{N: 2}, nil, []string{"nil iterator"}},
		{"negative BatchSize", t.Context(), parallel.Jobs{N: 2, BatchSize: -1}, in, []string{"BatchSize", "-1"}},
		{"negative PreDispatch", t.Context(), parallel.Jobs{N: 2, PreDispatch: -2}, in, []string{"PreDispatch", "-2"}},
		{"negative Timeout", t.Context(), parallel.Jobs{N: 2, Timeout: -5}, in, []string{"Timeout", "-5ns"}},
		{"negative Verbose", t.Context(), parallel.Jobs{N: 2, Verbose: -3}, in, []string{"Verbose", "-3"}},
		{"Backend and Executor", t.Context(), parallel.Jobs{Backend: "threads", Executor: &executor.Sequential{}}, in, []string{"Backend", "threads", "Executor"}},
		{"unknown Backend", t.Context(), parallel.Jobs{N: 2, Backend: "thread"}, in, []string{`"thread"`, "threads", "processes", "sequential"}},
		{"nil ThreadPoolExecutor", t.Context(), parallel.Jobs{N: 2, Executor: (*executor.ThreadPoolExecutor)(nil)}, in, []string{"nil"}},
		{"nil ThreadPerTask", t.Context(), parallel.Jobs{N: 2, Executor: (*executor.ThreadPerTask)(nil)}, in, []string{"nil"}},
		{"nil Sequential", t.Context(), parallel.Jobs{N: 2, Executor: (*executor.Sequential)(nil)}, in, []string{"nil"}},
		{"nil ProcessPoolExecutor", t.Context(), parallel.Jobs{N: 2, Executor: (*executor.ProcessPoolExecutor)(nil)}, in, []string{"nil"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			pulled.Store(0)
			check := func(what string, got []int, err error) {
				t.Helper()
				if got != nil || err == nil {
					t.Errorf("%s = %v, %v; want an error", what, got, err)
					return
				}
				for _, says := range row.says {
					if !strings.Contains(err.Error(), says) {
						t.Errorf("%s: the error is %q; want %s in it", what, err, says)
					}
				}
			}
			got, err := parallel.Run(row.ctx, row.jobs, row.in)
			check("Run", got, err)
			for name, stream := range map[string]iter.Seq2[int, error]{
				"Stream":          parallel.Stream(row.ctx, row.jobs, row.in),
				"StreamUnordered": parallel.StreamUnordered(row.ctx, row.jobs, row.in),
			} {
				n := 0
				for _, err := range stream {
					n++
					check(name, nil, err)
				}
				if n != 1 {
					t.Errorf("%s yields %d times; want one error", name, n)
				}
			}
			if n := pulled.Load(); n != 0 && !strings.HasPrefix(row.name, "nil ") {
				t.Errorf("%d calls pulled; want 0", n)
			}
			if row.ctx != nil && row.in != nil {
				_, err := parallel.Map(parallel.WithConfig(row.ctx, row.jobs), 2, double, upTo(3))
				check("Map with that configuration", nil, err)
			}
		})
	}
}

func TestParallelAndMapOfWrongArgumentsAreErrors(t *testing.T) {
	call := parallel.Delayed(double, 1)
	for name, f := range map[string]func() ([]int, error){
		"Parallel, nil ctx":        func() ([]int, error) { return parallel.Parallel(nilCtx, 2, call) },
		"Parallel, n 0":            func() ([]int, error) { return parallel.Parallel(t.Context(), 0, call) },
		"Parallel, n 0, no calls":  func() ([]int, error) { return parallel.Parallel[int](t.Context(), 0) },
		"Map, nil ctx":             func() ([]int, error) { return parallel.Map(nilCtx, 2, double, upTo(3)) },
		"Map, nil ctx, n 1":        func() ([]int, error) { return parallel.Map(nilCtx, 1, double, upTo(3)) },
		"Map, n 0":                 func() ([]int, error) { return parallel.Map(t.Context(), 0, double, upTo(3)) },
		"Map, nil function":        func() ([]int, error) { return parallel.Map[int, int](t.Context(), 2, nil, upTo(3)) },
		"Map, nil function, n 1":   func() ([]int, error) { return parallel.Map[int, int](t.Context(), 1, nil, upTo(3)) },
		"Parallel, zero Call":      func() ([]int, error) { return parallel.Parallel(t.Context(), 2, call, parallel.Call[int]{}) },
		"Parallel, zero Call, n 1": func() ([]int, error) { return parallel.Parallel(t.Context(), 1, parallel.Call[int]{}) },
		"Delayed of nil":           func() ([]int, error) { return parallel.Parallel(t.Context(), 2, parallel.Delayed[int, int](nil, 1)) },
		"Delayed of nil, timeout": func() ([]int, error) {
			return parallel.Run(t.Context(), parallel.Jobs{N: 2, Timeout: 1e9}, slices.Values([]parallel.Call[int]{{}}))
		},
	} {
		if got, err := inTime(t, name, f); got != nil || err == nil {
			t.Errorf("%s = %v, %v; want an error", name, got, err)
		}
	}
	if n, err := parallel.EffectiveJobs(0); n != 0 || err == nil {
		t.Errorf("EffectiveJobs(0) = %d, %v; want an error", n, err)
	}
}

// A nil function is an error of its call also under a configuration that has Map
// make calls.
func TestMapOfANilFunctionIsAnErrorWhateverTheConfiguration(t *testing.T) {
	for _, j := range []parallel.Jobs{{BatchSize: 3}, {OnError: parallel.CollectErrors}, {Backend: "processes", BatchSize: 3}} {
		if got, err := parallel.Map[int, int](parallel.WithConfig(t.Context(), j), 2, nil, upTo(3)); err == nil {
			t.Errorf("%+v: Map = %v, nil; want an error", j, got)
		}
	}
}

// A function that is not registered, and the error of one, come back from
// processes as from goroutines.
func TestAFunctionThatIsNotRegisteredIsAnErrorInProcesses(t *testing.T) {
	executortest.NeedsProcesses(t)
	for _, batch := range []int{1, 3} {
		_, err := inTime(t, "Run", func() ([]int, error) {
			return parallel.Run(t.Context(), parallel.Jobs{N: 2, Backend: "processes", BatchSize: batch}, slices.Values(delayed(notRegistered, upTo(5))))
		})
		if err == nil || !strings.Contains(err.Error(), "notRegistered") {
			t.Errorf("BatchSize %d: error %v; want one that names the function", batch, err)
		}
	}
	_, err := parallel.Run(t.Context(), parallel.Jobs{N: 2, Backend: "processes"}, callsOf(items("boom")...))
	if !errors.Is(err, errBoom) {
		t.Errorf("error %v; want boom", err)
	}
}

func notRegistered(context.Context, int) (int, error) { return 0, nil }
