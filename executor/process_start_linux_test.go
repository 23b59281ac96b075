package executor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/internal/wire"
)

func init() {
	verbs["environment"] = func(_ context.Context, _ deed, a *told) error {
		a.Text = strings.Join(os.Environ(), "\n")
		return nil
	}
	verbs["descriptors"] = func(_ context.Context, d deed, a *told) (err error) {
		if d.Text == "of a child" {
			out, err := exec.Command("ls", "-l", "/proc/self/fd").Output()
			a.Text = string(out)
			return err
		}
		a.Text, err = descriptors()
		return err
	}
	verbs["flood"] = func(context.Context, deed, *told) error {
		for {
			fmt.Println("all work and no play")
		}
	}
	verbs["grandchild, then sleep"] = func(_ context.Context, d deed, _ *told) error {
		if _, err := startGrandchild(d.Path, false); err != nil {
			return err
		}
		if err := logStart(d.Log+" grandchild", mustNumber(d.Path)); err != nil {
			return err
		}
		stuckInSleep()
		return nil
	}
	executor.Register(blocks)
	hosts["nursery"] = nursery
	hosts["deaf"] = deafHost
	hosts["reaper"] = reaperHost
	hosts["few files"] = fewFilesHost
	hosts["mover"] = moverHost
	hosts["elsewhere"] = elsewhereHost
	hosts["must not run"] = func(string) { fmt.Println("the program runs") }
	hosts["Ctrl-C"] = interruptedHost
	hosts["printer"] = printerHost
	hosts["stdin"] = stdinHost
	hosts["writer ends its goroutine"] = goexitWriterHost
	beRogue()
	beUnsealed()
}

// blocks returns a result that a pipe does not hold many of.
func blocks(_ context.Context, n int) ([]byte, error) { return make([]byte, n), nil }

func mustNumber(file string) int {
	text, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	n, err := strconv.Atoi(string(text))
	if err != nil {
		panic(err)
	}
	return n
}

// descriptors returns those of this process, one a line, but for the one that is
// needed to list them.
func descriptors() (string, error) {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return "", err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return "", err
	}
	var list []string
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil || fd == int(dir.Fd()) {
			continue
		}
		link, err := os.Readlink("/proc/self/fd/" + name)
		if os.IsNotExist(err) {
			continue // closed meanwhile
		}
		if err != nil {
			return "", err
		}
		list = append(list, fmt.Sprintf("%02d %s", fd, link))
	}
	slices.Sort(list)
	return strings.Join(list, "\n"), nil
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

// nursery starts calls in workers, says when they have started, and then does as
// it is told. Its argument is "log verb workers".
func nursery(arg string) {
	log, verb, _ := strings.Cut(arg, " ")
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 3, Stdout: io.Discard, Stderr: io.Discard}
	switch verb {
	case "idle":
		mustInHost(ex, deed{Verb: "tell", Log: log})
	case "initialize":
		ex.Initializer = initHangs
		ex.Env = withLog(log)
		do(ex, deed{Verb: "tell"})
	case "write":
		mustInHost(ex, deed{Verb: "tell", Log: log})
		ctx := context.Background()
		for range 50 { // the parent is stopped when it has said ready
			executor.Submit(ctx, ex, blocks, 900_000)
		}
	case "dive":
		do(ex, deed{Verb: "dive", Log: log, N: 2, Path: log + " never"})
	default:
		for i := range 3 {
			do(ex, deed{Verb: verb, Log: log, ID: i, Path: fmt.Sprint(log, " grandchild ", i)})
		}
	}
	fmt.Println("ready")
	switch how := heard(); how {
	case "exit":
		os.Exit(0)
	case "panic":
		go panic("the host is out of its mind")
	}
	select {}
}

// pidsIn returns the processes of a log.
func pidsIn(t *testing.T, log string) (pids []int) {
	for _, p := range startsIn(t, log) {
		pids = append(pids, p...)
	}
	slices.Sort(pids)
	return slices.Compact(pids)
}

