package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/gofutures/futures/executor/internal/procpool"
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
// what a worker has started outlives it. There, on macOS, and on Linux without /proc, a
// worker is started from the file that this program was started from, which must be there.
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
	// start, up to about a millisecond of work for each worker. A chunk is one call,
	// and none when it has begun, though items of it may wait.
	QueueLimit int

	// NoPrefetch sends a call, or a chunk, to a worker only when the worker has
	// nothing else to do: no call ever waits behind another in a worker, QueueLimit
	// counts all that wait, and a worker that dies takes one call with it, however
	// short. It costs each call the way there and back, some tens of microseconds. It
	// is for tiny calls none of which may be lost with the worker of another, and for a
	// function that is mostly tiny and sometimes long. Without it, calls are sent ahead up to about a
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
	// ends, it is cancelled, or Shutdown ends it. Then its worker prints the
	// stacks of its goroutines and ends, or is killed two seconds later. 0 means 1 s.
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
//
// It admits calls, counts them, and lets submitters wait for room, under tracker.mu. What
// waits, what runs, and where, is known to workers, which has a lock of its own. A goroutine
// that takes both locks takes tracker.mu first. While workers holds its own, it calls nothing
// here but processCall.MayStart, which takes none (procpool has the rest of the order).
type processPool struct {
	processOptions
	plainHost

	tracker tracker // its mu guards the fields below too

	workers *procpool.Pool // nil before the first call
	room    room
	broken  error
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
	if workers := e.theWorkers(); workers != nil {
		workers.Close()
	}
}

