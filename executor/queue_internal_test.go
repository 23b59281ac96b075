package executor

import (
	"context"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// queueModel is a queue and what it should hold, driven as the executor drives
// it.
type queueModel struct {
	queue   queue
	calls   []*Call // in the queue and alive, first to last
	taken   []*Call // popped, and not yet found out about
	halfway []*Call // cancelled, and the queue has not been told
}

// cancel does what the first half of Call.withdraw does.
func (m *queueModel) cancel(c *Call) {
	c.state.Store(cancelled)
	m.halfway = append(m.halfway, c)
}

// tell does the second half: the queue hears of it, which other goroutines
// come before.
func (m *queueModel) tell(i int) {
	m.halfway = slices.Delete(m.halfway, i, i+1)
	m.queue.dead++
	m.queue.bury()
}

// find does what a worker does that has popped a call: it starts it, or finds
// that it is dead.
func (m *queueModel) find(i int) {
	c := m.taken[i]
	m.taken = slices.Delete(m.taken, i, i+1)
	if c.state.Load() != pending {
		m.queue.dead--
	}
}

// D5, D26: the queue is a slice from which calls may be taken out anywhere; its
// length counts those that are alive, and its memory follows.
func TestQueueEqualsASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := new(queueModel)
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				for range rapid.IntRange(1, 600).Draw(t, "n") {
					c := new(Call)
					m.queue.push(c)
					m.calls = append(m.calls, c)
				}
			},
			"pop": func(t *rapid.T) {
				for range rapid.IntRange(1, 300).Draw(t, "n") {
					c := m.queue.pop()
					if c == nil {
						if len(m.calls) != 0 {
							t.Fatalf("pop = nil; %d calls are in the queue", len(m.calls))
						}
						return
					}
					m.taken = append(m.taken, c)
					if c.state.Load() != pending {
						continue // a dead one, which may be anywhere
					}
					if c != m.calls[0] {
						t.Fatalf("pop gave the call that was number %d", slices.Index(m.calls, c))
					}
					m.calls = m.calls[1:]
				}
			},
			"cancel": func(t *rapid.T) {
				if len(m.calls) == 0 {
					t.Skip("nothing to cancel")
				}
				from := rapid.IntRange(0, len(m.calls)-1).Draw(t, "from")
				to := rapid.IntRange(from+1, min(len(m.calls), from+400)).Draw(t, "to")
				for _, c := range m.calls[from:to] {
					m.cancel(c)
				}
				m.calls = slices.Delete(m.calls, from, to)
			},
			"cancel a call that was just popped": func(t *rapid.T) {
				if len(m.taken) == 0 || m.taken[0].state.Load() != pending {
					t.Skip("none")
				}
				m.cancel(m.taken[0])
			},
			"tell the queue": func(t *rapid.T) {
				for range rapid.IntRange(1, 400).Draw(t, "n") {
					if len(m.halfway) > 0 {
						m.tell(0)
					}
				}
			},
			"a worker finds out": func(*rapid.T) {
				for len(m.taken) > 0 {
					m.find(0)
				}
			},
			"": func(t *rapid.T) { m.check(t) },
		})
		for len(m.taken) > 0 {
			m.find(0)
		}
		for len(m.halfway) > 0 {
			m.tell(0)
		}
		if got, want := m.queue.live(), len(m.calls); got != want {
			t.Fatalf("when all is told, live() = %d (len %d, dead %d); want %d", got, m.queue.len, m.queue.dead, want)
		}
	})
}

// check checks what holds at any time.
func (m *queueModel) check(t *rapid.T) {
	if len(m.taken) == 0 && len(m.halfway) == 0 {
		if got, want := m.queue.live(), len(m.calls); got != want {
			t.Fatalf("live() = %d (len %d, dead %d); want %d", got, m.queue.len, m.queue.dead, want)
		}
	}
	segments, held := 0, 0
	for s := m.queue.head; s != nil; s = s.next {
		segments++
		for _, c := range s.calls {
			if c != nil {
				held++
			}
		}
	}
	if held != m.queue.len {
		t.Fatalf("the segments hold %d calls; want %d", held, m.queue.len)
	}
	if most := m.queue.len/len(segment{}.calls) + 2; segments > most {
		t.Fatalf("%d segments for %d calls; want at most %d", segments, m.queue.len, most)
	}
	if s := m.queue.spare; s != nil && (s.next != nil || s.calls != [len(s.calls)]*Call{}) {
		t.Fatal("the spare segment holds something")
	}
}

// A call that a worker has popped when it is cancelled is not in the queue: it
// must not be counted away twice, by bury and by the worker.
func TestBuryLeavesOutACallThatHasLeftTheQueue(t *testing.T) {
	m := new(queueModel)
	for range 64 {
		c := new(Call)
		m.queue.push(c)
		m.calls = append(m.calls, c)
	}
	popped := m.queue.pop()
	m.taken = append(m.taken, popped)
	for _, c := range m.calls { // the 64th makes bury begin
		m.cancel(c)
		m.tell(0)
	}
	m.find(0)
	if m.queue.dead != 0 || m.queue.len != 0 {
		t.Errorf("len %d, dead %d; want 0, 0", m.queue.len, m.queue.dead)
	}
}

// A call that is cancelled, but of which the queue has not heard, may be buried
// with others; hearing of it later must not make it one less than there are.
func TestBuryOfACallThatTheQueueHasNotHeardOf(t *testing.T) {
	m := new(queueModel)
	for range 65 {
		c := new(Call)
		m.queue.push(c)
		m.calls = append(m.calls, c)
	}
	for _, c := range m.calls {
		m.cancel(c)
	}
	for len(m.halfway) > 0 { // the 64th makes bury begin, which buries the 65th too
		m.tell(0)
	}
	alive := new(Call)
	m.queue.push(alive)
	if got := m.queue.live(); got != 1 {
		t.Errorf("live() = %d (len %d, dead %d); want 1", got, m.queue.len, m.queue.dead)
	}
}

// A stale end of a watch must leave alone the one that has come for the same
// ctx meanwhile: the calls of that would not find it again.
func TestTheEndOfAWatchLeavesItsSuccessorAlone(t *testing.T) {
	done := make(chan struct{})
	stale, current := &watch{done: done}, &watch{done: done}
	ws := &watches{watch: map[<-chan struct{}]*watch{done: current}}
	ws.end(context.Background(), stale)
	if got := ws.find(done); got != current {
		t.Errorf("find = %p; want %p, whose calls are still queued", got, current)
	}
}
