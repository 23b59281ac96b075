package executor_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"pgregory.net/rapid"

	"github.com/gofutures/futures/executor"
)

// numbers returns 0 to n-1.
func numbers(n int) []int {
	in := make([]int, n)
	for i := range in {
		in[i] = i
	}
	return in
}

func TestMapSliceEqualsALoop(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		for _, n := range []int{0, 1, 2, 3, 10, 1000} {
			for _, chunk := range []int{0, 1, 3, 10, 50, math.MaxInt} {
				var opts []executor.MapOption
				if chunk > 0 {
					opts = append(opts, executor.ChunkSize(chunk))
				}
				got, err := executor.MapSlice(t.Context(), ex, double, numbers(n), opts...)
				if err != nil || got == nil || len(got) != n {
					t.Fatalf("MapSlice of %d, chunk %d: %d results, nil %v, %v", n, chunk, len(got), got == nil, err)
				}
				for i, v := range got {
					if v != 2*i {
						t.Fatalf("MapSlice of %d, chunk %d: result %d = %d; want %d", n, chunk, i, v, 2*i)
					}
				}
			}
		}
	})
}

func TestMapSliceWithAWrongArgumentIsAnErrorBeforeAnyWork(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		in, ctx := numbers(3), t.Context()
		for name, run := range map[string]func() ([]int, error){
			"chunk size 0":  func() ([]int, error) { return executor.MapSlice(ctx, ex, double, in, executor.ChunkSize(0)) },
			"chunk size -1": func() ([]int, error) { return executor.MapSlice(ctx, ex, double, in, executor.ChunkSize(-1)) },
			"buffer 0":      func() ([]int, error) { return executor.MapSlice(ctx, ex, double, in, executor.Buffer(0)) },
			"nil function":  func() ([]int, error) { return executor.MapSlice[int, int](ctx, ex, nil, in) },
			"nil ctx":       func() ([]int, error) { return executor.MapSlice(nilCtx, ex, double, in) },
			"nil executor":  func() ([]int, error) { return executor.MapSlice(ctx, nil, double, in) },
		} {
			if got, err := run(); err == nil || got != nil {
				t.Errorf("%s: %v, %v; want nil and an error", name, got, err)
			}
		}
		if n := ex.Stats().Submitted; n != 0 {
			t.Errorf("%d calls submitted; want 0", n)
		}
	})
}

func TestMapSliceSurvivesNilPointersAndOptions(t *testing.T) {
	for name, run := range map[string]func() ([]int, error){
		"nil *ThreadPoolExecutor": func() ([]int, error) {
			return executor.MapSlice(t.Context(), (*executor.ThreadPoolExecutor)(nil), double, numbers(2))
		},
		"nil *ThreadPerTask": func() ([]int, error) {
			return executor.MapSlice(t.Context(), (*executor.ThreadPerTask)(nil), double, numbers(2))
		},
		"nil *Sequential": func() ([]int, error) {
			return executor.MapSlice(t.Context(), (*executor.Sequential)(nil), double, numbers(2))
		},
		"nil option": func() ([]int, error) {
			return executor.MapSlice(t.Context(), &executor.Sequential{}, double, numbers(2), nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if v := recover(); v != nil {
					t.Errorf("panicked: %v; want an error", v)
				}
			}()
			if got, err := run(); err == nil {
				t.Errorf("MapSlice = %v, nil; want an error", got)
			}
		})
	}
}

