package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
)

// A sweep measures the same row with different values of one thing: how the costs grow.
type sweep struct {
	name   string // also of the plot's file, with hyphens
	unit   unit
	by     string // what the values are
	values []int
	format func(int) string
	row    func(value int) row
	// around prepares for a value and returns what undoes that; it may be nil.
	around func(value int) (undo func())
	rises  bool // the cost is to rise with the value
}

// A curve is how the cost of one contender grows: a cost for each value.
type curve struct {
	name   string
	points []point
}

type point struct {
	value int
	cost  float64
}

// measureSweep measures all values. A contender that is not measured at some value, or
// fails there, has no point there.
func measureSweep(ctx context.Context, s sweep, rounds int) (curves []curve, failed []error, _ error) {
	for _, v := range s.values {
		measured, err := measureAt(ctx, s, v, rounds)
		if err != nil {
			return nil, nil, fmt.Errorf("%s %s: %w", s.by, s.format(v), err)
		}
		failed = append(failed, measured.failed...)
		for i, name := range measured.names {
			at := slices.IndexFunc(curves, func(c curve) bool { return c.name == name })
			if at < 0 {
				at, curves = len(curves), append(curves, curve{name: name})
			}
			curves[at].points = append(curves[at].points, point{v, median(measured.values(i))})
		}
	}
	return curves, failed, nil
}

func measureAt(ctx context.Context, s sweep, value, rounds int) (results, error) {
	if s.around != nil {
		defer s.around(value)()
	}
	return measureRow(ctx, s.row(value), rounds)
}

// printSweep prints a line for each contender, with the cost at each value and, if it is
// to be flat, the greatest cost as a multiple of the smallest: 1 is flat.
func printSweep(w io.Writer, s sweep, curves []curve) {
	fmt.Fprintf(w, "\n%s: %s, by %s\n%-28s", s.name, s.unit, s.by, "")
	for _, v := range s.values {
		fmt.Fprintf(w, "%11s", s.format(v))
	}
	if !s.rises {
		fmt.Fprintf(w, "%11s", "max/min")
	}
	fmt.Fprintln(w)
	for _, c := range curves {
		fmt.Fprintf(w, "  %-26s", c.name)
		for _, v := range s.values {
			cell := "-"
			if i := slices.IndexFunc(c.points, func(p point) bool { return p.value == v }); i >= 0 {
				cell = s.unit.format(c.points[i].cost)
			}
			fmt.Fprint(w, pad(cell, 11))
		}
		costs := collect(c.points, func(p point) float64 { return p.cost })
		if !s.rises {
			fmt.Fprintf(w, "%11s", digits(slices.Max(costs)/slices.Min(costs)))
		}
		fmt.Fprintln(w)
	}
}

// plotSweeps are what is plotted: by the number of workers, and by the size of a call.
func plotSweeps(s sizes, ps *pythons) []sweep {
	steps := stepsPerMicrosecond()
	callSizes := []int{1_000, 10_000, 100_000, 1_000_000}
	formatSize := func(ns int) string { return perCall.format(float64(ns)) }
	tiny := itemsOf(s.sweepMaxCalls, 0)
	tinyProcess := itemsOf(min(10*s.sweepPython, s.sweepMaxCalls), 0)
	// So many calls of a size take about as long as the budget, on all workers.
	budget := func(ns, most, workers int) int {
		n := int(s.sweepBudget) * workers / ns
		return max(10*workers, min(most, n))
	}
	return []sweep{
		{
			name: "goroutines by workers", unit: perCall, by: "workers", values: s.workers, format: count,
			row: func(workers int) row { return submitRow("", peers, workers, 1, tiny) },
		},
		{
			name: "goroutines by size", unit: perCall, by: "the size of a call", values: callSizes, format: formatSize, rises: true,
			row: func(ns int) row {
				workers := runtime.GOMAXPROCS(0)
				return submitRow("", peers, workers, 1, itemsOf(budget(ns, s.sweepMaxCalls, workers), int64(float64(ns)/1000*steps)))
			},
		},
		{
			name: "processes by workers", unit: perCall, by: "workers", values: s.workers, format: count,
			row: func(workers int) row {
				return row{ours: processSubmit(workers, tinyProcess), peers: ps.all("", order{"submit", workers, s.sweepPython, 0})}
			},
		},
		{
			name: "processes by size", unit: perCall, by: "the size of a call", values: callSizes, format: formatSize, rises: true,
			row: func(ns int) row {
				items := itemsOf(budget(ns, s.sweepMaxCalls, processWorkers), int64(float64(ns)/1000*steps))
				n := budget(ns, s.sweepPython, processWorkers)
				return row{ours: processSubmit(processWorkers, items), peers: ps.all("", order{"submit", processWorkers, n, ns})}
			},
		},
	}
}

