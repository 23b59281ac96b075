package parallel_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/parallel"
)

// What crosses to worker processes is registered in an init function, and
// executor.WorkerMain() is the first line of main.
func init() { executor.Register(length) }

func length(_ context.Context, s string) (int, error) {
	if s == "" {
		return 0, errors.New("empty")
	}
	return len(s), nil
}

func upper(_ context.Context, s string) (string, error) { return strings.ToUpper(s), nil }

// repeated is how a function has two arguments.
type repeated struct {
	Text  string
	Times int
}

func repeat(_ context.Context, r repeated) (string, error) {
	return strings.Repeat(r.Text, r.Times), nil
}

func Example() {
	ctx := context.Background()

	// Parallel(n_jobs=4)(delayed(length)(s) for s in animals)
	lengths, err := parallel.Map(ctx, 4, length, []string{"elephant", "owl", "gopher"})

	fmt.Println(lengths, err)
	// Output: [8 3 6] <nil>
}

// ExampleParallel makes calls of different functions.
func ExampleParallel() {
	words, err := parallel.Parallel(context.Background(), 2,
		parallel.Delayed(upper, "owl"),
		parallel.Delayed(repeat, repeated{"ha", 3}),
	)
	fmt.Println(words, err)
	// Output: [OWL hahaha] <nil>
}

func ExampleDelayed() {
	laugh := parallel.Delayed(repeat, repeated{Text: "ha", Times: 2}) // does not call repeat

	words, err := parallel.Parallel(context.Background(), 1, laugh, laugh)
	fmt.Println(words, err)
	// Output: [haha haha] <nil>
}

// ExampleCall has calls whose arguments differ in type, and whose results do not.
func ExampleCall() {
	calls := []parallel.Call[string]{parallel.Delayed(upper, "owl")}
	for i := range 2 {
		calls = append(calls, parallel.Delayed(repeat, repeated{"ha", i + 1}))
	}
	words, err := parallel.Parallel(context.Background(), -1, calls...)
	fmt.Println(words, err)
	// Output: [OWL ha haha] <nil>
}

// ExampleMap returns the error of the lowest index, the one that a loop would have
// met.
func ExampleMap() {
	_, err := parallel.Map(context.Background(), 2, length, []string{"owl", "", "gopher"})
	fmt.Println(err)
	// Output: empty
}

// animals returns the calls of length.
func animals(names ...string) func(func(parallel.Call[int]) bool) {
	return func(yield func(parallel.Call[int]) bool) {
		for _, name := range names {
			if !yield(parallel.Delayed(length, name)) {
				return
			}
		}
	}
}

func ExampleRun() {
	lengths, err := parallel.Run(context.Background(), parallel.Jobs{
		N:       2,
		Backend: "processes",
		Timeout: time.Minute, // for each call
	}, animals("elephant", "owl", "gopher"))
	fmt.Println(lengths, err)
	// Output: [8 3 6] <nil>
}

// ExampleStream takes what it needs of a source without an end.
func ExampleStream() {
	square := func(_ context.Context, n int) (int, error) { return n * n, nil }
	endless := func(yield func(parallel.Call[int]) bool) {
		for n := 0; yield(parallel.Delayed(square, n)); n++ {
		}
	}
	for v, err := range parallel.Stream(context.Background(), parallel.Jobs{N: 2}, endless) {
		if v > 20 || err != nil {
			break
		}
		fmt.Print(v, " ")
	}
	// Output: 0 1 4 9 16
}

// ExampleStreamUnordered has the fast calls' results first.
func ExampleStreamUnordered() {
	othersAreHere := make(chan struct{})
	wait := func(_ context.Context, isSlow bool) (string, error) {
		if isSlow {
			<-othersAreHere
			return "slow", nil
		}
		return "fast", nil
	}
	calls := slices.Values(delayed(wait, []bool{true, false, false}))

	n := 0
	for speed, err := range parallel.StreamUnordered(context.Background(), parallel.Jobs{N: 2}, calls) {
		fmt.Println(speed, err)
		if n++; n == 2 {
			close(othersAreHere)
		}
	}
	// Output:
	// fast <nil>
	// fast <nil>
	// slow <nil>
}

// ExampleJobs prints lines as joblib does, but to stdout. A line in the middle has
// times, which differ.
func ExampleJobs() {
	j := parallel.Jobs{N: 1, Verbose: 1, Output: new(withoutTimes)}
	_, err := parallel.Run(context.Background(), j, animals("elephant", "owl", "gopher"))
	fmt.Println(err)
	// Output:
	// [Parallel(n_jobs=1)]: Using backend sequential with 1 concurrent workers.
	// [Parallel(n_jobs=1)]: Done   3 out of   3
	// <nil>
}

