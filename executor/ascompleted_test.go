package executor_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/gofutures/futures/executor"
)

// indexes returns the indexes that AsCompleted yields, and checks that each
// comes with its future.
func indexes[F interface {
	comparable
	executor.Waitable
}](t *testing.T, ctx context.Context, fs ...F) []int {
	t.Helper()
	var got []int
	for i, f := range executor.AsCompleted(ctx, fs...) {
		if f != fs[i] {
			t.Errorf("AsCompleted yielded index %d with %v; want %v", i, f, fs[i])
		}
		got = append(got, i)
	}
	return got
}

// The futures that are done come first, the others as they finish.
func TestAsCompletedYieldsInOrderOfCompletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPerTask{}
		defer ex.Close()
		const s = time.Second
		got := indexes(t, t.Context(),
			nap{2 * s, false}.call(t.Context(), ex), nap{3 * s, true}.call(t.Context(), ex), nap{1 * s, false}.call(t.Context(), ex),
			cannedIn("succeeded"), cannedIn("failed"), cannedIn("cancelled"))
		if len(got) == 6 {
			slices.Sort(got[:3]) // the order of those that are done is not promised
		}
		if want := []int{3, 4, 5, 2, 0, 1}; !slices.Equal(got, want) {
			t.Errorf("AsCompleted yielded %v; want %v", got, want)
		}
	})
}

func TestAsCompletedYieldsEachWhenItFinishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPerTask{}
		defer ex.Close()
		start := time.Now()
		const s = time.Second
		for i, f := range executor.AsCompleted(t.Context(),
			nap{3 * s, false}.call(t.Context(), ex), nap{1 * s, false}.call(t.Context(), ex), nap{2 * s, false}.call(t.Context(), ex)) {
			if n, err := f.Result(ended()); time.Since(start) != time.Duration(n)*time.Millisecond || err != nil {
				t.Errorf("future %d came after %v with %v, %v; want it when it has ended", i, time.Since(start), n, err)
			}
		}
	})
}

// A call that is cancelled in the queue does not keep the loop waiting, as it
// does in Python.
func TestAsCompletedYieldsACallCancelledInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		g := newGate()
		running := executor.Submit(t.Context(), ex, g.pass, 1)
		queued := executor.Submit(t.Context(), ex, double, 1)
		time.AfterFunc(time.Second, func() { queued.Cancel() })
		time.AfterFunc(2*time.Second, g.open)
		if got, want := indexes(t, t.Context(), running, queued), []int{1, 0}; !slices.Equal(got, want) {
			t.Errorf("AsCompleted yielded %v; want %v", got, want)
		}
	})
}

// It is yielded with the lowest of its indexes.
func TestAsCompletedYieldsAFutureOnceThatIsGivenTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, done := executor.NewPromise[int](), cannedIn("succeeded")
		time.AfterFunc(time.Second, func() { p.Resolve(1) })
		if got, want := indexes(t, t.Context(), p.Future(), done, p.Future(), done, done), []int{1, 0}; !slices.Equal(got, want) {
			t.Errorf("AsCompleted yielded %v; want %v", got, want)
		}
	})
}

// There is no error value: ctx tells why the loop has ended.
func TestAsCompletedEndsWithItsCtx(t *testing.T) {
	for _, timeout := range []time.Duration{0, 100 * time.Millisecond} {
		t.Run(timeout.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pending := cannedIn("pending")
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				defer cancel()
				start := time.Now()
				got := indexes(t, ctx, pending, cannedIn("succeeded"), cannedIn("running"), cannedIn("failed"))
				slices.Sort(got)
				if want := []int{1, 3}; !slices.Equal(got, want) || time.Since(start) != timeout {
					t.Errorf("AsCompleted yielded %v and ended after %v; want %v, %v", got, time.Since(start), want, timeout)
				}
				if !errors.Is(ctx.Err(), context.DeadlineExceeded) || pending.State() != executor.Pending {
					t.Errorf("afterwards ctx.Err = %v, the pending future is %v; want DeadlineExceeded, pending", ctx.Err(), pending.State())
				}
			})
		})
	}
}

func TestAsCompletedYieldsWhatWasDoneBeforeItsCtxEnded(t *testing.T) {
	for range 64 { // select chooses at random
		p := executor.NewPromise[int]()
		if got := indexes(t, newHookedCtx(func() { p.Resolve(1) }), p.Future()); len(got) != 1 {
			t.Fatalf("AsCompleted yielded %v; want [0]: the future ended before ctx did", got)
		}
	}
}

