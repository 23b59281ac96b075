package executor

import (
	"context"
	"testing"
)

// A call is watched until it starts; one in another process, which may start before
// anybody watches, until it ends.
func TestACallInAProcessIsWatchedUntilItEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for name, in := range map[string]*tracker{"here": new(tracker), "processes": {host: new(processPool)}} {
		for state, want := range map[uint32]bool{
			pending: true, running: name == "processes", writing: false, finished: false, cancelled: false, expired: false, refused: false,
		} {
			c := new(Call)
			c.origin.Store(newOrigin(ctx, in))
			c.state.Store(state)
			in.watches.add(c)
			if got := c.slot > 0; got != want {
				t.Errorf("%s, state %d: it is watched: %v; want %v", name, state, got, want)
			}
			in.watches.remove(c, ctx.Done())
		}
	}
}

// A stale end of a watch must leave alone the one that has come for the same
// ctx meanwhile: the calls of that would not find it again.
func TestTheEndOfAWatchLeavesItsSuccessorAlone(t *testing.T) {
	done := make(chan struct{})
	stale, current := &watch{done: done}, &watch{done: done}
	ws := &watches{watch: map[<-chan struct{}]*watch{done: current}}
	ws.end(stale)
	if got := ws.find(done); got != current {
		t.Errorf("find = %p; want %p, whose calls are still queued", got, current)
	}
}
