package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// sizes are how much is done for one measure.
type sizes struct {
	submit, one, pile          int // calls
	items, worked, skew        int // of the maps
	small                      int // items of all small maps together
	processSubmit, processOne  int // calls of this library's processes
	pythonSubmit, pythonOne    int // and of CPython's
	numbers, records           int // of the maps of processes
	big                        int // bytes of the big argument
	bigCalls, starts           int
	skewMicros                 float64 // what an item of the skewed map takes
	sweepBudget                time.Duration
	sweepMaxCalls, sweepPython int
	growMax                    int // calls of -grow
	workers                    []int
}

var (
	fullSizes = sizes{
		submit: 100_000, one: 20_000, pile: 200_000,
		items: 1_000_000, worked: 100_000, skew: 10_000, small: 2_000_000,
		processSubmit: 100_000, processOne: 2_000, pythonSubmit: 5_000, pythonOne: 500,
		numbers: 1_000_000, records: 100_000,
		big: 64 << 20, bigCalls: 3, starts: 3, skewMicros: 10,
		sweepBudget: 50 * time.Millisecond, sweepMaxCalls: 100_000, sweepPython: 2_000, growMax: 10_000_000, workers: []int{1, 2, 4, 16, 64},
	}
	quickSizes = sizes{
		submit: 2_000, one: 200, pile: 5_000,
		items: 50_000, worked: 2_000, skew: 500, small: 20_000,
		processSubmit: 2_000, processOne: 50, pythonSubmit: 100, pythonOne: 20,
		numbers: 20_000, records: 2_000,
		big: 4 << 20, bigCalls: 1, starts: 1, skewMicros: 5,
		sweepBudget: 3 * time.Millisecond, sweepMaxCalls: 2_000, sweepPython: 100, growMax: 10_000, workers: []int{1, 4},
	}
)

// peers are the contenders of this library's goroutines, and waiters those that make
// one call at a time.
var (
	peers   = []poolKind{pondPool, channelFutures, antsPool, concPool, workerPool, errGroup, goroutines}
	waiters = []poolKind{ourPool, goAndChannel, channelFutures, pondPool, antsPool, concPool, workerPool, errGroup}
)

// goroutineRows are the rows of what runs in this process.
func goroutineRows(s sizes) []row {
	workers := runtime.GOMAXPROCS(0)
	steps := stepsPerMicrosecond()
	tiny := itemsOf(s.submit, 0)
	million := itemsOf(s.items, 0)
	worked := itemsOf(s.worked, int64(steps))
	skewedAnywhere := skewed(s.skew, int64(s.skewMicros*steps), false)
	skewedAtTheEnd := skewed(s.skew, int64(s.skewMicros*steps), true)

	rows := []row{
		submitRow("submit and result, 1 producer", peers, workers, 1, tiny).
			withGoal(pondPool.name, 0.2).withGoal(channelFutures.name, 0.5).withAllocs(1),
		submitRow("submit and result, 8 producers", peers, workers, 8, tiny).
			withGoal(pondPool.name, 0.15).withGoal(channelFutures.name, 0.6).withAllocs(1),
		oneRow("one call at a time", waiters, workers, s.one).
			withGoal(goAndChannel.name, 0.3),
		pileRow("memory of a call that waits", []poolKind{pondPool, workerPool, goroutines}, workers, itemsOf(s.pile, 0)).
			withGoal(pondPool.name, 0.25),
		mapRow("pool.Map, "+count(s.items)+" cheap items", ourPoolMap,
			[]mapKind{concMap, chunkedErrgroup, chunkedErrgroupIn, plainLoop, errgroupMap, antsMap, pondMap}, workers, 1, million, cheap).
			withGoal(concMap.name, 0.1).withGoal(chunkedErrgroup.name, 1.1),
		mapRow("parallel.Map, "+count(s.items)+" cheap items", ourParallelMap,
			[]mapKind{concMap, chunkedErrgroup, chunkedErrgroupIn, plainLoop}, workers, 1, million, cheap).
			withGoal(concMap.name, 0.1).withGoal(chunkedErrgroup.name, 1.1),
	}
	for _, small := range []struct {
		n    int
		goal float64
	}{{1, 0.2}, {100, 0.7}, {1000, 0.6}} {
		repeat := max(1, min(s.small/100, s.small/small.n))
		r := mapRow("map of "+count(small.n)+" items", ourHelpedPoolMap,
			[]mapKind{ourHelpedMapSlice, ourPoolMap, ourParallelMap, concMap, chunkedErrgroup, plainLoop}, workers, repeat, million[:small.n], cheap)
		r.unit = perMap
		rows = append(rows, r.withGoal(concMap.name, small.goal))
	}

	for _, long := range []struct {
		name  string
		items []int64
		goal  float64
	}{
		{"pool.Map, items of 1 µs", worked, 1.03},
		{"pool.Map, 1 % of items cost 100 times", skewedAnywhere, 1.05},
		{"pool.Map, the last 1 % cost 100 times", skewedAtTheEnd, 1.05},
	} {
		r := mapRow(long.name, ourPoolMap, []mapKind{concMap, chunkedErrgroup, errgroupMap}, workers, 1, long.items, working)
		ideal := idealContender(workers, long.items)
		r.peers = slices.Insert(r.peers, 0, ideal)
		rows = append(rows, r.withGoal(ideal.name, long.goal))
	}
	return rows
}

