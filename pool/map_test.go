package pool_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/internal/testhelp"
	"github.com/gofutures/futures/pool"
)

// What package executor promises of executors holds for a pool.
func TestPoolKeepsThePromisesOfAnExecutor(t *testing.T) {
	t.Run("Threads", func(t *testing.T) {
		executortest.Run(t, func(workers int) executor.Executor { return pool.Threads(workers) })
	})
	t.Run("Processes", func(t *testing.T) {
		executortest.NeedsProcesses(t)
		executortest.Run(t, func(workers int) executor.Executor { return pool.Processes(workers) })
	})
	t.Run("Over", func(t *testing.T) {
		executortest.Run(t, func(workers int) executor.Executor {
			ex := &executor.ThreadPoolExecutor{MaxWorkers: workers}
			t.Cleanup(func() { _ = ex.Close() })
			return pool.Over(ex)
		})
	})
}

// Submit, Map, MapSlice and Wait take a pool as they take any executor.
func TestPoolIsAnExecutor(t *testing.T) {
	each(t, 2, func(t *testing.T, p *pool.Pool) {
		ctx := t.Context()
		f, g := executor.Submit(ctx, p, double, 1), executor.Submit(ctx, p, double, 2)
		if _, _, err := executor.Wait(ctx, executor.AllCompleted, f, g); err != nil {
			t.Errorf("Wait = %v; want nil", err)
		}
		if out, err := executor.Gather(ctx, f, g); !slices.Equal(out, []int{2, 4}) || err != nil {
			t.Errorf("Gather = %v, %v; want [2 4], nil", out, err)
		}
		if out, err := executor.Collect(executor.Map(ctx, p, double, slices.Values([]int{1, 2, 3}))); !slices.Equal(out, []int{2, 4, 6}) || err != nil {
			t.Errorf("executor.Map = %v, %v; want [2 4 6], nil", out, err)
		}
		if out, err := executor.MapSlice(ctx, p, double, []int{1, 2, 3}); !slices.Equal(out, []int{2, 4, 6}) || err != nil {
			t.Errorf("executor.MapSlice = %v, %v; want [2 4 6], nil", out, err)
		}
	})
}

// Of several errors, Map has that of the lowest index; what comes before
// it is finished, and what comes after it is cancelled and not waited for.
func TestMapFailsWithTheErrorOfLowestIndexAndCancelsWhatComesAfter(t *testing.T) {
	for name, async := range map[string]bool{"Map": false, "MapAsync": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pool.Threads(4)
				defer p.Close()
				var last atomic.Int64
				var told atomic.Value
				fn := func(ctx context.Context, i int) (int, error) {
					last.Store(max(last.Load(), int64(i)))
					switch i {
					case 0:
						time.Sleep(3 * time.Second) // comes before: is finished
					case 1:
						time.Sleep(2 * time.Second)
						return 0, itemError(1)
					case 2:
						time.Sleep(time.Second)
						return 0, itemError(2)
					case 3:
						<-ctx.Done()
						told.Store(context.Cause(ctx))
						return 0, ctx.Err()
					}
					return i, nil
				}
				in := slices.Collect(upTo(100))
				begin := time.Now()
				out, err := pool.Map(t.Context(), p, fn, in, pool.ChunkSize(1))
				if async {
					begin = time.Now()
					last.Store(0)
					out, err = pool.MapAsync(t.Context(), p, fn, in, pool.ChunkSize(1)).Result(t.Context())
				}
				if out != nil || err != itemError(1) {
					t.Errorf("%s, of which items 1 and 2 fail, 2 first = %v, %v; want nil, item 1", name, out, err)
				}
				if took := time.Since(begin); took != 3*time.Second || last.Load() > 3 {
					t.Errorf("%s took %v and has begun item %d; want 3s, for item 0, and none after 3", name, took, last.Load())
				}
				if cause, _ := told.Load().(error); !errors.Is(cause, executor.ErrCancelled) {
					t.Errorf("item 3 was told %v; want ErrCancelled", cause)
				}
			})
		})
	}
}

