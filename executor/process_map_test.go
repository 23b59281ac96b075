package executor_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
)

func init() {
	executor.Register(mapMake)
	executor.Register(mapBare)
	executor.Register(mapSum)
}

// mapItem is an item of a map over processes.
type mapItem struct {
	N    int
	Does string // "": returns 10*N
	Log  string // gets a line when it starts; "": none
	Gate string // a file that "hold" waits for
}

// mapMake makes an item.
func mapMake(ctx context.Context, m mapItem) (int, error) {
	if m.Log != "" {
		if err := logStart(m.Log, m.N); err != nil {
			return 0, err
		}
	}
	switch m.Does {
	case "fail":
		return m.N, fmt.Errorf("item %d: %w", m.N, errRemote)
	case "fail after hold":
		holdUntil(m.Gate)
		return m.N, fmt.Errorf("item %d: %w", m.N, errRemote)
	case "panic after hold":
		holdUntil(m.Gate)
		panic(fmt.Sprint("item ", m.N))
	case "panic":
		panic(fmt.Sprint("item ", m.N))
	case "goexit":
		runtime.Goexit()
	case "exit":
		os.Exit(40 + m.N)
	case "hold":
		holdUntil(m.Gate)
	case "heed":
		<-ctx.Done()
		return 0, context.Cause(ctx)
	case "hang":
		select {}
	case "slow":
		keepBusy(time.Millisecond)
	}
	return 10 * m.N, nil
}

// mapBare has an argument and a result of a fixed size, which go without a
// length: it fails, panics, and so on by the last digit.
func mapBare(ctx context.Context, n int) (int, error) {
	does := map[int]string{1: "fail", 2: "panic", 3: "goexit"}[n%10]
	return mapMake(ctx, mapItem{N: n, Does: does})
}

// mapSum has an argument that is memory, and so may not be aligned in a chunk.
func mapSum(_ context.Context, in []float64) ([]float64, error) {
	if in == nil {
		return nil, nil
	}
	out := make([]float64, 0, len(in)+1)
	sum := 0.0
	for _, v := range in {
		sum += v
		out = append(out, sum)
	}
	return out, nil
}

// itemsOf returns items that do so.
func itemsOf(does ...string) []mapItem {
	items := make([]mapItem, len(does))
	for i, does := range does {
		items[i] = mapItem{N: i, Does: does}
	}
	return items
}

// saw is what a loop over a map sees of an item.
func saw(n int, err error) string {
	switch died, isDeath := errors.AsType[*executor.WorkerDiedError](err); {
	case err == nil:
		return fmt.Sprint(n)
	case isDeath:
		return fmt.Sprint("died of ", died.ExitCode)
	case errors.Is(err, errRemote):
		return "failed: " + err.Error()
	case errors.Is(err, executor.ErrGoexit):
		return "goexit"
	}
	if p, ok := errors.AsType[*executor.PanicError](err); ok {
		return fmt.Sprint("panic: ", p.Value)
	}
	return fmt.Sprintf("%T %v", err, err)
}

func sawAll(seq func(func(int, error) bool)) (all []string) {
	for n, err := range seq {
		all = append(all, saw(n, err))
	}
	return all
}

// Each item of a chunk has its own outcome; a panic and a Goexit cost neither
// the others nor the worker.
func TestItemsOfAChunkHaveOutcomesOfTheirOwnOnProcesses(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	items := itemsOf("", "fail", "", "panic", "goexit", "", "", "fail", "panic", "panic", "goexit", "")
	want := []string{"0", "failed: item 1: remote", "20", "panic: item 3", "goexit", "50", "60", "failed: item 7: remote", "panic: item 8", "panic: item 9", "goexit", "110"}
	for _, size := range []int{1, 2, 3, 5, 12, 50} {
		got := sawAll(executor.Map(t.Context(), ex, mapMake, slices.Values(items), executor.ChunkSize(size)))
		if !slices.Equal(got, want) {
			t.Errorf("Map with ChunkSize(%d) = %q; want %q", size, got, want)
		}
		got = sawAll(executor.Map(t.Context(), ex, mapMake, slices.Values(items), executor.ChunkSize(size), executor.Unordered()))
		slices.Sort(got)
		if sorted := slices.Sorted(slices.Values(want)); !slices.Equal(got, sorted) {
			t.Errorf("unordered Map with ChunkSize(%d) = %q; want, in any order, %q", size, got, sorted)
		}
	}
	numbers := []int{10, 20, 31, 40, 42, 53, 60}
	want = []string{"100", "200", "failed: item 31: remote", "400", "panic: item 42", "goexit", "600"}
	for _, size := range []int{1, 3, 7} {
		if got := sawAll(executor.Map(t.Context(), ex, mapBare, slices.Values(numbers), executor.ChunkSize(size))); !slices.Equal(got, want) {
			t.Errorf("Map of %v with ChunkSize(%d) = %q; want %q", numbers, size, got, want)
		}
	}
	if s := ex.Stats(); s.Restarts != 0 {
		t.Errorf("Stats = %+v; want no restart", s)
	}
}

