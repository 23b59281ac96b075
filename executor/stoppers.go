package executor

import (
	"context"
	"slices"
)

// stopper is what runs and is to hear when Shutdown ends all that does: a call that
// asked for Done, a runner of MapSlice, an initializer.
type stopper struct {
	slot int // guarded by tracker.mu: 1 + its index in stoppers, 0 outside
	endable
}

// endable ends something. stop may be called when it has ended.
type endable interface{ stop(cause error) }

// cancelFunc ends a ctx.
type cancelFunc context.CancelCauseFunc

func (f cancelFunc) stop(cause error) { f(cause) }

// addStopper lets stopAll stop m.
func (t *tracker) addStopper(m *stopper) {
	t.lock()
	t.addStopperLocked(m)
	t.mu.Unlock()
	if t.isStopped.Load() {
		m.stop(ErrShutdown)
	}
}

// removeStopper undoes addStopper.
func (t *tracker) removeStopper(m *stopper) {
	t.lock()
	defer t.mu.Unlock()
	t.removeStopperLocked(m)
}

// addStopperLocked is addStopper for a caller that holds mu, and looks at isStopped afterwards.
func (t *tracker) addStopperLocked(m *stopper) {
	t.stoppers = append(t.stoppers, m)
	m.slot = len(t.stoppers)
}

// removeStopperLocked is removeStopper for a caller that holds mu.
func (t *tracker) removeStopperLocked(m *stopper) {
	if m.slot == 0 {
		return
	}
	end := len(t.stoppers) - 1
	last := t.stoppers[end]
	t.stoppers[m.slot-1], last.slot = last, m.slot
	t.stoppers[end] = nil
	t.stoppers = t.stoppers[:end]
	m.slot = 0
}

// stopAll ends the ctx of all calls that run and will run.
func (t *tracker) stopAll() {
	t.isStopped.Store(true)
	t.mu.Lock()
	stoppers := slices.Clone(t.stoppers)
	t.mu.Unlock()
	for _, m := range stoppers {
		m.stop(ErrShutdown)
	}
}
