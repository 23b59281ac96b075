package executor

import (
	"cmp"
	"slices"
	"time"
)

// supervisor decides which worker process makes which call. It is a state
// machine: it has no goroutine, no clock and does no I/O. Its methods are told
// what happened, and it answers with what is to be done: orders. Who owns it
// calls its methods one at a time and carries out the orders in their order.
//
// A call is queued until it is sent to a worker. Where parent and worker share
// memory, calls are sent ahead, up to about a millisecond of measured work: on
// a page of that memory each has a slot, in which the worker marks that it
// starts the call, or the parent that it takes the call back, whoever comes
// first. With oneByOne, nothing is sent ahead.
//
// A chunk is one call and at first one job. When its worker is busy with it and
// another worker is idle, the later half of the items that were not begun becomes a
// job of its own; when its worker dies, so do the items that were not begun, and each
// that is to be tried again. See journal.go.
type supervisor struct {
	max      int  // workers; may change
	follows  bool // max is to be looked at from time to time
	starters int  // workers that start at once
	perChild int  // items that a worker makes in its life; 0: no limit
	retries  int  // of a call whose worker died
	oneByOne bool // a worker that has a call is sent no other
	paces    []pace
	page     page

	serial uint64 // of the last job

	queue    queue  // calls that were not sent
	again    []*job // those that come before the queue: they were sent, and did not start or are to start again
	asked    []*job // parts of calls that were asked to stop, which do not start any more
	children []*child
	closed   bool

	failures int       // starts in a row that have failed
	notUntil time.Time // the next start
	orders   []order
}

// page is what parent and worker agree on, in memory that they share.
type page interface {
	takeBack(*job) bool // takes back a job, unless it has started
	begun(*job) int     // items of a chunk that have begun
	cut(*job, int) int  // takes back the items of a chunk from one on that have not begun, and returns from which
}

// request is a call on its way through the worker processes. It is the body of the
// call, in place of the one that was submitted.
type request struct {
	body
	call     *Call
	parcel   parcel
	deadline time.Time // of its ctx, zero if there is none
	whole    job       // all of it, as long as it is one job
	parts    []*job    // its jobs, when it was divided; none is over
	left     int       // items of which it is not known what came of them, and jobs that are not over
	isBegun  bool      // it cannot be cancelled any more, though parts may be queued
	reason   error     // why it was asked to stop after it had started; nil if it was not
	stopAt   int       // parts from this item on are not needed; 0: all are
	err      error     // of the call
}

// job is what is sent to a worker: a call, or some items of a chunk.
type job struct {
	*request
	lo, hi   int    // the items
	known    int    // items from lo on of which it is known what came of them
	serial   uint64 // the number of the job in its executor
	order    uint64 // its place among those that wait: its first serial, or a later one
	attempts int    // how often it was lost with a worker
	child    *child // that it was sent to, nil if it is not
	slot     int
	wasSent  bool          // it was, or nearly: it is not in the queue
	grace    *time.Timer   // that ends its worker if it does not stop
	weight   time.Duration // that it is expected to take, while it is sent
	isAsked  bool          // it was asked to stop
	isOver   bool          // nothing will come of it any more
}

func newRequest(b body, c *Call) *request {
	r := &request{body: b, call: c}
	r.whole.request = r
	return r
}

// isChunk reports whether the request is a chunk, and its jobs some items of it.
func (r *request) isChunk() bool { return r.parcel.n > 0 }

// jobs returns the jobs that are not over.
func (r *request) jobs() []*job {
	if r.parts == nil && !r.whole.isOver {
		return []*job{&r.whole}
	}
	return r.parts
}

func (j *job) items() int { return j.hi - j.lo }

// isOpen reports whether the call has not ended, nor is about to.
func (r *request) isOpen() bool {
	state := r.call.state.Load()
	return state == pending || state == running
}

