package executor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/internal/proc"
)

func init() {
	verbs["sleep"] = func(context.Context, deed, *told) error { stuckInSleep(); return nil }
	verbs["spin"] = func(context.Context, deed, *told) error { stuckInLoop(); return nil }
	verbs["read"] = func(context.Context, deed, *told) error { return stuckInRead() }
	verbs["crowd"] = func(_ context.Context, d deed, _ *told) error { crowd(d.N); stuckInSleep(); return nil }
	verbs["draw a crowd"] = func(_ context.Context, d deed, _ *told) error { crowd(d.N); return nil }
	verbs["leave"] = func(context.Context, deed, *told) error { runtime.Goexit(); return nil }
	verbs["no quit"] = func(context.Context, deed, *told) error { signal.Ignore(syscall.SIGQUIT); stuckInSleep(); return nil }
	verbs["signal"] = func(_ context.Context, d deed, _ *told) error {
		_ = syscall.Kill(os.Getpid(), syscall.Signal(d.N))
		select {}
	}
	verbs["log.Fatal"] = func(_ context.Context, d deed, _ *told) error { log.Fatal(d.Text); return nil }
	verbs["goroutine panics"] = func(_ context.Context, d deed, _ *told) error { go panic(d.Text); select {} }
	verbs["stack overflow"] = func(context.Context, deed, *told) error {
		debug.SetMaxStack(32 << 20)
		fmt.Println(recurse(1))
		return nil
	}
	verbs["unlock"] = func(context.Context, deed, *told) error { new(sync.Mutex).Unlock(); return nil }
	verbs["concurrent map writes"] = func(context.Context, deed, *told) error { writeMapTogether(); return nil }
	verbs["out of memory"] = func(context.Context, deed, *told) error { return exhaust() }
	verbs["eat"] = func(_ context.Context, d deed, _ *told) error { eat(d.N); stuckInSleep(); return nil }
	verbs["chatty exit"] = func(_ context.Context, d deed, _ *told) error {
		for i := range d.N {
			fmt.Fprintf(os.Stderr, "line %d of the worker\n", i)
		}
		os.Exit(7)
		return nil
	}
	verbs["exit once"] = func(_ context.Context, d deed, _ *told) error {
		if f, err := os.OpenFile(d.Path, os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			f.Close()
			os.Exit(7)
		}
		return nil
	}
	verbs["exit later"] = func(_ context.Context, d deed, _ *told) error {
		go func() {
			holdUntil(d.Path)
			os.Exit(8)
		}()
		return nil
	}
	verbs["duel"] = func(_ context.Context, d deed, _ *told) error { return duel(d.Path) }
	verbs["grandchild"] = func(_ context.Context, d deed, a *told) (err error) {
		a.N, err = startGrandchild(d.Path, strings.Contains(d.Text, "setsid"))
		if strings.Contains(d.Text, "exit") {
			os.Exit(9)
		}
		return err
	}
	executor.Register(echoBlock)
	executor.Register(blastArg)
	executor.Register(blastResult)
}

// The functions in which calls are stuck. Their names are looked for.

//go:noinline
func stuckInSleep() { time.Sleep(time.Hour) }

//go:noinline
func stuckInLoop() {
	for n := 0; ; n++ {
	}
}

//go:noinline
func stuckInRead() error {
	var p [2]int
	if err := syscall.Pipe(p[:]); err != nil {
		return err
	}
	_, err := syscall.Read(p[0], make([]byte, 1))
	return err
}

// crowd starts goroutines that are in nobody's way.
func crowd(n int) {
	for range n {
		go func() { select {} }()
	}
}

//
//lint:ignore SA5007 it is to overflow the stack
//go:noinline
func recurse(n int) int { return recurse(n+1) + 1 }

func writeMapTogether() {
	runtime.GOMAXPROCS(4)
	m := make(map[int]int)
	for range 4 {
		go func() {
			for i := 0; ; i++ {
				m[i%8] = i
			}
		}()
	}
	select {}
}

