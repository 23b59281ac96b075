// A program whose main calls executor.WorkerMain when it has a pool already.
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
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 3}
	defer ex.Close()
	var calls []*executor.Future[int]
	for n := range 10 {
		calls = append(calls, executor.Submit(context.Background(), ex, double, n))
	}
	executor.WorkerMain()
	if _, err := executor.Gather(context.Background(), calls...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
