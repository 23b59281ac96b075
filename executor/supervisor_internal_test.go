package executor

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// world is a simulation of a supervisor with its workers: no process, no
// goroutine, a clock that moves when the script says so. What each worker and
// the page that it shares with its parent do is modelled here.
type procWorld struct {
	t       *rapid.T
	sup     *supervisor
	now     time.Time
	again   time.Time
	workers []*procWorker
	jobs    []*procJob
	order   []uint64 // of the calls that have started
	kills   int
}

// procWorker is what a worker process does: it takes the frames of its pipe in
// their order, and starts those that were not taken back.
type procWorker struct {
	*child
	pipe    []*procJob
	running *procJob
	results []*procJob // of calls that have ended, and of which the parent has not heard
	told    bool       // to go
	given   bool       // up, before it was ready
	pinged  bool
	stopped bool // it does nothing
	made    int
}

// procJob is a call with what has really happened to it.
type procJob struct {
	*job
	cost      time.Duration
	on        *procWorker
	word      uint32 // of its slot
	starts    int
	ends      int // results, deaths and cancellations that its future heard of
	cancelled bool
}

type procFunc struct{ a about }

func (f *procFunc) call(context.Context, parcel, *result) {}
func (f *procFunc) about() *about                         { return &f.a }

var procFuncs = []*procFunc{{about{name: "tiny", index: 0}}, {about{name: "long", index: 1}}, {about{name: "moody", index: 2}}}

func (w *procWorld) submit() {
	f := rapid.SampledFrom(procFuncs).Draw(w.t, "function")
	j := &procJob{cost: time.Microsecond}
	if f.a.name == "long" || f.a.name == "moody" && rapid.IntRange(0, 9).Draw(w.t, "mood") == 0 {
		j.cost = 10 * time.Millisecond
	}
	j.job = &job{call: new(Call), serial: uint64(len(w.jobs) + 1), parcel: parcel{fn: f}}
	if rapid.IntRange(0, 4).Draw(w.t, "chunk") == 0 {
		j.parcel.n = rapid.IntRange(1, 5).Draw(w.t, "items")
	}
	j.job.call.body = j.job
	j.job.call.route.Store(routeFrom(context.Background()))
	w.jobs = append(w.jobs, j)
	w.sup.submit(j.job)
	w.schedule()
}

func (w *procWorld) schedule() {
	orders, again := w.sup.schedule(w.now)
	w.again = again
	for _, o := range orders {
		switch o.what {
		case startChild:
			w.workers = append(w.workers, &procWorker{child: o.child})
		case sendJob:
			j := w.job(o.job)
			p := w.worker(o.child)
			if p == nil || p.told {
				w.t.Fatalf("call %d is sent to a worker that is gone", j.serial)
			}
			j.word = sentWord(j.serial)
			p.pipe = append(p.pipe, j)
		case dismissChild:
			p := w.worker(o.child)
			if p.running != nil || p.told {
				w.t.Fatalf("a worker is told to go that has work, or was told before")
			}
			p.told = true
		case pingChild:
			w.worker(o.child).pinged = true
		case abandonChild:
			p := w.worker(o.child)
			if p.state != retiring || len(p.jobs) > 0 {
				w.t.Fatalf("a worker that is starting is given up, and has work")
			}
			p.given = true
		}
	}
	w.check()
}

func (w *procWorld) job(j *job) *procJob { return w.jobs[j.serial-1] }

func (w *procWorld) worker(ch *child) *procWorker {
	i := slices.IndexFunc(w.workers, func(p *procWorker) bool { return p.child == ch })
	if i < 0 {
		return nil
	}
	return w.workers[i]
}

// takeBack is the parent's side of the page.
func (w *procWorld) takeBack(j *job) bool {
	p := w.job(j)
	if on := w.worker(j.child); on != nil && !on.stopped && rapid.Bool().Draw(w.t, "meanwhile") {
		w.goOn(on)
	}
	if p.word != sentWord(j.serial) {
		return false
	}
	p.word = takenWord(j.serial)
	return true
}

