package executor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
)

func init() {
	executor.Register(shutNest)
	executor.Register(shutNap)
	executor.RegisterInitializer(shutInitFails)
}

// shutNap sleeps for so long, or until its ctx ends.
func shutNap(ctx context.Context, d time.Duration) (int, error) {
	select {
	case <-time.After(d):
		return 1, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

var errShut = errors.New("no license")

func shutInitFails(context.Context) error { return errShut }

// nestOrder tells shutNest how deep to go.
type nestOrder struct {
	Depth int
	Log   string // each process adds its number
	Busy  bool   // the last one computes for ever, else it waits for ever
}

// shutNest makes a pool in its process, and that one in its own, and so on. The
// last call does not return, nor listen.
func shutNest(ctx context.Context, o nestOrder) (int, error) {
	if err := logStart(o.Log, o.Depth); err != nil {
		return 0, err
	}
	if o.Depth == 0 {
		for n := 0; o.Busy; n++ {
		}
		select {}
	}
	o.Depth--
	inner := &executor.ProcessPoolExecutor{MaxWorkers: 1}
	return executor.Submit(context.Background(), inner, shutNest, o).Result(context.Background())
}

// closed waits for Close, so long that only a hang takes longer.
func closed(t *testing.T, ex interface{ Close() error }) {
	t.Helper()
	over := make(chan error, 1)
	go func() { over <- ex.Close() }()
	select {
	case err := <-over:
		if err != nil {
			t.Errorf("Close = %v; want nil", err)
		}
	case <-time.After(longEnough):
		buf := make([]byte, 1<<20)
		t.Fatalf("Close has not returned after %v\n%s", longEnough, buf[:runtime.Stack(buf, true)])
	}
}

// wantIdle checks that an executor that has closed has nothing left.
func wantIdle(t *testing.T, ex *executor.ProcessPoolExecutor) {
	t.Helper()
	if s := ex.Stats(); s.Queued != 0 || s.Running != 0 || s.Workers != 0 || s.Submitted != s.Succeeded+s.Failed+s.Cancelled {
		t.Errorf("Stats after Close = %+v; want nothing queued, running or working, and a sum that adds up", s)
	}
}

// CPython's executor could hang here, with a call that was cancelled right
// after its submission (gh-94440), and with one that was not (bpo-12456).
func TestCloseOfProcessesRightAfterSubmit(t *testing.T) {
	executortest.NeedsProcesses(t)
	for round := range 15 {
		ex := &executor.ProcessPoolExecutor{MaxWorkers: 2}
		var fs []*executor.Future[int]
		for i := range ex.MaxWorkers + 1 {
			fs = append(fs, executor.Submit(t.Context(), ex, thrice, i))
		}
		last := executor.Submit(t.Context(), ex, thrice, 9)
		isCancelled := last.Cancel()
		closed(t, ex)
		for i, f := range fs {
			if n, err := f.Result(ended()); n != 3*i || err != nil {
				t.Errorf("round %d: call %d after Close = %d, %v; want %d, nil", round, i, n, err, 3*i)
			}
		}
		if n, err := last.Result(ended()); isCancelled != errors.Is(err, executor.ErrCancelled) || !isCancelled && n != 27 {
			t.Errorf("round %d: a call whose Cancel was %t = %d, %v", round, isCancelled, n, err)
		}
		wantIdle(t, ex)
	}
}

// CPython's executor hung at this moment (bpo-39104).
func TestCloseOfProcessesWhileAnArgumentFailsToEncode(t *testing.T) {
	executortest.NeedsProcesses(t)
	for range 5 {
		ex := &executor.ProcessPoolExecutor{MaxWorkers: 2}
		f := executor.Submit(t.Context(), ex, regMarshals, picky{"encode: error"})
		g := executor.Submit(t.Context(), ex, regMarshals, picky{"fine"})
		closed(t, ex)
		if _, err := f.Result(ended()); !errors.Is(err, errPicky) {
			t.Errorf("a call whose argument cannot be encoded: %v; want the error of its marshaler", err)
		}
		if got, err := g.Result(ended()); got.how != "fine" || err != nil {
			t.Errorf("the call after it = %v, %v; want its argument", got, err)
		}
		wantIdle(t, ex)
	}
}

// The test is CPython's test_shutdown_deadlock.
func TestCloseOfProcessesWaitsForACallWhoseWorkerDies(t *testing.T) {
	executortest.NeedsProcesses(t)
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2, Stderr: io.Discard}
	dir := t.TempDir()
	running := executor.Submit(t.Context(), ex, doDeed, deed{Verb: "hold", Log: dir + "/log", ID: 1, Path: dir + "/gate"})
	awaitStart(t, dir+"/log", 1)
	over := make(chan error, 1)
	dies := executor.Submit(t.Context(), ex, shutExit, dir+"/exit")
	queued := executor.Submit(t.Context(), ex, thrice, 3)
	go func() { over <- ex.Close() }()
	waitUntil(t, "the executor takes no more calls", func() bool {
		_, err := executor.Submit(t.Context(), ex, thrice, 1).Result(ended())
		return errors.Is(err, executor.ErrShutdown)
	})
	touch(t, dir+"/exit")
	if died := mustDie(t, dies); died.ExitCode != 5 {
		t.Errorf("a call that ends its process while the executor closes: %v; want exit code 5", died)
	}
	if n, err := endOf(t, queued); n != 9 || err != nil {
		t.Errorf("a call that was queued when the executor closed = %d, %v; want 9, nil", n, err)
	}
	select {
	case <-over:
		t.Error("Close has returned while a call runs")
	default:
	}
	touch(t, dir+"/gate")
	if err := <-over; err != nil || !isDone(running) {
		t.Errorf("Close = %v, and the last call is %v; want nil when it has ended", err, running)
	}
	wantIdle(t, ex)
}

func init() { executor.Register(shutExit) }

// shutExit ends its process when there is that file.
func shutExit(_ context.Context, path string) (int, error) {
	holdUntil(path)
	os.Exit(5)
	return 0, nil
}

func TestCloseOfUnusedProcessesStartsNone(t *testing.T) {
	ex := new(executor.ProcessPoolExecutor)
	closed(t, ex)
	closed(t, ex)
	if err := ex.Shutdown(ended()); err != nil {
		t.Errorf("Shutdown = %v; want nil", err)
	}
	if s := ex.Stats(); s != (executor.Stats{}) {
		t.Errorf("Stats = %+v; want that no process was started", s)
	}
	if _, err := executor.Submit(t.Context(), ex, thrice, 1).Result(ended()); !errors.Is(err, executor.ErrShutdown) {
		t.Errorf("a call after Close: %v; want ErrShutdown", err)
	}
	if err := ex.Shutdown(nilCtx); err == nil {
		t.Error("Shutdown with a nil ctx = nil; want an error")
	}
}

// Close and Shutdown return, and so does a call that a callback submits.
func TestCloseOfBrokenProcesses(t *testing.T) {
	executortest.NeedsProcesses(t)
	for name, end := range map[string]func(*executor.ProcessPoolExecutor) error{
		"Close":    (*executor.ProcessPoolExecutor).Close,
		"Shutdown": func(ex *executor.ProcessPoolExecutor) error { return ex.Shutdown(ended()) },
	} {
		ex := &executor.ProcessPoolExecutor{MaxWorkers: 2, Initializer: shutInitFails, Stderr: io.Discard}
		f := executor.Submit(t.Context(), ex, thrice, 1)
		again := make(chan error, 1)
		f.OnDone(func(*executor.Future[int]) {
			_, err := executor.Submit(t.Context(), ex, thrice, 2).Result(t.Context())
			again <- err
		})
		if _, err := endOf(t, f); !errors.Is(err, executor.ErrBroken) || !errors.Is(err, errShut) && !strings.Contains(err.Error(), errShut.Error()) {
			t.Errorf("a call of an executor whose Initializer fails: %v; want ErrBroken, and the error of the Initializer", err)
		}
		select {
		case err := <-again:
			if !errors.Is(err, executor.ErrBroken) {
				t.Errorf("a call from a callback of a broken executor: %v; want ErrBroken", err)
			}
		case <-time.After(longEnough):
			t.Fatal("a call from a callback of a broken executor has not ended")
		}
		if err := end(ex); err != nil {
			t.Errorf("%s of a broken executor = %v; want nil", name, err)
		}
		closed(t, ex)
		if _, err := executor.Submit(t.Context(), ex, thrice, 1).Result(ended()); !errors.Is(err, executor.ErrShutdown) && !errors.Is(err, executor.ErrBroken) {
			t.Errorf("a call after %s: %v; want ErrShutdown or ErrBroken", name, err)
		}
		wantIdle(t, ex)
	}
}

// A call that never returns is ended KillGrace after ctx.
func TestShutdownEndsWorkersWhoseCallsDoNotReturn(t *testing.T) {
	executortest.NeedsProcesses(t)
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2, KillGrace: 20 * time.Millisecond, Stderr: io.Discard}
	log := inDir(t, "log")
	var fs []*executor.Future[told]
	for i, verb := range []string{"hold", "busy"} {
		fs = append(fs, executor.Submit(t.Context(), ex, doDeed, deed{Verb: verb, Log: log, ID: i, Path: log + ".never", N: -1}))
	}
	for i := range fs {
		awaitStart(t, log, i)
	}
	queued := executor.Submit(t.Context(), ex, thrice, 1)
	ctx, cancel := context.WithCancelCause(t.Context())
	over := make(chan error, 1)
	go func() { over <- ex.Shutdown(ctx) }()
	waitUntil(t, "the executor takes no more calls", func() bool {
		_, err := executor.Submit(t.Context(), ex, thrice, 1).Result(ended())
		return errors.Is(err, executor.ErrShutdown)
	})
	if isDone(queued) || isDone(fs[0]) || len(over) > 0 {
		t.Error("Shutdown has ended something before its ctx has; want it to wait")
	}
	cancel(errors.New("closing time"))
	select {
	case err := <-over:
		if err != nil && (!errors.Is(err, executor.ErrPending) || !errors.Is(err, context.Canceled)) {
			t.Errorf("Shutdown = %v; want nil, or an error that matches ErrPending and that of its ctx", err)
		}
	case <-time.After(longEnough):
		t.Fatal("Shutdown has not returned though its ctx has ended")
	}
	closed(t, ex)
	for i, f := range fs {
		died := mustDie(t, f)
		if !errors.Is(died, executor.ErrShutdown) || died.PID == 0 {
			t.Errorf("call %d, which does not return: %v; want a death that matches ErrShutdown", i, died)
		}
	}
	if _, err := queued.Result(ended()); !errors.Is(err, executor.ErrCancelled) {
		t.Errorf("a queued call: %v; want ErrCancelled", err)
	}
	wantIdle(t, ex)
}