// exhaust uses up all the address space that the worker may have.
func exhaust() error {
	limit := syscall.Rlimit{Cur: 64 << 20, Max: 64 << 20} // less than there is already
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &limit); err != nil {
		return err
	}
	var all [][]byte
	for {
		//lint:ignore SA4010 they are to be kept
		all = append(all, make([]byte, 64<<20))
	}
}

var eaten [][]byte

// eat makes memory resident.
func eat(n int) {
	const piece = 4 << 20
	for ; n > 0; n -= piece {
		b := make([]byte, piece)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		eaten = append(eaten, b)
	}
}

// duel kills another worker that is in the directory.
func duel(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(os.Getpid())), nil, 0o600); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	rand.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && parentOf(pid) == os.Getppid() {
			_ = syscall.Kill(pid, syscall.SIGKILL) // itself, perhaps
			break
		}
	}
	return nil
}

// startGrandchild starts a process that has the worker's stdout and stderr, and
// lives longer than any test. Its number is written to a file.
func startGrandchild(file string, setsid bool) (pid int, err error) {
	cmd := exec.Command("sleep", "600")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: setsid}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	return cmd.Process.Pid, os.WriteFile(file, []byte(strconv.Itoa(cmd.Process.Pid)), 0o600)
}

// mustRead returns the number in a file.
func mustRead(t *testing.T, file string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// statOf returns the fields of /proc/pid/stat that follow the name: the state,
// the parent, the group.
func statOf(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')'):]), " ")
	return strings.Fields(rest)
}

func parentOf(pid int) int {
	stat := statOf(pid)
	if len(stat) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(stat[1])
	return parent
}

// isAlive reports whether there is such a process that has not ended.
func isAlive(pid int) bool {
	stat := statOf(pid)
	return len(stat) > 0 && stat[0] != "Z" && stat[0] != "X"
}

// offspring returns the children of this process, zombies included.
func offspring(t *testing.T) (pids []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && parentOf(pid) == os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

func mustGo(t *testing.T, what string, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		waitUntil(t, fmt.Sprintf("%s, process %d, is gone (%v)", what, pid, statOf(pid)), func() bool { return !isAlive(pid) })
	}
}

// mustStop stops a process, and waits until all of it has.
func mustStop(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, fmt.Sprintf("process %d has stopped", pid), func() bool {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		for _, task := range tasks {
			text, err := os.ReadFile(task)
			if _, rest, _ := strings.Cut(string(text), ") "); err == nil && !strings.HasPrefix(rest, "T") {
				return false
			}
		}
		return len(tasks) > 0
	})
}

var hasRaceDetector = func() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}()

