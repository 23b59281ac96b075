package executor

import (
	"context"
	"fmt"
)

// initialize calls the Initializer and reports whether w may work. While it
// runs, other workers may be summoned.
func (e *ThreadPoolExecutor) initialize(ctx context.Context, w *worker) (ok bool) {
	ctx, cancel := context.WithCancelCause(ctx)
	e.tracker.mu.Lock()
	e.tracker.initializing++
	e.tracker.mu.Unlock()
	self := stopper{endable: cancelFunc(cancel)}
	e.tracker.addStopper(&self)
	var err error
	returned := false
	defer func() { // deferred, because the Initializer may end this goroutine
		if !returned {
			err = caught(recover())
		}
		e.tracker.removeStopper(&self)
		e.tracker.mu.Lock()
		e.tracker.initializing--
		e.tracker.mu.Unlock()
		cancel(nil)
		if err != nil {
			e.breakPool(w, err)
		}
	}()
	err = e.Initializer(ctx)
	returned = true
	return err == nil
}

// breakPool breaks the executor, because the Initializer of w failed.
func (e *ThreadPoolExecutor) breakPool(w *worker, err error) {
	e.tracker.mu.Lock()
	if e.broken == nil {
		e.broken = fmt.Errorf("%w: the Initializer of %s: %w", ErrBroken, e.name(), err)
	}
	err = e.broken
	e.tracker.mu.Unlock()
	refuse := func(c *Call) { e.tracker.reject(c, err) }
	e.endQueued(refuse)
	refuse(w.next)
	e.tracker.mu.Lock()
	e.line.skipped(1) // w.next
	if !e.handOver() {
		e.places.release()
	}
	e.countGone()
	e.tracker.mu.Unlock()
}