// child is a worker process, as the supervisor sees it.
type child struct {
	state  childState
	shares bool   // memory, so that calls can be sent ahead to it
	jobs   []*job // that it was sent, in order
	slots  [aheadCalls]*job
	last   int           // the slot that was given last
	load   time.Duration // the weight of its jobs
	items  int           // that it was sent in its life
	heard  time.Time     // when it last got its first job, or gave a sign of life
	isDeaf bool          // it did not start what it was sent: it gets nothing until it gives a sign of life
	isUsed bool          // there is a job that it has not enough items left for
	link   *link         // nil in simulations
}

// freeSlot returns a slot that no job has. There is one: fits looks at that.
func (ch *child) freeSlot() int {
	for {
		ch.last = (ch.last + 1) % len(ch.slots)
		if ch.slots[ch.last] == nil {
			return ch.last
		}
	}
}

func (ch *child) isIdle() bool { return ch.state == ready && len(ch.jobs) == 0 }

type childState int

const (
	starting childState = iota
	ready
	retiring // has been told to go
	doomed   // is about to be killed, with the one call that it has
	gone
)

// order is something to do.
type order struct {
	what  what
	child *child
	job   *job
}

type what int

const (
	startChild what = iota
	sendJob
	dismissChild // it is to go: it has no jobs, and gets no more
	abandonChild // it is starting, and nobody needs it any more
	pingChild    // it is to give a sign of life
)

// The limits of what is sent ahead to one worker.
const (
	aheadTime  = time.Millisecond
	aheadCalls = 254
)

// A start is tried so often, or until it succeeds if there are workers; the wait
// before the second is backoff, and doubles each time, up to some seconds.
const (
	startAttempts = 5
	backoff       = 10 * time.Millisecond
	doublings     = 9
)

// followTime is how often max is looked at while calls wait and nothing else happens.
const followTime = time.Second

// idleChildTime is how long a worker process that is not the last waits for
// work before it is let go.
const idleChildTime = time.Minute

// pace is how long an item of a function takes: a moving average.
type pace time.Duration

// add counts items that took so long together.
func (p *pace) add(spent time.Duration, items int) {
	each := max(spent/time.Duration(items), 1)
	if *p == 0 {
		*p = pace(each)
		return
	}
	*p += (pace(each) - *p) / 4
}

// silence is how long a worker may say nothing before the calls that were sent
// ahead to it are taken back for another; after deafTime, the first one too, if
// it has not started. Such a worker is stopped, or its machine has much to do.
const (
	silence  = 2 * time.Millisecond
	deafTime = 20 * time.Millisecond
)

// submit takes a call.
func (s *supervisor) submit(r *request) {
	j := &r.whole
	s.serial++
	j.serial, j.order, j.hi = s.serial, s.serial, max(1, r.parcel.n)
	r.left = j.hi + 1
	s.queue.push(r.call)
}

// divide makes a job of its own of items of a request, which another job had.
func (s *supervisor) divide(from *job, lo, hi, attempts int) *job {
	r := from.request
	if r.parts == nil {
		r.parts = []*job{&r.whole}
	}
	s.serial++
	isAsked := from.isAsked || r.stopAt > 0 && lo >= r.stopAt
	j := &job{request: r, lo: lo, hi: hi, serial: s.serial, order: from.order, attempts: attempts, isAsked: isAsked}
	r.parts = append(r.parts, j)
	r.left++
	r.isBegun = true
	return j
}

// drop says that a job is over.
func (j *job) drop() {
	j.isOver = true
	if j.grace != nil {
		j.grace.Stop()
	}
	j.parts = slices.DeleteFunc(j.parts, func(other *job) bool { return other == j })
}

// waiting is the number of calls that wait to be sent.
func (s *supervisor) waiting() int { return s.queue.live() + len(s.again) }

// withdraw moves a call that has not started to state, and reports whether it
// did.
func (s *supervisor) withdraw(r *request, state uint32) bool {
	j := &r.whole
	isSent := j.child != nil
	if r.isBegun || isSent && !s.recall(j) {
		return false
	}
	if !r.call.state.CompareAndSwap(pending, state) {
		return false
	}
	switch {
	case !j.wasSent:
		s.queue.dead++
		s.queue.bury()
	case !isSent:
		s.unqueue(j)
	}
	return true
}

