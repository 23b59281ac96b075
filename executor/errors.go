package executor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/gofutures/futures/executor/internal/procpool"
)

var (
	// ErrShutdown is the error of a call that came after Close or Shutdown of its
	// executor, and the cause of the ctx of a call that Shutdown ended.
	ErrShutdown = errors.New("executor: shut down")

	// ErrPending is matched by the error of a wait that ended before what it
	// waited for: [Future.Result], [Wait], [Gather] and Shutdown return it
	// when their ctx ends. Such an error matches ctx's error and its cause
	// too. A call that timed out by itself does not match ErrPending:
	//
	//	_, err := f.Result(ctx)
	//	errors.Is(err, executor.ErrPending)         // the wait ended, the call goes on
	//	errors.Is(err, context.DeadlineExceeded)    // true for both
	ErrPending = errors.New("executor: still pending")

	// ErrCancelled is the error of a call that was cancelled before it
	// started: Python's CancelledError. It matches [context.Canceled]. The
	// error of a call whose ctx ended while it was queued matches ErrCancelled,
	// ctx's error and its cause. It is also the cause of the ctx of a running
	// call that was asked to stop.
	ErrCancelled = fmt.Errorf("executor: call cancelled: %w", context.Canceled)

	// ErrBroken is matched by the error of every call that meets an executor
	// which cannot make workers, because their Initializer fails or a process
	// cannot be started: Python's BrokenExecutor. What the Initializer returned is
	// matched too.
	ErrBroken = errors.New("executor: broken")

	// ErrInvalidState is matched by the error of a [Promise] that was resolved
	// or rejected before, or whose future was cancelled: Python's
	// InvalidStateError.
	ErrInvalidState = errors.New("executor: invalid state")

	// ErrGoexit is the error of a call that ended its goroutine with
	// [runtime.Goexit], as t.FailNow does.
	ErrGoexit = errors.New("executor: the call ended its goroutine with runtime.Goexit")
)

// PanicError is the error of a call that panicked. A panic with an error
// value is matched by errors.Is and errors.As through the PanicError.
type PanicError struct {
	// Value is what the function panicked with; a *runtime.PanicNilError for
	// panic(nil). From another process, it is a string, an int, an error, or
	// the text of anything else, as fmt.Sprint has it.
	Value any
	Stack []byte // of the goroutine that panicked, as debug.Stack formats it

	lost *lostPanic // nil if it is nobody's to ask for
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("executor: the call panicked: %v\n\n%s", e.Value, e.Stack)
}

// Unwrap returns the value of the panic if it is an error, else nil.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// caught is the error of a function that did not return; recovered is what
// recover returned in the function deferred by its caller.
func caught(recovered any) error {
	if recovered == nil {
		return ErrGoexit
	}
	return &PanicError{Value: recovered, Stack: debug.Stack()}
}

// errStopped is the reason for which a call that ran was ended, when its ctx
// was.
var errStopped = errors.New("executor: the ctx of the call ended")

// endedError is a sentinel, as ErrPending or ErrCancelled, with the ctx that
// ended as its reason.
type endedError struct {
	sentinel   error
	text       string // what ended, and what it was at
	err, cause error  // of ctx
}

// endedBy returns the error of what ctx ended, which matches sentinel.
func endedBy(ctx context.Context, sentinel error, text string) error {
	return &endedError{sentinel, text, ctx.Err(), context.Cause(ctx)}
}

// pendingIn returns the error of a wait that ctx ended.
func pendingIn(ctx context.Context, doing string) error {
	return endedBy(ctx, ErrPending, "executor: "+doing+": still pending")
}

// Ended returns err, the outcome of what somebody did with ctx, unless it comes of the end
// of ctx: then it returns one error that says so, the same whatever the executor and the
// functions made of that. Its text is that of doing, as "pool: Map", and of the cause; it
// matches [ErrCancelled], ctx's error and its cause, and says that nothing goes on.
//
// It is for those who write such operations over executors, as [MapSlice] is one. The
// error of a worker process that had to be ended is left as it is: it has the stacks.
func Ended(ctx context.Context, doing string, err error) error {
	if Is(err, context.DeadlineExceeded) {
		awaitDeadline(ctx)
	}
	if !comesOfEnd(ctx, err) {
		return err
	}
	return endedBy(ctx, ErrCancelled, doing+": the ctx ended")
}

// comesOfEnd reports whether err comes of the end of ctx, and does not tell more.
func comesOfEnd(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() != nil && (Is(err, ctx.Err()) || Is(err, context.Cause(ctx))) && !hasDied(err)
}

// hasDied reports whether err comes of a worker process that has ended.
func hasDied(err error) (died bool) {
	walk(err, func(e error) (goOn bool) {
		_, died = e.(*WorkerDiedError)
		return !died
	})
	return died
}

// awaitDeadline waits for the end of a ctx whose deadline has passed: that may have been
// seen elsewhere before it is seen here.
func awaitDeadline(ctx context.Context) {
	if deadline, has := ctx.Deadline(); has && ctx.Done() != nil && !time.Now().Before(deadline) {
		<-ctx.Done()
	}
}

func (e *endedError) Error() string { return e.text + ": " + e.cause.Error() }

// Is does not unwrap the sentinel: a call that a deadline cancelled does not
// match context.Canceled, as ErrCancelled does.
func (e *endedError) Is(target error) bool { return target == e.sentinel }

func (e *endedError) Unwrap() []error { return []error{e.err, e.cause} }

// WorkerDiedError is the error of a call whose worker process ended while it
// ran: Python's BrokenProcessPool, for that call alone. If the worker was ended
// because the ctx of the call did, the error matches that of the ctx, and
// Stderr has the stacks of the worker's goroutines, if it could print them
// within two seconds: a worker that is stopped cannot, for one.
type WorkerDiedError struct {
	PID         int
	ExitCode    int       // -1 if a signal ended it, or nobody knows
	Signal      os.Signal // nil if none ended it
	Attempts    int       // how often the call was tried; 1 without Retries
	OutOfMemory bool      // it was over its MemoryLimit, or the system seems to have been out of memory
	Stderr      string    // the last lines that the worker printed there

	reason error // why the pool ended it; nil if it died by itself
}

func (e *WorkerDiedError) Error() string {
	d := procpool.Death{
		PID: e.PID, ExitCode: e.ExitCode, Signal: e.Signal, Attempts: e.Attempts, OutOfMemory: e.OutOfMemory, Stderr: e.Stderr, Reason: e.reason,
	}
	return d.Error()
}

// Unwrap returns the reason for which the pool ended the worker: the error of
// the call's ctx, for one.
func (e *WorkerDiedError) Unwrap() error { return e.reason }