func upTo(n int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// Python's bpo-23992: after a map with errors that are large, Close returns, and
// the pool is not worse for them before.
func TestMapThatFailsWithLargeErrorsLeavesThePoolAsItWas(t *testing.T) {
	each(t, 2, func(t *testing.T, p *pool.Pool) {
		does := make([]string, 20)
		for i := range does {
			does[i] = "large"
		}
		want := strings.Repeat("large ", 100_000)
		out, err := pool.Map(t.Context(), p, makeItem, items(does...), pool.ChunkSize(1))
		if out != nil || err == nil || err.Error() != want {
			t.Errorf("Map of 20 items that fail = %d results, error of %d bytes; want none, %d", len(out), len(fmt.Sprint(err)), len(want))
		}
		out, err = pool.Map(t.Context(), p, makeItem, items(does...), pool.CollectErrors())
		var failed executor.ItemErrors
		if !errors.As(err, &failed) || len(failed) != 20 || len(out) != 20 {
			t.Errorf("Map of 20 items that fail with CollectErrors = %d results, %d errors; want 20, 20", len(out), len(failed))
		}
		if v, err := pool.Apply(t.Context(), p, makeItem, item{N: 3}); v != 30 || err != nil {
			t.Errorf("Apply afterwards = %v, %v; want 30, nil", v, err)
		}
	})
}

// With CollectErrors, all items are made; the results are beside the errors,
// which are in order and are found by errors.Is and errors.As.
func TestCollectErrorsMakesAllItems(t *testing.T) {
	each(t, 2, func(t *testing.T, p *pool.Pool) {
		in := items("", "boom", "", "panic", "goexit", "fail", "", "fail late", "", "")
		for _, size := range []int{0, 1, 2, 3, 10, 50} {
			log := inDir(t, "log")
			for i := range in {
				in[i].Log = log
			}
			opts := []pool.Option{pool.CollectErrors()}
			if size > 0 {
				opts = append(opts, pool.ChunkSize(size))
			}
			for name, mapped := range map[string]func() ([]int, error){
				"Map":      func() ([]int, error) { return pool.Map(t.Context(), p, makeItem, in, opts...) },
				"MapAsync": func() ([]int, error) { return pool.MapAsync(t.Context(), p, makeItem, in, opts...).Result(t.Context()) },
			} {
				out, err := mapped()
				if want := []int{0, 0, 20, 0, 0, 0, 60, 0, 80, 90}; !slices.Equal(out, want) {
					t.Errorf("%s in chunks of %d (0: not given) = %v; want %v", name, size, out, want)
				}
				var failed executor.ItemErrors
				if !errors.As(err, &failed) {
					t.Fatalf("%s in chunks of %d: %v; want executor.ItemErrors", name, size, err)
				}
				var indices []int
				for _, f := range failed {
					indices = append(indices, f.Index)
				}
				if want := []int{1, 3, 4, 5, 7}; !slices.Equal(indices, want) {
					t.Fatalf("%s in chunks of %d: items %v have failed; want %v", name, size, indices, want)
				}
				first, _ := errors.AsType[*executor.ItemError](err)
				panicked, _ := errors.AsType[*executor.PanicError](failed[1])
				if first != failed[0] || panicked == nil || panicked.Value != "item 3" {
					t.Errorf("%s in chunks of %d: the first *ItemError is %v, that of item 3 has the panic %v", name, size, first, panicked)
				}
				if !errors.Is(err, errBoom) || !errors.Is(failed[0], errBoom) || errors.Is(failed[1], errBoom) {
					t.Errorf("%s in chunks of %d: errBoom is found in %t, %t, %t of all, item 1, item 3; want true, true, false",
						name, size, errors.Is(err, errBoom), errors.Is(failed[0], errBoom), errors.Is(failed[1], errBoom))
				}
				if !errors.Is(failed[2], executor.ErrGoexit) || failed[3].Err.Error() != "item 5" || failed[4].Err.Error() != "item 7" {
					t.Errorf("%s in chunks of %d: items 4, 5, 7 have failed with %v", name, size, failed[2:])
				}
			}
			if n := len(starts(t, log)); n != 2*len(in) {
				t.Errorf("in chunks of %d: %d items started in two maps of %d", size, n, len(in))
			}
		}
		out, err := pool.Map(t.Context(), p, makeItem, items("", "", ""), pool.CollectErrors())
		if !slices.Equal(out, []int{0, 10, 20}) || err != nil {
			t.Errorf("Map with CollectErrors, of which nothing fails = %v, %v; want [0 10 20], nil", out, err)
		}
		if out, err := pool.Map(t.Context(), p, makeItem, nil, pool.CollectErrors()); len(out) != 0 || err != nil {
			t.Errorf("Map of nothing with CollectErrors = %v, %v; want none, nil", out, err)
		}
	})
}

// If ctx ends, the error matches its own, with CollectErrors too, and Map returns
// when what runs has returned.
func TestEndOfCtxEndsAMap(t *testing.T) {
	for name, opts := range map[string][]pool.Option{
		"":                             {pool.ChunkSize(1)},
		"CollectErrors":                {pool.ChunkSize(1), pool.CollectErrors()},
		"CollectErrors, own chunks":    {pool.CollectErrors()},
		"CollectErrors, a chunk of 10": {pool.ChunkSize(10), pool.CollectErrors()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pool.Threads(2)
				defer p.Close()
				var running atomic.Int64
				fn := func(ctx context.Context, i int) (int, error) {
					running.Add(1)
					defer running.Add(-1)
					if i < 2 {
						return i, nil
					}
					<-ctx.Done()
					time.Sleep(time.Second)
					return i, ctx.Err()
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				begin := time.Now()
				out, err := pool.Map(ctx, p, fn, slices.Collect(upTo(10)), opts...)
				if out != nil || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Map whose deadline passes = %v, %v; want nil, an error that matches DeadlineExceeded", out, err)
				}
				if took := time.Since(begin); took < 11*time.Second || running.Load() != 0 {
					t.Errorf("Map has returned after %v with %d items that run; want 11s, 0", took, running.Load())
				}
			})
		})
	}
}

