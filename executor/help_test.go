package executor_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"runtime/pprof"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/gofutures/futures/executor"
)

// goroutine returns the name of this goroutine.
func goroutine() string {
	stack := make([]byte, 64)
	name, _, _ := bytes.Cut(stack[:runtime.Stack(stack, false)], []byte(" ["))
	return string(name)
}

// where is a call that returns the goroutine it is made on.
func where(context.Context) (string, error) { return goroutine(), nil }

// helpful runs test in a bubble, with an executor whose waiters help.
func helpful(t *testing.T, workers int, test func(t *testing.T, ex *executor.ThreadPoolExecutor)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: workers, WaitersHelp: true}
		defer ex.Close()
		test(t, ex)
		synctest.Wait()
		if s := ex.Stats(); s.Queued != 0 || s.Running != 0 || s.Submitted != s.Succeeded+s.Failed+s.Cancelled {
			t.Errorf("the counters do not add up: %+v", s)
		}
	})
}

// eventually fails unless try returns true: nearly each time, a waiter is there before
// the worker that was woken.
func eventually(t *testing.T, what string, try func() bool) {
	t.Helper()
	for range 1000 {
		if try() {
			return
		}
	}
	t.Errorf("%s: never in 1000 times", what)
}

func TestWhoWaitsMakesTheCall(t *testing.T) {
	for _, workers := range []int{1, 2, 5} {
		helpful(t, workers, func(t *testing.T, ex *executor.ThreadPoolExecutor) {
			ctx, here := context.Background(), goroutine()
			eventually(t, "Result", func() bool {
				got, err := executor.Go(ctx, ex, where).Result(ctx)
				return got == here && err == nil
			})
			eventually(t, "Gather", func() bool {
				got, err := executor.Gather(ctx, executor.Go(ctx, ex, where))
				return err == nil && got[0] == here
			})
			eventually(t, "Result of a call with a ctx that ends", func() bool {
				got, err := executor.Go(t.Context(), ex, where).Result(ctx)
				return got == here && err == nil
			})
			eventually(t, "a callback", func() bool {
				called := make(chan string, 1)
				f := executor.Go(ctx, ex, where)
				f.OnDone(func(f *executor.Future[string]) { v, _ := f.Result(ctx); called <- v })
				f.Result(ctx)
				return <-called == here
			})
		})
	}
}

func TestMapAndMapSliceHelp(t *testing.T) {
	helpful(t, 2, func(t *testing.T, ex *executor.ThreadPoolExecutor) {
		here := goroutine()
		isHere := func(context.Context, int) (bool, error) { return goroutine() == here, nil }
		eventually(t, "Map", func() bool {
			got, err := executor.Collect(executor.Map(context.Background(), ex, isHere, slices.Values([]int{1})))
			return err == nil && got[0]
		})
		eventually(t, "MapSlice", func() bool { // waits for all that runs anyway, so its ctx may end
			got, err := executor.MapSlice(t.Context(), ex, isHere, []int{1})
			return err == nil && got[0]
		})
	})
}

// With one worker, whose place the call has that waits, nobody else could make it.
func TestACallThatWaitsMakesTheCallItself(t *testing.T) {
	helpful(t, 1, func(t *testing.T, ex *executor.ThreadPoolExecutor) {
		for _, way := range []string{"Result", "Result without end", "MapSlice"} {
			same, err := executor.Go(t.Context(), ex, func(ctx context.Context) (bool, error) {
				if way == "MapSlice" {
					got, err := executor.MapSlice(ctx, ex, func(ctx context.Context, _ int) (string, error) { return where(ctx) }, []int{1})
					return err == nil && got[0] == goroutine(), err
				}
				f := executor.Go(ctx, ex, where)
				if way == "Result without end" {
					ctx = context.WithoutCancel(ctx)
				}
				got, err := f.Result(ctx)
				return got == goroutine(), err
			}).Result(t.Context())
			if !same || err != nil {
				t.Errorf("%s: made by the call that waits: %v, %v; want true", way, same, err)
			}
		}
	})
}

