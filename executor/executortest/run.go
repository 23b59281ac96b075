package executortest

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
)

// Run checks that the executors that open returns keep the promises of
// package executor, each promise in a subtest that is named by it.
//
// Each subtest opens an executor of its own. The argument of open is the number
// of calls that it should run at once; an executor without such a number
// ignores it, and Run goes by its Workers method. An executor with a method
// Close() error is closed. Close, Shutdown and Stats, with the signatures that
// they have on [executor.ThreadPoolExecutor], are checked if they are there. An
// executor that has no queue, or makes each call before Submit returns, is
// found out. An executor with a method Seed() uint64, as [Executor] has, does
// not promise to start calls in order. A promise that does not apply is skipped,
// and the subtest says why.
//
// The functions that Run submits talk to the test through files, so that they
// may run in another process; a few promises are about calls in this process, and are
// skipped if the executor makes none here. Nothing hangs: a subtest that takes
// a minute fails with the stacks of all goroutines.
func Run(t *testing.T, open func(workers int) executor.Executor) {
	t.Helper()
	inline, v := probe(open, t.TempDir(), patience)
	if len(v.failures) > 0 {
		t.Fatal(v.report(firstPromise))
	}
	for _, p := range promises {
		t.Run(p.says, func(t *testing.T) {
			v := p.judge(open, t.TempDir(), inline, patience)
			if len(v.failures) > 0 {
				t.Error(v.report(p))
			} else if v.skipped != "" {
				t.Skip(v.skipped)
			}
		})
	}
}

// patience is how long a case may take. It only ends what would hang: a case
// takes milliseconds, and seconds where machines are slow.
const patience = time.Minute

// promise is what every executor promises.
type promise struct {
	id      string // in DESIGN.md and of the rows of the catalogue of tests
	says    string
	workers int // to ask for; 0: 2
	check   func(*trial)
}

// promises is the table. D31 is not in it: that Go does not wait for pending
// work when main returns is seen by nobody who is still there.
var promises = slices.Concat(
	resultPromises,
	cancelPromises,
	waitPromises,
	nestingPromises,
	callbackPromises,
	mapPromises,
	shutdownPromises,
	orderPromises,
	memoryPromises,
	ctxPromises,
)

// firstPromise is what Run needs before it can check the others.
var firstPromise = promise{id: "D8", says: "a call that was taken ends"}

// verdict is what came of a case.
type verdict struct {
	failures []string
	skipped  string // why, "" if it was not
}

func (v verdict) report(p promise) string {
	return fmt.Sprintf("the promise %q (%s) is not kept:\n%s", p.says, p.id, strings.Join(v.failures, "\n"))
}

// judge checks the promise. The case has a goroutine of its own, so that one
// that hangs can be left alone.
func (p promise) judge(open func(int) executor.Executor, dir string, inline bool, patience time.Duration) verdict {
	k := newTrial(dir, inline)
	defer k.cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.run(p, open)
	}()
	guard := time.NewTimer(patience)
	defer guard.Stop()
	select {
	case <-done:
	case <-guard.C:
		k.violated("after %v still waiting for %s\n\n%s", patience, k.awaited(), stacks())
		v := k.verdict()
		k.release(done, patience/10)
		return v
	}
	return k.verdict()
}

// release lets go what hangs, where it can be.
func (k *trial) release(done <-chan struct{}, patience time.Duration) {
	k.open()
	k.cancel()
	last := time.NewTimer(patience)
	defer last.Stop()
	select {
	case <-done:
	case <-last.C:
	}
}

// stacks returns the stacks of all goroutines.
func stacks() []byte {
	for size := 1 << 20; ; size *= 2 {
		buf := make([]byte, size)
		if n := runtime.Stack(buf, true); n < size {
			return buf[:n]
		}
	}
}

// probe finds out whether an executor makes each call before Submit returns.
// That Submit never returns cannot be seen, so the call gives up by itself: if
// it does so three times without having seen that Submit returned, and its
// future was done each time, then that is why.
func probe(open func(int) executor.Executor, dir string, patience time.Duration) (inline bool, v verdict) {
	p := firstPromise
	p.check = func(k *trial) {
		for range 3 {
			returned := k.newPath("returned")
			f := executor.Submit(k.ctx, k.ex, lookFor, lookout{Path: returned, Polls: 200})
			done := f.State() == executor.Finished
			k.create(returned)
			seen, err := result(k, "a call that looks for a file", f)
			if err != nil {
				k.fatal("Result = %v; want no error from a call that looks for a file", err)
			}
			if inline = done && !seen; !inline {
				return
			}
		}
	}
	v = p.judge(open, dir, false, patience)
	return inline, v
}
