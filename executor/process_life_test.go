package executor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
)

func init() {
	verbs["dive"] = dive
	verbs["stdin"] = func(_ context.Context, _ deed, a *told) error {
		text, err := io.ReadAll(os.Stdin)
		a.Text, a.N = string(text), len(text)
		return err
	}
	verbs["print"] = func(_ context.Context, d deed, _ *told) error {
		for i := range d.N {
			fmt.Printf("%s stdout %d\n", d.Text, i)
			fmt.Fprintf(os.Stderr, "%s stderr %d\n", d.Text, i)
		}
		return nil
	}
	verbs["print as is"] = func(_ context.Context, d deed, _ *told) error {
		fmt.Print(d.Text)
		fmt.Fprint(os.Stderr, d.Text)
		return nil
	}
	verbs["print long"] = func(_ context.Context, d deed, _ *told) error {
		fmt.Println(strings.Repeat("abcdefghi-", d.N/10))
		return nil
	}
	verbs["log"] = func(_ context.Context, d deed, _ *told) error {
		slog.Info(d.Text, "n", d.N)
		println("println of", d.Text)
		return nil
	}
	verbs["garbage"] = func(_ context.Context, d deed, _ *told) error { return printGarbage(d.N) }
	verbs["close output"] = func(context.Context, deed, *told) error { return errors.Join(os.Stdout.Close(), os.Stderr.Close()) }
	verbs["memory limit"] = func(_ context.Context, _ deed, a *told) error {
		a.N, a.Text = int(debug.SetMemoryLimit(-1)), os.Getenv("GOMEMLIMIT")
		return nil
	}
	verbs["directory"] = func(_ context.Context, d deed, a *told) (err error) {
		if d.Path != "" {
			err = os.Chdir(d.Path)
		}
		dir, err2 := os.Getwd()
		a.Text = dir
		return errors.Join(err, err2)
	}
	verbs["fail"] = func(_ context.Context, d deed, _ *told) error { return errors.New(d.Text) }
	verbs["was initialized"] = func(_ context.Context, _ deed, a *told) error { a.N = int(initialized.Load()); return nil }
	for _, init := range []func(context.Context) error{initState, initFails, initPanics, initExits, initEndsGoroutine, initHangs, initFailsAtFirst} {
		executor.RegisterInitializer(init)
	}
	executor.RegisterError("test: errInitializer", errInitializer)
}

// dive opens a pool in a worker, and one in its worker, and so on.
func dive(ctx context.Context, d deed, a *told) error {
	if d.N == 0 {
		holdUntil(d.Path)
		return nil
	}
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1}
	defer ex.Close()
	d.N--
	below, err := executor.Submit(ctx, ex, doDeed, d).Result(ctx)
	a.N = below.N + 1
	return err
}

func printGarbage(n int) error {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	block := make([]byte, 64<<10)
	for ; n > 0; n -= len(block) {
		for i := range block {
			block[i] = byte(rng.Uint32())
		}
		if _, err := os.Stdout.Write(block); err != nil {
			return err
		}
		if _, err := os.Stderr.Write(block); err != nil {
			return err
		}
	}
	return nil
}

// The initializers.

var (
	initialized    atomic.Int32
	errInitializer = errors.New("no good start")
)

// initLog is the variable that has the name of a log of initializers.
const initLog = "FUTURES_TEST_INIT_LOG"

func initState(context.Context) error { initialized.Add(7); return nil }

func initFails(context.Context) error {
	return errors.Join(logStart(os.Getenv(initLog), 0), errInitializer)
}

func initPanics(context.Context) error { _ = logStart(os.Getenv(initLog), 0); panic("no good start") }

func initExits(context.Context) error { _ = logStart(os.Getenv(initLog), 0); os.Exit(4); return nil }

func initEndsGoroutine(context.Context) error {
	_ = logStart(os.Getenv(initLog), 0)
	runtime.Goexit()
	return nil
}

func initHangs(context.Context) error { _ = logStart(os.Getenv(initLog), 0); select {} }

