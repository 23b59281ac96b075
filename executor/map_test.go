package executor_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"pgregory.net/rapid"

	"github.com/gofutures/futures/executor"
)

// upTo returns a source of 0 to n-1 and the number of items pulled from it.
func upTo(n int) (iter.Seq[int], *atomic.Int64) {
	pulled := new(atomic.Int64)
	return func(yield func(int) bool) {
		for i := range n {
			pulled.Add(1)
			if !yield(i) {
				return
			}
		}
	}, pulled
}

// endless is the most items that a test pulls from a source without an end.
const endless = 1 << 30

// itemError is the error of an item that fails, by any means.
type itemError int

func (e itemError) Error() string { return fmt.Sprintf("item %d", int(e)) }

// tally counts calls.
type tally struct{ started, running, most atomic.Int64 }

// begin counts a call that begins, and returns what counts its end.
func (c *tally) begin() (end func()) {
	c.started.Add(1)
	running := c.running.Add(1)
	for most := c.most.Load(); running > most && !c.most.CompareAndSwap(most, running); most = c.most.Load() {
	}
	return func() { c.running.Add(-1) }
}

// MAP-01: whatever the chunk size, Map is a loop.
func TestMapEqualsALoop(t *testing.T) {
	for _, chunk := range []int{1, 3, 10, 50} {
		t.Run(fmt.Sprint("chunk ", chunk), func(t *testing.T) {
			each(t, func(t *testing.T, ex opened) {
				in, _ := upTo(10)
				got, err := executor.Collect(executor.Map(t.Context(), ex, double, in, executor.ChunkSize(chunk)))
				want := []int{0, 2, 4, 6, 8, 10, 12, 14, 16, 18}
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("Map(0..9) = %v, %v; want %v", got, err, want)
				}
			})
		})
	}
}

// MAP-01: results are in the order of the items though the calls end in the
// opposite one.
func TestMapYieldsInTheOrderOfTheItems(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 10}
		defer ex.Close()
		in, _ := upTo(10)
		laterIsFaster := func(_ context.Context, i int) (int, error) {
			time.Sleep(time.Duration(10-i) * time.Second)
			return i, nil
		}
		got, err := executor.Collect(executor.Map(t.Context(), ex, laterIsFaster, in))
		if want := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}; err != nil || !slices.Equal(got, want) {
			t.Errorf("Map = %v, %v; want %v", got, err, want)
		}
	})
}

// MAP-02, D29: what is wrong with the arguments is the only thing yielded, and
// no work begins.
func TestMapWithAWrongArgumentYieldsOneErrorBeforeAnyWork(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		in, pulled := upTo(3)
		ctx := t.Context()
		for name, seq := range map[string]iter.Seq2[int, error]{
			"chunk size 0":  executor.Map(ctx, ex, double, in, executor.ChunkSize(0)),
			"chunk size -1": executor.Map(ctx, ex, double, in, executor.ChunkSize(-1)),
			"buffer 0":      executor.Map(ctx, ex, double, in, executor.Buffer(0)),
			"buffer -1":     executor.Map(ctx, ex, double, in, executor.Buffer(-1), executor.Unordered()),
			"nil function":  executor.Map[int, int](ctx, ex, nil, in),
			"nil ctx":       executor.Map(nilCtx, ex, double, in),
			"nil executor":  executor.Map(ctx, nil, double, in),
			"nil source":    executor.Map(ctx, ex, double, nil),
		} {
			errs := 0
			for v, err := range seq {
				if errs++; err == nil {
					t.Errorf("%s: yielded %v, nil; want an error", name, v)
				}
			}
			if errs != 1 {
				t.Errorf("%s: %d errors; want 1", name, errs)
			}
		}
		if n := pulled.Load(); n != 0 || ex.Stats().Submitted != 0 {
			t.Errorf("%d items pulled, %d calls submitted; want 0, 0", n, ex.Stats().Submitted)
		}
	})
}

// D29: an interface that holds a nil pointer, and an option that is nil, are
// silly input too.
func TestMapSurvivesNilPointersAndOptions(t *testing.T) {
	t.Run("nil *ThreadPoolExecutor", func(t *testing.T) {
		wantOneError(t, func() iter.Seq2[int, error] {
			return executor.Map(t.Context(), (*executor.ThreadPoolExecutor)(nil), double, slices.Values([]int{1, 2}))
		})
	})
	t.Run("nil *ThreadPerTask", func(t *testing.T) {
		wantOneError(t, func() iter.Seq2[int, error] {
			return executor.Map(t.Context(), (*executor.ThreadPerTask)(nil), double, slices.Values([]int{1, 2}))
		})
	})
	t.Run("nil *Sequential", func(t *testing.T) {
		wantOneError(t, func() iter.Seq2[int, error] {
			return executor.Map(t.Context(), (*executor.Sequential)(nil), double, slices.Values([]int{1, 2}))
		})
	})
	t.Run("nil option", func(t *testing.T) {
		wantOneError(t, func() iter.Seq2[int, error] {
			return executor.Map(t.Context(), &executor.Sequential{}, double, slices.Values([]int{1, 2}), nil)
		})
	})
}

