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

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/parallel"
)

// many is how many goroutines want one result in most tests.
const many = 16

// together has many goroutines do something at once, and returns when all have ended.
// It is for what may end its goroutine.
func together(do func(i int)) {
	var all sync.WaitGroup
	for i := range many {
		all.Add(1)
		go func() {
			defer all.Done()
			do(i)
		}()
	}
	all.Wait()
}

// MEM-18.
func TestCallsAtTheSameTimeCallTheFunctionOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &parallel.Memory{Dir: t.TempDir()}
		var f tally
		c := newCached(t, m, "f", "v1", f.nap)
		start := time.Now()
		together(func(int) {
			if got, err := c.Call(t.Context(), 7); got != 7 || err != nil {
				t.Errorf("f(7) = %d, %v; want 7", got, err)
			}
		})
		if s := m.Stats(); f.started.Load() != 1 || s.Misses != 1 || s.Shared != many-1 || s.Hits != 0 || time.Since(start) != time.Second {
			t.Errorf("%d calls in %v, %+v; want one call of 1s, which the others share", f.started.Load(), time.Since(start), s)
		}
	})
}

// MEM-18: others are not kept waiting.
func TestCallsWithOtherArgumentsDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &parallel.Memory{Dir: t.TempDir()}
		var f tally
		c := newCached(t, m, "f", "v1", f.nap)
		start := time.Now()
		together(func(i int) {
			if got, err := c.Call(t.Context(), i); got != i || err != nil {
				t.Errorf("f(%d) = %d, %v; want %[1]d", i, got, err)
			}
		})
		if time.Since(start) != time.Second || f.most.Load() != many {
			t.Errorf("%d calls at once took %v; want %d and 1s", f.most.Load(), time.Since(start), many)
		}
	})
}

// MEM-03, MEM-18.
func TestAnErrorReachesAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &parallel.Memory{Dir: t.TempDir()}
		calls := 0
		c := newCached(t, m, "f", "v1", func(context.Context, int) (int, error) {
			calls++
			time.Sleep(time.Second)
			return 0, fmt.Errorf("call %d: %w", calls, errBoom)
		})
		for round := range 2 {
			together(func(int) {
				_, err := c.Call(t.Context(), 7)
				if want := fmt.Sprintf("call %d: boom", round+1); !errors.Is(err, errBoom) || err.Error() != want {
					t.Errorf("f(7) = %v; want %s", err, want)
				}
			})
		}
		if s := m.Stats(); calls != 2 || s.Misses != 2 || s.Shared != 2*(many-1) || s.Unkept != 0 {
			t.Errorf("%d calls, %+v; want 2 calls, which the others share", calls, s)
		}
		if whole, temporary := entries(t, m.Dir); len(whole)+len(temporary) != 0 {
			t.Errorf("there are entries %q and temporary files %q; want none", whole, temporary)
		}
	})
}

// panics is a function of its own, so that its name is in the stack.
func panics(context.Context, int) (int, error) {
	time.Sleep(time.Second)
	panic(errBoom)
}

// MEM-18.
func TestAPanicReachesAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &parallel.Memory{Dir: t.TempDir()}
		c := newCached(t, m, "f", "v1", panics)
		for round := range 2 {
			var seen atomic.Int64
			together(func(int) {
				defer func() {
					r := recover()
					p, isPanic := r.(*executor.PanicError)
					if !isPanic || p.Value != errBoom || !errors.Is(p, errBoom) || !strings.Contains(string(p.Stack), "parallel_test.panics") {
						t.Errorf("Call panicked with %v; want a PanicError of boom with the stack of the function", r)
					}
					seen.Add(1)
				}()
				_, err := c.Call(t.Context(), 7)
				t.Errorf("f(7) = %v; want a panic", err)
			})
			if s := m.Stats(); seen.Load() != many || s.Misses != int64(round+1) {
				t.Errorf("%d panics, %+v; want %d and one call in each round", seen.Load(), s, many)
			}
		}
		if c.Contains(7) {
			t.Error("Contains(7) = true after a panic")
		}
	})
}

// A call is one of Hits, Misses and Shared, also if it panics.
func TestCallsThatPanicAreCountedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &parallel.Memory{Dir: t.TempDir()}
		c := newCached(t, m, "f", "v1", panics)
		together(func(int) {
			defer func() { _ = recover() }()
			_, _ = c.Call(t.Context(), 7)
		})
		if s := m.Stats(); s.Hits+s.Misses+s.Shared != many || s.Misses != 1 {
			t.Errorf("Stats() = %+v; want 1 miss and %d shared", s, many-1)
		}
	})
}