// initFailsAtFirst fails in the first three processes.
func initFailsAtFirst(context.Context) error {
	if err := logStart(os.Getenv(initLog), 0); err != nil {
		return err
	}
	text, err := os.ReadFile(os.Getenv(initLog))
	if err == nil && bytes.Count(text, []byte("\n")) <= 3 {
		err = errInitializer
	}
	return err
}

// withLog returns the environment for workers with a log of initializers.
func withLog(log string) []string { return append(os.Environ(), initLog+"="+log) }

// Workers start when there is work for them, and are used again.
func TestWorkersStartOnDemandAndAreReused(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 4})
	if n := ex.Stats().Workers; n != 0 {
		t.Errorf("%d workers before the first call", n)
	}
	pid := mustTell(t, do(ex, deed{Verb: "tell"})).PID
	for i := range 30 {
		if a := mustTell(t, do(ex, deed{Verb: "tell"})); a.PID != pid || a.PID == os.Getpid() {
			t.Errorf("call %d ran in process %d; want %d again, which is idle (this is %d)", i, a.PID, pid, os.Getpid())
		}
	}
	if s := ex.Stats(); s.Workers != 1 || s.Restarts != 0 {
		t.Errorf("after calls one at a time: %+v; want 1 worker, 0 restarts", s)
	}
	dir := t.TempDir()
	log, gate := filepath.Join(dir, "log"), filepath.Join(dir, "gate")
	var fs []*executor.Future[told]
	for i := range 4 {
		fs = append(fs, do(ex, deed{Verb: "hold", Log: log, ID: i, Path: gate}))
	}
	pids := make(map[int]bool)
	for i := range fs {
		pids[awaitStart(t, log, i)] = true
	}
	if len(pids) != 4 || !pids[pid] {
		t.Errorf("4 calls at once run in %v; want 4 processes, %d among them", pids, pid)
	}
	touch(t, gate)
	for _, f := range fs {
		mustTell(t, f)
	}
	for i := range 30 {
		if a := mustTell(t, do(ex, deed{Verb: "tell"})); !pids[a.PID] {
			t.Errorf("call %d ran in the new process %d; want one of %v", i, a.PID, pids)
		}
	}
	if s := ex.Stats(); s.Workers != 4 || s.Restarts != 0 {
		t.Errorf("after 4 calls at once: %+v; want 4 workers, 0 restarts", s)
	}
}

// MaxTasksPerChild calls run in a worker, the next in another one.
func TestMaxTasksPerChild(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, MaxTasksPerChild: 3})
	var pids []int
	for range 9 {
		pids = append(pids, mustTell(t, do(ex, deed{Verb: "tell"})).PID)
	}
	if got := runs(pids); !slices.Equal(got, []int{3, 3, 3}) {
		t.Errorf("9 calls, MaxTasksPerChild 3: in processes %v, %v at a time; want 3, 3, 3", pids, got)
	}
	waitUntil(t, "the old workers have gone", func() bool { return ex.Stats().Workers <= 1 })
	if s := ex.Stats(); s.Restarts != 0 || s.Failed != 0 {
		t.Errorf("%+v; want no restart and no failure: nobody has died", s)
	}
}

// runs returns how often each element of list is there in a row.
func runs(list []int) (n []int) {
	for i, v := range list {
		if i == 0 || list[i-1] != v {
			n = append(n, 0)
		}
		n[len(n)-1]++
	}
	return n
}

// Items count, also those of chunks, which are not split.
func TestMaxTasksPerChildCountsItems(t *testing.T) {
	for _, tt := range []struct {
		chunk int
		want  []int
	}{
		{5, []int{10, 10, 10, 10}},
		{10, []int{10, 10, 10, 10}},
		{4, []int{8, 8, 8, 8, 8}},
		{20, []int{20, 20}}, // more than the limit, but one chunk
	} {
		t.Run(fmt.Sprint("chunks of ", tt.chunk), func(t *testing.T) {
			ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, MaxTasksPerChild: 10})
			deeds := slices.Repeat([]deed{{Verb: "tell"}}, 40)
			ctx, cancel := context.WithTimeout(t.Context(), longEnough)
			defer cancel()
			answers, err := executor.Collect(executor.Map(ctx, ex, doDeed, slices.Values(deeds), executor.ChunkSize(tt.chunk)))
			if err != nil {
				t.Fatalf("after %d answers: %v; %+v", len(answers), err, ex.Stats())
			}
			var pids []int
			for _, a := range answers {
				pids = append(pids, a.PID)
			}
			if got := runs(pids); !slices.Equal(got, tt.want) {
				t.Errorf("40 items, MaxTasksPerChild 10: %v in a process; want %v", got, tt.want)
			}
		})
	}
}

