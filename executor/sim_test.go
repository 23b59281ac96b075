package executor_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/gofutures/futures/executor"
)

// The simulation makes random programs of everything that can be done to an
// executor, runs each in a bubble with virtual time, and looks whether the
// promises were kept. rapid shrinks a program that fails and prints it with
// its seed:
//
//	go test -run TestSimulation -rapid.checks=10000
//	go test -run TestSimulation -rapid.seed=…

// world is one run of a program.
type world struct {
	program
	ex       opened
	rescued  context.Context // ends when all hangs: all others come from it
	gauge    gauge
	onlyOnes bool // all calls are in records or items

	mu       sync.Mutex // guards the fields below
	problems []string
	ids      int
	records  []*record
	trace    []string
	started  int
	begin    time.Time

	items atomic.Int64 // calls of Map that were started
}

// record is what is known of one submitted call.
type record struct {
	id, scope int
	script    script
	future    *executor.Future[int]
	starts    atomic.Int64
	callbacks atomic.Int64

	// Guarded by world.mu.
	started int // its place among the starts, from 1
	cancels []bool
}

// scope is a script that runs.
type scope struct {
	*world
	id      int
	ctx     context.Context
	call    bool // it is a call, not a goroutine outside
	nested  bool // it is a call that another call may wait for
	records []*record
	ctxs    []context.Context
	ends    []context.CancelFunc
}

func (w *world) problem(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
}

// event is called with w.mu held.
func (w *world) event(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%v: ", time.Since(w.begin))+fmt.Sprintf(format, args...))
}

// simulate runs a program and returns what was wrong with it, and its trace.
// It makes a bubble of its own, because rapid runs programs on one T.
func simulate(t *testing.T, p program, open func(program) opened) (problems string, trace []string) {
	w := &world{program: p, onlyOnes: true}
	synctest.Test(t, func(*testing.T) {
		w.ex, w.begin = open(p), time.Now()
		var rescue context.CancelFunc
		w.rescued, rescue = context.WithCancel(context.Background())
		defer rescue()
		over := make(chan struct{})
		go func() {
			defer close(over)
			w.runAll()
		}()
		select {
		case <-over:
		case <-time.After(10 * time.Hour):
			w.problem("hang: %+v", w.ex.Stats())
			rescue()
			w.mu.Lock()
			records := slices.Clone(w.records)
			w.mu.Unlock()
			for _, r := range records {
				r.future.Cancel()
			}
			<-over
		}
		w.check()
		if len(w.problems) > 0 {
			time.Sleep(10 * time.Hour) // goroutines that are left must not hide what is wrong
		}
	})
	return strings.Join(w.problems, "\n"), w.trace
}

func openPool(p program) opened {
	return &executor.ThreadPoolExecutor{MaxWorkers: p.Workers, QueueLimit: p.Limit, WaitersHelp: p.Help}
}

// runAll runs the goroutines outside, closes the executor and waits until all
// is quiet.
func (w *world) runAll() {
	var all sync.WaitGroup
	for i, s := range w.Outside {
		all.Go(func() {
			outside := &scope{world: w, id: -1 - i, ctx: w.rescued}
			outside.run(s)
		})
	}
	all.Wait()
	if err := w.ex.Close(); err != nil {
		w.problem("Close = %v", err)
	}
	synctest.Wait()
}

func (s *scope) run(script script) {
	defer func() {
		for _, end := range s.ends {
			end()
		}
	}()
	for _, a := range script.Acts {
		time.Sleep(a.After)
		if s.settle && !s.call {
			synctest.Wait()
		}
		s.do(a)
	}
	time.Sleep(script.Last)
}

func (s *scope) do(a act) {
	switch a.Op {
	case submit:
		s.submit(a)
	case cancelFuture:
		if len(s.records) > 0 {
			r := s.records[a.N%len(s.records)]
			cancelled := r.future.Cancel()
			s.mu.Lock()
			s.event("cancel %d: %v", r.id, cancelled)
			r.cancels = append(r.cancels, cancelled)
			s.mu.Unlock()
		}
	case endCtx:
		if len(s.ends) > 0 {
			s.ends[a.N%len(s.ends)]()
		}
	case waitOne:
		if len(s.records) > 0 {
			s.wait(a, s.records[a.N%len(s.records)].future)
		}
	case waitAll:
		var fs []*executor.Future[int]
		for _, r := range s.records {
			fs = append(fs, r.future)
		}
		s.wait(a, fs...)
	case mapItems:
		s.mapItems(a)
	case mapSlice:
		s.mapSlice(a)
	case shutdown, shutdownInCall:
		s.shutdown(a)
	}
	if stats := s.ex.Stats(); s.settle && (stats.Queued < 0 || stats.Running < 0 || stats.Workers < 0) {
		s.problem("negative counters: %+v", stats)
	}
}