// unqueue takes a job that was sent before out of those that come next.
func (s *supervisor) unqueue(j *job) {
	s.again = slices.DeleteFunc(s.again, func(other *job) bool { return other == j })
}

// recall takes back a call that was sent, and reports whether it could.
func (s *supervisor) recall(j *job) bool {
	if !j.child.shares || !s.page.takeBack(j) {
		return false
	}
	j.child.items -= j.items()
	s.unassign(j)
	return true
}

// unassign takes a job off its worker.
func (s *supervisor) unassign(j *job) {
	ch := j.child
	i := slices.Index(ch.jobs, j)
	ch.jobs = slices.Delete(ch.jobs, i, i+1)
	ch.slots[j.slot] = nil
	ch.load -= j.weight
	j.child = nil
}

// next returns the next job to send, nil if there is none: the one with the lowest order.
func (s *supervisor) next() *job {
	for {
		var j *job
		for c := range s.queue.front(1) {
			j = &c.body.(*request).whole
		}
		switch {
		case len(s.again) > 0 && (j == nil || s.again[0].order < j.order):
			j = s.again[0]
			s.again[0] = nil
			s.again = s.again[1:]
			if j.isOpen() {
				return j
			}
		case j == nil:
			return nil
		default:
			s.queue.pop()
			if j.call.state.Load() == pending {
				return j
			}
			s.queue.dead--
		}
	}
}

// putBack makes jobs the next ones, in the order in which they came.
func (s *supervisor) putBack(jobs ...*job) {
	for _, j := range jobs {
		j.wasSent = true // it is not in the queue any more
	}
	jobs = slices.DeleteFunc(jobs, func(j *job) bool {
		if j.isAsked {
			s.asked = append(s.asked, j)
		}
		return j.isAsked
	})
	if len(jobs) == 0 {
		return
	}
	if len(jobs) == 1 && (len(s.again) == 0 || inOrder(jobs[0], s.again[0]) < 0) {
		s.again = slices.Insert(s.again, 0, jobs[0]) // the usual case: it has just been taken
		return
	}
	s.again = append(s.again, jobs...)
	slices.SortFunc(s.again, inOrder)
}

// inOrder compares jobs by the order in which their calls came, and by their items.
func inOrder(a, b *job) int {
	return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.whole.serial, b.whole.serial), cmp.Compare(a.lo, b.lo))
}

// schedule decides what to do now. It is to be called again after every event,
// and at the time that it returns, unless that is zero. The orders are good until
// the next call: their memory is used again.
func (s *supervisor) schedule(now time.Time) (orders []order, again time.Time) {
	clear(s.orders)
	s.orders = s.orders[:0]
	s.relieve(now)
	s.dispatch(now)
	s.alternate(now)
	s.balance(now)
	s.retire(now)
	s.recruit(now)
	return s.orders, s.deadline(now)
}

func (s *supervisor) order(w what, ch *child, j *job) {
	s.orders = append(s.orders, order{w, ch, j})
}

// dispatch sends what waits to who has room.
func (s *supervisor) dispatch(now time.Time) {
	for s.waiting() > 0 && s.hasRoom() {
		j := s.next()
		if j == nil {
			return
		}
		ch := s.pick(j, now)
		if ch == nil {
			s.putBack(j)
			return
		}
		s.send(ch, j, now)
	}
}

func (s *supervisor) hasRoom() bool {
	return slices.ContainsFunc(s.children, func(ch *child) bool {
		return !ch.isDeaf && (ch.isIdle() || ch.state == ready && s.sendsAhead(ch) && ch.load < aheadTime)
	})
}

// sendsAhead reports whether ch may be sent calls while it has one. From a worker
// that shares no memory, they could not be taken back.
func (s *supervisor) sendsAhead(ch *child) bool { return ch.shares && !s.oneByOne }

