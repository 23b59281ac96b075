package executor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
)

func init() {
	executor.Register(poolDouble)
	executor.Register(poolNap)
	executor.Register(poolExit)
	executor.Register(poolMirror)
	executor.RegisterInitializer(poolRefuse)
}

func poolDouble(_ context.Context, n int) (int, error) { return 2 * n, nil }

// poolNap does not end at the end of its ctx.
func poolNap(_ context.Context, d time.Duration) (int, error) {
	time.Sleep(d)
	return 0, nil
}

func poolExit(context.Context, int) (int, error) {
	os.Exit(9)
	return 0, nil
}

// poolMirror has an argument and a result that go through shared memory.
func poolMirror(_ context.Context, b []byte) ([]byte, error) { return b, nil }

var errPoolRefused = errors.New("refused")

func init() { executor.RegisterError("stress: refused", errPoolRefused) }

func poolRefuse(context.Context) error { return errPoolRefused }

// poolLives are the ways in which a pool may live and end. Each returns what
// went otherwise than it should.
var poolLives = []struct {
	name string
	live func(ex *executor.ProcessPoolExecutor) error
}{
	{"Close after some calls", func(ex *executor.ProcessPoolExecutor) error {
		_, err := executor.Gather(bg, poolCalls(ex, 10)...)
		return errors.Join(err, ex.Close())
	}},
	{"Close with calls that nobody looks at", func(ex *executor.ProcessPoolExecutor) error {
		poolCalls(ex, 10)
		return ex.Close()
	}},
	{"never used", func(ex *executor.ProcessPoolExecutor) error { return ex.Close() }},
	{"Shutdown with a ctx that has ended, calls wait and run", func(ex *executor.ProcessPoolExecutor) error {
		poolCalls(ex, 10)
		_ = ex.Shutdown(ended()) // it may say that calls have not ended
		return ex.Close()
	}},
	{"Shutdown with a ctx that has ended, workers start", func(ex *executor.ProcessPoolExecutor) error {
		executor.Submit(bg, ex, poolDouble, 1)
		_ = ex.Shutdown(ended())
		return ex.Close()
	}},
	{"Shutdown while calls run that do not end", func(ex *executor.ProcessPoolExecutor) error {
		f := executor.Submit(bg, ex, poolNap, time.Hour)
		executor.Submit(bg, ex, poolNap, time.Hour)
		executor.Submit(bg, ex, poolNap, time.Hour)
		running := comesTrue(stressPatience, func() bool { return f.State() == executor.Running })
		ctx, cancel := context.WithTimeout(bg, 5*time.Millisecond)
		defer cancel()
		_ = ex.Shutdown(ctx)
		_, err := f.Result(bg)
		return errors.Join(ex.Close(), poolWant(running && err != nil, "a call that does not end: running %v, then %v", running, err))
	}},
	{"its worker exits in a call", func(ex *executor.ProcessPoolExecutor) error {
		_, err := executor.Submit(bg, ex, poolExit, 0).Result(bg)
		died := new(executor.WorkerDiedError)
		_, then := executor.Gather(bg, poolCalls(ex, 3)...)
		return errors.Join(then, ex.Close(), poolWant(errors.As(err, &died), "a call that exits: %v; want a WorkerDiedError", err))
	}},
	{"its idle worker is killed", func(ex *executor.ProcessPoolExecutor) error {
		_, err := executor.Gather(bg, poolCalls(ex, 3)...)
		return errors.Join(err, poolKill(), ex.Close())
	}},
	{"its worker is killed, and another comes", func(ex *executor.ProcessPoolExecutor) error {
		_, err := executor.Gather(bg, poolCalls(ex, 3)...)
		err = errors.Join(err, poolKill())
		executor.Submit(bg, ex, poolDouble, 1) // may meet the dying worker
		_, then := executor.Submit(bg, ex, poolNap, 0).Result(bg)
		died := new(executor.WorkerDiedError)
		return errors.Join(err, ex.Close(), poolWant(then == nil || errors.As(then, &died), "a call after a kill: %v", then))
	}},
	{"broken by its Initializer", func(ex *executor.ProcessPoolExecutor) error {
		ex.Initializer = poolRefuse
		_, err := executor.Submit(bg, ex, poolDouble, 1).Result(bg)
		return errors.Join(ex.Close(), poolWant(errors.Is(err, executor.ErrBroken), "a call of a broken pool: %v; want ErrBroken", err))
	}},
	{"cancelled calls, some run", func(ex *executor.ProcessPoolExecutor) error {
		for _, f := range poolCalls(ex, 10) {
			f.Cancel()
		}
		return ex.Close()
	}},
	{"a call that does not end is cancelled", func(ex *executor.ProcessPoolExecutor) error {
		f := executor.Submit(bg, ex, poolNap, time.Hour)
		running := comesTrue(stressPatience, func() bool { return f.State() == executor.Running })
		wasWaiting := f.Cancel()
		_, err := f.Result(bg)
		return errors.Join(ex.Close(), poolWant(running && !wasWaiting && err != nil, "a call that does not end: running %v, Cancel %v, then %v", running, wasWaiting, err))
	}},
	{"a call reaches its deadline", func(ex *executor.ProcessPoolExecutor) error {
		ctx, cancel := context.WithTimeout(bg, 20*time.Millisecond)
		defer cancel()
		_, err := executor.Submit(ctx, ex, poolNap, time.Hour).Result(bg)
		return errors.Join(ex.Close(), poolWant(errors.Is(err, context.DeadlineExceeded), "a call after its deadline: %v", err))
	}},
	{"big arguments and results", func(ex *executor.ProcessPoolExecutor) error {
		in := bytes.Repeat([]byte("futures."), 1<<17+1)
		f, g := executor.Submit(bg, ex, poolMirror, in), executor.Submit(bg, ex, poolMirror, in)
		out, err := executor.Gather(bg, f, g)
		for _, b := range out {
			err = errors.Join(err, poolWant(bytes.Equal(b, in), "a big result of %d bytes is not its argument", len(b)))
		}
		return errors.Join(err, ex.Close())
	}},
	{"its worker is killed with big arguments on their way", func(ex *executor.ProcessPoolExecutor) error {
		_, err := executor.Submit(bg, ex, poolDouble, 1).Result(bg)
		f := executor.Submit(bg, ex, poolMirror, make([]byte, 3<<20))
		err = errors.Join(err, poolKill())
		_, then := f.Result(bg)
		died := new(executor.WorkerDiedError)
		return errors.Join(err, ex.Close(), poolWant(then == nil || errors.As(then, &died), "a big call whose worker may be killed: %v", then))
	}},
	{"a Map that is left", func(ex *executor.ProcessPoolExecutor) error {
		for _, err := range executor.Map(bg, ex, poolDouble, slices.Values(make([]int, 100)), executor.ChunkSize(5)) {
			return errors.Join(err, ex.Close())
		}
		return errors.New("a Map without results")
	}},
	{"MapSlice, workers that live for some items", func(ex *executor.ProcessPoolExecutor) error {
		ex.MaxTasksPerChild = 20
		_, err := executor.MapSlice(bg, ex, poolDouble, make([]int, 50), executor.ChunkSize(10))
		return errors.Join(err, ex.Close())
	}},
	{"under watch for its memory", func(ex *executor.ProcessPoolExecutor) error {
		ex.MemoryLimit = 1 << 30
		_, err := executor.Gather(bg, poolCalls(ex, 2)...)
		return errors.Join(err, ex.Close())
	}},
}

