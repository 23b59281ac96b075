package executor_test

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
)

// twoWorkers makes a pool, of which a call has started in each of two workers.
func twoWorkers(t *testing.T, file string) (fs [2]*executor.Future[told], pids []int) {
	t.Helper()
	executortest.NeedsProcesses(t)
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2, Stderr: io.Discard}
	log := inDir(t, "log")
	for i := range fs {
		fs[i] = do(ex, deed{Verb: "hold", Log: log, ID: i, Path: file})
	}
	for i := range fs {
		pids = append(pids, awaitStart(t, log, i))
	}
	return fs, pids
}

// mustGoWhenCollected waits until processes are gone, while garbage is collected.
func mustGoWhenCollected(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		waitUntil(t, "the worker of a dropped pool is gone", func() bool {
			runtime.GC()
			return !isAlive(pid)
		})
	}
}

// Nobody closes these pools.
func TestIdleWorkersOfADroppedPoolEnd(t *testing.T) {
	t.Parallel()
	file := inDir(t, "go on")
	touch(t, file)
	fs, pids := twoWorkers(t, file)
	for _, f := range fs {
		mustTell(t, f)
	}
	mustGoWhenCollected(t, pids)
}

// The calls that a dropped pool has taken are made, and their callbacks, before
// its workers go.
func TestCallsOfADroppedPoolAreMade(t *testing.T) {
	t.Parallel()
	file := inDir(t, "go on")
	fs, pids := twoWorkers(t, file)
	var called atomic.Int32
	for _, f := range fs {
		f.OnDone(func(*executor.Future[told]) { called.Add(1) })
	}
	for range 10 {
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
	for _, pid := range pids {
		if !isAlive(pid) {
			t.Errorf("worker %d has gone from its call", pid)
		}
	}
	touch(t, file)
	for _, f := range fs {
		mustTell(t, f)
	}
	mustGoWhenCollected(t, pids)
	waitUntil(t, "both callbacks were called", func() bool { return called.Load() == 2 })
}

// All workers have to be killed at once, and take two seconds until they are: there
// is one process more than MaxWorkers at most, those that end counted too. The calls
// behind are made meanwhile.
func TestOneProcessMoreThanMaxWorkersAtMost(t *testing.T) {
	t.Parallel()
	const workers = 3
	marker := fmt.Sprintf("FUTURES_COUNTED=%d", time.Now().UnixNano())
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: workers, KillGrace: time.Millisecond, Env: append(os.Environ(), marker)})
	log, file := inDir(t, "log"), inDir(t, "never")
	var hanging, behind []*executor.Future[told]
	var stopped []int
	for i := range workers {
		hanging = append(hanging, do(ex, deed{Verb: "hold", Log: log, ID: i, Path: file}))
		stopped = append(stopped, awaitStart(t, log, i))
	}
	for _, pid := range stopped {
		mustStop(t, pid)
	}
	for range 3 * workers {
		behind = append(behind, do(ex, deed{Verb: "tell"}))
	}
	most := 0
	count := func() {
		n := 0
		for _, pid := range offspring(t) {
			if wasStartedWith(pid, marker) {
				n++
			}
		}
		most = max(most, n)
	}
	count()
	for _, f := range hanging {
		f.Cancel()
	}
	for i, f := range slices.Concat(behind, hanging) {
		waitUntil(t, fmt.Sprintf("call %d is done", i), func() bool { count(); return f.State() == executor.Finished })
	}
	for _, f := range behind {
		mustTell(t, f)
	}
	if most < workers || most > workers+1 { // one more is seldom missed: a worker that is stopped lives for two seconds
		t.Errorf("%d processes at once; want %d", most, workers+1)
	}
}
