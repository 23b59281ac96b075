package parallel_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/parallel"
)

// PAR-01: whatever makes the calls, and however many at once, the results are
// those of a loop.
func TestResultsAreThoseOfALoop(t *testing.T) {
	setCPUs(t, 4)
	want := tens(20, 10)
	for _, backend := range []string{"sequential", "threads", "processes"} {
		for _, n := range []int{1, 2, 4, -1, -2} {
			t.Run(fmt.Sprint(backend, " ", n), func(t *testing.T) {
				in := items(make([]string, 20)...)
				ctx := parallel.WithConfig(t.Context(), parallel.Jobs{Backend: backend})
				if got, err := parallel.Parallel(ctx, n, delayed(makeItem, in)...); err != nil || !slices.Equal(got, want) {
					t.Errorf("Parallel = %v, %v; want %v", got, err, want)
				}
				if got, err := parallel.Map(ctx, n, makeItem, in); err != nil || !slices.Equal(got, want) {
					t.Errorf("Map = %v, %v; want %v", got, err, want)
				}
				if got, err := executor.Collect(parallel.Stream(ctx, parallel.Jobs{N: n}, callsOf(in...))); err != nil || !slices.Equal(got, want) {
					t.Errorf("Stream = %v, %v; want %v", got, err, want)
				}
				got, err := executor.Collect(parallel.StreamUnordered(ctx, parallel.Jobs{N: n}, callsOf(in...)))
				if slices.Sort(got); err != nil || !slices.Equal(got, want) {
					t.Errorf("StreamUnordered, sorted, = %v, %v; want %v", got, err, want)
				}
			})
		}
	}
}

func TestResultsAreInOrderThoughTheCallsEndInTheOppositeOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, _ := counting(10, func(_ context.Context, n int) (int, error) {
			time.Sleep(time.Duration(10-n) * time.Second)
			return n, nil
		})
		begin := time.Now()
		got, err := parallel.Run(t.Context(), parallel.Jobs{N: 10}, in)
		if took := time.Since(begin); err != nil || !slices.Equal(got, upTo(10)) || took != 10*time.Second {
			t.Errorf("Run = %v, %v after %v; want 0 to 9 after 10s", got, err, took)
		}
	})
}

func TestTheResultsOfNothingAreEmptyNotNil(t *testing.T) {
	each(t, func(t *testing.T, j parallel.Jobs) {
		ctx := parallel.WithConfig(t.Context(), j)
		for name, run := range map[string]func() ([]int, error){
			"Parallel": func() ([]int, error) { return parallel.Parallel[int](ctx, j.N) },
			"Map":      func() ([]int, error) { return parallel.Map(ctx, j.N, double, nil) },
			"Run":      func() ([]int, error) { return parallel.Run(ctx, j, callsOf()) },
		} {
			if got, err := run(); err != nil || got == nil || len(got) != 0 {
				t.Errorf("%s = %#v, %v; want an empty slice", name, got, err)
			}
		}
	})
}

// PAR-02, PAR-09: joblib's tuples of test_dispatch_race_condition, and 5000 tiny
// calls in batches of any size.
func TestEachCallIsMadeOnceWhateverIsTakenAhead(t *testing.T) {
	for _, row := range []struct{ calls, n, preDispatch, batch int }{
		{2, 2, parallel.PreDispatchAll, 0},
		{2, 2, 2, 0},
		{10, 2, 2, 0},
		{517, 2, 2, 0},
		{10, 2, 2, 0},
		{10, 4, 4, 0},
		{200, 12, 12, 0},
		{25, 12, 24, 1},
		{250, 12, parallel.PreDispatchAll, 1},
		{250, 12, 24, 7},
		{200, 12, 24, 0},
		{5000, 2, 0, 0},
		{5000, 3, 1, 1000},
		{1, 100, 0, 100},
	} {
		for name, ex := range map[string]executor.Executor{
			"threads":     nil,
			"per task":    &executor.ThreadPerTask{},
			"4 elsewhere": elsewhere{&executor.ThreadPoolExecutor{MaxWorkers: 4}},
		} {
			j := parallel.Jobs{N: row.n, PreDispatch: row.preDispatch, BatchSize: row.batch, Executor: ex}
			var last parallel.Stats
			j.Progress = func(s parallel.Stats) { last = s }
			var made atomic.Int64
			in, pulled := counting(row.calls, func(_ context.Context, n int) (int, error) { made.Add(1); return n, nil })
			got, err := parallel.Run(t.Context(), j, in)
			if err != nil || !slices.Equal(got, upTo(row.calls)) {
				t.Errorf("%s, %+v: Run = %v, %v; want 0 to %d", name, row, got, err, row.calls-1)
			}
			if made.Load() != int64(row.calls) || pulled.Load() != int64(row.calls) || last.Done != row.calls || last.Total != row.calls && last.Total != 0 {
				t.Errorf("%s, %+v: %d calls pulled, %d made, %d of %d reported; want %d each", name, row, pulled.Load(), made.Load(), last.Done, last.Total, row.calls)
			}
			switch ex := ex.(type) {
			case *executor.ThreadPerTask:
				_ = ex.Close()
			case elsewhere:
				_ = ex.Executor.(*executor.ThreadPoolExecutor).Close()
			}
		}
	}
}

