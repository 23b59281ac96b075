package executor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor"
)

// From a call, with its ctx or one derived from it. Calls that are
// in Shutdown do not wait for themselves, nor for each other.
func TestShutdownFromACallDoesNotWaitForThatCall(t *testing.T) {
	for name, derive := range derivations {
		for _, n := range []int{1, 2, 5} {
			t.Run(fmt.Sprintf("%s/%d calls", name, n), func(t *testing.T) {
				eachBubble(t, func(t *testing.T, ex opened) {
					if n > 1 && ex.Workers() == 1 {
						t.Skip("Sequential: the second call comes after the first has shut down")
					}
					submitted := make(chan struct{})
					if n == 1 {
						close(submitted) // Sequential makes the call before Submit returns
					}
					fs := make([]*executor.Future[int], n)
					for i := range fs {
						fs[i] = executor.Go(t.Context(), ex, func(ctx context.Context) (int, error) {
							<-submitted
							ctx, cancel := derive(ctx)
							defer cancel()
							return i, ex.Shutdown(ctx)
						})
					}
					if n > 1 {
						close(submitted)
					}
					for i, f := range fs {
						if got, err := f.Result(t.Context()); got != i || err != nil {
							t.Errorf("Shutdown in call %d: %v; want nil", i, err)
						}
					}
					if err := ex.Close(); err != nil {
						t.Errorf("Close afterwards = %v", err)
					}
				})
			})
		}
	}
}

// The call before it, made by the same worker, has ended.
func TestShutdownFromACallThatFollowsAnother(t *testing.T) {
	for _, before := range []int{1, 2, 5} {
		eachBubble(t, func(t *testing.T, ex opened) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // a way out of a deadlock
			defer cancel()
			for range before {
				executor.Submit(ctx, ex, sleep, time.Second)
			}
			closer := executor.Go(ctx, ex, func(ctx context.Context) (int, error) { return 1, ex.Shutdown(ctx) })
			if n, err := closer.Result(t.Context()); n != 1 || err != nil {
				t.Errorf("after %d calls, Shutdown in a call: %v; want nil", before, err)
			}
		})
	}
}

// It waits for all other calls.
func TestShutdownFromACallWaitsForTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
		defer ex.Close()
		begin := time.Now()
		submitted := make(chan struct{})
		executor.Submit(t.Context(), ex, sleep, 3*time.Second)
		closer := executor.Go(t.Context(), ex, func(ctx context.Context) (time.Duration, error) {
			<-submitted
			err := ex.Shutdown(ctx)
			return time.Since(begin), err
		})
		fs := []*executor.Future[time.Duration]{
			executor.Submit(t.Context(), ex, sleep, 2*time.Second),
			executor.Submit(t.Context(), ex, sleep, 5*time.Second),
		}
		close(submitted)
		if at, err := closer.Result(t.Context()); at != 7*time.Second || err != nil {
			t.Errorf("Shutdown returned %v at %v; want nil at 7s, when the others have ended", err, at)
		}
		wantDone(t, fs)
	})
}

// What it has waited for is done, to the last.
func TestShutdownFromACallReturnsWhenTheOthersAreDone(t *testing.T) {
	for round := range 2000 {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
		fs := submitN(context.Background(), ex, nil, double, 3)
		closer := executor.Go(context.Background(), ex, func(ctx context.Context) (pending int, err error) {
			err = ex.Shutdown(ctx)
			for _, f := range fs {
				if !isDone(f) {
					pending++
				}
			}
			return pending, err
		})
		if pending, err := closer.Result(context.Background()); pending != 0 || err != nil {
			t.Fatalf("round %d: Shutdown in a call = %v, and %d of 3 other calls are not done", round, err, pending)
		}
		ex.Close()
	}
}

// Shutdown in a call with a ctx that ends first cancels the others,
// and the call itself goes on.
func TestShutdownFromACallEndsWithItsCtx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
		defer ex.Close()
		linger := func(ctx context.Context, d time.Duration) (time.Duration, error) {
			d, err := sleep(ctx, d)
			time.Sleep(time.Second) // else nothing may be left when Shutdown looks whether all have ended
			return d, err
		}
		begin := time.Now()
		submitted := make(chan struct{})
		other := executor.Submit(t.Context(), ex, linger, time.Hour)
		closer := executor.Go(t.Context(), ex, func(ctx context.Context) (time.Duration, error) {
			<-submitted
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			err := ex.Shutdown(ctx)
			if !errors.Is(err, executor.ErrPending) || !errors.Is(err, context.DeadlineExceeded) {
				return 0, fmt.Errorf("Shutdown = %w", err)
			}
			return time.Since(begin), nil
		})
		queued := executor.Submit(t.Context(), ex, linger, time.Hour) // starts when closer lends its place
		again := executor.Submit(t.Context(), ex, linger, time.Hour)
		close(submitted)
		want := time.Minute + time.Second // which has its place back when another call has ended
		if at, err := closer.Result(t.Context()); at != want || err != nil {
			t.Errorf("Shutdown in a call: %v at %v; want ErrPending, DeadlineExceeded at %v", err, at, want)
		}
		ex.Close()
		if took := time.Since(begin); took != want {
			t.Errorf("all calls had ended after %v; want %v", took, want)
		}
		for name, f := range map[string]*executor.Future[time.Duration]{"running": other, "started meanwhile": queued} {
			if _, err := f.Result(t.Context()); !errors.Is(err, executor.ErrShutdown) {
				t.Errorf("the call that was %s: %v; want the cause ErrShutdown", name, err)
			}
		}
		if _, err := again.Result(t.Context()); !errors.Is(err, executor.ErrCancelled) {
			t.Errorf("the queued call: %v; want ErrCancelled", err)
		}
	})
}

