package executor_test

import (
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/gofutures/futures/executor"
)

// silenceSlog keeps the panics of callbacks out of the output of a test.
func silenceSlog(t *testing.T) { replaceSlog(t, io.Discard) }

func replaceSlog(t *testing.T, w io.Writer) {
	before, out, flags := slog.Default(), log.Writer(), log.Flags()
	slog.SetDefault(slog.New(slog.NewTextHandler(w, nil)))
	t.Cleanup(func() {
		slog.SetDefault(before)
		log.SetOutput(out) // SetDefault has led package log to w, and does not lead it back
		log.SetFlags(flags)
	})
}

// endings are the three ways in which a future ends.
var endings = map[string]struct {
	end   func(*executor.Promise[int])
	value int
	err   error
}{
	"ok":     {func(p *executor.Promise[int]) { p.Resolve(7) }, 7, nil},
	"error":  {func(p *executor.Promise[int]) { p.Reject(errBoom) }, 0, errBoom},
	"cancel": {func(p *executor.Promise[int]) { p.Future().Cancel() }, 0, executor.ErrCancelled},
}

func TestACallbackIsCalledOnceWithTheDoneFuture(t *testing.T) {
	for name, e := range endings {
		for _, early := range []bool{true, false} {
			when := map[bool]string{true: "added before", false: "added after"}[early]
			t.Run(name+", "+when, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := executor.NewPromise[int]()
					var got []outcome
					callback := func(f *executor.Future[int]) {
						if f != p.Future() {
							t.Errorf("the callback got %p; want the future, %p", f, p.Future())
						}
						value, err := f.Result(context.Background()) // does not block
						got = append(got, outcome{value, err})
					}
					if early {
						p.Future().OnDone(callback)
					}
					e.end(p)
					if !early {
						p.Future().OnDone(callback)
						if len(got) != 1 {
							t.Errorf("called %d times when OnDone of a done future returned; want once", len(got))
						}
					}
					synctest.Wait()
					e.end(p) // again: changes nothing
					synctest.Wait()
					if want := []outcome{{e.value, e.err}}; !slices.Equal(got, want) {
						t.Errorf("the callback saw %v; want %v", got, want)
					}
				})
			})
		}
	}
}

// The callback of a call is called once, whether the call returns, fails,
// panics, ends its goroutine, or was cancelled by its ctx.
func TestCallbacksOfCallsAreCalledOnce(t *testing.T) {
	calls := map[string]executor.Func[int, int]{
		"returns": double,
		"fails":   fail,
		"panics":  func(context.Context, int) (int, error) { panic("x") },
		"exits":   func(context.Context, int) (int, error) { runtime.Goexit(); return 0, nil },
	}
	eachBubble(t, func(t *testing.T, ex opened) {
		for name, fn := range calls {
			before, after := 0, 0
			begin := make(chan struct{})
			if _, ok := ex.(*executor.Sequential); ok {
				close(begin) // the call is made before anybody can add a callback
			}
			f := executor.Submit(t.Context(), ex, func(ctx context.Context, n int) (int, error) {
				<-begin
				return fn(ctx, n)
			}, 1)
			f.OnDone(func(*executor.Future[int]) { before++ })
			if !isDone(f) {
				close(begin)
			}
			f.Result(t.Context())
			synctest.Wait()
			f.OnDone(func(*executor.Future[int]) { after++ })
			if before != 1 || after != 1 {
				t.Errorf("a call that %s: the callbacks ran %d and %d times; want once", name, before, after)
			}
		}
	})
}

func TestACallbackOfACallWhoseCtxEndsInTheQueueIsCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		g := newGate()
		defer g.open()
		executor.Submit(t.Context(), ex, g.pass, 1)
		ctx, cancel := context.WithCancel(t.Context())
		queued := executor.Submit(ctx, ex, double, 1)
		var got []error
		queued.OnDone(func(f *executor.Future[int]) {
			_, err := f.Result(context.Background())
			got = append(got, err)
		})
		cancel()
		synctest.Wait()
		if len(got) != 1 || !errors.Is(got[0], executor.ErrCancelled) {
			t.Errorf("the callback saw %v; want ErrCancelled, once", got)
		}
	})
}

// The second of three callbacks panics: with a value, with nil, with an error.
func TestAPanicOfACallbackIsLoggedAndGoesNoFurther(t *testing.T) {
	for name, value := range map[string]any{"value": "the value", "nil": nil, "error": errBoom} {
		t.Run(name, func(t *testing.T) {
			for how, e := range endings {
				var out strings.Builder
				replaceSlog(t, &out)
				synctest.Test(t, func(t *testing.T) {
					p := executor.NewPromise[int]()
					var got []int
					p.Future().OnDone(func(*executor.Future[int]) { got = append(got, 1) })
					p.Future().OnDone(func(*executor.Future[int]) { panic(value) })
					p.Future().OnDone(func(*executor.Future[int]) { got = append(got, 3) })
					e.end(p)
					synctest.Wait()
					if !slices.Equal(got, []int{1, 3}) {
						t.Errorf("%s: callbacks %v ran; want [1 3]", how, got)
					}
				})
				text := out.String()
				if strings.Count(text, "level=ERROR") != 1 || !strings.Contains(text, "stack=") ||
					value != nil && !strings.Contains(text, "the value") && !strings.Contains(text, "boom") {
					t.Errorf("%s: the log is %q; want one error with the value of the panic and its stack", how, text)
				}
			}
		})
	}
}