// PAR-09, on processes: batches grow, and what came of each call is its own.
func TestManyTinyCallsInProcessesGoInBatches(t *testing.T) {
	in := items(make([]string, 5000)...)
	in[17].Does, in[4711].Does = "boom", "panic"
	batches := 0
	j := parallel.Jobs{N: 2, Backend: "processes", OnError: parallel.CollectErrors, Progress: func(parallel.Stats) { batches++ }}
	got, err := parallel.Run(t.Context(), j, callsOf(in...))
	want := tens(5000, 10)
	want[17], want[4711] = 0, 0
	failed, _ := errors.AsType[executor.ItemErrors](err)
	if !slices.Equal(got, want) || len(failed) != 2 || failed[0].Index != 17 || failed[1].Index != 4711 || !errors.Is(err, errBoom) {
		t.Errorf("Run has %d results and the error %v; want those of all but 17 and 4711, and their errors", len(got), err)
	}
	if batches > 1000 {
		t.Errorf("%d batches for 5000 calls; want less", batches)
	}
}

// Calls of different functions and arguments, and of closures with the same code,
// are in one batch.
func TestABatchHasCallsOfAnyFunctions(t *testing.T) {
	each(t, func(t *testing.T, j parallel.Jobs) {
		for j.BatchSize = 1; j.BatchSize <= 7; j.BatchSize += 3 {
			calls := []parallel.Call[int]{
				parallel.Delayed(double, 1), parallel.Delayed(double, 2), parallel.Delayed(makeItem, item{N: 3}),
				{}, parallel.Delayed(makeItem, item{N: 4, Does: "boom"}), parallel.Delayed(makeItem, item{N: 5}),
				parallel.Delayed[int, int](nil, 6), {}, parallel.Delayed(double, 8), parallel.Delayed(makeItem, item{N: 9}),
			}
			j.OnError = parallel.CollectErrors
			got, err := parallel.Run(t.Context(), j, slices.Values(calls))
			failed, _ := errors.AsType[executor.ItemErrors](err)
			var at []int
			for _, f := range failed {
				at = append(at, f.Index)
			}
			want := []int{2, 4, 30, 0, 0, 50, 0, 0, 16, 90}
			if !slices.Equal(got, want) || !slices.Equal(at, []int{3, 4, 6, 7}) || !errors.Is(err, errBoom) {
				t.Errorf("BatchSize %d: Run = %v, with errors at %v: %v; want %v, and errors at 3, 4, 6 and 7", j.BatchSize, got, at, err, want)
			}
		}
	})
}

func TestClosuresOfTheSameCodeKeepWhatTheyHold(t *testing.T) {
	ex := elsewhere{&executor.ThreadPoolExecutor{MaxWorkers: 2}}
	defer ex.Executor.(*executor.ThreadPoolExecutor).Close()
	for _, j := range []parallel.Jobs{{N: 2, BatchSize: 5}, {N: 2, BatchSize: 5, Executor: ex}} {
		var calls []parallel.Call[int]
		for i := range 20 {
			calls = append(calls, parallel.Delayed(func(_ context.Context, n int) (int, error) { return i + n, nil }, 100))
		}
		got, err := parallel.Run(t.Context(), j, slices.Values(calls))
		if err != nil || got[0] != 100 || got[19] != 119 {
			t.Errorf("Run = %v, %v; want 100 to 119", got, err)
		}
	}
}