// Shutdown comes at another moment of the start in each round.
func TestShutdownWhileProcessesStart(t *testing.T) {
	executortest.NeedsProcesses(t)
	for round := range 10 {
		ex := &executor.ProcessPoolExecutor{MaxWorkers: 3, KillGrace: 20 * time.Millisecond}
		var fs []*executor.Future[int]
		for range 5 {
			fs = append(fs, executor.Submit(t.Context(), ex, shutNap, time.Hour))
		}
		time.Sleep(time.Duration(round) * 2 * time.Millisecond) // not to wait: for another moment of the start
		_ = ex.Shutdown(ended())
		closed(t, ex)
		for i, f := range fs {
			if _, err := f.Result(ended()); err == nil || errors.Is(err, executor.ErrPending) {
				t.Errorf("round %d: call %d after Shutdown: %v; want that it was cancelled or ended", round, i, err)
			}
		}
		wantIdle(t, ex)
	}
}

// Pools in pools end with the outer one.
func TestShutdownEndsPoolsWithinPools(t *testing.T) {
	executortest.NeedsProcesses(t)
	if runtime.GOOS != "linux" {
		t.Skip("it looks at /proc")
	}
	for _, busy := range []bool{false, true} {
		ex := &executor.ProcessPoolExecutor{MaxWorkers: 1, KillGrace: 20 * time.Millisecond, Stderr: io.Discard}
		log := inDir(t, "log")
		f := executor.Submit(t.Context(), ex, shutNest, nestOrder{3, log, busy})
		awaitStart(t, log, 0)
		_ = ex.Shutdown(ended())
		mustDie(t, f)
		closed(t, ex)
		pids := map[int]int{}
		for depth, all := range startsIn(t, log) {
			if len(all) != 1 {
				t.Errorf("the call %d pools from the last has started in the processes %v; want once", depth, all)
			}
			pids[all[0]] = depth
		}
		if len(pids) != 4 || pids[os.Getpid()] != 0 {
			t.Errorf("the calls have run in the processes (by depth) %v; want 4 of them, without this one", pids)
		}
		for pid, depth := range pids {
			waitUntil(t, fmt.Sprintf("process %d, %d pools from the last, has ended (busy: %t)", pid, depth, busy), func() bool { return !isRunningProcess(pid) })
		}
	}
}

