package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/gofutures/futures/executor/internal/proc"
	"github.com/gofutures/futures/executor/internal/wire"
)

// ProcessPoolExecutor makes calls in at most MaxWorkers worker processes:
// concurrent.futures.ProcessPoolExecutor. A worker is this very program, in
// which [WorkerMain] makes calls instead of returning. The zero value is ready
// to use. The fields are set before the first call and not changed afterwards;
// it must not be copied after the first use, and is to be closed. One that is dropped
// without Close makes the calls that it has taken, and its workers end when the
// garbage collector has found that nobody has it.
//
// What goroutines cannot do is its reason: a call that does not return is
// ended; a call that crashes, calls os.Exit, overflows the stack or eats all
// memory fails alone; memory is given back; C code that is not safe for
// threads runs in parallel. A call costs some microseconds more.
//
// Functions must be registered, see [Register]. Arguments and results are
// copied. An argument that is a string or a slice of bytes or numbers is copied
// while the call is on its way, so it must not be changed before the call is done,
// nor after a call that was cancelled or lost its worker.
//
// Workers start when there is work for them, a worker is used again and again,
// and those that have had no work for a minute are let go, but for one. When
// this process ends, however it ends, its workers end, and on Linux the system
// ends what they have started, also where a worker has ended before; but for programs
// that have left the worker's process group.
//
// If a worker dies, only the calls fail that had started in it and whose result it
// had not sent: of calls that take 100 µs or more, one. All others run elsewhere. Of
// the items of a chunk, whoever has made it one, only the one fails that the worker was
// at; those before it keep their results.
//
// On Linux, all of this holds. Where there is no memory to share (macOS, Windows),
// a call counts as started when it is sent to a worker, and a chunk with all of its items,
// of which those keep their results that were sent, every 50 µs; nothing is sent ahead;
// big arguments are copied through a pipe; MemoryLimit is not watched. On Windows,
// what a worker has started outlives it.
type ProcessPoolExecutor struct {
	// MaxWorkers is the number of processes, and of calls that run at once; 0
	// means GOMAXPROCS. While workers are replaced, there is one process more at most.
	MaxWorkers int

	// Name is how errors name the pool; "" means "ProcessPoolExecutor".
	Name string

	// Initializer is called by each worker before its first call. It must be
	// registered with [RegisterInitializer]. A worker whose Initializer fails
	// is replaced, after a while that doubles; if that happens five times in a
	// row, the executor is broken: the calls that have not started, and all
	// later ones, fail with an error that matches [ErrBroken].
	Initializer func(context.Context) error

	// QueueLimit is the number of calls that may wait to be sent to a worker; 0
	// means no limit. See ThreadPoolExecutor. Tiny calls are sent ahead of their
	// start, up to about a millisecond of work for each worker.
	QueueLimit int

	// NoPrefetch sends a call, or a chunk, to a worker only when the worker has
	// nothing else to do: no call ever waits behind another in a worker, QueueLimit
	// counts all that wait, and a worker that dies takes one call with it, however
	// short. It costs each call the way there and back, some tens of microseconds. It
	// is for tiny calls of which each loss counts, and for a function that is mostly
	// tiny and sometimes long. Without it, calls are sent ahead up to about a
	// millisecond of measured work for each worker, and can still be cancelled until
	// they start. CPython sends MaxWorkers+1 calls ahead, whatever they take, which
	// can no longer be cancelled.
	NoPrefetch bool

	// MaxTasksPerChild is the number of calls, or items of a chunk, after
	// which a worker is replaced; 0 means no limit. A chunk is not split for it.
	MaxTasksPerChild int

	// MemoryLimit is the resident memory of one worker, in bytes, above which
	// it is killed and its call fails with a [*WorkerDiedError]; 0 means no
	// limit. The worker's GOMEMLIMIT is a tenth below. It is watched on Linux,
	// some times a second.
	MemoryLimit int64

	// Retries is how often a call, or an item of a chunk, is run again whose worker
	// died; 0 means never. A call that its ctx, Cancel or Shutdown ended is not run again.
	Retries int

	// KillGrace is how long a call that runs may take to return when its ctx
	// ends, it is cancelled, or Shutdown ends it. Then its worker is killed.
	// 0 means 1 s.
	KillGrace time.Duration

	// Env is the environment of the workers; nil means that of this process.
	Env []string

	// Stdout and Stderr are given what the workers print, in whole lines; nil
	// means those of this process. They are written to by one goroutine at a
	// time. A writer that fails is given no more. One that does not return for
	// a second holds up nobody: what it has no room for is dropped, and a line
	// says so.
	Stdout, Stderr io.Writer

	pool atomic.Pointer[processPool] // nil before the first use
}

