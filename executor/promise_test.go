package executor_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/gofutures/futures/executor"
)

// Resolve may come before Start, as Python's set_result on a future that was
// never running.
func TestTheFirstResultIsKept(t *testing.T) {
	resolve := func(p *executor.Promise[int]) error { return p.Resolve(2) }
	reject := func(p *executor.Promise[int]) error { return p.Reject(errors.New("second")) }
	for _, row := range []struct {
		name     string
		promise  func() *executor.Promise[int]
		again    func(*executor.Promise[int]) error
		want     int
		wantErr  error
		wantText string
	}{
		{"resolve, resolve", resolved, resolve, 1, nil, "<Future finished int>"},
		{"resolve, reject", resolved, reject, 1, nil, "<Future finished int>"},
		{"reject, resolve", rejected, resolve, 0, errBoom, "<Future finished error *errors.errorString>"},
		{"reject, reject", rejected, reject, 0, errBoom, "<Future finished error *errors.errorString>"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := row.promise()
			if err := row.again(p); !errors.Is(err, executor.ErrInvalidState) {
				t.Errorf("second set = %v; want ErrInvalidState", err)
			}
			if got, err := p.Future().Result(ended()); got != row.want || err != row.wantErr {
				t.Errorf("Result = %v, %v; want %v, %v", got, err, row.want, row.wantErr)
			}
			if got := p.Future().String(); got != row.wantText {
				t.Errorf("String = %q; want %q", got, row.wantText)
			}
		})
	}
}

func resolved() *executor.Promise[int] {
	p := executor.NewPromise[int]()
	p.Resolve(1)
	return p
}

func rejected() *executor.Promise[int] {
	p := executor.NewPromise[int]()
	p.Reject(errBoom)
	return p
}

// Nothing that is done to a done future changes it. A cancelled one is done
// too.
func TestADoneFutureCannotBeConfused(t *testing.T) {
	for _, c := range cannedFutures() {
		if c.state != executor.Finished && c.state != executor.Cancelled {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			for range 2 {
				if c.promise.Start() {
					t.Error("Start = true; want false")
				}
				if err := c.promise.Resolve(99); !errors.Is(err, executor.ErrInvalidState) {
					t.Errorf("Resolve = %v; want ErrInvalidState", err)
				}
				if err := c.promise.Reject(errors.New("late")); !errors.Is(err, executor.ErrInvalidState) {
					t.Errorf("Reject = %v; want ErrInvalidState", err)
				}
				if got := c.promise.Future().Cancel(); got != c.cancel {
					t.Errorf("Cancel = %v; want %v", got, c.cancel)
				}
				checkAnswers(t, c)
			}
		})
	}
}

// set_running_or_notify_cancel: true once, and only from pending.
func TestStartIsTrueOnce(t *testing.T) {
	for _, c := range cannedFutures() {
		t.Run(c.name, func(t *testing.T) {
			want := c.state == executor.Pending
			if got := c.promise.Start(); got != want {
				t.Errorf("first Start = %v; want %v", got, want)
			}
			if c.promise.Start() {
				t.Error("second Start = true; want false")
			}
			if c.state == executor.Pending {
				if got := c.promise.Future().State(); got != executor.Running {
					t.Errorf("State after Start = %v; want running", got)
				}
			}
		})
	}
}

// An error that is nil would be a success, or no end at all.
func TestRejectWithNilIsAnErrorAndEndsNothing(t *testing.T) {
	p := executor.NewPromise[int]()
	if err := p.Reject(nil); err == nil || errors.Is(err, executor.ErrInvalidState) {
		t.Errorf("Reject(nil) = %v; want an error that is not ErrInvalidState", err)
	}
	if got := p.Future().State(); got != executor.Pending {
		t.Errorf("State after Reject(nil) = %v; want pending", got)
	}
	if err := p.Resolve(1); err != nil {
		t.Errorf("Resolve after Reject(nil) = %v; want nil", err)
	}
}

func TestTheZeroPromiseIsReady(t *testing.T) {
	var p executor.Promise[string]
	if first := p.Future(); p.Future() != first {
		t.Error("Future() != Future(); want the same at each call")
	}
	if err := p.Resolve("x"); err != nil {
		t.Fatalf("Resolve = %v; want nil", err)
	}
	if got, err := p.Future().Result(t.Context()); got != "x" || err != nil {
		t.Errorf(`Result = %q, %v; want "x", nil`, got, err)
	}
}

