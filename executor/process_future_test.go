package executor_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
	"weak"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/internal/wire"
)

func init() {
	executor.Register(futOrder)
	executor.Register(futDescend)
	executor.Register(futKeep)
	executor.Register(futKept)
	executor.Register(futKeepText)
	executor.Register(futSpoil)
	executor.Register(futBlock)
	executor.Register(futEnds)
	executor.Register(futEnviron)
	executor.Register(futHostile)
	executor.Register(futShapes)
	executor.Register(futBytes)
	executor.Register(futText)
	executor.Register(futFloats)
	executor.Register(futInts)
	executor.Register(futPointer)
}

// FUT-05, D4, D5: no worker starts a call that was cancelled: queued, or on its
// way to a worker.
func TestCancelledCallIsNeverStartedByAWorker(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2, KillGrace: never})
	log := inDir(t, "log")
	const calls = 600
	cancelled := make([]bool, calls)
	var fs []*executor.Future[told]
	for i := range calls {
		fs = append(fs, do(ex, deed{Verb: "tell", Log: log, ID: i}))
		if i%3 == 2 {
			k := i - rand.IntN(3)
			cancelled[k] = fs[k].Cancel()
		}
	}
	for i, f := range fs {
		_, err := endOf(t, f)
		if errors.Is(err, executor.ErrCancelled) != cancelled[i] || (f.State() == executor.Cancelled) != cancelled[i] {
			t.Errorf("call %d, whose Cancel was %t: %v, %v", i, cancelled[i], f, err)
		}
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
	starts := startsIn(t, log)
	for i := range calls {
		if want := 1; cancelled[i] && len(starts[i]) > 0 || !cancelled[i] && len(starts[i]) != want {
			t.Errorf("call %d, whose Cancel was %t, has started in the processes %v", i, cancelled[i], starts[i])
		}
	}
}

// D4, D27: Cancel may come in the moment in which a result comes.
func TestCancelIsTrueOnlyForCallsThatNeverRan(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2, KillGrace: never})
	block := make([]byte, 300<<10)
	wrong := 0
	for i := range 200 {
		f := executor.Submit(t.Context(), ex, remoteEcho, block)
		g := executor.Submit(t.Context(), ex, regMarshals, picky{"fine"}) // whose result is decoded on another goroutine
		fCancelled, gCancelled := false, false
		for !isDone(f) || !isDone(g) {
			fCancelled = fCancelled || i%2 > 0 && f.State() == executor.Running && f.Cancel()
			gCancelled = gCancelled || i%2 > 0 && g.State() == executor.Running && g.Cancel()
			if i%2 == 0 {
				fCancelled, gCancelled = fCancelled || f.Cancel(), gCancelled || g.Cancel()
			}
		}
		_, fErr := f.Result(ended())
		_, gErr := g.Result(ended())
		for _, c := range []struct {
			is    bool
			err   error
			state executor.State
		}{{fCancelled, fErr, f.State()}, {gCancelled, gErr, g.State()}} {
			if c.is != errors.Is(c.err, executor.ErrCancelled) || c.is != (c.state == executor.Cancelled) {
				t.Errorf("a call whose Cancel was %t: %v, %v", c.is, c.state, c.err)
			}
			if c.is && i%2 > 0 {
				wrong++
			}
		}
	}
	if wrong > 0 {
		t.Errorf("Cancel of %d calls was true, after State had been running; want it never", wrong)
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
	wantIdle(t, ex)
}

// FUT-12: a zero value is a result.
func TestZeroResultsOfWorkersAreResults(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	if n, err := endOf(t, executor.Submit(t.Context(), ex, thrice, 0)); n != 0 || err != nil {
		t.Errorf("Result = %d, %v; want 0, nil", n, err)
	}
	if p, err := endOf(t, executor.Submit(t.Context(), ex, futPointer, nil)); p != nil || err != nil {
		t.Errorf("Result = %v, %v; want a nil pointer, nil", p, err)
	}
	if s, err := endOf(t, executor.Submit(t.Context(), ex, futText, "")); s != "" || err != nil {
		t.Errorf("Result = %q, %v; want the empty string, nil", s, err)
	}
}

func futPointer(_ context.Context, p *int) (*int, error) { return p, nil }

// CB-09, D10: callbacks that block hold up neither the reader of a worker nor
// other callbacks.
func TestCallbacksThatBlockHoldUpNoWorker(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	gate := newGate()
	const callbacks = 20
	fs := make([]*executor.Future[int], callbacks)
	called := make(chan int, callbacks)
	for i := range fs {
		fs[i] = executor.Submit(t.Context(), ex, thrice, i)
		go fs[i].OnDone(func(*executor.Future[int]) { <-gate; called <- i }) // which calls it, if the call has ended
	}
	for i := range 200 {
		if n, err := endOf(t, executor.Submit(t.Context(), ex, thrice, i)); n != 3*i || err != nil {
			t.Fatalf("call %d while callbacks block = %d, %v; want %d, nil", i, n, err, 3*i)
		}
	}
	if died := mustDie(t, do(ex, deed{Verb: "exit", N: 3})); died.ExitCode != 3 {
		t.Errorf("a death while callbacks block: %v; want exit code 3", died)
	}
	gate.open()
	for n := range callbacks {
		select {
		case <-called:
		case <-time.After(longEnough):
			t.Fatalf("%d of %d callbacks were called; Stats = %+v, the futures are %v", n, callbacks, ex.Stats(), fs)
		}
	}
}

