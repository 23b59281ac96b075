package executor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/gofutures/futures/executor/internal/proc"
	"github.com/gofutures/futures/executor/internal/wire"
)

// WorkerMain is the first line of main in a program that uses a
// [ProcessPoolExecutor], and of TestMain (see executortest.Main). In a worker
// process it makes calls and does not return; in any other it returns at once.
// It answers to if __name__ == "__main__" and multiprocessing.freeze_support.
//
//	func main() {
//		executor.WorkerMain()
//
// Functions are registered before, in init. What a program does at package
// level and in init is done in each worker too.
//
// A worker has the parent's environment and working directory, an empty stdin,
// and what it prints goes where the pool says. It ignores interrupts from the
// terminal: the parent decides.
func WorkerMain() {
	link, isWorker, err := proc.Inherited()
	if err != nil {
		fmt.Fprintf(os.Stderr, "executor: WorkerMain: %v\n", err)
		os.Exit(2)
	}
	registry.seal()
	_ = proc.Build() // of the file as it is now
	if isWorker {
		depth = link.Depth
		serve(link)
	}
}

// depth is how many processes above this one are workers' parents: 0 for one
// that no pool has started.
var depth int

// maxDepth is how deep pools may be within pools. Without a limit, a program
// that makes a pool in the wrong place would start processes for ever.
const maxDepth = 8

// mayHaveWorkers returns why this process must not start workers, if so.
func mayHaveWorkers() error {
	switch {
	case !registry.isSealed():
		return errors.New("executor: ProcessPoolExecutor: main has not called executor.WorkerMain(), which is to be its first line; without it, each worker would run the whole program")
	case depth >= maxDepth:
		return fmt.Errorf("executor: ProcessPoolExecutor: this is a worker of a worker, %d deep; pools within pools end here", depth)
	}
	return nil
}

// workshop is what a worker process is: calls to make, one at a time, in order.
type workshop struct {
	*proc.Link

	mu      sync.Mutex // guards the fields below
	calls   []arrived
	come    chan struct{} // holds 1 when calls were added
	current *Call         // that runs, or nil
	serial  uint64        // of the current call, or of the one that is about to be
	cause   string        // why that was cancelled, if it was
	isWarm  bool          // the shared memory was used: it holds pages

	ownJournal []byte // where no memory is shared

	writer sync.Mutex // held to write to Results

	out     sync.Mutex // guards the fields below
	frames  []byte     // that were not written
	spare   []byte     // memory for frames
	writing bool       // somebody will write them
	wrote   time.Time  // when a write last began
}

// arrived is a call that has come.
type arrived struct {
	wire.Call
	deadline time.Time // if it HasTimeout
	cause    string    // why it was cancelled, if it was
}

// serve makes calls until the parent says that it is the end, or has gone.
func serve(l *proc.Link) {
	w := &workshop{Link: l, come: make(chan struct{}, 1)}
	frames := wire.NewReader(l.Calls)
	config, err := w.greet(frames)
	if err != nil {
		fail(err)
	}
	go w.work(config)
	proc.Settle() // while the parent hears of the hello
	for {
		t, body, err := frames.Next()
		if err != nil {
			proc.Vanish() // no EndFrame: the parent has gone
		}
		if err := w.receive(t, body); err != nil {
			fail(err)
		}
	}
}

// fail ends a worker that does not understand its parent.
func fail(err error) {
	fmt.Fprintf(os.Stderr, "executor: worker: %v\n", err)
	os.Exit(2)
}

func (w *workshop) greet(frames *wire.Reader) (wire.Config, error) {
	t, body, err := frames.Next()
	if err != nil {
		proc.Vanish()
	}
	if t != wire.ConfigFrame {
		return wire.Config{}, fmt.Errorf("the first frame is of type %d", t)
	}
	config, err := wire.ParseConfig(body)
	if err != nil {
		return config, err
	}
	hello := wire.Hello{Version: wire.Version, Nonce: config.Nonce, Build: proc.Build(), Digest: registry.digest, PID: uint32(os.Getpid())}
	_, err = w.Results.Write(hello.Append(nil))
	return config, err
}

// receive takes a frame from the parent.
func (w *workshop) receive(t wire.Type, body []byte) error {
	switch t {
	case wire.CallFrame:
		m, err := wire.ParseCall(body)
		if err != nil {
			return err
		}
		w.mu.Lock()
		c := arrived{Call: m}
		if m.HasTimeout {
			c.deadline = time.Now().Add(m.Timeout) // now: it may wait behind others
		}
		w.calls = append(w.calls, c)
		w.mu.Unlock()
		select {
		case w.come <- struct{}{}:
		default:
		}
	case wire.CancelFrame:
		m, err := wire.ParseCancel(body)
		if err != nil {
			return err
		}
		if c := w.cancel(m); c != nil {
			c.interrupt(remoteError([]byte(m.Cause)))
		}
	case wire.PingFrame:
		w.add(func(b []byte) []byte { return wire.AppendEmpty(b, wire.AliveFrame) })
		w.send(false)
	case wire.StacksFrame:
		printStacks()
		os.Exit(2)
	case wire.EndFrame:
		os.Exit(0)
	default:
		return fmt.Errorf("a frame of type %d", t)
	}
	return nil
}

