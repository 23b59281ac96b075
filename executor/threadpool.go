package executor

import (
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"
	"sync/atomic"
	"time"

	"github.com/gofutures/futures/executor/internal/osthread"
)

// How a goroutine pool moves calls from Submit to its workers. The nouns:
//
//   - The line is the calls that wait to start, in the order of Submit: line.go.
//   - A worker is a goroutine of the pool, and makes one call after another.
//   - A place is what one needs to make a call. There are as many as MaxWorkers, and a worker
//     has one while it is not parked: place.go.
//   - The seeker is a worker that has a place and no call, and looks for one. seeking says that
//     there is one, and then nobody is woken for a call: the seeker sees to it. A worker that
//     was woken and has not arrived counts as the seeker, so one wake-up at most is under way.
//
// Submission (execute, under tracker.mu):
//
//  1. The call is counted, and put at the end of the line.
//  2. If there is a seeker, that is all: hasCome tells it.
//  3. Else, if a place is free, summon takes the first call of the line, the place, and the
//     worker that has parked last, or a new one, and makes it the seeker.
//  4. unpark wakes or starts that worker, when the lock is free.
//  5. With a QueueLimit, Submit waits for room (submitter.wait). The call is in the line
//     meanwhile.
//
// A worker is woken:
//
//  6. arrive ends the seeking, and summons the next worker if work is left and a place is
//     free. So a burst of small calls wakes as many workers as it keeps busy, one after
//     another, and no submitter waits for that.
//  7. startNext moves the call from pending to running. If somebody has withdrawn it, or a
//     helper makes it, the worker goes on with 9.
//
// A call ends (finish):
//
//  8. If nothing was unusual, the worker takes the next call with popFast, without the lock.
//     The lock is needed if the batch is empty, if the call has failed (the error is counted) or
//     has a rare part (cold.go; it may have lent its place), and if contested says so.
//  9. Else assign settles, under the lock, and before the future of the call is done, what
//     the worker does next. Its place may be for another (handOver); then it parks. Else it
//     takes the first call of the line, or, if there is none and no seeker, becomes the
//     seeker, or it gives its place up and parks.
//  10. A seeker spins for some microseconds, and comes back to 9. If it finds a call, it
//     summons the next worker, as in 6: nobody was woken for what came meanwhile. A worker
//     that may have woken a waiter does not seek: the waiter runs next on its core.
//
// A worker parks (park, idle.go): it waits to be summoned, or for sweep to dismiss it, after a
// minute or two.
//
// Why no call is forgotten: a call is put into the line under the lock, and at that moment
// there is a seeker, or a worker is summoned, or all places are held. In the last case,
// whoever gives up a place looks at the line under the same lock (assign, giveUp), and a
// seeker looks there before it parks.
//
// What was tried and was worse:
//
//   - Submitters and workers met at the lock for each call. With the batch, a call takes 0.78
//     of that with 2 workers, 0.72 with 8.
//   - What workers read for each call was on cache lines with what each Submit writes. Apart,
//     a call takes 0.85.
//   - Each call held its ctx and its executor itself, which was 16 bytes and a
//     compare-and-swap. With an origin that calls share (origin.go), it takes 0.9.
//   - Lock waits for longer than the lock is held, some 30 ns: see tracker.lock.
//   - A batch for each worker would have calls wait behind another that one worker keeps for
//     itself, and start out of order.
//   - Counting each call as it ends needs the lock. The calls that popFast has returned are
//     counted when somebody asks (unsettled).