func TestAPanicWithNilIsOne(t *testing.T) {
	for name, with := range map[string]any{"nil": nil, "a nil *PanicError": (*executor.PanicError)(nil)} {
		t.Run(name, func(t *testing.T) {
			c := newCached(t, &parallel.Memory{Dir: t.TempDir()}, "f", "v1", func(context.Context, int) (int, error) { panic(with) })
			defer func() {
				if p, isPanic := recover().(*executor.PanicError); !isPanic || p == nil || p.Value == nil {
					t.Errorf("Call panicked with %v; want a PanicError", p)
				}
			}()
			got, err := c.Call(t.Context(), 0)
			t.Errorf("f(0) = %d, %v; want a panic", got, err)
		})
	}
}

// A panic that was caught before keeps its value and stack.
func TestAPanicOfACachedFunctionInsideIsTheSame(t *testing.T) {
	m := &parallel.Memory{Dir: t.TempDir()}
	inner := newCached(t, m, "inner", "v1", func(context.Context, int) (int, error) { panic(errBoom) })
	outer := newCached(t, m, "outer", "v1", func(ctx context.Context, n int) (int, error) { return inner.Call(ctx, n) })
	defer func() {
		if p, isPanic := recover().(*executor.PanicError); !isPanic || p.Value != errBoom {
			t.Errorf("Call panicked with %v; want a PanicError of boom", p)
		}
	}()
	_, _ = outer.Call(t.Context(), 0)
}

// MEM-18.
func TestGoexitReachesAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &parallel.Memory{Dir: t.TempDir()}
		exits := true
		c := newCached(t, m, "f", "v1", func(context.Context, int) (int, error) {
			time.Sleep(time.Second)
			if exits {
				runtime.Goexit()
			}
			return 1, nil
		})
		var ended atomic.Int64
		together(func(int) {
			defer ended.Add(1)
			_, err := c.Call(t.Context(), 7)
			t.Errorf("f(7) = %v; want the goroutine to end", err)
		})
		if s := m.Stats(); ended.Load() != many || s.Hits+s.Misses+s.Shared != many || s.Misses != 1 {
			t.Errorf("%d goroutines ended, %+v; want %d, 1 miss and the others shared", ended.Load(), s, many)
		}
		exits = false
		mustBe(t, "f(7) after that", 1)(c.Call(t.Context(), 7))
	})
}

// Run with -race: nobody sees what another does to its result.
func TestNoTwoResultsShareMemory(t *testing.T) {
	type result struct {
		Slice []int
		Map   map[string][]string
		Next  *result
	}
	synctest.Test(t, func(t *testing.T) {
		m := &parallel.Memory{Dir: t.TempDir()}
		c := newCached(t, m, "f", "v1", func(context.Context, int) (*result, error) {
			time.Sleep(time.Second)
			return &result{[]int{0}, map[string][]string{"a": {"b"}}, &result{Slice: []int{1}}}, nil
		})
		for range 2 { // from the function, and from disk
			together(func(i int) {
				r, err := c.Call(t.Context(), 7)
				if err != nil {
					t.Error(err)
					return
				}
				if r.Slice[0] != 0 || r.Map["a"][0] != "b" || len(r.Map) != 1 || r.Next.Slice[0] != 1 {
					t.Errorf("f(7) = %+v, which another has changed", r)
				}
				r.Slice[0], r.Map["a"][0], r.Map["c"], r.Next.Slice[0] = i+1, "changed", nil, -1
			})
		}
	})
}

// MEM-11, MEM-18.
func TestAllWhoWaitGetAResultThatCannotBeEncoded(t *testing.T) {
	logged := logging(t)
	synctest.Test(t, func(t *testing.T) {
		m := &parallel.Memory{Dir: t.TempDir()}
		var calls atomic.Int64
		c := newCached(t, m, "f", "v1", func(context.Context, int) (*link, error) {
			calls.Add(1)
			time.Sleep(time.Second)
			l := &link{Secret: "own"}
			l.Next = l
			return l, nil
		})
		together(func(i int) {
			l, err := c.Call(t.Context(), 7)
			if err != nil || l.Secret != "own" || l.Next != l {
				t.Errorf("f(7) = %v, %v; want a ring", l, err)
				return
			}
			l.Secret = fmt.Sprint("of ", i) // nobody else sees it
		})
		if s := m.Stats(); s.Hits+s.Misses+s.Shared != many || s.Misses != calls.Load() {
			t.Errorf("Stats() = %+v after %d calls; want %d in all, and a miss for each call", s, calls.Load(), many)
		}
	})
	if texts := logged.all(); len(texts) != 1 {
		t.Errorf("logged %q; want one record", texts)
	}
}

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

