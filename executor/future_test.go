package executor_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor"
)

func TestAFutureAnswersByItsStateAndKeepsIt(t *testing.T) {
	for _, c := range cannedFutures() {
		t.Run(c.name, func(t *testing.T) { checkAnswers(t, c) })
	}
}

// checkAnswers checks all accessors, twice: none changes the state.
func checkAnswers(t *testing.T, c canned) {
	t.Helper()
	f := c.promise.Future()
	for range 2 {
		if got := f.State(); got != c.state {
			t.Errorf("State = %v; want %v", got, c.state)
		}
		wantDone := c.state == executor.Finished || c.state == executor.Cancelled
		if got := isDone(f); got != wantDone {
			t.Errorf("Done is closed: %v; want %v", got, wantDone)
		}
		if got, err := f.Result(ended()); got != c.value || !errors.Is(err, c.err) {
			t.Errorf("Result = %v, %v; want %v, %v", got, err, c.value, c.err)
		}
		if got := f.String(); got != c.text {
			t.Errorf("String = %q; want %q", got, c.text)
		}
	}
}

// The future of a call goes through the five states as that of a promise does.
func TestAFutureOfACallAnswersByItsState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		g := newGate()
		defer g.open()
		succeeded := executor.Submit(t.Context(), ex, double, 1)
		failed := executor.Submit(t.Context(), ex, fail, 1)
		running := executor.Submit(t.Context(), ex, g.pass, 1)
		pending := executor.Submit(t.Context(), ex, double, 1)
		cancelled := executor.Submit(t.Context(), ex, double, 1)
		cancelled.Cancel()
		ctx, cancel := context.WithCancel(t.Context())
		expired := executor.Submit(ctx, ex, double, 1)
		cancel()
		synctest.Wait()
		for _, row := range []struct {
			f     *executor.Future[int]
			state executor.State
			text  string
			err   error
		}{
			{succeeded, executor.Finished, "<Future finished int>", nil},
			{failed, executor.Finished, "<Future finished error *errors.errorString>", errBoom},
			{running, executor.Running, "<Future running>", executor.ErrPending},
			{pending, executor.Pending, "<Future pending>", executor.ErrPending},
			{cancelled, executor.Cancelled, "<Future cancelled>", executor.ErrCancelled},
			{expired, executor.Cancelled, "<Future cancelled>", executor.ErrCancelled},
		} {
			_, err := row.f.Result(ended())
			if row.f.State() != row.state || row.f.String() != row.text || !errors.Is(err, row.err) {
				t.Errorf("State, String, Result = %v, %q, %v; want %v, %q, %v", row.f.State(), row.f, err, row.state, row.text, row.err)
			}
		}
	})
}

func TestCancelIsTrueExactlyIfTheCallNeverStarts(t *testing.T) {
	for _, c := range cannedFutures() {
		t.Run(c.name, func(t *testing.T) {
			f := c.promise.Future()
			calls := 0
			f.OnDone(func(*executor.Future[int]) { calls++ })
			before := calls
			for range 2 { // true again, callbacks once
				if got := f.Cancel(); got != c.cancel {
					t.Errorf("Cancel = %v; want %v", got, c.cancel)
				}
			}
			want := c.state
			if c.state == executor.Pending {
				want, before = executor.Cancelled, 1
			}
			if f.State() != want || calls != before {
				t.Errorf("after Cancel, State = %v, the callback ran %d times; want %v, %d times", f.State(), calls, want, before)
			}
		})
	}
}

