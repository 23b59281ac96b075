package executor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
)

// startedThen submits a deed with a ctx that ends when it has started: cancel
// ends it, or its deadline does.
func startedThen(t *testing.T, ex executor.Executor, d deed, byDeadline bool) *executor.Future[told] {
	t.Helper()
	if !byDeadline {
		ctx, cancel := context.WithCancel(context.Background())
		f := executor.Submit(ctx, ex, doDeed, d)
		awaitStart(t, d.Log, d.ID)
		if d.Path != "" {
			waitUntil(t, "the deed has made "+d.Path, func() bool { _, err := os.Stat(d.Path); return err == nil })
		}
		cancel()
		return f
	}
	return pastDeadline(t, func(ctx context.Context) *executor.Future[told] { return executor.Submit(ctx, ex, doDeed, d) })
}

// A call that does not return is ended with its worker when its ctx has ended
// and KillGrace is over. The error says which of them ended, and where the call
// was stuck. Others are left alone.
func TestKillGraceEndsACallThatDoesNotReturn(t *testing.T) {
	t.Parallel() // it waits most of its time
	for _, tt := range []struct {
		verb       string
		byDeadline bool
		n          int
		function   string
	}{
		{verb: "sleep", byDeadline: true, function: "stuckInSleep"},
		{verb: "sleep", function: "stuckInSleep"},
		{verb: "spin", byDeadline: true, function: "stuckInLoop"},
		{verb: "spin", function: "stuckInLoop"},
		{verb: "read", byDeadline: true, function: "stuckInRead"},
		{verb: "crowd", n: 2000, function: "stuckInSleep"},
		{verb: "no quit"}, // and no stacks
	} {
		name, want := "canceled", context.Canceled
		if tt.byDeadline {
			name, want = "deadline", context.DeadlineExceeded
		}
		t.Run(tt.verb+" "+name, func(t *testing.T) {
			dir := t.TempDir()
			log, gate := filepath.Join(dir, "log"), filepath.Join(dir, "gate")
			ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2, KillGrace: 100 * time.Millisecond, Retries: 3})
			other := do(ex, deed{Verb: "hold", Log: log, ID: 0, Path: gate})
			awaitStart(t, log, 0)
			d := deed{Verb: tt.verb, Log: log, ID: 1, N: tt.n}
			if tt.n > 0 {
				d.Path = filepath.Join(dir, "crowd")
			}
			f := startedThen(t, ex, d, tt.byDeadline)
			died := mustDie(t, f)
			pid := awaitStart(t, log, 1)
			if !errors.Is(died, want) || died.PID != pid || died.Attempts != 1 || died.OutOfMemory {
				t.Errorf("%+v; want PID %d, 1 attempt, not OutOfMemory, and that it matches %v:\n%.300s", *died, pid, want, died)
			}
			if !strings.Contains(died.Stderr, tt.function) || !strings.Contains(died.Error(), tt.function) {
				t.Errorf("Stderr and the error, of %d bytes, do not have %s in the stacks:\n%.3000s", len(died.Stderr), tt.function, died)
			}
			if pids := startsIn(t, log)[1]; len(pids) != 1 {
				t.Errorf("the call started in %v; want one start: what was asked to stop is not tried again", pids)
			}
			mustGo(t, "the worker", pid)
			mustTell(t, do(ex, deed{Verb: "tell"}))
			touch(t, gate)
			mustTell(t, other)
		})
	}
}

