package main

import (
	"sync"

	"github.com/panjf2000/ants/v2"
)

// github.com/panjf2000/ants/v2. Submit blocks while all workers are busy, and calls
// have no results: the caller brings a slice and a WaitGroup.

var antsPool = poolKind{"ants Pool", func(workers int) (pool, error) {
	p, err := ants.NewPool(workers)
	return antsTasks{p}, err
}}

type antsTasks struct{ p *ants.Pool }

func (a antsTasks) run(items, out []int64, producers int) error {
	var wg sync.WaitGroup
	wg.Add(len(items))
	err := produce(len(items), producers, func(from, to int) error {
		for i := from; i < to; i++ {
			x := items[i]
			err := a.p.Submit(func() {
				out[i] = call(x)
				wg.Done()
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	wg.Wait()
	return nil
}

func (a antsTasks) one(item int64) (int64, error) {
	result := make(chan int64, 1)
	if err := a.p.Submit(func() { result <- call(item) }); err != nil {
		return 0, err
	}
	return <-result, nil
}

func (a antsTasks) close() { a.p.Release() }

var antsMap = mapKind{"ants Pool", func(workers int) (mapping, error) {
	p, err := ants.NewPool(workers)
	if err != nil {
		return mapping{}, err
	}
	do := func(items []int64, f function) ([]int64, error) {
		out := make([]int64, len(items))
		var wg sync.WaitGroup
		for i, x := range items {
			wg.Add(1)
			if err := p.Submit(func() { out[i] = f.plain(x); wg.Done() }); err != nil {
				return nil, err
			}
		}
		wg.Wait()
		return out, nil
	}
	return mapping{do, p.Release}, nil
}}