// pick returns the worker for j: the one that became idle last, because it is
// warm, or the one with the least work to which j can be sent ahead.
func (s *supervisor) pick(j *job, now time.Time) *child {
	var idle, busy *child
	for _, ch := range s.children {
		switch {
		case ch.state != ready || ch.isDeaf:
		case s.perChild > 0 && ch.items > 0 && ch.items+j.items() > s.perChild:
			ch.isUsed = true
		case ch.isIdle():
			if idle == nil || ch.heard.After(idle.heard) {
				idle = ch
			}
		case s.fits(j, ch, now) && (busy == nil || ch.load < busy.load):
			busy = ch
		}
	}
	if idle != nil && s.atWork() < s.max {
		return idle
	}
	return busy
}

// atWork is how many workers have jobs: for a while more than max, when that was lowered.
func (s *supervisor) atWork() (n int) {
	for _, ch := range s.children {
		if len(ch.jobs) > 0 {
			n++
		}
	}
	return n
}

// fits reports whether j can be sent ahead to ch, which has work.
func (s *supervisor) fits(j *job, ch *child, now time.Time) bool {
	return s.sendsAhead(ch) && now.Sub(ch.heard) < silence && ch.load+s.weigh(j) <= aheadTime && len(ch.jobs) < aheadCalls
}

// weigh returns how long j will take. If nobody knows, it is long enough that
// nothing is sent ahead behind it, nor it behind others.
func (s *supervisor) weigh(j *job) time.Duration {
	if each := s.paces[j.parcel.fn.about().index]; each > 0 {
		return time.Duration(each) * time.Duration(j.items())
	}
	return aheadTime
}

func (s *supervisor) send(ch *child, j *job, now time.Time) {
	if !ch.shares && !j.isBegun {
		if !j.call.state.CompareAndSwap(pending, running) {
			return // cancelled
		}
		j.isBegun = true // what cannot be taken back has started when it is sent
	}
	if len(ch.jobs) == 0 {
		ch.heard = now
	}
	j.child, j.slot, j.wasSent = ch, ch.freeSlot(), true
	j.weight = s.weigh(j)
	ch.slots[j.slot] = j
	ch.jobs = append(ch.jobs, j)
	ch.load += j.weight
	ch.items += j.items()
	s.order(sendJob, ch, j)
}

// relieve takes back what was sent ahead to workers that have not been heard of
// for a while: a call takes longer than thought. It goes to the next that has
// room, before all that was never sent.
func (s *supervisor) relieve(now time.Time) {
	for _, ch := range s.children {
		quiet := now.Sub(ch.heard)
		switch {
		case !ch.shares || len(ch.jobs) == 0 || quiet < silence:
		case len(ch.jobs) > 1:
			s.takeFrom(ch, 1)
			if quiet >= deafTime && s.hasOther(ch) {
				s.takeFrom(ch, 0)
			}
		case quiet >= deafTime && s.hasOther(ch):
			s.takeFrom(ch, 0)
		}
	}
}

// hasOther reports whether another worker can do what ch does not.
func (s *supervisor) hasOther(ch *child) bool {
	return s.size() < s.max || slices.ContainsFunc(s.children, func(other *child) bool { return other != ch && !other.isDeaf && other.isIdle() })
}

// takeFrom takes back the jobs of ch from the first one on that have not started,
// and reports whether there were any.
func (s *supervisor) takeFrom(ch *child, first int) bool {
	var taken []*job
	for i := len(ch.jobs) - 1; i >= first; i-- { // the last first: the worker, which starts them meanwhile, begins at the other end
		if j := ch.jobs[i]; s.recall(j) {
			taken = append(taken, j)
		}
	}
	if len(taken) > 0 && len(ch.jobs) == 0 {
		ch.isDeaf = true
		s.order(pingChild, ch, nil)
	}
	s.putBack(taken...)
	return len(taken) > 0
}

// balance gives idle workers, when nothing waits, the later half of what was
// sent ahead to a worker that has much, or of the items of a chunk that it is at.
func (s *supervisor) balance(now time.Time) {
	for s.waiting() == 0 && s.hasIdle() {
		from := s.laden()
		switch {
		case from != nil:
			if !s.takeFrom(from, (len(from.jobs)+1)/2) {
				return
			}
		case !s.share(now):
			return
		}
		s.dispatch(now)
	}
}

