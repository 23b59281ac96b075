package parallel_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/parallel"
)

func init() { executor.Register(remember) }

// ofAllProcesses is whether Stats counts what worker processes do.
const ofAllProcesses = runtime.GOOS == "linux"

// memo is what a cached function is called with in a worker process. Only N is in
// the key.
type memo struct {
	N    int
	Dir  string `hash:"-"`
	Do   string `hash:"-"` // of remember
	Does string `hash:"-"` // of the cached function
	Log  string `hash:"-"` // gets a line when the function is called
	Gate string `hash:"-"` // a file that it waits for; "": none
	Size int    `hash:"-"` // of the result
}

// memories are the Memories of this process, which has one for each folder.
var memories struct {
	sync.Mutex
	byDir map[string]*remembering
}

type remembering struct {
	memory parallel.Memory
	cached *parallel.CachedFunc[memo, []int]
}

// memoryIn returns what this process has for a folder.
func memoryIn(dir string) (*remembering, error) {
	memories.Lock()
	defer memories.Unlock()
	if r := memories.byDir[dir]; r != nil {
		return r, nil
	}
	r := &remembering{memory: parallel.Memory{Dir: dir}}
	var err error
	if r.cached, err = parallel.NewCachedFunc(&r.memory, "numbers", "v1", numbers); err != nil {
		return nil, err
	}
	if memories.byDir == nil {
		memories.byDir = make(map[string]*remembering)
	}
	memories.byDir[dir] = r
	return r, nil
}

// numbers is the function that is cached. The result says how it was computed.
func numbers(_ context.Context, in memo) ([]int, error) {
	if in.Log != "" {
		if err := logStart(in.Log, in.N); err != nil {
			return nil, err
		}
	}
	if in.Gate != "" {
		holdUntil(in.Gate)
	}
	switch in.Does {
	case "die":
		die()
	case "nap":
		time.Sleep(3 * time.Millisecond)
	case "fail":
		return nil, errBoom
	}
	return numbersOf(in.N, in.Size), nil
}

// numbersOf returns the result for n.
func numbersOf(n, size int) []int {
	out := make([]int, size+1)
	for i := range out {
		out[i] = n + i
	}
	return out
}

// die is SIGKILL: nothing is cleaned up.
func die() {
	p, err := os.FindProcess(os.Getpid())
	if err == nil {
		_ = p.Kill()
	}
	select {}
}

// remember calls the cached function.
func remember(ctx context.Context, in memo) ([]int, error) {
	r, err := memoryIn(in.Dir)
	if err != nil {
		return nil, err
	}
	switch in.Do {
	case "call and exit":
		_, _ = r.cached.Call(ctx, in)
		os.Exit(7)
	case "refresh and exit":
		_, _ = r.cached.Refresh(ctx, in)
		os.Exit(7)
	case "call and die soon":
		go func() {
			time.Sleep(time.Duration(in.N) * 150 * time.Microsecond)
			die()
		}()
		_, _ = r.cached.Refresh(ctx, in)
		return r.cached.Call(ctx, in)
	case "refresh":
		return r.cached.Refresh(ctx, in)
	case "sync":
		r.memory.Sync()
		if s := r.memory.Stats(); s.Damaged+s.Unkept != 0 {
			return nil, fmt.Errorf("in the worker process, Stats() = %+v", s)
		}
		return nil, nil
	}
	return r.cached.Call(ctx, in)
}

// workers returns a pool of processes.
func workers(t *testing.T, n int) *executor.ProcessPoolExecutor {
	t.Helper()
	executortest.NeedsProcesses(t)
	ex := &executor.ProcessPoolExecutor{MaxWorkers: n, Stderr: t.Output()}
	t.Cleanup(func() { ex.Close() })
	return ex
}

// here returns a function of this process with a Memory of its own on a folder.
func here(t *testing.T, dir string) (*parallel.CachedFunc[memo, []int], *parallel.Memory) {
	m := &parallel.Memory{Dir: dir}
	return newCached(t, m, "numbers", "v1", numbers), m
}

