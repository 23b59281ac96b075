package parallel_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/parallel"
)

func TestAStreamIsLazyAndEachRangeIsARunOfItsOwn(t *testing.T) {
	each(t, func(t *testing.T, j parallel.Jobs) {
		in, pulled := counting(5, double)
		stream := parallel.Stream(t.Context(), j, in)
		if n := pulled.Load(); n != 0 {
			t.Errorf("%d calls pulled before the range; want 0", n)
		}
		for i := range 2 {
			got, err := executor.Collect(stream)
			if err != nil || !slices.Equal(got, tens(5, 2)) || pulled.Load() != int64(5*(i+1)) {
				t.Errorf("range %d: %v, %v, with %d calls pulled; want 0 to 8, %d", i, got, err, pulled.Load(), 5*(i+1))
			}
		}
	})
}

// Call 4 of 6 is taken only after a result has been. In batches, one for
// each job is cut at a time.
func TestAStreamIsPreDispatchCallsAhead(t *testing.T) {
	executortest.NeedsProcesses(t)
	ex := elsewhere{&executor.ThreadPoolExecutor{MaxWorkers: 2}}
	defer ex.Executor.(*executor.ThreadPoolExecutor).Close()
	for _, row := range []struct {
		jobs  parallel.Jobs
		ahead int
	}{
		{parallel.Jobs{N: 2, PreDispatch: 3}, 3},
		{parallel.Jobs{N: 2}, 4},
		{parallel.Jobs{N: 2, PreDispatch: 1}, 1},
		{parallel.Jobs{N: 2, PreDispatch: 3, Executor: ex, BatchSize: 1}, 3},
		{parallel.Jobs{N: 2, PreDispatch: 3, Backend: "processes", BatchSize: 1}, 3},
		{parallel.Jobs{N: 2, PreDispatch: 4, BatchSize: 3}, 4 + 2*3},
		{parallel.Jobs{N: 2, PreDispatch: 4, Executor: ex, BatchSize: 3}, 4 + 2*3},
	} {
		taken := int64(0)
		in, pulled := counting(60, double)
		for _, err := range parallel.Stream(t.Context(), row.jobs, in) {
			if n := pulled.Load(); err != nil || n > taken+int64(row.ahead) {
				t.Errorf("%+v: %d calls pulled after %d results were taken, error %v; want at most %d more", row.jobs, n, taken, err, row.ahead)
			}
			taken++
		}
	}
}

// The calls run while nobody takes a result, but no more than are taken ahead.
func TestAStreamWorksAheadOfItsLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for preDispatch, want := range map[int]int64{3: 3, 0: 4, 6: 6, parallel.PreDispatchAll: 20} {
			var c tally
			in, pulled := counting(20, c.nap)
			for range parallel.Stream(t.Context(), parallel.Jobs{N: 2, PreDispatch: preDispatch}, in) {
				time.Sleep(time.Minute)
				synctest.Wait()
				if c.started.Load() != want || pulled.Load() != want {
					t.Errorf("PreDispatch %d: %d calls pulled and %d started before the first result was taken; want %d", preDispatch, pulled.Load(), c.started.Load(), want)
				}
				break
			}
		}
	})
}

func TestLeavingAStreamLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, n := range []int{1, 3} {
			for name, stream := range streams {
				var c tally
				var ended atomic.Int64
				in, pulled := counting(endless, func(ctx context.Context, n int) (int, error) {
					defer c.begin()()
					if n < 10 {
						return n, nil
					}
					<-ctx.Done()
					ended.Add(1)
					return 0, ctx.Err()
				})
				taken := 0
				for _, err := range stream(t.Context(), parallel.Jobs{N: n}, in) {
					if taken++; err != nil {
						t.Errorf("%s: %v", name, err)
					}
					if taken == 10 {
						synctest.Wait() // the next calls have started
						break
					}
				}
				if running := c.running.Load(); running != 0 || pulled.Load() > int64(10+2*n) {
					t.Errorf("%s, N %d: after the loop, %d calls run, and %d were pulled; want 0, at most %d", name, n, running, pulled.Load(), 10+2*n)
				}
				if n > 1 && ended.Load() == 0 {
					t.Errorf("%s: no call has seen its ctx end", name)
				}
			}
		}
	})
}

// streams are the two kinds of them.
var streams = map[string]func(context.Context, parallel.Jobs, calls) results{
	"Stream": func(ctx context.Context, j parallel.Jobs, in calls) results { return parallel.Stream(ctx, j, in) },
	"StreamUnordered": func(ctx context.Context, j parallel.Jobs, in calls) results {
		return parallel.StreamUnordered(ctx, j, in)
	},
}

