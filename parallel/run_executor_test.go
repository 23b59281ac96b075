package parallel_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/parallel"
)

// oneByOne makes calls in their order. A pool of goroutines lets the batches, which are
// maps there, share its places.
type oneByOne struct {
	calls chan func()
	ended chan struct{}
}

func newOneByOne() *oneByOne {
	ex := &oneByOne{make(chan func(), 1000), make(chan struct{})}
	go func() {
		defer close(ex.ended)
		for call := range ex.calls {
			call()
		}
	}()
	return ex
}

func (ex *oneByOne) Execute(ctx context.Context, c *executor.Call) { ex.calls <- func() { c.Run(ctx) } }

func (ex *oneByOne) Workers() int { return 1 }

func (ex *oneByOne) close() {
	close(ex.calls)
	<-ex.ended
}

// So the first error of a loop comes early, whatever the other calls do.
func TestCallsStartInOrder(t *testing.T) {
	pool := &executor.ThreadPoolExecutor{MaxWorkers: 1}
	defer pool.Close()
	line := newOneByOne()
	defer line.close()
	for name, ex := range map[string]executor.Executor{"here": pool, "elsewhere": line} {
		t.Run(name, func(t *testing.T) {
			for _, batch := range []int{1, 7} {
				var started []int // one call runs at once
				in, _ := counting(200, func(_ context.Context, n int) (int, error) {
					started = append(started, n)
					return n, nil
				})
				j := parallel.Jobs{N: 2, Executor: ex, BatchSize: batch, PreDispatch: parallel.PreDispatchAll}
				if _, err := parallel.Run(t.Context(), j, in); err != nil || !slices.Equal(started, upTo(200)) {
					t.Errorf("BatchSize %d: error %v, the calls have started in the order %v; want 0 to 199", batch, err, started)
				}
			}
		})
	}
}

// A run that has failed leaves nothing in its executor.
func TestAnExecutorServesAfterARunThatFailed(t *testing.T) {
	executortest.NeedsProcesses(t)
	threads, processes := &executor.ThreadPoolExecutor{MaxWorkers: 2}, &executor.ProcessPoolExecutor{MaxWorkers: 2}
	defer threads.Close()
	defer processes.Close()
	for _, ex := range []executor.Executor{threads, processes, &executor.Sequential{}} {
		j := parallel.Jobs{N: 2, Executor: ex}
		for range 3 {
			if _, err := parallel.Run(t.Context(), j, callsOf(items("", "boom", "", "")...)); !errors.Is(err, errBoom) {
				t.Errorf("%T: error %v; want boom", ex, err)
			}
			if got, err := parallel.Run(t.Context(), j, callsOf(items("", "", "")...)); err != nil || !slices.Equal(got, tens(3, 10)) {
				t.Errorf("%T: after a run that failed: %v, %v; want 0, 10, 20", ex, got, err)
			}
		}
	}
}

// So the function need not be registered, and may be a closure.
func TestOneCallAtATimeIsMadeHereWhateverTheBackend(t *testing.T) {
	for _, backend := range []string{"", "sequential", "threads", "processes", "loky", "test"} {
		here := 0
		in, _ := counting(5, func(_ context.Context, n int) (int, error) { here++; return n, nil })
		if got, err := parallel.Run(t.Context(), parallel.Jobs{N: 1, Backend: backend}, in); err != nil || !slices.Equal(got, upTo(5)) || here != 5 {
			t.Errorf("%s: Run = %v, %v, with %d calls here; want 0 to 4, with 5", backend, got, err, here)
		}
	}
}

func TestRunsShareAnExecutor(t *testing.T) {
	executortest.NeedsProcesses(t)
	threads, processes := &executor.ThreadPoolExecutor{MaxWorkers: 2}, &executor.ProcessPoolExecutor{MaxWorkers: 2}
	defer threads.Close()
	defer processes.Close()
	for _, ex := range []executor.Executor{threads, processes} {
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				in, _ := counting(100*i, double)
				got, err := parallel.Run(t.Context(), parallel.Jobs{N: 2, Executor: ex, BatchSize: i}, in)
				if err != nil || !slices.Equal(got, tens(100*i, 2)) {
					t.Errorf("%T: run %d = %v, %v; want 0 to %d", ex, i, got, err, 200*i-2)
				}
			})
		}
		wg.Wait()
	}
}