// CB-10, CB-06 (loky test_in_callback_submit_with_crash,
// test_callback_crash_on_submit): each callback of a call that crashes submits
// the next that crashes.
func TestCallbacksOfCallsThatCrashMaySubmit(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	const chain = 6
	codes := make(chan int, chain)
	good := make(chan int, chain)
	var calls atomic.Int64
	var crash func(code int)
	crash = func(code int) {
		f := do(ex, deed{Verb: "exit", N: code})
		f.OnDone(func(f *executor.Future[told]) {
			calls.Add(1)
			_, err := f.Result(ended())
			died, ok := errors.AsType[*executor.WorkerDiedError](err)
			if !ok {
				t.Errorf("a call that ends its process: %v; want a *WorkerDiedError", err)
				died = new(executor.WorkerDiedError)
			}
			n, err := executor.Submit(context.Background(), ex, thrice, code).Result(context.Background())
			if err != nil {
				t.Errorf("a call from the callback of one that crashed: %v; want no error", err)
			}
			good <- n
			if code < chain {
				crash(code + 1)
			}
			codes <- died.ExitCode
		})
	}
	crash(1)
	var gotCodes, gotGood []int
	for range chain {
		select {
		case n := <-codes:
			gotCodes, gotGood = append(gotCodes, n), append(gotGood, <-good)
		case <-time.After(longEnough):
			t.Fatalf("after %d of %d crashes, nothing goes on", len(gotCodes), chain)
		}
	}
	slices.Sort(gotCodes)
	slices.Sort(gotGood)
	if !slices.Equal(gotCodes, []int{1, 2, 3, 4, 5, 6}) || !slices.Equal(gotGood, []int{3, 6, 9, 12, 15, 18}) || calls.Load() != chain {
		t.Errorf("%d callbacks, with the exit codes %v and the results %v; want %d, each once", calls.Load(), gotCodes, gotGood, chain)
	}
}

// CB-10: callbacks add calls while the workers of others die.
func TestCallbacksSubmitWhileWorkersDie(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 3})
	var pending sync.WaitGroup
	var ok, died, other atomic.Int64
	var follow func(left int) func(*executor.Future[told])
	submit := func(left int) {
		d := deed{Verb: "tell", N: left}
		if left%5 == 0 {
			d.Verb = "exit"
		}
		do(ex, d).OnDone(follow(left))
	}
	follow = func(left int) func(*executor.Future[told]) {
		return func(f *executor.Future[told]) {
			defer pending.Done()
			switch _, err := f.Result(ended()); {
			case err == nil:
				ok.Add(1)
			case errors.As(err, new(*executor.WorkerDiedError)):
				died.Add(1)
			default:
				other.Add(1)
				t.Errorf("a call: %v; want no error, or a *WorkerDiedError", err)
			}
			if left > 1 {
				pending.Add(1)
				submit(left - 1)
			}
		}
	}
	const chains, long = 8, 20
	for range chains {
		pending.Add(1)
		submit(long)
	}
	over := make(chan struct{})
	go func() { pending.Wait(); close(over) }()
	select {
	case <-over:
	case <-time.After(2 * longEnough):
		t.Fatalf("%d calls have succeeded, %d died; nothing goes on", ok.Load(), died.Load())
	}
	if sum := ok.Load() + died.Load(); sum != chains*long || died.Load() < chains*long/5 {
		t.Errorf("%d calls have succeeded, %d died; want %d, at least a fifth of them dead", ok.Load(), died.Load(), chains*long)
	}
}

// SUB-03 (cpy test_saturation)
func TestAsManyCallsRunOnProcessesAsWorkersSays(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 3})
	dir := t.TempDir()
	var fs []*executor.Future[told]
	for i := range 15 * ex.MaxWorkers {
		fs = append(fs, do(ex, deed{Verb: "hold", Log: dir + "/log", ID: i, Path: dir + "/gate"}))
	}
	waitUntil(t, "3 calls run", func() bool { return len(startsIn(t, dir+"/log")) >= 3 })
	if s := ex.Stats(); s.Running != 3 || s.Queued != 14*3 || s.Submitted != 15*3 {
		t.Errorf("Stats of 45 calls on 3 workers = %+v; want 3 running, 42 queued", s)
	}
	if n := len(startsIn(t, dir+"/log")); n != 3 {
		t.Errorf("%d calls have started; want 3", n)
	}
	touch(t, dir+"/gate")
	pids := map[int]bool{}
	for _, f := range fs {
		pids[mustTell(t, f).PID] = true
	}
	if len(pids) != 3 {
		t.Errorf("the calls ran in the processes %v; want 3", slices.Sorted(maps.Keys(pids)))
	}
}

// SUB-04 (cpy test_idle_process_reuse_one)
func TestIdleWorkerIsUsedAgain(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 4})
	var pids []int
	for range 5 {
		pids = append(pids, mustTell(t, do(ex, deed{Verb: "tell"})).PID)
	}
	if s := ex.Stats(); len(slices.Compact(slices.Clone(pids))) != 1 || s.Workers != 1 {
		t.Errorf("5 calls, one after another, ran in the processes %v of %d; want one", pids, s.Workers)
	}
}

// SUB-06 (loky test_thread_safety)
func TestProcessesServeManyGoroutines(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 3, KillGrace: never})
	in := make([]int, 40)
	want := make([]int, len(in))
	for i := range in {
		in[i], want[i] = i, 3*i
	}
	var all sync.WaitGroup
	for g := range 10 {
		all.Go(func() {
			for range 2 {
				if got, err := executor.Collect(executor.Map(context.Background(), ex, thrice, slices.Values(in), executor.ChunkSize(1+g%4))); !slices.Equal(got, want) || err != nil {
					t.Errorf("goroutine %d: Map = %v, %v; want %v", g, got, err, want)
				}
				var fs []*executor.Future[int]
				for i := range 20 {
					fs = append(fs, executor.Submit(context.Background(), ex, thrice, i))
				}
				for i, f := range fs {
					if i%2 == 0 && f.Cancel() {
						continue
					}
					if n, err := f.Result(context.Background()); n != 3*i || err != nil {
						t.Errorf("goroutine %d: call %d = %d, %v; want %d", g, i, n, err, 3*i)
					}
				}
				if got, err := executor.MapSlice(context.Background(), ex, thrice, in); !slices.Equal(got, want) || err != nil {
					t.Errorf("goroutine %d: MapSlice = %v, %v; want %v", g, got, err, want)
				}
			}
		})
	}
	all.Wait()
}

// orders is, in a worker, how many calls of futOrder have started.
var orders atomic.Int64

func futOrder(_ context.Context, nap time.Duration) (int64, error) {
	n := orders.Add(1)
	keepBusy(nap)
	return n, nil
}

