package procpool

import (
	"errors"
	"io"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/gofutures/futures/executor/internal/proc"
	"github.com/gofutures/futures/executor/internal/wire"
)

// Options say what a Pool is like, and what it calls. They are not checked.
type Options struct {
	MaxWorkers    int           // 0: as many as GOMAXPROCS says, which may change
	OneByOne      bool          // a worker that has a request is sent no other
	MostPerWorker int           // items after which a worker is replaced; 0: no limit
	MemoryLimit   int64         // of one worker, in bytes; 0: none
	Retries       int           // of a request, or an item, whose worker has died
	KillGrace     time.Duration // for a request that was interrupted
	Env           []string      // of the workers; nil: that of this process

	Stdout, Stderr io.Writer // what the workers print is written there

	Name        string   // of the pool
	Initializer string   // what each worker calls first, by its name there; "": nothing
	Depth       int      // how many processes above the workers start workers
	Functions   int      // their number: the Index of each is less
	Digest      [32]byte // of what the workers are to know

	// InitializerError returns the error that an initializer has failed with, from its
	// encoded form.
	InitializerError func(data []byte) error

	// Broken is called when no worker can be started, each time that is found. The death is
	// that of a process that was started and ended too early; it may be nil.
	Broken func(cause error, death *Death)

	// Left is called when a process has ended and nothing is left of it.
	Left func()

	// Rescheduled is called when the number of requests that wait to be sent may have
	// changed; nil if nobody asks.
	Rescheduled func()
}

// Pool makes requests in worker processes. It is made by New. All methods are safe for
// many goroutines.
type Pool struct {
	Options
	run func(proc.Options) (*system, error) // starts a process; tests have their own

	mu        sync.Mutex // guards the fields below, and what the scheduler has
	scheduler scheduler
	processes int // that exist
	early     int // of these: those that are not ready yet
	restarts  int
	isBroken  bool
	isDrained bool
	timer     *time.Timer // will call tick, at wake
	wake      time.Time
	followed  time.Time // when follow has looked
	watching  bool      // a goroutine watches the memory of the workers

	printer        printer
	stdout, stderr stream
}

// New returns a Pool, which has no workers yet.
func New(o Options) *Pool {
	most := o.MaxWorkers
	if most == 0 {
		most = runtime.GOMAXPROCS(0)
	}
	return &Pool{
		Options: o,
		run:     runSystem,
		scheduler: scheduler{
			max: most, follows: o.MaxWorkers == 0, starters: 2 * runtime.GOMAXPROCS(0), perWorker: o.MostPerWorker,
			retries: o.Retries, oneByOne: o.OneByOne, page: slotPage{}, paces: make([]pace, o.Functions),
		},
		stdout: stream{to: o.Stdout}, stderr: stream{to: o.Stderr},
	}
}

// Submit takes a request, and reports whether it did: it does not if Drain was here, and
// then the request can still be withdrawn. What it returns is to be flushed. One that was
// withdrawn before is done with.
func (p *Pool) Submit(r *Request) (u Unsent, isTaken bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case r.isWithdrawn:
		return Unsent{}, true
	case p.isDrained:
		return Unsent{}, false
	}
	p.scheduler.submit(r)
	return p.schedule(), true
}

// Withdraw takes out a request that has not started, or was not even submitted, and
// reports whether it could. Then its task is told nothing more, and the worker that it was sent to may be free: what
// Withdraw returns is to be flushed.
func (p *Pool) Withdraw(r *Request) (u Unsent, isWithdrawn bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.scheduler.withdraw(r) {
		return Unsent{}, false
	}
	return p.schedule(), true
}

// Queued returns how many requests wait to be sent to a worker. A chunk that has begun
// counts no more, though parts of it may wait.
func (p *Pool) Queued() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.scheduler.queued()
}

// Stats is what a Pool does at a moment.
type Stats struct {
	NotStarted int // requests that wait, here or in a worker
	Processes  int // that exist
	Early      int // of these: those that are not ready for a request yet
	Restarts   int // workers that have died
}

// Stats returns what the pool does.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Stats{NotStarted: p.scheduler.queued(), Processes: p.processes, Early: p.early, Restarts: p.restarts}
	for _, w := range p.scheduler.workers {
		for _, j := range w.jobs {
			if !j.Request.hasStarted() {
				s.NotStarted++
			}
		}
	}
	return s
}