// Also on Sequential, where the outer call cannot end before the inner one:
// it waits in Submit.
func TestShutdownFromANestedCallOfSequential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := new(executor.Sequential)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // a way out of a deadlock
		defer cancel()
		outer := executor.Go(ctx, ex, func(ctx context.Context) (int, error) {
			return executor.Go(ctx, ex, func(ctx context.Context) (int, error) {
				return 1, ex.Shutdown(ctx)
			}).Result(ctx)
		})
		if n, err := outer.Result(t.Context()); n != 1 || err != nil {
			t.Errorf("Shutdown in a nested call = %v; want nil", err)
		}
	})
}

// Calls in Shutdown that have a call around them in common, or are
// around each other, do not wait for these, and still wait for the others.
func TestShutdownFromNestedCallsWaitsForTheOthers(t *testing.T) {
	for _, outer := range []string{"waits", "shuts down too", "returns"} {
		t.Run("the outer call "+outer, func(t *testing.T) {
			for kind, ex := range map[string]opened{
				"ThreadPoolExecutor": &executor.ThreadPoolExecutor{MaxWorkers: 4},
				"ThreadPerTask":      new(executor.ThreadPerTask),
			} {
				t.Run(kind, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						begin := time.Now()
						other := executor.Submit(t.Context(), ex, sleep, time.Hour)
						closes := func(ctx context.Context) (time.Duration, error) {
							time.Sleep(time.Second)
							err := ex.Shutdown(ctx)
							return time.Since(begin), err
						}
						var inner []*executor.Future[time.Duration]
						f := executor.Go(t.Context(), ex, func(ctx context.Context) (time.Duration, error) {
							for range 2 {
								inner = append(inner, executor.Go(context.WithoutCancel(ctx), ex, closes))
							}
							switch outer {
							case "waits":
								_, err := executor.Gather(ctx, inner...)
								return time.Since(begin), err
							case "shuts down too":
								return closes(ctx)
							}
							time.Sleep(time.Minute)
							return time.Hour, nil
						})
						if at, err := f.Result(t.Context()); at != time.Hour || err != nil {
							t.Errorf("the outer call: %v after %v; want nil after 1h, when the other has ended", err, at)
						}
						for i, f := range inner {
							if at, err := f.Result(t.Context()); at != time.Hour || err != nil {
								t.Errorf("Shutdown in inner call %d returned %v after %v; want nil after 1h, when the other has ended", i, err, at)
							}
						}
						other.Result(t.Context())
						ex.Close()
					})
				})
			}
		})
	}
}

// Callbacks hold no worker and are not waited for, so that Close may
// be called from one.
func TestCloseFromACallback(t *testing.T) {
	eachBubble(t, func(t *testing.T, ex opened) {
		closed := make(chan error, 3)
		for range 3 {
			executor.Submit(t.Context(), ex, sleep, time.Second).OnDone(func(*executor.Future[time.Duration]) { closed <- ex.Close() })
		}
		n := 3
		if ex.Workers() == 1 {
			n = 1 // the first callback came before the second Submit
		}
		for range n {
			if err := <-closed; err != nil {
				t.Errorf("Close from a callback = %v; want nil", err)
			}
		}
	})
}

// Close may be called from the source of a Map, whose later items are then refused.
func TestCloseFromTheSourceOfAMap(t *testing.T) {
	eachBubble(t, func(t *testing.T, ex opened) {
		source := func(yield func(int) bool) {
			for i := range 10 {
				if i == 5 {
					if err := ex.Close(); err != nil {
						t.Errorf("Close from a source = %v; want nil", err)
					}
				}
				if !yield(i) {
					return
				}
			}
		}
		var got []int
		var last error
		for n, err := range executor.Map(t.Context(), ex, double, source) {
			if last != nil {
				t.Errorf("Map went on after %v", last)
			}
			if last = err; err == nil {
				got = append(got, n)
			}
		}
		if want := []int{0, 2, 4, 6, 8}; !slices.Equal(got, want) || !errors.Is(last, executor.ErrShutdown) {
			t.Errorf("Map yielded %v, then %v; want %v, then ErrShutdown", got, last, want)
		}
	})
}
