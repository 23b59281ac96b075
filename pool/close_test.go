package pool_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/internal/testhelp"
	"github.com/gofutures/futures/pool"
)

// Close waits for what the pool has taken, and lets it be made to its end though
// the pool takes no more calls.
func TestCloseWaitsForWhatIsUnderWay(t *testing.T) {
	each(t, 1, func(t *testing.T, p *pool.Pool) {
		log, gate := inDir(t, "log"), inDir(t, "gate")
		in := make([]item, 6)
		want := make([]int, 6)
		for i := range in {
			in[i] = item{N: i, Does: "hold", Gate: gate, Log: log}
			want[i] = 10 * i
		}
		mapped := pool.MapAsync(t.Context(), p, makeItem, in, pool.ChunkSize(1))
		collected := pool.MapAsync(t.Context(), p, makeItem, in, pool.ChunkSize(2), pool.CollectErrors())
		plain := pool.MapAsync(t.Context(), p, makeItem, in)
		applied := pool.ApplyAsync(t.Context(), p, makeItem, in[1])
		queued := pool.ApplyAsync(t.Context(), p, makeItem, in[2])
		synchronous := make(chan string, 1)
		others := pool.Awaited(p)
		go func() {
			out, err := pool.Map(t.Context(), p, makeItem, in, pool.ChunkSize(1))
			synchronous <- fmt.Sprint(out, err)
		}()
		awaitStarts(t, log, 1)
		waitUntil(t, "Map has begun", func() bool { return pool.Awaited(p) > others })
		closed := make(chan error, 1)
		go func() { closed <- p.Close() }()
		waitUntil(t, "the pool takes no more calls", func() bool {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			f := pool.ApplyAsync(ctx, p, makeItem, item{N: 9})
			return isDone(f) && errors.Is(onlyError(f.Result(ctx)), executor.ErrShutdown)
		})
		if len(closed) > 0 {
			t.Errorf("Close has returned while calls run")
		}
		touch(t, gate)
		if err := testhelp.Receive(t, "Close", closed); err != nil {
			t.Errorf("Close = %v; want nil", err)
		}
		for name, f := range map[string]*executor.Future[[]int]{"one by one": mapped, "CollectErrors": collected, "own chunks": plain} {
			if !isDone(f) {
				t.Errorf("MapAsync, %s, is not done after Close", name)
			}
			if out, err := resultOf(t, f); !slices.Equal(out, want) || err != nil {
				t.Errorf("MapAsync, %s, that was under way at Close = %v, %v; want %v, nil", name, out, err, want)
			}
		}
		for i, f := range []*executor.Future[int]{applied, queued} {
			if v, err := f.Result(ended()); v != want[i+1] || err != nil {
				t.Errorf("ApplyAsync %d that was under way at Close = %v, %v; want %v, nil", i, v, err, want[i+1])
			}
		}
		if got := testhelp.Receive(t, "Map", synchronous); got != fmt.Sprint(want, nil) {
			t.Errorf("Map that was under way at Close = %s; want %v, nil", got, want)
		}
	})
}

// Calls that were submitted with the pool as their executor are its calls too.
func TestCloseWaitsForWhatWasSubmitted(t *testing.T) {
	each(t, 1, func(t *testing.T, p *pool.Pool) {
		log, gate := inDir(t, "log"), inDir(t, "gate")
		f := executor.Submit(t.Context(), p, makeItem, item{N: 1, Does: "hold", Gate: gate, Log: log})
		queued := executor.Submit(t.Context(), p, makeItem, item{N: 2})
		awaitStarts(t, log, 1)
		closed := make(chan error, 1)
		go func() { closed <- p.Close() }()
		time.Sleep(20 * time.Millisecond)
		if len(closed) > 0 {
			t.Errorf("Close has returned while a call runs that was submitted with the pool as the executor")
		}
		touch(t, gate)
		_ = testhelp.Receive(t, "Close", closed)
		for i, f := range []*executor.Future[int]{f, queued} {
			if v, err := resultOf(t, f); v != 10*(i+1) || err != nil {
				t.Errorf("call %d = %v, %v; want %d, nil", i+1, v, err, 10*(i+1))
			}
		}
	})
}

