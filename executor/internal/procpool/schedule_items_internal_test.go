package procpool

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofutures/futures/executor/internal/proc"
	"github.com/gofutures/futures/executor/internal/wire"
)

// begunPage is a page on which each job that was sent has begun one item.
type begunPage struct{}

func (begunPage) takeBack(*job) bool            { return false }
func (begunPage) begun(*job) int                { return 1 }
func (begunPage) cut(_ *job, at int) (from int) { return max(at, 1) }

// newBegun returns a scheduler with so many workers that are ready.
func newBegun(workers int, now time.Time) *scheduler {
	s := &scheduler{max: workers, starters: workers, page: begunPage{}, paces: make([]pace, procFuncs)}
	for range workers {
		w := new(worker)
		s.workers = append(s.workers, w)
		s.isReady(w, true, now)
	}
	return s
}

func submitItems(s *scheduler, items int, kin any) *Request {
	r := &Request{Task: new(procCall), Function: &Function{Index: long}, Items: items, Kin: kin}
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
		chunk := submitItems(s, 10, row.own)
		s.schedule(now)
		waiting := submitItems(s, 3, row.kin)
		if s.schedule(now.Add(silence / 2)); len(chunk.parts) > 0 {
			t.Errorf("%s waits: the chunk has made way before its time", row.name)
		}
		s.schedule(now.Add(silence))
		if makesWay := chunk.whole.hi == 1; makesWay != row.makesWays {
			t.Errorf("%s waits: the worker keeps %d of 10 items; want that it makes way: %t", row.name, chunk.whole.hi, row.makesWays)
			continue
		}
		if !row.makesWays {
			continue
		}
		if first := s.next(); first != &waiting.whole {
			t.Errorf("%s waits: the rest of the chunk comes before it", row.name)
		}
		if rest := s.next(); rest == nil || rest.Request != chunk || rest.lo != 1 || rest.hi != 10 {
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
	if sent, dismissed := count(sendJob), count(dismissWorker); sent != 1 || dismissed != 2 {
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
		s.workers[0].shares = false
		r := submitItems(s, 1000, nil)
		s.schedule(now)
		r.whole.note(report{from: 0, items: 400, more: true})
		dead := s.died(s.workers[0])
		if len(dead) != wantDead || len(s.again) != 600*retries {
			t.Errorf("Retries %d, 400 of 1000 items are known: %d jobs died, %d are to start again; want %d, %d", retries, len(dead), len(s.again), wantDead, 600*retries)
		}
		if len(dead) == 1 && (dead[0].lo != 400 || dead[0].hi != 1000) {
			t.Errorf("items %d to %d died; want 400 to 1000", dead[0].lo, dead[0].hi)
		}
	}
}

// rangePage is a page of words that parent and worker share, one for each job that was
// sent.
type rangePage map[*job]*atomic.Uint64

func (p rangePage) takeBack(*job) bool            { return false }
func (p rangePage) cut(j *job, at int) (from int) { return cutRange(p[j], at) }
func (p rangePage) begun(j *job) int {
	if p[j] == nil {
		return 0
	}
	return begunOf(p[j])
}

// send returns the chunk as it comes to a worker.
func (p rangePage) send(j *job, s *proc.Shared) wire.Request {
	p[j] = &s.Ranges[j.slot]
	setRange(p[j], j.items())
	return wire.Request{Slot: uint32(j.slot), Serial: j.serial, Items: uint32(j.items())}
}

// failing is a maker that can make nothing.
type failing struct{}

func (failing) Initialize(string, *[]byte)  {}
func (failing) Make(in *Incoming, r *Reply) { in.Fail([]byte("failed"), r) }

// A worker that cannot make a chunk says so of the items that are its own, and of no
// others: the parent may have taken some back meanwhile, for another worker. Each item
// has one outcome.
func TestAChunkThatCannotBeMadeFailsTheItemsThatAreItsOwn(t *testing.T) {
	const items = 10
	for cut := range items {
		now, page := time.Unix(1000, 0), rangePage{}
		s := newBegun(2, now)
		s.page = page
		r := submitItems(s, items, nil)
		outcomes := make([]int, items)
		fail := func(o order, meanwhile func()) {
			shared := newShared()
			m := page.send(o.job, shared)
			meanwhile()
			server := newServer(ServeOptions{Maker: failing{}}, nil, nil, shared)
			var reply Reply
			in := Incoming{Items: int(m.Items), message: m, server: server}
			server.make(&in, &reply)
			a := server.replyTo(&in, &reply)
			j := s.ended(o.worker, reportOf(a), now)
			if j == nil {
				t.Fatalf("items are taken back from %d on: the parent refuses the reply, of %d items", cut, a.Items)
			}
			rest := a.Data.Bytes
			for i := range int(a.Items) {
				var outcome wire.Outcome
				var err error
				if outcome, rest, err = wire.CutOutcome(rest); err != nil {
					t.Fatalf("items are taken back from %d on: outcome %d of %d: %v", cut, i, a.Items, err)
				}
				if Kind(outcome.Kind) == Failed && string(outcome.Data) == "failed" {
					outcomes[j.lo+int(a.From)+i]++
				}
			}
		}
		orders, _ := s.schedule(now)
		fail(orders[0], func() { s.split(&r.whole, cut) })
		for orders, _ = s.schedule(now); len(orders) > 0; orders, _ = s.schedule(now) {
			fail(orders[0], func() {})
		}
		if want := slices.Repeat([]int{1}, items); !slices.Equal(outcomes, want) {
			t.Errorf("items are taken back from %d on: the items have %v outcomes; want one each", cut, outcomes)
		}
	}
}

// newShared returns memory as a parent shares it with a worker, with short areas.
func newShared() *proc.Shared {
	s := &proc.Shared{Slots: make([]atomic.Uint32, 320), Ranges: make([]atomic.Uint64, 256), Journal: make([]byte, 4096)}
	for range firstLane + proc.Lanes {
		s.Areas = append(s.Areas, make([]byte, 2*BigData))
	}
	return s
}