// PROC-20, PROC-21, D18: when the parent ends, however it ends, its workers end,
// whatever they do, and all that they have started.
func TestNobodyOutlivesTheParent(t *testing.T) {
	for _, tt := range []struct {
		verb string // what the workers do
		pids int    // how many processes there are to be
		how  string // how the parent ends
	}{
		{"idle", 1, "SIGKILL"},
		{"sleep", 3, "SIGKILL"},
		{"spin", 3, "SIGKILL"},
		{"read", 3, "SIGKILL"},
		{"flood", 3, "SIGKILL"},
		{"write", 1, "SIGSTOP, SIGKILL"},
		{"initialize", 1, "SIGKILL"},
		{"dive", 3, "SIGKILL"},
		{"grandchild, then sleep", 3, "SIGKILL"},
		{"idle", 1, "exit"},
		{"spin", 3, "exit"},
		{"sleep", 3, "panic"},
		{"sleep", 3, "SIGTERM"},
		{"sleep", 3, "workers are stopped"},
		{"spin", 3, "workers are stopped"},
		{"grandchild, then sleep", 3, "workers are killed, SIGKILL"},
		{"grandchild, then sleep", 3, "SIGSTOP, workers are killed, SIGKILL"},
	} {
		t.Run(tt.verb+", "+tt.how, func(t *testing.T) {
			log := inDir(t, "log")
			h := startHost(t, "nursery", log+" "+tt.verb)
			if line := h.line(); line != "ready" {
				t.Fatalf("the host says %q", line)
			}
			waitUntil(t, fmt.Sprintf("%d processes have started", tt.pids), func() bool { return len(pidsIn(t, log)) == tt.pids })
			workers := pidsIn(t, log)
			pids := slices.Clone(workers)
			if strings.HasPrefix(tt.verb, "grandchild") {
				waitUntil(t, "the grandchildren have started", func() bool { return len(startsIn(t, log+" grandchild")) == tt.pids })
				for pid := range startsIn(t, log+" grandchild") {
					pids = append(pids, pid)
				}
			}
			t.Cleanup(func() {
				for _, pid := range pids {
					if t.Failed() && isAlive(pid) {
						_ = syscall.Kill(pid, syscall.SIGKILL)
					}
				}
			})
			for _, pid := range pids {
				if !isAlive(pid) {
					t.Errorf("process %d is gone before its parent", pid)
				}
			}
			switch tt.how {
			case "SIGKILL":
				_ = h.Process.Kill()
			case "SIGTERM":
				_ = h.Process.Signal(syscall.SIGTERM)
			case "SIGSTOP, SIGKILL":
				_ = h.Process.Signal(syscall.SIGSTOP)
				_ = h.Process.Kill()
			case "workers are killed, SIGKILL", "SIGSTOP, workers are killed, SIGKILL":
				if strings.HasPrefix(tt.how, "SIGSTOP") { // it cannot end what they have started
					mustStop(t, h.Process.Pid)
				}
				for _, pid := range workers {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
				_ = h.Process.Kill()
			case "workers are stopped":
				for _, pid := range pids {
					_ = syscall.Kill(pid, syscall.SIGSTOP)
				}
				_ = h.Process.Kill()
				_ = h.Wait()
				for _, pid := range pids {
					_ = syscall.Kill(pid, syscall.SIGCONT)
				}
			default:
				h.say(tt.how)
			}
			_ = h.Wait()
			mustGo(t, "after its parent", pids...)
		})
	}
}

// E17, D18: a worker does not depend on the thread that has started it.
func TestWorkerOutlivesTheThreadThatStartedIt(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	pids := make(chan int)
	go func() {
		runtime.LockOSThread() // and ends with the goroutine
		a, _ := do(ex, deed{Verb: "tell"}).Result(context.Background())
		pids <- a.PID
	}()
	pid := <-pids
	for range 20 {
		if a := mustTell(t, do(ex, deed{Verb: "tell"})); a.PID != pid {
			t.Fatalf("a call ran in process %d; want %d again", a.PID, pid)
		}
	}
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

// PROC-27, E18: a program that ignores SIGCHLD has a pool that works, but for
// the exit codes.
func TestProgramThatIgnoresSIGCHLD(t *testing.T) { startHost(t, "deaf", "").mustSucceed() }

// PROC-27: so has one that reaps all children.
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

// PROC-19, E23: a pool that finds no descriptors has an error or fewer workers,
// never hangs, and loses none.
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

// E21, D17: a worker is the program that runs, whatever has become of its file.
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

// Who sets the variable of a worker by hand gets an explanation, and no program.
func TestMarkerSetByHand(t *testing.T) {
	for _, value := range []string{"1", "0", "-1", "", "yes", "1 2 3", "99999999999999999999"} {
		out, err := runMarked(t, value)
		if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 2 {
			t.Errorf("FUTURES_WORKER=%q: %v; want exit status 2", value, err)
		}
		if !strings.Contains(out, "FUTURES_WORKER") || strings.Contains(out, "the program runs") || strings.Count(out, "\n") > 3 {
			t.Errorf("FUTURES_WORKER=%q: it prints %q; want a line that explains, and that the program does not run", value, out)
		}
	}
}

// A worker whose parent says nothing, or nonsense, ends.
func TestMarkerSetByHandWithPipes(t *testing.T) {
	for _, text := range []string{"", "\x00", strings.Repeat("nonsense", 1000), "\xff\xff\xff\xff\xff\xff\xff\xff"} {
		calls, in, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		out, results, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.WriteString(text); err != nil {
			t.Fatal(err)
		}
		in.Close()
		printed, err := runMarked(t, "1", calls, results)
		calls.Close()
		results.Close()
		answer, _ := io.ReadAll(out)
		out.Close()
		if err == nil && text != "" || strings.Contains(printed, "the program runs") || strings.Contains(printed, "goroutine ") || len(answer) > 0 {
			t.Errorf("a worker that hears %.20q: %v, prints %q, answers %q; want that it ends with an error, and no answer", text, err, printed, answer)
		}
	}
}

// runMarked runs a host with the marker of a worker, and returns what it prints.
func runMarked(t *testing.T, value string, files ...*os.File) (string, error) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), longEnough)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe, "-test.run=^TestHost$")
	cmd.Env = append(os.Environ(), "FUTURES_WORKER="+value, hostVariable+"=must not run")
	cmd.ExtraFiles = files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it may end its group
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}