// A call of which Cancel has said that it never starts does not run, and each
// other runs once, whether Cancel or the worker is quicker.
func TestCancelAndAWorkerAgree(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		const calls = 500
		var runs [calls]atomic.Int32
		fs := make([]*executor.Future[int], calls)
		for i := range fs {
			fs[i] = executor.Submit(t.Context(), ex, func(_ context.Context, i int) (int, error) {
				runs[i].Add(1)
				return i, nil
			}, i)
			if i%2 == 1 {
				go fs[i-1].Cancel()
			}
		}
		cancelled := 0
		for i, f := range fs {
			neverRuns := f.Cancel()
			if neverRuns {
				cancelled++
			}
			got, err := f.Result(t.Context())
			wantRuns, wantErr := int32(1), error(nil)
			if neverRuns {
				wantRuns, wantErr = 0, executor.ErrCancelled
			}
			if runs[i].Load() != wantRuns || !errors.Is(err, wantErr) || err == nil && got != i {
				t.Errorf("call %d, Cancel = %v: it ran %d times, Result = %v, %v; want %d times, %v", i, neverRuns, runs[i].Load(), got, err, wantRuns, wantErr)
			}
		}
		ex.Close()
		if s := ex.Stats(); s.Submitted != calls || s.Cancelled != cancelled || s.Succeeded != calls-cancelled {
			t.Errorf("Stats = %+v; want %d submitted, %d cancelled", s, calls, cancelled)
		}
	})
}

// keeper is an executor that does nothing with a call until it is told to.
type keeper struct{ calls []*executor.Call }

func (k *keeper) Execute(_ context.Context, c *executor.Call) { k.calls = append(k.calls, c) }
func (k *keeper) Workers() int                                { return 1 }

// What an executor does to a call that has ended changes nothing.
func TestAnExecutorThatIsLateChangesNothing(t *testing.T) {
	for name, end := range map[string]func(*executor.Call, *executor.Future[int]){
		"cancelled": func(_ *executor.Call, f *executor.Future[int]) { f.Cancel() },
		"run":       func(c *executor.Call, _ *executor.Future[int]) { c.Run(context.Background()) },
		"rejected":  func(c *executor.Call, _ *executor.Future[int]) { c.Reject(errBoom) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &keeper{}
				runs, callbacks := 0, 0
				f := executor.Submit(t.Context(), k, func(_ context.Context, n int) (int, error) {
					runs++
					return n, nil
				}, 5)
				f.OnDone(func(*executor.Future[int]) { callbacks++ })
				c := k.calls[0]
				end(c, f)
				synctest.Wait()
				state, first := f.State(), ask(f)
				wantRuns := runs
				for range 3 {
					c.Run(context.Background())
					if c.Reject(errors.New("late")) {
						t.Error("Reject of an ended call = true; want false")
					}
					if got, want := c.Cancel(), state == executor.Cancelled; got != want {
						t.Errorf("Cancel of an ended call = %v; want %v", got, want)
					}
				}
				synctest.Wait()
				if runs != wantRuns || callbacks != 1 || f.State() != state || ask(f) != first {
					t.Errorf("afterwards: %d runs, %d callbacks, %v, %v; want %d, 1, %v, %v", runs, callbacks, f.State(), ask(f), wantRuns, state, first)
				}
			})
		})
	}
}

// The queue of the worker holds a cancelled call, then others.
func TestACancelledCallIsNotRunWhenItsTurnComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		g := newGate()
		executor.Submit(t.Context(), ex, g.pass, 1)
		runs, callbacks := 0, 0
		f := executor.Go(t.Context(), ex, func(context.Context) (int, error) { runs++; return 0, nil })
		f.OnDone(func(*executor.Future[int]) { callbacks++ })
		last := executor.Submit(t.Context(), ex, double, 1)
		f.Cancel()
		g.open()
		if got, err := last.Result(t.Context()); got != 2 || err != nil {
			t.Errorf("Result of the call behind it = %v, %v; want 2, nil", got, err)
		}
		synctest.Wait()
		if runs != 0 || callbacks != 1 {
			t.Errorf("the cancelled call ran %d times, its callback %d times; want 0, 1", runs, callbacks)
		}
	})
}

