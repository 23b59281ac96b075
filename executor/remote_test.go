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
	r, err := c.Encode()
	if err != nil {
		t.Fatalf("Encode: %v", err)
	}
	r.Data = slices.Clone(r.Data)
	reply, err := executor.Invoke(ctx, r)
	c.Complete(reply, err)
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

// Encode, Invoke and Complete carry a result, an error, a panic and the end of
// a goroutine.
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
	sum, _ := capture(remoteSum, []float64{1})
	upper, _ := capture(remoteUpper, "a")
	for name, c := range map[string]*executor.Call{
		"github.com/gofutures/futures/executor_test.remoteSum": sum,
		"futures.test/upper": upper,
	} {
		if r, err := c.Encode(); r.Func != name || len(r.Data) == 0 || err != nil {
			t.Errorf("Encode = %q, %d bytes, %v; want the name %q", r.Func, len(r.Data), err, name)
		}
	}
}

// The first reply counts: what comes later, or after Cancel, changes nothing, and
// a reply to a call that was not started starts it.
func TestCompleteEndsACallOnce(t *testing.T) {
	encoded := func(c *executor.Call) executor.Reply {
		r, _ := c.Encode()
		out, err := executor.Invoke(t.Context(), r)
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
		c.Complete(executor.Reply{}, errRemote)
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
		c.Complete(executor.Reply{}, errRemote)
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
	for name, reply := range map[string]executor.Reply{
		"nothing":            {},
		"no kind, but data":  {Data: []byte{1, 2, 3}},
		"unknown kind":       {Kind: 0x7f, Data: []byte{1}},
		"too short a number": {Kind: 1, Data: []byte{1, 2}},
		"too long a number":  {Kind: 1, Data: []byte{1, 2, 3, 4, 5}},
		"nil number":         {Kind: 1, IsNil: true},
		"half a failure":     {Kind: 2, Data: []byte{0xa5, 0x61}},
		"nil failure":        {Kind: 2, IsNil: true},
		"numbers of a chunk": {Kind: 3, Data: []byte{1, 2, 3, 4}},
		"outcomes":           {Kind: 4, Data: []byte{1, 5, 1, 2, 3, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			c, f := capture(remoteDouble, 4)
			c.Complete(reply, nil)
			if n, err := endOf(t, f); err == nil || n != 0 {
				t.Errorf("Result after Complete(%v, nil) = %d, %v; want an error", reply, n, err)
			}
		})
	}
}

func TestInvokeSaysWhyItDoesNotMakeACall(t *testing.T) {
	c, _ := capture(remoteDouble, 4)
	r, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := executor.Invoke(nilCtx, r); err == nil || !strings.Contains(err.Error(), "nil ctx") {
		t.Errorf("Invoke with a nil ctx = %v, %v; want an error that says so", out, err)
	}
	for _, items := range []int{-1, math.MinInt, 5, math.MaxInt} {
		many := r
		many.Items = items
		if out, err := executor.Invoke(t.Context(), many); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%d items in 4 bytes", items)) {
			t.Errorf("Invoke of %d items in 4 bytes = %v, %v; want an error that says so", items, out, err)
		}
	}
	r.Func = "no.such"
	if out, err := executor.Invoke(t.Context(), r); !errors.Is(err, executor.ErrNotRegistered) || !strings.Contains(err.Error(), `"no.such"`) || out.Data != nil {
		t.Errorf("Invoke of a name that is not registered = %v, %v; want ErrNotRegistered and the name", out, err)
	}
}