// Env is exactly the environment of the workers.
func TestEnvIsExact(t *testing.T) {
	for _, tt := range []struct{ env, want []string }{
		{[]string{}, nil},
		{[]string{"A=1", "B=two words", "C="}, []string{"A=1", "B=two words", "C="}},
		{[]string{"FUTURES_WORKER=7", "A=1"}, []string{"A=1"}},
	} {
		ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, Env: tt.env})
		if got := mustTell(t, do(ex, deed{Verb: "environment"})).Text; got != strings.Join(tt.want, "\n") {
			t.Errorf("Env %q: the worker has %q; want %q", tt.env, got, tt.want)
		}
	}
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	t.Setenv("FUTURES_TEST_LATE", "yes")
	if got, own := mustTell(t, do(ex, deed{Verb: "environment"})).Text, strings.Join(os.Environ(), "\n"); got != own {
		t.Errorf("Env nil: the worker has\n%s\nwant that of this process:\n%s", got, own)
	}
}

// RES-02, D16, E22: a worker has stdin, stdout, stderr and its transport, and
// its children the first three.
func TestDescriptorsOfAWorker(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // what workers must not have
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	usual := descriptorsOfAChild(t) // not all who start tests close theirs
	other := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	mustTell(t, do(other, deed{Verb: "tell"}))
	dir := t.TempDir()
	log, gate := filepath.Join(dir, "log"), filepath.Join(dir, "gate")
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 3})
	for i := range 2 { // so that the third worker comes after others
		do(ex, deed{Verb: "hold", Log: log, ID: i, Path: gate})
		awaitStart(t, log, i)
	}
	var kinds []string
	text := mustTell(t, do(ex, deed{Verb: "descriptors"})).Text
	for line := range strings.Lines(text) {
		fd, target, _ := strings.Cut(strings.TrimSpace(line), " ")
		kind, _, _ := strings.Cut(target, ":")
		if isOfRuntime := kind == "anon_inode" || strings.HasPrefix(kind, "/sys/fs/cgroup/"); !isOfRuntime && (fd <= "06" || !slices.Contains(usual, target)) {
			kinds = append(kinds, kind)
		}
	}
	if want := []string{"/dev/null", "pipe", "pipe", "pipe", "pipe", "socket"}; !slices.Equal(kinds, want) { // the shared memory is mapped, and closed
		t.Errorf("the descriptors of a worker are %q; want %q; all of them:\n%s", kinds, want, text)
	}
	text = mustTell(t, do(ex, deed{Verb: "descriptors", Text: "of a child"})).Text
	if got := parseDescriptors(text); !slices.Equal(got, usual) {
		t.Errorf("a worker's child has, beyond the first three, %q; want %q, what a child of this process has:\n%s", got, usual, text)
	}
	if got := descriptorsOfAChild(t); !slices.Equal(got, usual) {
		t.Errorf("beside pools, a child of this process has, beyond the first three, %q; want %q", got, usual)
	}
	touch(t, gate)
}

