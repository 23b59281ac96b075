package executor

import (
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gofutures/futures/executor/internal/osthread"
)

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

	// What workers read for each call comes before what is written for each: where
	// the two share a cache line, each waits for the other.
	batch atomic.Pointer[batch] // in front of the queue
	busy  atomic.Bool           // who ends a call has to look at more than the batch
	come  atomic.Bool           // set when the queue gets its first call while somebody seeks

	intake intake // its mu guards the fields below too

	places    int     // calls that may run at once, 0 before the first call
	spins     bool    // looking for work a little longer does not keep others from working
	taken     int     // places that somebody has: workers that run or seek work, and calls that wait no longer
	seeking   bool    // a worker seeks work, or was summoned: it will see to what is submitted
	summoned  *worker // that has not arrived yet
	queue     queue
	batched   int       // calls taken from batches so far, but from this one
	slowly    int       // calls taken from batches under the lock
	idle      []*worker // without a place, the last to come is the first to go
	returning []*place  // of calls that have lent theirs and want one back
	share     share     // of the places, between maps and all else
	look      look      // at GOMAXPROCS
	room      room
	broken    error
	sweeper   *time.Timer // will call sweep; nil while nobody is idle
}

// worker is a goroutine that makes calls. Its fields are its own, but for next
// while it rests.
type worker struct {
	wake  chan struct{} // holds 1; nil before the goroutine is started
	step  step
	call  *Call // that it makes
	next  *Call // that it was given and has not started; guarded by intake.mu while the worker is summoned
	gone  bool  // it was dismissed
	woke  bool  // it may have woken a waiter, who runs next on this core: it must not spin before it has parked
	swept bool  // guarded by intake.mu: it was idle at the last sweep

	contexts contexts // of the calls that it makes
}

// step is what a worker does next.
type step int

const (
	working step = iota // make the call that it was given
	seeking             // wait a little for a call, keeping its place
	resting             // wait for who gives it a call and a place, or no call, to leave
	leaving
)

// idleTime is how long a worker waits for work before it ends, at least; it
// may be twice as long.
const idleTime = time.Minute

// Execute is called by [Submit].
func (e *ThreadPoolExecutor) Execute(ctx context.Context, c *Call) {
	if e == nil {
		c.Reject(errNilExecutor("ThreadPoolExecutor"))
		return
	}
	e.execute(ctx, c, false)
}

// execute is Execute, also for a call whose route leads here already, as no other
// call's does.
func (e *ThreadPoolExecutor) execute(ctx context.Context, c *Call, isRouted bool) {
	e.intake.lock()
	if err := e.refusal(); err != nil {
		e.intake.mu.Unlock()
		c.Reject(err)
		return
	}
	if !isRouted && !e.intake.enter(c) {
		e.intake.mu.Unlock()
		return
	}
	e.intake.welcome(c)
	e.queue.push(c)
	if e.seeking && e.queue.len == 1 {
		e.come.Store(true)
	}
	w := e.summon()
	var s *submitter
	if e.room.limit > 0 {
		s = e.room.block(c, e.live())
	}
	e.intake.mu.Unlock()

	e.start(w)
	if c.route.Load().done != nil {
		e.intake.watches.add(c)
	}
	if s != nil {
		s.wait(ctx)
	}
}

// refusal returns why no call is taken, if so. intake.mu is held.
func (e *ThreadPoolExecutor) refusal() error {
	switch {
	case e.intake.closed:
		return ErrShutdown
	case e.broken != nil:
		return e.broken
	case e.places == 0:
		return e.open()
	}
	return nil
}

// open is for the first call. intake.mu is held.
func (e *ThreadPoolExecutor) open() error {
	if e.MaxWorkers < 0 {
		return fmt.Errorf("executor: ThreadPoolExecutor: MaxWorkers is %d; it must be positive, or 0 for GOMAXPROCS", e.MaxWorkers)
	}
	if e.QueueLimit < 0 {
		return fmt.Errorf("executor: ThreadPoolExecutor: QueueLimit is %d; it must be positive, or 0 for no limit", e.QueueLimit)
	}
	e.places = e.Workers()
	e.room.limit = e.QueueLimit
	e.spins = runtime.GOMAXPROCS(0) > 1
	e.look.follows = e.MaxWorkers == 0
	e.intake.pool = e
	e.intake.labels = pprof.WithLabels(context.Background(), pprof.Labels("executor", e.name()))
	return nil
}