// pause does what may wait. A call that waits does not execute.
func (s *scope) pause(wait func()) {
	if s.call {
		s.gauge.during(wait)
	} else {
		wait()
	}
}

// deadline returns the ctx for a wait.
func (s *scope) deadline(a act) (context.Context, context.CancelFunc) {
	if a.For > 0 {
		return context.WithTimeout(s.ctx, a.For)
	}
	return s.ctx, func() {}
}

func (s *scope) submit(a act) {
	ctx := s.ctx
	switch a.How {
	case 0: // one ctx for each call
		fresh, end := context.WithCancel(ctx)
		s.ctxs, s.ends = append(s.ctxs, fresh), append(s.ends, end)
		ctx = fresh
	case 1: // one for many
		if len(s.ctxs) > 0 {
			ctx = s.ctxs[a.N%len(s.ctxs)]
		}
	case 2: // the call may outlive this one
		detached, end := context.WithCancel(context.WithoutCancel(ctx))
		context.AfterFunc(s.rescued, end)
		ctx = detached
	}
	r := &record{scope: s.id, script: *a.Call}
	s.mu.Lock()
	s.ids++
	r.id = s.ids
	s.event("submit %d", r.id)
	s.mu.Unlock()
	s.pause(func() { r.future = executor.Submit(ctx, s.ex, s.world.call, r) })
	r.future.OnDone(func(*executor.Future[int]) { r.callbacks.Add(1) })
	s.records = append(s.records, r)
	s.mu.Lock()
	s.world.records = append(s.world.records, r)
	s.mu.Unlock()
}

// call is the function of all submitted calls.
func (w *world) call(ctx context.Context, r *record) (int, error) {
	w.gauge.enter()
	defer w.gauge.leave()
	r.starts.Add(1)
	w.mu.Lock()
	w.event("start %d", r.id)
	w.started++
	r.started = w.started
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.event("end %d", r.id)
		w.mu.Unlock()
	}()
	s := &scope{world: w, id: r.id, ctx: ctx, call: true, nested: r.scope > 0}
	s.run(r.script)
	switch r.script.End {
	case fails:
		return 0, errBoom
	case panics:
		panic(r)
	case exits:
		runtime.Goexit()
	}
	return r.id, nil
}

func (s *scope) wait(a act, fs ...*executor.Future[int]) {
	ctx, cancel := s.deadline(a)
	defer cancel()
	var err error
	n := 0
	s.pause(func() {
		switch a.How {
		case 0:
			for _, f := range fs {
				_, ferr := f.Result(ctx)
				if errors.Is(ferr, executor.ErrPending) {
					err = ferr
					break
				}
				n++
			}
		case 1:
			var done, pending []*executor.Future[int]
			done, pending, err = executor.Wait(ctx, executor.AllCompleted, fs...)
			n = len(done)
			if err == nil && len(pending) > 0 {
				s.problem("Wait returned %d pending futures without an error", len(pending))
			}
		case 2:
			for _, f := range executor.AsCompleted(ctx, fs...) {
				n++
				if !isDone(f) {
					s.problem("AsCompleted yielded %v", f)
				}
			}
			if err = ctx.Err(); err != nil {
				err = fmt.Errorf("%w: %w", executor.ErrPending, err)
			}
		case 3:
			_, err = executor.Gather(ctx, fs...)
			if !errors.Is(err, executor.ErrPending) {
				err = nil // of a call
				n = len(fs)
			}
		case 4: // in calls that wait
			for n < len(fs) && err == nil {
				_, err = executor.Collect(executor.Map(ctx, s.ex, s.waitFor, slices.Values(fs[n:n+1])))
				n++
			}
			s.setMany()
			err, n = nil, len(fs) // of the Map
		}
	})
	if err != nil && ctx.Err() == nil {
		s.problem("a wait ended with %v, and its ctx has not ended", err)
	}
	if err == nil && n < len(fs) {
		s.problem("a wait for %d futures ended after %d without an error", len(fs), n)
	}
	s.mu.Lock()
	s.event("%d has waited for %d of %d", s.id, n, len(fs))
	s.mu.Unlock()
}