// Whatever could end a wait before the call ends keeps the waiter from helping.
func TestAWaitWithAnEndIsNoHelp(t *testing.T) {
	helpful(t, 2, func(t *testing.T, ex *executor.ThreadPoolExecutor) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		hold := newGate()
		f := executor.Submit(context.Background(), ex, hold.pass, 7)
		if _, err := f.Result(ctx); !errors.Is(err, executor.ErrPending) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Result = %v; want ErrPending after the deadline", err)
		}
		hold.open()
		if n, err := f.Result(context.Background()); n != 7 || err != nil {
			t.Errorf("Result = %d, %v; want 7", n, err)
		}
		// Neither does a call that waits with a deadline of its own.
		_, err := executor.Go(context.Background(), ex, func(own context.Context) (int, error) {
			ctx, cancel := context.WithTimeout(own, time.Second)
			defer cancel()
			slow := executor.Go(own, ex, sleepFor(time.Hour))
			defer slow.Cancel() // else it goes on, as its ctx does
			return slow.Result(ctx)
		}).Result(t.Context())
		if !errors.Is(err, executor.ErrPending) {
			t.Errorf("the call that waits: %v; want ErrPending", err)
		}
	})
}

// sleepFor is a call that takes so long, unless its ctx ends.
func sleepFor(d time.Duration) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		select {
		case <-time.After(d):
			return 1, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func TestWaitersDoNotHelpBeyondMaxWorkers(t *testing.T) {
	for _, workers := range []int{1, 2, 3} {
		helpful(t, workers, func(t *testing.T, ex *executor.ThreadPoolExecutor) {
			var g gauge
			start := time.Now()
			var all sync.WaitGroup
			for range 4 * workers {
				all.Go(func() {
					executor.Submit(context.Background(), ex, g.nap, time.Second).Result(context.Background())
				})
			}
			all.Wait()
			g.wantMost(t, workers)
			if took := time.Since(start); took != 4*time.Second {
				t.Errorf("%d workers: %d calls of 1s took %v; want 4s", workers, 4*workers, took)
			}
		})
	}
}

// The goroutines of calls that wait make the calls they wait for, however deep.
func TestNestedWaitsNeedNoMoreWorkers(t *testing.T) {
	for _, workers := range []int{1, 2} {
		helpful(t, workers, func(t *testing.T, ex *executor.ThreadPoolExecutor) {
			var g gauge
			var fib executor.Func[int, int]
			fib = func(ctx context.Context, n int) (int, error) {
				g.enter()
				defer g.leave()
				if n < 2 {
					return n, nil
				}
				a := executor.Submit(ctx, ex, fib, n-1)
				b := executor.Submit(ctx, ex, fib, n-2)
				var x, y int
				var err1, err2 error
				g.during(func() {
					x, err1 = a.Result(ctx)
					y, err2 = b.Result(ctx)
				})
				return x + y, errors.Join(err1, err2)
			}
			if n, err := executor.Submit(context.Background(), ex, fib, 12).Result(context.Background()); n != 144 || err != nil {
				t.Errorf("%d workers: fib(12) = %d, %v; want 144", workers, n, err)
			}
			if most := g.most.Load(); most > int64(workers) {
				t.Errorf("%d workers: %d calls executed at once", workers, most)
			}
			// With two, one may wait for what the other makes, and lend its place.
			if n := ex.Stats().Workers; workers == 1 && n > 1 {
				t.Errorf("there are %d goroutines; want 1", n)
			}
		})
	}
}

// A call that waits on several goroutines of its own has one place: one of them uses it.
func TestACallHelpsOnOneOfItsGoroutines(t *testing.T) {
	for _, workers := range []int{1, 2} {
		helpful(t, workers, func(t *testing.T, ex *executor.ThreadPoolExecutor) {
			var g gauge
			_, err := executor.Go(t.Context(), ex, func(ctx context.Context) (int, error) {
				var own sync.WaitGroup
				for range 4 {
					own.Go(func() { executor.Submit(ctx, ex, g.nap, time.Second).Result(ctx) })
				}
				own.Wait()
				return 1, nil
			}).Result(t.Context())
			if err != nil {
				t.Error(err)
			}
			g.wantMost(t, workers)
		})
	}
}

// The place of a call is lent when the call has ceased to help and waits
// elsewhere.
func TestACallLendsItsPlaceWhenItHasHelped(t *testing.T) {
	helpful(t, 1, func(t *testing.T, ex *executor.ThreadPoolExecutor) {
		_, err := executor.Go(t.Context(), ex, func(ctx context.Context) (int, error) {
			last := executor.NewPromise[int]()
			var own sync.WaitGroup
			own.Go(func() { executor.Go(ctx, ex, sleepFor(2*time.Second)).Result(ctx) })
			time.Sleep(time.Second)
			own.Go(func() { last.Future().Result(ctx) })
			time.Sleep(2 * time.Second)
			executor.Submit(context.Background(), ex, double, 1).Result(t.Context()) // needs the place
			last.Resolve(1)
			own.Wait()
			return 1, nil
		}).Result(t.Context())
		if err != nil {
			t.Error(err)
		}
	})
}

// The call has ended with ErrGoexit and its place is free again, but the
// goroutine that has helped is gone: no more can be promised here.
func TestAGoexitEndsWhoHelps(t *testing.T) {
	helpful(t, 1, func(t *testing.T, ex *executor.ThreadPoolExecutor) {
		eventually(t, "the waiter does not return", func() bool {
			var f *executor.Future[int]
			returned := false
			var helper sync.WaitGroup
			helper.Go(func() {
				f = executor.Submit(context.Background(), ex, goexit, 1)
				f.Result(context.Background())
				returned = true
			})
			helper.Wait()
			if _, err := f.Result(t.Context()); err != executor.ErrGoexit {
				t.Errorf("Result = %v; want ErrGoexit", err)
			}
			return !returned
		})
		if n, err := executor.Submit(t.Context(), ex, double, 4).Result(t.Context()); n != 8 || err != nil {
			t.Errorf("the next call = %d, %v; want 8", n, err)
		}
	})
}

func TestAPanicDoesNotReachWhoHelps(t *testing.T) {
	helpful(t, 1, func(t *testing.T, ex *executor.ThreadPoolExecutor) {
		here := goroutine()
		eventually(t, "a panic on this goroutine", func() bool {
			f := executor.Submit(context.Background(), ex, func(context.Context, int) (int, error) { panic(goroutine()) }, 1)
			_, err := f.Result(context.Background())
			p, ok := errors.AsType[*executor.PanicError](err)
			return ok && p.Value == here
		})
	})
}

// What a call does to its labels is over when it is.
func TestWhoHelpsHasTheLabelsOfItsCtxAfterwards(t *testing.T) {
	helpful(t, 2, func(t *testing.T, ex *executor.ThreadPoolExecutor) {
		ex.Name = "helped"
		ctx := pprof.WithLabels(context.Background(), pprof.Labels("who", "waits"))
		pprof.SetGoroutineLabels(ctx)
		defer pprof.SetGoroutineLabels(context.Background())
		eventually(t, "the call has the labels of the executor, on this goroutine", func() bool {
			inside, err := executor.Go(ctx, ex, func(ctx context.Context) (string, error) {
				labels := labelsHere(t)
				pprof.SetGoroutineLabels(pprof.WithLabels(ctx, pprof.Labels("left", "behind")))
				return goroutine() + labels, nil
			}).Result(ctx)
			return err == nil && inside == goroutine()+`{"executor":"helped"}`
		})
		if got := labelsHere(t); got != `{"who":"waits"}` {
			t.Errorf("afterwards %s; want who: waits", got)
		}
	})
}

// labelsHere returns the labels of this goroutine, as the goroutine profile prints them.
func labelsHere(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		t.Error(err)
	}
	for part := range bytes.SplitSeq(b.Bytes(), []byte("\n\n")) {
		if bytes.Contains(part, []byte("labelsHere")) {
			_, labels, _ := bytes.Cut(part, []byte("# labels: "))
			line, _, _ := bytes.Cut(labels, []byte("\n"))
			return string(line)
		}
	}
	return "none"
}

