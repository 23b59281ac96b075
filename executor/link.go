package executor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/gofutures/futures/executor/internal/proc"
	"github.com/gofutures/futures/executor/internal/wire"
)

// link is what a pool has of one worker process: the process, the pipes, the
// frames to write. One goroutine, attend, lives as long as the process does:
// it starts it, reads its frames, and reaps it. Frames are written by whoever
// has some, one goroutine at a time.
type link struct {
	pool   *processPool
	child  *child
	proc   *proc.Process // nil before the start
	frames *wire.Reader  // of its results
	stderr lines
	read   sync.WaitGroup      // the goroutines that read what the worker prints
	held   sync.WaitGroup      // the goroutines that read results in the shared memory
	room   *semaphore.Weighted // bytes of results that may be there and not be decoded
	ooms   int64               // the system's count of such kills when the process was started

	hasEnded bool // reading has come to its end

	writers sync.WaitGroup // 1 while somebody writes
	frame   []byte         // memory for frames, of who writes

	mu      sync.Mutex // guards the fields below
	out     []outgoing // not written yet
	spare   []outgoing // memory for the next ones
	writing bool       // somebody writes
	isOver  bool       // the process was reaped
	reason  error      // why the pool ends the process; nil if it does not
	memory  bool       // the reason is its MemoryLimit
}

// outgoing is a frame to write. What it needs of a job is copied here: the job
// may be taken back, and forget, while it is written.
type outgoing struct {
	kind     outgoingKind
	job      wire.Call
	deadline time.Time // of the job's ctx
	data     []byte
	cause    string // of a cancel
}

type outgoingKind byte

const (
	outCall outgoingKind = iota
	outCancel
	outStacks
	outPing
	outEnd // the end: the worker is to go
)

// Parts of starting and ending a worker take at most so long.
const (
	helloTime  = 30 * time.Second       // from its start to its first word
	stacksTime = 2 * time.Second        // to print the stacks of its goroutines, in all
	tailTime   = 2 * time.Second        // to read the end of what it printed, where the system cannot say where that is
	obeyTime   = 300 * time.Millisecond // to begin to print them when a frame tells it to; then a signal does
)

// From these lengths on, an argument or a result goes through shared memory, and
// a chunk. A pipe is as good for less.
const (
	bigData  = 1 << 20
	bigChunk = 32 << 10
)

// mostHeld is how many bytes of results may wait until they are decoded, while the
// next are read.
const mostHeld = 64 << 20

// attend is the life of a worker process, as its parent sees it.
func (l *link) attend() {
	err := l.start()
	wasReady := err == nil
	if wasReady {
		l.pool.isReady(l.child)
		err = l.readResults()
	}
	if l.proc != nil && !l.hasEnded { // else it is on its way
		l.end(err)
	}
	obituary := l.bury()
	if !wasReady {
		l.pool.hasFailed(l.child, l.explain(err, obituary))
	} else {
		l.pool.died(l.child, obituary)
	}
	l.close()
	l.pool.left()
}

// start starts the process and waits until it is ready.
func (l *link) start() error {
	p, err := proc.Start(proc.Options{Env: l.pool.Env, Depth: depth + 1, MemoryLimit: l.pool.MemoryLimit})
	if err != nil {
		return fmt.Errorf("executor: cannot start a worker process: %w", err)
	}
	l.ooms, _ = proc.OOMKills() // while it starts
	l.read.Go(p.Watch)
	l.read.Go(p.AnswerDoor)
	l.mu.Lock()
	l.proc = p
	reason := l.reason
	l.mu.Unlock()
	if reason != nil { // it was ended before it began
		_ = p.Kill()
	}
	l.drain(&l.stderr, p.Stderr, &l.pool.stderr)
	l.drain(new(lines), p.Stdout, &l.pool.stdout)
	late := time.AfterFunc(helloTime, func() {
		l.end(errors.New("executor: it did not say hello in time; is executor.WorkerMain() the first line of main?"))
	})
	defer late.Stop()
	config := wire.Config{Initializer: l.pool.initializer, Depth: uint32(depth + 1), Name: l.pool.name()}
	rand.Read(config.Nonce[:])
	_, _ = p.Calls.Write(config.Append(nil)) // if that fails, greet finds out why
	l.frames = wire.NewReader(p.Results)
	if err := l.greet(config.Nonce); err != nil {
		return err
	}
	late.Stop()
	if err := l.awaitInitializer(); err != nil {
		return err
	}
	return l.fits()
}

// drain reads what the worker prints.
func (l *link) drain(ls *lines, from io.Reader, to *stream) {
	ls.printer, ls.to = &l.pool.printer, to
	l.read.Go(func() { ls.copyFrom(from) })
}

// greet reads the worker's hello. A worker of another program, or of another
// version of it, would be one for ever: that is not tried again.
func (l *link) greet(nonce [16]byte) error {
	t, body, err := l.next()
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
	case hello.Digest != registry.digest:
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
func (l *link) awaitInitializer() error {
	t, body, err := l.next()
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
		return fmt.Errorf("the Initializer: %w", remoteError(m.Error))
	}
	return nil
}

