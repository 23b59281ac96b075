package parallel_test

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// The first of 101 calls fails, the others take 10 s.
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

// Worker processes that do not heed the end are killed.
func TestAnErrorEndsARunOfProcessesAtOnce(t *testing.T) {
	t.Parallel() // the workers have a second to heed
	executortest.NeedsProcesses(t)
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
	executortest.NeedsProcesses(t)
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