// wantOneError checks that a Map yields exactly one pair, with an error.
func wantOneError(t *testing.T, mapped func() iter.Seq2[int, error]) {
	t.Helper()
	defer func() {
		if v := recover(); v != nil {
			t.Errorf("panicked: %v; want one error", v)
		}
	}()
	var errs []error
	for _, err := range mapped() {
		errs = append(errs, err)
	}
	if len(errs) != 1 || errs[0] == nil {
		t.Errorf("errors = %v; want exactly one", errs)
	}
}

// MAP-03: Collect has the results before the failure, stops at it, and leaves
// nothing behind.
func TestCollectStopsAtTheFirstError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		in, _ := upTo(8)
		var started []int // by the only worker
		var told error
		fn := func(ctx context.Context, i int) (int, error) {
			started = append(started, i)
			switch i {
			case 0:
				time.Sleep(time.Second) // until the window is full
			case 2:
				return 0, itemError(2)
			case 3: // runs when the loop ends
				<-ctx.Done()
				told = context.Cause(ctx)
				time.Sleep(time.Second)
			}
			return i, nil
		}
		var seen []int
		got, err := executor.Collect(func(yield func(int, error) bool) {
			for v, err := range executor.Map(t.Context(), ex, fn, in, executor.Buffer(6)) {
				if err == nil {
					seen = append(seen, v)
				} else {
					synctest.Wait() // until 3 runs
				}
				if !yield(v, err) {
					return
				}
			}
			t.Error("the iteration went on after the error")
		})
		if err != itemError(2) || got != nil || !slices.Equal(seen, []int{0, 1}) {
			t.Errorf("Collect = %v, %v after %v; want nil, item 2 after [0 1]", got, err, seen)
		}
		if !slices.Equal(started, []int{0, 1, 2, 3}) {
			t.Errorf("started %v; want [0 1 2 3]: the rest is cancelled", started)
		}
		if !errors.Is(told, executor.ErrCancelled) {
			t.Errorf("the running call was told %v; want ErrCancelled", told)
		}
	})
}

// MAP-03, FEATURES 9.1 item 11: Map itself goes on after an error, which has
// its place among the results.
func TestMapYieldsErrorsInPlaceAndGoesOn(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		in, _ := upTo(4)
		i := 0
		for v, err := range executor.Map(t.Context(), ex, oddFails, in) {
			if wantV, wantErr := oddFails(nilCtx, i); v != wantV || err != wantErr {
				t.Errorf("item %d = %v, %v; want %v, %v", i, v, err, wantV, wantErr)
			}
			i++
		}
		if i != 4 {
			t.Errorf("%d outcomes; want 4", i)
		}
	})
}

// oddFails returns a value along with the error, as functions may.
func oddFails(_ context.Context, i int) (int, error) {
	if i%2 == 1 {
		return -i, itemError(i)
	}
	return i, nil
}

// MAP-04, FEATURES 9.1 item 10: a failed item, by whatever means, costs its
// neighbours in the chunk nothing.
func TestEachItemOfAChunkHasItsOwnOutcome(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		in, _ := upTo(20)
		fn := func(_ context.Context, i int) (int, error) {
			switch i {
			case 7:
				return -7, itemError(7)
			case 8:
				panic(itemError(8))
			case 9:
				runtime.Goexit()
			}
			return i, nil
		}
		i := 0
		for v, err := range executor.Map(t.Context(), ex, fn, in, executor.ChunkSize(4)) {
			ok := v == i && err == nil
			var panicked *executor.PanicError
			switch i {
			case 7:
				ok = v == -7 && err == itemError(7)
			case 8:
				ok = errors.As(err, &panicked) && errors.Is(err, itemError(8))
			case 9:
				ok = err == executor.ErrGoexit
			}
			if !ok {
				t.Errorf("item %d = %v, %v", i, v, err)
			}
			i++
		}
		if i != 20 {
			t.Errorf("%d outcomes; want 20", i)
		}
	})
}

// MAP-05, FEATURES 9.1 item 5: two results, then one error that matches ctx's;
// what has not started is cancelled, what runs is told and waited for.
func TestMapWhoseDeadlinePassesYieldsWhatIsThereAndOneError(t *testing.T) {
	for name, opts := range map[string][]executor.MapOption{"ordered": nil, "unordered": {executor.Unordered()}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
				defer ex.Close()
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				var calls tally
				var told error
				fn := func(ctx context.Context, i int) (int, error) {
					defer calls.begin()()
					if i == 2 {
						<-ctx.Done()
						told = ctx.Err()
						time.Sleep(5 * time.Second)
						return i, nil
					}
					time.Sleep(time.Second)
					return i, nil
				}
				in, _ := upTo(6)
				begin := time.Now()
				var got []int
				var errs []error
				for v, err := range executor.Map(ctx, ex, fn, in, append(opts, executor.Buffer(6))...) {
					if err == nil {
						got = append(got, v)
					} else if errs = append(errs, err); time.Since(begin) != 10*time.Second {
						t.Errorf("error after %v; want 10s", time.Since(begin))
					}
				}
				if !slices.Equal(got, []int{0, 1}) {
					t.Errorf("results %v; want [0 1]", got)
				}
				if len(errs) != 1 || !errors.Is(errs[0], context.DeadlineExceeded) {
					t.Errorf("errors %v; want one that matches DeadlineExceeded", errs)
				}
				if told != context.DeadlineExceeded || calls.started.Load() != 3 {
					t.Errorf("running call told %v, %d started; want DeadlineExceeded, 3", told, calls.started.Load())
				}
				if calls.running.Load() != 0 || time.Since(begin) != 15*time.Second {
					t.Errorf("ended after %v with %d running; want 15s, 0", time.Since(begin), calls.running.Load())
				}
			})
		})
	}
}