func TestAWaitWithATimeoutInThePastReturnsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := cannedIn("pending")
		start := time.Now()
		var wg sync.WaitGroup
		for range 10 {
			for _, timeout := range []time.Duration{math.MinInt64, -1, 0} {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), timeout)
					defer cancel()
					_, err := f.Result(ctx)
					if !errors.Is(err, executor.ErrPending) || !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("Result with a timeout of %d = %v; want ErrPending and DeadlineExceeded", timeout, err)
					}
				})
			}
		}
		wg.Wait()
		if took := time.Since(start); took != 0 || f.State() != executor.Pending {
			t.Errorf("after %v the future is %v; want pending after 0s", took, f.State())
		}
	})
}

func TestAWaitWithTheLongestTimeoutDoesNotOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := executor.NewPromise[int]()
		time.AfterFunc(10*time.Millisecond, func() { p.Resolve(7) })
		ctx, cancel := context.WithTimeout(t.Context(), math.MaxInt64)
		defer cancel()
		if got, err := p.Future().Result(ctx); got != 7 || err != nil {
			t.Errorf("Result = %v, %v; want 7, nil", got, err)
		}
	})
}

// The error tells the end of a wait from a call that timed out.
func TestAWaitThatTimesOutIsNotACallThatTimedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		_, err := cannedIn("pending").Result(ctx)
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("Result returned after %v; want 3s", took)
		}
		if !errors.Is(err, executor.ErrPending) || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			t.Errorf("Result = %v; want ErrPending and DeadlineExceeded, not Canceled", err)
		}

		p := executor.NewPromise[int]()
		p.Reject(context.DeadlineExceeded)
		if _, err := p.Future().Result(t.Context()); errors.Is(err, executor.ErrPending) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Result of a call that timed out = %v; want DeadlineExceeded, not ErrPending", err)
		}
	})
}

// The cause of the ctx that ended a wait, or a queued call, is kept.
func TestTheCauseOfAnEndIsMatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errBoom)
		if _, err := cannedIn("pending").Result(ctx); !errors.Is(err, executor.ErrPending) || !errors.Is(err, context.Canceled) || !errors.Is(err, errBoom) {
			t.Errorf("Result of a wait that ended = %v; want ErrPending, Canceled and the cause", err)
		}

		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		g := newGate()
		defer g.open()
		executor.Submit(t.Context(), ex, g.pass, 1)
		ctx, stop := context.WithTimeoutCause(t.Context(), time.Second, errBoom)
		defer stop()
		queued := executor.Submit(ctx, ex, double, 1)
		start := time.Now()
		_, err := queued.Result(t.Context())
		if !errors.Is(err, executor.ErrCancelled) || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errBoom) || errors.Is(err, context.Canceled) {
			t.Errorf("Result of a queued call that timed out = %v; want ErrCancelled, DeadlineExceeded and the cause, not Canceled", err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("Result returned after %v; want 1s, though the worker is busy", took)
		}
	})
}

func TestABlockedReaderWakesAtTheEnd(t *testing.T) {
	for name, e := range endings {
		for _, ctx := range []string{"Background", "cancellable"} {
			t.Run(name+", "+ctx, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := executor.NewPromise[int]()
					time.AfterFunc(time.Second, func() { e.end(p) })
					start := time.Now()
					var got outcome
					if ctx == "Background" {
						got.value, got.err = p.Future().Result(context.Background())
					} else {
						got.value, got.err = p.Future().Result(t.Context())
					}
					if want := (outcome{e.value, e.err}); got != want || time.Since(start) != time.Second {
						t.Errorf("Result = %v after %v; want %v after 1s", got, time.Since(start), want)
					}
				})
			})
		}
	}
}