// start lets a worker read its pipe up to the first call that it may start.
func (w *procWorld) start(p *procWorker) {
	for len(p.pipe) > 0 && p.running == nil {
		j := p.pipe[0]
		p.pipe = p.pipe[1:]
		if p.shares && (j.word != sentWord(j.serial) || j.child != p.child) {
			continue
		}
		j.word = startedWord(j.serial)
		j.starts++
		j.on = p
		p.running = j
		p.made += j.items()
		w.order = append(w.order, j.serial)
	}
}

// goOn lets a worker end its call, of which its parent does not hear yet, and
// start the next.
func (w *procWorld) goOn(p *procWorker) {
	if p.running != nil {
		p.results = append(p.results, p.running)
		p.running = nil
	}
	w.start(p)
}

// finish lets a worker end its call, and its parent hear of it.
func (w *procWorld) finish(p *procWorker) {
	p.results = append(p.results, p.running)
	p.running = nil
	w.read(p)
	w.schedule()
}

// read lets the parent hear of the calls that a worker has ended.
func (w *procWorld) read(p *procWorker) {
	for len(p.results) > 0 {
		j := p.results[0]
		p.results = p.results[1:]
		w.now = w.now.Add(j.cost)
		if got := w.sup.ended(p.child, j.slot, j.serial, j.cost, w.now); got != j.job {
			w.t.Fatalf("the result of call %d is refused", j.serial)
		}
		w.mustNotWithdraw(j)
		w.end(j)
	}
}

func (w *procWorld) end(j *procJob) {
	j.ends++
	j.call.state.Store(finished)
}

func (w *procWorld) kill(p *procWorker) {
	w.read(p)
	w.remove(p)
	if p.state == starting || p.given {
		w.sup.hasFailed(p.child, w.now)
		w.schedule()
		return
	}
	w.kills++
	for _, dead := range w.sup.died(p.child) {
		j := w.job(dead)
		if p.shares && (j.on != p || j != p.running) { // else what was sent counts as started
			w.t.Fatalf("call %d is dead, but did not run on the worker that died", j.serial)
		}
		w.mustNotWithdraw(j)
		w.end(j)
	}
	p.running = nil
	w.schedule()
}

// mustNotWithdraw is for a call that has run, and whose future is not yet done.
func (w *procWorld) mustNotWithdraw(j *procJob) {
	if w.sup.withdraw(j.job, cancelled) {
		w.t.Fatalf("call %d is cancelled after it has run", j.serial)
	}
}

func (w *procWorld) remove(p *procWorker) {
	w.workers = slices.DeleteFunc(w.workers, func(other *procWorker) bool { return other == p })
}

func (w *procWorld) cancel(j *procJob) {
	if j.ends > 0 {
		return
	}
	if w.sup.withdraw(j.job, cancelled) {
		if j.starts > 0 && j.on != nil && j.on.running == j {
			w.t.Fatalf("call %d is cancelled, and runs", j.serial)
		}
		j.cancelled = true
		j.ends++
	}
	w.schedule()
}

