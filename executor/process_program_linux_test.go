package executor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
)

func init() {
	hosts["deaf"] = deafHost
	hosts["reaper"] = reaperHost
	hosts["few files"] = fewFilesHost
	hosts["mover"] = moverHost
	hosts["elsewhere"] = elsewhereHost
}

// giveUp ends a host that has seen what it must not.
func giveUp(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}

// inHost submits a deed in a host, and waits.
func inHost(ex executor.Executor, d deed) (told, error) {
	ctx, cancel := context.WithTimeout(context.Background(), longEnough)
	defer cancel()
	a, err := do(ex, d).Result(ctx)
	if errors.Is(err, executor.ErrPending) {
		giveUp("%s has not ended: %v", d.Verb, err)
	}
	return a, err
}

func mustInHost(ex executor.Executor, d deed) told {
	a, err := inHost(ex, d)
	if err != nil {
		giveUp("%s: %v", d.Verb, err)
	}
	return a
}

// tryEverything makes calls in a host whose program does something unusual with
// its children. knows says whether the end of a worker can be told.
func tryEverything(knows bool) {
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2, KillGrace: 50 * time.Millisecond, Stderr: io.Discard}
	for i := range 20 {
		if a := mustInHost(ex, deed{Verb: "tell", N: i}); a.N != i {
			giveUp("call %d returned %d", i, a.N)
		}
	}
	for range 3 {
		_, err := inHost(ex, deed{Verb: "exit", N: 9})
		died, ok := errors.AsType[*executor.WorkerDiedError](err)
		switch {
		case !ok || died.PID == 0:
			giveUp("an exit in a call: %v; want a *WorkerDiedError with a PID", err)
		case died.ExitCode != 9 && (knows || died.ExitCode != -1):
			giveUp("an exit in a call: exit code %d; want 9, or -1 for one that nobody knows", died.ExitCode)
		case died.Signal != nil:
			giveUp("an exit in a call: %v", died)
		}
		mustInHost(ex, deed{Verb: "tell"})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if _, err := executor.Submit(ctx, ex, doDeed, deed{Verb: "sleep"}).Result(context.Background()); !errors.Is(err, context.DeadlineExceeded) {
		giveUp("a call that does not return: %v; want context.DeadlineExceeded", err)
	}
	mustInHost(ex, deed{Verb: "tell"})
	ctx, cancel = context.WithTimeout(context.Background(), longEnough)
	defer cancel()
	if err := ex.Shutdown(ctx); err != nil {
		giveUp("Shutdown: %v", err)
	}
	if s := ex.Stats(); s.Workers != 0 {
		giveUp("after Shutdown: %+v; want no workers", s)
	}
}

// deafHost ignores SIGCHLD, so that nobody learns how its children end.
func deafHost(string) {
	signal.Ignore(syscall.SIGCHLD)
	tryEverything(false)
}

// reaperHost reaps every child, as the first process of a container does, so
// that others find none.
func reaperHost(string) {
	go func() {
		for {
			if _, err := syscall.Wait4(-1, nil, 0, nil); err != nil {
				time.Sleep(time.Millisecond)
			}
		}
	}()
	tryEverything(false)
}

// A program that ignores SIGCHLD has a pool that works, but for the exit codes.
func TestProgramThatIgnoresSIGCHLD(t *testing.T) { startHost(t, "deaf", "").mustSucceed() }

// A program that reaps all children has a pool that works, but for the exit
// codes.
func TestProgramThatReapsAllChildren(t *testing.T) { startHost(t, "reaper", "").mustSucceed() }

// fewFilesHost makes calls with fewer and fewer descriptors to be had.
func fewFilesHost(string) {
	// What the runtime opens once, it is to have open.
	warm := &executor.ProcessPoolExecutor{MaxWorkers: 1}
	mustInHost(warm, deed{Verb: "tell"})
	if err := warm.Close(); err != nil {
		giveUp("Close: %v", err)
	}
	before, err := descriptors()
	if err != nil {
		giveUp("%v", err)
	}
	var usual syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &usual); err != nil {
		giveUp("%v", err)
	}
	for spare := 0; spare < 45; spare += 3 {
		low := syscall.Rlimit{Cur: limitWith(before, spare), Max: usual.Max}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
			giveUp("%v", err)
		}
		ex := &executor.ProcessPoolExecutor{MaxWorkers: 3, Name: "the pool", Stderr: io.Discard}
		var fs []*executor.Future[told]
		for i := range 6 {
			fs = append(fs, do(ex, deed{Verb: "tell", N: i}))
		}
		failed := 0
		for i, f := range fs {
			select {
			case <-f.Done():
			case <-time.After(longEnough):
				giveUp("%d descriptors to spare: call %d is %v", spare, i, f)
			}
			a, err := f.Result(context.Background())
			if err != nil {
				failed++
			}
			if err == nil && a.N != i || err != nil && (!errors.Is(err, executor.ErrBroken) || !errors.Is(err, syscall.EMFILE)) {
				giveUp("%d descriptors to spare: call %d: %+v, %v; want a result, or an error that matches ErrBroken and EMFILE", spare, i, a, err)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), longEnough)
		if err := ex.Shutdown(ctx); err != nil {
			giveUp("%d descriptors to spare: Shutdown: %v", spare, err)
		}
		cancel()
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &usual); err != nil {
			giveUp("%v", err)
		}
		if spare == 0 && failed == 0 {
			giveUp("the limit has no effect")
		}
		if after, err := descriptors(); err != nil || after != before {
			giveUp("%d descriptors to spare, %d calls failed; before:\n%s\nafter (%v):\n%s", spare, failed, before, err, after)
		}
	}
	tryEverything(true)
}