// ThreadPoolExecutor makes calls on at most MaxWorkers goroutines:
// concurrent.futures.ThreadPoolExecutor. The zero value is ready to use. The
// fields are set before the first call and not changed afterwards, and it must
// not be copied after the first use.
//
// Calls start in the order in which they were submitted, unless WaitersHelp is set.
// A thread that a call leaves locked, see [runtime.LockOSThread], makes no other call:
// its worker is replaced, on amd64 and arm64.
// Workers are started when there is work for them and end a minute after they last
// had some; an executor that is dropped without Close leaves nothing behind.
type ThreadPoolExecutor struct {
	// MaxWorkers is the number of calls that run at once; 0 means GOMAXPROCS, also
	// when that changes, and math.MaxInt no limit.
	// A call that waits for others with its own ctx does not count while it
	// waits: see [Future.Result].
	MaxWorkers int

	// Name is what profiles show: the workers' goroutines carry it as the
	// pprof label "executor"; "" means "ThreadPoolExecutor".
	Name string

	// Initializer is called by each worker before its first call. If it fails,
	// the executor is broken: the calls that have not started, and all later
	// ones, fail with an error that matches [ErrBroken] and the Initializer's.
	// Its ctx ends when Shutdown ends what runs.
	Initializer func(context.Context) error

	// QueueLimit is the number of calls that may wait to start; 0 means no
	// limit. When so many wait, Submit blocks until there is room, until its
	// ctx ends, which cancels the call, or until the executor is closed, which
	// refuses it.
	QueueLimit int

	// KeepPlaces makes a call keep its place while it waits, so that no more than
	// MaxWorkers calls have begun and not ended. It is for calls that wait for the
	// work of other executors on the same CPUs. Calls that wait for each other may
	// then wait for ever.
	KeepPlaces bool

	// WaitersHelp lets a goroutine that waits for a call make the call itself, if that
	// has not started and one of the MaxWorkers places is free; a call of this executor
	// that waits has its own. One call at a time then costs a fraction of a goroutine
	// and a channel, and calls that submit others and wait for them need no more
	// goroutines. Only waits help that nothing but the end of the call ends: in
	// [Future.Result], [Gather] and [Map] those with a ctx that has no end, or with the
	// very ctx of the call that waits; in [MapSlice] all.
	//
	// The price: a function may run on a goroutine that is not a worker's. If it calls
	// [runtime.Goexit], as testing's FailNow does, that ends the goroutine that waits.
	// After it, the goroutine has the pprof labels of the ctx that it waits with, as
	// after [pprof.Do], or those of a worker if it is in a call, and a thread that the
	// function has locked stays locked. Calls that somebody waits for may start before
	// those that were submitted earlier. Waits that help inside each other use one
	// stack. With an Initializer, nobody helps.
	WaitersHelp bool

	plainHost // but for what is below

	// What workers read for each call, line.batch included, is apart from what is written for
	// each: where the two share a cache line, each waits for the other.
	contested atomic.Bool // a worker that ends a call takes the lock: see updateContested
	hasCome   atomic.Bool // for the seeker: the queue was empty, and has got a call
	line      line        // the calls that wait
	_         [64]byte
	tracker   tracker // its mu guards all but the two above

	places   places      // who may execute
	seeking  bool        // a worker seeks work, or was summoned: it will see to what is submitted
	summoned *worker     // that has not arrived yet
	idle     []*worker   // parked, the last to come is the first to go
	sweeper  *time.Timer // will call sweep; nil while nobody is idle
	spins    bool        // seeking work a little longer does not keep others from working
	share    share       // of the places, between maps and all else
	polling  polling     // of GOMAXPROCS
	broken   error
}

// worker is a goroutine that makes calls. Its fields are its own, but for next
// while it is parked.
type worker struct {
	wake  chan struct{} // holds 1; nil before the goroutine is started
	step  step
	call  *Call // that it makes
	next  *Call // that it was given and has not started; guarded by tracker.mu while the worker is summoned
	gone  bool  // it was dismissed
	woke  bool  // it may have woken a waiter, who runs next on this core: it must not seek before it has parked
	swept bool  // guarded by tracker.mu: it was idle at the last sweep

	contexts contexts // of the calls that it makes
}

// step is what a worker does next.
type step int

const (
	working step = iota // make the call that it was given
	seeking             // wait a little for a call, keeping its place
	parked              // wait to be given a call and a place, or to be dismissed
	leaving
)

// Execute is called by [Submit].
func (e *ThreadPoolExecutor) Execute(ctx context.Context, c *Call) {
	if e == nil {
		c.Reject(errNilExecutor("ThreadPoolExecutor"))
		return
	}
	e.execute(ctx, c, false)
}

