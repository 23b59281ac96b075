package main

import (
	"sync"

	"github.com/gammazero/workerpool"
)

// github.com/gammazero/workerpool. Submit never blocks for long, and calls have no
// results: the caller brings a slice and a WaitGroup.

var workerPool = poolKind{"workerpool", func(workers int) (pool, error) {
	return workerPoolTasks{workerpool.New(workers)}, nil
}}

type workerPoolTasks struct{ p *workerpool.WorkerPool }

func (w workerPoolTasks) run(items, out []int64, producers int) error {
	var wg sync.WaitGroup
	wg.Add(len(items))
	err := produce(len(items), producers, func(from, to int) error {
		for i := from; i < to; i++ {
			x := items[i]
			w.p.Submit(func() {
				out[i] = call(x)
				wg.Done()
			})
		}
		return nil
	})
	wg.Wait()
	return err
}

func (w workerPoolTasks) one(item int64) (result int64, _ error) {
	w.p.SubmitWait(func() { result = call(item) })
	return result, nil
}

func (w workerPoolTasks) pile(items, out []int64, gate <-chan struct{}) (wait func() error) {
	for range w.p.Size() {
		w.p.Submit(func() { <-gate })
	}
	var wg sync.WaitGroup
	wg.Add(len(items))
	for i, x := range items {
		w.p.Submit(func() { out[i] = call(x); wg.Done() })
	}
	return func() error { wg.Wait(); return nil }
}

func (w workerPoolTasks) close() { w.p.StopWait() }
