package pool

import (
	"context"
	"sync"
)

// stoppable is a ctx for one map, executor.Map or executor.MapSlice, which ends with it or
// by Stop. The functions of the map are given the ctx inside, which goes on when the map has
// returned, since what the functions returned may need it. So that cannot be one that was
// derived for the map: on a ctx that lives on, what was derived stays until it is cancelled.
// To all else, it is the ctx inside. Package executor knows it by the methods Inside, Begin,
// End and Cause.
type stoppable struct {
	context.Context

	mu    sync.Mutex // guards the fields below
	m     underWay   // nil if no map is under way
	cause error      // of Stop, nil before
}

// underWay is a map that is under way. Terminate ends it, as the end of its ctx does with
// that cause, and may be called when it has ended.
type underWay = interface{ Terminate(cause error) }

// Inside returns the ctx for the functions of the map.
func (s *stoppable) Inside() context.Context { return s.Context }

// Begin is called by a map when it begins. If Stop was called before, the map is ended.
func (s *stoppable) Begin(m underWay) {
	s.mu.Lock()
	s.m = m
	cause := s.cause
	s.mu.Unlock()
	if cause != nil {
		m.Terminate(cause)
	}
}

// End is called by a map when it has ended.
func (s *stoppable) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m = nil
}

// Stop ends the map that is under way, and one that begins later. The first cause counts.
func (s *stoppable) Stop(cause error) {
	s.mu.Lock()
	if s.cause == nil {
		s.cause = cause
	}
	m, cause := s.m, s.cause
	s.mu.Unlock()
	if m != nil {
		m.Terminate(cause)
	}
}

// Cause returns that of Stop, nil before.
func (s *stoppable) Cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}
