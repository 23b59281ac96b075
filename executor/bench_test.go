package executor_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/gofutures/futures/executor"
)

// The benchmarks report what one call or one item costs. Bytes and allocations
// are of all goroutines together, which -benchmem does not see.

//go:noinline
func increment(_ context.Context, x int) (int, error) { return x + 1, nil }

// perItem runs f, which handles n items, b.N times.
func perItem(b *testing.B, n int, f func()) {
	f()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for b.Loop() {
		f()
	}
	runtime.ReadMemStats(&after)
	items := float64(b.N) * float64(n)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/items, "ns/item")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/items, "B/item")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/items, "allocs/item")
}

// BenchmarkSubmit submits 100,000 calls and then takes their results.
func BenchmarkSubmit(b *testing.B) {
	const n = 100_000
	futures := make([]*executor.Future[int], n)
	all := func(b *testing.B, ctx context.Context, ex executor.Executor) {
		perItem(b, n, func() {
			for i := range futures {
				futures[i] = executor.Submit(ctx, ex, increment, i)
			}
			for i, f := range futures {
				if v, err := f.Result(ctx); v != i+1 || err != nil {
					b.Fatalf("Result = %d, %v; want %d, nil", v, err, i+1)
				}
				futures[i] = nil
			}
		})
	}
	for _, workers := range []int{runtime.GOMAXPROCS(0), 4 * runtime.GOMAXPROCS(0)} {
		b.Run(fmt.Sprintf("ThreadPoolExecutor/workers=%d", workers), func(b *testing.B) {
			ex := &executor.ThreadPoolExecutor{MaxWorkers: workers}
			defer ex.Close()
			all(b, context.Background(), ex)
		})
	}
	b.Run("ThreadPoolExecutor/cancellable ctx", func(b *testing.B) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		ex := &executor.ThreadPoolExecutor{}
		defer ex.Close()
		all(b, ctx, ex)
	})
	b.Run("ThreadPerTask", func(b *testing.B) { all(b, context.Background(), &executor.ThreadPerTask{}) })
	b.Run("Sequential", func(b *testing.B) { all(b, context.Background(), &executor.Sequential{}) })
}

// BenchmarkOne submits one call and waits for it, beside a goroutine that sends
// on a channel.
func BenchmarkOne(b *testing.B) {
	ctx := context.Background()
	b.Run("go and channel", func(b *testing.B) {
		perItem(b, 1, func() {
			c := make(chan int, 1)
			go func() { v, _ := increment(ctx, 1); c <- v }()
			<-c
		})
	})
	one := func(ex executor.Executor) func(*testing.B) {
		return func(b *testing.B) {
			perItem(b, 1, func() {
				if v, err := executor.Submit(ctx, ex, increment, 1).Result(ctx); v != 2 || err != nil {
					b.Fatalf("Result = %d, %v; want 2, nil", v, err)
				}
			})
		}
	}
	ex := &executor.ThreadPoolExecutor{}
	defer ex.Close()
	b.Run("ThreadPoolExecutor", one(ex))
	b.Run("ThreadPerTask", one(&executor.ThreadPerTask{}))
	b.Run("Sequential", one(&executor.Sequential{}))
}

// BenchmarkMapSlice maps slices of cheap items.
func BenchmarkMapSlice(b *testing.B) {
	ex := &executor.ThreadPoolExecutor{}
	defer ex.Close()
	for _, n := range []int{1, 100, 10_000, 1_000_000} {
		in := numbers(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			perItem(b, n, func() {
				if out, err := executor.MapSlice(b.Context(), ex, increment, in); err != nil || out[n-1] != n {
					b.Fatalf("MapSlice = …%d, %v; want …%d, nil", out[n-1], err, n)
				}
			})
		})
	}
}

// BenchmarkMap ranges over a Map of 100,000 cheap items.
func BenchmarkMap(b *testing.B) {
	const n = 100_000
	in := numbers(n)
	ex := &executor.ThreadPoolExecutor{}
	defer ex.Close()
	for name, opts := range map[string][]executor.MapOption{
		"default":       nil,
		"Buffer(1024)":  {executor.Buffer(1024)},
		"ChunkSize(64)": {executor.ChunkSize(64), executor.Buffer(1024)},
		"Unordered":     {executor.Unordered()},
	} {
		b.Run(name, func(b *testing.B) {
			perItem(b, n, func() {
				items := 0
				for _, err := range executor.Map(context.Background(), ex, increment, slices.Values(in), opts...) {
					if err != nil {
						b.Fatal(err)
					}
					items++
				}
				if items != n {
					b.Fatalf("Map yielded %d items; want %d", items, n)
				}
			})
		})
	}
}

// BenchmarkPending measures what a call holds that waits behind a blocked
// worker, with the pointer to its future.
func BenchmarkPending(b *testing.B) {
	const n = 100_000
	for b.Loop() {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		gate := make(chan struct{})
		executor.Go(context.Background(), ex, func(context.Context) (int, error) { <-gate; return 0, nil })
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		futures := make([]*executor.Future[int], n)
		for i := range futures {
			futures[i] = executor.Submit(context.Background(), ex, increment, i)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/pending")
		close(gate)
		if _, err := executor.Gather(context.Background(), futures...); err != nil {
			b.Fatal(err)
		}
		ex.Close()
	}
	b.ReportMetric(0, "ns/op")
}
