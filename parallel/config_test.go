package parallel_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/parallel"
)

// opened are the runs of the backend "test": with which n each was opened, and
// whether it was closed.
type opened struct {
	executor.Executor
	n        int
	isClosed atomic.Bool
}

func (o *opened) Close() error {
	o.isClosed.Store(true)
	return o.Executor.(*executor.ThreadPoolExecutor).Close()
}

var runs struct {
	sync.Mutex
	opened []*opened
}

func init() {
	parallel.RegisterBackend("test", func(n int) (executor.Executor, error) {
		o := &opened{Executor: &executor.ThreadPoolExecutor{MaxWorkers: n}, n: n}
		runs.Lock()
		defer runs.Unlock()
		runs.opened = append(runs.opened, o)
		return o, nil
	})
	parallel.RegisterBackend("test fails", func(int) (executor.Executor, error) { return nil, errBoom })
	parallel.RegisterBackend("test has none", func(int) (executor.Executor, error) { return nil, nil })
	parallel.RegisterBackend("test stays open", func(int) (executor.Executor, error) { return staysOpen, nil })
}

// staysOpen has no method Close.
var staysOpen = &executorOnly{&executor.Sequential{}}

type executorOnly struct{ executor.Executor }

// openedBy returns the runs that f opens.
func openedBy(f func()) []*opened {
	runs.Lock()
	runs.opened = nil
	runs.Unlock()
	f()
	runs.Lock()
	defer runs.Unlock()
	return runs.opened
}

func TestARegisteredBackendIsOpenedForEachRunAndClosedAtItsEnd(t *testing.T) {
	setCPUs(t, 4)
	ctx := parallel.WithConfig(t.Context(), parallel.Jobs{Backend: "test"})
	j := parallel.Jobs{N: 3}
	for name, run := range map[string]func() error{
		"Run": func() error { _, err := parallel.Run(ctx, j, callsOf(items("", "")...)); return err },
		"Map": func() error { _, err := parallel.Map(ctx, 3, double, upTo(5)); return err },
		"Stream": func() error {
			_, err := executor.Collect(parallel.Stream(ctx, j, callsOf(items("", "")...)))
			return err
		},
		"Run of calls that fail": func() error {
			if _, err := parallel.Run(ctx, j, callsOf(items("boom")...)); !errors.Is(err, errBoom) {
				return fmt.Errorf("the error is %v; want boom", err)
			}
			return nil
		},
		"Run with a wrong default": func() error {
			if _, err := parallel.Run(ctx, parallel.Jobs{N: 3, OnError: parallel.UseDefault("")}, callsOf()); err == nil {
				return errors.New("no error")
			}
			return nil
		},
		"Stream that is left": func() error {
			for range parallel.Stream(ctx, j, callsOf(items("", "", "")...)) {
				break
			}
			return nil
		},
		"Run of a source that panics": func() error {
			panicOf(func() { _, _ = parallel.Run(ctx, j, func(func(parallel.Call[int]) bool) { panic(1) }) })
			return nil
		},
		"Parallel on all CPUs but one": func() error { _, err := parallel.Parallel(ctx, -2, delayed(double, upTo(3))...); return err },
	} {
		var err error
		got := openedBy(func() { err = run() })
		if err != nil || len(got) != 1 || got[0].n != 3 || !got[0].isClosed.Load() {
			t.Errorf("%s: %v, %d executors; want one for 3 calls, closed", name, err, len(got))
		}
	}
	if got := openedBy(func() { _, _ = parallel.Map(ctx, 1, double, upTo(3)) }); len(got) != 0 {
		t.Errorf("one call at a time opens %d executors; want none", len(got))
	}
}

func TestABackendThatDoesNotOpenIsAnErrorThatNamesIt(t *testing.T) {
	in, pulled := counting(3, double)
	for name, cause := range map[string]error{"test fails": errBoom, "test has none": nil} {
		_, err := parallel.Run(t.Context(), parallel.Jobs{N: 2, Backend: name}, in)
		if err == nil || !strings.Contains(err.Error(), name) || cause != nil && !errors.Is(err, cause) || pulled.Load() != 0 {
			t.Errorf("%s: error %v, with %d calls pulled; want one that names it and its cause, before any", name, err, pulled.Load())
		}
	}
	if got, err := parallel.Run(t.Context(), parallel.Jobs{N: 2, Backend: "test stays open"}, in); err != nil || !slices.Equal(got, tens(3, 2)) {
		t.Errorf("Run on a backend without Close = %v, %v; want 0, 2, 4", got, err)
	}
}

