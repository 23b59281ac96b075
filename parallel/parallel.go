package parallel

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/gofutures/futures/executor"
)

// Parallel makes the calls, n at once, and returns the results in order:
// Parallel(n_jobs=n)(calls). n is joblib's: 1 makes one after another, -1 uses all
// CPUs, 0 is an error; see [EffectiveJobs]. If calls fail, it returns nil and the
// error of the lowest index: calls behind it are cancelled, calls before it
// finished. For anything else, there is [Run].
func Parallel[Out any](ctx context.Context, n int, calls ...Call[Out]) ([]Out, error) {
	if n == 0 {
		return nil, errZero()
	}
	return run(ctx, "parallel: Parallel", Jobs{N: n}, slices.Values(calls), len(calls))
}

func errZero() error {
	_, err := EffectiveJobs(0)
	return err
}

// Map calls fn for each element of in, n at once, and returns the results in order:
// Parallel(n_jobs=n)(delayed(fn)(x) for x in in). It is as fast as
// [executor.MapSlice], which it is, unless the ctx's configuration asks for more.
// n and errors are as for [Parallel].
func Map[In, Out any](ctx context.Context, n int, fn executor.Func[In, Out], in []In) ([]Out, error) {
	if n == 0 {
		return nil, errZero()
	}
	p, err := Jobs{N: n}.plan(ctx)
	if err != nil {
		return nil, err
	}
	defer p.close()
	if p.isPlain() {
		return executor.MapSlice(p.ctx, p.ex, fn, in, executor.Doing("parallel: Map"))
	}
	calls := func(yield func(Call[Out]) bool) {
		for _, x := range in {
			if !yield(Delayed(fn, x)) {
				return
			}
		}
	}
	return collect(p, "parallel: Map", calls, len(in))
}

// Run makes the calls as j says, and returns the results in order: Parallel(...)(calls).
// The source is pulled on this goroutine, at most PreDispatch calls ahead.
//
// If ctx ends, the error matches ctx's. Run returns when the calls that run have
// returned.
func Run[Out any](ctx context.Context, j Jobs, calls iter.Seq[Call[Out]]) ([]Out, error) {
	return run(ctx, "parallel: Run", j, calls, 0)
}

func run[Out any](ctx context.Context, doing string, j Jobs, calls iter.Seq[Call[Out]], total int) ([]Out, error) {
	p, err := planOf(ctx, j, calls)
	if err != nil {
		return nil, err
	}
	defer p.close()
	return collect(p, doing, calls, total)
}

// planOf is Jobs.plan for calls.
func planOf[Out any](ctx context.Context, j Jobs, calls iter.Seq[Call[Out]]) (*plan, error) {
	if calls == nil {
		return nil, errors.New("parallel: nil iterator of calls")
	}
	p, err := j.plan(ctx)
	if err != nil {
		return nil, err
	}
	if p.OnError.kind == useDefault {
		if _, ok := p.OnError.value.(Out); !ok {
			p.close()
			var out Out
			return nil, fmt.Errorf("parallel: UseDefault(%v) is a %[1]T; the calls return a %T", p.OnError.value, out)
		}
	}
	return p, nil
}

// collect makes the calls and keeps their results.
func collect[Out any](p *plan, doing string, calls iter.Seq[Call[Out]], total int) ([]Out, error) {
	d := newDispatcher[Out](p, total)
	defer d.report.flush()
	d.whole = p.OnError.kind == stopAtFirst
	r := results[Out]{policy: p.OnError, out: make([]Out, 0, total), ahead: map[int]int{}}
	for b, err := range d.ended(calls, executor.Unordered(), executor.Doing(doing)) {
		if err != nil && r.first != nil {
			return nil, executor.Ended(p.ctx, doing, r.first.Err)
		} else if err != nil {
			return nil, executor.Ended(p.ctx, doing, err)
		}
		r.keep(b)
		if r.first == nil {
			continue
		}
		d.stops = true // what is behind it need not begin
		if r.whole >= r.first.Index {
			return nil, executor.Ended(p.ctx, doing, r.first.Err)
		}
	}
	d.report.finish()
	return r.out, r.error()
}