// The error of call 5 comes first, that of call 2 later: 2 is what a loop would
// have met. Calls before it finish, calls behind it see their ctx end.
func TestTheErrorIsThatOfTheLowestIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var finished, ended atomic.Int64
		call := func(ctx context.Context, n int) (int, error) {
			switch n {
			case 0, 1:
				time.Sleep(3 * time.Second)
				finished.Add(1)
				return n, ctx.Err()
			case 2, 5:
				time.Sleep(map[int]time.Duration{2: 2 * time.Second, 5: time.Second}[n])
				return 0, itemError(n)
			}
			select {
			case <-ctx.Done():
				ended.Add(1)
				return 0, ctx.Err()
			case <-time.After(time.Hour):
				return n, nil
			}
		}
		for name, run := range map[string]func(executor.Func[int, int]) ([]int, int64, error){
			"Parallel": func(fn executor.Func[int, int]) ([]int, int64, error) {
				got, err := parallel.Parallel(t.Context(), 8, delayed(fn, upTo(100))...)
				return got, 0, err
			},
			"Map": func(fn executor.Func[int, int]) ([]int, int64, error) {
				got, err := parallel.Map(t.Context(), 8, fn, upTo(8))
				return got, 0, err
			},
			"Run": func(fn executor.Func[int, int]) ([]int, int64, error) {
				in, pulled := counting(endless, fn)
				got, err := parallel.Run(t.Context(), parallel.Jobs{N: 8}, in)
				return got, pulled.Load(), err
			},
		} {
			finished.Store(0)
			ended.Store(0)
			begin := time.Now()
			got, pulled, err := run(call)
			if e, _ := errors.AsType[itemError](err); got != nil || e != 2 {
				t.Errorf("%s = %v, %v; want nil and the error of item 2", name, got, err)
			}
			if took := time.Since(begin); took != 3*time.Second || finished.Load() != 2 || ended.Load() < 4 {
				t.Errorf("%s: after %v, %d calls before it have finished, and %d behind it have seen their ctx end; want 3s, 2, and at least 4", name, took, finished.Load(), ended.Load())
			}
			if pulled > 17 { // those taken ahead, and one that was on its way
				t.Errorf("%s: %d calls pulled; want no more than were when call 5 failed", name, pulled)
			}
		}
	})
}

// PAR-03: the first of 101 calls fails, the others take 10 s.
func TestAnErrorEndsARunAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c tally
		begin := time.Now()
		in, pulled := counting(101, func(ctx context.Context, n int) (int, error) {
			defer c.begin()()
			if n == 0 {
				return 0, errBoom
			}
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Second):
			}
			return 0, ctx.Err()
		})
		_, err := parallel.Run(t.Context(), parallel.Jobs{N: 4}, in)
		if took := time.Since(begin); !errors.Is(err, errBoom) || took != 0 || c.running.Load() != 0 || pulled.Load() > 9 {
			t.Errorf("Run: error %v after %v, %d calls still run, %d pulled; want boom after 0s, none, at most 9", err, took, c.running.Load(), pulled.Load())
		}
	})
}

// PAR-03: worker processes that do not heed the end are killed.
func TestAnErrorEndsARunOfProcessesAtOnce(t *testing.T) {
	t.Parallel() // the workers have a second to heed
	ctx, cancel := context.WithTimeout(t.Context(), longEnough)
	defer cancel()
	in := items(append([]string{"boom"}, slices.Repeat([]string{"hang"}, 100)...)...)
	if _, err := parallel.Run(ctx, parallel.Jobs{N: 2, Backend: "processes"}, callsOf(in...)); !errors.Is(err, errBoom) {
		t.Errorf("Run's error is %v; want boom, long before %v", err, longEnough)
	}
}

// The calls behind the one that has failed are cancelled in its batch too: in one of
// the same function, and in one of several.
func TestAnErrorEndsItsBatch(t *testing.T) {
	hour := func(ctx context.Context, n int) (int, error) {
		select {
		case <-ctx.Done():
		case <-time.After(time.Hour):
		}
		return n, ctx.Err()
	}
	failing := func(context.Context, int) (int, error) { return 0, errBoom }
	hourUnlessFirst := func(ctx context.Context, n int) (int, error) {
		if n == 0 {
			return failing(ctx, n)
		}
		return hour(ctx, n)
	}
	mixed := append(delayed(failing, upTo(1)), delayed(hour, upTo(7))...)
	for name, j := range map[string]parallel.Jobs{"sequential": {N: 1}, "threads": {N: 2}, "elsewhere": {N: 2}} {
		for of, batch := range map[string][]parallel.Call[int]{"one function": delayed(hourUnlessFirst, upTo(8)), "two functions": mixed} {
			t.Run(name+", "+of, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					if j.BatchSize = 4; name == "elsewhere" {
						pool := &executor.ThreadPoolExecutor{MaxWorkers: 2}
						defer pool.Close()
						j.Executor = elsewhere{pool}
					}
					begin := time.Now()
					_, err := parallel.Run(t.Context(), j, slices.Values(batch))
					if took := time.Since(begin); !errors.Is(err, errBoom) || took != 0 {
						t.Errorf("Run's error is %v after %v; want boom after 0s", err, took)
					}
					if name == "elsewhere" && of == "one function" {
						return // the results that a stream yields before the error come with the rest of the batch
					}
					begin = time.Now()
					seen := all(parallel.Stream(t.Context(), j, slices.Values(batch)))
					if took := time.Since(begin); !slices.Equal(seen, []string{"boom"}) || took != 0 {
						t.Errorf("Stream yields %q after %v; want boom after 0s", seen, took)
					}
				})
			})
		}
	}
}

