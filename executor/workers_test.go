package executor_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor"
)

// gauge counts the calls that execute now, and the most there ever were. A call
// that waits steps out, because it does not execute meanwhile.
type gauge struct{ now, most atomic.Int64 }

func (g *gauge) enter() {
	n := g.now.Add(1)
	for {
		most := g.most.Load()
		if n <= most || g.most.CompareAndSwap(most, n) {
			return
		}
	}
}

func (g *gauge) leave() { g.now.Add(-1) }

// during is for calls that wait: they do not count during wait.
func (g *gauge) during(wait func()) {
	g.leave()
	defer g.enter()
	wait()
}

// nap executes for d. It does not look at its ctx.
func (g *gauge) nap(_ context.Context, d time.Duration) (time.Duration, error) {
	g.enter()
	defer g.leave()
	time.Sleep(d)
	return d, nil
}

// wantMost fails unless exactly want calls executed at once at some time: more
// breaks the limit, fewer means that the test did not come near it.
func (g *gauge) wantMost(t *testing.T, want int) {
	t.Helper()
	if now := g.now.Load(); now != 0 {
		t.Errorf("%d calls still execute; want none", now)
	}
	if most := g.most.Load(); most != int64(want) {
		t.Errorf("at most %d calls executed at once; want %d", most, want)
	}
}

// wantWidth fails unless exactly want calls execute at once on an idle ex. It
// is for use in a bubble.
func wantWidth(t *testing.T, ex executor.Executor, want int) {
	t.Helper()
	var g gauge
	naps := make([]*executor.Future[time.Duration], 3*want)
	start := time.Now()
	for i := range naps {
		naps[i] = executor.Submit(t.Context(), ex, g.nap, time.Second)
	}
	if _, err := executor.Gather(t.Context(), naps...); err != nil {
		t.Errorf("%d calls: %v", len(naps), err)
	}
	g.wantMost(t, want)
	if took := time.Since(start); took != 3*time.Second {
		t.Errorf("%d calls of 1s on %d workers took %v; want 3s", len(naps), want, took)
	}
}

func noop(context.Context, int) (int, error) { return 0, nil }

// goexit is a call that ends its goroutine.
func goexit(context.Context, int) (int, error) {
	runtime.Goexit()
	return 0, nil
}

func TestMaxWorkersCallsExecuteAtOnceAndNoMore(t *testing.T) {
	for _, workers := range []int{1, 2, 3, 7} {
		synctest.Test(t, func(t *testing.T) {
			ex := &executor.ThreadPoolExecutor{MaxWorkers: workers}
			defer ex.Close()
			wantWidth(t, ex, workers)
			wantWidth(t, ex, workers) // with the workers that are there now
			if got := ex.Stats().Workers; got != workers {
				t.Errorf("MaxWorkers %d: Stats().Workers = %d; want %[1]d", workers, got)
			}
		})
	}
}

func TestZeroMaxWorkersIsGOMAXPROCS(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3))
	synctest.Test(t, func(t *testing.T) {
		ex := new(executor.ThreadPoolExecutor)
		defer ex.Close()
		if got := ex.Workers(); got != 3 {
			t.Errorf("Workers() = %d with GOMAXPROCS 3; want 3", got)
		}
		wantWidth(t, ex, 3)
	})
}

func TestThreadPerTaskMakesAllCallsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := new(executor.ThreadPerTask)
		defer ex.Close()
		var g gauge
		start := time.Now()
		for range 1000 {
			executor.Submit(t.Context(), ex, g.nap, time.Second)
		}
		ex.Close()
		g.wantMost(t, 1000)
		if took := time.Since(start); took != time.Second {
			t.Errorf("1000 calls of 1s took %v; want 1s", took)
		}
	})
}

func TestSequentialMakesOneCallAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := new(executor.Sequential)
		defer ex.Close()
		var g gauge
		start := time.Now()
		for i := range 5 {
			f := executor.Submit(t.Context(), ex, g.nap, time.Second)
			if got, want := time.Since(start), time.Duration(i+1)*time.Second; !isDone(f) || got != want {
				t.Errorf("Submit %d returned %v after %v; want a done future after %v", i, f, got, want)
			}
		}
		g.wantMost(t, 1)
	})
}

func TestAnIdleWorkerIsUsedBeforeAnotherIsStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 4}
		defer ex.Close()
		for i := range 200 {
			if _, err := executor.Submit(t.Context(), ex, double, i).Result(t.Context()); err != nil {
				t.Fatal(err)
			}
			if i%2 == 0 { // with and without time for the worker to become idle
				synctest.Wait()
			}
			if got := ex.Stats().Workers; got != 1 {
				t.Fatalf("Stats().Workers = %d after %d calls, one after another; want 1", got, i+1)
			}
		}
	})
}

func TestWorkersAreStartedWhenThereIsWorkForThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 4}
		defer ex.Close()
		if got := ex.Stats().Workers; got != 0 {
			t.Errorf("Stats().Workers = %d before the first call; want 0", got)
		}
		for i := range 6 {
			executor.Submit(t.Context(), ex, new(gauge).nap, time.Hour)
			synctest.Wait()
			if got, want := ex.Stats().Workers, min(i+1, 4); got != want {
				t.Errorf("Stats().Workers = %d with %d calls; want %d", got, i+1, want)
			}
		}
	})
}

func TestIdleWorkersEndAfterTheirIdleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 3}
		defer ex.Close()
		before := runtime.NumGoroutine()
		wantWidth(t, ex, 3)

		time.Sleep(59 * time.Second)
		if got := ex.Stats().Workers; got != 3 {
			t.Errorf("Stats().Workers = %d after 59s without work; want 3", got)
		}
		time.Sleep(62 * time.Second) // it may be twice the minute
		synctest.Wait()
		if got := ex.Stats().Workers; got != 0 {
			t.Errorf("Stats().Workers = %d after 2m1s without work; want 0", got)
		}
		if got := runtime.NumGoroutine(); got > before {
			t.Errorf("%d goroutines, %d before the first call", got, before)
		}
		wantWidth(t, ex, 3) // and it goes on as new
	})
}

func TestAWorkerThatHasWorkNowAndThenDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var started atomic.Int64
		ex := &executor.ThreadPoolExecutor{
			MaxWorkers:  2,
			Initializer: func(context.Context) error { started.Add(1); return nil },
		}
		defer ex.Close()
		executor.Submit(t.Context(), ex, noop, 0).Result(t.Context())
		time.Sleep(5 * time.Minute)
		started.Store(0) // all have ended, what comes is counted
		for range 20 {
			executor.Submit(t.Context(), ex, new(gauge).nap, time.Second).Result(t.Context())
			time.Sleep(40 * time.Second)
		}
		if got := started.Load(); got > 2 {
			t.Errorf("%d workers were started for a call every 41s; want at most 2, which stay", got)
		}
	})
}

// Nobody closes this executor. If a goroutine of it is left at the end of the
// bubble, synctest reports a deadlock.
func TestADroppedExecutorLeavesNoGoroutine(t *testing.T) {
	var ran atomic.Int64
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 3}
		for range 20 {
			executor.Go(context.Background(), ex, func(context.Context) (int, error) {
				time.Sleep(time.Second)
				ran.Add(1)
				return 0, nil
			})
		}
		time.Sleep(7*time.Second + 2*time.Minute) // the work, and twice the minute
	})
	if got := ran.Load(); got != 20 {
		t.Errorf("%d of 20 queued calls were made after the executor was dropped; want all", got)
	}
}

// A worker whose call ends the goroutine goes on.
func TestGoexitCostsNoWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 3}
		defer ex.Close()
		for i := range 300 {
			if _, err := executor.Submit(t.Context(), ex, goexit, i).Result(t.Context()); !errors.Is(err, executor.ErrGoexit) {
				t.Fatalf("call %d: %v; want ErrGoexit", i, err)
			}
		}
		wantWidth(t, ex, 3)
		if s := ex.Stats(); s.Workers != 3 || s.Failed != 300 {
			t.Errorf("Stats() = %+v; want 3 workers and 300 failed calls", s)
		}
	})
}

// Waiting calls hold goroutines, not places. When all is over, no more of them
// stay idle than the executor has places.
func TestWorkersOfNestedWaitsEndAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
		defer ex.Close()
		var dive executor.Func[int, int]
		dive = func(ctx context.Context, depth int) (int, error) {
			if depth == 0 {
				return 0, nil
			}
			n, err := executor.Submit(ctx, ex, dive, depth-1).Result(ctx)
			return n + 1, err
		}
		if n, err := executor.Submit(t.Context(), ex, dive, 100).Result(t.Context()); n != 100 || err != nil {
			t.Fatalf("dive(100) = %d, %v; want 100", n, err)
		}
		synctest.Wait()
		if got := ex.Stats().Workers; got > 2 {
			t.Errorf("Stats().Workers = %d after 101 nested calls; want at most 2", got)
		}
		wantWidth(t, ex, 2)
	})
}

// With real goroutines and no virtual time: what the bubble's orderly schedule
// does not show.
func TestMaxWorkersHoldsUnderManySubmitters(t *testing.T) {
	const workers, submitters, each = 3, 8, 300
	ex := &executor.ThreadPoolExecutor{MaxWorkers: workers}
	defer ex.Close()
	var g gauge
	var reach sync.WaitGroup // all places are taken at least once
	reach.Add(workers)
	first := func(context.Context) (int, error) {
		g.enter()
		defer g.leave()
		reach.Done()
		reach.Wait()
		return 0, nil
	}
	for range workers {
		executor.Go(t.Context(), ex, first)
	}
	var all sync.WaitGroup
	for range submitters {
		all.Go(func() {
			for i := range each {
				f := executor.Go(t.Context(), ex, func(context.Context) (int, error) {
					g.enter()
					defer g.leave()
					runtime.Gosched()
					return 0, nil
				})
				if i%3 == 0 {
					f.Result(t.Context())
				}
			}
		})
	}
	all.Wait()
	ex.Close()
	g.wantMost(t, workers)
	if s := ex.Stats(); s.Succeeded != submitters*each+workers {
		t.Errorf("Stats() = %+v; want %d succeeded", s, submitters*each+workers)
	}
}
