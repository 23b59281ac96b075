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

// waysToWait are the ways in which a call can submit n calls of fn and wait for
// all of them. What is yielded or returned one by one is worked on by the call
// itself, which executes then.
var waysToWait = map[string]func(ctx context.Context, ex executor.Executor, g *gauge, fn executor.Func[int, int], n int) (sum int, err error){
	"Result": func(ctx context.Context, ex executor.Executor, g *gauge, fn executor.Func[int, int], n int) (sum int, err error) {
		for _, f := range submitN(ctx, ex, g, fn, n) {
			var v int
			g.during(func() { v, err = f.Result(ctx) })
			if sum += v; err != nil {
				return 0, err
			}
		}
		return sum, nil
	},
	"Wait": func(ctx context.Context, ex executor.Executor, g *gauge, fn executor.Func[int, int], n int) (sum int, err error) {
		fs := submitN(ctx, ex, g, fn, n)
		var done, pending []*executor.Future[int]
		g.during(func() { done, pending, err = executor.Wait(ctx, executor.AllCompleted, fs...) })
		if err != nil || len(pending) > 0 {
			return 0, fmt.Errorf("%d pending: %w", len(pending), err)
		}
		return sumOf(ctx, done)
	},
	"Wait for each": func(ctx context.Context, ex executor.Executor, g *gauge, fn executor.Func[int, int], n int) (sum int, err error) {
		var all []*executor.Future[int]
		var done []*executor.Future[int]
		for pending := submitN(ctx, ex, g, fn, n); len(pending) > 0; {
			g.during(func() { done, pending, err = executor.Wait(ctx, executor.FirstCompleted, pending...) })
			if err != nil {
				return 0, err
			}
			all = append(all, done...)
		}
		return sumOf(ctx, all)
	},
	"AsCompleted": func(ctx context.Context, ex executor.Executor, g *gauge, fn executor.Func[int, int], n int) (sum int, err error) {
		fs := submitN(ctx, ex, g, fn, n)
		g.during(func() {
			for _, f := range executor.AsCompleted(ctx, fs...) {
				g.enter()
				var v int
				v, err = f.Result(ctx)
				sum += v
				g.leave()
			}
		})
		return sum, err
	},
	"Gather": func(ctx context.Context, ex executor.Executor, g *gauge, fn executor.Func[int, int], n int) (sum int, err error) {
		fs := submitN(ctx, ex, g, fn, n)
		var values []int
		g.during(func() { values, err = executor.Gather(ctx, fs...) })
		for _, v := range values {
			sum += v
		}
		return sum, err
	},
	"Map":           mapN(),
	"Map buffered":  mapN(executor.Buffer(1)),
	"Map chunked":   mapN(executor.ChunkSize(2)),
	"Map unordered": mapN(executor.Unordered()),
	"MapSlice": func(ctx context.Context, ex executor.Executor, g *gauge, fn executor.Func[int, int], n int) (sum int, err error) {
		var values []int
		g.during(func() { values, err = executor.MapSlice(ctx, ex, fn, firstFew(n)) })
		for _, v := range values {
			sum += v
		}
		return sum, err
	},
}

func mapN(opts ...executor.MapOption) func(context.Context, executor.Executor, *gauge, executor.Func[int, int], int) (int, error) {
	return func(ctx context.Context, ex executor.Executor, g *gauge, fn executor.Func[int, int], n int) (sum int, failed error) {
		g.during(func() {
			for v, err := range executor.Map(ctx, ex, fn, slices.Values(firstFew(n)), opts...) {
				g.enter()
				sum += v
				failed = errors.Join(failed, err)
				g.leave()
			}
		})
		return sum, failed
	}
}

// firstFew returns 1, 2 … n.
func firstFew(n int) []int {
	in := make([]int, n)
	for i := range in {
		in[i] = i + 1
	}
	return in
}