// execute is Execute, also for a call whose origin leads here already, as no other
// call's does.
func (e *ThreadPoolExecutor) execute(ctx context.Context, c *Call, hasOrigin bool) {
	e.tracker.lock()
	if err := e.refusal(); err != nil {
		e.tracker.mu.Unlock()
		c.Reject(err)
		return
	}
	if !hasOrigin && !e.tracker.claim(c) {
		e.tracker.mu.Unlock()
		return
	}
	e.tracker.countIn(c)
	e.line.queue.Push(c)
	if e.seeking && e.line.queue.Len() == 1 {
		e.hasCome.Store(true)
	}
	w := e.summon()
	var s *submitter
	if e.line.room.limit > 0 {
		s = e.line.block(c)
	}
	e.tracker.mu.Unlock()

	e.unpark(w)
	if c.origin.Load().done != nil {
		e.tracker.watches.add(c)
	}
	if s != nil {
		s.wait(ctx)
	}
}

// refusal returns why no call is taken, if so. tracker.mu is held.
func (e *ThreadPoolExecutor) refusal() error {
	switch {
	case e.tracker.closed:
		return ErrShutdown
	case e.broken != nil:
		return e.broken
	case e.places.total == 0:
		return e.open()
	}
	return nil
}

// open is for the first call. tracker.mu is held.
func (e *ThreadPoolExecutor) open() error {
	if e.MaxWorkers < 0 {
		return fmt.Errorf("executor: ThreadPoolExecutor: MaxWorkers is %d; it must be positive, or 0 for GOMAXPROCS", e.MaxWorkers)
	}
	if e.QueueLimit < 0 {
		return fmt.Errorf("executor: ThreadPoolExecutor: QueueLimit is %d; it must be positive, or 0 for no limit", e.QueueLimit)
	}
	e.places.total = e.Workers()
	e.line.room.limit = e.QueueLimit
	e.spins = runtime.GOMAXPROCS(0) > 1
	e.polling.isOn = e.MaxWorkers == 0
	e.tracker.host = e
	e.tracker.labels = pprof.WithLabels(context.Background(), pprof.Labels("executor", e.name()))
	return nil
}

// Workers returns the number of calls that run at once.
func (e *ThreadPoolExecutor) Workers() int {
	if e != nil && e.MaxWorkers > 0 {
		return e.MaxWorkers
	}
	return runtime.GOMAXPROCS(0)
}

// summon gives the first call of the line, and a place, to a worker that unpark is to wake;
// or returns nil if there is no call or no place, or if a worker seeks work by itself.
// tracker.mu is held.
func (e *ThreadPoolExecutor) summon() *worker {
	if e.seeking || !e.hasPlace() {
		return nil
	}
	next := e.line.pop()
	if next == nil {
		return nil
	}
	w := e.popIdle()
	if w == nil {
		w = new(worker)
		e.tracker.stats.Workers++
	}
	e.places.acquire()
	w.next = next
	e.summoned = w
	e.line.unblock()
	e.seeking = true // until it arrives
	e.hasCome.Store(false)
	return w
}

// hasPlace reports whether a place is free. If none is, for calls that wait, it asks the
// runners of maps for theirs. tracker.mu is held.
func (e *ThreadPoolExecutor) hasPlace() bool {
	if e.polling.isOn && (e.places.isFree() || e.line.queue.Len() == 1) { // not for each call of a long queue
		e.pollProcs()
	}
	if e.places.isFree() {
		return true
	}
	if e.line.queue.Len() > 0 || e.line.len() > 0 {
		e.askForPlace()
		e.pollLater()
	}
	return false
}

// unpark wakes, or starts, the worker that summon has returned; nil is none.
func (e *ThreadPoolExecutor) unpark(w *worker) {
	switch {
	case w == nil:
	case w.wake == nil:
		w.wake = make(chan struct{}, 1)
		go e.begin(w)
	default:
		w.wake <- struct{}{}
	}
}