// HasStarted reports whether a worker has started a request, or items of it.
func (p *Pool) HasStarted(r *Request) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return r.hasStarted()
}

// Made returns how many items of a chunk have ended. What a worker has begun has ended
// but for the last.
func (p *Pool) Made(r *Request) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !r.isChunk() || !r.wasSubmitted() {
		return 0
	}
	n := r.Items
	for _, j := range r.jobs() {
		ended := j.known
		if j.worker != nil && j.worker.shares {
			ended = max(ended, p.scheduler.page.begun(j)-1)
		}
		n -= j.items() - ended
	}
	return n
}

// schedule lets the scheduler decide, and carries its orders out but for the
// writing, which is left to the caller, without the lock. p.mu is held.
func (p *Pool) schedule() (u Unsent) {
	u.pool = p
	now := time.Now()
	p.follow(now)
	orders, again := p.scheduler.schedule(now)
	for _, o := range orders {
		switch o.what {
		case startWorker:
			p.start(o.worker)
			continue
		case sendJob:
			p.send(o.worker.process, o.job)
		case dismissWorker:
			p.dismiss(o.worker.process)
		case pingWorker:
			o.worker.process.enqueue(outgoing{kind: outPing})
		case abandonWorker:
			p.abandon(o.worker.process)
			continue
		}
		if u.first == nil {
			u.first, u.wasIdle = o.worker.process, len(o.worker.jobs) == 1
		} else if o.worker.process != u.first {
			u.others = append(u.others, o.worker.process)
		}
	}
	p.wakeAt(now, again)
	return u
}

// follow lets MaxWorkers 0 mean what GOMAXPROCS is now: the runtime changes it with the
// limit of a container. To ask takes a lock, so it is not done for each request while all
// workers are at work; where one is idle, this may be the last that is heard for long.
// p.mu is held.
func (p *Pool) follow(now time.Time) {
	const often = 10 * time.Millisecond
	if p.scheduler.follows && (now.Sub(p.followed) >= often || p.scheduler.hasIdle()) {
		p.scheduler.max, p.followed = runtime.GOMAXPROCS(0), now
	}
}

// Unsent is the processes for which there are frames to write. A function that writes
// them would be an allocation for each request.
type Unsent struct {
	pool    *Pool    // nil: there is nothing to do
	first   *process // nil if there are none
	wasIdle bool     // first has had no job before
	others  []*process
}

// Flush writes them. It is called without any lock.
func (u Unsent) Flush() {
	if u.first != nil {
		u.first.flush(u.wasIdle && u.others == nil)
		for _, pr := range u.others {
			pr.flush(false)
		}
	}
	if u.pool != nil && u.pool.Rescheduled != nil {
		u.pool.Rescheduled()
	}
}

// wakeAt lets tick be called then. p.mu is held.
func (p *Pool) wakeAt(now, then time.Time) {
	switch {
	case then.IsZero() || p.wake.After(now) && !p.wake.After(then):
		return // a tick that comes early does no harm
	case p.timer == nil:
		p.timer = time.AfterFunc(then.Sub(now), p.tick)
	default:
		p.timer.Reset(then.Sub(now))
	}
	p.wake = then
}

// tick looks whether there is something to do.
func (p *Pool) tick() {
	p.mu.Lock()
	unsent := p.schedule()
	p.mu.Unlock()
	unsent.Flush()
}

// start starts a worker process. p.mu is held.
func (p *Pool) start(w *worker) {
	w.process = newProcess(p, w)
	p.processes++
	p.early++
	go w.process.attend()
	if p.MemoryLimit > 0 && !p.watching {
		p.watching = true
		go p.watchMemory()
	}
}

// send sends a job to a worker. p.mu is held.
func (p *Pool) send(pr *process, j *job) {
	o := outgoing{data: j.data(), request: wire.Request{
		Slot: uint32(j.slot), Serial: j.serial, Func: j.Function.Index, Stops: j.StopsAtError, Attempt: uint32(j.attempts),
	}}
	if j.isChunk() {
		o.request.Items = uint32(j.items())
	}
	o.deadline, o.request.HasTimeout = j.Deadline, !j.Deadline.IsZero()
	if shared := pr.sys.Shared; shared != nil {
		setRange(&shared.Ranges[j.slot], j.items())
		shared.Slots[j.slot].Store(sentWord(j.serial))
	}
	pr.enqueue(o)
}

