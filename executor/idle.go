package executor

import "time"

// idleTime is how long a worker waits for work before it ends, at least; it
// may be twice as long.
const idleTime = time.Minute

// park makes w, which has no place any more, idle, or lets it leave if there are
// idle workers enough. tracker.mu is held.
func (e *ThreadPoolExecutor) park(w *worker) {
	if e.tracker.closed || len(e.idle) >= e.places.total {
		w.step = leaving
		return
	}
	w.step, w.swept = parked, false
	e.idle = append(e.idle, w)
	if e.sweeper == nil {
		e.sweeper = time.AfterFunc(idleTime, e.sweep)
	}
}

// popIdle returns the worker that has parked last and is not idle any more, nil if none is.
// tracker.mu is held.
func (e *ThreadPoolExecutor) popIdle() *worker {
	last := len(e.idle) - 1
	if last < 0 {
		return nil
	}
	w := e.idle[last]
	e.idle[last] = nil
	e.idle = e.idle[:last]
	return w
}

// sweep ends the workers that were idle at the last sweep and are still.
func (e *ThreadPoolExecutor) sweep() {
	e.tracker.mu.Lock()
	defer e.tracker.mu.Unlock()
	var kept []*worker
	for _, w := range e.idle {
		if w.swept {
			w.dismiss()
			continue
		}
		w.swept = true
		kept = append(kept, w)
	}
	e.idle, e.sweeper = kept, nil
	if len(kept) > 0 {
		e.sweeper = time.AfterFunc(idleTime, e.sweep)
	}
}

// dismiss lets an idle worker leave. tracker.mu is held.
func (w *worker) dismiss() {
	w.gone = true
	w.wake <- struct{}{} // holds 1, and nobody else wakes an idle worker
}

// dismissIdle lets all idle workers leave. tracker.mu is held.
func (e *ThreadPoolExecutor) dismissIdle() {
	for _, w := range e.idle {
		w.dismiss()
	}
	e.idle = nil
	if e.sweeper != nil {
		e.sweeper.Stop()
		e.sweeper = nil
	}
}

// countGone counts a worker that ends. tracker.mu is held.
func (e *ThreadPoolExecutor) countGone() {
	e.tracker.stats.Workers--
	if e.tracker.closed {
		e.tracker.ring()
	}
}
