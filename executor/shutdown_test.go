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

	"github.com/gofutures/futures/executor"
)

// sleep returns after d, or when its ctx ends with the cause of that.
func sleep(ctx context.Context, d time.Duration) (time.Duration, error) {
	select {
	case <-time.After(d):
		return d, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// wantDone fails unless every future is done, and none of them by ErrPending.
func wantDone[T any](t *testing.T, fs []*executor.Future[T]) {
	t.Helper()
	for i, f := range fs {
		if _, err := f.Result(ended()); !isDone(f) || errors.Is(err, executor.ErrPending) {
			t.Errorf("future %d of %d is %v; want it done", i, len(fs), f)
		}
	}
}

func TestAfterCloseEveryCallIsRefused(t *testing.T) {
	closings := map[string]func(opened) error{
		"Close":              func(ex opened) error { return ex.Close() },
		"Shutdown":           func(ex opened) error { return ex.Shutdown(context.Background()) },
		"Shutdown, ctx over": func(ex opened) error { return ex.Shutdown(ended()) },
	}
	for name, shut := range closings {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, ex opened) {
				if err := shut(ex); err != nil {
					t.Errorf("%s of an executor without calls = %v; want nil", name, err)
				}
				var ran atomic.Bool
				fn := func(context.Context, int) (int, error) { ran.Store(true); return 0, nil }
				for way, call := range waysToCall(fn, 0) {
					if err := call(t.Context(), ex); !errors.Is(err, executor.ErrShutdown) {
						t.Errorf("%s: error %v; want ErrShutdown", way, err)
					}
				}
				f := executor.Submit(t.Context(), ex, fn, 0)
				if !isDone(f) || f.State() != executor.Finished {
					t.Errorf("Submit returned %v; want a finished future", f)
				}
				if ran.Load() {
					t.Error("a refused function was called")
				}
				if s := ex.Stats(); s != (executor.Stats{}) {
					t.Errorf("Stats() = %+v; refused calls count nowhere", s)
				}
			})
		})
	}
}

func TestCloseWaitsForAllCallsTaken(t *testing.T) {
	eachBubble(t, func(t *testing.T, ex opened) {
		fs := make([]*executor.Future[time.Duration], 50)
		for i := range fs {
			fs[i] = executor.Submit(t.Context(), ex, sleep, 100*time.Millisecond)
		}
		if err := ex.Close(); err != nil {
			t.Errorf("Close = %v; want nil", err)
		}
		for i, f := range fs {
			if d, err := f.Result(ended()); d != 100*time.Millisecond || err != nil {
				t.Errorf("after Close, call %d = %v, %v; want 100ms", i, d, err)
			}
		}
		if s := ex.Stats(); s != (executor.Stats{Submitted: 50, Succeeded: 50}) {
			t.Errorf("Stats() = %+v; want 50 succeeded and nothing else", s)
		}
	})
}

// Shutdown with a ctx that has ended is cancel_futures=True.
func TestShutdownWithAnEndedCtxCancelsWhatHasNotStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 5}
		defer ex.Close()
		var g gauge
		fs := make([]*executor.Future[time.Duration], 50)
		for i := range fs {
			fs[i] = executor.Submit(t.Context(), ex, g.nap, time.Second)
		}
		time.Sleep(1500 * time.Millisecond)
		begin := time.Now()
		if err := ex.Shutdown(ended()); !errors.Is(err, executor.ErrPending) || !errors.Is(err, context.Canceled) || time.Since(begin) != 0 {
			t.Errorf("Shutdown = %v after %v; want ErrPending and Canceled at once", err, time.Since(begin))
		}
		for i, f := range fs {
			want := executor.Cancelled
			if i < 5 {
				want = executor.Finished
			} else if i < 10 {
				want = executor.Running
			}
			if got := f.State(); got != want {
				t.Errorf("after Shutdown, call %d is %v; want %v", i, got, want)
			}
		}
		if s := ex.Stats(); s.Queued != 0 || s.Running != 5 || s.Cancelled != 40 {
			t.Errorf("after Shutdown, Stats() = %+v; want 40 cancelled, 5 running", s)
		}
		if err := ex.Close(); err != nil || time.Since(begin) != time.Second/2 {
			t.Errorf("Close = %v after %v; want nil after 500ms, when what ran has returned", err, time.Since(begin))
		}
		wantDone(t, fs)
		if s := ex.Stats(); s != (executor.Stats{Submitted: 50, Succeeded: 10, Cancelled: 40}) {
			t.Errorf("after Close, Stats() = %+v; want 10 succeeded, 40 cancelled", s)
		}
	})
}

