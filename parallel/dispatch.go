package parallel

import (
	"context"
	"iter"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofutures/futures/executor"
)

// plan is what a [Jobs] comes to where it is used.
type plan struct {
	Jobs
	ctx   context.Context   // for the calls
	n     int               // calls at once
	ex    executor.Executor // makes the calls
	here  bool              // in this process
	ahead int               // batches that are under way; math.MaxInt: all
	close func()            // ends ex, if it was opened for this run
}

// plan settles what j leaves open, and opens the backend.
func (j Jobs) plan(ctx context.Context) (*plan, error) {
	if ctx == nil {
		return nil, errNilContext
	}
	j = j.or(configOf(ctx))
	if err := j.check(); err != nil {
		return nil, err
	}
	if j.N == 0 {
		j.N = 1
		if j.Executor != nil {
			j.N = either(j.Executor.Workers(), CPUCount())
		}
	}
	l := levelOf(ctx)
	n, err := l.effective(j.N)
	if err != nil {
		return nil, err
	}
	if j.Executor == nil {
		j.Backend = either(j.Backend, "threads")
		if _, err := opener(j.Backend); err != nil { // also if it is not needed for one call at a time
			return nil, err
		}
	}
	p := &plan{Jobs: j, n: n, ex: j.Executor, close: func() {}}
	switch {
	case p.ex != nil:
		if w := p.ex.Workers(); w > 0 {
			p.n = min(p.n, w)
		}
	case n == 1:
		p.ex = &executor.Sequential{}
	default:
		if p.ex, p.close, err = openBackend(j.Backend, n, l); err != nil {
			return nil, err
		}
	}
	p.ctx, p.here = l.enter(ctx, p.n), isHere(p.ex)
	if _, ok := p.ex.(*executor.Sequential); ok {
		p.n = 1
	}
	p.settle()
	return p, nil
}

// settle says how many calls are under way, in batches of which length.
func (p *plan) settle() {
	if p.Timeout > 0 {
		p.BatchSize = 1 // its worker process may be killed
	}
	switch {
	case p.n == 1 && p.here:
		p.PreDispatch, p.ahead = PreDispatchAll, 1
		return
	case p.PreDispatch == 0:
		p.PreDispatch = times(2, p.n)
	}
	p.ahead = p.batchesOf(p.PreDispatch)
	if w := p.ex.Workers(); w == 0 || w > p.n { // it would make all of them at once
		p.ahead = min(p.ahead, p.n)
	}
	if p.Timeout > 0 && !p.here { // somebody looks for the start of each
		p.ahead = min(p.ahead, times(2, p.n))
	}
}

// batchesOf returns into how many batches the first calls are cut.
func (p *plan) batchesOf(calls int) (batches int) {
	if calls == PreDispatchAll {
		return math.MaxInt
	}
	slice := times(max(1, p.BatchSize), p.n)
	in := func(slice int) (batches int) {
		size := max(1, slice/p.n)
		return slice/size + min(1, slice%size)
	}
	return times(calls/slice, in(slice)) + in(calls%slice) // no overflow: each has a call at least
}

// times returns a×b of numbers that are not negative, or math.MaxInt, which is no
// limit, if that is more than an int holds.
func times(a, b int) int {
	if a > 0 && b > math.MaxInt/a {
		return math.MaxInt
	}
	return a * b
}

// isPlain reports whether MapSlice does all that is asked for.
func (p *plan) isPlain() bool {
	return p.Verbose == 0 && p.Progress == nil && p.Timeout == 0 && p.OnError.kind == stopAtFirst &&
		p.BatchSize == 0 && p.n == p.ex.Workers()
}

// dispatcher makes the calls of one run. It belongs to the goroutine that takes the
// batches, which pulls the source too.
type dispatcher[Out any] struct {
	*plan
	report *report
	sizer  sizer
	out    map[*batch[Out]]struct{} // batches that are under way
	stops  bool                     // no more calls are taken
	whole  bool                     // an error ends all, and there is no result then
	turn   chan struct{}            // of the next batch, if batches are sent to another process
}

func newDispatcher[Out any](p *plan, total int) *dispatcher[Out] {
	d := &dispatcher[Out]{plan: p, report: newReport(p.Jobs, total), out: map[*batch[Out]]struct{}{}}
	// Where nothing is sent, a batch gains nothing.
	d.sizer = sizer{isFixed: p.BatchSize > 0 || p.here, size: max(1, p.BatchSize), report: d.report}
	return d
}

