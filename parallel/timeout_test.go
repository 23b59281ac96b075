package parallel_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/parallel"
)

// placesInTime are where a Timeout is tested in virtual time: here, and on an
// executor that might be anywhere. ThreadPerTask has no queue.
func placesInTime() map[string]executor.Executor {
	return map[string]executor.Executor{
		"here":               &executor.ThreadPoolExecutor{MaxWorkers: 2},
		"elsewhere":          elsewhere{&executor.ThreadPoolExecutor{MaxWorkers: 2}},
		"one after another":  &executor.Sequential{},
		"per task":           &executor.ThreadPerTask{},
		"per task elsewhere": elsewhere{&executor.ThreadPerTask{}},
	}
}

// inPlaces runs test in a bubble for each of them. late is how much later than
// promised a call elsewhere may be: that it starts is looked for.
func inPlaces(t *testing.T, test func(t *testing.T, ex executor.Executor, late time.Duration)) {
	t.Helper()
	for name := range placesInTime() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ex := placesInTime()[name]
				late := time.Duration(0)
				base := ex
				if e, ok := ex.(elsewhere); ok {
					late, base = 20*time.Millisecond, e.Executor
				}
				defer base.(interface{ Close() error }).Close()
				test(t, ex, late)
			})
		})
	}
}

// A call that takes too long fails, the others do not.
func TestATimeoutEndsItsCallOnly(t *testing.T) {
	inPlaces(t, func(t *testing.T, ex executor.Executor, late time.Duration) {
		in, _ := counting(5, func(ctx context.Context, n int) (int, error) {
			if n != 2 {
				return n, nil
			}
			<-ctx.Done()
			return n, fmt.Errorf("n is %d: %w", n, ctx.Err())
		})
		for name, stream := range streams {
			begin := time.Now()
			j := parallel.Jobs{Executor: ex, N: 2, Timeout: time.Second, OnError: parallel.CollectErrors}
			var got []int
			var failed error
			for v, err := range stream(t.Context(), j, in) {
				if err != nil {
					failed = errors.Join(failed, err)
				} else {
					got = append(got, v)
				}
			}
			slices.Sort(got)
			took := time.Since(begin)
			if want := []int{0, 1, 3, 4}; !slices.Equal(got, want) || took < time.Second || took > time.Second+late {
				t.Errorf("%s yields %v after %v; want %v after 1s", name, got, took, want)
			}
			checkTimeout(t, failed, time.Second)
		}
		begin := time.Now()
		_, err := parallel.Run(t.Context(), parallel.Jobs{Executor: ex, N: 2, Timeout: time.Second}, in)
		if took := time.Since(begin); took < time.Second || took > time.Second+late {
			t.Errorf("Run returns after %v; want 1s", took)
		}
		checkTimeout(t, err, time.Second)
	})
}

func checkTimeout(t *testing.T, err error, after time.Duration) {
	t.Helper()
	late, ok := errors.AsType[*parallel.TimeoutError](err)
	if !ok || late.After != after || !late.Timeout() || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), after.String()) {
		t.Errorf("the error is %v; want a TimeoutError after %v that matches context.DeadlineExceeded", err, after)
	}
}

// The time begins when the call does: joblib's when the result is waited for.
func TestATimeoutBeginsWithTheCall(t *testing.T) {
	inPlaces(t, func(t *testing.T, ex executor.Executor, _ time.Duration) {
		var c tally
		in, _ := counting(20, func(_ context.Context, n int) (int, error) {
			defer c.begin()()
			time.Sleep(900 * time.Millisecond)
			return n, nil
		})
		j := parallel.Jobs{Executor: ex, N: 2, Timeout: time.Second, PreDispatch: parallel.PreDispatchAll}
		if got, err := parallel.Run(t.Context(), j, in); err != nil || !slices.Equal(got, upTo(20)) {
			t.Errorf("Run = %v, %v; want 0 to 19, none of which takes a second", got, err)
		}
	})
}

// Others use the executor, so that the calls wait much longer than the Timeout.
func TestACallThatWaitsForAWorkerDoesNotTimeOut(t *testing.T) {
	inPlaces(t, func(t *testing.T, ex executor.Executor, _ time.Duration) {
		if ex.Workers() != 2 {
			return // nothing waits there
		}
		var c tally
		for range 2 {
			executor.Submit(t.Context(), ex, func(context.Context, int) (int, error) { time.Sleep(time.Minute); return 0, nil }, 0)
		}
		in, _ := counting(5, func(context.Context, int) (int, error) { defer c.begin()(); return 1, nil })
		begin := time.Now()
		got, err := parallel.Run(t.Context(), parallel.Jobs{Executor: ex, N: 2, Timeout: time.Second}, in)
		if took := time.Since(begin); err != nil || len(got) != 5 || took < time.Minute {
			t.Errorf("Run = %v, %v after %v; want five results after 1m0s", got, err, took)
		}
	})
}

