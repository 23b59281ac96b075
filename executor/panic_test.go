package executor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor"
)

// calamity panics; its name is looked for in stacks.
func calamity(_ context.Context, v any) (int, error) { panic(v) }

// waysToCall are all ways in which a function with this argument can be called
// on an executor. Each returns the error of the call.
func waysToCall[In any](fn executor.Func[In, int], in In) map[string]func(context.Context, executor.Executor) error {
	return map[string]func(context.Context, executor.Executor) error{
		"Submit": func(ctx context.Context, ex executor.Executor) error {
			_, err := executor.Submit(ctx, ex, fn, in).Result(ctx)
			return err
		},
		"Go": func(ctx context.Context, ex executor.Executor) error {
			_, err := executor.Go(ctx, ex, func(ctx context.Context) (int, error) { return fn(ctx, in) }).Result(ctx)
			return err
		},
		"Map": func(ctx context.Context, ex executor.Executor) error {
			_, err := executor.Collect(executor.Map(ctx, ex, fn, slices.Values([]In{in})))
			return err
		},
		"Map in chunks": func(ctx context.Context, ex executor.Executor) error {
			_, err := executor.Collect(executor.Map(ctx, ex, fn, slices.Values([]In{in}), executor.ChunkSize(3)))
			return err
		},
		"MapSlice": func(ctx context.Context, ex executor.Executor) error {
			_, err := executor.MapSlice(ctx, ex, fn, []In{in})
			return err
		},
	}
}

func TestAPanicIsTheErrorOfTheCall(t *testing.T) {
	cause := &fs.PathError{Op: "read", Path: "/x", Err: io.ErrUnexpectedEOF}
	eachBubble(t, func(t *testing.T, ex opened) {
		for way, call := range waysToCall(calamity, any(cause)) {
			err := call(t.Context(), ex)
			p, ok := errors.AsType[*executor.PanicError](err)
			if !ok {
				t.Errorf("%s: error %v (%[2]T); want a *PanicError", way, err)
				continue
			}
			if p.Value != any(cause) {
				t.Errorf("%s: Value = %v; want the very value of the panic", way, p.Value)
			}
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s: the error does not match the cause of the panic", way)
			}
			if got, ok := errors.AsType[*fs.PathError](err); !ok || got != cause {
				t.Errorf("%s: errors.As finds %v; want the panic's error", way, got)
			}
			if !strings.Contains(string(p.Stack), "executor_test.calamity") {
				t.Errorf("%s: the stack has no frame of the function that panicked:\n%s", way, p.Stack)
			}
			if text := err.Error(); !strings.Contains(text, cause.Error()) || !strings.Contains(text, "executor_test.calamity") {
				t.Errorf("%s: Error() = %q; want the value and the stack in it", way, text)
			}
		}
		if _, err := executor.Submit(t.Context(), ex, double, 1).Result(t.Context()); err != nil {
			t.Errorf("the next call failed: %v", err)
		}
	})
}

// A value that is no error has nothing to unwrap.
func TestAPanicMayHaveAnyValue(t *testing.T) {
	type point struct{ x, y int }
	var none []int
	var nilMap map[string]int
	runtimeError := func(p *executor.PanicError) bool {
		_, ok := errors.AsType[runtime.Error](error(p))
		return ok && p.Unwrap() != nil
	}
	is := func(v any) func(*executor.PanicError) bool {
		return func(p *executor.PanicError) bool { return p.Value == v && p.Unwrap() == nil }
	}
	tests := []struct {
		name string
		do   func()
		ok   func(*executor.PanicError) bool
	}{
		{"a string", func() { panic("boom") }, is("boom")},
		{"a struct", func() { panic(point{1, 2}) }, is(point{1, 2})},
		{"zero", func() { panic(0) }, is(0)},
		{"index out of range", func() { _ = none[len(none)+3] }, runtimeError},
		{"nil map", func() { nilMap["x"] = 1 }, runtimeError},
		{"nil pointer", func() { var p *point; p.x = 1 }, runtimeError},
		{"nil", func() { panic(nil) }, func(p *executor.PanicError) bool {
			_, ok := p.Value.(*runtime.PanicNilError)
			return ok && runtimeError(p)
		}},
	}
	eachBubble(t, func(t *testing.T, ex opened) {
		for _, tt := range tests {
			fn := func(_ context.Context, _ int) (int, error) { tt.do(); return 0, nil }
			for way, call := range waysToCall(fn, 0) {
				err := call(t.Context(), ex)
				if p, ok := errors.AsType[*executor.PanicError](err); !ok || !tt.ok(p) {
					t.Errorf("%s: panic with %s: error %#v", way, tt.name, err)
				}
			}
		}
	})
}