// D26, SUB-05: one worker starts calls in the order of Submit, whatever was
// sent ahead or cancelled.
func TestOneWorkerStartsCallsInTheOrderOfSubmit(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, KillGrace: never})
	random := rand.New(rand.NewPCG(1, 2))
	var fs []*executor.Future[int64]
	for range 2000 {
		nap := time.Duration(0)
		if random.IntN(50) == 0 {
			nap = time.Duration(random.IntN(3000)) * time.Microsecond
		}
		fs = append(fs, executor.Submit(t.Context(), ex, futOrder, nap))
		if random.IntN(4) == 0 {
			fs[random.IntN(len(fs))].Cancel()
		}
	}
	before, made := int64(0), 0
	for i, f := range fs {
		n, err := endOf(t, f)
		if errors.Is(err, executor.ErrCancelled) {
			continue
		}
		if made++; err != nil || n <= before {
			t.Fatalf("call %d was the %dth to start, %v; the one before it the %dth", i, n, err, before)
		}
		before = n
	}
	if made < 1000 || before != int64(made) {
		t.Errorf("%d calls were made, the last as the %dth; want them to agree, and more than half of 2000", made, before)
	}
}

// D27: at quiescence the counters are those of the futures, whatever happened.
func TestCountersOfProcessesAddUp(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2, KillGrace: 10 * time.Millisecond})
	var want executor.Stats
	for round := range 12 {
		var fs []*executor.Future[told]
		for range 1 + random.IntN(40) {
			d := deed{Verb: "tell"}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			late, isCancelled := time.Duration(random.IntN(2000))*time.Microsecond, false
			switch random.IntN(12) {
			case 0:
				d.Verb = "no such verb"
			case 1:
				d.Verb, d.N = "exit", 1
			case 2:
				d.Verb, d.N = "busy", int(late)
			case 3:
				isCancelled = true
			case 4:
				d.Verb, isCancelled = "heed", true
			case 5:
				executor.Submit(ended(), ex, doDeed, d)                       // counts nowhere
				executor.Submit(ctx, ex, regMarshals, picky{"encode: error"}) // counts nowhere
			}
			fs = append(fs, executor.Submit(ctx, ex, doDeed, d))
			if isCancelled { // not before Submit: it would count nowhere
				time.AfterFunc(late, cancel)
			}
			if random.IntN(4) == 0 {
				fs[random.IntN(len(fs))].Cancel()
			}
		}
		for _, f := range fs {
			_, err := endOf(t, f)
			switch {
			case f.State() == executor.Cancelled:
				want.Cancelled++
			case err == nil:
				want.Succeeded++
			default:
				want.Failed++
			}
			want.Submitted++
		}
		waitUntil(t, "what died is counted", func() bool {
			s := ex.Stats()
			return s.Submitted == s.Succeeded+s.Failed+s.Cancelled
		})
		got := ex.Stats()
		got.Workers, got.Restarts = 0, 0
		if got != want {
			t.Fatalf("seed %d, round %d: Stats = %+v; want what the futures say, %+v", seed, round, got, want)
		}
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
	wantIdle(t, ex)
}

// D29: a field that cannot be meant is an error of each call, which names it.
func TestSillyFieldsOfProcessesAreErrors(t *testing.T) {
	for want, ex := range map[string]*executor.ProcessPoolExecutor{
		"MaxWorkers is -1":           {MaxWorkers: -1},
		"QueueLimit is -2":           {QueueLimit: -2},
		"MaxTasksPerChild is -3":     {MaxTasksPerChild: -3},
		"MemoryLimit is -4":          {MemoryLimit: -4},
		"Retries is -5":              {Retries: -5},
		"KillGrace is -6":            {KillGrace: -6},
		"nil *ProcessPoolExecutor":   nil,
		"RegisterInitializer(execut": {Initializer: regUnknownInitializer},
	} {
		for range 2 {
			if n, err := endOf(t, executor.Submit(t.Context(), ex, thrice, 1)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Result = %d, %v; want an error that says %q", n, err, want)
			}
		}
		if out, err := executor.MapSlice(t.Context(), ex, thrice, []int{1, 2}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("MapSlice = %v, %v; want an error that says %q", out, err, want)
		}
		if out, err := executor.Collect(executor.Map(t.Context(), ex, thrice, slices.Values([]int{1, 2}))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Map = %v, %v; want an error that says %q", out, err, want)
		}
		if ex == nil {
			continue
		}
		if err := ex.Close(); err != nil || ex.Stats() != (executor.Stats{}) {
			t.Errorf("Close = %v, Stats = %+v; want nil, and that nothing was started", err, ex.Stats())
		}
	}
}

// descent is how deep futDescend is to go.
type descent struct{ Left int }

// nestedPool is, in each process, a pool of that process.
var nestedPool = &executor.ProcessPoolExecutor{MaxWorkers: 1}

// futDescend returns the processes that it and those below it run in.
func futDescend(ctx context.Context, d descent) ([]int, error) {
	if d.Left == 0 {
		return []int{os.Getpid()}, nil
	}
	d.Left--
	below, err := executor.Submit(ctx, nestedPool, futDescend, d).Result(ctx)
	return append([]int{os.Getpid()}, below...), err
}

// NEST-01, NEST-03, D7, D23: a call that submits to "its own" pool, of one
// worker, submits to that of its process, and cannot wait for its own place;
// where this gets too deep, it ends with an error.
func TestCallInAWorkerHasPoolsOfItsOwn(t *testing.T) {
	nestedPool = newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1}) // here; there, it is another one
	pids, err := endOf(t, executor.Submit(t.Context(), nestedPool, futDescend, descent{Left: 3}))
	if err != nil || len(pids) != 4 || len(slices.Compact(slices.Sorted(slices.Values(pids)))) != 4 || slices.Contains(pids, os.Getpid()) {
		t.Fatalf("a call that waits for one of the same pool, and so on, three deep = %v, %v; want 4 processes", pids, err)
	}
	again, err := endOf(t, executor.Submit(t.Context(), nestedPool, futDescend, descent{Left: 3}))
	if !slices.Equal(again, pids) || err != nil {
		t.Errorf("the second time, it is %v, %v; want the same processes %v", again, err, pids)
	}
	_, err = endOf(t, executor.Submit(t.Context(), nestedPool, futDescend, descent{Left: 100}))
	if err == nil || !strings.Contains(err.Error(), "deep") || !strings.Contains(err.Error(), "pools within pools") {
		t.Errorf("a call that waits for one of the same pool, a hundred deep: %v; want an error that says that pools within pools end somewhere", err)
	}
}

