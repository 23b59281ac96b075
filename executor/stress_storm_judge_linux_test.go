package executor_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"syscall"
	"time"

	"github.com/gofutures/futures/executor"
)

// stormHistory is what the ledger has of one call.
type stormHistory struct{ starts, ends, exits []int } // pids

// stormDeath is what one worker took with it.
type stormDeath struct {
	unended    map[int]bool // calls without an END: it makes one at a time, so this is at most one
	unanswered map[int]bool // calls that had ended, but whose result was not written
	long       map[int]bool // calls of 100 µs and more
}

// judge compares the ledger with what came of the calls.
func (s *stormRun) judge(took time.Duration, workers int) {
	t := s.t
	ledger := &stormReader{file: s.file}
	ledger.read(t)
	history := make([]stormHistory, len(s.entries))
	exited := make(map[int]bool)
	for _, e := range ledger.events {
		if e.id >= len(history) || s.entries[e.id].Nonce != e.nonce {
			t.Errorf("the ledger has %+v, a call that nobody made", e)
			continue
		}
		h := &history[e.id]
		switch e.what {
		case "START":
			h.starts = append(h.starts, e.pid)
		case "END":
			h.ends = append(h.ends, e.pid)
		case "EXIT":
			h.exits = append(h.exits, e.pid)
			exited[e.pid] = true
		}
	}

	j := stormJudge{stormRun: s, history: history, exited: exited, deaths: make(map[int]*stormDeath)}
	for _, e := range s.entries {
		if !e.isUnknown {
			j.entry(e)
		}
	}
	for pid, d := range j.deaths {
		if len(d.unended) > 1 {
			t.Errorf("worker %d died in %d calls at once: %v", pid, len(d.unended), slices.Collect(maps.Keys(d.unended)))
		}
		if len(d.long) > 1 {
			t.Errorf("the death of worker %d failed %d calls of 100 µs and more: %v; want at most 1", pid, len(d.long), slices.Collect(maps.Keys(d.long)))
		}
	}
	kills := len(exited)
	kinds := make(map[syscall.Signal]int)
	for pid, signal := range s.hit {
		kinds[signal]++
		if !exited[pid] {
			kills++
		}
	}
	if kills < s.kills {
		t.Errorf("only %d kills; want %d", kills, s.kills)
	}
	if workers != s.ex.MaxWorkers {
		t.Errorf("%d workers after the storm; want %d", workers, s.ex.MaxWorkers)
	}
	st := s.ex.Stats()
	if st.Submitted != st.Succeeded+st.Failed+st.Cancelled || st.Running != 0 || st.Queued != 0 || st.Workers != 0 {
		t.Errorf("the counters do not add up: %+v", st)
	}
	t.Logf("%d calls, %d kills (%d SIGKILL, %d SIGTERM, %d SIGSEGV, %d exits; at once: %v): %d failed with their worker (%d not yet written), %d cancelled, %d run again; "+
		"%d lost, %d duplicated, %d hung, %d failed for another; %d of %d workers afterwards; %d restarts; %.1f s",
		len(s.entries), kills, kinds[syscall.SIGKILL], kinds[syscall.SIGTERM], kinds[syscall.SIGSEGV], len(exited), s.volley,
		j.failed, j.unanswered(), j.cancelled, j.again, j.lost, j.duplicated, j.hung, j.innocent,
		workers, s.ex.MaxWorkers, st.Restarts, took.Seconds())
}

// stormJudge counts what it finds.
type stormJudge struct {
	*stormRun
	history []stormHistory
	exited  map[int]bool
	deaths  map[int]*stormDeath

	failed, cancelled, again         int
	lost, duplicated, hung, innocent int
}

func (j *stormJudge) unanswered() (n int) {
	for _, d := range j.deaths {
		n += len(d.unanswered)
	}
	return n
}

func (j *stormJudge) isDead(pid int) bool {
	_, wasHit := j.hit[pid]
	return wasHit || j.exited[pid]
}

func (j *stormJudge) errorf(e *stormEntry, format string, args ...any) {
	j.t.Errorf("call %d (%s, %d µs, %q): %s; ledger %+v; error %v", e.ID, e.how, e.Micros, e.End, fmt.Sprintf(format, args...), j.history[e.ID], e.err)
}