func TestNobodyHelpsWhereWorkersHaveAnInitializer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{WaitersHelp: true, Initializer: func(context.Context) error { return nil }}
		defer ex.Close()
		if got, err := executor.Go(context.Background(), ex, where).Result(context.Background()); got == goroutine() || err != nil {
			t.Errorf("made on %s, %v; want a worker's", got, err)
		}
	})
}

func TestACallThatKeepsItsPlaceDoesNotHelp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 2, WaitersHelp: true, KeepPlaces: true}
		defer ex.Close()
		same, err := executor.Go(t.Context(), ex, func(ctx context.Context) (bool, error) {
			inner, err := executor.Go(ctx, ex, where).Result(ctx)
			return inner == goroutine(), err
		}).Result(t.Context())
		if same || err != nil {
			t.Errorf("the call was made by the one that waits: %v, %v; want false", same, err)
		}
	})
}

// A call of another executor may be what the call that it waits for needs a place of.
func TestACallOfAnotherExecutorDoesNotHelp(t *testing.T) {
	helpful(t, 2, func(t *testing.T, ex *executor.ThreadPoolExecutor) {
		other := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer other.Close()
		n, err := executor.Go(t.Context(), other, func(ctx context.Context) (int, error) {
			return executor.Go(ctx, ex, func(ctx context.Context) (int, error) {
				return executor.Submit(ctx, other, double, 4).Result(ctx)
			}).Result(ctx)
		}).Result(t.Context())
		if n != 8 || err != nil {
			t.Errorf("Result = %d, %v; want 8", n, err)
		}
	})
}

