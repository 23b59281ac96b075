package executor

import (
	"context"
	"maps"
	"slices"
)

// window is the calls of a Map that are submitted and not yet yielded.
type window[T any] interface {
	add(*Future[T])
	len() int
	ready() bool                              // whether next would not wait
	next(context.Context) (*Future[T], error) // takes out the next future when it is done
	rest() []*Future[T]
}

func newWindow[T any](unordered bool) window[T] {
	if unordered {
		return &unorderedWindow[T]{calls: make(map[int]*Future[T]), arrivals: newArrivals()}
	}
	return new(orderedWindow[T])
}

// orderedWindow is a first-in, first-out queue.
type orderedWindow[T any] struct {
	calls []*Future[T]
	first int
}

func (w *orderedWindow[T]) add(f *Future[T])   { w.calls = append(w.calls, f) }
func (w *orderedWindow[T]) len() int           { return len(w.calls) - w.first }
func (w *orderedWindow[T]) ready() bool        { return w.calls[w.first].call.ended() }
func (w *orderedWindow[T]) rest() []*Future[T] { return w.calls[w.first:] }

func (w *orderedWindow[T]) next(ctx context.Context) (*Future[T], error) {
	f := w.calls[w.first]
	if !f.call.ended() {
		if err := f.call.wait(ctx, "Map"); err != nil {
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
		come, err := w.arrivals.next(ctx)
		if err != nil {
			return nil, err
		}
		w.come = come
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
