package executor

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// placesModel is the places of a pool and what should have become of them, driven as the
// pool drives them. Places are tokens: each is held by one call, or was dropped.
type placesModel struct {
	places    places
	total     int
	idleHeld  int          // places that workers hold which make no call
	calls     []*callModel // that have begun, and of which something is left
	returning []*callModel
	aside     []*callModel
	begun     int
}

// callModel is a call, with one goroutine that makes it, and others that it has started.
type callModel struct {
	name  int
	place place
	where where
	waits int             // goroutines that wait and have lent the place, or found it lent
	back  <-chan struct{} // what the last that has come back waits for; nil if none does
	ended bool
	of    int // the map of a runner

	helps *callModel // that a goroutine of this call makes, in its place
	in    *callModel // whose place it is made in; nil: in one of its own
}

// where is where the place of a call is.
type where string

const (
	placeHere    where = "here"
	placeHelping where = "used by a call that it helps"
	placeLent    where = "lent"
	placeWanted  where = "wanted back"
	placeAside   where = "given to others by a runner"
	placeLost    where = "lost"
)

// holders counts the places that are held.
func (m *placesModel) holders() int {
	n := m.idleHeld
	for _, c := range m.calls {
		if c.where == placeHere && !c.ended {
			n++
		}
	}
	return n
}

// begin adds a call that has a place.
func (m *placesModel) begin(t *rapid.T) *callModel {
	m.begun++
	c := &callModel{name: m.begun, where: placeHere, of: rapid.IntRange(1, 2).Draw(t, "map")}
	m.calls = append(m.calls, c)
	return c
}

// giveUp gives up a place of a holder that holders counts no more. It does
// what ThreadPoolExecutor.giveUp and assign do.
func (m *placesModel) giveUp(t *rapid.T) {
	isTurn := len(m.aside) > 0 && rapid.Bool().Draw(t, "is the turn of a runner aside")
	isGiven := m.places.handOver(isTurn)
	var heir *callModel
	switch {
	case m.holders()+1 > m.total:
	case len(m.returning) > 0:
		heir, m.returning = m.returning[0], m.returning[1:]
	case isTurn:
		heir, m.aside = m.aside[0], m.aside[1:]
	default:
		if isGiven {
			t.Fatal("handOver has given the place to somebody; want nobody")
		}
		m.toLine(t)
		return
	}
	if !isGiven {
		t.Fatal("handOver has given the place to nobody")
	}
	if heir != nil {
		heir.where, heir.back = placeHere, nil
	}
}

// toLine gives a place to a call that waits in the line, if one does.
func (m *placesModel) toLine(t *rapid.T) {
	switch {
	case rapid.Bool().Draw(t, "a call waits in the line"):
		m.begin(t)
	case len(m.aside) > 0:
		m.places.resumeAside(0)
		m.aside[0].where, m.aside[0].back = placeHere, nil
		m.aside = m.aside[1:]
	default:
		m.places.release()
	}
}

// pick returns one of the calls that are suitable.
func (m *placesModel) pick(t *rapid.T, isSuitable func(*callModel) bool) *callModel {
	var suitable []*callModel
	for _, c := range m.calls {
		if isSuitable(c) {
			suitable = append(suitable, c)
		}
	}
	if len(suitable) == 0 {
		t.Skip("no such call")
	}
	i := rapid.IntRange(0, len(suitable)-1).Draw(t, "which")
	return suitable[i]
}

// lend lets a goroutine of a call begin to wait.
func (m *placesModel) lend(t *rapid.T) {
	c := m.pick(t, func(c *callModel) bool { return c.where != placeAside && c.where != placeLost })
	isGivenUp := m.places.lend(&c.place)
	if isGivenUp != (c.where == placeHere) {
		t.Fatalf("lend of a place that is %s = %v", c.where, isGivenUp)
	}
	c.waits++
	switch c.where {
	case placeHere:
		c.where = placeLent
		m.giveUp(t)
	case placeWanted: // the one that came back does without
		c.where, c.back = placeLent, nil
		m.returning = slices.DeleteFunc(m.returning, func(other *callModel) bool { return other == c })
	}
}

// reclaim ends the wait of a goroutine of a call.
func (m *placesModel) reclaim(t *rapid.T) {
	c := m.pick(t, func(c *callModel) bool { return c.waits > 0 })
	c.waits--
	back := m.places.reclaim(&c.place)
	isWanted := c.where == placeLent && c.waits == 0
	m.request(t, c, back, isWanted)
}