// MAP-05, FEATURES 9.1 item 5: a result that is there is yielded after the
// deadline too.
func TestMapYieldsReadyResultsAfterCtxHasEnded(t *testing.T) {
	for name, opts := range map[string][]executor.MapOption{"ordered": nil, "unordered": {executor.Unordered()}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ex := &executor.ThreadPoolExecutor{MaxWorkers: 4}
				defer ex.Close()
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				in, pulled := upTo(endless)
				var got []int
				var errs []error
				for v, err := range executor.Map(ctx, ex, double, in, append(opts, executor.Buffer(4))...) {
					if err != nil {
						errs = append(errs, err)
						continue
					}
					if got = append(got, v); len(got) == 1 {
						synctest.Wait() // until the calls ahead have ended
						cancel(errBoom)
					}
				}
				// One has been yielded, and the others were there.
				if n := int(pulled.Load()) - 1; len(got) != n || n < 1 { // one was pulled and not submitted
					t.Errorf("%d results, %v; want the %d that were submitted", len(got), got, n)
				}
				if len(errs) != 1 || !errors.Is(errs[0], context.Canceled) || !errors.Is(errs[0], errBoom) {
					t.Errorf("errors %v; want one that matches context.Canceled and the cause", errs)
				}
			})
		})
	}
}

// CTX-01 for Map.
func TestMapWithAnEndedCtxRunsNothing(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		for _, opts := range [][]executor.MapOption{nil, {executor.ChunkSize(3)}, {executor.Unordered()}} {
			in, _ := upTo(10)
			var errs []error
			for _, err := range executor.Map(ended(), ex, double, in, opts...) {
				errs = append(errs, err)
			}
			if len(errs) != 1 || !errors.Is(errs[0], context.Canceled) || ex.Stats().Submitted != 0 {
				t.Errorf("errors %v, %d calls; want one that matches context.Canceled, 0", errs, ex.Stats().Submitted)
			}
		}
	})
}

// MAP-06.
func TestMapOfNothingIsEmptyAndStartsNoWorker(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		once := func(yield func(int) bool) {}
		for name, in := range map[string]iter.Seq[int]{"empty": slices.Values([]int{}), "exhausted": once} {
			for range 2 {
				got, err := executor.Collect(executor.Map(t.Context(), ex, double, in, executor.ChunkSize(3)))
				if err != nil || got == nil || len(got) != 0 {
					t.Errorf("%s: %v, %v; want [] that is not nil", name, got, err)
				}
			}
		}
		if s := ex.Stats(); s != (executor.Stats{}) {
			t.Errorf("Stats = %+v; want zeros", s)
		}
	})
}

// MAP-07, D12: with calls that block, exactly min(b, n) start, and one more for
// each result that is taken. Results that are there are yielded before more is
// pulled, so that with other calls it is at most that.
func TestMapIsBufferItemsAhead(t *testing.T) {
	for _, b := range []int{1, 5, 10} {
		t.Run(fmt.Sprint("buffer ", b), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ex := &executor.ThreadPoolExecutor{MaxWorkers: 20}
				defer ex.Close()
				var calls tally
				var gates [5]gate
				for i := range gates {
					gates[i] = newGate()
				}
				fn := func(ctx context.Context, i int) (int, error) {
					defer calls.begin()()
					return gates[i].pass(ctx, i)
				}
				in, pulled := upTo(5)
				yielded, take := make(chan int, 1), make(chan struct{})
				go func() {
					for v := range executor.Map(t.Context(), ex, fn, in, executor.Buffer(b)) {
						yielded <- v
						<-take
					}
				}()
				for i := range 5 {
					synctest.Wait()
					want := int64(min(b+i, 5))
					if got := calls.started.Load(); got != want || pulled.Load() != want {
						t.Errorf("before result %d: %d started, %d pulled; want %d", i, got, pulled.Load(), want)
					}
					gates[i].open()
					if v := <-yielded; v != i {
						t.Errorf("result %d = %d", i, v)
					}
					synctest.Wait()
					if got := calls.started.Load(); got != want {
						t.Errorf("while result %d is looked at: %d started; want %d", i, got, want)
					}
					take <- struct{}{}
				}
			})
		})
	}
}