func TestRegisterBackendPanicsForWhatIsNoBackend(t *testing.T) {
	open := func(int) (executor.Executor, error) { return &executor.Sequential{}, nil }
	for name, f := range map[string]func(){
		"empty name":      func() { parallel.RegisterBackend("", open) },
		"nil function":    func() { parallel.RegisterBackend("test of nil", nil) },
		"name twice":      func() { parallel.RegisterBackend("test", open) },
		"name of a given": func() { parallel.RegisterBackend("loky", open) },
	} {
		if got := fmt.Sprint(panicOf(f)); !strings.Contains(got, "parallel: RegisterBackend") {
			t.Errorf("%s: panic %q; want one of RegisterBackend", name, got)
		}
	}
}

func TestAConfigurationGivesTheFieldsThatAreZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 3}
		defer ex.Close()
		var out strings.Builder
		var progress, ownProgress int
		ctx := parallel.WithConfig(t.Context(), parallel.Jobs{
			N: 3, Executor: ex, BatchSize: 2, PreDispatch: 6, Timeout: 10 * time.Second, OnError: parallel.UseDefault(-1),
			Verbose: 100, Output: &out, Progress: func(parallel.Stats) { progress++ },
		})
		var c tally
		call := func(ctx context.Context, n int) (int, error) {
			defer c.begin()()
			if n == 4 {
				<-ctx.Done()
				return 0, ctx.Err()
			}
			time.Sleep(time.Second)
			return n, nil
		}
		in, _ := counting(6, call)
		begin := time.Now()
		got, err := parallel.Run(ctx, parallel.Jobs{}, in)
		if want := []int{0, 1, 2, 3, -1, 5}; err != nil || !slices.Equal(got, want) || c.most.Load() != 3 || time.Since(begin) != 11*time.Second {
			t.Errorf("Run = %v, %v after %v, %d at once; want %v after 11s, 3 at once", got, err, time.Since(begin), c.most.Load(), want)
		}
		if progress != 7 || !strings.HasPrefix(out.String(), "[Parallel(n_jobs=3)]: Using backend threads with 3 concurrent workers.\n") {
			t.Errorf("progress was told %d times, printed is %q; want 7 times, joblib's lines", progress, &out)
		}

		// Explicit fields win.
		progress, c = 0, tally{}
		before := out.Len()
		var ownOut strings.Builder
		own := parallel.Jobs{
			N: 2, Backend: "threads", Timeout: 20 * time.Second, OnError: parallel.CollectErrors,
			Verbose: 1, Output: &ownOut, Progress: func(parallel.Stats) { ownProgress++ },
		}
		begin = time.Now()
		_, err = parallel.Run(ctx, own, in)
		failed, _ := errors.AsType[executor.ItemErrors](err)
		if took := time.Since(begin); len(failed) != 1 || failed[0].Index != 4 || c.most.Load() != 2 || took != 22*time.Second {
			t.Errorf("Run with fields of its own: %v after %v, %d at once; want the error of 4 after 22s, 2 at once", err, took, c.most.Load())
		}
		if progress != 0 || ownProgress != 7 || out.Len() != before || !strings.HasPrefix(ownOut.String(), "[Parallel(n_jobs=2)]: ") {
			t.Errorf("progress was told %d times, and the own %d times, and %q is printed; want 0, 7, and joblib's lines", progress, ownProgress, &ownOut)
		}
	})
}

func TestAConfigurationInsideAnotherHasItsFieldsToo(t *testing.T) {
	outer := parallel.WithConfig(t.Context(), parallel.Jobs{N: 3, Backend: "test", OnError: parallel.CollectErrors})
	inner := parallel.WithConfig(outer, parallel.Jobs{N: 2})
	runs := openedBy(func() {
		if _, err := parallel.Run(inner, parallel.Jobs{}, callsOf(items("", "boom")...)); !errors.Is(err, errBoom) {
			t.Errorf("Run's error is %v; want boom", err)
		}
		if _, err := parallel.Run(outer, parallel.Jobs{}, callsOf(items("")...)); err != nil {
			t.Error(err)
		}
	})
	if len(runs) != 2 || runs[0].n != 2 || runs[1].n != 3 {
		t.Errorf("%d runs; want one for 2 calls and one for 3", len(runs))
	}
	// An Executor replaces a Backend, and the other way round.
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
	defer ex.Close()
	withExecutor := parallel.WithConfig(outer, parallel.Jobs{Executor: ex})
	if _, err := parallel.Run(withExecutor, parallel.Jobs{}, callsOf(items("")...)); err != nil || ex.Stats().Submitted == 0 {
		t.Errorf("Run with an Executor over a Backend: %v, with %d calls on it", err, ex.Stats().Submitted)
	}
	runs = openedBy(func() {
		if _, err := parallel.Run(withExecutor, parallel.Jobs{Backend: "test"}, callsOf(items("")...)); err != nil {
			t.Error(err)
		}
	})
	if len(runs) != 1 {
		t.Errorf("Run with a Backend over an Executor opens it %d times; want once", len(runs))
	}
}

