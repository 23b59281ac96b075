package executor_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor"
)

func TestTheInitializerRunsOnceInEachWorkerBeforeItsFirstCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var initialized, early atomic.Int64
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 3, Initializer: func(context.Context) error {
			time.Sleep(time.Second)
			initialized.Add(1)
			return nil
		}}
		defer ex.Close()
		var g gauge
		call := func(ctx context.Context, d time.Duration) (time.Duration, error) {
			g.enter()
			defer g.leave()
			if g.now.Load() > initialized.Load() {
				early.Add(1)
			}
			time.Sleep(d)
			return d, nil
		}
		begin := time.Now()
		fs := make([]*executor.Future[time.Duration], 9)
		for i := range fs {
			fs[i] = executor.Submit(t.Context(), ex, call, time.Minute/4)
		}
		if _, err := executor.Gather(t.Context(), fs...); err != nil {
			t.Error(err)
		}
		if took, want := time.Since(begin), time.Second+45*time.Second; took != want {
			t.Errorf("9 calls of 15s on 3 workers took %v; want %v: they initialize at once", took, want)
		}
		g.wantMost(t, 3)
		for range 20 { // and never again, also when a call ends the goroutine
			executor.Submit(t.Context(), ex, goexit, 0).Result(t.Context())
			executor.Submit(t.Context(), ex, calamity, any(1)).Result(t.Context())
		}
		if got := initialized.Load(); got != 3 || early.Load() != 0 {
			t.Errorf("the Initializer ran %d times, and %d calls came before it; want 3 and none", got, early.Load())
		}
		time.Sleep(5 * time.Minute) // the workers end
		wantAfterInit := time.Now()
		executor.Submit(t.Context(), ex, noop, 0).Result(t.Context())
		if took := time.Since(wantAfterInit); took != time.Second || initialized.Load() < 4 {
			t.Errorf("the first call of a new worker took %v, with %d initialized; want 1s, and one more than 3", took, initialized.Load())
		}
	})
}

// A call wants one worker. Python starts one for it, and runs one initializer.
func TestOneCallInitializesOneWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var initialized atomic.Int64
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 4, Initializer: func(context.Context) error {
			initialized.Add(1)
			time.Sleep(time.Second)
			return nil
		}}
		defer ex.Close()
		executor.Submit(t.Context(), ex, noop, 0).Result(t.Context())
		if got := initialized.Load(); got != 1 {
			t.Errorf("%d workers were initialized for one call; want 1", got)
		}
	})
}

func TestASlowInitializerHoldsBackNoOtherWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 2, Initializer: func(context.Context) error {
			if n.Add(1) == 1 {
				time.Sleep(time.Hour)
			}
			return nil
		}}
		defer ex.Close()
		var g gauge
		for range 10 {
			executor.Submit(t.Context(), ex, g.nap, time.Second)
		}
		time.Sleep(11 * time.Second)
		if s := ex.Stats(); s.Succeeded < 9 { // the slow worker may have one for itself
			t.Errorf("after 11s, while one of 2 workers initializes itself, Stats() = %+v; want at least 9 of 10 calls of 1s made", s)
		}
		time.Sleep(time.Hour)
		wantWidth(t, ex, 2)
	})
}

// The error says why the executor is broken.
func TestAnInitializerThatFailsBreaksTheExecutor(t *testing.T) {
	panicked := func(err error) bool {
		p, ok := errors.AsType[*executor.PanicError](err)
		return ok && p.Value == any("in the initializer")
	}
	tests := []struct {
		name string
		init func(context.Context) error
		ok   func(error) bool
	}{
		{"an error", func(context.Context) error { return errBoom }, func(err error) bool { return errors.Is(err, errBoom) }},
		{"a panic", func(context.Context) error { panic("in the initializer") }, panicked},
		{"an error as a panic", func(context.Context) error { panic(errBoom) }, func(err error) bool { return errors.Is(err, errBoom) }},
		{"Goexit", func(context.Context) error { runtime.Goexit(); return nil }, func(err error) bool { return errors.Is(err, executor.ErrGoexit) }},
		{"a later error", func(context.Context) error { time.Sleep(time.Minute); return errBoom }, func(err error) bool { return errors.Is(err, errBoom) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, limit := range []int{0, 1} {
				synctest.Test(t, func(t *testing.T) {
					var ran atomic.Bool
					fn := func(context.Context, int) (int, error) { ran.Store(true); return 0, nil }
					ex := &executor.ThreadPoolExecutor{Name: "crew", MaxWorkers: 2, QueueLimit: limit, Initializer: tt.init}
					for i, f := range submitN(t.Context(), ex, nil, fn, 5) { // with a limit, Submit waits for the break
						_, err := f.Result(t.Context())
						if !errors.Is(err, executor.ErrBroken) || !tt.ok(err) {
							t.Errorf("call %d: %v; want ErrBroken and its cause", i, err)
						}
					}
					for way, call := range waysToCall(fn, 0) {
						if err := call(t.Context(), ex); !errors.Is(err, executor.ErrBroken) || !tt.ok(err) {
							t.Errorf("%s on a broken executor: %v; want ErrBroken and its cause", way, err)
						}
					}
					if ran.Load() {
						t.Error("a call was made without an Initializer that succeeded")
					}
					if err := ex.Close(); err != nil {
						t.Errorf("Close = %v; want nil", err)
					}
					if s := ex.Stats(); s.Submitted != s.Cancelled || s.Queued != 0 || s.Running != 0 || s.Workers != 0 {
						t.Errorf("Stats() = %+v; want all that was taken as never started, and no workers", s)
					}
				})
			}
		})
	}
}