// A call whose ctx has ended is not begun by a caller that waits for it.
func TestWhoWaitsDoesNotBeginWhatIsCancelled(t *testing.T) {
	helpful(t, 2, func(t *testing.T, ex *executor.ThreadPoolExecutor) {
		hold := newGate()
		for i := range 2 {
			executor.Submit(context.Background(), ex, hold.pass, i)
		}
		ctx, cancel := context.WithCancel(context.Background())
		f := executor.Submit(ctx, ex, double, 1)
		cancel()
		if _, err := f.Result(context.Background()); !errors.Is(err, executor.ErrCancelled) {
			t.Errorf("Result = %v; want ErrCancelled", err)
		}
		g := executor.Submit(context.Background(), ex, double, 1)
		g.Cancel()
		if _, err := g.Result(context.Background()); !errors.Is(err, executor.ErrCancelled) {
			t.Errorf("Result = %v; want ErrCancelled", err)
		}
		hold.open()
	})
}

// A queue with a limit has room again when a waiter takes a call out of it.
func TestAWaiterThatHelpsMakesRoomInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1, QueueLimit: 1, WaitersHelp: true}
		defer ex.Close()
		_, err := executor.Go(t.Context(), ex, func(ctx context.Context) (int, error) {
			hasRoom := newGate()
			f := executor.Submit(ctx, ex, hasRoom.pass, 1)
			go func() {
				executor.Submit(context.Background(), ex, double, 2)
				hasRoom.open()
			}()
			synctest.Wait() // it waits for room
			return f.Result(ctx)
		}).Result(t.Context())
		if err != nil {
			t.Error(err)
		}
	})
}

// Close waits for a goroutine that helps.
func TestCloseWaitsForWhoHelps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1, WaitersHelp: true}
		began := newGate()
		ended := false
		go executor.Go(context.Background(), ex, func(context.Context) (int, error) {
			began.open()
			time.Sleep(time.Second)
			ended = true
			return 0, nil
		}).Result(context.Background())
		<-began
		start := time.Now()
		if err := ex.Close(); err != nil || !ended || time.Since(start) != time.Second {
			t.Errorf("Close = %v after %v, the call has ended: %v; want nil, 1s, true", err, time.Since(start), ended)
		}
	})
}

