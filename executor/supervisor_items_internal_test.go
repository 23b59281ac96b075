package executor

import (
	"slices"
	"testing"
	"time"
)

// begunPage is a page on which each job that was sent has begun one item.
type begunPage struct{}

func (begunPage) takeBack(*job) bool            { return false }
func (begunPage) begun(*job) int                { return 1 }
func (begunPage) cut(_ *job, at int) (from int) { return max(at, 1) }

// newBegun returns a supervisor with so many workers that are ready.
func newBegun(workers int, now time.Time) *supervisor {
	s := &supervisor{max: workers, starters: workers, page: begunPage{}, paces: make([]pace, len(procFuncs))}
	for range workers {
		ch := new(child)
		s.children = append(s.children, ch)
		s.isReady(ch, true, now)
	}
	return s
}

func submitItems(s *supervisor, items int, kin any) *request {
	c := new(Call)
	c.route.Store(fromBackground)
	r := newRequest(nil, c)
	r.parcel = parcel{fn: procFuncs[1], n: items, kin: kin}
	c.body = r
	s.submit(r)
	return r
}

// A chunk makes way for what waits when its worker has been at it for a while, and goes
// behind it; not for another chunk of its own map.
func TestAChunkMakesWayForOthersThanItsMap(t *testing.T) {
	for _, row := range []struct {
		name      string
		own, kin  any
		makesWays bool
	}{
		{"a chunk of its own map", 1, 1, false},
		{"a chunk of another map", 1, 2, true},
		{"a call", 1, nil, true},
	} {
		now := time.Unix(1000, 0)
		s := newBegun(1, now)
		long := submitItems(s, 10, row.own)
		s.schedule(now)
		waiting := submitItems(s, 3, row.kin)
		if s.schedule(now.Add(silence / 2)); len(long.parts) > 0 {
			t.Errorf("%s waits: the chunk has made way before its time", row.name)
		}
		s.schedule(now.Add(silence))
		if makesWay := long.whole.hi == 1; makesWay != row.makesWays {
			t.Errorf("%s waits: the worker keeps %d of 10 items; want that it makes way: %t", row.name, long.whole.hi, row.makesWays)
			continue
		}
		if !row.makesWays {
			continue
		}
		if first := s.next(); first != &waiting.whole {
			t.Errorf("%s waits: the rest of the chunk comes before it", row.name)
		}
		if rest := s.next(); rest == nil || rest.request != long || rest.lo != 1 || rest.hi != 10 {
			t.Errorf("%s waits: after it comes %+v; want items 1 to 10 of the chunk", row.name, rest)
		}
	}
}

// When there are to be fewer workers, no more than that get work, and those that are too
// many go.
func TestFewerWorkersGetWorkWhenThereAreToBeFewer(t *testing.T) {
	now := time.Unix(1000, 0)
	s := newBegun(3, now)
	s.max = 1
	submitItems(s, 0, nil)
	submitItems(s, 0, nil)
	orders, _ := s.schedule(now)
	count := func(w what) (n int) {
		for _, o := range orders {
			if o.what == w {
				n++
			}
		}
		return n
	}
	if sent, dismissed := count(sendJob), count(dismissChild); sent != 1 || dismissed != 2 {
		t.Errorf("three workers of which one is to stay, and two calls: %d sent, %d workers dismissed; want 1, 2", sent, dismissed)
	}
}

// What becomes a job of its own behind an item that has failed, and stops its chunk, does
// not start; what lies before it does.
func TestPartsBehindAFailedItemDoNotStart(t *testing.T) {
	now := time.Unix(1000, 0)
	s := newBegun(1, now)
	r := submitItems(s, 10, nil)
	s.schedule(now)
	r.stopAt = 5
	before, behind := s.divide(&r.whole, 2, 5, 0), s.divide(&r.whole, 5, 10, 0)
	s.putBack(behind, before)
	if !slices.Equal(s.again, []*job{before}) || !slices.Equal(s.asked, []*job{behind}) {
		t.Errorf("item 4 has failed: %d jobs are to start, and %d are not; want items 2 to 5, and not items 5 to 10", len(s.again), len(s.asked))
	}
}

// Where no memory is shared, nobody knows which items of a chunk have begun: all that are
// not known die with the worker. They stay together, unless each is to be tried again.
func TestWhatIsLostTogetherStaysTogether(t *testing.T) {
	for retries, wantDead := range []int{1, 0} {
		now := time.Unix(1000, 0)
		s := newBegun(1, now)
		s.retries = retries
		s.children[0].shares = false
		r := submitItems(s, 1000, nil)
		s.schedule(now)
		r.whole.note(report{from: 0, items: 400, more: true})
		dead := s.died(s.children[0])
		if len(dead) != wantDead || len(s.again) != 600*retries {
			t.Errorf("Retries %d, 400 of 1000 items are known: %d jobs died, %d are to start again; want %d, %d", retries, len(dead), len(s.again), wantDead, 600*retries)
		}
		if len(dead) == 1 && (dead[0].lo != 400 || dead[0].hi != 1000) {
			t.Errorf("items %d to %d died; want 400 to 1000", dead[0].lo, dead[0].hi)
		}
	}
}
