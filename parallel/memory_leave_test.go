package parallel_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/parallel"
)

func TestWhoseCtxEndsLeavesAndTheOthersGetTheResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &parallel.Memory{Dir: t.TempDir()}
		var f tally
		var ended atomic.Bool
		c := newCached(t, m, "f", "v1", func(ctx context.Context, n int) (int, error) {
			n, err := f.nap(ctx, n)
			ended.Store(ctx.Err() != nil)
			return n, err
		})
		start := time.Now()
		var all sync.WaitGroup
		caller := func(ctx context.Context, want error, after time.Duration) {
			all.Go(func() {
				got, err := c.Call(ctx, 7)
				if !errors.Is(err, want) || (want == nil && got != 7) || time.Since(start) != after {
					t.Errorf("f(7) = %d, %v after %v; want %v after %v", got, err, time.Since(start), want, after)
				}
			})
			synctest.Wait() // so that they come in this order
		}
		soon, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer stop()
		cancelled, cancel := context.WithCancel(t.Context())
		defer cancel()
		caller(soon, context.DeadlineExceeded, 100*time.Millisecond) // the first, whose ctx the function's is made of
		caller(t.Context(), nil, time.Second)
		caller(cancelled, context.Canceled, 200*time.Millisecond)
		caller(t.Context(), nil, time.Second)
		time.Sleep(200 * time.Millisecond)
		cancel()
		all.Wait()
		if s := m.Stats(); f.started.Load() != 1 || ended.Load() || s.Misses != 1 || s.Shared != 1 {
			t.Errorf("%d calls, ctx ended %v, %+v; want one call whose ctx has not ended, a miss and a shared", f.started.Load(), ended.Load(), s)
		}
		if !c.Contains(7) {
			t.Error("Contains(7) = false; want the result to be kept")
		}
	})
}

func TestTheLastToLeaveEndsTheCtxAndWaits(t *testing.T) {
	errWhy := errors.New("why")
	synctest.Test(t, func(t *testing.T) {
		m := &parallel.Memory{Dir: t.TempDir()}
		var cause error
		c := newCached(t, m, "f", "v1", func(ctx context.Context, n int) (int, error) {
			<-ctx.Done()
			cause = context.Cause(ctx)
			time.Sleep(time.Second) // to clean up
			if n == 1 {
				return 1, nil
			}
			return 0, ctx.Err()
		})
		for n := range 2 {
			start := time.Now()
			var all sync.WaitGroup
			for i := range 3 {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Duration(i+1)*time.Minute, func() { cancel(errWhy) })
				all.Go(func() {
					got, err := c.Call(ctx, n)
					after := time.Duration(i+1) * time.Minute
					isLast := i == 2
					if isLast {
						after += time.Second
					}
					if time.Since(start) != after {
						t.Errorf("caller %d left after %v; want %v", i, time.Since(start), after)
					}
					if isLast && n == 1 {
						if got != 1 || err != nil {
							t.Errorf("the last one got %d, %v; want what the function returned", got, err)
						}
					} else if !errors.Is(err, context.Canceled) {
						t.Errorf("caller %d got %v; want %v", i, err, context.Canceled)
					}
				})
			}
			all.Wait()
			if cause != errWhy {
				t.Errorf("the cause of the function's ctx is %v; want that of the last caller's", cause)
			}
			if isKept := c.Contains(n); isKept != (n == 1) {
				t.Errorf("Contains(%d) = %v; want what was returned without an error to be kept", n, isKept)
			}
		}
	})
}

// The error is that of the caller's ctx: the function's has no deadline of its own.
func TestWhoLeavesLastAtItsDeadlineGetsThat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCached(t, &parallel.Memory{Dir: t.TempDir()}, "f", "v1", func(ctx context.Context, n int) (int, error) {
			<-ctx.Done()
			return 0, fmt.Errorf("stopped: %w", context.Cause(ctx))
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Call(ctx, 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("f(0) = %v; want %v", err, context.DeadlineExceeded)
		}
	})
}

