package parallel_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/parallel"
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
	executor.RegisterError("parallel_test.boom", errBoom)
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
		time.Sleep(20 * time.Millisecond)
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
		time.Sleep(time.Hour)
	case "slow":
		time.Sleep(time.Millisecond)
	case "exit":
		os.Exit(40 + in.N)
	case "GOMAXPROCS":
		return runtime.GOMAXPROCS(0), nil
	}
	return 10 * in.N, nil
}

// itemError is the error of an item. In a worker process, only its text is left.
type itemError int

func (e itemError) Error() string { return fmt.Sprintf("item %d", int(e)) }

func double(_ context.Context, n int) (int, error) { return 2 * n, nil }

// items returns items that do so.
func items(does ...string) []item {
	in := make([]item, len(does))
	for i := range in {
		in[i] = item{N: i, Does: does[i]}
	}
	return in
}

// callsOf returns the calls that make items.
func callsOf(in ...item) iter.Seq[parallel.Call[int]] { return slices.Values(delayed(makeItem, in)) }

// delayed returns the calls of fn with each of in.
func delayed[In, Out any](fn executor.Func[In, Out], in []In) []parallel.Call[Out] {
	calls := make([]parallel.Call[Out], len(in))
	for i, x := range in {
		calls[i] = parallel.Delayed(fn, x)
	}
	return calls
}

// counting returns the calls of fn with 0 to n-1, and the number of calls that
// were pulled.
func counting[Out any](n int, fn executor.Func[int, Out]) (iter.Seq[parallel.Call[Out]], *atomic.Int64) {
	pulled := new(atomic.Int64)
	return func(yield func(parallel.Call[Out]) bool) {
		for i := range n {
			pulled.Add(1)
			if !yield(parallel.Delayed(fn, i)) {
				return
			}
		}
	}, pulled
}

// endless is the most calls that a test pulls from a source without an end.
const endless = 1 << 30

// upTo returns 0 to n-1.
func upTo(n int) []int { return tens(n, 1) }

// tens returns step times 0 to n-1.
func tens(n, step int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = step * i
	}
	return out
}

// each runs test with what makes the calls of most tests: one after another, on
// goroutines and in worker processes, two at once.
func each(t *testing.T, test func(t *testing.T, j parallel.Jobs)) {
	t.Helper()
	for _, j := range []parallel.Jobs{{N: 1}, {N: 2}, {N: 2, Backend: "processes"}} {
		t.Run(fmt.Sprintf("N %d %s", j.N, j.Backend), func(t *testing.T) { test(t, j) })
	}
}

// elsewhere is an executor of which this package does not know that it makes its
// calls in this process: it goes the ways of worker processes.
type elsewhere struct{ executor.Executor }

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

// nap is a call that takes a second.
func (c *tally) nap(_ context.Context, n int) (int, error) {
	defer c.begin()()
	time.Sleep(time.Second)
	return n, nil
}

// inTime calls f, and ends the test if that does not return.
func inTime[T any](t *testing.T, what string, f func() (T, error)) (T, error) {
	t.Helper()
	type outcome struct {
		value T
		err   error
	}
	over := make(chan outcome, 1)
	go func() {
		value, err := f()
		over <- outcome{value, err}
	}()
	select {
	case o := <-over:
		return o.value, o.err
	case <-time.After(longEnough):
		buf := make([]byte, 1<<20)
		t.Fatalf("%s: nothing after %v\n%s", what, longEnough, buf[:runtime.Stack(buf, true)])
		panic("not reached")
	}
}

// all is what a loop over a stream sees: results and the texts of errors.
func all[Out any](seq iter.Seq2[Out, error]) (seen []string) {
	for value, err := range seq {
		seen = append(seen, saw(value, err))
	}
	return seen
}

// saw is what is seen of a call: its result, or what kind of error it has.
func saw[Out any](value Out, err error) string {
	if err == nil {
		return fmt.Sprint(value)
	}
	if p, ok := errors.AsType[*executor.PanicError](err); ok {
		return fmt.Sprint("panic: ", p.Value)
	}
	if errors.Is(err, executor.ErrGoexit) {
		return "goexit"
	}
	return err.Error()
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

// setCPUs sets GOMAXPROCS until the end of the test.
func setCPUs(t *testing.T, n int) {
	before := runtime.GOMAXPROCS(n)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

// captured returns what f prints on the process's stdout and stderr.
func captured(t *testing.T, f func()) (stdout, stderr string) {
	t.Helper()
	out, err := inFile(t, &os.Stdout)
	errs, err2 := inFile(t, &os.Stderr)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	defer func() { stdout, stderr = out(), errs() }()
	f()
	return
}

// inFile has *stream go to a file until it is asked what came.
func inFile(t *testing.T, stream **os.File) (text func() string, err error) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		return nil, err
	}
	before := *stream
	*stream = f
	return func() string {
		*stream = before
		defer f.Close()
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err.Error()
		}
		text, err := io.ReadAll(f)
		if err != nil {
			return err.Error()
		}
		return string(text)
	}, nil
}
