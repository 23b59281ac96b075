package executortest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gofutures/futures/executor"
)

// orderPromises are about which calls run, how many, and how they are counted
// (D26, D27, and silly input, D29).
var orderPromises = []promise{
	{id: "D26, SUB-05", says: "calls start in the order in which they were submitted", workers: 1, check: startInOrder},
	{id: "SUB-03", says: "as many calls run at once as Workers says and no more", workers: 3, check: asManyAsWorkers},
	{id: "D27, PAN-08", says: "the counters add up", check: countersAddUp},
	{id: "D5, D27", says: "a cancelled call is not counted as queued", check: cancelledLeavesQueue},
	{id: "D29, SUB-02", says: "what cannot be submitted is an error and not a panic", check: sillyCalls},
	{id: "D29, SUB-01", says: "an executor of a silly size makes calls or fails them, without a panic", workers: -1, check: sillySize},
}

func startInOrder(k *trial) {
	if s, ok := k.ex.(seeder); ok {
		k.skip("the executor draws the order from a seed, %#x", s.Seed())
	}
	if n := k.ex.Workers(); n != 1 {
		k.skip("the executor makes several calls at once (Workers is %d), which can be seen to start in any order", n)
	}
	gate := k.newGate()
	if !k.inline {
		k.launch(k.ctx, k.job("first", gate))
		k.untilAll("start", k.job("first", gate))
	}
	var fs []*executor.Future[string]
	var want []string
	for _, j := range k.jobs(100, "call", "") {
		fs = append(fs, executor.Submit(k.ctx, k.ex, work, j))
		want = append(want, j.Name)
	}
	k.create(gate)
	finish(k, "a call", fs...)
	got := slices.DeleteFunc(k.names("start"), func(name string) bool { return name == "first" })
	if !slices.Equal(got, want) {
		k.violated("calls have started in the order\n%v; want\n%v", got, want)
	}
}

func asManyAsWorkers(k *trial) {
	k.needQueue()
	n := k.ex.Workers()
	jobs := k.jobs(5*n, "call", k.newGate())
	fs := k.launch(k.ctx, jobs...)()
	k.until(func() bool { return len(k.names("start")) >= n }, "%d calls to run at once", n)
	k.create(jobs[0].Gate)
	finish(k, "a call", fs...)
	if peak := k.peak(); peak != n {
		k.violated("%d calls have run at once; want %d, which Workers says", peak, n)
	}
}

// peak returns how many calls, by the log, have run at once.
func (k *trial) peak() int {
	in, most := 0, 0
	for _, event := range k.events() {
		switch {
		case strings.HasPrefix(event, "start "):
			in++
		case strings.HasPrefix(event, "end "):
			in--
		}
		most = max(most, in)
	}
	return most
}

func countersAddUp(k *trial) {
	s := need[statser](k, "Stats() executor.Stats")
	var fs []*executor.Future[int]
	for i := range 20 {
		fs = append(fs, executor.Submit(k.ctx, k.ex, outcome, i))
	}
	finish(k, "a call", fs...)
	want := executor.Stats{Submitted: 20, Succeeded: 5, Failed: 15}
	if !k.inline && k.ex.Workers() > 0 {
		gate, running := k.occupy()
		queued := k.launch(k.ctx, k.jobs(7, "queued", "")...)()
		n := len(running)
		want.Submitted += n + 7
		want.Running, want.Queued = n, 7
		k.untilStats(s, want, "while calls run and others are queued")
		for _, f := range queued[:3] {
			f.Cancel()
		}
		k.create(gate)
		finish(k, "a call", append(running, queued...)...)
		want.Running, want.Queued = 0, 0
		want.Succeeded += n + 4
		want.Cancelled = 3
	}
	k.untilStats(s, want, "when all calls have ended")
}

// untilStats waits until the counters are these. It does not compare those of
// workers.
func (k *trial) untilStats(s statser, want executor.Stats, when string) {
	k.until(func() bool {
		got := s.Stats()
		got.Workers, got.Restarts = 0, 0
		k.await("Stats %s to be %+v; it is %+v", when, want, got)
		return got == want
	}, "Stats")
}

func cancelledLeavesQueue(k *trial) {
	s := need[statser](k, "Stats() executor.Stats")
	_, running := k.occupy()
	for range 200 {
		executor.Submit(k.ctx, k.ex, echo, 1).Cancel()
	}
	ctx, cancel := context.WithCancel(k.ctx)
	for range 200 {
		executor.Submit(ctx, k.ex, echo, 1)
	}
	cancel()
	n := len(running)
	k.untilStats(s, executor.Stats{Submitted: n + 400, Running: n, Cancelled: 400}, "when all queued calls have been cancelled")
}

func sillyCalls(k *trial) {
	var none executor.Func[int, int]
	var noCtx context.Context
	var errs []error
	try := func(err error) { errs = append(errs, err) }
	_, err := result(k, "a nil function", executor.Submit(k.ctx, k.ex, none, 1))
	try(err)
	_, err = result(k, "a call with a nil ctx", executor.Submit(noCtx, k.ex, echo, 1))
	try(err)
	_, err = executor.MapSlice(k.ctx, k.ex, none, numbers(3))
	try(err)
	_, err = executor.MapSlice(k.ctx, k.ex, echo, numbers(3), executor.ChunkSize(-1))
	try(err)
	_, err = executor.Collect(executor.Map(k.ctx, k.ex, echo, slices.Values(numbers(3)), executor.Buffer(0)))
	try(err)
	_, err = executor.Collect(executor.Map(k.ctx, k.ex, echo, nil))
	try(err)
	_, _, err = executor.Wait(k.ctx, executor.AllCompleted, executor.Submit(k.ctx, k.ex, echo, 1), nil)
	try(err)
	if s, ok := k.ex.(shutdowner); ok {
		try(s.Shutdown(noCtx))
	}
	for i, err := range errs {
		if err == nil {
			k.violated("silly input %d of %d has no error; want one", i+1, len(errs))
		}
	}
	if got, err := result(k, "a call after silly ones", executor.Submit(k.ctx, k.ex, echo, 1)); got != 1 || err != nil {
		k.violated("Result of a call after silly ones = %d, %v; want 1, nil", got, err)
	}
}

func sillySize(k *trial) {
	for i := range 3 {
		got, err := result(k, fmt.Sprintf("call %d of an executor with %d workers", i, -1), executor.Submit(k.ctx, k.ex, echo, i))
		if err == nil && got != i {
			k.violated("Result of call %d of an executor with -1 workers = %d, nil; want %d or an error", i, got, i)
		}
	}
}
