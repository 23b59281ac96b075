package executor

import (
	"context"
	"slices"
	"sync"
)

// arrivals hears of futures that end, in the order in which they do: the
// waiter of Wait, AsCompleted and Map. One goroutine receives.
type arrivals struct {
	mu   sync.Mutex
	come []int         // not received yet
	bell chan struct{} // holds 1 when something has come
}

// arrival is what a future tells, and whom.
type arrival struct {
	at    *arrivals
	index int
}

func newArrivals() *arrivals { return &arrivals{bell: make(chan struct{}, 1)} }

func (a *arrivals) arrive(index int) {
	a.mu.Lock()
	a.come = append(a.come, index)
	a.mu.Unlock()
	select {
	case a.bell <- struct{}{}:
	default:
	}
}

// take returns what has come since the last take, without waiting.
func (a *arrivals) take() []int {
	a.mu.Lock()
	defer a.mu.Unlock()
	come := a.come
	a.come = nil
	return come
}

// next waits for at least one arrival, or for the end of ctx.
func (a *arrivals) next(ctx context.Context) ([]int, error) {
	for {
		if come := a.take(); len(come) > 0 {
			return come, nil
		}
		if !await(ctx, a.bell) {
			if come := a.take(); len(come) > 0 {
				return come, nil // what has come goes before the end of ctx
			}
			return nil, ctx.Err()
		}
	}
}

// attach adds an arrival to a call that may have ended.
func (x *cold) attach(c *Call, a arrival) {
	x.mu.Lock()
	if x.over {
		x.mu.Unlock()
		a.at.arrive(a.index)
		return
	}
	r := x.rarePart()
	r.arrivals = append(r.arrivals, a)
	x.mu.Unlock()
	x.recheck(c)
}

// detach takes all arrivals at a off the call.
func (x *cold) detach(a *arrivals) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.rare != nil {
		x.rare.arrivals = slices.DeleteFunc(x.rare.arrivals, func(e arrival) bool { return e.at == a })
	}
}