// What comes after its time is a TimeoutError, also if it is a result; what comes
// in time is not, whatever it is.
func TestATimeoutDecidesByTimeAlone(t *testing.T) {
	inPlaces(t, func(t *testing.T, ex executor.Executor, late time.Duration) {
		in, _ := counting(4, func(ctx context.Context, n int) (int, error) {
			switch n {
			case 0: // does not heed
				time.Sleep(3 * time.Second)
				return n, nil
			case 1:
				time.Sleep(3 * time.Second)
				return n, errBoom
			case 2:
				return n, context.DeadlineExceeded
			}
			return n, errBoom
		})
		j := parallel.Jobs{Executor: ex, N: 2, Timeout: time.Second, OnError: parallel.CollectErrors}
		_, err := parallel.Run(t.Context(), j, in)
		failed, _ := errors.AsType[executor.ItemErrors](err)
		if len(failed) != 4 {
			t.Fatalf("Run's error is %v; want those of 4 calls", err)
		}
		if late == 0 { // elsewhere, a call whose ctx has ended may be left alone
			checkTimeout(t, failed[0], time.Second)
			checkTimeout(t, failed[1], time.Second)
			if e, _ := errors.AsType[*parallel.TimeoutError](failed[0]); e.Err != nil {
				t.Errorf("the call that returned a result has the error %v inside; want none", e.Err)
			}
			if !errors.Is(failed[1], errBoom) {
				t.Errorf("the call that failed late has the error %v; want boom inside", failed[1])
			}
		}
		for _, inTime := range failed[2:] {
			if _, isLate := errors.AsType[*parallel.TimeoutError](inTime); isLate {
				t.Errorf("the call that failed in time has the error %v; want its own", inTime)
			}
		}
	})
}

func TestTheEndOfTheCtxIsNoTimeout(t *testing.T) {
	inPlaces(t, func(t *testing.T, ex executor.Executor, _ time.Duration) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		in, _ := counting(4, func(ctx context.Context, n int) (int, error) {
			<-ctx.Done()
			return n, ctx.Err()
		})
		_, err := parallel.Run(ctx, parallel.Jobs{Executor: ex, N: 2, Timeout: time.Minute}, in)
		if _, isLate := errors.AsType[*parallel.TimeoutError](err); isLate || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run's error is %v; want that of its ctx", err)
		}
	})
}

// With a Timeout, each call is a batch: its worker may be killed.
func TestWithATimeoutNoCallIsInABatchWithAnother(t *testing.T) {
	sizes, err := batchesIn(t.Context(), parallel.Jobs{N: 2, BatchSize: 7, Timeout: time.Minute}, 20)
	if got := runLengths(sizes); got != "1x20" || err != nil {
		t.Errorf("batches %s, error %v; want 1x20", got, err)
	}
}

// Processes that do not heed the end of their ctx.
func TestATimeoutKillsTheWorkerThatDoesNotReturn(t *testing.T) {
	t.Parallel() // it has a second to do so
	executortest.NeedsProcesses(t)
	var begin time.Time
	var got []int
	var err error
	var failed executor.ItemErrors
	want, is := []int{0, 0, 20, 0, 40, 50}, false
	timeout := 300 * time.Millisecond
	for ; ; timeout *= 2 { // the calls that do nothing may take longer on a machine under load
		begin = time.Now()
		j := parallel.Jobs{N: 2, Backend: "processes", Timeout: timeout, OnError: parallel.CollectErrors}
		got, err = inTime(t, "Run", func() ([]int, error) {
			return parallel.Run(t.Context(), j, callsOf(items("", "hang", "", "heed", "", "")...))
		})
		failed, _ = errors.AsType[executor.ItemErrors](err)
		is = slices.Equal(got, want) && len(failed) == 2 && failed[0].Index == 1 && failed[1].Index == 3
		if is || timeout > longEnough/4 {
			break
		}
	}
	if !is {
		t.Fatalf("Run = %v, %v; want %v, and errors of 1 and 3", got, err, want)
	}
	checkTimeout(t, failed[0], timeout)
	checkTimeout(t, failed[1], timeout)
	killed, _, _ := strings.Cut(failed[0].Err.Error(), "; its last lines:\n")
	died, _ := errors.AsType[*executor.WorkerDiedError](failed[0])
	if want := fmt.Sprintf("parallel: a call has taken longer than its Timeout of %v, and its worker process %d was ended", timeout, died.PID); killed != want {
		t.Errorf("the error of the call whose worker was killed begins %q; want %q", killed, want)
	}
	if want := fmt.Sprintf("parallel: a call has taken longer than its Timeout of %v", timeout); failed[1].Err.Error() != want {
		t.Errorf("the error of the call that heeded is %q; want %q", failed[1].Err, want)
	}
	if took := time.Since(begin); took < timeout+time.Second/2 || took > longEnough {
		t.Errorf("Run returns after %v; want the Timeout and about a second", took)
	}
}