// dismiss tells a worker to go. p.mu is held.
func (p *Pool) dismiss(pr *process) {
	pr.enqueue(outgoing{kind: outEnd})
	time.AfterFunc(p.KillGrace, func() { pr.end(errors.New("executor: it did not go when it was told to")) })
}

// abandon ends a worker that is not ready yet. p.mu is held.
func (p *Pool) abandon(pr *process) {
	go pr.end(errors.New("executor: it was not needed any more"))
}

// isReady is called when a worker is ready.
func (p *Pool) isReady(w *worker) {
	p.mu.Lock()
	p.early--
	p.scheduler.isReady(w, w.process.sys.Shared != nil, time.Now())
	unsent := p.schedule()
	p.mu.Unlock()
	unsent.Flush()
}

// isAlive is called when a worker has answered a ping.
func (p *Pool) isAlive(w *worker) {
	p.mu.Lock()
	p.scheduler.isAlive(w, time.Now())
	unsent := p.schedule()
	p.mu.Unlock()
	unsent.Flush()
}

// hasFailed is called when a worker has ended before it was ready.
func (p *Pool) hasFailed(w *worker, err error, death *Death) {
	p.mu.Lock()
	p.early--
	if tooOften := p.scheduler.hasFailed(w, time.Now()); tooOften || errors.As(err, new(*permanentError)) {
		p.isBroken = true
	}
	isBroken := p.isBroken
	unsent := p.schedule()
	p.mu.Unlock()
	unsent.Flush()
	if isBroken {
		p.Broken(err, death)
	}
}

// died is called when a worker that was ready has ended.
func (p *Pool) died(w *worker, death *Death) {
	p.salvage(w.process)
	p.mu.Lock()
	if w.state != retiring {
		p.restarts++
	}
	dead := p.scheduler.died(w)
	deaths := make([]*Death, len(dead))
	for i, j := range dead {
		own := *death
		own.Attempts = j.attempts
		if j.reason != nil {
			own.Reason = j.reason
		}
		deaths[i] = &own
	}
	unsent := p.schedule()
	p.mu.Unlock()
	unsent.Flush()
	for i, j := range dead {
		p.lose(j, deaths[i])
	}
	p.endAsked()
}

// salvage keeps the items that a worker had ended before it died, and of which no
// reply came.
func (p *Pool) salvage(pr *process) {
	p.mu.Lock()
	for _, j := range pr.worker.jobs {
		m, data, ok := pr.salvage(j)
		if !ok {
			continue
		}
		j.note(reportOf(m))
		j.isBegun = true
		data = slices.Clone(data)
		p.mu.Unlock()
		p.complete(pr, j, m, data)
		return // a worker is at one chunk at a time
	}
	p.mu.Unlock()
}

// left counts a worker that has ended, of which nothing is left.
func (p *Pool) left() {
	p.mu.Lock()
	p.processes--
	if p.scheduler.closed && p.processes == 0 && p.timer != nil {
		p.timer.Stop()
		p.wake = time.Time{}
	}
	p.mu.Unlock()
	p.Left()
}

// ended is called with replies of a worker. It returns false if the worker
// cannot mean them.
func (p *Pool) ended(pr *process, batch []wire.Reply) bool {
	now := time.Now()
	jobs := make([]*job, 0, len(batch))
	p.mu.Lock()
	for _, m := range batch {
		j := p.scheduler.ended(pr.worker, reportOf(m), now)
		if j == nil {
			break
		}
		jobs = append(jobs, j)
	}
	unsent := p.schedule()
	p.mu.Unlock()
	unsent.Flush()
	sane := len(jobs) == len(batch)
	for i, j := range jobs {
		data, ok := pr.data(batch[i].Data)
		if !ok {
			sane = false
			batch[i].Kind, batch[i].Data = byte(Lost), wire.Data{}
		}
		p.complete(pr, j, batch[i], data)
	}
	return sane
}

func reportOf(m wire.Reply) report {
	return report{slot: int(m.Slot), serial: m.Serial, from: int(m.From), items: int(m.Items), more: m.More, spent: m.Spent}
}

