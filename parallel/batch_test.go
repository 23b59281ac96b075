package parallel_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/parallel"
)

func init() { executor.Register(halve) }

// halve fails for what has no half.
func halve(_ context.Context, n int) (int, error) {
	if n%2 != 0 {
		return 0, itemError(n)
	}
	return n / 2, nil
}

// Calls of two functions change places within batches of every length, some fail, and
// each result and each error has the index of its call.
func TestEachOutcomeHasTheIndexOfItsCallWhateverTravelsTogether(t *testing.T) {
	executortest.NeedsProcesses(t)
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2}
	defer ex.Close()
	var calls []parallel.Call[int]
	var want, fails []int
	for i := range 40 {
		if i%5 < 2 {
			calls, want = append(calls, parallel.Delayed(double, i)), append(want, 2*i)
			continue
		}
		calls = append(calls, parallel.Delayed(halve, i))
		if i%2 != 0 {
			fails, want = append(fails, i), append(want, 0)
		} else {
			want = append(want, i/2)
		}
	}
	for size := 1; size <= 16; size++ {
		j := parallel.Jobs{N: 2, Executor: ex, BatchSize: size, OnError: parallel.CollectErrors}
		got, err := parallel.Run(t.Context(), j, slices.Values(calls))
		failed, _ := errors.AsType[executor.ItemErrors](err)
		var at []int
		for _, f := range failed {
			at = append(at, f.Index)
			if text := itemError(f.Index).Error(); f.Err == nil || f.Err.Error() != text {
				t.Errorf("BatchSize %d: the error of call %d is %v; want %s", size, f.Index, f.Err, text)
			}
		}
		if !slices.Equal(got, want) || !slices.Equal(at, fails) {
			t.Errorf("BatchSize %d: %v, with errors of %v; want %v, with errors of %v", size, got, at, want, fails)
		}
	}
}

// What a Jobs says of how far ahead calls are taken holds where it is least: N is at
// most the Workers of its Executor, and with a Timeout there are 2 x N in other
// processes.
func TestNoMoreCallsAreTakenAheadThanSaid(t *testing.T) {
	for name, row := range map[string]struct {
		ex   func(executor.Executor) executor.Executor
		jobs parallel.Jobs
		most int64
	}{
		"N is more than the Workers": {func(ex executor.Executor) executor.Executor { return ex }, parallel.Jobs{N: 100}, 4},
		"a Timeout, elsewhere": {
			func(ex executor.Executor) executor.Executor { return elsewhere{ex} },
			parallel.Jobs{N: 2, PreDispatch: 50, Timeout: time.Hour}, 4,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pool := &executor.ThreadPoolExecutor{MaxWorkers: 2}
				defer pool.Close()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				in, pulled := counting(endless, func(ctx context.Context, n int) (int, error) { <-ctx.Done(); return 0, ctx.Err() })
				row.jobs.Executor = row.ex(pool)
				over := make(chan error, 1)
				go func() {
					_, err := parallel.Run(ctx, row.jobs, in)
					over <- err
				}()
				synctest.Wait()
				if n := pulled.Load(); n > row.most {
					t.Errorf("%d calls were taken while none has ended; want at most %d", n, row.most)
				}
				if err := <-over; !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Run's error is %v; want that of its ctx", err)
				}
			})
		})
	}
}

// What is behind a call that panics, in its batch, does not begin.
func TestAPanicEndsItsBatch(t *testing.T) {
	var begun [4]atomic.Bool
	calls := delayed(func(_ context.Context, n int) (int, error) {
		begun[n].Store(true)
		panic(n)
	}, upTo(4)) // two batches of two
	_, err := parallel.Run(t.Context(), parallel.Jobs{N: 2, BatchSize: 4}, slices.Values(calls))
	if p, ok := errors.AsType[*executor.PanicError](err); !ok || p.Value != 0 || begun[1].Load() || begun[3].Load() {
		t.Errorf("Run's error is %v, calls 1 and 3 have begun: %v, %v; want the panic of call 0, and neither", err, begun[1].Load(), begun[3].Load())
	}
}

// Where a batch is turned away as a whole, each of its calls has failed.
func TestABatchThatIsTurnedAwayFailsEachOfItsCalls(t *testing.T) {
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2}
	defer ex.Close()
	unknown := func(_ context.Context, n int) (int, error) { return n, nil }
	var calls []parallel.Call[int]
	for i := range 4 {
		calls = append(calls, parallel.Delayed(double, i))
	}
	for i := range 8 {
		calls = append(calls, parallel.Delayed(unknown, i))
	}
	out, err := parallel.Run(t.Context(), parallel.Jobs{N: 2, Executor: ex, BatchSize: 4, OnError: parallel.CollectErrors}, slices.Values(calls))
	failed, _ := errors.AsType[executor.ItemErrors](err)
	if len(failed) != 8 || len(out) != len(calls) || !slices.Equal(out[:4], []int{0, 2, 4, 6}) {
		t.Fatalf("Run of 4 calls, and 8 of a function that is not registered = %v, %v; want 4 results, 8 errors", out, err)
	}
	for i, f := range failed {
		if f.Index != 4+i || !errors.Is(f.Err, executor.ErrNotRegistered) {
			t.Errorf("call %d: %v; want an error of call %d that matches ErrNotRegistered", f.Index, f.Err, 4+i)
		}
	}
}

// A panic has ended before the next call of the batch is made: else the stack, which a
// PanicError has a copy of, would grow with each.
func TestPanicsOfABatchDoNotPileUp(t *testing.T) {
	var mu sync.Mutex
	var depths []int
	deep := func(context.Context, int) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		depths = append(depths, runtime.Callers(0, make([]uintptr, 1000)))
		panic("on purpose")
	}
	calls := func(yield func(parallel.Call[int]) bool) {
		for i := range 20 {
			if !yield(parallel.Delayed(deep, i)) {
				return
			}
		}
	}
	_, err := parallel.Run(t.Context(), parallel.Jobs{N: 2, Backend: "threading", BatchSize: 20, OnError: parallel.CollectErrors}, calls)
	if failed, _ := errors.AsType[executor.ItemErrors](err); len(failed) != 20 || len(depths) != 20 {
		t.Fatalf("%d calls were made, and Run = %v; want 20, and an error of each", len(depths), err)
	}
	if slices.Min(depths) != slices.Max(depths) {
		t.Errorf("the calls found %v functions under way; want as many each time", depths)
	}
}
