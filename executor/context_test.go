package executor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor"
)

// watchedCtx is a ctx that knows who has registered on it. Package context
// asks such a ctx to call back, by its AfterFunc, instead of starting a
// goroutine.
type watchedCtx struct {
	done chan struct{}

	mu      sync.Mutex
	err     error
	waiting map[int]func()
	total   int // registrations ever
}

func newWatchedCtx() *watchedCtx {
	return &watchedCtx{done: make(chan struct{}), waiting: map[int]func(){}}
}

func (c *watchedCtx) Deadline() (time.Time, bool) { return time.Time{}, false }
func (c *watchedCtx) Done() <-chan struct{}       { return c.done }
func (c *watchedCtx) Value(any) any               { return nil }

func (c *watchedCtx) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *watchedCtx) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := c.total
	c.total++
	c.waiting[id] = f
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, waits := c.waiting[id]
		delete(c.waiting, id)
		return waits
	}
}

// registered is the number of those who are registered now.
func (c *watchedCtx) registered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting)
}

// ever is the number of registrations so far.
func (c *watchedCtx) ever() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

// endUnheard ends the ctx before anybody is called: as others see it while the
// scheduler is late.
func (c *watchedCtx) endUnheard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = context.Canceled
	close(c.done)
}

type ctxKey string

func TestSubmitWithAnEndedCtxIsCancelledAndRunsNothing(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		cancelled, cancel := context.WithCancelCause(t.Context())
		cancel(errBoom)
		late, cancelLate := context.WithDeadline(t.Context(), time.Unix(0, 0))
		defer cancelLate()
		for name, row := range map[string]struct {
			ctx  context.Context
			want []error
			not  error
		}{
			"cancelled": {cancelled, []error{executor.ErrCancelled, context.Canceled, errBoom}, context.DeadlineExceeded},
			"too late":  {late, []error{executor.ErrCancelled, context.DeadlineExceeded}, context.Canceled},
		} {
			ran := false
			f := executor.Go(row.ctx, ex, func(context.Context) (int, error) { ran = true; return 0, nil })
			_, err := f.Result(t.Context())
			if f.State() != executor.Cancelled || !isDone(f) || ran {
				t.Errorf("%s: %v, ran %v; want cancelled, false", name, f, ran)
			}
			for _, want := range row.want {
				if !errors.Is(err, want) {
					t.Errorf("%s: Result = %v; want it to match %v", name, err, want)
				}
			}
			if errors.Is(err, row.not) {
				t.Errorf("%s: Result = %v; want it not to match %v", name, err, row.not)
			}
		}
		if s := ex.Stats(); s != (executor.Stats{}) {
			t.Errorf("Stats = %+v; want zeros", s)
		}
	})
}

// A call that is queued when its ctx ends never starts, and is done at that
// moment though every worker is busy.
func TestQueuedCallWhoseCtxEndsIsCancelledAtOnce(t *testing.T) {
	for name, row := range map[string]struct {
		ctx func(context.Context) (context.Context, context.CancelFunc)
		err []error
		not error
	}{
		"cancelled with a cause": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(time.Second, func() { cancel(errBoom) })
			return ctx, func() { cancel(nil) }
		}, []error{executor.ErrCancelled, context.Canceled, errBoom}, executor.ErrPending},
		"deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, []error{executor.ErrCancelled, context.DeadlineExceeded}, context.Canceled},
		"deadline of a parent": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithTimeoutCause(ctx, time.Second, errBoom)
			child, cancelChild := context.WithTimeout(context.WithValue(ctx, ctxKey("k"), 1), time.Hour)
			return child, func() { cancelChild(); cancel() }
		}, []error{executor.ErrCancelled, context.DeadlineExceeded, errBoom}, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
				defer ex.Close()
				hold := newGate()
				executor.Submit(t.Context(), ex, hold.pass, 0)
				synctest.Wait()
				ctx, cancel := row.ctx(t.Context())
				defer cancel()
				ran := false
				begin := time.Now()
				f := executor.Go(ctx, ex, func(context.Context) (int, error) { ran = true; return 0, nil })
				_, err := f.Result(t.Context())
				if time.Since(begin) != time.Second || f.State() != executor.Cancelled {
					t.Errorf("%v after %v; want cancelled after 1s", f, time.Since(begin))
				}
				for _, want := range row.err {
					if !errors.Is(err, want) {
						t.Errorf("Result = %v; want it to match %v", err, want)
					}
				}
				if errors.Is(err, row.not) {
					t.Errorf("Result = %v; want it not to match %v", err, row.not)
				}
				hold.open()
				ex.Close()
				if ran {
					t.Error("the cancelled call ran")
				}
			})
		})
	}
}

