package parallel_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/parallel"
)

// Whatever makes the calls, and however many at once, the results are
// those of a loop.
func TestResultsAreThoseOfALoop(t *testing.T) {
	setCPUs(t, 4)
	want := tens(20, 10)
	for _, backend := range []string{"sequential", "threads", "processes"} {
		for _, n := range []int{1, 2, 4, -1, -2} {
			t.Run(fmt.Sprint(backend, " ", n), func(t *testing.T) {
				if backend == "processes" {
					executortest.NeedsProcesses(t)
				}
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

// joblib's tuples of test_dispatch_race_condition, and 5000 tiny
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

// On processes, batches grow, and what came of each call is its own.
func TestManyTinyCallsInProcessesGoInBatches(t *testing.T) {
	executortest.NeedsProcesses(t)
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

// joblib has an explicit error for a second call of a Parallel that runs;
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
		executortest.NeedsProcesses(t)
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

// PreDispatch is a number, and nothing evaluates a text.
func TestPreDispatchIsANumber(t *testing.T) {
	field, _ := reflect.TypeFor[parallel.Jobs]().FieldByName("PreDispatch")
	if field.Type.Kind() != reflect.Int {
		t.Errorf("Jobs.PreDispatch is a %v; want an int", field.Type)
	}
}

// Large arguments and results go through memory, not through files, so
// none is left, whoever is killed: package executor tests that.
func TestARunLeavesNoFiles(t *testing.T) {
	executortest.NeedsProcesses(t)
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
