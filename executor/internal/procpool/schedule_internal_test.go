package procpool

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// procWorld is a simulation of a scheduler with its workers: no process, no
// goroutine, a clock that moves when the script says so. What each worker and
// the page that it shares with its parent do is modelled here.
type procWorld struct {
	t         *rapid.T
	scheduler *scheduler
	now       time.Time
	again     time.Time
	workers   []*procWorker
	calls     []*procCall
	sent      map[*job]*procJob // as it was sent last
	order     []int             // the calls that have started
	kills     int
}

// procWorker is what a worker process does: it takes the frames of its pipe in
// their order, and starts those that were not taken back.
type procWorker struct {
	*worker
	pipe    []*procJob
	running *procJob
	results []procResult // of which the parent has not heard
	told    bool         // to go
	given   bool         // up, before it was ready
	pinged  bool
	stopped bool // it does nothing
	made    int
}

// procCall is a call with what has really happened to it, and to each of its items.
type procCall struct {
	*Request
	id        int
	cost      time.Duration // of an item
	items     []procItem
	cancelled bool
}

type procItem struct {
	starts int
	ends   int // results and deaths that its future heard of
}

// procJob is a job as it was sent to a worker, with the words of its slot there.
type procJob struct {
	*job
	call       *procCall
	lo, hi     int
	serial     uint64
	word       uint32
	begun, end int // of its range
	told       int // items of which the worker has told
}

type procResult struct {
	job *procJob
	report
}

func (*procCall) MayStart() bool                    { return true }
func (*procCall) Keep(from, n int, r Reply) error   { return nil }
func (*procCall) Lose(from, n int, why error) error { return nil }
func (*procCall) End(err error)                     {}

// The functions of the calls.
const (
	tiny uint32 = iota
	long
	moody
	procFuncs
)

func (w *procWorld) submit() {
	f := rapid.Uint32Range(0, procFuncs-1).Draw(w.t, "function")
	c := &procCall{id: len(w.calls), cost: time.Microsecond}
	if f == long || f == moody && rapid.IntRange(0, 9).Draw(w.t, "mood") == 0 {
		c.cost = 10 * time.Millisecond
	}
	c.Request = &Request{Task: c, Function: &Function{Index: f}}
	if rapid.IntRange(0, 4).Draw(w.t, "chunk") == 0 {
		c.Items = rapid.IntRange(1, 5).Draw(w.t, "items")
	}
	c.items = make([]procItem, max(1, c.Items))
	w.calls = append(w.calls, c)
	w.scheduler.submit(c.Request)
	w.schedule()
}

func (w *procWorld) schedule() {
	orders, again := w.scheduler.schedule(w.now)
	w.again = again
	for _, o := range orders {
		switch o.what {
		case startWorker:
			w.workers = append(w.workers, &procWorker{worker: o.worker})
		case sendJob:
			w.send(o.worker, o.job)
		case dismissWorker:
			p := w.worker(o.worker)
			if p.running != nil || p.told {
				w.t.Fatalf("a worker is told to go that has work, or was told before")
			}
			p.told = true
		case pingWorker:
			w.worker(o.worker).pinged = true
		case abandonWorker:
			p := w.worker(o.worker)
			if p.state != retiring || len(p.jobs) > 0 {
				w.t.Fatalf("a worker that is starting is given up, and has work")
			}
			p.given = true
		}
	}
	w.check()
}

func (w *procWorld) send(on *worker, j *job) {
	p, c := w.worker(on), w.callOf(j.Request)
	if p == nil || p.told {
		w.t.Fatalf("call %d is sent to a worker that is gone", c.id)
	}
	sent := &procJob{job: j, call: c, lo: j.lo, hi: j.hi, serial: j.serial, word: sentWord(j.serial), end: j.items()}
	w.sent[j] = sent
	p.pipe = append(p.pipe, sent)
}

func (w *procWorld) callOf(r *Request) *procCall { return r.Task.(*procCall) }

func (w *procWorld) worker(of *worker) *procWorker {
	i := slices.IndexFunc(w.workers, func(p *procWorker) bool { return p.worker == of })
	if i < 0 {
		return nil
	}
	return w.workers[i]
}

// meanwhile lets the worker that has j do something before its parent looks at the page.
func (w *procWorld) meanwhile(j *job) *procJob {
	if j.worker == nil {
		w.t.Fatalf("the page of a job that no worker has")
	}
	if on := w.worker(j.worker); on != nil && !on.stopped && rapid.Bool().Draw(w.t, "meanwhile") {
		w.goOn(on)
	}
	if sent := w.sent[j]; sent != nil && sent.serial == j.serial {
		return sent
	}
	return new(procJob) // the order to send it was not carried out
}

