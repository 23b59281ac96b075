package parallel_test

import (
	"context"
	"errors"
	"fmt"
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

// Others are not kept waiting.
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
		m.Sync() // the temporary file goes behind the back of the callers
		if whole, temporary := entries(t, m.Dir); len(whole)+len(temporary) != 0 {
			t.Errorf("there are entries %q and temporary files %q; want none", whole, temporary)
		}
	})
}

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

// Hits, Misses and Shared add up to the calls, and nothing is computed
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
