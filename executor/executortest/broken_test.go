package executortest_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
)

// SIM-04: each executor here is broken on purpose, and Run must say so by the
// promises that are named. It says so in a bubble, where a minute of
// patience takes no time.
func TestRunFindsBrokenExecutors(t *testing.T) {
	for _, b := range []struct {
		name   string
		open   func(n int) executor.Executor
		breaks []string
	}{
		{"loses calls", func(n int) executor.Executor { return &losing{pool: pool{MaxWorkers: n}} }, []string{
			"every call ends with the result of its function",
		}},
		{"panics", func(int) executor.Executor { return panicking{} }, []string{
			"every call ends with the result of its function",
		}},
		{"loses workers", newNaive, []string{
			"a call that ends its goroutine costs no worker",
		}},
		{"does not see the end of ctx", newNaive, []string{
			"a queued call whose ctx ends is cancelled at once though every worker is busy",
			"a queued call whose deadline passes is cancelled with DeadlineExceeded",
		}},
		{"deadlocks on itself", newSerial, []string{
			"a call that waits for a call of its own executor gets its result",
			"a call that uses Wait on its own executor goes on",
			"a call that uses AsCompleted on its own executor goes on",
			"a call that uses Gather on its own executor goes on",
			"a call that uses Map on its own executor goes on",
			"a call that uses MapSlice on its own executor goes on",
			"calls that wait for each other nest deeper than there are workers",
		}},
		{"hides the end of ctx", func(n int) executor.Executor { return &deaf{naive: newNaive(n).(*naive)} }, []string{
			"a running call sees the end of its ctx and the cause",
		}},
		{"starts the last first", func(n int) executor.Executor { return &stack{workers: n} }, []string{
			"calls start in the order in which they were submitted",
		}},
		{"runs too many", func(n int) executor.Executor { return &liar{pool{MaxWorkers: n + 1}, n} }, []string{
			"as many calls run at once as Workers says and no more",
		}},
		{"runs too few", func(n int) executor.Executor { return &liar{pool{MaxWorkers: n - 1}, n} }, []string{
			"as many calls run at once as Workers says and no more",
		}},
		{"lets more compute while others wait", func(n int) executor.Executor { return &liar{pool{MaxWorkers: n + 1}, n} }, []string{
			"no more than Workers calls compute while others wait",
		}},
		{"does not wait in Close", func(n int) executor.Executor { return &hasty{pool: pool{MaxWorkers: n}} }, []string{
			"Close waits for the calls that were taken",
		}},
		{"takes calls after Close", func(n int) executor.Executor { return &unclosed{pool: pool{MaxWorkers: n}} }, []string{
			"what comes after Close is an ErrShutdown",
		}},
		{"panics after Close", newNaive, []string{
			"a call that is submitted while the executor closes ends or is refused",
			"what comes after Close is an ErrShutdown",
		}},
		{"waits in Shutdown whatever its ctx", func(n int) executor.Executor { return &patient{pool{MaxWorkers: n}} }, []string{
			"Shutdown with an ended ctx cancels what is queued and ends the ctx of what runs",
			"Shutdown whose ctx ends says that calls still run, and may be called again",
		}},
		{"miscounts", func(n int) executor.Executor { return &miscounting{pool{MaxWorkers: n}} }, []string{
			"the counters add up",
			"a cancelled call is not counted as queued",
		}},
		{"ends the ctx of a call with the call", func(n int) executor.Executor { return &ending{} }, []string{
			"what a call returns may use the ctx of the call until that of Submit ends",
		}},
		{"keeps calls", func(n int) executor.Executor { return &hoarder{pool: pool{MaxWorkers: n}} }, []string{
			"an executor keeps no result of a call that is done",
		}},
	} {
		for _, says := range b.breaks {
			t.Run(b.name+"/"+says, func(t *testing.T) {
				failures, skipped := judge(t, says, b.open)
				if len(failures) == 0 {
					t.Errorf("an executor that %s passes %q (skipped because %q); want a failure", b.name, says, skipped)
				}
			})
		}
	}
}

// The same promises, on an executor that keeps them: what fails above fails for
// its fault.
func TestRunPassesAnExecutorThatWorks(t *testing.T) {
	for _, says := range executortest.Promises() {
		t.Run(says, func(t *testing.T) {
			failures, skipped := judge(t, says, func(n int) executor.Executor { return &pool{MaxWorkers: n} })
			if len(failures) > 0 {
				t.Errorf("a ThreadPoolExecutor fails %q:\n%s", says, strings.Join(failures, "\n"))
			}
			if skipped != "" {
				t.Skip(skipped)
			}
		})
	}
}

// A case that hangs says what it waits for, and shows the goroutines that hang.
func TestCaseThatHangsShowsStacks(t *testing.T) {
	failures, _ := judge(t, "every call ends with the result of its function",
		func(n int) executor.Executor { return &losing{pool: pool{MaxWorkers: n}} })
	for _, want := range []string{"after 1m0s still waiting for the result of", "goroutine ", "everyCallEnds"} {
		if !strings.Contains(strings.Join(failures, "\n"), want) {
			t.Errorf("the failure of a case that hangs does not have %q:\n%s", want, failures)
		}
	}
}