func TestTheEndOfAWaitIsNotTheEndOfTheCall(t *testing.T) {
	eachBubble(t, func(t *testing.T, ex opened) {
		if _, ok := ex.(*executor.Sequential); ok {
			t.Skip("a future of Sequential is done when Submit returns it")
		}
		f := nap{time.Hour, false}.call(t.Context(), ex)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		second := make(chan outcome, 1)
		go func() {
			value, err := f.Result(context.Background())
			second <- outcome{value, err}
		}()
		if _, err := f.Result(ctx); !errors.Is(err, executor.ErrPending) || !errors.Is(err, context.Canceled) {
			t.Errorf("Result = %v; want ErrPending and the error of ctx", err)
		}
		if got := f.State(); got != executor.Running {
			t.Errorf("State after the wait = %v; want running", got)
		}
		if got, want := <-second, (outcome{value: int(time.Hour.Milliseconds())}); got != want {
			t.Errorf("the second reader got %v; want %v", got, want)
		}
	})
}

func TestSnapshotsOfADoneFutureAreEqual(t *testing.T) {
	for _, c := range cannedFutures() {
		if c.state != executor.Finished && c.state != executor.Cancelled {
			continue
		}
		f := c.promise.Future()
		first := ask(f)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 1000 {
					if state, text, got := f.State(), f.String(), ask(f); state != c.state || text != c.text || got != first {
						t.Errorf("%s: snapshot %v, %q, %v; want %v, %q, %v", c.name, state, text, got, c.state, c.text, first)
						return
					}
				}
			})
		}
		wg.Wait()
	}
}

func TestZeroResultsAreResults(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		zeroResult[int](t, ex)
		zeroResult[struct{}](t, ex)
		zeroResult[*int](t, ex)
		zeroResult[error](t, ex)
		zeroResult[any](t, ex)
	})
}

func zeroResult[T comparable](t *testing.T, ex executor.Executor) {
	t.Helper()
	var zero T
	f := executor.Go(t.Context(), ex, func(context.Context) (T, error) { return zero, nil })
	if got, err := f.Result(t.Context()); got != zero || err != nil {
		t.Errorf("Result of a %T = %v, %v; want the zero value, nil", zero, got, err)
	}
	if f.State() != executor.Finished || !isDone(f) || !strings.HasPrefix(f.String(), "<Future finished ") || strings.Contains(f.String(), "error") {
		t.Errorf("State = %v, String = %q; want a finished future without an error", f.State(), f)
	}
}

// The race detector judges the goroutines that read the large struct.
func TestResultsOfAnyTypeComeWhole(t *testing.T) {
	type large struct {
		numbers [512]int
		text    string
	}
	each(t, func(t *testing.T, ex opened) {
		big := executor.Submit(t.Context(), ex, func(_ context.Context, n int) (large, error) {
			r := large{text: "whole"}
			for i := range r.numbers {
				r.numbers[i] = n
			}
			return r, nil
		}, 7)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				got, err := big.Result(t.Context())
				for i, n := range got.numbers {
					if n != 7 || got.text != "whole" || err != nil {
						t.Errorf("Result: number %d is %d, the text %q, error %v; want 7, whole, nil", i, n, got.text, err)
						return
					}
				}
			})
		}
		wg.Wait()

		fn, err := executor.Go(t.Context(), ex, func(context.Context) (func() int, error) { return func() int { return 3 }, nil }).Result(t.Context())
		if err != nil || fn() != 3 {
			t.Errorf("Result of a func = %v; want one that returns 3", err)
		}
		ch, err := executor.Go(t.Context(), ex, func(context.Context) (chan int, error) { return make(chan int, 1), nil }).Result(t.Context())
		if err != nil || cap(ch) != 1 {
			t.Errorf("Result of a chan = %v, %v; want a channel that holds 1", ch, err)
		}
	})
}