// waitFor waits for a future in a call of its own.
func (w *world) waitFor(ctx context.Context, f *executor.Future[int]) (int, error) {
	w.gauge.enter()
	defer w.gauge.leave()
	var err error
	w.gauge.during(func() { _, err = f.Result(ctx) })
	if errors.Is(err, executor.ErrPending) && ctx.Err() == nil {
		w.problem("a wait in a Map ended with %v, and its ctx has not ended", err)
	}
	return 0, nil
}

// item returns the function of the calls of a Map, which must all have ended
// when the Map has.
func (s *scope) item(running *atomic.Int64) executor.Func[int, int] {
	return func(ctx context.Context, i int) (int, error) {
		s.gauge.enter()
		defer s.gauge.leave()
		s.items.Add(1)
		running.Add(1)
		defer running.Add(-1)
		time.Sleep(time.Duration(i%3) * time.Second)
		switch i % 7 {
		case 4:
			return 0, errBoom
		case 5:
			panic(i)
		case 6:
			if !s.Help {
				runtime.Goexit()
			}
		}
		return i, nil
	}
}

func (s *scope) mapItems(a act) {
	opts := [][]executor.MapOption{nil, {executor.Unordered()}, {executor.ChunkSize(2)}, {executor.Buffer(1)}, {executor.Buffer(9), executor.Unordered()}}[a.How]
	if a.How == 2 {
		s.setMany()
	}
	var running atomic.Int64
	n := 0
	s.pause(func() {
		for v, err := range executor.Map(s.ctx, s.ex, s.item(&running), slices.Values(firstFew(8)), opts...) {
			if s.call {
				s.gauge.enter()
			}
			n++
			if err == nil && (v < 1 || v > 8) {
				s.problem("Map yielded %d", v)
			}
			if s.call {
				s.gauge.leave()
			}
			if n > a.N && a.N > 0 {
				break
			}
		}
	})
	if n > 9 { // 8 results and what ended it
		s.problem("a Map of 8 items yielded %d results", n)
	}
	if left := running.Load(); left != 0 {
		s.problem("%d items of a Map run after it has ended", left)
	}
}

func (s *scope) mapSlice(a act) {
	s.setMany()
	var running atomic.Int64
	in := firstFew(8)[:a.N]
	opts := [][]executor.MapOption{nil, {executor.ChunkSize(1)}, {executor.ChunkSize(3)}, nil, nil}[a.How]
	var out []int
	var err error
	s.pause(func() { out, err = executor.MapSlice(s.ctx, s.ex, s.item(&running), in, opts...) })
	if left := running.Load(); left != 0 {
		s.problem("%d elements of a MapSlice run after it has returned", left)
	}
	if err == nil && !slices.Equal(out, in) {
		s.problem("MapSlice = %v, nil; want %v", out, in)
	}
}

// setMany says that there are calls that are neither in records nor items.
func (w *world) setMany() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.onlyOnes = false
}

func (s *scope) shutdown(a act) {
	if a.How > 0 { // or else most programs would be over early
		return
	}
	if s.nested && a.For == 0 {
		a.For = time.Second // a call that waits for this one would wait for ever, and this one for it
	}
	ctx, cancel := s.deadline(a)
	defer cancel()
	if a.N == 0 {
		cancel()
	}
	var err error
	s.pause(func() { err = s.ex.Shutdown(ctx) })
	switch stats := s.ex.Stats(); {
	case err == nil && !s.call && (stats.Queued != 0 || stats.Running != 0 || stats.Workers != 0):
		s.problem("after Shutdown = nil, Stats() = %+v", stats)
	case err != nil && (!errors.Is(err, executor.ErrPending) || ctx.Err() == nil):
		s.problem("Shutdown = %v, its ctx: %v", err, ctx.Err())
	}
}

