package executor

import (
	"context"
	"maps"
	"slices"
	"time"
)

// window is the calls of a Map that are submitted and not yet yielded.
type window[T any] interface {
	add(*Future[T])
	len() int
	ready() bool                              // whether next would not wait
	next(context.Context) (*Future[T], error) // takes out the next future when it is done
	rest() []*Future[T]
}

func newWindow[T any](unordered bool, i idle) window[T] {
	if unordered {
		return &unorderedWindow[T]{calls: make(map[int]*Future[T]), arrivals: newArrivals(), idle: i}
	}
	return &orderedWindow[T]{idle: i}
}

// idle is what is done from time to time while [Map] waits.
type idle struct {
	every time.Duration
	do    func() // nil: nothing is
}

// Meanwhile lets [Map] call do each time that it has waited for so long for the next
// result, on the goroutine that ranges. It is for packages that build on Map and tell how
// far it is, see [Call.Made]. [MapSlice] does without.
func Meanwhile(every time.Duration, do func()) MapOption {
	return func(o *mapOptions) { o.idle = idle{max(every, 1), do} }
}

// during waits, and is idle meanwhile.
func (i idle) during(ctx context.Context, wait func(context.Context) error) error {
	for i.do != nil && ctx.Err() == nil {
		turn, end := context.WithTimeout(ctx, i.every)
		err := wait(turn)
		if end(); err == nil {
			return nil
		}
		if ctx.Err() == nil {
			i.do()
		}
	}
	return wait(ctx)
}

// orderedWindow is a first-in, first-out queue.
type orderedWindow[T any] struct {
	calls []*Future[T]
	first int
	idle  idle
}

func (w *orderedWindow[T]) add(f *Future[T])   { w.calls = append(w.calls, f) }
func (w *orderedWindow[T]) len() int           { return len(w.calls) - w.first }
func (w *orderedWindow[T]) ready() bool        { return w.calls[w.first].call.ended() }
func (w *orderedWindow[T]) rest() []*Future[T] { return w.calls[w.first:] }

func (w *orderedWindow[T]) next(ctx context.Context) (*Future[T], error) {
	f := w.calls[w.first]
	if !f.call.ended() {
		if err := w.idle.during(ctx, func(ctx context.Context) error { return f.call.wait(ctx, "Map") }); err != nil {
			return nil, err
		}
	}
	w.calls[w.first] = nil
	w.first++
	if w.first > len(w.calls)/2 { // half is free: move, so that append finds room
		n := copy(w.calls, w.calls[w.first:])
		clear(w.calls[n:])
		w.calls, w.first = w.calls[:n], 0
	}
	return f, nil
}

// unorderedWindow hands out futures as they arrive.
type unorderedWindow[T any] struct {
	calls    map[int]*Future[T] // by number
	number   int                // of the next call
	arrivals *arrivals
	come     []int
	idle     idle
}

func (w *unorderedWindow[T]) add(f *Future[T]) {
	w.calls[w.number] = f
	f.attach(w.arrivals, w.number)
	w.number++
}

func (w *unorderedWindow[T]) len() int           { return len(w.calls) }
func (w *unorderedWindow[T]) rest() []*Future[T] { return slices.Collect(maps.Values(w.calls)) }

func (w *unorderedWindow[T]) ready() bool {
	if len(w.come) == 0 {
		w.come = w.arrivals.take()
	}
	return len(w.come) > 0
}

func (w *unorderedWindow[T]) next(ctx context.Context) (*Future[T], error) {
	if !w.ready() {
		next := func(ctx context.Context) (err error) {
			w.come, err = w.arrivals.next(ctx)
			return err
		}
		if err := w.idle.during(ctx, next); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil { // results go before those that ctx has cancelled
		slices.SortStableFunc(w.come, func(a, b int) int { return w.rank(a) - w.rank(b) })
	}
	i := w.come[0]
	w.come = w.come[1:]
	f := w.calls[i]
	delete(w.calls, i)
	return f, nil
}

func (w *unorderedWindow[T]) rank(i int) int {
	if w.calls[i].State() == Cancelled {
		return 1
	}
	return 0
}