// Random sequences of everything that can be done to a promise, against a model
// that fits on a page.
func TestAPromiseBehavesAsItsModel(t *testing.T) {
	silenceSlog(t)
	rapid.Check(t, func(rt *rapid.T) {
		rapid.SyncTest(rt, func(rt *rapid.T) {
			m := newModel()
			rt.Repeat(map[string]func(*rapid.T){
				"":        m.check,
				"Start":   m.start,
				"Resolve": m.resolve,
				"Reject":  m.reject,
				"Cancel":  m.cancel,
				"OnDone":  m.onDone,
				"Result":  m.result,
				"Wait":    m.wait,
			})
			m.promise.Resolve(0) // lets the readers go
		})
	})
}

// model is a promise and what it should be.
type model struct {
	promise *executor.Promise[int]
	future  *executor.Future[int]

	state executor.State
	outcome
	steps   int          // makes values and errors distinct
	number  int          // of callbacks so far
	adds    map[int]bool // callbacks that add another, whose number is negative
	queue   []int        // callbacks that are to be called
	called  []int        // what should have been called, in order
	blocked int          // readers that wait
	let     int          // readers that should have returned

	mu        sync.Mutex // readers that are let go return side by side
	gotCalled []int
	gotRead   []outcome
}

type outcome struct {
	value int
	err   error
}

func newModel() *model {
	p := executor.NewPromise[int]()
	return &model{promise: p, future: p.Future(), adds: map[int]bool{}}
}

func (m *model) over() bool {
	return m.state == executor.Finished || m.state == executor.Cancelled
}

// end moves the model to its last state.
func (m *model) end(state executor.State, last outcome) {
	m.state, m.outcome = state, last
	m.let += m.blocked
	m.blocked = 0
	m.callBack()
}

// callBack calls what is queued; a callback that adds another queues it last.
func (m *model) callBack() {
	for ; len(m.queue) > 0; m.queue = m.queue[1:] {
		n := m.queue[0]
		m.called = append(m.called, n)
		if m.adds[n] {
			m.queue = append(m.queue, -n)
		}
	}
}

func (m *model) start(rt *rapid.T) {
	want := m.state == executor.Pending
	if want {
		m.state = executor.Running
	}
	if got := m.promise.Start(); got != want {
		rt.Fatalf("Start = %v; want %v", got, want)
	}
}

func (m *model) resolve(rt *rapid.T) {
	m.steps++
	m.set(rt, "Resolve", m.promise.Resolve(m.steps), outcome{value: m.steps})
}

func (m *model) reject(rt *rapid.T) {
	m.steps++
	own := fmt.Errorf("error of step %d", m.steps)
	m.set(rt, "Reject", m.promise.Reject(own), outcome{err: own})
}

// set judges the err of a Resolve or Reject.
func (m *model) set(rt *rapid.T, what string, err error, last outcome) {
	switch {
	case !m.over():
		if err != nil {
			rt.Fatalf("%s of a future that was %v = %v; want nil", what, m.state, err)
		}
		m.end(executor.Finished, last)
	case !errors.Is(err, executor.ErrInvalidState):
		rt.Fatalf("%s of a future that was %v = %v; want ErrInvalidState", what, m.state, err)
	}
}

func (m *model) cancel(rt *rapid.T) {
	if m.state == executor.Pending {
		m.end(executor.Cancelled, outcome{err: executor.ErrCancelled})
	}
	if got, want := m.future.Cancel(), m.state == executor.Cancelled; got != want {
		rt.Fatalf("Cancel = %v; want %v, the state is %v", got, want, m.state)
	}
	if m.state == executor.Cancelled {
		m.checkCalled(rt, "when Cancel returned")
	}
}

// onDone adds a callback that may panic, and may add another one.
func (m *model) onDone(rt *rapid.T) {
	m.number++
	n := m.number
	adds := rapid.Bool().Draw(rt, "adds another")
	panics := rapid.Bool().Draw(rt, "panics")
	m.adds[n] = adds
	m.queue = append(m.queue, n)
	if m.over() {
		m.callBack()
	}
	m.future.OnDone(func(f *executor.Future[int]) {
		m.gotCalled = append(m.gotCalled, n)
		if adds {
			f.OnDone(func(*executor.Future[int]) { m.gotCalled = append(m.gotCalled, -n) })
		}
		if panics {
			panic(n)
		}
	})
	if m.over() {
		m.checkCalled(rt, "when OnDone of a done future returned")
	}
}