// isRunningProcess reports whether there is such a process that has not ended.
func isRunningProcess(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

// Shutdown whose ctx ends tells what is left, and a second one waits.
func TestShutdownOfProcessesSaysWhatIsLeft(t *testing.T) {
	executortest.NeedsProcesses(t)
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1, KillGrace: never}
	dir := t.TempDir()
	f := executor.Submit(t.Context(), ex, doDeed, deed{Verb: "hold", Log: dir + "/log", ID: 1, N: 4, Path: dir + "/gate"})
	awaitStart(t, dir+"/log", 1)
	for range 3 {
		if err := ex.Shutdown(ended()); !errors.Is(err, executor.ErrPending) || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "1 calls have not ended") {
			t.Errorf("Shutdown while a call runs = %v; want that 1 call has not ended, matching ErrPending and the error of ctx", err)
		}
	}
	touch(t, dir+"/gate")
	if err := ex.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown when the call has returned = %v; want nil", err)
	}
	if a, err := f.Result(ended()); a.N != 4 || err != nil {
		t.Errorf("a call that outlasts Shutdown = %+v, %v; want what it returned", a, err)
	}
	wantIdle(t, ex)
}

func TestShutdownEndsTenThousandCallsOfProcesses(t *testing.T) {
	executortest.NeedsProcesses(t)
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2, KillGrace: never}
	fs := make([]*executor.Future[int], 10_000)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range fs {
		if i%2 == 0 {
			fs[i] = executor.Submit(ctx, ex, shutNap, time.Hour)
		} else {
			fs[i] = executor.Submit(t.Context(), ex, shutNap, time.Hour)
		}
	}
	waitUntil(t, "2 calls run", func() bool { return ex.Stats().Running == 2 })
	if err := ex.Shutdown(ended()); err != nil && !errors.Is(err, executor.ErrPending) {
		t.Errorf("Shutdown = %v; want nil or ErrPending", err)
	}
	closed(t, ex)
	count := map[executor.State]int{}
	for i, f := range fs {
		if count[f.State()]++; !isDone(f) {
			t.Fatalf("call %d after Close: %v; want it done", i, f)
		}
	}
	if count[executor.Finished] != 2 || count[executor.Cancelled] != len(fs)-2 {
		t.Errorf("after Shutdown %v; want 2 calls that ran finished, the others cancelled", count)
	}
	wantIdle(t, ex)
}