// results are what came of the calls of a run so far.
type results[Out any] struct {
	policy Policy
	out    []Out
	whole  int         // all before that are here
	ahead  map[int]int // batches behind it that are here too: by their first index, their length
	errs   map[int]error
	first  *executor.ItemError // that stops the run
}

// keep takes a batch that has ended.
func (r *results[Out]) keep(b *batch[Out]) {
	if more := b.first + b.len() - len(r.out); more > 0 {
		r.out = append(r.out, make([]Out, more)...)
	}
	copy(r.out[b.first:], b.values)
	r.ahead[b.first] = b.len()
	for n := r.ahead[r.whole]; n > 0; n = r.ahead[r.whole] {
		delete(r.ahead, r.whole)
		r.whole += n
	}
	for i, err := range b.errs {
		if err != nil {
			r.fail(b.first+i, err)
		}
	}
}

func (r *results[Out]) fail(at int, err error) {
	switch r.policy.kind {
	case useDefault:
		r.out[at] = r.policy.value.(Out)
	case collectErrors:
		if r.errs == nil {
			r.errs = map[int]error{}
		}
		r.errs[at] = err
	default:
		if r.first == nil || at < r.first.Index {
			r.first = &executor.ItemError{Index: at, Err: err}
		}
	}
}

// error returns the errors that were collected.
func (r *results[Out]) error() error {
	if len(r.errs) == 0 {
		return nil
	}
	var errs executor.ItemErrors
	for at := range r.out {
		if err := r.errs[at]; err != nil {
			errs = append(errs, &executor.ItemError{Index: at, Err: err})
		}
	}
	return errs
}

// Stream makes the calls as j says, and yields the results in order as they are
// there: return_as="generator". It is lazy: nothing runs until it is ranged over,
// and then at most PreDispatch calls are ahead of what was yielded, so calls may be
// infinite. Each range over it is a run of its own.
//
//	for size, err := range parallel.Stream(ctx, parallel.Jobs{N: 4}, calls) {
//
// With [StopAtFirst], the first error in order is the last that is yielded. With
// [CollectErrors], each call yields its result or its error, and the iteration goes
// on; with [UseDefault], its result or v.
//
// Leaving the loop cancels what has not started, ends the ctx of what runs and
// waits until that has returned.
func Stream[Out any](ctx context.Context, j Jobs, calls iter.Seq[Call[Out]]) iter.Seq2[Out, error] {
	return stream(ctx, "parallel: Stream", j, calls)
}

// StreamUnordered is [Stream] in whatever order the results come:
// return_as="generator_unordered".
func StreamUnordered[Out any](ctx context.Context, j Jobs, calls iter.Seq[Call[Out]]) iter.Seq2[Out, error] {
	return stream(ctx, "parallel: StreamUnordered", j, calls, executor.Unordered())
}

func stream[Out any](ctx context.Context, doing string, j Jobs, calls iter.Seq[Call[Out]], opts ...executor.MapOption) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		var none Out
		p, err := planOf(ctx, j, calls)
		if err != nil {
			yield(none, err)
			return
		}
		defer p.close()
		d := newDispatcher[Out](p, 0)
		defer d.report.flush()
		for b, err := range d.ended(calls, append(opts, executor.Doing(doing))...) {
			if err != nil {
				yield(none, executor.Ended(p.ctx, doing, err))
				return
			}
			for i, value := range b.values {
				b.values[i] = none // what is given out is not held
				err := b.err(i)
				if err != nil && p.OnError.kind == useDefault {
					value, err = p.OnError.value.(Out), nil
				}
				if p.OnError.kind == stopAtFirst { // it is the last
					err = executor.Ended(p.ctx, doing, err)
				}
				if !yield(value, err) || err != nil && p.OnError.kind == stopAtFirst {
					return
				}
			}
		}
		d.report.finish()
	}
}