func TestProcessesComputeEachResultOnce(t *testing.T) {
	dir, log := inDir(t, "cache"), inDir(t, "log")
	ex := workers(t, 4)
	c, m := here(t, dir)
	const identical, keys = 12, 25
	var in []memo
	for range identical {
		in = append(in, memo{N: -1, Dir: dir, Does: "nap", Log: log, Size: 10})
	}
	for round := range 3 {
		for n := range keys {
			in = append(in, memo{N: (n + 7*round) % keys, Dir: dir, Does: "nap", Log: log, Size: 100 * n})
		}
	}
	for i := range in {
		in[i].Size = 100 * (in[i].N + 1) // the same for a key
	}
	var fs []*executor.Future[[]int]
	for _, x := range in {
		fs = append(fs, executor.Submit(t.Context(), ex, remember, x))
	}
	for _, x := range in { // this process is one more
		if got, err := c.Call(t.Context(), x); err != nil || !slices.Equal(got, numbersOf(x.N, x.Size)) {
			t.Errorf("f(%d) here = %d numbers, %v; want %d", x.N, len(got), err, x.Size+1)
		}
	}
	for i, f := range fs {
		if got, err := inTime(t, "a call", func() ([]int, error) { return f.Result(t.Context()) }); err != nil || !slices.Equal(got, numbersOf(in[i].N, in[i].Size)) {
			t.Errorf("f(%d) = %d numbers, %v; want %d", in[i].N, len(got), err, in[i].Size+1)
		}
	}
	count := make(map[string]int)
	for _, n := range starts(t, log) {
		count[n]++
	}
	for n := -1; n < keys; n++ {
		if got := count[fmt.Sprint(n)]; got != 1 {
			t.Errorf("f(%d) was computed %d times by all processes; want once", n, got)
		}
	}
	calls, computed := int64(2*len(in)), int64(keys+1)
	if s := m.Stats(); ofAllProcesses && (s.Hits != calls-computed || s.Misses != computed) || s.Damaged+s.Unkept != 0 {
		t.Errorf("Stats() = %+v; want %d calls, %d of them misses, and nothing wrong", s, calls, computed)
	}
}

func TestReadersOfALargeResultSeeItWholeWhileItIsWritten(t *testing.T) {
	dir := inDir(t, "cache")
	ex := workers(t, 4)
	c, m := here(t, dir)
	in := memo{N: 5, Dir: dir, Size: 100_000}
	want := numbersOf(5, in.Size)
	var fs []*executor.Future[[]int]
	for i := range 12 {
		x := in
		if i%3 == 0 {
			x.Do = "refresh"
		}
		fs = append(fs, executor.Submit(t.Context(), ex, remember, x))
	}
	for range 10 {
		if got, err := c.Call(t.Context(), in); err != nil || !slices.Equal(got, want) {
			t.Errorf("here are %d numbers, %v; want %d", len(got), err, len(want))
		}
	}
	for _, f := range fs {
		if got, err := f.Result(t.Context()); err != nil || !slices.Equal(got, want) {
			t.Errorf("in a worker process are %d numbers, %v; want %d", len(got), err, len(want))
		}
	}
	var syncs []*executor.Future[[]int]
	for range 8 {
		syncs = append(syncs, executor.Submit(t.Context(), ex, remember, memo{Dir: dir, Do: "sync"}))
	}
	if _, err := executor.Gather(t.Context(), syncs...); err != nil {
		t.Error(err)
	}
	if s := m.Stats(); s.Damaged+s.Unkept != 0 {
		t.Errorf("Stats() here = %+v; want nothing to be wrong", s)
	}
}