// Here workers are free: the worker finds out by itself.
func TestACallWhoseCtxHasEndedDoesNotStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		ctx := newWatchedCtx()
		ran := 0
		first := executor.Go(ctx, ex, func(context.Context) (int, error) { ctx.endUnheard(); return 0, nil })
		second := executor.Go(ctx, ex, func(context.Context) (int, error) { ran++; return 0, nil })
		if _, err := first.Result(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := second.Result(t.Context()); !errors.Is(err, context.Canceled) || ran != 0 {
			t.Errorf("second = %v, ran %d times; want context.Canceled, 0", err, ran)
		}
	})
}

// The function is told when ctx ends or Cancel asks, with the cause, and the
// future has what it returns.
func TestARunningCallSeesItsCtxEnd(t *testing.T) {
	for name, row := range map[string]struct {
		end   func(cancel context.CancelCauseFunc, f *executor.Future[int])
		cause error
	}{
		"ctx":    {func(cancel context.CancelCauseFunc, _ *executor.Future[int]) { cancel(errBoom) }, errBoom},
		"Cancel": {func(_ context.CancelCauseFunc, f *executor.Future[int]) { f.Cancel() }, executor.ErrCancelled},
	} {
		for how, sees := range map[string]func(context.Context){
			"Done": func(ctx context.Context) { <-ctx.Done() },
			"Err": func(ctx context.Context) {
				for ctx.Err() == nil {
					time.Sleep(time.Millisecond)
				}
			},
			"a derived ctx": func(ctx context.Context) {
				ctx, cancel := context.WithTimeout(ctx, time.Hour)
				defer cancel()
				<-ctx.Done()
			},
			"AfterFunc": func(ctx context.Context) {
				called := make(chan struct{})
				context.AfterFunc(ctx, func() { close(called) })
				<-called
			},
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					for _, ex := range []opened{&executor.ThreadPoolExecutor{MaxWorkers: 1}, &executor.ThreadPerTask{}} {
						defer ex.Close()
						ctx, cancel := context.WithCancelCause(t.Context())
						defer cancel(nil)
						var err, cause error
						f := executor.Go(ctx, ex, func(ctx context.Context) (int, error) {
							sees(ctx)
							err, cause = ctx.Err(), context.Cause(ctx)
							time.Sleep(time.Second)
							return 7, errBoom
						})
						time.Sleep(time.Second)
						begin := time.Now()
						row.end(cancel, f)
						if f.State() != executor.Running {
							t.Errorf("%v; want running until the function returns", f)
						}
						v, got := f.Result(t.Context())
						if took := time.Since(begin); v != 7 || got != errBoom || took > 1001*time.Millisecond {
							t.Errorf("Result = %v, %v after %v; want what the function returned, 1s later", v, got, took)
						}
						if err != context.Canceled || cause != row.cause {
							t.Errorf("ctx.Err = %v, Cause = %v; want Canceled, %v", err, cause, row.cause)
						}
					}
				})
			})
		}
	}
}

