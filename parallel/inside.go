package parallel

import (
	"context"
	"fmt"

	"github.com/gofutures/futures/parallel/internal/disk"
)

// inside says that a ctx is that of a call of a cached function.
type inside struct {
	memory *Memory
	key    disk.Key
	flight *flight // nil for Refresh
	outer  *inside // the call that made this one
}

type insideKey struct{}

// callsAround returns the innermost call that ctx is that of, nil if there is none.
func callsAround(ctx context.Context) *inside {
	i, _ := ctx.Value(insideKey{}).(*inside)
	return i
}

// flightIn returns the innermost flight of m, nil if there is none.
func (i *inside) flightIn(m *Memory) *flight {
	for ; i != nil; i = i.outer {
		if i.memory == m && i.flight != nil {
			return i.flight
		}
	}
	return nil
}

// enter returns the ctx for the function.
func (c *CachedFunc[In, Out]) enter(ctx context.Context, key disk.Key, f *flight) context.Context {
	return context.WithValue(ctx, insideKey{}, &inside{c.memory, key, f, callsAround(ctx)})
}

// isInside reports whether ctx is that of a call with the same argument, which would
// wait for itself.
func (c *CachedFunc[In, Out]) isInside(ctx context.Context, key disk.Key) bool {
	for i := callsAround(ctx); i != nil; i = i.outer {
		if i.memory == c.memory && i.key == key {
			return true
		}
	}
	return false
}

func (c *CachedFunc[In, Out]) errEndless() error {
	return fmt.Errorf("parallel: Cache %q: the function calls itself with the same argument, perhaps through others, and would wait for itself", c.owner.name)
}

// leadsTo reports whether f waits for g, perhaps through other flights. Memory.mu is
// held.
func (f *flight) leadsTo(g *flight) bool {
	if f == g {
		return true
	}
	for next := range f.awaits { // nobody waits in a circle, so this ends
		if next.leadsTo(g) {
			return true
		}
	}
	return false
}

// await notes that f waits for g. Memory.mu is held.
func (f *flight) await(g *flight) {
	if f.awaits == nil {
		f.awaits = make(map[*flight]int)
	}
	f.awaits[g]++
}

// arrived undoes await.
func (m *Memory) arrived(f, g *flight) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f.awaits[g]--; f.awaits[g] == 0 {
		delete(f.awaits, g)
	}
}