// The queue does not hold what a helper has made, nor what a MapSlice was
// about.
func TestWhatAHelperHasMadeIsNotHeld(t *testing.T) {
	helpful(t, 1, func(t *testing.T, ex *executor.ThreadPoolExecutor) {
		executor.Go(t.Context(), ex, func(ctx context.Context) (int, error) {
			for range 10 {
				result, in := helpAndDrop(t, ctx, ex)
				if !collected(result) || !collected(in) {
					t.Error("the result of a call, or the input of a MapSlice, is held")
				}
			}
			return 0, nil
		}).Result(t.Context())
	})
}

//go:noinline
func helpAndDrop(t *testing.T, ctx context.Context, ex executor.Executor) (result, in weak.Pointer[big]) {
	t.Helper()
	f := executor.Go(ctx, ex, func(context.Context) (*big, error) { return new(big), nil })
	other := executor.Submit(ctx, ex, double, 1)
	v, err := f.Result(ctx)
	other.Cancel()
	all := []*big{new(big), new(big), new(big)}
	if _, err2 := executor.MapSlice(ctx, ex, func(context.Context, *big) (int, error) { return 1, nil }, all); err != nil || err2 != nil {
		t.Error(err, err2)
	}
	return weak.Make(v), weak.Make(all[0])
}

// A goroutine that waits for the place of its call to come back has none to
// help in.
func TestACallDoesNotHelpWhileItsPlaceIsLent(t *testing.T) {
	helpful(t, 1, func(t *testing.T, ex *executor.ThreadPoolExecutor) {
		var g gauge
		_, err := executor.Go(t.Context(), ex, func(ctx context.Context) (int, error) {
			first := executor.NewPromise[int]()
			var own sync.WaitGroup
			own.Go(func() { first.Future().Result(ctx) }) // lends the place
			synctest.Wait()
			long := executor.Submit(ctx, ex, g.nap, time.Minute)
			synctest.Wait() // it has the place
			first.Resolve(1)
			synctest.Wait() // the goroutine waits for the place
			executor.Submit(ctx, ex, g.nap, time.Second).Result(ctx)
			own.Wait()
			_, err := long.Result(ctx)
			return 0, err
		}).Result(t.Context())
		if err != nil {
			t.Error(err)
		}
		g.wantMost(t, 1)
	})
}

// A goroutine that lives longer than its call takes the place along while it
// helps.
func TestWhoHelpsLongerThanItsCallHasThePlace(t *testing.T) {
	helpful(t, 1, func(t *testing.T, ex *executor.ThreadPoolExecutor) {
		var g gauge
		var own sync.WaitGroup
		executor.Go(t.Context(), ex, func(ctx context.Context) (int, error) {
			f := executor.Submit(context.Background(), ex, g.nap, time.Minute)
			own.Go(func() { f.Result(ctx) })
			synctest.Wait()
			return 0, nil
		}).Result(t.Context())
		if _, err := executor.Submit(t.Context(), ex, g.nap, time.Second).Result(t.Context()); err != nil {
			t.Error(err)
		}
		own.Wait()
		g.wantMost(t, 1)
	})
}

// Deep nesting takes time in proportion to its depth.
func TestAWaiterThatHelpsDoesNotLookAtAllCallsAroundIt(t *testing.T) {
	const depth = 2000
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 1, WaitersHelp: true}
	defer ex.Close()
	asked := 0
	ctx := &counting{Context: context.Background(), asked: &asked}
	var down executor.Func[int, int]
	down = func(ctx context.Context, n int) (int, error) {
		if n == 0 {
			return 0, nil
		}
		below, err := executor.Submit(ctx, ex, down, n-1).Result(ctx)
		return below + 1, err
	}
	if n, err := executor.Submit(ctx, ex, down, depth).Result(t.Context()); n != depth || err != nil {
		t.Fatalf("Result = %d, %v; want %d", n, err, depth)
	}
	if asked > 10 {
		t.Errorf("the outermost ctx was asked for %d values by %d calls", asked, depth)
	}
}