// t.FailNow and its like end the goroutine: a naive executor hangs.
func TestGoexitIsTheErrorOfTheCall(t *testing.T) {
	failNow := func(context.Context, int) (int, error) {
		new(testing.T).FailNow()
		return 1, nil
	}
	eachBubble(t, func(t *testing.T, ex opened) {
		needsWorkers(t, ex)
		for name, fn := range map[string]executor.Func[int, int]{"runtime.Goexit": goexit, "t.FailNow": failNow} {
			for way, call := range waysToCall(fn, 0) {
				if err := call(t.Context(), ex); err != executor.ErrGoexit {
					t.Errorf("%s: %s: error %v; want ErrGoexit", way, name, err)
				}
			}
		}
		if s := ex.Stats(); s.Succeeded != 0 && s.Failed == 0 {
			t.Errorf("Stats() = %+v; a call that ended its goroutine is no success", s)
		}
	})
}

func TestPanicsAndGoexitsCostNoWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 4}
		defer ex.Close()
		fs := make([]*executor.Future[int], 1000)
		for i := range fs {
			if i%3 == 0 {
				fs[i] = executor.Submit(t.Context(), ex, goexit, i)
			} else {
				fs[i] = executor.Submit(t.Context(), ex, calamity, any(i))
			}
		}
		for i, f := range fs {
			_, err := f.Result(t.Context())
			p, _ := errors.AsType[*executor.PanicError](err)
			if i%3 == 0 && err != executor.ErrGoexit || i%3 != 0 && (p == nil || p.Value != any(i)) {
				t.Fatalf("call %d: %v", i, err)
			}
		}
		wantWidth(t, ex, 4)
		if s := ex.Stats(); s.Workers != 4 || s.Failed != 1000 {
			t.Errorf("Stats() = %+v; want 4 workers, 1000 failed", s)
		}
	})
}

// The deferred functions of a call may panic and recover as well.
func TestNestedPanicsAreOneError(t *testing.T) {
	tests := []struct {
		name string
		fn   executor.Func[int, int]
		want any // value of the panic; nil: ErrGoexit
	}{
		{"panic in a deferred function", func(context.Context, int) (int, error) {
			defer func() { panic("deferred") }()
			return 1, nil
		}, "deferred"},
		{"panic during a panic", func(context.Context, int) (int, error) {
			defer func() { panic("second") }()
			panic("first")
		}, "second"},
		{"panic again with what was recovered", func(context.Context, int) (int, error) {
			defer func() { panic(recover()) }()
			panic("first")
		}, "first"},
		{"Goexit during a panic", func(context.Context, int) (int, error) {
			defer func() { runtime.Goexit() }()
			panic("lost")
		}, nil},
		{"panic during a Goexit", func(context.Context, int) (int, error) {
			defer func() { panic("last") }()
			runtime.Goexit()
			return 0, nil
		}, "last"},
		{"recover does not stop a Goexit", func(context.Context, int) (int, error) {
			defer func() { recover() }()
			runtime.Goexit()
			return 0, nil
		}, nil},
	}
	eachBubble(t, func(t *testing.T, ex opened) {
		needsWorkers(t, ex)
		for _, tt := range tests {
			for way, call := range waysToCall(tt.fn, 0) {
				err := call(t.Context(), ex)
				p, _ := errors.AsType[*executor.PanicError](err)
				if tt.want == nil && err != executor.ErrGoexit || tt.want != nil && (p == nil || p.Value != tt.want) {
					t.Errorf("%s: %s: error %v; want %v", way, tt.name, err, tt.want)
				}
			}
		}
		if n, err := executor.Submit(t.Context(), ex, double, 4).Result(t.Context()); n != 8 || err != nil {
			t.Errorf("the next call = %d, %v; want 8", n, err)
		}
	})
}

