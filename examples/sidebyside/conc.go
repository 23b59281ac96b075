package main

import (
	"github.com/sourcegraph/conc/iter"
	concpool "github.com/sourcegraph/conc/pool"
)

// github.com/sourcegraph/conc. A pool is for one batch of calls, Go blocks while all
// workers are busy, and the results of version 0.3.0 come in the order in which the
// calls end.

var concPool = poolKind{"conc ResultPool", func(workers int) (pool, error) { return concResults{workers}, nil }}

type concResults struct{ workers int }

func (c concResults) run(items, out []int64, producers int) error {
	p := concpool.NewWithResults[int64]().WithMaxGoroutines(c.workers)
	err := produce(len(items), producers, func(from, to int) error {
		for _, x := range items[from:to] {
			p.Go(func() int64 { return call(x) })
		}
		return nil
	})
	copy(out, p.Wait())
	return err
}

func (c concResults) one(item int64) (int64, error) {
	p := concpool.NewWithResults[int64]().WithMaxGoroutines(c.workers)
	p.Go(func() int64 { return call(item) })
	return p.Wait()[0], nil
}

func (concResults) unordered() {}
func (concResults) close()     {}

var concMap = mapKind{"conc iter.Map", func(workers int) (mapping, error) {
	return kept(func(items []int64, f function) ([]int64, error) {
		m := iter.Mapper[int64, int64]{MaxGoroutines: workers}
		return m.Map(items, func(x *int64) int64 { return f.plain(*x) }), nil
	})
}}