// next reads a frame. Reading ends when the worker has closed its end, or has
// ended while others have its end too.
func (l *link) next() (wire.Type, []byte, error) {
	t, body, err := l.frames.Next()
	l.hasEnded = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	return t, body, err
}

// readResults reads frames, and does nothing else, until the worker has gone or
// sends what it cannot mean.
func (l *link) readResults() error {
	var batch []wire.Result
	isAlive := false
	for {
		t, body, err := l.next()
		if err != nil {
			return err
		}
		switch t {
		case wire.AliveFrame:
			isAlive = true
		case wire.ResultFrame:
			m, err := wire.ParseResult(body)
			if err != nil {
				return err
			}
			batch = append(batch, m)
		default:
			return fmt.Errorf("%w: type %d from a worker that is ready", wire.ErrProtocol, t)
		}
		if l.frames.Buffered() && len(batch) < aheadCalls {
			continue
		}
		if len(batch) > 0 && !l.pool.ended(l, batch) {
			return fmt.Errorf("%w: a result of no call", wire.ErrProtocol)
		}
		if isAlive {
			l.pool.isAlive(l.child)
		}
		clear(batch)
		batch, isAlive = batch[:0], false
		l.frames.Reuse() // complete keeps nothing of the frames
	}
}

// data returns the bytes of a result, and whether the worker may mean them.
func (l *link) data(d wire.Data) ([]byte, bool) {
	switch {
	case d.Nil:
		return nil, true
	case !d.Shared:
		return d.Bytes, true
	}
	return lent(l.proc.Shared, d)
}

// hold counts a result of n bytes that is not decoded yet, until done is called. It
// waits while there are many such bytes: a worker that is quicker than its parent
// waits for it, and what it has written is in the pipe as long.
func (l *link) hold(n int) (done func()) {
	bytes := min(int64(n), mostHeld)
	_ = l.room.Acquire(context.Background(), bytes) // it never ends
	l.held.Add(1)
	return func() {
		l.room.Release(bytes)
		l.held.Done()
	}
}

// giveBack lets others have the area that a result was in.
func (l *link) giveBack(d wire.Data) {
	if d.Shared {
		giveBack(l.proc.Shared, int(d.Area))
	}
}

// bury ends the process, if it has not ended, and says how it died.
func (l *link) bury() *WorkerDiedError {
	if l.proc == nil { // it was not started
		l.mu.Lock()
		defer l.mu.Unlock()
		return &WorkerDiedError{ExitCode: -1, reason: l.reason}
	}
	kill := time.AfterFunc(stacksTime, func() { _ = l.proc.Kill() }) // it has closed its end, but who knows
	defer kill.Stop()
	status := l.proc.Wait()
	l.awaitTail()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isOver = true
	o := &WorkerDiedError{PID: l.proc.PID, ExitCode: status.Code, Signal: status.Signal, Stderr: l.stderr.last(), reason: l.reason}
	if !status.Known {
		o.ExitCode = -1
	}
	o.OutOfMemory = l.memory || l.reason == nil && l.looksOutOfMemory(o)
	return o
}

// awaitTail waits until what the worker printed was read. Where the system cannot
// end a read, whoever outlives the worker may hold the pipes: then it waits a little.
func (l *link) awaitTail() {
	if l.proc.EndPipes() {
		l.read.Wait()
		return
	}
	done := make(chan struct{})
	go func() {
		l.read.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(tailTime):
	}
}

func (l *link) looksOutOfMemory(o *WorkerDiedError) bool {
	if o.Signal == syscall.SIGKILL {
		n, ok := proc.OOMKills()
		return ok && n > l.ooms
	}
	return o.ExitCode == 2 && (strings.Contains(o.Stderr, "out of memory") || strings.Contains(o.Stderr, "cannot allocate memory"))
}

// close gives back the pipes and the shared memory, when nobody uses them any
// more.
func (l *link) close() {
	if l.proc == nil {
		return
	}
	_ = l.proc.Calls.Close() // ends a write
	l.writers.Wait()
	l.held.Wait()
	l.proc.Close()
}

// explain adds to the error of a start what is known of the process.
func (l *link) explain(err error, o *WorkerDiedError) error {
	if p := new(permanentError); errors.As(err, &p) || o.PID == 0 || o.reason == err {
		return err
	}
	if o.reason != nil {
		err = o.reason
	}
	return fmt.Errorf("%w (%w)", err, o)
}

// enqueue adds a frame to write. The lock of the pool is held, so that frames
// are in the order of its decisions.
func (l *link) enqueue(o outgoing) {
	l.mu.Lock()
	l.out = append(l.out, o)
	l.mu.Unlock()
}