type (
	calls   = func(func(parallel.Call[int]) bool)
	results = func(func(int, error) bool)
)

func TestLeavingAStreamOfProcessesEndsThem(t *testing.T) {
	executortest.NeedsProcesses(t)
	log := inDir(t, "log")
	source := func(yield func(parallel.Call[int]) bool) {
		for i := 0; ; i++ {
			in := item{N: i, Log: log}
			if i > 3 {
				in.Does = "heed"
			}
			if !yield(parallel.Delayed(makeItem, in)) {
				return
			}
		}
	}
	n := 0
	for got, err := range parallel.Stream(t.Context(), parallel.Jobs{N: 2, Backend: "processes", BatchSize: 1}, source) {
		if err != nil || got != 10*n {
			t.Errorf("result %d: %d, %v; want %d", n, got, err, 10*n)
		}
		if n++; n == 4 {
			break
		}
	}
	if n := len(starts(t, log)); n > 8 {
		t.Errorf("%d calls have started; want no more than were taken", n)
	}
}

func TestAStreamYieldsTheFirstErrorInOrderLast(t *testing.T) {
	each(t, func(t *testing.T, j parallel.Jobs) {
		for _, batch := range []int{1, 3} {
			j.BatchSize = batch
			in := items("", "", "fail late", "", "", "fail", "", "", "")
			seen := all(parallel.Stream(t.Context(), j, callsOf(in...)))
			if want := []string{"0", "10", "item 2"}; !alike(seen, want) {
				t.Errorf("BatchSize %d: Stream yields %q; want %q", batch, seen, want)
			}
		}
	})
}

func TestAnUnorderedStreamYieldsTheSlowCallLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, _ := counting(6, func(_ context.Context, n int) (int, error) {
			time.Sleep([]time.Duration{10: 0, 0: time.Hour, 1: time.Second, 2: time.Second, 3: time.Second, 4: time.Second, 5: time.Second}[n])
			return n, nil
		})
		got, err := executor.Collect(parallel.StreamUnordered(t.Context(), parallel.Jobs{N: 2, PreDispatch: parallel.PreDispatchAll}, in))
		if want := []int{1, 2, 3, 4, 5, 0}; err != nil || !slices.Equal(got, want) {
			t.Errorf("StreamUnordered yields %v, %v; want %v", got, err, want)
		}
	})
	t.Run("processes", func(t *testing.T) {
		executortest.NeedsProcesses(t)
		gate := inDir(t, "gate")
		in := items("hold", "", "", "")
		in[0].Gate = gate
		var got []int
		for v, err := range parallel.StreamUnordered(t.Context(), parallel.Jobs{N: 2, Backend: "processes", BatchSize: 1}, callsOf(in...)) {
			if got = append(got, v); err != nil {
				t.Fatal(err)
			}
			if len(got) == 3 {
				touch(t, gate)
			}
		}
		if want := []int{10, 20, 30, 0}; len(got) != 4 || got[3] != 0 {
			t.Errorf("StreamUnordered yields %v; want the first call last, as %v", got, want)
		}
	})
}

func TestAStreamEndsWithTheCtx(t *testing.T) {
	for name, stream := range streams {
		for _, policy := range []parallel.Policy{parallel.StopAtFirst, parallel.CollectErrors, parallel.UseDefault(0)} {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
				defer cancel()
				var c tally
				in, _ := counting(endless, c.nap)
				errs, last := 0, error(nil)
				for _, err := range stream(ctx, parallel.Jobs{N: 2, OnError: policy}, in) {
					if last = err; err != nil {
						errs++
					}
				}
				if errs == 0 || last == nil || c.running.Load() != 0 || fmt.Sprint(context.Cause(ctx)) != context.DeadlineExceeded.Error() {
					t.Errorf("%s, %v: %d errors, the last is %v, and %d calls run; want an end with an error", name, policy, errs, last, c.running.Load())
				}
			})
		}
	}
}

// What a loop drops is not held while its body runs.
func TestStreamDoesNotHoldWhatItHasYielded(t *testing.T) {
	type large struct{ _ [1 << 16]byte }
	makeLarge := func(context.Context, int) (*large, error) { return new(large), nil }
	for _, batch := range []int{1, 3} {
		for v, err := range parallel.Stream(t.Context(), parallel.Jobs{N: 2, BatchSize: batch}, slices.Values(delayed(makeLarge, upTo(7)))) {
			if err != nil {
				t.Fatal(err)
			}
			held := weak.Make(v)
			v = nil
			for begin := time.Now(); held.Value() != nil; runtime.GC() {
				if time.Since(begin) > longEnough {
					t.Fatalf("batches of %d: the result is held after %v", batch, longEnough)
				}
			}
		}
	}
}