// begin is the life of a worker.
func (e *ThreadPoolExecutor) begin(w *worker) {
	e.arrive(w)
	if e.Initializer != nil && !e.initialize(e.tracker.labels, w) {
		return
	}
	e.work(w)
}

func (e *ThreadPoolExecutor) name() string {
	if e.Name != "" {
		return e.Name
	}
	return "ThreadPoolExecutor"
}

// work makes calls until the worker leaves.
func (e *ThreadPoolExecutor) work(w *worker) {
	defer func() {
		if w.call != nil { // it has ended this goroutine, or has locked it to its thread
			e.finish(w)
			go e.work(w)
		}
	}()
	thread := osthread.Current()
	wasLocked := thread.IsLocked() // by the Initializer
	for e.startNext(w) {
		pprof.SetGoroutineLabels(e.tracker.labels) // the last call may have left others; it costs 5 ns
		w.call.run(&w.contexts)
		if thread.IsLocked() && !wasLocked {
			return // the runtime ends a thread whose goroutine ends while it is locked
		}
		e.finish(w)
	}
}

// startNext starts the next call, w.call, and waits for one if there is none. It
// returns false if the worker is to end.
func (e *ThreadPoolExecutor) startNext(w *worker) bool {
	for {
		switch w.step {
		case seeking:
			e.spin()
			e.tracker.mu.Lock()
			e.assign(w, false)
			another := e.summon()
			e.tracker.mu.Unlock()
			e.unpark(another)
		case parked:
			w.contexts = contexts{} // an idle worker keeps no ctx of a Submit
			<-w.wake
			w.woke = false
			if w.gone {
				w.step = leaving
				continue
			}
			e.arrive(w)
		case leaving:
			e.tracker.mu.Lock()
			e.countGone()
			e.tracker.mu.Unlock()
			return false
		case working:
			w.call, w.next = w.next, nil
			if w.call.start() {
				return true
			}
			w.call = nil // it was cancelled, or a helper makes it
			e.tracker.mu.Lock()
			e.line.skipped(1)
			e.assign(w, false)
			e.tracker.mu.Unlock()
		}
	}
}

// spin waits some microseconds for a call. A worker that keeps up with a stream
// of calls would else park and be woken for every few of them, which costs more
// than the calls.
func (e *ThreadPoolExecutor) spin() {
	for range spinLoops {
		if e.hasCome.Load() {
			return
		}
	}
}

const spinLoops = 4000

// arrive is for a worker that was summoned: it summons the next if work is
// left. So a burst of small calls wakes as many workers as it keeps busy.
func (e *ThreadPoolExecutor) arrive(w *worker) {
	e.tracker.mu.Lock()
	e.seeking, e.summoned = false, nil
	if e.polling.isOn {
		e.pollProcs()
	}
	if w.next != nil {
		w.step = working
	} else { // a helper has taken its call and its place
		e.assignWithoutPlace(w)
	}
	another := e.summon()
	e.tracker.mu.Unlock()
	e.unpark(another)
}

// finish ends w.call. What w does next is settled before the future is done,
// under the same lock: a goroutine that waits for the future and then submits finds a
// worker that is free, and does not start another.
func (e *ThreadPoolExecutor) finish(w *worker) {
	c := w.call
	w.call = nil
	x := c.cold.Load()
	w.woke = w.woke || x != nil
	var r *rare
	if x != nil {
		r = x.peek()
	}
	if (x == nil || x.err == nil && r == nil) && !e.contested.Load() {
		if next := e.line.popFast(); next != nil {
			w.next, w.step = next, working
			e.tracker.forgetOrigin(c)
			c.publish(finished)
			return
		}
	}
	e.tracker.lock()
	e.tracker.count(c.failure())
	e.tracker.doneLocked(c)
	c.state.Store(finished)
	if e.loses(r) {
		e.assignWithoutPlace(w)
	} else {
		e.assign(w, e.spins && !w.woke)
	}
	e.tracker.mu.Unlock()
	c.wake()
}

