package pool_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/pool"
)

type ctxKey string

// goroutinePools are the kinds of pools that make calls in this process, of two workers
// where there is a limit, and of what is to be closed behind them.
var goroutinePools = map[string]func() (p *pool.Pool, closeExecutor func() error){
	"Threads": func() (*pool.Pool, func() error) { return pool.Threads(2), nothing },
	"over a ThreadPoolExecutor": func() (*pool.Pool, func() error) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
		return pool.Over(ex), ex.Close
	},
	"over a ThreadPoolExecutor whose waiters help": func() (*pool.Pool, func() error) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 2, WaitersHelp: true}
		return pool.Over(ex), ex.Close
	},
	"over a ThreadPoolExecutor with a QueueLimit": func() (*pool.Pool, func() error) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 2, QueueLimit: 1}
		return pool.Over(ex), ex.Close
	},
	"over ThreadPerTask": func() (*pool.Pool, func() error) {
		ex := &executor.ThreadPerTask{}
		return pool.Over(ex), ex.Close
	},
	"over Sequential": func() (*pool.Pool, func() error) {
		ex := &executor.Sequential{}
		return pool.Over(ex), ex.Close
	},
	"over Threads": func() (*pool.Pool, func() error) {
		p := pool.Threads(2)
		return pool.Over(p), p.Close
	},
}

func nothing() error { return nil }

// eachGoroutinePool runs a test of each way to make many elements, on each kind of pool,
// in a bubble.
func eachGoroutinePool(t *testing.T, test func(t *testing.T, p *pool.Pool, w way)) {
	for kind, open := range goroutinePools {
		for name, w := range ways {
			t.Run(kind+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p, closeExecutor := open()
					defer closeExecutor()
					defer p.Close()
					test(t, p, w)
				})
			})
		}
	}
}

// What an element returns may need the ctx of the element, so that ctx goes on when the
// map has returned, as the ctx does that the map was given.
func TestTheCtxOfAnElementGoesOnWhenItsMapHasReturned(t *testing.T) {
	uses := map[string]func(context.Context) context.Context{
		"as it is":   func(ctx context.Context) context.Context { return ctx },
		"after Done": func(ctx context.Context) context.Context { ctx.Done(); return ctx },
		"with a value": func(ctx context.Context) context.Context {
			return context.WithValue(ctx, ctxKey("own"), 1)
		},
		"derived": func(ctx context.Context) context.Context {
			ctx, cancel := context.WithTimeout(ctx, 24*time.Hour)
			context.AfterFunc(ctx, cancel)
			return ctx
		},
	}
	eachGoroutinePool(t, func(t *testing.T, p *pool.Pool, w way) {
		for use, keep := range uses {
			for _, hasEnd := range []bool{true, false} {
				ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), ctxKey("k"), "v"))
				if !hasEnd {
					ctx = context.Background()
				}
				var kept [3]context.Context
				if _, err := w.all(ctx, p, func(ctx context.Context, i int) (int, error) {
					kept[i] = keep(ctx)
					return i, nil
				}, []int{0, 1, 2}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				for i, k := range kept {
					if k.Err() != nil || k.Value(ctxKey("k")) != ctx.Value(ctxKey("k")) {
						t.Errorf("the ctx of element %d, kept %s, after the map: Err = %v, Value = %v; want nil, %v", i, use, k.Err(), k.Value(ctxKey("k")), ctx.Value(ctxKey("k")))
					}
					select {
					case <-k.Done():
						t.Errorf("the ctx of element %d, kept %s, after the map: Done is closed", i, use)
					default:
					}
				}
				cancel(errBoom)
				synctest.Wait()
				for i, k := range kept {
					if err, cause := k.Err(), context.Cause(k); hasEnd && (err != context.Canceled || cause != errBoom) {
						t.Errorf("the ctx of element %d, kept %s, when that of the map has ended: Err = %v, Cause = %v; want %v, %v", i, use, err, cause, context.Canceled, errBoom)
					}
				}
			}
		}
	})
}

