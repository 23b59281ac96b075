package executor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
)

func init() {
	executor.Register(ctxWatch)
	executor.Register(ctxAll)
}

// watchOrder tells ctxWatch what to do.
type watchOrder struct {
	Started string // a file that it makes when it starts; "": none
	Gate    string // it goes on after the end of its ctx until there is this file; "": it returns
	Pass    bool   // it returns the error of its ctx
	Look    bool   // it does not wait for the end of its ctx
}

// ctxSeen is what a function in a worker has seen of its ctx.
type ctxSeen struct {
	PID         int
	Err, Cause  string
	Matches     []string // sentinels that its cause matches
	HasDeadline bool
	Left        time.Duration // until the deadline, when it started
	Value       bool          // it has the value of ctxMark
	Early       bool          // it had ended when the function started
}

type ctxMark struct{}

// ctxWatch waits for the end of its ctx and returns what it has seen.
func ctxWatch(ctx context.Context, o watchOrder) (ctxSeen, error) {
	s := ctxSeen{PID: os.Getpid(), Value: ctx.Value(ctxMark{}) != nil, Early: ctx.Err() != nil}
	if at, ok := ctx.Deadline(); ok {
		s.HasDeadline, s.Left = true, time.Until(at)
	}
	if o.Started != "" {
		if err := os.WriteFile(o.Started, nil, 0o600); err != nil {
			return s, err
		}
	}
	if o.Look {
		return s, nil
	}
	<-ctx.Done()
	s.Err, s.Cause = ctx.Err().Error(), context.Cause(ctx).Error()
	for name, sentinel := range map[string]error{"ErrCancelled": executor.ErrCancelled, "ErrShutdown": executor.ErrShutdown, "Canceled": context.Canceled, "DeadlineExceeded": context.DeadlineExceeded} {
		if errors.Is(context.Cause(ctx), sentinel) {
			s.Matches = append(s.Matches, name)
		}
	}
	if o.Gate != "" {
		if err := os.WriteFile(o.Started+".asked", nil, 0o600); err != nil {
			return s, err
		}
		holdUntil(o.Gate)
	}
	if o.Pass {
		return s, ctx.Err()
	}
	return s, nil
}

// ctxAll waits for the end of its ctx in all ways there are, one after another.
func ctxAll(ctx context.Context, started string) (int, error) {
	child, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	called := make(chan struct{})
	defer context.AfterFunc(ctx, func() { close(called) })()
	if err := os.WriteFile(started, nil, 0o600); err != nil {
		return 0, err
	}
	<-child.Done()
	<-called
	for ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	return 3, nil
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// startWatch submits ctxWatch and returns when it has started.
func startWatch(t *testing.T, ctx context.Context, ex executor.Executor, o watchOrder) *executor.Future[ctxSeen] {
	t.Helper()
	o.Started = inDir(t, "started")
	f := executor.Submit(ctx, ex, ctxWatch, o)
	waitUntil(t, "the call has started", func() bool { return fileExists(o.Started) })
	return f
}

// never is a KillGrace that no test outlasts.
const never = time.Hour

// The end of ctx reaches the worker's call, with the cause as a text.
func TestWorkerSeesTheEndOfCtxAndItsCause(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, KillGrace: never})
	pid := pidOf(t, ex)
	ctx, cancel := context.WithCancelCause(t.Context())
	f := startWatch(t, ctx, ex, watchOrder{})
	if s := f.State(); s != executor.Running {
		t.Errorf("State of a call that runs = %v; want running", s)
	}
	cancel(errors.New("the user has left"))
	seen, err := endOf(t, f)
	if err != nil || seen.Err != context.Canceled.Error() || !strings.Contains(seen.Cause, "the user has left") || seen.PID != pid {
		t.Errorf("Result = %+v, %v; want what worker %d returned: the error %q and the cause %q", seen, err, pid, context.Canceled, "the user has left")
	}
	if seen.HasDeadline || seen.Early {
		t.Errorf("the worker saw the ctx %+v; want one without a deadline, that had not ended", seen)
	}
	if s := ex.Stats(); s.Restarts != 0 || s.Succeeded != 2 {
		t.Errorf("Stats = %+v; want 2 succeeded, nothing restarted", s)
	}
}