// A caller that waits for the call before, which nobody wants any more, leaves with the error
// of its ctx.
func TestWhoWaitsForTheCallBeforeLeavesAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &parallel.Memory{Dir: t.TempDir()}
		var f tally
		c := newCached(t, m, "f", "v1", f.nap)
		first, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { _, err := c.Call(first, 0); done <- err }()
		synctest.Wait()
		cancel() // the function takes no notice
		synctest.Wait()
		start := time.Now()
		for name, call := range map[string]func(context.Context, int) (int, error){"Call": c.Call, "Refresh": c.Refresh} {
			second, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer stop()
			if _, err := call(second, 0); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s = %v after %v; want %v", name, err, time.Since(start), context.DeadlineExceeded)
			}
		}
		if time.Since(start) != 200*time.Millisecond {
			t.Errorf("they left after %v; want 200ms", time.Since(start))
		}
		if err := <-done; err != nil {
			t.Errorf("the first got %v; want what the function returned", err)
		}
		if f.started.Load() != 1 {
			t.Errorf("the function was called %d times; want once", f.started.Load())
		}
	})
}

func TestWhoComesWhenTheLastHasLeftStartsANewCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &parallel.Memory{Dir: t.TempDir()}
		var f tally
		c := newCached(t, m, "f", "v1", func(ctx context.Context, n int) (int, error) {
			defer f.begin()()
			call := f.started.Load()
			select {
			case <-ctx.Done():
				time.Sleep(time.Second)
				return 0, ctx.Err()
			case <-time.After(time.Minute):
				return int(call), nil
			}
		})
		first, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { _, err := c.Call(first, 7); done <- err }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		start := time.Now()
		mustBe(t, "f(7) of a later caller", 2)(c.Call(t.Context(), 7))
		if time.Since(start) != time.Second+time.Minute || f.most.Load() != 1 {
			t.Errorf("it took %v with %d calls at once; want it to begin when the first has ended", time.Since(start), f.most.Load())
		}
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the first got %v; want %v", err, context.Canceled)
		}
	})
}

// A caller that has left has its argument back: what it does to it is not the
// function's.
func TestWhoHasLeftMayChangeItsArgument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		begin := make(chan struct{})
		c := newCached(t, &parallel.Memory{Dir: dir}, "f", "v1", func(_ context.Context, text []byte) (string, error) {
			<-begin
			return strings.ToUpper(string(text)), nil
		})
		first, cancel := context.WithCancel(t.Context())
		text := []byte("abc")
		var both sync.WaitGroup
		both.Go(func() {
			if _, err := c.Call(first, text); !errors.Is(err, context.Canceled) {
				t.Errorf("the first got %v; want %v", err, context.Canceled)
			}
			copy(text, "xyz")
			close(begin)
		})
		synctest.Wait()
		both.Go(func() {
			if got, err := c.Call(t.Context(), []byte("abc")); got != "ABC" || err != nil {
				t.Errorf("f(abc) = %q, %v; want ABC", got, err)
			}
		})
		synctest.Wait()
		cancel()
		both.Wait()
		if got, err := c.Call(t.Context(), []byte("abc")); got != "ABC" || err != nil {
			t.Errorf("f(abc) from disk = %q, %v; want ABC", got, err)
		}
	})
}

// Nothing is left behind by many who come and go.
func TestCallersThatComeAndGoLeaveNothing(t *testing.T) {
	m := &parallel.Memory{Dir: t.TempDir()}
	var running atomic.Int64
	c := newCached(t, m, "f", "v1", func(ctx context.Context, n int) (int, error) {
		running.Add(1)
		defer running.Add(-1)
		if n%2 == 0 {
			runtime.Gosched()
			return n, ctx.Err()
		}
		<-ctx.Done()
		return 0, ctx.Err()
	})
	together(func(g int) {
		for i := range 40 {
			ctx, cancel := context.WithCancel(t.Context())
			go cancel()
			n := (g + i) % 4
			if got, err := c.Call(ctx, n); err == nil && got != n || err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("f(%d) = %d, %v; want %[1]d, or %v", n, got, err, context.Canceled)
			}
		}
	})
	if running.Load() != 0 { // the last caller waits
		t.Errorf("%d calls run; want none", running.Load())
	}
	m.Sync()
	if _, temporary := entries(t, m.Dir); len(temporary) != 0 {
		t.Errorf("there are %q; want nothing", temporary)
	}
	if _, err := os.Stat(m.Dir); err != nil {
		t.Error(err)
	}
}