// processPool is what a ProcessPoolExecutor does its work with. The goroutines of the
// workers, the timers and the calls have this, and not the executor: so the garbage
// collector finds when nobody has that any more.
type processPool struct {
	processOptions

	intake intake // its mu guards the fields below too

	sup         *supervisor // nil before the first call
	initializer string      // its registered name
	room        room
	broken      error
	timer       *time.Timer // will call tick, at wake
	wake        time.Time
	followed    time.Time // when follow has looked
	watching    bool      // a goroutine watches the memory of the workers

	printer        printer
	stdout, stderr stream
}

// processOptions are the fields of a ProcessPoolExecutor.
type processOptions struct {
	MaxWorkers       int
	Name             string
	Initializer      func(context.Context) error
	QueueLimit       int
	NoPrefetch       bool
	MaxTasksPerChild int
	MemoryLimit      int64
	Retries          int
	KillGrace        time.Duration
	Env              []string
	Stdout, Stderr   io.Writer
}

// inside returns the pool of the executor. When the executor is dropped, the idle
// workers go, and the others when they have made the calls that were taken.
func (e *ProcessPoolExecutor) inside() *processPool {
	if p := e.pool.Load(); p != nil {
		return p
	}
	p := &processPool{processOptions: processOptions{
		MaxWorkers: e.MaxWorkers, Name: e.Name, Initializer: e.Initializer, QueueLimit: e.QueueLimit, NoPrefetch: e.NoPrefetch,
		MaxTasksPerChild: e.MaxTasksPerChild, MemoryLimit: e.MemoryLimit, Retries: e.Retries, KillGrace: e.KillGrace,
		Env: e.Env, Stdout: e.Stdout, Stderr: e.Stderr,
	}}
	if !e.pool.CompareAndSwap(nil, p) {
		return e.pool.Load()
	}
	runtime.AddCleanup(e, (*processPool).takeNoMore, p)
	return p
}

// takeNoMore is called when no call will come any more.
func (e *processPool) takeNoMore() {
	e.intake.mu.Lock()
	var mail mail
	if e.sup != nil {
		e.sup.closed = true
		mail = e.schedule()
	}
	e.intake.mu.Unlock()
	mail.flush()
}

// Execute is called by [Submit].
func (e *ProcessPoolExecutor) Execute(ctx context.Context, c *Call) {
	if e == nil {
		c.Reject(errNilExecutor("ProcessPoolExecutor"))
		return
	}
	e.inside().execute(ctx, c)
	runtime.KeepAlive(e)
}

// Workers returns the number of calls that run at once.
func (e *ProcessPoolExecutor) Workers() int {
	if e == nil {
		return defaultWorkers(0)
	}
	return defaultWorkers(e.MaxWorkers)
}

// defaultWorkers returns how many workers MaxWorkers means.
func defaultWorkers(most int) int {
	if most > 0 {
		return most
	}
	return runtime.GOMAXPROCS(0)
}

func (e *processPool) execute(ctx context.Context, c *Call) {
	r := newRequest(c.body, c)
	e.intake.mu.Lock()
	err := e.refusal()
	e.intake.mu.Unlock()
	if err != nil {
		c.Reject(err)
		return
	}
	r.deadline, _ = ctx.Deadline()
	r.parcel, err = c.body.encode()
	if err == nil && len(r.parcel.data) > wire.MaxFrame-1024 {
		err = fmt.Errorf("executor: the argument of %s has %d bytes; the limit is %d", r.parcel.fn.about().name, len(r.parcel.data), wire.MaxFrame-1024)
	}
	switch {
	case err != nil && err != errNothingToDo && r.parcel.fn == nil: // of the function: the next is no better
		c.Reject(err)
		return
	case err != nil: // of this argument: the next may be better
		c.Complete(nil, err)
		return
	}

	e.intake.mu.Lock()
	if err := e.refusal(); err != nil {
		e.intake.mu.Unlock()
		c.Reject(err)
		return
	}
	if !e.intake.admit(c) {
		e.intake.mu.Unlock()
		return
	}
	c.body = r
	e.sup.submit(r)
	mail := e.schedule()
	s := e.room.block(c, e.sup.waiting())
	e.intake.mu.Unlock()

	mail.flush()
	if c.route.Load().done != nil {
		e.intake.watches.add(c)
	}
	if s != nil {
		s.wait(ctx)
	}
}

