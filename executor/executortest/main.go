package executortest

import (
	"os"
	"testing"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/internal/proc"
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

// NeedsProcesses skips a test that needs worker processes, or starts its own program
// in another way, where an emulator of another processor runs that program, as in
//
//	GOARCH=arm go test -exec qemu-arm-static ./...
//
// Such a program is started again only by a system that knows the emulator, and what
// becomes of it there says little about the processor that is emulated. Nothing else
// is a reason to skip the test. An Example cannot be skipped so: -skip '^Example'
// leaves all of them out.
func NeedsProcesses(t testing.TB) {
	t.Helper()
	if emulator := proc.Emulator(); emulator != "" {
		t.Skipf("it needs worker processes, which are not tested where %s runs the program", emulator)
	}
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
	executor.Register(makeVisit)
}