func (w *procWorld) takeBack(j *job) bool {
	p := w.meanwhile(j)
	if p.word != sentWord(j.serial) {
		return false
	}
	p.word = takenWord(j.serial)
	return true
}

func (w *procWorld) begun(j *job) int { return w.meanwhile(j).begun }

func (w *procWorld) cut(j *job, at int) (from int) {
	p := w.meanwhile(j)
	if p.word != startedWord(j.serial) {
		return j.items()
	}
	p.end = min(max(at, p.begun), p.end)
	return p.end
}

// start lets a worker read its pipe up to the first call that it may start.
func (w *procWorld) start(p *procWorker) {
	for len(p.pipe) > 0 && p.running == nil {
		j := p.pipe[0]
		p.pipe = p.pipe[1:]
		if p.shares && j.word != sentWord(j.serial) {
			continue
		}
		j.word = startedWord(j.serial)
		p.running = j
		if j.lo == 0 {
			w.order = append(w.order, j.call.id)
		}
		w.begin(p)
	}
}

// begin lets a worker begin the next item of what it is at.
func (w *procWorld) begin(p *procWorker) {
	j := p.running
	j.call.items[j.lo+j.begun].starts++
	j.begun++
	p.made++
}

// goOn lets a worker end an item, of which its parent does not hear yet, and
// begin the next, or the next call.
func (w *procWorld) goOn(p *procWorker) {
	j := p.running
	switch {
	case j == nil:
		w.start(p)
		return
	case j.begun < j.end:
		if rapid.IntRange(0, 3).Draw(w.t, "the journal is full") == 0 {
			w.tell(p, true)
		}
		w.begin(p)
	default:
		w.tell(p, false)
		p.running = nil
		w.start(p)
	}
}

// tell lets a worker tell of the items that it has ended.
func (w *procWorld) tell(p *procWorker, more bool) {
	j := p.running
	r := report{slot: j.slot, serial: j.serial, more: more, spent: j.call.cost}
	if j.isChunk() {
		r.from, r.items = j.told, j.begun-j.told
		j.told = j.begun
	}
	p.results = append(p.results, procResult{j, r})
}

// finish lets a worker end what it is at, and its parent hear of it.
func (w *procWorld) finish(p *procWorker) {
	for j := p.running; p.running == j; {
		w.goOn(p)
	}
	w.read(p)
	w.schedule()
}

// read lets the parent hear of what a worker has told.
func (w *procWorld) read(p *procWorker) {
	for len(p.results) > 0 {
		r := p.results[0]
		p.results = p.results[1:]
		w.now = w.now.Add(r.job.call.cost)
		if got := w.scheduler.ended(p.worker, r.report, w.now); got != r.job.job {
			w.t.Fatalf("the result %+v of call %d is refused", r.report, r.job.call.id)
		}
		n := r.items
		if !r.job.isChunk() {
			n = 1
		}
		w.end(r.job.job, r.from, n)
		if !r.more {
			w.over(r.job.job)
		}
	}
}

// end lets the future of a call hear of n items of a job.
func (w *procWorld) end(j *job, from, n int) {
	c := w.callOf(j.Request)
	if w.scheduler.withdraw(c.Request) {
		w.t.Fatalf("call %d is cancelled after it has run", c.id)
	}
	for i := range n {
		c.items[j.lo+from+i].ends++
	}
	c.left.Add(int64(-n))
}

// over says that a job is.
func (w *procWorld) over(j *job) {
	j.left.Add(-1)
}

func (w *procWorld) kill(p *procWorker) {
	ended := 1 // which it has not told of, less the item that it is at
	if last := len(p.results) - 1; last >= 0 && (p.running == nil || p.running == p.results[last].job) && rapid.Bool().Draw(w.t, "while it tells") {
		cut := p.results[last]
		p.results, p.running = p.results[:last], cut.job
		if cut.job.isChunk() {
			cut.job.told = cut.from
		}
		if !cut.more {
			ended = 0
		}
	}
	w.read(p)
	if j := p.running; j != nil && p.shares && j.isChunk() && j.begun-ended > j.told { // what it has noted
		r := report{slot: j.slot, serial: j.serial, from: j.told, items: j.begun - ended - j.told, more: true}
		if !j.note(r) {
			w.t.Fatalf("what is noted of call %d is refused: %+v", j.call.id, r)
		}
		j.isBegun = true
		w.end(j.job, r.from, r.items)
	}
	w.remove(p)
	if p.state == starting || p.given {
		w.scheduler.hasFailed(p.worker, w.now)
		w.schedule()
		return
	}
	w.kills++
	for _, dead := range w.scheduler.died(p.worker) {
		j := p.running
		n := dead.items() - dead.known
		if p.shares && n > 0 && (j == nil || j.Request != dead.Request || dead.items() != 1 || dead.lo != j.lo+j.begun-1) { // else what was sent counts as started
			w.t.Fatalf("items %d to %d of call %d are dead, but did not run on the worker that died", dead.lo, dead.hi, w.callOf(dead.Request).id)
		}
		w.end(dead, dead.known, n)
		w.over(dead)
	}
	p.running = nil
	w.schedule()
}