// The error of the lowest index, though another came first; what is
// before it is finished, what is after it is told or does not start.
func TestMapSliceReturnsTheErrorOfTheLowestIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 3}
		defer ex.Close()
		var mu sync.Mutex
		started := map[int]bool{}
		var told error
		fn := func(ctx context.Context, i int) (int, error) {
			mu.Lock()
			started[i] = true
			mu.Unlock()
			switch i {
			case 0: // fails late, and is the one that a loop would have met
				time.Sleep(10 * time.Second)
				return 0, itemError(0)
			case 1:
				time.Sleep(5 * time.Second)
				return 1, ctx.Err() // what is before the failed 2 does not see its ctx end
			case 2:
				time.Sleep(time.Second)
				return 0, itemError(2)
			}
			return i, nil
		}
		begin := time.Now()
		got, err := executor.MapSlice(t.Context(), ex, fn, numbers(30), executor.ChunkSize(1))
		if got != nil || err != itemError(0) || time.Since(begin) != 10*time.Second {
			t.Errorf("MapSlice = %v, %v after %v; want nil, item 0 after 10s", got, err, time.Since(begin))
		}
		if len(started) != 3 {
			t.Errorf("started %v; want 0, 1 and 2", started)
		}

		// The same with a call after the failed one that waits for its ctx.
		fn = func(ctx context.Context, i int) (int, error) {
			switch i {
			case 1:
				time.Sleep(time.Second)
				return 0, itemError(1)
			case 2:
				<-ctx.Done()
				mu.Lock()
				told = context.Cause(ctx)
				mu.Unlock()
				return 0, ctx.Err()
			}
			time.Sleep(3 * time.Second)
			return i, ctx.Err()
		}
		begin = time.Now()
		got, err = executor.MapSlice(t.Context(), ex, fn, numbers(30), executor.ChunkSize(1))
		if got != nil || err != itemError(1) || time.Since(begin) != 3*time.Second {
			t.Errorf("MapSlice = %v, %v after %v; want nil, item 1 after 3s", got, err, time.Since(begin))
		}
		if !errors.Is(told, executor.ErrCancelled) {
			t.Errorf("the element after the failed one was told %v; want ErrCancelled", told)
		}
	})
}

// What runs is told and waited for, nothing else starts.
func TestMapSliceWhoseDeadlinePassesReturnsWhenWhatRunsHasReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, opts := range map[string][]executor.MapOption{"guided": nil, "one chunk each": {executor.ChunkSize(10)}} {
			ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
			defer ex.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
			defer cancel()
			var calls tally
			fn := func(_ context.Context, i int) (int, error) {
				defer calls.begin()()
				time.Sleep(time.Second)
				return i, nil
			}
			begin := time.Now()
			got, err := executor.MapSlice(ctx, ex, fn, numbers(20), opts...)
			if got != nil || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v, %v; want nil, DeadlineExceeded", name, got, err)
			}
			if calls.started.Load() != 4 || calls.running.Load() != 0 || time.Since(begin) != 2*time.Second {
				t.Errorf("%s: %d started, %d running after %v; want 4, 0, 2s", name, calls.started.Load(), calls.running.Load(), time.Since(begin))
			}
		}
	})
}

func TestMapSliceWithAnEndedCtxRunsNothing(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errBoom)
		got, err := executor.MapSlice(ctx, ex, double, numbers(10))
		if got != nil || !errors.Is(err, context.Canceled) || !errors.Is(err, errBoom) || ex.Stats().Submitted != 0 {
			t.Errorf("MapSlice = %v, %v, %d calls; want nil, the cause, 0", got, err, ex.Stats().Submitted)
		}
	})
}

func TestMapSliceOfNothingIsEmptyAndStartsNoWorker(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		for _, in := range [][]int{nil, {}} {
			got, err := executor.MapSlice(t.Context(), ex, double, in)
			if err != nil || got == nil || len(got) != 0 {
				t.Errorf("MapSlice(%#v) = %#v, %v; want []int{}", in, got, err)
			}
		}
		if s := ex.Stats(); s != (executor.Stats{}) {
			t.Errorf("Stats = %+v; want zeros", s)
		}
	})
}

func TestMapSliceOnAnExecutorThatIsShutDownIsErrShutdown(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		ex.Close()
		if got, err := executor.MapSlice(t.Context(), ex, double, numbers(10)); got != nil || !errors.Is(err, executor.ErrShutdown) {
			t.Errorf("MapSlice = %v, %v; want nil, ErrShutdown", got, err)
		}
	})
}

// Shutdown ends what runs; the elements that no runner has begun are
// not begun, whichever runners have left already.
func TestShutdownStartsNoMoreElementsOfAMapSlice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
		defer ex.Close()
		var calls tally
		fn := func(_ context.Context, i int) (int, error) {
			defer calls.begin()()
			if i < 10 { // the first chunk is done at once, and its runner leaves
				return i, nil
			}
			time.Sleep(time.Second)
			return i, nil
		}
		type result struct {
			got []int
			err error
		}
		returned := make(chan result)
		go func() {
			got, err := executor.MapSlice(t.Context(), ex, fn, numbers(20), executor.ChunkSize(10))
			returned <- result{got, err}
		}()
		synctest.Wait()
		before := calls.started.Load()
		ex.Shutdown(ended())
		r := <-returned
		if after := calls.started.Load(); after != before {
			t.Errorf("%d elements had started before Shutdown, %d in the end", before, after)
		}
		if r.got != nil || !errors.Is(r.err, executor.ErrCancelled) {
			t.Errorf("MapSlice = %v, %v; want nil, ErrCancelled", r.got, r.err)
		}
	})
}

