package executor

import (
	"context"
	"sync"
	"time"
)

// watches cancel queued calls whose ctx ends, at once, though every worker is
// busy. There is one watch for each ctx, not one for each call, so that a
// million calls with one ctx cost one registration on it; a ctx that shares its
// Done channel with its parent shares its watch. A ctx that lives on is left
// when none of its calls is queued any more.
type watches struct {
	mu    sync.Mutex
	watch map[<-chan struct{}]*watch
	last  *watch      // kept for a while when it is empty: calls with one ctx may come one by one
	timer *time.Timer // will call tick; nil while the last watch is not empty
}

// lingerTime is how long an empty watch is kept at most.
const lingerTime = 10 * time.Millisecond

// watch has the queued calls of one ctx.
type watch struct {
	done  <-chan struct{}
	calls []*Call // each knows its index
	stop  func() bool
}

// add watches a call that is queued, unless it has started meanwhile.
func (ws *watches) add(c *Call) {
	r := c.route.Load()
	done := r.done
	ws.mu.Lock()
	if done == nil || !c.isWatched() { // nil: it has ended
		ws.mu.Unlock()
		return
	}
	w := ws.find(done)
	if w == nil {
		w = &watch{done: done}
		if ws.watch == nil {
			ws.watch = make(map[<-chan struct{}]*watch)
		}
		ws.watch[done] = w
		w.stop = context.AfterFunc(r.ctx, func() { ws.end(r.ctx, w) })
	}
	w.calls = append(w.calls, c)
	c.slot = uint32(len(w.calls))
	stop := ws.keep(w)
	ws.mu.Unlock()
	stop()
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
	case ws.timer == nil:
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
func (ws *watches) end(ctx context.Context, w *watch) {
	ws.mu.Lock()
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
		for !c.drop(expired) && c.intake().processes != nil && !c.interrupt(endedBy(ctx, errStopped, errStopped.Error())) {
		}
	}
}

// isWatched reports whether the call needs to hear of the end of its ctx: until
// it starts, or until it ends if it runs in another process.
func (c *Call) isWatched() bool {
	state := c.state.Load()
	return state == pending || state == running && c.intake().processes != nil
}