// D12: the window is twice Workers, twice GOMAXPROCS if there is no limit.
func TestMapIsTwiceWorkersAheadByDefault(t *testing.T) {
	for name, row := range map[string]struct {
		ex   opened
		opts []executor.MapOption
		want int
	}{
		"ThreadPoolExecutor": {&executor.ThreadPoolExecutor{MaxWorkers: 3}, nil, 6},
		"unordered":          {&executor.ThreadPoolExecutor{MaxWorkers: 3}, []executor.MapOption{executor.Unordered()}, 6},
		"whole chunks":       {&executor.ThreadPoolExecutor{MaxWorkers: 3}, []executor.MapOption{executor.ChunkSize(4)}, 4},
		"long chunks":        {&executor.ThreadPoolExecutor{MaxWorkers: 3}, []executor.MapOption{executor.ChunkSize(100)}, 100},
		"ThreadPerTask":      {&executor.ThreadPerTask{}, nil, 2 * runtime.GOMAXPROCS(0)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				defer row.ex.Close()
				in, pulled := upTo(endless)
				held := func(ctx context.Context, i int) (int, error) { <-ctx.Done(); return i, nil }
				ctx, cancel := context.WithCancel(t.Context())
				over := make(chan struct{})
				go func() {
					defer close(over)
					for range executor.Map(ctx, row.ex, held, in, row.opts...) {
					}
				}()
				synctest.Wait()
				if got := int(pulled.Load()); got != row.want {
					t.Errorf("%d items ahead; want %d", got, row.want)
				}
				cancel()
				<-over
			})
		})
	}
}

// D12: one result for each pull once the window is full, and those that are
// there go first.
func TestMapYieldsOneResultForEachPull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 3}
		defer ex.Close()
		yielded := 0
		in := func(yield func(int) bool) {
			for i := range 20 {
				time.Sleep(time.Second) // what was submitted has ended
				if want := max(0, i-1); yielded != want {
					t.Errorf("item %d is pulled after %d results; want %d", i, yielded, want)
				}
				if !yield(i) {
					return
				}
			}
		}
		// The call of an item has not ended when the item was just submitted,
		// so that its result comes with the pull of the next.
		for range executor.Map(t.Context(), &lateExecutor{ex}, double, in) {
			yielded++
		}
		if yielded != 20 {
			t.Errorf("%d results; want 20", yielded)
		}
	})
}

// lateExecutor is an executor whose calls never end before Submit has
// returned.
type lateExecutor struct{ executor.Executor }

func (e *lateExecutor) Execute(ctx context.Context, c *executor.Call) {
	time.AfterFunc(time.Nanosecond, func() { c.Run(ctx) })
}

// D12: an item is submitted when it is pulled, however long the source makes
// the next one wait.
func TestMapSubmitsAnItemWhenItIsPulled(t *testing.T) {
	eachBubble(t, func(t *testing.T, ex opened) {
		begin := time.Now()
		in := func(yield func(int) bool) {
			for i := range 4 {
				if !yield(i) {
					return
				}
				time.Sleep(time.Minute)
			}
		}
		stamp := func(context.Context, int) (time.Duration, error) { return time.Since(begin), nil }
		got, err := executor.Collect(executor.Map(t.Context(), ex, stamp, in))
		if want := []time.Duration{0, time.Minute, 2 * time.Minute, 3 * time.Minute}; err != nil || !slices.Equal(got, want) {
			t.Errorf("calls began after %v, %v; want %v", got, err, want)
		}
	})
}

// D12, FEATURES 9.1 item 13: the source is pulled on the goroutine that ranges,
// so it needs no lock of its own.
func TestMapPullsTheSourceOnTheGoroutineThatRanges(t *testing.T) {
	for _, opts := range [][]executor.MapOption{nil, {executor.ChunkSize(3)}, {executor.Unordered()}} {
		each(t, func(t *testing.T, ex opened) {
			unguarded := 0 // the race detector watches it
			in := func(yield func(int) bool) {
				for ; unguarded < 100; unguarded++ {
					if !yield(unguarded) {
						return
					}
				}
			}
			n := 0
			for range executor.Map(t.Context(), ex, double, in, opts...) {
				n++
				unguarded *= 1 // by whoever ranges
			}
			if n != 100 {
				t.Errorf("%d results; want 100", n)
			}
		})
	}
}

// MAP-08, D12.
func TestMapThatIsNotRangedOverRunsNothing(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		in, pulled := upTo(5)
		seq := executor.Map(t.Context(), ex, double, in)
		if s := ex.Stats(); s != (executor.Stats{}) || pulled.Load() != 0 {
			t.Errorf("Stats = %+v, %d pulled; want zeros", s, pulled.Load())
		}
		for range 2 { // each range is a run of its own
			if got, err := executor.Collect(seq); err != nil || len(got) != 5 {
				t.Errorf("Collect = %v, %v; want 5 results", got, err)
			}
		}
	})
}