// Workers returns the number of calls that run at once.
func (e *ThreadPoolExecutor) Workers() int {
	if e != nil && e.MaxWorkers > 0 {
		return e.MaxWorkers
	}
	return runtime.GOMAXPROCS(0)
}

// summon gives the first call of the queue, and a place, to a worker that start
// is to wake or to start; or returns nil if there is no call or no place, or if a
// worker looks for work by itself. intake.mu is held.
func (e *ThreadPoolExecutor) summon() *worker {
	if e.seeking || !e.hasFree() {
		return nil
	}
	next := e.pop()
	if next == nil {
		return nil
	}
	var w *worker
	if last := len(e.idle) - 1; last >= 0 {
		w = e.idle[last]
		e.idle[last] = nil
		e.idle = e.idle[:last]
	} else {
		w = new(worker)
		e.intake.stats.Workers++
	}
	e.taken++
	w.next = next
	e.summoned = w
	e.unblock()
	e.seeking = true // until it arrives
	e.come.Store(false)
	return w
}

// hasFree reports whether a place is free. If none is, for calls that wait, it asks the
// runners of maps for theirs. intake.mu is held.
func (e *ThreadPoolExecutor) hasFree() bool {
	if e.look.follows && (e.taken < e.places || e.queue.len == 1) { // not for each call of a long queue
		e.follow()
	}
	if e.taken < e.places {
		return true
	}
	if e.queue.len > 0 || e.live() > 0 {
		e.want()
		e.lookLater()
	}
	return false
}

