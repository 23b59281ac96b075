package executor

import "slices"

// A pool has as many places as calls may execute at once: MaxWorkers, or GOMAXPROCS. This is
// how a place goes from one to the next, so that never more calls execute, and calls that
// wait for each other do not wait for ever.
//
// These hold a place, one each, and nobody else:
//
//   - A worker from the moment at which it is summoned until it parks or leaves: it makes a
//     call, seeks one, or is on its way to one. While it makes a call, its place is the
//     place of the call: it has none while that is lent or lost.
//   - A goroutine outside of the pool that makes a call as it waits for it (help.go). One
//     that is in a call of the pool uses the place of that call.
//   - A call that came back from a wait, in the place of another.
//
// A runner of MapSlice is a call as all others are. It shares its place with other calls by
// leaving it between two of its elements (share.go).
//
// The way of a place:
//
//  1. A goroutine that has work and no place takes a free one with acquire, or, a helper, with
//     occupy, after mayOccupy. If none is free, the call waits in the line (line.go), until a
//     worker or a runner gives up its place.
//  2. A call that begins to wait with its own ctx lends its place: lend. If it waits on
//     several goroutines of its own, the first lends, and the place is away until the last
//     has its result. Whatever other goroutines the call has may execute meanwhile: the pool
//     does not know of them.
//  3. When the wait is over, reclaim takes a free place, or adds the call to returning and
//     waits. A call that waits again meanwhile, on another goroutine, needs no place yet: the
//     first goroutine is let go without.
//  4. A holder gives its place up with giveUp; a worker with assign, and a runner that steps
//     aside with yield. These ask handOver first, which gives the place to nobody if there are too many now, else to the first
//     call in returning, else, if it is its turn, to a runner that has stepped aside. Only
//     if that is nobody, the place is for the first call of the line. If that is empty, the
//     place is free.
//  5. A call that ends while its place is away, because a goroutine that it has left behind
//     still waits, has lost it: end. The worker that has made it holds none then.
//
// Why no call that waits can keep the place from what it waits for: a call that
// waits with its own ctx holds none. If all calls wait, all places are free, and free places
// go to calls of the line, the first one first. Calls that come back hold nothing that
// others need, and go before the line, so that each of them goes on when any call lends its
// place or ends. This is not so for a call that waits by other means than its ctx (it reads
// from a channel, say), nor with KeepPlaces, where nobody lends.
//
// Why never more calls execute than there are places: only a holder executes, and taken is
// the number of holders, which acquire and mayOccupy do not let grow beyond total. handOver and reclaim
// change who holds a place, and not how many are held.
//
//   - With WaitersHelp, the helper holds a place of its own, or executes in that of the call
//     that it is in, which waits for it meanwhile, and which counts as one that is waiting
//     (waits), so that no other goroutine of that call lends the same place. If the helped
//     call loses the place, the helper reclaims it for its own call before it goes on. A
//     helper that takes the call of a worker which was summoned for it and has not arrived
//     takes its place too, or releases it if it has its own; the worker, when it arrives,
//     holds none, and looks for one as the seeker that it still is.
//   - A runner that steps aside is in none of its elements.
//   - If total is lowered, as it is when GOMAXPROCS is, taken is larger until as many calls
//     have ended or begun to wait: handOver gives these places to nobody, and runners of maps
//     are asked for theirs.

// place is what has become of the place of a call that has waited. Its zero value is that of
// a call that has not: its place is there.
type place struct {
	waits  int           // goroutines that wait: the place is lent, or one of them helps there
	back   chan struct{} // closed when the place is back, for which one waits; nil if none does
	isLost bool          // the call goes on, or has ended, without it
}

// isThere reports whether the call has its place, and is not about to get it back.
func (p *place) isThere() bool { return p.waits == 0 && p.back == nil && !p.isLost }

// place returns what has become of the place of a call.
func (c *Call) place() *place {
	x := c.coldPart()
	x.mu.Lock()
	defer x.mu.Unlock()
	return &x.rarePart().place
}