// cancel returns the call that is to be cancelled, if it runs. If it has come, and
// does not run yet, it will be cancelled when it does.
func (w *workshop) cancel(m wire.Cancel) *Call {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.serial == m.Serial {
		w.cause = m.Cause
		return w.current
	}
	for i := range w.calls {
		if w.calls[i].Serial == m.Serial {
			w.calls[i].cause = m.Cause
		}
	}
	return nil
}

// printStacks prints the stacks of all goroutines: first the one that makes the call,
// because there may be a crowd of others, and not all that is printed is kept.
func printStacks() {
	_, _ = os.Stderr.Write(callFirst(allStacks()))
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

// callFrames are of the goroutine that makes a call: first that of an item of a chunk, which
// has its own.
var callFrames = [][]byte{[]byte("executor.(*series[...]).makeLeft("), []byte("executor.(*workshop).make(")}

// callFirst moves the stack of the goroutine that makes a call to the beginning.
func callFirst(stacks []byte) []byte {
	const gap = "\n\n"
	at := -1
	for i := 0; at < 0 && i < len(callFrames); i++ {
		at = bytes.Index(stacks, callFrames[i])
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

// work makes the calls, after the Initializer.
func (w *workshop) work(config wire.Config) {
	var r result
	hasReturned := false
	defer func() {
		if !hasReturned {
			r = failure(caught(recover()), "")
			w.isReady(wire.Ready{Error: r.data})
		}
	}()
	var err error
	if config.Initializer != "" {
		err = registry.initializers[config.Initializer](context.Background())
	}
	hasReturned = true
	ready := wire.Ready{}
	if err != nil {
		ready.Error = failure(err, "").data
	}
	w.isReady(ready)
	w.makeAll()
}

func (w *workshop) isReady(m wire.Ready) {
	w.add(m.Append)
	w.send(false)
}

// makeAll makes one call after another.
func (w *workshop) makeAll() {
	var m arrived
	var v invocation
	began := time.Now()
	defer func() { // the function has ended this goroutine
		w.answer(&m, &v, time.Since(began))
		go w.makeAll()
	}()
	for {
		m = w.next()
		if !w.claim(&m) {
			w.giveBack(&m)
			continue
		}
		began = time.Now()
		v = invocation{}
		w.make(&m, &v)
		w.answer(&m, &v, time.Since(began))
	}
}

// next waits for a call.
func (w *workshop) next() arrived {
	for {
		w.mu.Lock()
		if len(w.calls) > 0 {
			m := w.calls[0]
			w.calls[0] = arrived{}
			w.calls = w.calls[1:]
			w.serial, w.cause = m.Serial, m.cause
			w.mu.Unlock()
			return m
		}
		w.calls = nil
		isWarm := w.isWarm
		w.mu.Unlock()
		if isWarm {
			w.restWarm()
		} else {
			<-w.come
		}
	}
}

// warmTime is how long the pages of big arguments and results are kept for the
// next ones: to get new ones takes longer than to fill them.
const warmTime = time.Second

// restWarm waits for a call, and gives the shared memory back if none comes.
func (w *workshop) restWarm() {
	late := time.NewTimer(warmTime)
	defer late.Stop()
	select {
	case <-w.come:
		return
	case <-late.C:
	}
	isCold := true
	for area, memory := range w.Shared.Areas {
		if lend(w.Shared, area, 0) {
			w.Shared.Trim(memory)
			giveBack(w.Shared, area)
		} else {
			isCold = false // the parent is at it
		}
	}
	w.mu.Lock()
	w.isWarm = !isCold
	w.mu.Unlock()
}

// claim marks that the call starts, unless the parent has taken it back.
func (w *workshop) claim(m *arrived) bool {
	if w.Shared == nil {
		return true
	}
	return int(m.Slot) < len(w.Shared.Slots) && w.Shared.Slots[m.Slot].CompareAndSwap(sentWord(m.Serial), startedWord(m.Serial))
}

// invocation is the body of a call in a worker.
type invocation struct {
	parcel
	result result
	notes  *notes // of a chunk, instead of the result
}

func (v *invocation) run(ctx context.Context) {
	if v.notes != nil {
		v.fn.callItems(ctx, v.parcel, v.notes)
	} else {
		v.fn.call(ctx, v.parcel, &v.result)
	}
}
func (v *invocation) name() string                      { return v.fn.about().name }
func (v *invocation) forget()                           {}
func (v *invocation) encode() (parcel, error)           { return parcel{}, nil }
func (v *invocation) complete(_, _ int, _ result) error { return nil }
func (v *invocation) lose(_, _ int, err error) error    { return err }

// make makes a call.
func (w *workshop) make(m *arrived, v *invocation) {
	if int(m.Func) >= len(registry.sorted) {
		v.result = failure(fmt.Errorf("%w: function %d", ErrNotRegistered, m.Func), "")
		return
	}
	data, err := w.data(m.Data)
	if err != nil {
		v.result = failure(err, "")
		return
	}
	v.parcel = parcel{fn: registry.sorted[m.Func], n: int(m.Items), stops: m.Stops, data: data}
	if m.Items > 0 {
		v.notes = w.notesOf(m, v.fn.makesInPlace())
	}
	r := inWorker
	if m.HasTimeout {
		ctx, cancel := context.WithDeadline(context.Background(), m.deadline)
		defer cancel()
		r = newRoute(ctx, nil)
		r.isBrief = true
	}
	c := &Call{body: v}
	c.route.Store(r)
	c.state.Store(running)
	defer c.publish(finished)
	w.mu.Lock()
	w.current = c
	cause := w.cause
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.current = nil
		w.mu.Unlock()
	}()
	if cause != "" {
		c.interrupt(remoteError([]byte(cause)))
	}
	c.run(new(contexts))
}

// data returns the argument of a call.
func (w *workshop) data(d wire.Data) ([]byte, error) {
	switch {
	case d.Nil:
		return nil, nil
	case !d.Shared:
		return d.Bytes, nil
	}
	data, ok := lent(w.Shared, d)
	if !ok {
		return nil, errors.New("executor: an argument is not in the shared memory")
	}
	return data, nil
}

// answer sends what came of a call.
func (w *workshop) answer(m *arrived, v *invocation, spent time.Duration) {
	a := w.resultOf(m, v)
	a.Spent = spent
	if m.Data.Shared || a.Data.Shared {
		w.mu.Lock()
		w.isWarm = true
		w.mu.Unlock()
	}
	w.add(a.Append)
	if !a.Data.Shared || a.Data.Area != m.Data.Area {
		w.giveBack(m) // after the result was copied, which may be in the same memory
	}
	w.send(spent < whileTiny && w.hasMore())
}

// resultOf returns what came of a call, or of the items of a chunk that was not yet
// sent.
func (w *workshop) resultOf(m *arrived, v *invocation) wire.Result {
	if v.notes != nil {
		return v.notes.close()
	}
	r := v.result
	if r.kind == lost { // the deferred functions of the call have panicked
		r = failure(ErrGoexit, "")
	}
	if len(r.data) > wire.MaxFrame-1024 {
		r = failure(fmt.Errorf("executor: the result of %s has %d bytes; the limit is %d", registry.sorted[m.Func].about().name, len(r.data), wire.MaxFrame-1024), "")
	}
	a := wire.Result{Slot: m.Slot, Serial: m.Serial, Kind: byte(r.kind), Items: m.Items} // of a chunk that cannot be made: all items
	switch area, ok := w.areaFor(len(r.data)); {
	case r.data == nil:
		a.Data.Nil = true
	case ok:
		a.Data = wire.Data{Shared: true, Area: uint64(area), Len: uint64(len(r.data))}
		data, _ := lent(w.Shared, a.Data)
		fill(data, r.data)
	default:
		a.Data.Bytes = r.data
	}
	return a
}

// hasMore reports whether there are calls to make.
func (w *workshop) hasMore() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.calls) > 0
}

