package executor

import (
	"errors"
	"fmt"
)

// Promise is the writing end of a [Future] whose result comes from somewhere
// else than an executor: a callback, a connection, a test. It answers to
// Future.set_running_or_notify_cancel, set_result and set_exception. All
// methods are safe for many goroutines.
//
// Like a future that nobody completes, a Promise that is dropped leaves those
// who wait for it waiting.
type Promise[T any] struct {
	future Future[T]
}

// NewPromise returns a promise whose future is pending.
func NewPromise[T any]() *Promise[T] { return new(Promise[T]) }

// Future returns the reading end, the same at each call.
func (p *Promise[T]) Future() *Future[T] { return &p.future }

// Start moves the future from pending to running, after which Cancel returns
// false. Start returns false if the future was cancelled, or is running or
// done already: then the work should not begin.
func (p *Promise[T]) Start() bool {
	return p.future.call.state.CompareAndSwap(pending, running)
}

// Resolve ends the future with value. It does not need Start. If the future
// has ended already, it keeps what it has, and the error matches
// [ErrInvalidState].
func (p *Promise[T]) Resolve(value T) error {
	return p.settle("Promise.Resolve", func() { p.future.value = value })
}

// Reject ends the future with err, which must not be nil. If the future has
// ended already, it keeps what it has, and the error matches [ErrInvalidState].
func (p *Promise[T]) Reject(err error) error {
	if err == nil {
		return errors.New("executor: Promise.Reject: nil error")
	}
	return p.settle("Promise.Reject", func() { p.future.call.fail(err) })
}

// settle writes the result if nobody else has begun to.
func (p *Promise[T]) settle(doing string, write func()) error {
	c := &p.future.call
	if !c.state.CompareAndSwap(pending, writing) && !c.state.CompareAndSwap(running, writing) {
		return fmt.Errorf("executor: %s: %w: the future is %v", doing, ErrInvalidState, p.future.State())
	}
	write()
	c.publish(finished)
	return nil
}
