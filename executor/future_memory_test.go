package executor_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/gofutures/futures/executor"
)

// big has a memory block of its own.
type big struct {
	_   [4096]byte
	err error // so that it is an object with pointers, too
}

func (b *big) Error() string { return "big" }

// checkCollected checks that nothing holds an object.
func checkCollected[T any](t *testing.T, w weak.Pointer[T], format string, args ...any) {
	t.Helper()
	for range 20 { // a goroutine that has just let go may need a moment on the processor
		if w.Value() == nil {
			return
		}
		runtime.GC()
		runtime.Gosched()
	}
	t.Errorf("still held: %s", fmt.Sprintf(format, args...))
}

// traces are weak pointers to what a call was made of.
type traces struct {
	arg, out weak.Pointer[big]
	captured weak.Pointer[big]
	future   weak.Pointer[executor.Future[*big]]
}

func (tr traces) check(t *testing.T, what string) {
	t.Helper()
	checkCollected(t, tr.arg, "the argument of a call that %s", what)
	checkCollected(t, tr.captured, "what the function of a call that %s has captured", what)
}

func (tr traces) checkAll(t *testing.T, what string) {
	t.Helper()
	tr.check(t, what)
	checkCollected(t, tr.out, "the result of a call that %s", what)
	checkCollected(t, tr.future, "the future of a call that %s", what)
}

// bigFunc is the Func of a call whose references are followed.
type bigFunc = func(ctx context.Context, in, captured *big) (*big, error)

var bigFuncs = map[string]bigFunc{
	"returns": func(context.Context, *big, *big) (*big, error) { return new(big), nil },
	"fails":   func(_ context.Context, in, _ *big) (*big, error) { return nil, &big{err: in} },
	"panics":  func(_ context.Context, in, _ *big) (*big, error) { panic(in) },
	"exits": func(_ context.Context, in, captured *big) (*big, error) {
		defer runtime.KeepAlive(in)
		runtime.Goexit()
		return captured, nil
	},
	"asks Done": func(ctx context.Context, _, _ *big) (*big, error) { ctx.Done(); return new(big), nil },
	"derives ctx": func(ctx context.Context, in, _ *big) (*big, error) {
		_, stop := context.WithCancel(context.WithValue(ctx, bigKey{}, in))
		stop()
		return new(big), nil
	},
}

type bigKey struct{}

// follow submits a call that is followed.
//
//go:noinline
func follow(ctx context.Context, ex executor.Executor, fn bigFunc) (*executor.Future[*big], traces) {
	in, captured := new(big), new(big)
	f := executor.Submit(ctx, ex, func(ctx context.Context, in *big) (*big, error) { return fn(ctx, in, captured) }, in)
	return f, traces{arg: weak.Make(in), captured: weak.Make(captured), future: weak.Make(f)}
}

// followToTheEnd submits a call, uses its future in all ways, and drops it.
//
//go:noinline
func followToTheEnd(ctx context.Context, ex executor.Executor, fn bigFunc) traces {
	f, tr := follow(ctx, ex, fn)
	f.OnDone(func(*executor.Future[*big]) {})
	f.Result(ctx)
	executor.Wait(ctx, executor.AllCompleted, f)
	for range executor.AsCompleted(ctx, f) {
	}
	out, _ := f.Result(ctx)
	if out != nil {
		tr.out = weak.Make(out)
	}
	return tr
}

// The executor lives on, its workers are idle, and the ctx lives on too.
func TestNothingOfADroppedFutureIsHeld(t *testing.T) {
	for _, cancellable := range []bool{false, true} {
		t.Run(fmt.Sprintf("cancellable ctx %v", cancellable), func(t *testing.T) {
			eachBubble(t, func(t *testing.T, ex opened) {
				ctx := context.Background()
				if cancellable {
					ctx = t.Context()
				}
				for name, fn := range bigFuncs {
					if name == "exits" && endsWaiters(ex) {
						continue
					}
					tr := followToTheEnd(ctx, ex, fn)
					synctest.Wait()
					tr.checkAll(t, name)
				}
				runtime.KeepAlive(ctx)
				runtime.KeepAlive(ex)
			})
		})
	}
}

// Whoever holds a future holds its result and not what led to it.
func TestADoneFutureDoesNotHoldItsArgument(t *testing.T) {
	eachBubble(t, func(t *testing.T, ex opened) {
		for _, name := range []string{"returns", "exits", "asks Done"} {
			f, tr := follow(t.Context(), ex, bigFuncs[name])
			f.Result(t.Context())
			synctest.Wait()
			tr.check(t, name)
			runtime.KeepAlive(f)
		}
		refused := executors()
		for kind, ex := range refused {
			ex.Close()
			f, tr := follow(t.Context(), ex, bigFuncs["returns"])
			tr.check(t, "was refused by "+kind)
			runtime.KeepAlive(f)
		}
	})
}