// result asks without waiting; a done future answers even so.
func (m *model) result(rt *rapid.T) {
	got := ask(m.future)
	if m.over() {
		if got != m.outcome {
			rt.Fatalf("Result = %v; want %v", got, m.outcome)
		}
		return
	}
	if !errors.Is(got.err, executor.ErrPending) || !errors.Is(got.err, context.Canceled) {
		rt.Fatalf("Result of a future that is %v = %v; want ErrPending and the error of ctx", m.state, got)
	}
}

func ask(f *executor.Future[int]) outcome {
	value, err := f.Result(ended())
	return outcome{value, err}
}

// wait starts a reader that waits until the end.
func (m *model) wait(*rapid.T) {
	if m.over() {
		m.let++
	} else {
		m.blocked++
	}
	go func() {
		value, err := m.future.Result(context.Background())
		m.mu.Lock()
		defer m.mu.Unlock()
		m.gotRead = append(m.gotRead, outcome{value, err})
	}()
}

// check runs after each step.
func (m *model) check(rt *rapid.T) {
	synctest.Wait()
	if got := m.future.State(); got != m.state {
		rt.Fatalf("State = %v; want %v", got, m.state)
	}
	if got := isDone(m.future); got != m.over() {
		rt.Fatalf("Done is closed: %v; want %v, the state is %v", got, m.over(), m.state)
	}
	m.checkCalled(rt, "at rest")
	if len(m.gotRead) != m.let {
		rt.Fatalf("%d readers have returned; want %d", len(m.gotRead), m.let)
	}
	for _, got := range m.gotRead {
		if got != m.outcome {
			rt.Fatalf("a reader that waited got %v; want %v", got, m.outcome)
		}
	}
}

func (m *model) checkCalled(rt *rapid.T, when string) {
	if !slices.Equal(m.gotCalled, m.called) {
		rt.Fatalf("%s, the callbacks %v had been called; want %v", when, m.gotCalled, m.called)
	}
}

// Several goroutines race on one promise with programs that rapid draws: one of
// Resolve, Reject and Cancel wins, and everybody agrees on the outcome.
func TestRacersAgreeOnTheOutcome(t *testing.T) {
	programs := rapid.SliceOfN(rapid.SliceOfN(rapid.SampledFrom(raceOps), 1, 8), 2, 5)
	rapid.Check(t, func(rt *rapid.T) {
		drawn := programs.Draw(rt, "programs")
		rapid.SyncTest(rt, func(rt *rapid.T) {
			for range 5 { // the order is the scheduler's, so give it more than one chance
				race(rt, drawn)
			}
		})
	})
}

var raceOps = []string{"Start", "Resolve", "Reject", "Cancel", "OnDone", "Result", "State", "Done", "Wait", "AsCompleted"}

// racer is one goroutine of a race and what it saw.
type racer struct {
	id       int
	promise  *executor.Promise[int]
	starts   int
	cancels  int
	wins     []outcome        // of Resolve and Reject that returned nil
	outcomes []outcome        // of Result, unless still pending
	states   []executor.State // in order
	added    int              // callbacks
	wrong    []string
}

// callbackLog is what the callbacks of a race saw.
type callbackLog struct {
	inside   atomic.Int32
	overlaps atomic.Int32
	mu       sync.Mutex
	calls    [][2]int // racer and number
	outcomes []outcome
}

func race(rt *rapid.T, programs [][]string) {
	p := executor.NewPromise[int]()
	log := new(callbackLog)
	racers := make([]*racer, len(programs))
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i, program := range programs {
		racers[i] = &racer{id: i, promise: p}
		wg.Go(func() {
			<-begin
			for step, op := range program {
				racers[i].do(op, step, log)
			}
		})
	}
	close(begin)
	wg.Wait()

	last := &racer{id: len(programs), promise: p}
	last.do("Cancel", 0, log) // so that it ends, unless somebody called Start
	last.do("Resolve", 1, log)
	last.do("Result", 2, log)
	last.do("State", 3, log)
	synctest.Wait() // for the callbacks
	judgeRace(rt, append(racers, last), log)
}