// start starts or wakes what summon returned.
func (e *ThreadPoolExecutor) start(w *worker) {
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
	if e.Initializer != nil && !e.initialize(e.intake.labels, w) {
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

// work makes calls until the worker is let go.
func (e *ThreadPoolExecutor) work(w *worker) {
	defer func() {
		if w.call != nil { // it has ended this goroutine, or has locked it to its thread
			e.finish(w)
			go e.work(w)
		}
	}()
	thread := osthread.Current()
	wasLocked := thread.IsLocked() // by the Initializer
	for e.take(w) {
		pprof.SetGoroutineLabels(e.intake.labels) // the last call may have left others; it costs 5 ns
		w.call.run(&w.contexts)
		if thread.IsLocked() && !wasLocked {
			return // the runtime ends a thread whose goroutine ends while it is locked
		}
		e.finish(w)
	}
}

// take starts the next call, w.call, and waits for one if there is none. It
// returns false if the worker is to end.
func (e *ThreadPoolExecutor) take(w *worker) bool {
	for {
		switch w.step {
		case seeking:
			e.spin()
			e.intake.mu.Lock()
			e.proceed(w, false)
			another := e.summon()
			e.intake.mu.Unlock()
			e.start(another)
		case resting:
			w.contexts = contexts{} // an idle worker keeps no ctx of a Submit
			<-w.wake
			w.woke = false
			if w.gone {
				w.step = leaving
				continue
			}
			e.arrive(w)
		case leaving:
			e.intake.mu.Lock()
			e.end()
			e.intake.mu.Unlock()
			return false
		case working:
			w.call, w.next = w.next, nil
			if w.call.start() {
				return true
			}
			w.call = nil // it was cancelled, or a helper makes it
			e.intake.mu.Lock()
			e.queue.dead--
			e.proceed(w, false)
			e.intake.mu.Unlock()
		}
	}
}

// arrive is for a worker that was summoned: it summons the next if work is
// left. So a burst of small calls wakes as many workers as it keeps busy.
func (e *ThreadPoolExecutor) arrive(w *worker) {
	e.intake.mu.Lock()
	e.seeking, e.summoned = false, nil
	if e.look.follows {
		e.follow()
	}
	if w.next != nil {
		w.step = working
	} else { // a helper has taken its call and its place
		e.reenter(w)
	}
	another := e.summon()
	e.intake.mu.Unlock()
	e.start(another)
}

// finish ends w.call. What w does next is settled before the future is done,
// under the same lock: who waits for the future and then submits finds a worker
// that is free, and does not start another.
func (e *ThreadPoolExecutor) finish(w *worker) {
	c := w.call
	w.call = nil
	x := c.extra.Load()
	w.woke = w.woke || x != nil
	var r *rare
	if x != nil {
		r = x.peek()
	}
	if (x == nil || x.err == nil && r == nil) && !e.busy.Load() {
		if next := e.batch.Load().take(); next != nil {
			w.next, w.step = next, working
			e.intake.forgetRoute(c)
			c.publish(finished)
			return
		}
	}
	e.intake.lock()
	e.intake.count(c.failure())
	e.intake.left(c)
	c.state.Store(finished)
	if e.hasLost(r) {
		e.reenter(w)
	} else {
		e.proceed(w, e.spins && !w.woke)
	}
	e.intake.mu.Unlock()
	c.wake()
}

// reenter is proceed for a worker that has no place. intake.mu is held.
func (e *ThreadPoolExecutor) reenter(w *worker) {
	if e.taken >= e.places {
		e.rest(w)
		return
	}
	e.taken++
	e.proceed(w, false)
}

// proceed settles what w, which has a place, does next: it takes a call, seeks
// one a little longer, or gives up its place and rests, or leaves. intake.mu is
// held.
func (e *ThreadPoolExecutor) proceed(w *worker, maySeek bool) {
	if w.step == seeking {
		e.seeking = false
	}
	if e.look.follows {
		e.follow()
	}
	if e.passOn() {
		e.rest(w)
		return
	}
	w.next = e.pop()
	switch {
	case w.next != nil:
		w.step = working
		e.unblock()
	case len(e.share.aside) > 0:
		e.bringBack(0)
		e.rest(w)
	case maySeek && !e.seeking:
		w.step = seeking
		e.seeking = true
		e.come.Store(false)
	default:
		e.taken--
		e.rest(w)
	}
}

// passOn gives the place that somebody leaves to who has had one before: a call that
// has lent its own, or a runner of a map whose turn it is; or to nobody, if there are
// fewer places now. It returns false if the place is for a call that is queued.
// intake.mu is held.
func (e *ThreadPoolExecutor) passOn() bool {
	switch {
	case e.taken > e.places:
		e.taken--
		e.mind()
	case len(e.returning) > 0:
		e.giveBack()
	case e.isTurnOver():
		e.bringBack(0)
		e.want() // for calls that wait in the batch
	default:
		return false
	}
	return true
}

// giveBack gives a place that somebody leaves to the first of the calls that
// have lent their own. intake.mu is held.
func (e *ThreadPoolExecutor) giveBack() {
	e.letGo(e.returning[0])
}

// mind lets who ends a call look at more than the batch, if there is more. intake.mu is
// held.
func (e *ThreadPoolExecutor) mind() {
	e.busy.Store(len(e.returning) > 0 || len(e.share.aside) > 0 || e.taken > e.places || e.intake.closed)
}

// letGo lets the goroutine go that waits for p to be back. intake.mu is held.
func (e *ThreadPoolExecutor) letGo(p *place) {
	close(p.back)
	p.back = nil
	e.returning = slices.DeleteFunc(e.returning, func(other *place) bool { return other == p })
	e.mind()
}

// hasLost reports whether a call that ends, and that has needed r, has no place: a
// goroutine of its own still waits, and will do without. intake.mu is held.
func (e *ThreadPoolExecutor) hasLost(r *rare) bool {
	if r == nil || r.place.isThere() {
		return false
	}
	r.place.isOver = true
	if r.place.back != nil {
		e.letGo(&r.place)
	}
	return true
}

// vacate gives up a place: to a call that wants its own back, or to a worker for the
// first call that waits, which start is to start. intake.mu is held.
func (e *ThreadPoolExecutor) vacate() *worker {
	if e.passOn() {
		return nil
	}
	e.taken--
	w := e.summon()
	if w == nil && len(e.share.aside) > 0 && e.taken < e.places { // the call that waited was taken by another
		e.taken++
		e.bringBack(0)
	}
	return w
}

// pop returns the first call that waits, nil if there is none. intake.mu is held.
func (e *ThreadPoolExecutor) pop() *Call {
	b := e.batch.Load()
	if c := b.take(); c != nil {
		e.slowly++
		return c
	}
	if e.queue.len < worthBatch || e.room.limit > 0 { // with a limit, each call that starts makes room
		return e.queue.pop()
	}
	if b != nil {
		e.batched += int(b.n)
	}
	b = &batch{n: int32(min(e.queue.len, len(b.calls)))}
	for i := range b.n {
		b.calls[i] = e.queue.pop()
	}
	c := b.take()
	e.slowly++
	e.batch.Store(b)
	return c
}

// unblock lets submitters go for whose calls there is room. intake.mu is held.
func (e *ThreadPoolExecutor) unblock() {
	if e.room.limit > 0 {
		e.room.unblock(e.live())
	}
}

// live is how many calls wait that have not been cancelled. intake.mu is held.
func (e *ThreadPoolExecutor) live() int {
	live, _ := e.count()
	return live
}

// quick is how many calls have succeeded and were counted nowhere else: for each of
// them, its worker took another from a batch without the lock. intake.mu is held.
func (e *ThreadPoolExecutor) quick() int {
	_, quick := e.count()
	return quick
}

// count returns live and quick at one moment. intake.mu is held.
func (e *ThreadPoolExecutor) count() (live, quick int) {
	b := e.batch.Load()
	taken, waiting := b.taken(), e.queue.len
	if b != nil {
		waiting += int(b.n) - taken
	}
	return min(max(waiting-e.queue.dead, 0), waiting), e.batched + taken - e.slowly
}

// rest makes w, which has no place any more, idle, or lets it go if there are
// idle workers enough. intake.mu is held.
func (e *ThreadPoolExecutor) rest(w *worker) {
	if e.intake.closed || len(e.idle) >= e.places {
		w.step = leaving
		return
	}
	w.step, w.swept = resting, false
	e.idle = append(e.idle, w)
	if e.sweeper == nil {
		e.sweeper = time.AfterFunc(idleTime, e.sweep)
	}
}

// sweep ends the workers that were idle at the last sweep and are still.
func (e *ThreadPoolExecutor) sweep() {
	e.intake.mu.Lock()
	defer e.intake.mu.Unlock()
	var kept []*worker
	for _, w := range e.idle {
		if w.swept {
			e.dismiss(w)
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

// dismiss ends an idle worker. intake.mu is held.
func (e *ThreadPoolExecutor) dismiss(w *worker) {
	w.gone = true
	w.wake <- struct{}{} // holds 1, and nobody else wakes an idle worker
}

// end counts a worker that ends. intake.mu is held.
func (e *ThreadPoolExecutor) end() {
	e.intake.stats.Workers--
	if e.intake.closed {
		e.intake.ring()
	}
}

// initialize calls the Initializer and reports whether w may work. While it
// runs, other workers may be summoned.
func (e *ThreadPoolExecutor) initialize(ctx context.Context, w *worker) (ok bool) {
	ctx, cancel := context.WithCancelCause(ctx)
	e.intake.mu.Lock()
	e.intake.initializing++
	e.intake.mu.Unlock()
	self := mortal{killer: cancelKiller(cancel)}
	e.intake.enroll(&self)
	var err error
	returned := false
	defer func() { // deferred, because the Initializer may end this goroutine
		if !returned {
			err = caught(recover())
		}
		e.intake.strike(&self)
		e.intake.mu.Lock()
		e.intake.initializing--
		e.intake.mu.Unlock()
		cancel(nil)
		if err != nil {
			e.fall(w, err)
		}
	}()
	err = e.Initializer(ctx)
	returned = true
	return err == nil
}

// fall breaks the executor, because the Initializer of w failed.
func (e *ThreadPoolExecutor) fall(w *worker, err error) {
	e.intake.mu.Lock()
	if e.broken == nil {
		e.broken = fmt.Errorf("%w: the Initializer of %s: %w", ErrBroken, e.name(), err)
	}
	err = e.broken
	e.intake.mu.Unlock()
	refuse := func(c *Call) { e.intake.refuse(c, err) }
	e.empty(refuse)
	refuse(w.next)
	e.intake.mu.Lock()
	e.queue.dead-- // w.next
	if !e.passOn() {
		e.taken--
	}
	e.end()
	e.intake.mu.Unlock()
}

// empty ends all queued calls.
func (e *ThreadPoolExecutor) empty(end func(*Call)) {
	e.intake.mu.Lock()
	var calls []*Call
	for c := e.pop(); c != nil; c = e.pop() {
		calls = append(calls, c)
	}
	e.intake.mu.Unlock()
	for _, c := range calls {
		end(c)
	}
	e.intake.mu.Lock()
	e.queue.dead -= len(calls) // each was, or has been made, a dead one
	e.intake.mu.Unlock()
}

// withdrawn says that c, which is in the queue or was just taken from it, will
// not start. intake.mu is held.
func (e *ThreadPoolExecutor) withdrawn(c *Call) {
	e.queue.dead++
	e.queue.bury()
	e.room.leave(c)
	e.unblock()
}

// Stats counts the calls so far.
func (e *ThreadPoolExecutor) Stats() Stats {
	e.intake.mu.Lock()
	defer e.intake.mu.Unlock()
	s := e.intake.stats
	live, quick := e.count()
	s.Succeeded += quick
	s.Queued = live
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
	e.intake.mu.Lock()
	e.intake.closed = true
	e.busy.Store(true)
	blocked := e.room.clear()
	for _, w := range e.idle {
		e.dismiss(w)
	}
	e.idle = nil
	if e.sweeper != nil {
		e.sweeper.Stop()
		e.sweeper = nil
	}
	e.intake.mu.Unlock()
	e.intake.turnAway(blocked)
	return e.intake.shutdown(ctx, func() {
		e.empty(func(c *Call) { c.drop(cancelled) })
	})
}

// lend gives the place of a running call to others while it waits, and reports
// whether the call has one to lend.
func (c *Call) lend() bool {
	in := c.intake()
	if in == nil || in.pool == nil || in.pool.KeepPlaces {
		return false
	}
	e, p := in.pool, c.place()
	e.intake.mu.Lock()
	if p.isOver || e.isAside(p) {
		e.intake.mu.Unlock()
		return false
	}
	p.waits++
	var w *worker
	switch {
	case p.waits > 1:
	case p.back != nil: // it is lent again; a goroutine that waits for it does without, as one that comes while others wait
		e.letGo(p)
	default:
		w = e.vacate()
	}
	e.intake.mu.Unlock()
	e.start(w)
	return true
}

// place returns what has become of the place of a call.
func (c *Call) place() *place {
	x := c.more()
	x.mu.Lock()
	defer x.mu.Unlock()
	return &x.rarely().place
}

// reclaim ends lend: it waits for a place. Calls that want their place back go
// before those that are queued. A call that waits on several goroutines of its
// own has its place back when all have come.
func (c *Call) reclaim() {
	e, r := c.intake().pool, c.extra.Load().peek()
	e.intake.mu.Lock()
	r.place.waits--
	back := e.askBack(&r.place)
	e.intake.mu.Unlock()
	<-back
}

// askBack asks for p, unless others still wait or the call is over, and returns a channel
// that is closed when who asks may go on. intake.mu is held.
func (e *ThreadPoolExecutor) askBack(p *place) <-chan struct{} {
	switch {
	case p.waits > 0 || p.isOver:
		return closedChan
	case e.taken < e.places:
		e.taken++
		return closedChan
	}
	p.back = make(chan struct{})
	e.returning = append(e.returning, p)
	e.mind()
	e.want()
	return p.back
}

// spin waits some microseconds for a call. A worker that keeps up with a stream
// of calls would else park and be woken for every few of them, which costs more
// than the calls.
func (e *ThreadPoolExecutor) spin() {
	for range spinLoops {
		if e.come.Load() {
			return
		}
	}
}

const spinLoops = 4000
