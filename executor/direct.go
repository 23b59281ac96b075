package executor

// What the executors without a queue have in common, ThreadPerTask and Sequential: a call
// starts when it is admitted.

func (t *tracker) admitAndStart(c *Call) bool { return t.admit(c) && c.start() }

// runToEnd makes a call that has started, and says that it is done. It runs on a goroutine
// that may end with the call.
func (t *tracker) runToEnd(c *Call) {
	defer func() {
		t.mu.Lock()
		t.count(c.failure())
		t.mu.Unlock()
		c.publish(finished)
		t.done(c)
	}()
	c.run(new(contexts))
}