// Not all stacks of a worker that is ended are kept: the first is that of the function that
// did not return. The crowd was there before its goroutine, and is in front of it in what
// the runtime prints.
func TestTheStackOfTheFunctionThatHangsIsTheFirst(t *testing.T) {
	for name, hang := range map[string]func(executor.Executor, deed) error{
		"a call": func(ex executor.Executor, d deed) error {
			_, err := do(ex, d).Result(context.Background())
			return err
		},
		"an item of a chunk": func(ex executor.Executor, d deed) error {
			_, err := executor.MapSlice(context.Background(), ex, doDeed, []deed{{Verb: "tell"}, d}, executor.ChunkSize(2))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits most of its time
			log := filepath.Join(t.TempDir(), "log")
			ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, KillGrace: 100 * time.Millisecond})
			mustTell(t, do(ex, deed{Verb: "draw a crowd", N: 2000}))
			if _, err := resultOf(t, do(ex, deed{Verb: "leave"})); !errors.Is(err, executor.ErrGoexit) {
				t.Fatalf("Result = %v; want ErrGoexit", err)
			}
			outcome := make(chan error, 1)
			go func() { outcome <- hang(ex, deed{Verb: "sleep", Log: log, ID: 1}) }()
			awaitStart(t, log, 1)
			_ = ex.Shutdown(ended())
			err := <-outcome
			died, ok := errors.AsType[*executor.WorkerDiedError](err)
			if !ok {
				t.Fatalf("the error is %v; want a *WorkerDiedError", err)
			}
			if first, _, _ := strings.Cut(died.Stderr, "\n\n"); !strings.Contains(first, "stuckInSleep") {
				t.Errorf("the first of the stacks, of %d bytes, is\n%.2000s\nwant that of stuckInSleep", len(died.Stderr), first)
			}
		})
	}
}

// A call that heeds its ctx costs no worker.
func TestKillGraceSparesACallThatReturns(t *testing.T) {
	dir := t.TempDir()
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, KillGrace: longEnough})
	pid := mustTell(t, do(ex, deed{Verb: "tell"})).PID
	for i, byDeadline := range []bool{true, false} {
		want := context.Canceled
		if byDeadline {
			want = context.DeadlineExceeded
		}
		log := filepath.Join(dir, fmt.Sprint("log", i))
		_, err := resultOf(t, startedThen(t, ex, deed{Verb: "heed", Log: log}, byDeadline))
		if died := new(executor.WorkerDiedError); !errors.Is(err, want) || errors.As(err, &died) {
			t.Errorf("a call that returned when its ctx ended: %v; want one that matches %v", err, want)
		}
		if a := mustTell(t, do(ex, deed{Verb: "tell"})); a.PID != pid {
			t.Errorf("the next call ran in process %d; want %d again", a.PID, pid)
		}
	}
}

// Cancel of a call that runs is false, and ends it like the end of its ctx.
func TestCancelOfACallThatDoesNotReturn(t *testing.T) {
	log := inDir(t, "log")
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, KillGrace: 50 * time.Millisecond})
	f := do(ex, deed{Verb: "sleep", Log: log})
	awaitStart(t, log, 0)
	if f.Cancel() {
		t.Error("Cancel of a call that runs is true")
	}
	if died := mustDie(t, f); !errors.Is(died, context.Canceled) || !strings.Contains(died.Stderr, "stuckInSleep") {
		t.Errorf("%v; want one that matches context.Canceled and shows stuckInSleep", died)
	}
}

// Shutdown whose ctx has ended ends what does not return, and what waits does
// not start.
func TestShutdownEndsACallThatDoesNotReturn(t *testing.T) {
	log := inDir(t, "log")
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, KillGrace: 50 * time.Millisecond, Retries: 2})
	stuck := do(ex, deed{Verb: "sleep", Log: log, ID: 0})
	pid := awaitStart(t, log, 0)
	queued := do(ex, deed{Verb: "tell", Log: log, ID: 1})
	if err := ex.Shutdown(ended()); !errors.Is(err, executor.ErrPending) || !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown = %v; want ErrPending and context.Canceled: a call still runs", err)
	}
	if _, err := resultOf(t, queued); !errors.Is(err, executor.ErrCancelled) {
		t.Errorf("the queued call: %v; want ErrCancelled", err)
	}
	if died := mustDie(t, stuck); !errors.Is(died, executor.ErrShutdown) || !errors.Is(died, context.Canceled) {
		t.Errorf("%v; want one that matches ErrShutdown and context.Canceled", died)
	}
	if err := ex.Close(); err != nil {
		t.Errorf("Close afterwards: %v", err)
	}
	mustGo(t, "the worker", pid)
	if n := len(startsIn(t, log)); n != 1 {
		t.Errorf("%d calls started; want 1", n)
	}
}