// If ctx ends while the last item runs, whatever that returns: the error is
// ctx's, or that of the item, as one of items.
func TestEndOfCtxInTheLastItemOfCollectErrors(t *testing.T) {
	for _, n := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			p := pool.Threads(1)
			defer p.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			fn := func(ctx context.Context, i int) (int, error) {
				if i < n-1 {
					return i, nil
				}
				cancel()
				return 0, errBoom
			}
			_, err := pool.Map(ctx, p, fn, slices.Collect(upTo(n)), pool.CollectErrors())
			var failed executor.ItemErrors
			if !errors.Is(err, context.Canceled) && !errors.As(err, &failed) {
				t.Errorf("Map of %d items, the last of which ends the ctx and fails = %v; want context.Canceled or executor.ItemErrors", n, err)
			}
		})
	}
}

// A MapAsync that is cancelled ends, and what runs is told.
func TestCancelOfMapAsyncEndsTheMap(t *testing.T) {
	each(t, 2, func(t *testing.T, p *pool.Pool) {
		for name, opts := range map[string][]pool.Option{"": nil, "CollectErrors": {pool.CollectErrors()}} {
			log := inDir(t, "log")
			in := items("heed", "heed", "heed", "heed", "heed", "heed")
			for i := range in {
				in[i].Log = log
			}
			f := pool.MapAsync(t.Context(), p, makeItem, in, append(opts, pool.ChunkSize(1))...)
			awaitStarts(t, log, 2)
			f.Cancel()
			out, err := resultOf(t, f)
			if out != nil || !errors.Is(err, context.Canceled) {
				t.Errorf("MapAsync %s that is cancelled = %v, %v; want nil, an error that matches context.Canceled", name, out, err)
			}
			if n := len(starts(t, log)); n < 2 || n > mostStarts(t, 2) {
				t.Errorf("MapAsync %s: %d items have started; want at most %d", name, n, mostStarts(t, 2))
			}
			if v, err := pool.Apply(t.Context(), p, makeItem, item{N: 3}); v != 30 || err != nil {
				t.Errorf("Apply afterwards = %v, %v; want 30, nil", v, err)
			}
		}
	})
}