// PROC-02, D1, D2: a signal that ends a worker fails the call that ran on it,
// and the error names the signal and the process. All others succeed, and no
// call starts twice.
func TestDeathFailsOnlyTheCallThatRan(t *testing.T) {
	for _, tt := range []struct {
		signal syscall.Signal
		exits  bool   // the runtime of Go turns the signal into an exit
		byName string // what it calls it
	}{
		{signal: syscall.SIGKILL},
		{signal: syscall.SIGTERM},
		{signal: syscall.SIGHUP},
		{signal: syscall.SIGSEGV, exits: true, byName: "SIGSEGV"},
		{signal: syscall.SIGABRT, exits: true, byName: "SIGABRT"},
	} {
		t.Run(tt.signal.String(), func(t *testing.T) {
			if signal.Ignored(tt.signal) { // as nohup does
				t.Skipf("%v is ignored here, and so in the workers", tt.signal)
			}
			dir := t.TempDir()
			log, gate := filepath.Join(dir, "log"), filepath.Join(dir, "gate")
			ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 3})
			var fs []*executor.Future[told]
			for i := range 3 {
				fs = append(fs, do(ex, deed{Verb: "hold", Log: log, ID: i, Path: gate}))
			}
			for i := 3; i < 40; i++ {
				fs = append(fs, do(ex, deed{Verb: "tell", Log: log, ID: i, N: i}))
			}
			awaitStart(t, log, 0)
			awaitStart(t, log, 2)
			victim := awaitStart(t, log, 1)
			if err := syscall.Kill(victim, tt.signal); err != nil {
				t.Fatal(err)
			}
			died := mustDie(t, fs[1])
			if died.PID != victim || died.Attempts != 1 || died.OutOfMemory {
				t.Errorf("died: PID %d, Attempts %d, OutOfMemory %t; want %d, 1, false", died.PID, died.Attempts, died.OutOfMemory, victim)
			}
			if !strings.Contains(died.Error(), strconv.Itoa(victim)) {
				t.Errorf("the error does not name process %d: %v", victim, died)
			}
			switch {
			case tt.exits && (died.Signal != nil || died.ExitCode != 2 || !strings.Contains(died.Error(), tt.byName)):
				t.Errorf("died: Signal %v, ExitCode %d; want nil, 2, and %s in: %v", died.Signal, died.ExitCode, tt.byName, died)
			case !tt.exits && (died.Signal != tt.signal || died.ExitCode != -1 || !strings.Contains(died.Error(), tt.signal.String())):
				t.Errorf("died: Signal %v, ExitCode %d; want %v, -1, and its name in: %v", died.Signal, died.ExitCode, tt.signal, died)
			}
			touch(t, gate)
			for i, f := range fs {
				if i != 1 {
					if a := mustTell(t, f); i > 2 && a.N != i {
						t.Errorf("call %d returned %d", i, a.N)
					}
				}
			}
			for i := range fs {
				if pids := startsIn(t, log)[i]; len(pids) != 1 {
					t.Errorf("call %d started in %v; want one start", i, pids)
				}
			}
		})
	}
}

// D1, D2: of many calls of a millisecond, each kill fails one at most, and none
// starts twice.
func TestKillsFailOneCallEach(t *testing.T) {
	log := inDir(t, "log")
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	var fs []*executor.Future[told]
	kills := sized(2, 6)
	calls := 100 * kills
	for i := range calls {
		fs = append(fs, do(ex, deed{Verb: "busy", Log: log, ID: i, N: int(time.Millisecond)}))
	}
	killed := make(map[int]bool)
	for k := range kills {
		pid := awaitStart(t, log, k*calls/kills)
		for len(killed) == k && !isDone(fs[calls-1]) {
			for _, pids := range startsIn(t, log) {
				if p := pids[0]; !killed[p] && isAlive(p) {
					pid = p
				}
			}
			if isAlive(pid) && syscall.Kill(pid, syscall.SIGKILL) == nil {
				killed[pid] = true
			}
		}
	}
	dead := 0
	for i, f := range fs {
		_, err := resultOf(t, f)
		died, isDeath := errors.AsType[*executor.WorkerDiedError](err)
		pids := startsIn(t, log)[i]
		switch {
		case isDeath && len(pids) == 0 && killed[died.PID]: // before it could write that down
			dead++
		case len(pids) != 1:
			t.Errorf("call %d started in %v; want one start; its error: %v", i, pids, err)
		case isDeath && (died.PID != pids[0] || !killed[died.PID]):
			t.Errorf("call %d: %v; it started in %v; killed are %v", i, err, pids, killed)
		case isDeath:
			dead++
		case err != nil:
			t.Errorf("call %d: %v", i, err)
		}
	}
	if dead > len(killed) {
		t.Errorf("%d calls died of %d kills", dead, len(killed))
	}
	if len(killed) == 0 {
		t.Error("nothing was killed")
	}
}

