package executor

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// lineModel is a line and what it should hold, driven as the pool drives it.
type lineModel struct {
	line    line
	calls   []*Call // in the line and alive, first to last
	popped  []*Call // of which nobody has found out yet whether they start
	halfway []*Call // cancelled, and the line has not heard of it
	fast    int     // calls that left through popFast
	hasDead bool    // calls were cancelled

	submitters map[*Call]*submitter // of all calls whose Submit was blocked
}

// push does what ThreadPoolExecutor.execute does.
func (m *lineModel) push() {
	c := new(Call)
	m.line.queue.Push(c)
	m.calls = append(m.calls, c)
	if m.line.room.limit == 0 {
		return
	}
	if s := m.line.block(c); s != nil {
		m.submitters[c] = s
	}
}

// left checks a call that was popped; c may be nil. It reports whether there was one.
func (m *lineModel) left(t *rapid.T, c *Call) bool {
	if c == nil {
		return false
	}
	m.popped = append(m.popped, c)
	if c.state.Load() != pending {
		return true // a dead one, which may be anywhere
	}
	if c != m.calls[0] {
		t.Fatalf("the call that was number %d left first", slices.Index(m.calls, c))
	}
	m.calls = m.calls[1:]
	return true
}

// cancel does the first half of what Call.Cancel does to calls of the line: after it, they
// do not start.
func (m *lineModel) cancel(from, to int) {
	m.hasDead = true
	for _, c := range m.calls[from:to] {
		c.state.Store(cancelled)
		m.halfway = append(m.halfway, c)
	}
	m.calls = slices.Delete(m.calls, from, to)
}

// tell does the second half, which other goroutines come before: the line hears of it.
func (m *lineModel) tell() {
	c := m.halfway[0]
	m.halfway = m.halfway[1:]
	m.line.withdrawn(c)
}

// find does what a worker does that has popped calls: it starts them, or finds that they do
// not start.
func (m *lineModel) find() {
	for _, c := range m.popped {
		if c.state.Load() != pending {
			m.line.skipped(1)
		}
	}
	m.popped = nil
}

// help does what a goroutine does that starts call i elsewhere.
func (m *lineModel) help(t *rapid.T, i int) {
	c := m.calls[i]
	m.calls = slices.Delete(m.calls, i, i+1)
	c.state.Store(running)
	m.hasDead = true
	isAmongFirst := slices.Contains(slices.Collect(m.line.queue.Front(1024)), c)
	m.line.remove(c)
	if m.line.room.limit > 0 {
		m.line.freeRoom(c)
	}
	if isAmongFirst && slices.Contains(slices.Collect(m.line.queue.Front(m.line.queue.Len())), c) {
		t.Fatal("the queue holds a call that was removed")
	}
}

// The line is a slice at whose end calls come in, whose first ones leave by two doors, and
// of which calls may be taken out anywhere. Its length counts those that are alive, and
// submitters are blocked while it is longer than its limit.
func TestLineEqualsASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &lineModel{submitters: map[*Call]*submitter{}}
		m.line.room.limit = rapid.SampledFrom([]int{0, 0, 1, 5, 300}).Draw(t, "limit")
		some := func(t *rapid.T, most int) int { return rapid.IntRange(1, most).Draw(t, "n") }
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				for range some(t, 600) {
					m.push()
				}
			},
			"push few": func(t *rapid.T) {
				for range some(t, 10) {
					m.push()
				}
			},
			"pop": func(t *rapid.T) {
				for range some(t, 300) {
					if !m.left(t, m.line.pop()) {
						if len(m.calls) > 0 {
							t.Fatalf("pop = nil; %d calls are in the line", len(m.calls))
						}
						return
					}
					m.line.unblock()
				}
			},
			"pop fast": func(t *rapid.T) {
				for range some(t, 40) {
					if m.left(t, m.line.popFast()) {
						m.fast++
					}
				}
			},
			"cancel": func(t *rapid.T) {
				if len(m.calls) == 0 {
					t.Skip("nothing to cancel")
				}
				from := rapid.IntRange(0, len(m.calls)-1).Draw(t, "from")
				m.cancel(from, rapid.IntRange(from+1, min(len(m.calls), from+400)).Draw(t, "to"))
			},
			"cancel a call that was just popped": func(t *rapid.T) {
				if len(m.popped) == 0 || m.popped[0].state.Load() != pending {
					t.Skip("none")
				}
				m.hasDead = true
				m.popped[0].state.Store(cancelled)
				m.halfway = append(m.halfway, m.popped[0])
			},
			"tell": func(t *rapid.T) {
				for range min(some(t, 400), len(m.halfway)) {
					m.tell()
				}
			},
			"find": func(*rapid.T) { m.find() },
			"help": func(t *rapid.T) {
				if len(m.calls) == 0 {
					t.Skip("nothing to help with")
				}
				for range rapid.SampledFrom([]int{1, 1, 100}).Draw(t, "n") {
					if last := len(m.calls) - 1; last >= 0 {
						m.help(t, rapid.OneOf(rapid.IntRange(0, last), rapid.Just(last)).Draw(t, "call"))
					}
				}
			},
			"": m.check,
		})
		m.find()
		for len(m.halfway) > 0 {
			m.tell()
		}
		m.check(t)
	})
}

