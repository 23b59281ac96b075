package executor_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
)

func init() {
	executor.Register(remoteAct)
	executor.Register(remoteSum)
	executor.Register(remoteTree)
	executor.Register(remoteDouble)
	executor.Register(thrice)
	executor.RegisterName("futures.test/upper", remoteUpper)
	executor.RegisterError("remote", errRemote)
}

var errRemote = errors.New("remote")

// remoteAct ends in the way that it is told to.
func remoteAct(ctx context.Context, how string) (string, error) {
	switch how {
	case "fail":
		return "", fmt.Errorf("on purpose: %w", errRemote)
	case "panic":
		panic(errRemote)
	case "goexit":
		runtime.Goexit()
	case "wait":
		<-ctx.Done()
		return context.Cause(ctx).Error(), nil
	}
	return "did " + how, nil
}

// remoteSum takes memory as it is.
func remoteSum(_ context.Context, in []float64) (float64, error) {
	sum := 0.0
	for _, v := range in {
		sum += v
	}
	return sum, nil
}

func thrice(_ context.Context, n int) (int, error) { return 3 * n, nil }

func remoteDouble(_ context.Context, n int32) (int32, error) { return 2 * n, nil }

func remoteUpper(_ context.Context, s string) (string, error) { return strings.ToUpper(s), nil }

// tree has what the codec has to look at.
type tree struct {
	Name  string
	Times map[string]time.Time
	Next  *tree
	Kids  []*tree
	Raw   []byte
	Four  [4]int16
	Any   *struct{ F float32 }
}

// remoteTree returns the tree that it is given.
func remoteTree(_ context.Context, t *tree) (*tree, error) { return t, nil }

// captor is an executor that leaves its calls to the test.
type captor chan *executor.Call

func (c captor) Execute(_ context.Context, call *executor.Call) { c <- call }
func (c captor) Workers() int                                   { return 1 }

// capture submits a call and returns it before it has started.
func capture[In, Out any](fn executor.Func[In, Out], in In) (*executor.Call, *executor.Future[Out]) {
	c := make(captor, 1)
	f := executor.Submit(context.Background(), c, fn, in)
	return <-c, f
}

// cross makes a call as it would be made in another process.
func cross(t *testing.T, ctx context.Context, c *executor.Call) {
	t.Helper()
	name, data, err := c.Encode()
	if err != nil {
		t.Fatalf("Encode: %v", err)
	}
	result, err := executor.Invoke(ctx, name, slices.Clone(data))
	c.Complete(result, err)
}

// endOf waits for a future, so long that only a hang takes longer.
func endOf[T any](t *testing.T, f *executor.Future[T]) (T, error) {
	t.Helper()
	select {
	case <-f.Done():
	case <-time.After(time.Minute):
		t.Fatalf("%v after a minute; want it done", f)
	}
	return f.Result(context.Background())
}

// Encode, Invoke and Complete carry a result, an error, a panic and the end of a
// goroutine: D6, D13.
func TestEncodedCallIsMadeElsewhereAndComesBack(t *testing.T) {
	for how, want := range map[string]func(string, error) error{
		"dance": func(s string, err error) error {
			if s != "did dance" || err != nil {
				return errors.New("want did dance")
			}
			return nil
		},
		"fail": func(_ string, err error) error {
			if !errors.Is(err, errRemote) || err.Error() != "on purpose: remote" {
				return errors.New("want on purpose: remote, which matches errRemote")
			}
			return nil
		},
		"panic": func(_ string, err error) error {
			p, ok := errors.AsType[*executor.PanicError](err)
			if !ok || !errors.Is(err, errRemote) || !strings.Contains(string(p.Stack), "remoteAct") {
				return errors.New("want a *PanicError with errRemote and the stack of remoteAct")
			}
			return nil
		},
		"goexit": func(_ string, err error) error {
			if !errors.Is(err, executor.ErrGoexit) {
				return errors.New("want ErrGoexit")
			}
			return nil
		},
	} {
		t.Run(how, func(t *testing.T) {
			c, f := capture(remoteAct, how)
			if !c.Start() {
				t.Fatal("Start of a fresh call = false; want true")
			}
			if s := f.State(); s != executor.Running {
				t.Errorf("State after Start = %v; want running", s)
			}
			cross(t, t.Context(), c)
			s, err := endOf(t, f)
			if complaint := want(s, err); complaint != nil {
				t.Errorf("Result = %q, %v (%T); %v", s, err, err, complaint)
			}
		})
	}
}

