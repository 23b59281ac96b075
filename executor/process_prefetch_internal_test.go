package executor

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// SentAndWaiting returns, for the tests outside the package, how many calls the
// worker has that was sent the most, how many all workers have, and how many wait
// in this process.
func SentAndWaiting(ex *ProcessPoolExecutor) (most, sent, waiting int) {
	e := ex.inside()
	e.intake.mu.Lock()
	defer e.intake.mu.Unlock()
	if e.sup == nil {
		return 0, 0, 0
	}
	for _, ch := range e.sup.children {
		most = max(most, len(ch.jobs))
		sent += len(ch.jobs)
	}
	return most, sent, e.sup.waiting()
}

// Whatever the order of events, and whether workers die, stop or are replaced: a
// worker that has a call is sent no other, one that has none is sent what waits,
// and all calls come to an end.
func TestSupervisorSendsOneByOne(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &procWorld{t: rt, now: time.Unix(1000, 0), sent: make(map[*job]*procJob)}
		w.sup = &supervisor{
			max:      rapid.IntRange(1, 4).Draw(rt, "workers"),
			starters: rapid.IntRange(1, 4).Draw(rt, "starters"),
			perChild: rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(rt, "per child"),
			retries:  rapid.SampledFrom([]int{0, 0, 2}).Draw(rt, "retries"),
			oneByOne: true,
			page:     w,
			paces:    make([]pace, len(procFuncs)),
		}
		for range rapid.IntRange(1, 200).Draw(rt, "steps") {
			switch rapid.IntRange(0, 9).Draw(rt, "event") {
			case 0, 1, 2, 3:
				w.submit()
			case 4:
				if len(w.calls) > 0 {
					w.cancel(rapid.SampledFrom(w.calls).Draw(rt, "call"))
				}
			case 5:
				if len(w.workers) > 0 {
					p := rapid.SampledFrom(w.workers).Draw(rt, "worker")
					if rapid.Bool().Draw(rt, "stop") {
						p.stopped = !p.stopped
					} else {
						w.kill(p)
					}
				}
			default:
				w.step()
			}
			w.mustBeOneByOne()
		}
		w.sup.closed = true
		w.schedule()
		for n := 0; w.step(); n++ {
			w.mustBeOneByOne()
			if n > 100_000 {
				rt.Fatalf("it does not come to an end: %s", w.describe())
			}
		}
		w.mustHaveEnded()
		if len(w.workers) > 0 || w.sup.waiting() != 0 {
			rt.Errorf("when all is done: %s", w.describe())
		}
	})
}

func (w *procWorld) mustBeOneByOne() {
	for _, p := range w.workers {
		if len(p.jobs) > 1 {
			w.t.Fatalf("a worker has %d calls; want at most one", len(p.jobs))
		}
	}
}