// The inner map makes its elements in the place of the outer one, also when the queue has a limit.
func TestMapSliceWithinAMapSliceOfTheSameExecutor(t *testing.T) {
	for _, limit := range []int{0, 1} {
		t.Run(fmt.Sprint("queue limit ", limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ex := &executor.ThreadPoolExecutor{MaxWorkers: 2, QueueLimit: limit}
				defer ex.Close()
				var calls tally
				leaf := func(_ context.Context, i int) (int, error) {
					defer calls.begin()()
					time.Sleep(time.Second)
					return i, nil
				}
				branch := func(ctx context.Context, n int) (int, error) {
					got, err := executor.MapSlice(ctx, ex, leaf, numbers(n))
					sum := 0
					for _, v := range got {
						sum += v
					}
					return sum, err
				}
				got, err := executor.MapSlice(t.Context(), ex, branch, numbers(6))
				if want := []int{0, 0, 1, 3, 6, 10}; err != nil || !slices.Equal(got, want) || calls.most.Load() > 2 {
					t.Errorf("MapSlice = %v, %v with %d leaves at once; want %v with at most 2", got, err, calls.most.Load(), want)
				}
			})
		})
	}
}

// Guided chunks: elements of very different cost do not leave one worker
// alone with a long rest, and equal ones are handed out in few chunks.
func TestMapSliceSharesUnevenWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 4}
		defer ex.Close()
		fn := func(_ context.Context, i int) (int, error) {
			if i < 4 { // the first elements cost as much as all others together
				time.Sleep(96 * time.Second)
			} else {
				time.Sleep(time.Second)
			}
			return i, nil
		}
		begin := time.Now()
		if _, err := executor.MapSlice(t.Context(), ex, fn, numbers(388)); err != nil {
			t.Fatal(err)
		}
		// 768 s of work for 4: 192 s. The first chunk is a quarter of a fair
		// share and has all the long ones: 4*96 s, and 20 more.
		if took := time.Since(begin); took > 404*time.Second {
			t.Errorf("took %v; want at most the first chunk, 404s", took)
		}
	})
}

func TestMapSliceLeavesNothingBehind(t *testing.T) {
	type large struct{ _ [1 << 16]byte }
	each(t, func(t *testing.T, ex opened) {
		arg, result := func() (weak.Pointer[large], weak.Pointer[large]) {
			in := []*large{new(large), new(large), new(large)}
			out, err := executor.MapSlice(t.Context(), ex, func(context.Context, *large) (*large, error) { return new(large), nil }, in)
			if err != nil {
				t.Fatal(err)
			}
			return weak.Make(in[1]), weak.Make(out[1])
		}()
		if !collected(arg) || !collected(result) {
			t.Errorf("argument held %v, result held %v; want both collected", arg.Value() != nil, result.Value() != nil)
		}
	})
}

// MapSlice leaves nothing on a ctx that lives on.
func TestMapSliceLeavesNothingOnItsCtx(t *testing.T) {
	eachBubble(t, func(t *testing.T, ex opened) {
		ctx := newWatchedCtx()
		if _, err := executor.MapSlice(ctx, ex, double, numbers(100)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if n := ctx.registered(); n != 0 {
			t.Errorf("%d registrations on ctx afterwards; want 0", n)
		}
	})
}

// Any MapSlice is the loop that stops at the first error.
func TestAnyMapSliceEqualsALoop(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := drawMapPlan(rt)
		if wrong := p.runSlice(t); wrong != "" {
			rt.Fatalf("%s\n%+v", wrong, p)
		}
	})
}