// A cause that is registered is matched in the worker.
func TestWorkerMatchesTheCause(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, KillGrace: never})
	for name, end := range map[string]func(f *executor.Future[ctxSeen], cancel context.CancelCauseFunc){
		"ErrCancelled": func(f *executor.Future[ctxSeen], _ context.CancelCauseFunc) { f.Cancel() },
		"ErrShutdown":  func(_ *executor.Future[ctxSeen], cancel context.CancelCauseFunc) { cancel(executor.ErrShutdown) },
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		f := startWatch(t, ctx, ex, watchOrder{})
		end(f, cancel)
		seen, err := endOf(t, f)
		if !strings.Contains(strings.Join(seen.Matches, " "), name) || err != nil {
			t.Errorf("Result = %+v, %v; want a cause that matches %s", seen, err, name)
		}
		cancel(nil)
	}
}

// Cancel asks; the future is done when the function has returned, with what it
// returned.
func TestCancelEndsTheCtxOfTheWorkersCall(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2, KillGrace: never})
	gate := inDir(t, "gate")
	o := watchOrder{Gate: gate, Started: inDir(t, "started")}
	f := executor.Submit(t.Context(), ex, ctxWatch, o)
	waitUntil(t, "the call has started", func() bool { return fileExists(o.Started) })
	other := startWatch(t, t.Context(), ex, watchOrder{})
	if f.Cancel() {
		t.Error("Cancel of a call that runs = true; want false")
	}
	waitUntil(t, "the call sees the end of its ctx", func() bool { return fileExists(o.Started + ".asked") })
	if f.Cancel() || f.State() != executor.Running || isDone(f) {
		t.Errorf("a call that was asked to stop and goes on: %v; want it running", f)
	}
	touch(t, gate)
	if seen, err := endOf(t, f); err != nil || seen.Err != context.Canceled.Error() || f.State() != executor.Finished {
		t.Errorf("Result = %+v, %v, %v; want what the function returned", seen, err, f)
	}
	if isDone(other) {
		t.Error("another call has ended; want that Cancel is for one")
	}
	other.Cancel()
	endOf(t, other)
}

// A function sees the end of its ctx in whatever way it waits for it.
func TestWorkerSeesTheEndOfCtxInEveryWay(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, KillGrace: never})
	started := inDir(t, "started")
	ctx, cancel := context.WithCancel(t.Context())
	cancelled := executor.Submit(ctx, ex, ctxAll, started)
	waitUntil(t, "the call has started", func() bool { return fileExists(started) })
	cancel()
	late := pastDeadline(t, func(ctx context.Context) *executor.Future[int] { return executor.Submit(ctx, ex, ctxAll, started) })
	for how, f := range map[string]*executor.Future[int]{"cancelled": cancelled, "too late": late} {
		if n, err := endOf(t, f); n != 3 || err != nil {
			t.Errorf("Result = %d, %v of a call that was %s; want 3, nil when ctx has ended", n, err, how)
		}
	}
}

// The wait ends and the call goes on; its result is the one that it returns.
func TestCallThatDoesNotLookAtItsCtxKeepsItsResult(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, KillGrace: never})
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	f := executor.Submit(ctx, ex, doDeed, deed{Verb: "hold", Log: dir + "/log", ID: 1, N: 7, Path: dir + "/gate"})
	awaitStart(t, dir+"/log", 1)
	cancel()
	if _, err := f.Result(ctx); !errors.Is(err, executor.ErrPending) || !errors.Is(err, context.Canceled) {
		t.Errorf("Result with a ctx that has ended = %v; want an error that matches ErrPending and context.Canceled", err)
	}
	if s := f.State(); s != executor.Running {
		t.Errorf("State = %v; want running", s)
	}
	touch(t, dir+"/gate")
	if a, err := endOf(t, f); a.N != 7 || err != nil {
		t.Errorf("Result = %+v, %v; want 7, nil: what the function returned", a, err)
	}
	if s := ex.Stats(); s.Restarts != 0 {
		t.Errorf("Stats = %+v; want no restart before KillGrace", s)
	}
}