// growSweeps are the sweeps of -grow, the calls of which are in flight at once, up to a
// limit.
func growSweeps(s sizes, ps *pythons, inFlight int) []sweep {
	here := runtime.GOMAXPROCS(0)
	numbers := itemsOf(min(inFlight, s.growMax), 0)
	tiny := numbers[:min(len(numbers), s.submit)]
	calls := powers(10, 1_000, s.growMax)
	procs := powers(2, 1, runtime.NumCPU())
	if last := runtime.NumCPU(); procs[len(procs)-1] != last {
		procs = append(procs, last)
	}
	setProcs := func(n int) (undo func()) {
		before := runtime.GOMAXPROCS(n)
		return func() { runtime.GOMAXPROCS(before) }
	}

	submit := func(producers int) func(workers int) row {
		return func(workers int) row { return submitRow("", peers, workers, producers, tiny) }
	}
	one := func(workers int) row {
		return oneRow("", waiters, workers, s.one)
	}
	cheapMap := func(workers int) row {
		return mapRow("", ourPoolMap, []mapKind{concMap, chunkedErrgroup}, workers, 1, numbers[:min(len(numbers), s.items)], cheap)
	}
	many := func(producers int) func(n int) row {
		return func(n int) row {
			var r row
			contenderOf := func(k poolKind) contender {
				return runContender(k, here, producers, numbers[:min(n, len(numbers))], max(n, s.submit))
			}
			r.ours = contenderOf(ourPool)
			for _, k := range peers {
				if n <= s.submit || k.name == pondPool.name || k.name == channelFutures.name { // all would take an hour
					r.peers = append(r.peers, contenderOf(k))
				}
			}
			return r
		}
	}
	python := func(workers, n int) []contender {
		if n > 10*s.pythonSubmit { // it would take minutes
			return nil
		}
		return ps.all("", order{"submit", workers, n, 0})
	}

	return []sweep{
		{name: "submit and result, 1 producer, by workers", unit: perCall, by: "workers", values: s.workers, format: count, row: submit(1)},
		{name: "submit and result, 8 producers, by workers", unit: perCall, by: "workers", values: s.workers, format: count, row: submit(8)},
		{name: "one call at a time, by workers", unit: perCall, by: "workers", values: s.workers, format: count, row: one},
		{name: "pool.Map of cheap items, by workers", unit: perItem, by: "workers", values: s.workers, format: count, row: cheapMap},
		{name: "submit and result, 1 producer, by calls", unit: perCall, by: "calls", values: calls, format: count, row: many(1)},
		{name: "submit and result, 8 producers, by calls", unit: perCall, by: "calls", values: calls, format: count, row: many(8)},
		{name: "submit and result, 1 producer, by GOMAXPROCS", unit: perCall, by: "GOMAXPROCS, and as many workers", values: procs, format: count, row: submit(1), around: setProcs},
		{name: "submit and result, 8 producers, by GOMAXPROCS", unit: perCall, by: "GOMAXPROCS, and as many workers", values: procs, format: count, row: submit(8), around: setProcs},
		{name: "one call at a time, by GOMAXPROCS", unit: perCall, by: "GOMAXPROCS, and as many workers", values: procs, format: count, row: one, around: setProcs},
		{name: "pool.Map of cheap items, by GOMAXPROCS", unit: perItem, by: "GOMAXPROCS, and as many workers", values: procs, format: count, row: cheapMap, around: setProcs},
		{
			name: "processes, submit and result, by workers", unit: perCall, by: "workers", values: s.workers, format: count,
			row: func(workers int) row {
				return row{ours: processSubmit(workers, tiny), peers: python(workers, s.pythonSubmit)}
			},
		},
		{
			name: "processes, submit and result, by calls", unit: perCall, by: "calls", values: calls[:max(1, len(calls)-1)], format: count,
			row: func(n int) row {
				return row{ours: processSubmit(processWorkers, numbers[:min(n, len(numbers))]), peers: python(processWorkers, n)}
			},
		},
	}
}

// powers returns from, from times base and so on, up to a limit.
func powers(base, from, to int) []int {
	out := []int{from}
	for v := from * base; v <= to; v *= base {
		out = append(out, v)
	}
	return out
}
