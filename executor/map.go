package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"runtime"

	"github.com/gofutures/futures/executor/internal/items"
)

// MapOption is an option of [Map] and [MapSlice].
type MapOption func(*mapOptions)

type mapOptions struct {
	chunk     int // 0: not given
	buffer    int
	unordered bool
	collects  bool
	doing     string // "": what it is
	idle      idle
	err       error
}

// ChunkSize makes calls of n items each: map's chunksize. An item then costs
// less, but it waits for the others of its chunk, which Map has to pull first.
// Each item still has its own outcome; in processes, an idle worker takes over items of
// a chunk that have not begun. The default of [Map] is 1; [MapSlice],
// which has all items at hand, forms chunks by itself.
func ChunkSize(n int) MapOption {
	return func(o *mapOptions) { o.chunk = o.positive("ChunkSize", n) }
}

// Buffer lets [Map] be n items ahead of what it has yielded, at least one
// chunk: map's buffersize. The default is twice the executor's Workers, or
// twice GOMAXPROCS if it has no limit. math.MaxInt is no limit. Calls that are
// submitted meanwhile start behind those n items. [MapSlice] does without.
func Buffer(n int) MapOption {
	return func(o *mapOptions) { o.buffer = o.positive("Buffer", n) }
}

// Unordered makes [Map] yield each result when it is there, in whatever order:
// multiprocessing's imap_unordered. [MapSlice] is always in order.
func Unordered() MapOption {
	return func(o *mapOptions) { o.unordered = true }
}

// CollectErrors makes [MapSlice] go on after an element that fails. Its error is then
// [ItemErrors], with that of each element that failed, and the results of the others are
// returned beside it. [Map] goes on in any case.
func CollectErrors() MapOption {
	return func(o *mapOptions) { o.collects = true }
}

// Doing makes the errors of a map, as that of the end of ctx, say that they are of doing,
// as "pool: Imap", and not of Map or MapSlice. It is for packages that build on them.
func Doing(doing string) MapOption {
	return func(o *mapOptions) { o.doing = doing }
}

func (o *mapOptions) positive(name string, n int) int {
	if n < 1 && o.err == nil {
		o.err = fmt.Errorf("executor: %s(%d): it must be at least 1", name, n)
	}
	return n
}

func newMapOptions(opts []MapOption) mapOptions {
	if len(opts) == 0 {
		return mapOptions{} // without an object
	}
	var o mapOptions
	for _, opt := range opts {
		if opt == nil {
			o.err = errors.New("executor: nil MapOption")
			continue
		}
		opt(&o)
	}
	return o
}

// check returns what is wrong with the arguments of a map.
func (o *mapOptions) check(doing string, ctx context.Context, ex Executor, nilFunc bool) error {
	what := ""
	switch {
	case o.err != nil:
		return o.err
	case nilFunc:
		what = "nil function"
	case ctx == nil:
		what = "nil ctx"
	case ex == nil:
		what = "nil Executor"
	default:
		return nil
	}
	return fmt.Errorf("%s: %s", cmp.Or(o.doing, "executor: "+doing), what)
}

// Map calls fn on ex for each item of in and returns an iterator over the
// results, in the order of the items: Executor.map with a buffersize. Each item
// has its own outcome, and the iteration goes on after an error. [Collect]
// makes a slice of it and stops at the first.
//
//	for page, err := range executor.Map(ctx, ex, fetch, slices.Values(urls)) {
//
// Map is lazy: nothing runs until it is ranged over, and then at most twice
// ex.Workers items are ahead of what was yielded (see [Buffer]), so in may be
// infinite. Each range over it is a run of its own. The source is pulled on the
// goroutine that ranges, between two results. An item is submitted when it is
// pulled; while the source makes the next one wait, no result is yielded.
//
// Leaving the loop cancels what has not started, ends the ctx of what runs and
// waits until that has returned. When ctx ends, the results that are there are
// yielded, then one error that matches ctx's, and the iteration is over. If ex
// takes no more calls, its error is the last. If an argument is wrong, that is
// the only error.
func Map[In, Out any](ctx context.Context, ex Executor, fn Func[In, Out], in iter.Seq[In], opts ...MapOption) iter.Seq2[Out, error] {
	o := newMapOptions(opts)
	return func(yield func(Out, error) bool) {
		err := o.check("Map", ctx, ex, fn == nil)
		if err == nil && in == nil {
			err = errors.New("executor: Map: nil iterator")
		}
		if err != nil {
			var none Out
			yield(none, err)
			return
		}
		buffer := o.buffer
		if buffer == 0 {
			buffer = 2 * min(limit(ex), math.MaxInt/2)
		}
		given := ctx
		if s, isStoppable := ctx.(stoppable); isStoppable {
			var end context.CancelCauseFunc
			given = s.Inside()
			ctx, end = context.WithCancelCause(given) // for the loop, with which it is over
			defer end(nil)
			s.Begin(loop(end))
			defer s.End()
		}
		last := func() {
			var none Out
			over := ctx
			if given.Err() != nil { // of which ctx may not have heard yet
				over = given
			}
			yield(none, Ended(over, cmp.Or(o.doing, "executor: Map"), over.Err()))
		}
		if o.chunk <= 1 {
			one := func(item In) *Future[Out] { return Submit(given, ex, fn, item) }
			each := func(f *Future[Out]) bool { return yield(f.value, f.outcome()) } // f is not held meanwhile
			slide(ctx, newWindow[Out](o.unordered, o.idle), buffer, in, one, each, last)
			return
		}
		kin := new(int)
		some := func(in []In) *Future[items.Outcomes[Out]] { return submitChunk(given, ex, fn, in, kin) }
		each := func(f *Future[items.Outcomes[Out]]) bool { return yieldOutcomes(f, yield) }
		slide(ctx, newWindow[items.Outcomes[Out]](o.unordered, o.idle), max(1, buffer/o.chunk), chunks(in, o.chunk), some, each, last)
	}
}

