package executor_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor"
)

// waitFor is a call that waits for done.
func waitFor(ctx context.Context, done <-chan struct{}) (string, error) {
	return "done", executor.Await(ctx, done)
}

// Calls that wait for what a later call does would else have all places for ever.
func TestAwaitLendsThePlaceOfACall(t *testing.T) {
	for name, derive := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"its ctx":       func(ctx context.Context) (context.Context, context.CancelFunc) { return ctx, func() {} },
		"a derived ctx": context.WithCancel,
	} {
		t.Run(name, func(t *testing.T) {
			eachBubble(t, func(t *testing.T, ex opened) {
				if _, isSequential := ex.(*executor.Sequential); isSequential {
					t.Skip("Submit returns when the call has ended")
				}
				done := make(chan struct{})
				var waiters []*executor.Future[string]
				for range 10 {
					waiters = append(waiters, executor.Submit(t.Context(), ex, func(ctx context.Context, done <-chan struct{}) (string, error) {
						ctx, cancel := derive(ctx)
						defer cancel()
						return waitFor(ctx, done)
					}, done))
				}
				closer := executor.Go(t.Context(), ex, func(context.Context) (int, error) {
					close(done)
					return 0, nil
				})
				synctest.Wait()
				if s := closer.State(); s != executor.Finished {
					t.Errorf("the call that all others wait for is %v; want it finished", s)
				}
				for i, f := range waiters {
					if s := f.State(); s != executor.Finished {
						t.Fatalf("waiter %d is %v; want it finished", i, s)
					}
					if _, err := f.Result(t.Context()); err != nil {
						t.Errorf("waiter %d: %v", i, err)
					}
				}
			})
		})
	}
}

// A call has its place again when Await returns, so that no more calls than MaxWorkers
// execute at once.
func TestACallThatHasAwaitedHasItsPlaceAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		var g gauge
		done := make(chan struct{})
		var fs []*executor.Future[int]
		for range 5 {
			fs = append(fs, executor.Go(t.Context(), ex, func(ctx context.Context) (int, error) {
				err := executor.Await(ctx, done)
				g.enter()
				time.Sleep(time.Second)
				g.leave()
				return 0, err
			}))
		}
		synctest.Wait()
		close(done)
		if _, err := executor.Gather(t.Context(), fs...); err != nil || g.most.Load() != 1 {
			t.Errorf("%d calls have executed at once, and the error is %v; want 1, nil", g.most.Load(), err)
		}
	})
}

// A channel that is ready costs no place: others would have it first.
func TestAwaitOfWhatIsReadyKeepsThePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		ready := make(chan struct{})
		close(ready)
		var order []string
		first := executor.Go(t.Context(), ex, func(ctx context.Context) (int, error) {
			time.Sleep(time.Second) // the second is queued
			err := executor.Await(ctx, ready)
			order = append(order, "first")
			return 0, err
		})
		second := executor.Go(t.Context(), ex, func(context.Context) (int, error) {
			order = append(order, "second")
			return 0, nil
		})
		if _, err := executor.Gather(t.Context(), first, second); err != nil || fmt.Sprint(order) != "[first second]" {
			t.Errorf("the calls executed as %v, %v; want the first to go on", order, err)
		}
	})
}

func TestAwaitEndsWithTheCtx(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errBoom)
	never := make(chan struct{})
	err := executor.Await(ctx, never)
	const text = "executor: Await: still pending: boom"
	if !errors.Is(err, executor.ErrPending) || !errors.Is(err, context.Canceled) || !errors.Is(err, errBoom) || err.Error() != text {
		t.Errorf("Await with a ctx that has ended = %v; want %q, which matches ErrPending, context.Canceled and the cause", err, text)
	}
	closed := make(chan struct{})
	close(closed)
	for range 100 { // a select would choose
		if err := executor.Await(ctx, closed); err != nil {
			t.Fatalf("Await of a closed channel with a ctx that has ended = %v; want nil", err)
		}
	}
	for range 100 {
		both := make(chan struct{})
		if err := executor.Await(closer{t.Context(), both}, both); err != nil {
			t.Fatalf("Await of a channel that is closed when the ctx ends = %v; want nil", err)
		}
	}
	//lint:ignore SA1012 a nil ctx is what is tested
	if err := executor.Await(nil, closed); err == nil {
		t.Error("Await with a nil ctx = nil; want an error")
	}
}

// closer is a ctx that ends, and closes a channel, when somebody waits for its end.
type closer struct {
	context.Context
	c chan struct{}
}

func (c closer) Done() <-chan struct{} {
	close(c.c)
	return c.c
}

// Each value that is sent wakes one waiter.
func TestAwaitReceivesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		tokens := make(chan struct{}, 2)
		a := executor.Submit(t.Context(), ex, waitFor, (<-chan struct{})(tokens))
		b := executor.Submit(t.Context(), ex, waitFor, (<-chan struct{})(tokens))
		for want := 1; want <= 2; want++ {
			tokens <- struct{}{}
			synctest.Wait()
			done := 0
			for _, f := range []*executor.Future[string]{a, b} {
				if f.State() == executor.Finished {
					done++
				}
			}
			if done != want {
				t.Errorf("after %d values %d waiters are done", want, done)
			}
		}
	})
}

// A call that has waited for its place beyond the end of ctx takes what has come meanwhile.
func TestAwaitTakesWhatComesWhileTheCallWaitsForItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		done := make(chan struct{})
		waiter := executor.Go(t.Context(), ex, func(ctx context.Context) (int, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			return 0, executor.Await(ctx, done)
		})
		executor.Go(t.Context(), ex, func(context.Context) (int, error) {
			time.Sleep(time.Minute) // in the place of the first
			close(done)
			return 0, nil
		})
		if _, err := waiter.Result(t.Context()); err != nil {
			t.Errorf("Await = %v; want nil", err)
		}
	})
}