// oneByOne makes calls in their order. A pool of goroutines lets the batches, which are
// maps there, share its places.
type oneByOne struct {
	calls chan func()
	ended chan struct{}
}

func newOneByOne() *oneByOne {
	ex := &oneByOne{make(chan func(), 1000), make(chan struct{})}
	go func() {
		defer close(ex.ended)
		for call := range ex.calls {
			call()
		}
	}()
	return ex
}

func (ex *oneByOne) Execute(ctx context.Context, c *executor.Call) { ex.calls <- func() { c.Run(ctx) } }
func (ex *oneByOne) Workers() int                                  { return 1 }

func (ex *oneByOne) close() {
	close(ex.calls)
	<-ex.ended
}

// So the first error of a loop comes early, whatever the other calls do.
func TestCallsStartInOrder(t *testing.T) {
	pool := &executor.ThreadPoolExecutor{MaxWorkers: 1}
	defer pool.Close()
	line := newOneByOne()
	defer line.close()
	for name, ex := range map[string]executor.Executor{"here": pool, "elsewhere": line} {
		t.Run(name, func(t *testing.T) {
			for _, batch := range []int{1, 7} {
				var started []int // one call runs at once
				in, _ := counting(200, func(_ context.Context, n int) (int, error) {
					started = append(started, n)
					return n, nil
				})
				j := parallel.Jobs{N: 2, Executor: ex, BatchSize: batch, PreDispatch: parallel.PreDispatchAll}
				if _, err := parallel.Run(t.Context(), j, in); err != nil || !slices.Equal(started, upTo(200)) {
					t.Errorf("BatchSize %d: error %v, the calls have started in the order %v; want 0 to 199", batch, err, started)
				}
			}
		})
	}
}

// PAR-05: a run that has failed leaves nothing in its executor.
func TestAnExecutorServesAfterARunThatFailed(t *testing.T) {
	threads, processes := &executor.ThreadPoolExecutor{MaxWorkers: 2}, &executor.ProcessPoolExecutor{MaxWorkers: 2}
	defer threads.Close()
	defer processes.Close()
	for _, ex := range []executor.Executor{threads, processes, &executor.Sequential{}} {
		j := parallel.Jobs{N: 2, Executor: ex}
		for range 3 {
			if _, err := parallel.Run(t.Context(), j, callsOf(items("", "boom", "", "")...)); !errors.Is(err, errBoom) {
				t.Errorf("%T: error %v; want boom", ex, err)
			}
			if got, err := parallel.Run(t.Context(), j, callsOf(items("", "", "")...)); err != nil || !slices.Equal(got, tens(3, 10)) {
				t.Errorf("%T: after a run that failed: %v, %v; want 0, 10, 20", ex, got, err)
			}
		}
	}
}

// PAR-06: joblib has an explicit error for a second call of a Parallel that runs;
// here there is no such limit.
func TestAParallelRunsWhileAnotherDoes(t *testing.T) {
	each(t, func(t *testing.T, j parallel.Jobs) {
		n := 0
		for outer, err := range parallel.Stream(t.Context(), j, callsOf(items("", "", "")...)) {
			got, errInner := parallel.Run(t.Context(), j, callsOf(items("", "")...))
			if err != nil || outer != 10*n || errInner != nil || !slices.Equal(got, tens(2, 10)) {
				t.Errorf("result %d: %d, %v; meanwhile: %v, %v", n, outer, err, got, errInner)
			}
			n++
		}
		if n != 3 {
			t.Errorf("%d results; want 3", n)
		}
	})
}

// So the function need not be registered, and may be a closure.
func TestOneCallAtATimeIsMadeHereWhateverTheBackend(t *testing.T) {
	for _, backend := range []string{"", "sequential", "threads", "processes", "loky", "test"} {
		here := 0
		in, _ := counting(5, func(_ context.Context, n int) (int, error) { here++; return n, nil })
		if got, err := parallel.Run(t.Context(), parallel.Jobs{N: 1, Backend: backend}, in); err != nil || !slices.Equal(got, upTo(5)) || here != 5 {
			t.Errorf("%s: Run = %v, %v, with %d calls here; want 0 to 4, with 5", backend, got, err, here)
		}
	}
}