// An executor whose Execute waits for room is waited for.
func TestAFullQueueIsWaitedFor(t *testing.T) {
	pool := &executor.ThreadPoolExecutor{MaxWorkers: 2, QueueLimit: 1}
	defer pool.Close()
	for name, ex := range map[string]executor.Executor{"here": pool, "elsewhere": elsewhere{pool}} {
		for _, batch := range []int{1, 7} {
			in, _ := counting(300, double)
			j := parallel.Jobs{N: 2, Executor: ex, BatchSize: batch, PreDispatch: parallel.PreDispatchAll}
			got, err := inTime(t, name, func() ([]int, error) { return parallel.Run(t.Context(), j, in) })
			if err != nil || !slices.Equal(got, tens(300, 2)) {
				t.Errorf("%s, BatchSize %d: Run = %v, %v; want 0 to 598", name, batch, got, err)
			}
		}
	}
}

// An executor that is closed under a run ends it, though the source has no end.
func TestARunEndsWhenItsExecutorIsClosed(t *testing.T) {
	executortest.NeedsProcesses(t)
	type closer interface {
		executor.Executor
		Close() error
	}
	for name, open := range map[string]func() closer{
		"ThreadPoolExecutor":  func() closer { return &executor.ThreadPoolExecutor{MaxWorkers: 2} },
		"ThreadPerTask":       func() closer { return &executor.ThreadPerTask{} },
		"Sequential":          func() closer { return &executor.Sequential{} },
		"ProcessPoolExecutor": func() closer { return &executor.ProcessPoolExecutor{MaxWorkers: 2} },
	} {
		for _, policy := range []parallel.Policy{parallel.StopAtFirst, parallel.CollectErrors, parallel.UseDefault(0)} {
			for _, batch := range []int{0, 7} {
				ex := open()
				closed := make(chan error, 1)
				in, _ := counting(endless, double)
				_, err := inTime(t, name, func() ([]int, error) {
					isClosing := false
					return parallel.Run(t.Context(), parallel.Jobs{N: 2, Executor: ex, OnError: policy, BatchSize: batch, Progress: func(s parallel.Stats) {
						if s.Done >= 10 && !isClosing {
							isClosing = true
							go func() { closed <- ex.Close() }()
						}
					}}, in)
				})
				if !errors.Is(err, executor.ErrShutdown) {
					t.Errorf("%s, %v, BatchSize %d: Run's error is %v; want executor.ErrShutdown", name, policy, batch, err)
				}
				if err := <-closed; err != nil {
					t.Errorf("%s: Close = %v", name, err)
				}
			}
		}
	}
}

func TestAnExecutorStaysOpenAndNBoundsWhatRunsOnIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &executor.ThreadPoolExecutor{MaxWorkers: 8}
		perTask := &executor.ThreadPerTask{}
		defer pool.Close()
		defer perTask.Close()
		for _, ex := range []executor.Executor{pool, perTask, elsewhere{pool}, elsewhere{perTask}} {
			for n, want := range map[int]int64{1: 1, 2: 2, 3: 3} {
				for _, preDispatch := range []int{0, 1, 20, parallel.PreDispatchAll} {
					var c tally
					in, _ := counting(12, c.nap)
					j := parallel.Jobs{N: n, Executor: ex, PreDispatch: preDispatch}
					want := want
					if preDispatch == 1 {
						want = 1 // no more are taken ahead
					}
					if got, err := parallel.Run(t.Context(), j, in); err != nil || !slices.Equal(got, upTo(12)) || c.most.Load() != want {
						t.Errorf("%T, N %d, PreDispatch %d: Run = %v, %v, with %d calls at once; want 0 to 11 with %d", ex, n, preDispatch, got, err, c.most.Load(), want)
					}
				}
			}
		}
		var c tally
		if _, err := parallel.Map(parallel.WithConfig(t.Context(), parallel.Jobs{Executor: pool}), 3, c.nap, upTo(12)); err != nil || c.most.Load() != 3 {
			t.Errorf("Map with N 3 on 8 workers: %v, with %d calls at once; want 3", err, c.most.Load())
		}
	})
}

// The zero N is the Workers of the Executor.
func TestWithoutNAllWorkersOfTheExecutorAreUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 5}
		defer ex.Close()
		var c tally
		in, _ := counting(20, c.nap)
		if _, err := parallel.Run(t.Context(), parallel.Jobs{Executor: ex}, in); err != nil || c.most.Load() != 5 {
			t.Errorf("Run: %v, with %d calls at once; want 5", err, c.most.Load())
		}
	})
}

func TestMapOnAnExecutorMakesNoMoreThanNAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 8}
		defer ex.Close()
		for n := 1; n <= 3; n++ {
			var c tally
			ctx := parallel.WithConfig(t.Context(), parallel.Jobs{Executor: ex})
			if got, err := parallel.Map(ctx, n, c.nap, upTo(12)); err != nil || !slices.Equal(got, upTo(12)) || c.most.Load() != int64(n) {
				t.Errorf("Map(%d) = %v, %v, with %d calls at once; want 0 to 11 with %[1]d at once", n, got, err, c.most.Load())
			}
		}
	})
}
