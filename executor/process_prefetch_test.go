package executor_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
)

// newUnfetched returns a pool with NoPrefetch that knows how little the calls take:
// without NoPrefetch, it would send the next ones ahead.
func newUnfetched(t *testing.T, ex *executor.ProcessPoolExecutor) *executor.ProcessPoolExecutor {
	t.Helper()
	ex.NoPrefetch = true
	newProcesses(t, ex)
	for range 30 {
		mustTell(t, do(ex, deed{Verb: "tell"}))
	}
	return ex
}

func TestCallsBehindALongOneStayInTheParentWithNoPrefetch(t *testing.T) {
	ex := newUnfetched(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	log, gate := inDir(t, "log"), inDir(t, "gate")
	long := do(ex, deed{Verb: "hold", Log: log, ID: 1, Path: gate})
	queued := make([]*executor.Future[told], 5)
	for i := range queued {
		queued[i] = do(ex, deed{Verb: "tell", N: i, Log: log, ID: 2 + i})
	}
	if _, sent, waiting := executor.SentAndWaiting(ex); sent != 1 || waiting != 5 {
		t.Errorf("one long call and 5 behind it: %d are sent and %d wait in the parent; want 1, 5", sent, waiting)
	}
	pid := awaitStart(t, log, 1)
	if s := ex.Stats(); s.Running != 1 || s.Queued != 5 {
		t.Errorf("Stats has %d running and %d queued; want 1, 5", s.Running, s.Queued)
	}
	for i, f := range queued {
		if f.State() != executor.Pending {
			t.Errorf("call %d of those behind the long one is %v; want pending", i, f.State())
		}
	}

	killWorker(t, pid)
	mustDie(t, long)
	for i, f := range queued {
		if a := mustTell(t, f); a.N != i || a.PID == pid {
			t.Errorf("call %d behind the one that lost its worker %d: result %d of process %d; want %d of another", i, pid, a.N, a.PID, i)
		}
		if starts := startsIn(t, log)[2+i]; len(starts) != 1 {
			t.Errorf("call %d has started %d times; want once", i, len(starts))
		}
	}
	if s := ex.Stats(); s.Failed != 1 || s.Restarts != 1 {
		t.Errorf("after one worker was killed: %d calls failed, %d restarts; want 1, 1", s.Failed, s.Restarts)
	}
}

func killWorker(t *testing.T, pid int) {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		t.Fatalf("kill worker %d: %v", pid, err)
	}
}