// MAP-09: a panic of the source arrives where the loop is, after what was
// yielded, and the executor is as before.
func TestMapHandsOnThePanicOfItsSource(t *testing.T) {
	for _, opts := range [][]executor.MapOption{nil, {executor.ChunkSize(4)}, {executor.Unordered()}} {
		for _, at := range []int{0, 5, 19} {
			eachBubble(t, func(t *testing.T, ex opened) {
				var calls tally
				fn := func(ctx context.Context, i int) (int, error) {
					defer calls.begin()()
					if i >= 4 { // the last ones run when the source panics
						select {
						case <-ctx.Done():
						case <-time.After(time.Second):
						}
					}
					return i, nil
				}
				got := 0
				recovered := func() (v any) {
					defer func() { v = recover() }()
					for _, err := range executor.Map(t.Context(), ex, fn, sourcePanicsAt(at), opts...) {
						if err == nil {
							got++
						}
					}
					return nil
				}()
				if recovered != itemError(at) || got > at {
					t.Errorf("panic %v after %d results; want item %d and at most %d", recovered, got, at, at)
				}
				if n := calls.running.Load(); n != 0 {
					t.Errorf("%d calls run after the panic; want 0", n)
				}
				if v, err := executor.Submit(t.Context(), ex, double, 21).Result(t.Context()); v != 42 || err != nil {
					t.Errorf("the executor afterwards: %v, %v; want 42", v, err)
				}
			})
		}
	}
}

func sourcePanicsAt(at int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range 20 {
			if i == at {
				panic(itemError(at))
			}
			if !yield(i) {
				return
			}
		}
	}
}

// MAP-10, MAP-12, D12: break cancels what has not started, tells what runs and
// waits for it, stops the source, and leaves nothing behind.
func TestBreakingOutOfMapLeavesNothingBehind(t *testing.T) {
	for name, opts := range map[string][]executor.MapOption{
		"ordered":   {executor.Buffer(10)},
		"unordered": {executor.Buffer(10), executor.Unordered()},
		"chunks":    {executor.Buffer(10), executor.ChunkSize(1)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
				defer ex.Close()
				var calls tally
				var mu sync.Mutex
				var told []error
				fn := func(ctx context.Context, i int) (int, error) {
					defer calls.begin()()
					if i > 0 {
						<-ctx.Done()
						mu.Lock()
						told = append(told, context.Cause(ctx))
						mu.Unlock()
						time.Sleep(time.Second) // holds its worker while the rest is cancelled
					} else {
						time.Sleep(time.Second) // until the window is full
					}
					return i, nil
				}
				sourceEnded := false
				in := func(yield func(int) bool) {
					defer func() { sourceEnded = true }()
					for i := range endless {
						if !yield(i) {
							return
						}
					}
				}
				var left time.Time
				for v, err := range executor.Map(t.Context(), ex, fn, in, opts...) {
					if v != 0 || err != nil {
						t.Errorf("first result %v, %v; want 0", v, err)
					}
					synctest.Wait() // until both workers are in a call
					left = time.Now()
					break
				}
				if !sourceEnded {
					t.Error("the source still runs")
				}
				if calls.started.Load() != 3 || calls.running.Load() != 0 || time.Since(left) != time.Second {
					t.Errorf("%d started, %d running %v after break; want 3, 0, 1s",
						calls.started.Load(), calls.running.Load(), time.Since(left))
				}
				if len(told) != 2 {
					t.Errorf("%d running calls were told; want 2", len(told))
				}
				for _, err := range told {
					if !errors.Is(err, executor.ErrCancelled) {
						t.Errorf("a running call was told %v; want ErrCancelled", err)
					}
				}
				if s := ex.Stats(); s.Queued != 0 || s.Running != 0 || s.Submitted != s.Succeeded+s.Cancelled {
					t.Errorf("Stats = %+v; want nothing queued or running, all accounted for", s)
				}
			})
		})
	}
}

// MAP-10: what runs is told last, so that no call takes the place of one that
// has returned at once.
func TestBreakingOutOfMapStartsNothing(t *testing.T) {
	for name, opts := range map[string][]executor.MapOption{
		"ordered":   {executor.Buffer(5000)},
		"unordered": {executor.Buffer(5000), executor.Unordered()},
	} {
		t.Run(name, func(t *testing.T) {
			for range 10 { // of a race between Map and its workers
				synctest.Test(t, func(t *testing.T) {
					ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
					defer ex.Close()
					var calls tally
					fn := func(ctx context.Context, i int) (int, error) {
						defer calls.begin()()
						if i > 0 {
							<-ctx.Done()
						} else {
							time.Sleep(time.Second) // until the window is full
						}
						return i, nil
					}
					in, _ := upTo(endless)
					for range executor.Map(t.Context(), ex, fn, in, opts...) {
						synctest.Wait()
						break
					}
					if n := calls.started.Load(); n != 3 {
						t.Errorf("%d calls started; want 3: the one that was yielded, and one for each worker", n)
					}
				})
			}
		})
	}
}

// MAP-10: a panic of the loop body is a way to leave the loop.
func TestAPanicInTheLoopOverMapLeavesNothingBehind(t *testing.T) {
	eachBubble(t, func(t *testing.T, ex opened) {
		var calls tally
		fn := func(ctx context.Context, i int) (int, error) {
			defer calls.begin()()
			if i > 0 && ex.Workers() != 1 {
				<-ctx.Done()
			}
			return i, nil
		}
		in, _ := upTo(endless)
		defer func() {
			if v := recover(); v != errBoom || calls.running.Load() != 0 {
				t.Errorf("recovered %v with %d running; want %v, 0", v, calls.running.Load(), errBoom)
			}
		}()
		for range executor.Map(t.Context(), ex, fn, in) {
			panic(errBoom)
		}
	})
}

