package executor_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/gofutures/futures/executor"
)

// FUT-01.
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

// FUT-01 for calls: the five states of a future of an executor.
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

// FUT-02.
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

// D4: no call runs of which Cancel has said that it never will, and each other
// runs once, whoever is quicker.
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

// FUT-05, and FUT-04 for calls: what an executor does to a call that has ended
// changes nothing.
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

// FUT-05 on a worker: the queue holds a cancelled call, then others.
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

// FUT-06.
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

// FUT-07.
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

// FUT-08, D11, and FEATURES 9.1 item 2: that the wait ended and that the call
// timed out are told apart.
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

// FUT-09.
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

// FUT-10, D11.
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

// FUT-11.
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

// FUT-12.
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

// FUT-13. The race detector is who judges the readers of the large struct.
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

// FUT-14.
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

// FEATURES 9.1 item 3, D6: what does not return ends its future.
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

// D29.
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

// D29; a done future needs no ctx.
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

// big has a memory block of its own.
type big struct {
	_   [4096]byte
	err error // so that it is an object with pointers, too
}

func (b *big) Error() string { return "big" }

// checkCollected checks that nothing holds an object.
func checkCollected[T any](t *testing.T, w weak.Pointer[T], format string, args ...any) {
	t.Helper()
	for range 20 { // a goroutine that has just let go may need a moment on the processor
		if w.Value() == nil {
			return
		}
		runtime.GC()
		runtime.Gosched()
	}
	t.Errorf("still held: %s", fmt.Sprintf(format, args...))
}

// traces are weak pointers to what a call was made of.
type traces struct {
	arg, out weak.Pointer[big]
	captured weak.Pointer[big]
	future   weak.Pointer[executor.Future[*big]]
}

func (tr traces) check(t *testing.T, what string) {
	t.Helper()
	checkCollected(t, tr.arg, "the argument of a call that %s", what)
	checkCollected(t, tr.captured, "what the function of a call that %s has captured", what)
}

func (tr traces) checkAll(t *testing.T, what string) {
	t.Helper()
	tr.check(t, what)
	checkCollected(t, tr.out, "the result of a call that %s", what)
	checkCollected(t, tr.future, "the future of a call that %s", what)
}

// bigFunc is the Func of a call whose references are followed.
type bigFunc = func(ctx context.Context, in, captured *big) (*big, error)

var bigFuncs = map[string]bigFunc{
	"returns": func(context.Context, *big, *big) (*big, error) { return new(big), nil },
	"fails":   func(_ context.Context, in, _ *big) (*big, error) { return nil, &big{err: in} },
	"panics":  func(_ context.Context, in, _ *big) (*big, error) { panic(in) },
	"exits": func(_ context.Context, in, captured *big) (*big, error) {
		defer runtime.KeepAlive(in)
		runtime.Goexit()
		return captured, nil
	},
	"asks Done": func(ctx context.Context, _, _ *big) (*big, error) { ctx.Done(); return new(big), nil },
	"derives ctx": func(ctx context.Context, in, _ *big) (*big, error) {
		_, stop := context.WithCancel(context.WithValue(ctx, bigKey{}, in))
		stop()
		return new(big), nil
	},
}

type bigKey struct{}

// follow submits a call that is followed.
//
//go:noinline
func follow(ctx context.Context, ex executor.Executor, fn bigFunc) (*executor.Future[*big], traces) {
	in, captured := new(big), new(big)
	f := executor.Submit(ctx, ex, func(ctx context.Context, in *big) (*big, error) { return fn(ctx, in, captured) }, in)
	return f, traces{arg: weak.Make(in), captured: weak.Make(captured), future: weak.Make(f)}
}

// followToTheEnd submits a call, uses its future in all ways, and drops it.
//
//go:noinline
func followToTheEnd(ctx context.Context, ex executor.Executor, fn bigFunc) traces {
	f, tr := follow(ctx, ex, fn)
	f.OnDone(func(*executor.Future[*big]) {})
	f.Result(ctx)
	executor.Wait(ctx, executor.AllCompleted, f)
	for range executor.AsCompleted(ctx, f) {
	}
	out, _ := f.Result(ctx)
	if out != nil {
		tr.out = weak.Make(out)
	}
	return tr
}

// D28: the executor lives on, its workers are idle, and the ctx lives on too.
func TestNothingOfADroppedFutureIsHeld(t *testing.T) {
	for _, cancellable := range []bool{false, true} {
		t.Run(fmt.Sprintf("cancellable ctx %v", cancellable), func(t *testing.T) {
			eachBubble(t, func(t *testing.T, ex opened) {
				ctx := context.Background()
				if cancellable {
					ctx = t.Context()
				}
				for name, fn := range bigFuncs {
					if name == "exits" && endsWaiters(ex) {
						continue
					}
					tr := followToTheEnd(ctx, ex, fn)
					synctest.Wait()
					tr.checkAll(t, name)
				}
				runtime.KeepAlive(ctx)
				runtime.KeepAlive(ex)
			})
		})
	}
}

