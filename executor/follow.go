package executor

import (
	"math"
	"runtime"
	"time"
)

// polling is how a pool without MaxWorkers learns that GOMAXPROCS has changed, as the
// runtime changes it when the CPU limit of a container does. Nobody tells, and to ask
// takes a lock of the scheduler, 9 ns, which for each call would cost 5 % of it. So the pool
// asks when a worker is summoned, or takes a call with the lock, or a runner steps aside, and,
// while calls wait, also when nothing happens: after a second, and then whenever a
// quarter more time has passed. A timer that ticks for ever would keep a bubble of
// testing/synctest in which all are blocked from saying so.
type polling struct {
	isOn  bool
	isDue bool // timer will poll
	after time.Duration
	seen  int // calls that had ended when the timer was set last
	timer *time.Timer
}

// pollProcs makes the places as many as GOMAXPROCS. tracker.mu is held.
func (e *ThreadPoolExecutor) pollProcs() {
	n := runtime.GOMAXPROCS(0)
	if n == e.places.total {
		return
	}
	e.spins = n > 1
	e.places.setTotal(n)
	e.updateContested()
	if e.places.taken > n {
		e.askForPlace()
	}
}

// pollLater sees that GOMAXPROCS is asked for while calls wait. tracker.mu is held.
func (e *ThreadPoolExecutor) pollLater() {
	p := &e.polling
	if !p.isOn || p.isDue {
		return
	}
	const ages = math.MaxInt64 / 2
	switch ended := e.tracker.stats.Submitted - e.tracker.opened(); {
	case ended != p.seen || p.after == 0:
		p.seen, p.after = ended, time.Second
	case p.after < ages:
		p.after += p.after / 4
	default:
		return
	}
	p.isDue = true
	if p.timer == nil {
		p.timer = time.AfterFunc(p.after, e.pollByTimer)
	} else {
		p.timer.Reset(p.after)
	}
}

// pollByTimer asks for GOMAXPROCS, and wakes a worker if there is a place for it.
func (e *ThreadPoolExecutor) pollByTimer() {
	e.tracker.mu.Lock()
	e.polling.isDue = false
	e.pollProcs()
	w := e.summon()
	if e.line.len() > 0 {
		e.pollLater()
	}
	e.tracker.mu.Unlock()
	e.unpark(w)
}