func TestACallThatIgnoresItsCtxRunsOnAndItsWaitersDoNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, ex := range []opened{&executor.ThreadPoolExecutor{MaxWorkers: 1}, &executor.ThreadPerTask{}} {
			defer ex.Close()
			hold := newGate()
			ctx, cancel := context.WithCancel(t.Context())
			f := executor.Submit(ctx, ex, hold.pass, 7)
			synctest.Wait()
			cancel()
			synctest.Wait()
			if _, err := f.Result(ctx); !errors.Is(err, executor.ErrPending) || !errors.Is(err, context.Canceled) {
				t.Errorf("Result = %v; want ErrPending and context.Canceled", err)
			}
			if _, pending, err := executor.Wait(ctx, executor.AllCompleted, f); len(pending) != 1 || !errors.Is(err, executor.ErrPending) {
				t.Errorf("Wait = %d pending, %v; want 1, ErrPending", len(pending), err)
			}
			if f.State() != executor.Running || isDone(f) {
				t.Errorf("%v; want running", f)
			}
			hold.open()
			if v, err := f.Result(t.Context()); v != 7 || err != nil {
				t.Errorf("Result = %v, %v; want 7", v, err)
			}
		}
	})
}

func TestACallSeesTheValuesAndTheDeadlineOfItsCtx(t *testing.T) {
	eachBubble(t, func(t *testing.T, ex opened) {
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), ctxKey("k"), "v"), time.Hour)
		defer cancel()
		want, _ := ctx.Deadline()
		look := func(ctx context.Context) {
			t.Helper()
			deadline, ok := ctx.Deadline()
			if ctx.Value(ctxKey("k")) != "v" || ctx.Value(ctxKey("none")) != nil || !ok || !deadline.Equal(want) {
				t.Errorf("values %v, %v, deadline %v, %v; want v, <nil>, %v", ctx.Value(ctxKey("k")), ctx.Value(ctxKey("none")), deadline, ok, want)
			}
		}
		_, err := executor.Go(ctx, ex, func(ctx context.Context) (int, error) {
			look(ctx)
			ctx.Done() // from here on it is another ctx inside
			look(ctx)
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			look(child)
			return 0, nil
		}).Result(t.Context())
		if err != nil {
			t.Error(err)
		}
	})
}

// Nothing is registered on ctx for a call that does not look at Done, one thing for a
// call that does, and that goes with the ctx of the call.
func TestTheCtxOfACallIsBuiltWhenDoneIsAskedFor(t *testing.T) {
	for name, ex := range map[string]opened{"ThreadPerTask": &executor.ThreadPerTask{}, "Sequential": &executor.Sequential{}} {
		t.Run(name, func(t *testing.T) {
			defer ex.Close()
			ctx := newWatchedCtx()
			f := executor.Go(ctx, ex, func(own context.Context) (int, error) {
				if own.Err() != nil || own.Value(ctxKey("k")) != nil || ctx.ever() != 0 {
					t.Errorf("%d registrations before Done; want 0", ctx.ever())
				}
				own.Done()
				own.Done()
				child, cancel := context.WithCancel(own)
				defer cancel()
				child.Done()
				if ctx.ever() != 1 {
					t.Errorf("%d registrations after Done; want 1", ctx.ever())
				}
				return 0, nil
			})
			f.Result(t.Context())
			untilGone(t, "the registration of a call", func() bool { return ctx.registered() == 0 })
			runtime.KeepAlive(f)
		})
	}
}

// There is one registration for all calls of a ctx, and none when they have
// gone, by whichever way.
func TestQueuedCallsOfOneCtxShareOneRegistration(t *testing.T) {
	for name, leave := range map[string]func(ex opened, hold gate, fs []*executor.Future[int]){
		"run":      func(_ opened, hold gate, _ []*executor.Future[int]) { hold.open() },
		"Close":    func(ex opened, hold gate, _ []*executor.Future[int]) { hold.open(); ex.Close() },
		"Shutdown": func(ex opened, hold gate, _ []*executor.Future[int]) { ex.Shutdown(ended()); hold.open() },
		"Cancel": func(_ opened, hold gate, fs []*executor.Future[int]) {
			for _, f := range fs {
				f.Cancel()
			}
			hold.open()
		},
		"Cancel while the worker is busy": func(_ opened, hold gate, fs []*executor.Future[int]) {
			for _, f := range fs {
				f.Cancel()
			}
			time.AfterFunc(time.Hour, hold.open)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
				defer ex.Close()
				hold := newGate()
				executor.Submit(context.Background(), ex, hold.pass, 0)
				synctest.Wait()
				ctx := newWatchedCtx()
				valued := context.WithValue(ctx, ctxKey("k"), 1) // has the same Done
				var fs []*executor.Future[int]
				for i := range 1000 {
					fs = append(fs, executor.Submit(ctx, ex, double, i), executor.Submit(valued, ex, double, i))
				}
				if ctx.ever() != 1 || ctx.registered() != 1 {
					t.Errorf("%d registrations, %d now; want 1, 1", ctx.ever(), ctx.registered())
				}
				leave(ex, hold, fs)
				time.Sleep(time.Second)
				if n := ctx.registered(); n != 0 {
					t.Errorf("%d registrations afterwards; want 0", n)
				}
			})
		})
	}
}