// Terminate ends every call that can be ended, and all futures are done.
func TestTerminateEndsEveryFuture(t *testing.T) {
	each(t, 2, func(t *testing.T, p *pool.Pool) {
		log := inDir(t, "log")
		heed := item{N: 1, Does: "heed", Log: log}
		running := pool.ApplyAsync(t.Context(), p, makeItem, heed)
		submitted := executor.Submit(t.Context(), p, makeItem, heed)
		awaitStarts(t, log, 2)
		fs := map[string]*executor.Future[int]{
			"that runs":                   running,
			"that was submitted and runs": submitted,
			"that is queued":              pool.ApplyAsync(t.Context(), p, makeItem, heed),
			"that was submitted":          executor.Submit(t.Context(), p, makeItem, heed),
		}
		maps := map[string]*executor.Future[[]int]{
			"own chunks":    pool.MapAsync(t.Context(), p, makeItem, []item{heed, heed}),
			"one by one":    pool.MapAsync(t.Context(), p, makeItem, []item{heed, heed}, pool.ChunkSize(1)),
			"CollectErrors": pool.MapAsync(t.Context(), p, makeItem, []item{heed, heed}, pool.CollectErrors()),
		}
		synchronous := make(chan error, 2)
		go func() { synchronous <- onlyError(pool.Map(t.Context(), p, makeItem, []item{heed, heed})) }()
		go func() { synchronous <- onlyError(pool.Apply(t.Context(), p, makeItem, heed)) }()
		if err := inTime(t, "Terminate", p.Terminate); err != nil {
			t.Errorf("Terminate = %v; want nil", err)
		}
		isEnd := func(err error) bool {
			return errors.Is(err, context.Canceled) || errors.Is(err, executor.ErrShutdown)
		}
		for name, f := range fs {
			if !isDone(f) {
				t.Errorf("a call %s is not done after Terminate", name)
				f.Cancel()
			} else if _, err := f.Result(ended()); !isEnd(err) || errors.Is(err, executor.ErrPending) {
				t.Errorf("a call %s, after Terminate: %v; want an error that matches context.Canceled", name, err)
			}
		}
		for name, f := range maps {
			if !isDone(f) {
				t.Errorf("MapAsync, %s, is not done after Terminate", name)
				f.Cancel()
			} else if out, err := f.Result(ended()); out != nil || !isEnd(err) {
				t.Errorf("MapAsync, %s, after Terminate = %v, %v; want nil, an error that matches context.Canceled", name, out, err)
			}
		}
		for range 2 {
			if err := testhelp.Receive(t, "Map or Apply", synchronous); !isEnd(err) {
				t.Errorf("Map or Apply, after Terminate: %v; want an error that matches context.Canceled or ErrShutdown", err)
			}
		}
		// Over an executor, which stays open, each may start when the one before it was
		// ended, and is ended itself then.
		if n := len(starts(t, log)); n < 2 || n > mostStarts(t, 2) && !strings.HasSuffix(t.Name(), "/Over") {
			t.Errorf("%d calls have started; want at most %d", n, mostStarts(t, 2))
		}
	})
}

// A worker process whose call does not return is killed after a second.
func TestTerminateKillsTheWorkerOfACallThatDoesNotReturn(t *testing.T) {
	t.Run("Processes", func(t *testing.T) {
		t.Parallel()
		executortest.NeedsProcesses(t)
		wantTerminateKills(t, pool.Processes(2))
	})
	t.Run("Over", func(t *testing.T) {
		t.Parallel()
		wantTerminateKills(t, overProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2}))
	})
	t.Run("Over, sooner", func(t *testing.T) {
		t.Parallel()
		wantTerminateKills(t, overProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2, KillGrace: 10 * time.Millisecond}))
	})
}

