package executortest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/gofutures/futures/executor"
)

// waitPromises are about those who wait (D11).
var waitPromises = []promise{
	{id: "D11, FUT-10, WAIT-09", says: "ending a wait does not end the work", check: endingWaitLeavesWork},
	{id: "D11", says: "a call that timed out is told from a wait that ended", check: timeoutIsNoPending},
	{id: "D11", says: "the result of a call that is done is there even when ctx has ended", check: doneBeatsCtx},
	{id: "WAIT-04, ASC-06", says: "futures come in the order in which their calls end", check: asCompletedInOrder},
	{id: "WAIT-06", says: "Wait for the first error is woken by the call that fails", check: firstErrorWakes},
	{id: "WAIT-10, WAIT-13", says: "all who wait for a call are woken", check: allAreWoken},
	{id: "FUT-14", says: "Gather has the results in order or the error of lowest index", check: gatherInOrder},
}

func endingWaitLeavesWork(k *trial) {
	k.needFuture()
	j := k.job("patient", k.newGate())
	f := executor.Submit(k.ctx, k.ex, work, j)
	k.untilAll("start", j)
	ended, cancel := context.WithCancel(k.ctx)
	cancel()
	_, byResult := f.Result(ended)
	_, pending, byWait := executor.Wait(ended, executor.AllCompleted, f)
	_, byGather := executor.Gather(ended, f)
	for name, err := range map[string]error{"Result": byResult, "Wait": byWait, "Gather": byGather} {
		if !errors.Is(err, executor.ErrPending) || !errors.Is(err, context.Canceled) {
			k.violated("%s with a ctx that has ended = %v; want an error that matches ErrPending and context.Canceled", name, err)
		}
	}
	if !slices.Equal(pending, []*executor.Future[string]{f}) {
		k.violated("Wait with a ctx that has ended: pending = %v; want the one future", pending)
	}
	k.create(j.Gate)
	if got, err := result(k, "a call whose waits were ended", f); got != "done" || err != nil {
		k.violated("Result of a call whose waits were ended = %q, %v; want %q, nil", got, err, "done")
	}
}

func timeoutIsNoPending(k *trial) {
	_, err := result(k, "a call that times out", executor.Submit(k.ctx, k.ex, timeOut, 0))
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, executor.ErrPending) {
		k.violated("Result of a call that timed out = %v; want context.DeadlineExceeded and not ErrPending", err)
	}
}

func doneBeatsCtx(k *trial) {
	f := executor.Submit(k.ctx, k.ex, echo, 5)
	finish(k, "a call", f)
	ended, cancel := context.WithCancel(k.ctx)
	cancel()
	for range 20 {
		if got, err := f.Result(ended); got != 5 || err != nil {
			k.fatal("Result of a call that is done, with a ctx that has ended = %d, %v; want 5, nil", got, err)
		}
	}
}

// asCompletedInOrder lets calls end in the opposite order of submission.
func asCompletedInOrder(k *trial) {
	k.needFuture()
	if k.ex.Workers() == 1 {
		k.skip("the executor makes one call at a time: they end in the order in which they start")
	}
	var fs []*executor.Future[string]
	var jobs []job
	for i := range 2 {
		j := k.job(fmt.Sprint("call", i), k.newGate())
		jobs = append(jobs, j)
		fs = append(fs, executor.Submit(k.ctx, k.ex, work, j))
	}
	k.untilAll("start", jobs...)
	k.create(jobs[1].Gate)
	done, pending, err := executor.Wait(k.ctx, executor.FirstCompleted, fs...)
	if err != nil || !slices.Equal(done, fs[1:]) || !slices.Equal(pending, fs[:1]) {
		k.violated("Wait for the first of two calls, of which the second ends first: done = %v, pending = %v, %v", done, pending, err)
	}
	want, next := []int{1, 0}, 0
	for i, f := range executor.AsCompleted(k.ctx, fs...) {
		if next == len(want) || i != want[next] || f != fs[i] {
			k.fatal("AsCompleted: index %d came as number %d; want the order %v, and each with its future", i, next, want)
		}
		next++
		k.create(jobs[0].Gate)
	}
	if next != len(want) {
		k.violated("AsCompleted has yielded %d futures; want %d", next, len(want))
	}
}

func firstErrorWakes(k *trial) {
	good := executor.Submit(k.ctx, k.ex, echo, 1)
	bad := executor.Submit(k.ctx, k.ex, fail, "on purpose")
	never := executor.NewPromise[int]().Future()
	finish(k, "a call", good)
	k.await("Wait for the first error")
	done, pending, err := executor.Wait(k.ctx, executor.FirstError, good, never, bad)
	if !slices.Equal(done, []*executor.Future[int]{good, bad}) || !slices.Equal(pending, []*executor.Future[int]{never}) || err != nil {
		k.violated("Wait for the first error of a call that succeeds, one that never ends and one that fails: done = %v, pending = %v, %v; want the first and the last done", done, pending, err)
	}
}

func allAreWoken(k *trial) {
	k.needFuture()
	jobs := k.jobs(10, "call", k.newGate())
	fs := k.launch(k.ctx, jobs...)()
	k.until(func() bool { return len(k.names("start")) > 0 }, "the first of 10 calls to start")
	var waiters sync.WaitGroup
	for i := range 16 {
		waiters.Go(func() {
			done, pending, err := executor.Wait(k.ctx, executor.AllCompleted, fs...)
			if len(done) != len(fs) || err != nil {
				k.violated("Wait of waiter %d = %d done, %d pending, %v; want %d done", i, len(done), len(pending), err, len(fs))
			}
		})
	}
	k.create(jobs[0].Gate)
	k.await("16 who wait for 10 calls")
	waiters.Wait()
}

func gatherInOrder(k *trial) {
	fs := make([]*executor.Future[int], 20)
	for i := range fs {
		fs[i] = executor.Submit(k.ctx, k.ex, echo, i)
	}
	k.await("Gather to return")
	got, err := executor.Gather(k.ctx, fs...)
	if want := numbers(len(fs)); !slices.Equal(got, want) || err != nil {
		k.violated("Gather = %v, %v; want %v, nil", got, err, want)
	}
	fs[3] = executor.Submit(k.ctx, k.ex, fail, "the fourth")
	fs[9] = executor.Submit(k.ctx, k.ex, fail, "the tenth")
	_, want := result(k, "a call that fails", fs[3])
	if _, err := executor.Gather(k.ctx, fs...); err == nil || want == nil || err.Error() != want.Error() {
		k.violated("Gather of calls of which 3 and 9 fail = %v; want the error of call 3, %v", err, want)
	}
}

// numbers returns the numbers from 0 to n-1.
func numbers(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}