// descriptorsOfAChild returns what a process that this one starts has beyond
// stdin, stdout and stderr.
func descriptorsOfAChild(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("ls", "-l", "/proc/self/fd").Output()
	if err != nil {
		t.Fatal(err)
	}
	return parseDescriptors(string(out))
}

// parseDescriptors reads the output of ls, which has a descriptor for the
// directory.
func parseDescriptors(text string) (targets []string) {
	for line := range strings.Lines(text) {
		name, target, ok := strings.Cut(strings.TrimSpace(line), " -> ")
		fd, err := strconv.Atoi(name[strings.LastIndexByte(name, ' ')+1:])
		if ok && err == nil && fd > 2 && !strings.HasSuffix(target, "/fd") {
			targets = append(targets, target)
		}
	}
	slices.Sort(targets)
	return targets
}

// RES-01, D21: pools leave nothing behind, however they end.
func TestPoolsLeaveNothingBehind(t *testing.T) {
	usePool := func(i int) {
		ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2, KillGrace: 20 * time.Millisecond})
		f := do(ex, deed{Verb: "tell", N: i})
		switch i % 5 {
		case 0:
			mustTell(t, f)
		case 1:
			mustDie(t, do(ex, deed{Verb: "exit"}))
		case 2:
			do(ex, deed{Verb: "sleep"})
			mustTell(t, f)
			_ = ex.Shutdown(ended())
		case 3:
			_ = ex.Shutdown(ended())
		case 4:
			ctx, cancel := context.WithCancel(t.Context())
			f := executor.Submit(ctx, ex, doDeed, deed{Verb: "heed"})
			cancel()
			_, _ = resultOf(t, f)
		}
		closeInTime(t, ex)
	}
	usePool(0)
	usePool(1)
	before, err := descriptors()
	if err != nil {
		t.Fatal(err)
	}
	goroutines := runtime.NumGoroutine()
	for i := range 20 {
		usePool(i)
	}
	if pids := offspring(t); len(pids) > 0 {
		t.Errorf("the children %v are left, or not reaped", pids)
	}
	after, err := descriptors()
	if err != nil || after != before {
		t.Errorf("the descriptors before:\n%s\nand after 20 pools (%v):\n%s", before, err, after)
	}
	for begin := time.Now(); runtime.NumGoroutine() > goroutines && time.Since(begin) < longEnough/4; {
		time.Sleep(2 * time.Millisecond) // timers may have some that end soon
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("%d goroutines before, %d after 20 pools", goroutines, n)
	}
}

