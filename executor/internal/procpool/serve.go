package procpool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/gofutures/futures/executor/internal/proc"
	"github.com/gofutures/futures/executor/internal/wire"
)

// Maker makes the requests that have come to a worker process, one after another.
type Maker interface {
	// Initialize calls the initializer of that name, and leaves the error that it failed
	// with in failure, encoded, also if it panics or ends the goroutine. It is called first.
	Initialize(name string, failure *[]byte)

	// Make makes a request, and leaves what came of it in r, also if it ends the goroutine:
	// at most MaxData bytes. What came of a chunk is in its journal instead. The data of the
	// request, and the reply, are not used any more when the next one is made.
	Make(in *Incoming, r *Reply)
}

// Incoming is a request that has come to a worker.
type Incoming struct {
	Func         uint32 // Function.Index
	Items        int    // 0, or the number of items of a chunk
	StopsAtError bool
	Deadline     time.Time // zero if there is none
	Data         []byte
	Err          error // why the data is not there

	message wire.Request
	cause   string // why it was interrupted before it began; "": it was not
	server  *server
	journal *Journal
}

// Interrupter is what can be interrupted of a request that is made.
type Interrupter interface {
	// Interrupt asks it to stop. The cause is what Pool.Interrupt was given.
	Interrupt(cause string)
}

// Begin lets x hear when the request is interrupted, from now on until Make has ended; at
// once, if it was before.
func (in *Incoming) Begin(x Interrupter) {
	s := in.server
	s.mu.Lock()
	s.current = x
	cause := s.cause
	s.mu.Unlock()
	if cause != "" {
		x.Interrupt(cause)
	}
}

// Journal opens the journal of a chunk. With inPlace, each value has as many bytes as each
// argument, and is noted in its place if that memory is shared: it is written when the
// argument has been read.
func (in *Incoming) Journal(inPlace bool) *Journal {
	in.journal = in.server.newJournal(&in.message, inPlace)
	return in.journal
}

// Fail is instead of Make for a request that cannot be made, because of an error, which is
// encoded: it is what comes of the request, or of each item that is this worker's own.
func (in *Incoming) Fail(failure []byte, r *Reply) {
	if in.Items == 0 {
		*r = Reply{Failed, failure}
		return
	}
	j := in.Journal(false)
	for i := 0; j.Begin(i); i++ {
		j.Outcome(Reply{Failed, failure})
	}
}

// ServeOptions say what a worker process is.
type ServeOptions struct {
	Maker
	Digest    [32]byte // as in Options
	ItemFrame string   // has a line of the stack of a goroutine that makes an item of a chunk, if that is one of its own
}

// server is the worker's end of a worker process: requests to make, one at a time, in
// order.
type server struct {
	ServeOptions
	requests io.Reader
	replies  io.Writer
	shared   *proc.Shared // nil if there is none
	exit     func(code int)
	vanish   func()

	mu      sync.Mutex // guards the fields below
	waiting []Incoming
	come    chan struct{} // holds 1 when some were added to those that wait
	serial  uint64        // of the request that is made, or is about to be
	cause   string        // why that was interrupted, "" if it was not
	current Interrupter   // it, from Begin on; nil if none is made
	isWarm  bool          // the shared memory was used: it holds pages

	ownJournal []byte // where no memory is shared

	writer sync.Mutex // held to write to replies

	out     sync.Mutex // guards the fields below
	frames  []byte     // that were not written
	spare   []byte     // memory for frames
	writing bool       // a goroutine will write them
	wrote   time.Time  // when a write last began
}

// Serve makes requests until the parent says that it is the end, or has gone. Then it
// ends the process.
func Serve(l *proc.Link, o ServeOptions) {
	s := newServer(o, l.Requests, l.Replies, l.Shared)
	s.exit, s.vanish = os.Exit, proc.Vanish
	s.serve(proc.Settle)
}

func newServer(o ServeOptions, requests io.Reader, replies io.Writer, shared *proc.Shared) *server {
	return &server{ServeOptions: o, requests: requests, replies: replies, shared: shared, come: make(chan struct{}, 1)}
}

// serve reads frames. It calls settle while the parent hears of the hello.
func (s *server) serve(settle func()) {
	frames := wire.NewReader(s.requests)
	config, err := s.greet(frames)
	if err != nil {
		s.fail(err)
	}
	go s.work(config)
	settle()
	for {
		t, body, err := frames.Next()
		if err != nil {
			s.vanish() // no EndFrame: the parent has gone
		}
		if err := s.receive(t, body); err != nil {
			s.fail(err)
		}
	}
}

// fail ends a worker that does not understand its parent.
func (s *server) fail(err error) {
	fmt.Fprintf(os.Stderr, "executor: worker: %v\n", err)
	s.exit(2)
}

func (s *server) greet(frames *wire.Reader) (wire.Config, error) {
	t, body, err := frames.Next()
	if err != nil {
		s.vanish()
	}
	if t != wire.ConfigFrame {
		return wire.Config{}, fmt.Errorf("the first frame is of type %d", t)
	}
	config, err := wire.ParseConfig(body)
	if err != nil {
		return config, err
	}
	hello := wire.Hello{Version: wire.Version, Nonce: config.Nonce, Build: proc.Build(), Digest: s.Digest, PID: uint32(os.Getpid())}
	_, err = s.replies.Write(hello.Append(nil))
	return config, err
}