// refusal returns why no call is taken, if so. intake.mu is held.
func (e *processPool) refusal() error {
	switch {
	case e.intake.closed:
		return ErrShutdown
	case e.broken != nil:
		return e.broken
	case e.sup == nil:
		return e.open()
	}
	return nil
}

// open is for the first call. intake.mu is held.
func (e *processPool) open() error {
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"MaxWorkers", int64(e.MaxWorkers)}, {"QueueLimit", int64(e.QueueLimit)}, {"MaxTasksPerChild", int64(e.MaxTasksPerChild)},
		{"MemoryLimit", e.MemoryLimit}, {"Retries", int64(e.Retries)}, {"KillGrace", int64(e.KillGrace)},
	} {
		if f.value < 0 {
			return fmt.Errorf("executor: ProcessPoolExecutor: %s is %d; it must be positive, or 0 for the default", f.name, f.value)
		}
	}
	if err := mayHaveWorkers(); err != nil {
		return err
	}
	if e.Initializer != nil {
		name, err := findInitializer(e.Initializer)
		if err != nil {
			return err
		}
		e.initializer = name
	}
	e.sup = &supervisor{max: defaultWorkers(e.MaxWorkers), follows: e.MaxWorkers == 0, starters: 2 * runtime.GOMAXPROCS(0), perChild: e.MaxTasksPerChild, retries: e.Retries, oneByOne: e.NoPrefetch, page: slotPage{}, paces: make([]pace, len(registry.sorted))}
	e.room.limit = e.QueueLimit
	e.stdout.to, e.stderr.to = e.Stdout, e.Stderr
	if e.Stdout == nil {
		e.stdout.to = os.Stdout
	}
	if e.Stderr == nil {
		e.stderr.to = os.Stderr
	}
	e.intake.processes = e
	return nil
}

func (e *processPool) name() string {
	if e.Name != "" {
		return e.Name
	}
	return "ProcessPoolExecutor"
}

func (e *processPool) grace() time.Duration {
	if e.KillGrace > 0 {
		return e.KillGrace
	}
	return time.Second
}

// schedule lets the supervisor decide, and carries its orders out but for the
// writing, which is left to who calls it, without intake.mu. intake.mu is held.
func (e *processPool) schedule() (m mail) {
	now := time.Now()
	e.follow(now)
	orders, again := e.sup.schedule(now)
	for _, o := range orders {
		switch o.what {
		case startChild:
			e.start(o.child)
			continue
		case sendJob:
			e.send(o.child.link, o.job)
		case dismissChild:
			e.dismiss(o.child.link)
		case pingChild:
			o.child.link.enqueue(outgoing{kind: outPing})
		case abandonChild:
			e.abandon(o.child.link)
			continue
		}
		if m.first == nil {
			m.first, m.wasIdle = o.child.link, len(o.child.jobs) == 1
		} else if o.child.link != m.first {
			m.others = append(m.others, o.child.link)
		}
	}
	e.wakeAt(now, again)
	e.room.unblock(e.sup.waiting())
	return m
}

// follow lets MaxWorkers 0 mean what GOMAXPROCS is now: the runtime changes it with the
// limit of a container. To ask takes a lock, so it is not done for each call. intake.mu
// is held.
func (e *processPool) follow(now time.Time) {
	const often = 10 * time.Millisecond
	if e.sup.follows && now.Sub(e.followed) >= often {
		e.sup.max, e.followed = runtime.GOMAXPROCS(0), now
	}
}

// mail is the workers for which there are frames to write. A function that writes
// them would be an allocation for each call.
type mail struct {
	first   *link // nil if there are none
	wasIdle bool  // first has had no call before
	others  []*link
}

// flush is called without intake.mu.
func (m mail) flush() {
	if m.first == nil {
		return
	}
	m.first.flush(m.wasIdle && m.others == nil)
	for _, l := range m.others {
		l.flush(false)
	}
}