// A deadline that passes in the queue cancels the call; one that passes while
// the call runs ends its ctx, and what the call returns matches the deadline.
func TestDeadlineOfAWorkersCall(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, KillGrace: never})
	dir := t.TempDir()
	first := do(ex, deed{Verb: "hold", Log: dir + "/log", ID: 1, Path: dir + "/gate"})
	awaitStart(t, dir+"/log", 1)
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	queued := executor.Submit(short, ex, ctxWatch, watchOrder{})
	_, err := endOf(t, queued)
	if !errors.Is(err, executor.ErrCancelled) || !errors.Is(err, context.DeadlineExceeded) || queued.State() != executor.Cancelled {
		t.Errorf("a queued call whose deadline has passed: %v, %v; want cancelled, with an error that matches ErrCancelled and DeadlineExceeded", queued, err)
	}
	touch(t, dir+"/gate")
	mustTell(t, first)

	runs := pastDeadline(t, func(ctx context.Context) *executor.Future[ctxSeen] {
		return executor.Submit(ctx, ex, ctxWatch, watchOrder{Pass: true})
	})
	_, err = endOf(t, runs)
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, executor.ErrPending) || errors.Is(err, executor.ErrCancelled) || runs.State() != executor.Finished {
		t.Errorf("a running call that returns the error of its ctx: %v, %v; want finished, with DeadlineExceeded and not ErrCancelled", runs, err)
	}
	if died, ok := errors.AsType[*executor.WorkerDiedError](err); ok {
		t.Errorf("the worker died: %v; want that it has seen the deadline by itself", died)
	}
}

// A deadline crosses as the time that is left when the call is sent.
func TestDeadlineCrossesAsRemainingTime(t *testing.T) {
	const timeout = time.Hour
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, KillGrace: never})
	dir := t.TempDir()
	first := do(ex, deed{Verb: "hold", Log: dir + "/log", ID: 1, Path: dir + "/gate"})
	awaitStart(t, dir+"/log", 1)
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	queued := executor.Submit(ctx, ex, ctxWatch, watchOrder{Look: true})
	submitted := time.Now()
	waitUntil(t, "the call has been in the queue for a while", func() bool { return time.Since(submitted) > 200*time.Millisecond })
	touch(t, dir+"/gate")
	seen, err := endOf(t, queued)
	took := time.Since(submitted)
	if err != nil || !seen.HasDeadline || seen.Left > timeout-200*time.Millisecond || seen.Left < timeout-took-time.Second {
		t.Errorf("Result = %+v, %v after %v, 200ms of it in the queue; want a deadline with as much less than %v left", seen, err, took, timeout)
	}
	mustTell(t, first)
	if seen, err := endOf(t, executor.Submit(t.Context(), ex, ctxWatch, watchOrder{Look: true})); seen.HasDeadline || err != nil {
		t.Errorf("Result = %+v, %v of a call without a deadline; want none", seen, err)
	}
}

// The values of ctx stay behind.
func TestValuesOfCtxDoNotCross(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	ctx := context.WithValue(t.Context(), ctxMark{}, 1)
	if seen, err := endOf(t, executor.Submit(ctx, ex, ctxWatch, watchOrder{Look: true})); seen.Value || err != nil {
		t.Errorf("Result = %+v, %v; want a ctx without the value", seen, err)
	}
}