func wantTerminateKills(t *testing.T, p *pool.Pool) {
	log := inDir(t, "log")
	hang := item{N: 1, Does: "hang", Log: log}
	applied := pool.ApplyAsync(t.Context(), p, makeItem, hang)
	mapped := pool.MapAsync(t.Context(), p, makeItem, []item{hang, hang}, pool.ChunkSize(1))
	awaitStarts(t, log, 2)
	if err := inTime(t, "Terminate", p.Terminate); err != nil {
		t.Errorf("Terminate with calls that do not return in worker processes = %v; want nil", err)
	}
	if !isDone(applied) || !isDone(mapped) {
		t.Errorf("after Terminate: %v, %v; want both done", applied, mapped)
	}
	_, err := resultOf(t, applied)
	_, isDeath := errors.AsType[*executor.WorkerDiedError](err)
	if !isDeath || !errors.Is(err, context.Canceled) && !errors.Is(err, executor.ErrShutdown) {
		t.Errorf("the call whose worker was killed: %v; want a *WorkerDiedError that matches why", err)
	}
	if out, err := resultOf(t, mapped); out != nil || err == nil {
		t.Errorf("the map whose worker was killed = %v, %v; want nil and an error", out, err)
	}
}

// A goroutine cannot be killed: Terminate waits for a second and says that a
// function has not returned. Its future is done when it does.
func TestTerminateSaysThatAFunctionDoesNotMindItsCtx(t *testing.T) {
	ends := map[string]func(*pool.Pool, executor.Func[int, int]) executor.Waitable{
		"ApplyAsync": func(p *pool.Pool, fn executor.Func[int, int]) executor.Waitable {
			return pool.ApplyAsync(context.Background(), p, fn, 1)
		},
		"MapAsync": func(p *pool.Pool, fn executor.Func[int, int]) executor.Waitable {
			return pool.MapAsync(context.Background(), p, fn, []int{1})
		},
		"Submit": func(p *pool.Pool, fn executor.Func[int, int]) executor.Waitable {
			return executor.Submit(context.Background(), p, fn, 1)
		},
	}
	for name, begin := range ends {
		for _, kind := range []string{"Threads", "Over"} {
			t.Run(kind+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
					defer ex.Close()
					p := pool.Threads(1)
					if kind == "Over" {
						p = pool.Over(ex)
					}
					release := make(chan struct{})
					told := false
					f := begin(p, func(ctx context.Context, n int) (int, error) {
						<-release
						told = ctx.Err() != nil
						return n, nil
					})
					synctest.Wait()
					start := time.Now()
					if err := p.Terminate(); !errors.Is(err, executor.ErrPending) || time.Since(start) != time.Second {
						t.Errorf("Terminate while a function does not mind its ctx = %v after %v; want an error that matches ErrPending after 1s", err, time.Since(start))
					}
					if isDone(f) {
						t.Error("the future is done while its function runs")
					}
					close(release)
					synctest.Wait()
					if !isDone(f) || !told {
						t.Errorf("when the function has returned, the future is done: %t, the ctx had ended: %t; want true, true", isDone(f), told)
					}
					if err := p.Terminate(); err != nil {
						t.Errorf("Terminate again = %v; want nil", err)
					}
				})
			})
		}
	}
}