// NEST-05: a call that runs here and waits for processes with its ctx lends its
// place, and the other way round nothing is in the way.
func TestCallsOfThreadsWaitForProcesses(t *testing.T) {
	threads := &executor.ThreadPoolExecutor{MaxWorkers: 1}
	defer threads.Close()
	processes := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	outer := executor.Go(t.Context(), threads, func(ctx context.Context) (int, error) {
		inner := executor.Go(ctx, threads, func(ctx context.Context) (int, error) {
			return executor.Submit(ctx, processes, thrice, 5).Result(ctx)
		})
		return inner.Result(ctx)
	})
	if n, err := endOf(t, outer); n != 15 || err != nil {
		t.Errorf("Result = %d, %v; want 15, nil", n, err)
	}
	a := executor.Submit(t.Context(), processes, thrice, 1)
	b := executor.Submit(t.Context(), threads, double, 1)
	if got, err := executor.Gather(t.Context(), a, b); !slices.Equal(got, []int{3, 2}) || err != nil {
		t.Errorf("Gather of futures of processes and threads = %v, %v; want 3, 2", got, err)
	}
}

// kept is what a worker keeps of its arguments.
var kept []func() []byte

func futKeep(_ context.Context, b []byte) (int, error) {
	kept = append(kept, func() []byte { return b })
	return len(kept), nil
}

func futKeepText(_ context.Context, s string) (int, error) {
	kept = append(kept, func() []byte { return []byte(s) })
	return len(kept), nil
}

// futKept returns the hashes of what was kept.
func futKept(context.Context, int) ([]uint64, error) {
	var out []uint64
	for _, b := range kept {
		out = append(out, hashOf(b()))
	}
	return out, nil
}

// futSpoil overwrites its argument.
func futSpoil(_ context.Context, b []byte) (int, error) {
	for i := range b {
		b[i] ^= 0xff
	}
	return len(b), nil
}

func hashOf(b []byte) uint64 {
	h := fnv.New64a()
	h.Write(b)
	return h.Sum64()
}

// pattern returns n bytes that are those of seed alone.
func pattern(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7+i>>8) + seed
	}
	return b
}

// Arguments are copied: what a function keeps of one, later calls do not
// overwrite. Register says what does not hold for: slices of 1 MiB and more.
func TestArgumentThatAWorkerKeepsStaysAsItIs(t *testing.T) {
	for _, size := range []int{10, 1 << 10, 100 << 10, 1<<20 - 1, 1 << 20, 2 << 20} {
		ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
		var want []uint64
		for seed := range byte(5) {
			b := pattern(size, seed)
			if size < 1<<20 {
				want = append(want, hashOf(b))
				if _, err := endOf(t, executor.Submit(t.Context(), ex, futKeep, b)); err != nil {
					t.Fatal(err)
				}
			}
			want = append(want, hashOf(b))
			if _, err := endOf(t, executor.Submit(t.Context(), ex, futKeepText, string(b))); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := endOf(t, executor.Submit(t.Context(), ex, futKept, 0)); !slices.Equal(got, want) || err != nil {
			t.Errorf("a worker has kept arguments of %d bytes, which have the hashes %x, %v later; want %x, as when they came", size, got, err, want)
		}
		closed(t, ex)
	}
}

// What a function does to its argument, the caller does not see.
func TestArgumentThatAWorkerOverwritesStaysAsItIsHere(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	for _, size := range []int{1, 1 << 10, 100 << 10, 1<<20 - 1, 1 << 20, 1<<20 + 1, 5 << 20} {
		b := pattern(size, 3)
		before := hashOf(b)
		for range 2 { // the second would see what the first did
			if n, err := endOf(t, executor.Submit(t.Context(), ex, futSpoil, b)); n != size || err != nil {
				t.Fatalf("Result = %d, %v; want %d", n, err, size)
			}
			if got, err := endOf(t, executor.Submit(t.Context(), ex, remoteEcho, b)); hashOf(got) != before || err != nil {
				t.Errorf("a call after one that overwrote its argument of %d bytes got %x, %v; want %x", size, hashOf(got), err, before)
			}
		}
		if hashOf(b) != before {
			t.Errorf("the argument of %d bytes has changed here", size)
		}
	}
}

// Results are the caller's: later calls do not overwrite them, and what is done
// to one is seen nowhere else.
func TestResultsOfWorkersAreTheCallers(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	for _, size := range []int{1 << 10, 900 << 10, 2 << 20} {
		var got [][]byte
		for seed := range byte(10) {
			b, err := endOf(t, executor.Submit(t.Context(), ex, remoteEcho, pattern(size, seed)))
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, b)
			if seed == 4 {
				clear(got[0])
			}
		}
		for seed, b := range got[1:] {
			if want := pattern(size, byte(seed+1)); !slices.Equal(b, want) {
				t.Errorf("result %d of 10, of %d bytes, is another one at the end", seed+1, size)
			}
		}
	}
	big := pattern(3<<20, 1)
	all, err := executor.MapSlice(t.Context(), ex, remoteEcho, [][]byte{big, pattern(5, 2), pattern(2<<20, 3), nil, pattern(1<<20, 4)})
	if err != nil || len(all) != 5 || !slices.Equal(all[0], big) || !slices.Equal(all[1], pattern(5, 2)) || !slices.Equal(all[2], pattern(2<<20, 3)) || all[3] != nil || !slices.Equal(all[4], pattern(1<<20, 4)) {
		t.Errorf("MapSlice of 3 MiB, 5 bytes, 2 MiB, nil, and 1 MiB: %v, or other bytes than these", err)
	}
}

// shapes says what a worker has got of a value.
type shapes struct {
	Nil      bool
	Len, Cap int
	Hash     uint64
}

func futBytes(_ context.Context, b []byte) (shapes, error) {
	return shapes{b == nil, len(b), cap(b), hashOf(b)}, nil
}

func futText(_ context.Context, s string) (string, error) { return s, nil }

func futFloats(_ context.Context, v []float64) ([]float64, error) {
	if uintptr(unsafe.Pointer(unsafe.SliceData(v)))%unsafe.Alignof(float64(0)) != 0 {
		return nil, errors.New("the argument is not aligned")
	}
	return v, nil
}