// Python's shutdown(wait=False) is Close on a goroutine.
func TestCloseOnAGoroutineIsShutdownWithoutWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
		fs := make([]*executor.Future[time.Duration], 6)
		for i := range fs {
			fs[i] = executor.Submit(t.Context(), ex, sleep, time.Second)
		}
		go ex.Close()
		synctest.Wait()
		if _, err := executor.Submit(t.Context(), ex, noop, 0).Result(t.Context()); !errors.Is(err, executor.ErrShutdown) {
			t.Errorf("Submit during Close: %v; want ErrShutdown", err)
		}
		if _, err := executor.Gather(t.Context(), fs...); err != nil {
			t.Errorf("a call that was taken: %v", err)
		}
		synctest.Wait()
		if s := ex.Stats(); s != (executor.Stats{Submitted: 6, Succeeded: 6}) {
			t.Errorf("Stats() = %+v; want 6 succeeded and no worker", s)
		}
	})
}

func TestCloseAndShutdownAreIdempotentAndConcurrent(t *testing.T) {
	eachBubble(t, func(t *testing.T, ex opened) {
		begin := time.Now()
		for range 2 {
			go executor.Submit(t.Context(), ex, sleep, time.Second)
		}
		synctest.Wait()
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				shut := ex.Close
				if i%2 == 0 {
					shut = func() error { return ex.Shutdown(t.Context()) }
				}
				if err := shut(); err != nil || time.Since(begin) != time.Second {
					t.Errorf("%d of 8 at once = %v after %v; want nil after 1s", i, err, time.Since(begin))
				}
			})
		}
		all.Wait()
		for range 2 {
			if err := errors.Join(ex.Close(), ex.Shutdown(t.Context()), ex.Shutdown(ended())); err != nil {
				t.Errorf("again = %v; want nil", err)
			}
		}
		if s := ex.Stats(); s != (executor.Stats{Submitted: 2, Succeeded: 2}) {
			t.Errorf("Stats() = %+v; want 2 succeeded", s)
		}
	})
}

// CPython's gh-94440.
func TestCloseAfterACancelReturns(t *testing.T) {
	for _, workers := range []int{1, 2} {
		for range 50 {
			ex := &executor.ThreadPoolExecutor{MaxWorkers: workers}
			f := executor.Submit(t.Context(), ex, noop, 0)
			cancelled := f.Cancel()
			if err := ex.Close(); err != nil {
				t.Fatalf("Close = %v", err)
			}
			if got := f.State() == executor.Cancelled; got != cancelled {
				t.Fatalf("Cancel = %v, and the future is %v", cancelled, f)
			}
		}
	}
}

// CPython's issue12456.
func TestCloseRightAfterOneCallMoreThanWorkers(t *testing.T) {
	for _, workers := range []int{1, 2, 4} {
		for range 100 {
			ex := &executor.ThreadPoolExecutor{MaxWorkers: workers}
			fs := make([]*executor.Future[int], workers+1)
			for i := range fs {
				fs[i] = executor.Submit(t.Context(), ex, double, i)
			}
			if err := ex.Close(); err != nil {
				t.Fatalf("Close = %v", err)
			}
			for i, f := range fs {
				if n, err := f.Result(ended()); n != 2*i || err != nil {
					t.Fatalf("call %d = %d, %v; want %d", i, n, err, 2*i)
				}
			}
		}
	}
}

// The bubble fails if a goroutine is left.
func TestCloseOfAnExecutorThatWasNeverUsed(t *testing.T) {
	eachBubble(t, func(t *testing.T, ex opened) {
		begin := time.Now()
		if err := ex.Close(); err != nil || time.Since(begin) != 0 {
			t.Errorf("Close = %v after %v; want nil at once", err, time.Since(begin))
		}
		if s := ex.Stats(); s != (executor.Stats{}) {
			t.Errorf("Stats() = %+v; want zeros", s)
		}
	})
}

// Workers without work are no reason to say that calls still run.
func TestShutdownWithAnEndedCtxOfAnIdleExecutorReturnsNil(t *testing.T) {
	eachBubble(t, func(t *testing.T, ex opened) {
		executor.Gather(t.Context(), submitN(t.Context(), ex, nil, double, 10)...)
		synctest.Wait()
		if err := ex.Shutdown(ended()); err != nil {
			t.Errorf("Shutdown = %v; want nil: no call has not ended", err)
		}
	})
}

func TestABrokenExecutorCanBeClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 2, Initializer: func(context.Context) error { return errBoom }}
		for range 3 {
			if _, err := executor.Submit(t.Context(), ex, double, 1).Result(t.Context()); !errors.Is(err, executor.ErrBroken) {
				t.Errorf("Submit: %v; want ErrBroken", err)
			}
		}
		synctest.Wait()
		for range 2 {
			if err := errors.Join(ex.Close(), ex.Shutdown(t.Context()), ex.Shutdown(ended())); err != nil {
				t.Errorf("Close and Shutdown of a broken executor = %v; want nil", err)
			}
		}
		if _, err := executor.Submit(t.Context(), ex, double, 1).Result(t.Context()); !errors.Is(err, executor.ErrShutdown) && !errors.Is(err, executor.ErrBroken) {
			t.Errorf("Submit after Close: %v; want an error", err)
		}
	})
}

// Until its ctx ends, Shutdown is Close; then it cancels what waits and
// ends what runs. It can be called again, to wait again.
func TestShutdownIsCloseUntilItsCtxEnds(t *testing.T) {
	eachBubble(t, func(t *testing.T, ex opened) {
		begin := time.Now()
		stubborn := make(chan error, 4) // they see their ctx end and go on
		work := func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			stubborn <- context.Cause(ctx)
			time.Sleep(time.Hour)
			return 1, nil
		}
		fs := make([]*executor.Future[int], 4)
		var submitted sync.WaitGroup
		for i := range fs {
			submitted.Go(func() { fs[i] = executor.Submit(t.Context(), ex, work, i) })
			synctest.Wait() // Sequential returns from Submit when all is over
		}
		running := 4
		if ex.Workers() == 2 {
			running = 2
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errBoom)
		defer cancel()
		err := ex.Shutdown(ctx)
		if !errors.Is(err, executor.ErrPending) || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errBoom) || time.Since(begin) != time.Minute {
			t.Errorf("Shutdown = %v after %v; want ErrPending, DeadlineExceeded and the cause after 1m", err, time.Since(begin))
		}
		synctest.Wait()
		if len(stubborn) != running {
			t.Errorf("%d of %d running calls saw their ctx end", len(stubborn), running)
		}
		for range len(stubborn) {
			if cause := <-stubborn; !errors.Is(cause, executor.ErrShutdown) {
				t.Errorf("the cause of their ctx is %v; want ErrShutdown", cause)
			}
		}
		if s := ex.Stats(); s.Running != running || s.Queued != 0 || s.Cancelled != 4-running {
			t.Errorf("after Shutdown, Stats() = %+v; want %d running, %d cancelled", s, running, 4-running)
		}
		if err := ex.Shutdown(t.Context()); err != nil || time.Since(begin) != time.Minute+time.Hour {
			t.Errorf("Shutdown again = %v after %v; want nil after 1h1m", err, time.Since(begin))
		}
		submitted.Wait()
		wantDone(t, fs)
		if s := ex.Stats(); s != (executor.Stats{Submitted: 4, Succeeded: running, Cancelled: 4 - running}) {
			t.Errorf("Stats() = %+v; want %d succeeded, %d cancelled", s, running, 4-running)
		}
	})
}

// What a call does not look at before Shutdown, it sees afterwards too.
func TestShutdownEndsACtxThatNobodyHasLookedAt(t *testing.T) {
	eachBubble(t, func(t *testing.T, ex opened) {
		late := func(ctx context.Context) (int, error) {
			time.Sleep(time.Minute)
			if ctx.Err() != context.Canceled {
				return 0, fmt.Errorf("Err() = %w; want Canceled", ctx.Err())
			}
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), executor.ErrShutdown) {
				return 0, fmt.Errorf("the cause is %w; want ErrShutdown", context.Cause(ctx))
			}
			return 1, ctx.Value(key{}).(error)
		}
		ctx := context.WithValue(t.Context(), key{}, errBoom)
		var f *executor.Future[int]
		var submitted sync.WaitGroup
		submitted.Go(func() { f = executor.Go(ctx, ex, late) })
		synctest.Wait()
		ex.Shutdown(ended())
		submitted.Wait()
		if n, err := f.Result(t.Context()); n != 1 || err != errBoom {
			t.Errorf("Result = %d, %v; want 1, %v", n, err, errBoom)
		}
	})
}

