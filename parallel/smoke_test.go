package parallel_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/parallel"
)

func init()                                     { executor.Register(inc); executor.Register(hang) }
func inc(_ context.Context, x int) (int, error) { return x + 1, nil }
func hang(ctx context.Context, x int) (int, error) {
	if x == 1 {
		select {}
	}
	return x, nil
}

func seq(n int) func(func(parallel.Call[int]) bool) {
	return func(yield func(parallel.Call[int]) bool) {
		for i := range n {
			if !yield(parallel.Delayed(inc, i)) {
				return
			}
		}
	}
}

func TestSmoke(t *testing.T) {
	for _, j := range []parallel.Jobs{{N: 1}, {N: 2}, {N: -1}, {N: 2, Backend: "processes"}, {N: 2, BatchSize: 7}, {N: 2, PreDispatch: -1}, {N: 2, Backend: "processes", BatchSize: 10}, {N: 2, Executor: &executor.ThreadPerTask{}}, {N: 2, Verbose: 10, Output: os.Stderr}, {N: 1, Verbose: 10, Output: os.Stderr}, {N: 2, Verbose: 10, Output: os.Stderr, Backend: "loky"}} {
		n := 1000
		if j.Verbose > 0 {
			n = 20
		}
		out, err := parallel.Run(t.Context(), j, seq(n))
		if err != nil || len(out) != n {
			t.Fatal(j, len(out), err)
		}
		for i, v := range out {
			if v != i+1 {
				t.Fatal(i, v)
			}
		}
		i := 0
		for v, err := range parallel.Stream(t.Context(), j, seq(n)) {
			i++
			if v != i || err != nil {
				t.Fatal(v, i, err)
			}
		}
		if i != n {
			t.Fatal(i)
		}
	}
	begin := time.Now()
	out, err := parallel.Run(t.Context(), parallel.Jobs{N: 2, Backend: "processes", Timeout: 100 * time.Millisecond, OnError: parallel.CollectErrors}, func(yield func(parallel.Call[int]) bool) {
		for i := range 5 {
			if !yield(parallel.Delayed(hang, i)) {
				return
			}
		}
	})
	fmt.Println(out, fmt.Sprintf("%.200s", err), time.Since(begin))
	var te *parallel.TimeoutError
	fmt.Println(errors.As(err, &te), errors.Is(err, context.DeadlineExceeded))
	out, err = parallel.Run(t.Context(), parallel.Jobs{N: 2, OnError: parallel.CollectErrors}, func(yield func(parallel.Call[int]) bool) {
		for i := range 9 {
			if !yield(parallel.Delayed(func(_ context.Context, i int) (int, error) {
				if i == 3 || i == 4 {
					runtime.Goexit()
				}
				if i == 6 {
					panic("six")
				}
				return i, nil
			}, i)) {
				return
			}
		}
	})
	fmt.Println(out, err)
	_, err = parallel.Run(t.Context(), parallel.Jobs{Backend: "nix", N: 2}, seq(1))
	fmt.Println(err)
}

func BenchmarkReuse(b *testing.B) {
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2}
	defer ex.Close()
	for b.Loop() {
		begin := time.Now()
		_, err := parallel.Run(b.Context(), parallel.Jobs{N: 2, Executor: ex}, seq(100_000))
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(begin).Nanoseconds())/100_000, "ns/call")
	}
}

func BenchmarkRun(b *testing.B) {
	for _, be := range []string{"threads", "processes"} {
		b.Run(be, func(b *testing.B) {
			for b.Loop() {
				begin := time.Now()
				_, err := parallel.Run(b.Context(), parallel.Jobs{N: 2, Backend: be}, seq(100_000))
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(time.Since(begin).Nanoseconds())/100_000, "ns/call")
			}
		})
		b.Run("Map/"+be, func(b *testing.B) {
			in := make([]int, 1_000_000)
			ctx := parallel.WithConfig(b.Context(), parallel.Jobs{Backend: be})
			for b.Loop() {
				begin := time.Now()
				_, err := parallel.Map(ctx, 2, inc, in)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(time.Since(begin).Nanoseconds())/1_000_000, "ns/call")
			}
		})
	}
}
