package executortest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
)

// An executor of your own has this test.
func ExampleRun() {
	_ = func(t *testing.T) { // TestMyExecutorKeepsItsPromises
		executortest.Run(t, func(workers int) executor.Executor {
			return &executor.ThreadPoolExecutor{MaxWorkers: workers}
		})
	}
}

// A test of calls in worker processes passes on each machine that can have some.
func ExampleNeedsProcesses() {
	_ = func(t *testing.T) { // TestThumbnailsAreMadeInProcesses
		executortest.NeedsProcesses(t)
		ex := &executor.ProcessPoolExecutor{MaxWorkers: 2}
		defer ex.Close()
	}
}

// The order is drawn from the seed. In a test, where t comes from, the seed is
// left out, and a failure prints it.
func ExampleNew() {
	t, end := exampleTest()
	defer end()
	ex := executortest.New(t, executortest.Seed(1))

	submitted := make(chan struct{})
	first := executor.Go(context.Background(), ex, func(context.Context) (int, error) { <-submitted; return 0, nil })
	for first.State() != executor.Running { // in a bubble: time.Sleep(1)
		time.Sleep(time.Millisecond)
	}
	for _, name := range []string{"wash", "dry", "iron", "fold"} {
		executor.Submit(context.Background(), ex, do, name)
	}
	close(submitted)
	ex.Close()
	// Output:
	// iron
	// fold
	// wash
	// dry
}

func do(_ context.Context, name string) (string, error) {
	fmt.Println(name)
	return name, nil
}

func ExampleSeed() {
	_ = func(t *testing.T) { // a test that has failed, and has said so
		_ = executortest.New(t, executortest.Seed(0x30f5f2cfbe0e4d59))
	}
}

func ExampleFail() {
	t, end := exampleTest()
	defer end()
	ex := executortest.New(t, executortest.Fail(2, io.ErrUnexpectedEOF))

	for _, name := range []string{"wash", "dry", "iron"} {
		if _, err := executor.Submit(context.Background(), ex, do, name).Result(context.Background()); err != nil {
			fmt.Println(name, "has failed:", err)
		}
	}
	// Output:
	// wash
	// dry has failed: unexpected EOF
	// iron
}

func ExampleDelay() {
	t, end := exampleTest()
	defer end()
	ex := executortest.New(t, executortest.Delay(1, time.Hour)) // in a bubble, an hour is nothing

	first := executor.Submit(context.Background(), ex, do, "first")
	executor.Submit(context.Background(), ex, do, "second").Result(context.Background())
	fmt.Println("first is", first.State())
	first.Cancel()
	// Output:
	// second
	// first is pending
}

func ExampleCancel() {
	t, end := exampleTest()
	defer end()
	ex := executortest.New(t, executortest.Cancel(1))

	_, err := executor.Submit(context.Background(), ex, do, "never").Result(context.Background())
	fmt.Println(errors.Is(err, executor.ErrCancelled))
	// Output: true
}

func ExampleExecutor_Trace() {
	t, end := exampleTest()
	defer end()
	ex := executortest.New(t)

	executor.Submit(context.Background(), ex, do, "first").Result(context.Background())
	executor.Submit(context.Background(), ex, do, "second").Result(context.Background())
	fmt.Println(ex.Trace())
	// Output:
	// first
	// second
	// [1 2]
}

func ExampleExecutor_Stats() {
	t, end := exampleTest()
	defer end()
	ex := executortest.New(t, executortest.Fail(2, io.EOF), executortest.Cancel(3))

	for range 4 {
		executor.Submit(context.Background(), ex, nap, 0)
	}
	ex.Close()
	s := ex.Stats()
	fmt.Println(s.Submitted, "calls:", s.Succeeded, "succeeded,", s.Failed, "failed,", s.Cancelled, "cancelled")
	// Output: 4 calls: 2 succeeded, 1 failed, 1 cancelled
}

// exampleTest stands for the *testing.T of a test.
func exampleTest() (t testing.TB, end func()) {
	r := new(recorder)
	return r, r.end
}