// Calls with several ctxs, in turns, leave each ctx when its last call has
// started.
func TestEachCtxIsLeftWhenItsLastCallIsNotQueuedAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		hold := newGate()
		executor.Submit(context.Background(), ex, hold.pass, 0)
		ctxs := []*watchedCtx{newWatchedCtx(), newWatchedCtx(), newWatchedCtx()}
		var fs [3][]*executor.Future[int]
		for i := range 300 {
			fs[i%3] = append(fs[i%3], executor.Submit(ctxs[i%3], ex, double, i))
		}
		for i := range 3 {
			for j, ctx := range ctxs {
				want := 1
				if j < i {
					want = 0
				}
				if ctx.registered() != want || ctx.ever() != 1 {
					t.Errorf("ctx %d: %d registrations, %d ever; want %d, 1", j, ctx.registered(), ctx.ever(), want)
				}
			}
			for _, f := range fs[i] {
				f.Cancel()
			}
			time.Sleep(time.Second)
		}
		hold.open()
	})
}

// Many short calls, one by one, on a ctx that lives on. The ctx of a call that has asked
// for Done is left when it is collected.
func TestCallsThatComeOneByOneLeaveNothingOnTheirCtx(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		ctx := newWatchedCtx()
		for i := range 1000 {
			if v, err := executor.Submit(ctx, ex, double, i).Result(t.Context()); v != 2*i || err != nil {
				t.Fatalf("call %d = %v, %v", i, v, err)
			}
			executor.Go(ctx, ex, func(ctx context.Context) (int, error) { ctx.Done(); return 0, nil }).Result(t.Context())
		}
		untilGone(t, "a registration", func() bool { return ctx.registered() == 0 })
	})
}

// A wait is seen to be the call's own through any ctx derived from that of the
// call.
func TestADerivedCtxLendsThePlaceToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		v, err := executor.Go(t.Context(), ex, func(ctx context.Context) (int, error) {
			ctx, cancel := context.WithTimeout(context.WithValue(ctx, ctxKey("k"), 1), time.Hour)
			defer cancel()
			return executor.Submit(ctx, ex, double, 21).Result(context.WithoutCancel(ctx))
		}).Result(t.Context())
		if v != 42 || err != nil {
			t.Errorf("%v, %v; want 42", v, err)
		}
	})
}

// Shutdown ends what runs with the cause ErrShutdown, for functions that wait
// for Done and for those that look at Err now and then.
func TestShutdownIsTheCauseOfTheCtxItEnds(t *testing.T) {
	for name, sees := range map[string]func(context.Context){
		"Done": func(ctx context.Context) { <-ctx.Done() },
		"Err": func(ctx context.Context) {
			for ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, ex := range []opened{&executor.ThreadPoolExecutor{MaxWorkers: 1}, &executor.ThreadPerTask{}} {
					f := executor.Go(t.Context(), ex, func(ctx context.Context) (int, error) {
						sees(ctx)
						return 0, context.Cause(ctx)
					})
					synctest.Wait()
					ex.Shutdown(ended())
					if _, err := f.Result(t.Context()); err != executor.ErrShutdown {
						t.Errorf("%T: context.Cause = %v; want ErrShutdown", ex, err)
					}
					ex.Close()
				}
			})
		})
	}
}

