package executor_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/gofutures/futures/executor"
)

// Whatever the chunk size, Map is a loop.
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

// Results are in the order of the items though the calls end in the
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

// What is wrong with the arguments is the only thing yielded, and
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

// An interface that holds a nil pointer, and an option that is nil, are
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

// Collect has the results before the failure, stops at it, and leaves
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

// Map itself goes on after an error, which has
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

// A failed item, by whatever means, costs its
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

// The inner map makes its calls in the place of the outer one.
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

// Each range is a run of its own, so one Map may be ranged over by
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