func TestARecoveredPanicIsNoError(t *testing.T) {
	careful := func(_ context.Context, n int) (result int, err error) {
		defer func() {
			if v := recover(); v != nil {
				result = n + 1
			}
		}()
		panic("inside")
	}
	eachBubble(t, func(t *testing.T, ex opened) {
		if n, err := executor.Submit(t.Context(), ex, careful, 41).Result(t.Context()); n != 42 || err != nil {
			t.Errorf("Result = %d, %v; want 42", n, err)
		}
		for way, call := range waysToCall(careful, 41) {
			if err := call(t.Context(), ex); err != nil {
				t.Errorf("%s: %v; want no error", way, err)
			}
		}
	})
}

// A goroutine that ends while it is locked takes its thread along; one that
// goes on keeps it. Either way there are not as many threads as calls.
func TestACallThatLocksItsThreadDisturbsNoOther(t *testing.T) {
	lock := func(_ context.Context, n int) (int, error) {
		runtime.LockOSThread()
		if n%4 == 0 {
			runtime.Goexit()
		}
		return n, nil
	}
	each(t, func(t *testing.T, ex opened) {
		threads := pprof.Lookup("threadcreate")
		before := threads.Count()
		const calls = 1000
		for i := range calls {
			n, err := executor.Submit(t.Context(), ex, lock, i).Result(t.Context())
			if i%4 == 0 && err != executor.ErrGoexit || i%4 != 0 && (n != i || err != nil) {
				t.Fatalf("call %d = %d, %v", i, n, err)
			}
		}
		if n, err := executor.Submit(t.Context(), ex, double, 2).Result(t.Context()); n != 4 || err != nil {
			t.Errorf("a call that locks nothing = %d, %v; want 4", n, err)
		}
		if more := threads.Count() - before; more > calls/5 {
			t.Errorf("%d threads more after %d calls that locked theirs", more, calls)
		}
	})
}

// Each way in which a call can end meets each in which its callback can.
func TestHoweverCallsAndCallbacksEndTheExecutorIsWhole(t *testing.T) {
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.DiscardHandler)) // the panics of callbacks

	type ending struct {
		name string
		end  func() error
	}
	endings := []ending{
		{"returns", func() error { return nil }},
		{"fails", func() error { return errBoom }},
		{"panics with an error", func() error { panic(errBoom) }},
		{"panics with nil", func() error { panic(nil) }},
		{"ends its goroutine", func() error { runtime.Goexit(); return nil }},
	}
	const each = 8
	open := map[string]func() opened{
		"ThreadPoolExecutor": func() opened { return &executor.ThreadPoolExecutor{MaxWorkers: 10} },
		"ThreadPerTask":      func() opened { return new(executor.ThreadPerTask) },
		"Sequential":         func() opened { return new(executor.Sequential) },
	}
	for name, open := range open {
		for _, call := range endings {
			for _, callback := range endings {
				t.Run(fmt.Sprintf("%s/call %s/callback %s", name, call.name, callback.name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						ex := open()
						called := make(chan int, 2*each)
						for i := range each {
							f := executor.Go(t.Context(), ex, func(context.Context) (int, error) {
								time.Sleep(time.Second)
								return i, call.end()
							})
							end := func(*executor.Future[int]) { called <- i; callback.end() }
							if !isDone(f) || callback.name != "ends its goroutine" {
								f.OnDone(end)
								continue
							}
							// On a future that is done, the callback runs here.
							there := make(chan struct{})
							go func() { defer close(there); f.OnDone(end) }()
							<-there
						}
						time.Sleep(time.Minute / 2)
						if pool, ok := ex.(*executor.ThreadPoolExecutor); ok {
							if got := pool.Stats().Workers; got != each {
								t.Errorf("Stats().Workers = %d after %d calls at once; want %[2]d", got, each)
							}
							wantWidth(t, pool, 10)
						}
						done := ex.Stats()
						for range 2 {
							if err := ex.Close(); err != nil {
								t.Errorf("Close = %v; want nil", err)
							}
						}
						s := ex.Stats()
						want := executor.Stats{Submitted: done.Submitted, Succeeded: done.Submitted - each, Failed: each}
						if call.name == "returns" {
							want.Succeeded, want.Failed = done.Submitted, 0
						}
						if s != want {
							t.Errorf("Stats() = %+v; want %+v", s, want)
						}
						if len(called) != each {
							t.Errorf("%d callbacks were called for %d calls; want one each", len(called), each)
						}
					})
				})
			}
		}
	}
}