// D28: who holds a future holds its result and not what led to it.
func TestADoneFutureDoesNotHoldItsArgument(t *testing.T) {
	eachBubble(t, func(t *testing.T, ex opened) {
		for _, name := range []string{"returns", "exits", "asks Done"} {
			f, tr := follow(t.Context(), ex, bigFuncs[name])
			f.Result(t.Context())
			synctest.Wait()
			tr.check(t, name)
			runtime.KeepAlive(f)
		}
		refused := executors()
		for kind, ex := range refused {
			ex.Close()
			f, tr := follow(t.Context(), ex, bigFuncs["returns"])
			tr.check(t, "was refused by "+kind)
			runtime.KeepAlive(f)
		}
	})
}

// D5, D28: a call that is cancelled in the queue gives its argument back at
// once, though every worker is busy and somebody holds the future.
func TestACancelledCallDoesNotHoldItsArgument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		g := newGate()
		defer g.open()
		executor.Submit(t.Context(), ex, g.pass, 1)
		ctx, cancel := context.WithCancel(t.Context())

		f, tr := follow(t.Context(), ex, bigFuncs["returns"])
		f.Cancel()
		tr.check(t, "was cancelled")
		expired, tr := follow(ctx, ex, bigFuncs["returns"])
		cancel()
		synctest.Wait()
		tr.check(t, "was cancelled by its ctx")
		late, tr := follow(ctx, ex, bigFuncs["returns"])
		tr.check(t, "came after the end of its ctx")
		runtime.KeepAlive([]any{f, expired, late})
	})
}

// D28: what a callback has captured goes when it has run, though somebody holds
// the future.
func TestADoneFutureDoesNotHoldItsCallbacks(t *testing.T) {
	for name, e := range endings {
		synctest.Test(t, func(t *testing.T) {
			p := executor.NewPromise[int]()
			w := addBigCallback(p.Future())
			e.end(p)
			synctest.Wait()
			checkCollected(t, w, "what a callback has captured, %s", name)
			checkCollected(t, addBigCallback(p.Future()), "what a callback that came after the end has captured, %s", name)
			runtime.KeepAlive(p)
		})
	}
}

//go:noinline
func addBigCallback(f *executor.Future[int]) weak.Pointer[big] {
	captured := new(big)
	f.OnDone(func(*executor.Future[int]) { captured.err = errBoom })
	return weak.Make(captured)
}

// countingCtx lives on, and counts what is registered on it and was not taken
// back.
type countingCtx struct {
	context.Context
	done chan struct{}

	mu         sync.Mutex
	live, peak int
	held       map[*func()]bool // as each ctx holds what it is to call
}

func newCountingCtx() *countingCtx {
	return &countingCtx{Context: context.Background(), done: make(chan struct{}), held: map[*func()]bool{}}
}

func (c *countingCtx) Done() <-chan struct{} { return c.done }

// AfterFunc is what package context calls for a ctx that is not its own.
func (c *countingCtx) AfterFunc(fn func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held[&fn] = true
	c.live++
	c.peak = max(c.peak, c.live)
	return sync.OnceValue(func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.held, &fn)
		c.live--
		return true
	})
}

// A ctx of a call that has asked for Done is left when it is collected.
func TestAnEndedCallLeavesNothingOnItsCtx(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		for name, fn := range bigFuncs {
			if name == "exits" && endsWaiters(ex) {
				continue
			}
			ctx := newCountingCtx()
			for range 100 {
				followToTheEnd(ctx, ex, fn)
			}
			untilGone(t, "what is registered on ctx by calls, each "+name, func() bool {
				ctx.mu.Lock()
				defer ctx.mu.Unlock()
				return ctx.live == 0
			})
		}
	})
}

// CTX-09, D5: one watch for each ctx, not one for each call.
func TestManyQueuedCallsRegisterOnceOnTheirCtx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		g := newGate()
		executor.Submit(t.Context(), ex, g.pass, 0)
		ctx := newCountingCtx()
		var fs []*executor.Future[int]
		for i := range 1000 {
			fs = append(fs, executor.Submit(ctx, ex, double, i))
		}
		for _, f := range fs[:500] {
			f.Cancel()
		}
		if ctx.live != 1 || ctx.peak != 1 {
			t.Errorf("1000 queued calls, half of them cancelled: %d registrations, at most %d at once; want 1", ctx.live, ctx.peak)
		}
		g.open()
		executor.Wait(t.Context(), executor.AllCompleted, fs...)
		time.Sleep(time.Second) // the watch is kept for a moment
		synctest.Wait()
		if ctx.live != 0 {
			t.Errorf("after the calls: %d registrations; want 0", ctx.live)
		}
	})
}

// CTX-09: with a ctx of package context, which keeps a list of what hangs on it.
func TestManyCallsOnOneCtxLeaveTheHeapFlat(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		checkHeapFlat(t, 3000, func() {
			executor.Submit(ctx, ex, func(ctx context.Context, n int) (int, error) {
				ctx, stop := context.WithCancel(ctx)
				defer stop()
				return n, ctx.Err()
			}, 1).Result(ctx)
			executor.Submit(ctx, ex, fail, 1).Result(ctx)
		})
	})
}

// checkHeapFlat checks that doing something n times leaves less on the heap
// than one small object for each.
func checkHeapFlat(t *testing.T, n int, do func()) {
	t.Helper()
	for range n / 10 {
		do() // fills what is kept on purpose
	}
	before := heap()
	for range n {
		do()
	}
	untilGone(t, "a heap that has grown", func() bool { return heap()-before <= int64(n)*32 })
}

func heap() int64 {
	for range 3 { // finalizers, and sync.Pool, take two
		runtime.GC()
	}
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