// As with Python: a call that runs in another worker completes, whatever it
// waits for.
func TestRunningCallsCompleteOnABrokenExecutor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 2, Initializer: func(context.Context) error {
			if n.Add(1) > 1 {
				time.Sleep(time.Second)
				return errBoom
			}
			return nil
		}}
		defer ex.Close()
		begin := time.Now()
		p := executor.NewPromise[int]()
		time.AfterFunc(time.Hour, func() { p.Resolve(7) })
		running := executor.Go(t.Context(), ex, func(ctx context.Context) (int, error) {
			child := executor.Submit(ctx, ex, double, 1) // meets the second worker, which fails
			if _, err := child.Result(ctx); !errors.Is(err, executor.ErrBroken) && err != nil {
				return 0, err
			}
			time.Sleep(2 * time.Second)
			if _, err := executor.Submit(ctx, ex, double, 1).Result(ctx); !errors.Is(err, executor.ErrBroken) {
				return 0, errors.Join(errors.New("Submit to a broken executor"), err)
			}
			return p.Future().Result(ctx)
		})
		if got, err := running.Result(t.Context()); got != 7 || err != nil {
			t.Errorf("the call that ran = %d, %v after %v; want 7", got, err, time.Since(begin))
		}
	})
}

func TestTheCtxOfAnInitializerEndsOnShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause error
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1, Initializer: func(ctx context.Context) error {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return ctx.Err()
		}}
		fs := submitN(t.Context(), ex, nil, double, 3)
		synctest.Wait()
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		ex.Shutdown(ctx)
		if err := ex.Close(); err != nil || time.Since(begin) != time.Minute {
			t.Errorf("Close = %v after %v; want nil after 1m", err, time.Since(begin))
		}
		if !errors.Is(cause, executor.ErrShutdown) {
			t.Errorf("the cause of the Initializer's ctx = %v; want ErrShutdown", cause)
		}
		wantDone(t, fs)
	})
}

// Also when no call is left for the worker.
func TestShutdownDoesNotWaitForAnInitializerBeyondItsCtx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1, Initializer: func(ctx context.Context) error {
			_, err := sleep(ctx, time.Hour)
			return err
		}}
		f := executor.Submit(t.Context(), ex, noop, 0)
		synctest.Wait()
		f.Cancel()
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		ex.Shutdown(ctx)
		if took := time.Since(begin); took != time.Minute {
			t.Errorf("Shutdown returned after %v; want 1m, when its ctx ended", took)
		}
		ex.Close()
		if took := time.Since(begin); took != time.Minute {
			t.Errorf("the Initializer ended after %v; want 1m, with its ctx", took)
		}
	})
}

// Close waits for calls that wait for an Initializer.
func TestCloseWaitsForAnInitializer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 2, Initializer: func(ctx context.Context) error {
			time.Sleep(time.Minute)
			return ctx.Err()
		}}
		begin := time.Now()
		fs := submitN(t.Context(), ex, nil, double, 5)
		if err := ex.Close(); err != nil || time.Since(begin) != time.Minute {
			t.Errorf("Close = %v after %v; want nil after 1m", err, time.Since(begin))
		}
		if sum, err := sumOf(t.Context(), fs); sum != 30 || err != nil {
			t.Errorf("sum = %d, %v; want 30", sum, err)
		}
	})
}

// A worker whose Initializer fails gives up its place: a call that has waited has its own
// back, whether it asks for that before or afterwards.
func TestACallThatHasWaitedGoesOnWhenTheExecutorBreaks(t *testing.T) {
	for name, patience := range map[string]time.Duration{"it asks before": 500 * time.Millisecond, "afterwards": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var workers atomic.Int64
				ex := &executor.ThreadPoolExecutor{MaxWorkers: 1, Initializer: func(context.Context) error {
					if workers.Add(1) == 1 {
						return nil
					}
					time.Sleep(time.Second)
					return errBoom
				}}
				outer := executor.Go(t.Context(), ex, func(ctx context.Context) (error, error) {
					waits, cancel := context.WithTimeout(ctx, patience)
					defer cancel()
					_, err := executor.Submit(ctx, ex, noop, 0).Result(waits)
					return err, nil
				})
				inner, err := outer.Result(t.Context())
				if err != nil || !errors.Is(inner, executor.ErrBroken) {
					t.Errorf("the call returns %v, its wait %v; want nil, an error that matches ErrBroken", err, inner)
				}
				if err := ex.Close(); err != nil {
					t.Errorf("Close = %v; want nil", err)
				}
			})
		})
	}
}