// wakeAt lets tick be called then. intake.mu is held.
func (e *processPool) wakeAt(now, then time.Time) {
	switch {
	case then.IsZero() || e.wake.After(now) && !e.wake.After(then):
		return // a tick that comes early does no harm
	case e.timer == nil:
		e.timer = time.AfterFunc(then.Sub(now), e.tick)
	default:
		e.timer.Reset(then.Sub(now))
	}
	e.wake = then
}

func (e *processPool) tick() {
	e.intake.mu.Lock()
	mail := e.schedule()
	e.intake.mu.Unlock()
	mail.flush()
}

// start starts a worker process. intake.mu is held.
func (e *processPool) start(ch *child) {
	ch.link = &link{pool: e, child: ch, room: semaphore.NewWeighted(mostHeld)}
	e.intake.stats.Workers++
	e.intake.initializing++
	go ch.link.attend()
	if e.MemoryLimit > 0 && !e.watching {
		e.watching = true
		go e.watchMemory()
	}
}

// send sends a call to a worker. intake.mu is held.
func (e *processPool) send(l *link, j *job) {
	o := outgoing{data: j.data(), job: wire.Call{
		Slot: uint32(j.slot), Serial: j.serial, Func: j.parcel.fn.about().index, Stops: j.parcel.stops, Attempt: uint32(j.attempts),
	}}
	if j.isChunk() {
		o.job.Items = uint32(j.items())
	}
	o.deadline, o.job.HasTimeout = j.deadline, !j.deadline.IsZero()
	if shared := l.proc.Shared; shared != nil {
		setRange(&shared.Ranges[j.slot], j.items())
		shared.Slots[j.slot].Store(sentWord(j.serial))
	}
	l.enqueue(o)
}

// data returns the encoded argument of a job, or those of its items.
func (j *job) data() []byte {
	if j.items() >= j.parcel.n {
		return j.parcel.data
	}
	size := j.parcel.fn.about().size
	from := cutItems(j.parcel.data, j.lo, size)
	rest := cutItems(from, j.items(), size)
	return from[: len(from)-len(rest) : len(from)-len(rest)]
}

// cutItems takes the first n items off encoded ones.
func cutItems(data []byte, n, size int) []byte {
	if size > 0 {
		return data[n*size:]
	}
	for range n {
		_, data, _ = wire.CutItem(data, 0) // they are our own
	}
	return data
}

// dismiss tells a worker to go. intake.mu is held.
func (e *processPool) dismiss(l *link) {
	l.enqueue(outgoing{kind: outEnd})
	time.AfterFunc(e.grace(), func() { l.end(errors.New("executor: it did not go when it was told to")) })
}

// abandon ends a worker that is not ready yet. intake.mu is held.
func (e *processPool) abandon(l *link) {
	go l.end(errors.New("executor: it was not needed any more"))
}

// isReady is called when a worker is ready.
func (e *processPool) isReady(ch *child) {
	e.intake.mu.Lock()
	e.intake.initializing--
	e.sup.isReady(ch, ch.link.proc.Shared != nil, time.Now())
	mail := e.schedule()
	e.intake.mu.Unlock()
	mail.flush()
}

// isAlive is called when a worker has answered a ping.
func (e *processPool) isAlive(ch *child) {
	e.intake.mu.Lock()
	e.sup.isAlive(ch, time.Now())
	mail := e.schedule()
	e.intake.mu.Unlock()
	mail.flush()
}

// hasFailed is called when a worker has ended before it was ready.
func (e *processPool) hasFailed(ch *child, err error) {
	permanent := new(permanentError)
	e.intake.mu.Lock()
	e.intake.initializing--
	if tooOften := e.sup.hasFailed(ch, time.Now()); tooOften || errors.As(err, &permanent) {
		if e.broken == nil {
			e.broken = fmt.Errorf("%w: %s: %w", ErrBroken, e.name(), err)
		}
	}
	err = e.broken
	mail := e.schedule()
	e.intake.mu.Unlock()
	mail.flush()
	if err != nil {
		e.empty(func(c *Call) { e.intake.refuse(c, err) }, err)
	}
}

