package executor

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"sync"
)

// Waitable is anything that ends once: every *[Future], of whatever type and
// executor, and anybody's type with a Done channel that is closed at the end.
type Waitable interface{ Done() <-chan struct{} }

// Until says how many futures [Wait] waits for.
type Until int

const (
	AllCompleted   Until = iota // until all are done
	FirstCompleted              // until at least one is done
	FirstError                  // until one has failed, or all are done. A cancelled future has not failed
)

// Wait waits for futures and returns those that are done and those that are
// not, each once and in the order of fs: concurrent.futures.wait.
//
// If ctx ends first, the slices say what is done so far and the error matches
// [ErrPending] and ctx's error; nothing is cancelled. A future whose type is
// not of this package counts as one that does not fail. A nil future is an
// error, before anything is waited for.
//
// To handle futures one by one as they finish, use [AsCompleted]: a loop over
// Wait with FirstCompleted looks at all of them each time.
func Wait[F Waitable](ctx context.Context, until Until, fs ...F) (done, pending []F, err error) {
	if ctx == nil {
		return nil, fs, errNilContext("Wait")
	}
	if until < AllCompleted || until > FirstError {
		return nil, fs, fmt.Errorf("executor: Wait: unknown Until(%d)", int(until))
	}
	for i, f := range fs {
		if isNil(f) {
			return nil, fs, fmt.Errorf("executor: Wait: future %d of %d is nil", i, len(fs))
		}
	}

	l := listen(fs)
	defer l.stop()
	come, failed := l.arrivals.take(), false
	isDone := make([]bool, len(fs))
	for left := len(l.indexes); ; {
		for _, i := range come {
			isDone[i] = true
			left--
			if f, ok := own(fs[i]); ok {
				f.ask()
				failed = failed || f.failed()
			}
		}
		if left == 0 || until == FirstCompleted && left < len(l.indexes) || until == FirstError && failed {
			break
		}
		if come, err = l.arrivals.next(ctx); err != nil {
			err = pendingIn(ctx, fmt.Sprintf("Wait: %d of %d futures", left, len(l.indexes)))
			break
		}
	}
	for _, i := range l.indexes {
		if isDone[i] {
			done = append(done, fs[i])
		} else {
			pending = append(pending, fs[i])
		}
	}
	return done, pending, err
}

// AsCompleted returns a single-use iterator over the futures as they finish,
// each once with its index in fs, those that are done already first:
// concurrent.futures.as_completed. A future that was yielded is not held by
// the iterator any longer.
//
// The iteration ends early when ctx ends; ctx.Err tells. Leaving it early
// cancels nothing.
func AsCompleted[F Waitable](ctx context.Context, fs ...F) iter.Seq2[int, F] {
	return func(yield func(int, F) bool) {
		if ctx == nil {
			return // as an ended one
		}
		left := slices.Clone(fs)
		fs = nil
		l := listen(left)
		defer l.stop()
		l.forgetDuplicates()
		for n := len(l.indexes); n > 0; {
			come, err := l.arrivals.next(ctx)
			if err != nil {
				return
			}
			n -= len(come)
			for _, i := range come {
				f := left[i]
				var none F
				left[i] = none
				if f, ok := own(f); ok {
					f.ask()
				}
				if !yield(i, f) {
					return
				}
			}
		}
	}
}

