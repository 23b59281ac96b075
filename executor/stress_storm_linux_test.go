package executor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
)

// stormEntry is what the test knows of one call, or item of a Map or MapSlice.
type stormEntry struct {
	stormTask
	how          string // it was submitted
	chunk        int    // entries of one chunk have this in common; its own ID for one alone
	wasCancelled bool   // Cancel returned true
	isUnknown    bool   // what came of it: Map has said too little, which is told elsewhere

	ends  atomic.Int32 // how often its future was done
	reply stormReply
	err   error
}

// stormRun is one storm.
type stormRun struct {
	t       *testing.T
	ex      *executor.ProcessPoolExecutor
	file    string
	calls   int // that are wanted
	kills   int
	retries bool

	ctx      context.Context // ends when the storm hangs
	progress atomic.Int64    // entries that have ended
	killed   atomic.Int64    // workers
	exits    atomic.Int64    // calls that exit

	mu      sync.Mutex
	entries []*stormEntry

	hit    map[int]syscall.Signal // by pid
	volley map[int]int            // how often so many were hit at once
}

// Workers die in every way while calls of every length come in every way. Each
// call appends to a ledger when it starts and ends. The ledger and the futures
// together say that no call was lost, made twice, or failed because of the
// death of a worker that did not run it.
func TestStormOfKills(t *testing.T) {
	executortest.NeedsProcesses(t)
	for _, s := range []*stormRun{
		{calls: sized(2_000, 100_000), kills: sized(20, 1_000)},
		{calls: sized(1_000, 20_000), kills: sized(10, 200), retries: true},
	} {
		name := "AtMostOnce"
		if s.retries {
			name = "Retries"
		}
		t.Run(name, func(t *testing.T) {
			s.t = t
			s.rage()
		})
	}
}

func (s *stormRun) rage() {
	t := s.t
	r, seed := stressRand(t)
	s.file = t.TempDir() + "/ledger"
	if err := errors.Join(os.WriteFile(s.file, nil, 0o600), os.Mkdir(s.file+".meet", 0o700)); err != nil {
		t.Fatal(err)
	}
	s.hit, s.volley = make(map[int]syscall.Signal), make(map[int]int)
	s.ex = &executor.ProcessPoolExecutor{
		MaxWorkers: 4, KillGrace: stressPatience, Stdout: io.Discard, Stderr: io.Discard,
		Env: append(os.Environ(), stormLedgerEnv+"="+s.file),
	}
	if s.retries {
		s.ex.Retries = stormRetries
	}
	ctx, hangs := context.WithCancel(t.Context())
	defer hangs()
	s.ctx = ctx

	begin := time.Now()
	var lanes, others sync.WaitGroup
	lanes.Go(func() { s.submitAll(rand.New(rand.NewPCG(seed, 2))) })
	lanes.Go(func() { s.submitAll(rand.New(rand.NewPCG(seed, 3))) })
	lanes.Go(func() { s.mapAll(rand.New(rand.NewPCG(seed, 4))) })
	lanes.Go(func() { s.mapSliceAll(rand.New(rand.NewPCG(seed, 5))) })
	over := make(chan struct{})
	others.Go(func() { s.watch(over, hangs) })
	others.Go(func() { s.killAll(r, over) })
	ended := make(chan struct{})
	go func() {
		lanes.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done(): // watch has said why
		select {
		case <-ended:
		case <-time.After(stressPatience):
			close(over)
			t.Fatalf("Map or MapSlice do not return after the end of their ctx either; stats %+v", s.ex.Stats())
		}
	}
	close(over)
	others.Wait()
	took := time.Since(begin)

	s.settle()
	workers := s.converge()
	s.close()
	s.judge(took, workers)
}

const stormRetries = 3

// watch ends the storm when nothing ends any more.
func (s *stormRun) watch(over <-chan struct{}, hangs func()) {
	for last := int64(-1); ; {
		select {
		case <-over:
			return
		case <-time.After(stressPatience):
		}
		now := s.progress.Load()
		if now == last {
			s.t.Errorf("nothing has ended for %v; stats %+v", stressPatience, s.ex.Stats())
			hangs()
			return
		}
		last = now
	}
}

// wave returns the next n entries, none if the storm is over.
func (s *stormRun) wave(r *rand.Rand, n int, how string) []*stormEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	isEnough := len(s.entries) >= s.calls && int(s.killed.Load()) >= s.kills
	if isEnough || s.ctx.Err() != nil || len(s.entries) >= 10*s.calls {
		return nil
	}
	wave := make([]*stormEntry, n)
	for i := range wave {
		id := len(s.entries)
		wave[i] = &stormEntry{stormTask: stormTask{ID: id, Nonce: r.Uint64()}, how: how, chunk: id}
		s.entries = append(s.entries, wave[i])
	}
	return wave
}

// end keeps what came of an entry.
func (e *stormEntry) end(reply stormReply, err error) { e.reply, e.err = reply, err }