// A worker that dies in a chunk costs the item that it was at; all others have their
// results, and nobody's results are taken for another's.
func TestWorkerThatDiesInAChunkCostsOneItem(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	items := itemsOf("", "", "", "", "", "exit", "", "", "", "", "")
	for _, opts := range [][]executor.MapOption{{executor.ChunkSize(4)}, {executor.ChunkSize(4), executor.Unordered()}} {
		got := sawAll(executor.Map(t.Context(), ex, mapMake, slices.Values(items), opts...))
		want := []string{"0", "10", "20", "30", "40", "died of 45", "60", "70", "80", "90", "100"}
		if len(opts) > 1 {
			slices.Sort(got)
			slices.Sort(want)
		}
		if !slices.Equal(got, want) {
			t.Errorf("Map over 11 items in chunks of 4, of which item 5 ends its process (unordered: %t) = %q; want %q", len(opts) > 1, got, want)
		}
	}
	for i := range items {
		if items[i].Does == "" {
			items[i].Does = "slow" // a result of less than 100 µs may be lost with that of the next
		}
	}
	if got := sawAll(executor.Map(t.Context(), ex, mapMake, slices.Values(items))); len(got) != 11 || got[5] != "died of 45" || got[4] != "40" || got[6] != "60" {
		t.Errorf("Map over 11 items one by one, of which item 5 ends its process = %q; want that only this one fails", got)
	}
}

// An item that cannot be encoded is one that fails; the loop has an outcome for
// each item, the one before and the one after among them.
func TestItemThatCannotBeEncodedHasItsPlaceInAMap(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	items := []*ring{{N: 0}, {N: 1}, {N: 2}, newRing(3), {N: 4}, {N: 5}, {N: 6}, {N: 7}}
	for _, size := range []int{1, 4} {
		var got []string
		for r, err := range executor.Map(t.Context(), ex, regCycle, slices.Values(items), executor.ChunkSize(size)) {
			switch {
			case err != nil && strings.Contains(err.Error(), "cycle"):
				got = append(got, "cycle")
			case err != nil:
				got = append(got, err.Error())
			default:
				got = append(got, fmt.Sprint(r.N))
			}
		}
		if len(got) != len(items) {
			t.Errorf("Map with ChunkSize(%d) over %d items, of which item 3 has a cycle = %q; want %d outcomes", size, len(items), got, len(items))
			continue
		}
		for i, s := range got {
			if isIn := i/size == 3/size; i == 3 && s != "cycle" || !isIn && s != fmt.Sprint(i) {
				t.Errorf("Map with ChunkSize(%d) over %d items, of which item 3 has a cycle: outcome %d is %q, all are %q", size, len(items), i, s, got)
			}
		}
	}
}

// MapSlice fails with the death, and runs nothing again.
func TestWorkerThatDiesInAMapSliceFailsItAndNothingRunsAgain(t *testing.T) {
	for name, opts := range map[string][]executor.MapOption{"guided": nil, "one by one": {executor.ChunkSize(1)}, "chunks of 3": {executor.ChunkSize(3)}} {
		t.Run(name, func(t *testing.T) {
			ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
			log := inDir(t, "log")
			items := make([]mapItem, 40)
			for i := range items {
				items[i] = mapItem{N: i, Log: log}
			}
			items[7].Does = "exit"
			out, err := executor.MapSlice(t.Context(), ex, mapMake, items, opts...)
			died, ok := errors.AsType[*executor.WorkerDiedError](err)
			if out != nil || !ok || died.ExitCode != 47 || died.Attempts != 1 {
				t.Errorf("MapSlice over 40 items, of which item 7 ends its process = %v, %v; want nothing and the death with exit code 47 at attempt 1", out, err)
			}
			for id, pids := range startsIn(t, log) {
				if len(pids) > 1 {
					t.Errorf("item %d has started %d times, in %v; want once", id, len(pids), pids)
				}
			}
			// What comes next is not in its way.
			if out, err := executor.MapSlice(t.Context(), ex, mapMake, itemsOf("", "", ""), opts...); !slices.Equal(out, []int{0, 10, 20}) || err != nil {
				t.Errorf("the next MapSlice = %v, %v; want 0 10 20", out, err)
			}
		})
	}
}