func TestCloseOfProcessesDuringAMapThatIsNotReadOn(t *testing.T) {
	executortest.NeedsProcesses(t)
	for name, opts := range map[string][]executor.MapOption{"": nil, "Unordered": {executor.Unordered()}, "ChunkSize(2)": {executor.ChunkSize(2)}, "Buffer(1)": {executor.Buffer(1)}} {
		ex := &executor.ProcessPoolExecutor{MaxWorkers: 2}
		endless := func(yield func(int) bool) {
			for i := 0; yield(i); i++ {
			}
		}
		next, stop := iter.Pull2(executor.Map(t.Context(), ex, thrice, endless, opts...))
		if n, err, ok := next(); n%3 != 0 || err != nil || !ok {
			t.Errorf("%s: the first result = %d, %v, %t; want one that was tripled", name, n, err, ok)
		}
		closed(t, ex)
		var last error
		for _, err, ok := next(); ok; _, err, ok = next() {
			last = err
		}
		if !errors.Is(last, executor.ErrShutdown) {
			t.Errorf("%s: the last error of an endless Map = %v; want ErrShutdown", name, last)
		}
		stop()
		wantIdle(t, ex)
	}
}

// Shutdown ends a MapSlice, which does not pass for a whole one.
func TestShutdownDuringAMapSliceOnProcesses(t *testing.T) {
	executortest.NeedsProcesses(t)
	for name, opts := range map[string][]executor.MapOption{"guided": nil, "ChunkSize(3)": {executor.ChunkSize(3)}} {
		ex := &executor.ProcessPoolExecutor{MaxWorkers: 2, KillGrace: never}
		log := inDir(t, "log")
		items := make([]mapItem, 100)
		for i := range items {
			items[i] = mapItem{N: i, Does: "heed", Log: log}
		}
		type outcome struct {
			out []int
			err error
		}
		over := make(chan outcome, 1)
		go func() {
			out, err := executor.MapSlice(t.Context(), ex, mapMake, items, opts...)
			over <- outcome{out, err}
		}()
		waitUntil(t, "2 items run", func() bool { return len(startsIn(t, log)) == 2 })
		_ = ex.Shutdown(ended())
		closed(t, ex)
		select {
		case o := <-over:
			if o.out != nil || o.err == nil {
				t.Errorf("%s: MapSlice that Shutdown ended = %v, %v; want nothing and an error", name, o.out, o.err)
			}
		case <-time.After(longEnough):
			t.Fatalf("%s: MapSlice has not returned though its executor has closed", name)
		}
		for id, pids := range startsIn(t, log) {
			if len(pids) > 1 {
				t.Errorf("%s: item %d has started in %v; want once", name, id, pids)
			}
		}
		wantIdle(t, ex)
	}
}