// Workers that are replaced all the time lose no call.
func TestMaxTasksPerChildLosesNothing(t *testing.T) {
	for _, tt := range []struct{ workers, limit, calls int }{{1, 2, 6}, {2, 2, 8}, {3, 1, 20}} {
		ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: tt.workers, MaxTasksPerChild: tt.limit})
		var fs []*executor.Future[told]
		for i := range tt.calls {
			fs = append(fs, do(ex, deed{Verb: "tell", N: i}))
		}
		made := make(map[int]int)
		for i, f := range fs {
			a := mustTell(t, f)
			if a.N != i {
				t.Errorf("%+v: call %d returned %d", tt, i, a.N)
			}
			made[a.PID]++
		}
		for pid, n := range made {
			if n > tt.limit {
				t.Errorf("%+v: process %d has made %d calls", tt, pid, n)
			}
		}
	}
}

// Close while workers are replaced waits for all calls.
func TestMaxTasksPerChildAndCloseAtOnce(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 3, MaxTasksPerChild: 1})
	var fs []*executor.Future[told]
	for i := range 6 {
		fs = append(fs, do(ex, deed{Verb: "tell", N: i}))
	}
	if err := ex.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	for i, f := range fs {
		if !isDone(f) {
			t.Errorf("after Close, call %d is %v", i, f)
		}
		if a := mustTell(t, f); a.N != i {
			t.Errorf("call %d returned %d", i, a.N)
		}
	}
}

// Everything ends, though a call fails, the limit is one, and Shutdown comes at
// once.
func TestMaxTasksPerChildAndShutdownAtOnce(t *testing.T) {
	for range 5 {
		ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, MaxTasksPerChild: 1, KillGrace: 50 * time.Millisecond})
		fs := []*executor.Future[told]{do(ex, deed{Verb: "fail", Text: "no"}), do(ex, deed{Verb: "fail", Text: "no"}), do(ex, deed{Verb: "tell"})}
		_ = ex.Shutdown(ended())
		for _, f := range fs {
			_, _ = resultOf(t, f)
		}
	}
}

// A limit that makes no sense is an error.
func TestSillyLimitsAreErrors(t *testing.T) {
	for name, ex := range map[string]*executor.ProcessPoolExecutor{
		"MaxWorkers":       {MaxWorkers: -1},
		"QueueLimit":       {QueueLimit: -1},
		"MaxTasksPerChild": {MaxTasksPerChild: -1},
		"MemoryLimit":      {MemoryLimit: -1},
		"Retries":          {Retries: -1},
		"KillGrace":        {KillGrace: -1},
	} {
		newProcesses(t, ex)
		if _, err := resultOf(t, do(ex, deed{Verb: "tell"})); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s -1: %v; want an error that names it", name, err)
		}
		if n := ex.Stats().Workers; n != 0 {
			t.Errorf("%s -1: %d workers", name, n)
		}
	}
}

// Each worker is initialized once, also one that replaces another.
func TestInitializerRunsInEachWorker(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2, Initializer: initState, MaxTasksPerChild: 4})
	var fs []*executor.Future[told]
	for i := range 20 {
		if i == 7 {
			for _, f := range fs { // those that are tiny may die with the next
				mustTell(t, f)
			}
			fs = append(fs, do(ex, deed{Verb: "exit"}))
			continue
		}
		fs = append(fs, do(ex, deed{Verb: "was initialized"}))
	}
	pids := make(map[int]bool)
	for i, f := range fs {
		if i == 7 {
			mustDie(t, f)
			continue
		}
		a := mustTell(t, f)
		pids[a.PID] = true
		if a.N != 7 {
			t.Errorf("call %d in process %d sees the state %d; want 7", i, a.PID, a.N)
		}
	}
	if len(pids) < 4 {
		t.Errorf("19 calls ran in the processes %v; want at least 4, at 4 each", pids)
	}
	if n := initialized.Load(); n != 0 {
		t.Errorf("the Initializer has run in this process: %d", n)
	}
}