// complete keeps what came of a job, or of items of it. This goroutine reads from a
// worker, so that neither code of the user's, in a type's own unmarshaler, runs here,
// nor what takes long: the replies behind would wait for it. The memory of data is used
// again when complete has returned.
func (p *Pool) complete(pr *process, j *job, m wire.Reply, data []byte) {
	if !j.Function.Plain || len(data) >= j.Function.Quick {
		p.completeElsewhere(pr, j, m, data)
		return
	}
	p.keep(j, m, data)
	pr.giveBack(m.Data)
}

// completeElsewhere is complete on another goroutine. Code of the user's, which may
// take for ever, gets its own copy of the reply.
func (p *Pool) completeElsewhere(pr *process, j *job, m wire.Reply, data []byte) {
	isPlain := j.Function.Plain
	if !m.Data.Shared {
		data = slices.Clone(data) // the memory of frames is used again
	}
	done := pr.hold(len(data))
	go func() {
		if isPlain {
			p.keep(j, m, data)
		} else if m.Data.Shared {
			data = slices.Clone(data)
		}
		pr.giveBack(m.Data)
		done()
		if !isPlain {
			p.keep(j, m, data)
		}
	}()
}

// keep is complete on any goroutine.
func (p *Pool) keep(j *job, m wire.Reply, data []byte) {
	over := int(m.Items)
	if !m.More { // of what is behind, nothing will be known: the chunk was to stop
		over = j.items() - int(m.From) + 1
	}
	var err error
	if m.Items > 0 || !j.isChunk() {
		err = j.Task.Keep(j.lo+int(m.From), int(m.Items), Reply{Kind(m.Kind), data})
	}
	p.finish(j.Request, over, err)
}

// lose ends a job, and the items of it that are not known.
func (p *Pool) lose(j *job, why error) {
	n := j.items() - j.known
	var err error
	if n > 0 {
		err = j.Task.Lose(j.lo+j.known, n, why)
	}
	p.finish(j.Request, n+1, err)
}

// finish says that so many items and jobs of a request are over, and ends it if these were
// the last.
func (p *Pool) finish(r *Request, over int, err error) {
	if err != nil {
		p.mu.Lock()
		if r.err == nil {
			r.err = err
		}
		p.mu.Unlock()
	}
	if r.left.Add(int64(-over)) == 0 {
		r.Task.End(r.err)
	}
}

// Interrupt asks a request that has started to stop, for a reason, and kills its worker if
// it does not within KillGrace. The cause is the reason for the worker, encoded;
// isKnown says that the worker will find out by itself, from the deadline.
//
// It returns false if the request waits again, because its worker has died: Withdraw is
// likely to do it then.
func (p *Pool) Interrupt(r *Request, reason error, cause string, isKnown bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.isWithdrawn || r.reason != nil {
		return true
	}
	jobs := r.jobs()
	if !r.isBegun && len(jobs) > 0 && jobs[0].worker == nil {
		return false
	}
	r.isBegun, r.reason = true, reason
	for _, j := range jobs {
		p.ask(j, reason, cause, isKnown)
	}
	go p.endAsked()
	return true
}

// ask asks a job to stop, for a reason. What its worker has not begun is taken back, for endAsked.
// p.mu is held.
func (p *Pool) ask(j *job, reason error, cause string, isKnown bool) {
	if j.isAsked {
		return
	}
	j.isAsked = true
	w := j.worker
	switch {
	case w == nil:
		p.scheduler.unqueue(j)
		p.scheduler.putBack(j)
		return
	case p.scheduler.recall(j):
		p.scheduler.putBack(j)
		return
	case j.isChunk() && w.shares:
		p.scheduler.split(j, max(1, p.scheduler.page.begun(j)))
	}
	pr := w.process
	if !isKnown {
		pr.enqueue(outgoing{kind: outCancel, cause: cause, request: wire.Request{Slot: uint32(j.slot), Serial: j.serial}})
		go pr.flush(false)
	}
	j.grace = time.AfterFunc(p.KillGrace, func() { p.endHanging(j, pr, reason) })
}

// endAsked ends the parts of chunks that were asked to stop and have not begun.
func (p *Pool) endAsked() {
	p.mu.Lock()
	asked := p.scheduler.asked
	p.scheduler.asked = nil
	for _, j := range asked {
		j.drop()
	}
	unsent := p.schedule()
	p.mu.Unlock()
	unsent.Flush()
	for _, j := range asked {
		p.lose(j, ErrNotBegun)
	}
}