// Of several errors, MapSlice returns that of the lowest index, also if it is a
// death, or comes before one.
func TestMapSliceOnProcessesFailsWithTheErrorOfLowestIndex(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	for _, c := range []struct {
		does []string
		want string
	}{
		{[]string{"", "", "fail", "", "panic", "fail"}, "failed: item 2: remote"},
		{[]string{"", "panic", "fail", "goexit"}, "panic: item 1"},
		{[]string{"goexit", "", "", "panic"}, "goexit"},
	} {
		for _, size := range []int{0, 1, 2, 3, 6} {
			var opts []executor.MapOption
			if size > 0 {
				opts = append(opts, executor.ChunkSize(size))
			}
			out, err := executor.MapSlice(t.Context(), ex, mapMake, itemsOf(c.does...), opts...)
			if got := saw(0, err); out != nil || got != c.want {
				t.Errorf("MapSlice over %q with chunks of %d (0: guided) = %v, %q; want nothing, %q", c.does, size, out, got, c.want)
			}
		}
	}
	// The item before it holds until the one that ends its process has.
	gate := inDir(t, "gate")
	before := []mapItem{{N: 0, Does: "hold", Gate: gate}, {N: 1, Does: "exit"}}
	over := make(chan error, 1)
	restarts := ex.Stats().Restarts
	go func() {
		_, err := executor.MapSlice(t.Context(), ex, mapMake, before, executor.ChunkSize(1))
		over <- err
	}()
	waitUntil(t, "the worker of item 1 has died", func() bool { return ex.Stats().Restarts > restarts })
	touch(t, gate)
	if got := saw(0, <-over); got != "died of 41" {
		t.Errorf("MapSlice whose item 1 ends its process while item 0 runs: %s; want the death of item 1, when item 0 has returned", got)
	}
	late := []mapItem{{N: 0, Does: "fail"}, {N: 1, Does: "exit"}}
	if _, err := executor.MapSlice(t.Context(), ex, mapMake, late, executor.ChunkSize(1)); saw(0, err) != "failed: item 0: remote" {
		t.Errorf("MapSlice whose item 0 fails and whose item 1 ends its process: %s; want the error of item 0", saw(0, err))
	}
}

// When ctx ends a Map, what is there is yielded, then one error; what runs is
// told.
func TestEndOfCtxEndsAMapOnProcesses(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, KillGrace: never})
	dir := t.TempDir()
	items := itemsOf("", "", "heed", "", "")
	for i := range items {
		items[i].Log = dir + "/log"
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	endInItem2 := func() {
		for !logHas(dir+"/log", 2) && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		cancel(errors.New("enough"))
	}
	var got []string
	var last error
	for n, err := range executor.Map(ctx, ex, mapMake, slices.Values(items)) {
		if last = err; err == nil {
			got = append(got, fmt.Sprint(n))
		}
		if len(got) == 2 { // not before: item 2 may run while the result of item 1 is on its way
			go endInItem2()
		}
	}
	if !slices.Equal(got, []string{"0", "10"}) || !errors.Is(last, context.Canceled) || !strings.Contains(last.Error(), "enough") {
		t.Errorf("Map whose ctx ends in item 2 has yielded %v and the error %v; want 0, 10, and one that matches context.Canceled and has the cause", got, last)
	}
	if s := ex.Stats(); s.Running != 0 || s.Queued != 0 || s.Restarts != 0 {
		t.Errorf("Stats after the loop = %+v; want nothing that runs or waits, and no restart", s)
	}
	if starts := slices.Sorted(maps.Keys(startsIn(t, dir+"/log"))); !slices.Equal(starts, []int{0, 1, 2}) {
		t.Errorf("items %v have started; want 0, 1, 2", starts)
	}
}

