package procpool

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gofutures/futures/executor/internal/proc"
	"github.com/gofutures/futures/executor/internal/wire"
)

// process is the parent's end of a worker process: the process, the pipes, the
// frames to write. One goroutine, attend, lives as long as the process does:
// it starts it, reads its frames, and reaps it. Frames are written by whichever
// goroutine has some, one at a time.
type process struct {
	pool   *Pool
	worker *worker
	sys    *system      // nil before the start
	frames *wire.Reader // of its replies
	stderr lines
	read   sync.WaitGroup // the goroutines that read what the worker prints
	held   sync.WaitGroup // the goroutines that read replies in the shared memory
	budget budget         // for replies that are there and not decoded
	ooms   int64          // the system's count of such kills when the process was started

	hasEnded bool // reading has come to its end

	writers sync.WaitGroup // 1 while a goroutine writes
	frame   []byte         // memory for frames, of the goroutine that writes

	mu      sync.Mutex // guards the fields below
	out     []outgoing // not written yet
	spare   []outgoing // memory for the next ones
	writing bool       // a goroutine writes
	isOver  bool       // the process was reaped
	reason  error      // why the pool ends the process; nil if it does not
	memory  bool       // the reason is its MemoryLimit
}

func newProcess(p *Pool, w *worker) *process { return &process{pool: p, worker: w} }

// system is what the operating system has of a worker process: a *proc.Process, or what a
// test puts in its place.
type system struct {
	PID                     int
	Requests                io.WriteCloser // to the worker, which goes when it is closed
	Replies, Stdout, Stderr io.Reader      // from the worker
	Shared                  *proc.Shared   // nil if there is none
	control
}

// control is what can be done with a process. Package proc says what each does.
type control interface {
	Watch()
	AnswerDoor()
	TryWrite(b []byte) (n int)
	Resident() (n int64, ok bool)
	Quit() error
	Kill() error
	Wait() proc.Status
	EndPipes() bool
	Close()
}

// runSystem starts this program as a worker.
func runSystem(o proc.Options) (*system, error) {
	p, err := proc.Start(o)
	if err != nil {
		return nil, err
	}
	return &system{PID: p.PID, Requests: p.Requests, Replies: p.Replies, Stdout: p.Stdout, Stderr: p.Stderr, Shared: p.Shared, control: p}, nil
}

// outgoing is a frame to write. What it needs of a job is copied here: the job
// may be taken back, and forget, while it is written.
type outgoing struct {
	kind     outgoingKind
	request  wire.Request
	deadline time.Time // of the job's ctx
	data     []byte
	cause    string // of a cancel
}

type outgoingKind byte

const (
	outRequest outgoingKind = iota
	outCancel
	outStacks
	outPing
	outEnd // the end: the worker is to go
)

// Parts of starting and ending a worker take at most so long. On a machine that is
// too busy to give a worker its time, what is lost is a text: the end of what it
// printed, or the stacks of its goroutines, as WorkerDiedError says. None of these
// decides about a reply.
const (
	helloTime  = time.Minute     // from its start to its first word; it ends a worker that never says one
	obeyTime   = time.Second     // to print the stacks of its goroutines when a frame tells it to; then a signal does
	stacksTime = 2 * time.Second // to print them, in all
	tailTime   = 2 * time.Second // to read the end of what it printed, where the system cannot say where that is
)

// mostHeld is how many bytes of replies may wait until they are decoded, while the
// next are read.
const mostHeld = 64 << 20

// attend is the life of a worker process, as its parent sees it.
func (pr *process) attend() {
	err := pr.start()
	wasReady := err == nil
	if wasReady {
		pr.pool.isReady(pr.worker)
		err = pr.readReplies()
	}
	if pr.sys != nil && !pr.hasEnded { // else it is on its way
		pr.end(err)
	}
	death := pr.reap()
	if !wasReady {
		death, err = pr.explain(death, err)
		pr.pool.hasFailed(pr.worker, err, death)
	} else {
		pr.pool.died(pr.worker, death)
	}
	pr.close()
	pr.pool.left()
}