// interruptedHost goes on when it is interrupted, and ends when its calls have.
func interruptedHost(dir string) {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	log, gate := filepath.Join(dir, "log"), filepath.Join(dir, "gate")
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2}
	fs := []*executor.Future[told]{do(ex, deed{Verb: "hold", Log: log, Path: gate}), do(ex, deed{Verb: "hold", Log: log, ID: 1, Path: gate})}
	fmt.Println("ready")
	<-interrupts
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		giveUp("%v", err)
	}
	for _, f := range fs {
		if _, err := f.Result(context.Background()); err != nil {
			giveUp("a call: %v", err)
		}
	}
	if err := ex.Close(); err != nil {
		giveUp("Close: %v", err)
	}
}

// PROC-22, D19: Ctrl-C goes to all processes of the terminal's foreground. The
// parent decides what it means; workers do not even say anything.
func TestInterruptIsTheParentsBusiness(t *testing.T) {
	dir := t.TempDir()
	h := startHost(t, "Ctrl-C", dir, func(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} })
	h.line()
	pids := []int{awaitStart(t, filepath.Join(dir, "log"), 0), awaitStart(t, filepath.Join(dir, "log"), 1)}
	if err := syscall.Kill(-h.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	h.mustSucceed()
	if h.stderr.Len() > 0 {
		t.Errorf("on stderr there is:\n%s", &h.stderr)
	}
	mustGo(t, "the worker", pids...)
}

// printerHost lets a worker print.
func printerHost(string) {
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1}
	mustInHost(ex, deed{Verb: "print", N: 2, Text: "worker:"})
	if err := ex.Close(); err != nil {
		giveUp("Close: %v", err)
	}
}

// Without Stdout and Stderr, workers print where their parent does.
func TestWorkersPrintWhereTheParentDoes(t *testing.T) {
	h := startHost(t, "printer", "")
	for _, want := range []string{"worker: stdout 0", "worker: stdout 1"} {
		if got := h.line(); got != want {
			t.Errorf("the host's stdout has %q; want %q", got, want)
		}
	}
	h.mustSucceed()
	if got, want := h.stderr.String(), "worker: stderr 0\nworker: stderr 1\n"; got != want {
		t.Errorf("the host's stderr has %q; want %q", got, want)
	}
}

// stdinHost has a worker that reads its stdin, then reads its own.
func stdinHost(string) {
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1}
	if a := mustInHost(ex, deed{Verb: "stdin"}); a.N != 0 {
		giveUp("a worker reads %q", a.Text)
	}
	if line := heard(); line != "for the parent" {
		giveUp("the parent reads %q", line)
	}
	if err := ex.Close(); err != nil {
		giveUp("Close: %v", err)
	}
}

// PROC-24: no worker reads what is meant for its parent.
func TestStdinIsTheParents(t *testing.T) {
	h := startHost(t, "stdin", "")
	h.say("for the parent")
	h.mustSucceed()
}

// goexitWriterHost has a writer that ends its goroutine, as one does that calls
// t.FailNow.
func goexitWriterHost(string) {
	w := writerFunc(func([]byte) (int, error) { runtime.Goexit(); return 0, nil })
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1, Stdout: w, Stderr: w}
	for range 3 {
		mustInHost(ex, deed{Verb: "print", N: 100})
	}
	ctx, cancel := context.WithTimeout(context.Background(), longEnough)
	defer cancel()
	if err := ex.Shutdown(ctx); err != nil {
		giveUp("Shutdown: %v", err)
	}
}

// D16: a writer that ends its goroutine is like one that panics.
func TestWriterThatEndsItsGoroutine(t *testing.T) {
	startHost(t, "writer ends its goroutine", "").mustSucceed()
}

