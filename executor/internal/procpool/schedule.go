package procpool

import (
	"cmp"
	"slices"
	"time"

	"github.com/gofutures/futures/executor/internal/fifo"
)

// scheduler decides which worker process makes which request. It is a state
// machine: it has no goroutine, no clock and does no I/O. Its methods are told
// what happened, and it answers with what is to be done: orders. Its owner
// calls its methods one at a time and carries out the orders in their order.
//
// A request is queued until it is sent to a worker. Where parent and worker share
// memory, requests are sent ahead, up to about a millisecond of measured work, and can be
// taken back until they start. With oneByOne, nothing is sent ahead.
//
// A chunk is one request and at first one job. When its worker is busy with it and
// another worker is idle, the later half of the items that were not begun becomes a
// job of its own; when its worker dies, so do the items that were not begun, and each
// that is to be tried again.
type scheduler struct {
	max       int  // workers; may change
	follows   bool // max is to be looked at from time to time
	starters  int  // workers that start at once
	perWorker int  // items that a worker makes in its life; 0: no limit
	retries   int  // of a request whose worker died
	oneByOne  bool // a worker that has a request is sent no other
	paces     []pace
	page      page

	serial uint64 // of the last job

	queue     fifo.Queue[*job] // those that were not sent
	withdrawn int              // of these: those that were withdrawn
	again     []*job           // those that come before the queue: they were sent, and did not start or are to start again
	asked     []*job           // parts of requests that were asked to stop, which do not start any more
	workers   []*worker
	closed    bool

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

// worker is a worker process, as the scheduler sees it.
type worker struct {
	state     workerState
	shares    bool   // memory, so that requests can be sent ahead to it
	jobs      []*job // that it was sent, in order
	slots     [aheadJobs]*job
	last      int           // the slot that was given last
	load      time.Duration // the weight of its jobs
	items     int           // that it was sent in its life
	heard     time.Time     // when it last got its first job, or gave a sign of life
	isStalled bool          // it did not start what it was sent: it gets nothing until it gives a sign of life
	isUsed    bool          // there is a job that it has not enough items left for
	process   *process      // nil in simulations
}

// freeSlot returns a slot that no job has. There is one: fits looks at that.
func (w *worker) freeSlot() int {
	for {
		w.last = (w.last + 1) % len(w.slots)
		if w.slots[w.last] == nil {
			return w.last
		}
	}
}

func (w *worker) isIdle() bool { return w.state == ready && len(w.jobs) == 0 }

type workerState int

const (
	starting workerState = iota
	ready
	retiring  // has been told to go
	condemned // is about to be killed, with the one job that it has
	gone
)

// order is something to do.
type order struct {
	what   what
	worker *worker
	job    *job
}

type what int

const (
	startWorker what = iota
	sendJob
	dismissWorker // it is to go: it has no jobs, and gets no more
	abandonWorker // it is starting, and nobody needs it any more
	pingWorker    // it is to give a sign of life
)

// The limits of what is sent ahead to one worker.
const (
	aheadTime = time.Millisecond
	aheadJobs = 254
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

// idleWorkerTime is how long a worker process that is not the last waits for
// work before it is let go.
const idleWorkerTime = time.Minute

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

// silence is how long a worker may say nothing before the jobs that were sent
// ahead to it are taken back for another; after stallTime, the first one too, if
// it has not started. Such a worker is stopped, or its machine has much to do.
const (
	silence   = 2 * time.Millisecond
	stallTime = 20 * time.Millisecond
)

// submit takes a request.
func (s *scheduler) submit(r *Request) {
	j := &r.whole
	s.serial++
	j.Request, j.serial, j.order, j.hi = r, s.serial, s.serial, max(1, r.Items)
	r.left.Store(int64(j.hi) + 1)
	s.queue.Push(j)
}

// divide makes a job of its own of items of a request, which another job had.
func (s *scheduler) divide(from *job, lo, hi, attempts int) *job {
	r := from.Request
	if r.parts == nil {
		r.parts = []*job{&r.whole}
	}
	s.serial++
	isAsked := from.isAsked || r.stopAt > 0 && lo >= r.stopAt
	j := &job{Request: r, lo: lo, hi: hi, serial: s.serial, order: from.order, attempts: attempts, isAsked: isAsked}
	r.parts = append(r.parts, j)
	r.left.Add(1)
	r.isBegun = true
	return j
}

// waiting is the number of jobs that wait to be sent.
func (s *scheduler) waiting() int { return s.unsent() + len(s.again) }

// unsent is the number of those that were never sent.
func (s *scheduler) unsent() int { return s.queue.Len() - s.withdrawn }

// queued is the number of requests that wait to be sent. Parts of a chunk that has begun
// are none.
func (s *scheduler) queued() int {
	n := s.unsent()
	for _, j := range s.again {
		if !j.isBegun {
			n++
		}
	}
	return n
}

// withdraw takes out a request that has not started, and reports whether it could.
func (s *scheduler) withdraw(r *Request) bool {
	j := &r.whole
	isSent := j.worker != nil
	if r.isBegun || r.isWithdrawn || isSent && !s.recall(j) {
		return false
	}
	r.isWithdrawn = true
	switch {
	case !r.wasSubmitted():
	case !j.wasSent:
		s.withdrawn++
		s.compact()
	case !isSent:
		s.unqueue(j)
	}
	return true
}

// compact gives back the places of withdrawn requests when they are the most of a long
// queue, so that each is looked at a bounded number of times.
func (s *scheduler) compact() {
	if s.withdrawn < 64 || s.withdrawn <= s.queue.Len()/2 {
		return
	}
	for range s.queue.Len() {
		if j := s.queue.Pop(); !j.isWithdrawn {
			s.queue.Push(j)
		}
	}
	s.withdrawn = 0
}

// unqueue takes a job that was sent before out of those that come next.
func (s *scheduler) unqueue(j *job) {
	s.again = slices.DeleteFunc(s.again, func(other *job) bool { return other == j })
}

// recall takes back a job that was sent, and reports whether it could.
func (s *scheduler) recall(j *job) bool {
	if !j.worker.shares || !s.page.takeBack(j) {
		return false
	}
	j.worker.items -= j.items()
	s.unassign(j)
	return true
}

// unassign takes a job off its worker.
func (s *scheduler) unassign(j *job) {
	w := j.worker
	i := slices.Index(w.jobs, j)
	w.jobs = slices.Delete(w.jobs, i, i+1)
	w.slots[j.slot] = nil
	w.load -= j.weight
	j.worker = nil
}

// next returns the next job to send, nil if there is none: the one with the lowest order.
func (s *scheduler) next() *job {
	for {
		var j *job
		for first := range s.queue.Front(1) {
			j = first
		}
		switch {
		case len(s.again) > 0 && (j == nil || s.again[0].order < j.order):
			j = s.again[0]
			s.again[0] = nil
			s.again = s.again[1:]
			return j
		case j == nil:
			return nil
		}
		s.queue.Pop()
		switch {
		case j.isWithdrawn:
			s.withdrawn--
		case j.Task.MayStart():
			return j
		default: // somebody else has ended it
			j.isWithdrawn, j.wasSent = true, true
		}
	}
}

// putBack makes jobs the next ones, in the order in which they came.
func (s *scheduler) putBack(jobs ...*job) {
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

// inOrder compares jobs by the order in which their requests came, and by their items.
func inOrder(a, b *job) int {
	return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.whole.serial, b.whole.serial), cmp.Compare(a.lo, b.lo))
}

// schedule decides what to do now. It is to be called again after every event,
// and at the time that it returns, unless that is zero. The orders are good until
// schedule is called again: their memory is used again.
func (s *scheduler) schedule(now time.Time) (orders []order, again time.Time) {
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

func (s *scheduler) order(what what, w *worker, j *job) {
	s.orders = append(s.orders, order{what, w, j})
}

// dispatch sends what waits to workers that have room.
func (s *scheduler) dispatch(now time.Time) {
	for s.waiting() > 0 && s.hasRoom() {
		j := s.next()
		if j == nil {
			return
		}
		w := s.pick(j, now)
		if w == nil {
			s.putBack(j)
			return
		}
		s.send(w, j, now)
	}
}

func (s *scheduler) hasRoom() bool {
	return slices.ContainsFunc(s.workers, func(w *worker) bool {
		return !w.isStalled && (w.isIdle() || w.state == ready && s.sendsAhead(w) && w.load < aheadTime)
	})
}

// sendsAhead reports whether w may be sent jobs while it has one. From a worker
// that shares no memory, they could not be taken back.
func (s *scheduler) sendsAhead(w *worker) bool { return w.shares && !s.oneByOne }

// pick returns the worker for j: the one that became idle last, because it is
// warm, or the one with the least work to which j can be sent ahead.
func (s *scheduler) pick(j *job, now time.Time) *worker {
	var idle, busy *worker
	for _, w := range s.workers {
		switch {
		case w.state != ready || w.isStalled:
		case s.perWorker > 0 && w.items > 0 && w.items+j.items() > s.perWorker:
			w.isUsed = true
		case w.isIdle():
			if idle == nil || w.heard.After(idle.heard) {
				idle = w
			}
		case s.fits(j, w, now) && (busy == nil || w.load < busy.load):
			busy = w
		}
	}
	if idle != nil && s.atWork() < s.max {
		return idle
	}
	return busy
}

// atWork is how many workers have jobs: for a while more than max, when that was lowered.
func (s *scheduler) atWork() (n int) {
	for _, w := range s.workers {
		if len(w.jobs) > 0 {
			n++
		}
	}
	return n
}

// fits reports whether j can be sent ahead to w, which has work.
func (s *scheduler) fits(j *job, w *worker, now time.Time) bool {
	return s.sendsAhead(w) && now.Sub(w.heard) < silence && w.load+s.weigh(j) <= aheadTime && len(w.jobs) < aheadJobs
}

// weigh returns how long j will take. If nobody knows, it is long enough that
// nothing is sent ahead behind it, nor it behind others.
func (s *scheduler) weigh(j *job) time.Duration {
	if each := s.paces[j.Function.Index]; each > 0 {
		return time.Duration(each) * time.Duration(j.items())
	}
	return aheadTime
}

func (s *scheduler) send(w *worker, j *job, now time.Time) {
	if !w.shares {
		j.isBegun = true // what cannot be taken back has started when it is sent
	}
	if len(w.jobs) == 0 {
		w.heard = now
	}
	j.worker, j.slot, j.wasSent = w, w.freeSlot(), true
	j.weight = s.weigh(j)
	w.slots[j.slot] = j
	w.jobs = append(w.jobs, j)
	w.load += j.weight
	w.items += j.items()
	s.order(sendJob, w, j)
}

// relieve takes back what was sent ahead to workers that have not been heard of
// for a while: one takes longer than thought. It goes to the next that has
// room, before all that was never sent.
func (s *scheduler) relieve(now time.Time) {
	for _, w := range s.workers {
		quiet := now.Sub(w.heard)
		switch {
		case !w.shares || len(w.jobs) == 0 || quiet < silence:
		case len(w.jobs) > 1:
			s.takeFrom(w, 1)
			if quiet >= stallTime && s.hasOther(w) {
				s.takeFrom(w, 0)
			}
		case quiet >= stallTime && s.hasOther(w):
			s.takeFrom(w, 0)
		}
	}
}

// hasOther reports whether another worker can do what w does not.
func (s *scheduler) hasOther(w *worker) bool {
	return s.size() < s.max || slices.ContainsFunc(s.workers, func(other *worker) bool { return other != w && !other.isStalled && other.isIdle() })
}

// takeFrom takes back the jobs of w from the first one on that have not started,
// and reports whether there were any.
func (s *scheduler) takeFrom(w *worker, first int) bool {
	var taken []*job
	for i := len(w.jobs) - 1; i >= first; i-- { // the last first: the worker, which starts them meanwhile, begins at the other end
		if j := w.jobs[i]; s.recall(j) {
			taken = append(taken, j)
		}
	}
	if len(taken) > 0 && len(w.jobs) == 0 {
		w.isStalled = true
		s.order(pingWorker, w, nil)
	}
	s.putBack(taken...)
	return len(taken) > 0
}

// balance gives idle workers, when nothing waits, the later half of what was
// sent ahead to a worker that has much, or of the items of a chunk that it is at.
func (s *scheduler) balance(now time.Time) {
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

// alternate gives those that wait their turn while workers are at long chunks: what
// was not begun of a chunk goes behind all that waits, when its worker has been at it for
// a while. So a small request does not wait for a whole map, nor one map for another. The
// chunks of one map do not make way for each other.
func (s *scheduler) alternate(now time.Time) {
	if s.waiting() == 0 {
		return
	}
	hasMadeWay := false
	for _, w := range s.workers {
		j := w.longChunk()
		if j == nil || now.Sub(w.heard) < silence || !s.isAwaited(j) {
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
func (s *scheduler) isAwaited(j *job) bool {
	const near = 32
	isOther := func(r *Request) bool { return !r.isWithdrawn && (r.Kin == nil || r.Kin != j.Kin) }
	for _, other := range s.again[:min(near, len(s.again))] {
		if isOther(other.Request) {
			return true
		}
	}
	for other := range s.queue.Front(near) {
		if isOther(other.Request) {
			return true
		}
	}
	return false
}

// hasIdle reports whether a worker has nothing to do.
func (s *scheduler) hasIdle() bool {
	return slices.ContainsFunc(s.workers, func(w *worker) bool { return w.isIdle() && !w.isStalled })
}

// share takes the later half of the items that were not begun from the worker that has
// the most of them, if they are expected to take long, or the worker was not heard of
// for a while. It reports whether there were any.
func (s *scheduler) share(now time.Time) bool {
	var most *job
	rest := 0
	for _, w := range s.workers {
		j := w.longChunk()
		if j == nil {
			continue
		}
		begun := s.page.begun(j)
		n := j.items() - begun
		isLong := now.Sub(w.heard) >= silence || s.weigh(j)/time.Duration(j.items())*time.Duration(n) > aheadTime/4
		if begun > 0 && n > rest && isLong {
			most, rest = j, n
		}
	}
	return most != nil && s.split(most, most.items()-(rest+1)/2)
}

// longChunk returns the chunk that a worker is at, if items of it can be taken back.
func (w *worker) longChunk() *job {
	if w.state != ready || !w.shares || w.isStalled || len(w.jobs) != 1 {
		return nil
	}
	if j := w.jobs[0]; j.isChunk() && j.items() > 1 && !j.isAsked {
		return j
	}
	return nil
}

// split takes the items of a chunk from one on back from its worker, for another, and
// reports whether it could.
func (s *scheduler) split(j *job, at int) bool {
	if at >= j.items() || at < 1 {
		return false
	}
	if at = s.page.cut(j, at); at >= j.items() {
		return false
	}
	rest := s.divide(j, j.lo+at, j.hi, j.attempts)
	j.hi = rest.lo
	j.worker.items -= rest.items()
	s.putBack(rest)
	return true
}

// laden returns the worker with the most to take from, nil if none has much.
func (s *scheduler) laden() *worker {
	var most *worker
	for _, w := range s.workers {
		if len(w.jobs) > 1 && w.load > aheadTime/4 && (most == nil || len(w.jobs) > len(most.jobs)) {
			most = w
		}
	}
	return most
}

// recruit starts workers for what waits. While others end, there is one more than
// max at most.
func (s *scheduler) recruit(now time.Time) {
	if now.Before(s.notUntil) {
		return
	}
	coming, wanted := 0, s.waiting()
	for _, w := range s.workers {
		if w.state == starting {
			coming++
		}
		if j := w.longChunk(); j != nil && now.Sub(w.heard) >= stallTime && s.page.begun(j) < j.items() && !s.hasIdle() {
			wanted++ // which would share it
		}
	}
	for n := s.size(); coming < min(wanted, s.starters) && n < s.max && len(s.workers) <= s.max; coming, n = coming+1, n+1 {
		w := &worker{heard: now}
		s.workers = append(s.workers, w)
		s.order(startWorker, w, nil)
		if s.failures > 0 {
			return // one at a time, until one is ready
		}
	}
}

// size is the number of workers that are there to stay.
func (s *scheduler) size() int {
	n := 0
	for _, w := range s.workers {
		if w.state < retiring {
			n++
		}
	}
	return n
}

// retire lets idle workers go that have made their items, that nobody needs
// any more, or that have had no work for long.
func (s *scheduler) retire(now time.Time) {
	size, isOver := s.size(), s.isOver()
	for _, w := range s.workers {
		switch {
		case w.state == starting && isOver:
			w.state = retiring
			s.order(abandonWorker, w, nil)
		case w.isIdle() && (s.perWorker > 0 && w.items >= s.perWorker || w.isUsed || isOver || size > s.max || size > 1 && now.Sub(w.heard) >= idleWorkerTime):
			w.state = retiring
			size--
			s.order(dismissWorker, w, nil)
		}
	}
}

// isOver reports whether no job will come for an idle worker.
func (s *scheduler) isOver() bool {
	return s.closed && s.waiting() == 0 && !slices.ContainsFunc(s.workers, func(w *worker) bool { return len(w.jobs) > 1 || w.longChunk() != nil })
}

// deadline returns when something is to be done though nothing happens.
func (s *scheduler) deadline(now time.Time) (at time.Time) {
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
	for _, w := range s.workers {
		if len(w.jobs) > 1 {
			sooner(w.heard.Add(silence))
		}
		if len(w.jobs) > 0 && w.shares {
			sooner(w.heard.Add(stallTime))
		}
		if w.longChunk() != nil && (s.hasIdle() || s.waiting() > 0) {
			sooner(w.heard.Add(silence))
		}
		if w.isIdle() && size > 1 {
			sooner(w.heard.Add(idleWorkerTime))
		}
	}
	return at
}

// isReady says that a worker can make requests.
func (s *scheduler) isReady(w *worker, shares bool, now time.Time) {
	s.failures = 0
	if w.state == starting { // else nobody needs it any more
		w.state, w.shares, w.heard = ready, shares, now
	}
}

// isAlive says that a worker has given a sign of life.
func (s *scheduler) isAlive(w *worker, now time.Time) { w.heard, w.isStalled = now, false }

// hasFailed says that a worker ended before it was ready, and reports whether
// that was once too often: whether no worker is left and none can be started.
func (s *scheduler) hasFailed(w *worker, now time.Time) (tooOften bool) {
	wasNeeded := w.state == starting
	s.remove(w)
	if !wasNeeded {
		return false
	}
	s.notUntil = now.Add(backoff << min(s.failures, doublings))
	s.failures++
	return s.failures >= startAttempts && !slices.ContainsFunc(s.workers, func(other *worker) bool { return other.state == ready })
}

// report is what a worker says of a job.
type report struct {
	slot        int
	serial      uint64
	from, items int  // of a chunk: the items that it is about, counted from the job's first
	more        bool // of a chunk: others follow
	spent       time.Duration
}

// ended says that a worker has made a request, or items of a chunk. It returns nil if
// the worker cannot have: it is out of its mind. Of the items behind those that it
// tells of, if there are some when it is over, nothing will ever be known.
func (s *scheduler) ended(w *worker, r report, now time.Time) *job {
	if r.slot >= len(w.slots) || w.slots[r.slot] == nil || w.slots[r.slot].serial != r.serial {
		return nil
	}
	j := w.slots[r.slot]
	if w.shares && s.page.takeBack(j) {
		return nil // it has not even started
	}
	if !j.note(r) {
		return nil
	}
	j.isBegun = true
	s.isAlive(w, now)
	if !r.more {
		s.unassign(j)
		j.drop()
		s.paces[j.Function.Index].add(r.spent, max(1, j.known))
	}
	return j
}

// note says that it is known of items what came of them. It returns false if that
// cannot be.
func (j *job) note(r report) bool {
	if !j.isChunk() {
		if r.more || r.from != 0 || r.items != 0 {
			return false
		}
		j.known = 1
		return true
	}
	known := j.known + r.items
	if r.from != j.known || known > j.items() || !r.more && known < j.items() && !j.StopsAtError {
		return false
	}
	j.known = known
	return true
}

// died says that a worker that was ready has ended. It returns the jobs, items of
// chunks among them, that died with it; what had not started, or may be tried again,
// comes next.
func (s *scheduler) died(w *worker) (dead []*job) {
	s.remove(w)
	var alive []*job
	for _, j := range slices.Clone(w.jobs) {
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
			if j.attempts++; j.attempts <= s.retries && j.unstart(w) {
				alive = append(alive, j)
				continue
			}
			j.isBegun = true
			j.drop()
			dead = append(dead, j)
		}
	}
	s.putBack(alive...)
	return dead
}

// begun returns how many items of a job its worker has begun: all, as far as anybody
// knows, if it shares no memory.
func (s *scheduler) begun(j *job) int {
	if !j.isChunk() || !j.worker.shares {
		return j.items()
	}
	return max(j.known, min(j.items(), s.page.begun(j)))
}

// breakUp divides a job that had started on a worker that has died into what is lost,
// each item a job of its own if it is tried again, and what was not begun.
func (s *scheduler) breakUp(j *job, begun int) (lost, others []*job) {
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
		j.left.Add(-1)
	}
	return lost, others
}

// condemn prepares the end of the worker of j, which does not return, and of nobody
// else: what was sent ahead behind it is taken back. It returns false if j has
// returned, though its reply has not come: another job has started.
func (s *scheduler) condemn(j *job) bool {
	w := j.worker
	if w == nil {
		return false
	}
	var taken []*job
	for i := len(w.jobs) - 1; i >= 0; i-- {
		if other := w.jobs[i]; other != j && s.recall(other) {
			taken = append(taken, other)
		}
	}
	s.putBack(taken...)
	if len(w.jobs) > 1 {
		return false
	}
	w.state = condemned
	return true
}

// unstart makes a job wait again that had started on w, and reports whether it may be
// tried again: not one that was asked to stop. A chunk stays one that has started.
func (j *job) unstart(w *worker) bool {
	if j.isAsked {
		return false
	}
	if !j.isChunk() && !w.shares {
		j.isBegun = false
	}
	return j.isChunk() || !j.isBegun
}

func (s *scheduler) remove(w *worker) {
	w.state = gone
	s.workers = slices.DeleteFunc(s.workers, func(other *worker) bool { return other == w })
}