// mustHaveDied checks that a call has ended its process.
func mustHaveDied(t *testing.T, f *executor.Future[[]int]) *executor.WorkerDiedError {
	t.Helper()
	_, err := inTime(t, "a call that ends its process", func() ([]int, error) { return f.Result(t.Context()) })
	died, ok := errors.AsType[*executor.WorkerDiedError](err)
	if !ok {
		t.Fatalf("the call returned %v; want a WorkerDiedError", err)
	}
	return died
}

// A process that dies while it computes takes its lock with it.
func TestWhoWaitsForAProcessThatIsKilledComputesItself(t *testing.T) {
	dir, log, gate := inDir(t, "cache"), inDir(t, "log"), inDir(t, "gate")
	ex := workers(t, 3)
	c, m := here(t, dir)
	first := executor.Submit(t.Context(), ex, remember, memo{N: 7, Dir: dir, Does: "die", Log: log, Gate: gate, Size: 3})
	for len(starts(t, log)) == 0 {
		time.Sleep(time.Millisecond)
	}
	// From here on, a call that did not wait would wait for the gate itself, and log a
	// second start before the gate is there.
	var others []*executor.Future[[]int]
	for range 2 {
		others = append(others, executor.Submit(t.Context(), ex, remember, memo{N: 7, Dir: dir, Log: log, Gate: gate, Size: 3}))
	}
	soon, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := c.Call(soon, memo{N: 7, Log: log, Gate: gate, Size: 3}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call that waits for another process = %v; want %v when its ctx ends", err, context.DeadlineExceeded)
	}
	if _, err := c.Refresh(soon, memo{N: 7, Log: log, Gate: gate, Size: 3}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Refresh that waits for another process = %v; want %v when its ctx ends", err, context.DeadlineExceeded)
	}
	if n := len(starts(t, log)); n != 1 {
		t.Errorf("%d calls were made while the first ran; want the others to wait", n)
	}
	touch(t, gate)
	mustHaveDied(t, first)
	for _, f := range others {
		if got, err := inTime(t, "who waited", func() ([]int, error) { return f.Result(t.Context()) }); err != nil || !slices.Equal(got, numbersOf(7, 3)) {
			t.Errorf("who waited got %v, %v; want %v", got, err, numbersOf(7, 3))
		}
	}
	if n := len(starts(t, log)); n != 2 {
		t.Errorf("%d calls were made; want that of the process that died, and one for all others", n)
	}
	if got, err := c.Call(t.Context(), memo{N: 7, Log: log}); err != nil || !slices.Equal(got, numbersOf(7, 3)) {
		t.Errorf("f(7) here = %v, %v; want what another process has left", got, err)
	}
	if s := m.Stats(); ofAllProcesses && (s.Hits != 2 || s.Misses != 2) || s.Hits < 1 {
		t.Errorf("Stats() = %+v; want the call that died and one more to be misses, and two hits", s)
	}
}

// A result is there for all as soon as its call returns, also if the process ends then.
func TestAProcessThatExitsAtOnceHasNotLostItsResult(t *testing.T) {
	dir, log := inDir(t, "cache"), inDir(t, "log")
	ex := workers(t, 2)
	c, m := here(t, dir)
	var fs []*executor.Future[[]int]
	const n = 8
	for i := range n {
		fs = append(fs, executor.Submit(t.Context(), ex, remember, memo{N: i, Dir: dir, Do: "call and exit", Log: log, Size: 1000 * i}))
	}
	for i, f := range fs {
		if died := mustHaveDied(t, f); died.ExitCode != 7 {
			t.Errorf("process %d: %v; want it to exit with 7", i, died)
		}
		if !c.Contains(memo{N: i}) {
			t.Errorf("Contains(%d) = false when the process has exited", i)
		}
		if got, err := c.Call(t.Context(), memo{N: i, Log: log}); err != nil || !slices.Equal(got, numbersOf(i, 1000*i)) {
			t.Errorf("f(%d) = %d numbers, %v; want those of the process that exited", i, len(got), err)
		}
	}
	if s := m.Stats(); s.Hits != n || ofAllProcesses && s.Misses != n || len(starts(t, log)) != n {
		t.Errorf("Stats() = %+v, %d calls; want %d hits, and as many calls by the others", s, len(starts(t, log)), n)
	}
}