// runSlice runs the plan as a MapSlice in a bubble of its own and returns what
// is wrong.
func (p mapPlan) runSlice(t *testing.T) (wrong string) {
	synctest.Test(t, func(t *testing.T) {
		ex := open(p.kind, p.workers, p.limit)
		defer ex.Close()
		var calls tally
		var mu sync.Mutex
		made := map[int]bool{}
		fn := makeItem(p.items, &calls)
		got, err := executor.MapSlice(t.Context(), ex, func(ctx context.Context, i int) (int, error) {
			defer func() { mu.Lock(); made[i] = true; mu.Unlock() }()
			return fn(ctx, i)
		}, numbers(len(p.items)), p.options()...)

		if calls.running.Load() != 0 {
			wrong = fmt.Sprintf("%d elements run after MapSlice", calls.running.Load())
		}
		if w := int64(ex.Workers()); w > 0 && calls.most.Load() > w {
			wrong = fmt.Sprintf("%d elements at once; want at most %d", calls.most.Load(), w)
		}
		failed := slices.IndexFunc(p.items, func(item itemPlan) bool { return item.does != "return" })
		if failed < 0 {
			if err != nil || !slices.Equal(got, numbers(len(p.items))) {
				wrong = fmt.Sprintf("MapSlice = %v, %v; want 0 to %d", got, err, len(p.items)-1)
			}
			return
		}
		// The value that came with the error is not returned: it has no place.
		v := 0
		if p.items[failed].does == "fail" {
			v = -failed
		}
		if want := outcomeOf(failed, p.items[failed].does); got != nil || seenAs(v, err) != want {
			wrong = fmt.Sprintf("MapSlice = %v, %q; want nil, %q", got, seenAs(v, err), want)
		}
		for i := range failed {
			if !made[i] {
				wrong = fmt.Sprintf("element %d was not made, though the lowest error is of %d", i, failed)
			}
		}
	})
	return wrong
}

// An executor is as before after elements that ended its goroutines.
func TestMapSliceOfGoexitsLosesNoWorker(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		needsWorkers(t, ex)
		for range 10 {
			_, err := executor.MapSlice(t.Context(), ex, func(context.Context, int) (int, error) { runtime.Goexit(); return 0, nil }, numbers(8))
			if err != executor.ErrGoexit {
				t.Fatalf("MapSlice = %v; want ErrGoexit", err)
			}
		}
		if got, err := executor.MapSlice(t.Context(), ex, double, numbers(3)); err != nil || !slices.Equal(got, []int{0, 2, 4}) {
			t.Errorf("MapSlice afterwards = %v, %v; want [0 2 4]", got, err)
		}
	})
}

// inBetween does something before it takes its second call.
type inBetween struct {
	*executor.ThreadPoolExecutor
	calls int
	then  func()
}

func (e *inBetween) Execute(ctx context.Context, c *executor.Call) {
	if e.calls++; e.calls == 2 {
		e.then()
	}
	e.ThreadPoolExecutor.Execute(ctx, c)
}

// A map that is made does not wait for a call of its own that has not begun, behind
// others; nor does that keep anything of the map in the queue.
func TestAMapDoesNotWaitForWhatHasNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &executor.ThreadPoolExecutor{MaxWorkers: 2}
		defer pool.Close()
		gate := newGate()
		executor.Submit(t.Context(), pool, gate.pass, 0)
		ex := &inBetween{ThreadPoolExecutor: pool, then: func() {
			time.Sleep(1500 * time.Millisecond) // until the last element runs
			executor.Submit(context.Background(), pool, gate.pass, 0)
		}}
		began := time.Now()
		values := mapWithValue(t, ex)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("a map of two elements of a second took %v on one worker; want 2s", took)
		}
		if s := pool.Stats(); s.Running != 2 {
			t.Errorf("Stats = %+v; want two calls that run", s)
		}
		untilGone(t, "the value of the ctx of a map that has returned", func() bool { return values.Value() == nil })
		gate.open()
	})
}

//go:noinline
func mapWithValue(t *testing.T, ex executor.Executor) weak.Pointer[[64]byte] {
	value := new([64]byte)
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), valueKey{}, value))
	defer cancel()
	nap := func(_ context.Context, i int) (int, error) { time.Sleep(time.Second); return i, nil }
	if out, err := executor.MapSlice(ctx, ex, nap, numbers(2), executor.ChunkSize(2)); !slices.Equal(out, []int{0, 1}) || err != nil {
		t.Errorf("MapSlice = %v, %v; want [0 1], nil", out, err)
	}
	return weak.Make(value)
}

type valueKey struct{}