func TestEncodeNamesTheFunction(t *testing.T) {
	for name, encode := range map[string]func() (string, []byte, error){
		"github.com/gofutures/futures/executor_test.remoteSum": func() (string, []byte, error) {
			c, _ := capture(remoteSum, []float64{1})
			return c.Encode()
		},
		"futures.test/upper": func() (string, []byte, error) {
			c, _ := capture(remoteUpper, "a")
			return c.Encode()
		},
	} {
		if got, data, err := encode(); got != name || len(data) == 0 || err != nil {
			t.Errorf("Encode = %q, %d bytes, %v; want the name %q", got, len(data), err, name)
		}
	}
}

// FUT-03 to FUT-05, D4: what comes back late, twice, or never asked for.
func TestCompleteEndsACallOnce(t *testing.T) {
	encoded := func(c *executor.Call) []byte {
		name, data, _ := c.Encode()
		out, err := executor.Invoke(t.Context(), name, data)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	t.Run("a call that was not started is started", func(t *testing.T) {
		c, f := capture(remoteDouble, 4)
		c.Complete(encoded(c), nil)
		if n, err := endOf(t, f); n != 8 || err != nil || f.State() != executor.Finished {
			t.Errorf("Result = %d, %v, State = %v; want 8, nil, finished", n, err, f.State())
		}
	})
	t.Run("a cancelled call stays cancelled", func(t *testing.T) {
		c, f := capture(remoteDouble, 4)
		out := encoded(c)
		if !f.Cancel() {
			t.Fatal("Cancel of a call that was encoded and not started = false; want true")
		}
		if c.Start() {
			t.Error("Start of a cancelled call = true; want false")
		}
		c.Complete(out, nil)
		if n, err := endOf(t, f); !errors.Is(err, executor.ErrCancelled) || f.State() != executor.Cancelled {
			t.Errorf("Result of a cancelled call = %d, %v, State = %v; want ErrCancelled, cancelled", n, err, f.State())
		}
	})
	t.Run("a started call cannot be cancelled", func(t *testing.T) {
		c, f := capture(remoteDouble, 4)
		out := encoded(c)
		c.Start()
		if c.Start() {
			t.Error("the second Start = true; want false")
		}
		if f.Cancel() {
			t.Error("Cancel of a call that has started = true; want false")
		}
		c.Complete(out, nil)
		if n, err := endOf(t, f); n != 8 || err != nil {
			t.Errorf("Result = %d, %v; want 8, nil", n, err)
		}
	})
	t.Run("the first word counts", func(t *testing.T) {
		c, f := capture(remoteDouble, 4)
		out := encoded(c)
		calls := 0
		f.OnDone(func(*executor.Future[int32]) { calls++ })
		var race sync.WaitGroup
		for range 8 {
			race.Go(func() { c.Complete(out, nil) })
		}
		race.Wait()
		c.Complete(nil, errRemote)
		c.Run(t.Context())
		if c.Reject(errRemote) {
			t.Error("Reject of a call that has ended = true; want false")
		}
		if n, err := endOf(t, f); n != 8 || err != nil {
			t.Errorf("Result = %d, %v; want 8, nil", n, err)
		}
		waitUntil(t, "the callback was called", func() bool { return isCalled(f) })
		if calls != 1 {
			t.Errorf("the callback was called %d times; want once", calls)
		}
	})
	t.Run("an error of the way is the error of the call", func(t *testing.T) {
		c, f := capture(remoteDouble, 4)
		c.Complete(nil, errRemote)
		if n, err := endOf(t, f); err != errRemote {
			t.Errorf("Result = %d, %v; want the error that Complete was given", n, err)
		}
	})
}

// isCalled reports whether the callbacks of a future that has ended were called:
// they are called in order.
func isCalled[T any](f *executor.Future[T]) bool {
	last := make(chan struct{})
	f.OnDone(func(*executor.Future[T]) { close(last) })
	<-last
	return true
}

// No bytes from elsewhere end this process, or leave a call without an end.
func TestCompleteWithNonsenseIsAnError(t *testing.T) {
	for name, data := range map[string][]byte{
		"nothing":            {},
		"nil":                nil,
		"no kind":            {0},
		"no kind, not nil":   {0, 1, 2, 3},
		"unknown kind":       {0xfe, 1},
		"too short a number": {1 << 1, 1, 2},
		"too long a number":  {1 << 1, 1, 2, 3, 4, 5},
		"nil number":         {1<<1 | 1},
		"half a failure":     {2 << 1, 0xa5, 0x61},
		"nil failure":        {2<<1 | 1},
		"numbers of a chunk": {3 << 1, 1, 2, 3, 4},
		"outcomes":           {4 << 1, 1, 5, 1, 2, 3, 4},
	} {
		t.Run(name, func(t *testing.T) {
			c, f := capture(remoteDouble, 4)
			c.Complete(data, nil)
			if n, err := endOf(t, f); err == nil || n != 0 {
				t.Errorf("Result after Complete(%v, nil) = %d, %v; want an error", data, n, err)
			}
		})
	}
}

func TestInvokeSaysWhyItDoesNotMakeACall(t *testing.T) {
	c, _ := capture(remoteDouble, 4)
	name, data, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := executor.Invoke(t.Context(), "no.such", data); !errors.Is(err, executor.ErrNotRegistered) || !strings.Contains(err.Error(), `"no.such"`) || out != nil {
		t.Errorf("Invoke of a name that is not registered = %v, %v; want ErrNotRegistered and the name", out, err)
	}
	if out, err := executor.Invoke(nilCtx, name, data); err == nil || !strings.Contains(err.Error(), "nil ctx") {
		t.Errorf("Invoke with a nil ctx = %v, %v; want an error that says so", out, err)
	}
	for _, data := range [][]byte{nil, {}, {0}, {0, 0x80}, {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {0, 200}} {
		if out, err := executor.Invoke(t.Context(), name, data); err == nil {
			t.Errorf("Invoke with the data %v = %v, nil; want an error", data, out)
		}
	}
}

// WIRE-09: an argument for another type is an error that names function and
// type.
func TestInvokeWithAnArgumentOfAnotherType(t *testing.T) {
	const name = "github.com/gofutures/futures/executor_test.remoteDouble"
	text, _ := capture(remoteUpper, "seven b")
	_, data, err := text.Encode()
	if err != nil {
		t.Fatal(err)
	}
	out, err := executor.Invoke(t.Context(), name, data)
	if err != nil {
		t.Fatalf("Invoke = %v; want the error where the result is", err)
	}
	c, f := capture(remoteDouble, 4)
	c.Complete(out, nil)
	_, err = endOf(t, f)
	if err == nil || !strings.Contains(err.Error(), "remoteDouble") || !strings.Contains(err.Error(), "int32") || strings.Contains(err.Error(), "seven") {
		t.Errorf("Result of a call with 7 bytes for an int32 = %v; want an error that names remoteDouble and int32, and no value", err)
	}
}

// The ctx of Invoke is the one that the function gets.
func TestInvokePassesItsCtxOn(t *testing.T) {
	c, f := capture(remoteAct, "wait")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	cross(t, ctx, c)
	if s, err := endOf(t, f); s != "enough" || err != nil {
		t.Errorf("Result = %q, %v; want the cause of the ctx of Invoke, %q", s, err, "enough")
	}
}

// pipe is an executor as a user may write it, for other machines: a call goes as
// a name and bytes to where Invoke makes it, and what came of it comes back. The
// other machines are goroutines here.
type pipe struct {
	workers int
	calls   sync.WaitGroup // that were taken

	mu      sync.Mutex // guards the fields below
	closed  bool
	queue   []piped
	working int
}

type piped struct {
	call *executor.Call
	name string
	data []byte
	left func() bool // forgets the ctx
}

func (p *pipe) Workers() int { return max(1, p.workers) }

func (p *pipe) Execute(ctx context.Context, c *executor.Call) {
	name, data, err := c.Encode()
	if err != nil {
		c.Reject(err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.Reject(executor.ErrShutdown)
		return
	}
	p.calls.Add(1)
	m := piped{call: c, name: name, data: slices.Clone(data)}
	m.left = context.AfterFunc(ctx, func() { c.Cancel() })
	p.queue = append(p.queue, m)
	if p.working < p.Workers() {
		p.working++
		go p.work()
	}
}

func (p *pipe) work() {
	for {
		p.mu.Lock()
		if len(p.queue) == 0 {
			p.working--
			p.mu.Unlock()
			return
		}
		m := p.queue[0]
		p.queue[0] = piped{}
		p.queue = p.queue[1:]
		p.mu.Unlock()
		if m.call.Start() {
			m.call.Complete(executor.Invoke(m.call.Context(), m.name, m.data))
		}
		m.left()
		p.calls.Done()
	}
}

func (p *pipe) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.calls.Wait()
	return nil
}

// An executor that does no more than its documentation tells it to is one.
func TestExecutorOverEncodeAndInvokeKeepsItsPromises(t *testing.T) {
	executortest.Run(t, func(workers int) executor.Executor { return &pipe{workers: workers} })
}

// D12, D13: chunks cross with the outcome of each item.
func TestMapsCrossByEncodeAndInvoke(t *testing.T) {
	p := &pipe{workers: 3}
	defer p.Close()
	in := make([]int32, 1000)
	want := make([]int32, len(in))
	for i := range in {
		in[i], want[i] = int32(i), int32(2*i)
	}
	if got, err := executor.MapSlice(t.Context(), p, remoteDouble, in); !slices.Equal(got, want) || err != nil {
		t.Errorf("MapSlice = %d results, %v; want %d, doubled", len(got), err, len(want))
	}
	got, err := executor.Collect(executor.Map(t.Context(), p, remoteDouble, slices.Values(in), executor.ChunkSize(7)))
	if !slices.Equal(got, want) || err != nil {
		t.Errorf("Map with ChunkSize(7) = %d results, %v; want %d, doubled", len(got), err, len(want))
	}
	hows := []string{"a", "fail", "panic", "b", "goexit", "c"}
	var outcomes []string
	for s, err := range executor.Map(t.Context(), p, remoteAct, slices.Values(hows), executor.ChunkSize(6)) {
		outcomes = append(outcomes, fmt.Sprintf("%s/%T", s, err))
	}
	wanted := []string{"did a/<nil>", "/*executor.RemoteError", "/*executor.PanicError", "did b/<nil>", "/*errors.errorString", "did c/<nil>"}
	if !slices.Equal(outcomes, wanted) {
		t.Errorf("Map over %v in one chunk = %v; want %v", hows, outcomes, wanted)
	}
	_, err = executor.MapSlice(t.Context(), p, remoteAct, hows, executor.ChunkSize(6))
	if !errors.Is(err, errRemote) || errors.Is(err, executor.ErrGoexit) {
		t.Errorf("MapSlice over %v in one chunk: %v; want the error of index 1", hows, err)
	}
}

// fuzzed are functions that the fuzz target calls, and how what comes back is
// taken.
var fuzzed = []struct {
	name     string
	complete func(out []byte, err error) (ended bool)
}{
	{"remoteSum", func(out []byte, err error) bool { return completes(remoteSum, nil, out, err) }},
	{"remoteTree", func(out []byte, err error) bool { return completes(remoteTree, nil, out, err) }},
	{"remoteDouble", func(out []byte, err error) bool { return completes(remoteDouble, 0, out, err) }},
	{"remoteEcho", func(out []byte, err error) bool { return completes(remoteEcho, nil, out, err) }},
}

func init() { executor.Register(remoteEcho) }

func remoteEcho(_ context.Context, b []byte) ([]byte, error) { return b, nil }

func completes[In, Out any](fn executor.Func[In, Out], in In, out []byte, err error) bool {
	c, f := capture(fn, in)
	c.Complete(out, err)
	return f.State() == executor.Finished
}

// FuzzInvoke: whatever comes from elsewhere, as an argument or as a result,
// ends in a result or in an error, and takes memory in proportion: WIRE-01, SEC-07.
func FuzzInvoke(f *testing.F) {
	seed := func(which uint8, encode func() (string, []byte, error)) {
		_, data, err := encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(which, data)
	}
	seed(0, func() (string, []byte, error) {
		c, _ := capture(remoteSum, []float64{1, math.NaN()})
		return c.Encode()
	})
	seed(0, func() (string, []byte, error) { c, _ := capture(remoteSum, nil); return c.Encode() })
	t := &tree{
		Name: "a", Times: map[string]time.Time{"x": time.Unix(1, 2)}, Next: &tree{}, Kids: []*tree{nil, {Raw: []byte{1}}},
		Any: &struct{ F float32 }{1},
	}
	seed(1, func() (string, []byte, error) { c, _ := capture(remoteTree, t); return c.Encode() })
	seed(1, func() (string, []byte, error) { c, _ := capture(remoteTree, nil); return c.Encode() })
	seed(2, func() (string, []byte, error) { c, _ := capture(remoteDouble, 5); return c.Encode() })
	seed(3, func() (string, []byte, error) { c, _ := capture(remoteEcho, []byte("abc")); return c.Encode() })
	for which, chunk := range []func(captor){
		func(c captor) {
			readOn(executor.Map(context.Background(), c, remoteSum, slices.Values([][]float64{{1}, nil, {2, 3}}), executor.ChunkSize(3)))
		},
		func(c captor) {
			readOn(executor.Map(context.Background(), c, remoteTree, slices.Values([]*tree{t, nil}), executor.ChunkSize(2)))
		},
		func(c captor) {
			readOn(executor.Map(context.Background(), c, remoteDouble, slices.Values([]int32{1, 2, 3}), executor.ChunkSize(3)))
		},
	} {
		c := make(captor, 1)
		over := make(chan struct{})
		go func() { chunk(c); close(over) }()
		call := <-c
		seed(uint8(which), call.Encode)
		call.Reject(errRemote)
		<-over
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		to := fuzzed[int(which)%len(fuzzed)]
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		out, err := executor.Invoke(context.Background(), "github.com/gofutures/futures/executor_test."+to.name, data)
		if err == nil && len(out) == 0 {
			t.Errorf("Invoke of %s with %q = nothing, nil; want a result or an error", to.name, data)
		}
		if !to.complete(out, err) {
			t.Errorf("Complete with what Invoke of %s with %q returned, %q, %v, has not ended the call", to.name, data, out, err)
		}
		if !to.complete(data, nil) {
			t.Errorf("Complete with %q has not ended a call of %s", data, to.name)
		}
		runtime.ReadMemStats(&after)
		if took, most := after.TotalAlloc-before.TotalAlloc, uint64(8<<20+2000*len(data)); took > most {
			t.Errorf("Invoke of %s with %d bytes, and Complete, took %d bytes of memory; want at most %d", to.name, len(data), took, most)
		}
	})
}

// readOn reads an iterator to its end.
func readOn[K, V any](seq func(yield func(K, V) bool)) {
	for range seq {
	}
}
