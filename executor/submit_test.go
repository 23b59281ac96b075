package executor_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/gofutures/futures/executor"
)

// What Python raises is the error of the future; 0 has a meaning.
func TestSubmitToAnExecutorWithANegativeSizeIsAnError(t *testing.T) {
	for name, ex := range map[string]*executor.ThreadPoolExecutor{
		"MaxWorkers -1": {MaxWorkers: -1},
		"QueueLimit -1": {QueueLimit: -1},
	} {
		ran := false
		f := executor.Go(t.Context(), ex, func(context.Context) (int, error) { ran = true; return 0, nil })
		if _, err := f.Result(t.Context()); err == nil || ran || f.State() != executor.Finished {
			t.Errorf("%s: %v, ran %v, %v; want an error, false, finished", name, err, ran, f.State())
		}
		if got, err := executor.MapSlice(t.Context(), ex, double, numbers(3)); err == nil {
			t.Errorf("%s: MapSlice = %v, nil; want an error", name, got)
		}
		wantOneErrorThenClose(t, name, ex)
	}
}

func wantOneErrorThenClose(t *testing.T, name string, ex *executor.ThreadPoolExecutor) {
	t.Helper()
	var errs []error
	for _, err := range executor.Map(t.Context(), ex, double, slices.Values(numbers(3))) {
		errs = append(errs, err)
	}
	if len(errs) != 1 || errs[0] == nil {
		t.Errorf("%s: Map yielded errors %v; want one", name, errs)
	}
	if err := ex.Close(); err != nil || ex.Stats() != (executor.Stats{}) {
		t.Errorf("%s: Close = %v, Stats %+v; want nil, zeros", name, err, ex.Stats())
	}
}

// In Python, MaxWorkers 0 is an error.
func TestZeroMaxWorkersMeansGOMAXPROCS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ex executor.ThreadPoolExecutor
		defer ex.Close()
		hold := newGate()
		n := runtime.GOMAXPROCS(0)
		for i := range 3 * n {
			executor.Submit(t.Context(), &ex, hold.pass, i)
		}
		synctest.Wait()
		if got := ex.Stats().Running; got != n || ex.Workers() != n {
			t.Errorf("%d run, Workers() = %d; want %d", got, ex.Workers(), n)
		}
		hold.open()
	})
}

func TestSubmitOfSillyInputIsAnErrorOfTheFuture(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		ctx := t.Context()
		ran := false
		run := func(context.Context) (int, error) { ran = true; return 0, nil }
		for name, f := range map[string]*executor.Future[int]{
			"Submit, nil function":    executor.Submit[int, int](ctx, ex, nil, 1),
			"Submit, nil ctx":         executor.Submit(nilCtx, ex, double, 1),
			"Submit, nil executor":    executor.Submit(ctx, nil, double, 1),
			"Go, nil function":        executor.Go[int](ctx, ex, nil),
			"Go, nil ctx":             executor.Go(nilCtx, ex, run),
			"Go, nil executor":        executor.Go(ctx, nil, run),
			"nil *ThreadPoolExecutor": executor.Go(ctx, (*executor.ThreadPoolExecutor)(nil), run),
			"nil *ThreadPerTask":      executor.Go(ctx, (*executor.ThreadPerTask)(nil), run),
			"nil *Sequential":         executor.Go(ctx, (*executor.Sequential)(nil), run),
		} {
			if _, err := f.Result(ctx); err == nil || !isDone(f) || f.State() != executor.Finished {
				t.Errorf("%s: %v, %v; want an error at once", name, err, f)
			}
		}
		if s := ex.Stats(); s != (executor.Stats{}) || ran {
			t.Errorf("Stats = %+v, ran %v; want zeros, false", s, ran)
		}
	})
}

func TestAsManyCallsRunAsThereAreWorkers(t *testing.T) {
	for _, workers := range []int{1, 2, 5} {
		t.Run(fmt.Sprint(workers, " workers"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ex := &executor.ThreadPoolExecutor{MaxWorkers: workers}
				defer ex.Close()
				var calls tally
				turn := make(chan struct{})
				n := 15 * workers
				fs := make([]*executor.Future[int], n)
				for i := range fs {
					fs[i] = executor.Go(t.Context(), ex, func(context.Context) (int, error) {
						defer calls.begin()()
						<-turn
						return i, nil
					})
				}
				for ended := range n {
					synctest.Wait()
					want := executor.Stats{
						Submitted: n, Succeeded: ended, Workers: workers,
						Running: min(workers, n-ended), Queued: max(0, n-ended-workers),
					}
					if got := ex.Stats(); got != want || int(calls.running.Load()) != want.Running {
						t.Fatalf("after %d: %d run, Stats = %+v; want %+v", ended, calls.running.Load(), got, want)
					}
					turn <- struct{}{}
				}
				got, err := executor.Gather(t.Context(), fs...)
				if err != nil || !slices.Equal(got, numbers(n)) || calls.most.Load() != int64(workers) {
					t.Errorf("%v, %v with %d at once; want 0 to %d with %d", got, err, calls.most.Load(), n-1, workers)
				}
			})
		})
	}
}

func TestAnIdleWorkerIsUsedAgain(t *testing.T) {
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 8}
	defer ex.Close()
	for i := range 1000 { // at any of which a second worker might be started
		f := executor.Submit(t.Context(), ex, double, i)
		if v, err := f.Result(t.Context()); v != 2*i || err != nil {
			t.Fatalf("call %d = %v, %v; want %d", i, v, err, 2*i)
		}
		if n := ex.Stats().Workers; n != 1 {
			t.Fatalf("%d workers after call %d; want 1", n, i)
		}
	}
}