// submitN calls fn(1) to fn(n). g is nil outside of a call; a call may wait in
// Submit.
func submitN(ctx context.Context, ex executor.Executor, g *gauge, fn executor.Func[int, int], n int) []*executor.Future[int] {
	fs := make([]*executor.Future[int], n)
	submit := func() {
		for i := range fs {
			fs[i] = executor.Submit(ctx, ex, fn, i+1)
		}
	}
	if g == nil {
		submit()
	} else {
		g.during(submit)
	}
	return fs
}

func sumOf(ctx context.Context, fs []*executor.Future[int]) (sum int, err error) {
	values, err := executor.Gather(ctx, fs...)
	for _, v := range values {
		sum += v
	}
	return sum, err
}

type key struct{}

// derivations make of the ctx of a call another one that still is its ctx.
var derivations = map[string]func(context.Context) (context.Context, context.CancelFunc){
	"own ctx": func(ctx context.Context) (context.Context, context.CancelFunc) { return ctx, func() {} },
	"WithTimeout": func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, 24*time.Hour)
	},
	"WithValue": func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithValue(ctx, key{}, 1), func() {}
	},
	"WithoutCancel": func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithoutCancel(ctx), func() {}
	},
	"all of them": func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithTimeout(context.WithValue(context.WithoutCancel(ctx), key{}, 1), 24*time.Hour)
		ctx, stop := context.WithCancel(ctx)
		return ctx, func() { stop(); cancel() }
	},
}

// As many calls as there are workers wait for their children, and these for
// theirs. If one wait holds its place, nothing goes on: then synctest reports
// the deadlock.
func TestACallThatWaitsWithItsCtxLendsItsPlace(t *testing.T) {
	open := map[string]func() opened{
		"ThreadPoolExecutor of 1": func() opened { return &executor.ThreadPoolExecutor{MaxWorkers: 1} },
		"ThreadPoolExecutor of 2": func() opened { return &executor.ThreadPoolExecutor{MaxWorkers: 2} },
		"ThreadPerTask":           func() opened { return new(executor.ThreadPerTask) },
		"Sequential":              func() opened { return new(executor.Sequential) },
	}
	for name, open := range open {
		for way, wait := range waysToWait {
			for derivation, derive := range derivations {
				t.Run(name+"/"+way+"/"+derivation, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						ex := open()
						defer ex.Close()
						var g gauge
						leaf := func(_ context.Context, n int) (int, error) {
							g.enter()
							defer g.leave()
							time.Sleep(time.Duration(n) * time.Second)
							return n, nil
						}
						branch := func(fn executor.Func[int, int]) executor.Func[int, int] {
							return func(ctx context.Context, _ int) (int, error) {
								g.enter()
								defer g.leave()
								ctx, cancel := derive(ctx)
								defer cancel()
								return wait(ctx, ex, &g, fn, 3)
							}
						}
						got, err := sumOf(t.Context(), submitN(t.Context(), ex, nil, branch(branch(leaf)), 2))
						if want := 2 * 3 * (1 + 2 + 3); got != want || err != nil {
							t.Errorf("sum = %d, %v; want %d", got, err, want)
						}
						if workers := ex.Workers(); workers > 0 {
							g.wantMost(t, workers)
						}
					})
				})
			}
		}
	}
}

// A call of one executor waits for a call of the other, which waits for a call
// of the first, to a depth that neither has places for.
func TestExecutorsThatWaitForEachOtherGoOn(t *testing.T) {
	open := map[string]func() opened{
		"ThreadPoolExecutor": func() opened { return &executor.ThreadPoolExecutor{MaxWorkers: 1} },
		"limited queue":      func() opened { return &executor.ThreadPoolExecutor{MaxWorkers: 1, QueueLimit: 1} },
		"ThreadPerTask":      func() opened { return new(executor.ThreadPerTask) },
		"Sequential":         func() opened { return new(executor.Sequential) },
	}
	for a, openA := range open {
		for b, openB := range open {
			t.Run(a+" and "+b, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ex, other := openA(), openB()
					defer ex.Close()
					defer other.Close()
					var pass func(ctx context.Context, depth int, to, then executor.Executor) *executor.Future[int]
					pass = func(ctx context.Context, depth int, to, then executor.Executor) *executor.Future[int] {
						return executor.Go(ctx, to, func(ctx context.Context) (int, error) {
							if depth == 0 {
								return 0, nil
							}
							n, err := pass(ctx, depth-1, then, to).Result(ctx)
							return n + 1, err
						})
					}
					// A way out of a deadlock, so that the failure is readable.
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					if n, err := pass(ctx, 9, ex, other).Result(context.Background()); n != 9 || err != nil {
						t.Errorf("9 calls that wait for each other = %d, %v; want 9", n, err)
					}
				})
			})
		}
	}
}

