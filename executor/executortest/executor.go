package executortest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/gofutures/futures/executor"
)

// Executor makes one call at a time, in an order that is drawn from a seed: it
// is for the tests of services that use an executor. It comes from [New].
//
// A call that waits for others with its own ctx lends its place, as on every
// executor, so other calls go on while it waits.
type Executor struct {
	options options
	inner   executor.ThreadPoolExecutor // of one worker; it has the calls whose turn has come
	drained *executor.Promise[struct{}] // done when it is closed and no call waits for its turn

	mu        sync.Mutex // guards the fields below
	rand      *rand.Rand
	closed    bool
	submitted int
	failed    int       // by Fail
	waiting   []*ticket // calls whose turn has not come, in order of submission
	trace     []int
	turn      *turn // that feed waits for or has, nil if it does not run
	turns     int   // that have ended
}

// New returns an executor for a test, which closes it at its end. In a bubble
// of testing/synctest, in which New must have been called too, the same calls
// start in the same order whenever the seed is the same. Another seed, another
// order: run a test many times without [Seed], and each run tries one. A test
// that fails prints the seed, and the order in which calls had their turn.
//
// Before each start, the executor lets everybody else go on until they wait
// for something, and then chooses among the calls that are there. For that it
// lets the bubble's clock go on by one nanosecond. So synctest.Wait returns
// while calls wait for their turn: to let them start, wait for a future, or
// sleep. Outside a bubble, everything works but the order.
//
// The order of what is not a start is not drawn: which of two calls that wait
// for the same future goes on first, or which of two goroutines submits first.
func New(tb testing.TB, opts ...Option) *Executor {
	tb.Helper()
	o, err := newOptions(rand.Uint64(), opts)
	if err != nil {
		tb.Fatalf("executortest: New: %v", err)
	}
	e := &Executor{
		options: o,
		inner:   executor.ThreadPoolExecutor{MaxWorkers: 1, Name: "executortest"},
		drained: executor.NewPromise[struct{}](),
		rand:    rand.New(rand.NewPCG(o.seed, 0)),
	}
	tb.Cleanup(func() {
		if !tb.Failed() {
			_ = e.Close()
			return
		}
		tb.Logf("executortest: calls had their turn in the order %v; to have it again: executortest.New(t, %v)", e.Trace(), e.options)
		_ = e.Shutdown(ended) // what the test has left blocked may never end
	})
	return e
}

// ended is a ctx that has ended.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// Execute is called by [executor.Submit].
func (e *Executor) Execute(ctx context.Context, c *executor.Call) {
	if e == nil {
		c.Reject(errors.New("executortest: Submit: nil *Executor"))
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		c.Reject(executor.ErrShutdown)
		return
	}
	e.submitted++
	t := newTicket(ctx, c, e.submitted, e.options.faults[e.submitted])
	e.waiting = append(e.waiting, t)
	go e.keep(t)
	e.wake()
}

// Workers returns 1.
func (e *Executor) Workers() int { return 1 }

// Seed returns the seed from which the order of calls is drawn.
func (e *Executor) Seed() uint64 { return e.options.seed }

// Trace returns the numbers of the calls that have had their turn, in that
// order. A call that was cancelled before has none; one that Fail or Cancel is
// about has.
func (e *Executor) Trace() []int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.trace)
}

// Stats counts the calls so far.
func (e *Executor) Stats() executor.Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.inner.Stats()
	s.Succeeded -= e.turns
	e.turn.discount(&s)
	for _, t := range e.waiting {
		if !t.gone() {
			s.Queued++
		}
	}
	s.Failed += e.failed
	s.Submitted = e.submitted
	s.Cancelled = s.Submitted - s.Queued - s.Running - s.Succeeded - s.Failed
	return s
}

// Close takes no more calls and waits for those it has taken. It may be called
// again, and New sees that it is called.
func (e *Executor) Close() error { return e.Shutdown(context.Background()) }

// Shutdown is Close until ctx ends. Then the calls that have not started are
// cancelled, and the ctx of the one that runs ends: as
// [executor.ThreadPoolExecutor.Shutdown].
func (e *Executor) Shutdown(ctx context.Context) error {
	if ctx == nil {
		return errors.New("executortest: Shutdown: nil ctx")
	}
	e.mu.Lock()
	e.closed = true
	e.settle()
	e.mu.Unlock()
	// If this is a call of the executor, it lends its place to those that it
	// waits for: drained is a future for that.
	if _, err := e.drained.Future().Result(ctx); err != nil {
		e.cancelWaiting()
	}
	return e.inner.Shutdown(ctx)
}

// settle resolves drained when it is time. e.mu is held.
func (e *Executor) settle() {
	if e.closed && len(e.waiting) == 0 {
		_ = e.drained.Resolve(struct{}{}) // an error says that it was
	}
}

// cancelWaiting cancels all calls whose turn has not come.
func (e *Executor) cancelWaiting() {
	e.mu.Lock()
	waiting := slices.Clone(e.waiting)
	e.mu.Unlock()
	for _, t := range waiting {
		t.cancel()
	}
}