// theWorkers returns the workers, nil if no call has come.
func (e *processPool) theWorkers() *procpool.Pool {
	e.tracker.mu.Lock()
	defer e.tracker.mu.Unlock()
	return e.workers
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

// processCall is a call of a ProcessPoolExecutor: its request, and the task of that. It
// takes the place of the body that was submitted. There, withdraw finds it: a map would
// cost each call more, and a field of a Call would make the smallest future two cache
// lines long.
type processCall struct {
	procpool.Request
	body
	call *Call
	pool *processPool
}

func (e *processPool) execute(ctx context.Context, c *Call) {
	if err := e.ready(); err != nil {
		c.Reject(err)
		return
	}
	p := &processCall{body: c.body, call: c, pool: e}
	if !p.prepare(ctx) {
		return
	}
	s, isTaken := e.take(p)
	if !isTaken {
		return
	}
	if c.origin.Load().done != nil {
		e.tracker.watches.add(c)
	}
	if s != nil {
		s.wait(ctx)
	}
}

// prepare makes the request of the call. If it cannot, it ends the call and returns false.
func (p *processCall) prepare(ctx context.Context) bool {
	r, err := p.call.encodeBody()
	if err == nil && len(r.data) > procpool.MaxData {
		err = fmt.Errorf("executor: the argument of %s has %d bytes; the limit is %d", r.fn.about().name, len(r.data), procpool.MaxData)
	}
	switch {
	case err != nil && err != errNothingToDo && r.fn == nil: // of the function: the next is no better
		p.call.Reject(err)
		return false
	case err != nil: // of this argument: the next may be better
		p.call.Complete(Reply{}, err)
		return false
	}
	p.Task = p
	p.Function = &r.fn.about().Function
	p.Items, p.StopsAtError, p.Data, p.Kin = r.n, r.stops, r.data, r.kin
	p.Deadline, _ = ctx.Deadline()
	return true
}

// take counts the call, unless none is taken any more or it was cancelled meanwhile, and
// gives it to the workers. The submitter is to wait, unless it is nil.
func (e *processPool) take(p *processCall) (s *submitter, isTaken bool) {
	e.tracker.mu.Lock()
	if err := e.refusal(); err != nil {
		e.tracker.mu.Unlock()
		p.call.Reject(err)
		return nil, false
	}
	if !e.tracker.admitLocked(p.call) {
		e.tracker.mu.Unlock()
		return nil, false
	}
	if !p.call.state.delegate() { // it was cancelled at this moment, and will be counted as that
		e.tracker.mu.Unlock()
		return nil, false
	}
	p.call.body = p // from here on it can be withdrawn
	if e.room.limit > 0 {
		unsent, _ := e.workers.Submit(&p.Request)
		s = e.room.block(p.call, e.workers.Queued()) // under the lock: the call is the last of the queue, or sent
		e.tracker.mu.Unlock()
		unsent.Flush()
		return s, true
	}
	e.tracker.mu.Unlock()
	unsent, isSubmitted := e.workers.Submit(&p.Request)
	unsent.Flush()
	if !isSubmitted {
		e.turnDown(p.call)
	}
	return nil, true
}

// turnDown ends a call that was admitted when the workers took none any more.
func (e *processPool) turnDown(c *Call) {
	e.tracker.mu.Lock()
	broken := e.broken
	e.tracker.mu.Unlock()
	if broken != nil {
		e.tracker.reject(c, broken)
	} else {
		c.cancelAs(cancelled)
	}
}

// ready returns why no call is taken, if so.
func (e *processPool) ready() error {
	e.tracker.mu.Lock()
	defer e.tracker.mu.Unlock()
	return e.refusal()
}

// refusal is ready for a caller that holds tracker.mu.
func (e *processPool) refusal() error {
	switch {
	case e.tracker.closed:
		return ErrShutdown
	case e.broken != nil:
		return e.broken
	case e.workers == nil:
		return e.open()
	}
	return nil
}

// open is for the first call. tracker.mu is held.
func (e *processPool) open() error {
	if err := e.check(); err != nil {
		return err
	}
	if err := mayHaveWorkers(); err != nil {
		return err
	}
	options := procpool.Options{
		MaxWorkers: e.MaxWorkers, OneByOne: e.NoPrefetch, MostPerWorker: e.MaxTasksPerChild, MemoryLimit: e.MemoryLimit, Retries: e.Retries,
		KillGrace: cmp.Or(e.KillGrace, time.Second), Env: e.Env, Stdout: orElse(e.Stdout, os.Stdout), Stderr: orElse(e.Stderr, os.Stderr),
		Name: e.name(), Depth: depth, Functions: len(registry.sorted), Digest: registry.digest,
		InitializerError: remoteError, Broken: e.breakDown, Left: e.hasLeft,
	}
	if e.Initializer != nil {
		name, err := findInitializer(e.Initializer)
		if err != nil {
			return err
		}
		options.Initializer = name
	}
	if e.QueueLimit > 0 {
		e.room.limit, options.Rescheduled = e.QueueLimit, e.unblock
	}
	e.workers = procpool.New(options)
	e.tracker.host = e
	return nil
}

// check returns which of the options cannot be, if one cannot.
func (e *processPool) check() error {
	for _, o := range []struct {
		name  string
		value int64
	}{
		{"MaxWorkers", int64(e.MaxWorkers)}, {"QueueLimit", int64(e.QueueLimit)}, {"MaxTasksPerChild", int64(e.MaxTasksPerChild)},
		{"MemoryLimit", e.MemoryLimit}, {"Retries", int64(e.Retries)}, {"KillGrace", int64(e.KillGrace)},
	} {
		if o.value < 0 {
			return fmt.Errorf("executor: ProcessPoolExecutor: %s is %d; it must be positive, or 0 for the default", o.name, o.value)
		}
	}
	return nil
}

func orElse(w io.Writer, standard *os.File) io.Writer {
	if w == nil {
		return standard
	}
	return w
}

func (e *processPool) name() string {
	if e.Name != "" {
		return e.Name
	}
	return "ProcessPoolExecutor"
}

// unblock lets submitters go for whose calls there is room.
func (e *processPool) unblock() {
	e.tracker.mu.Lock()
	e.room.unblock(e.workers.Queued())
	e.tracker.mu.Unlock()
}

// hasLeft is called when a worker has ended.
func (e *processPool) hasLeft() {
	e.tracker.mu.Lock()
	if e.tracker.closed {
		e.tracker.ring()
	}
	e.tracker.mu.Unlock()
}

// breakDown is called when no worker can be started.
func (e *processPool) breakDown(cause error, death *procpool.Death) {
	if death != nil {
		cause = fmt.Errorf("%w (%w)", cause, newWorkerDiedError(death))
	}
	e.tracker.mu.Lock()
	if e.broken == nil {
		e.broken = fmt.Errorf("%w: %s: %w", ErrBroken, e.name(), cause)
	}
	err := e.broken
	e.tracker.mu.Unlock()
	for _, t := range e.workers.Drain(err) {
		e.tracker.reject(t.(*processCall).call, err)
	}
}

// newWorkerDiedError returns the error of a call, or of an item of a chunk, that was lost with a worker.
func newWorkerDiedError(d *procpool.Death) *WorkerDiedError {
	return &WorkerDiedError{
		PID: d.PID, ExitCode: d.ExitCode, Signal: d.Signal, Attempts: d.Attempts, OutOfMemory: d.OutOfMemory, Stderr: d.Stderr, reason: d.Reason,
	}
}

// MayStart reports whether the call is still to be made: nobody has ended it in another way
// than by withdraw.
func (p *processCall) MayStart() bool { return p.call.state.Load() == pending }

// Keep keeps what came of the call, or of n items of it from one on.
func (p *processCall) Keep(from, n int, r procpool.Reply) error {
	return p.body.complete(from, n, r)
}

// Lose keeps why nothing came of n items from one on, or of the call.
func (p *processCall) Lose(from, n int, why error) error {
	if why == procpool.ErrNotBegun {
		why = p.call.withdrawal()
	} else if death, ok := why.(*procpool.Death); ok {
		why = newWorkerDiedError(death)
	}
	return p.body.lose(from, n, why)
}

// withdrawal is the error of what does not start because its call was asked to stop.
func (c *Call) withdrawal() error {
	if ctx := c.ctx(); ctx.Err() != nil {
		return endedBy(ctx, ErrCancelled, "executor: call cancelled")
	}
	return ErrCancelled
}

// End ends the call.
func (p *processCall) End(err error) {
	c, in := p.call, &p.pool.tracker
	if err != nil {
		c.failBy(err)
	}
	p.forget()
	done := c.origin.Load().done // before doneLocked, which takes the ctx away
	in.mu.Lock()
	in.count(c.failure())
	in.doneLocked(c)
	c.state.Store(finished)
	in.mu.Unlock()
	if done != nil {
		in.watches.remove(c, done)
	}
	c.wake()
}

// forget gives back what the call holds.
func (p *processCall) forget() {
	p.body.forget()
	p.Data = nil
}

// requestOf returns the request of a call, nil if it was not taken.
func (e *processPool) requestOf(c *Call) *procpool.Request {
	e.tracker.mu.Lock()
	defer e.tracker.mu.Unlock()
	if p, ok := c.body.(*processCall); ok {
		return &p.Request
	}
	return nil
}

// withdraw moves a call that has not started to state, and reports whether it
// did. The worker that it was sent to may be free then.
func (e *processPool) withdraw(c *Call, state uint32) bool {
	e.tracker.mu.Lock()
	p, ok := c.body.(*processCall)
	if !ok {
		e.tracker.mu.Unlock()
		return false
	}
	unsent, isWithdrawn := e.workers.Withdraw(&p.Request)
	if isWithdrawn {
		isWithdrawn = c.state.decide(state) // under tracker.mu, so that nobody finds it withdrawn and pending
		e.room.remove(c)
	}
	e.tracker.mu.Unlock()
	unsent.Flush()
	return isWithdrawn
}

// interrupt asks a call that runs to stop, and kills its worker if it does not.
// It returns false if the call does not run any more and has not ended: its worker
// has died, and it is to be tried again.
func (e *processPool) interrupt(c *Call, reason error) bool {
	if ctx := c.ctx(); ctx.Err() != nil {
		reason = endedBy(ctx, errStopped, errStopped.Error()) // which was first
	}
	// Not under a lock: reason may be anybody's, and its methods use this pool.
	cause := string(failure(reason, "").Data)
	_, hasDeadline := c.ctx().Deadline()
	isKnown := hasDeadline && errors.Is(c.ctx().Err(), context.DeadlineExceeded) // to the worker, too
	r := e.requestOf(c)
	return r == nil || e.workers.Interrupt(r, reason, cause, isKnown)
}

// endBehind ends what is made of a chunk behind an item that has failed, by other
// workers than the one that made that.
func (e *processPool) endBehind(c *Call, item int) {
	if r := e.requestOf(c); r != nil {
		e.workers.EndBehind(r, item, ErrCancelled, string(failure(ErrCancelled, "").Data))
	}
}

// hearsOfEnds: a worker hears of the end of a ctx by interrupt.
func (e *processPool) hearsOfEnds() bool { return false }

// isRunning reports whether a worker has started a call that is pending.
func (e *processPool) isRunning(c *Call) bool {
	r := e.requestOf(c)
	return r != nil && e.workers.HasStarted(r)
}

// made returns how many items of a chunk have ended.
func (e *processPool) made(c *Call) int {
	r := e.requestOf(c)
	if r == nil {
		return 0
	}
	return e.workers.Made(r)
}

// processes returns how many worker processes there are, and how many of these are not
// ready yet. tracker.mu is held.
func (e *processPool) processes() (all, early int) {
	if e.workers == nil {
		return 0, 0
	}
	s := e.workers.Stats()
	return s.Processes, s.Early
}

// Stats counts the calls so far.
func (e *ProcessPoolExecutor) Stats() Stats {
	if p := e.pool.Load(); p != nil {
		return p.snapshot()
	}
	return Stats{}
}

func (e *processPool) snapshot() Stats {
	e.tracker.mu.Lock()
	defer e.tracker.mu.Unlock()
	s := e.tracker.stats
	if e.workers != nil {
		now := e.workers.Stats()
		s.Queued, s.Workers, s.Restarts = now.NotStarted, now.Processes, now.Restarts
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
	e.tracker.mu.Lock()
	e.tracker.closed = true
	workers := e.workers
	blocked := e.room.clear()
	e.tracker.mu.Unlock()
	if workers == nil {
		return e.tracker.shutdown(ctx, func() {})
	}
	workers.Close()
	e.tracker.rejectBlocked(blocked)
	err := e.tracker.shutdown(ctx, func() { e.endAll(endedBy(ctx, ErrShutdown, ErrShutdown.Error())) })
	if err == nil {
		workers.FlushOutput(ctx.Done())
	}
	return err
}

// endAll cancels what has not started, and ends what runs, for a reason.
func (e *processPool) endAll(reason error) {
	e.workers.TryNoMore()
	for _, t := range e.workers.Drain(ErrCancelled) {
		t.(*processCall).call.cancelAs(cancelled)
	}
	for _, t := range e.workers.Running() {
		e.interrupt(t.(*processCall).call, reason)
	}
	e.workers.EndEarly(reason)
}