// mostStarts returns how many calls may have started when so many ran and all
// were ended: no other on Threads. What was sent ahead to a worker process may start
// while the news that it has ended is on its way; over an executor, each call of the
// pool has a ctx of its own, and one ends before the next. Such a call sees its ctx
// end.
func mostStarts(t *testing.T, running int) int {
	if strings.HasSuffix(t.Name(), "/Threads") {
		return running
	}
	return 2 * running
}

// ctx ends a MapAsync, and Apply returns when the function has.
func TestEndOfCtxEndsMapAsyncAndApply(t *testing.T) {
	each(t, 1, func(t *testing.T, p *pool.Pool) {
		log := inDir(t, "log")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		f := pool.MapAsync(ctx, p, makeItem, []item{{Does: "heed", Log: log}, {N: 1, Does: "heed", Log: log}}, pool.ChunkSize(1))
		awaitStarts(t, log, 1)
		queued := pool.ApplyAsync(ctx, p, makeItem, item{N: 2, Does: "heed", Log: log})
		cancel()
		if _, err := resultOf(t, f); !errors.Is(err, context.Canceled) {
			t.Errorf("MapAsync whose ctx ends: %v; want an error that matches context.Canceled", err)
		}
		if _, err := resultOf(t, queued); !errors.Is(err, context.Canceled) {
			t.Errorf("ApplyAsync whose ctx ends in the queue: %v; want an error that matches context.Canceled", err)
		}
		if n := len(starts(t, log)); n > mostStarts(t, 1) {
			t.Errorf("%d items have started; want at most %d", n, mostStarts(t, 1))
		}
		log = inDir(t, "log")
		ctx, cancel = context.WithCancel(t.Context())
		defer cancel()
		go func() {
			for len(starts(t, log)) < 1 && ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
		if _, err := pool.Apply(ctx, p, makeItem, item{N: 3, Does: "heed", Log: log}); !errors.Is(err, context.Canceled) {
			t.Errorf("Apply whose ctx ends: %v; want an error that matches context.Canceled", err)
		}
	})
}

// A function that waits for a map on its own pool, with its ctx, lends its place.
func TestMapInsideATaskOfTheSamePoolDoesNotWaitForItself(t *testing.T) {
	for name, open := range map[string]func() (*pool.Pool, func() error){
		"Threads": func() (*pool.Pool, func() error) { p := pool.Threads(1); return p, p.Close },
		"Over": func() (*pool.Pool, func() error) {
			ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
			return pool.Over(ex), ex.Close
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, end := open()
			defer end()
			var sum func(ctx context.Context, depth int) (int, error)
			sum = func(ctx context.Context, depth int) (int, error) {
				if depth == 0 {
					return 1, nil
				}
				below := []int{depth - 1, depth - 1}
				out, err := pool.Map(ctx, p, sum, below)
				if err != nil {
					return 0, err
				}
				collected, err := pool.Map(ctx, p, sum, below[:1], pool.CollectErrors())
				if err != nil {
					return 0, err
				}
				later, err := pool.MapAsync(ctx, p, sum, below[:1]).Result(ctx)
				if err != nil {
					return 0, err
				}
				one, err := pool.Apply(ctx, p, sum, 0)
				if err != nil {
					return 0, err
				}
				n := out[0] + out[1] + collected[0] + later[0] + one
				for v, err := range pool.Imap(ctx, p, sum, slices.Values(below)) {
					if err != nil {
						return 0, err
					}
					n += v
				}
				return n, nil
			}
			type answer struct {
				n   int
				err error
			}
			over := make(chan answer, 1)
			go func() {
				n, err := pool.Apply(t.Context(), p, sum, 2)
				over <- answer{n, err}
			}()
			if got := testhelp.Receive(t, "the nested maps", over); got != (answer{43, nil}) { // 1, 6*1+1, 6*7+1
				t.Errorf("nested maps on one worker = %v; want 43, nil", got)
			}
		})
	}
}