// Python's gh-88628 and gh-78178: Terminate from another goroutine while Close,
// Result, Map and Imap wait.
func TestTerminateEndsAllWhoWait(t *testing.T) {
	each(t, 1, func(t *testing.T, p *pool.Pool) {
		log := inDir(t, "log")
		heed := item{N: 1, Does: "heed", Log: log}
		f := pool.ApplyAsync(t.Context(), p, makeItem, heed)
		awaitStarts(t, log, 1)
		waits := map[string]func() error{
			"Result": func() error { return onlyError(f.Result(context.Background())) },
			"Map":    func() error { return onlyError(pool.Map(t.Context(), p, makeItem, []item{heed, heed})) },
			"Imap":   func() error { return errorsOf(pool.Imap(t.Context(), p, makeItem, slices.Values([]item{heed}))) },
			"Imap in chunks": func() error {
				return errorsOf(pool.Imap(t.Context(), p, makeItem, slices.Values([]item{heed, heed}), pool.ChunkSize(2)))
			},
		}
		over := make(chan string, len(waits))
		for name, wait := range waits {
			go func() {
				err := wait()
				if !errors.Is(err, context.Canceled) && !errors.Is(err, executor.ErrShutdown) {
					t.Errorf("%s that Terminate has ended: %v; want an error that matches context.Canceled or ErrShutdown", name, err)
				}
				over <- name
			}()
		}
		time.Sleep(10 * time.Millisecond) // until they wait; sooner or later, it is the same
		closed := make(chan error, 1)
		go func() { closed <- p.Close() }()
		time.Sleep(10 * time.Millisecond)
		if err := inTime(t, "Terminate", p.Terminate); err != nil {
			t.Errorf("Terminate while Close waits = %v; want nil", err)
		}
		if err := testhelp.Receive(t, "Close", closed); err != nil {
			t.Errorf("Close that Terminate has ended = %v; want nil", err)
		}
		for range waits {
			testhelp.Receive(t, "all who wait", over)
		}
	})
}

// Both may be called again and by many goroutines, on a pool that was never used
// too.
func TestCloseAndTerminateMayBeCalledByMany(t *testing.T) {
	for _, used := range []bool{false, true} {
		each(t, 2, func(t *testing.T, p *pool.Pool) {
			var fs []*executor.Future[int]
			for i := range 20 {
				if used {
					fs = append(fs, pool.ApplyAsync(t.Context(), p, makeItem, item{N: i}))
				}
			}
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					end := p.Close
					if i%2 == 1 {
						end = p.Terminate
					}
					for range 3 {
						if err := end(); err != nil {
							t.Errorf("Close or Terminate among many = %v; want nil", err)
						}
					}
				})
			}
			_ = inTime(t, "all of them", func() error { wg.Wait(); return nil })
			for i, f := range fs {
				if !isDone(f) {
					t.Errorf("call %d is not done after Terminate", i)
				} else if v, err := f.Result(ended()); err == nil && v != 10*i || err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, executor.ErrShutdown) {
					t.Errorf("call %d = %v, %v; want %d, or an error that matches context.Canceled", i, v, err, 10*i)
				}
			}
		})
	}
}

// Calls that come while the pool closes are made, or refused; they never hang.
func TestCallThatComesDuringCloseEndsOrIsRefused(t *testing.T) {
	for how, end := range ends {
		t.Run(how, func(t *testing.T) {
			each(t, 2, func(t *testing.T, p *pool.Pool) {
				_ = onlyError(pool.Map(t.Context(), p, double, []int{1, 2})) // the workers are there
				var wg sync.WaitGroup
				for range 2 {
					for _, e := range entries(nil) {
						wg.Go(func() {
							for {
								err := e.call(t.Context(), p, double)
								switch {
								case err == nil:
								case errors.Is(err, executor.ErrShutdown):
									return
								case how == "Terminate" && errors.Is(err, context.Canceled):
								default:
									t.Errorf("%s during %s: %v; want nil or an error that matches ErrShutdown", e.name, how, err)
									return
								}
							}
						})
					}
				}
				time.Sleep(5 * time.Millisecond)
				if err := inTime(t, how, func() error { return end(p) }); err != nil {
					t.Errorf("%s = %v; want nil", how, err)
				}
				_ = inTime(t, "all callers", func() error { wg.Wait(); return nil })
			})
		})
	}
}