// D1, D3: calls that were sent ahead to a worker that dies, and have not started
// there, run elsewhere.
func TestCallsSentAheadOutliveTheWorker(t *testing.T) {
	dir := t.TempDir()
	log, gate := filepath.Join(dir, "log"), filepath.Join(dir, "gate")
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	for range 100 { // so that the pool takes the next calls for short ones
		mustTell(t, do(ex, deed{Verb: "tell"}))
	}
	held := do(ex, deed{Verb: "hold", Log: log, ID: 0, Path: gate})
	var fs []*executor.Future[told]
	for i := 1; i <= 20; i++ {
		fs = append(fs, do(ex, deed{Verb: "tell", Log: log, ID: i, N: i}))
	}
	pid := awaitStart(t, log, 0)
	_ = syscall.Kill(pid, syscall.SIGKILL)
	mustDie(t, held)
	for i, f := range fs {
		if a := mustTell(t, f); a.N != i+1 || a.PID == pid {
			t.Errorf("call %d: %+v; want N %d from another process than %d", i+1, a, i+1, pid)
		}
		if pids := startsIn(t, log)[i+1]; len(pids) != 1 {
			t.Errorf("call %d started in %v; want one start", i+1, pids)
		}
	}
}

// D3, D4: a call that was sent ahead is pending, can be cancelled, and then
// never starts; one that runs cannot.
func TestCallSentAheadCanBeCancelled(t *testing.T) {
	dir := t.TempDir()
	log, gate := filepath.Join(dir, "log"), filepath.Join(dir, "gate")
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, KillGrace: time.Hour})
	for range 100 {
		mustTell(t, do(ex, deed{Verb: "tell"}))
	}
	held := do(ex, deed{Verb: "hold", Log: log, ID: 0, Path: gate})
	var fs []*executor.Future[told]
	for i := 1; i <= 20; i++ {
		fs = append(fs, do(ex, deed{Verb: "tell", Log: log, ID: i}))
	}
	awaitStart(t, log, 0)
	if s := held.State(); s != executor.Running {
		t.Errorf("the call that runs is %v", s)
	}
	for i, f := range fs {
		if s := f.State(); s != executor.Pending {
			t.Errorf("call %d behind one that runs is %v; want pending", i+1, s)
		}
		if i%2 == 0 && !f.Cancel() {
			t.Errorf("call %d has not started, and Cancel is false", i+1)
		}
	}
	touch(t, gate)
	mustTell(t, held)
	for i, f := range fs {
		_, err := resultOf(t, f)
		starts := len(startsIn(t, log)[i+1])
		if i%2 == 0 && (!errors.Is(err, executor.ErrCancelled) || starts != 0) {
			t.Errorf("call %d was cancelled: %v, %d starts; want ErrCancelled, 0", i+1, err, starts)
		}
		if i%2 == 1 && (err != nil || starts != 1) {
			t.Errorf("call %d: %v, %d starts; want nil, 1", i+1, err, starts)
		}
	}
	mustTell(t, do(ex, deed{Verb: "tell"}))
	for i := range fs {
		if n := len(startsIn(t, log)[i+1]); i%2 == 0 && n != 0 {
			t.Errorf("call %d was cancelled, and started later", i+1)
		}
	}
}

// D3: calls that were sent ahead to a worker that is busy are made by one that
// is not.
func TestCallsBehindALongOneAreMadeElsewhere(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	for range 100 {
		mustTell(t, do(ex, deed{Verb: "tell"}))
	}
	first := do(ex, deed{Verb: "hold", Log: log, ID: 0, Path: filepath.Join(dir, "gate 0")})
	second := do(ex, deed{Verb: "hold", Log: log, ID: 1, Path: filepath.Join(dir, "gate 1")})
	awaitStart(t, log, 0)
	awaitStart(t, log, 1)
	var fs []*executor.Future[told]
	for i := range 20 {
		fs = append(fs, do(ex, deed{Verb: "tell", N: i}))
	}
	touch(t, filepath.Join(dir, "gate 1"))
	mustTell(t, second)
	for _, f := range fs {
		mustTell(t, f) // though the first holds
	}
	touch(t, filepath.Join(dir, "gate 0"))
	mustTell(t, first)
}