func TestRunsShareAnExecutor(t *testing.T) {
	threads, processes := &executor.ThreadPoolExecutor{MaxWorkers: 2}, &executor.ProcessPoolExecutor{MaxWorkers: 2}
	defer threads.Close()
	defer processes.Close()
	for _, ex := range []executor.Executor{threads, processes} {
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				in, _ := counting(100*i, double)
				got, err := parallel.Run(t.Context(), parallel.Jobs{N: 2, Executor: ex, BatchSize: i}, in)
				if err != nil || !slices.Equal(got, tens(100*i, 2)) {
					t.Errorf("%T: run %d = %v, %v; want 0 to %d", ex, i, got, err, 200*i-2)
				}
			})
		}
		wg.Wait()
	}
}

func TestCollectErrorsMakesAllCalls(t *testing.T) {
	each(t, func(t *testing.T, j parallel.Jobs) {
		j.OnError = parallel.CollectErrors
		in := items("", "fail", "", "boom", "panic", "")
		got, err := parallel.Run(t.Context(), j, callsOf(in...))
		if want := []int{0, 0, 20, 0, 0, 50}; !slices.Equal(got, want) {
			t.Errorf("Run = %v; want %v", got, want)
		}
		failed, _ := errors.AsType[executor.ItemErrors](err)
		if len(failed) != 3 || failed[0].Index != 1 || failed[1].Index != 3 || failed[2].Index != 4 || !errors.Is(err, errBoom) {
			t.Errorf("Run's error is %v; want those of items 1, 3 and 4", err)
		}
		seen := all(parallel.Stream(t.Context(), j, callsOf(in...)))
		if want := []string{"0", "item 1", "20", "item 3: boom", "panic: item 4", "50"}; !alike(seen, want) {
			t.Errorf("Stream yields %q; want %q", seen, want)
		}
		unordered := all(parallel.StreamUnordered(t.Context(), j, callsOf(in...)))
		slices.Sort(unordered)
		if want := []string{"0", "20", "50", "item 1", "item 3: boom", "panic: item 4"}; !alike(unordered, want) {
			t.Errorf("StreamUnordered, sorted, yields %q; want %q", unordered, want)
		}
		if got, err := parallel.Run(t.Context(), j, callsOf(items("", "")...)); err != nil || !slices.Equal(got, tens(2, 10)) {
			t.Errorf("Run of calls that succeed = %v, %v; want 0, 10", got, err)
		}
	})
}

// alike reports whether each text ends as the one that is wanted: an error from
// another process names the function before.
func alike(got, want []string) bool {
	return slices.EqualFunc(got, want, func(got, want string) bool { return strings.HasSuffix(got, want) })
}

func TestUseDefaultTakesItForTheResultOfACallThatFails(t *testing.T) {
	each(t, func(t *testing.T, j parallel.Jobs) {
		var last parallel.Stats
		j.OnError, j.Progress = parallel.UseDefault(-1), func(s parallel.Stats) { last = s }
		in, want := items("", "fail", "", "panic", "goexit", ""), []int{0, -1, 20, -1, -1, 50}
		if got, err := parallel.Run(t.Context(), j, callsOf(in...)); err != nil || !slices.Equal(got, want) || last.Failed != 3 {
			t.Errorf("Run = %v, %v, with %d failed; want %v, nil, 3", got, err, last.Failed, want)
		}
		if got, err := executor.Collect(parallel.Stream(t.Context(), j, callsOf(in...))); err != nil || !slices.Equal(got, want) || last.Failed != 3 {
			t.Errorf("Stream yields %v, %v, with %d failed; want %v, nil, 3", got, err, last.Failed, want)
		}
	})
}

func TestADefaultOfAnotherTypeIsAnErrorBeforeAnyCall(t *testing.T) {
	for _, policy := range []parallel.Policy{parallel.UseDefault("none"), parallel.UseDefault(int64(0)), parallel.UseDefault(nil)} {
		in, pulled := counting(3, double)
		j := parallel.Jobs{N: 2, OnError: policy}
		got, err := parallel.Run(t.Context(), j, in)
		if got != nil || err == nil || !strings.Contains(err.Error(), "int") || !strings.Contains(err.Error(), policy.String()) {
			t.Errorf("%v: Run = %v, %v; want an error that names it and int", policy, got, err)
		}
		if seen := all(parallel.Stream(t.Context(), j, in)); len(seen) != 1 || seen[0] != err.Error() {
			t.Errorf("%v: Stream yields %q; want the error", policy, seen)
		}
		if pulled.Load() != 0 {
			t.Errorf("%v: %d calls pulled; want 0", policy, pulled.Load())
		}
	}
}

func TestPoliciesHaveNames(t *testing.T) {
	got := fmt.Sprint(parallel.StopAtFirst, " ", parallel.Policy{}, " ", parallel.CollectErrors, " ", parallel.UseDefault(-1))
	if want := "StopAtFirst StopAtFirst CollectErrors UseDefault(-1)"; got != want {
		t.Errorf("the policies are %q; want %q", got, want)
	}
}