var bg = context.Background()

func poolCalls(ex *executor.ProcessPoolExecutor, n int) (fs []*executor.Future[int]) {
	for i := range n {
		fs = append(fs, executor.Submit(bg, ex, poolDouble, i))
	}
	return fs
}

func poolWant(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// poolMarker is in the environment of the workers of these pools.
const poolMarker = "FUTURES_STRESS_POOL"

// poolKill kills the workers of the pool. There is one pool at a time.
func poolKill() error {
	all, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	n := 0
	for _, e := range all {
		var pid int
		if _, err := fmt.Sscan(e.Name(), &pid); err == nil && wasStartedWith(pid, poolMarker+"=1") && signalChild(pid, syscall.SIGKILL) {
			n++
		}
	}
	return poolWant(n > 0, "there is no worker to kill")
}

// poolTraces is what pools may leave in this process.
type poolTraces struct {
	files      map[string]int // open ones, by what they are
	goroutines int
	threads    int
	children   int
	mappings   int // of memory
	shared     int // of them with a worker
}

func lookForTraces(t *testing.T) poolTraces {
	t.Helper()
	tr := poolTraces{files: make(map[string]int), goroutines: runtime.NumGoroutine(), children: len(ownChildren(t))}
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if to, err := os.Readlink("/proc/self/fd/" + n.Name()); err == nil && !strings.HasPrefix(to, "/proc/") { // else it is that of ReadDir
			kind, _, _ := strings.Cut(to, ":[") // a pipe is as good as another
			tr.files[kind]++
		}
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	tr.threads = len(threads)
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	tr.mappings, tr.shared = bytes.Count(maps, []byte("\n")), bytes.Count(maps, []byte("memfd:futures"))
	return tr
}

// grownFrom returns what there is more than there was.
func (tr poolTraces) grownFrom(before poolTraces) string {
	const (
		moreThreads  = 4  // the runtime keeps those that it had to start
		moreMappings = 12 // of the heap
	)
	var b strings.Builder
	for kind, n := range tr.files {
		if n > before.files[kind] {
			fmt.Fprintf(&b, "\n\tfiles %s: %d, before %d", kind, n, before.files[kind])
		}
	}
	for _, c := range []struct {
		what                string
		now, before, atMost int
	}{
		{"goroutines", tr.goroutines, before.goroutines, 0},
		{"threads", tr.threads, before.threads, moreThreads},
		{"children, dead or alive,", tr.children, before.children, 0},
		{"mappings", tr.mappings, before.mappings, moreMappings},
		{"mappings of shared memory", tr.shared, before.shared, 0},
	} {
		if c.now > c.before+c.atMost {
			fmt.Fprintf(&b, "\n\t%s: %d, before %d; allowed are %d more", c.what, c.now, c.before, c.atMost)
		}
	}
	return b.String()
}

func (tr poolTraces) String() string {
	return fmt.Sprintf("%d descriptors, %d goroutines, %d threads, %d children, %d mappings", tr.countFiles(), tr.goroutines, tr.threads, tr.children, tr.mappings)
}

func (tr poolTraces) countFiles() (n int) {
	for c := range maps.Values(tr.files) {
		n += c
	}
	return n
}

// Pools that live and end in every way leave nothing in their process.
func TestPoolsLeaveNothing(t *testing.T) {
	executortest.NeedsProcesses(t)
	live := func(i int) {
		way := poolLives[i%len(poolLives)]
		ex := &executor.ProcessPoolExecutor{
			MaxWorkers: 2, KillGrace: 10 * time.Millisecond, Stdout: io.Discard, Stderr: io.Discard,
			Env: append(os.Environ(), poolMarker+"=1"),
		}
		over := make(chan error, 1)
		go func() { over <- errors.Join(way.live(ex), ex.Close()) }()
		select {
		case err := <-over:
			if err != nil {
				t.Errorf("pool %d, %s: %v; stats %+v", i, way.name, err, ex.Stats())
			}
		case <-time.After(2 * stressPatience):
			t.Fatalf("pool %d, %s: it hangs; stats %+v", i, way.name, ex.Stats())
		}
	}
	begin := time.Now()
	for i := range poolLives { // so that the process has what it keeps
		live(i)
	}
	runtime.GC()
	before := lookForTraces(t)
	n := sized(len(poolLives), 300)
	for i := range n {
		live(i)
	}
	var after poolTraces
	if !comesTrue(stressPatience, func() bool {
		runtime.GC()
		after = lookForTraces(t)
		return after.grownFrom(before) == ""
	}) {
		t.Errorf("%d pools have left something:%s", n, after.grownFrom(before))
	}
	t.Logf("%d pools in %d ways: %v before, %v after; %.1f s", n, len(poolLives), before, after, time.Since(begin).Seconds())
}