// alternate lets others have their turn who wait while workers are at long chunks: what
// was not begun of a chunk goes behind all that waits, when its worker has been at it for
// a while. So a small call does not wait for a whole map, nor one map for another. The
// chunks of one map do not make way for each other.
func (s *supervisor) alternate(now time.Time) {
	if s.waiting() == 0 {
		return
	}
	hasMadeWay := false
	for _, ch := range s.children {
		j := ch.longChunk()
		if j == nil || now.Sub(ch.heard) < silence || !s.isAwaited(j) {
			continue
		}
		if begun := s.page.begun(j); begun > 0 && s.split(j, begun) {
			rest := j.parts[len(j.parts)-1]
			s.unqueue(rest)
			s.serial++
			rest.order = s.serial
			s.putBack(rest)
			hasMadeWay = true
		}
	}
	if hasMadeWay {
		s.dispatch(now)
	}
}

// isAwaited reports whether something waits, near the front, that is not of the same map
// as j.
func (s *supervisor) isAwaited(j *job) bool {
	const near = 32
	isOther := func(r *request) bool { return r.isOpen() && (r.parcel.kin == nil || r.parcel.kin != j.parcel.kin) }
	for _, other := range s.again[:min(near, len(s.again))] {
		if isOther(other.request) {
			return true
		}
	}
	for c := range s.queue.front(near) {
		if isOther(c.body.(*request)) {
			return true
		}
	}
	return false
}

// hasIdle reports whether a worker has nothing to do.
func (s *supervisor) hasIdle() bool {
	return slices.ContainsFunc(s.children, func(ch *child) bool { return ch.isIdle() && !ch.isDeaf })
}

// share takes the later half of the items that were not begun from the worker that has
// the most of them, if they are expected to take long, or the worker was not heard of
// for a while. It reports whether there were any.
func (s *supervisor) share(now time.Time) bool {
	var most *job
	rest := 0
	for _, ch := range s.children {
		j := ch.longChunk()
		if j == nil {
			continue
		}
		begun := s.page.begun(j)
		n := j.items() - begun
		isLong := now.Sub(ch.heard) >= silence || s.weigh(j)/time.Duration(j.items())*time.Duration(n) > aheadTime/4
		if begun > 0 && n > rest && isLong {
			most, rest = j, n
		}
	}
	return most != nil && s.split(most, most.items()-(rest+1)/2)
}

// longChunk returns the chunk that a worker is at, if items of it can be taken back.
func (ch *child) longChunk() *job {
	if ch.state != ready || !ch.shares || ch.isDeaf || len(ch.jobs) != 1 {
		return nil
	}
	if j := ch.jobs[0]; j.isChunk() && j.items() > 1 && !j.isAsked {
		return j
	}
	return nil
}

// split takes the items of a chunk from one on back from its worker, for another, and
// reports whether it could.
func (s *supervisor) split(j *job, at int) bool {
	if at >= j.items() || at < 1 {
		return false
	}
	if at = s.page.cut(j, at); at >= j.items() {
		return false
	}
	rest := s.divide(j, j.lo+at, j.hi, j.attempts)
	j.hi = rest.lo
	j.child.items -= rest.items()
	s.putBack(rest)
	return true
}

// laden returns the worker with the most to take from, nil if none has much.
func (s *supervisor) laden() *child {
	var most *child
	for _, ch := range s.children {
		if len(ch.jobs) > 1 && ch.load > aheadTime/4 && (most == nil || len(ch.jobs) > len(most.jobs)) {
			most = ch
		}
	}
	return most
}

// recruit starts workers for what waits. While others end, there is one more than
// max at most.
func (s *supervisor) recruit(now time.Time) {
	if now.Before(s.notUntil) {
		return
	}
	coming, wanted := 0, s.waiting()
	for _, ch := range s.children {
		if ch.state == starting {
			coming++
		}
		if j := ch.longChunk(); j != nil && now.Sub(ch.heard) >= deafTime && s.page.begun(j) < j.items() && !s.hasIdle() {
			wanted++ // which would share it
		}
	}
	for n := s.size(); coming < min(wanted, s.starters) && n < s.max && len(s.children) <= s.max; coming, n = coming+1, n+1 {
		ch := &child{heard: now}
		s.children = append(s.children, ch)
		s.order(startChild, ch, nil)
		if s.failures > 0 {
			return // one at a time, until one is ready
		}
	}
}