// Who waits for the call before, which nobody wants any more, leaves with the error
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
		mustBe(t, "f(7) of who comes later", 2)(c.Call(t.Context(), 7))
		if time.Since(start) != time.Second+time.Minute || f.most.Load() != 1 {
			t.Errorf("it took %v with %d calls at once; want it to begin when the first has ended", time.Since(start), f.most.Load())
		}
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the first got %v; want %v", err, context.Canceled)
		}
	})
}

func TestTheFunctionHasTheValuesOfTheFirstCallersCtxAndNoDeadline(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		m := &parallel.Memory{Dir: t.TempDir()}
		c := newCached(t, m, "f", "v1", func(ctx context.Context, n int) (string, error) {
			if at, has := ctx.Deadline(); has || ctx.Err() != nil {
				t.Errorf("the ctx has the deadline %v and the error %v; want neither", at, ctx.Err())
			}
			time.Sleep(time.Second)
			return fmt.Sprint(ctx.Value(key{})), nil
		})
		var all sync.WaitGroup
		for i := range 3 {
			ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, i), time.Hour)
			defer cancel()
			all.Go(func() {
				if got, err := c.Call(ctx, 7); got != "0" || err != nil {
					t.Errorf("the function had %q, %v; want the value of the first", got, err)
				}
			})
			synctest.Wait()
		}
		all.Wait()
		got, err := c.Refresh(context.WithValue(t.Context(), key{}, "refresh"), 7)
		if got != "refresh" || err != nil {
			t.Errorf("Refresh had %q, %v; want the value of its ctx", got, err)
		}
	})
}

// The call whose values a function has must be one that still waits: they have the
// place of a call on an executor. Errors are not kept, so that one call follows another.
func TestTheFunctionHasTheValuesOfACallerThatWaits(t *testing.T) {
	type key struct{}
	m := &parallel.Memory{Dir: t.TempDir()}
	var gone atomic.Int64
	c := newCached(t, m, "f", "v1", func(ctx context.Context, n int) (int, error) {
		if ctx.Value(key{}).(*atomic.Bool).Load() {
			gone.Add(1)
		}
		return 0, errBoom
	})
	together(func(i int) {
		for range 200 {
			var hasReturned atomic.Bool
			if _, err := c.Call(context.WithValue(t.Context(), key{}, &hasReturned), 7); !errors.Is(err, errBoom) {
				t.Errorf("f(7) = %v; want boom", err)
			}
			hasReturned.Store(true)
		}
	})
	if gone.Load() != 0 {
		t.Errorf("%d calls had the values of a caller that had left; want 0", gone.Load())
	}
	if s := m.Stats(); s.Misses+s.Shared != many*200 {
		t.Errorf("Stats() = %+v; want %d in all", s, many*200)
	}
}

func TestAFunctionThatCallsItselfWithTheSameArgumentGetsAnError(t *testing.T) {
	m := &parallel.Memory{Dir: t.TempDir()}
	var a, b *parallel.CachedFunc[int, int]
	a = newCached(t, m, "a", "v1", func(ctx context.Context, n int) (int, error) {
		switch n {
		case 0:
			return a.Call(ctx, 0)
		case 1:
			return a.Refresh(ctx, 1)
		}
		return b.Call(ctx, n)
	})
	b = newCached(t, m, "b", "v1", func(ctx context.Context, n int) (int, error) {
		ctx, cancel := context.WithTimeout(ctx, longEnough) // a ctx that is made of it
		defer cancel()
		return a.Call(ctx, n)
	})
	for n := range 3 {
		for name, call := range map[string]func(context.Context, int) (int, error){"Call": a.Call, "Refresh": a.Refresh} {
			_, err := inTime(t, name, func() (int, error) { return call(t.Context(), n) })
			if err == nil || !strings.Contains(err.Error(), `parallel: Cache "a": the function calls itself with the same argument`) {
				t.Errorf("%s(%d) = %v; want an error that says so", name, n, err)
			}
		}
	}
	if a.Contains(0) {
		t.Error("Contains(0) = true after an error")
	}
}