// Inside the calls of a Parallel that makes several at once, the configuration is
// gone. One after another, they may use all of it.
func TestAConfigurationEndsWhereAParallelBegins(t *testing.T) {
	setCPUs(t, 4)
	ctx := parallel.WithConfig(t.Context(), parallel.Jobs{N: 3, Backend: "test"})
	inside := parallel.Delayed(func(ctx context.Context, _ int) (int, error) {
		var err error
		runs := openedBy(func() { _, err = parallel.Run(ctx, parallel.Jobs{}, callsOf(items("", "")...)) })
		return len(runs), err
	}, 0)
	for n, want := range map[int]int{1: 1, 2: 0} {
		if got, err := parallel.Parallel(ctx, n, inside); err != nil || got[0] != want {
			t.Errorf("inside N %d: %v, the backend of the configuration is opened %v times; want %d", n, err, got, want)
		}
	}
}

// atOnce makes calls with ctx, and returns how many there are at once.
func atOnce(ctx context.Context, j parallel.Jobs, calls int) (int, error) {
	var c tally
	in, _ := counting(calls, c.nap)
	_, err := parallel.Run(ctx, j, in)
	return int(c.most.Load()), err
}

// The levels share the CPUs.
func TestAParallelInsideAParallelUsesItsShare(t *testing.T) {
	for _, row := range []struct{ cpus, outer, inner, want int }{
		{4, 2, -1, 2},
		{4, 2, 100, 2},
		{4, 2, 2, 2},
		{4, 2, 1, 1},
		{4, 2, 0, 1}, // the zero Jobs, not the configuration's
		{4, 2, -2, 1},
		{4, 4, -1, 1},
		{4, 100, 8, 1},
		{4, 3, -1, 1},
		{8, 2, -1, 4},
		{8, 3, 5, 2},
		{4, 1, -1, 4},
		{4, 1, 6, 6},
		{1, 1, -1, 1},
	} {
		t.Run(fmt.Sprintf("%d CPUs, %d, %d", row.cpus, row.outer, row.inner), func(t *testing.T) {
			setCPUs(t, row.cpus)
			synctest.Test(t, func(t *testing.T) {
				ctx := parallel.WithConfig(t.Context(), parallel.Jobs{N: 7})
				got, err := parallel.Map(ctx, row.outer, func(ctx context.Context, calls int) (int, error) {
					return atOnce(ctx, parallel.Jobs{N: row.inner}, calls)
				}, []int{12, 12, 12})
				want := []int{row.want, row.want, row.want}
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("%v, %v calls are made at once inside; want %d", err, got, row.want)
				}
			})
		})
	}
}

// Never more calls run than the outermost level asked for, or there are
// CPUs.
func TestThreeLevelsAreBounded(t *testing.T) {
	shared := &executor.ThreadPoolExecutor{MaxWorkers: 1}
	defer shared.Close()
	for _, row := range []struct {
		cpus, n int
		ex      executor.Executor
		most    int64
	}{
		{4, 2, nil, 4},
		{4, -1, nil, 4},
		{8, 2, nil, 8},
		{2, 6, nil, 6},
		{4, 3, nil, 4},
		{8, 8, shared, 1},
		{4, 2, shared, 1},
	} {
		setCPUs(t, row.cpus)
		var leaves tally
		leaf := func(_ context.Context, n int) (int, error) {
			defer leaves.begin()()
			time.Sleep(100 * time.Microsecond)
			return n, nil
		}
		j := parallel.Jobs{N: row.n, Executor: row.ex}
		middle := func(ctx context.Context, n int) (int, error) {
			got, err := parallel.Run(ctx, j, slices.Values(delayed(leaf, upTo(5))))
			return len(got), err
		}
		outer := func(ctx context.Context, n int) (int, error) {
			got, err := parallel.Run(ctx, j, slices.Values(delayed(middle, upTo(4))))
			return len(got), err
		}
		got, err := inTime(t, "Run", func() ([]int, error) { return parallel.Run(t.Context(), j, slices.Values(delayed(outer, upTo(4)))) })
		if err != nil || !slices.Equal(got, []int{4, 4, 4, 4}) || leaves.started.Load() != 80 || leaves.most.Load() > row.most {
			t.Errorf("%d CPUs, N %d, %v: %v, %v, with %d calls, %d at once; want 80, at most %d", row.cpus, row.n, row.ex, got, err, leaves.started.Load(), leaves.most.Load(), row.most)
		}
	}
}

