// A program whose main calls executor.WorkerMain, but not in a worker: what
// comes before ends the process there.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/testdata/internal/census"
)

func init() {
	census.Count()
	executor.Register(double)
}

func double(_ context.Context, n int) (int, error) { return 2 * n, nil }

func main() {
	if len(os.Args) < 2 {
		os.Exit(3) // usage; a worker has no arguments
	}
	executor.WorkerMain()
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 3}
	defer ex.Close()
	var calls []*executor.Future[int]
	for n := range 10 {
		calls = append(calls, executor.Submit(context.Background(), ex, double, n))
	}
	if _, err := executor.Gather(context.Background(), calls...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
