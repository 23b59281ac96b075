package main

import "github.com/alitto/pond/v2"

// github.com/alitto/pond/v2. Submit never blocks, and each call of a ResultPool has
// a future.

var pondPool = poolKind{"pond ResultPool", func(workers int) (pool, error) {
	return &pondResults{p: pond.NewResultPool[int64](workers), workers: workers}, nil
}}

type pondResults struct {
	p       pond.ResultPool[int64]
	workers int
	tasks   []pond.ResultTask[int64]
}

func (p *pondResults) run(items, out []int64, producers int) error {
	p.tasks = grown(p.tasks, len(items))
	return produce(len(items), producers, func(from, to int) error {
		for i := from; i < to; i++ {
			x := items[i]
			p.tasks[i] = p.p.Submit(func() int64 { return call(x) })
		}
		for i := from; i < to; i++ {
			v, err := p.tasks[i].Wait()
			if err != nil {
				return err
			}
			out[i], p.tasks[i] = v, nil
		}
		return nil
	})
}

func (p *pondResults) one(item int64) (int64, error) {
	return p.p.Submit(func() int64 { return call(item) }).Wait()
}

func (p *pondResults) pile(items, out []int64, gate <-chan struct{}) (wait func() error) {
	for range p.workers {
		p.p.Submit(func() int64 { <-gate; return 0 })
	}
	tasks := make([]pond.ResultTask[int64], len(items))
	for i, x := range items {
		tasks[i] = p.p.Submit(func() int64 { return call(x) })
	}
	return func() (err error) {
		for i, t := range tasks {
			if out[i], err = t.Wait(); err != nil {
				return err
			}
		}
		return nil
	}
}

func (p *pondResults) close() { p.p.StopAndWait() }

var pondMap = mapKind{"pond ResultPool group", func(workers int) (mapping, error) {
	p := pond.NewResultPool[int64](workers)
	do := func(items []int64, f function) ([]int64, error) {
		group := p.NewGroup()
		for _, x := range items {
			group.Submit(func() int64 { return f.plain(x) })
		}
		return group.Wait()
	}
	return mapping{do, p.StopAndWait}, nil
}}