// giveBack lets the parent use the area again that a large call came in.
func (w *workshop) giveBack(m *arrived) {
	if _, ok := lent(w.Shared, m.Data); ok && m.Data.Shared {
		giveBack(w.Shared, int(m.Data.Area))
	}
}

// areaFor returns the area for a result of n bytes, if it is to go through shared
// memory.
func (w *workshop) areaFor(n int) (area int, ok bool) {
	return resultsArea, n >= bigData && lend(w.Shared, resultsArea, n)
}

// add adds a frame to those that are to be sent.
func (w *workshop) add(appendTo func([]byte) []byte) {
	w.out.Lock()
	w.frames = appendTo(w.frames)
	w.out.Unlock()
}

// send sends the frames. A tiny call does not wait for that: a goroutine writes
// what such calls leave, together. But what took a while is written before the
// next call starts, so that it is not lost with that one.
func (w *workshop) send(isTiny bool) {
	w.out.Lock()
	isLate := time.Since(w.wrote) > whileTiny
	isComing := w.writing
	w.writing = true
	w.out.Unlock()
	switch {
	case !isTiny || isLate:
		w.write()
	case !isComing:
		go w.write()
	}
}

// whileTiny is what a call takes at most whose result may wait for those of
// others, and how long it may wait.
const whileTiny = 50 * time.Microsecond

// write writes all frames that are there.
func (w *workshop) write() {
	w.writer.Lock()
	defer w.writer.Unlock()
	w.out.Lock()
	frames := w.frames
	w.frames, w.spare, w.writing = w.spare, nil, false
	w.wrote = time.Now()
	w.out.Unlock()
	if len(frames) == 0 {
		return // another goroutine has written them
	}
	if _, err := w.Results.Write(frames); err != nil {
		proc.Vanish() // the parent has gone
	}
	if cap(frames) <= mostSpare {
		w.out.Lock()
		w.spare = frames[:0]
		w.out.Unlock()
	}
}

// mostSpare is how much memory is kept to write the next frames from.
const mostSpare = 1 << 20