// judge checks one promise in a bubble.
func judge(t *testing.T, says string, open func(int) executor.Executor) (failures []string, skipped string) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { failures, skipped = executortest.Judge(says, open, dir) })
	return failures, skipped
}

type pool = executor.ThreadPoolExecutor

// ending gives its calls a ctx that it ends.
type ending struct{ calls sync.WaitGroup }

func (*ending) Workers() int { return 0 }

func (e *ending) Execute(ctx context.Context, c *executor.Call) {
	e.calls.Wait() // else the next call may not find that the ctx of the last has ended
	e.calls.Go(func() {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		c.Run(ctx)
	})
}

// losing forgets each seventh call.
type losing struct {
	pool
	mu sync.Mutex
	n  int
}

func (e *losing) Execute(ctx context.Context, c *executor.Call) {
	e.mu.Lock()
	e.n++
	lost := e.n%7 == 0
	e.mu.Unlock()
	if !lost {
		e.pool.Execute(ctx, c)
	}
}

type panicking struct{}

func (panicking) Workers() int                            { return 1 }
func (panicking) Execute(context.Context, *executor.Call) { panic("no") }

// naive is the pool that everybody writes first.
type naive struct {
	workers int
	calls   chan func()
	group   sync.WaitGroup

	mu     sync.Mutex
	closed bool
}

func newNaive(n int) executor.Executor {
	e := &naive{workers: max(n, 1), calls: make(chan func(), 1000)}
	for range e.workers {
		e.group.Go(func() {
			for call := range e.calls {
				call()
			}
		})
	}
	return e
}

func (e *naive) Workers() int { return e.workers }

func (e *naive) Execute(ctx context.Context, c *executor.Call) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		panic("send on closed channel")
	}
	e.calls <- func() { c.Run(ctx) }
}

func (e *naive) Close() error {
	e.mu.Lock()
	if !e.closed {
		close(e.calls)
	}
	e.closed = true
	e.mu.Unlock()
	e.group.Wait()
	return nil
}

// serial cancels calls whose ctx ends one after another, callbacks included.
type serial struct {
	*naive
	lock chan struct{} // not a mutex, which a bubble does not see through
}

func newSerial(n int) executor.Executor { return &serial{newNaive(n).(*naive), make(chan struct{}, 1)} }

func (e *serial) Execute(ctx context.Context, c *executor.Call) {
	context.AfterFunc(ctx, func() {
		e.lock <- struct{}{}
		defer func() { <-e.lock }()
		c.Cancel()
	})
	e.naive.Execute(ctx, c)
}

// deaf does not hand on the end of ctx.
type deaf struct{ *naive }

func (e *deaf) Execute(ctx context.Context, c *executor.Call) {
	e.naive.Execute(context.WithoutCancel(ctx), c)
}

// stack starts the call that came last.
type stack struct {
	workers int
	group   sync.WaitGroup
	mu      sync.Mutex
	running int
	calls   []func()
}

func (e *stack) Workers() int { return e.workers }

func (e *stack) Execute(ctx context.Context, c *executor.Call) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls = append(e.calls, func() { c.Run(ctx) })
	if e.running < e.workers {
		e.running++
		e.group.Go(e.work)
	}
}

func (e *stack) work() {
	for {
		e.mu.Lock()
		last := len(e.calls) - 1
		if last < 0 {
			e.running--
			e.mu.Unlock()
			return
		}
		call := e.calls[last]
		e.calls = e.calls[:last]
		e.mu.Unlock()
		call()
	}
}

func (e *stack) Close() error {
	e.group.Wait()
	return nil
}

// liar says that it has another number of workers.
type liar struct {
	pool
	says int
}

func (e *liar) Workers() int { return e.says }

// hasty closes in the background.
type hasty struct {
	pool
	once sync.Once
}

func (e *hasty) Close() error {
	e.once.Do(func() { go e.pool.Close() })
	return nil
}

// unclosed takes calls for ever.
type unclosed struct {
	pool
	closed atomic.Bool
}

func (e *unclosed) Execute(ctx context.Context, c *executor.Call) {
	if e.closed.Load() {
		c.Run(ctx)
		return
	}
	e.pool.Execute(ctx, c)
}

func (e *unclosed) Close() error {
	e.closed.Store(true)
	return e.pool.Close()
}

// patient waits longer than it was asked to.
type patient struct{ pool }

func (e *patient) Shutdown(context.Context) error { return e.Close() }

// miscounting counts a call that there was not.
type miscounting struct{ pool }

func (e *miscounting) Stats() executor.Stats {
	s := e.pool.Stats()
	s.Succeeded++
	return s
}

// hoarder keeps all calls.
type hoarder struct {
	pool
	mu    sync.Mutex
	calls []*executor.Call
}

func (e *hoarder) Execute(ctx context.Context, c *executor.Call) {
	e.mu.Lock()
	e.calls = append(e.calls, c)
	e.mu.Unlock()
	e.pool.Execute(ctx, c)
}