//go:noinline
func parkedForTheProfile(in, out chan struct{}) {
	in <- struct{}{}
	<-out
}

// labelsOf returns the lines of the goroutine profile about the goroutine that
// is in parkedForTheProfile.
func labelsOf(t *testing.T) string {
	t.Helper()
	var text bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&text, 1); err != nil {
		t.Fatal(err)
	}
	for record := range strings.SplitSeq(text.String(), "\n\n") {
		if strings.Contains(record, "parkedForTheProfile") {
			return record
		}
	}
	t.Fatal("no goroutine is in parkedForTheProfile")
	return ""
}

// Profiles tell which executor a goroutine belongs to.
func TestProfilesShowTheNameOfTheExecutor(t *testing.T) {
	for name, want := range map[string]string{"imports": `"executor":"imports"`, "": `"executor":"ThreadPoolExecutor"`} {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1, Name: name}
		in, out := make(chan struct{}), make(chan struct{})
		f := executor.Go(t.Context(), ex, func(ctx context.Context) (int, error) {
			if label, ok := pprof.Label(ctx, "executor"); !ok || !strings.Contains(want, `:"`+label+`"`) {
				t.Errorf("pprof.Label = %q, %v; want that of %s", label, ok, want)
			}
			parkedForTheProfile(in, out)
			return 0, nil
		})
		<-in
		if got := labelsOf(t); !strings.Contains(got, want) {
			t.Errorf("the profile has\n%s\nwant %s", got, want)
		}
		out <- struct{}{}
		f.Result(t.Context())
		ex.Close()
	}
}

// What a call does with its labels is its own affair: the name is there during
// pprof.Do, after it, and in the next call of the worker.
func TestCallsDoNotTakeTheNameFromTheirWorker(t *testing.T) {
	user := pprof.WithLabels(context.Background(), pprof.Labels("user", "anna"))
	for name, row := range map[string]struct {
		ctx   context.Context
		first func(ctx context.Context, park func())
		parks int
	}{
		"pprof.Do": {context.Background(), func(ctx context.Context, park func()) {
			pprof.Do(ctx, pprof.Labels("step", "one"), func(context.Context) { park() })
			park()
		}, 2},
		"pprof.Do in a derived ctx": {context.Background(), func(ctx context.Context, park func()) {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			pprof.Do(ctx, pprof.Labels("step", "one"), func(context.Context) { park() })
			park()
		}, 2},
		"pprof.Do where Submit's ctx has labels": {user, func(ctx context.Context, _ func()) {
			pprof.Do(ctx, pprof.Labels("step", "one"), func(context.Context) {})
		}, 0},
		"SetGoroutineLabels": {context.Background(), func(context.Context, func()) {
			pprof.SetGoroutineLabels(user)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			ex := &executor.ThreadPoolExecutor{MaxWorkers: 1, Name: "imports"}
			defer ex.Close()
			hold, in, out := newGate(), make(chan struct{}), make(chan struct{})
			executor.Submit(t.Context(), ex, hold.pass, 0) // so that the two come one right after the other
			first := executor.Go(row.ctx, ex, func(ctx context.Context) (int, error) {
				row.first(ctx, func() { parkedForTheProfile(in, out) })
				return 0, nil
			})
			next := executor.Go(t.Context(), ex, func(context.Context) (int, error) {
				parkedForTheProfile(in, out)
				return 0, nil
			})
			hold.open()
			for i := range row.parks + 1 {
				<-in
				got := labelsOf(t)
				if !strings.Contains(got, `"executor":"imports"`) {
					t.Errorf("stop %d of %d: the profile has\n%s\nwant the name", i+1, row.parks+1, got)
				}
				if i == row.parks && (strings.Contains(got, "anna") || strings.Contains(got, "step")) {
					t.Errorf("the next call has labels of the one before:\n%s", got)
				}
				out <- struct{}{}
			}
			executor.Wait(t.Context(), executor.AllCompleted, first, next)
		})
	}
}