func futInts(_ context.Context, v []int16) ([]int16, error) { return v, nil }

// assortment has what may be nil or empty inside of something else.
type assortment struct {
	Bytes  []byte
	Floats []float64
	Texts  []string
	Map    map[string]int
	Ptr    *int
	Nested [][]byte
}

func futShapes(_ context.Context, a assortment) (assortment, error) { return a, nil }

// Nil, empty and full slices, around the length from which memory is shared,
// come back as they went.
func TestRawValuesCrossAsTheyAre(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	const mib = 1 << 20
	backing := pattern(2*mib+16, 9)
	for name, b := range map[string][]byte{
		"nil": nil, "empty": {}, "a byte": {7}, "empty with room": make([]byte, 0, 100), "4 KiB": pattern(4<<10, 1), "64 KiB - 1": pattern(64<<10-1, 1), "64 KiB": pattern(64<<10, 1),
		"1 MiB - 1": pattern(mib-1, 2), "1 MiB": pattern(mib, 3), "1 MiB + 1": pattern(mib+1, 4), "an odd address": backing[3 : mib+8], "an odd end": backing[1 : 2*mib-2],
	} {
		got, err := endOf(t, executor.Submit(t.Context(), ex, futBytes, b))
		if err != nil || got.Nil != (b == nil) || got.Len != len(b) || got.Hash != hashOf(b) {
			t.Errorf("the worker got %+v, %v of %s; want %d bytes, nil: %t", got, err, name, len(b), b == nil)
		}
		if got.Cap > len(b)+64 {
			t.Errorf("the worker got %s with a capacity of %d; want no more than its length, behind which is the memory of other calls", name, got.Cap)
		}
		back, err := endOf(t, executor.Submit(t.Context(), ex, remoteEcho, b))
		if err != nil || (back == nil) != (b == nil) || !slices.Equal(back, b) {
			t.Errorf("%s came back as %d bytes, nil: %t, %v; want %d bytes, nil: %t", name, len(back), back == nil, err, len(b), b == nil)
		}
	}
	for _, n := range []int{0, 1, 100, mib - 1, mib, mib + 1} {
		s := string(pattern(n, 5))
		if back, err := endOf(t, executor.Submit(t.Context(), ex, futText, s)); back != s || err != nil {
			t.Errorf("a string of %d bytes came back as one of %d, %v, or another", n, len(back), err)
		}
	}
	special := []float64{0, math.Copysign(0, -1), math.Inf(1), math.NaN(), math.Float64frombits(0x7ff8dead00000001), math.SmallestNonzeroFloat64, math.MaxFloat64}
	for _, v := range [][]float64{nil, {}, special, make([]float64, mib/8-1), make([]float64, mib/8), make([]float64, mib/8+1)} {
		for i := range v {
			if v[i] == 0 && len(v) > 100 {
				v[i] = float64(i) / 3
			}
		}
		back, err := endOf(t, executor.Submit(t.Context(), ex, futFloats, v))
		same := slices.EqualFunc(back, v, func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) })
		if err != nil || !same || (back == nil) != (v == nil) {
			t.Errorf("%d floats, nil: %t, came back as %d, nil: %t, %v, or other bits", len(v), v == nil, len(back), back == nil, err)
		}
	}
	for _, n := range []int{-1, 0, 1, 3, mib/2 - 1, mib / 2, mib/2 + 1} {
		var v []int16
		if n >= 0 {
			v = make([]int16, n)
		}
		for i := range v {
			v[i] = int16(i * 31)
		}
		if back, err := endOf(t, executor.Submit(t.Context(), ex, futInts, v)); err != nil || !slices.Equal(back, v) || (back == nil) != (v == nil) {
			t.Errorf("%d int16, nil: %t, came back as %d, nil: %t, %v, or others", len(v), v == nil, len(back), back == nil, err)
		}
	}
	one := 1
	for name, a := range map[string]assortment{
		"nothing": {},
		"empty":   {[]byte{}, []float64{}, []string{}, map[string]int{}, new(int), [][]byte{}},
		"full":    {[]byte{1}, []float64{2}, []string{"", "a"}, map[string]int{"": 0, "b": 1}, &one, [][]byte{nil, {}, {3}}},
	} {
		if back, err := endOf(t, executor.Submit(t.Context(), ex, futShapes, a)); err != nil || !reflect.DeepEqual(back, a) {
			t.Errorf("%s in a struct came back as %#v, %v; want %#v", name, back, err, a)
		}
	}
}

// D5, D28: of an argument and of a result, an executor keeps nothing when the
// call is done, nor of one that was cancelled, whatever way they go.
func TestProcessesKeepNeitherArgumentNorResult(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, KillGrace: never})
	for _, size := range []int{1 << 10, 100 << 10, 2 << 20} {
		f, argument := submitBytes(t, ex, size)
		result := resultBytes(t, f)
		untilCollected(t, fmt.Sprintf("the argument of %d bytes of a call that is done", size), argument)
		runtime.KeepAlive(f)
		f = nil
		untilCollected(t, fmt.Sprintf("the result of %d bytes of a call that is done", size), result)

		dir := t.TempDir()
		running := do(ex, deed{Verb: "hold", Log: dir + "/log", ID: 1, Path: dir + "/gate"})
		awaitStart(t, dir+"/log", 1)
		queued, argument := submitBytes(t, ex, size)
		if !queued.Cancel() {
			t.Error("Cancel of a queued call = false; want true")
		}
		untilCollected(t, fmt.Sprintf("the argument of %d bytes of a call that was cancelled, while the worker is busy", size), argument)
		runtime.KeepAlive(queued)
		touch(t, dir+"/gate")
		mustTell(t, running)
	}
	dies, argument := submitBlock(t, ex)
	mustDie(t, dies)
	untilCollected(t, "the argument of a call whose worker has died", argument)
	runtime.KeepAlive(dies)
}

//go:noinline
func submitBytes(t *testing.T, ex executor.Executor, n int) (*executor.Future[[]byte], weak.Pointer[byte]) {
	b := make([]byte, n)
	return executor.Submit(t.Context(), ex, remoteEcho, b), weak.Make(&b[0])
}

