package executor

import "context"

// Sequential makes each call to its end before Submit returns: the lever for
// debugging, with the same results as the others. The zero value is ready to
// use; it must not be copied after the first use.
//
// Calls of one goroutine are made one after another, in order; calls that
// several goroutines submit run side by side. A call runs while its submitter
// waits, but not on the submitter's goroutine, so that a function that ends its
// goroutine, or locks it to its thread, ends and locks its own, as on every
// executor. Calls are never queued, so they cannot be cancelled before they
// start, and a future is done when Submit returns it.
type Sequential struct {
	tracker tracker
}

// Execute is called by [Submit].
func (e *Sequential) Execute(ctx context.Context, c *Call) {
	if e == nil {
		c.Reject(errNilExecutor("Sequential"))
		return
	}
	if !e.tracker.admitAndStart(c) {
		return
	}
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		e.tracker.runToEnd(c)
	}()
	await(context.WithoutCancel(ctx), ran) // a call that submits lends its place
}

// Workers returns 1.
func (e *Sequential) Workers() int { return 1 }

// Stats counts the calls so far.
func (e *Sequential) Stats() Stats {
	s := e.tracker.snapshot()
	s.Workers = s.Running
	return s
}

// Close takes no more calls and waits for those that other goroutines have
// submitted. It may be called again and by many goroutines, but not from a call
// of this executor, which it would wait for; use Shutdown there.
func (e *Sequential) Close() error { return e.Shutdown(context.Background()) }

// Shutdown is Close until ctx ends. Then the ctx of all calls ends, with the
// cause [ErrShutdown], and Shutdown returns an error that matches
// [ErrPending] and ctx's error if calls still run. Called from a call of this
// executor, with the ctx of that call, it does not wait for that call.
func (e *Sequential) Shutdown(ctx context.Context) error {
	return e.tracker.shutdown(ctx, func() {})
}