func TestAFailedFutureHasOneError(t *testing.T) {
	calls := map[string]executor.Func[int, int]{
		"fails":  fail,
		"panics": func(context.Context, int) (int, error) { panic("x") },
		"exits":  func(context.Context, int) (int, error) { runtime.Goexit(); return 0, nil },
	}
	each(t, func(t *testing.T, ex opened) {
		for name, fn := range calls {
			f := executor.Submit(t.Context(), ex, fn, 1)
			_, first := f.Result(t.Context())
			text := first.Error()
			for i := range 100 {
				if _, err := f.Result(t.Context()); err != first || err.Error() != text {
					t.Fatalf("a call that %s: Result %d = %v; want the very error of the first", name, i, err)
				}
			}
		}
		f := executor.Submit(ended(), ex, double, 1)
		_, first := f.Result(t.Context())
		for i := range 100 {
			if _, err := f.Result(t.Context()); err.Error() != first.Error() || !errors.Is(err, executor.ErrCancelled) {
				t.Fatalf("a call whose ctx had ended: Result %d = %v; want %v", i, err, first)
			}
		}
	})
}

// A call that panics or ends its goroutine ends its future.
func TestACallThatDoesNotReturnEndsItsFuture(t *testing.T) {
	eachBubble(t, func(t *testing.T, ex opened) {
		_, err := executor.Go(t.Context(), ex, func(context.Context) (int, error) { runtime.Goexit(); return 1, nil }).Result(t.Context())
		if err != executor.ErrGoexit {
			t.Errorf("Result of a call that exits = %v; want ErrGoexit", err)
		}
		for _, value := range []any{"x", nil, errBoom} {
			got, err := executor.Go(t.Context(), ex, func(context.Context) (int, error) { panic(value) }).Result(t.Context())
			p, ok := errors.AsType[*executor.PanicError](err)
			if !ok || got != 0 || len(p.Stack) == 0 || value != nil && p.Value != value {
				t.Errorf("Result of a call that panics with %v = %v, %v; want a PanicError with value and stack", value, got, err)
			}
		}
		if got, err := executor.Submit(t.Context(), ex, double, 1).Result(t.Context()); got != 2 || err != nil {
			t.Errorf("Result of the next call = %v, %v; want 2, nil", got, err)
		}
	})
}

func TestANilFutureIsAnError(t *testing.T) {
	var f *executor.Future[int]
	if got, err := f.Result(t.Context()); got != 0 || err == nil || errors.Is(err, executor.ErrPending) {
		t.Errorf("Result = %v, %v; want an error that is not ErrPending", got, err)
	}
	if !isDone(f) || f.State() != executor.Finished || f.Cancel() {
		t.Errorf("Done is closed: %v, State = %v; want a finished future that cannot be cancelled", isDone(f), f.State())
	}
	if got, want := f.String(), "<Future nil>"; got != want {
		t.Errorf("String = %q; want %q", got, want)
	}
	silenceSlog(t)
	f.OnDone(func(*executor.Future[int]) { t.Error("the callback of a nil future was called") })
}

// A done future needs no ctx.
func TestResultWithANilCtxIsAnError(t *testing.T) {
	//lint:ignore SA1012 a nil ctx is what is tested
	if _, err := cannedIn("pending").Result(nil); err == nil || errors.Is(err, executor.ErrPending) {
		t.Errorf("Result = %v; want an error that is not ErrPending", err)
	}
	//lint:ignore SA1012 a nil ctx is what is tested
	if got, err := cannedIn("succeeded").Result(nil); got != 7 || err != nil {
		t.Errorf("Result of a done future = %v, %v; want 7, nil", got, err)
	}
}

// Done is one channel, the same for a select before and after the end.
func TestDoneIsClosedOnceAndForAll(t *testing.T) {
	for name, e := range endings {
		p := executor.NewPromise[int]()
		early := p.Future().Done()
		if early != p.Future().Done() {
			t.Errorf("%s: Done() != Done() while pending; want one channel", name)
		}
		e.end(p)
		select {
		case <-early:
		default:
			t.Errorf("%s: the channel of before the end is open; want it closed", name)
		}
	}
}
