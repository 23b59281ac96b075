package executor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// State is where a call stands.
type State int

const (
	Pending   State = iota // queued, or a promise that has not started
	Running                // its function runs
	Finished               // it has a result or an error
	Cancelled              // it will never run
)

func (s State) String() string {
	switch s {
	case Pending:
		return "pending"
	case Running:
		return "running"
	case Finished:
		return "finished"
	case Cancelled:
		return "cancelled"
	}
	return fmt.Sprintf("State(%d)", int(s))
}

// Future is the result of a call that may not have ended yet:
// concurrent.futures.Future. It comes from [Submit], [Go] or a [Promise], and
// all its methods may be used by many goroutines at once, as often as they
// like.
//
// A future holds its result as long as somebody holds the future. The
// executor holds neither.
type Future[T any] struct {
	call  Call
	value T
}

// Result waits for the call to end and returns what its function returned:
// Future.result and Future.exception in one. ctx bounds the wait and never the
// call. If ctx ends first, the error matches [ErrPending] and ctx's error, and
// the call goes on. The result of a call that has ended is returned even when
// ctx has ended.
//
// The error of a call that was cancelled matches [ErrCancelled], that of one
// that panicked is a [*PanicError].
//
// A function that waits for calls of its own executor should pass the ctx
// that it was given, or one derived from it: then it lends its place to
// another call while it waits, and cannot deadlock, however deep such calls
// nest and however few workers there are. A wait with another ctx, or for
// anything else than a future by other means than [Await], cannot be seen; if all
// workers wait like that for calls that are still queued, they wait until their ctx ends.
func (f *Future[T]) Result(ctx context.Context) (T, error) { return f.resultFor(ctx, "Result") }

// resultFor is Result in the name of what waits.
func (f *Future[T]) resultFor(ctx context.Context, doing string) (T, error) {
	if f == nil {
		var none T
		return none, errNilFuture
	}
	if !f.call.ended() {
		if err := f.call.wait(ctx, doing); err != nil {
			var none T
			return none, err
		}
	}
	return f.value, f.outcome()
}

// outcome is err for a caller that asks for what came of the call.
func (f *Future[T]) outcome() error {
	err := f.err()
	see(err)
	return err
}

// err returns the error of a call that has ended.
func (f *Future[T]) err() error { return f.call.Err() }

// Done returns a channel that is closed when the call has ended, for select.
// It is closed for a cancelled call too.
func (f *Future[T]) Done() <-chan struct{} {
	if f == nil {
		return closedChan
	}
	return f.call.Done()
}

// Cancel cancels the call if it has not started, and wakes all who wait for
// it. It returns true exactly if the call was cancelled, now or before, and so
// never starts. A call that runs is only asked to stop: its ctx ends, Cancel returns
// false, and the future is done when the function returns, with what it
// returns. The running call of a [Promise] has no ctx and is left alone.
//
// The callbacks have run when Cancel returns, unless an OnDone at the same moment
// found the call cancelled and is calling them.
func (f *Future[T]) Cancel() bool {
	return f != nil && f.call.Cancel()
}

// State returns where the call stands: Future.running, done and cancelled in
// one.
func (f *Future[T]) State() State {
	if f == nil {
		return Finished
	}
	switch f.call.state.Load() {
	case pending:
		if f.call.host().isRunning(&f.call) {
			return Running
		}
		return Pending
	case running, writing:
		return Running
	case cancelled, expired:
		return Cancelled
	}
	return Finished
}

// OnDone calls fn once with f when the call has ended, also when it was
// cancelled: Future.add_done_callback. The callbacks of a future are called in
// the order of registration, one after another, after all who wait for the
// future have been woken.
//
// They are called on a goroutine that no worker needs, so that a callback may
// block, submit, or wait for other futures. Two cases differ: if the call has
// ended and no callback is running, fn is called before OnDone returns; and
// Cancel calls the callbacks of the call that it cancels. Close does not wait for callbacks. A
// panic of fn is logged with [slog] and goes no further.
func (f *Future[T]) OnDone(fn func(*Future[T])) {
	switch {
	case fn == nil:
		slog.Error("executor: OnDone: nil function")
	case f == nil:
		slog.Error("executor: OnDone: nil future")
	default:
		x := f.call.coldPart()
		x.ask()
		x.onDone(&f.call, func() { fn(f) })
	}
}

// String returns the state of the future and the type of what it holds, as in
// "<Future running>", "<Future finished int>" or "<Future finished error
// *fs.PathError>".
func (f *Future[T]) String() string {
	state := f.State()
	if f == nil {
		return "<Future nil>"
	}
	if state != Finished {
		return fmt.Sprintf("<Future %v>", state)
	}
	if err := f.err(); err != nil {
		return fmt.Sprintf("<Future finished error %T>", err)
	}
	return fmt.Sprintf("<Future finished %T>", f.value)
}

// attach lets a hear of the end of the call, as the arrival of index.
func (f *Future[T]) attach(a *arrivals, index int) {
	if f == nil || f.call.ended() {
		a.arrive(index)
		return
	}
	f.call.coldPart().attach(&f.call, arrival{a, index})
}

// detach undoes attach.
func (f *Future[T]) detach(a *arrivals) {
	if f != nil {
		if x := f.call.cold.Load(); x != nil {
			x.detach(a)
		}
	}
}

func (f *Future[T]) self() any { return f }

// ask says that the future, which has ended, is given to somebody who waited for it.
func (f *Future[T]) ask() {
	if f != nil {
		see(f.call.failure())
	}
}

// failed reports whether the call ended with an error of its own. A cancelled
// call did not.
func (f *Future[T]) failed() bool {
	return f == nil || f.State() == Finished && f.call.failure() != nil
}

// errNilFuture is the result of a nil *Future.
var errNilFuture = errors.New("executor: nil future")