// died is called when a worker that was ready has ended.
func (e *processPool) died(ch *child, obituary *WorkerDiedError) {
	e.salvage(ch.link)
	e.intake.mu.Lock()
	if ch.state != retiring {
		e.intake.stats.Restarts++
	}
	dead := e.sup.died(ch)
	reasons := make([]error, len(dead))
	for i, j := range dead {
		reasons[i] = j.reason
	}
	mail := e.schedule()
	e.intake.mu.Unlock()
	mail.flush()
	for i, j := range dead {
		err := *obituary
		err.Attempts = j.attempts
		if reasons[i] != nil {
			err.reason = reasons[i]
		}
		e.lose(j, &err)
	}
	e.endAsked()
}

// salvage completes the items that a worker had ended before it died, and of which no
// result came.
func (e *processPool) salvage(l *link) {
	e.intake.mu.Lock()
	for _, j := range l.child.jobs {
		m, data, ok := l.salvage(j)
		if !ok {
			continue
		}
		j.note(reportOf(m))
		j.settle()
		data = slices.Clone(data)
		e.intake.mu.Unlock()
		e.complete(l, j, m, data)
		return // a worker is at one chunk at a time
	}
	e.intake.mu.Unlock()
}

// left counts a worker that has ended, of which nothing is left.
func (e *processPool) left() {
	e.intake.mu.Lock()
	defer e.intake.mu.Unlock()
	e.intake.stats.Workers--
	if e.sup.closed && e.intake.stats.Workers == 0 && e.timer != nil {
		e.timer.Stop()
	}
	if e.intake.closed {
		e.intake.ring()
	}
}

// ended is called with results of a worker. It returns false if the worker
// cannot mean them.
func (e *processPool) ended(l *link, batch []wire.Result) bool {
	now := time.Now()
	jobs := make([]*job, 0, len(batch))
	e.intake.mu.Lock()
	for _, m := range batch {
		j := e.sup.ended(l.child, reportOf(m), now)
		if j == nil {
			break
		}
		jobs = append(jobs, j)
	}
	mail := e.schedule()
	e.intake.mu.Unlock()
	mail.flush()
	sane := len(jobs) == len(batch)
	for i, j := range jobs {
		data, ok := l.data(batch[i].Data)
		if !ok {
			sane = false
			batch[i].Kind, batch[i].Data = byte(lost), wire.Data{}
		}
		e.complete(l, j, batch[i], data)
	}
	return sane
}

func reportOf(m wire.Result) report {
	return report{slot: int(m.Slot), serial: m.Serial, from: int(m.From), items: int(m.Items), more: m.More, spent: m.Spent}
}

// complete keeps what came of a job, or of items of it. This goroutine reads from a
// worker, so that neither code of the user's, in a type's own unmarshaler, runs here,
// nor what takes long: the results behind would wait for it. The memory of data is used
// again when complete has returned.
func (e *processPool) complete(l *link, j *job, m wire.Result, data []byte) {
	if about := j.parcel.fn.about(); !about.plain || len(data) >= about.quick {
		e.completeElsewhere(l, j, m, data)
		return
	}
	e.keep(j, m, data)
	l.giveBack(m.Data)
}

// completeElsewhere is complete on another goroutine. Code of the user's, which may
// take for ever, gets its own copy of the result.
func (e *processPool) completeElsewhere(l *link, j *job, m wire.Result, data []byte) {
	isPlain := j.parcel.fn.about().plain
	if !m.Data.Shared {
		data = slices.Clone(data) // the memory of frames is used again
	}
	done := l.hold(len(data))
	go func() {
		if isPlain {
			e.keep(j, m, data)
		} else if m.Data.Shared {
			data = slices.Clone(data)
		}
		l.giveBack(m.Data)
		done()
		if !isPlain {
			e.keep(j, m, data)
		}
	}()
}

// keep is complete on any goroutine.
func (e *processPool) keep(j *job, m wire.Result, data []byte) {
	over := int(m.Items)
	if !m.More { // of what is behind, nothing will be known: the chunk was to stop
		over = j.items() - int(m.From) + 1
	}
	var err error
	if m.Items > 0 || !j.isChunk() {
		err = j.body.complete(j.lo+int(m.From), int(m.Items), result{resultKind(m.Kind), data})
	}
	e.finish(j.request, over, err)
}

