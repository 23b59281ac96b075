package executortest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofutures/futures/executor"
)

// cancelPromises are about calls that are told to stop (D4, D5).
var cancelPromises = []promise{
	{id: "D4, FUT-01", says: "a call is pending, then running, then finished", check: statesInOrder},
	{id: "D4, FUT-02, FUT-05", says: "a queued call that is cancelled never starts", check: cancelledNeverStarts},
	{id: "D4", says: "Cancel is true exactly if the call never starts", check: cancelIsExact},
	{id: "D4, CTX-04", says: "a running call that is cancelled sees its ctx end and is done when it returns", check: runningIsAsked},
	{id: "D5, FUT-09, WAIT-05", says: "a cancelled call is done at once for all who wait for it", check: cancelledIsDone},
	{id: "D5, CTX-02", says: "a queued call whose ctx ends is cancelled at once though every worker is busy", check: endOfCtxCancels},
	{id: "D5, CTX-05", says: "a queued call whose deadline passes is cancelled with DeadlineExceeded", check: deadlineCancels},
	{id: "CTX-01", says: "a call that is submitted with a ctx that has ended never starts", check: endedCtxNeverStarts},
	{id: "D4, CTX-03, CTX-07", says: "a running call sees the end of its ctx and the cause", check: runningSeesCause},
}

func statesInOrder(k *trial) {
	gate, running := k.occupy()
	queued := executor.Submit(k.ctx, k.ex, echo, 1)
	if s := queued.State(); s != executor.Pending {
		k.violated("State of a queued call = %v; want pending", s)
	}
	for _, f := range running {
		k.until(func() bool { return f.State() == executor.Running }, "a call that has started to be running; it is %v", f.State())
	}
	k.create(gate)
	finish(k, "a call", append(running, k.launch(k.ctx, k.job("last", ""))()...)...)
	finish(k, "the queued call", queued)
	for _, f := range running {
		if s := f.State(); s != executor.Finished {
			k.violated("State of a call that has ended = %v; want finished", s)
		}
	}
}

func cancelledNeverStarts(k *trial) {
	gate, running := k.occupy()
	jobs := k.jobs(20, "queued", "")
	queued := k.launch(k.ctx, jobs...)()
	for i, f := range queued {
		if i%2 == 1 {
			continue
		}
		if first, again := f.Cancel(), f.Cancel(); !first || !again {
			k.violated("Cancel of a queued call = false; want true, again and again")
		}
		if s := f.State(); s != executor.Cancelled {
			k.violated("State of a cancelled call = %v; want cancelled", s)
		}
		if _, err := f.Result(k.ctx); !errors.Is(err, executor.ErrCancelled) || !errors.Is(err, context.Canceled) {
			k.violated("Result of a cancelled call = %v; want ErrCancelled, which matches context.Canceled", err)
		}
	}
	k.create(gate)
	finish(k, "a call", append(running, queued...)...)
	for i, j := range jobs {
		if started := k.has("start", j.Name); started != (i%2 == 1) {
			k.violated("call %s has started: %t; want %t, because it was cancelled: %t", j.Name, started, i%2 == 1, i%2 == 0)
		}
	}
}

// cancelIsExact cancels calls while they start.
func cancelIsExact(k *trial) {
	jobs := k.jobs(100, "call", "")
	fs := make(chan *executor.Future[string], len(jobs))
	cancelled := make([]bool, len(jobs))
	var canceller sync.WaitGroup
	canceller.Go(func() {
		i := 0
		for f := range fs {
			cancelled[i] = f.Cancel()
			i++
		}
	})
	var all []*executor.Future[string]
	for _, j := range jobs {
		f := executor.Submit(k.ctx, k.ex, work, j)
		all = append(all, f)
		fs <- f
	}
	close(fs)
	canceller.Wait()
	finish(k, "a call that may be cancelled", all...)
	started := k.names("start")
	for i, j := range jobs {
		if n := count(started, j.Name); cancelled[i] != (n == 0) || n > 1 {
			k.violated("Cancel of call %d = %t, and it has started %d times; want true and 0, or false and 1", i, cancelled[i], n)
		}
		if c := all[i].State() == executor.Cancelled; c != cancelled[i] {
			k.violated("Cancel of call %d = %t, and State = %v", i, cancelled[i], all[i].State())
		}
	}
}