// An Initializer that does not work, whatever it does, is tried five times.
// Then all calls fail with its error, later ones at once.
func TestInitializerThatNeverWorksBreaksThePool(t *testing.T) {
	t.Parallel() // it waits most of its time
	for _, tt := range []struct {
		name string
		init func(context.Context) error
		is   func(error) bool
	}{
		{"fails", initFails, func(err error) bool { return errors.Is(err, errInitializer) }},
		{"panics", initPanics, func(err error) bool {
			p, ok := errors.AsType[*executor.PanicError](err)
			return ok && p.Value == "no good start"
		}},
		{"exits", initExits, func(err error) bool {
			d, ok := errors.AsType[*executor.WorkerDiedError](err)
			return ok && d.ExitCode == 4
		}},
		{"ends its goroutine", initEndsGoroutine, func(err error) bool { return errors.Is(err, executor.ErrGoexit) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			log := inDir(t, "log")
			ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2, Name: "the pool", Initializer: tt.init, Env: withLog(log)})
			var fs []*executor.Future[told]
			for range 100 {
				fs = append(fs, do(ex, deed{Verb: "tell"}))
			}
			for i, f := range fs {
				_, err := resultOf(t, f)
				if !errors.Is(err, executor.ErrBroken) || !tt.is(err) || !strings.Contains(err.Error(), "Initializer") || !strings.Contains(err.Error(), "the pool") {
					t.Fatalf("call %d: %v; want ErrBroken, the cause, and the name of the pool", i, err)
				}
			}
			if _, err := resultOf(t, do(ex, deed{Verb: "tell"})); !errors.Is(err, executor.ErrBroken) || !tt.is(err) {
				t.Errorf("a later call: %v; want ErrBroken and the cause", err)
			}
			waitUntil(t, "no worker is left", func() bool { return ex.Stats().Workers == 0 })
			if n := len(startsIn(t, log)[0]); n < 5 || n > 5+1 {
				t.Errorf("the Initializer ran %d times; want 5, or one more that was under way", n)
			}
		})
	}
}

// An Initializer that fails now and then breaks nothing.
func TestInitializerThatWorksLater(t *testing.T) {
	log := inDir(t, "log")
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, Initializer: initFailsAtFirst, Env: withLog(log)})
	if a := mustTell(t, do(ex, deed{Verb: "tell", N: 2})); a.N != 2 {
		t.Errorf("%+v; want N 2", a)
	}
	if n := len(startsIn(t, log)[0]); n != 4 {
		t.Errorf("the Initializer ran %d times; want 4: it fails 3 times", n)
	}
}

// An Initializer that hangs holds up neither Cancel nor Shutdown.
func TestInitializerThatHangsCanBeLeft(t *testing.T) {
	log := inDir(t, "log")
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, Initializer: initHangs, Env: withLog(log), KillGrace: 50 * time.Millisecond})
	first, second := do(ex, deed{Verb: "tell"}), do(ex, deed{Verb: "tell"})
	awaitStart(t, log, 0)
	if !first.Cancel() {
		t.Error("Cancel is false, though the worker is not ready")
	}
	if _, err := resultOf(t, first); !errors.Is(err, executor.ErrCancelled) {
		t.Errorf("after Cancel: %v; want ErrCancelled", err)
	}
	_ = ex.Shutdown(ended())
	if _, err := resultOf(t, second); !errors.Is(err, executor.ErrCancelled) {
		t.Errorf("after Shutdown: %v; want ErrCancelled", err)
	}
	waitUntil(t, "no worker is left", func() bool { return ex.Stats().Workers == 0 })
}