//go:noinline
func resultBytes(t *testing.T, f *executor.Future[[]byte]) weak.Pointer[byte] {
	b, err := endOf(t, f)
	if err != nil || len(b) == 0 {
		t.Fatalf("Result = %d bytes, %v; want some", len(b), err)
	}
	return weak.Make(&b[0])
}

//go:noinline
func submitBlock(t *testing.T, ex executor.Executor) (*executor.Future[block], weak.Pointer[byte]) {
	b := block{Data: make([]byte, 100<<10), Exit: true}
	return executor.Submit(t.Context(), ex, futBlock, b), weak.Make(&b.Data[0])
}

// untilCollected waits until the garbage collector has found that nobody holds p.
func untilCollected(t *testing.T, what string, p weak.Pointer[byte]) {
	t.Helper()
	waitUntil(t, "the garbage collector takes "+what, func() bool {
		runtime.GC()
		return p.Value() == nil
	})
}

// block is an argument and a result that is not only memory.
type block struct {
	Data []byte
	Grow int // what comes back is so long
	Exit bool
	Sum  uint64
}

func futBlock(_ context.Context, b block) (block, error) {
	if b.Exit {
		os.Exit(1)
	}
	sum := hashOf(b.Data)
	if b.Grow > 0 {
		b.Data = make([]byte, b.Grow)
	}
	b.Sum = sum
	return b, nil
}

// WIRE-13, WIRE-20, D15 (loky: 2.2 GB): 64 MiB both ways; over the limit, the
// call fails, and the worker lives.
func TestLargeValuesCrossAndTooLargeOnesFailTheirCall(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	pid := pidOf(t, ex)
	large := pattern(64<<20, 1)
	if back, err := endOf(t, executor.Submit(t.Context(), ex, remoteEcho, large)); !slices.Equal(back, large) || err != nil {
		t.Errorf("64 MiB came back as %d bytes, %v, or others", len(back), err)
	}
	if back, err := endOf(t, executor.Submit(t.Context(), ex, futBlock, block{Data: large[:16<<20], Grow: 20 << 20})); len(back.Data) != 20<<20 || back.Sum != hashOf(large[:16<<20]) || err != nil {
		t.Errorf("16 MiB within a struct came back as %d bytes with the sum %x, %v; want 20 MiB and %x", len(back.Data), back.Sum, err, hashOf(large[:16<<20]))
	}
	large = nil
	const limit = 256 << 20
	tooLarge := make([]byte, limit+1)
	f := executor.Submit(t.Context(), ex, remoteEcho, tooLarge)
	if _, err := endOf(t, f); err == nil || !strings.Contains(err.Error(), "the argument of") || !strings.Contains(err.Error(), "remoteEcho") || !strings.Contains(err.Error(), "268435457 bytes") {
		t.Errorf("a call with an argument of 256 MiB and a byte: %v; want an error that names the function and the length", err)
	}
	tooLarge = nil
	if _, err := endOf(t, executor.Submit(t.Context(), ex, futEnds, limit+1)); err == nil || !strings.Contains(err.Error(), "the result of") || !strings.Contains(err.Error(), "futEnds") || !strings.Contains(err.Error(), "268435457 bytes") {
		t.Errorf("a call with a result of 256 MiB and a byte: %v; want an error that names the function and the length", err)
	}
	if after := pidOf(t, ex); after != pid || ex.Stats().Restarts != 0 {
		t.Errorf("the worker was %d and is %d, Stats = %+v; want the same worker", pid, after, ex.Stats())
	}
}

// futEnds returns so many bytes, which nobody has touched but for the ends.
func futEnds(_ context.Context, n int) ([]byte, error) {
	b := make([]byte, n)
	b[0], b[n-1] = 1, 2
	return b, nil
}

// WIRE-14, gh-105829: arguments and results fill both directions at once.
func TestBothDirectionsFullIsNoDeadlock(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	for _, size := range []int{60 << 10, 1<<20 - 1, 3 << 20} {
		data := pattern(size, 1)
		var submitters sync.WaitGroup
		for range 4 {
			submitters.Go(func() {
				var fs []*executor.Future[[]byte]
				for range 8 {
					fs = append(fs, executor.Submit(context.Background(), ex, remoteEcho, data))
				}
				for i, f := range fs {
					if b, err := f.Result(context.Background()); !slices.Equal(b, data) || err != nil {
						t.Errorf("call %d of %d bytes came back as %d, %v, or others", i, size, len(b), err)
					}
				}
			})
		}
		over := make(chan struct{})
		go func() { submitters.Wait(); close(over) }()
		select {
		case <-over:
		case <-time.After(2 * longEnough):
			t.Fatalf("32 calls with %d bytes both ways have not ended; Stats = %+v", size, ex.Stats())
		}
	}
}

// WIRE-18, gh-105829: a burst while callbacks hold everything up that they can.
func TestBurstOfCallsFromManyGoroutines(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	const goroutines, each = 8, 2500
	gate := newGate()
	first := executor.Submit(t.Context(), ex, thrice, 1)
	first.OnDone(func(*executor.Future[int]) { <-gate })
	defer gate.open()
	var sum atomic.Int64
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			var fs []*executor.Future[int]
			for i := range each {
				fs = append(fs, executor.Submit(context.Background(), ex, thrice, i))
			}
			for i, f := range fs {
				n, err := f.Result(context.Background())
				if n != 3*i || err != nil {
					t.Errorf("call %d = %d, %v; want %d", i, n, err, 3*i)
				}
				sum.Add(1)
			}
		})
	}
	over := make(chan struct{})
	go func() { all.Wait(); close(over) }()
	select {
	case <-over:
	case <-time.After(2 * longEnough):
		t.Fatalf("%d of %d calls have ended; Stats = %+v", sum.Load(), goroutines*each, ex.Stats())
	}
}

// Memory that a large argument or result has shared is given back.
func TestSharedMemoryIsGivenBack(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no memory is shared")
	}
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	before := sharedMemory(t)
	if b, err := endOf(t, executor.Submit(t.Context(), ex, remoteEcho, make([]byte, 64<<20))); len(b) != 64<<20 || err != nil {
		t.Fatalf("Result = %d bytes, %v", len(b), err)
	}
	const most = 24 << 20
	waitUntil(t, "64 MiB that were shared both ways are given back", func() bool { return sharedMemory(t) < before+most })
}