// rogueVariable is what makes a worker behave as none should.
const rogueVariable = "FUTURES_TEST_ROGUE"

// beRogue is called by an init function, before WorkerMain can do its work.
func beRogue() {
	how := os.Getenv(rogueVariable)
	if _, isWorker := os.LookupEnv("FUTURES_WORKER"); !isWorker || how == "" {
		return
	}
	_ = logStart(os.Getenv(initLog), 0)
	results := os.NewFile(4, "results")
	switch how {
	case "exits":
		os.Exit(3)
	case "exits with 0":
		os.Exit(0)
	case "is silent":
		select {}
	case "sends garbage":
		_, _ = results.WriteString(strings.Repeat("garbage!", 100))
		os.Exit(0)
	case "sends garbage and stays":
		_, _ = results.WriteString("\x05\x00\x00\x00garbage!")
		select {}
	case "registers more":
		executor.Register(rogueFunction)
		return
	case "has children":
		cmd := exec.Command("sleep", "600")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		_ = logStart(os.Getenv(initLog), cmd.Process.Pid)
		return
	}
	config := readConfig()
	hello := wire.Hello{Version: wire.Version, Nonce: config.Nonce, PID: uint32(os.Getpid())}
	switch how {
	case "has another version":
		hello.Version++
	case "does not know the nonce":
		hello.Nonce[0]++
	case "is another build":
		hello.Build = "another"
	case "sends a part of its hello":
		b := hello.Append(nil)
		_, _ = results.Write(b[:len(b)-1])
		os.Exit(0)
	}
	_, _ = results.Write(hello.Append(nil))
	select {}
}

func rogueFunction(context.Context, int) (int, error) { return 0, nil }

func readConfig() wire.Config {
	_, body, err := wire.NewReader(os.NewFile(3, "calls")).Next()
	if err != nil {
		panic(err)
	}
	config, err := wire.ParseConfig(body)
	if err != nil {
		panic(err)
	}
	return config
}

func rogueEnv(how, log string) []string { return append(withLog(log), rogueVariable+"="+how) }

// PROC-14, D22: a worker that does not say hello as it should is tried again a
// few times; then the pool is broken, and says so.
func TestWorkerThatDoesNotSayHello(t *testing.T) {
	for _, tt := range []struct{ how, says string }{
		{"exits", "exited with code 3"},
		{"exits with 0", "exited with code 0"},
		{"sends garbage", "worker process"},
		{"sends a part of its hello", "worker process"},
	} {
		t.Run(tt.how, func(t *testing.T) {
			log := inDir(t, "log")
			ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2, Env: rogueEnv(tt.how, log)})
			var fs []*executor.Future[told]
			for range 10 {
				fs = append(fs, do(ex, deed{Verb: "tell"}))
			}
			for i, f := range fs {
				if _, err := resultOf(t, f); !errors.Is(err, executor.ErrBroken) || !strings.Contains(err.Error(), tt.says) {
					t.Fatalf("call %d: %v; want ErrBroken and %q", i, err, tt.says)
				}
			}
			closeInTime(t, ex)
			if n := len(startsIn(t, log)[0]); n < 5 || n > 6 {
				t.Errorf("%d workers were started; want 5, or one more that was under way", n)
			}
			if pids := offspring(t); len(pids) > 0 {
				t.Errorf("the children %v are left", pids)
			}
		})
	}
}

// PROC-14: a worker that sends nonsense and does not go is ended.
func TestWorkerThatSendsGarbageAndStays(t *testing.T) {
	log := inDir(t, "log")
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, Env: rogueEnv("sends garbage and stays", log)})
	if _, err := resultOf(t, do(ex, deed{Verb: "tell"})); !errors.Is(err, executor.ErrBroken) {
		t.Errorf("%v; want ErrBroken", err)
	}
	closeInTime(t, ex)
	mustGo(t, "the worker", startsIn(t, log)[0]...)
}

