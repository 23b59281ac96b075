package procpool

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor/internal/proc"
	"github.com/gofutures/futures/executor/internal/wire"
)

// fake is a worker process that a test plays: no program runs.
type fake struct {
	t       *testing.T
	number  int // of the fakes of a test, from 0
	options proc.Options
	shared  *proc.Shared // nil if nothing is shared
	frames  *wire.Reader // what the parent writes
	calls   *io.PipeReader
	results *io.PipeWriter
	stderr  *io.PipeWriter
	gone    chan struct{} // closed when it has ended

	mu       sync.Mutex // guards the fields below
	isGone   bool
	status   proc.Status
	resident int64
	quits    []time.Time
	kills    []time.Time
	isClosed bool // the parent has given back pipes and memory
}

// fakes starts processes for a Pool.
type fakes struct {
	t       *testing.T
	isPlain bool // they share no memory
	play    func(*fake)

	mu     sync.Mutex // guards the fields below
	all    []*fake
	fails  error // of each start
	starts []time.Time
}

// newFakePool returns a pool whose processes play a part each. It is closed, and must have
// ended, at the end of the bubble.
func newFakePool(t *testing.T, o Options, play func(*fake)) (*Pool, *fakes) {
	f := &fakes{t: t, play: play}
	if o.KillGrace == 0 {
		o.KillGrace = time.Second
	}
	if o.Broken == nil {
		o.Broken = func(cause error, _ *Death) { t.Errorf("no worker can be started: %v", cause) }
	}
	if o.Left == nil {
		o.Left = func() {}
	}
	o.Functions, o.Digest = 10, [32]byte{7}
	o.Stdout, o.Stderr = io.Discard, io.Discard
	o.InitializerError = func(data []byte) error { return errors.New(string(data)) }
	p := New(o)
	p.run = f.run
	return p, f
}

// run is the start of a process, for the pool.
func (f *fakes) run(o proc.Options) (*system, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.starts = append(f.starts, time.Now())
	if f.fails != nil {
		return nil, f.fails
	}
	w := &fake{t: f.t, number: len(f.all), options: o, gone: make(chan struct{})}
	if !f.isPlain {
		w.shared = newShared()
	}
	f.all = append(f.all, w)
	calls, callsEnd := io.Pipe()
	resultsEnd, results := io.Pipe()
	stderrEnd, stderr := io.Pipe()
	w.calls, w.results, w.stderr, w.frames = calls, results, stderr, wire.NewReader(calls)
	go f.play(w)
	return &system{PID: 1000 + w.number, Requests: callsEnd, Replies: resultsEnd, Stdout: bytes.NewReader(nil), Stderr: stderrEnd, Shared: w.shared, control: w}, nil
}

// get returns a fake by its number.
func (f *fakes) get(number int) *fake {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.all[number]
}

func (f *fakes) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.all)
}

// end ends the process.
func (w *fake) end(status proc.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isGone {
		return
	}
	w.isGone, w.status = true, status
	_ = w.calls.CloseWithError(syscall.EPIPE)
	_ = w.results.Close()
	_ = w.stderr.Close()
	close(w.gone)
}

func (w *fake) exit(code int) { w.end(proc.Status{Known: true, Code: code}) }

// What the parent can do with it.

func (w *fake) Watch()              { <-w.gone }
func (w *fake) AnswerDoor()         {}
func (w *fake) TryWrite([]byte) int { return 0 }
func (w *fake) EndPipes() bool      { return true }

func (w *fake) Resident() (int64, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.resident, true
}

func (w *fake) Quit() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.quits = append(w.quits, time.Now())
	return nil
}

func (w *fake) Kill() error {
	w.mu.Lock()
	w.kills = append(w.kills, time.Now())
	w.mu.Unlock()
	w.end(proc.Status{Known: true, Code: -1, Signal: os.Kill})
	return nil
}

func (w *fake) Wait() proc.Status {
	<-w.gone
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status
}

func (w *fake) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.isClosed = true
}

// hasClosed reports whether the parent has given back what it had of the process.
func (w *fake) hasClosed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.isClosed
}

// What it does as a worker.

// hello says what a worker of the same program says first.
func (w *fake) hello() {
	_, body, err := w.frames.Next()
	if err != nil {
		return
	}
	config, err := wire.ParseConfig(body)
	if err != nil {
		w.t.Errorf("the config of the parent: %v", err)
	}
	m := wire.Hello{Version: wire.Version, Nonce: config.Nonce, Build: proc.Build(), Digest: [32]byte{7}}
	w.write(m.Append(nil))
}

// begin makes it ready.
func (w *fake) begin() {
	w.hello()
	w.write((&wire.Ready{}).Append(nil))
}

func (w *fake) write(frame []byte) { _, _ = w.results.Write(frame) }

// next returns the next frame of the parent; false if there is none, or the worker is to go.
func (w *fake) next() (t wire.Type, body []byte, ok bool) {
	t, body, err := w.frames.Next()
	if err != nil || t == wire.EndFrame {
		w.exit(0)
		return 0, nil, false
	}
	return t, body, true
}