// ways to leave a loop early.
var ways = map[string]func(executor.Waitable){
	"break": func(f executor.Waitable) {
		for range executor.AsCompleted(context.Background(), executor.Waitable(cannedIn("succeeded")), f) {
			break
		}
	},
	"return": func(f executor.Waitable) {
		for range executor.AsCompleted(context.Background(), executor.Waitable(cannedIn("succeeded")), f) {
			return
		}
	},
	"panic": func(f executor.Waitable) {
		defer func() { recover() }()
		for range executor.AsCompleted(context.Background(), executor.Waitable(cannedIn("succeeded")), f) {
			panic("in the body")
		}
	},
	"Goexit": func(f executor.Waitable) {
		left := make(chan struct{})
		go func() {
			defer close(left)
			for range executor.AsCompleted(context.Background(), executor.Waitable(cannedIn("succeeded")), f) {
				runtime.Goexit()
			}
		}()
		<-left
	},
	"the end of ctx": func(f executor.Waitable) {
		for range executor.AsCompleted(ended(), f) {
		}
	},
	"Wait": func(f executor.Waitable) {
		executor.Wait(ended(), executor.AllCompleted, f)
	},
	"Result": func(f executor.Waitable) {
		if f, ok := f.(*executor.Future[int]); ok {
			f.Result(ended())
		}
	},
}

// Many waits that were left do not make a pending future larger.
func TestALeftWaitLeavesNothingOnPendingFutures(t *testing.T) {
	for name, wait := range ways {
		t.Run(name, func(t *testing.T) {
			pending := cannedIn("pending")
			checkHeapFlat(t, 5000, func() { wait(pending) })
			runtime.KeepAlive(pending)
		})
	}
}

// If a goroutine were left, the bubble could not end.
func TestALeftWaitLeavesNoGoroutine(t *testing.T) {
	for name, wait := range ways {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { wait(newForeign()) })
		})
	}
}

func TestAsCompletedHandsThePanicOfTheBodyOn(t *testing.T) {
	defer func() {
		if got := recover(); got != "in the body" {
			t.Errorf("recovered %v; want the panic of the body", got)
		}
	}()
	for range executor.AsCompleted(t.Context(), cannedIn("succeeded")) {
		panic("in the body")
	}
}

func TestAsCompletedDoesNotHoldWhatItHasYielded(t *testing.T) {
	for name, times := range map[string]int{"given once": 1, "given twice": 2} {
		t.Run(name, func(t *testing.T) {
			last := executor.NewPromise[int]()
			var yielded []weak.Pointer[executor.Future[int]]
			for i, f := range executor.AsCompleted(t.Context(), doneAnd(last, times)...) {
				if f != last.Future() {
					yielded = append(yielded, weak.Make(f))
				}
				f = nil
				if len(yielded) == 10 && last.Future().State() == executor.Pending {
					for n, w := range yielded[:9] { // the loop variable may hold the tenth
						checkCollected(t, w, "future %d, before index %d", n, i)
					}
					last.Resolve(1)
				}
			}
			if len(yielded) != 10 {
				t.Errorf("AsCompleted yielded %d done futures; want 10", len(yielded))
			}
		})
	}
}

// doneAnd returns ten done futures, each so many times, and that of last.
func doneAnd(last *executor.Promise[int], times int) []*executor.Future[int] {
	var fs []*executor.Future[int]
	for i := range 10 {
		p := executor.NewPromise[int]()
		p.Resolve(i)
		for range times {
			fs = append(fs, p.Future())
		}
	}
	return append(fs, last.Future())
}

// A loop over n futures asks each a bounded number of times, so that it is not
// O(n²).
func TestAsCompletedAsksEachFutureOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := make([]*foreign, 100)
		for i := range fs {
			fs[i] = newForeign()
			time.AfterFunc(time.Duration(i)*time.Second, func() { close(fs[i].done) })
		}
		if got := indexes(t, t.Context(), fs...); !slices.IsSorted(got) || len(got) != len(fs) {
			t.Errorf("AsCompleted yielded %v; want 0 to %d in order", got, len(fs)-1)
		}
		for i, f := range fs {
			if f.asked != 1 {
				t.Errorf("Done of future %d was called %d times; want once", i, f.asked)
			}
		}
	})
}

// Nothing happens before the loop, and the iterator is good for one.
func TestAsCompletedListensOnlyInTheLoop(t *testing.T) {
	f := newForeign()
	seq := executor.AsCompleted(ended(), f)
	if f.asked != 0 {
		t.Errorf("Done was called %d times before the loop; want 0", f.asked)
	}
	close(f.done)
	n := 0
	for range seq {
		n++
	}
	if n != 1 {
		t.Errorf("the loop made %d rounds; want 1", n)
	}
}

// Silly input ends the loop or is yielded; it does not panic or hang.
func TestAsCompletedTakesSillyArguments(t *testing.T) {
	if got := indexes(t, nil, cannedIn("succeeded")); len(got) != 0 {
		t.Errorf("with a nil ctx, AsCompleted yielded %v; want nothing", got)
	}
	if got := indexes(t, t.Context(), (*executor.Future[int])(nil)); !slices.Equal(got, []int{0}) {
		t.Errorf("of a nil future, AsCompleted yielded %v; want [0]: its Result says what is wrong", got)
	}
	if got := indexes[executor.Waitable](t, t.Context(), nil); !slices.Equal(got, []int{0}) {
		t.Errorf("of nil, AsCompleted yielded %v; want [0]", got)
	}
	if got := indexes[*executor.Future[int]](t, t.Context()); len(got) != 0 {
		t.Errorf("of nothing, AsCompleted yielded %v; want nothing", got)
	}
}
