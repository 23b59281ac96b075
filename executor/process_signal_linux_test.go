package executor_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/executor/internal/proc"
)

// Ending a call ends what it has started.
func TestKillReachesWhatTheCallHasStarted(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	a := mustTell(t, do(ex, deed{Verb: "grandchild", Path: inDir(t, "pid")}))
	if group := statOf(a.N); len(group) < 3 || group[2] != strconv.Itoa(a.PID) {
		t.Errorf("the grandchild %d is in group %v; want that of the worker, %d", a.N, group, a.PID)
	}
	mustDie(t, do(ex, deed{Verb: "exit"}))
	mustGo(t, "the grandchild", a.N)
}

// A worker that is stopped holds up its own call only, and that no longer than
// its ctx and KillGrace.
func TestStoppedWorker(t *testing.T) {
	t.Parallel() // it waits most of its time
	log := inDir(t, "log")
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2, KillGrace: 100 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f := executor.Submit(ctx, ex, doDeed, deed{Verb: "heed", Log: log})
	pid := awaitStart(t, log, 0)
	mustStop(t, pid)
	for i := range 20 {
		if a := mustTell(t, do(ex, deed{Verb: "tell", N: i})); a.N != i || a.PID == pid {
			t.Errorf("call %d beside a stopped worker: %+v", i, a)
		}
	}
	cancel()
	if died := mustDie(t, f); !errors.Is(died, context.Canceled) || died.PID != pid {
		t.Errorf("%v; want that process %d died, and context.Canceled", died, pid)
	}
	mustGo(t, "the stopped worker", pid)
}

// Close and Shutdown end a worker that is stopped, idle or not.
func TestStoppedWorkerDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel() // it waits most of its time
	t.Run("Close, idle", func(t *testing.T) {
		ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, KillGrace: 100 * time.Millisecond})
		pid := mustTell(t, do(ex, deed{Verb: "tell"})).PID
		mustStop(t, pid)
		closeInTime(t, ex)
		mustGo(t, "the stopped worker", pid)
	})
	t.Run("Shutdown, busy", func(t *testing.T) {
		log := inDir(t, "log")
		ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, KillGrace: 100 * time.Millisecond})
		f := do(ex, deed{Verb: "heed", Log: log})
		pid := awaitStart(t, log, 0)
		mustStop(t, pid)
		_ = ex.Shutdown(ended())
		mustDie(t, f)
		closeInTime(t, ex)
		mustGo(t, "the stopped worker", pid)
	})
}

// A process that a call has started, and that lives on with the worker's stdout
// and stderr, delays neither the news of a death nor Close.
func TestGrandchildDelaysNothing(t *testing.T) {
	for _, how := range []string{"", "setsid", "exit", "setsid exit"} {
		t.Run("grandchild "+how, func(t *testing.T) {
			ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, Stdout: io.Discard})
			file := inDir(t, "pid")
			f := do(ex, deed{Verb: "grandchild", Text: how, Path: file})
			if strings.Contains(how, "exit") {
				if died := mustDie(t, f); died.ExitCode != 9 {
					t.Errorf("%v; want exit code 9", died)
				}
			} else {
				mustTell(t, f)
			}
			pid := mustRead(t, file)
			t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
			mustTell(t, do(ex, deed{Verb: "tell"}))
			closeInTime(t, ex)
			if pids := offspring(t); len(pids) > 0 {
				t.Errorf("after Close there are the children %v; want none, nor zombies", pids)
			}
			if !strings.Contains(how, "setsid") {
				mustGo(t, "the grandchild in the group of the worker", pid)
			} else if !isAlive(pid) {
				t.Errorf("the grandchild %d that called setsid is gone: it was to outlive the pool", pid)
			}
		})
	}
}

// A process that has been reaped is not signalled: its number may be another's.
func TestReapedProcessIsNotSignalled(t *testing.T) {
	executortest.NeedsProcesses(t)
	p, err := proc.Start(proc.Options{Depth: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if s := p.Wait(); s.Signal != syscall.SIGKILL {
		t.Errorf("Wait = %+v; want SIGKILL", s)
	}
	if err := p.Quit(); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Quit after Wait: %v; want os.ErrProcessDone", err)
	}
	if err := p.Kill(); err != nil {
		t.Errorf("Kill after Wait: %v; want nothing done", err)
	}
}

// A worker does not hear Ctrl-C: it is in a group of its own, and ignores
// SIGINT.
func TestWorkerIgnoresInterrupts(t *testing.T) {
	dir := t.TempDir()
	log, gate := filepath.Join(dir, "log"), filepath.Join(dir, "gate")
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	f := do(ex, deed{Verb: "hold", Log: log, Path: gate})
	pid := awaitStart(t, log, 0)
	if stat := statOf(pid); len(stat) < 3 || stat[2] != strconv.Itoa(pid) {
		t.Errorf("worker %d is in the group of %v; want its own", pid, stat)
	}
	for range 5 {
		if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
	}
	touch(t, gate)
	if a, err := resultOf(t, f); err != nil || a.PID != pid {
		t.Errorf("after SIGINT: %+v, %v; want the answer of %d", a, err, pid)
	}
	if a := mustTell(t, do(ex, deed{Verb: "tell"})); a.PID != pid {
		t.Errorf("the next call ran in process %d; want %d again", a.PID, pid)
	}
}