// Submit waits too, when the queue is full.
func TestACallThatWaitsInSubmitLendsItsPlace(t *testing.T) {
	for _, workers := range []int{1, 2} {
		for _, limit := range []int{1, 2, 3} {
			t.Run(fmt.Sprintf("%d workers/QueueLimit %d", workers, limit), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ex := &executor.ThreadPoolExecutor{MaxWorkers: workers, QueueLimit: limit}
					defer ex.Close()
					var g gauge
					begin := time.Now()
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // a way out of a deadlock
					defer cancel()
					parent := func(ctx context.Context, n int) (int, error) {
						g.enter()
						defer g.leave()
						naps := make([]*executor.Future[time.Duration], 5)
						for i := range naps {
							g.during(func() { naps[i] = executor.Submit(ctx, ex, g.nap, time.Second) })
						}
						var err error
						g.during(func() { _, err = executor.Gather(ctx, naps...) })
						return n, err
					}
					if got, err := sumOf(context.Background(), submitN(ctx, ex, nil, parent, 3)); got != 6 || err != nil {
						t.Errorf("sum = %d, %v; want 6", got, err)
					}
					g.wantMost(t, workers)
					if took, want := time.Since(begin), 15*time.Second/time.Duration(workers); took > want+time.Second {
						t.Errorf("15 naps of 1s on %d workers took %v; want %v", workers, took, want)
					}
				})
			})
		}
	}
}

func TestRecursionBySubmits(t *testing.T) {
	fib := func(n int) int {
		a, b := 0, 1
		for range n {
			a, b = b, a+b
		}
		return a
	}
	for _, workers := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			ex := &executor.ThreadPoolExecutor{MaxWorkers: workers}
			defer ex.Close()
			var g gauge
			var submitted executor.Func[int, int]
			submitted = func(ctx context.Context, n int) (sum int, err error) {
				g.enter()
				defer g.leave()
				if n < 2 {
					time.Sleep(time.Millisecond)
					return n, nil
				}
				a, b := executor.Submit(ctx, ex, submitted, n-1), executor.Submit(ctx, ex, submitted, n-2)
				var values []int
				g.during(func() { values, err = executor.Gather(ctx, a, b) })
				if err != nil {
					return 0, err
				}
				return values[0] + values[1], nil
			}
			if got, err := executor.Submit(t.Context(), ex, submitted, 12).Result(t.Context()); got != fib(12) || err != nil {
				t.Errorf("fib(12) on %d workers = %d, %v; want %d", workers, got, err, fib(12))
			}
			g.wantMost(t, workers)
			synctest.Wait()
			if s := ex.Stats(); s.Submitted != 465 || s.Succeeded != 465 || s.Workers > workers {
				t.Errorf("Stats() = %+v; want 465 succeeded and at most %d workers", s, workers)
			}
		})
	}
}

// As Result's documentation says, the executor cannot see such a wait. It ends
// with its ctx, and the child gets its turn.
func TestAWaitWithAnotherCtxHoldsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		begin := time.Now()
		var child *executor.Future[int]
		parent := executor.Go(t.Context(), ex, func(context.Context) (int, error) {
			child = executor.Submit(t.Context(), ex, double, 21)
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			return child.Result(ctx)
		})
		_, err := parent.Result(t.Context())
		if !errors.Is(err, executor.ErrPending) || !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Hour {
			t.Errorf("the wait ended after %v with %v; want ErrPending and DeadlineExceeded after 1h", time.Since(begin), err)
		}
		if n, err := child.Result(t.Context()); n != 42 || err != nil {
			t.Errorf("the child = %d, %v; want 42: a wait that ends ends no work", n, err)
		}
	})
}