// An Initializer that cannot be one is an error, not a worker.
func TestInitializerMustBeRegistered(t *testing.T) {
	for name, init := range map[string]func(context.Context) error{
		"closure":        func(context.Context) error { return nil },
		"not registered": unregistered,
	} {
		ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, Initializer: init})
		if _, err := resultOf(t, do(ex, deed{Verb: "tell"})); !errors.Is(err, executor.ErrNotRegistered) || !strings.Contains(err.Error(), "Initializer") {
			t.Errorf("%s: %v; want ErrNotRegistered, and that it is the Initializer", name, err)
		}
		if n := ex.Stats().Workers; n != 0 {
			t.Errorf("%s: %d workers", name, n)
		}
	}
}

func unregistered(context.Context) error { return nil }

// MemoryLimit: the Go runtime of the worker is told a limit that is a little
// below.
func TestMemoryLimitIsToldToTheRuntime(t *testing.T) {
	const limit = 500 << 20
	for _, env := range [][]string{nil, {"GOMEMLIMIT=1GiB"}} {
		ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, MemoryLimit: limit, Env: env})
		if a := mustTell(t, do(ex, deed{Verb: "memory limit"})); a.N >= limit || a.N < limit*8/10 {
			t.Errorf("MemoryLimit %d, Env %v: the worker's GOMEMLIMIT is %d (%q); want a little less", limit, env, a.N, a.Text)
		}
	}
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	if a, own := mustTell(t, do(ex, deed{Verb: "memory limit"})), debug.SetMemoryLimit(-1); a.N != int(own) {
		t.Errorf("no MemoryLimit: the worker's GOMEMLIMIT is %d; want %d, that of its parent", a.N, own)
	}
}

// A worker's stdin is empty.
func TestStdinOfAWorkerIsEmpty(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	for range 2 {
		if a := mustTell(t, do(ex, deed{Verb: "stdin"})); a.N != 0 {
			t.Errorf("a worker reads %q on stdin; want nothing", a.Text)
		}
	}
}

// What a call changes in its process is seen by later calls there, and by no
// others.
func TestWorkingDirectoryIsTheProcess(t *testing.T) {
	own, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	if a := mustTell(t, do(ex, deed{Verb: "directory"})); a.Text != own {
		t.Errorf("a worker is in %s; want %s", a.Text, own)
	}
	if a := mustTell(t, do(ex, deed{Verb: "directory", Path: filepath.Dir(own)})); a.Text != filepath.Dir(own) {
		t.Errorf("after Chdir a worker is in %s; want %s", a.Text, filepath.Dir(own))
	}
	if a := mustTell(t, do(ex, deed{Verb: "directory"})); a.Text != filepath.Dir(own) {
		t.Errorf("the same worker is in %s afterwards; want %s", a.Text, filepath.Dir(own))
	}
	mustDie(t, do(ex, deed{Verb: "exit"}))
	if a := mustTell(t, do(ex, deed{Verb: "directory"})); a.Text != own {
		t.Errorf("the next worker is in %s; want %s", a.Text, own)
	}
}

// sheet keeps what is written to it. It has no lock: the race detector sees who
// writes at the same time.
type sheet struct {
	writes [][]byte
}

func (s *sheet) Write(p []byte) (int, error) {
	s.writes = append(s.writes, bytes.Clone(p))
	return len(p), nil
}

// lines returns the lines, and complains about writes that are not whole ones.
func (s *sheet) lines(t *testing.T) []string {
	t.Helper()
	for _, w := range s.writes {
		if !bytes.HasSuffix(w, []byte("\n")) {
			t.Errorf("a write of %d bytes does not end with a line: %q", len(w), w[max(0, len(w)-80):])
		}
	}
	return strings.Split(strings.TrimSuffix(string(bytes.Join(s.writes, nil)), "\n"), "\n")
}