// MAP-11.
func TestTwoMapsOfOneConsumerDoNotMeet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		in, _ := upTo(10)
		nextA, stopA := iter.Pull2(executor.Map(t.Context(), ex, double, in))
		defer stopA()
		nextB, stopB := iter.Pull2(executor.Map(t.Context(), ex, oddFails, in, executor.ChunkSize(3)))
		defer stopB()
		for i := range 10 {
			a, errA, okA := nextA()
			b, errB, okB := nextB()
			if wantB, wantErrB := oddFails(nilCtx, i); a != 2*i || errA != nil || !okA || b != wantB || errB != wantErrB || !okB {
				t.Errorf("step %d: %v %v %v, %v %v %v", i, a, errA, okA, b, errB, okB)
			}
		}
	})
}

// MAP-12: a consumer that stops halfway, with results of 1 MB that nobody
// takes.
func TestStoppingAPulledMapLeavesNothingBehind(t *testing.T) {
	eachBubble(t, func(t *testing.T, ex opened) {
		var calls tally
		large := func(context.Context, int) ([]byte, error) {
			defer calls.begin()()
			return make([]byte, 1<<20), nil
		}
		in, pulled := upTo(endless)
		next, stop := iter.Pull2(executor.Map(t.Context(), ex, large, in))
		for range 2 {
			if v, err, ok := next(); len(v) != 1<<20 || err != nil || !ok {
				t.Errorf("next = %d bytes, %v, %v; want 1 MB", len(v), err, ok)
			}
		}
		stop()
		if n := pulled.Load(); calls.running.Load() != 0 || n > int64(2+2*max(ex.Workers(), runtime.GOMAXPROCS(0))) {
			t.Errorf("%d running, %d pulled after stop", calls.running.Load(), n)
		}
		synctest.Wait()
		if s := ex.Stats(); s.Queued+s.Running != 0 {
			t.Errorf("Stats = %+v; want nothing queued or running", s)
		}
	})
}

// MAP-13.
func TestUnorderedMapYieldsWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
		defer ex.Close()
		fn := func(_ context.Context, i int) (int, error) {
			if i == 0 {
				time.Sleep(30 * time.Second)
			} else {
				time.Sleep(time.Second)
			}
			return i, nil
		}
		in, _ := upTo(10)
		var got []int
		begin := time.Now()
		for v, err := range executor.Map(t.Context(), ex, fn, in, executor.Unordered()) {
			if got = append(got, v); err != nil {
				t.Errorf("%v, %v", v, err)
			}
			if want := time.Duration(len(got)) * time.Second; v != 0 && time.Since(begin) != want {
				t.Errorf("%v came after %v; want %v", v, time.Since(begin), want)
			}
		}
		if want := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 0}; !slices.Equal(got, want) {
			t.Errorf("order %v; want %v", got, want)
		}
	})
}

// MAP-14: an input that nobody will ever finish does not make the end silent.
func TestMapOnAnExecutorThatIsShutDownEndsWithErrShutdown(t *testing.T) {
	for name, shutDown := range map[string]func(opened){
		"Close":    func(ex opened) { ex.Close() },
		"Shutdown": func(ex opened) { ex.Shutdown(ended()) },
	} {
		for _, opts := range [][]executor.MapOption{nil, {executor.ChunkSize(2)}, {executor.Unordered()}} {
			t.Run(name, func(t *testing.T) {
				eachBubble(t, func(t *testing.T, ex opened) {
					in, _ := upTo(endless)
					n := 0
					var last error
					for _, err := range executor.Map(t.Context(), ex, double, in, opts...) {
						if n++; n == 5 {
							shutDown(ex)
						}
						if last = err; errors.Is(err, executor.ErrShutdown) {
							n = -1 << 30 // to see that nothing comes after it
						}
					}
					if !errors.Is(last, executor.ErrShutdown) || n != -1<<30 {
						t.Errorf("the last error is %v, %d after it; want ErrShutdown, 0", last, n+1<<30)
					}
				})
			})
		}
	}
}

// MAP-15, D7: the inner map makes its calls in the place of the outer one.
func TestMapOverAMapOfTheSameExecutor(t *testing.T) {
	for name, opts := range map[string][]executor.MapOption{
		"ordered": nil, "unordered": {executor.Unordered()}, "chunks": {executor.ChunkSize(2)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
				defer ex.Close()
				var calls tally
				leaf := func(_ context.Context, i int) (int, error) {
					defer calls.begin()()
					time.Sleep(time.Second)
					return i, nil
				}
				branch := func(ctx context.Context, n int) (int, error) {
					in, _ := upTo(n)
					sum := 0
					for v, err := range executor.Map(ctx, ex, leaf, in, opts...) {
						if err != nil {
							return 0, err
						}
						sum += v
					}
					return sum, nil
				}
				in, _ := upTo(5)
				sum := 0
				for v, err := range executor.Map(t.Context(), ex, branch, in, opts...) {
					if sum += v; err != nil {
						t.Error(err)
					}
				}
				if sum != 0+0+1+3+6 || calls.most.Load() != 1 {
					t.Errorf("sum %d with %d leaves at once; want 10, 1", sum, calls.most.Load())
				}
			})
		})
	}
}