// Terminate ends what runs. A map that has returned does not run: what it has returned
// goes on, as with Apply.
func TestTerminateLeavesTheCtxOfAMapThatHasReturned(t *testing.T) {
	eachGoroutinePool(t, func(t *testing.T, p *pool.Pool, w way) {
		for _, ctx := range []context.Context{context.Background(), t.Context()} {
			var kept [2]context.Context
			if _, err := w.all(ctx, p, func(ctx context.Context, i int) (int, error) {
				kept[i] = ctx
				return i, nil
			}, []int{0, 1}); err != nil && ctx == context.Background() {
				t.Fatal(err)
			}
			if err := p.Terminate(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			for i, k := range kept {
				if k != nil && k.Err() != nil {
					t.Errorf("the ctx of element %d after the map and Terminate: %v; want nil", i, k.Err())
				}
			}
		}
	})
}

// An element that runs sees its ctx end in Terminate, though the ctx that the map was
// given goes on, and it stays ended.
func TestTerminateEndsTheCtxOfTheElementsThatRun(t *testing.T) {
	eachGoroutinePool(t, func(t *testing.T, p *pool.Pool, w way) {
		for _, ctx := range []context.Context{context.Background(), t.Context()} {
			var began, ended atomic.Int64
			var kept atomic.Value
			over := make(chan error, 1)
			go func() {
				_, err := w.all(ctx, p, func(ctx context.Context, i int) (int, error) {
					began.Add(1)
					kept.Store(&ctx)
					<-ctx.Done()
					if cause := context.Cause(ctx); errors.Is(cause, executor.ErrCancelled) || errors.Is(cause, executor.ErrShutdown) {
						ended.Add(1)
					}
					return 0, ctx.Err()
				}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
				over <- err
			}()
			synctest.Wait()
			if began.Load() == 0 && ctx != context.Background() {
				<-over // the pool is closed already
				return
			}
			start := time.Now()
			if err := p.Terminate(); err != nil || time.Since(start) != 0 {
				t.Errorf("Terminate = %v after %v; want nil at once", err, time.Since(start))
			}
			if err := <-over; !errors.Is(err, context.Canceled) && !errors.Is(err, executor.ErrShutdown) {
				t.Errorf("the map that was terminated: %v; want an error that matches context.Canceled or ErrShutdown", err)
			}
			if began.Load() != ended.Load() || began.Load() == 0 {
				t.Errorf("%d elements began, and %d saw ErrCancelled or ErrShutdown as the cause; want as many", began.Load(), ended.Load())
			}
			if k := *kept.Load().(*context.Context); k.Err() == nil {
				t.Error("the ctx that has ended does not stay ended")
			}
		}
	})
}

// After Terminate, a map starts no element, whether those that run mind their ctx or not.
func TestTerminateStartsNoElementOfAMap(t *testing.T) {
	eachGoroutinePool(t, func(t *testing.T, p *pool.Pool, w way) {
		if p.Workers() == 0 {
			return // all elements begin at once
		}
		pool.Patient(p, time.Minute)
		var began atomic.Int64
		over := make(chan error, 1)
		in := make([]int, 200)
		go func() {
			_, err := w.all(context.Background(), p, func(context.Context, int) (int, error) {
				began.Add(1)
				time.Sleep(time.Second)
				return 0, nil
			}, in)
			over <- err
		}()
		time.Sleep(500 * time.Millisecond)
		before := began.Load()
		if err := p.Terminate(); err != nil {
			t.Errorf("Terminate = %v; want nil", err)
		}
		if err := <-over; !errors.Is(err, context.Canceled) && !errors.Is(err, executor.ErrShutdown) {
			t.Errorf("the map that was terminated: %v; want an error that matches context.Canceled or ErrShutdown", err)
		}
		if n := began.Load() - before; n > int64(p.Workers()*(w.chunk-1)) { // a chunk of Imap that has begun is a call that runs
			t.Errorf("%d elements began after Terminate; want none", n)
		}
	})
}

// A map whose calls wait for room in the queue of its executor is ended too.
func TestTerminateEndsAMapThatWaitsForRoom(t *testing.T) {
	for name, w := range ways {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ex := &executor.ThreadPoolExecutor{MaxWorkers: 2, QueueLimit: 1}
				defer ex.Close()
				for range 3 { // two run, one is queued
					executor.Submit(t.Context(), ex, sleepy, 1)
				}
				p := pool.Over(ex)
				over := make(chan error, 1)
				go func() {
					_, err := w.all(t.Context(), p, sleepy, []int{1, 2, 3})
					over <- err
				}()
				synctest.Wait()
				start := time.Now()
				if err := p.Terminate(); err != nil || time.Since(start) != 0 {
					t.Errorf("Terminate = %v after %v; want nil at once", err, time.Since(start))
				}
				if err := <-over; !errors.Is(err, context.Canceled) && !errors.Is(err, executor.ErrShutdown) || time.Since(start) != 0 {
					t.Errorf("the map that was terminated: %v after %v; want an error that matches context.Canceled or ErrShutdown at once", err, time.Since(start))
				}
			})
		})
	}
}