// What workers print arrives in whole lines, in order, and all of it before
// Close returns, also from many at once and when both streams go to one writer.
func TestPrintsArriveInWholeLines(t *testing.T) {
	both := new(sheet)
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 4, Stdout: both, Stderr: both})
	const calls, prints = 12, 300
	var fs []*executor.Future[told]
	for i := range calls {
		fs = append(fs, do(ex, deed{Verb: "print", N: prints, Text: fmt.Sprintf("call %d", i)}))
	}
	for _, f := range fs {
		mustTell(t, f)
	}
	if err := ex.Close(); err != nil {
		t.Fatal(err)
	}
	next := make(map[string]int)
	for _, line := range both.lines(t) {
		var call, i int
		var name string
		if _, err := fmt.Sscanf(line, "call %d %s %d", &call, &name, &i); err != nil {
			t.Fatalf("the line %q is torn: %v", line, err)
		}
		who := fmt.Sprint(call, name)
		if next[who] != i {
			t.Fatalf("the line %q comes where number %d was to", line, next[who])
		}
		next[who]++
	}
	for i := range calls {
		for _, name := range []string{"stdout", "stderr"} {
			if n := next[fmt.Sprint(i, name)]; n != prints {
				t.Errorf("call %d: %d lines of %s arrived; want %d", i, n, name, prints)
			}
		}
	}
}

// slog, log and println of a worker go to Stderr.
func TestSlogArrives(t *testing.T) {
	out, errs := new(sheet), new(sheet)
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, Stdout: out, Stderr: errs})
	mustTell(t, do(ex, deed{Verb: "log", Text: "wonderful", N: 3}))
	closeInTime(t, ex)
	text := strings.Join(errs.lines(t), "\n")
	if !strings.Contains(text, "INFO wonderful n=3") || !strings.Contains(text, "println of wonderful") || len(out.writes) > 0 {
		t.Errorf("Stderr has %q, Stdout %q; want the records of slog and println in Stderr", text, out.writes)
	}
}

// A line that is longer than what is kept of one arrives too.
func TestLongLineArrives(t *testing.T) {
	for _, n := range []int{64<<10 - 2, 64 << 10, 64<<10 + 18, 1 << 20} {
		n -= n % 10
		out := new(sheet)
		ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, Stdout: out})
		mustTell(t, do(ex, deed{Verb: "print long", N: n}))
		mustTell(t, do(ex, deed{Verb: "print as is", Text: "the end\n"}))
		closeInTime(t, ex)
		want := strings.Repeat("abcdefghi-", n/10) + "\nthe end\n"
		if got := string(bytes.Join(out.writes, nil)); got != want {
			t.Errorf("a line of %d bytes arrived as %d bytes: %.40q ... %.40q", n, len(got), got, got[max(0, len(got)-40):])
		}
	}
}

// Text without a final newline arrives, and does not run into that of others.
func TestTextWithoutNewlineArrives(t *testing.T) {
	out := new(sheet)
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2, MaxTasksPerChild: 1, Stdout: out})
	var fs []*executor.Future[told]
	for i := range 6 {
		fs = append(fs, do(ex, deed{Verb: "print as is", Text: fmt.Sprintf("first %d\nlast %d", i, i)}))
	}
	for _, f := range fs {
		mustTell(t, f)
	}
	closeInTime(t, ex)
	got := out.lines(t)
	slices.Sort(got)
	var want []string
	for _, word := range []string{"first", "last"} {
		for i := range 6 {
			want = append(want, fmt.Sprintf("%s %d", word, i))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the lines are %q; want %q", got, want)
	}
}

// The last words of a worker that dies arrive too, and are in the error.
func TestLastWordsArrive(t *testing.T) {
	errs := new(sheet)
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, Stderr: errs})
	mustTell(t, do(ex, deed{Verb: "print as is", Text: "I was here"}))
	died := mustDie(t, do(ex, deed{Verb: "exit", N: 3}))
	closeInTime(t, ex)
	if got := errs.lines(t); !slices.Equal(got, []string{"I was here"}) || died.Stderr != "I was here" {
		t.Errorf("Stderr is given %q, the error has %q; want \"I was here\"", got, died.Stderr)
	}
}

