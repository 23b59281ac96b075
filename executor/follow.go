package executor

import (
	"math"
	"runtime"
	"time"
)

// look is how a pool without MaxWorkers learns that GOMAXPROCS has changed, as the
// runtime changes it when the CPU limit of a container does. Nobody tells, and to ask
// takes a lock of the scheduler, 9 ns, which is too much for each call. So the pool
// asks when a worker is summoned, when one takes a call or a batch from the queue, and,
// while calls wait, also when nothing happens: after a second, and then whenever a
// quarter more time has passed. A bubble of testing/synctest in which all are blocked
// therefore comes to its end.
type look struct {
	follows bool
	isDue   bool // timer will look
	after   time.Duration
	seen    int // calls that had ended at the last look
	timer   *time.Timer
}

// follow makes the places as many as GOMAXPROCS. intake.mu is held.
func (e *ThreadPoolExecutor) follow() {
	n := runtime.GOMAXPROCS(0)
	if n == e.places {
		return
	}
	e.places, e.spins = n, n > 1
	for ; e.taken < e.places && len(e.returning) > 0; e.taken++ {
		e.giveBack()
	}
	for ; e.taken < e.places && len(e.share.aside) > 0; e.taken++ {
		e.bringBack(0)
	}
	e.mind()
	if e.taken > e.places {
		e.want()
	}
}

// lookLater sees that somebody looks while calls wait. intake.mu is held.
func (e *ThreadPoolExecutor) lookLater() {
	l := &e.look
	if !l.follows || l.isDue {
		return
	}
	const ages = math.MaxInt64 / 2
	switch ended := e.intake.stats.Submitted - e.intake.opened(); {
	case ended != l.seen || l.after == 0:
		l.seen, l.after = ended, time.Second
	case l.after < ages:
		l.after += l.after / 4
	default:
		return
	}
	l.isDue = true
	if l.timer == nil {
		l.timer = time.AfterFunc(l.after, e.lookNow)
	} else {
		l.timer.Reset(l.after)
	}
}

// lookNow looks, and starts what there is a place for.
func (e *ThreadPoolExecutor) lookNow() {
	e.intake.mu.Lock()
	e.look.isDue = false
	e.follow()
	w := e.summon()
	if e.live() > 0 {
		e.lookLater()
	}
	e.intake.mu.Unlock()
	e.start(w)
}