// places counts the places of a pool, and knows who waits for one. tracker.mu guards it.
//
// What holds whenever tracker.mu is free:
//
//   - taken <= total, but after total was lowered.
//   - While somebody waits for a place, none is free: if there is anybody in returning or
//     aside, taken >= total.
//   - returning and aside hold the places whose back is not nil, each in one of the two, and
//     those are neither lent nor lost.
type places struct {
	total     int      // 0 before the first call
	taken     int      // how many are held
	returning []*place // of calls that have lent theirs and want one back, the first to come is the first to go
	aside     []aside  // runners that have stepped aside, the first to come is the first to go
}

// acquire takes a free place, and reports whether there was one.
func (ps *places) acquire() bool {
	if ps.taken >= ps.total {
		return false
	}
	ps.taken++
	return true
}

// release makes a place free. It is for a holder whose place handOver has given to nobody.
func (ps *places) release() { ps.taken-- }

func (ps *places) isFree() bool { return ps.taken < ps.total }

// isContested reports whether the next place that is given up may not be for the line.
func (ps *places) isContested() bool {
	return len(ps.returning) > 0 || len(ps.aside) > 0 || ps.taken > ps.total
}

// handOver gives a place that its holder gives up to somebody who has had one before, or to
// nobody if there are too many. It returns false if the place is still the holder's, because
// it is for the line.
func (ps *places) handOver(isTurnOfAside bool) bool {
	switch {
	case ps.taken > ps.total:
		ps.release()
	case len(ps.returning) > 0:
		ps.resume(ps.returning[0])
	case isTurnOfAside:
		ps.resumeAside(0)
	default:
		return false
	}
	return true
}

// lend is for a goroutine of a call that begins to wait. It returns true if the caller is to
// give up the place of the call.
func (ps *places) lend(p *place) (isGivenUp bool) {
	p.waits++
	if p.waits > 1 { // another goroutine has lent it, or helps there
		return false
	}
	if p.back != nil { // a goroutine that waits for it does without, as one that comes while others wait
		ps.resume(p)
		return false
	}
	return true
}

// reclaim is for a goroutine that lend was called for, when its wait is over. It may go on
// when back is closed.
func (ps *places) reclaim(p *place) (back <-chan struct{}) {
	p.waits--
	return ps.request(p)
}

// request asks for p, unless goroutines of its call still wait, or it is lost. The caller may
// go on when back is closed.
func (ps *places) request(p *place) (back <-chan struct{}) {
	if p.waits > 0 || p.isLost || ps.acquire() {
		return closedChan
	}
	p.back = make(chan struct{})
	ps.returning = append(ps.returning, p)
	return p.back
}

// resume lets the goroutine go on that waits for p.
func (ps *places) resume(p *place) {
	close(p.back)
	p.back = nil
	ps.returning = slices.DeleteFunc(ps.returning, func(other *place) bool { return other == p })
}

// end is for a call that ends, whose place is p. It reports whether the call has lost it: a
// goroutine of the call still waits, and will do without.
func (ps *places) end(p *place) (isLost bool) {
	if p.isThere() {
		return false
	}
	p.isLost = true
	if p.back != nil {
		ps.resume(p)
	}
	return true
}

// mayOccupy reports whether a goroutine that waits may make a call meanwhile: in the place of
// the call that it is in, own, or if that is nil, in a free one.
func (ps *places) mayOccupy(own *place) bool {
	if own != nil {
		return own.isThere()
	}
	return ps.isFree()
}

// occupy takes the place for which mayOccupy has returned true.
func (ps *places) occupy(own *place) {
	if own != nil {
		own.waits++
	} else {
		ps.taken++
	}
}

// vacate ends occupy. isLost says that the place was lost meanwhile, by the call that was made
// there. vacate returns true if the caller is to give up the place: it is not lost, and own
// does not need it, because others of that call have begun to wait, or it has ended. The
// caller may go on when back is closed.
func (ps *places) vacate(own *place, isLost bool) (isGivenUp bool, back <-chan struct{}) {
	if own == nil {
		return !isLost, closedChan
	}
	own.waits--
	switch {
	case own.waits > 0 || own.isLost:
		return !isLost, closedChan
	case isLost:
		return false, ps.request(own)
	}
	return false, closedChan
}

