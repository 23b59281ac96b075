package executor_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"weak"

	"github.com/gofutures/futures/executor"
)

// sized returns small, or long where FUTURES_LONG is set, as it is in .ci/run:
// what takes long is made in whole there, and in small in every go test.
func sized(small, long int) int {
	if os.Getenv("FUTURES_LONG") != "" {
		return long
	}
	return small
}

// nilCtx is silly input.
var nilCtx context.Context

var errBoom = errors.New("boom")

// opened is what the three executors of this process have in common.
type opened interface {
	executor.Executor
	Close() error
	Shutdown(context.Context) error
	Stats() executor.Stats
}

// executors returns a fresh executor of each kind, by name.
func executors() map[string]opened {
	return map[string]opened{
		"ThreadPoolExecutor": &executor.ThreadPoolExecutor{MaxWorkers: 2},
		"WaitersHelp":        &executor.ThreadPoolExecutor{MaxWorkers: 2, WaitersHelp: true},
		"ThreadPerTask":      &executor.ThreadPerTask{},
		"Sequential":         &executor.Sequential{},
	}
}

// needsWorkers skips a test of calls that end their goroutine on an executor whose
// waiters help: there it may be the test's own. TestAGoexitEndsWhoHelps has what
// happens then.
func needsWorkers(t *testing.T, ex opened) {
	t.Helper()
	if endsWaiters(ex) {
		t.Skip("a call may end the goroutine that waits for it")
	}
}

func endsWaiters(ex opened) bool {
	e, ok := ex.(*executor.ThreadPoolExecutor)
	return ok && e.WaitersHelp
}

// each runs test on each executor, and closes that afterwards.
func each(t *testing.T, test func(t *testing.T, ex opened)) {
	t.Helper()
	for name, ex := range executors() {
		t.Run(name, func(t *testing.T) {
			defer ex.Close()
			test(t, ex)
		})
	}
}

// eachBubble is each with a synctest bubble around every test.
func eachBubble(t *testing.T, test func(t *testing.T, ex opened)) {
	t.Helper()
	for name, ex := range executors() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				defer ex.Close()
				test(t, ex)
			})
		})
	}
}

// gate holds calls until it is opened.
type gate chan struct{}

func newGate() gate { return make(gate) }

func (g gate) open() { close(g) }

// pass is a Func that returns its argument when the gate is open, whatever
// becomes of its ctx.
func (g gate) pass(_ context.Context, n int) (int, error) {
	<-g
	return n, nil
}

func double(_ context.Context, n int) (int, error) { return 2 * n, nil }

func fail(context.Context, int) (int, error) { return 0, errBoom }

// ended returns a ctx that has ended.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// isDone reports whether the Done channel of f is closed.
func isDone(f executor.Waitable) bool {
	select {
	case <-f.Done():
		return true
	default:
		return false
	}
}

// canned is a future in a known state, and what it is to answer.
type canned struct {
	name    string
	promise *executor.Promise[int]
	state   executor.State
	value   int    // of Result
	err     error  // is matched by the error of Result; nil: there is none
	cancel  bool   // what Cancel returns
	text    string // of String
}

// cannedFutures returns a fresh future in each of the five states.
func cannedFutures() []canned {
	pending := canned{"pending", executor.NewPromise[int](), executor.Pending, 0, executor.ErrPending, true, "<Future pending>"}
	running := canned{"running", executor.NewPromise[int](), executor.Running, 0, executor.ErrPending, false, "<Future running>"}
	succeeded := canned{"succeeded", executor.NewPromise[int](), executor.Finished, 7, nil, false, "<Future finished int>"}
	failed := canned{"failed", executor.NewPromise[int](), executor.Finished, 0, errBoom, false, "<Future finished error *errors.errorString>"}
	cancelled := canned{"cancelled", executor.NewPromise[int](), executor.Cancelled, 0, executor.ErrCancelled, true, "<Future cancelled>"}

	running.promise.Start()
	succeeded.promise.Resolve(7)
	failed.promise.Reject(errBoom)
	cancelled.promise.Future().Cancel()
	return []canned{pending, running, succeeded, failed, cancelled}
}

// cannedIn returns the fresh future of that name.
func cannedIn(name string) *executor.Future[int] {
	for _, c := range cannedFutures() {
		if c.name == name {
			return c.promise.Future()
		}
	}
	panic("no canned future is " + name)
}

// upTo returns a source of 0 to n-1 and the number of items pulled from it.
func upTo(n int) (iter.Seq[int], *atomic.Int64) {
	pulled := new(atomic.Int64)
	return func(yield func(int) bool) {
		for i := range n {
			pulled.Add(1)
			if !yield(i) {
				return
			}
		}
	}, pulled
}

// endless is the most items that a test pulls from a source without an end.
const endless = 1 << 30

// itemError is the error of an item that fails, by any means.
type itemError int

func (e itemError) Error() string { return fmt.Sprintf("item %d", int(e)) }

// tally counts calls.
type tally struct{ started, running, most atomic.Int64 }

// begin counts a call that begins, and returns what counts its end.
func (c *tally) begin() (end func()) {
	c.started.Add(1)
	running := c.running.Add(1)
	for most := c.most.Load(); running > most && !c.most.CompareAndSwap(most, running); most = c.most.Load() {
	}
	return func() { c.running.Add(-1) }
}

// collected reports whether nothing holds what p points to. It gives goroutines
// that are on their way from it the time to go.
func collected[T any](p weak.Pointer[T]) bool {
	for range 100 {
		if p.Value() == nil {
			return true
		}
		runtime.GC()
		runtime.Gosched()
	}
	return p.Value() == nil
}