// Gather waits for all futures and returns their results in the order of fs,
// or the error of the lowest index that failed or was cancelled:
// asyncio.gather, and [f.result() for f in fs]. It does not cancel the others.
// If ctx ends first, the error matches [ErrPending] and ctx's error.
func Gather[T any](ctx context.Context, fs ...*Future[T]) ([]T, error) {
	out := make([]T, len(fs))
	for i, f := range fs {
		var err error
		if out[i], err = f.resultFor(ctx, "Gather"); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Await waits until done is closed: a wait for anything that is not a future, as
// threading.Event.wait is one, inside of calls too. A call that waits with its ctx, or
// with one derived from it, lends its place to others meanwhile, as it does in
// [Future.Result]; a call that reads from the channel itself keeps its place, and with
// MaxWorkers such calls, what would close the channel never starts.
//
// If ctx ends first, the error matches [ErrPending] and ctx's error. A channel that is
// closed goes before a ctx that has ended. Await receives once, so that a channel on which
// somebody sends, and each value wakes one waiter, is as good. When Await has returned, the
// call has its place back: it may have waited for that beyond the end of ctx.
func Await(ctx context.Context, done <-chan struct{}) error {
	if ctx == nil {
		return errNilContext("Await")
	}
	if !await(ctx, done) {
		return pendingIn(ctx, "Await")
	}
	return nil
}

// await is Await, which returns false if ctx has ended first. What comes while the call
// waits for its place has come in time.
func await(ctx context.Context, done <-chan struct{}) bool {
	return isReady(done) || awaitLending(ctx, done) || isReady(done)
}

// awaitLending waits for done, without the place of the call that waits, or for the end
// of ctx.
func awaitLending(ctx context.Context, done <-chan struct{}) bool {
	if waiting := callOf(ctx); waiting != nil {
		if h := waiting.host(); h.lend(waiting) {
			defer h.reclaim(waiting)
		}
	}
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// isReady reports whether done was ready to be received from, and receives.
func isReady(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// wait waits for the call to end.
func (c *Call) wait(ctx context.Context, doing string) error {
	if ctx == nil {
		return errNilContext(doing)
	}
	if c.state.Load() == pending && c.host().help(ctx, c) {
		return nil
	}
	if ctx.Done() == nil && callOf(ctx) == nil {
		x := c.coldPart()
		x.recheck(c)
		x.ended.Wait()
		return nil
	}
	if !await(ctx, c.Done()) && !c.ended() { // a call has ended some moments before its Done is closed
		return pendingIn(ctx, doing)
	}
	return nil
}

// listener hears of the end of futures.
type listener[F Waitable] struct {
	fs       []F
	indexes  []int // of the futures, each future once
	arrivals *arrivals
	strange  sync.WaitGroup // goroutines for futures that are not of this package
	left     chan struct{}  // closed by stop
}

// attachable is a future of this package, which tells without a goroutine.
type attachable interface {
	attach(*arrivals, int)
	detach(*arrivals)
	ask()
	failed() bool
	self() any
}

// own returns f if it is a future of this package. A type that embeds one is
// not: it may have a Done of its own.
func own(f Waitable) (attachable, bool) {
	a, ok := f.(attachable)
	return a, ok && a.self() == any(f)
}

func listen[F Waitable](fs []F) *listener[F] {
	l := &listener[F]{fs: fs, arrivals: newArrivals(), left: make(chan struct{})}
	seen := make(map[any]bool, len(fs))
	for i, f := range fs {
		if v := reflect.ValueOf(f); v.IsValid() && v.Comparable() {
			if seen[f] {
				continue
			}
			seen[f] = true
		}
		l.indexes = append(l.indexes, i)
		l.attach(i, f)
	}
	return l
}

// forgetDuplicates lets go of the futures that have another index too.
func (l *listener[F]) forgetDuplicates() {
	kept := make([]F, len(l.fs))
	for _, i := range l.indexes {
		kept[i] = l.fs[i]
	}
	copy(l.fs, kept)
}

func (l *listener[F]) attach(i int, f F) {
	if isNil(f) {
		l.arrivals.arrive(i)
		return
	}
	if f, ok := own(f); ok {
		f.attach(l.arrivals, i)
		return
	}
	done := f.Done()
	select {
	case <-done:
		l.arrivals.arrive(i)
		return
	default:
	}
	l.strange.Go(func() {
		select {
		case <-done:
			l.arrivals.arrive(i)
		case <-l.left:
		}
	})
}

// stop leaves nothing behind on the futures.
func (l *listener[F]) stop() {
	close(l.left)
	for _, i := range l.indexes {
		if f, ok := own(l.fs[i]); ok {
			f.detach(l.arrivals)
		}
	}
	l.strange.Wait()
}

func isNil(f Waitable) bool {
	if f == nil {
		return true
	}
	v := reflect.ValueOf(f)
	return v.Kind() == reflect.Pointer && v.IsNil()
}
