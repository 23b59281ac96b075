package executortest

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/gofutures/futures/executor"
)

// shutdownPromises are about Close and Shutdown (D8).
var shutdownPromises = []promise{
	{id: "D8, SHUT-02", says: "Close waits for the calls that were taken", check: closeWaits},
	{id: "D8, SHUT-01, MAP-14", says: "what comes after Close is an ErrShutdown", check: closeRefuses},
	{id: "D8, SHUT-05", says: "Close may be called again and by many goroutines", check: closeAgain},
	{id: "D8, SHUT-11", says: "Close of an executor that was never used returns", check: closeUnused},
	{id: "D8, SHUT-19", says: "a call that is submitted while the executor closes ends or is refused", check: closeRaces},
	{id: "D8, SHUT-03", says: "Shutdown with an ended ctx cancels what is queued and ends the ctx of what runs", check: shutdownNow},
	{id: "D8, SHUT-15", says: "Shutdown whose ctx ends says that calls still run, and may be called again", check: shutdownAgain},
	{id: "D8, SHUT-06", says: "Shutdown from inside a call with its ctx does not wait for that call", workers: 1, check: shutdownInside},
}

func closeWaits(k *trial) {
	c := need[closer](k, "Close() error")
	gate := k.newGate()
	jobs := k.jobs(max(k.ex.Workers(), 1), "first", gate)
	collect := k.launch(k.ctx, jobs...)
	k.untilAll("start", jobs...)
	if !k.inline {
		more := k.jobs(30, "second", "")
		jobs = append(jobs, more...)
		rest := k.launch(k.ctx, more...)()
		first := collect
		collect = func() []*executor.Future[string] { return append(first(), rest...) }
	}
	closed := make(chan error, 1)
	go func() { closed <- c.Close() }()
	if !pause(k.ctx) || len(closed) > 0 {
		k.violated("Close has returned while %d calls run", k.ex.Workers())
	}
	k.create(gate)
	if err := receive(k, closed, "Close to return"); err != nil {
		k.violated("Close = %v; want nil", err)
	}
	if n := len(k.names("end")); n != len(jobs) {
		k.violated("when Close had returned, %d of %d calls had ended; want all", n, len(jobs))
	}
	for i, f := range collect() {
		if got, err := result(k, "a call that was taken before Close", f); got != "done" || err != nil {
			k.violated("Result of call %d, which was taken before Close = %q, %v; want %q, nil", i, got, err, "done")
		}
	}
}

func closeRefuses(k *trial) {
	c := need[closer](k, "Close() error")
	k.await("Close to return")
	_ = c.Close()
	f := executor.Submit(k.ctx, k.ex, work, k.job("late", ""))
	_, bySubmit := result(k, "a call after Close", f)
	k.await("a map after Close")
	_, byMap := executor.Collect(executor.Map(k.ctx, k.ex, echo, slices.Values(numbers(3))))
	_, byMapSlice := executor.MapSlice(k.ctx, k.ex, echo, numbers(3))
	for name, err := range map[string]error{"Submit": bySubmit, "Map": byMap, "MapSlice": byMapSlice} {
		if !errors.Is(err, executor.ErrShutdown) {
			k.violated("%s after Close: %v; want ErrShutdown", name, err)
		}
	}
	if k.has("start", "late") {
		k.violated("a call that came after Close has started; want never")
	}
}

func closeAgain(k *trial) {
	c := need[closer](k, "Close() error")
	gate := k.newGate()
	jobs := k.jobs(10, "call", gate)
	k.launch(k.ctx, jobs...)
	var closers sync.WaitGroup
	for range 4 {
		closers.Go(func() {
			for range 2 {
				if err := c.Close(); err != nil {
					k.violated("Close, called again and again = %v; want nil", err)
				}
				if n := len(k.names("end")); n != len(jobs) {
					k.violated("when Close had returned, %d of %d calls had ended; want all", n, len(jobs))
				}
			}
		})
	}
	pause(k.ctx)
	k.create(gate)
	k.await("Close, called by 4 goroutines, to return")
	closers.Wait()
}

func closeUnused(k *trial) {
	need[closer](k, "Close() error") // the end of each case closes
}

func closeRaces(k *trial) {
	c := need[closer](k, "Close() error")
	closed := make(chan struct{})
	collect := k.submitUntil(closed)
	k.until(func() bool { return len(k.names("end")) > 5 }, "the first of many calls to end")
	k.await("Close, while calls are submitted, to return")
	_ = c.Close()
	ended := len(k.names("end"))
	close(closed)
	done := 0
	for _, f := range collect() {
		switch got, err := result(k, "a call that was submitted while the executor closed", f); {
		case err == nil && got == "done":
			done++
		case !errors.Is(err, executor.ErrShutdown):
			k.violated("Result of a call that was submitted while the executor closed = %q, %v; want %q or ErrShutdown", got, err, "done")
		}
	}
	if started := len(k.names("start")); started != done || ended != done {
		k.violated("of the calls that were submitted while the executor closed, %d have started, %d had ended when Close returned, and %d have a result; want the same number", started, ended, done)
	}
}