func TestAPanicOfACallbackCostsNoWorker(t *testing.T) {
	silenceSlog(t)
	eachBubble(t, func(t *testing.T, ex opened) {
		for i := range 10 {
			f := executor.Submit(t.Context(), ex, double, i)
			f.OnDone(func(*executor.Future[int]) { panic(i) })
			if got, err := f.Result(t.Context()); got != 2*i || err != nil {
				t.Errorf("Result = %v, %v; want %v, nil", got, err, 2*i)
			}
		}
		synctest.Wait()
		if s := ex.Stats(); s.Succeeded != 10 || s.Failed != 0 || s.Restarts != 0 {
			t.Errorf("Stats = %+v; want 10 calls that succeeded, no restart", s)
		}
	})
}

func TestACallbackThatEndsItsGoroutineDoesNotStopTheNext(t *testing.T) {
	for name, e := range endings {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := executor.NewPromise[int]()
				var got []int
				for i := range 5 {
					p.Future().OnDone(func(*executor.Future[int]) {
						got = append(got, i)
						if i%2 == 0 {
							runtime.Goexit()
						}
					})
				}
				go e.end(p) // on a goroutine that Goexit may end: Cancel calls callbacks itself
				synctest.Wait()
				if want := []int{0, 1, 2, 3, 4}; !slices.Equal(got, want) {
					t.Fatalf("callbacks %v ran; want %v", got, want)
				}
				late := false
				p.Future().OnDone(func(*executor.Future[int]) { late = true })
				if !late {
					t.Error("a callback that was added later has not run when OnDone returned")
				}
			})
		})
	}
}

func TestCallbacksRunInOrderOneAtATime(t *testing.T) {
	for name, e := range endings {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := executor.NewPromise[int]()
				var got, want []int
				var inside atomic.Int32
				for i := range 100 {
					want = append(want, i)
					p.Future().OnDone(func(*executor.Future[int]) {
						if n := inside.Add(1); n != 1 {
							t.Errorf("%d callbacks run at once; want 1", n)
						}
						runtime.Gosched()
						got = append(got, i)
						inside.Add(-1)
					})
				}
				e.end(p)
				synctest.Wait()
				if !slices.Equal(got, want) {
					t.Errorf("callbacks ran in the order %v; want that of registration", got)
				}
			})
		})
	}
}

// Each call is submitted by the callback of the one before.
func TestACallbackMaySubmitToItsExecutor(t *testing.T) {
	eachBubble(t, func(t *testing.T, ex opened) {
		for _, length := range []int{100, 50, 60} {
			var got []int
			var step func(f *executor.Future[int])
			step = func(f *executor.Future[int]) {
				n, err := f.Result(t.Context())
				if err != nil {
					t.Errorf("link %d of a chain of %d = %v; want nil", len(got), length, err)
				}
				got = append(got, n)
				if n < length {
					next := executor.Submit(t.Context(), ex, func(_ context.Context, n int) (int, error) { return n + 1, nil }, n)
					next.OnDone(step)
				}
			}
			executor.Submit(t.Context(), ex, double, 0).OnDone(step)
			synctest.Wait()
			if len(got) != length+1 || !slices.IsSorted(got) || got[length] != length {
				t.Errorf("a chain of %d ran as %v; want 0 to %d in order", length, got, length)
			}
		}
	})
}

// The callback that is added in a callback runs after all that were there
// before.
func TestACallbackMayAddAnotherToItsFuture(t *testing.T) {
	for name, e := range endings {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := executor.NewPromise[int]()
				var got []string
				note := func(what string) func(*executor.Future[int]) {
					return func(*executor.Future[int]) { got = append(got, what) }
				}
				p.Future().OnDone(func(f *executor.Future[int]) {
					got = append(got, "first")
					f.OnDone(note("added by the first"))
				})
				p.Future().OnDone(note("second"))
				e.end(p)
				synctest.Wait()
				if want := []string{"first", "second", "added by the first"}; !slices.Equal(got, want) {
					t.Errorf("callbacks ran as %q; want %q", got, want)
				}
			})
		})
	}
}

// A callback may cancel its own future and others, and may wait for calls of
// its executor, though that has one worker only.
func TestACallbackMayWaitForAndCancelOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		g := newGate()
		first := executor.Submit(t.Context(), ex, g.pass, 1)
		waited := executor.Submit(t.Context(), ex, double, 2)
		cancelled := executor.Submit(t.Context(), ex, double, 3)

		done := make(chan outcome, 1)
		first.OnDone(func(f *executor.Future[int]) {
			if f.Cancel() {
				t.Error("Cancel of the future itself = true; want false, it has a result")
			}
			value, err := waited.Result(context.Background())
			done <- outcome{value, err}
		})
		order := make(chan string, 2)
		cancelled.OnDone(func(*executor.Future[int]) { order <- "callback of the cancelled" })
		waited.OnDone(func(*executor.Future[int]) {
			// A callback of a future that is done waits for nobody to cancel it.
			cancelled.Cancel()
			order <- "Cancel returned"
		})
		g.open()
		if got, want := <-done, (outcome{value: 4}); got != want {
			t.Errorf("a wait in a callback = %v; want %v", got, want)
		}
		<-order
		<-order
	})
}