// lose ends a job, and the items of it that are not known with an error.
func (e *processPool) lose(j *job, err error) {
	n := j.items() - j.known
	if n > 0 {
		err = j.body.lose(j.lo+j.known, n, err)
	} else {
		err = nil
	}
	e.finish(j.request, n+1, err)
}

// finish says that so many items and jobs of a call are over, and ends it if these were
// the last.
func (e *processPool) finish(r *request, over int, err error) {
	c := r.call
	e.intake.mu.Lock()
	if r.err == nil {
		r.err = err
	}
	if r.left -= over; r.left > 0 {
		e.intake.mu.Unlock()
		return
	}
	e.intake.mu.Unlock()
	if r.err != nil {
		c.failBy(r.err)
	}
	c.body.forget()
	done := c.route.Load().done // before left, which takes the ctx away
	e.intake.mu.Lock()
	e.intake.count(c.failure())
	e.intake.left(c)
	c.state.Store(finished)
	e.intake.mu.Unlock()
	if done != nil {
		e.intake.watches.remove(c, done)
	}
	c.wake()
}

// forget gives back what the request holds.
func (r *request) forget() {
	r.body.forget()
	r.parcel.data = nil
}

// withdraw moves a call that has not started to state, and reports whether it
// did. The worker that it was sent to may be free then.
func (e *processPool) withdraw(c *Call, state uint32) bool {
	e.intake.mu.Lock()
	r, ok := c.body.(*request)
	if !ok || !e.sup.withdraw(r, state) {
		e.intake.mu.Unlock()
		return false
	}
	e.room.leave(c)
	mail := e.schedule()
	e.intake.mu.Unlock()
	mail.flush()
	return true
}

// interrupt asks a call that runs to stop, and kills its worker if it does not.
// It returns false if the call does not run any more and has not ended: its worker
// has died, and it is to be tried again.
func (e *processPool) interrupt(c *Call, reason error) bool {
	// Not under the lock: reason may be anybody's, and its methods use this pool.
	cause := string(failure(reason, "").data)
	_, hasDeadline := c.ctx().Deadline()
	isKnown := hasDeadline && errors.Is(c.ctx().Err(), context.DeadlineExceeded) // to the worker, too
	e.intake.mu.Lock()
	defer e.intake.mu.Unlock()
	r, ok := c.body.(*request)
	if !ok || r.reason != nil {
		return true
	}
	jobs := r.jobs()
	if !r.isBegun && (len(jobs) == 0 || jobs[0].child == nil) {
		return c.state.Load() != pending
	}
	r.settle()
	r.reason = reason
	for _, j := range jobs {
		e.ask(j, reason, cause, isKnown)
	}
	go e.endAsked()
	return true
}

// ask asks a job to stop, for a reason. What its worker has not begun is taken back, for endAsked.
// intake.mu is held.
func (e *processPool) ask(j *job, reason error, cause string, isKnown bool) {
	if j.isAsked {
		return
	}
	j.isAsked = true
	ch := j.child
	switch {
	case ch == nil:
		e.sup.unqueue(j)
		e.sup.putBack(j)
		return
	case e.sup.recall(j):
		e.sup.putBack(j)
		return
	case j.isChunk() && ch.shares && !j.parcel.stops:
		e.sup.split(j, max(1, e.sup.page.begun(j)))
	}
	l := ch.link
	if !isKnown {
		l.enqueue(outgoing{kind: outCancel, cause: cause, job: wire.Call{Slot: uint32(j.slot), Serial: j.serial}})
		go l.flush(false)
	}
	j.grace = time.AfterFunc(e.grace(), func() { e.endHanging(j, l, reason) })
}

// endAsked ends the parts of chunks that were asked to stop and have not begun.
func (e *processPool) endAsked() {
	e.intake.mu.Lock()
	asked := e.sup.asked
	e.sup.asked = nil
	for _, j := range asked {
		j.drop()
	}
	mail := e.schedule()
	e.intake.mu.Unlock()
	mail.flush()
	for _, j := range asked {
		e.lose(j, j.call.withdrawal())
	}
}

// withdrawal is the error of what does not start because its call was asked to stop.
func (c *Call) withdrawal() error {
	if ctx := c.ctx(); ctx.Err() != nil {
		return endedBy(ctx, ErrCancelled, "executor: call cancelled")
	}
	return ErrCancelled
}

