package parallel

import (
	"context"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/gofutures/futures/executor"
)

// batch is calls that go to a worker together.
type batch[Out any] struct {
	first   int         // the index of its first call
	calls   []Call[Out] // in this process
	packs   []pack[Out] // or in another
	n       int         // calls
	values  []Out       // nil before the first is kept
	errs    []error     // nil if none has failed: most have not, and memory without pointers costs the garbage collector nothing
	sent    time.Time
	turn    <-chan struct{}        // closed when the batch before it has gone to its process
	hasTurn chan struct{}          // to be closed when this one has
	sender  atomic.Pointer[sender] // while it is being made in another process
	hasExit atomic.Bool            // a function has ended the goroutine, with all outcomes there

	call  [1]Call[Out] // what most batches need here
	value [1]Out
}

// newBatch returns a batch for this process, whose calls nobody else must have.
func newBatch[Out any](first int, calls []Call[Out]) *batch[Out] {
	b := &batch[Out]{first: first, calls: calls, n: len(calls)}
	if b.n == 1 {
		b.call[0] = calls[0]
		b.calls, b.values = b.call[:], b.value[:]
	}
	return b
}

func (b *batch[Out]) len() int { return b.n }

// keep keeps what came of call i.
func (b *batch[Out]) keep(i int, value Out, err error) {
	if b.values == nil {
		b.values = make([]Out, b.n)
	}
	b.values[i] = value
	if err == nil {
		return
	}
	if b.errs == nil {
		b.errs = make([]error, b.n)
	}
	b.errs[i] = err
}

// err returns the error of call i, if it has failed.
func (b *batch[Out]) err(i int) error {
	if b.errs == nil {
		return nil
	}
	return b.errs[i]
}

// failed returns how many of its calls have.
func (b *batch[Out]) failed() (n int) {
	for _, err := range b.errs {
		if err != nil {
			n++
		}
	}
	return n
}

// run makes the calls here, all of them or, if it stops, until one fails.
func (b *batch[Out]) run(ctx context.Context, timeout time.Duration, stops bool) {
	hasReturned := false
	defer func() { b.hasExit.Store(!hasReturned) }()
	for i := 0; i < len(b.calls); {
		i = b.makeMost(ctx, i, timeout, stops)
	}
	hasReturned = true
}

// makeMost makes the calls from i on, until one panics or ends the goroutine, which is an
// outcome like any other. It returns the call to go on with: within the deferred function,
// each panic would be under way until the last call has returned.
func (b *batch[Out]) makeMost(ctx context.Context, i int, timeout time.Duration, stops bool) (next int) {
	hasReturned := false
	defer func() {
		if hasReturned {
			return
		}
		err := executor.ErrGoexit
		if v := recover(); v != nil {
			err = &executor.PanicError{Value: v, Stack: debug.Stack()}
		}
		var none Out
		b.keep(i, none, err)
		if next = i + 1; stops {
			next = len(b.calls)
		}
		for err == executor.ErrGoexit && next < len(b.calls) { // nobody will go on on this goroutine
			next = b.makeMost(ctx, next, timeout, stops)
		}
	}()
	for ; i < len(b.calls); i++ {
		c := b.calls[i]
		b.calls[i] = Call[Out]{} // its argument is not held when it has ended
		value, err := makeHere(ctx, c, timeout)
		if b.keep(i, value, err); err != nil && stops {
			break
		}
	}
	hasReturned = true
	return len(b.calls)
}

func makeHere[Out any](ctx context.Context, c Call[Out], timeout time.Duration) (Out, error) {
	if timeout > 0 {
		return runTimed(ctx, c, timeout)
	}
	return c.run(ctx)
}

// send makes the calls on ex; with a timeout, a batch is one call. If it stops,
// nothing is sent after an error; and if an error ends it all, it need not be known
// which of the calls in a batch has failed: that is the first one then.
func (b *batch[Out]) send(ctx context.Context, ex *sender, timeout time.Duration, stops, endsAll bool) {
	i := 0
	for _, p := range b.packs {
		if stops && b.errs != nil {
			break
		}
		switch first := i; {
		case p.len() == 1:
			value, err := makeThere(ctx, ex, p, timeout)
			b.keep(i, value, err)
			ex.alone.Add(1)
		case p.len() == b.len() && endsAll:
			if values, err := p.sendAll(ctx, ex); err == nil {
				b.values = values
			} else {
				var none Out
				b.keep(0, none, err)
			}
		default:
			p.sendEach(ctx, ex, func(k int, value Out, err error) { b.keep(first+k, value, err) })
		}
		i += p.len()
	}
}

func makeThere[Out any](ctx context.Context, ex executor.Executor, p pack[Out], timeout time.Duration) (Out, error) {
	if timeout > 0 {
		return sendTimed(ctx, ex, p, timeout)
	}
	return p.submit(ctx, ex).Result(context.WithoutCancel(ctx))
}