// An argument for another type is an error that names function and type.
func TestInvokeWithAnArgumentOfAnotherType(t *testing.T) {
	const name = "github.com/gofutures/futures/executor_test.remoteDouble"
	text, _ := capture(remoteUpper, "seven b")
	r, err := text.Encode()
	if err != nil {
		t.Fatal(err)
	}
	r.Func = name
	out, err := executor.Invoke(t.Context(), r)
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

// Chunks cross with the outcome of each item.
func TestMapsCrossByEncodeAndInvoke(t *testing.T) {
	ex := elsewhere{}
	in := make([]int32, 1000)
	want := make([]int32, len(in))
	for i := range in {
		in[i], want[i] = int32(i), int32(2*i)
	}
	if got, err := executor.MapSlice(t.Context(), ex, remoteDouble, in); !slices.Equal(got, want) || err != nil {
		t.Errorf("MapSlice = %d results, %v; want %d, doubled", len(got), err, len(want))
	}
	got, err := executor.Collect(executor.Map(t.Context(), ex, remoteDouble, slices.Values(in), executor.ChunkSize(7)))
	if !slices.Equal(got, want) || err != nil {
		t.Errorf("Map with ChunkSize(7) = %d results, %v; want %d, doubled", len(got), err, len(want))
	}
	hows := []string{"a", "fail", "panic", "b", "goexit", "c"}
	var outcomes []string
	for s, err := range executor.Map(t.Context(), ex, remoteAct, slices.Values(hows), executor.ChunkSize(6)) {
		outcomes = append(outcomes, fmt.Sprintf("%s/%T", s, err))
	}
	wanted := []string{"did a/<nil>", "/*executor.RemoteError", "/*executor.PanicError", "did b/<nil>", "/*errors.errorString", "did c/<nil>"}
	if !slices.Equal(outcomes, wanted) {
		t.Errorf("Map over %v in one chunk = %v; want %v", hows, outcomes, wanted)
	}
	_, err = executor.MapSlice(t.Context(), ex, remoteAct, hows, executor.ChunkSize(6))
	if !errors.Is(err, errRemote) || errors.Is(err, executor.ErrGoexit) {
		t.Errorf("MapSlice over %v in one chunk: %v; want the error of index 1", hows, err)
	}
}

// fuzzed are functions that the fuzz target calls, and how what comes back is
// taken.
var fuzzed = []struct {
	name     string
	complete func(reply executor.Reply, err error) (ended bool)
}{
	{"remoteSum", func(r executor.Reply, err error) bool { return completes(remoteSum, nil, r, err) }},
	{"remoteTree", func(r executor.Reply, err error) bool { return completes(remoteTree, nil, r, err) }},
	{"remoteDouble", func(r executor.Reply, err error) bool { return completes(remoteDouble, 0, r, err) }},
	{"remoteEcho", func(r executor.Reply, err error) bool { return completes(remoteEcho, nil, r, err) }},
}

func init() { executor.Register(remoteEcho) }

func remoteEcho(_ context.Context, b []byte) ([]byte, error) { return b, nil }

func completes[In, Out any](fn executor.Func[In, Out], in In, r executor.Reply, err error) bool {
	c, f := capture(fn, in)
	c.Complete(r, err)
	return f.State() == executor.Finished
}

// FuzzInvoke: whatever comes from elsewhere, as an argument or as a result,
// ends in a result or in an error, and takes memory in proportion.
func FuzzInvoke(f *testing.F) {
	seed := func(which uint8, c *executor.Call) {
		r, err := c.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(which, r.Data, r.IsNil, r.Items, r.StopsAtError)
	}
	sum, _ := capture(remoteSum, []float64{1, math.NaN()})
	seed(0, sum)
	sum, _ = capture(remoteSum, nil)
	seed(0, sum)
	t := &tree{
		Name: "a", Times: map[string]time.Time{"x": time.Unix(1, 2)}, Next: &tree{}, Kids: []*tree{nil, {Raw: []byte{1}}},
		Any: &struct{ F float32 }{1},
	}
	one, _ := capture(remoteTree, t)
	seed(1, one)
	one, _ = capture(remoteTree, nil)
	seed(1, one)
	number, _ := capture(remoteDouble, 5)
	seed(2, number)
	text, _ := capture(remoteEcho, []byte("abc"))
	seed(3, text)
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
		seed(uint8(which), call)
		call.Reject(errRemote)
		<-over
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte, isNil bool, items int, stops bool) {
		to := fuzzed[int(which)%len(fuzzed)]
		r := executor.Request{Func: "github.com/gofutures/futures/executor_test." + to.name, Data: data, IsNil: isNil, Items: items, StopsAtError: stops}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		reply, err := executor.Invoke(context.Background(), r)
		if err == nil && reply.Kind == 0 {
			t.Errorf("Invoke of %+v = nothing, nil; want a result or an error", r)
		}
		if !to.complete(reply, err) {
			t.Errorf("Complete with what Invoke of %+v returned, %+v, %v, has not ended the call", r, reply, err)
		}
		if nonsense := (executor.Reply{Kind: uint8(items), IsNil: isNil, Data: data}); !to.complete(nonsense, nil) {
			t.Errorf("Complete with %+v has not ended a call of %s", nonsense, to.name)
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
