package executortest_test

import (
	"testing"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
)

func TestThreadPoolExecutorKeepsItsPromises(t *testing.T) {
	executortest.Run(t, func(workers int) executor.Executor {
		return &executor.ThreadPoolExecutor{MaxWorkers: workers}
	})
}

func TestThreadPerTaskKeepsItsPromises(t *testing.T) {
	executortest.Run(t, func(int) executor.Executor { return new(executor.ThreadPerTask) })
}

func TestSequentialKeepsItsPromises(t *testing.T) {
	executortest.Run(t, func(int) executor.Executor { return new(executor.Sequential) })
}

func TestDeterministicExecutorKeepsItsPromises(t *testing.T) {
	executortest.Run(t, func(int) executor.Executor { return executortest.New(t) })
}