// A call that is cancelled in the queue gives its argument back at once, though
// every worker is busy and somebody holds the future.
func TestACancelledCallDoesNotHoldItsArgument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		g := newGate()
		defer g.open()
		executor.Submit(t.Context(), ex, g.pass, 1)
		ctx, cancel := context.WithCancel(t.Context())

		f, tr := follow(t.Context(), ex, bigFuncs["returns"])
		f.Cancel()
		tr.check(t, "was cancelled")
		expired, tr := follow(ctx, ex, bigFuncs["returns"])
		cancel()
		synctest.Wait()
		tr.check(t, "was cancelled by its ctx")
		late, tr := follow(ctx, ex, bigFuncs["returns"])
		tr.check(t, "came after the end of its ctx")
		runtime.KeepAlive([]any{f, expired, late})
	})
}

// What a callback has captured goes when the callback has run, though somebody
// holds the future.
func TestADoneFutureDoesNotHoldItsCallbacks(t *testing.T) {
	for name, e := range endings {
		synctest.Test(t, func(t *testing.T) {
			p := executor.NewPromise[int]()
			w := addBigCallback(p.Future())
			e.end(p)
			synctest.Wait()
			checkCollected(t, w, "what a callback has captured, %s", name)
			checkCollected(t, addBigCallback(p.Future()), "what a callback that came after the end has captured, %s", name)
			runtime.KeepAlive(p)
		})
	}
}

//go:noinline
func addBigCallback(f *executor.Future[int]) weak.Pointer[big] {
	captured := new(big)
	f.OnDone(func(*executor.Future[int]) { captured.err = errBoom })
	return weak.Make(captured)
}

// countingCtx lives on, and counts what is registered on it and was not taken
// back.
type countingCtx struct {
	context.Context
	done chan struct{}

	mu         sync.Mutex
	live, peak int
	held       map[*func()]bool // as each ctx holds what it is to call
}

func newCountingCtx() *countingCtx {
	return &countingCtx{Context: context.Background(), done: make(chan struct{}), held: map[*func()]bool{}}
}

func (c *countingCtx) Done() <-chan struct{} { return c.done }

// AfterFunc is what package context calls for a ctx that is not its own.
func (c *countingCtx) AfterFunc(fn func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held[&fn] = true
	c.live++
	c.peak = max(c.peak, c.live)
	return sync.OnceValue(func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.held, &fn)
		c.live--
		return true
	})
}

// A ctx of a call that has asked for Done is left when it is collected.
func TestAnEndedCallLeavesNothingOnItsCtx(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		for name, fn := range bigFuncs {
			if name == "exits" && endsWaiters(ex) {
				continue
			}
			ctx := newCountingCtx()
			for range 100 {
				followToTheEnd(ctx, ex, fn)
			}
			untilGone(t, "what is registered on ctx by calls, each "+name, func() bool {
				ctx.mu.Lock()
				defer ctx.mu.Unlock()
				return ctx.live == 0
			})
		}
	})
}

// There is one watch for each ctx, not one for each call.
func TestManyQueuedCallsRegisterOnceOnTheirCtx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		g := newGate()
		executor.Submit(t.Context(), ex, g.pass, 0)
		ctx := newCountingCtx()
		var fs []*executor.Future[int]
		for i := range 1000 {
			fs = append(fs, executor.Submit(ctx, ex, double, i))
		}
		for _, f := range fs[:500] {
			f.Cancel()
		}
		if ctx.live != 1 || ctx.peak != 1 {
			t.Errorf("1000 queued calls, half of them cancelled: %d registrations, at most %d at once; want 1", ctx.live, ctx.peak)
		}
		g.open()
		executor.Wait(t.Context(), executor.AllCompleted, fs...)
		time.Sleep(time.Second) // the watch is kept for a moment
		synctest.Wait()
		if ctx.live != 0 {
			t.Errorf("after the calls: %d registrations; want 0", ctx.live)
		}
	})
}

// The ctx is one of package context, which keeps a list of what hangs on it.
func TestManyCallsOnOneCtxLeaveTheHeapFlat(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		checkHeapFlat(t, 3000, func() {
			executor.Submit(ctx, ex, func(ctx context.Context, n int) (int, error) {
				ctx, stop := context.WithCancel(ctx)
				defer stop()
				return n, ctx.Err()
			}, 1).Result(ctx)
			executor.Submit(ctx, ex, fail, 1).Result(ctx)
		})
	})
}

// checkHeapFlat checks that doing something n times leaves less on the heap
// than one small object for each. What is kept on purpose, and what the runtime keeps of
// goroutines that have ended, grows at first: so one round of several has to pass.
func checkHeapFlat(t *testing.T, n int, do func()) {
	t.Helper()
	untilGone(t, "a heap that grows in each round", func() bool {
		before := heap()
		for range n {
			do()
		}
		return heap()-before <= int64(n)*32
	})
}

func heap() int64 {
	for range 3 { // finalizers, and sync.Pool, take two
		runtime.GC()
	}
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