// A result that the consumer drops is collectable, also before the next
// has been yielded.
func TestMapDoesNotHoldWhatItHasYielded(t *testing.T) {
	type large struct{ _ [1 << 16]byte }
	for name, opts := range map[string][]executor.MapOption{
		"ordered":          {executor.Buffer(20)},
		"unordered":        {executor.Buffer(20), executor.Unordered()},
		"chunks":           {executor.ChunkSize(2)},
		"unordered chunks": {executor.ChunkSize(3), executor.Unordered()},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, ex opened) {
				var mu sync.Mutex
				args := map[int]weak.Pointer[large]{}
				fn := func(_ context.Context, in *large) (*large, error) { return new(large), nil }
				source := func(yield func(*large) bool) {
					for i := range 30 {
						arg := new(large)
						mu.Lock()
						args[i] = weak.Make(arg)
						mu.Unlock()
						if !yield(arg) {
							return
						}
					}
				}
				var yielded []weak.Pointer[large]
				for v := range executor.Map(t.Context(), ex, fn, source, opts...) {
					yielded = append(yielded, weak.Make(v))
					v = nil
					for i, p := range yielded {
						if !collected(p) {
							t.Errorf("result %d is held when result %d has been yielded", i, len(yielded)-1)
						}
					}
				}
				for i, arg := range args {
					if !collected(arg) {
						t.Errorf("argument %d is held after the loop", i)
					}
				}
				if len(yielded) != 30 {
					t.Errorf("%d results; want 30", len(yielded))
				}
			})
		})
	}
}

// collected reports whether nothing holds what p points to. It gives goroutines
// that are on their way from it the time to go.
func collected[T any](p weak.Pointer[T]) bool {
	for range 100 {
		if p.Value() == nil {
			return true
		}
		runtime.GC()
		runtime.Gosched()
	}
	return p.Value() == nil
}

// MAP-17.
func TestUnorderedMapYieldsEachResultOnce(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		in, _ := upTo(1000)
		got, err := executor.Collect(executor.Map(t.Context(), ex, double, in, executor.Unordered(), executor.ChunkSize(53)))
		slices.Sort(got)
		if err != nil || len(got) != 1000 {
			t.Fatalf("%d results, %v; want 1000", len(got), err)
		}
		for i, v := range got {
			if v != 2*i {
				t.Fatalf("sorted result %d = %d; want %d", i, v, 2*i)
			}
		}
	})
}

// MAP-18: each range is a run of its own, so one Map may be ranged over by
// several goroutines if its source may.
func TestMapMayBeRangedOverByManyGoroutines(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		seq := executor.Map(t.Context(), ex, double, slices.Values([]int{1, 2, 3, 4, 5}))
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if got, err := executor.Collect(seq); err != nil || !slices.Equal(got, []int{2, 4, 6, 8, 10}) {
					t.Errorf("Collect = %v, %v; want [2 4 6 8 10]", got, err)
				}
			})
		}
		wg.Wait()
	})
}

// mapPlan is a random Map: what each of its items does, and how it is run.
type mapPlan struct {
	items     []itemPlan
	kind      string
	workers   int
	limit     int // QueueLimit
	chunk     int // 0: not given
	buffer    int // 0: not given
	unordered bool
	leave     int // after so many outcomes; -1: never
}

// itemPlan is what the function does with an item.
type itemPlan struct {
	does string // return, fail, panic, Goexit
	nap  time.Duration
}

func drawItems(rt *rapid.T) []itemPlan {
	item := rapid.Custom(func(rt *rapid.T) itemPlan {
		return itemPlan{
			does: rapid.SampledFrom([]string{"return", "return", "return", "fail", "panic", "Goexit"}).Draw(rt, "does"),
			nap:  time.Duration(rapid.IntRange(0, 3).Draw(rt, "nap")) * time.Second,
		}
	})
	return rapid.SliceOfN(item, 0, 40).Draw(rt, "items")
}

func drawMapPlan(rt *rapid.T) mapPlan {
	p := mapPlan{
		items:     drawItems(rt),
		kind:      rapid.SampledFrom([]string{"ThreadPoolExecutor", "ThreadPerTask", "Sequential"}).Draw(rt, "kind"),
		workers:   rapid.IntRange(1, 4).Draw(rt, "workers"),
		limit:     rapid.IntRange(0, 3).Draw(rt, "limit"),
		chunk:     rapid.IntRange(0, 9).Draw(rt, "chunk"),
		buffer:    rapid.IntRange(0, 12).Draw(rt, "buffer"),
		unordered: rapid.Bool().Draw(rt, "unordered"),
		leave:     -1,
	}
	if rapid.Bool().Draw(rt, "leaves") {
		p.leave = rapid.IntRange(1, 20).Draw(rt, "leave")
	}
	return p
}