// Terminate may come at any moment of a map's beginning. The executor that the pool is
// over loses nothing by it.
func TestTerminateEndsAMapThatIsJustBeginning(t *testing.T) {
	heed := func(ctx context.Context, _ int) (int, error) { <-ctx.Done(); return 0, ctx.Err() }
	for name, ex := range map[string]*executor.ThreadPoolExecutor{
		"":                   {MaxWorkers: 2},
		"with a QueueLimit":  {MaxWorkers: 2, QueueLimit: 1},
		"whose waiters help": {MaxWorkers: 2, WaitersHelp: true},
	} {
		t.Run("over a ThreadPoolExecutor "+name, func(t *testing.T) {
			for range 2000 {
				p := pool.Patient(pool.Over(ex), longEnough)
				f := pool.MapAsync(t.Context(), p, heed, []int{1, 2, 3})
				over := make(chan error, 1)
				go func() {
					_, err := pool.Map(context.Background(), p, heed, []int{1, 2, 3})
					over <- err
				}()
				runtime.Gosched()
				if err := p.Terminate(); err != nil {
					t.Fatalf("Terminate = %v; want nil", err)
				}
				if _, err := f.Result(t.Context()); !errors.Is(err, context.Canceled) {
					t.Fatalf("MapAsync that was terminated: %v; want an error that matches context.Canceled", err)
				}
				if err := <-over; !errors.Is(err, context.Canceled) && !errors.Is(err, executor.ErrShutdown) {
					t.Fatalf("Map that was terminated: %v; want an error that matches context.Canceled or ErrShutdown", err)
				}
			}
			if v, err := executor.MapSlice(t.Context(), ex, double, []int{1, 2, 3}); !slices.Equal(v, []int{2, 4, 6}) || err != nil {
				t.Errorf("MapSlice on the executor afterwards = %v, %v; want [2 4 6], nil", v, err)
			}
			if err := inTime(t, "Close of the executor", ex.Close); err != nil {
				t.Error(err)
			}
			if s := ex.Stats(); s.Queued != 0 || s.Running != 0 || s.Submitted != s.Succeeded+s.Failed+s.Cancelled {
				t.Errorf("Stats of the executor = %+v; want nothing that runs or waits", s)
			}
		})
	}
}

