package parallel_test

import (
	"context"
	"testing"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/parallel"
)

func init() {
	executor.Register(remembered)
	executor.Register(rememberedBelow)
	executor.Register(statsThere)
}

// limited is a cached function of this process on a folder, with MaxItems.
func limited(dir string) (*parallel.CachedFunc[memo, []int], *parallel.Memory, error) {
	memories.Lock()
	defer memories.Unlock()
	if r := limitedIn[dir]; r != nil {
		return r.cached, &r.memory, nil
	}
	r := &remembering{memory: parallel.Memory{Dir: dir, MaxItems: 5}}
	var err error
	r.cached, err = parallel.NewCachedFunc(&r.memory, "limited", "v1", numbers)
	limitedIn[dir] = r
	return r.cached, &r.memory, err
}

var limitedIn = map[string]*remembering{} // guarded by memories

// remembered calls the cached function with a limit.
func remembered(ctx context.Context, in memo) ([]int, error) {
	c, m, err := limited(in.Dir)
	if err != nil {
		return nil, err
	}
	defer m.Sync()
	return c.Call(ctx, in)
}

// rememberedBelow does so in a worker process of its own.
func rememberedBelow(ctx context.Context, in memo) ([]int, error) {
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1}
	defer ex.Close()
	return executor.Submit(ctx, ex, remembered, in).Result(ctx)
}

// statsThere returns what the Memory of a worker process counts.
func statsThere(_ context.Context, dir string) (parallel.MemoryStats, error) {
	_, m, err := limited(dir)
	return m.Stats(), err
}

// Stats counts what is done in worker processes, and in theirs.
func TestStatsCountsWhatWorkerProcessesDo(t *testing.T) {
	if !ofAllProcesses {
		t.Skip("here each process counts for itself")
	}
	logging(t)
	dir := inDir(t, "cache")
	c, m, err := limited(dir)
	if err != nil {
		t.Fatal(err)
	}
	ex := workers(t, 1)
	call := func(fn executor.Func[memo, []int], in memo) {
		t.Helper()
		in.Dir = dir
		if _, err := inTime(t, "a call", func() ([]int, error) { return executor.Submit(t.Context(), ex, fn, in).Result(t.Context()) }); err != nil && in.Does == "" {
			t.Errorf("f(%d) = %v", in.N, err)
		}
	}
	call(remembered, memo{N: 1})
	call(remembered, memo{N: 1})
	call(remembered, memo{N: 2, Does: "fail"})
	call(remembered, memo{N: 3, Does: "die"})
	call(remembered, memo{N: 1}) // by the process that has replaced the dead one
	if _, err := c.Call(t.Context(), memo{N: 1}); err != nil {
		t.Error(err)
	}
	want := parallel.MemoryStats{Hits: 3, Misses: 3}
	check := func(what string, s, want parallel.MemoryStats) {
		t.Helper()
		if s.Saved == 0 != (want.Hits == 0) {
			t.Errorf("%s: Saved is %v, with %d hits", what, s.Saved, s.Hits)
		}
		if s.Saved = 0; s != want {
			t.Errorf("%s: Stats() = %+v; want %+v", what, s, want)
		}
	}
	check("of the Memory", m.Stats(), want)
	check("of the function", c.Stats(), want)
	for n := range 10 {
		call(rememberedBelow, memo{N: 10 + n})
	}
	want.Misses += 10
	check("of the function, with a process below", c.Stats(), want)
	want.Evicted = 6 // 11 were kept, at most 5 are, one by one
	check("of the Memory, with limits", m.Stats(), want)
	there, err := executor.Submit(t.Context(), ex, statsThere, dir).Result(t.Context())
	check("in the worker process", there, parallel.MemoryStats{Hits: 1}) // of the second one
	if err != nil {
		t.Error(err)
	}
	whole, _ := entries(t, dir)
	damage(t, whole[0])
	for n := range 10 { // those that are kept first
		call(remembered, memo{N: 19 - n})
	}
	if s := m.Stats(); s.Damaged != 1 {
		t.Errorf("Damaged is %d; want what a worker process has found", s.Damaged)
	}
}

// What was counted before a function was wrapped is not its.
func TestStatsBeginWhenAFunctionIsWrapped(t *testing.T) {
	dir := inDir(t, "cache")
	first, _ := here(t, dir)
	ex := workers(t, 1)
	for n := range 3 {
		if _, err := executor.Submit(t.Context(), ex, remember, memo{N: n, Dir: dir}).Result(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	second, m := here(t, dir)
	if s := m.Stats(); s != (parallel.MemoryStats{}) {
		t.Errorf("Stats() of another Memory = %+v; want zeros", s)
	}
	if _, err := executor.Submit(t.Context(), ex, remember, memo{N: 1, Dir: dir}).Result(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := second.Stats(); ofAllProcesses && (s.Hits != 1 || s.Misses != 0) {
		t.Errorf("Stats() of the second = %+v; want a hit", s)
	}
	if s := first.Stats(); ofAllProcesses && (s.Hits != 1 || s.Misses != 3) {
		t.Errorf("Stats() of the first = %+v; want a hit and 3 misses", s)
	}
	other := newCached(t, &parallel.Memory{Dir: dir}, "numbers", "v2", numbers)
	elsewhere := newCached(t, &parallel.Memory{Dir: t.TempDir()}, "numbers", "v1", numbers)
	if _, err := executor.Submit(t.Context(), ex, remember, memo{N: 1, Dir: dir}).Result(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]parallel.MemoryStats{"another version": other.Stats(), "another folder": elsewhere.Stats()} {
		if s != (parallel.MemoryStats{}) {
			t.Errorf("Stats() of %s = %+v; want zeros", name, s)
		}
	}
}
