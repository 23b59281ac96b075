package pool_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/pool"
)

// longEnough is how long a test waits for what must come. It is no promise: a
// machine under load may take its time.
const longEnough = time.Minute

// nilCtx is silly input.
var nilCtx context.Context

var errBoom = errors.New("boom")

func init() {
	executor.Register(makeItem)
	executor.Register(double)
	executor.Register(processID)
	executor.RegisterError("pool_test.boom", errBoom)
	if _, isWorker := os.LookupEnv("FUTURES_WORKER"); !isWorker {
		// Else the race detector lets each worker sleep for a second before it ends.
		_ = os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
	}
}

// item is what makeItem makes, here or in a worker process.
type item struct {
	N    int
	Does string // "": returns 10*N
	Log  string // gets a line when it starts; "": none
	Gate string // a file that "hold" waits for
}

func makeItem(ctx context.Context, in item) (int, error) {
	if in.Log != "" {
		if err := logStart(in.Log, in.N); err != nil {
			return 0, err
		}
	}
	switch in.Does {
	case "fail":
		return 0, itemError(in.N)
	case "fail late":
		time.Sleep(2 * time.Millisecond)
		return 0, itemError(in.N)
	case "boom":
		return 0, fmt.Errorf("item %d: %w", in.N, errBoom)
	case "panic":
		panic(fmt.Sprint("item ", in.N))
	case "goexit":
		runtime.Goexit()
	case "hold":
		holdUntil(in.Gate)
	case "heed":
		<-ctx.Done()
		return 0, ctx.Err()
	case "hang":
		select {}
	case "exit":
		os.Exit(40 + in.N)
	case "large":
		return 0, errors.New(strings.Repeat("large ", 100_000))
	}
	return 10 * in.N, nil
}

// itemError is the error of an item. In a worker process, only its text is left.
type itemError int

func (e itemError) Error() string { return fmt.Sprintf("item %d", int(e)) }

func double(_ context.Context, n int) (int, error) { return 2 * n, nil }

func processID(context.Context, int) (int, error) { return os.Getpid(), nil }

// items returns items that do so.
func items(does ...string) []item {
	in := make([]item, len(does))
	for i := range in {
		in[i] = item{N: i, Does: does[i]}
	}
	return in
}

// each runs test on a pool of goroutines, one of processes, and one over an
// executor, with so many workers each, and closes it afterwards.
func each(t *testing.T, workers int, test func(t *testing.T, p *pool.Pool)) {
	t.Helper()
	t.Run("Threads", func(t *testing.T) {
		p := pool.Threads(workers)
		defer closeInTime(t, p)
		test(t, p)
	})
	t.Run("Processes", func(t *testing.T) {
		p := pool.Processes(workers)
		defer closeInTime(t, p)
		test(t, p)
	})
	t.Run("Over", func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: workers}
		defer ex.Close()
		p := pool.Over(ex)
		defer closeInTime(t, p)
		test(t, p)
	})
}

// overProcesses returns a pool over an executor that is closed after the test,
// and keeps what its workers print out of that of the test.
func overProcesses(t *testing.T, ex *executor.ProcessPoolExecutor) *pool.Pool {
	t.Helper()
	ex.Stderr = io.Discard
	t.Cleanup(func() { inTime(t, "Close of the executor", ex.Close) })
	return pool.Over(ex)
}

// inTime calls f, and ends the test if that does not return.
func inTime(t *testing.T, what string, f func() error) error {
	t.Helper()
	over := make(chan error, 1)
	go func() { over <- f() }()
	return receive(t, what, over)
}

// receive receives from c, and ends the test if nothing comes.
func receive[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(longEnough):
		buf := make([]byte, 1<<20)
		t.Fatalf("%s: nothing after %v\n%s", what, longEnough, buf[:runtime.Stack(buf, true)])
		panic("not reached")
	}
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
	receive(t, "the future", f.Done())
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

// waitUntil waits until it is so.
func waitUntil(t *testing.T, what string, isSo func() bool) {
	t.Helper()
	for begin := time.Now(); !isSo(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > longEnough {
			t.Fatalf("waited %v until %s", longEnough, what)
		}
	}
}

// holdUntil returns when there is a file of that name.
func holdUntil(path string) {
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// touch lets the items go on that hold.
func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// inDir returns a name in a directory that is removed after the test.
func inDir(t *testing.T, name string) string {
	t.Helper()
	return filepath.Join(t.TempDir(), name)
}

// logStart adds a line to a file, in one write, so that those of several
// processes do not mix.
func logStart(name string, n int) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%d\n", n)
	return errors.Join(err, f.Close())
}

// starts returns the numbers in a log.
func starts(t *testing.T, log string) []string {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Fields(string(text))
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