// size is the number of workers that are there to stay.
func (s *supervisor) size() int {
	n := 0
	for _, ch := range s.children {
		if ch.state < retiring {
			n++
		}
	}
	return n
}

// retire lets idle workers go that have made their items, that nobody needs
// any more, or that have had no work for long.
func (s *supervisor) retire(now time.Time) {
	size, isOver := s.size(), s.isOver()
	for _, ch := range s.children {
		switch {
		case ch.state == starting && isOver:
			ch.state = retiring
			s.order(abandonChild, ch, nil)
		case ch.isIdle() && (s.perChild > 0 && ch.items >= s.perChild || ch.isUsed || isOver || size > s.max || size > 1 && now.Sub(ch.heard) >= idleChildTime):
			ch.state = retiring
			size--
			s.order(dismissChild, ch, nil)
		}
	}
}

// isOver reports whether no call will come for an idle worker.
func (s *supervisor) isOver() bool {
	return s.closed && s.waiting() == 0 && !slices.ContainsFunc(s.children, func(ch *child) bool { return len(ch.jobs) > 1 || ch.longChunk() != nil })
}

// deadline returns when something is to be done though nothing happens.
func (s *supervisor) deadline(now time.Time) (at time.Time) {
	sooner := func(t time.Time) {
		if t.After(now) && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	if s.waiting() > 0 {
		sooner(s.notUntil)
	}
	if s.waiting() > 0 && s.follows {
		sooner(now.Add(followTime))
	}
	size := s.size()
	for _, ch := range s.children {
		if len(ch.jobs) > 1 {
			sooner(ch.heard.Add(silence))
		}
		if len(ch.jobs) > 0 && ch.shares {
			sooner(ch.heard.Add(deafTime))
		}
		if ch.longChunk() != nil && (s.hasIdle() || s.waiting() > 0) {
			sooner(ch.heard.Add(silence))
		}
		if ch.isIdle() && size > 1 {
			sooner(ch.heard.Add(idleChildTime))
		}
	}
	return at
}

// isReady says that a worker can make calls.
func (s *supervisor) isReady(ch *child, shares bool, now time.Time) {
	s.failures = 0
	if ch.state == starting { // else nobody needs it any more
		ch.state, ch.shares, ch.heard = ready, shares, now
	}
}

// isAlive says that a worker has given a sign of life.
func (s *supervisor) isAlive(ch *child, now time.Time) { ch.heard, ch.isDeaf = now, false }

// hasFailed says that a worker ended before it was ready, and reports whether
// that was once too often: whether no worker is left and none can be started.
func (s *supervisor) hasFailed(ch *child, now time.Time) (tooOften bool) {
	wasNeeded := ch.state == starting
	s.remove(ch)
	if !wasNeeded {
		return false
	}
	s.notUntil = now.Add(backoff << min(s.failures, doublings))
	s.failures++
	return s.failures >= startAttempts && !slices.ContainsFunc(s.children, func(other *child) bool { return other.state == ready })
}

// report is what a worker says of a job.
type report struct {
	slot        int
	serial      uint64
	from, items int  // of a chunk: the items that it is about, counted from the job's first
	more        bool // of a chunk: others follow
	spent       time.Duration
}

// ended says that a worker has made a call, or items of a chunk. It returns nil if
// the worker cannot have: it is out of its mind. Of the items behind those that it
// tells of, if there are some when it is over, nothing will ever be known.
func (s *supervisor) ended(ch *child, r report, now time.Time) *job {
	if r.slot >= len(ch.slots) || ch.slots[r.slot] == nil || ch.slots[r.slot].serial != r.serial {
		return nil
	}
	j := ch.slots[r.slot]
	if ch.shares && s.page.takeBack(j) {
		return nil // it has not even started
	}
	if !j.note(r) {
		return nil
	}
	j.settle()
	s.isAlive(ch, now)
	if !r.more {
		s.unassign(j)
		j.drop()
		s.paces[j.parcel.fn.about().index].add(r.spent, max(1, j.known))
	}
	return j
}

// note says that it is known of items what came of them. It returns false if that
// cannot be.
func (j *job) note(r report) bool {
	if !j.isChunk() {
		j.known = 1
		return !r.more && r.from == 0 && r.items == 0
	}
	known := j.known + r.items
	if r.from != j.known || known > j.items() || !r.more && known < j.items() && !j.parcel.stops {
		return false
	}
	j.known = known
	return true
}

// died says that a worker that was ready has ended. It returns the jobs, items of
// chunks among them, that died with it; what had not started, or may be tried again,
// comes next.
func (s *supervisor) died(ch *child) (dead []*job) {
	s.remove(ch)
	var alive []*job
	for _, j := range slices.Clone(ch.jobs) {
		if s.recall(j) {
			alive = append(alive, j)
			continue
		}
		begun := s.begun(j)
		s.unassign(j)
		lost, others := s.breakUp(j, begun)
		alive = append(alive, others...)
		if lost == nil && others == nil { // all is known but the end
			j.drop()
			dead = append(dead, j)
		}
		for _, j := range lost {
			if j.attempts++; j.attempts <= s.retries && j.unstart(ch) {
				alive = append(alive, j)
				continue
			}
			j.settle()
			j.drop()
			dead = append(dead, j)
		}
	}
	s.putBack(alive...)
	return dead
}

// begun returns how many items of a job its worker has begun: all, as far as anybody
// knows, if it shares no memory.
func (s *supervisor) begun(j *job) int {
	if !j.isChunk() || !j.child.shares {
		return j.items()
	}
	return max(j.known, min(j.items(), s.page.begun(j)))
}

// breakUp divides a job that had started on a worker that has died into what is lost,
// each item a job of its own if it is tried again, and what was not begun.
func (s *supervisor) breakUp(j *job, begun int) (lost, others []*job) {
	if !j.isChunk() {
		return []*job{j}, nil
	}
	if isRetried := j.attempts < s.retries && !j.isAsked; isRetried {
		for i := j.lo + j.known; i < j.lo+begun; i++ {
			lost = append(lost, s.divide(j, i, i+1, j.attempts))
		}
	} else if j.known < begun {
		lost = append(lost, s.divide(j, j.lo+j.known, j.lo+begun, j.attempts))
	}
	if begun < j.items() {
		others = append(others, s.divide(j, j.lo+begun, j.hi, j.attempts))
	}
	if lost != nil || others != nil {
		j.drop()
		j.left--
	}
	return lost, others
}

// doom prepares the end of the worker of j, which does not return, and of nobody
// else: what was sent ahead behind it is taken back. It returns false if j has
// returned, though its result has not come: another call has started.
func (s *supervisor) doom(j *job) bool {
	ch := j.child
	if ch == nil {
		return false
	}
	var taken []*job
	for i := len(ch.jobs) - 1; i >= 0; i-- {
		if other := ch.jobs[i]; other != j && s.recall(other) {
			taken = append(taken, other)
		}
	}
	s.putBack(taken...)
	if len(ch.jobs) > 1 {
		return false
	}
	ch.state = doomed
	return true
}

// settle lets nobody cancel a call that has run: its future is about to be done.
func (r *request) settle() {
	r.isBegun = true
	r.call.state.CompareAndSwap(pending, running)
}

// unstart makes a call pending that had started on ch, and reports whether it may be
// tried again: not one that was asked to stop. A chunk stays one that has started.
func (j *job) unstart(ch *child) bool {
	switch {
	case j.isAsked:
		return false
	case j.isChunk():
		return j.isOpen()
	case !ch.shares:
		j.isBegun = false
		return j.call.state.CompareAndSwap(running, pending)
	}
	return j.call.state.Load() == pending
}

func (s *supervisor) remove(ch *child) {
	ch.state = gone
	s.children = slices.DeleteFunc(s.children, func(other *child) bool { return other == ch })
}
