package executor_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gofutures/futures/executor"
)

func init() { executor.Register(futDescend) }

// descent is how deep futDescend is to go.
type descent struct{ Left int }

// nestedPool is, in each process, a pool of that process.
var nestedPool = &executor.ProcessPoolExecutor{MaxWorkers: 1}

// futDescend returns the processes that it and those below it run in.
func futDescend(ctx context.Context, d descent) ([]int, error) {
	if d.Left == 0 {
		return []int{os.Getpid()}, nil
	}
	d.Left--
	below, err := executor.Submit(ctx, nestedPool, futDescend, d).Result(ctx)
	return append([]int{os.Getpid()}, below...), err
}

// A call that submits to "its own" pool, of one worker, submits to that of its
// process, and cannot wait for its own place; where this gets too deep, it ends
// with an error.
func TestCallInAWorkerHasPoolsOfItsOwn(t *testing.T) {
	nestedPool = newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1}) // here; there, it is another one
	pids, err := endOf(t, executor.Submit(t.Context(), nestedPool, futDescend, descent{Left: 3}))
	if err != nil || len(pids) != 4 || len(slices.Compact(slices.Sorted(slices.Values(pids)))) != 4 || slices.Contains(pids, os.Getpid()) {
		t.Fatalf("a call that waits for one of the same pool, and so on, three deep = %v, %v; want 4 processes", pids, err)
	}
	again, err := endOf(t, executor.Submit(t.Context(), nestedPool, futDescend, descent{Left: 3}))
	if !slices.Equal(again, pids) || err != nil {
		t.Errorf("the second time, it is %v, %v; want the same processes %v", again, err, pids)
	}
	_, err = endOf(t, executor.Submit(t.Context(), nestedPool, futDescend, descent{Left: 100}))
	if err == nil || !strings.Contains(err.Error(), "deep") || !strings.Contains(err.Error(), "pools within pools") {
		t.Errorf("a call that waits for one of the same pool, a hundred deep: %v; want an error that says that pools within pools end somewhere", err)
	}
}

// A call that runs here and waits for processes with its ctx lends its place,
// and nothing is in the way of the reverse.
func TestCallsOfThreadsWaitForProcesses(t *testing.T) {
	threads := &executor.ThreadPoolExecutor{MaxWorkers: 1}
	defer threads.Close()
	processes := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	outer := executor.Go(t.Context(), threads, func(ctx context.Context) (int, error) {
		inner := executor.Go(ctx, threads, func(ctx context.Context) (int, error) {
			return executor.Submit(ctx, processes, thrice, 5).Result(ctx)
		})
		return inner.Result(ctx)
	})
	if n, err := endOf(t, outer); n != 15 || err != nil {
		t.Errorf("Result = %d, %v; want 15, nil", n, err)
	}
	a := executor.Submit(t.Context(), processes, thrice, 1)
	b := executor.Submit(t.Context(), threads, double, 1)
	if got, err := executor.Gather(t.Context(), a, b); !slices.Equal(got, []int{3, 2}) || err != nil {
		t.Errorf("Gather of futures of processes and threads = %v, %v; want 3, 2", got, err)
	}
}
