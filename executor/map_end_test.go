package executor_test

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor"
)

// Two results, then one error that matches ctx's;
// what has not started is cancelled, what runs is told and waited for.
func TestMapWhoseDeadlinePassesYieldsWhatIsThereAndOneError(t *testing.T) {
	for name, opts := range map[string][]executor.MapOption{"ordered": nil, "unordered": {executor.Unordered()}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
				defer ex.Close()
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				var calls tally
				var told error
				fn := func(ctx context.Context, i int) (int, error) {
					defer calls.begin()()
					if i == 2 {
						<-ctx.Done()
						told = ctx.Err()
						time.Sleep(5 * time.Second)
						return i, nil
					}
					time.Sleep(time.Second)
					return i, nil
				}
				in, _ := upTo(6)
				begin := time.Now()
				var got []int
				var errs []error
				for v, err := range executor.Map(ctx, ex, fn, in, append(opts, executor.Buffer(6))...) {
					if err == nil {
						got = append(got, v)
					} else if errs = append(errs, err); time.Since(begin) != 10*time.Second {
						t.Errorf("error after %v; want 10s", time.Since(begin))
					}
				}
				if !slices.Equal(got, []int{0, 1}) {
					t.Errorf("results %v; want [0 1]", got)
				}
				if len(errs) != 1 || !errors.Is(errs[0], context.DeadlineExceeded) {
					t.Errorf("errors %v; want one that matches DeadlineExceeded", errs)
				}
				if told != context.DeadlineExceeded || calls.started.Load() != 3 {
					t.Errorf("running call told %v, %d started; want DeadlineExceeded, 3", told, calls.started.Load())
				}
				if calls.running.Load() != 0 || time.Since(begin) != 15*time.Second {
					t.Errorf("ended after %v with %d running; want 15s, 0", time.Since(begin), calls.running.Load())
				}
			})
		})
	}
}

// A result that is there is yielded after the
// deadline too.
func TestMapYieldsReadyResultsAfterCtxHasEnded(t *testing.T) {
	for name, opts := range map[string][]executor.MapOption{"ordered": nil, "unordered": {executor.Unordered()}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ex := &executor.ThreadPoolExecutor{MaxWorkers: 4}
				defer ex.Close()
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				in, pulled := upTo(endless)
				var got []int
				var errs []error
				for v, err := range executor.Map(ctx, ex, double, in, append(opts, executor.Buffer(4))...) {
					if err != nil {
						errs = append(errs, err)
						continue
					}
					if got = append(got, v); len(got) == 1 {
						synctest.Wait() // until the calls ahead have ended
						cancel(errBoom)
					}
				}
				// One has been yielded, and the others were there.
				if n := int(pulled.Load()) - 1; len(got) != n || n < 1 { // one was pulled and not submitted
					t.Errorf("%d results, %v; want the %d that were submitted", len(got), got, n)
				}
				if len(errs) != 1 || !errors.Is(errs[0], context.Canceled) || !errors.Is(errs[0], errBoom) {
					t.Errorf("errors %v; want one that matches context.Canceled and the cause", errs)
				}
			})
		})
	}
}

func TestMapWithAnEndedCtxRunsNothing(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		for _, opts := range [][]executor.MapOption{nil, {executor.ChunkSize(3)}, {executor.Unordered()}} {
			in, _ := upTo(10)
			var errs []error
			for _, err := range executor.Map(ended(), ex, double, in, opts...) {
				errs = append(errs, err)
			}
			if len(errs) != 1 || !errors.Is(errs[0], context.Canceled) || ex.Stats().Submitted != 0 {
				t.Errorf("errors %v, %d calls; want one that matches context.Canceled, 0", errs, ex.Stats().Submitted)
			}
		}
	})
}

// Break cancels what has not started, tells what runs and
// waits for it, stops the source, and leaves nothing behind.
func TestBreakingOutOfMapLeavesNothingBehind(t *testing.T) {
	for name, opts := range map[string][]executor.MapOption{
		"ordered":   {executor.Buffer(10)},
		"unordered": {executor.Buffer(10), executor.Unordered()},
		"chunks":    {executor.Buffer(10), executor.ChunkSize(1)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
				defer ex.Close()
				var calls tally
				var mu sync.Mutex
				var told []error
				fn := func(ctx context.Context, i int) (int, error) {
					defer calls.begin()()
					if i > 0 {
						<-ctx.Done()
						mu.Lock()
						told = append(told, context.Cause(ctx))
						mu.Unlock()
						time.Sleep(time.Second) // holds its worker while the rest is cancelled
					} else {
						time.Sleep(time.Second) // until the window is full
					}
					return i, nil
				}
				sourceEnded := false
				in := func(yield func(int) bool) {
					defer func() { sourceEnded = true }()
					for i := range endless {
						if !yield(i) {
							return
						}
					}
				}
				var left time.Time
				for v, err := range executor.Map(t.Context(), ex, fn, in, opts...) {
					if v != 0 || err != nil {
						t.Errorf("first result %v, %v; want 0", v, err)
					}
					synctest.Wait() // until both workers are in a call
					left = time.Now()
					break
				}
				if !sourceEnded {
					t.Error("the source still runs")
				}
				if calls.started.Load() != 3 || calls.running.Load() != 0 || time.Since(left) != time.Second {
					t.Errorf("%d started, %d running %v after break; want 3, 0, 1s",
						calls.started.Load(), calls.running.Load(), time.Since(left))
				}
				if len(told) != 2 {
					t.Errorf("%d running calls were told; want 2", len(told))
				}
				for _, err := range told {
					if !errors.Is(err, executor.ErrCancelled) {
						t.Errorf("a running call was told %v; want ErrCancelled", err)
					}
				}
				if s := ex.Stats(); s.Queued != 0 || s.Running != 0 || s.Submitted != s.Succeeded+s.Cancelled {
					t.Errorf("Stats = %+v; want nothing queued or running, all accounted for", s)
				}
			})
		})
	}
}