// PROC-14, D8: while a worker is silent, calls can be cancelled, and Shutdown
// ends it.
func TestSilentWorkerHoldsUpNeitherCancelNorShutdown(t *testing.T) {
	log := inDir(t, "log")
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, Env: rogueEnv("is silent", log)})
	first, second := do(ex, deed{Verb: "tell"}), do(ex, deed{Verb: "tell"})
	pid := awaitStart(t, log, 0)
	if !first.Cancel() {
		t.Error("Cancel is false")
	}
	_ = ex.Shutdown(ended())
	if _, err := resultOf(t, second); !errors.Is(err, executor.ErrCancelled) {
		t.Errorf("after Shutdown: %v; want ErrCancelled", err)
	}
	closeInTime(t, ex)
	mustGo(t, "the silent worker", pid)
}

// PROC-15, D17: a worker that is not this program breaks the pool at the first
// try, with an error that says why.
func TestWorkerThatIsAnotherProgram(t *testing.T) {
	for how, says := range map[string]string{
		"has another version":     "version",
		"does not know the nonce": "nonce",
		"is another build":        "build",
		"registers more":          "register",
	} {
		t.Run(how, func(t *testing.T) {
			log := inDir(t, "log")
			ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, Env: rogueEnv(how, log)})
			for i := range 3 {
				if _, err := resultOf(t, do(ex, deed{Verb: "tell"})); !errors.Is(err, executor.ErrBroken) || !strings.Contains(err.Error(), says) {
					t.Errorf("call %d: %v; want ErrBroken and %q", i, err, says)
				}
			}
			closeInTime(t, ex)
			if n := len(startsIn(t, log)[0]); n != 1 {
				t.Errorf("%d workers were started; want 1", n)
			}
		})
	}
}

// PROC-26, E20: also a process that was started before WorkerMain, and has the
// worker's transport therefore, does not delay the news of a death.
func TestChildFromBeforeWorkerMainDelaysNothing(t *testing.T) {
	log := inDir(t, "log")
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, Env: rogueEnv("has children", log)})
	t.Cleanup(func() {
		for pid := range startsIn(t, log) {
			if pid != 0 {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
	mustTell(t, do(ex, deed{Verb: "tell"}))
	if died := mustDie(t, do(ex, deed{Verb: "exit", N: 5})); died.ExitCode != 5 {
		t.Errorf("%v; want exit code 5", died)
	}
	mustTell(t, do(ex, deed{Verb: "tell"}))
	closeInTime(t, ex)
}

// unsealedVariable makes a host submit a call before WorkerMain.
const unsealedVariable = "FUTURES_TEST_UNSEALED"

func beUnsealed() {
	if os.Getenv(unsealedVariable) == "" {
		return
	}
	_ = logStart(os.Getenv(initLog), 0)
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2}
	_, err := do(ex, deed{Verb: "tell"}).Result(context.Background())
	fmt.Println(err)
	fmt.Println(ex.Close(), ex.Stats().Workers)
	os.Exit(0)
}

// PROC-16, D23: a program that has not called WorkerMain gets an error that says
// so, and starts no process.
func TestCallBeforeWorkerMain(t *testing.T) {
	log := inDir(t, "log")
	h := startHost(t, "must not run", "", func(cmd *exec.Cmd) {
		cmd.Env = append(withLog(log), unsealedVariable+"=yes")
	})
	if line := h.line(); !strings.Contains(line, "executor.WorkerMain()") || !strings.Contains(line, "first line") {
		t.Errorf("the error is %q; want one that says what to do", line)
	}
	if line := h.line(); line != "<nil> 0" {
		t.Errorf("Close and the number of workers: %s; want <nil> 0", line)
	}
	h.mustSucceed()
	if n := len(startsIn(t, log)[0]); n != 1 {
		t.Errorf("the program was started %d times; want once", n)
	}
}
