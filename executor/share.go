package executor

import (
	"sync/atomic"
	"time"
)

// A runner of MapSlice is one call that makes many elements. This is how it shares
// its place with the calls that are queued beside it, and with the runners of other
// maps:
//
//  1. Where no place is free, hasPlace, for a call of the line, and hurryBack, for one that
//     comes back from a wait, call askForPlace, as whatever else lacks a place does. It asks all
//     runners (bulkRunner.ask), at once if the last time was a turn ago or longer, and else
//     when a turn has passed.
//  2. A runner that is asked ends its chunk before the next element: ask lowers its
//     limit, the one word that it reads for each element in any case. So a map that
//     nobody asks pays nothing.
//  3. It steps aside, if others wait: what is left of its chunk is for the other
//     runners of its map, its place is for a call that comes back, or for the first call of
//     the line, or else for a runner of another map that is aside, and it waits.
//  4. A place that a call leaves goes to the first runner aside if no call waits, or
//     if those that wait have had a turn. So beside an endless stream of calls, a map
//     has half of the time.
//  5. A runner whose map has nothing left to make goes on without a place: release. So a call
//     that lasts, and beside which the rest of the map was made, does not hold the map up.

// turn is for how long a runner that has stepped aside lets calls start, and the least
// time between two questions. To step aside costs some microseconds.
const turn = time.Millisecond

// share is what a pool knows of the maps on it, but for the runners aside, which are in
// places. tracker.mu guards it.
type share struct {
	runners int // those that have begun
	asked   time.Time
	isDue   bool // timer will ask
	timer   *time.Timer
}

// aside is a runner that has stepped aside, and waits for a place.
type aside struct {
	place *place
	of    any // its map
	since time.Time
}

// sharer is an endable that is a runner.
type sharer interface{ ask() }

// join is for a runner that begins.
func (e *ThreadPoolExecutor) join(_ *Call, m *stopper) {
	e.tracker.lock()
	e.tracker.addStopperLocked(m)
	e.share.runners++
	if e.line.queue.Len() > 0 || len(e.places.returning) > 0 || len(e.places.aside) > 0 {
		e.askForPlace()
	}
	e.tracker.mu.Unlock()
	if e.tracker.isStopped.Load() {
		m.stop(ErrShutdown)
	}
}

// part is for a runner that ends: it has found nothing left to make.
func (e *ThreadPoolExecutor) part(_ *Call, m *stopper, of any) {
	e.tracker.lock()
	defer e.tracker.mu.Unlock()
	e.tracker.removeStopperLocked(m)
	e.share.runners--
	e.dismissAside(of)
}

// askForPlace asks runners for a place. tracker.mu is held.
func (e *ThreadPoolExecutor) askForPlace() {
	s := &e.share
	if s.runners == 0 || s.isDue {
		return
	}
	wait := turn - time.Since(s.asked)
	switch {
	case wait <= 0:
		e.askRunners()
		return
	case s.timer == nil:
		s.timer = time.AfterFunc(wait, func() {
			e.tracker.mu.Lock()
			defer e.tracker.mu.Unlock()
			e.askRunners()
		})
	default:
		s.timer.Reset(wait)
	}
	s.isDue = true
}

// askRunners asks all runners: nobody knows whose element ends first. tracker.mu is held.
func (e *ThreadPoolExecutor) askRunners() {
	e.share.isDue, e.share.asked = false, time.Now()
	for _, m := range e.tracker.stoppers {
		if r, isRunner := m.endable.(sharer); isRunner {
			r.ask()
		}
	}
}

// stepAside lets others have the place of a runner for a while, if they wait for one. It
// returns false if nothing is left to make when the runner comes back.
func (e *ThreadPoolExecutor) stepAside(c *Call, asked *atomic.Bool, of any, isLeft func() bool) (goOn bool) {
	p := c.place()
	back := e.giveWay(p, asked, of)
	for {
		<-back
		if e.isBack(p, asked) {
			return true
		}
		if !isLeft() {
			return false
		}
		back = e.comeBack(p, of) // another runner has stepped aside meanwhile, and left it something
	}
}

// giveWay gives the place p of a runner to others, if they wait for one, and returns
// a channel that is closed when the runner may go on.
func (e *ThreadPoolExecutor) giveWay(p *place, asked *atomic.Bool, of any) (back <-chan struct{}) {
	e.tracker.lock()
	asked.Store(false)
	w, isGiven := e.yield(p, of)
	back = closedChan
	if isGiven {
		back = e.goAside(p, of)
	}
	e.tracker.mu.Unlock()
	e.unpark(w)
	return back
}

// yield gives up p, or does nothing if nobody is to have it. tracker.mu is held.
func (e *ThreadPoolExecutor) yield(p *place, of any) (w *worker, isGiven bool) {
	if !p.isThere() { // what an element has left behind still waits
		return nil, false
	}
	if e.polling.isOn {
		e.pollProcs()
	}
	if e.places.taken > e.places.total || len(e.places.returning) > 0 {
		return nil, e.handOver()
	}
	if e.line.len() > 0 && !e.seeking {
		e.places.release()
		if w = e.summon(); w != nil {
			return w, true
		}
		e.places.acquire()
	}
	if i := e.places.firstOfOther(of); i >= 0 {
		e.resumeAside(i)
		return nil, true
	}
	return nil, false
}

// goAside lets a runner wait that has no place. tracker.mu is held.
func (e *ThreadPoolExecutor) goAside(p *place, of any) (back <-chan struct{}) {
	back = e.places.goAside(aside{p, of, time.Now()})
	e.hurryBack(p) // whoever has the place may be a runner too
	return back
}

// comeBack asks for a place for a runner that went on without one too early.
func (e *ThreadPoolExecutor) comeBack(p *place, of any) (back <-chan struct{}) {
	e.tracker.lock()
	defer e.tracker.mu.Unlock()
	p.isLost = false
	return e.goAside(p, of)
}

// isBack reports whether a runner that may go on has a place. It was not asked for that
// one yet.
func (e *ThreadPoolExecutor) isBack(p *place, asked *atomic.Bool) bool {
	e.tracker.lock()
	defer e.tracker.mu.Unlock()
	asked.Store(false)
	return !p.isLost
}

// isTurnOfAside reports whether the next place is for a runner that is aside, of which there
// are some. tracker.mu is held.
func (e *ThreadPoolExecutor) isTurnOfAside() bool {
	return e.seeking || e.line.len() == 0 || time.Since(e.places.aside[0].since) >= turn
}

// resumeAside gives a place to the i-th runner that is aside. tracker.mu is held.
func (e *ThreadPoolExecutor) resumeAside(i int) {
	e.places.resumeAside(i)
	e.updateContested()
}

// release lets the runners of a map go on that are aside, without a place: nothing is left
// to make.
func (e *ThreadPoolExecutor) release(of any) {
	e.tracker.lock()
	defer e.tracker.mu.Unlock()
	e.dismissAside(of)
}

// dismissAside is release for a caller that holds tracker.mu.
func (e *ThreadPoolExecutor) dismissAside(of any) {
	e.places.dismissAside(of)
	e.updateContested()
}