// Close and Terminate of a pool over an executor end what the pool has begun, and
// nothing else.
func TestOverLeavesTheExecutorOpen(t *testing.T) {
	for how, end := range ends {
		for name, ex := range map[string]interface {
			executor.Executor
			Close() error
		}{
			"ThreadPoolExecutor":  &executor.ThreadPoolExecutor{MaxWorkers: 2},
			"ThreadPerTask":       &executor.ThreadPerTask{},
			"Sequential":          &executor.Sequential{},
			"ProcessPoolExecutor": &executor.ProcessPoolExecutor{MaxWorkers: 2, Stderr: os.Stderr},
			"pool":                pool.Threads(2),
		} {
			t.Run(how+" over "+name, func(t *testing.T) {
				if name == "ProcessPoolExecutor" {
					executortest.NeedsProcesses(t)
				}
				defer func() { _ = inTime(t, "Close of the executor", ex.Close) }()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				log := inDir(t, "log")
				var others *executor.Future[int]
				if name != "Sequential" { // where a call has ended when it was submitted
					others = executor.Submit(ctx, ex, makeItem, item{Does: "heed", Log: log})
					awaitStarts(t, log, 1)
				}
				p := pool.Patient(pool.Over(ex), longEnough)
				if got, err := pool.Map(ctx, p, makeItem, items("", "", "")); !slices.Equal(got, []int{0, 10, 20}) || err != nil {
					t.Errorf("Map over %s = %v, %v; want [0 10 20], nil", name, got, err)
				}
				if got, err := executor.Collect(pool.Imap(ctx, p, makeItem, slices.Values(items("", "")))); !slices.Equal(got, []int{0, 10}) || err != nil {
					t.Errorf("Imap over %s = %v, %v; want [0 10], nil", name, got, err)
				}
				if p.Workers() != ex.Workers() {
					t.Errorf("Workers over %s = %d; want %d", name, p.Workers(), ex.Workers())
				}
				if err := inTime(t, how, func() error { return end(p) }); err != nil {
					t.Errorf("%s = %v; want nil", how, err)
				}
				if others != nil && isDone(others) {
					t.Errorf("%s has ended a call of somebody else: %v", how, others)
				}
				if _, err := pool.Apply(ctx, p, makeItem, item{}); !errors.Is(err, executor.ErrShutdown) {
					t.Errorf("Apply after %s: %v; want an error that matches ErrShutdown", how, err)
				}
				if v, err := executor.Submit(ctx, ex, makeItem, item{N: 4}).Result(ctx); v != 40 || err != nil {
					t.Errorf("Submit to the executor after %s of the pool = %v, %v; want 40, nil", how, v, err)
				}
				if v, err := pool.Apply(ctx, pool.Over(ex), makeItem, item{N: 5}); v != 50 || err != nil {
					t.Errorf("another pool over it after %s of the first = %v, %v; want 50, nil", how, v, err)
				}
			})
		}
	}
}

// An executor that was closed under the pool refuses, and nobody hangs.
func TestOverAnExecutorThatIsClosedIsAnError(t *testing.T) {
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
	p := pool.Over(ex)
	defer closeInTime(t, p)
	if err := ex.Close(); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries(nil) {
		if err := inTime(t, e.name, func() error { return e.call(t.Context(), p, double) }); !errors.Is(err, executor.ErrShutdown) {
			t.Errorf("%s over an executor that is closed: %v; want an error that matches ErrShutdown", e.name, err)
		}
	}
}

// A callback of a call that Terminate cancels may block: Terminate does not wait for it.
func TestTerminateDoesNotWaitForCallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		p := pool.Over(ex)
		heed := func(ctx context.Context, _ int) (int, error) { <-ctx.Done(); return 0, ctx.Err() }
		gate := make(chan struct{})
		var fs []*executor.Future[int]
		for range 3 { // one runs, two are queued
			f := pool.ApplyAsync(t.Context(), p, heed, 0)
			f.OnDone(func(*executor.Future[int]) { <-gate })
			fs = append(fs, f)
		}
		began := time.Now()
		if err := p.Terminate(); err != nil || time.Since(began) != 0 {
			t.Errorf("Terminate = %v after %v; want nil at once", err, time.Since(began))
		}
		for i, f := range fs {
			if _, err := f.Result(t.Context()); !isDone(f) || !errors.Is(err, executor.ErrCancelled) && !errors.Is(err, context.Canceled) {
				t.Errorf("call %d = %v; want that it was cancelled", i, err)
			}
		}
		close(gate)
	})
}