// EndBehind ends what is made of a chunk behind an item that has failed, by other
// workers than the one that made that, as Interrupt does.
func (p *Pool) EndBehind(r *Request, item int, reason error, cause string) {
	p.mu.Lock()
	if r.stopAt == 0 || r.stopAt > item+1 {
		r.stopAt = item + 1
	}
	for _, j := range slices.Clone(r.parts) {
		if j.lo > item {
			p.ask(j, reason, cause, false)
		}
	}
	p.mu.Unlock()
	p.endAsked()
}

// endHanging ends the worker of a job that did not return in time.
func (p *Pool) endHanging(j *job, pr *process, reason error) {
	p.mu.Lock()
	isCondemned := p.scheduler.condemn(j)
	unsent := p.schedule()
	p.mu.Unlock()
	unsent.Flush()
	if isCondemned {
		pr.endWithStacks(reason)
	}
}

// watchMemory ends workers that are over the MemoryLimit.
func (p *Pool) watchMemory() {
	const interval = 50 * time.Millisecond
	for {
		p.mu.Lock()
		workers := slices.Clone(p.scheduler.workers)
		p.watching = len(workers) > 0
		isOver := !p.watching
		p.mu.Unlock()
		if isOver {
			return
		}
		for _, w := range workers {
			w.process.endForMemory()
		}
		time.Sleep(interval)
	}
}

// Close says that no request will come any more: idle workers go, and the others when
// nothing is left for them.
func (p *Pool) Close() {
	p.mu.Lock()
	p.scheduler.closed = true
	unsent := p.schedule()
	p.mu.Unlock()
	unsent.Flush()
}

// TryNoMore lets nothing be tried again whose worker dies.
func (p *Pool) TryNoMore() {
	p.mu.Lock()
	p.scheduler.retries = 0
	p.mu.Unlock()
}

// Drain takes out the requests that have not started, and returns their tasks, which are to
// be withdrawn. Of those that have, it ends the parts that have not begun, with err. From
// then on, no request is taken.
func (p *Pool) Drain(err error) (tasks []Task) {
	p.mu.Lock()
	p.isDrained = true
	for _, w := range p.scheduler.workers {
		p.scheduler.takeFrom(w, 0)
	}
	var parts []*job
	for j := p.scheduler.next(); j != nil; j = p.scheduler.next() {
		j.wasSent = true // it is not in the queue any more
		if j.isBegun {
			j.drop()
			parts = append(parts, j)
		} else {
			tasks = append(tasks, j.Task)
		}
	}
	p.mu.Unlock()
	for _, j := range parts {
		p.lose(j, err)
	}
	p.tick()
	return tasks
}

// EndEarly ends the processes that are not ready yet.
func (p *Pool) EndEarly(reason error) {
	p.mu.Lock()
	var early []*process
	for _, w := range p.scheduler.workers {
		if w.state == starting {
			early = append(early, w.process)
		}
	}
	p.mu.Unlock()
	for _, pr := range early {
		pr.end(reason)
	}
}

// Running returns the tasks of the requests that workers have, once for each job.
func (p *Pool) Running() (tasks []Task) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.scheduler.workers {
		for _, j := range w.jobs {
			tasks = append(tasks, j.Task)
		}
	}
	return tasks
}

// FlushOutput waits until what the workers printed is written, its writer is stuck, or end
// is closed. It is for the end, when nobody prints any more.
func (p *Pool) FlushOutput(end <-chan struct{}) { p.printer.flush(end) }

// Inventory is what workers have, for tests.
type Inventory struct {
	Sent, MostSent int // requests and parts of some: of all workers, and of one
	Waiting        int // those that were not sent, or are to be sent again
	Lent           int // areas of shared memory that are in use
	PIDs           []int
}

// Inventory returns what workers have.
func (p *Pool) Inventory() (v Inventory) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v.Waiting = p.scheduler.waiting()
	for _, w := range p.scheduler.workers {
		v.Sent += len(w.jobs)
		v.MostSent = max(v.MostSent, len(w.jobs))
		if w.state != ready {
			continue
		}
		v.PIDs = append(v.PIDs, w.process.sys.PID)
		if shared := w.process.sys.Shared; shared != nil {
			for area := range shared.Areas {
				v.Lent += int(shared.Slots[aheadJobs+area].Load())
			}
		}
	}
	return v
}