// endBehind ends what is made of a chunk behind an item that has failed, by other
// workers than the one that made that.
func (e *processPool) endBehind(c *Call, item int) {
	cause := string(failure(ErrCancelled, "").data)
	e.intake.mu.Lock()
	r, ok := c.body.(*request)
	if !ok {
		e.intake.mu.Unlock()
		return
	}
	if r.stopAt == 0 || r.stopAt > item+1 {
		r.stopAt = item + 1
	}
	for _, j := range slices.Clone(r.parts) {
		if j.lo > item {
			e.ask(j, ErrCancelled, cause, false)
		}
	}
	e.intake.mu.Unlock()
	e.endAsked()
}

// endHanging ends the worker of a call that did not return in time.
func (e *processPool) endHanging(j *job, l *link, reason error) {
	e.intake.mu.Lock()
	isDoomed := e.sup.doom(j)
	mail := e.schedule()
	e.intake.mu.Unlock()
	mail.flush()
	if isDoomed {
		l.endWithStacks(reason)
	}
}

// isRunning reports whether a worker has started a call that is pending.
func (e *processPool) isRunning(c *Call) bool {
	e.intake.mu.Lock()
	defer e.intake.mu.Unlock()
	r, ok := c.body.(*request)
	return ok && r.hasStarted()
}

// hasStarted reports whether a worker has started the call, or some of its items.
func (r *request) hasStarted() bool { return r.isBegun || r.whole.hasStarted() }

func (j *job) hasStarted() bool {
	if j.child == nil {
		return false
	}
	shared := j.child.link.proc.Shared
	return shared == nil || shared.Slots[j.slot].Load() == startedWord(j.serial)
}

// watchMemory ends workers that are over the MemoryLimit.
func (e *processPool) watchMemory() {
	const interval = 50 * time.Millisecond
	for {
		e.intake.mu.Lock()
		children := slices.Clone(e.sup.children)
		e.watching = len(children) > 0
		isOver := !e.watching
		e.intake.mu.Unlock()
		if isOver {
			return
		}
		for _, ch := range children {
			ch.link.endForMemory()
		}
		time.Sleep(interval)
	}
}

// empty ends all calls that have not started, and the parts of others that have not:
// those with err.
func (e *processPool) empty(end func(*Call), err error) {
	e.intake.mu.Lock()
	if e.sup == nil {
		e.intake.mu.Unlock()
		return
	}
	for _, ch := range e.sup.children {
		e.sup.takeFrom(ch, 0)
	}
	var calls []*Call
	var parts []*job
	for j := e.sup.next(); j != nil; j = e.sup.next() {
		j.wasSent = true // it is not in the queue any more
		if j.isBegun {
			j.drop()
			parts = append(parts, j)
		} else {
			calls = append(calls, j.call)
		}
	}
	e.intake.mu.Unlock()
	for _, c := range calls {
		end(c)
	}
	for _, j := range parts {
		e.lose(j, err)
	}
	e.tick()
}

// Stats counts the calls so far.
func (e *ProcessPoolExecutor) Stats() Stats {
	if p := e.pool.Load(); p != nil {
		return p.snapshot()
	}
	return Stats{}
}

func (e *processPool) snapshot() Stats {
	e.intake.mu.Lock()
	defer e.intake.mu.Unlock()
	s := e.intake.stats
	if e.sup != nil {
		s.Queued = e.sup.queue.live()
		for _, j := range e.sup.again {
			if !j.request.hasStarted() {
				s.Queued++
			}
		}
		for _, ch := range e.sup.children {
			for _, j := range ch.jobs {
				if !j.request.hasStarted() {
					s.Queued++
				}
			}
		}
	}
	s.Running = s.Submitted - s.Succeeded - s.Failed - s.Cancelled - s.Queued
	return s
}

// Close takes no more calls and waits for those it has taken, queued ones
// included, and for its workers to end: leaving the with-block of a Python
// executor. A Submit that waits for room is refused. It may be called again and
// by many goroutines.
func (e *ProcessPoolExecutor) Close() error { return e.Shutdown(context.Background()) }

// Shutdown is Close until ctx ends. Then the calls that have not started are
// cancelled, the ctx of those that run ends, workers whose call has not
// returned after KillGrace are killed, and Shutdown returns an error that
// matches [ErrPending] and ctx's error if calls still run. It may be called
// again, to wait again: after KillGrace, none is left.
func (e *ProcessPoolExecutor) Shutdown(ctx context.Context) error {
	if ctx == nil {
		return errNilContext("Shutdown")
	}
	defer runtime.KeepAlive(e)
	return e.inside().shutdown(ctx)
}