// D3: a result that was fully written counts, though the worker dies before the
// parent has read it.
func TestResultsWrittenBeforeADeathCount(t *testing.T) {
	dir := t.TempDir()
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	for round := range 20 {
		log, gate := filepath.Join(dir, fmt.Sprint("log", round)), filepath.Join(dir, fmt.Sprint("gate", round))
		for range 30 {
			mustTell(t, do(ex, deed{Verb: "busy", N: int(150 * time.Microsecond)}))
		}
		held := do(ex, deed{Verb: "hold", Path: gate})
		var fs []*executor.Future[told]
		for i := range 3 {
			fs = append(fs, do(ex, deed{Verb: "busy", Log: log, ID: i, N: int(150 * time.Microsecond)}))
		}
		last := do(ex, deed{Verb: "exit", N: 5})
		touch(t, gate)
		mustTell(t, held)
		for i, f := range fs {
			if _, err := resultOf(t, f); err != nil {
				t.Errorf("round %d: call %d had returned before the worker exited: %v", round, i, err)
			}
			if pids := startsIn(t, log)[i]; len(pids) != 1 {
				t.Errorf("round %d: call %d started in %v; want one start", round, i, pids)
			}
		}
		if died := mustDie(t, last); died.ExitCode != 5 {
			t.Errorf("round %d: %v; want exit code 5", round, died)
		}
	}
}

// PROC-03: an exit in a call is its error, also exit code 0.
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

// PROC-04, PROC-05, D6: what ends the whole worker is told with the last lines
// of its stderr, and this process lives.
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

// PROC-05, PROC-06: a worker that gets no more memory from the system says so.
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

// PROC-06, LIFE-07: a worker over its MemoryLimit is ended, and only its call
// fails.
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

// PROC-06: when the system is out of memory, a worker is to go before its
// parent.
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

// startedThen submits a deed with a ctx that ends when it has started: cancel
// ends it, or its deadline does.
func startedThen(t *testing.T, ex executor.Executor, d deed, byDeadline bool) *executor.Future[told] {
	t.Helper()
	if !byDeadline {
		ctx, cancel := context.WithCancel(context.Background())
		f := executor.Submit(ctx, ex, doDeed, d)
		awaitStart(t, d.Log, d.ID)
		cancel()
		return f
	}
	for timeout := 100 * time.Millisecond; timeout < longEnough; timeout *= 2 {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		t.Cleanup(cancel)
		f := executor.Submit(ctx, ex, doDeed, d)
		if _, err := resultOf(t, f); !errors.Is(err, executor.ErrCancelled) {
			return f
		}
	}
	t.Fatal("the call does not start in time")
	return nil
}

// PROC-18, D4: a call that does not return is ended with its worker when its ctx
// has ended and KillGrace is over. The error says which, and where the call was
// stuck. Others are left alone.
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
			f := startedThen(t, ex, deed{Verb: tt.verb, Log: log, ID: 1, N: tt.n}, tt.byDeadline)
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

// D4: a call that heeds its ctx costs no worker.
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

// D4: Cancel of a call that runs is false, and ends it like the end of its ctx.
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

// D8, PROC-18: Shutdown whose ctx has ended ends what does not return, and what
// waits does not start.
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

// D4, D19: ending a call ends what it has started.
func TestKillReachesWhatTheCallHasStarted(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	a := mustTell(t, do(ex, deed{Verb: "grandchild", Path: inDir(t, "pid")}))
	if group := statOf(a.N); len(group) < 3 || group[2] != strconv.Itoa(a.PID) {
		t.Errorf("the grandchild %d is in group %v; want that of the worker, %d", a.N, group, a.PID)
	}
	mustDie(t, do(ex, deed{Verb: "exit"}))
	mustGo(t, "the grandchild", a.N)
}