func TestAFunctionMayCallItselfWithOtherArguments(t *testing.T) {
	m := &parallel.Memory{Dir: t.TempDir()}
	var fib *parallel.CachedFunc[int, int]
	calls := 0
	fib = newCached(t, m, "fib", "v1", func(ctx context.Context, n int) (int, error) {
		calls++
		if n < 2 {
			return n, nil
		}
		a, err := fib.Call(ctx, n-1)
		b, err2 := fib.Call(ctx, n-2)
		return a + b, errors.Join(err, err2)
	})
	mustBe(t, "fib(46)", 1836311903)(fib.Call(t.Context(), 46))
	if s := m.Stats(); calls != 47 || s.Misses != 47 || s.Hits != 44 {
		t.Errorf("%d calls, %+v; want 47 misses and 44 hits", calls, s)
	}
}

// pooled is a function that waits, with its own ctx, for calls of the executor
// on which it runs.
type pooled struct {
	ex     *executor.ThreadPoolExecutor
	begin  chan struct{} // closed when it may begin
	cached *parallel.CachedFunc[int, int]
}

func newPooled(t *testing.T, workers int) *pooled {
	p := &pooled{ex: &executor.ThreadPoolExecutor{MaxWorkers: workers}, begin: make(chan struct{})}
	p.cached = newCached(t, &parallel.Memory{Dir: t.TempDir()}, "f", "v1", p.f)
	return p
}

func (p *pooled) f(ctx context.Context, n int) (int, error) {
	<-p.begin
	var parts []*executor.Future[int]
	for i := range 3 {
		parts = append(parts, executor.Submit(ctx, p.ex, double, i))
	}
	got, err := executor.Gather(ctx, parts...)
	if err != nil {
		return 0, err
	}
	return n + got[0] + got[1] + got[2], nil
}

// A cached function lends its place as any call does, and so do those who wait for
// the same call, so that they cannot be in its way.
func TestCallsOfOneArgumentCannotDeadlockTheirExecutor(t *testing.T) {
	for _, workers := range []int{1, 2} {
		for _, callers := range []int{1, 2, 3, 8} {
			for _, outside := range []bool{false, true} {
				t.Run(fmt.Sprintf("MaxWorkers %d, %d callers, first outside %v", workers, callers, outside), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						p := newPooled(t, workers)
						defer p.ex.Close()
						ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // nobody waits so long but in a deadlock
						defer cancel()
						var first sync.WaitGroup
						if outside {
							first.Go(func() {
								if got, err := p.cached.Call(ctx, 7); got != 13 || err != nil {
									t.Errorf("the first got %d, %v; want 13", got, err)
								}
							})
							synctest.Wait()
						}
						var fs []*executor.Future[int]
						for range callers {
							fs = append(fs, executor.Submit(ctx, p.ex, p.cached.Call, 7))
						}
						synctest.Wait()
						close(p.begin)
						got, err := executor.Gather(ctx, fs...)
						if err != nil {
							t.Errorf("they got %v, %v; want 13 each", got, err)
						}
						for _, n := range got {
							if n != 13 {
								t.Errorf("they got %v; want 13 each", got)
							}
						}
						first.Wait()
					})
				})
			}
		}
	}
}

// The same for several arguments at once.
func TestCallsOfManyArgumentsCannotDeadlockTheirExecutor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPooled(t, 2)
		defer p.ex.Close()
		close(p.begin)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var fs []*executor.Future[int]
		for i := range 40 {
			fs = append(fs, executor.Submit(ctx, p.ex, p.cached.Call, i%5))
		}
		got, err := executor.Gather(ctx, fs...)
		if err != nil {
			t.Fatalf("they got %v, %v", got, err)
		}
		for i, n := range got {
			if n != i%5+6 {
				t.Errorf("call %d got %d; want %d", i, n, i%5+6)
			}
		}
	})
}

// If the first caller leaves, the function goes on without its place.
func TestAFunctionWhoseFirstCallerHasLeftCannotDeadlockItsExecutor(t *testing.T) {
	for _, workers := range []int{1, 2} {
		t.Run(fmt.Sprint("MaxWorkers ", workers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPooled(t, workers)
				defer p.ex.Close()
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				soon, stop := context.WithTimeout(ctx, time.Second)
				defer stop()
				first := executor.Submit(soon, p.ex, p.cached.Call, 7)
				synctest.Wait()
				var others sync.WaitGroup
				others.Go(func() { // so that the first is not the last
					if got, err := p.cached.Call(ctx, 7); got != 13 || err != nil {
						t.Errorf("one outside got %d, %v; want 13", got, err)
					}
				})
				synctest.Wait()
				var fs []*executor.Future[int]
				for range 3 {
					fs = append(fs, executor.Submit(ctx, p.ex, p.cached.Call, 7))
				}
				if _, err := first.Result(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the first got %v; want %v", err, context.DeadlineExceeded)
				}
				synctest.Wait()
				close(p.begin)
				if got, err := executor.Gather(ctx, fs...); err != nil {
					t.Errorf("the others got %v, %v; want 13 each", got, err)
				}
				others.Wait()
			})
		})
	}
}

