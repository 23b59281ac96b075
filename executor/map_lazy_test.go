package executor_test

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor"
)

// With calls that block, exactly min(b, n) start, and one more for
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

// The window is twice Workers, twice GOMAXPROCS if there is no limit.
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

// One result for each pull once the window is full, and those that are
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

// An item is submitted when it is pulled, however long the source makes
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

// The source is pulled on the goroutine that ranges,
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

// A panic of the source arrives where the loop is, after what was
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