// A worker process that dies costs its call, and not the run. It may take tiny calls
// with it.
func TestTheDeathOfAWorkerIsTheErrorOfItsCall(t *testing.T) {
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2, Stderr: io.Discard}
	defer ex.Close()
	for _, batch := range []int{1, 3} {
		j := parallel.Jobs{N: 2, Executor: ex, BatchSize: batch, OnError: parallel.CollectErrors}
		got, err := inTime(t, "Run", func() ([]int, error) {
			return parallel.Run(t.Context(), j, callsOf(items("slow", "slow", "slow", "slow", "exit", "slow", "slow", "slow", "slow")...))
		})
		died, ok := errors.AsType[*executor.WorkerDiedError](err)
		if !ok || died.ExitCode != 44 || len(got) != 9 || got[0] != 0 || got[2] != 20 || got[8] != 80 {
			t.Errorf("BatchSize %d: Run = %v, %v; want a *WorkerDiedError of exit code 44, and the results of the other batches", batch, got, err)
		}
		failed, _ := errors.AsType[executor.ItemErrors](err)
		if batch == 1 && (len(failed) != 1 || failed[0].Index != 4) {
			t.Errorf("Run's error is %v; want that of item 4 alone", err)
		}
	}
	_, err := parallel.Run(t.Context(), parallel.Jobs{N: 2, Executor: ex}, callsOf(items("", "exit", "")...))
	if _, ok := errors.AsType[*executor.WorkerDiedError](err); !ok {
		t.Errorf("Run's error is %v; want a *WorkerDiedError", err)
	}
	if got, err := parallel.Run(t.Context(), parallel.Jobs{N: 2, Executor: ex}, callsOf(items("", "")...)); err != nil || !slices.Equal(got, tens(2, 10)) {
		t.Errorf("the next Run = %v, %v; want 0, 10", got, err)
	}
}

// An executor whose Execute waits for room is waited for.
func TestAFullQueueIsWaitedFor(t *testing.T) {
	pool := &executor.ThreadPoolExecutor{MaxWorkers: 2, QueueLimit: 1}
	defer pool.Close()
	for name, ex := range map[string]executor.Executor{"here": pool, "elsewhere": elsewhere{pool}} {
		for _, batch := range []int{1, 7} {
			in, _ := counting(300, double)
			j := parallel.Jobs{N: 2, Executor: ex, BatchSize: batch, PreDispatch: parallel.PreDispatchAll}
			got, err := inTime(t, name, func() ([]int, error) { return parallel.Run(t.Context(), j, in) })
			if err != nil || !slices.Equal(got, tens(300, 2)) {
				t.Errorf("%s, BatchSize %d: Run = %v, %v; want 0 to 598", name, batch, got, err)
			}
		}
	}
}

// A panic, a runtime.Goexit and an error are the outcome of their call alone.
func TestPanicsAndGoexitAreTheirCallsErrors(t *testing.T) {
	each(t, func(t *testing.T, j parallel.Jobs) {
		for _, j.BatchSize = range []int{1, 7} {
			in := items("", "panic", "", "goexit", "goexit", "", "boom", "", "panic", "")
			want := []string{"0", "panic: item 1", "20", "goexit", "goexit", "50", "item 6: boom", "70", "panic: item 8", "90"}
			j.OnError = parallel.CollectErrors
			if seen := all(parallel.Stream(t.Context(), j, callsOf(in...))); !alike(seen, want) {
				t.Errorf("BatchSize %d: Stream yields %q; want %q", j.BatchSize, seen, want)
			}
			unordered := all(parallel.StreamUnordered(t.Context(), j, callsOf(in...)))
			slices.Sort(unordered)
			if want := slices.Sorted(slices.Values(want)); !alike(unordered, want) {
				t.Errorf("BatchSize %d: StreamUnordered, sorted, yields %q; want %q", j.BatchSize, unordered, want)
			}
			j.OnError = parallel.StopAtFirst
			for does, want := range map[string]string{"panic": "panic: item 1", "goexit": "goexit"} {
				_, err := parallel.Run(t.Context(), j, callsOf(items("", does, "")...))
				if got := saw(0, err); got != want {
					t.Errorf("BatchSize %d: Run of a call that does %s: %s; want %s", j.BatchSize, does, got, want)
				}
			}
		}
	})
}