// check looks at all promises when all is over.
func (w *world) check() {
	var succeeded, failed int
	lastOf := map[int]*record{} // the last of each scope that was started
	for _, r := range w.records {
		value, err := r.future.Result(ended())
		again, errAgain := r.future.Result(ended())
		starts := int(r.starts.Load())
		p, _ := errors.AsType[*executor.PanicError](err)
		var ok bool
		switch {
		case starts == 0:
			ok = errors.Is(err, executor.ErrCancelled) && r.future.State() == executor.Cancelled ||
				errors.Is(err, executor.ErrShutdown) && r.future.State() == executor.Finished
		case r.script.End == returns:
			ok = err == nil && value == r.id
			succeeded++
		case r.script.End == fails:
			ok = err == errBoom
		case r.script.End == panics:
			ok = p != nil && p.Value == any(r)
		case r.script.End == exits:
			ok = err == executor.ErrGoexit
		}
		if starts > 0 && r.script.End != returns {
			failed++
		}
		if starts > 1 || starts == 1 && r.future.State() != executor.Finished {
			ok = false
		}
		if !ok || !isDone(r.future) || again != value || (errAgain == nil) != (err == nil) {
			w.problem("call %d, which %v, was started %d times and is %v: %d, %v; again %d, %v", r.id, r.script.End, starts, r.future, value, err, again, errAgain)
		}
		if n := r.callbacks.Load(); n != 1 {
			w.problem("the callback of call %d was called %d times", r.id, n)
		}
		for _, cancelled := range r.cancels {
			if cancelled != (r.future.State() == executor.Cancelled) {
				w.problem("call %d was started %d times and is %v; Cancel = %v", r.id, starts, r.future, cancelled)
			}
		}
		if last := lastOf[r.scope]; w.Workers == 1 && !w.Help && starts > 0 {
			if last != nil && last.started > r.started {
				w.problem("call %d was started after call %d, which was submitted later by the same goroutine", last.id, r.id)
			}
			lastOf[r.scope] = r
		}
	}
	if most := int(w.gauge.most.Load()); most > w.Workers {
		w.problem("%d calls executed at once; MaxWorkers is %d", most, w.Workers)
	}
	if now := w.gauge.now.Load(); now != 0 {
		w.problem("%d calls still execute", now)
	}
	s := w.ex.Stats()
	if s.Queued != 0 || s.Running != 0 || s.Workers != 0 || s.Submitted != s.Succeeded+s.Failed+s.Cancelled {
		w.problem("the counters do not add up: %+v", s)
	}
	if items := int(w.items.Load()); w.onlyOnes && s.Succeeded+s.Failed != succeeded+failed+items {
		w.problem("%d calls were made, and %d items; Stats() = %+v", succeeded+failed, items, s)
	}
}

func TestSimulation(t *testing.T) { testSimulation(t, genProgram(shutdownInCall)) }

// The prices that WaitersHelp names are not asked for: calls start in any order, and
// none ends its goroutine, which might be that of a script outside.
func TestSimulationWithWaitersThatHelp(t *testing.T) {
	testSimulation(t, rapid.Map(genProgram(), func(p program) program {
		p.Help = true
		for i := range p.Outside {
			p.Outside[i].stay()
		}
		return p
	}))
}

// stay makes calls that would end their goroutine return.
func (s *script) stay() {
	if s.End == exits {
		s.End = returns
	}
	for _, a := range s.Acts {
		if a.Call != nil {
			a.Call.stay()
		}
	}
}

func TestSimulationWithShutdownInCalls(t *testing.T) { testSimulation(t, genProgram()) }

func testSimulation(t *testing.T, programs *rapid.Generator[program]) {
	for _, procs := range []int{1, 2, 4, 16} {
		t.Run(fmt.Sprintf("GOMAXPROCS %d", procs), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			rapid.Check(t, func(rt *rapid.T) {
				p := programs.Draw(rt, "program")
				if problems, trace := simulate(t, p, openPool); problems != "" {
					rt.Fatalf("%s\ntrace:\n%s", problems, strings.Join(trace, "\n"))
				}
			})
		})
	}
}

// A program in which no two things happen at once runs the same way each time:
// nothing depends on chance but what the program leaves open.
func TestSimulationHasOneCourse(t *testing.T) {
	programs := genOrderly()
	rapid.Check(t, func(rt *rapid.T) {
		p := programs.Draw(rt, "program")
		problems, first := simulate(t, p, openPool)
		if problems != "" {
			rt.Fatalf("%s", problems)
		}
		for range 3 {
			_, again := simulate(t, p, openPool)
			// What one end sets off has no order among itself.
			if !slices.Equal(slices.Sorted(slices.Values(first)), slices.Sorted(slices.Values(again))) {
				rt.Fatalf("first:\n%s\nagain:\n%s", strings.Join(first, "\n"), strings.Join(again, "\n"))
			}
		}
	})
}