// submitUntil submits calls from several goroutines until closed is closed.
func (k *trial) submitUntil(closed <-chan struct{}) (collect func() []*executor.Future[string]) {
	var mu sync.Mutex
	var all []*executor.Future[string]
	var submitters sync.WaitGroup
	submitSome := func() {
		for pause(k.ctx) {
			f := executor.Submit(k.ctx, k.ex, work, k.job("call", ""))
			mu.Lock()
			all = append(all, f)
			mu.Unlock()
			select {
			case <-closed:
				return
			default:
			}
		}
	}
	for range 4 {
		submitters.Go(func() { k.contain(submitSome) })
	}
	return func() []*executor.Future[string] {
		k.await("Submit, when the executor has closed, to return")
		submitters.Wait()
		return all
	}
}

func shutdownNow(k *trial) {
	s := need[shutdowner](k, "Shutdown(context.Context) error")
	jobs := k.jobs(max(k.ex.Workers(), 1), "runs", k.newGate())
	collect := k.launch(k.ctx, jobs...)
	k.untilAll("start", jobs...)
	var queued []*executor.Future[string]
	if !k.inline && k.ex.Workers() > 0 {
		queued = k.launch(k.ctx, k.jobs(10, "queued", "")...)()
	}
	ended, cancel := context.WithCancel(k.ctx)
	cancel()
	k.await("Shutdown with an ended ctx to return")
	if err := s.Shutdown(ended); err != nil && !errors.Is(err, executor.ErrPending) {
		k.violated("Shutdown with an ended ctx = %v; want nil or ErrPending", err)
	}
	for i, f := range queued {
		if _, err := f.Result(ended); !errors.Is(err, executor.ErrCancelled) || f.State() != executor.Cancelled {
			k.violated("queued call %d after Shutdown with an ended ctx: Result = %v, State = %v; want ErrCancelled, cancelled", i, err, f.State())
		}
	}
	for i, f := range collect() {
		if got, err := result(k, "a running call whose ctx Shutdown has ended", f); got == "done" || err != nil {
			k.violated("Result of running call %d after Shutdown with an ended ctx = %q, %v; want what it returns when its ctx ends", i, got, err)
		}
	}
	if _, err := result(k, "a call after Shutdown", executor.Submit(k.ctx, k.ex, echo, 1)); !errors.Is(err, executor.ErrShutdown) {
		k.violated("Result of a call after Shutdown = %v; want ErrShutdown", err)
	}
}

func shutdownAgain(k *trial) {
	s := need[shutdowner](k, "Shutdown(context.Context) error")
	k.needFuture()
	j := k.job("lingerer", k.newGate())
	f := executor.Submit(k.ctx, k.ex, linger, j)
	k.untilAll("start", j)
	ended, cancel := context.WithCancel(k.ctx)
	cancel()
	k.await("Shutdown with an ended ctx to return")
	if err := s.Shutdown(ended); !errors.Is(err, executor.ErrPending) || !errors.Is(err, context.Canceled) {
		k.violated("Shutdown with an ended ctx while a call runs = %v; want an error that matches ErrPending and context.Canceled", err)
	}
	k.untilAll("asked", j)
	k.create(j.Gate)
	k.await("a second Shutdown to return")
	if err := s.Shutdown(k.ctx); err != nil {
		k.violated("a second Shutdown = %v; want nil when the last call has ended", err)
	}
	if got, err := f.Result(ended); got != "lingered" || err != nil {
		k.violated("Result of a call that outlasts Shutdown = %q, %v; want what it returned, %q, nil", got, err, "lingered")
	}
}

func shutdownInside(k *trial) {
	s := need[shutdowner](k, "Shutdown(context.Context) error")
	k.needVisits()
	release := make(chan struct{})
	if !k.inline {
		k.visit(k.ctx, func(context.Context) (int, error) { <-release; return 0, nil })
	}
	var fs []*executor.Future[int]
	for range 2 { // two calls must not wait for each other either
		fs = append(fs, k.visit(k.ctx, func(ctx context.Context) (int, error) { return 1, s.Shutdown(ctx) }))
	}
	close(release)
	for i, f := range fs {
		_, err := result(k, "a call that shuts down its own executor", f)
		if err != nil && !(i > 0 && errors.Is(err, executor.ErrShutdown)) {
			k.violated("Shutdown from inside call %d, with its ctx = %v; want nil", i, err)
		}
	}
}
