package pool_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/pool"
)

// isAlive reports whether there is such a process that has not ended.
func isAlive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// Nothing keeps the pool, and nobody closes it.
func TestProcessesOfADroppedPoolEnd(t *testing.T) {
	executortest.NeedsProcesses(t)
	t.Parallel()
	var pids []int
	for pid, err := range pool.Imap(t.Context(), pool.Processes(2), processID, slices.Values([]int{1, 2, 3, 4, 5})) {
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	if len(pids) != 5 {
		t.Fatalf("%d results; want 5", len(pids))
	}
	for _, pid := range pids {
		for begin := time.Now(); isAlive(pid); time.Sleep(2 * time.Millisecond) {
			runtime.GC()
			if time.Since(begin) > time.Minute {
				t.Fatalf("process %d of a dropped pool lives", pid)
			}
		}
	}
}