func submitRow(name string, peers []poolKind, workers, producers int, items []int64) row {
	r := row{name: name, unit: perCall, ours: runContender(ourPool, workers, producers, items, len(items))}
	for _, k := range peers {
		r.peers = append(r.peers, runContender(k, workers, producers, items, len(items)))
	}
	return r
}

// runContender makes n calls. Those of all items are submitted at once, and then their
// results are taken, as often as it needs for so many calls.
func runContender(k poolKind, workers, producers int, items []int64, n int) contender {
	return contender{k.name, func(context.Context) (leaf, error) {
		p, err := k.open(workers)
		if err != nil {
			return leaf{}, err
		}
		check := checkResults
		if _, ok := p.(unorderedPool); ok {
			check = checkUnordered
		}
		out := make([]int64, len(items))
		return leaf{func(ctx context.Context) (cost, error) {
			clear(out)
			now := 0 // how many were submitted at once, the last time
			c, err := timed(n, func() error {
				for left := n; left > 0 && ctx.Err() == nil; left -= now {
					now = min(left, len(items))
					if err := p.run(items[:now], out[:now], producers); err != nil {
						return err
					}
				}
				return ctx.Err()
			})
			if err == nil {
				err = check(items[:now], out[:now])
			}
			return c, err
		}, p.close}, nil
	}}
}

func oneRow(name string, peers []poolKind, workers, n int) row {
	r := row{name: name, unit: perCall, ours: oneContender(ourHelpedPool, workers, n)}
	for _, k := range peers {
		r.peers = append(r.peers, oneContender(k, workers, n))
	}
	return r
}

// oneContender makes n calls, each when the one before it has ended.
func oneContender(k poolKind, workers, n int) contender {
	return contender{k.name, func(context.Context) (leaf, error) {
		p, err := k.open(workers)
		if err != nil {
			return leaf{}, err
		}
		return leaf{func(context.Context) (cost, error) {
			return timed(n, func() error {
				for i := range n {
					v, err := p.one(int64(i))
					if err != nil {
						return err
					} else if v != int64(i)+1 {
						return fmt.Errorf("the result is %d; want %d", v, i+1)
					}
				}
				return nil
			})
		}, p.close}, nil
	}}
}

func pileRow(name string, peers []poolKind, workers int, items []int64) row {
	r := row{name: name, unit: bytesPerCall, ours: pileContender(ourPool, workers, items)}
	for _, k := range peers {
		r.peers = append(r.peers, pileContender(k, workers, items))
	}
	return r
}

// pileContender measures what calls hold that wait for busy workers, and what their
// submitter holds of them; stacks of goroutines count.
func pileContender(k poolKind, workers int, items []int64) contender {
	return contender{k.name, func(context.Context) (leaf, error) {
		out := make([]int64, len(items))
		return leaf{func(context.Context) (cost, error) {
			p, err := k.open(workers) // another one each time, so that nothing is there from before
			if err != nil {
				return cost{}, err
			}
			defer p.close()
			clear(out)
			gate := make(chan struct{})
			before := liveBytes()
			wait := p.(pilingPool).pile(items, out, gate)
			held := liveBytes() - before
			close(gate)
			if err := wait(); err != nil {
				return cost{}, err
			}
			return uncounted(held / float64(len(items))), checkResults(items, out)
		}, func() {}}, nil
	}}
}

// liveBytes returns the memory that is in use.
func liveBytes() float64 {
	runtime.GC()
	runtime.GC() // what the first has found to be garbage is swept
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}

func mapRow(name string, ours mapKind, peers []mapKind, workers, repeat int, items []int64, f function) row {
	r := row{name: name, unit: perItem, ours: mapContender(ours, workers, repeat, items, f)}
	for _, k := range peers {
		r.peers = append(r.peers, mapContender(k, workers, repeat, items, f))
	}
	return r
}

// mapContender maps the items, as often as it is to be repeated. It is the cost of an
// item that is measured, or of a map if it is repeated.
func mapContender(k mapKind, workers, repeat int, items []int64, f function) contender {
	n := repeat
	if repeat == 1 {
		n = len(items)
	}
	return contender{k.name, func(context.Context) (leaf, error) {
		m, err := k.open(workers)
		if err != nil {
			return leaf{}, err
		}
		return leaf{func(context.Context) (cost, error) {
			var out []int64
			c, err := timed(n, func() (err error) {
				for range repeat {
					if out, err = m.do(items, f); err != nil {
						return err
					}
				}
				return nil
			})
			if err == nil {
				err = checkResults(items, out)
			}
			return c, err
		}, m.close}, nil
	}}
}

// idealContender is what the items would take if they were shared perfectly.
func idealContender(workers int, items []int64) contender {
	return contender{"the ideal", func(context.Context) (leaf, error) {
		return leaf{func(context.Context) (cost, error) {
			return uncounted(float64(idealTime(items, workers)) / float64(len(items))), nil
		}, func() {}}, nil
	}}
}

// count returns n as in 1,000,000.
func count(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", count(n/1000), n%1000)
}
