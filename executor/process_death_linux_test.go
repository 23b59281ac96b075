package executor_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
)

func init() { executor.Register(echoBlock) }

// A signal that ends a worker fails the call that ran on it, and the error
// names the signal and the process. All others succeed, and no call starts
// twice.
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

// Of many calls of a millisecond, each kill fails one at most, and none starts
// twice.
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

// Calls that were sent ahead to a worker that dies, and have not started there,
// run elsewhere.
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

// A call that was sent ahead is pending, can be cancelled, and then never
// starts; one that runs cannot.
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

// Calls that were sent ahead to a worker that is busy are made by one that is
// not.
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

// A result that was fully written counts, though the worker dies before the
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

// Retries says how often a call runs again, and the error counts the attempts.
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

// The death of an idle worker fails no call, at whatever moment the next one
// comes.
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

// A worker that dies while its result is written leaves no torn value.
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

// A worker that dies after a call has returned does not take the result back.
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

// Workers that kill each other all the time leave every call with an outcome,
// and the pool as it was.
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

// Calls that were cancelled are none of a death's business.
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