// request checks what a goroutine of c waits for that has asked for the place, if it needs it.
func (m *placesModel) request(t *rapid.T, c *callModel, back <-chan struct{}, isNeeded bool) {
	isReady := true
	switch {
	case !isNeeded:
	case m.holders() < m.total:
		c.where = placeHere
	default:
		c.where, c.back = placeWanted, back
		m.returning = append(m.returning, c)
		isReady = false
	}
	if isClosed(back) != isReady {
		t.Fatalf("a goroutine of call %d, whose place is %s, may go on: %v; want %v", c.name, c.where, !isReady, isReady)
	}
}

// end ends a call.
func (m *placesModel) end(t *rapid.T) {
	c := m.pick(t, func(c *callModel) bool { return !c.ended && c.where != placeAside })
	isLost := m.places.end(&c.place)
	if isLost != (c.where != placeHere) {
		t.Fatalf("a call whose place is %s has lost it: %v", c.where, isLost)
	}
	c.ended = true
	m.returning = slices.DeleteFunc(m.returning, func(other *callModel) bool { return other == c })
	if isLost {
		c.where, c.back = placeLost, nil
	}
	switch {
	case c.in != nil:
		m.endHelp(t, c, isLost)
	case !isLost:
		m.giveUp(t)
	}
	m.forget(c)
}

// help lets a goroutine of a call make another in its place.
func (m *placesModel) help(t *rapid.T) {
	own := m.pick(t, func(c *callModel) bool { return !c.ended })
	mayHelp := own.where == placeHere
	if got := m.places.mayOccupy(&own.place); got != mayHelp {
		t.Fatalf("with a place that is %s, mayOccupy = %v", own.where, got)
	}
	if !mayHelp {
		t.Skip("it is not there")
	}
	m.places.occupy(&own.place)
	own.where = placeHelping
	c := m.begin(t)
	c.in, own.helps = own, c
}

// endHelp says that c has ended, which a goroutine of another call has made in its place.
func (m *placesModel) endHelp(t *rapid.T, c *callModel, isLost bool) {
	own := c.in
	own.helps = nil
	isGivenUp, back := m.places.vacate(&own.place, isLost)
	isNeeded := own.waits == 0 && !own.ended
	if want := !isLost && !isNeeded; isGivenUp != want {
		t.Fatalf("vacate in call %d, of which %d goroutines wait, = %v; want %v", own.name, own.waits, isGivenUp, want)
	}
	if !own.ended {
		own.where = placeLent
	}
	if isNeeded && !isLost {
		own.where = placeHere
	}
	m.request(t, own, back, isNeeded && isLost)
	if isGivenUp {
		m.giveUp(t)
	}
	m.forget(own)
}

// helpOutside lets a goroutine outside of the pool make a call.
func (m *placesModel) helpOutside(t *rapid.T) {
	mayHelp := m.holders() < m.total
	if got := m.places.mayOccupy(nil); got != mayHelp {
		t.Fatalf("with %d of %d places held, mayOccupy = %v", m.holders(), m.total, got)
	}
	if !mayHelp {
		t.Skip("no place is free")
	}
	m.places.occupy(nil)
	m.begin(t)
	if isGivenUp, back := m.places.vacate(nil, false); !isGivenUp || !isClosed(back) {
		t.Fatal("a helper outside of calls does not give up its place")
	}
	if isGivenUp, back := m.places.vacate(nil, true); isGivenUp || !isClosed(back) {
		t.Fatal("a helper outside of calls gives up a place that was lost")
	}
}

// stepAside lets a runner give its place to a call of the line.
func (m *placesModel) stepAside(t *rapid.T) {
	c := m.pick(t, func(c *callModel) bool { return c.where == placeHere && !c.ended && c.in == nil })
	if m.places.firstOfOther(c.of) != slices.IndexFunc(m.aside, func(a *callModel) bool { return a.of != c.of }) {
		t.Fatal("firstOfOther is not the first runner aside of another map")
	}
	c.where = placeAside
	switch {
	case m.holders()+1 > m.total || len(m.returning) > 0:
		m.giveUp(t)
	case len(m.aside) > 0 && rapid.Bool().Draw(t, "for another runner"):
		i := rapid.IntRange(0, len(m.aside)-1).Draw(t, "runner")
		m.places.resumeAside(i)
		m.aside[i].where, m.aside[i].back = placeHere, nil
		m.aside = slices.Delete(m.aside, i, i+1)
	default:
		m.begin(t)
	}
	m.goAside(t, c)
}

// goAside lets a runner wait that has given its place to another.
func (m *placesModel) goAside(t *rapid.T, c *callModel) {
	isFree := m.holders() < m.total
	back := m.places.goAside(aside{&c.place, c.of, time.Time{}})
	if isClosed(back) != isFree || m.places.isAside(&c.place) == isFree {
		t.Fatalf("with %d of %d places held, a runner goes on at once: %v", m.holders(), m.total, isClosed(back))
	}
	if isFree {
		c.where = placeHere
		return
	}
	c.where, c.back = placeAside, back
	m.aside = append(m.aside, c)
}