func (w *procWorld) remove(p *procWorker) {
	w.workers = slices.DeleteFunc(w.workers, func(other *procWorker) bool { return other == p })
}

func (w *procWorld) cancel(c *procCall) {
	if c.cancelled || c.left.Load() == 0 {
		return
	}
	if w.scheduler.withdraw(c.Request) {
		for _, p := range w.workers {
			if p.running != nil && p.running.call == c {
				w.t.Fatalf("call %d is cancelled, and runs", c.id)
			}
		}
		c.cancelled = true
	}
	w.schedule()
}

// check holds at every moment.
func (w *procWorld) check() {
	if n := w.scheduler.size(); n > w.scheduler.max {
		w.t.Fatalf("%d workers, MaxWorkers is %d", n, w.scheduler.max)
	}
	if n := len(w.workers); n > w.scheduler.max+1 {
		w.t.Fatalf("%d workers with those that end, MaxWorkers is %d", n, w.scheduler.max)
	}
	for _, c := range w.calls {
		for i, item := range c.items {
			switch {
			case item.ends > 1 || c.cancelled && item.ends > 0:
				w.t.Fatalf("item %d of call %d has ended %d times; cancelled: %v", i, c.id, item.ends, c.cancelled)
			case item.starts > 1+w.scheduler.retries:
				w.t.Fatalf("item %d of call %d has started %d times", i, c.id, item.starts)
			}
		}
	}
	for _, p := range w.workers {
		if w.scheduler.perWorker > 0 && p.made > max(w.scheduler.perWorker, 5) {
			w.t.Fatalf("a worker has made %d items, MaxTasksPerChild is %d", p.made, w.scheduler.perWorker)
		}
		if p.isIdle() && !p.isStalled && w.scheduler.waiting() > 0 {
			w.t.Fatalf("a worker is idle, and %d calls wait", w.scheduler.waiting())
		}
		if len(p.jobs) > 1 && p.load > aheadTime {
			w.t.Fatalf("%v of work is ahead at a worker", p.load)
		}
	}
}

// step lets one thing happen. It reports whether anything could.
func (w *procWorld) step() bool {
	var can []func()
	for _, p := range w.workers {
		switch {
		case p.stopped:
			can = append(can, func() { p.stopped = false })
		case p.pinged:
			can = append(can, func() {
				p.pinged = false
				w.scheduler.isAlive(p.worker, w.now)
				w.schedule()
			})
		case p.given:
			can = append(can, func() {
				w.remove(p)
				if w.scheduler.hasFailed(p.worker, w.now) {
					w.t.Fatalf("a worker that nobody needed counts as a start that failed")
				}
				w.schedule()
			})
		case p.state == starting:
			can = append(can, func() {
				w.scheduler.isReady(p.worker, !slices.Contains([]int{1, 5}, len(w.calls)%7), w.now)
				w.schedule()
			})
		case len(p.results) > 0:
			can = append(can, func() { w.read(p); w.schedule() })
		case p.running != nil:
			can = append(can, func() { w.finish(p) })
		case len(p.pipe) > 0:
			can = append(can, func() { w.start(p) })
		case p.told:
			can = append(can, func() {
				w.remove(p)
				if dead := w.scheduler.died(p.worker); len(dead) > 0 {
					w.t.Fatalf("a worker that was told to go had calls")
				}
				w.schedule()
			})
		}
	}
	if w.again.After(w.now) {
		can = append(can, func() { w.now = w.again; w.schedule() })
	}
	if len(can) == 0 {
		return false
	}
	can[rapid.IntRange(0, len(can)-1).Draw(w.t, "what")]()
	return true
}

// Whatever the order of events, each call ends once, starts at most once unless
// it may be retried, dies only with the worker that it ran on, and does not
// start when it was cancelled; and when the faults have stopped, all calls end
// and all workers go.
func TestScheduler(t *testing.T) { testScheduler(t, false) }

// The same holds if calls are sent one by one: a worker that has a call is sent no
// other, whether workers die, stop or are replaced.
func TestSchedulerSendsOneByOne(t *testing.T) { testScheduler(t, true) }

