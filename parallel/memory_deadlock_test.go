package parallel_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/parallel"
)

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
	mustBe(t, "fib(40)", 102334155)(fib.Call(t.Context(), 40))
	if s := m.Stats(); calls != 41 || s.Misses != 41 || s.Hits != 38 {
		t.Errorf("%d calls, %+v; want 41 misses and 38 hits", calls, s)
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

// A caller that waits to refresh is not in the way either.
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
