package executor_test

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
)

func init() { executor.Register(futOrder) }

// The test is CPython's test_saturation.
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

// The test is CPython's test_idle_process_reuse_one.
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

// The test is loky's test_thread_safety.
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

// One worker starts calls in the order of Submit, whatever was sent ahead or
// cancelled.
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

// At quiescence the counters are those of the futures, whatever happened.
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

// A field that cannot be meant is an error of each call, which names it.
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