// submitAll submits calls one by one, and cancels some.
func (s *stormRun) submitAll(r *rand.Rand) {
	for {
		wave := s.wave(r, 50+r.IntN(250), "Submit")
		if wave == nil {
			return
		}
		ctx, cancel := context.WithCancel(context.Background())
		var calls []stormCall
		for _, e := range wave {
			calls = append(calls, s.submit(ctx, r, e))
			if !s.retries && r.IntN(50) == 0 {
				calls[r.IntN(len(calls))].cancel()
			}
		}
		if !s.retries && r.IntN(20) == 0 {
			cancel() // what has not started never will
		}
		for _, c := range calls {
			if !s.retries && r.IntN(4) == 0 && c.isRunning() {
				c.cancel() // too late
			}
			c.wait()
		}
		cancel()
	}
}

// stormCall is the future of a call, its type erased.
type stormCall struct {
	wait, cancel func()
	isRunning    func() bool
}

// submit submits one call, of a random kind.
func (s *stormRun) submit(ctx context.Context, r *rand.Rand, e *stormEntry) stormCall {
	switch k := r.IntN(1000); {
	case k < 5:
		e.how, e.Micros = "Submit big", 0
		f := executor.Submit(ctx, s.ex, stormBig, e.bigArgument())
		return stormFuture(s, e, f, e.parseBig)
	case k < 10 && s.wantsExit():
		e.Micros, e.End = 100, "exit"
		if s.retries && (s.exits.Load() > 1 || r.IntN(10) > 0) { // one at least exits again and again
			e.End = "exit once"
		}
		return stormFuture(s, e, executor.Submit(ctx, s.ex, stormShort, e.stormTask), sameReply)
	case k < 600:
		e.Micros = r.IntN(5)
		return stormFuture(s, e, executor.Submit(ctx, s.ex, stormTiny, e.stormTask), sameReply)
	case k < 900:
		e.Micros = 100 + r.IntN(50)
		return stormFuture(s, e, executor.Submit(ctx, s.ex, stormShort, e.stormTask), sameReply)
	case k < 930:
		e.Micros = 1000 + r.IntN(5000)
		return stormFuture(s, e, executor.Submit(ctx, s.ex, stormLong, e.stormTask), sameReply)
	}
	e.Micros = r.IntN(30)
	if r.IntN(5) == 0 {
		e.Micros = r.IntN(1500)
	}
	return stormFuture(s, e, executor.Submit(ctx, s.ex, stormMixed, e.stormTask), sameReply)
}

func sameReply(r stormReply) (stormReply, error) { return r, nil }

// wantsExit reports whether it is time for a call that exits: a tenth of the
// kills.
func (s *stormRun) wantsExit() bool {
	if s.exits.Load() > s.killed.Load()/10 {
		return false
	}
	s.exits.Add(1)
	return true
}

func stormFuture[T any](s *stormRun, e *stormEntry, f *executor.Future[T], reply func(T) (stormReply, error)) stormCall {
	f.OnDone(func(*executor.Future[T]) {
		e.ends.Add(1)
		s.progress.Add(1)
	})
	wait := func() {
		v, err := f.Result(s.ctx)
		if err != nil {
			e.end(stormReply{}, err)
			return
		}
		e.end(reply(v))
	}
	return stormCall{wait, func() { e.wasCancelled = f.Cancel() }, func() bool { return f.State() == executor.Running }}
}

func stormTasks(wave []*stormEntry) []stormTask {
	tasks := make([]stormTask, len(wave))
	for i, e := range wave {
		tasks[i] = e.stormTask
	}
	return tasks
}

// mapAll makes calls in chunks, each item with its own outcome.
func (s *stormRun) mapAll(r *rand.Rand) {
	for {
		wave := s.wave(r, 50+r.IntN(100), "Map")
		if wave == nil {
			return
		}
		size := 1 + r.IntN(20)
		for i, e := range wave {
			e.chunk, e.Micros = wave[i-i%size].ID, r.IntN(100)
		}
		var replies []stormReply
		var errs []error
		for reply, err := range executor.Map(s.ctx, s.ex, stormMixed, slices.Values(stormTasks(wave)), executor.ChunkSize(size)) {
			replies, errs = append(replies, reply), append(errs, err)
			s.progress.Add(1)
		}
		isWhole := len(replies) == len(wave)
		if !isWhole && s.ctx.Err() == nil {
			s.t.Errorf("Map with ChunkSize(%d) has yielded %d results for %d items", size, len(replies), len(wave))
		}
		for i, e := range wave {
			if e.isUnknown = !isWhole; isWhole {
				e.end(replies[i], errs[i])
				e.ends.Add(1)
			}
		}
	}
}

// mapSliceAll makes calls in bulk: all succeed, or the first error counts.
func (s *stormRun) mapSliceAll(r *rand.Rand) {
	for {
		wave := s.wave(r, 20+r.IntN(150), "MapSlice")
		if wave == nil {
			return
		}
		for _, e := range wave {
			e.chunk, e.Micros = wave[0].ID, r.IntN(10)
		}
		replies, err := executor.MapSlice(s.ctx, s.ex, stormTiny, stormTasks(wave))
		if err == nil && len(replies) != len(wave) {
			err = fmt.Errorf("MapSlice has returned %d results for %d items", len(replies), len(wave))
		}
		for i, e := range wave {
			var reply stormReply
			if err == nil {
				reply = replies[i]
			}
			e.end(reply, err)
			e.ends.Add(1)
		}
		s.progress.Add(int64(len(wave)))
	}
}

