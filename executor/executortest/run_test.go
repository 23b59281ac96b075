package executortest_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
)

func TestThreadPoolExecutorKeepsItsPromises(t *testing.T) {
	executortest.Run(t, func(workers int) executor.Executor {
		return &executor.ThreadPoolExecutor{MaxWorkers: workers}
	})
}

func TestThreadPoolExecutorWhoseWaitersHelpKeepsItsPromises(t *testing.T) {
	executortest.Run(t, func(workers int) executor.Executor {
		return &executor.ThreadPoolExecutor{MaxWorkers: workers, WaitersHelp: true}
	})
}

func TestThreadPerTaskKeepsItsPromises(t *testing.T) {
	executortest.Run(t, func(int) executor.Executor { return new(executor.ThreadPerTask) })
}

func TestSequentialKeepsItsPromises(t *testing.T) {
	executortest.Run(t, func(int) executor.Executor { return new(executor.Sequential) })
}

func TestProcessPoolExecutorKeepsItsPromises(t *testing.T) {
	executortest.NeedsProcesses(t)
	executortest.Run(t, func(workers int) executor.Executor {
		return &executor.ProcessPoolExecutor{MaxWorkers: workers}
	})
}

// Where order and clock are its own.
func TestDeterministicExecutorKeepsItsPromisesInABubble(t *testing.T) {
	for _, says := range executortest.Promises() {
		t.Run(says, func(t *testing.T) {
			var failures []string
			var skipped string
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				failures, skipped = executortest.Judge(says, func(int) executor.Executor { return executortest.New(t) }, dir)
			})
			if len(failures) > 0 {
				t.Errorf("the deterministic executor fails %q:\n%s", says, strings.Join(failures, "\n"))
			}
			if skipped != "" {
				t.Skip(skipped)
			}
		})
	}
}

func TestDeterministicExecutorKeepsItsPromises(t *testing.T) {
	t.Skip("BUG: outside a bubble, a call may be cancelled while it is handed to the ThreadPoolExecutor behind: see TestCallMayBeCancelledOnItsWay")
	executortest.Run(t, func(int) executor.Executor { return executortest.New(t) })
}