// start starts the process and waits until it is ready.
func (pr *process) start() error {
	p, err := pr.pool.run(proc.Options{Env: pr.pool.Env, Depth: pr.pool.Depth + 1, MemoryLimit: pr.pool.MemoryLimit})
	if err != nil {
		return fmt.Errorf("executor: cannot start a worker process: %w", err)
	}
	pr.ooms, _ = proc.OOMKills() // while it starts
	pr.read.Go(p.Watch)
	pr.read.Go(p.AnswerDoor)
	pr.mu.Lock()
	pr.sys = p
	reason := pr.reason
	pr.mu.Unlock()
	if reason != nil { // it was ended before it began
		_ = p.Kill()
	}
	pr.drain(&pr.stderr, p.Stderr, &pr.pool.stderr)
	pr.drain(new(lines), p.Stdout, &pr.pool.stdout)
	late := time.AfterFunc(helloTime, func() {
		pr.end(errors.New("executor: it did not say hello in time; is executor.WorkerMain() the first line of main?"))
	})
	defer late.Stop()
	config := wire.Config{Initializer: pr.pool.Initializer, Depth: uint32(pr.pool.Depth + 1), Name: pr.pool.Name}
	rand.Read(config.Nonce[:])
	_, _ = p.Requests.Write(config.Append(nil)) // if that fails, greet finds out why
	pr.frames = wire.NewReader(p.Replies)
	if err := pr.greet(config.Nonce); err != nil {
		return err
	}
	late.Stop()
	if err := pr.awaitInitializer(); err != nil {
		return err
	}
	return pr.fits()
}

// drain reads what the worker prints.
func (pr *process) drain(ls *lines, from io.Reader, to *stream) {
	ls.printer, ls.to = &pr.pool.printer, to
	pr.read.Go(func() { ls.copyFrom(from) })
}

// greet reads the worker's hello. A worker of another program, or of another
// version of it, would be one for ever: that is not tried again.
func (pr *process) greet(nonce [16]byte) error {
	t, body, err := pr.next()
	if err != nil {
		return fmt.Errorf("executor: a worker process ended before it said hello; is executor.WorkerMain() the first line of main? (%w)", err)
	}
	if t != wire.HelloFrame {
		return fmt.Errorf("executor: a worker process began with a frame of type %d instead of hello", t)
	}
	hello, err := wire.ParseHello(body)
	switch {
	case err != nil:
		return fmt.Errorf("executor: the hello of a worker process: %w", err)
	case hello.Version != wire.Version:
		return permanent(fmt.Sprintf("speaks version %d of the protocol, not %d", hello.Version, wire.Version))
	case hello.Nonce != nonce:
		return permanent("does not know the nonce of its pool")
	case hello.Build != proc.Build():
		return permanent(fmt.Sprintf("is build %q, not %q", hello.Build, proc.Build()))
	case hello.Digest != pr.pool.Digest:
		return permanent("has registered other functions; register the same ones in parent and worker, before WorkerMain")
	}
	return nil
}

// permanentError is of a worker that another start would not make better.
type permanentError struct{ text string }

func permanent(what string) error {
	return &permanentError{"executor: the worker process " + what}
}

func (e *permanentError) Error() string { return e.text }

// awaitInitializer reads what came of the Initializer.
func (pr *process) awaitInitializer() error {
	t, body, err := pr.next()
	if err != nil {
		return fmt.Errorf("executor: a worker process ended in its Initializer: %w", err)
	}
	if t != wire.ReadyFrame {
		return fmt.Errorf("executor: a worker process sent a frame of type %d before it was ready", t)
	}
	m, err := wire.ParseReady(body)
	if err != nil {
		return fmt.Errorf("executor: the ready of a worker process: %w", err)
	}
	if len(m.Error) > 0 {
		return fmt.Errorf("the Initializer: %w", pr.pool.InitializerError(m.Error))
	}
	return nil
}

// next reads a frame. Reading ends when the worker has closed its end, or has
// ended while others have its end too.
func (pr *process) next() (wire.Type, []byte, error) {
	t, body, err := pr.frames.Next()
	pr.hasEnded = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	return t, body, err
}

// readReplies reads frames, and does nothing else, until the worker has gone or
// sends what it cannot mean.
func (pr *process) readReplies() error {
	var batch []wire.Reply
	isAlive := false
	for {
		t, body, err := pr.next()
		if err != nil {
			return err
		}
		switch t {
		case wire.AliveFrame:
			isAlive = true
		case wire.ReplyFrame:
			m, err := wire.ParseReply(body)
			if err != nil {
				return err
			}
			batch = append(batch, m)
		default:
			return fmt.Errorf("%w: type %d from a worker that is ready", wire.ErrProtocol, t)
		}
		if pr.frames.Buffered() && len(batch) < aheadJobs {
			continue
		}
		if len(batch) > 0 && !pr.pool.ended(pr, batch) {
			return fmt.Errorf("%w: a reply to no request", wire.ErrProtocol)
		}
		if isAlive {
			pr.pool.isAlive(pr.worker)
		}
		clear(batch)
		batch, isAlive = batch[:0], false
		pr.frames.Reuse() // complete keeps nothing of the frames
	}
}

// data returns the bytes of a reply, and whether the worker may mean them.
func (pr *process) data(d wire.Data) ([]byte, bool) {
	switch {
	case d.Nil:
		return nil, true
	case !d.Shared:
		return d.Bytes, true
	}
	return lent(pr.sys.Shared, d)
}

