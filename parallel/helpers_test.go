package parallel_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/internal/testhelp"
	"github.com/gofutures/futures/parallel"
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
	holdUntil = testhelp.HoldUntil
	touch     = testhelp.Touch
	inDir     = testhelp.InDir
	logStart  = testhelp.LogStart
	starts    = testhelp.Starts
)

// nilCtx is silly input.
var nilCtx context.Context

func init() {
	executor.Register(makeItem)
	executor.Register(double)
	executor.RegisterError("parallel_test.boom", errBoom)
	testhelp.EndWorkersAtOnce()
}

func double(_ context.Context, n int) (int, error) { return 2 * n, nil }

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
		t.Run(fmt.Sprintf("N %d %s", j.N, j.Backend), func(t *testing.T) {
			if j.Backend == "processes" {
				executortest.NeedsProcesses(t)
			}
			test(t, j)
		})
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
	o := testhelp.Receive(t, what, over)
	return o.value, o.err
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

// many is how many goroutines want one result in most tests.
const many = 16

// together has many goroutines do something at once, and returns when all have ended.
// It is for what may end its goroutine.
func together(do func(i int)) {
	var all sync.WaitGroup
	for i := range many {
		all.Add(1)
		go func() {
			defer all.Done()
			do(i)
		}()
	}
	all.Wait()
}

// panics is a function of its own, so that its name is in the stack.
func panics(context.Context, int) (int, error) {
	time.Sleep(time.Second)
	panic(errBoom)
}

// alike reports whether each text ends as the one that is wanted: an error from
// another process names the function before.
func alike(got, want []string) bool {
	return slices.EqualFunc(got, want, func(got, want string) bool { return strings.HasSuffix(got, want) })
}

// panicOf returns what f panics with.
func panicOf(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}