// tracedByItsName does nothing that the trace would have a stack of: the name
// is in the trace only as that of a task.
//
//go:noinline
func tracedByItsName(_ context.Context, n int) (int, error) { return n, nil }

// With tracing on, each call is a task of the trace that has the name of the
// function, and nothing else changes.
func TestATraceHasATaskForEachCall(t *testing.T) {
	if trace.IsEnabled() {
		t.Skip("the test binary is being traced")
	}
	each(t, func(t *testing.T, ex opened) {
		var written bytes.Buffer
		if err := trace.Start(&written); err != nil {
			t.Fatal(err)
		}
		v, err := executor.Submit(t.Context(), ex, tracedByItsName, 7).Result(t.Context())
		trace.Stop()
		if v != 7 || err != nil {
			t.Errorf("traced call = %v, %v; want 7", v, err)
		}
		if name := "executor_test.tracedByItsName"; !bytes.Contains(written.Bytes(), []byte(name)) {
			t.Errorf("%q is not in the trace of %d bytes", name, written.Len())
		}
	})
}

// A traced call lends its place as any other does.
func TestATracedCallLendsItsPlace(t *testing.T) {
	if trace.IsEnabled() {
		t.Skip("the test binary is being traced")
	}
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
	defer ex.Close()
	if err := trace.Start(new(bytes.Buffer)); err != nil {
		t.Fatal(err)
	}
	defer trace.Stop()
	v, err := executor.Go(t.Context(), ex, func(ctx context.Context) (int, error) {
		return executor.Submit(ctx, ex, double, 21).Result(ctx)
	}).Result(t.Context())
	if v != 42 || err != nil {
		t.Errorf("%v, %v; want 42", v, err)
	}
}

// fmt must not walk, and race with, the call behind the ctx.
func TestTheCtxOfACallPrintsAsAName(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		text, err := executor.Go(t.Context(), ex, func(ctx context.Context) (string, error) {
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			return fmt.Sprint(child), nil
		}).Result(t.Context())
		if err != nil || strings.Contains(text, "0x") || strings.Contains(text, "{") {
			t.Errorf("fmt.Sprint = %q, %v; want names only", text, err)
		}
	})
}

// silentCtx ends without telling anybody who has registered: as a ctx is for a moment, while
// package context tells one after another.
type silentCtx struct {
	context.Context
	done chan struct{}
	err  atomic.Pointer[error]
}

func (c *silentCtx) Done() <-chan struct{}               { return c.done }
func (c *silentCtx) AfterFunc(func()) (stop func() bool) { return func() bool { return true } }

func (c *silentCtx) Err() error {
	if err := c.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (c *silentCtx) end(err error) {
	c.err.Store(&err)
	close(c.done)
}

// Somebody who cancels a call because the ctx of Submit has ended may be quicker than what
// hands that end on.
func TestCancelAfterTheEndOfTheCtxLeavesItsCause(t *testing.T) {
	executors := executors()
	delete(executors, "Sequential") // whose Submit returns when the call has ended
	executors["processes"] = newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, KillGrace: longEnough})
	for kind, ex := range executors {
		t.Run(kind, func(t *testing.T) {
			defer ex.Close()
			ctx := &silentCtx{Context: context.Background(), done: make(chan struct{})}
			log := inDir(t, "log")
			f := executor.Submit(ctx, ex, doDeed, deed{Verb: "tell the cause", Log: log})
			awaitStart(t, log, 0)
			ctx.end(errors.New("the shop is closing"))
			if f.Cancel() {
				t.Error("Cancel = true for a call that runs")
			}
			if a, err := endOf(t, f); !strings.Contains(a.Text, "the shop is closing") || err != nil {
				t.Errorf("the function has found the cause %q, and Result has the error %v; want that of the ctx of Submit, nil", a.Text, err)
			}
		})
	}
}

func init() {
	verbs["tell the cause"] = func(ctx context.Context, _ deed, a *told) error {
		<-ctx.Done()
		a.Text = context.Cause(ctx).Error()
		return nil
	}
}