// assign settles what w, which has a place, does next: it takes a call, seeks
// one a little longer, or gives up its place and parks, or leaves. tracker.mu is
// held.
func (e *ThreadPoolExecutor) assign(w *worker, maySeek bool) {
	if w.step == seeking {
		e.seeking = false
	}
	if e.polling.isOn {
		e.pollProcs()
	}
	if e.places.isContested() && e.handOver() {
		e.park(w)
		return
	}
	w.next = e.line.pop()
	switch {
	case w.next != nil:
		w.step = working
		e.line.unblock()
		if e.polling.isOn && e.places.isFree() { // there are more than before
			e.unpark(e.summon()) // under the lock, which is held for long then: GOMAXPROCS has changed
		}
	case len(e.places.aside) > 0:
		e.resumeAside(0)
		e.park(w)
	case maySeek && !e.seeking:
		w.step = seeking
		e.seeking = true
		e.hasCome.Store(false)
	default:
		e.places.release()
		e.park(w)
	}
}

// assignWithoutPlace is assign for a worker that has no place. tracker.mu is held.
func (e *ThreadPoolExecutor) assignWithoutPlace(w *worker) {
	if e.places.acquire() {
		e.assign(w, false)
	} else {
		e.park(w)
	}
}

// withdrawn hears of a call that is in the line, or was just taken from it, and will not
// start. tracker.mu is held.
func (e *ThreadPoolExecutor) withdrawn(c *Call) { e.line.withdrawn(c) }

// unsettled is how many calls have succeeded and were counted nowhere else: for each of
// them, its worker took another with popFast. tracker.mu is held.
func (e *ThreadPoolExecutor) unsettled() int {
	_, fast := e.line.count()
	return fast
}

// Stats counts the calls so far.
func (e *ThreadPoolExecutor) Stats() Stats {
	e.tracker.mu.Lock()
	defer e.tracker.mu.Unlock()
	s := e.tracker.stats
	queued, unsettled := e.line.count()
	s.Succeeded += unsettled
	s.Queued = queued
	s.Running = s.Submitted - s.Succeeded - s.Failed - s.Cancelled - s.Queued
	return s
}

// Close takes no more calls and waits for those it has taken, queued ones
// included, and for its workers to end: leaving the with-block of a Python
// executor. A Submit that waits for room is refused. It may be called again and
// by many goroutines, but not from a call of this executor, which it would wait
// for; use Shutdown there.
func (e *ThreadPoolExecutor) Close() error { return e.Shutdown(context.Background()) }

// Shutdown is Close until ctx ends. Then the calls that have not started are
// cancelled, the ctx of those that run ends with the cause [ErrShutdown], and
// Shutdown returns an error that matches [ErrPending] and ctx's error if calls
// still run. With a ctx that has ended it answers to
// shutdown(wait=False, cancel_futures=True). It may be called again, to wait
// again.
//
// Called from a call of this executor, with the ctx of that call, it does not
// wait for that call.
func (e *ThreadPoolExecutor) Shutdown(ctx context.Context) error {
	if ctx == nil {
		return errNilContext("Shutdown")
	}
	e.tracker.mu.Lock()
	e.tracker.closed = true
	e.updateContested()
	blocked := e.line.room.clear()
	e.dismissIdle()
	e.tracker.mu.Unlock()
	e.tracker.rejectBlocked(blocked)
	return e.tracker.shutdown(ctx, func() {
		e.endQueued(func(c *Call) { c.cancelAs(cancelled) })
	})
}

// endQueued takes all calls out of the line and has end withdraw each.
func (e *ThreadPoolExecutor) endQueued(end func(*Call)) {
	e.tracker.mu.Lock()
	var calls []*Call
	for c := e.line.pop(); c != nil; c = e.line.pop() {
		calls = append(calls, c)
	}
	e.tracker.mu.Unlock()
	for _, c := range calls {
		end(c)
	}
	e.tracker.mu.Lock()
	e.line.skipped(len(calls)) // end has withdrawn each, or another goroutine has
	e.tracker.mu.Unlock()
}