// That the function changes its argument is no reason to call it again.
func TestWhoLeavesLastGetsWhatAFunctionThatChangesItsArgumentReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &parallel.Memory{Dir: t.TempDir()}
		calls := 0
		c := newCached(t, m, "f", "v1", func(_ context.Context, in []int) (int, error) {
			if calls++; calls > 5 {
				return 0, errBoom
			}
			time.Sleep(time.Second) // it takes no notice of ctx
			sum := 0
			for i, n := range in {
				sum += n
				in[i] = 100
			}
			return sum, nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		mustBe(t, "f", 6)(c.Call(ctx, []int{1, 2, 3}))
		if calls != 1 {
			t.Errorf("the function was called %d times; want once", calls)
		}
		if got, err := c.Call(t.Context(), []int{1, 2, 3}); got != 6 || err != nil || calls != 1 {
			t.Errorf("f again = %d, %v after %d calls; want 6 from disk", got, err, calls)
		}
	})
}

// The same if the first caller leaves and others stay: they have arguments of their own.
func TestWhoStaysGetsWhatAFunctionThatChangesItsArgumentReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &parallel.Memory{Dir: t.TempDir()}
		c := newCached(t, m, "f", "v1", func(_ context.Context, in []int) (int, error) {
			time.Sleep(time.Second)
			sum := 0
			for i, n := range in {
				sum += n
				in[i] = 100
			}
			return sum, nil
		})
		var all sync.WaitGroup
		for i := range 4 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Hour)
			if i == 0 {
				ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
			}
			defer cancel()
			all.Go(func() {
				got, err := c.Call(ctx, []int{1, 2, 3})
				if i == 0 && !errors.Is(err, context.DeadlineExceeded) || i > 0 && (got != 6 || err != nil) {
					t.Errorf("caller %d got %d, %v; want 6, or for the first %v", i, got, err, context.DeadlineExceeded)
				}
			})
			synctest.Wait()
		}
		all.Wait()
		mustBe(t, "f again", 6)(c.Call(t.Context(), []int{1, 2, 3}))
		if s := m.Stats(); s.Hits != 1 || s.Misses > 2 || s.Misses+s.Shared > 4 || s.Misses+s.Shared < 3 {
			t.Errorf("Stats() = %+v; want 1 hit, and the others counted once", s)
		}
	})
}

// A call that has given up waiting for another does not wait for it any more: the other
// may wait for it then.
func TestWhoHasGivenUpWaitingDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &parallel.Memory{Dir: t.TempDir()}
		var slow, other *parallel.CachedFunc[int, int]
		slow = newCached(t, m, "slow", "v1", func(ctx context.Context, n int) (int, error) {
			time.Sleep(200 * time.Millisecond)
			got, err := other.Call(ctx, n)
			return got + 1, err
		})
		other = newCached(t, m, "other", "v1", func(ctx context.Context, n int) (int, error) {
			soon, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
			if _, err := slow.Call(soon, n); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("slow(1) inside of other(1) = %v; want %v", err, context.DeadlineExceeded)
			}
			time.Sleep(time.Second)
			return 10, nil
		})
		var both sync.WaitGroup
		both.Go(func() { mustBe(t, "slow(1)", 11)(slow.Call(t.Context(), 1)) })
		synctest.Wait()
		both.Go(func() { mustBe(t, "other(1)", 10)(other.Call(t.Context(), 1)) })
		both.Wait()
	})
}