// Cancel in a callback that another Cancel called calls the callbacks of its
// own future at once.
func TestCancelInACallbackOfCancelCallsItsCallbacks(t *testing.T) {
	outer, inner := executor.NewPromise[int]().Future(), executor.NewPromise[int]().Future()
	var got []string
	inner.OnDone(func(*executor.Future[int]) { got = append(got, "inner") })
	outer.OnDone(func(f *executor.Future[int]) {
		got = append(got, "outer")
		if !inner.Cancel() || !f.Cancel() {
			t.Error("Cancel in a callback = false; want true for a pending and for a cancelled future")
		}
		got = append(got, "cancelled")
	})
	outer.Cancel()
	if want := []string{"outer", "inner", "cancelled"}; !slices.Equal(got, want) {
		t.Errorf("the order is %q; want %q, on the goroutine that cancels", got, want)
	}
}

// Callbacks that block hold no worker, no waiter, and no other future.
func TestACallbackThatBlocksHoldsNothingUp(t *testing.T) {
	eachBubble(t, func(t *testing.T, ex opened) {
		if _, ok := ex.(*executor.Sequential); ok {
			t.Skip("a future of Sequential is done when Submit returns it: OnDone calls the callback itself")
		}
		g, block := newGate(), newGate()
		var blocked []*executor.Future[int]
		for i := range 4 {
			f := executor.Submit(t.Context(), ex, g.pass, i)
			f.OnDone(func(*executor.Future[int]) { <-block })
			blocked = append(blocked, f)
		}
		g.open()
		for i, f := range blocked {
			if got, err := f.Result(t.Context()); got != i || err != nil {
				t.Errorf("Result of a future whose callback blocks = %v, %v; want %v, nil", got, err, i)
			}
		}
		if got, err := executor.Submit(t.Context(), ex, double, 4).Result(t.Context()); got != 8 || err != nil {
			t.Errorf("Result of a later call = %v, %v; want 8, nil", got, err)
		}
		if err := ex.Close(); err != nil {
			t.Errorf("Close = %v; want nil: it does not wait for callbacks", err)
		}
		block.open()
	})
}

// A waiter is awake before callbacks run, also before those that Cancel runs
// itself.
func TestWaitersWakeBeforeCallbacksRun(t *testing.T) {
	for name, e := range endings {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := executor.NewPromise[int]()
				f := p.Future()
				var woken atomic.Int32
				for _, wait := range []func(){
					func() { f.Result(context.Background()) },
					func() { f.Result(t.Context()) },
					func() { <-f.Done() },
					func() { executor.Wait(t.Context(), executor.AllCompleted, f) },
					func() {
						for range executor.AsCompleted(t.Context(), f) {
						}
					},
				} {
					go func() {
						wait()
						woken.Add(1)
					}()
				}
				synctest.Wait()
				block := newGate()
				f.OnDone(func(*executor.Future[int]) { <-block })
				go e.end(p)
				synctest.Wait()
				if got := woken.Load(); got != 5 {
					t.Errorf("%d waiters are awake while the callback runs; want 5", got)
				}
				block.open()
			})
		})
	}
}

// The call that it submits fails too, and the cause is not lost.
func TestACallbackOfABrokenExecutorMaySubmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 2, Initializer: func(context.Context) error {
			<-g
			return errBoom
		}}
		defer ex.Close()
		var mu sync.Mutex
		var got []error
		for range 5 {
			executor.Submit(t.Context(), ex, double, 1).OnDone(func(f *executor.Future[int]) {
				_, err := f.Result(t.Context())
				_, again := executor.Submit(t.Context(), ex, double, 2).Result(t.Context())
				mu.Lock()
				defer mu.Unlock()
				got = append(got, err, again)
			})
		}
		g.open()
		synctest.Wait()
		if len(got) != 10 {
			t.Errorf("%d calls have ended; want 5 and the 5 that their callbacks submitted", len(got))
		}
		for _, err := range got {
			if !errors.Is(err, executor.ErrBroken) || !errors.Is(err, errBoom) {
				t.Errorf("Result = %v; want ErrBroken and the error of the Initializer", err)
			}
		}
	})
}

func TestANilCallbackIsLoggedAndNotCalled(t *testing.T) {
	var out strings.Builder
	replaceSlog(t, &out)
	p := executor.NewPromise[int]()
	p.Future().OnDone(nil)
	p.Resolve(1)
	p.Future().OnDone(nil)
	if got := strings.Count(out.String(), "level=ERROR"); got != 2 {
		t.Errorf("%d errors were logged; want 2:\n%s", got, &out)
	}
}
