package executor

import (
	"context"
	"sync"
	"time"
)

// watches cancel calls that wait and whose ctx ends, at once, though every worker is
// busy; calls that run in a worker process, or on a Canceller, are interrupted. execute
// calls add for each call that it has queued, and end cancels them (cancelAs). A worker
// that comes to start such a call first, and a submitter that waits for room, cancel it
// themselves (Call.start, submitter.wait).
//
// There is one watch for each ctx, not one for each call, so that a
// million calls with one ctx cost one registration on it; a ctx that shares its
// Done channel with its parent shares its watch. A ctx that lives on is left
// some milliseconds after the last of its calls has gone (lingerTime).
type watches struct {
	mu    sync.Mutex
	watch map[<-chan struct{}]*watch
	last  *watch      // kept for a while when it is empty: calls with one ctx may come one by one
	timer *time.Timer // will call tick; nil while the last watch is not empty, and in a bubble of testing/synctest
}

// lingerTime is how long an empty watch is kept at most.
const lingerTime = 10 * time.Millisecond

// watch has the queued calls of one ctx.
type watch struct {
	done  <-chan struct{}
	calls []*Call // each knows its index
	stop  func() bool

	isOver bool // the ctx has ended
}

// add watches a call that is queued, unless it has started meanwhile.
func (ws *watches) add(c *Call) {
	var made *watch
	for {
		ws.mu.Lock()
		r := c.origin.Load()
		if r.done == nil || c.slot > 0 || !c.isWatched() || r.watches() != ws { // nil: it has ended
			ws.mu.Unlock()
			made.leave()
			return
		}
		w := ws.find(r.done)
		if w == nil && made == nil {
			ws.mu.Unlock()
			made = ws.begin(r) // without the lock: the ctx may be anybody's
			continue
		}
		if w == nil && made.isOver {
			ws.mu.Unlock()
			c.expire()
			return
		}
		if w == nil {
			w, made = made, nil
			ws.insert(w)
		}
		w.calls = append(w.calls, c)
		c.slot = uint32(len(w.calls))
		stop := ws.keep(w)
		ws.mu.Unlock()
		stop()
		made.leave()
		return
	}
}

// begin returns a watch of the ctx of r, which is yet to be inserted.
func (ws *watches) begin(r *origin) *watch {
	w := &watch{done: r.done}
	w.stop = context.AfterFunc(r.ctx, func() { ws.end(w) })
	return w
}

// insert makes w the watch of its Done channel. ws.mu is held.
func (ws *watches) insert(w *watch) {
	if ws.watch == nil {
		ws.watch = make(map[<-chan struct{}]*watch)
	}
	ws.watch[w.done] = w
}

// leave leaves the ctx of a watch that was not inserted, if there is one.
func (w *watch) leave() {
	if w != nil {
		w.stop()
	}
}

// find returns the watch of a Done channel. ws.mu is held.
func (ws *watches) find(done <-chan struct{}) *watch {
	if ws.last != nil && ws.last.done == done {
		return ws.last
	}
	return ws.watch[done]
}

// keep makes w the last watch. What it returns is to be called without ws.mu:
// it leaves the ctx of the one before if that is empty. ws.mu is held.
func (ws *watches) keep(w *watch) (stop func() bool) {
	before := ws.last
	if before == w {
		return noStop
	}
	ws.last = w
	if before != nil && len(before.calls) == 0 {
		delete(ws.watch, before.done)
		return before.stop
	}
	return noStop
}

func noStop() bool { return false }

// remove forgets a call that has started or was cancelled, with the Done of its ctx.
func (ws *watches) remove(c *Call, done <-chan struct{}) {
	ws.mu.Lock()
	if c.slot == 0 {
		ws.mu.Unlock()
		return
	}
	w := ws.find(done)
	last := w.calls[len(w.calls)-1]
	w.calls[c.slot-1], last.slot = last, c.slot
	w.calls[len(w.calls)-1] = nil
	w.calls = w.calls[:len(w.calls)-1]
	c.slot = 0
	stop := noStop
	switch {
	case len(w.calls) > 0:
	case w != ws.last:
		delete(ws.watch, w.done)
		stop = w.stop
	case ws.timer != nil: // tick comes
	case isInBubble(): // which may end before its timers do
		stop = ws.keep(nil)
	default:
		ws.timer = time.AfterFunc(lingerTime, ws.tick)
	}
	ws.mu.Unlock()
	stop()
}

// tick leaves the ctx of the last watch if that is empty.
func (ws *watches) tick() {
	ws.mu.Lock()
	ws.timer = nil
	stop := noStop
	if ws.last != nil && len(ws.last.calls) == 0 {
		stop = ws.keep(nil)
	}
	ws.mu.Unlock()
	stop()
}

// end cancels the queued calls of a ctx that has ended.
func (ws *watches) end(w *watch) {
	ws.mu.Lock()
	w.isOver = true
	calls := w.calls
	w.calls = nil
	for _, c := range calls {
		c.slot = 0
	}
	if ws.watch[w.done] == w { // else it was left too late, and has a successor
		delete(ws.watch, w.done)
	}
	if ws.last == w {
		ws.last = nil
	}
	ws.mu.Unlock()
	for _, c := range calls {
		c.expire()
	}
}

// expire cancels a call whose ctx has ended, or interrupts it if it runs where it does not
// hear of that by itself.
func (c *Call) expire() {
	for !c.cancelAs(expired) && !c.host().hearsOfEnds() && !c.interrupt(ErrCancelled) {
	}
}

// isWatched reports whether the call needs to hear of the end of its ctx: until
// it starts, or until it ends if it runs where it does not hear of that.
func (c *Call) isWatched() bool {
	state := c.state.Load()
	return state == pending || state == running && !c.host().hearsOfEnds()
}