func TestManyGoroutinesMayShareAnExecutor(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		var wg sync.WaitGroup
		for g := range 10 {
			wg.Go(func() {
				opts := []executor.MapOption{executor.ChunkSize(1 + g%3)}
				if g%2 == 1 {
					opts = append(opts, executor.Unordered())
				}
				shareMap(t, ex, opts)
				shareSubmit(t, ex)
				shareMap(t, ex, opts)
			})
		}
		wg.Wait()
		ex.Close()
		if s := ex.Stats(); s.Submitted != s.Succeeded+s.Failed+s.Cancelled || s.Failed != 0 || s.Queued+s.Running+s.Workers != 0 {
			t.Errorf("Stats = %+v; want all accounted for and nothing left", s)
		}
	})
}

// shareMap maps over 40 items.
func shareMap(t *testing.T, ex opened, opts []executor.MapOption) {
	got, err := executor.Collect(executor.Map(t.Context(), ex, double, slices.Values(numbers(40)), opts...))
	slices.Sort(got)
	for i, v := range got {
		if v != 2*i {
			t.Errorf("Map: sorted result %d = %d; want %d", i, v, 2*i)
		}
	}
	if err != nil || len(got) != 40 {
		t.Errorf("Map: %d results, %v; want 40", len(got), err)
	}
}

// shareSubmit submits 20 calls and cancels half of them.
func shareSubmit(t *testing.T, ex opened) {
	var ran [20]atomic.Int32
	var fs [20]*executor.Future[int]
	for i := range fs {
		fs[i] = executor.Go(t.Context(), ex, func(context.Context) (int, error) { ran[i].Add(1); return i, nil })
	}
	for i, f := range fs {
		cancelled := i%2 == 1 && f.Cancel()
		v, err := f.Result(t.Context())
		switch {
		case cancelled && (!errors.Is(err, executor.ErrCancelled) || ran[i].Load() != 0):
			t.Errorf("cancelled call %d = %v, %v, ran %d times; want ErrCancelled, 0", i, v, err, ran[i].Load())
		case !cancelled && (v != i || err != nil || ran[i].Load() != 1):
			t.Errorf("call %d = %v, %v, ran %d times; want %d, once", i, v, err, ran[i].Load(), i)
		}
	}
}

// The call identifies itself, not its function.
func TestOneFunctionSubmittedManyTimesRunsOnceForEachAcceptedCall(t *testing.T) {
	for _, limit := range []int{0, 1, 7} {
		t.Run(fmt.Sprint("queue limit ", limit), func(t *testing.T) {
			ex := &executor.ThreadPoolExecutor{MaxWorkers: 2, QueueLimit: limit}
			var runs atomic.Int64
			half := make(chan struct{})
			fn := func(context.Context) (int, error) {
				if runs.Add(1) == 500 {
					close(half)
				}
				return 0, nil
			}
			var wg sync.WaitGroup
			wg.Go(func() { <-half; ex.Close() })
			var accepted, rejected atomic.Int64
			for range 4 {
				wg.Go(func() {
					for range 250 {
						_, err := executor.Go(t.Context(), ex, fn).Result(t.Context())
						switch {
						case err == nil:
							accepted.Add(1)
						case errors.Is(err, executor.ErrShutdown):
							rejected.Add(1)
						default:
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			if a, r := accepted.Load(), rejected.Load(); a != runs.Load() || a+r != 1000 || a < 500 {
				t.Errorf("%d accepted, %d rejected, %d ran; want as many runs as accepted, 1000 in all", a, r, runs.Load())
			}
		})
	}
}

// A submitter that never rests does not keep the calls from ending.
func TestSubmitDoesNotStarveTheWorkersOfOneProcessor(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
	defer ex.Close()
	first := executor.Submit(t.Context(), ex, double, 1)
	n := 1
	for ; first.State() != executor.Finished; n++ {
		executor.Submit(t.Context(), ex, double, n)
	}
	ex.Close()
	if s := ex.Stats(); s.Succeeded != n {
		t.Errorf("Stats = %+v; want %d succeeded", s, n)
	}
}

// Submit does not block, however long the queue is, unless it was asked to.
func TestSubmitDoesNotBlockWithoutAQueueLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		hold := newGate()
		var last *executor.Future[int]
		for i := range 10_000 {
			last = executor.Submit(t.Context(), ex, hold.pass, i)
		}
		synctest.Wait()
		if s := ex.Stats(); s.Running != 1 || s.Queued != 9_999 || last.State() != executor.Pending {
			t.Errorf("Stats = %+v, last %v; want 1 running, 9999 queued, pending", s, last)
		}
		hold.open()
		if v, err := last.Result(t.Context()); v != 9_999 || err != nil {
			t.Errorf("last = %v, %v; want 9999", v, err)
		}
	})
}

// Submit after Close is an error of the future, not a panic.
func TestSubmitAfterCloseIsErrShutdown(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		ex.Close()
		ran := false
		f := executor.Go(t.Context(), ex, func(context.Context) (int, error) { ran = true; return 0, nil })
		if _, err := f.Result(t.Context()); !errors.Is(err, executor.ErrShutdown) || ran || f.State() != executor.Finished {
			t.Errorf("%v, ran %v, %v; want ErrShutdown, false, finished", err, ran, f.State())
		}
	})
}