// What runs is told last, so that no call takes the place of one that
// has returned at once.
func TestBreakingOutOfMapStartsNothing(t *testing.T) {
	for name, opts := range map[string][]executor.MapOption{
		"ordered":   {executor.Buffer(5000)},
		"unordered": {executor.Buffer(5000), executor.Unordered()},
	} {
		t.Run(name, func(t *testing.T) {
			for range 10 { // of a race between Map and its workers
				synctest.Test(t, func(t *testing.T) {
					ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
					defer ex.Close()
					var calls tally
					fn := func(ctx context.Context, i int) (int, error) {
						defer calls.begin()()
						if i > 0 {
							<-ctx.Done()
						} else {
							time.Sleep(time.Second) // until the window is full
						}
						return i, nil
					}
					in, _ := upTo(endless)
					for range executor.Map(t.Context(), ex, fn, in, opts...) {
						synctest.Wait()
						break
					}
					if n := calls.started.Load(); n != 3 {
						t.Errorf("%d calls started; want 3: the one that was yielded, and one for each worker", n)
					}
				})
			}
		})
	}
}

// A panic of the loop body is a way to leave the loop.
func TestAPanicInTheLoopOverMapLeavesNothingBehind(t *testing.T) {
	eachBubble(t, func(t *testing.T, ex opened) {
		var calls tally
		fn := func(ctx context.Context, i int) (int, error) {
			defer calls.begin()()
			if i > 0 && ex.Workers() != 1 {
				<-ctx.Done()
			}
			return i, nil
		}
		in, _ := upTo(endless)
		defer func() {
			if v := recover(); v != errBoom || calls.running.Load() != 0 {
				t.Errorf("recovered %v with %d running; want %v, 0", v, calls.running.Load(), errBoom)
			}
		}()
		for range executor.Map(t.Context(), ex, fn, in) {
			panic(errBoom)
		}
	})
}

// A consumer that stops halfway, with results of 1 MB that nobody
// takes.
func TestStoppingAPulledMapLeavesNothingBehind(t *testing.T) {
	eachBubble(t, func(t *testing.T, ex opened) {
		var calls tally
		large := func(context.Context, int) ([]byte, error) {
			defer calls.begin()()
			return make([]byte, 1<<20), nil
		}
		in, pulled := upTo(endless)
		next, stop := iter.Pull2(executor.Map(t.Context(), ex, large, in))
		for range 2 {
			if v, err, ok := next(); len(v) != 1<<20 || err != nil || !ok {
				t.Errorf("next = %d bytes, %v, %v; want 1 MB", len(v), err, ok)
			}
		}
		stop()
		if n := pulled.Load(); calls.running.Load() != 0 || n > int64(2+2*max(ex.Workers(), runtime.GOMAXPROCS(0))) {
			t.Errorf("%d running, %d pulled after stop", calls.running.Load(), n)
		}
		synctest.Wait()
		if s := ex.Stats(); s.Queued+s.Running != 0 {
			t.Errorf("Stats = %+v; want nothing queued or running", s)
		}
	})
}

// An input that nobody will ever finish does not make the end silent.
func TestMapOnAnExecutorThatIsShutDownEndsWithErrShutdown(t *testing.T) {
	for name, shutDown := range map[string]func(opened){
		"Close":    func(ex opened) { ex.Close() },
		"Shutdown": func(ex opened) { ex.Shutdown(ended()) },
	} {
		for _, opts := range [][]executor.MapOption{nil, {executor.ChunkSize(2)}, {executor.Unordered()}} {
			t.Run(name, func(t *testing.T) {
				eachBubble(t, func(t *testing.T, ex opened) {
					in, _ := upTo(endless)
					n := 0
					var last error
					for _, err := range executor.Map(t.Context(), ex, double, in, opts...) {
						if n++; n == 5 {
							shutDown(ex)
						}
						if last = err; errors.Is(err, executor.ErrShutdown) {
							n = -1 << 30 // to see that nothing comes after it
						}
					}
					if !errors.Is(last, executor.ErrShutdown) || n != -1<<30 {
						t.Errorf("the last error is %v, %d after it; want ErrShutdown, 0", last, n+1<<30)
					}
				})
			})
		}
	}
}