// limitWith returns the limit under which so many descriptors are free, beside
// those that are listed.
func limitWith(list string, spare int) (limit uint64) {
	for ; ; limit++ {
		if !strings.HasPrefix(list, fmt.Sprintf("%02d ", limit)) && !strings.Contains(list, fmt.Sprintf("\n%02d ", limit)) {
			if spare--; spare < 0 {
				return limit
			}
		}
	}
}

// A pool that finds no descriptors has an error or fewer workers, never hangs,
// and loses none.
func TestPoolWithoutDescriptors(t *testing.T) {
	t.Parallel() // it waits most of its time
	startHost(t, "few files", "").mustSucceed()
}

// moverHost starts workers before and after something has happened to its file.
func moverHost(string) {
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1, Stderr: io.Discard}
	pid := mustInHost(ex, deed{Verb: "tell"}).PID
	fmt.Println("ready")
	heard()
	for i := range 3 {
		if _, err := inHost(ex, deed{Verb: "exit", N: 2}); !errors.As(err, new(*executor.WorkerDiedError)) {
			giveUp("an exit in a call: %v", err)
		}
		if a := mustInHost(ex, deed{Verb: "tell", N: i}); a.PID == pid || a.N != i {
			giveUp("the next call: %+v; want N %d from another process than %d", a, i, pid)
		}
	}
	if err := ex.Close(); err != nil {
		giveUp("Close: %v", err)
	}
}

// A worker is the program that runs, whatever has become of its file.
func TestProgramFileChangesMeanwhile(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		what   string
		change func(file string) error
	}{
		{"deleted", os.Remove},
		{"replaced", func(file string) error {
			other := file + ".new"
			if err := os.WriteFile(other, []byte("#!/bin/sh\nexit 99\n"), 0o700); err != nil {
				return err
			}
			return os.Rename(other, file)
		}},
		{"renamed", func(file string) error { return os.Rename(file, file+".old") }},
		{"touched", func(file string) error { return os.Chtimes(file, time.Now(), time.Unix(1_000_000_000, 0)) }},
	} {
		t.Run(tt.what, func(t *testing.T) {
			file := inDir(t, "program")
			program, err := os.ReadFile(exe)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, program, 0o700); err != nil {
				t.Fatal(err)
			}
			h := startHost(t, "mover", "", func(cmd *exec.Cmd) { cmd.Path = file })
			if line := h.line(); line != "ready" {
				t.Fatalf("the host says %q", line)
			}
			if err := tt.change(file); err != nil {
				t.Fatal(err)
			}
			h.say("go on")
			h.mustSucceed()
		})
	}
}

// elsewhereHost changes its working directory.
func elsewhereHost(dir string) {
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1, MaxTasksPerChild: 1}
	mustInHost(ex, deed{Verb: "tell"})
	if err := os.Chdir(dir); err != nil {
		giveUp("%v", err)
	}
	if a := mustInHost(ex, deed{Verb: "directory"}); a.Text != dir {
		giveUp("a worker is in %s; want %s", a.Text, dir)
	}
	if err := ex.Close(); err != nil {
		giveUp("Close: %v", err)
	}
}

// A program that was started by a relative path, and goes elsewhere, has workers
// there.
func TestProgramGoesElsewhere(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	startHost(t, "elsewhere", dir, func(cmd *exec.Cmd) {
		cmd.Dir = filepath.Dir(cmd.Path)
		cmd.Path = "./" + filepath.Base(cmd.Path)
		cmd.Args[0] = cmd.Path
		cmd.Env = append(cmd.Env, "PWD="+cmd.Dir)
	}).mustSucceed()
}