// Two calls that wait for each other wait until their ctx ends, and hold nobody
// up meanwhile.
func TestCallsThatWaitForEachOtherEndWithTheirCtx(t *testing.T) {
	eachBubble(t, func(t *testing.T, ex opened) {
		if ex.Workers() == 1 {
			t.Skip("Sequential: the first call ends before there is a second")
		}
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var f, g *executor.Future[int]
		ready := make(chan struct{})
		f = executor.Go(ctx, ex, func(ctx context.Context) (int, error) { <-ready; return g.Result(ctx) })
		g = executor.Go(ctx, ex, func(ctx context.Context) (int, error) { <-ready; return f.Result(ctx) })
		close(ready)
		if n, err := executor.Submit(t.Context(), ex, double, 1).Result(t.Context()); n != 2 || err != nil || time.Since(begin) != 0 {
			t.Errorf("another call = %d, %v after %v; want 2 at once", n, err, time.Since(begin))
		}
		executor.Wait(t.Context(), executor.AllCompleted, f, g)
		if took := time.Since(begin); took != time.Hour {
			t.Errorf("they waited %v; want 1h, until their ctx ended", took)
		}
		_, errF := f.Result(t.Context())
		_, errG := g.Result(t.Context())
		for _, err := range []error{errF, errG} {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v; want one that matches DeadlineExceeded", err)
			}
		}
	})
}

// A call whose wait is over executes again only when there is a place, and then
// before what is queued.
func TestACallTakesItsPlaceBackBeforeQueuedCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		begin := time.Now()
		p := executor.NewPromise[int]()
		var resumed time.Duration
		waiting := executor.Go(t.Context(), ex, func(ctx context.Context) (int, error) {
			n, err := p.Future().Result(ctx)
			resumed = time.Since(begin)
			return n, err
		})
		synctest.Wait()
		var g gauge
		executor.Submit(t.Context(), ex, g.nap, time.Hour)
		queued := executor.Submit(t.Context(), ex, g.nap, time.Hour)
		time.Sleep(10 * time.Minute)
		p.Resolve(7)
		if n, err := waiting.Result(t.Context()); n != 7 || err != nil {
			t.Errorf("Result = %d, %v; want 7", n, err)
		}
		if resumed != time.Hour {
			t.Errorf("the call went on after %v; want 1h, when the only place was free", resumed)
		}
		queued.Result(t.Context())
		if took := time.Since(begin); took != 2*time.Hour {
			t.Errorf("the queued call ended after %v; want 2h", took)
		}
		g.wantMost(t, 1)
	})
}

// A call may wait on goroutines of its own. However many of them wait, it has
// one place to lend, and however they end, the executor has as many as before.
func TestACallThatWaitsOnManyGoroutinesLendsOnePlace(t *testing.T) {
	for _, workers := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ex := &executor.ThreadPoolExecutor{MaxWorkers: workers}
				defer ex.Close()
				var g gauge
				parent := func(ctx context.Context, n int) (int, error) {
					waits := make(chan int)
					for i := range 3 {
						go func() {
							executor.Submit(ctx, ex, g.nap, time.Duration(i+1)*time.Second).Result(ctx)
							waits <- i
						}()
					}
					for range 3 {
						<-waits
					}
					return n, nil
				}
				if got, err := sumOf(t.Context(), submitN(t.Context(), ex, nil, parent, 4)); got != 10 || err != nil {
					t.Errorf("sum = %d, %v; want 10", got, err)
				}
				g.wantMost(t, workers)
				wantWidth(t, ex, workers)
			})
		})
	}
}

