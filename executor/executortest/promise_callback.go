package executortest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/gofutures/futures/executor"
)

// callbackPromises are about OnDone (D10). That a panic of a callback goes no
// further is a promise of the future, whatever the executor.
var callbackPromises = []promise{
	{id: "D10, CB-01, CB-02, CB-05", says: "callbacks run once each, in the order of registration", check: callbacksInOrder},
	{id: "D10, CB-09", says: "a callback that blocks holds up no other call", check: blockedCallback},
	{id: "D10, CB-09", says: "a callback of a cancelled call that blocks holds up no other call", check: blockedCancelCallback},
	{id: "D10, CB-06, CB-08", says: "a callback may submit and wait", workers: 1, check: callbackSubmits},
}

func callbacksInOrder(k *trial) {
	gate := k.newGate()
	collect := k.launch(k.ctx, k.job("call", gate))
	if k.inline {
		k.create(gate) // or nobody gets the future
	}
	f := collect()[0]
	const n = 50
	var mu sync.Mutex
	var order []int
	all := make(chan struct{})
	for i := range n {
		if i == n/2 {
			k.create(gate) // the second half races with the end of the call
		}
		f.OnDone(func(done *executor.Future[string]) {
			mu.Lock()
			defer mu.Unlock()
			if order = append(order, i); len(order) == n {
				close(all)
			}
			if done != f || done.State() != executor.Finished {
				k.violated("callback %d was called with %v; want its future, finished", i, done)
			}
		})
	}
	receive(k, all, "%d callbacks", n)
	finish(k, "a later call", executor.Submit(k.ctx, k.ex, echo, 1))
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(order, numbers(n)) {
		k.violated("callbacks have run in the order %v; want 0 to %d, each once", order, n-1)
	}
}

func blockedCallback(k *trial) {
	k.needFuture() // else OnDone calls it
	j := k.job("call", k.newGate())
	f := executor.Submit(k.ctx, k.ex, work, j)
	blocked, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	f.OnDone(func(*executor.Future[string]) {
		close(blocked)
		<-release
	})
	k.untilAll("start", j)
	k.create(j.Gate)
	receive(k, blocked, "a callback")
	fs := make([]*executor.Future[int], 3*k.ex.Workers()+3)
	for i := range fs {
		fs[i] = executor.Submit(k.ctx, k.ex, echo, i)
	}
	finish(k, "a call while the callback of another blocks", fs...)
}

// blockedCancelCallback is about executors that cancel a call whose ctx ends on
// a goroutine that has more to do.
func blockedCancelCallback(k *trial) {
	gate, _ := k.occupy()
	ctx, cancel := context.WithCancel(k.ctx)
	defer cancel()
	blocked, release := make(chan struct{}, 2), make(chan struct{})
	defer close(release)
	for range 2 {
		executor.Submit(ctx, k.ex, echo, 1).OnDone(func(*executor.Future[int]) {
			blocked <- struct{}{}
			<-release
		})
	}
	another, cancelAnother := context.WithCancel(k.ctx)
	defer cancelAnother()
	other := executor.Submit(another, k.ex, echo, 2)
	cancel()
	receive(k, blocked, "the callback of a call whose ctx has ended")
	receive(k, blocked, "the callback of another call with the same ctx")
	cancelAnother()
	finish(k, "a call whose ctx has ended while callbacks of others block", other)
	k.create(gate)
	finish(k, "a call while callbacks of others block", executor.Submit(k.ctx, k.ex, echo, 3))
}

func callbackSubmits(k *trial) {
	const chain = 50
	var made atomic.Int64
	ended := make(chan struct{})
	var next func(*executor.Future[int])
	next = func(f *executor.Future[int]) {
		if n, err := f.Result(k.ctx); n != int(made.Load()) || err != nil {
			k.violated("Result in callback %d = %d, %v; want %d, nil", made.Load(), n, err, made.Load())
		}
		if n := made.Add(1); n < chain {
			executor.Submit(k.ctx, k.ex, echo, int(n)).OnDone(next)
			return
		}
		close(ended)
	}
	executor.Submit(k.ctx, k.ex, echo, 0).OnDone(next)
	receive(k, ended, "%d calls, each submitted by the callback of the one before", chain)
}