func testScheduler(t *testing.T, oneByOne bool) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &procWorld{t: rt, now: time.Unix(1000, 0), sent: make(map[*job]*procJob)}
		w.scheduler = &scheduler{
			page:      w,
			max:       rapid.IntRange(1, 4).Draw(rt, "workers"),
			starters:  rapid.IntRange(1, 4).Draw(rt, "starters"),
			perWorker: rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(rt, "per child"),
			retries:   rapid.SampledFrom([]int{0, 0, 2}).Draw(rt, "retries"),
			oneByOne:  oneByOne,
			paces:     make([]pace, procFuncs),
		}
		for range rapid.IntRange(1, 300).Draw(rt, "steps") {
			w.happen()
			w.mustBeOneByOne()
		}
		w.scheduler.closed = true
		w.schedule()
		for n := 0; w.step(); n++ {
			w.mustBeOneByOne()
			if n > 100_000 {
				rt.Fatalf("it does not come to an end: %s", w.describe())
			}
		}
		w.mustHaveEnded()
		if len(w.workers) > 0 || len(w.scheduler.workers) > 0 || w.scheduler.waiting() != 0 {
			rt.Errorf("when all is done: %s", w.describe())
		}
	})
}

// happen lets one of all events happen.
func (w *procWorld) happen() {
	switch rapid.IntRange(0, 9).Draw(w.t, "event") {
	case 0, 1, 2:
		w.submit()
	case 3:
		if len(w.calls) > 0 {
			w.cancel(rapid.SampledFrom(w.calls).Draw(w.t, "call"))
		}
	case 4:
		if len(w.workers) > 0 {
			p := rapid.SampledFrom(w.workers).Draw(w.t, "worker")
			if rapid.Bool().Draw(w.t, "stop") {
				p.stopped = !p.stopped
			} else {
				w.kill(p)
			}
		}
	default:
		w.step()
	}
}

// mustBeOneByOne wants that no worker has two calls, if they are sent one by one.
func (w *procWorld) mustBeOneByOne() {
	for _, p := range w.workers {
		if w.scheduler.oneByOne && len(p.jobs) > 1 {
			w.t.Fatalf("a worker has %d calls; want at most one", len(p.jobs))
		}
	}
}

// mustHaveEnded is for the end of a script.
func (w *procWorld) mustHaveEnded() {
	for _, c := range w.calls {
		if c.left.Load() != 0 && !c.cancelled {
			w.t.Errorf("of call %d, %d items and jobs are left", c.id, c.left.Load())
		}
		for i, item := range c.items {
			if item.ends != 1 && !c.cancelled {
				w.t.Errorf("item %d of call %d has ended %d times; it was started %d times: %s", i, c.id, item.ends, item.starts, w.describe())
			}
		}
	}
}

func (w *procWorld) describe() string {
	return fmt.Sprintf("%d workers, %d workers, %d waiting, %d kills", len(w.workers), len(w.scheduler.workers), w.scheduler.waiting(), w.kills)
}

// With one worker, calls start in the order of Submit, killed or not.
func TestSchedulerKeepsTheOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &procWorld{t: rt, now: time.Unix(1000, 0), sent: make(map[*job]*procJob)}
		w.scheduler = &scheduler{max: 1, starters: 1, page: w, paces: make([]pace, procFuncs)}
		for range rapid.IntRange(1, 100).Draw(rt, "steps") {
			switch rapid.IntRange(0, 5).Draw(rt, "event") {
			case 0, 1:
				w.submit()
			case 2:
				if len(w.workers) > 0 {
					w.kill(w.workers[0])
				}
			default:
				w.step()
			}
		}
		for w.step() {
		}
		if !slices.IsSorted(w.order) {
			rt.Errorf("started in the order %v", w.order)
		}
	})
}

// Workers that have had no work for a minute are let go, but for one.
func TestIdleWorkersAreLetGoButForOne(t *testing.T) {
	now := time.Unix(1000, 0)
	s := &scheduler{max: 3, starters: 3, paces: make([]pace, procFuncs)}
	for range 3 {
		w := &worker{}
		s.workers = append(s.workers, w)
		s.isReady(w, true, now)
	}
	orders, again := s.schedule(now)
	if len(orders) > 0 || !again.Equal(now.Add(idleWorkerTime)) {
		t.Fatalf("three idle workers: %d orders, and the next look after %v; want none, and %v", len(orders), again.Sub(now), idleWorkerTime)
	}
	orders, _ = s.schedule(again)
	if len(orders) != 2 || orders[0].what != dismissWorker || orders[1].what != dismissWorker || s.size() != 1 {
		t.Errorf("after %v: the orders %v, and %d workers stay; want two dismissals, and one", idleWorkerTime, orders, s.size())
	}
	if orders, again := s.schedule(now.Add(24 * time.Hour)); len(orders) > 0 || !again.IsZero() {
		t.Errorf("a day later: the orders %v, and another look at %v; want none", orders, again)
	}
}