// sharedMemory returns how much memory this process shares with others, in bytes.
func sharedMemory(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "RssShmem:")
	var kb int
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		t.Fatalf("/proc/self/status has no RssShmem: %v", err)
	}
	return kb << 10
}

// hostile is what a worker does that is out of its mind.
type hostile struct {
	Frames []byte // written to its parent
	Noise  int    // bytes without a line's end, written to stdout
	Stay   bool   // it does not return
}

// resultsPipe is held, because an os.File that nobody holds is closed.
var resultsPipe *os.File

func futHostile(_ context.Context, h hostile) (int, error) {
	if h.Noise > 0 {
		_, err := os.Stdout.Write(make([]byte, h.Noise))
		return 5, err
	}
	resultsPipe = os.NewFile(4, "results")
	if _, err := resultsPipe.Write(h.Frames); err != nil {
		return 0, err
	}
	if h.Stay {
		select {}
	}
	return 5, nil
}

// WIRE-06, SEC-07, WIRE-02: a worker that sends what it cannot mean is ended; its
// call fails, and no other.
func TestWorkerThatSendsNonsenseIsReplaced(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the worker does not know the number of its pipe")
	}
	result := func(m wire.Result) []byte { return m.Append(nil) }
	for name, frames := range map[string][]byte{
		"unknown type":          {1, 0, 0, 0, 99},
		"type of a parent":      {1, 0, 0, 0, byte(wire.CallFrame)},
		"second hello":          {1, 0, 0, 0, byte(wire.HelloFrame)},
		"second ready":          {1, 0, 0, 0, byte(wire.ReadyFrame)},
		"length 0":              {0, 0, 0, 0, byte(wire.ResultFrame)},
		"length 4 GiB":          {0xff, 0xff, 0xff, 0xff, byte(wire.ResultFrame)},
		"length over the limit": append(binary.LittleEndian.AppendUint32(nil, wire.MaxFrame+1), byte(wire.ResultFrame)),
		"half a result":         {3, 0, 0, 0, byte(wire.ResultFrame), 0x80, 0x80},
		"unknown call":          result(wire.Result{Serial: 1 << 40, Slot: 1, Kind: 1}),
		"unknown slot":          result(wire.Result{Serial: 1, Slot: 9999, Kind: 1}),
		"call of before":        result(wire.Result{Serial: 1, Slot: 1, Kind: 1, Data: wire.Data{Bytes: make([]byte, 8)}}),
		"outside of shared":     append(result(wire.Result{Serial: 2, Slot: 2, Kind: 1, Data: wire.Data{Shared: true, Area: 1 << 40, Len: 8}}), 1, 0, 0, 0, 99),
		"overflow of shared":    append(result(wire.Result{Serial: 2, Slot: 2, Kind: 1, Data: wire.Data{Shared: true, Area: 1, Len: math.MaxUint64 - 3}}), 1, 0, 0, 0, 99),
		"text":                  []byte("Hello, world\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
			dir := t.TempDir()
			if n, err := endOf(t, executor.Submit(t.Context(), ex, thrice, 1)); n != 3 || err != nil {
				t.Fatalf("the first call = %d, %v; want 3", n, err)
			}
			bad := executor.Submit(t.Context(), ex, futHostile, hostile{Frames: frames, Stay: true})
			other := do(ex, deed{Verb: "hold", Log: dir + "/log", ID: 1, N: 4, Path: dir + "/gate"})
			awaitStart(t, dir+"/log", 1)
			n, err := endOf(t, bad)
			if err == nil {
				t.Errorf("the call of a worker that sends %v = %d, nil; want an error", frames, n)
			}
			waitUntil(t, "the worker is replaced", func() bool { return ex.Stats().Restarts == 1 })
			touch(t, dir+"/gate")
			if a := mustTell(t, other); a.N != 4 {
				t.Errorf("the call of another worker = %+v; want 4", a)
			}
			for i := range 20 {
				if n, err := endOf(t, executor.Submit(t.Context(), ex, thrice, i)); n != 3*i || err != nil {
					t.Errorf("call %d afterwards = %d, %v; want %d", i, n, err, 3*i)
				}
			}
		})
	}
}

// WIRE-06: a result that comes twice is no result of another call.
func TestResultThatComesTwiceIsTakenOnce(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the worker does not know the number of its pipe")
	}
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	early := wire.Result{Serial: 1, Slot: 1, Kind: 1, Data: wire.Data{Bytes: binary.NativeEndian.AppendUint64(nil, 77)}}
	f := executor.Submit(t.Context(), ex, futHostile, hostile{Frames: early.Append(nil)})
	var calls atomic.Int64
	f.OnDone(func(*executor.Future[int]) { calls.Add(1) })
	if n, err := endOf(t, f); n != 77 && n != 5 && err == nil {
		t.Errorf("a call with two results = %d, %v; want one of the two, 77 or 5, or an error", n, err)
	}
	for i := range 50 {
		n, err := endOf(t, executor.Submit(t.Context(), ex, thrice, i))
		if died := new(executor.WorkerDiedError); !(n == 3*i && err == nil) && !errors.As(err, &died) {
			t.Errorf("call %d afterwards = %d, %v; want %d, or that it died with the worker that sends results twice", i, n, err, 3*i)
		}
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("the callback was called %d times; want once", n)
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
	wantIdle(t, ex)
}