// check checks what holds at any time, and what holds if all is known.
func (m *lineModel) check(t *rapid.T) {
	l := &m.line
	n, fast := l.count()
	if fast != m.fast {
		t.Fatalf("count says that %d calls left fast; want %d (earlier %d, taken %d, slow %d)", fast, m.fast, l.earlier, l.batch.Load().taken(), l.slow)
	}
	if l.room.limit > 0 && l.batch.Load() != nil {
		t.Fatal("there is a batch, with a limit")
	}
	for c, s := range m.submitters {
		if slices.Contains(l.room.blocked, s) == isClosed(s.room) {
			t.Fatal("a submitter is both blocked and let go, or neither")
		}
		if !isClosed(s.room) && c.state.Load() != pending && !slices.Contains(m.halfway, c) {
			t.Fatal("the submitter of a call that was withdrawn is blocked")
		}
	}
	if slices.ContainsFunc(m.popped, func(c *Call) bool { return c.state.Load() != pending }) || len(m.halfway) > 0 {
		return
	}
	if n != len(m.calls) || l.len() != n {
		t.Fatalf("len = %d (%d in the queue, %d dead); want %d", n, l.queue.Len(), l.dead, len(m.calls))
	}
	if l.room.limit == 0 {
		return
	}
	blocked := max(0, n-l.room.limit)
	if got := len(l.room.blocked); got > blocked || got < blocked && !m.hasDead {
		t.Fatalf("%d submitters are blocked, with %d calls and a limit of %d; want %d", got, n, l.room.limit, blocked)
	}
	for i, s := range l.room.blocked {
		if at := n - len(l.room.blocked) + i; s.call != m.calls[at] {
			t.Fatalf("the blocked submitter %d is not that of the call at %d", i, at)
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// newLineModel returns one with n calls.
func newLineModel(n int) *lineModel {
	m := new(lineModel)
	for range n {
		c := new(Call)
		m.line.queue.Push(c)
		m.calls = append(m.calls, c)
	}
	return m
}

// A call that a worker has popped when it is cancelled is not in the queue: it
// must not be counted away twice, by compact and by the worker.
func TestCompactLeavesOutACallThatHasLeftTheLine(t *testing.T) {
	m := newLineModel(64)
	m.line.room.limit = 1000 // so that there is no batch
	first := m.line.pop()
	m.popped = append(m.popped, first)
	m.cancel(0, 64)
	for len(m.halfway) > 0 { // the 64th makes compact begin
		m.tell()
	}
	m.find()
	if m.line.dead != 0 || m.line.queue.Len() != 0 {
		t.Errorf("%d calls in the queue, %d dead; want 0, 0", m.line.queue.Len(), m.line.dead)
	}
}

// A call that is cancelled, but of which the line has not heard, may be dropped
// with others; hearing of it later must not make it one less than there are.
func TestCompactOfACallThatTheLineHasNotHeardOf(t *testing.T) {
	m := newLineModel(65)
	m.cancel(0, 65)
	for len(m.halfway) > 0 { // the 64th makes compact begin, which drops the 65th too
		m.tell()
	}
	m.line.queue.Push(new(Call))
	if got := m.line.len(); got != 1 {
		t.Errorf("len = %d (%d in the queue, %d dead); want 1", got, m.line.queue.Len(), m.line.dead)
	}
}

// Calls that were cancelled are most of a long queue for a moment only, so that it does not
// keep what they would have been made with.
func TestALineOfDeadCallsIsShort(t *testing.T) {
	m := newLineModel(100_000)
	m.cancel(0, 100_000)
	for len(m.halfway) > 0 {
		m.tell()
		if n := m.line.queue.Len(); n > 64 && m.line.dead > n/2 {
			t.Fatalf("%d of %d calls in the queue are dead", m.line.dead, n)
		}
	}
	if n := m.line.queue.Len(); n > 64 {
		t.Errorf("%d dead calls are in the queue; want 64 at most", n)
	}
}