// No order of Submit and Close loses a call, makes one twice, or panics, with a
// QueueLimit or without.
func TestSubmitRacingWithCloseOfProcesses(t *testing.T) {
	executortest.NeedsProcesses(t)
	const rounds, submitters = 12, 6
	for round := range rounds {
		ex := &executor.ProcessPoolExecutor{MaxWorkers: 2, KillGrace: never, QueueLimit: round % 3}
		var submitted, succeeded, refused, cancelled, failed atomic.Int64
		var all sync.WaitGroup
		begun := make(chan struct{}, submitters*10_000)
		for range submitters {
			all.Go(func() {
				for i := range 10_000 {
					f := executor.Submit(context.Background(), ex, thrice, i)
					submitted.Add(1)
					if i%3 == 0 {
						f.Cancel()
					}
					n, err := f.Result(context.Background())
					begun <- struct{}{}
					switch {
					case err == nil && n == 3*i:
						succeeded.Add(1)
					case errors.Is(err, executor.ErrShutdown):
						refused.Add(1)
						return
					case errors.Is(err, executor.ErrCancelled):
						cancelled.Add(1)
					default:
						failed.Add(1)
						t.Errorf("round %d: Result of call %d = %d, %v; want %d, ErrCancelled or ErrShutdown", round, i, n, err, 3*i)
					}
				}
			})
		}
		for range 1 + 40*round {
			<-begun
		}
		if round%2 == 0 {
			closed(t, ex)
		} else {
			_ = ex.Shutdown(ended())
			closed(t, ex)
		}
		after := ex.Stats()
		all.Wait()
		if s := ex.Stats(); s != after {
			t.Errorf("round %d: after Close, the Stats %+v became %+v", round, after, s)
		}
		if int64(after.Succeeded) != succeeded.Load() || int64(after.Submitted) < succeeded.Load()+cancelled.Load() || after.Failed != 0 {
			t.Errorf("round %d: Stats = %+v; want them to agree with %d succeeded, %d cancelled, %d refused of %d", round, after, succeeded.Load(), cancelled.Load(), refused.Load(), submitted.Load())
		}
		wantIdle(t, ex)
	}
}

// Close is called from many goroutines, and from a callback.
func TestCloseOfProcessesFromEverywhere(t *testing.T) {
	executortest.NeedsProcesses(t)
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2}
	var fs []*executor.Future[int]
	for i := range 200 {
		fs = append(fs, executor.Submit(t.Context(), ex, thrice, i))
	}
	fromCallback := make(chan error, 1)
	fs[10].OnDone(func(*executor.Future[int]) { fromCallback <- ex.Close() })
	var closers sync.WaitGroup
	for range 4 {
		closers.Go(func() {
			if err := ex.Close(); err != nil {
				t.Errorf("Close = %v; want nil", err)
			}
			for i, f := range fs {
				if !isDone(f) {
					t.Errorf("call %d is %v when Close has returned; want it done", i, f)
				}
			}
		})
	}
	closers.Wait()
	select {
	case err := <-fromCallback:
		if err != nil {
			t.Errorf("Close from a callback = %v; want nil", err)
		}
	case <-time.After(longEnough):
		t.Fatal("Close from a callback has not returned")
	}
	wantIdle(t, ex)
}