// Python's gh-83371: the panic of a callback, which in Python is callback and
// error_callback, ends neither a call that waits nor the pool.
func TestCallbackThatPanicsCostsNothing(t *testing.T) {
	logged := silenceSlog(t)
	each(t, 1, func(t *testing.T, p *pool.Pool) {
		called := make(chan string, 4)
		callback := func(f *executor.Future[int]) { called <- f.String(); panic("callback") }
		one := pool.ApplyAsync(t.Context(), p, makeItem, item{N: 1})
		one.OnDone(callback)
		fails := pool.ApplyAsync(t.Context(), p, makeItem, item{N: 2, Does: "fail"})
		fails.OnDone(callback)
		all := pool.MapAsync(t.Context(), p, makeItem, items("", ""))
		all.OnDone(func(f *executor.Future[[]int]) { called <- f.String(); panic("callback") })
		if v, err := resultOf(t, one); v != 10 || err != nil {
			t.Errorf("ApplyAsync whose callback panics = %v, %v; want 10, nil", v, err)
		}
		if _, err := resultOf(t, fails); err == nil || err.Error() != "item 2" {
			t.Errorf("ApplyAsync that fails, whose callback panics: %v; want item 2", err)
		}
		if v, err := resultOf(t, all); !slices.Equal(v, []int{0, 10}) || err != nil {
			t.Errorf("MapAsync whose callback panics = %v, %v; want [0 10], nil", v, err)
		}
		for range 3 {
			testhelp.Receive(t, "a callback", called)
		}
		waitUntil(t, "three panics are logged", func() bool { return logged.n.Load() >= 3 })
		logged.n.Store(0)
		if v, err := pool.Apply(t.Context(), p, makeItem, item{N: 3}); v != 30 || err != nil {
			t.Errorf("Apply afterwards = %v, %v; want 30, nil", v, err)
		}
	})
}

// 100 tasks, each worker lives for 10.
func TestWorkersOfAPoolAreReplacedAfterTheirTasks(t *testing.T) {
	p := overProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 3, MaxTasksPerChild: 10})
	made := map[int]int{}
	for range 10 { // one after another, so that workers are replaced meanwhile
		pids, err := pool.Map(t.Context(), p, processID, make([]int, 10), pool.ChunkSize(1))
		if err != nil || len(pids) != 10 {
			t.Fatalf("Map = %v, %v; want 10 process IDs", pids, err)
		}
		for _, pid := range pids {
			made[pid]++
		}
	}
	total := 0
	for pid, n := range made {
		if total += n; n > 10 {
			t.Errorf("process %d has made %d tasks; want at most 10", pid, n)
		}
	}
	if total != 100 || len(made) < 10 {
		t.Errorf("%d tasks were made by %d processes; want 100 by at least 10", total, len(made))
	}
}