func (r *racer) do(op string, step int, log *callbackLog) {
	f := r.promise.Future()
	mark := outcome{value: 100*(r.id+1) + step}
	switch op {
	case "Start":
		if r.promise.Start() {
			r.starts++
		}
	case "Resolve":
		r.set(r.promise.Resolve(mark.value), mark)
	case "Reject":
		mark = outcome{err: fmt.Errorf("error of racer %d at step %d", r.id, step)}
		r.set(r.promise.Reject(mark.err), mark)
	case "Cancel":
		if f.Cancel() {
			r.cancels++
			r.look(f, "a Cancel that returned true")
		}
	case "OnDone":
		number := r.added
		r.added++
		f.OnDone(func(f *executor.Future[int]) { log.call(f, r.id, number) })
	case "Result":
		if got := ask(f); !errors.Is(got.err, executor.ErrPending) {
			r.outcomes = append(r.outcomes, got)
		}
	case "State":
		r.states = append(r.states, f.State())
	case "Done":
		if isDone(f) {
			r.look(f, "Done was closed")
		}
	case "Wait":
		if done, _, _ := executor.Wait(ended(), executor.AllCompleted, f); len(done) == 1 {
			r.look(f, "Wait found it done")
		}
	case "AsCompleted":
		for range executor.AsCompleted(ended(), f) {
			r.look(f, "AsCompleted yielded it")
		}
	}
}

func (r *racer) set(err error, mark outcome) {
	switch {
	case err == nil:
		r.wins = append(r.wins, mark)
		r.look(r.promise.Future(), "a set that returned nil")
	case !errors.Is(err, executor.ErrInvalidState):
		r.wrong = append(r.wrong, fmt.Sprintf("a set that lost = %v; want ErrInvalidState", err))
	}
}

// look checks that a future is done for every accessor, which it was for one.
func (r *racer) look(f *executor.Future[int], since string) {
	r.states = append(r.states, f.State())
	got := ask(f)
	r.outcomes = append(r.outcomes, got)
	if errors.Is(got.err, executor.ErrPending) || !isDone(f) {
		r.wrong = append(r.wrong, fmt.Sprintf("after %s: Result = %v, Done is closed: %v; want a done future", since, got, isDone(f)))
	}
}

func (l *callbackLog) call(f *executor.Future[int], id, number int) {
	if l.inside.Add(1) > 1 {
		l.overlaps.Add(1)
	}
	runtime.Gosched() // so that an overlap has a chance to show
	got := ask(f)
	l.mu.Lock()
	l.calls = append(l.calls, [2]int{id, number})
	l.outcomes = append(l.outcomes, got)
	l.mu.Unlock()
	l.inside.Add(-1)
}

func judgeRace(rt *rapid.T, racers []*racer, log *callbackLog) {
	var starts, cancels, added int
	var wins, outcomes []outcome
	for _, r := range racers {
		for _, wrong := range r.wrong {
			rt.Errorf("racer %d: %s", r.id, wrong)
		}
		starts += r.starts
		cancels += r.cancels
		added += r.added
		wins = append(wins, r.wins...)
		outcomes = append(outcomes, r.outcomes...)
		for i, s := range r.states {
			if i > 0 && (s < r.states[i-1] || r.states[i-1] == executor.Finished && s != executor.Finished) {
				rt.Errorf("racer %d saw the states %v; want them to go forward only", r.id, r.states)
			}
		}
	}

	want := outcome{err: executor.ErrCancelled}
	switch {
	case len(wins) == 1 && cancels == 0:
		want = wins[0]
	case len(wins) == 0 && cancels > 0 && starts == 0:
	default:
		rt.Fatalf("%d sets won, Cancel was true %d times, Start %d times; want one set, or cancels without a start", len(wins), cancels, starts)
	}
	if starts > 1 {
		rt.Errorf("Start was true %d times; want at most once", starts)
	}
	for _, got := range slices.Concat(outcomes, log.outcomes) {
		if got != want {
			rt.Errorf("somebody saw the outcome %v; want %v", got, want)
		}
	}

	if len(log.calls) != added || log.overlaps.Load() > 0 {
		rt.Errorf("%d callbacks ran, %d of them while another did; want %d, one at a time", len(log.calls), log.overlaps.Load(), added)
	}
	next := make([]int, len(racers))
	for _, call := range log.calls {
		if id, number := call[0], call[1]; number != next[id] {
			rt.Errorf("of racer %d, callback %d ran when %d was next; want the order of registration", id, number, next[id])
		}
		next[call[0]]++
	}
}

