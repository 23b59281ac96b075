package parallel_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/parallel"
)

func init() { executor.Register(sleepyPID) }

// sleepyPID sleeps for so many milliseconds, and returns its process.
func sleepyPID(_ context.Context, ms int) (int, error) {
	time.Sleep(time.Duration(ms) * time.Millisecond)
	return os.Getpid(), nil
}

// Calls that are slow and come after many that took nothing travel in one batch, as
// joblib's do. Unlike joblib's, they do not all run in one worker.
func TestSlowCallsOfOneBatchAreSharedOut(t *testing.T) {
	const cheap, slow = 20_000, 12
	calls := func(yield func(parallel.Call[int]) bool) {
		for i := range cheap + slow {
			ms := 0
			if i >= cheap {
				ms = 60
			}
			if !yield(parallel.Delayed(sleepyPID, ms)) {
				return
			}
		}
	}
	pids, err := parallel.Run(t.Context(), parallel.Jobs{N: 2, Backend: "processes"}, calls)
	if err != nil || len(pids) != cheap+slow {
		t.Fatalf("Run = %d results, %v; want %d, nil", len(pids), err, cheap+slow)
	}
	byProcess := make(map[int]int)
	for _, pid := range pids[cheap:] {
		byProcess[pid]++
	}
	for pid, n := range byProcess {
		if n > slow*3/4 {
			t.Errorf("of %d slow calls, process %d made %d: %v; want both workers at it", slow, pid, n, byProcess)
		}
	}
}