// dismiss lets the runners of a map go on without a place.
func (m *placesModel) dismiss(t *rapid.T) {
	of := rapid.IntRange(1, 2).Draw(t, "of")
	m.places.dismissAside(of)
	m.aside = slices.DeleteFunc(m.aside, func(c *callModel) bool {
		if c.of == of {
			c.where, c.back = placeLost, nil
		}
		return c.of == of
	})
}

// setTotal changes how many places there are.
func (m *placesModel) setTotal(t *rapid.T) {
	m.total = rapid.IntRange(1, 6).Draw(t, "total")
	m.places.setTotal(m.total)
	for _, waiting := range []*[]*callModel{&m.returning, &m.aside} {
		for len(*waiting) > 0 && m.holders() < m.total {
			(*waiting)[0].where, (*waiting)[0].back = placeHere, nil
			*waiting = (*waiting)[1:]
		}
	}
}

// forget drops a call of which nothing is left.
func (m *placesModel) forget(c *callModel) {
	if c.ended && c.waits == 0 && c.helps == nil {
		m.calls = slices.DeleteFunc(m.calls, func(other *callModel) bool { return other == c })
	}
}

// check checks what holds at any time.
func (m *placesModel) check(t *rapid.T) {
	ps := &m.places
	if ps.taken != m.holders() || ps.total != m.total {
		t.Fatalf("%d of %d places are taken; want %d of %d", ps.taken, ps.total, m.holders(), m.total)
	}
	isWaitedFor := len(m.returning) > 0 || len(m.aside) > 0
	if isWaitedFor && ps.isFree() {
		t.Fatalf("%d of %d places are taken, and somebody waits for one", ps.taken, ps.total)
	}
	if got, want := ps.isContested(), isWaitedFor || m.holders() > m.total; got != want {
		t.Fatalf("isContested = %v; want %v", got, want)
	}
	checkOrder(t, "returning", ps.returning, m.returning)
	var aside []*place
	for _, a := range ps.aside {
		aside = append(aside, a.place)
	}
	checkOrder(t, "aside", aside, m.aside)
	for _, c := range m.calls {
		m.checkCall(t, c)
	}
}

func checkOrder(t *rapid.T, name string, got []*place, want []*callModel) {
	if !slices.EqualFunc(got, want, func(p *place, c *callModel) bool { return p == &c.place }) {
		t.Fatalf("%s has %d places, which are not those of the %d calls that wait, in order", name, len(got), len(want))
	}
	for _, c := range want {
		if isClosed(c.back) {
			t.Fatalf("call %d, whose place is %s, may go on", c.name, c.where)
		}
	}
}

func (m *placesModel) checkCall(t *rapid.T, c *callModel) {
	p := &c.place
	got := fmt.Sprint(p.isThere(), p.back != nil, p.isLost, m.places.isAside(p))
	want := fmt.Sprint(c.where == placeHere, c.where == placeWanted || c.where == placeAside, c.where == placeLost, c.where == placeAside)
	if got != want {
		t.Fatalf("the place of call %d is %s, and it is there, waited for, lost, aside: %s; want %s", c.name, c.where, got, want)
	}
}

// Whatever calls do, as many places are taken as are held, no more than there are, and none
// is free while somebody waits for one; those who wait go on in their order.
func TestPlacesAreHeldByOneEach(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &placesModel{total: rapid.IntRange(1, 4).Draw(t, "total")}
		m.places.setTotal(m.total)
		t.Repeat(map[string]func(*rapid.T){
			"a worker takes a place": func(t *rapid.T) {
				isFree := m.holders() < m.total
				if got := m.places.acquire(); got != isFree {
					t.Fatalf("acquire = %v; %d of %d places are held", got, m.holders(), m.total)
				}
				if isFree {
					m.idleHeld++
				}
			},
			"a worker gives its place up": func(t *rapid.T) {
				if m.idleHeld == 0 {
					t.Skip("no worker has one")
				}
				m.idleHeld--
				m.giveUp(t)
			},
			"a worker begins a call": func(t *rapid.T) {
				if m.idleHeld == 0 {
					t.Skip("no worker has a place")
				}
				m.idleHeld--
				m.begin(t)
			},
			"a goroutine waits":   m.lend,
			"a wait ends":         m.reclaim,
			"a call ends":         m.end,
			"a call helps":        m.help,
			"helps from outside":  m.helpOutside,
			"a runner steps away": m.stepAside,
			"a map is over":       m.dismiss,
			"a runner that was let go comes back": func(t *rapid.T) {
				c := m.pick(t, func(c *callModel) bool { return c.where == placeLost && !c.ended })
				c.place.isLost = false
				m.goAside(t, c)
			},
			"the number of places changes": m.setTotal,
			"":                             m.check,
		})
	})
}