func TestTheEndOfTheCtxEndsARun(t *testing.T) {
	t.Run("goroutines", func(t *testing.T) {
		for _, n := range []int{1, 3} {
			for _, policy := range []parallel.Policy{parallel.StopAtFirst, parallel.CollectErrors, parallel.UseDefault(0)} {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
					defer cancel()
					var c tally
					in, _ := counting(endless, c.nap)
					begin := time.Now()
					_, err := parallel.Run(ctx, parallel.Jobs{N: n, OnError: policy}, in)
					if took := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || took != 3*time.Second || c.running.Load() != 0 {
						t.Errorf("N %d, %v: Run's error is %v after %v, with %d calls that run; want context.DeadlineExceeded after 3s, when the calls have returned", n, policy, err, took, c.running.Load())
					}
				})
			}
		}
	})
	t.Run("processes", func(t *testing.T) {
		log := inDir(t, "log")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			for len(starts(t, log)) < 2 && ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
		in := items("heed", "heed", "heed")
		for i := range in {
			in[i].Log = log
		}
		_, err := inTime(t, "Run", func() ([]int, error) {
			return parallel.Run(ctx, parallel.Jobs{N: 2, Backend: "processes"}, callsOf(in...))
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Run's error is %v; want context.Canceled", err)
		}
	})
	t.Run("before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		each(t, func(t *testing.T, j parallel.Jobs) {
			var made atomic.Int64
			in, _ := counting(endless, func(context.Context, int) (int, error) { made.Add(1); return 0, nil })
			if j.Backend == "processes" {
				in, _ = counting(endless, double)
			}
			if _, err := parallel.Run(ctx, j, in); !errors.Is(err, context.Canceled) || made.Load() != 0 {
				t.Errorf("Run's error is %v, with %d calls made; want context.Canceled, 0", err, made.Load())
			}
			if seen := all(parallel.Stream(ctx, j, in)); len(seen) != 1 || !strings.Contains(seen[0], context.Canceled.Error()) {
				t.Errorf("Stream yields %q; want context.Canceled", seen)
			}
		})
	})
}

// An executor that is closed under a run ends it, though the source has no end.
func TestARunEndsWhenItsExecutorIsClosed(t *testing.T) {
	type closer interface {
		executor.Executor
		Close() error
	}
	for name, open := range map[string]func() closer{
		"ThreadPoolExecutor":  func() closer { return &executor.ThreadPoolExecutor{MaxWorkers: 2} },
		"ThreadPerTask":       func() closer { return &executor.ThreadPerTask{} },
		"Sequential":          func() closer { return &executor.Sequential{} },
		"ProcessPoolExecutor": func() closer { return &executor.ProcessPoolExecutor{MaxWorkers: 2} },
	} {
		for _, policy := range []parallel.Policy{parallel.StopAtFirst, parallel.CollectErrors, parallel.UseDefault(0)} {
			for _, batch := range []int{0, 7} {
				ex := open()
				closed := make(chan error, 1)
				in, _ := counting(endless, double)
				_, err := inTime(t, name, func() ([]int, error) {
					isClosing := false
					return parallel.Run(t.Context(), parallel.Jobs{N: 2, Executor: ex, OnError: policy, BatchSize: batch, Progress: func(s parallel.Stats) {
						if s.Done >= 10 && !isClosing {
							isClosing = true
							go func() { closed <- ex.Close() }()
						}
					}}, in)
				})
				if !errors.Is(err, executor.ErrShutdown) {
					t.Errorf("%s, %v, BatchSize %d: Run's error is %v; want executor.ErrShutdown", name, policy, batch, err)
				}
				if err := <-closed; err != nil {
					t.Errorf("%s: Close = %v", name, err)
				}
			}
		}
	}
}

func TestAnExecutorStaysOpenAndNBoundsWhatRunsOnIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &executor.ThreadPoolExecutor{MaxWorkers: 8}
		perTask := &executor.ThreadPerTask{}
		defer pool.Close()
		defer perTask.Close()
		for _, ex := range []executor.Executor{pool, perTask, elsewhere{pool}, elsewhere{perTask}} {
			for n, want := range map[int]int64{1: 1, 2: 2, 3: 3} {
				for _, preDispatch := range []int{0, 1, 20, parallel.PreDispatchAll} {
					var c tally
					in, _ := counting(12, c.nap)
					j := parallel.Jobs{N: n, Executor: ex, PreDispatch: preDispatch}
					want := want
					if preDispatch == 1 {
						want = 1 // no more are taken ahead
					}
					if got, err := parallel.Run(t.Context(), j, in); err != nil || !slices.Equal(got, upTo(12)) || c.most.Load() != want {
						t.Errorf("%T, N %d, PreDispatch %d: Run = %v, %v, with %d calls at once; want 0 to 11 with %d", ex, n, preDispatch, got, err, c.most.Load(), want)
					}
				}
			}
		}
		var c tally
		if _, err := parallel.Map(parallel.WithConfig(t.Context(), parallel.Jobs{Executor: pool}), 3, c.nap, upTo(12)); err != nil || c.most.Load() != 3 {
			t.Errorf("Map with N 3 on 8 workers: %v, with %d calls at once; want 3", err, c.most.Load())
		}
	})
}

