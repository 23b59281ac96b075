package parallel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gofutures/futures/executor"
)

// TimeoutError is the outcome of a call that has taken longer than its Timeout. It
// matches [context.DeadlineExceeded].
type TimeoutError struct {
	After time.Duration // the Timeout
	Err   error         // what the call returned then, or how it was ended; nil if it returned a result
}

func (e *TimeoutError) Error() string {
	text := fmt.Sprintf("parallel: a call has taken longer than its Timeout of %v", e.After)
	var died *executor.WorkerDiedError
	switch {
	case errors.As(e.Err, &died): // it was ended, because of the Timeout
		text += fmt.Sprintf(", and its worker process %d was ended", died.PID)
		if died.Stderr != "" {
			text += "; its last lines:\n" + died.Stderr
		}
	case e.Err != nil && !saysNoMore(e.Err):
		text += ": " + e.Err.Error()
	}
	return text
}

// saysNoMore reports whether err is that of the ctx of a call, which had a Timeout.
func saysNoMore(err error) bool {
	switch err.Error() {
	case errTimeout.Error(), context.DeadlineExceeded.Error(), context.Canceled.Error(), executor.ErrCancelled.Error(), "executor: call cancelled: " + errTimeout.Error():
		return true
	}
	return false
}

func (e *TimeoutError) Unwrap() error        { return e.Err }
func (e *TimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// Timeout is what package net asks an error.
func (e *TimeoutError) Timeout() bool { return true }

// errTimeout is why the ctx of a call ends.
var errTimeout = fmt.Errorf("parallel: Timeout: %w", context.DeadlineExceeded)

// timedOutcome is the outcome of a call with ctx, whose end may have been a
// Timeout.
func timedOutcome[Out any](ctx context.Context, after time.Duration, value Out, err error) (Out, error) {
	if ctx.Err() != nil && context.Cause(ctx) == errTimeout {
		var none Out
		return none, &TimeoutError{after, err}
	}
	return value, err
}

// runTimed makes a call here.
func runTimed[Out any](ctx context.Context, c Call[Out], after time.Duration) (Out, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, after, errTimeout)
	defer cancel() // and so what a call returns cannot use its ctx, as documented
	value, err := c.run(ctx)
	return timedOutcome(ctx, after, value, err)
}

// sendTimed makes a call on ex, and ends it some time after its start.
func sendTimed[Out any](ctx context.Context, ex executor.Executor, p pack[Out], after time.Duration) (Out, error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	f := p.submit(ctx, ex)
	if awaitStart(f, after) {
		late := time.AfterFunc(after, func() { end(errTimeout) })
		defer late.Stop()
	}
	value, err := f.Result(context.WithoutCancel(ctx))
	return timedOutcome(ctx, after, value, err)
}

// awaitStart waits until a call runs, and reports whether it does. No executor
// tells that, so it looks, often enough for a time limit.
func awaitStart[Out any](f *executor.Future[Out], limit time.Duration) bool {
	look := time.NewTicker(min(max(limit/64, 200*time.Microsecond), 10*time.Millisecond))
	defer look.Stop()
	for f.State() == executor.Pending {
		select {
		case <-f.Done():
			return false
		case <-look.C:
		}
	}
	return true
}

// isEnd reports whether a call has failed because its executor makes no calls any
// more.
func isEnd(err error) bool {
	return executor.Is(err, executor.ErrShutdown) || executor.Is(err, executor.ErrBroken)
}
