package parallel_test

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/parallel"
)

//go:noinline
func oneMore(_ context.Context, x int) (int, error) { return x + 1, nil }

// BenchmarkMapBesideMapSlice has one million cheap items on goroutines. A line has
// the cost of parallel.Map and of executor.MapSlice, in turn, the ratio of the
// first to the second, and the ratio that is the goal: at most that. They are
// medians of the rounds:
//
//	go test -run '^$' -bench BesideMapSlice -benchtime 15x ./parallel
func BenchmarkMapBesideMapSlice(b *testing.B) {
	const n = 1_000_000
	ctx, in := context.Background(), upTo(n)
	ex := &executor.ThreadPoolExecutor{MaxWorkers: runtime.GOMAXPROCS(0)}
	defer ex.Close()
	both(b, 1.1,
		func() float64 {
			return perCall(b, n, func() ([]int, error) { return parallel.Map(ctx, -1, oneMore, in) })
		}, func() float64 {
			return perCall(b, n, func() ([]int, error) { return executor.MapSlice(ctx, ex, oneMore, in) })
		}, "ns/item", "mapslice-ns/item")
}

// perCall returns how many nanoseconds each of the n calls takes that f makes.
func perCall(b *testing.B, n int, f func() ([]int, error)) float64 {
	begin := time.Now()
	got, err := f()
	spent := time.Since(begin)
	if err != nil || len(got) != n {
		b.Fatalf("%d results, %v; want %d", len(got), err, n)
	}
	return float64(spent.Nanoseconds()) / float64(n)
}

// both reports ours and theirs, which are measured in turn, and the ratio.
func both(b *testing.B, goal float64, ours, theirs func() float64, unit, theirUnit string) {
	ours()
	theirs()
	var costs, peers, ratios []float64
	for b.Loop() {
		var cost, peer float64 // the second pays for the garbage of the first
		if len(costs)%2 == 0 {
			cost, peer = ours(), theirs()
		} else {
			peer, cost = theirs(), ours()
		}
		costs, peers, ratios = append(costs, cost), append(peers, peer), append(ratios, cost/peer)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(costs), unit)
	b.ReportMetric(median(peers), theirUnit)
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(goal, "ratio-goal")
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// BenchmarkBusy has items that take 20 µs, and skewed ones, of which each hundredth
// takes 100 times as long. The peer is a plain loop for each CPU, at once, with the
// same number of items of the same kind: a perfect division of the work.
//
//	go test -run '^$' -bench Busy -benchtime 15x ./parallel
func BenchmarkBusy(b *testing.B) {
	cpus := runtime.GOMAXPROCS(0)
	spins := spinsFor(20 * time.Microsecond)
	for _, row := range []struct {
		name  string
		goal  float64
		n     int
		spins func(i int) int // of item i
	}{
		{"even", 1.10, 4000, func(int) int { return spins }},
		{"skewed", 1.15, 4000, func(i int) int {
			if i%100 == 99 {
				return 50 * spins
			}
			return spins / 2
		}},
	} {
		in := make([]int, row.n/cpus*cpus)
		for i := range in {
			in[i] = row.spins(i)
		}
		mixed := slices.Clone(in)
		for i := range mixed { // a fixed order in which the long ones are anywhere
			j := (i * 7919) % len(mixed)
			mixed[i], mixed[j] = mixed[j], mixed[i]
		}
		ideal := func() float64 {
			begin := time.Now()
			var wg sync.WaitGroup
			for cpu := range cpus {
				wg.Go(func() {
					for i := cpu * len(in) / cpus; i < (cpu+1)*len(in)/cpus; i++ {
						_, _ = busy(context.Background(), in[i])
					}
				})
			}
			wg.Wait()
			return float64(time.Since(begin).Nanoseconds()) / float64(len(in))
		}
		ctx := context.Background()
		measure := func(name string, run func() ([]int, error)) {
			b.Run(row.name+"/"+name, func(b *testing.B) {
				both(b, row.goal, func() float64 { return perCall(b, len(mixed), run) }, ideal, "ns/item", "ideal-ns/item")
			})
		}
		measure("Map", func() ([]int, error) { return parallel.Map(ctx, -1, busy, mixed) })
		measure("Run", func() ([]int, error) { return parallel.Run(ctx, parallel.Jobs{N: -1}, source(busy, mixed)) })
	}
}

// source returns the calls of fn, as a generator.
func source(fn executor.Func[int, int], in []int) iter.Seq[parallel.Call[int]] {
	return func(yield func(parallel.Call[int]) bool) {
		for _, x := range in {
			if !yield(parallel.Delayed(fn, x)) {
				return
			}
		}
	}
}

// busy counts to n.
//
//go:noinline
func busy(_ context.Context, n int) (int, error) {
	sum := 0
	for i := range n {
		sum ^= i * sum
	}
	return sum, nil
}

// spinsFor returns the argument for which busy takes so long.
func spinsFor(d time.Duration) int {
	const n = 1_000_000
	best := time.Hour
	for range 20 {
		begin := time.Now()
		_, _ = busy(context.Background(), n)
		best = min(best, time.Since(begin))
	}
	return max(1, int(float64(n)*float64(d)/float64(best)))
}

// BenchmarkRun is what a call costs on goroutines, from a source that makes it.
func BenchmarkRun(b *testing.B) {
	const n = 100_000
	ctx := context.Background()
	for _, j := range []parallel.Jobs{{N: 1}, {N: 2}, {N: 2, BatchSize: 100}} {
		b.Run(fmt.Sprintf("N=%d BatchSize=%d", j.N, j.BatchSize), func(b *testing.B) {
			var costs []float64
			for b.Loop() {
				costs = append(costs, perCall(b, n, func() ([]int, error) { return parallel.Run(ctx, j, source(oneMore, upTo(n))) }))
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(costs), "ns/call")
		})
	}
}