// All of many, at once: every future is resolved.
func TestShutdownEndsTenThousandCallsAtOnce(t *testing.T) {
	const calls = 10_000
	open := map[string]func() opened{
		"ThreadPoolExecutor of 1":   func() opened { return &executor.ThreadPoolExecutor{MaxWorkers: 1} },
		"ThreadPoolExecutor of 100": func() opened { return &executor.ThreadPoolExecutor{MaxWorkers: 100} },
		"ThreadPerTask":             func() opened { return new(executor.ThreadPerTask) },
	}
	for name, open := range open {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ex := open()
				fs := make([]*executor.Future[time.Duration], calls)
				for i := range fs {
					fs[i] = executor.Submit(t.Context(), ex, sleep, time.Hour)
				}
				synctest.Wait()
				running := calls
				if ex.Workers() > 0 {
					running = ex.Workers()
				}
				begin := time.Now()
				ex.Shutdown(ended())
				if err := ex.Close(); err != nil || time.Since(begin) != 0 {
					t.Errorf("Close = %v after %v; want nil at once", err, time.Since(begin))
				}
				wantDone(t, fs)
				if s := ex.Stats(); s != (executor.Stats{Submitted: calls, Failed: running, Cancelled: calls - running}) {
					t.Errorf("Stats() = %+v; want %d failed, %d cancelled", s, running, calls-running)
				}
			})
		})
	}
}

// An iterator that nobody reads on holds up nobody.
func TestCloseDuringAMapThatIsNotReadOn(t *testing.T) {
	for _, opts := range [][]executor.MapOption{nil, {executor.Unordered()}, {executor.ChunkSize(2)}, {executor.Buffer(1)}} {
		eachBubble(t, func(t *testing.T, ex opened) {
			source := func(yield func(int) bool) {
				for i := 0; yield(i); i++ {
				}
			}
			next, stop := iter.Pull2(executor.Map(t.Context(), ex, double, source, opts...))
			defer stop()
			if n, err, ok := next(); n%2 != 0 || err != nil || !ok {
				t.Fatalf("the first result = %d, %v, %v; want one that was doubled", n, err, ok)
			}
			if err := ex.Close(); err != nil {
				t.Errorf("Close = %v; want nil", err)
			}
			var last error
			for {
				_, err, ok := next()
				if !ok {
					break
				}
				last = err
			}
			if !errors.Is(last, executor.ErrShutdown) {
				t.Errorf("the last error of an endless Map = %v; want ErrShutdown", last)
			}
		})
		eachBubble(t, func(t *testing.T, ex opened) {
			// Nor does one that is never read, or read no more and dropped.
			executor.Map(t.Context(), ex, double, slices.Values(firstFew(100)), opts...)
			next, stop := iter.Pull2(executor.Map(t.Context(), ex, double, slices.Values(firstFew(100)), opts...))
			next()
			if err := ex.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown = %v; want nil", err)
			}
			stop()
		})
	}
}

// What Shutdown ends is not a result of MapSlice.
func TestShutdownDuringAMapSlice(t *testing.T) {
	for name, opts := range map[string][]executor.MapOption{"guided": nil, "chunks of 50": {executor.ChunkSize(50)}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
				begin := time.Now()
				stop := time.AfterFunc(10*time.Second+time.Millisecond, func() { ex.Shutdown(ended()) })
				defer stop.Stop()
				var calls atomic.Int64
				nap := func(context.Context, int) (int, error) { // it never looks at its ctx
					calls.Add(1)
					time.Sleep(time.Second)
					return 0, nil
				}
				out, err := executor.MapSlice(t.Context(), ex, nap, make([]int, 100), opts...)
				if out != nil || !errors.Is(err, executor.ErrCancelled) {
					t.Errorf("MapSlice = %d results, %v; want none and ErrCancelled", len(out), err)
				}
				if took := time.Since(begin); took != 11*time.Second || calls.Load() != 22 {
					t.Errorf("%d elements were started, in %v; want 22 in 11s: what ran at 10.001s returns, no more starts", calls.Load(), took)
				}
				ex.Close()
			})
		})
	}
}

// Also when one of its runners has found nothing more to do.
func TestShutdownEndsWhatIsLeftOfAMapSlice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
		defer ex.Close()
		stop := time.AfterFunc(5*time.Second, func() { ex.Shutdown(ended()) })
		defer stop.Stop()
		var g gauge
		begin := time.Now()
		naps := []time.Duration{10 * time.Second, 10 * time.Second, time.Second} // chunks of 20s and 1s
		out, err := executor.MapSlice(t.Context(), ex, g.nap, naps, executor.ChunkSize(2))
		if took := time.Since(begin); took != 10*time.Second || !errors.Is(err, executor.ErrCancelled) {
			t.Errorf("MapSlice = %v, %v after %v; want ErrCancelled after 10s: what comes after 5s does not start", out, err, took)
		}
		g.wantMost(t, 2)
	})
}

