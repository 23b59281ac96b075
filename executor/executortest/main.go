package executortest

import (
	"os"
	"testing"

	"github.com/gofutures/futures/executor"
)

// Main is all that a TestMain needs in a package whose tests use an executor
// with worker processes, such as [executor.ProcessPoolExecutor]: it calls
// [executor.WorkerMain], runs the tests, and ends the process.
//
//	func TestMain(m *testing.M) { executortest.Main(m) }
func Main(m *testing.M) {
	executor.WorkerMain()
	os.Exit(m.Run())
}

func init() {
	executor.Register(echo)
	executor.Register(fail)
	executor.Register(timeOut)
	executor.Register(panicText)
	executor.Register(panicError)
	executor.Register(panicNil)
	executor.Register(endGoroutine)
	executor.Register(lookFor)
	executor.Register(work)
	executor.Register(linger)
	executor.Register(weigh)
	executor.Register(outcome)
}