// A goroutine of a call may still wait with its ctx when the call returns. The
// place that it lent is not lost, and there is not one too many.
func TestAWaitThatOutlivesItsCallCostsNoPlace(t *testing.T) {
	for _, workers := range []int{1, 2} {
		for name, derive := range derivations {
			t.Run(fmt.Sprintf("%d workers/%s", workers, name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ex := &executor.ThreadPoolExecutor{MaxWorkers: workers}
					defer ex.Close()
					p := executor.NewPromise[int]()
					left := make(chan struct{}, 10)
					leaves := func(ctx context.Context, n int) (int, error) {
						go func() {
							ctx, cancel := derive(ctx)
							defer cancel()
							p.Future().Result(ctx)
							left <- struct{}{}
						}()
						time.Sleep(time.Second)
						return n, nil
					}
					for range 5 {
						executor.Submit(t.Context(), ex, leaves, 1).Result(t.Context())
					}
					submitN(t.Context(), ex, nil, leaves, 5)
					time.Sleep(time.Minute / 2)
					p.Resolve(1)
					for range 10 {
						<-left
					}
					synctest.Wait()
					wantWidth(t, ex, workers)
					wantWidth(t, ex, workers)
				})
			})
		}
	}
}

// Waits with a deadline inside a call end with it, and the call goes on.
func TestAWaitInsideACallEndsWithItsDeadline(t *testing.T) {
	eachBubble(t, func(t *testing.T, ex opened) {
		p := executor.NewPromise[int]()
		waits := map[string]func(context.Context) error{
			"Result": func(ctx context.Context) error { _, err := p.Future().Result(ctx); return err },
			"Wait": func(ctx context.Context) error {
				_, _, err := executor.Wait(ctx, executor.AllCompleted, p.Future())
				return err
			},
			"Gather": func(ctx context.Context) error { _, err := executor.Gather(ctx, p.Future()); return err },
			"AsCompleted": func(ctx context.Context) error {
				for range executor.AsCompleted(ctx, p.Future()) {
					return nil
				}
				return fmt.Errorf("%w: %w", executor.ErrPending, ctx.Err())
			},
		}
		for name, wait := range waits {
			begin := time.Now()
			n, err := executor.Go(t.Context(), ex, func(ctx context.Context) (int, error) {
				short, cancel := context.WithTimeout(ctx, time.Minute)
				defer cancel()
				if err := wait(short); !errors.Is(err, executor.ErrPending) || !errors.Is(err, context.DeadlineExceeded) {
					return 0, fmt.Errorf("the wait ended with %w", err)
				}
				if ctx.Err() != nil {
					return 0, fmt.Errorf("the call's own ctx ended: %w", ctx.Err())
				}
				return executor.Submit(ctx, ex, double, 4).Result(ctx)
			}).Result(t.Context())
			if n != 8 || err != nil || time.Since(begin) != time.Minute {
				t.Errorf("%s: %d, %v after %v; want 8 after 1m", name, n, err, time.Since(begin))
			}
		}
		p.Resolve(0)
	})
}

// A call that waits, on an executor that is told to keep places, keeps its own.
func TestCallKeepsItsPlaceIfItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outer := &executor.ThreadPoolExecutor{MaxWorkers: 1, KeepPlaces: true}
		defer outer.Close()
		inner := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer inner.Close()
		began := make(chan int, 2)
		waits := func(ctx context.Context, i int) (int, error) {
			began <- i
			return executor.Go(ctx, inner, func(context.Context) (int, error) {
				time.Sleep(time.Second)
				return i, nil
			}).Result(ctx)
		}
		first := executor.Submit(t.Context(), outer, waits, 1)
		second := executor.Submit(t.Context(), outer, waits, 2)
		synctest.Wait()
		if len(began) != 1 || second.State() != executor.Pending {
			t.Errorf("%d calls have begun, and the second is %v while the first waits; want 1, pending", len(began), second.State())
		}
		for i, f := range []*executor.Future[int]{first, second} {
			if n, err := f.Result(t.Context()); n != i+1 || err != nil {
				t.Errorf("call %d = %d, %v; want %[1]d, nil", i+1, n, err)
			}
		}
	})
}