// receive takes a frame from the parent.
func (s *server) receive(t wire.Type, body []byte) error {
	switch t {
	case wire.RequestFrame:
		m, err := wire.ParseRequest(body)
		if err != nil {
			return err
		}
		s.take(m)
	case wire.CancelFrame:
		m, err := wire.ParseCancel(body)
		if err != nil {
			return err
		}
		if x := s.interrupt(m); x != nil {
			x.Interrupt(m.Cause)
		}
	case wire.PingFrame:
		s.add(func(b []byte) []byte { return wire.AppendEmpty(b, wire.AliveFrame) })
		s.send(false)
	case wire.StacksFrame:
		s.printStacks()
		s.exit(2)
	case wire.EndFrame:
		s.exit(0)
	default:
		return fmt.Errorf("a frame of type %d", t)
	}
	return nil
}

// take lets a request wait until it is its turn.
func (s *server) take(m wire.Request) {
	in := Incoming{Func: m.Func, Items: int(m.Items), StopsAtError: m.Stops, message: m, server: s}
	if m.HasTimeout {
		in.Deadline = time.Now().Add(m.Timeout) // now: it may wait behind others
	}
	s.mu.Lock()
	s.waiting = append(s.waiting, in)
	s.mu.Unlock()
	select {
	case s.come <- struct{}{}:
	default:
	}
}

// interrupt returns what is to be interrupted, nil if it has not begun or has ended. If it
// has come, and does not run yet, it will be interrupted when it does.
func (s *server) interrupt(m wire.Cancel) Interrupter {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serial == m.Serial {
		s.cause = m.Cause
		return s.current
	}
	for i := range s.waiting {
		if s.waiting[i].message.Serial == m.Serial {
			s.waiting[i].cause = m.Cause
		}
	}
	return nil
}

// printStacks prints the stacks of all goroutines: first the one that makes the request,
// because there may be a crowd of others, and not all that is printed is kept. That of an
// item of a chunk comes before, which may have a goroutine of its own.
func (s *server) printStacks() {
	_, _ = os.Stderr.Write(makerFirst(allStacks(), s.ItemFrame, "procpool.(*server).make("))
}

// allStacks returns the stacks of all goroutines, this one first.
func allStacks() []byte {
	const most = 64 << 20
	for size := 1 << 20; ; size *= 4 {
		buf := make([]byte, size)
		if n := runtime.Stack(buf, true); n < size || size >= most {
			return buf[:n]
		}
	}
}

// makerFirst moves the first stack that has one of the frames to the beginning.
func makerFirst(stacks []byte, frames ...string) []byte {
	const gap = "\n\n"
	at := -1
	for i := 0; at < 0 && i < len(frames); i++ {
		if frames[i] != "" {
			at = bytes.Index(stacks, []byte(frames[i]))
		}
	}
	if at < 0 {
		return stacks
	}
	begin := bytes.LastIndex(stacks[:at], []byte(gap)) + len(gap)
	if begin < len(gap) {
		return stacks // it is the first
	}
	end := len(stacks)
	if n := bytes.Index(stacks[at:], []byte(gap)); n >= 0 {
		end = at + n
	}
	return slices.Concat(stacks[begin:end], []byte(gap), stacks[:begin], stacks[end:])
}

// work makes the requests, after the initializer.
func (s *server) work(config wire.Config) {
	var failure []byte
	hasReturned := false
	defer func() { // the initializer has ended this goroutine
		if !hasReturned {
			s.isReady(failure)
		}
	}()
	if config.Initializer != "" {
		s.Initialize(config.Initializer, &failure)
	}
	hasReturned = true
	s.isReady(failure)
	s.makeAll()
}

func (s *server) isReady(failure []byte) {
	m := wire.Ready{Error: failure}
	s.add(m.Append)
	s.send(false)
}

// makeAll makes one request after another.
func (s *server) makeAll() {
	var in Incoming
	var r Reply
	began := time.Now()
	defer func() { // the function has ended this goroutine
		s.answer(&in, &r, time.Since(began))
		go s.makeAll()
	}()
	for {
		in = s.next()
		if !s.claim(&in) {
			s.giveBack(&in)
			continue
		}
		began = time.Now()
		r = Reply{}
		s.make(&in, &r)
		s.answer(&in, &r, time.Since(began))
	}
}

// next waits for a request.
func (s *server) next() Incoming {
	for {
		s.mu.Lock()
		if len(s.waiting) > 0 {
			in := s.waiting[0]
			s.waiting[0] = Incoming{}
			s.waiting = s.waiting[1:]
			s.serial, s.cause = in.message.Serial, in.cause
			s.mu.Unlock()
			return in
		}
		s.waiting = nil
		isWarm := s.isWarm
		s.mu.Unlock()
		if isWarm {
			s.restWarm()
		} else {
			<-s.come
		}
	}
}