// Argument and result are released when the call has ended.
func TestPoolKeepsNoArgumentAndNoResult(t *testing.T) {
	type big [1 << 16]byte
	each := map[string]func(context.Context, *pool.Pool, *big) (weak.Pointer[big], error){
		"Apply": func(ctx context.Context, p *pool.Pool, in *big) (weak.Pointer[big], error) {
			out, err := pool.Apply(ctx, p, func(_ context.Context, _ *big) (*big, error) { return new(big), nil }, in)
			return weak.Make(out), err
		},
		"Map": func(ctx context.Context, p *pool.Pool, in *big) (weak.Pointer[big], error) {
			out, err := pool.Map(ctx, p, func(_ context.Context, _ *big) (*big, error) { return new(big), nil }, []*big{in})
			return weak.Make(out[0]), err
		},
		"MapAsync": func(ctx context.Context, p *pool.Pool, in *big) (weak.Pointer[big], error) {
			out, err := pool.MapAsync(ctx, p, func(_ context.Context, _ *big) (*big, error) { return new(big), nil }, []*big{in}).Result(ctx)
			return weak.Make(out[0]), err
		},
		"Imap": func(ctx context.Context, p *pool.Pool, in *big) (out weak.Pointer[big], err error) {
			for v, e := range pool.Imap(ctx, p, func(_ context.Context, _ *big) (*big, error) { return new(big), nil }, slices.Values([]*big{in})) {
				out, err = weak.Make(v), e
			}
			return out, err
		},
	}
	for name, call := range each {
		t.Run(name, func(t *testing.T) {
			ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
			defer ex.Close()
			for _, p := range []*pool.Pool{pool.Threads(1), pool.Over(ex)} {
				in := new(big)
				arg := weak.Make(in)
				out, err := call(t.Context(), p, in)
				in = nil
				if err != nil {
					t.Fatal(err)
				}
				for what, w := range map[string]weak.Pointer[big]{"argument": arg, "result": out} {
					waitUntil(t, "the "+what+" is released", func() bool { runtime.GC(); return w.Value() == nil })
				}
				if err := p.Close(); err != nil { // it has lived until here
					t.Error(err)
				}
			}
		})
	}
}

// foreign is a ctx of which package context knows no more than its methods: who
// derives one from it has a goroutine that waits for both.
type foreign struct {
	context.Context
	done chan struct{}
}

func (c foreign) Done() <-chan struct{} { return c.done }

// Nothing is left on a ctx that lives on: the bubble would not end. MapAsync is made in a
// call, whose ctx leaves that of the user when it is collected, which is not in a bubble.
func TestPoolLeavesNothingOnACtxThatLivesOn(t *testing.T) {
	for name, open := range map[string]func(executor.Executor) *pool.Pool{
		"Threads": func(executor.Executor) *pool.Pool { return pool.Threads(2) },
		"Over":    pool.Over,
	} {
		use := func(t *testing.T, isIncluded func(name string) bool) {
			ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
			defer ex.Close()
			p := open(ex)
			ctx := foreign{context.Background(), make(chan struct{})}
			for _, e := range entries(nil) {
				if !isIncluded(e.name) {
					continue
				}
				if err := e.call(ctx, p, double); err != nil {
					t.Errorf("%s = %v; want nil", e.name, err)
				}
			}
			if err := p.Close(); err != nil {
				t.Errorf("Close = %v; want nil", err)
			}
			for _, e := range entries(nil) {
				if err := e.call(ctx, p, double); !errors.Is(err, executor.ErrShutdown) {
					t.Errorf("%s of a closed pool: %v; want an error that matches ErrShutdown", e.name, err)
				}
			}
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				use(t, func(name string) bool { return name != "MapAsync" })
				time.Sleep(time.Second) // the executor leaves it a moment later
			})
		})
		t.Run(name+", MapAsync", func(t *testing.T) {
			before := runtime.NumGoroutine()
			use(t, func(name string) bool { return name == "MapAsync" })
			waitUntil(t, "nothing waits for the ctx", func() bool { runtime.GC(); return runtime.NumGoroutine() <= before })
		})
	}
}