// hold counts a reply of n bytes that is not decoded yet, until done is called. It
// waits while there are many such bytes: a worker that is quicker than its parent
// waits for it, and what it has written is in the pipe as long.
func (pr *process) hold(n int) (done func()) {
	pr.budget.take(n)
	pr.held.Add(1)
	return func() {
		pr.budget.giveBack(n)
		pr.held.Done()
	}
}

// budget is for mostHeld bytes, or for one reply that is longer. One goroutine takes.
type budget struct {
	mu    sync.Mutex // guards taken
	taken int
	less  sync.Cond // with mu; taken is less than it was
}

func (b *budget) take(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.less.L = &b.mu
	for b.taken > 0 && b.taken+n > mostHeld {
		b.less.Wait()
	}
	b.taken += n
}

func (b *budget) giveBack(n int) {
	b.mu.Lock()
	b.taken -= n
	b.mu.Unlock()
	b.less.Signal()
}

// giveBack lets others have the area that a reply was in.
func (pr *process) giveBack(d wire.Data) {
	if d.Shared {
		giveBack(pr.sys.Shared, int(d.Area))
	}
}

// reap ends the process, if it has not ended, and says how it died.
func (pr *process) reap() *Death {
	if pr.sys == nil { // it was not started
		pr.mu.Lock()
		defer pr.mu.Unlock()
		return &Death{ExitCode: -1, Reason: pr.reason}
	}
	kill := time.AfterFunc(stacksTime, func() { _ = pr.sys.Kill() }) // it has closed its end, but may not end
	defer kill.Stop()
	status := pr.sys.Wait()
	pr.awaitTail()
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.isOver = true
	d := &Death{PID: pr.sys.PID, ExitCode: status.Code, Signal: status.Signal, Stderr: pr.stderr.last(), Reason: pr.reason}
	if !status.Known {
		d.ExitCode = -1
	}
	d.OutOfMemory = pr.memory || pr.reason == nil && pr.looksOutOfMemory(d)
	return d
}

// awaitTail waits until what the worker printed was read. Where the system cannot
// end a read, a process that outlives the worker may hold the pipes: then it waits a little.
func (pr *process) awaitTail() {
	if pr.sys.EndPipes() {
		pr.read.Wait()
		return
	}
	done := make(chan struct{})
	go func() {
		pr.read.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(tailTime):
	}
}

func (pr *process) looksOutOfMemory(d *Death) bool {
	if d.Signal == syscall.SIGKILL {
		n, ok := proc.OOMKills()
		return ok && n > pr.ooms
	}
	return d.ExitCode == 2 && (strings.Contains(d.Stderr, "out of memory") || strings.Contains(d.Stderr, "cannot allocate memory"))
}

// close gives back the pipes and the shared memory, when nobody uses them any
// more.
func (pr *process) close() {
	if pr.sys == nil {
		return
	}
	_ = pr.sys.Requests.Close() // ends a write
	pr.writers.Wait()
	pr.held.Wait()
	pr.sys.Close()
}

// explain returns the death of a process that was not ready yet, if that says more than the
// error of its start, and that error.
func (pr *process) explain(d *Death, err error) (*Death, error) {
	if errors.As(err, new(*permanentError)) || d.PID == 0 || d.Reason == err {
		return nil, err
	}
	if d.Reason != nil {
		err = d.Reason
	}
	return d, err
}

// enqueue adds a frame to write. The lock of the pool is held, so that frames
// are in the order of its decisions.
func (pr *process) enqueue(o outgoing) {
	pr.mu.Lock()
	pr.out = append(pr.out, o)
	pr.mu.Unlock()
}

// flush sees that what is enqueued is written. A single small frame for an idle
// worker is written here, if that does not block: to wake another goroutine would
// take longer. All else is written by a goroutine that takes what has come
// meanwhile in one go.
func (pr *process) flush(wasIdle bool) {
	pr.mu.Lock()
	if pr.writing || pr.isOver || len(pr.out) == 0 {
		pr.mu.Unlock()
		return
	}
	pr.writing = true
	pr.writers.Add(1)
	var frame []byte
	if wasIdle && len(pr.out) == 1 && len(pr.out[0].data) < 4096 {
		pr.frame = pr.writeFrame(pr.frame[:0], &pr.out[0])
		frame = pr.frame
		clear(pr.out)
		pr.out = pr.out[:0]
	}
	pr.mu.Unlock()
	if len(frame) > 0 {
		frame = frame[pr.sys.TryWrite(frame):]
		if len(frame) == 0 && pr.hasWritten() {
			pr.writers.Done()
			return
		}
	}
	go pr.write(frame)
}

// hasWritten reports whether nothing is left to write, in which case the caller
// writes no more.
func (pr *process) hasWritten() bool {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.writing = len(pr.out) > 0
	return !pr.writing
}