func (e *processPool) shutdown(ctx context.Context) error {
	e.intake.mu.Lock()
	e.intake.closed = true
	blocked := e.room.clear()
	e.intake.mu.Unlock()
	e.takeNoMore()
	e.intake.turnAway(blocked)
	err := e.intake.shutdown(ctx, func() {
		e.tryNoMore()
		e.empty(func(c *Call) { c.drop(cancelled) }, ErrCancelled)
		e.endAll(endedBy(ctx, ErrShutdown, ErrShutdown.Error()))
	})
	if err == nil {
		e.printer.flush(ctx)
	}
	return err
}

// tryNoMore lets no call be tried again whose worker dies.
func (e *processPool) tryNoMore() {
	e.intake.mu.Lock()
	if e.sup != nil {
		e.sup.retries = 0
	}
	e.intake.mu.Unlock()
}

// endAll ends what runs.
func (e *processPool) endAll(reason error) {
	e.intake.mu.Lock()
	var running []*Call
	var early []*link
	if e.sup != nil {
		for _, ch := range e.sup.children {
			if ch.state == starting {
				early = append(early, ch.link)
			}
			for _, j := range ch.jobs {
				running = append(running, j.call)
			}
		}
	}
	e.intake.mu.Unlock()
	for _, c := range running {
		e.interrupt(c, reason)
	}
	for _, l := range early {
		l.end(reason)
	}
}

// The words of a slot: what a worker and its parent know of the call there.
const (
	wordSent    = 1
	wordStarted = 2
	wordTaken   = 3
)

// The areas of the memory that a worker and its parent share. Behind them are
// lanes, for chunks.
const (
	argsArea = iota
	resultsArea
	firstLane
)

// lend takes an area for n bytes, unless it is too short or in use. The slots
// behind those of the calls say that: their words are 1, and else 0.
func lend(s *proc.Shared, area, n int) bool {
	return s != nil && n <= len(s.Areas[area]) && s.Slots[aheadCalls+area].CompareAndSwap(0, 1)
}

// giveBack lets others have an area that was lent.
func giveBack(s *proc.Shared, area int) { s.Slots[aheadCalls+area].Store(0) }

// lent returns the bytes that are in an area, unless the other process cannot
// mean them.
func lent(s *proc.Shared, d wire.Data) (data []byte, ok bool) {
	if s == nil || d.Area >= uint64(len(s.Areas)) || d.Len > uint64(len(s.Areas[d.Area])) {
		return nil, false
	}
	return s.Areas[d.Area][:d.Len], true
}

// fill copies data to an area, with several goroutines if it is much: one core copies
// half as fast as the memory can. On two cores 64 MiB take 5.5 ms instead of 11.7.
func fill(area, data []byte) {
	const share = 4 << 20 // worth a goroutine
	var others sync.WaitGroup
	for n := min(runtime.GOMAXPROCS(0), len(data)/share); n > 1; n-- {
		part := len(data) / n
		to, from := area[:part], data[:part]
		others.Go(func() { copy(to, from) })
		area, data = area[part:], data[part:]
	}
	copy(area, data)
	others.Wait()
}

func sentWord(serial uint64) uint32    { return uint32(serial)<<2 | wordSent }
func startedWord(serial uint64) uint32 { return uint32(serial)<<2 | wordStarted }
func takenWord(serial uint64) uint32   { return uint32(serial)<<2 | wordTaken }

// slotPage is the page of the supervisor: each worker has its own.
type slotPage struct{}

func (slotPage) takeBack(j *job) bool {
	return j.child.link.proc.Shared.Slots[j.slot].CompareAndSwap(sentWord(j.serial), takenWord(j.serial))
}

func (slotPage) begun(j *job) int {
	if !j.hasStarted() {
		return 0
	}
	return begunOf(&j.child.link.proc.Shared.Ranges[j.slot])
}

func (slotPage) cut(j *job, at int) (from int) {
	if !j.hasStarted() {
		return j.items()
	}
	return cutRange(&j.child.link.proc.Shared.Ranges[j.slot], at)
}