// A Parallel in the call of another, in the same pool of processes' parent, has no
// deadlock: the call that waits lends its place.
func TestNestedRunsOnOneWorkerDoNotDeadlock(t *testing.T) {
	shared := &executor.ThreadPoolExecutor{MaxWorkers: 1}
	defer shared.Close()
	for name, ex := range map[string]executor.Executor{"here": shared, "elsewhere": elsewhere{shared}} {
		for _, stream := range streams {
			j := parallel.Jobs{N: 4, Executor: ex}
			outer := func(ctx context.Context, n int) (int, error) {
				got, err := executor.Collect(stream(ctx, j, slices.Values(delayed(double, upTo(10)))))
				return len(got), err
			}
			got, err := inTime(t, name, func() ([]int, error) { return parallel.Run(t.Context(), j, slices.Values(delayed(outer, upTo(6)))) })
			if err != nil || !slices.Equal(got, []int{10, 10, 10, 10, 10, 10}) {
				t.Errorf("%s: %v, %v; want ten results in each of six calls", name, got, err)
			}
		}
	}
}

func init() {
	executor.Register(inside)
}

// share is what a call in a worker process may use.
type share struct{ CPUs, AtOnce, Explicit, Processes int }

// inside looks at that from there.
func inside(ctx context.Context, n int) (s share, err error) {
	s.CPUs = runtime.GOMAXPROCS(0)
	most := func(n int, j parallel.Jobs) int {
		var c tally
		in, _ := counting(12, func(_ context.Context, n int) (int, error) {
			defer c.begin()()
			time.Sleep(3 * time.Millisecond)
			return n, nil
		})
		j.N = n
		if _, runErr := parallel.Run(ctx, j, in); runErr != nil {
			err = runErr
		}
		return int(c.most.Load())
	}
	s.AtOnce, s.Explicit = most(-1, parallel.Jobs{}), most(n, parallel.Jobs{})
	pids, pidErr := parallel.Run(ctx, parallel.Jobs{N: n, Backend: "processes"}, slices.Values(delayed(inner, upTo(4))))
	slices.Sort(pids)
	s.Processes = len(slices.Compact(pids))
	return s, errors.Join(err, pidErr)
}

func init() { executor.Register(inner) }

// inner returns the number of its process, some time later.
func inner(context.Context, int) (int, error) {
	time.Sleep(10 * time.Millisecond)
	return os.Getpid(), nil
}

// A worker process has GOMAXPROCS for its share, and no explicit
// number is above it.
func TestWorkerProcessesHaveTheirShareOfTheCPUs(t *testing.T) {
	executortest.NeedsProcesses(t)
	for _, row := range []struct{ cpus, n, want int }{{4, 2, 2}, {2, 2, 1}} {
		setCPUs(t, row.cpus)
		ctx := parallel.WithConfig(t.Context(), parallel.Jobs{Backend: "processes"})
		got, err := inTime(t, "Map", func() ([]share, error) { return parallel.Map(ctx, row.n, inside, []int{50, 50}) })
		for _, s := range got {
			if s.CPUs != row.want || s.AtOnce > row.want || s.Explicit > row.want || s.Processes > row.want {
				t.Errorf("%d CPUs, N %d: inside %+v; want %d CPUs, and no more of the others", row.cpus, row.n, s, row.want)
			}
		}
		if err != nil || len(got) != 2 {
			t.Errorf("%d CPUs, N %d: Map = %v, %v; want two shares", row.cpus, row.n, got, err)
		}
	}
}

func TestWorkerProcessesHaveTheirShareWhateverTheEnvironmentSays(t *testing.T) {
	executortest.NeedsProcesses(t)
	t.Setenv("GOMAXPROCS", "7")
	setCPUs(t, 4)
	got, err := parallel.Run(t.Context(), parallel.Jobs{N: 2, Backend: "processes"}, callsOf(items("GOMAXPROCS", "GOMAXPROCS")...))
	if err != nil || !slices.Equal(got, []int{2, 2}) {
		t.Errorf("GOMAXPROCS in the workers is %v, %v; want 2", got, err)
	}
}