// Shutdown whose ctx ends ends the ctx of the worker's call, with ErrShutdown
// as the cause.
func TestShutdownEndsTheCtxOfTheWorkersCall(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2, KillGrace: never})
	running := []*executor.Future[ctxSeen]{startWatch(t, t.Context(), ex, watchOrder{}), startWatch(t, t.Context(), ex, watchOrder{})}
	queued := executor.Submit(t.Context(), ex, ctxWatch, watchOrder{})
	if err := ex.Shutdown(ended()); err != nil && !errors.Is(err, executor.ErrPending) {
		t.Errorf("Shutdown = %v; want nil or ErrPending", err)
	}
	for _, f := range running {
		seen, err := endOf(t, f)
		if err != nil || seen.Err != context.Canceled.Error() || !strings.Contains(strings.Join(seen.Matches, " "), "ErrShutdown") {
			t.Errorf("Result = %+v, %v; want the error %q and a cause that matches ErrShutdown", seen, err, context.Canceled)
		}
	}
	if _, err := endOf(t, queued); !errors.Is(err, executor.ErrCancelled) || queued.State() != executor.Cancelled {
		t.Errorf("a queued call: %v, %v; want cancelled", queued, err)
	}
	if err := ex.Close(); err != nil {
		t.Errorf("Close = %v; want nil", err)
	}
}

// A ctx that has ended reaches calls in chunks and in MapSlice too, and their
// other items.
func TestWorkerSeesTheEndOfCtxInMaps(t *testing.T) {
	for name, run := range map[string]func(ctx context.Context, ex executor.Executor, orders []watchOrder) error{
		"MapSlice": func(ctx context.Context, ex executor.Executor, orders []watchOrder) error {
			_, err := executor.MapSlice(ctx, ex, ctxWatch, orders, executor.ChunkSize(2))
			return err
		},
		"Map in chunks": func(ctx context.Context, ex executor.Executor, orders []watchOrder) error {
			_, err := executor.Collect(executor.Map(ctx, ex, ctxWatch, slices.Values(orders), executor.ChunkSize(2)))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, KillGrace: never})
			started := inDir(t, "started")
			ctx, cancel := context.WithCancelCause(t.Context())
			over := make(chan error, 1)
			go func() { over <- run(ctx, ex, []watchOrder{{Started: started, Pass: true}, {Pass: true}}) }()
			waitUntil(t, "the first item has started", func() bool { return fileExists(started) })
			cancel(errors.New("the user has left"))
			select {
			case err := <-over:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("the error is %v; want one that matches context.Canceled", err)
				}
			case <-time.After(longEnough):
				t.Fatalf("it has not returned after %v", longEnough)
			}
			if s := ex.Stats(); s.Restarts != 0 {
				t.Errorf("Stats = %+v; want no restart: the items have seen the end of ctx", s)
			}
		})
	}
}

// What a call has left on a ctx that lives long goes when the call ends.
func TestManyWorkersCallsOnOneCtxLeaveNothing(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	contexts := []*countingCtx{newCountingCtx(), newCountingCtx()}
	for i := range 200 {
		ctx := contexts[i%2]
		if _, err := endOf(t, executor.Submit(ctx, ex, thrice, i)); err != nil {
			t.Fatal(err)
		}
		executor.Submit(ctx, ex, thrice, i).Cancel()
	}
	var fs []*executor.Future[int]
	for i := range 1000 {
		fs = append(fs, executor.Submit(contexts[i%2], ex, thrice, i))
	}
	for _, f := range fs {
		endOf(t, f)
	}
	for i, ctx := range contexts {
		left := func() int {
			ctx.mu.Lock()
			defer ctx.mu.Unlock()
			return ctx.live
		}
		waitUntil(t, fmt.Sprintf("nothing is registered on ctx %d after its last call", i), func() bool { return left() == 0 })
		if ctx.peak > 2 {
			t.Errorf("%d registrations at once on ctx %d; want one for all its calls, and one that is on its way", ctx.peak, i)
		}
	}
}