// No order of Submit and Close loses a call or
// panics.
func TestSubmitRacingWithClose(t *testing.T) {
	const submitters, most = 8, 200
	rounds := sized(30, 200)
	open := map[string]func() opened{
		"ThreadPoolExecutor": func() opened { return &executor.ThreadPoolExecutor{MaxWorkers: 2} },
		"limited queue":      func() opened { return &executor.ThreadPoolExecutor{MaxWorkers: 2, QueueLimit: 1} },
		"ThreadPerTask":      func() opened { return new(executor.ThreadPerTask) },
		"Sequential":         func() opened { return new(executor.Sequential) },
	}
	closings := map[string]func(opened){
		"Close":    func(ex opened) { ex.Close() },
		"Shutdown": func(ex opened) { ex.Shutdown(ended()); ex.Close() },
	}
	for name, open := range open {
		for closing, shut := range closings {
			t.Run(name+"/"+closing, func(t *testing.T) {
				for round := range rounds {
					ex := open()
					var made, refused, cancelled, succeeded atomic.Int64
					fn := func(context.Context, int) (int, error) { made.Add(1); return 0, nil }
					var all sync.WaitGroup
					var begun sync.WaitGroup
					begun.Add(submitters)
					for range submitters {
						all.Go(func() {
							begun.Done()
							for range most {
								f := executor.Submit(context.Background(), ex, fn, 0)
								switch _, err := f.Result(context.Background()); {
								case err == nil:
									succeeded.Add(1)
								case errors.Is(err, executor.ErrCancelled):
									cancelled.Add(1)
								case errors.Is(err, executor.ErrShutdown):
									refused.Add(1)
									return
								default:
									t.Errorf("a call ended with %v", err)
								}
							}
						})
					}
					begun.Wait()
					for range round % 7 {
						runtime.Gosched()
					}
					shut(ex)
					after := ex.Stats()
					all.Wait()
					if s := ex.Stats(); s != after {
						t.Errorf("round %d: after Close, %+v became %+v", round, after, s)
					}
					if made.Load() != succeeded.Load() {
						t.Errorf("round %d: %d calls were made, %d succeeded", round, made.Load(), succeeded.Load())
					}
					if s := after; s.Succeeded != int(succeeded.Load()) || s.Succeeded+s.Cancelled != s.Submitted || s.Queued != 0 || s.Running != 0 || s.Workers != 0 {
						t.Errorf("round %d: Stats() = %+v with %d succeeded, %d cancelled, %d refused", round, s, succeeded.Load(), cancelled.Load(), refused.Load())
					}
				}
			})
		}
	}
}

// passing is an executor that hands its calls on to another, some time later.
type passing struct {
	executor.Executor
	calls chan *executor.Call
}

func (p *passing) Execute(_ context.Context, c *executor.Call) { p.calls <- c }

// A call that is cancelled on its way to an executor is nobody's, and one that is
// cancelled in the moment in which it arrives is counted once.
func TestCallThatIsCancelledOnItsWayIsNotWaitedFor(t *testing.T) {
	const n = 500
	for _, when := range []string{"before", "meanwhile"} {
		for name, ex := range map[string]opened{
			"ThreadPoolExecutor": &executor.ThreadPoolExecutor{MaxWorkers: 1},
			"ThreadPerTask":      &executor.ThreadPerTask{},
			"Sequential":         &executor.Sequential{},
		} {
			t.Run(name+", "+when, func(t *testing.T) {
				p := &passing{Executor: ex, calls: make(chan *executor.Call, n)}
				for range n {
					f := executor.Go(t.Context(), p, func(context.Context) (int, error) { return 1, nil })
					c := <-p.calls
					var wg sync.WaitGroup
					if when == "before" {
						f.Cancel()
					} else {
						wg.Go(func() { f.Cancel() })
					}
					ex.Execute(t.Context(), c)
					wg.Wait()
					if _, err := f.Result(t.Context()); err != nil && !errors.Is(err, executor.ErrCancelled) {
						t.Fatalf("Result = %v; want nil or ErrCancelled", err)
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), longEnough)
				defer cancel()
				if err := ex.Shutdown(ctx); err != nil {
					t.Errorf("Shutdown = %v; want nil", err)
				}
				if s := ex.Stats(); s.Queued != 0 || s.Running != 0 || s.Submitted != s.Succeeded+s.Cancelled || when == "before" && s.Submitted != 0 {
					t.Errorf("Stats = %+v; want nothing queued or running, and a sum", s)
				}
			})
		}
	}
}