// logHas reports whether the log has that ID.
func logHas(log string, id int) bool {
	text, _ := os.ReadFile(log)
	return strings.Contains("\n"+string(text), fmt.Sprintf("\n%d ", id))
}

// Leaving the loop cancels what has not started, and ends what runs, after
// KillGrace also what does not heed its ctx.
func TestLeavingAMapOnProcessesEndsWhatRuns(t *testing.T) {
	for does, restarts := range map[string]int{"heed": 0, "hang": 1} {
		t.Run(does, func(t *testing.T) {
			grace := never
			if does == "hang" {
				grace = 10 * time.Millisecond
			}
			ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2, KillGrace: grace})
			log := inDir(t, "log")
			endless := func(yield func(mapItem) bool) {
				for i := 0; ; i++ {
					m := mapItem{N: i, Log: log}
					if i == 1 {
						m.Does = does
					}
					if !yield(m) {
						return
					}
				}
			}
			for n, err := range executor.Map(t.Context(), ex, mapMake, endless, executor.Buffer(4)) {
				if n != 0 || err != nil {
					t.Errorf("the first outcome = %d, %v; want 0, nil", n, err)
				}
				waitUntil(t, "item 1 has started", func() bool { return logHas(log, 1) })
				break
			}
			if s := ex.Stats(); s.Running != 0 || s.Queued != 0 {
				t.Errorf("Stats after the loop = %+v; want nothing that runs or waits", s)
			}
			waitUntil(t, fmt.Sprintf("%d workers were replaced", restarts), func() bool { return ex.Stats().Restarts == restarts })
			for id, pids := range startsIn(t, log) {
				if id > 4 || len(pids) != 1 {
					t.Errorf("item %d has started in %v; want none after item 4, and each once", id, pids)
				}
			}
			if n, err := endOf(t, executor.Submit(t.Context(), ex, mapMake, mapItem{N: 5})); n != 50 || err != nil {
				t.Errorf("the next call = %d, %v; want 50, nil", n, err)
			}
		})
	}
}

// Large items cross both ways when the consumer goes.
func TestLeavingAMapOfLargeItemsOnProcesses(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	block := make([]byte, 900<<10)
	for _, opts := range [][]executor.MapOption{nil, {executor.ChunkSize(3)}, {executor.Unordered()}, {executor.Buffer(40)}} {
		for range 2 {
			n := 0
			for b, err := range executor.Map(t.Context(), ex, remoteEcho, repeated(block, 30), opts...) {
				if len(b) != len(block) || err != nil {
					t.Fatalf("outcome %d = %d bytes, %v; want %d, nil", n, len(b), err, len(block))
				}
				if n++; n == 5 {
					break
				}
			}
		}
	}
	if s := ex.Stats(); s.Running != 0 || s.Queued != 0 || s.Restarts != 0 {
		t.Errorf("Stats after the loops = %+v; want nothing that runs or waits, and no restart", s)
	}
}

func repeated[T any](v T, n int) func(yield func(T) bool) {
	return func(yield func(T) bool) {
		for range n {
			if !yield(v) {
				return
			}
		}
	}
}

// The items are memory, which lies anywhere in a chunk.
func TestMemoryOfEachLengthCrossesInChunks(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	var items [][]float64
	var texts []string
	var raw [][]byte
	for i := range 60 {
		item := make([]float64, i%13)
		for k := range item {
			item[k] = float64(i + k)
		}
		if i%7 == 6 {
			item = nil
		}
		items = append(items, item)
		texts = append(texts, strings.Repeat("é", i%5))
		raw = append(raw, []byte(strings.Repeat("x", i*37%301)))
	}
	raw[5], raw[6] = nil, []byte{}
	var want [][]float64
	for _, item := range items {
		out, _ := mapSum(t.Context(), item)
		want = append(want, out)
	}
	checkMaps(t, ex, mapSum, items, want, func(a, b []float64) bool { return slices.Equal(a, b) && (a == nil) == (b == nil) })
	checkMaps(t, ex, remoteEcho, raw, raw, func(a, b []byte) bool { return slices.Equal(a, b) && (a == nil) == (b == nil) })
	upper := make([]string, len(texts))
	for i, s := range texts {
		upper[i] = strings.ToUpper(s)
	}
	checkMaps(t, ex, remoteUpper, texts, upper, func(a, b string) bool { return a == b })
}