// check holds at every moment.
func (w *procWorld) check() {
	if n := w.sup.size(); n > w.sup.max {
		w.t.Fatalf("%d workers, MaxWorkers is %d", n, w.sup.max)
	}
	if n := len(w.workers); n > w.sup.max+1 {
		w.t.Fatalf("%d workers with those that end, MaxWorkers is %d", n, w.sup.max)
	}
	for _, j := range w.jobs {
		switch {
		case j.ends > 1:
			w.t.Fatalf("call %d has ended %d times", j.serial, j.ends)
		case j.starts > 1+w.sup.retries:
			w.t.Fatalf("call %d has started %d times", j.serial, j.starts)
		}
	}
	for _, p := range w.workers {
		if w.sup.perChild > 0 && p.made > max(w.sup.perChild, 5) {
			w.t.Fatalf("a worker has made %d items, MaxTasksPerChild is %d", p.made, w.sup.perChild)
		}
		if p.isIdle() && !p.isDeaf && w.sup.waiting() > 0 {
			w.t.Fatalf("a worker is idle, and %d calls wait", w.sup.waiting())
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
				w.sup.isAlive(p.child, w.now)
				w.schedule()
			})
		case p.given:
			can = append(can, func() {
				w.remove(p)
				if w.sup.hasFailed(p.child, w.now) {
					w.t.Fatalf("a worker that nobody needed counts as a start that failed")
				}
				w.schedule()
			})
		case p.state == starting:
			can = append(can, func() { w.sup.isReady(p.child, !slices.Contains([]int{1, 5}, len(w.jobs)%7), w.now); w.schedule() })
		case len(p.results) > 0:
			can = append(can, func() { w.read(p); w.schedule() })
		case p.running != nil:
			can = append(can, func() { w.finish(p) })
		case len(p.pipe) > 0:
			can = append(can, func() { w.start(p) })
		case p.told:
			can = append(can, func() {
				w.remove(p)
				if dead := w.sup.died(p.child); len(dead) > 0 {
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

// SIM-01, SIM-03, I1 to I6: whatever the order of events, each call ends once,
// starts at most once unless it may be retried, dies only with the worker that
// it ran on, and does not start when it was cancelled; and when the faults have
// stopped, all calls end and all workers go.
func TestSupervisor(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &procWorld{t: rt, now: time.Unix(1000, 0)}
		w.sup = &supervisor{
			max:      rapid.IntRange(1, 4).Draw(rt, "workers"),
			starters: rapid.IntRange(1, 4).Draw(rt, "starters"),
			perChild: rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(rt, "per child"),
			retries:  rapid.SampledFrom([]int{0, 0, 2}).Draw(rt, "retries"),
			takeBack: w.takeBack,
			paces:    make([]pace, len(procFuncs)),
		}
		for range rapid.IntRange(1, 300).Draw(rt, "steps") {
			switch rapid.IntRange(0, 9).Draw(rt, "event") {
			case 0, 1, 2:
				w.submit()
			case 3:
				if len(w.jobs) > 0 {
					w.cancel(rapid.SampledFrom(w.jobs).Draw(rt, "job"))
				}
			case 4:
				if len(w.workers) > 0 {
					p := rapid.SampledFrom(w.workers).Draw(rt, "worker")
					if rapid.Bool().Draw(rt, "stop") {
						p.stopped = !p.stopped
					} else {
						w.kill(p)
					}
				}
			default:
				w.step()
			}
		}
		w.sup.closed = true
		w.schedule()
		for n := 0; w.step(); n++ {
			if n > 100_000 {
				rt.Fatalf("it does not come to an end: %s", w.describe())
			}
		}
		for _, j := range w.jobs {
			if j.ends != 1 {
				rt.Errorf("call %d has ended %d times; it was started %d times: %s", j.serial, j.ends, j.starts, w.describe())
			}
		}
		if len(w.workers) > 0 || len(w.sup.children) > 0 || w.sup.waiting() != 0 {
			rt.Errorf("when all is done: %s", w.describe())
		}
	})
}

func (w *procWorld) describe() string {
	return fmt.Sprintf("%d workers, %d children, %d waiting, %d kills", len(w.workers), len(w.sup.children), w.sup.waiting(), w.kills)
}

// D26: with one worker, calls start in the order of Submit, killed or not.
func TestSupervisorKeepsTheOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &procWorld{t: rt, now: time.Unix(1000, 0)}
		w.sup = &supervisor{max: 1, starters: 1, takeBack: w.takeBack, paces: make([]pace, len(procFuncs))}
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
	s := &supervisor{max: 3, starters: 3, takeBack: func(*job) bool { return false }, paces: make([]pace, len(procFuncs))}
	for range 3 {
		ch := &child{}
		s.children = append(s.children, ch)
		s.isReady(ch, true, now)
	}
	orders, again := s.schedule(now)
	if len(orders) > 0 || !again.Equal(now.Add(idleChildTime)) {
		t.Fatalf("three idle workers: %d orders, and the next look after %v; want none, and %v", len(orders), again.Sub(now), idleChildTime)
	}
	orders, _ = s.schedule(again)
	if len(orders) != 2 || orders[0].what != dismissChild || orders[1].what != dismissChild || s.size() != 1 {
		t.Errorf("after %v: the orders %v, and %d workers stay; want two dismissals, and one", idleChildTime, orders, s.size())
	}
	if orders, again := s.schedule(now.Add(24 * time.Hour)); len(orders) > 0 || !again.IsZero() {
		t.Errorf("a day later: the orders %v, and another look at %v; want none", orders, again)
	}
}