// setTotal makes the places n, and gives those that come up to those who wait for one.
func (ps *places) setTotal(n int) {
	ps.total = n
	for len(ps.returning) > 0 && ps.acquire() {
		ps.resume(ps.returning[0])
	}
	for len(ps.aside) > 0 && ps.acquire() {
		ps.resumeAside(0)
	}
}

// goAside lets a runner of a map wait that has given its place to another. It may go on when
// back is closed.
func (ps *places) goAside(a aside) (back <-chan struct{}) {
	if ps.acquire() { // there are more places than a moment ago
		return closedChan
	}
	a.place.back = make(chan struct{})
	ps.aside = append(ps.aside, a)
	return a.place.back
}

// resumeAside lets the i-th runner go on that is aside.
func (ps *places) resumeAside(i int) {
	p := ps.aside[i].place
	ps.aside = slices.Delete(ps.aside, i, i+1)
	ps.resume(p)
}

// dismissAside lets the runners of a map go on that are aside, without a place.
func (ps *places) dismissAside(of any) {
	for i := len(ps.aside) - 1; i >= 0; i-- {
		if a := ps.aside[i]; a.of == of {
			a.place.isLost = true
			ps.resumeAside(i)
		}
	}
}

// isAside reports whether p is that of a runner that is aside.
func (ps *places) isAside(p *place) bool {
	return slices.ContainsFunc(ps.aside, func(a aside) bool { return a.place == p })
}

// firstOfOther returns the index of the first runner aside that is not of a map, -1 if there
// is none.
func (ps *places) firstOfOther(of any) int {
	return slices.IndexFunc(ps.aside, func(a aside) bool { return a.of != of })
}

// lend gives the place of a running call to others while it waits, and reports whether the
// call has one to lend.
func (e *ThreadPoolExecutor) lend(c *Call) bool {
	if e.KeepPlaces {
		return false
	}
	p := c.place()
	e.tracker.mu.Lock()
	if p.isLost || e.places.isAside(p) {
		e.tracker.mu.Unlock()
		return false
	}
	var w *worker
	if e.places.lend(p) {
		w = e.giveUp()
	} else {
		e.updateContested()
	}
	e.tracker.mu.Unlock()
	e.unpark(w)
	return true
}

// reclaim ends lend: it waits for a place. Calls that want their place back go before those
// that are queued.
func (e *ThreadPoolExecutor) reclaim(c *Call) {
	p := c.place()
	e.tracker.mu.Lock()
	back := e.places.reclaim(p)
	e.hurryBack(p)
	e.tracker.mu.Unlock()
	<-back
}

// hurryBack sees that p, if it was requested and is not back, comes back as soon as it may.
// tracker.mu is held.
func (e *ThreadPoolExecutor) hurryBack(p *place) {
	if p.back != nil {
		e.updateContested()
		e.askForPlace()
	}
}

// handOver gives a place that its holder gives up to somebody who has had one before, or to
// nobody if there are too many. It returns false if the place is for a call of the line.
// tracker.mu is held.
func (e *ThreadPoolExecutor) handOver() bool {
	aside := len(e.places.aside)
	if !e.places.handOver(aside > 0 && e.isTurnOfAside()) {
		return false
	}
	e.updateContested()
	if len(e.places.aside) < aside {
		e.askForPlace() // for the calls that wait in the batch
	}
	return true
}

// giveUp gives up a place: handOver gives it away, or the first call of the line gets it,
// with a worker that unpark is to wake, or it is free. tracker.mu is held.
func (e *ThreadPoolExecutor) giveUp() *worker {
	if e.places.isContested() && e.handOver() {
		return nil
	}
	e.places.release()
	w := e.summon()
	if w == nil && len(e.places.aside) > 0 && e.places.acquire() { // the call that waited was taken by another
		e.resumeAside(0)
	}
	return w
}

// loses reports whether a call that ends, and that has needed r, has no place any more.
// tracker.mu is held.
func (e *ThreadPoolExecutor) loses(r *rare) bool {
	if r == nil || !e.places.end(&r.place) {
		return false
	}
	e.updateContested()
	return true
}

// updateContested lets workers that end a call take the lock if the place that they hold may
// not be for the next call of the line. tracker.mu is held.
func (e *ThreadPoolExecutor) updateContested() {
	e.contested.Store(e.places.isContested() || e.tracker.closed)
}