// The same if there was a result before.
func TestAProcessThatExitsAtOnceHasReplacedTheResult(t *testing.T) {
	dir := inDir(t, "cache")
	ex := workers(t, 2)
	c, m := here(t, dir)
	const n = 6
	for i := range n {
		if _, err := c.Call(t.Context(), memo{N: i, Size: 1}); err != nil {
			t.Fatal(err)
		}
	}
	m.Sync()
	whole, _ := entries(t, dir)
	damage(t, whole[0])
	for i := range n {
		mustHaveDied(t, executor.Submit(t.Context(), ex, remember, memo{N: i, Dir: dir, Do: "refresh and exit", Size: 2}))
		if got, err := c.Call(t.Context(), memo{N: i}); err != nil || !slices.Equal(got, numbersOf(i, 2)) {
			t.Errorf("f(%d) = %v, %v; want what the process that exited has computed", i, got, err)
		}
	}
	if s := m.Stats(); s.Damaged != 0 || s.Hits != n {
		t.Errorf("Stats() = %+v; want %d hits", s, n)
	}
}

// Whenever it is killed, what it leaves is whole or replaced.
func TestAProcessThatIsKilledWhileItWritesHarmsNobody(t *testing.T) {
	logged := logging(t)
	dir := inDir(t, "cache")
	ex := workers(t, 2)
	c, m := here(t, dir)
	const n, size = 10, 300_000
	var fs []*executor.Future[[]int]
	for i := range n {
		fs = append(fs, executor.Submit(t.Context(), ex, remember, memo{N: i, Dir: dir, Do: "call and die soon", Size: size}))
	}
	for i, f := range fs {
		_, err := inTime(t, "a call that is killed", func() ([]int, error) { return f.Result(t.Context()) })
		if _, hasDied := errors.AsType[*executor.WorkerDiedError](err); err != nil && !hasDied {
			t.Errorf("a process that is killed: %v", err)
		}
		for range 2 {
			if got, err := c.Call(t.Context(), memo{N: i, Size: size}); err != nil || !slices.Equal(got, numbersOf(i, size)) {
				t.Errorf("f(%d) = %d numbers, %v; want %d", i, len(got), err, size+1)
			}
		}
	}
	m.Sync()
	if s := m.Stats(); s.Hits+s.Misses < 2*n || s.Hits < n || s.Damaged+s.Unkept != 0 || len(logged.all()) != 0 {
		t.Errorf("Stats() = %+v, logged %q; want %d calls at least, %d of them hits, and nothing wrong", s, logged.all(), 2*n, n)
	}
}

// Between processes: a caller that waits for a call that fails makes its own.
func TestAnErrorInAnotherProcessIsNotShared(t *testing.T) {
	dir, log, gate := inDir(t, "cache"), inDir(t, "log"), inDir(t, "gate")
	ex := workers(t, 1)
	c, _ := here(t, dir)
	first := executor.Submit(t.Context(), ex, remember, memo{N: 1, Dir: dir, Does: "fail", Log: log, Gate: gate})
	for len(starts(t, log)) == 0 {
		time.Sleep(time.Millisecond)
	}
	go func() { _ = os.WriteFile(gate, nil, 0o600) }()
	if got, err := c.Call(t.Context(), memo{N: 1, Log: log}); err != nil || !slices.Equal(got, numbersOf(1, 0)) {
		t.Errorf("f(1) here = %v, %v; want its own result", got, err)
	}
	if _, err := first.Result(t.Context()); !errors.Is(err, errBoom) {
		t.Errorf("f(1) in the worker process = %v; want boom", err)
	}
	if got := strings.Join(starts(t, log), " "); got != "1 1" {
		t.Errorf("calls of %s were made; want 1 and 1", got)
	}
}