// counting counts how often it is asked for a value.
type counting struct {
	context.Context
	asked *int
}

func (c *counting) Value(key any) any {
	*c.asked++
	return c.Context.Value(key)
}

// handedOn hands its calls on with a ctx of its own, from another goroutine.
type handedOn struct {
	executor.Executor
	ctx  context.Context
	done chan<- string
	name string
}

func (h handedOn) Execute(_ context.Context, c *executor.Call) {
	go func() {
		h.Executor.Execute(h.ctx, c)
		h.done <- h.name
	}()
	synctest.Wait()
}

func TestTheSubmitterOfACallThatIsHelpedWaitsForRoomNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1, QueueLimit: 1, WaitersHelp: true}
		defer ex.Close()
		executor.Go(t.Context(), ex, func(ctx context.Context) (int, error) {
			hold, done := newGate(), make(chan string, 2)
			executor.Submit(ctx, ex, hold.pass, 1) // fills the queue
			first := executor.Submit(ctx, handedOn{ex, context.Background(), done, "first"}, double, 1)
			executor.Submit(ctx, handedOn{ex, context.Background(), done, "second"}, double, 2).Result(ctx)
			if name := <-done; name != "second" {
				t.Errorf("the submitter of the %s call was let go; want the second", name)
			}
			hold.open()
			return first.Result(ctx)
		}).Result(t.Context())
	})
}

// Nothing watches a call for the end of a ctx that is not its own.
func TestACallThatIsHandedOnWithAnotherCtxIsNotHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		hold := newGate()
		executor.Submit(context.Background(), ex, hold.pass, 1)
		time.AfterFunc(time.Second, hold.open)
		result := makeAndDrop(handedOn{ex, t.Context(), make(chan string, 1), ""})
		synctest.Wait()
		if !collected(result) {
			t.Error("the result is held")
		}
	})
}

//go:noinline
func makeAndDrop(ex executor.Executor) weak.Pointer[big] {
	v, _ := executor.Go(context.Background(), ex, func(context.Context) (*big, error) { return new(big), nil }).Result(context.Background())
	return weak.Make(v)
}

// MapSlice begins its first runner here only where a call would be taken.
func TestMapSliceHelpsNoExecutorThatIsClosed(t *testing.T) {
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 2, WaitersHelp: true}
	called := false
	fn := func(context.Context, int) (int, error) { called = true; return 0, nil }
	if _, err := executor.MapSlice(context.Background(), ex, fn, []int{1}); err != nil || !called {
		t.Fatalf("before Close: %v, function called %v; want nil, true", err, called)
	}
	ex.Close()
	before := ex.Stats()
	called = false
	got, err := executor.MapSlice(context.Background(), ex, fn, []int{1, 2})
	if got != nil || !errors.Is(err, executor.ErrShutdown) || called {
		t.Errorf("MapSlice = %v, %v, function called %v; want nil, ErrShutdown, false", got, err, called)
	}
	if after := ex.Stats(); after != before {
		t.Errorf("Stats = %+v; want %+v, as before", after, before)
	}
}

// While it waits for room, MapSlice has no place that others could use.
func TestMapSliceThatWaitsForRoomKeepsNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 3, QueueLimit: 1, WaitersHelp: true}
		defer ex.Close()
		gate := make(chan struct{})
		for range 2 {
			executor.Go(t.Context(), ex, func(context.Context) (int, error) { <-gate; return 0, nil })
			synctest.Wait()
		}
		defer close(gate)
		made := make(chan struct{})
		go func() {
			executor.MapSlice(t.Context(), ex, double, numbers(10))
			close(made)
		}()
		synctest.Wait()
		if n := ex.Stats().Succeeded; n == 0 {
			t.Errorf("no runner has made the elements, and a place was free: %+v", ex.Stats())
		}
		select {
		case <-made:
		default:
			t.Error("MapSlice has not returned, and no place is missing")
		}
	})
}