// write writes rest, and then until nothing is left to write.
func (pr *process) write(rest []byte) {
	defer pr.writers.Done()
	pr.writeOut(rest)
	for !pr.hasWritten() {
		pr.mu.Lock()
		out := pr.out
		pr.out, pr.spare = pr.spare, nil
		pr.mu.Unlock()
		buf := pr.frame[:0]
		for i := range out {
			buf = pr.writeFrame(buf, &out[i])
		}
		pr.writeOut(buf)
		pr.keep(buf, out)
	}
}

// keep keeps the memory of what was written for what comes next, unless it is much.
func (pr *process) keep(frame []byte, out []outgoing) {
	if cap(frame) <= 64<<10 {
		pr.frame = frame[:0]
	}
	if cap(out) <= 2*aheadJobs {
		clear(out)
		pr.mu.Lock()
		pr.spare = out[:0]
		pr.mu.Unlock()
	}
}

// writeFrame appends a frame to buf, of which it writes what has become long.
func (pr *process) writeFrame(buf []byte, o *outgoing) []byte {
	switch o.kind {
	case outCancel:
		m := wire.Cancel{Slot: o.request.Slot, Serial: o.request.Serial, Cause: o.cause}
		return m.Append(buf)
	case outStacks:
		return wire.AppendEmpty(buf, wire.StacksFrame)
	case outPing:
		return wire.AppendEmpty(buf, wire.PingFrame)
	case outEnd:
		return wire.AppendEmpty(buf, wire.EndFrame)
	}
	m, shared := &o.request, pr.sys.Shared
	if shared != nil && shared.Slots[m.Slot].Load() != sentWord(m.Serial) {
		return buf // it was taken back meanwhile
	}
	if m.HasTimeout {
		m.Timeout = time.Until(o.deadline)
	}
	switch n := len(o.data); {
	case o.data == nil:
		m.Data.Nil = true
	case pr.lend(m, n):
		data, _ := lent(shared, m.Data)
		fill(data, o.data)
	case n >= 64<<10: // not copied
		pr.writeOut(m.AppendHead(buf, n))
		pr.writeOut(o.data)
		return buf[:0]
	default:
		m.Data.Bytes = o.data
	}
	return m.Append(buf)
}

// lend takes an area for the n bytes of a request that are large. The worker gives
// it back when the request has ended, but for a reply there.
func (pr *process) lend(m *wire.Request, n int) bool {
	shared := pr.sys.Shared
	from, to := argsArea, argsArea
	switch {
	case shared == nil:
		return false
	case m.Items > 0 && n >= bigChunk:
		from, to = firstLane, firstLane+proc.Lanes-1
	case m.Items > 0 || n < BigData:
		return false
	}
	for area := from; area <= to; area++ {
		if lend(shared, area, n) {
			m.Data = wire.Data{Shared: true, Area: uint64(area), Len: uint64(n)}
			return true
		}
	}
	return false
}

// writeOut writes to the worker. If that fails, the worker has gone, which its
// reader finds out too.
func (pr *process) writeOut(b []byte) {
	if len(b) > 0 {
		_, _ = pr.sys.Requests.Write(b)
	}
}

// end ends the process at once, for a reason.
func (pr *process) end(reason error) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if pr.isOver {
		return
	}
	if pr.reason == nil {
		pr.reason = reason
	}
	if pr.sys != nil {
		_ = pr.sys.Kill()
	}
}

// endWithStacks ends the process because of one of its requests, which hangs, and
// lets it print where. It is told to by a frame: when a signal tells it, the
// runtime does not have the stack of a goroutine that runs on another thread.
// The signal is for one that does not obey.
func (pr *process) endWithStacks(reason error) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if pr.isOver || pr.reason != nil {
		return
	}
	pr.reason = reason
	pr.stderr.keepStacks()
	pr.out = append(pr.out, outgoing{kind: outStacks})
	go pr.flush(false)
	time.AfterFunc(obeyTime, func() { _ = pr.sys.Quit() })
	time.AfterFunc(stacksTime, func() { pr.end(reason) })
}

// endForMemory ends a process that is over the limit.
func (pr *process) endForMemory() {
	pr.mu.Lock()
	if pr.sys == nil || pr.isOver {
		pr.mu.Unlock()
		return
	}
	err := pr.fits()
	pr.memory = pr.memory || err != nil
	pr.mu.Unlock()
	if err != nil {
		pr.end(err)
	}
}

// fits is the error of a worker that is over the MemoryLimit. A worker that is
// over it before its first request never becomes one, however short the requests.
func (pr *process) fits() error {
	limit := pr.pool.MemoryLimit
	if limit <= 0 {
		return nil
	}
	if size, ok := pr.sys.Resident(); ok && size > limit {
		return fmt.Errorf("executor: %d bytes of resident memory, over the MemoryLimit of %d", size, limit)
	}
	return nil
}
