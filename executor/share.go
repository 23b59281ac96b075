package executor

import (
	"slices"
	"sync/atomic"
	"time"
)

// A runner of MapSlice is one call that makes many elements. This is how it shares
// its place with the calls that are queued beside it, and with the runners of other
// maps:
//
//  1. Who finds no free place wants one: hasFree and askBack call want. It asks all
//     runners, at once if the last time is a turn ago, and else when it is.
//  2. A runner that is asked ends its chunk before the next element: ask lowers its
//     bound, the one word that it reads for each element in any case. So a map that
//     nobody asks pays nothing.
//  3. It steps aside, if others wait: what is left of its chunk is for the other
//     runners of its map, its place is for the first call of the queue, or else for a
//     runner of another map that is aside, and it waits.
//  4. A place that a call leaves goes to the first runner aside if no call waits, or
//     if those that wait have had a turn. So beside an endless stream of calls, a map
//     has half of the time.
//  5. A runner whose map has nothing left to make is let go without a place: release.
//
// A runner that is aside is in no element, so no more than MaxWorkers functions run.

// turn is for how long a runner that has stepped aside lets calls start, and the least
// time between two questions. To step aside costs some microseconds.
const turn = time.Millisecond

// share is what a pool knows of the maps on it. intake.mu guards it.
type share struct {
	runners int     // those that have begun
	aside   []aside // those that wait for a place, the first to come is the first to go
	asked   time.Time
	isDue   bool // timer will ask
	timer   *time.Timer
}

// aside is a runner that has stepped aside.
type aside struct {
	place *place
	of    any // its map
	since time.Time
}

// sharer is a killer that is a runner.
type sharer interface{ ask() }

// join is for a runner that begins.
func (e *ThreadPoolExecutor) join(m *mortal) {
	e.intake.lock()
	e.intake.enlist(m)
	e.share.runners++
	if e.queue.len > 0 || len(e.returning) > 0 || len(e.share.aside) > 0 {
		e.want()
	}
	e.intake.mu.Unlock()
	if e.intake.killed.Load() {
		m.kill(ErrShutdown)
	}
}

// part is for a runner that ends: it has found nothing left to make.
func (e *ThreadPoolExecutor) part(m *mortal, of any) {
	e.intake.lock()
	defer e.intake.mu.Unlock()
	e.intake.unlist(m)
	e.share.runners--
	e.letAsideGo(of)
}

// want asks runners for a place. intake.mu is held.
func (e *ThreadPoolExecutor) want() {
	s := &e.share
	if s.runners == 0 || s.isDue {
		return
	}
	wait := turn - time.Since(s.asked)
	switch {
	case wait <= 0:
		e.askAll()
		return
	case s.timer == nil:
		s.timer = time.AfterFunc(wait, func() {
			e.intake.mu.Lock()
			defer e.intake.mu.Unlock()
			e.askAll()
		})
	default:
		s.timer.Reset(wait)
	}
	s.isDue = true
}

// askAll asks all runners: nobody knows whose element ends first. intake.mu is held.
func (e *ThreadPoolExecutor) askAll() {
	e.share.isDue, e.share.asked = false, time.Now()
	for _, m := range e.intake.mortals {
		if r, isRunner := m.killer.(sharer); isRunner {
			r.ask()
		}
	}
}

// stepAside gives the place p of a runner to others, if they wait for one, and returns
// a channel that is closed when the runner may go on.
func (e *ThreadPoolExecutor) stepAside(p *place, asked *atomic.Bool, of any) (back <-chan struct{}) {
	e.intake.lock()
	asked.Store(false)
	w, isGiven := e.yield(p, of)
	back = closedChan
	if isGiven {
		back = e.goAside(p, of)
	}
	e.intake.mu.Unlock()
	e.start(w)
	return back
}

// yield gives up p, or does nothing if nobody is to have it. intake.mu is held.
func (e *ThreadPoolExecutor) yield(p *place, of any) (w *worker, isGiven bool) {
	if !p.isThere() { // what an element has left behind still waits
		return nil, false
	}
	if e.look.follows {
		e.follow()
	}
	if e.taken > e.places || len(e.returning) > 0 {
		return nil, e.passOn()
	}
	if e.live() > 0 && !e.seeking {
		e.taken--
		if w = e.summon(); w != nil {
			return w, true
		}
		e.taken++
	}
	if i := slices.IndexFunc(e.share.aside, func(a aside) bool { return a.of != of }); i >= 0 {
		e.bringBack(i)
		return nil, true
	}
	return nil, false
}

// goAside lets a runner wait that has no place. intake.mu is held.
func (e *ThreadPoolExecutor) goAside(p *place, of any) (back <-chan struct{}) {
	p.back = make(chan struct{})
	e.share.aside = append(e.share.aside, aside{p, of, time.Now()})
	e.mind()
	e.want() // whoever has the place may be a runner too
	return p.back
}

// waitAside is goAside for a runner that was let go too early.
func (e *ThreadPoolExecutor) waitAside(p *place, of any) (back <-chan struct{}) {
	e.intake.lock()
	defer e.intake.mu.Unlock()
	p.isOver = false
	if e.taken < e.places {
		e.taken++
		return closedChan
	}
	return e.goAside(p, of)
}

// isBack reports whether a runner that may go on has a place. It was not asked for that
// one yet.
func (e *ThreadPoolExecutor) isBack(p *place, asked *atomic.Bool) bool {
	e.intake.lock()
	defer e.intake.mu.Unlock()
	asked.Store(false)
	return !p.isOver
}

// isTurnOver reports whether the next place is for a runner. intake.mu is held.
func (e *ThreadPoolExecutor) isTurnOver() bool {
	a := e.share.aside
	return len(a) > 0 && (e.seeking || e.live() == 0 || time.Since(a[0].since) >= turn)
}

// bringBack gives a place to a runner that is aside. intake.mu is held.
func (e *ThreadPoolExecutor) bringBack(i int) {
	p := e.share.aside[i].place
	e.share.aside = slices.Delete(e.share.aside, i, i+1)
	e.letGo(p)
}

// isAside reports whether p is that of a runner that is aside. intake.mu is held.
func (e *ThreadPoolExecutor) isAside(p *place) bool {
	return slices.ContainsFunc(e.share.aside, func(a aside) bool { return a.place == p })
}

// release lets the runners of a map go that are aside, without a place: nothing is left
// to make.
func (e *ThreadPoolExecutor) release(of any) {
	e.intake.lock()
	defer e.intake.mu.Unlock()
	e.letAsideGo(of)
}

func (e *ThreadPoolExecutor) letAsideGo(of any) {
	for i := len(e.share.aside) - 1; i >= 0; i-- {
		if a := e.share.aside[i]; a.of == of {
			a.place.isOver = true
			e.bringBack(i)
		}
	}
}