// open returns the executor of a plan.
func open(kind string, workers, limit int) opened {
	switch kind {
	case "ThreadPerTask":
		return &executor.ThreadPerTask{}
	case "Sequential":
		return &executor.Sequential{}
	}
	return &executor.ThreadPoolExecutor{MaxWorkers: workers, QueueLimit: limit}
}

func (p mapPlan) options() (opts []executor.MapOption) {
	if p.chunk > 0 {
		opts = append(opts, executor.ChunkSize(p.chunk))
	}
	if p.buffer > 0 {
		opts = append(opts, executor.Buffer(p.buffer))
	}
	if p.unordered {
		opts = append(opts, executor.Unordered())
	}
	return opts
}

// ahead is the most items that may be ahead of what was yielded.
func (p mapPlan) ahead(ex executor.Executor) int {
	n := p.buffer
	if n == 0 {
		if n = ex.Workers(); n == 0 {
			n = runtime.GOMAXPROCS(0)
		}
		n *= 2
	}
	return max(n, p.chunk)
}

// makeItem is the function of the random tests.
func makeItem(items []itemPlan, calls *tally) executor.Func[int, int] {
	return func(_ context.Context, i int) (int, error) {
		defer calls.begin()()
		time.Sleep(items[i].nap)
		switch items[i].does {
		case "fail":
			return -i, itemError(i)
		case "panic":
			panic(itemError(i))
		case "Goexit":
			runtime.Goexit()
		}
		return i, nil
	}
}

// outcomeOf says what became of an item, as a loop would see it.
func outcomeOf(i int, does string) string {
	switch does {
	case "fail":
		return fmt.Sprintf("%d, item %d", -i, i)
	case "panic":
		return fmt.Sprintf("0, panic item %d", i)
	case "Goexit":
		return "0, Goexit"
	}
	return fmt.Sprintf("%d, <nil>", i)
}

// seenAs says the same of what was yielded.
func seenAs(v int, err error) string {
	var item itemError
	var panicked *executor.PanicError
	switch {
	case err == executor.ErrGoexit:
		return fmt.Sprintf("%d, Goexit", v)
	case errors.As(err, &panicked) && errors.As(err, &item) && len(panicked.Stack) > 0:
		return fmt.Sprintf("%d, panic %v", v, item)
	}
	return fmt.Sprintf("%d, %v", v, err)
}

// run runs the plan in a bubble of its own and returns what is wrong.
func (p mapPlan) run(t *testing.T) (wrong string) {
	synctest.Test(t, func(t *testing.T) {
		ex := open(p.kind, p.workers, p.limit)
		defer ex.Close()
		var calls tally
		in, pulled := upTo(len(p.items))
		var got []string
		ahead := 0
		for v, err := range executor.Map(t.Context(), ex, makeItem(p.items, &calls), in, p.options()...) {
			ahead = max(ahead, int(pulled.Load())-len(got))
			if got = append(got, seenAs(v, err)); len(got) == p.leave {
				break
			}
		}
		if calls.running.Load() != 0 {
			wrong = fmt.Sprintf("%d calls run after the loop", calls.running.Load())
		}
		if ahead > p.ahead(ex) {
			wrong = fmt.Sprintf("%d items ahead; want at most %d", ahead, p.ahead(ex))
		}
		if w := int64(ex.Workers()); w > 0 && calls.most.Load() > w {
			wrong = fmt.Sprintf("%d calls at once; want at most %d", calls.most.Load(), w)
		}
		synctest.Wait()
		if s := ex.Stats(); s.Queued+s.Running != 0 || s.Submitted != s.Succeeded+s.Failed+s.Cancelled {
			wrong = fmt.Sprintf("Stats after the loop = %+v", s)
		}
		var want []string
		for i, item := range p.items {
			want = append(want, outcomeOf(i, item.does))
		}
		n := len(want)
		if p.leave >= 0 {
			n = min(n, p.leave)
		}
		switch {
		case len(got) != n:
			wrong = fmt.Sprintf("%d outcomes %q; want %d of %q", len(got), got, n, want)
		case !p.unordered && !slices.Equal(got, want[:n]):
			wrong = fmt.Sprintf("outcomes %q; want %q", got, want[:n])
		case p.unordered && !isPartOf(got, want):
			wrong = fmt.Sprintf("outcomes %q; want some %d of %q", got, n, want)
		}
	})
	return wrong
}

// isPartOf reports whether the multiset part is within whole.
func isPartOf(part, whole []string) bool {
	count := map[string]int{}
	for _, s := range whole {
		count[s]++
	}
	for _, s := range part {
		if count[s]--; count[s] < 0 {
			return false
		}
	}
	return true
}

// MAP-01, 03, 04, 07, 10, 13, 17; D6, D12: any Map is the loop that it stands
// for.
func TestAnyMapEqualsALoop(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := drawMapPlan(rt)
		if wrong := p.run(t); wrong != "" {
			rt.Fatalf("%s\n%+v", wrong, p)
		}
	})
}
