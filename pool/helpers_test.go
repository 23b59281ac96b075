package pool_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/internal/testhelp"
	"github.com/gofutures/futures/pool"
)

// What the tests of other packages need too, by short names.
const longEnough = testhelp.LongEnough

type (
	item      = testhelp.Item
	itemError = testhelp.ItemError
)

var (
	errBoom   = testhelp.ErrBoom
	items     = testhelp.Items
	makeItem  = testhelp.MakeItem
	waitUntil = testhelp.WaitUntil
	touch     = testhelp.Touch
	inDir     = testhelp.InDir
	starts    = testhelp.Starts
)

// nilCtx is silly input.
var nilCtx context.Context

func init() {
	executor.Register(makeItem)
	executor.Register(double)
	executor.Register(processID)
	executor.RegisterError("pool_test.boom", errBoom)
	testhelp.EndWorkersAtOnce()
}

func double(_ context.Context, n int) (int, error) { return 2 * n, nil }

func processID(context.Context, int) (int, error) { return os.Getpid(), nil }

// each runs test on a pool of goroutines, one of processes, and one over an
// executor, with so many workers each, and closes it afterwards.
func each(t *testing.T, workers int, test func(t *testing.T, p *pool.Pool)) {
	t.Helper()
	t.Run("Threads", func(t *testing.T) {
		p := pool.Patient(pool.Threads(workers), longEnough)
		defer closeInTime(t, p)
		test(t, p)
	})
	t.Run("Processes", func(t *testing.T) {
		executortest.NeedsProcesses(t)
		p := pool.Processes(workers)
		defer closeInTime(t, p)
		test(t, p)
	})
	t.Run("Over", func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: workers}
		defer ex.Close()
		p := pool.Patient(pool.Over(ex), longEnough)
		defer closeInTime(t, p)
		test(t, p)
	})
}

// overProcesses returns a pool over an executor that is closed after the test,
// and keeps what its workers print out of that of the test.
func overProcesses(t *testing.T, ex *executor.ProcessPoolExecutor) *pool.Pool {
	t.Helper()
	executortest.NeedsProcesses(t)
	ex.Stderr = io.Discard
	t.Cleanup(func() { inTime(t, "Close of the executor", ex.Close) })
	return pool.Over(ex)
}

// inTime calls f, and ends the test if that does not return.
func inTime(t *testing.T, what string, f func() error) error {
	t.Helper()
	over := make(chan error, 1)
	go func() { over <- f() }()
	return testhelp.Receive(t, what, over)
}

func closeInTime(t *testing.T, p *pool.Pool) {
	t.Helper()
	if t.Failed() {
		_ = p.Terminate() // the test may have left something that runs
		return
	}
	if err := inTime(t, "Close", p.Close); err != nil {
		t.Errorf("Close = %v; want nil", err)
	}
}

// resultOf waits for a future.
func resultOf[T any](t *testing.T, f *executor.Future[T]) (T, error) {
	t.Helper()
	testhelp.Receive(t, "the future", f.Done())
	return f.Result(context.Background())
}

// isDone reports whether the future has ended.
func isDone(f executor.Waitable) bool {
	select {
	case <-f.Done():
		return true
	default:
		return false
	}
}

// awaitStarts waits until so many items have started.
func awaitStarts(t *testing.T, log string, n int) {
	t.Helper()
	waitUntil(t, fmt.Sprintf("%d items have started", n), func() bool { return len(starts(t, log)) >= n })
}

// counting returns an endless source of 0, 1, 2, ... and the number of items
// pulled from it.
func counting() (iter.Seq[int], *atomic.Int64) {
	pulled := new(atomic.Int64)
	return func(yield func(int) bool) {
		for i := 0; ; i++ {
			pulled.Add(1)
			if !yield(i) {
				return
			}
		}
	}, pulled
}

// silenceSlog keeps the panics of callbacks out of the output of a test, and counts
// them.
func silenceSlog(t *testing.T) *lines {
	var logged lines
	before, out, flags := slog.Default(), log.Writer(), log.Flags()
	slog.SetDefault(slog.New(slog.NewTextHandler(&logged, nil)))
	t.Cleanup(func() {
		slog.SetDefault(before)
		log.SetOutput(out) // SetDefault has led package log to its handler, and does not lead it back
		log.SetFlags(flags)
	})
	return &logged
}

// lines counts what is written.
type lines struct{ n atomic.Int64 }

func (l *lines) Write(text []byte) (int, error) {
	l.n.Add(1)
	return len(text), nil
}
