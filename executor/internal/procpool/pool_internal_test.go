package procpool

import (
	"runtime"
	"testing"
	"time"
)

// Where a worker is idle, nothing may be heard for long: a pool that has asked some moments
// ago asks again. While all are at work, it does not.
func TestAPoolWithAnIdleWorkerAsksAtOnceHowManyItMayHave(t *testing.T) {
	const before = 1000
	for name, c := range map[string]struct {
		jobs []*job
		want int
	}{"idle": {nil, runtime.GOMAXPROCS(0)}, "at work": {[]*job{{}}, before}} {
		now := time.Now()
		p := &Pool{followed: now, scheduler: scheduler{follows: true, max: before, workers: []*worker{{state: ready, jobs: c.jobs}}}}
		p.follow(now.Add(time.Millisecond))
		if p.scheduler.max != c.want {
			t.Errorf("%s: the pool may have %d workers; want %d", name, p.scheduler.max, c.want)
		}
	}
}
