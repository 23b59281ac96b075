package executor

import "sync/atomic"

// The states of a call. All past writing have ended.
const (
	pending uint32 = iota
	running
	writing // as running, while a result that no function returned is written
	finished
	cancelled // by Cancel
	expired   // cancelled by the end of its ctx
	refused   // by its executor
)

// state is where a call stands, and whether its body is being read: see the plan in call.go. Load,
// Store and CompareAndSwap are as those of an atomic number that is one of the states.
type state struct{ word atomic.Uint32 }

// The bits beside the state.
const (
	isRead      = 1 << (8 + iota) // a goroutine reads the body, to encode it
	isToForget                    // it is to forget the body when it has
	isDelegated                   // pending: whether it starts is decided elsewhere, so that nobody else moves it on
	stateBits   = isRead - 1
)

func (s *state) Load() uint32 { return s.word.Load() & stateBits }

// Store is for the goroutine that has the call, when the body has been forgotten.
func (s *state) Store(to uint32) { s.word.Store(to) }

// CompareAndSwap fails for a call that was delegated.
func (s *state) CompareAndSwap(from, to uint32) bool {
	return s.word.CompareAndSwap(from, to) || s.moveRead(from, to)
}

// moveRead is CompareAndSwap for a call whose body is read.
func (s *state) moveRead(from, to uint32) bool {
	for {
		bits := s.word.Load() &^ stateBits
		if bits&isDelegated != 0 {
			return false
		}
		if s.word.CompareAndSwap(from|bits, to|bits) {
			return true
		}
		if s.Load() != from {
			return false
		}
	}
}

// delegate makes the state of a pending call one that is decided elsewhere. It returns false
// if the call is not pending any more.
func (s *state) delegate() bool { return s.word.CompareAndSwap(pending, pending|isDelegated) }

// decide moves a call on that was delegated.
func (s *state) decide(to uint32) bool { return s.word.CompareAndSwap(pending|isDelegated, to) }

// beginRead lets nobody forget the body of a pending call until endRead. It returns false if
// the call is not pending, or another goroutine reads.
func (s *state) beginRead() bool { return s.word.CompareAndSwap(pending, pending|isRead) }

// endRead ends beginRead, and reports whether the caller is to forget the body.
func (s *state) endRead() bool {
	for {
		w := s.word.Load()
		if w&isRead == 0 { // Store was here, after leaveToReader
			return true
		}
		if s.word.CompareAndSwap(w, w&^(isRead|isToForget)) {
			return w&isToForget != 0
		}
	}
}

// leaveToReader leaves it to the goroutine that reads the body to forget it, and reports
// whether there is one.
func (s *state) leaveToReader() bool {
	for {
		w := s.word.Load()
		if w&isRead == 0 {
			return false
		}
		if s.word.CompareAndSwap(w, w|isToForget) {
			return true
		}
	}
}