// ended yields the batches that have ended: in order, or as they come. The last may
// be an error instead, if ctx has ended or the executor makes no calls any more.
func (d *dispatcher[Out]) ended(calls iter.Seq[Call[Out]], opts ...executor.MapOption) iter.Seq2[*batch[Out], error] {
	do, ex := d.makeHere, d.ex
	if !d.here {
		do, ex = d.makeThere, new(executor.ThreadPerTask) // goroutines that wait
		d.turn = closedChan
	}
	return func(yield func(*batch[Out], error) bool) {
		d.report.begin(backendName(d.ex), d.n)
		if !d.here && d.Progress != nil {
			opts = append(opts, executor.Meanwhile(lookTime, d.look))
		}
		for b, err := range executor.Map(d.ctx, ex, do, d.batches(calls), append(opts, executor.Buffer(d.ahead))...) {
			if err != nil {
				if b = d.exited(err); b == nil {
					yield(nil, err)
					return
				}
			}
			delete(d.out, b)
			d.sizer.ended(b.len(), b.sent)
			d.report.end(b.len(), b.failed())
			if err := d.end(b); err != nil {
				yield(nil, err)
				return
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

func (d *dispatcher[Out]) makeHere(ctx context.Context, b *batch[Out]) (*batch[Out], error) {
	b.run(ctx, d.Timeout, d.OnError.kind == stopAtFirst)
	return b, nil
}

func (d *dispatcher[Out]) makeThere(ctx context.Context, b *batch[Out]) (*batch[Out], error) {
	select {
	case <-b.turn:
	case <-ctx.Done():
	}
	s := &sender{Executor: d.ex, sent: b.hasTurn, keeps: d.Progress != nil}
	defer s.pass() // if nothing was sent
	b.sender.Store(s)
	b.send(ctx, s, d.Timeout, d.OnError.kind == stopAtFirst, d.whole)
	b.packs = nil // the arguments are not held until the results are taken
	b.sender.Store(nil)
	return b, nil
}

// lookTime is how often Progress is told what has ended in batches that have not.
const lookTime = 100 * time.Millisecond

// look tells how far the batches are that are under way.
func (d *dispatcher[Out]) look() {
	made := 0
	for b := range d.out {
		if s := b.sender.Load(); s != nil {
			made += min(s.made(), b.len())
		}
	}
	d.report.look(made)
}

// sender is an executor that tells when it was given the first call of a batch:
// then it is the turn of the next batch, so that calls start in order.
type sender struct {
	executor.Executor
	once sync.Once
	sent chan struct{}

	alone atomic.Int64 // calls that have ended, and were sent alone
	keeps bool         // somebody asks for made
	mu    sync.Mutex   // guards calls
	calls []*executor.Call
}

func (s *sender) Execute(ctx context.Context, c *executor.Call) {
	if s.keeps {
		s.mu.Lock()
		s.calls = append(s.calls, c)
		s.mu.Unlock()
	}
	c.HandOn(ctx, s.Executor)
	s.pass()
}

// made returns how many calls of the batch have ended.
func (s *sender) made() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n = int(s.alone.Load())
	for _, c := range s.calls {
		n += c.Made()
	}
	return n
}

func (s *sender) pass() { s.once.Do(func() { close(s.sent) }) }

var closedChan = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// exited returns a batch in which a function has ended its goroutine, which is all
// that the executor knows of it: the first one, if there are some.
func (d *dispatcher[Out]) exited(err error) *batch[Out] {
	if !executor.Is(err, executor.ErrGoexit) {
		return nil
	}
	var first *batch[Out]
	for b := range d.out {
		if b.hasExit.Load() && (first == nil || b.first < first.first) {
			first = b
		}
	}
	return first
}

// end returns why no more calls can be made, if a batch says so.
func (d *dispatcher[Out]) end(b *batch[Out]) error {
	if d.here {
		return nil
	}
	for _, err := range b.errs {
		if err != nil && isEnd(err) {
			return err
		}
	}
	return nil
}

// batches cuts the calls into batches, by joblib's rules: so many calls are taken
// that there is a batch for each worker, and the last ones are cut smaller. But
// while a batch is one call, none waits for another.
func (d *dispatcher[Out]) batches(source iter.Seq[Call[Out]]) iter.Seq[*batch[Out]] {
	return func(yield func(*batch[Out]) bool) {
		index, taken := 0, 0
		var load load[Out] = new(calls[Out])
		if !d.here {
			load = new(packs[Out])
		}
		send := func(size int) (goOn bool) {
			for load.len() > 0 && !d.stops {
				b := load.take(index, min(size, load.len()))
				index += b.len()
				d.send(b)
				if !yield(b) {
					return false
				}
				d.sizer.next() // joblib looks at each batch that it sends
			}
			return !d.stops
		}
		want := d.want(taken)
		for c := range source {
			if d.stops {
				return
			}
			load.add(c, want)
			if taken++; load.len() < want {
				continue
			}
			if !send(max(1, want/d.n)) {
				return
			}
			want = d.want(taken)
		}
		parts := times(10, d.n)
		if d.PreDispatch == PreDispatchAll || taken < d.PreDispatch {
			parts = d.n // joblib has not seen the end of the source yet
		}
		if send(max(1, load.len()/parts)) {
			d.report.noMore()
		}
	}
}

// send is for a batch that is about to be under way.
func (d *dispatcher[Out]) send(b *batch[Out]) {
	d.sizer.sent(&b.sent)
	if !d.here {
		b.turn, b.hasTurn = d.turn, make(chan struct{})
		d.turn = b.hasTurn
	}
	d.out[b] = struct{}{}
	d.report.send(b.len())
}

// mostTaken is how many calls are taken at once: a source without an end is not taken
// to its end before they start, whatever the size of batches. So many take long enough,
// where each takes nanoseconds, to hide what sending their batches costs.
const mostTaken = 1 << 18

// want returns how many calls are to be taken at once when some were: for a batch for
// each worker. Those that will be batches of one do not wait for each other.
func (d *dispatcher[Out]) want(taken int) int {
	n := min(times(d.sizer.size, d.n), mostTaken)
	if first := d.PreDispatch - taken; first > 0 { // joblib takes these apart from the others
		n = min(n, first)
	}
	if n/d.n < 2 {
		return 1
	}
	return n
}