// nextCall returns the next request that it may start, and answers pings meanwhile.
func (w *fake) nextCall() (m wire.Request, ok bool) {
	for {
		t, body, ok := w.next()
		switch {
		case !ok:
			return m, false
		case t == wire.PingFrame:
			w.write(wire.AppendEmpty(nil, wire.AliveFrame))
		case t == wire.RequestFrame:
			m, err := wire.ParseRequest(body)
			if err != nil {
				w.t.Errorf("a request of the parent: %v", err)
			}
			if w.claim(m) {
				return m, true
			}
		}
	}
}

// claim starts a request, unless the parent has taken it back.
func (w *fake) claim(m wire.Request) bool {
	return w.shared == nil || w.shared.Slots[m.Slot].CompareAndSwap(sentWord(m.Serial), startedWord(m.Serial))
}

// reply answers a request with its own data, which took so long.
func (w *fake) reply(m wire.Request, took time.Duration) {
	a := wire.Reply{Slot: m.Slot, Serial: m.Serial, Kind: byte(Returned), Spent: took, Data: wire.Data{Bytes: m.Data.Bytes}}
	w.write(a.Append(nil))
}

// serve answers all requests, each of which takes so long.
func (w *fake) serve(each time.Duration) {
	for m, ok := w.nextCall(); ok; m, ok = w.nextCall() {
		time.Sleep(each)
		w.reply(m, each)
	}
}

// honest is a worker that answers each request after a microsecond.
func honest(w *fake) {
	w.begin()
	w.serve(time.Microsecond)
}

// fakeTask is a task, with what its pool has told it.
type fakeTask struct {
	Request
	isOver bool // somebody else has ended it

	mu     sync.Mutex // guards the fields below
	kept   map[int]string
	lost   map[int]error
	ends   int
	err    error
	onKeep func()
}

// newTask returns a task whose request has the data.
func newTask(data string) *fakeTask {
	t := &fakeTask{kept: make(map[int]string), lost: make(map[int]error)}
	t.Request = Request{Task: t, Function: &Function{Plain: true, Quick: BigData}, Data: []byte(data)}
	return t
}

func (t *fakeTask) MayStart() bool { return !t.isOver }

func (t *fakeTask) Keep(from, n int, r Reply) error {
	if t.onKeep != nil {
		t.onKeep()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	rest := r.Data
	for i := range max(1, n) {
		data := rest
		if n > 0 {
			data, rest = rest[:1], rest[1:] // the values of chunks have one byte each
		}
		if _, isTwice := t.kept[from+i]; isTwice || t.lost[from+i] != nil || t.ends > 0 {
			return errors.New("there are two outcomes of an item, or one after the end")
		}
		t.kept[from+i] = string(data)
	}
	if r.Kind == Lost {
		return errors.New("nothing came")
	}
	return nil
}

func (t *fakeTask) Lose(from, n int, why error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range n {
		if _, isTwice := t.kept[from+i]; isTwice || t.lost[from+i] != nil || t.ends > 0 {
			return errors.New("there are two outcomes of an item, or one after the end")
		}
		t.lost[from+i] = why
	}
	if t.Items == 0 {
		return why
	}
	return nil
}

func (t *fakeTask) End(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ends++
	t.err = err
}

// outcome returns how often the task has ended, and with what.
func (t *fakeTask) outcome() (data string, ends int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.kept[0], t.ends, t.err
}

// wantReply wants that the task has ended with its own data.
func (t *fakeTask) wantReply(test *testing.T, what string) {
	test.Helper()
	if data, ends, err := t.outcome(); data != string(t.Data) || ends != 1 || err != nil {
		test.Errorf("%s has the reply %q, has ended %d times, with %v; want %q, once, nil", what, data, ends, err, t.Data)
	}
}

// wantDeath wants that the task has ended with the death of its worker, and returns it.
func (t *fakeTask) wantDeath(test *testing.T, what string) *Death {
	test.Helper()
	death := new(Death)
	if _, ends, err := t.outcome(); ends != 1 || !errors.As(err, &death) {
		test.Fatalf("%s has ended %d times, with %v; want once, with a *Death", what, ends, err)
	}
	return death
}

func submit(t *testing.T, p *Pool, tasks ...*fakeTask) {
	t.Helper()
	for _, task := range tasks {
		unsent, isTaken := p.Submit(&task.Request)
		unsent.Flush()
		if !isTaken {
			t.Fatal("a request is not taken")
		}
	}
}

// closeAll closes the pool, and wants that all of its processes end and are given back.
func closeAll(t *testing.T, p *Pool, f *fakes) {
	t.Helper()
	p.Close()
	time.Sleep(time.Hour)
	synctest.Wait()
	if s := p.Stats(); s != (Stats{Restarts: s.Restarts}) {
		t.Errorf("an hour after Close: %+v; want nothing", s)
	}
	for i := range f.count() {
		if !f.get(i).hasClosed() {
			t.Errorf("the pipes and the memory of process %d are not given back", i)
		}
	}
}