func TestQueuedCallIsMadeByTheWorkerThatIsFreeFirstWithNoPrefetch(t *testing.T) {
	ex := newUnfetched(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	log, gates := inDir(t, "log"), [2]string{inDir(t, "gate"), inDir(t, "gate")}
	var pids [2]int
	var long [2]*executor.Future[told]
	for i, gate := range gates {
		long[i] = do(ex, deed{Verb: "hold", Log: log, ID: i, Path: gate})
		pids[i] = awaitStart(t, log, i)
	}
	for _, free := range []int{1, 0} { // of which one is the worker that it would have been sent to
		queued := do(ex, deed{Verb: "tell"})
		if _, sent, waiting := executor.SentAndWaiting(ex); sent != 2 || waiting != 1 {
			t.Fatalf("two long calls and one more: %d are sent and %d wait; want 2, 1", sent, waiting)
		}
		touch(t, gates[free])
		if a := mustTell(t, queued); a.PID != pids[free] {
			t.Errorf("the queued call ran in process %d; want %d, which was free first", a.PID, pids[free])
		}
		mustTell(t, long[free])
		if other := long[1-free]; other.State() != executor.Running {
			t.Errorf("the other long call is %v; want running", other.State())
		}
		gates[free] = inDir(t, "gate") // held again, for the next turn
		long[free] = do(ex, deed{Verb: "hold", Log: log, ID: 2 + free, Path: gates[free]})
		awaitStart(t, log, 2+free)
	}
	for i, gate := range gates {
		touch(t, gate)
		mustTell(t, long[i])
	}
}

func TestTinyCallsAreOutOneByOneWithNoPrefetch(t *testing.T) {
	const n = 2000
	ex := newUnfetched(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	fs := make([]*executor.Future[told], n)
	mostOfOne, mostOfAll := 0, 0
	for i := range fs {
		fs[i] = do(ex, deed{Verb: "tell", N: i})
		one, all, _ := executor.SentAndWaiting(ex)
		mostOfOne, mostOfAll = max(mostOfOne, one), max(mostOfAll, all)
	}
	if mostOfOne != 1 || mostOfAll > 2 {
		t.Errorf("2 workers: up to %d calls were out at one and %d at all; want 1, at most 2", mostOfOne, mostOfAll)
	}
	for i, f := range fs {
		if a := mustTell(t, f); a.N != i {
			t.Fatalf("the result of call %d is %d", i, a.N)
		}
	}
	if s := ex.Stats(); s.Succeeded != n+30 || s.Queued != 0 || s.Running != 0 || s.Restarts != 0 {
		t.Errorf("after %d calls, Stats = %+v; want all of them succeeded, and no restart", n+30, s)
	}
}

// Without NoPrefetch, a worker that dies may take the results of the tiny calls
// before with it.
func TestWorkerTakesOneCallWithItHoweverShortWithNoPrefetch(t *testing.T) {
	ex := newUnfetched(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	for round := range 8 {
		fs := make([]*executor.Future[told], 40)
		for i := range fs {
			verb := "tell"
			if i%20 == 10 {
				verb = "exit"
			}
			fs[i] = do(ex, deed{Verb: verb, N: i})
		}
		for i, f := range fs {
			if i%20 == 10 {
				mustDie(t, f)
			} else if a, err := resultOf(t, f); err != nil || a.N != i {
				t.Fatalf("round %d: tiny call %d beside some that exit: Result = %d, %v; want %d, nil", round, i, a.N, err, i)
			}
		}
	}
}

func TestQueuedCallIsCancelledWithNoPrefetch(t *testing.T) {
	ex := newUnfetched(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	log, gate := inDir(t, "log"), inDir(t, "gate")
	long := do(ex, deed{Verb: "hold", Log: log, ID: 1, Path: gate})
	queued, last := do(ex, deed{Verb: "tell", Log: log, ID: 2}), do(ex, deed{Verb: "tell", Log: log, ID: 3})
	if !queued.Cancel() {
		t.Fatalf("Cancel of a queued call = false, in the state %v; want true", queued.State())
	}
	if _, err := queued.Result(context.Background()); !errors.Is(err, executor.ErrCancelled) {
		t.Errorf("its Result = %v; want ErrCancelled", err)
	}
	if _, sent, waiting := executor.SentAndWaiting(ex); sent != 1 || waiting != 1 {
		t.Errorf("after Cancel of one of 2 calls that waited: %d are sent and %d wait; want 1, 1", sent, waiting)
	}
	touch(t, gate)
	mustTell(t, long)
	mustTell(t, last)
	if starts := startsIn(t, log)[2]; len(starts) > 0 {
		t.Errorf("the cancelled call has started in %v", starts)
	}
}

func TestQueueLimitCountsAllThatWaitWithNoPrefetch(t *testing.T) {
	ex := newUnfetched(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, QueueLimit: 1})
	gate := inDir(t, "gate")
	long := do(ex, deed{Verb: "hold", Path: gate})
	queued := do(ex, deed{Verb: "tell"})

	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	late := executor.Submit(ctx, ex, doDeed, deed{Verb: "tell"})
	if ctx.Err() == nil {
		t.Error("QueueLimit 1, one call runs and one waits: Submit has returned before its ctx has ended")
	}
	if _, err := resultOf(t, late); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the call for which there was no room: Result = %v; want context.DeadlineExceeded", err)
	}
	touch(t, gate)
	mustTell(t, long)
	mustTell(t, queued)
}

func TestMapsSendOneChunkAtATimeWithNoPrefetch(t *testing.T) {
	ctx := context.Background()
	in := make([]deed, 3000)
	for i := range in {
		in[i] = deed{Verb: "tell", N: i}
	}
	for name, makeAll := range map[string]func(executor.Executor) ([]told, error){
		"Map": func(ex executor.Executor) ([]told, error) {
			return executor.Collect(executor.Map(ctx, ex, doDeed, slices.Values(in)))
		},
		"Map with ChunkSize and Buffer": func(ex executor.Executor) ([]told, error) {
			return executor.Collect(executor.Map(ctx, ex, doDeed, slices.Values(in), executor.ChunkSize(3), executor.Buffer(300)))
		},
		"MapSlice": func(ex executor.Executor) ([]told, error) {
			return executor.MapSlice(ctx, ex, doDeed, in)
		},
		"MapSlice with ChunkSize": func(ex executor.Executor) ([]told, error) {
			return executor.MapSlice(ctx, ex, doDeed, in, executor.ChunkSize(2))
		},
	} {
		t.Run(name, func(t *testing.T) {
			ex := newUnfetched(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
			stop := watchSent(ex)
			out, err := makeAll(ex)
			if most := stop(); most > 1 {
				t.Errorf("a worker had %d chunks; want at most one", most)
			}
			if err != nil || len(out) != len(in) {
				t.Fatalf("%d results, %v; want %d, nil", len(out), err, len(in))
			}
			for i, a := range out {
				if a.N != i {
					t.Fatalf("result %d is %d", i, a.N)
				}
			}
		})
	}
}

// watchSent looks, until stop is called, how many calls a worker has at most.
func watchSent(ex *executor.ProcessPoolExecutor) (stop func() (most int)) {
	var isOver atomic.Bool
	result := make(chan int)
	go func() {
		most := 0
		for !isOver.Load() {
			one, _, _ := executor.SentAndWaiting(ex)
			most = max(most, one)
			time.Sleep(20 * time.Microsecond)
		}
		result <- most
	}()
	return func() int {
		isOver.Store(true)
		return <-result
	}
}

func TestMaxTasksPerChildAndRetriesHoldWithNoPrefetch(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, MaxTasksPerChild: 3, Retries: 1, NoPrefetch: true})
	fs := make([]*executor.Future[told], 12)
	for i := range fs {
		fs[i] = do(ex, deed{Verb: "tell", N: i})
	}
	var pids []int
	for i, f := range fs {
		a := mustTell(t, f)
		if a.N != i {
			t.Errorf("the result of call %d is %d", i, a.N)
		}
		pids = append(pids, a.PID)
	}
	if got := runs(pids); !slices.Equal(got, []int{3, 3, 3, 3}) {
		t.Errorf("12 calls, MaxTasksPerChild 3: %v at a time in a process; want 3, 3, 3, 3", got)
	}

	log := inDir(t, "log")
	bad, good := do(ex, deed{Verb: "exit", Log: log, ID: 1, N: 5}), do(ex, deed{Verb: "tell", Log: log, ID: 2})
	if died := mustDie(t, bad); died.Attempts != 2 || died.ExitCode != 5 {
		t.Errorf("a call that exits, Retries 1: %d attempts, exit code %d; want 2, 5", died.Attempts, died.ExitCode)
	}
	mustTell(t, good)
	if starts := startsIn(t, log); len(starts[1]) != 2 || len(starts[2]) != 1 {
		t.Errorf("the call that exits has started %d times, and the one behind it %d times; want 2, 1", len(starts[1]), len(starts[2]))
	}
}