// A Submit that waits for room is let go by Close, by the end of its ctx, and
// by a death.
func TestSubmitThatWaitsForRoomIsLetGo(t *testing.T) {
	for name, c := range map[string]struct {
		let  func(ex *executor.ProcessPoolExecutor, gate string, cancel context.CancelFunc, running *executor.Future[told])
		want func(err error) bool
	}{
		"by a result": {func(_ *executor.ProcessPoolExecutor, gate string, _ context.CancelFunc, _ *executor.Future[told]) {
			_ = os.WriteFile(gate, nil, 0o600)
		}, func(err error) bool { return err == nil }},
		"by its ctx": {func(_ *executor.ProcessPoolExecutor, _ string, cancel context.CancelFunc, _ *executor.Future[told]) {
			cancel()
		},
			func(err error) bool { return errors.Is(err, executor.ErrCancelled) && errors.Is(err, context.Canceled) }},
		"by Close": {func(ex *executor.ProcessPoolExecutor, gate string, _ context.CancelFunc, _ *executor.Future[told]) {
			go ex.Close()
		}, func(err error) bool { return errors.Is(err, executor.ErrShutdown) }},
		"by Shutdown": {func(ex *executor.ProcessPoolExecutor, gate string, _ context.CancelFunc, _ *executor.Future[told]) {
			go ex.Shutdown(ended())
		}, func(err error) bool {
			return errors.Is(err, executor.ErrShutdown) || errors.Is(err, executor.ErrCancelled)
		}},
		"by a death": {func(_ *executor.ProcessPoolExecutor, gate string, _ context.CancelFunc, running *executor.Future[told]) {
			running.Cancel()
		}, func(err error) bool { return err == nil }},
	} {
		t.Run(name, func(t *testing.T) {
			ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, QueueLimit: 1, KillGrace: 20 * time.Millisecond})
			dir := t.TempDir()
			running := executor.Submit(t.Context(), ex, doDeed, deed{Verb: "hold", Log: dir + "/log", ID: 1, Path: dir + "/gate"})
			awaitStart(t, dir+"/log", 1)
			queued := executor.Submit(t.Context(), ex, thrice, 2)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			returned := make(chan *executor.Future[int], 1)
			go func() { returned <- executor.Submit(ctx, ex, thrice, 3) }()
			waitUntil(t, "the call is there", func() bool { return ex.Stats().Submitted == 3 })
			for range 20 {
				if runtime.Gosched(); len(returned) > 0 {
					t.Fatal("Submit has returned though the queue is full")
				}
			}
			c.let(ex, dir+"/gate", cancel, running)
			select {
			case f := <-returned:
				touch(t, dir+"/gate")
				if n, err := endOf(t, f); !c.want(err) || err == nil && n != 9 {
					t.Errorf("Result of a call that waited for room, and was let go %s = %d, %v", name, n, err)
				}
			case <-time.After(longEnough):
				t.Fatalf("Submit has not returned, though it should be let go %s", name)
			}
			endOf(t, running)
			endOf(t, queued)
		})
	}
}

// A worker that is stopped cannot hold Close up for ever: Shutdown kills it
// KillGrace after its ctx has ended.
func TestShutdownEndsAWorkerThatIsStopped(t *testing.T) {
	executortest.NeedsProcesses(t)
	t.Parallel() // it waits most of its time
	if runtime.GOOS != "linux" {
		t.Skip("it looks at /proc")
	}
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1, KillGrace: 20 * time.Millisecond, Stderr: io.Discard}
	log := inDir(t, "log")
	f := executor.Submit(t.Context(), ex, doDeed, deed{Verb: "heed", Log: log, ID: 1})
	pid := awaitStart(t, log, 1)
	p, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(syscall.Signal(19)); err != nil { // SIGSTOP
		t.Fatal(err)
	}
	waitUntil(t, "the worker is stopped", func() bool {
		stat, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		return strings.Contains(string(stat), ") T")
	})
	_ = ex.Shutdown(ended())
	if died := mustDie(t, f); !errors.Is(died, executor.ErrShutdown) {
		t.Errorf("the call of a worker that is stopped: %v; want a death that matches ErrShutdown", died)
	}
	closed(t, ex)
	wantIdle(t, ex)
}

// A pool is closed while results are still on their way: each is there.
func TestCloseOfProcessesKeepsResultsThatAreLarge(t *testing.T) {
	executortest.NeedsProcesses(t)
	for range 3 {
		ex := &executor.ProcessPoolExecutor{MaxWorkers: 2}
		block := make([]byte, 3<<20)
		for i := range block {
			block[i] = byte(i * 7)
		}
		var fs []*executor.Future[[]byte]
		for range 8 {
			fs = append(fs, executor.Submit(t.Context(), ex, remoteEcho, block))
		}
		closed(t, ex)
		for i, f := range fs {
			if b, err := f.Result(ended()); !slices.Equal(b, block) || err != nil {
				t.Errorf("call %d after Close = %d bytes, %v; want the %d of its argument", i, len(b), err, len(block))
			}
		}
	}
}