func (j *stormJudge) entry(e *stormEntry) {
	h := j.history[e.ID]
	died := new(executor.WorkerDiedError)
	switch n := e.ends.Load(); {
	case n == 0 || errors.Is(e.err, executor.ErrPending):
		j.hung++
		j.errorf(e, "it was never done")
		return
	case n > 1:
		j.duplicated++
		j.errorf(e, "it was done %d times", n)
	}
	most := 1
	if j.retries {
		most += stormRetries
	}
	if len(h.starts) > most {
		j.duplicated++
		j.errorf(e, "it started %d times; want at most %d", len(h.starts), most)
	}
	for i, pid := range h.starts {
		if i > 0 {
			j.again++
			if slices.Contains(h.starts[:i], pid) || !j.isDead(h.starts[i-1]) {
				j.duplicated++
				j.errorf(e, "it started again though its worker lived")
			}
		}
	}
	switch {
	case e.wasCancelled && !errors.Is(e.err, executor.ErrCancelled):
		j.errorf(e, "Cancel was true, and this is no cancelled call")
	case e.err == nil:
		j.success(e, h)
	case errors.As(e.err, &died):
		j.failed++
		if e.how != "MapSlice" || e.ID == e.chunk { // its error is one for all
			j.death(e, died)
		}
	case errors.Is(e.err, executor.ErrCancelled):
		j.cancelled++
		if len(h.starts) > 0 {
			j.errorf(e, "it was cancelled and started")
		}
	default:
		j.innocent++
		j.errorf(e, "an error that no kill explains")
	}
}

func (j *stormJudge) success(e *stormEntry, h stormHistory) {
	if want := (stormReply{e.ID, e.Nonce, e.reply.PID}); e.reply != want {
		j.errorf(e, "result %+v; want %+v", e.reply, want)
	}
	if len(h.ends) == 0 {
		j.lost++
		j.errorf(e, "it succeeded and did not end")
		return
	}
	if len(h.ends) > 1 && !j.retries || h.ends[len(h.ends)-1] != e.reply.PID {
		j.errorf(e, "it succeeded in worker %d, and ended elsewhere", e.reply.PID)
	}
}

// death judges a call, or an item of a chunk, that died with its worker: that must have
// been killed, and have run it.
func (j *stormJudge) death(e *stormEntry, died *executor.WorkerDiedError) {
	if !j.isDead(died.PID) {
		j.innocent++
		j.errorf(e, "worker %d died, and nobody has killed it", died.PID)
		return
	}
	if j.retries != (died.Attempts == 1+stormRetries) || !j.retries && died.Attempts != 1 {
		j.errorf(e, "%d attempts", died.Attempts)
	}
	j.manner(e, died)
	isRun, isEnded := false, true // by that worker: an item, all items
	for _, other := range j.entries[e.chunk:] {
		if other.chunk != e.chunk {
			break
		}
		if e.how != "MapSlice" && other != e {
			continue
		}
		h := j.history[other.ID]
		hasStarted, hasEnded := slices.Contains(h.starts, died.PID), slices.Contains(h.ends, died.PID)
		isRun = isRun || hasStarted
		switch {
		case e.how == "MapSlice": // in chunks that nobody here knows, by many workers
			isEnded = isEnded && (!hasStarted || hasEnded)
		case !hasStarted && len(h.starts) > 0 && !j.retries:
			j.innocent++
			j.errorf(e, "it failed with worker %d, and ran elsewhere", died.PID)
		default:
			isEnded = isEnded && hasEnded
		}
	}
	d := j.deaths[died.PID]
	if d == nil {
		d = &stormDeath{unended: make(map[int]bool), unanswered: make(map[int]bool), long: make(map[int]bool)}
		j.deaths[died.PID] = d
	}
	switch {
	case e.how == "MapSlice" && isEnded && isRun: // what it made may be of another chunk
	case isEnded && isRun:
		d.unanswered[e.ID] = true
	default:
		d.unended[e.ID] = true // perhaps without a START, if it had no time to write that
	}
	if e.Micros >= 100 {
		d.long[e.ID] = true
	}
}

// manner compares how a worker died with how it was killed.
func (j *stormJudge) manner(e *stormEntry, died *executor.WorkerDiedError) {
	signal, wasHit := j.hit[died.PID]
	if wasHit && j.exited[died.PID] {
		return // whatever came first
	}
	ok := false
	switch {
	case !wasHit:
		ok = died.Signal == nil && died.ExitCode == stormExitCode
	case signal == syscall.SIGSEGV: // the Go runtime prints stacks and exits
		ok = died.Signal == nil && died.ExitCode == 2 || died.Signal == signal
	default:
		ok = died.Signal == signal
	}
	if !ok {
		j.errorf(e, "exit code %d, signal %v, of a worker that was hit by signal %d, if any", died.ExitCode, died.Signal, signal)
	}
}