func runningIsAsked(k *trial) {
	k.needFuture()
	j := k.job("lingerer", k.newGate())
	f := executor.Submit(k.ctx, k.ex, linger, j)
	k.untilAll("start", j)
	if f.Cancel() {
		k.violated("Cancel of a call that runs = true; want false")
	}
	k.untilAll("asked", j)
	if s := f.State(); s != executor.Running {
		k.violated("State of a call that was asked to stop and goes on = %v; want running", s)
	}
	k.create(j.Gate)
	if got, err := result(k, "a call that was asked to stop", f); got != "lingered" || err != nil {
		k.violated("Result of a call that was asked to stop = %q, %v; want what it returned, %q, nil", got, err, "lingered")
	}
}

func cancelledIsDone(k *trial) {
	k.occupy()
	queued := executor.Submit(k.ctx, k.ex, echo, 1)
	other := executor.Submit(k.ctx, k.ex, echo, 2)
	waits := map[string]func(){
		"Result": func() { _, _ = queued.Result(k.ctx) },
		"Done":   func() { <-queued.Done() },
		"Wait":   func() { _, _, _ = executor.Wait(k.ctx, executor.FirstCompleted, queued, other) },
		"AsCompleted": func() {
			for range executor.AsCompleted(k.ctx, queued, other) {
				break
			}
		},
	}
	awake := make(chan string, len(waits))
	for name, wait := range waits {
		go func() {
			wait()
			awake <- name
		}()
	}
	if !queued.Cancel() {
		k.violated("Cancel of a queued call = false; want true")
	}
	for range len(waits) {
		name := receive(k, awake, "those who wait for a cancelled call, of whom some are still in %v", mapKeys(waits))
		delete(waits, name)
	}
}

func endOfCtxCancels(k *trial) {
	k.occupy()
	ctx, cancel := context.WithCancelCause(k.ctx)
	defer cancel(nil)
	jobs := k.jobs(50, "queued", "")
	queued := k.launch(ctx, jobs...)()
	cause := errors.New("a reason to end")
	cancel(cause)
	finish(k, "a queued call whose ctx has ended, while every worker is busy", queued...)
	for i, f := range queued {
		_, err := f.Result(k.ctx)
		for _, want := range []error{executor.ErrCancelled, context.Canceled, cause} {
			if !errors.Is(err, want) {
				k.violated("Result of queued call %d whose ctx has ended = %v; want an error that matches %q", i, err, want)
			}
		}
		if s := f.State(); s != executor.Cancelled {
			k.violated("State of queued call %d whose ctx has ended = %v; want cancelled", i, s)
		}
	}
	if n := len(k.names("start")) - k.ex.Workers(); n > 0 {
		k.violated("%d calls have started whose ctx had ended while they were queued; want 0", n)
	}
}

func deadlineCancels(k *trial) {
	k.occupy()
	ctx, cancel := context.WithTimeout(k.ctx, time.Millisecond)
	defer cancel()
	queued := executor.Submit(ctx, k.ex, echo, 1)
	_, err := result(k, "a queued call whose deadline has passed, while every worker is busy", queued)
	if !errors.Is(err, executor.ErrCancelled) || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, executor.ErrPending) {
		k.violated("Result of a queued call whose deadline has passed = %v; want an error that matches ErrCancelled and DeadlineExceeded", err)
	}
}

func endedCtxNeverStarts(k *trial) {
	ctx, cancel := context.WithCancel(k.ctx)
	cancel()
	f := executor.Submit(ctx, k.ex, work, k.job("late", ""))
	if _, err := result(k, "a call with a ctx that has ended", f); !errors.Is(err, executor.ErrCancelled) || f.State() != executor.Cancelled {
		k.violated("a call with a ctx that has ended: Result = %v, State = %v; want ErrCancelled, cancelled", err, f.State())
	}
	finish(k, "the next call", executor.Submit(k.ctx, k.ex, echo, 1))
	if k.has("start", "late") {
		k.violated("a call with a ctx that has ended has started; want never")
	}
}

func runningSeesCause(k *trial) {
	const cause = "the shop is closing"
	ctx, cancel := context.WithCancelCause(k.ctx)
	defer cancel(nil)
	j := k.job("patient", k.newGate())
	collect := k.launch(ctx, j)
	k.untilAll("start", j)
	cancel(errors.New(cause))
	got, err := result(k, "a running call whose ctx has ended", collect()[0])
	if !strings.Contains(got, cause) || err != nil {
		k.violated("the call's function has found the cause %q, and Result has the error %v; want %q, nil", got, err, cause)
	}
}

func count(in []string, s string) int {
	n := 0
	for _, t := range in {
		if s == t {
			n++
		}
	}
	return n
}

func mapKeys[V any](m map[string]V) string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return fmt.Sprint(keys)
}
