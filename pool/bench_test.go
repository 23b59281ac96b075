package pool_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/pool"
)

//go:noinline
func oneMore(_ context.Context, x int) (int, error) { return x + 1, nil }

// nanoseconds returns how long each of the n items takes that f makes.
func nanoseconds(n int, f func()) float64 {
	begin := time.Now()
	f()
	return float64(time.Since(begin).Nanoseconds()) / float64(n)
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// BenchmarkMap makes 1,000,000 items with Map and with MapSlice of the executor
// that is behind it, in turn. The figures are medians of the rounds: the cost of an
// item with both, and the ratio of the first to the second, which is to be 1.
//
//	go test -run '^$' -bench Map -benchtime 15x ./pool
func BenchmarkMap(b *testing.B) {
	const n = 1_000_000
	in := make([]int, n)
	for _, row := range []struct {
		name string
		opts []pool.Option
		same []executor.MapOption
	}{
		{"own chunks", nil, nil},
		{"chunks of 100", []pool.Option{pool.ChunkSize(100)}, []executor.MapOption{executor.ChunkSize(100)}},
		{"CollectErrors", []pool.Option{pool.CollectErrors()}, nil},
	} {
		b.Run(row.name, func(b *testing.B) {
			ctx := context.Background()
			p := pool.Threads(2)
			defer p.Close()
			ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
			defer ex.Close()
			ours := func() float64 {
				return nanoseconds(n, func() {
					if out, err := pool.Map(ctx, p, oneMore, in, row.opts...); len(out) != n || err != nil {
						b.Fatal(len(out), err)
					}
				})
			}
			theirs := func() float64 {
				return nanoseconds(n, func() {
					if out, err := executor.MapSlice(ctx, ex, oneMore, in, row.same...); len(out) != n || err != nil {
						b.Fatal(len(out), err)
					}
				})
			}
			alternate(b, ours, theirs, "MapSlice-ns/item")
		})
	}
}

// BenchmarkImap makes 100,000 items, as BenchmarkMap does, beside executor.Map.
func BenchmarkImap(b *testing.B) {
	const n = 100_000
	in := make([]int, n)
	for _, row := range []struct {
		name string
		opts []pool.Option
		same []executor.MapOption
	}{
		{"one by one", nil, nil},
		{"chunks of 100", []pool.Option{pool.ChunkSize(100)}, []executor.MapOption{executor.ChunkSize(100)}},
	} {
		b.Run(row.name, func(b *testing.B) {
			ctx := context.Background()
			p := pool.Threads(2)
			defer p.Close()
			ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
			defer ex.Close()
			ours := func() float64 {
				return nanoseconds(n, func() {
					for _, err := range pool.Imap(ctx, p, oneMore, slices.Values(in), row.opts...) {
						if err != nil {
							b.Fatal(err)
						}
					}
				})
			}
			theirs := func() float64 {
				return nanoseconds(n, func() {
					for _, err := range executor.Map(ctx, ex, oneMore, slices.Values(in), row.same...) {
						if err != nil {
							b.Fatal(err)
						}
					}
				})
			}
			alternate(b, ours, theirs, "executor.Map-ns/item")
		})
	}
}

// alternate makes rounds of both and reports their medians. Each is first in every
// other round: the second pays for the garbage of the first, up to 15 %.
func alternate(b *testing.B, ours, theirs func() float64, unit string) {
	ours()
	theirs()
	var costs, others, ratios []float64
	for b.Loop() {
		var cost, other float64
		if len(costs)%2 == 0 {
			cost, other = ours(), theirs()
		} else {
			other, cost = theirs(), ours()
		}
		costs, others, ratios = append(costs, cost), append(others, other), append(ratios, cost/other)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(costs), "ns/item")
	b.ReportMetric(median(others), unit)
	b.ReportMetric(median(ratios), "ratio")
}

// BenchmarkOne makes one item with Map, and with Apply, one after another.
func BenchmarkOne(b *testing.B) {
	lasting := context.Background()
	ending, cancel := context.WithCancel(lasting)
	defer cancel()
	helping := &executor.ThreadPoolExecutor{MaxWorkers: 2, WaitersHelp: true}
	defer helping.Close()
	resting := &executor.ThreadPoolExecutor{MaxWorkers: 2}
	defer resting.Close()
	in := []int{1}
	for _, kind := range []struct {
		name string
		p    *pool.Pool
	}{{"Threads", pool.Threads(2)}, {"Over", pool.Over(resting)}, {"Over with WaitersHelp", pool.Over(helping)}} {
		defer kind.p.Close()
		for _, row := range []struct {
			name string
			ctx  context.Context
		}{{"no end", lasting}, {"an end", ending}} {
			b.Run("Map/"+kind.name+"/"+row.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := pool.Map(row.ctx, kind.p, oneMore, in); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("Apply/"+kind.name+"/"+row.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := pool.Apply(row.ctx, kind.p, oneMore, 1); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