// writerFunc is a writer.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// A writer that fails or panics gets no more, one that is stuck gets it late,
// and no call notices.
func TestBadWriterDisturbsNoCall(t *testing.T) {
	t.Parallel() // it waits most of its time
	release := make(chan struct{})
	for name, w := range map[string]writerFunc{
		"fails":  func([]byte) (int, error) { return 0, errors.New("disk full") },
		"panics": func([]byte) (int, error) { panic("writer") },
		"hangs":  func(p []byte) (int, error) { <-release; return len(p), nil },
		"slow":   func(p []byte) (int, error) { time.Sleep(time.Millisecond); return len(p), nil },
		"lies":   func([]byte) (int, error) { return -1, nil },
	} {
		t.Run(name, func(t *testing.T) {
			ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2, Stdout: w, Stderr: w})
			var fs []*executor.Future[told]
			for i := range 8 {
				fs = append(fs, do(ex, deed{Verb: "print", N: 300, Text: strings.Repeat("text ", 200)}), do(ex, deed{Verb: "tell", N: i}))
			}
			for _, f := range fs {
				mustTell(t, f)
			}
			died := mustDie(t, do(ex, deed{Verb: "exit", N: 3}))
			if died.ExitCode != 3 {
				t.Errorf("%v; want exit code 3", died)
			}
			closeInTime(t, ex)
		})
	}
	close(release)
}

// All that was printed is written, though the writer takes its time.
func TestSlowWriterGetsAll(t *testing.T) {
	t.Parallel() // it waits most of its time
	n := 0
	slow := writerFunc(func(p []byte) (int, error) {
		time.Sleep(20 * time.Millisecond)
		n += bytes.Count(p, []byte("\n"))
		return len(p), nil
	})
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, Stdout: slow})
	for range 4 {
		mustTell(t, do(ex, deed{Verb: "print", N: 500, Text: strings.Repeat("text ", 10)}))
	}
	mustDie(t, do(ex, deed{Verb: "exit"}))
	closeInTime(t, ex)
	if n != 4*500 {
		t.Errorf("%d lines were written; want %d", n, 4*500)
	}
}

// Megabytes of garbage on stdout and stderr change nothing.
func TestGarbageOnStdoutChangesNothing(t *testing.T) {
	got := 0
	count := writerFunc(func(p []byte) (int, error) { got += len(p); return len(p), nil })
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2, Stdout: count, Stderr: count})
	const size = 10 << 20
	f := do(ex, deed{Verb: "garbage", N: size})
	for i := range 100 {
		if a := mustTell(t, do(ex, deed{Verb: "tell", N: i})); a.N != i {
			t.Errorf("call %d returned %d", i, a.N)
		}
	}
	if a := mustTell(t, f); a.N != size {
		t.Errorf("the call that printed garbage returned %d; want %d", a.N, size)
	}
	died := mustDie(t, do(ex, deed{Verb: "exit", N: 3}))
	if len(died.Stderr) > 256<<10 {
		t.Errorf("the error keeps %d bytes of garbage", len(died.Stderr))
	}
	closeInTime(t, ex)
	if got < 2*size || got > 2*size+10 {
		t.Errorf("%d bytes arrived; want %d", got, 2*size)
	}
}

// A call that closes its stdout and stderr harms nobody.
func TestClosedOutputHarmsNobody(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	pid := mustTell(t, do(ex, deed{Verb: "close output"})).PID
	for i := range 5 {
		if a := mustTell(t, do(ex, deed{Verb: "tell", N: i})); a.N != i || a.PID != pid {
			t.Errorf("call %d: %+v; want the answer of process %d", i, a, pid)
		}
	}
}

// A call may open a pool of its own, whose calls may, and so on, but not for
// ever.
func TestPoolsWithinPools(t *testing.T) {
	dir := t.TempDir()
	log, open := filepath.Join(dir, "log"), filepath.Join(dir, "open")
	touch(t, open)
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	if a := mustTell(t, do(ex, deed{Verb: "dive", N: 3, Path: open})); a.N != 3 {
		t.Errorf("a dive of 3 pools was %d deep", a.N)
	}
	_, err := resultOf(t, do(ex, deed{Verb: "dive", N: 50, Path: open, Log: log}))
	if err == nil || !strings.Contains(err.Error(), "pools within pools") {
		t.Errorf("a dive of 50 pools: %v; want an error that says where it ends", err)
	}
	if n := len(startsIn(t, log)[0]); n < 4 || n > 16 {
		t.Errorf("it was %d deep; want an end after some pools", n)
	}
	mustTell(t, do(ex, deed{Verb: "tell"}))
}