// D2: Retries is how often a call runs again, and the error counts.
func TestRetriesAreCounted(t *testing.T) {
	dir := t.TempDir()
	for _, retries := range []int{0, 1, 3} {
		log := filepath.Join(dir, fmt.Sprint("log", retries))
		ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, Retries: retries})
		died := mustDie(t, do(ex, deed{Verb: "exit", Log: log, N: 3}))
		pids := startsIn(t, log)[0]
		if died.Attempts != retries+1 || len(pids) != retries+1 || died.PID != pids[len(pids)-1] {
			t.Errorf("Retries %d: Attempts %d, starts %v, PID %d; want %d starts, the last in PID", retries, died.Attempts, pids, died.PID, retries+1)
		}
		if retries > 0 && !strings.Contains(died.Error(), fmt.Sprint(retries+1)) {
			t.Errorf("Retries %d: the error does not say how often it was tried: %v", retries, died)
		}
		once := filepath.Join(dir, fmt.Sprint("once", retries))
		a, err := resultOf(t, do(ex, deed{Verb: "exit once", Log: log, ID: 1, Path: once, N: 5}))
		if starts := len(startsIn(t, log)[1]); starts != min(2, retries+1) || (err == nil) != (retries > 0) || err == nil && a.N != 5 {
			t.Errorf("Retries %d, a call that kills its first worker: %+v, %v after %d starts", retries, a, err, starts)
		}
	}
}

// A dead worker costs one item, whatever was packed together: those that had ended
// keep their results, those that had not begun run elsewhere.
func TestDeathInAChunkFailsOneItem(t *testing.T) {
	log := inDir(t, "log")
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	deeds := func(yield func(deed) bool) {
		for i := range 50 {
			d := deed{Verb: "tell", Log: log, ID: i, N: i}
			if i == 23 {
				d.Verb = "exit"
			}
			if !yield(d) {
				return
			}
		}
	}
	i := 0
	for a, err := range executor.Map(t.Context(), ex, doDeed, deeds, executor.ChunkSize(10)) {
		isDead := i == 23
		if died := new(executor.WorkerDiedError); isDead != errors.As(err, &died) || !isDead && (err != nil || a.N != i) {
			t.Errorf("item %d: %+v, %v; item 23 of 50 has ended its worker, chunks are of 10", i, a, err)
		}
		i++
	}
	starts := startsIn(t, log)
	for id := range 50 {
		if id != 23 && len(starts[id]) != 1 { // that one does not tell
			t.Errorf("item %d started in %v; want one start", id, starts[id])
		}
	}
	if i != 50 {
		t.Errorf("%d items came; want 50", i)
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

// PROC-01, D1: the death of an idle worker fails no call, at whatever moment the
// next one comes.
func TestDeathOfAnIdleWorkerFailsNoCall(t *testing.T) {
	log := inDir(t, "log")
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	for i := range 30 {
		pid := mustTell(t, do(ex, deed{Verb: "tell"})).PID
		_ = syscall.Kill(pid, syscall.SIGKILL)
		if i%3 == 1 {
			time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond) // to come at any moment, not to wait for one
		}
		if i%3 == 2 {
			mustGo(t, "the worker", pid)
		}
		f := do(ex, deed{Verb: "tell", Log: log, ID: i, N: i})
		if a, err := resultOf(t, f); err != nil || a.N != i {
			t.Errorf("call %d, after its idle worker %d was killed: %+v, %v; want N %d", i, pid, a, err, i)
		}
		if pids := startsIn(t, log)[i]; len(pids) != 1 {
			t.Errorf("call %d started in %v; want one start", i, pids)
		}
	}
}

// echoBlock returns its argument.
func echoBlock(_ context.Context, b []byte) ([]byte, error) { return b, nil }

// PROC-07: a worker that dies while its result is written leaves no torn value.
func TestDeathWhileTheResultIsWritten(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	for _, size := range []int{900_000, 24 << 20} {
		block := make([]byte, size)
		for i := range block {
			block[i] = byte(i * 7 / 3)
		}
		died, rounds := 0, sized(5, 15)
		for range rounds {
			pid := mustTell(t, do(ex, deed{Verb: "tell"})).PID
			begin := time.Now()
			if _, err := resultOf(t, executor.Submit(t.Context(), ex, echoBlock, block)); err != nil {
				t.Fatalf("%d bytes: %v", size, err)
			}
			took := time.Since(begin)
			f := executor.Submit(t.Context(), ex, echoBlock, block)
			for f.State() == executor.Pending {
				runtime.Gosched()
			}
			time.Sleep(rand.N(took/16 + 1)) // most of the time, the parent copies
			_ = syscall.Kill(pid, syscall.SIGKILL)
			got, err := resultOf(t, f)
			isDeath := errors.As(err, new(*executor.WorkerDiedError))
			switch {
			case isDeath:
				died++
			case err != nil:
				t.Errorf("%d bytes: %v; want a *WorkerDiedError or none", size, err)
			case string(got) != string(block):
				t.Errorf("%d bytes: the value is another than was sent, though there is no error", size)
			}
		}
		t.Logf("%d bytes: %d of %d died", size, died, rounds)
	}
}

// PROC-08: a worker that dies after a call has returned does not take the
// result back.
func TestDeathAfterTheResult(t *testing.T) {
	gate := inDir(t, "gate")
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	f := do(ex, deed{Verb: "exit later", Path: gate, N: 4})
	pid := mustTell(t, f).PID
	touch(t, gate)
	mustGo(t, "the worker", pid)
	if a, err := resultOf(t, f); err != nil || a.N != 4 {
		t.Errorf("the result after the death: %+v, %v", a, err)
	}
	for i := range 5 {
		if a := mustTell(t, do(ex, deed{Verb: "tell", N: i})); a.N != i || a.PID == pid {
			t.Errorf("the next call: %+v; want N %d from another process", a, i)
		}
	}
}

// PROC-09: workers that kill each other all the time leave every call with an
// outcome, and the pool as it was.
func TestWorkersThatKillEachOther(t *testing.T) {
	for _, workers := range []int{1, 2, 5} {
		t.Run(fmt.Sprint(workers), func(t *testing.T) {
			ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: workers})
			dir := t.TempDir()
			var fs []*executor.Future[told]
			for range sized(15, 40) {
				fs = append(fs, do(ex, deed{Verb: "duel", Path: dir}))
			}
			for i, f := range fs {
				if _, err := resultOf(t, f); err != nil && !errors.As(err, new(*executor.WorkerDiedError)) {
					t.Errorf("call %d: %v; want a *WorkerDiedError or none", i, err)
				}
			}
			for i := range 20 {
				if a := mustTell(t, do(ex, deed{Verb: "tell", N: i})); a.N != i {
					t.Errorf("afterwards, call %d: %+v", i, a)
				}
			}
		})
	}
}