// The error of a map that Terminate has ended says so, whatever its functions make of
// the end of their ctx, and whether they had begun.
func TestTheErrorOfAMapThatWasTerminatedSaysSo(t *testing.T) {
	for name, fn := range map[string]executor.Func[int, int]{
		"its error": func(ctx context.Context, _ int) (int, error) { <-ctx.Done(); return 0, ctx.Err() },
		"its cause": func(ctx context.Context, _ int) (int, error) { <-ctx.Done(); return 0, context.Cause(ctx) },
		"nothing":   func(ctx context.Context, _ int) (int, error) { <-ctx.Done(); return 0, nil },
		"another one": func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			return 0, fmt.Errorf("stopped: %w", ctx.Err())
		},
		"time goes by": func(context.Context, int) (int, error) { time.Sleep(time.Second / 2); return 0, nil },
	} {
		for kind, open := range goroutinePools {
			t.Run(kind+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p, closeExecutor := open()
					defer closeExecutor()
					if p.Workers() == 0 {
						return // all elements begin at once, and a map whose elements have returned has not failed
					}
					f := pool.MapAsync(t.Context(), p, fn, make([]int, 100))
					over := make(chan error, 1)
					go func() {
						_, err := pool.Map(context.Background(), p, fn, make([]int, 100))
						over <- err
					}()
					synctest.Wait()
					if err := p.Terminate(); err != nil {
						t.Errorf("Terminate = %v; want nil", err)
					}
					_, err := f.Result(t.Context())
					for name, err := range map[string]error{"MapAsync": err, "Map": <-over} {
						want := "pool: " + name + ": the ctx ended: pool: terminated"
						if err == nil || err.Error() != want || !errors.Is(err, executor.ErrCancelled) {
							t.Errorf("%s that was terminated: %v; want %s", name, err, want)
						}
					}
				})
			})
		}
	}
}

// A ctx that lives on has nothing left of maps that are over, however their functions have
// used theirs. The runtime keeps some hundreds of bytes for each goroutine that has ended,
// as many as have ever been there at once, so the heap may grow in one round of maps, but
// not in each.
func TestManyMapsLeaveNothingOnACtxThatLivesOn(t *testing.T) {
	const maps = 1_000
	for use, ask := range map[string]func(context.Context){
		"Done":    func(ctx context.Context) { ctx.Done() },
		"derived": func(ctx context.Context) { _, cancel := context.WithCancel(ctx); cancel() },
	} {
		for _, kind := range []string{"Threads", "over a ThreadPoolExecutor whose waiters help", "over ThreadPerTask"} {
			for name, w := range ways {
				t.Run(use+"/"+kind+"/"+name, func(t *testing.T) {
					p, closeExecutor := goroutinePools[kind]()
					defer closeExecutor()
					defer p.Close()
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					fn := func(ctx context.Context, i int) (int, error) { ask(ctx); return i, nil }
					run := func(n int) {
						for range n {
							if _, err := w.all(ctx, p, fn, []int{1, 2}); err != nil {
								t.Fatal(err)
							}
						}
					}
					var grown []int64
					goroutines := runtime.NumGoroutine()
					defer func() {
						if t.Failed() {
							t.Logf("each round of %d maps left so many bytes: %v; want less than %d once; goroutines: %d, at the beginning %d",
								maps, grown, maps*100, runtime.NumGoroutine(), goroutines)
						}
					}()
					waitUntil(t, "a round leaves nothing of its maps", func() bool {
						before := heap()
						run(maps)
						left := heap() - before
						for range 20 { // the ctx of a call goes when it has been collected, some of its memory after that
							if left < maps*100 {
								break
							}
							runtime.Gosched()
							left = heap() - before
						}
						grown = append(grown, left)
						return left < maps*100 && runtime.NumGoroutine() <= goroutines+4
					})
				})
			}
		}
	}
}

// heap returns how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A pool holds nothing of a map that is over: not its ctx, and so none of its values.
func TestAPoolDoesNotHoldTheCtxOfAMapThatIsOver(t *testing.T) {
	type value struct{ _ [1 << 10]byte }
	for name, w := range ways {
		t.Run(name, func(t *testing.T) {
			p := pool.Threads(2)
			defer p.Close()
			gone := make(chan struct{})
			func() {
				v := new(value)
				runtime.AddCleanup(v, func(c chan struct{}) { close(c) }, gone)
				ctx, cancel := context.WithCancel(context.WithValue(t.Context(), ctxKey("k"), v))
				defer cancel()
				if _, err := w.all(ctx, p, double, slices.Collect(upTo(10))); err != nil {
					t.Fatal(err)
				}
			}()
			waitUntil(t, "the value of the ctx is gone", func() bool {
				runtime.GC()
				select {
				case <-gone:
					return true
				default:
					return false
				}
			})
		})
	}
}