// warmTime is how long the pages of large arguments and replies are kept for the
// next ones: to get new ones takes longer than to fill them.
const warmTime = time.Second

// restWarm waits for a request, and gives the shared memory back if none comes.
func (s *server) restWarm() {
	late := time.NewTimer(warmTime)
	defer late.Stop()
	select {
	case <-s.come:
		return
	case <-late.C:
	}
	isCold := true
	for area, memory := range s.shared.Areas {
		if lend(s.shared, area, 0) {
			s.shared.Trim(memory)
			giveBack(s.shared, area)
		} else {
			isCold = false // the parent is at it
		}
	}
	s.mu.Lock()
	s.isWarm = !isCold
	s.mu.Unlock()
}

// claim marks that the request starts, unless the parent has taken it back.
func (s *server) claim(in *Incoming) bool {
	if s.shared == nil {
		return true
	}
	m := &in.message
	return int(m.Slot) < len(s.shared.Slots) && s.shared.Slots[m.Slot].CompareAndSwap(sentWord(m.Serial), startedWord(m.Serial))
}

// make makes a request.
func (s *server) make(in *Incoming, r *Reply) {
	in.Data, in.Err = s.data(in.message.Data)
	defer func() {
		s.mu.Lock()
		s.current = nil
		s.mu.Unlock()
	}()
	s.Make(in, r)
}

// data returns the argument of a request.
func (s *server) data(d wire.Data) ([]byte, error) {
	switch {
	case d.Nil:
		return nil, nil
	case !d.Shared:
		return d.Bytes, nil
	}
	data, ok := lent(s.shared, d)
	if !ok {
		return nil, errors.New("executor: an argument is not in the shared memory")
	}
	return data, nil
}

// answer sends what came of a request.
func (s *server) answer(in *Incoming, r *Reply, spent time.Duration) {
	a := s.replyTo(in, r)
	a.Spent = spent
	if in.message.Data.Shared || a.Data.Shared {
		s.mu.Lock()
		s.isWarm = true
		s.mu.Unlock()
	}
	s.add(a.Append)
	if !a.Data.Shared || a.Data.Area != in.message.Data.Area {
		s.giveBack(in) // after the reply was copied, which may be in the same memory
	}
	s.send(spent < whileTiny && s.hasMore())
}

// replyTo returns what came of a request, or of the items of a chunk that was not yet
// sent.
func (s *server) replyTo(in *Incoming, r *Reply) wire.Reply {
	if in.journal != nil {
		return in.journal.close()
	}
	a := wire.Reply{Slot: in.message.Slot, Serial: in.message.Serial, Kind: byte(r.Kind)}
	switch area, ok := s.areaFor(len(r.Data)); {
	case r.Data == nil:
		a.Data.Nil = true
	case ok:
		a.Data = wire.Data{Shared: true, Area: uint64(area), Len: uint64(len(r.Data))}
		data, _ := lent(s.shared, a.Data)
		fill(data, r.Data)
	default:
		a.Data.Bytes = r.Data
	}
	return a
}

// hasMore reports whether there are requests to make.
func (s *server) hasMore() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting) > 0
}

// giveBack lets the parent use the area again that a large request came in.
func (s *server) giveBack(in *Incoming) {
	d := in.message.Data
	if _, ok := lent(s.shared, d); ok && d.Shared {
		giveBack(s.shared, int(d.Area))
	}
}

// areaFor returns the area for a reply of n bytes, if it is to go through shared
// memory.
func (s *server) areaFor(n int) (area int, ok bool) {
	return repliesArea, n >= BigData && lend(s.shared, repliesArea, n)
}

// add adds a frame to those that are to be sent.
func (s *server) add(appendTo func([]byte) []byte) {
	s.out.Lock()
	s.frames = appendTo(s.frames)
	s.out.Unlock()
}

// send sends the frames. A tiny request does not wait for that: a goroutine writes
// what such requests leave, together. But what took a while is written before the
// next request starts, so that it is not lost with that one.
func (s *server) send(isTiny bool) {
	s.out.Lock()
	isLate := time.Since(s.wrote) > whileTiny
	isComing := s.writing
	s.writing = true
	s.out.Unlock()
	switch {
	case !isTiny || isLate:
		s.write()
	case !isComing:
		go s.write()
	}
}

// whileTiny is what a request takes at most whose reply may wait for those of
// others, and how long it may wait.
const whileTiny = 50 * time.Microsecond

// write writes all frames that are there.
func (s *server) write() {
	s.writer.Lock()
	defer s.writer.Unlock()
	s.out.Lock()
	frames := s.frames
	s.frames, s.spare, s.writing = s.spare, nil, false
	s.wrote = time.Now()
	s.out.Unlock()
	if len(frames) == 0 {
		return // another goroutine has written them
	}
	if _, err := s.replies.Write(frames); err != nil {
		s.vanish() // the parent has gone
	}
	if cap(frames) <= mostSpare {
		s.out.Lock()
		s.spare = frames[:0]
		s.out.Unlock()
	}
}

// mostSpare is how much memory is kept to write the next frames from.
const mostSpare = 1 << 20
