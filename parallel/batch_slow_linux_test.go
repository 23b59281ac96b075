package parallel_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/parallel"
)

func init() { executor.Register(meetingPID) }

// meeting is the log in which calls that meet find each other; "": the call takes nothing.
type meeting struct {
	Log string
	N   int // the call
}

// meetingPID returns its process. Calls that meet do so in twos: the first that starts
// waits for the second, the third for the fourth, and so on.
func meetingPID(_ context.Context, m meeting) (int, error) {
	if m.Log == "" {
		return os.Getpid(), nil
	}
	if err := logStart(m.Log, m.N); err != nil {
		return 0, err
	}
	for begin := time.Now(); time.Since(begin) < longEnough; time.Sleep(time.Millisecond) {
		text, err := os.ReadFile(m.Log)
		if err != nil {
			return 0, err
		}
		started := strings.Fields(string(text))
		if len(started) > slices.Index(started, strconv.Itoa(m.N))|1 {
			return os.Getpid(), nil
		}
	}
	return 0, errors.New("no other call has started meanwhile")
}

// Calls that are slow and come after many that took nothing travel in one batch, as
// joblib's do. Unlike joblib's, they do not all run in one worker: each two of them run
// at once here, or do not end.
func TestSlowCallsOfOneBatchAreSharedOut(t *testing.T) {
	executortest.NeedsProcesses(t)
	const cheap, slow = 20_000, 12
	log := inDir(t, "log")
	calls := func(yield func(parallel.Call[int]) bool) {
		for i := range cheap + slow {
			var m meeting
			if i >= cheap {
				m = meeting{log, i}
			}
			if !yield(parallel.Delayed(meetingPID, m)) {
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
		if n != slow/2 {
			t.Errorf("of %d slow calls, process %d made %d: %v; want half of them", slow, pid, n, byProcess)
		}
	}
}
