package executor_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gofutures/futures/executor"
)

// An exit in a call is the error of the call, also with exit code 0.
func TestExitInACallIsItsError(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	for _, tt := range []struct {
		deed
		code int
		text string
	}{
		{deed{Verb: "exit", N: 0}, 0, "exited with code 0"},
		{deed{Verb: "exit", N: 42}, 42, "exited with code 42"},
		{deed{Verb: "log.Fatal", Text: "that was all"}, 1, "that was all"},
	} {
		died := mustDie(t, do(ex, tt.deed))
		if died.ExitCode != tt.code || died.Signal != nil || died.PID == 0 || died.OutOfMemory || !strings.Contains(died.Error(), tt.text) {
			t.Errorf("%s %d: %+v; want ExitCode %d, no Signal, a PID, not OutOfMemory, and %q in: %v", tt.Verb, tt.N, *died, tt.code, tt.text, died)
		}
		if a := mustTell(t, do(ex, deed{Verb: "tell", N: 3})); a.N != 3 || a.PID == died.PID {
			t.Errorf("after %s: %+v; want N 3 from another process than %d", tt.Verb, a, died.PID)
		}
	}
}

// What ends the whole worker is told with the last lines of its stderr, and
// this process lives.
func TestFatalErrorIsToldWithTheLastLines(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	for _, tt := range []struct {
		verb string
		text string
	}{
		{"goroutine panics", "out of its mind"},
		{"stack overflow", "recurse"},
		{"unlock", "unlock of unlocked mutex"},
		{"concurrent map writes", "concurrent map writes"},
	} {
		t.Run(tt.verb, func(t *testing.T) {
			if tt.verb == "concurrent map writes" && hasRaceDetector {
				t.Skip("the race detector reports them in the midst of the last lines")
			}
			died := mustDie(t, do(ex, deed{Verb: tt.verb, Text: "out of its mind"}))
			if died.ExitCode != 2 || died.OutOfMemory || !strings.Contains(died.Stderr, tt.text) || !strings.Contains(died.Error(), died.Stderr) {
				t.Errorf("ExitCode %d, OutOfMemory %t; want 2, false, and %q in Stderr, which is in the error:\n%v", died.ExitCode, died.OutOfMemory, tt.text, died)
			}
			mustTell(t, do(ex, deed{Verb: "tell"}))
		})
	}
}

// A worker that gets no more memory from the system says so.
func TestWorkerOutOfMemory(t *testing.T) {
	if hasRaceDetector {
		t.Skip("the race detector has another end when memory runs out")
	}
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	died := mustDie(t, do(ex, deed{Verb: "out of memory"}))
	if !died.OutOfMemory || died.ExitCode != 2 || !strings.Contains(died.Error(), "out of memory") {
		t.Errorf("OutOfMemory %t, ExitCode %d; want true, 2, and \"out of memory\" in: %v", died.OutOfMemory, died.ExitCode, died)
	}
	mustTell(t, do(ex, deed{Verb: "tell"}))
}

// A worker over its MemoryLimit is ended, and only its call fails.
func TestMemoryLimitEndsOneWorker(t *testing.T) {
	dir := t.TempDir()
	log, gate := filepath.Join(dir, "log"), filepath.Join(dir, "gate")
	const limit = 160 << 20
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2, MemoryLimit: limit})
	held := do(ex, deed{Verb: "hold", Log: log, ID: 0, Path: gate})
	awaitStart(t, log, 0)
	hungry := do(ex, deed{Verb: "eat", Log: log, ID: 1, N: 240 << 20})
	queued := do(ex, deed{Verb: "tell", Log: log, ID: 2})
	died := mustDie(t, hungry)
	if pid := awaitStart(t, log, 1); !died.OutOfMemory || died.PID != pid || died.Attempts != 1 || !strings.Contains(died.Error(), "MemoryLimit") {
		t.Errorf("%+v; want OutOfMemory, PID %d, 1 attempt, and MemoryLimit in: %v", *died, pid, died)
	}
	mustTell(t, queued)
	touch(t, gate)
	mustTell(t, held)
	for id, pids := range startsIn(t, log) {
		if len(pids) != 1 {
			t.Errorf("call %d started in %v; want one start", id, pids)
		}
	}
	for range 5 {
		mustTell(t, do(ex, deed{Verb: "tell"}))
	}
}

// When the system is out of memory, a worker is to go before its parent.
func TestWorkerIsFirstToGoWhenMemoryRunsOut(t *testing.T) {
	score := func(pid int) int {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid))
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	worker, own := score(mustTell(t, do(ex, deed{Verb: "tell"})).PID), score(os.Getpid())
	if worker <= own && own < 1000 {
		t.Errorf("oom_score_adj of the worker is %d, of its parent %d; want more", worker, own)
	}
}

// The error has the last lines that the worker printed, not the first.
func TestDiedErrorHasTheLastLines(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	died := mustDie(t, do(ex, deed{Verb: "chatty exit", N: 5000}))
	if !strings.HasSuffix(died.Stderr, "line 4998 of the worker\nline 4999 of the worker") || strings.Contains(died.Stderr, "line 42 of") {
		t.Errorf("Stderr of %d bytes; want the last of 5000 lines:\n%s", len(died.Stderr), died.Stderr)
	}
	if len(died.Stderr) > 64<<10 {
		t.Errorf("Stderr has %d bytes", len(died.Stderr))
	}
}