// Who waits to refresh is not in the way either.
func TestRefreshCannotDeadlockItsExecutor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPooled(t, 1)
		defer p.ex.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var fs []*executor.Future[int]
		for range 3 {
			fs = append(fs, executor.Submit(ctx, p.ex, p.cached.Refresh, 7))
		}
		synctest.Wait()
		close(p.begin)
		if got, err := executor.Gather(ctx, fs...); err != nil {
			t.Errorf("they got %v, %v; want 13 each", got, err)
		}
	})
}

func TestRefreshWaitsForTheCallThatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &parallel.Memory{Dir: t.TempDir()}
		var f tally
		c := newCached(t, m, "f", "v1", f.nap)
		start := time.Now()
		var first sync.WaitGroup
		first.Go(func() { mustBe(t, "f(7)", 7)(c.Call(t.Context(), 7)) })
		synctest.Wait()
		mustBe(t, "Refresh(7)", 7)(c.Refresh(t.Context(), 7))
		first.Wait()
		if time.Since(start) != 2*time.Second || f.most.Load() != 1 || f.started.Load() != 2 {
			t.Errorf("%d calls, %d at once, in %v; want 2, one after the other, in 2s", f.started.Load(), f.most.Load(), time.Since(start))
		}
		if s := m.Stats(); s.Misses != 2 || s.Hits+s.Shared != 0 {
			t.Errorf("Stats() = %+v; want 2 misses", s)
		}
	})
}

// MEM-18: Hits, Misses and Shared add up to the calls, and nothing is computed
// twice.
func TestStatsAddUpInAStorm(t *testing.T) {
	const goroutines, keys, rounds = 32, 20, 30
	m := &parallel.Memory{Dir: t.TempDir()}
	var computed [keys]atomic.Int64
	c := newCached(t, m, "f", "v1", func(_ context.Context, n int) ([]int, error) {
		computed[n].Add(1)
		if n%5 == 4 {
			return nil, errBoom
		}
		return []int{n, n * n}, nil
	})
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for i := range rounds {
				n := (g*7 + i*3) % keys
				got, err := c.Call(t.Context(), n)
				switch {
				case n%5 == 4:
					if !errors.Is(err, errBoom) {
						t.Errorf("f(%d) = %v; want boom", n, err)
					}
				case err != nil || len(got) != 2 || got[0] != n || got[1] != n*n:
					t.Errorf("f(%d) = %v, %v; want [%[1]d %d]", n, got, err, n*n)
				default:
					got[0] = -1
				}
			}
		})
	}
	all.Wait()
	misses := int64(0)
	for n := range keys {
		misses += computed[n].Load()
		if n%5 != 4 && computed[n].Load() != 1 {
			t.Errorf("f(%d) was computed %d times; want once", n, computed[n].Load())
		}
	}
	if s := m.Stats(); s.Hits+s.Misses+s.Shared != goroutines*rounds || s.Misses != misses || s.Damaged+s.Unkept+s.Evicted != 0 || s != c.Stats() {
		t.Errorf("Stats() = %+v; want %d in all, %d misses and nothing wrong", s, goroutines*rounds, misses)
	}
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

// MEM-02: that the function changes its argument is no reason to call it again.
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

// Two functions that call each other, entered at both ends at once: without a memory
// it is as endless.
func TestFunctionsThatWaitForEachOtherFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &parallel.Memory{Dir: t.TempDir()}
		var a, b *parallel.CachedFunc[int, int]
		begin := make(chan struct{})
		a = newCached(t, m, "a", "v1", func(ctx context.Context, n int) (int, error) { <-begin; return b.Call(ctx, n) })
		b = newCached(t, m, "b", "v1", func(ctx context.Context, n int) (int, error) { <-begin; return a.Call(ctx, n) })
		var both sync.WaitGroup
		for _, c := range []*parallel.CachedFunc[int, int]{a, b} {
			both.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if _, err := c.Call(ctx, 1); err == nil || !strings.Contains(err.Error(), "calls itself") {
					t.Errorf("an endless call: error %v; want one that says so", err)
				}
			})
		}
		synctest.Wait()
		close(begin)
		both.Wait()
	})
}
