package main

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"
)

// A contender is one line of a row: a library, measured at what the row is about.
type contender struct {
	name string
	// open makes it ready. The first measure after that is not counted.
	open func(ctx context.Context) (leaf, error)
}

// A leaf is a contender that is ready.
type leaf struct {
	// measure does the work once, checks its results outside of the timing, and
	// returns what it cost.
	measure func(ctx context.Context) (cost, error)
	close   func()
}

// A cost is what one call took: time in nanoseconds, or memory in bytes, as the unit
// of its row says.
type cost struct {
	value  float64
	allocs float64 // allocations of a call, -1 if they are not counted
	bytes  float64 // that they have
}

func uncounted(value float64) cost { return cost{value: value, allocs: -1} }

// timed returns what each of the n calls cost that f makes.
func timed(n int, f func() error) (cost, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	err := f()
	spent := time.Since(begin)
	runtime.ReadMemStats(&after)
	each := func(total uint64) float64 { return float64(total) / float64(n) }
	return cost{each(uint64(spent)), each(after.Mallocs - before.Mallocs), each(after.TotalAlloc - before.TotalAlloc)}, err
}

// A row is one thing that is measured, and who is measured at it.
type row struct {
	name  string
	unit  unit
	ours  contender
	peers []contender
	// goals has, by the name of a peer, the ratio of this library's cost to the
	// peer's that is to be reached: at most that.
	goals map[string]float64
	// maxAllocs is how many allocations a call of this library may have; 0: no matter.
	maxAllocs float64
}

// withGoal returns the row with one more goal.
func (r row) withGoal(peer string, ratio float64) row {
	goals := map[string]float64{peer: ratio}
	maps.Copy(goals, r.goals)
	r.goals = goals
	return r
}

// withAllocs returns the row with a goal for the allocations of a call.
func (r row) withAllocs(most float64) row {
	r.maxAllocs = most
	return r
}

// results are the costs of the contenders of a row, the first of which is this library.
type results struct {
	row    row
	names  []string
	costs  [][]cost // by contender, then by round
	failed []error  // of the contenders that are not there because they failed
}

// measureRow measures the contenders of r, in turn: in each round all of them, and
// each round begins with another, so that nobody always pays for another's garbage. A
// peer that fails is left out; if this library does, the row has failed.
func measureRow(ctx context.Context, r row, rounds int) (results, error) {
	all := slices.Concat([]contender{r.ours}, r.peers)
	measured := results{row: r}
	leaves, costs := make([]leaf, len(all)), make([][]cost, len(all))
	fail := func(i int, err error) error {
		err = fmt.Errorf("%s: %w", all[i].name, err)
		if i == 0 || ctx.Err() != nil {
			return err
		}
		leaves[i].measure = nil
		measured.failed = append(measured.failed, err)
		return nil
	}
	for i, c := range all {
		l, err := c.open(ctx)
		if err != nil {
			if err = fail(i, err); err != nil {
				return measured, err
			}
			continue
		}
		defer l.close()
		leaves[i] = l
	}
	for round := -1; round < rounds; round++ { // the first warms up, and is not counted
		for _, i := range turn(round, len(all)) {
			if leaves[i].measure == nil {
				continue
			}
			if err := ctx.Err(); err != nil {
				return measured, err
			}
			runtime.GC()
			c, err := leaves[i].measure(ctx)
			if err != nil {
				if err = fail(i, err); err != nil {
					return measured, err
				}
			} else if round >= 0 {
				costs[i] = append(costs[i], c)
			}
		}
	}
	for i, l := range leaves {
		if l.measure != nil {
			measured.names, measured.costs = append(measured.names, all[i].name), append(measured.costs, costs[i])
		}
	}
	return measured, nil
}

// turn returns the order of n contenders in a round: each round begins with the next
// one, and every other round goes backwards, so that each comes behind different ones.
func turn(round, n int) []int {
	step := 1
	if round%2 != 0 {
		step = -1
	}
	order := make([]int, n)
	for i := range order {
		order[i] = ((round+step*i)%n + n) % n
	}
	return order
}

// values returns the costs of a contender, in the unit of the row.
func (r results) values(contender int) []float64 {
	return collect(r.costs[contender], func(c cost) float64 { return c.value })
}

// ratios returns, for each round, the cost of this library divided by that of a
// contender: what disturbs a whole round disturbs both.
func (r results) ratios(contender int) []float64 {
	ours, theirs := r.values(0), r.values(contender)
	ratios := make([]float64, len(ours))
	for i := range ours {
		ratios[i] = ours[i] / theirs[i]
	}
	return ratios
}

func collect[T any](from []T, f func(T) float64) []float64 {
	out := make([]float64, len(from))
	for i, v := range from {
		out[i] = f(v)
	}
	return out
}

// median returns the value in the middle, or the mean of the two that are there.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// spread returns how far the values lie apart, as a part of their median.
func spread(values []float64) float64 {
	return (slices.Max(values) - slices.Min(values)) / median(values)
}

// margin is what a goal may be missed by, because a ratio of one run is not exact.
const margin = 1.3

// A verdict says whether a goal is met.
type verdict string

const (
	met    verdict = "met"
	nearly verdict = "within 1.3"
	missed verdict = "MISSED"

	unknown verdict = "" // the peer is not there
)

// judge returns whether the ratio is at most the goal, or the goal and the margin.
func judge(ratio, goal float64) verdict {
	switch {
	case ratio <= goal:
		return met
	case ratio <= goal*margin:
		return nearly
	}
	return missed
}
