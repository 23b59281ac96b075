package executor

import (
	"testing"

	"github.com/gofutures/futures/executor/internal/proc"
)

// needsProcesses is executortest.NeedsProcesses, which the tests inside of this
// package cannot import.
func needsProcesses(t *testing.T) {
	t.Helper()
	if emulator := proc.Emulator(); emulator != "" {
		t.Skipf("it needs worker processes, which are not tested where %s runs the program", emulator)
	}
}