// PROC-11: calls that were cancelled are none of a death's business.
func TestCancelledCallsWhenAWorkerDies(t *testing.T) {
	dir := t.TempDir()
	log, gate := filepath.Join(dir, "log"), filepath.Join(dir, "gate")
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	for range 50 {
		mustTell(t, do(ex, deed{Verb: "tell"}))
	}
	held := do(ex, deed{Verb: "hold", Log: log, ID: 0, Path: gate})
	var fs []*executor.Future[told]
	for i := range 400 { // some are sent ahead, some are not
		fs = append(fs, do(ex, deed{Verb: "tell", N: i}))
	}
	pid := awaitStart(t, log, 0)
	for i, f := range fs {
		if i%2 == 0 {
			f.Cancel()
		}
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	mustDie(t, held)
	for i, f := range fs {
		a, err := resultOf(t, f)
		if i%2 == 0 && !errors.Is(err, executor.ErrCancelled) || i%2 == 1 && (err != nil || a.N != i) {
			t.Errorf("call %d: %+v, %v; every even one was cancelled", i, a, err)
		}
	}
	waitUntil(t, "the counters add up", func() bool {
		s := ex.Stats()
		return s.Submitted == 451 && s.Succeeded == 250 && s.Failed == 1 && s.Cancelled == 200 && s.Restarts == 1
	})
}

// blast is a value that is trouble on its way: where it says so, it panics,
// exits or fails.
type blast struct{ where, how string }

func (b blast) act(here string) error {
	if b.where != here {
		return nil
	}
	switch b.how {
	case "panic":
		panic("blast")
	case "exit":
		os.Exit(6)
	}
	return errors.New("blast: " + b.how)
}

// blastIn is the argument, blastOut the result.
type blastIn struct{ blast }

func (b blastIn) MarshalBinary() ([]byte, error) {
	return []byte(b.where + "\n" + b.how), b.act("encode the argument")
}

func (b *blastIn) UnmarshalBinary(data []byte) error {
	b.where, b.how, _ = strings.Cut(string(data), "\n")
	return b.act("decode the argument")
}

type blastOut struct{ blast }

func (b blastOut) MarshalBinary() ([]byte, error) {
	return []byte(b.where + "\n" + b.how), b.act("encode the result")
}

func (b *blastOut) UnmarshalBinary(data []byte) error {
	b.where, b.how, _ = strings.Cut(string(data), "\n")
	return b.act("decode the result")
}

func blastArg(_ context.Context, b blastIn) (int, error) { return 1, b.act("run") }

func blastResult(_ context.Context, b blastIn) (blastOut, error) { return blastOut(b), b.act("run") }

// PROC-12: whatever a value does on its way, the call has a typed error, and the
// pool is as it was.
func TestTroubleOnTheWay(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	for _, where := range []string{"encode the argument", "decode the argument", "run", "encode the result", "decode the result"} {
		for _, how := range []string{"error", "panic", "exit"} {
			isHere := where == "encode the argument" || where == "decode the result"
			if isHere && how == "exit" {
				continue // would end this process
			}
			t.Run(where+" "+how, func(t *testing.T) {
				b := blastIn{blast{where, how}}
				_, err := resultOf(t, executor.Submit(t.Context(), ex, blastResult, b))
				died, isDeath := errors.AsType[*executor.WorkerDiedError](err)
				switch {
				case err == nil:
					t.Error("no error")
				case how == "exit" && (!isDeath || died.ExitCode != 6):
					t.Errorf("%v; want a *WorkerDiedError with code 6", err)
				case how != "exit" && (isDeath || !strings.Contains(err.Error(), "blast")):
					t.Errorf("%v; want one that says \"blast\", and no death", err)
				case how == "panic" && where == "run" && !errors.As(err, new(*executor.PanicError)):
					t.Errorf("%T %v; want a *PanicError", err, err)
				}
				if n, err := resultOf(t, executor.Submit(t.Context(), ex, blastArg, blastIn{})); n != 1 || err != nil {
					t.Errorf("the next call: %d, %v", n, err)
				}
			})
		}
	}
}

// PROC-13: arguments that cannot be encoded do not use up places.
func TestArgumentsThatCannotBeEncoded(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, QueueLimit: 10})
	var fs []*executor.Future[int]
	for i := range 200 {
		b := blastIn{}
		if i < 100 {
			b = blastIn{blast{"encode the argument", "no"}}
		}
		fs = append(fs, executor.Submit(t.Context(), ex, blastArg, b))
	}
	for i, f := range fs {
		if n, err := resultOf(t, f); (err != nil) != (i < 100) || err == nil && n != 1 {
			t.Errorf("call %d: %d, %v; want an error for the first 100", i, n, err)
		}
	}
}

// PROC-17: a worker that is stopped holds up its own call only, and that no
// longer than its ctx and KillGrace.
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

// PROC-17: Close and Shutdown end a worker that is stopped, idle or not.
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

// PROC-26, D16: a process that a call has started, and that lives on with the
// worker's stdout and stderr, delays neither the news of a death nor Close.
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

// PROC-28: what has been reaped is not signalled: its number may be another's.
func TestReapedProcessIsNotSignalled(t *testing.T) {
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

// PROC-22, D19: a worker does not hear Ctrl-C: it is in a group of its own, and
// ignores SIGINT.
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