// SEC-07, PROC-25: what a worker prints, in whatever amount, does no harm.
func TestNoiseOfAWorkerDoesNoHarm(t *testing.T) {
	var w countingWriter
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, Stdout: &w})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const noise = 64 << 20
	if n, err := endOf(t, executor.Submit(t.Context(), ex, futHostile, hostile{Noise: noise})); n != 5 || err != nil {
		t.Errorf("a call that prints 64 MiB without a line's end = %d, %v; want 5", n, err)
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > noise/2 {
		t.Errorf("the heap has grown by %d bytes while a worker printed %d; want a bounded amount", grown, noise)
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
	if got := w.n.Load(); got != noise && got != noise+1 { // the end of the line is added
		t.Errorf("%d bytes of %d that a worker printed have arrived", got, noise)
	}
}

type countingWriter struct{ n atomic.Int64 }

func (w *countingWriter) Write(p []byte) (int, error) { w.n.Add(int64(len(p))); return len(p), nil }

// environ is what a worker sees of what it was given.
type environ struct {
	PID       int
	Env, Args []string
}

func futEnviron(_ context.Context, _ string) (environ, error) {
	return environ{os.Getpid(), os.Environ(), os.Args}, nil
}

// SEC-03, SEC-04: a worker has the environment that it was given; what is called
// with which argument is in neither that nor its command line.
func TestEnvironmentOfAWorkerIsTheOneThatItWasGiven(t *testing.T) {
	t.Setenv("FUTURES_TEST_INHERITED", "yes")
	for name, c := range map[string]struct {
		env  []string
		want func(got []string) bool
	}{
		"nil":   {nil, func(got []string) bool { return slices.Equal(got, os.Environ()) }},
		"empty": {[]string{}, func(got []string) bool { return len(got) == 0 }},
		"two":   {[]string{"A=1", "B=two words"}, func(got []string) bool { return slices.Equal(got, []string{"A=1", "B=two words"}) }},
		"mark":  {[]string{"FUTURES_WORKER=7 8 9", "A=1"}, func(got []string) bool { return slices.Equal(got, []string{"A=1"}) }},
	} {
		ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, Env: c.env})
		got, err := endOf(t, executor.Submit(t.Context(), ex, futEnviron, secret))
		if err != nil || !c.want(got.Env) {
			t.Errorf("with the Env %q (%s), a worker has %q, %v", c.env, name, got.Env, err)
		}
		if len(got.Args) != 1 {
			t.Errorf("a worker has the arguments %q; want its name only", got.Args)
		}
		if runtime.GOOS != "linux" {
			continue
		}
		for _, file := range []string{"cmdline", "environ"} {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", got.PID, file))
			if err != nil || strings.Contains(string(text), secret) || strings.Contains(string(text), "futEnviron") {
				t.Errorf("/proc/%d/%s has %q, %v; want neither an argument nor a function", got.PID, file, text, err)
			}
			if file == "environ" && c.env != nil {
				if n := len(strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")); n > len(c.env)+1 {
					t.Errorf("/proc/%d/environ has %q; want the Env %q, and one more that says that it is a worker", got.PID, text, c.env)
				}
			}
		}
		closed(t, ex)
	}
}

// isPair reports whether a socket, "socket:[123]", is half of a pair: it has no name by
// which somebody else could reach it, and does not listen.
func isPair(t *testing.T, pid int, socket string) bool {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/unix", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		const flags, inode = 3, 6
		if f := strings.Fields(line); len(f) > inode && socket == "socket:["+f[inode]+"]" {
			return len(f) == inode+1 && f[flags] == "00000000"
		}
	}
	return false
}

// SEC-01 (CVE-2022-42919): nobody listens while pools run.
func TestNobodyListensWhileProcessesRun(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it looks at /proc")
	}
	before := sockets(t, os.Getpid())
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	dir := t.TempDir()
	var fs []*executor.Future[told]
	for i := range 2 {
		fs = append(fs, do(ex, deed{Verb: "hold", Log: dir + "/log", ID: i, Path: dir + "/gate"}))
	}
	for i := range fs {
		pid := awaitStart(t, dir+"/log", i)
		for fd, name := range sockets(t, pid) {
			if fd > "2" && !isPair(t, pid, name) {
				t.Errorf("the worker has the socket %s as descriptor %s; want none but its half of a pair", name, fd)
			}
		}
	}
	for fd, name := range sockets(t, os.Getpid()) {
		if before[fd] != name && !isPair(t, os.Getpid(), name) {
			t.Errorf("this process has the socket %s as descriptor %s since it has workers; want none but halves of pairs", name, fd)
		}
	}
	touch(t, dir+"/gate")
	for _, f := range fs {
		mustTell(t, f)
	}
}

// sockets returns the sockets that a process has, by descriptor.
func sockets(t *testing.T, pid int) map[string]string {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && strings.HasPrefix(to, "socket:") {
			all[e.Name()] = to
		}
	}
	return all
}

// SEC-05: who sets the marker of a worker by hand gets an explanation.
func TestMarkerOfAWorkerByHandIsExplained(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"1", "", "x", "-1", "1 2 3", "99999999999999999999"} {
		cmd := exec.Command(self, "-test.run=^$")
		cmd.Env = append(os.Environ(), "FUTURES_WORKER="+value)
		out, err := cmd.CombinedOutput()
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || exit.ExitCode() != 2 || !strings.Contains(string(out), "FUTURES_WORKER") || !strings.Contains(string(out), "a parent process sets it, nobody else") {
			t.Errorf("this program with FUTURES_WORKER=%q: %v, and it says\n%s\nwant the exit code 2 and an explanation", value, err, out)
		}
	}
	if runtime.GOOS == "windows" {
		return // descriptors are not inherited by number
	}
	// Behind pipes that are none of a parent's, it ends and does nothing. What it
	// has to say about bytes that make no sense, it says with the code 2.
	for name, input := range map[string]string{"nothing": "", "garbage": "\x05\x00\x00\x00\x04abcd", "no config": strings.Repeat("\x01\x00\x00\x00\x01", 3)} {
		in, feed, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		results, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(self, "-test.run=^$")
		cmd.Env = append(os.Environ(), "FUTURES_WORKER=1")
		cmd.ExtraFiles = []*os.File{in, out}
		var text lockedBuffer
		cmd.Stdout, cmd.Stderr = &text, &text
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		in.Close()
		out.Close()
		_, _ = io.WriteString(feed, input)
		feed.Close()
		late := time.AfterFunc(longEnough, func() { _ = cmd.Process.Kill() })
		err = cmd.Wait()
		late.Stop()
		sent, _ := io.ReadAll(results)
		results.Close()
		code := cmd.ProcessState.ExitCode()
		if strings.Contains(text.String(), "PASS") || code == 0 || input != "" && code != 2 || input == "" && text.String() != "" || len(sent) > 0 {
			t.Errorf("this program as a worker whose parent sends %s: %v, it sends %q and says\n%s\nwant that it ends, and complains with the code 2 if its parent makes no sense", name, err, sent, text.String())
		}
	}
}