// lockstep calls each contender with 0 to n-1, each number at the same moment as
// the others do: a race of single instructions that a scheduler rarely makes.
func lockstep(n int, contenders ...func(i int)) {
	var arrived atomic.Int64
	var wg sync.WaitGroup
	for _, contend := range contenders {
		wg.Go(func() {
			for i := range n {
				all := int64((i + 1) * len(contenders))
				arrived.Add(1)
				for spins := 0; arrived.Load() < all; spins++ {
					if spins > 100 {
						runtime.Gosched() // the other may need this processor
					}
				}
				contend(i)
			}
		})
	}
	wg.Wait()
}

// Of two goroutines that race for a promise at the same moment, one wins.
func TestOneOfTwoWinsAPromise(t *testing.T) {
	const rounds = 20000
	start := func(p *executor.Promise[int]) bool { return p.Start() }
	resolve := func(p *executor.Promise[int]) bool { return p.Resolve(1) == nil }
	reject := func(p *executor.Promise[int]) bool { return p.Reject(errBoom) == nil }
	cancel := func(p *executor.Promise[int]) bool { return p.Future().Cancel() }
	for _, row := range []struct {
		name string
		a, b func(*executor.Promise[int]) bool
	}{
		{"Start, Start", start, start},
		{"Start, Cancel", start, cancel},
		{"Resolve, Cancel", resolve, cancel},
		{"Resolve, Reject", resolve, reject},
	} {
		t.Run(row.name, func(t *testing.T) {
			promises := make([]executor.Promise[int], rounds)
			var wins [2][rounds]bool
			lockstep(rounds,
				func(i int) { wins[0][i] = row.a(&promises[i]) },
				func(i int) { wins[1][i] = row.b(&promises[i]) })
			for i := range rounds {
				if wins[0][i] == wins[1][i] {
					t.Fatalf("round %d: the two returned %v and %v, the future is %v; want one to win", i, wins[0][i], wins[1][i], promises[i].Future())
				}
			}
		})
	}
}

// If a worker runs a call at the moment in which another goroutine ends it, or
// runs it too, one of them wins.
func TestOneOfTwoWinsACall(t *testing.T) {
	const rounds = 10000
	for name, other := range map[string]func(*executor.Call) (ended bool){
		"Run, Cancel": func(c *executor.Call) bool { return c.Cancel() },
		"Run, Reject": func(c *executor.Call) bool { return c.Reject(errBoom) },
		"Run, Run":    func(c *executor.Call) bool { c.Run(context.Background()); return false },
	} {
		t.Run(name, func(t *testing.T) {
			k := &keeper{}
			var runs [rounds]atomic.Int32
			var ended [rounds]bool
			for i := range rounds {
				executor.Submit(t.Context(), k, func(context.Context, int) (int, error) {
					return int(runs[i].Add(1)), nil
				}, i)
			}
			lockstep(rounds,
				func(i int) { k.calls[i].Run(context.Background()) },
				func(i int) { ended[i] = other(k.calls[i]) })
			for i := range rounds {
				if ran := runs[i].Load(); ran > 1 || ended[i] != (ran == 0) {
					t.Fatalf("round %d: the call ran %d times, the other ended it: %v; want it to run once, or to be ended and not to run", i, ran, ended[i])
				}
			}
		})
	}
}

// The documentation of Cancel: the callbacks have run when it returns. Others
// who look at the future meanwhile must not change that.
func TestCallbacksHaveRunWhenCancelReturns(t *testing.T) {
	for name, other := range map[string]func(*executor.Future[int]){
		"beside Done":  func(f *executor.Future[int]) { f.Done() },
		"beside State": func(f *executor.Future[int]) { f.State() },
	} {
		t.Run(name, func(t *testing.T) {
			for i := range 2000 {
				if !calledWhenCancelReturns(other) {
					t.Fatalf("round %d: Cancel returned true before the callback had run", i)
				}
			}
		})
	}
}

func calledWhenCancelReturns(other func(*executor.Future[int])) bool {
	f := executor.NewPromise[int]().Future()
	var called atomic.Bool
	f.OnDone(func(*executor.Future[int]) {
		runtime.Gosched()
		called.Store(true)
	})
	var others sync.WaitGroup
	defer others.Wait()
	begin := make(chan struct{})
	for range 3 {
		others.Go(func() {
			<-begin
			other(f)
		})
	}
	close(begin)
	f.Cancel()
	return called.Load()
}