// loop is the end of the ctx with which a loop over a Map waits.
type loop context.CancelCauseFunc

func (end loop) Terminate(cause error) { end(cause) }

// limit returns the number of calls that ex runs at once, or that can usefully
// run at once if it has no limit.
func limit(ex Executor) int {
	if n := ex.Workers(); n > 0 {
		return n
	}
	return runtime.GOMAXPROCS(0)
}

// Collect returns the values of seq, or the first error, at which it stops:
// list(executor.map(fn, in)).
func Collect[Out any](seq iter.Seq2[Out, error]) ([]Out, error) {
	out := []Out{}
	for value, err := range seq {
		if err != nil {
			return nil, err
		}
		out = append(out, value)
	}
	return out, nil
}

// slide submits the items of in and gives their futures to each when they are
// done, with at most size of them in the window between the two, and calls last if ctx
// ends it. It does so from inside the loop over in, so
// that it needs no goroutine and no coroutine.
func slide[In, Out any](ctx context.Context, w window[Out], size int, in iter.Seq[In], submit func(In) *Future[Out], each func(*Future[Out]) bool, last func()) {
	defer abandon(ctx, w)
	next := func() (more bool) {
		f, err := w.next(ctx)
		if err != nil || f.call.state.Load() == expired {
			last()
			return false
		}
		isLast := f.call.isTurnedAway() // asked before, so that nothing holds f, and what it has given out
		return each(f) && !isLast
	}
	cut := false
	for item := range in {
		if cut = ctx.Err() != nil; cut {
			break
		}
		w.add(submit(item))
		if (w.len() >= size || w.ready()) && !next() {
			return
		}
	}
	for w.len() > 0 {
		if !next() {
			return
		}
	}
	if cut {
		last()
	}
}

// isTurnedAway reports whether the call has ended because its executor takes no
// calls, or its ctx has ended: so will the next.
func (c *Call) isTurnedAway() bool {
	state := c.state.Load()
	return state == expired || state == refused
}

// abandon ends the calls that are left when a loop over a Map ends, and waits
// for them.
func abandon[Out any](ctx context.Context, w window[Out]) {
	left := w.rest()
	for _, f := range left {
		f.call.cancelAs(cancelled)
	}
	for _, f := range left { // after the queue is empty, so that nothing takes the place of what ends
		f.Cancel()
	}
	for _, f := range left {
		await(context.WithoutCancel(ctx), f.Done()) // lends, and does not end before the call
	}
}

// yieldOutcomes yields what came of the items of a chunk. If the chunk failed as
// a whole, because it was turned down, so did each item.
func yieldOutcomes[Out any](f *Future[items.Outcomes[Out]], yield func(Out, error) bool) bool {
	err := f.outcome()
	if err != nil && f.call.isTurnedAway() {
		var none Out
		return yield(none, err)
	}
	var none Out
	for i, value := range f.value.Values {
		itemErr := f.value.Err(i)
		if err != nil {
			value, itemErr = none, err
		}
		f.value.Values[i] = none // what was given out is not held
		see(itemErr)
		if !yield(value, itemErr) {
			return false
		}
	}
	return true
}