// The zero N is the Workers of the Executor.
func TestWithoutNAllWorkersOfTheExecutorAreUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 5}
		defer ex.Close()
		var c tally
		in, _ := counting(20, c.nap)
		if _, err := parallel.Run(t.Context(), parallel.Jobs{Executor: ex}, in); err != nil || c.most.Load() != 5 {
			t.Errorf("Run: %v, with %d calls at once; want 5", err, c.most.Load())
		}
	})
}

func TestTheZeroJobsMakesOneCallAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c tally
		in, pulled := counting(5, func(ctx context.Context, n int) (int, error) { return c.nap(ctx, n) })
		got, err := parallel.Run(t.Context(), parallel.Jobs{}, in)
		if err != nil || !slices.Equal(got, upTo(5)) || c.most.Load() != 1 || pulled.Load() != 5 {
			t.Errorf("Run = %v, %v, with %d calls at once; want 0 to 4, with 1", got, err, c.most.Load())
		}
	})
}

// PAR-10: PreDispatch is a number, and nothing evaluates a text.
func TestPreDispatchIsANumber(t *testing.T) {
	field, _ := reflect.TypeFor[parallel.Jobs]().FieldByName("PreDispatch")
	if field.Type.Kind() != reflect.Int {
		t.Errorf("Jobs.PreDispatch is a %v; want an int", field.Type)
	}
}

// PAR-11: large arguments and results go through memory, not through files, so
// none is left, whoever is killed: package executor tests that.
func TestARunLeavesNoFiles(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	large := slices.Repeat([][]byte{make([]byte, 3<<20)}, 4)
	ctx := parallel.WithConfig(t.Context(), parallel.Jobs{Backend: "processes"})
	got, err := parallel.Map(ctx, 2, mirror, large)
	if err != nil || len(got) != 4 || len(got[3]) != 3<<20 {
		t.Errorf("Map has %d results and the error %v; want 4 of 3 MiB", len(got), err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) > 0 {
		t.Errorf("TMPDIR has %v, %v; want nothing", files, err)
	}
}

func init() { executor.Register(mirror) }

func mirror(_ context.Context, data []byte) ([]byte, error) { return data, nil }

// The goroutine that ranges over the source gets its panic, with nothing left
// behind.
func TestAPanicOfTheSourceIsTheCallers(t *testing.T) {
	each(t, func(t *testing.T, j parallel.Jobs) {
		for _, batch := range []int{0, 3} {
			j.BatchSize = batch
			source := func(yield func(parallel.Call[int]) bool) {
				for i := range 20 {
					if i == 9 {
						panic(errBoom)
					}
					if !yield(parallel.Delayed(makeItem, item{N: i})) {
						return
					}
				}
			}
			if got := panicOf(func() { _, _ = parallel.Run(t.Context(), j, source) }); got != errBoom {
				t.Errorf("Run panics with %v; want boom", got)
			}
			if got := panicOf(func() { all(parallel.Stream(t.Context(), j, source)) }); got != errBoom {
				t.Errorf("Stream panics with %v; want boom", got)
			}
		}
	})
}

// panicOf returns what f panics with.
func panicOf(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}

// A large run keeps no goroutine for each call.
func TestNGoroutinesServeManyCalls(t *testing.T) {
	before := runtime.NumGoroutine()
	var most atomic.Int64
	in, _ := counting(2000, func(_ context.Context, n int) (int, error) {
		if n%100 == 0 {
			most.Store(max(most.Load(), int64(runtime.NumGoroutine()-before)))
		}
		return n, nil
	})
	_, err := parallel.Run(t.Context(), parallel.Jobs{N: 4, PreDispatch: parallel.PreDispatchAll}, in)
	if err != nil || most.Load() > 20 {
		t.Errorf("Run: %v, with %d goroutines more than before; want about 4", err, most.Load())
	}
}

func TestMapOnAnExecutorMakesNoMoreThanNAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 8}
		defer ex.Close()
		for n := 1; n <= 3; n++ {
			var c tally
			ctx := parallel.WithConfig(t.Context(), parallel.Jobs{Executor: ex})
			if got, err := parallel.Map(ctx, n, c.nap, upTo(12)); err != nil || !slices.Equal(got, upTo(12)) || c.most.Load() != int64(n) {
				t.Errorf("Map(%d) = %v, %v, with %d calls at once; want 0 to 11 with %[1]d at once", n, got, err, c.most.Load())
			}
		}
	})
}