func checkMaps[In, Out any](t *testing.T, ex executor.Executor, fn executor.Func[In, Out], in []In, want []Out, equal func(a, b Out) bool) {
	t.Helper()
	for _, size := range []int{1, 2, 7, 60} {
		for name, run := range map[string]func() ([]Out, error){
			"Map": func() ([]Out, error) {
				return executor.Collect(executor.Map(t.Context(), ex, fn, slices.Values(in), executor.ChunkSize(size)))
			},
			"MapSlice": func() ([]Out, error) { return executor.MapSlice(t.Context(), ex, fn, in, executor.ChunkSize(size)) },
		} {
			got, err := run()
			if err != nil || len(got) != len(want) {
				t.Errorf("%s of %T with ChunkSize(%d) = %d results, %v; want %d", name, in, size, len(got), err, len(want))
				continue
			}
			for i := range want {
				if !equal(got[i], want[i]) {
					t.Errorf("%s of %T with ChunkSize(%d): result %d of %#v = %#v; want %#v", name, in, size, i, in[i], got[i], want[i])
				}
			}
		}
	}
}

// Two maps run in turn, with chunks that do not divide the number of items.
func TestMapsOnProcessesEqualALoop(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 3})
	in := make([]int, 1000)
	want := make([]int, len(in))
	for i := range in {
		in[i], want[i] = i, 3*i
	}
	for name, opts := range map[string][]executor.MapOption{"": nil, "ChunkSize(53)": {executor.ChunkSize(53)}, "Buffer(1)": {executor.Buffer(1)}, "Buffer(2000)": {executor.Buffer(2000)}} {
		if got, err := executor.Collect(executor.Map(t.Context(), ex, thrice, slices.Values(in), opts...)); !slices.Equal(got, want) || err != nil {
			t.Errorf("Map with %q = %v, %v; want the triples of 0 to 999", name, got, err)
		}
		unordered, err := executor.Collect(executor.Map(t.Context(), ex, thrice, slices.Values(in), append(slices.Clone(opts), executor.Unordered())...))
		slices.Sort(unordered)
		if !slices.Equal(unordered, want) || err != nil {
			t.Errorf("unordered Map with %q = %v, %v; want the triples of 0 to 999, in any order", name, unordered, err)
		}
		if got, err := executor.MapSlice(t.Context(), ex, thrice, in, opts...); !slices.Equal(got, want) || err != nil {
			t.Errorf("MapSlice with %q = %v, %v; want the triples of 0 to 999", name, got, err)
		}
	}
	n := 0
	for a, err := range executor.Map(t.Context(), ex, thrice, slices.Values(in[:50])) {
		for b, err2 := range executor.Map(t.Context(), ex, thrice, slices.Values(in[:5]), executor.ChunkSize(2)) {
			if err != nil || err2 != nil || a != 3*(n/5) || b != 3*(n%5) {
				t.Fatalf("outcome %d of a map in a map = %d, %v and %d, %v", n, a, err, b, err2)
			}
			n++
		}
	}
	if n != 250 {
		t.Errorf("a map of 5 in a map of 50 has yielded %d times; want 250", n)
	}
}

// Maps of nothing start no process.
func TestMapsOfNothingStartNoProcess(t *testing.T) {
	ex := newProcesses(t, new(executor.ProcessPoolExecutor))
	for _, opts := range [][]executor.MapOption{nil, {executor.ChunkSize(4)}} {
		if out, err := executor.MapSlice(t.Context(), ex, thrice, nil, opts...); len(out) != 0 || err != nil {
			t.Errorf("MapSlice of nothing = %v, %v; want nothing", out, err)
		}
		if out, err := executor.Collect(executor.Map(t.Context(), ex, thrice, slices.Values([]int(nil)), opts...)); len(out) != 0 || err != nil {
			t.Errorf("Map of nothing = %v, %v; want nothing", out, err)
		}
	}
	if s := ex.Stats(); s != (executor.Stats{}) {
		t.Errorf("Stats = %+v; want no call and no worker", s)
	}
}