// flush sees that what is enqueued is written. A single small frame for an idle
// worker is written here, if that does not block: to wake another goroutine would
// take longer. All else is written by a goroutine that takes what has come
// meanwhile in one go.
func (l *link) flush(wasIdle bool) {
	l.mu.Lock()
	if l.writing || l.isOver || len(l.out) == 0 {
		l.mu.Unlock()
		return
	}
	l.writing = true
	l.writers.Add(1)
	var frame []byte
	if wasIdle && len(l.out) == 1 && len(l.out[0].data) < 4096 {
		l.frame = l.writeFrame(l.frame[:0], &l.out[0])
		frame = l.frame
		clear(l.out)
		l.out = l.out[:0]
	}
	l.mu.Unlock()
	if len(frame) > 0 {
		frame = frame[l.proc.TryWrite(frame):]
		if len(frame) == 0 && l.hasWritten() {
			l.writers.Done()
			return
		}
	}
	go l.write(frame)
}

// hasWritten reports whether nothing is left to write, in which case who asks
// writes no more.
func (l *link) hasWritten() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing = len(l.out) > 0
	return !l.writing
}

// write writes rest, and then until nothing is left to write.
func (l *link) write(rest []byte) {
	defer l.writers.Done()
	l.writeOut(rest)
	for !l.hasWritten() {
		l.mu.Lock()
		out := l.out
		l.out, l.spare = l.spare, nil
		l.mu.Unlock()
		buf := l.frame[:0]
		for i := range out {
			buf = l.writeFrame(buf, &out[i])
		}
		l.writeOut(buf)
		l.keep(buf, out)
	}
}

// keep keeps the memory of what was written for what comes next, unless it is much.
func (l *link) keep(frame []byte, out []outgoing) {
	if cap(frame) <= 64<<10 {
		l.frame = frame[:0]
	}
	if cap(out) <= 2*aheadCalls {
		clear(out)
		l.mu.Lock()
		l.spare = out[:0]
		l.mu.Unlock()
	}
}

// writeFrame appends a frame to buf, of which it writes what has become long.
func (l *link) writeFrame(buf []byte, o *outgoing) []byte {
	switch o.kind {
	case outCancel:
		m := wire.Cancel{Slot: o.job.Slot, Serial: o.job.Serial, Cause: o.cause}
		return m.Append(buf)
	case outStacks:
		return wire.AppendEmpty(buf, wire.StacksFrame)
	case outPing:
		return wire.AppendEmpty(buf, wire.PingFrame)
	case outEnd:
		return wire.AppendEmpty(buf, wire.EndFrame)
	}
	m, shared := &o.job, l.proc.Shared
	if shared != nil && shared.Slots[m.Slot].Load() != sentWord(m.Serial) {
		return buf // it was taken back meanwhile
	}
	if m.HasTimeout {
		m.Timeout = time.Until(o.deadline)
	}
	switch n := len(o.data); {
	case o.data == nil:
		m.Data.Nil = true
	case l.lend(m, n):
		data, _ := lent(shared, m.Data)
		fill(data, o.data)
	case n >= 64<<10: // not copied
		l.writeOut(m.AppendHead(buf, n))
		l.writeOut(o.data)
		return buf[:0]
	default:
		m.Data.Bytes = o.data
	}
	return m.Append(buf)
}

// lend takes an area for the n bytes of a call that are large. The worker gives
// it back when the call has ended, but for a result there.
func (l *link) lend(m *wire.Call, n int) bool {
	shared := l.proc.Shared
	from, to := argsArea, argsArea
	switch {
	case shared == nil:
		return false
	case m.Items > 0 && n >= bigChunk:
		from, to = firstLane, firstLane+proc.Lanes-1
	case m.Items > 0 || n < bigData:
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
func (l *link) writeOut(b []byte) {
	if len(b) > 0 {
		_, _ = l.proc.Calls.Write(b)
	}
}

// end ends the process at once, for a reason.
func (l *link) end(reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isOver {
		return
	}
	if l.reason == nil {
		l.reason = reason
	}
	if l.proc != nil {
		_ = l.proc.Kill()
	}
}

// endWithStacks ends the process because of one of its calls, which hangs, and
// lets it print where. It is told to by a frame: when a signal tells it, the
// runtime does not have the stack of a goroutine that runs on another thread.
// The signal is for one that does not obey.
func (l *link) endWithStacks(reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isOver || l.reason != nil {
		return
	}
	l.reason = reason
	l.stderr.keepStacks()
	l.out = append(l.out, outgoing{kind: outStacks})
	go l.flush(false)
	time.AfterFunc(obeyTime, func() { _ = l.proc.Quit() })
	time.AfterFunc(stacksTime, func() { l.end(reason) })
}

// endForMemory ends a process that is over the limit.
func (l *link) endForMemory() {
	l.mu.Lock()
	if l.proc == nil || l.isOver {
		l.mu.Unlock()
		return
	}
	err := l.fits()
	l.memory = l.memory || err != nil
	l.mu.Unlock()
	if err != nil {
		l.end(err)
	}
}

// fits is the error of a worker that is over the MemoryLimit. A worker that is
// over it before its first call never becomes one, however short the calls.
func (l *link) fits() error {
	limit := l.pool.MemoryLimit
	if limit <= 0 {
		return nil
	}
	if size, ok := l.proc.Resident(); ok && size > limit {
		return fmt.Errorf("executor: %d bytes of resident memory, over the MemoryLimit of %d", size, limit)
	}
	return nil
}