// withoutTimes prints lines up to the times in them.
type withoutTimes struct{}

func (*withoutTimes) Write(line []byte) (int, error) {
	text, _, _ := strings.Cut(strings.TrimSpace(string(line)), " | elapsed")
	_, err := fmt.Println(text)
	return len(line), err
}

func ExampleWithConfig() {
	ctx := parallel.WithConfig(context.Background(), parallel.Jobs{Backend: "processes", OnError: parallel.UseDefault(-1)})

	lengths, err := parallel.Map(ctx, 2, length, []string{"owl", "", "gopher"})
	fmt.Println(lengths, err)
	// Output: [3 -1 6] <nil>
}

func init() {
	parallel.RegisterBackend("patient", func(n int) (executor.Executor, error) {
		return &executor.ThreadPoolExecutor{MaxWorkers: n, QueueLimit: n}, nil
	})
}

// ExampleRegisterBackend uses a backend that was registered in an init function.
func ExampleRegisterBackend() {
	// func init() { parallel.RegisterBackend("patient", openPatient) }

	j := parallel.Jobs{N: 2, Backend: "patient"}
	lengths, err := parallel.Run(context.Background(), j, animals("owl", "gopher"))
	fmt.Println(lengths, err)
	// Output: [3 6] <nil>
}

func ExampleEffectiveJobs() {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8)) // as on 8 CPUs

	for _, n := range []int{-1, -2, -100, 3, 0} {
		jobs, err := parallel.EffectiveJobs(n)
		fmt.Println(n, "is", jobs, err != nil)
	}
	// Output:
	// -1 is 8 false
	// -2 is 7 false
	// -100 is 1 false
	// 3 is 3 false
	// 0 is 0 true
}

func ExampleCPUCount() {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3)) // as in a container with 3 CPUs

	fmt.Println(parallel.CPUCount())
	// Output: 3
}

// ExamplePolicy makes the same calls with each of them.
func ExamplePolicy() {
	for _, policy := range []parallel.Policy{parallel.StopAtFirst, parallel.CollectErrors, parallel.UseDefault(-1)} {
		j := parallel.Jobs{N: 2, OnError: policy}
		lengths, err := parallel.Run(context.Background(), j, animals("owl", "", "gopher"))
		fmt.Printf("%v: %v, %v\n", policy, lengths, err)
	}
	// Output:
	// StopAtFirst: [], empty
	// CollectErrors: [3 0 6], 1 item failed: item 1: empty
	// UseDefault(-1): [3 -1 6], <nil>
}

func ExampleUseDefault() {
	j := parallel.Jobs{N: 2, OnError: parallel.UseDefault(0)}
	lengths, err := parallel.Run(context.Background(), j, animals("owl", "", "gopher"))
	fmt.Println(lengths, err)
	// Output: [3 0 6] <nil>
}

func ExampleTimeoutError() {
	wait := func(ctx context.Context, _ int) (int, error) {
		<-ctx.Done() // far too long
		return 0, ctx.Err()
	}
	calls := slices.Values([]parallel.Call[int]{parallel.Delayed(wait, 0)})

	_, err := parallel.Run(context.Background(), parallel.Jobs{N: 2, Timeout: time.Millisecond}, calls)
	if late, ok := errors.AsType[*parallel.TimeoutError](err); ok {
		fmt.Println("not there after", late.After)
	}
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output:
	// not there after 1ms
	// true
}

func ExampleStats() {
	j := parallel.Jobs{N: 1, OnError: parallel.CollectErrors, Progress: func(s parallel.Stats) {
		fmt.Printf("%d of %d, %d failed\n", s.Done, s.Total, s.Failed)
	}}
	_, err := parallel.Map(parallel.WithConfig(context.Background(), j), 1, length, []string{"owl", "", "gopher"})
	fmt.Println(err)
	// Output:
	// 0 of 3, 0 failed
	// 1 of 3, 0 failed
	// 2 of 3, 1 failed
	// 3 of 3, 1 failed
	// 1 item failed: item 1: empty
}

// All calls are taken from the source before the first result is.
func ExamplePreDispatchAll() {
	defer fmt.Fprintln(os.Stdout)
	calls := func(yield func(parallel.Call[int]) bool) {
		for _, name := range []string{"elephant", "owl", "gopher"} {
			fmt.Print(name, " ")
			if !yield(parallel.Delayed(length, name)) {
				return
			}
		}
	}
	lengths, err := parallel.Run(context.Background(), parallel.Jobs{N: 2, PreDispatch: parallel.PreDispatchAll}, calls)
	fmt.Print(lengths, err)
	// Output: elephant owl gopher [8 3 6] <nil>
}
