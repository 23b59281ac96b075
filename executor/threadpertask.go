package executor

import "context"

// ThreadPerTask makes each call on a goroutine of its own, all at once:
// threading.Thread, with a future as what is joined. The zero value is ready
// to use; it must not be copied after the first use.
//
// It has no limit and no queue, so no call waits: Cancel returns false unless
// the call has ended. Where a WaitGroup and its Go method say all, use those.
type ThreadPerTask struct {
	tracker tracker
}

// Execute is called by [Submit].
func (e *ThreadPerTask) Execute(ctx context.Context, c *Call) {
	if e == nil {
		c.Reject(errNilExecutor("ThreadPerTask"))
		return
	}
	if e.tracker.admitAndStart(c) {
		go e.tracker.runToEnd(c)
	}
}

// Workers returns 0: there is no limit.
func (e *ThreadPerTask) Workers() int { return 0 }

// Stats counts the calls so far.
func (e *ThreadPerTask) Stats() Stats {
	s := e.tracker.snapshot()
	s.Workers = s.Running
	return s
}

// Close takes no more calls and waits for those it has taken. It may be called
// again and by many goroutines, but not from a call of this executor, which it
// would wait for; use Shutdown there.
func (e *ThreadPerTask) Close() error { return e.Shutdown(context.Background()) }

// Shutdown is Close until ctx ends. Then the ctx of all calls ends, with the
// cause [ErrShutdown], and Shutdown returns an error that matches
// [ErrPending] and ctx's error if calls still run. Called from a call of this
// executor, with the ctx of that call, it does not wait for that call.
func (e *ThreadPerTask) Shutdown(ctx context.Context) error {
	return e.tracker.shutdown(ctx, func() {})
}