// killAll kills workers, at the pace at which calls end.
func (s *stormRun) killAll(r *rand.Rand, over <-chan struct{}) {
	ledger := &stormReader{file: s.file}
	early := 0                    // hits of workers that may not have been ready, since one was
	workers := make(map[int]bool) // pids that are known to be
	for {
		next := (float64(s.killed.Load()) + r.Float64()) * float64(s.calls) / (1.05 * float64(s.kills))
		for float64(s.progress.Load()) < next {
			select {
			case <-over:
				return
			case <-time.After(200 * time.Microsecond):
			}
		}
		time.Sleep(time.Duration(r.IntN(500)) * time.Microsecond)
		select {
		case <-over:
			return
		default:
		}

		if ledger.read(s.t) {
			early = 0 // a worker has become ready
		}
		var served, fresh []int
		for _, p := range ownChildren(s.t) {
			switch _, wasHit := s.hit[p.pid]; {
			case wasHit || p.hasEnded() || !workers[p.pid] && !wasStartedWith(p.pid, stormLedgerEnv+"="+s.file):
			case ledger.pids[p.pid]:
				workers[p.pid] = true
				served = append(served, p.pid)
			default:
				workers[p.pid] = true
				fresh = append(fresh, p.pid)
			}
		}
		victims := served
		r.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
		// Five starts in a row that fail break a pool, so not too many are hit
		// that may still be starting.
		if n := len(fresh); early < 2 && n > 0 && r.IntN(4) == 0 {
			victims = append([]int{fresh[r.IntN(n)]}, victims...)
		}
		n := 1
		switch r.IntN(10) {
		case 0:
			n = len(victims)
		case 1, 2:
			n = 2
		}
		hits := 0
		signals := []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGSEGV}
		for _, pid := range victims[:min(n, len(victims))] {
			signal := signals[r.IntN(len(signals))]
			if !signalChild(pid, signal) {
				continue
			}
			s.hit[pid] = signal
			hits++
			if !ledger.pids[pid] {
				early++
			}
		}
		if hits > 0 {
			s.volley[hits]++
			s.killed.Add(int64(hits))
		}
	}
}

// stormReader reads the ledger while it grows.
type stormReader struct {
	file   string
	offset int64
	rest   string
	pids   map[int]bool // of workers that have started a call
	events []stormEvent
}

type stormEvent struct {
	what    string
	id, pid int
	nonce   uint64
}

// read reads what has come, and reports whether a new worker has started a
// call.
func (l *stormReader) read(t *testing.T) (isNew bool) {
	if l.pids == nil {
		l.pids = make(map[int]bool)
	}
	f, err := os.Open(l.file)
	if err != nil {
		t.Error(err)
		return false
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, l.offset, 1<<62))
	if err != nil {
		t.Error(err)
	}
	l.offset += int64(len(b))
	lines := strings.Split(l.rest+string(b), "\n")
	l.rest = lines[len(lines)-1]
	for _, line := range lines[:len(lines)-1] {
		var e stormEvent
		if _, err := fmt.Sscanf(line, "%s %d %d %d", &e.what, &e.id, &e.pid, &e.nonce); err != nil {
			t.Errorf("line %q of the ledger: %v", line, err)
			continue
		}
		l.events = append(l.events, e)
		if !l.pids[e.pid] {
			l.pids[e.pid], isNew = true, true
		}
	}
	return isNew
}

// settle waits until the workers that were hit last have gone: a signal takes
// its time.
func (s *stormRun) settle() {
	if !comesTrue(stressPatience, func() bool {
		return !slices.ContainsFunc(ownChildren(s.t), func(p systemProcess) bool { _, wasHit := s.hit[p.pid]; return wasHit })
	}) {
		s.t.Errorf("workers that were killed are still there %v later", stressPatience)
	}
}

// converge makes as many calls as there are workers, which end when they all
// run, and returns the number of workers that made them.
func (s *stormRun) converge() int {
	ctx, cancel := context.WithTimeout(context.Background(), stressPatience)
	defer cancel()
	var fs []*executor.Future[int]
	for range s.ex.MaxWorkers {
		fs = append(fs, executor.Submit(ctx, s.ex, stormMeet, s.ex.MaxWorkers))
	}
	pids, err := executor.Gather(context.Background(), fs...)
	if err != nil {
		s.t.Errorf("after the storm, %d calls that run together: %v; stats %+v", len(fs), err, s.ex.Stats())
	}
	slices.Sort(pids)
	return len(slices.Compact(pids))
}

func (s *stormRun) close() {
	ctx, cancel := context.WithTimeout(context.Background(), stressPatience)
	defer cancel()
	if err := s.ex.Shutdown(ctx); err != nil {
		s.t.Errorf("Shutdown after the storm: %v", err)
	}
}
