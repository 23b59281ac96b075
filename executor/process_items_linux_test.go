package executor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
)

// What happens to one item of a chunk happens to no other: a worker that dies, code
// of the user's that misbehaves around an item.

func init() {
	executor.Register(itemInPlace)
	executor.Register(itemShorter)
	executor.Register(itemLonger)
	executor.Register(itemText)
	executor.Register(itemOfText)
	executor.Register(itemLarge)
	executor.Register(itemWayward)
	executor.Register(itemEcho)
}

// deadly is an item whose process ends, and slowly one that takes a while.
const (
	deadly = math.MaxInt32
	slowly = math.MaxInt32 - 1
)

func dieAt(n int) int {
	switch n {
	case deadly:
		os.Exit(3)
	case slowly:
		time.Sleep(50 * time.Millisecond)
	}
	return n
}

func itemInPlace(_ context.Context, n int) (int64, error) { return int64(dieAt(n)) * 3, nil }
func itemShorter(_ context.Context, n int) (int16, error) { return int16(dieAt(n)), nil }
func itemLonger(_ context.Context, n int) (complex128, error) {
	return complex(float64(dieAt(n)), 1), nil
}
func itemText(_ context.Context, n int) (string, error)        { return fmt.Sprint("text ", dieAt(n)), nil }
func itemOfText(_ context.Context, s string) (string, error)   { return s + "!", atoiAndDie(s) }
func itemLarge(_ context.Context, n int) ([]byte, error)       { return make([]byte, 20_000+dieAt(n)%7), nil }
func itemEcho(_ context.Context, w wayward) (wayward, error)   { return w, nil }
func itemWayward(_ context.Context, w string) (wayward, error) { return waywardResult(w) }

func atoiAndDie(s string) error {
	if s == fmt.Sprint(deadly) {
		os.Exit(3)
	}
	if strings.HasSuffix(s, "7") {
		return errRemote
	}
	return nil
}

// mustLoseOne looks at a Map in chunks over n items, of which one ends its process.
func mustLoseOne[In, Out any](t *testing.T, name string, ex executor.Executor, fn executor.Func[In, Out], item func(int) In, n, at, chunk int) {
	t.Helper()
	in := make([]In, n)
	for i := range in {
		in[i] = item(i)
	}
	in[at] = item(deadly)
	i := 0
	for got, err := range executor.Map(t.Context(), ex, fn, slices.Values(in), executor.ChunkSize(chunk), executor.Buffer(n)) {
		var want Out
		var wantErr error
		if i != at {
			want, wantErr = fn(t.Context(), in[i])
		}
		died := new(executor.WorkerDiedError)
		switch {
		case i == at && (!errors.As(err, &died) || died.Attempts != 1):
			t.Fatalf("%s: item %d of %d, which ended its process: %v; want a WorkerDiedError at attempt 1", name, i, n, err)
		case i != at && (wantErr == nil) != (err == nil):
			t.Fatalf("%s: item %d of %d in chunks of %d: %v; item %d ended its process; want %v", name, i, n, chunk, err, at, wantErr)
		case i != at && err == nil && fmt.Sprint(got) != fmt.Sprint(want):
			t.Fatalf("%s: item %d of %d in chunks of %d is %v; want %v", name, i, n, chunk, got, want)
		}
		i++
	}
	if i != n {
		t.Errorf("%s: %d items; want %d", name, i, n)
	}
}

// One dead worker costs one item, whatever was packed together and of whatever
// types: those before it keep their results, those behind it run elsewhere.
func TestDeathCostsOneItemOfAChunk(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	number := func(i int) int { return i }
	text := func(i int) string { return fmt.Sprint(i) }
	for _, size := range []struct{ n, at, chunk int }{{200, 100, 25}, {200, 0, 200}, {200, 199, 200}, {20_000, 7_777, 10_000}} {
		mustLoseOne(t, "numbers in place", ex, itemInPlace, number, size.n, size.at, size.chunk)
		mustLoseOne(t, "shorter numbers", ex, itemShorter, number, size.n, size.at, size.chunk)
		mustLoseOne(t, "longer numbers", ex, itemLonger, number, size.n, size.at, size.chunk)
		mustLoseOne(t, "texts of numbers", ex, itemText, number, size.n, size.at, size.chunk)
		mustLoseOne(t, "texts, of which some fail", ex, itemOfText, text, size.n, size.at, size.chunk)
	}
	mustLoseOne(t, "results that fill the journal", ex, itemLarge, number, 40, 20, 40)
}

// Retries counts for each item: one that kills its worker is tried again, and no
// other; all others start once.
func TestRetriesCountForEachItemOfAChunk(t *testing.T) {
	log, once := inDir(t, "log"), inDir(t, "once")
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2, Retries: 1})
	var in []deed
	for i := range 60 {
		d := deed{Verb: "tell", Log: log, ID: i, N: i}
		switch i {
		case 20:
			d.Verb, d.Path = "exit once", once
		case 41:
			d.Verb = "exit"
		}
		in = append(in, d)
	}
	i := 0
	for a, err := range executor.Map(t.Context(), ex, doDeed, slices.Values(in), executor.ChunkSize(30)) {
		died := new(executor.WorkerDiedError)
		switch {
		case i == 41 && (!errors.As(err, &died) || died.Attempts != 2):
			t.Errorf("item 41, which always ends its process: %v; want a WorkerDiedError at attempt 2", err)
		case i != 41 && (err != nil || a.N != i):
			t.Errorf("item %d = %+v, %v; want %d, nil", i, a, err, i)
		}
		i++
	}
	starts := startsIn(t, log)
	for id := range 60 {
		want := 1
		if id == 20 || id == 41 {
			want = 2
		}
		if len(starts[id]) != want {
			t.Errorf("item %d started in %v; want %d starts", id, starts[id], want)
		}
	}
}

// A chunk that was sent to one worker is shared out when another is idle, however
// long its items take: here the first does not end before.
func TestSlowItemsOfAChunkAreSharedOut(t *testing.T) {
	log := inDir(t, "log")
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	for range executor.Map(t.Context(), ex, itemInPlace, slices.Values(make([]int, 5000)), executor.ChunkSize(1000)) {
		// now the items of itemInPlace are thought to take nothing
	}
	var in []deed
	for i := range 12 {
		in = append(in, deed{Verb: "meet", Log: log, ID: i})
	}
	for _, err := range executor.Map(t.Context(), ex, doDeed, slices.Values(in), executor.ChunkSize(12)) {
		if err != nil {
			t.Error(err)
		}
	}
	byProcess := make(map[int]int)
	for id, pids := range startsIn(t, log) {
		if len(pids) != 1 {
			t.Errorf("item %d started in %v; want one start", id, pids)
		}
		byProcess[pids[0]]++
	}
	if len(byProcess) != 2 {
		t.Errorf("12 slow items of one chunk ran in %v (items by process); want both workers at it", byProcess)
	}
	sleepers := slices.Repeat([]int{slowly}, 12)
	if _, err := executor.MapSlice(t.Context(), ex, itemInPlace, append(make([]int, 100), sleepers...), executor.ChunkSize(112)); err != nil {
		t.Error(err)
	}
}

func init() {
	verbs["meet"] = func(_ context.Context, d deed, _ *told) error { return awaitAnother(d.Log) }
}

// awaitAnother returns when two processes have started to do what a log is of.
func awaitAnother(log string) error {
	for begin := time.Now(); time.Since(begin) < longEnough; time.Sleep(time.Millisecond) {
		text, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		byProcess := make(map[string]bool)
		for line := range strings.Lines(string(text)) {
			_, process, _ := strings.Cut(line, " ")
			byProcess[process] = true
		}
		if len(byProcess) > 1 {
			return nil
		}
	}
	return errors.New("no other process has started an item meanwhile")
}

// Of a MapSlice, the error is that of the lowest element, also if its chunk was shared
// out: what another worker makes behind it sees its ctx end.
func TestMapSliceOfASharedChunkHasTheLowestError(t *testing.T) {
	log, gate := inDir(t, "log"), inDir(t, "gate")
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	in := []mapItem{{N: 0, Log: log, Does: "fail after hold", Gate: gate}, {N: 1}, {N: 2, Log: log, Does: "heed"}, {N: 3}}
	out := executor.Go(t.Context(), &executor.ThreadPerTask{}, func(ctx context.Context) ([]int, error) {
		return executor.MapSlice(ctx, ex, mapMake, in, executor.ChunkSize(4))
	})
	awaitStart(t, log, 2) // in the other worker
	touch(t, gate)
	if _, err := endOf(t, out); !errors.Is(err, errRemote) || err.Error() != "item 0: "+errRemote.Error() {
		t.Errorf("MapSlice = %v; want the error of item 0", err)
	}
}

// wayward is a value whose methods do as it says.
type wayward struct{ Where, Does string }

func (w wayward) MarshalBinary() ([]byte, error) {
	if w.Where == "marshal" {
		if err := misbehave(w.Does); err != nil {
			return nil, err
		}
	}
	return []byte(w.Where + " " + w.Does), nil
}

func (w *wayward) UnmarshalBinary(data []byte) error {
	w.Where, w.Does, _ = strings.Cut(string(data), " ")
	if w.Where == "unmarshal" {
		return misbehave(w.Does)
	}
	return nil
}

func misbehave(does string) error {
	switch does {
	case "fail":
		return io.ErrNoProgress
	case "panic":
		panic("a wayward value")
	case "goexit":
		runtime.Goexit()
	}
	return nil
}

// waywardResult returns a value, or an error, that misbehaves where it says.
func waywardResult(text string) (wayward, error) {
	where, does, _ := strings.Cut(text, " ")
	switch where {
	case "marshal", "unmarshal", "":
		return wayward{where, does}, nil
	}
	return wayward{}, waywardError{where, does}
}

// waywardError is an error whose methods do as it says.
type waywardError struct{ Where, Does string }

func (e waywardError) Error() string {
	if e.Where == "Error" {
		_ = misbehave(e.Does)
	}
	return "a wayward error"
}

func (e waywardError) Is(error) bool {
	if e.Where == "Is" {
		_ = misbehave(e.Does)
	}
	return false
}

func (e waywardError) Unwrap() error {
	if e.Where == "Unwrap" {
		if e.Does == "circle" {
			return e
		}
		_ = misbehave(e.Does)
	}
	return nil
}

// Code of the user's around an item, in the worker and in the parent, is the outcome
// of this item alone, whether it fails, panics, ends its goroutine or has no end.
func TestWaywardCodeAroundAnItemIsItsOutcomeAlone(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	is := func(what string, err error) bool {
		panicked := new(executor.PanicError)
		switch what {
		case "fail":
			return err != nil && strings.Contains(err.Error(), io.ErrNoProgress.Error())
		case "panic":
			return errors.As(err, &panicked) || err != nil && strings.Contains(err.Error(), "panicked")
		case "goexit":
			return errors.Is(err, executor.ErrGoexit) || err != nil && strings.Contains(err.Error(), "ended its goroutine")
		case "circle":
			return err != nil && err.Error() == "a wayward error"
		}
		return err == nil
	}
	judge := func(what, does string, i, wants int, err error) {
		t.Helper()
		if wants == i && !is(does, err) || wants != i && err != nil {
			t.Errorf("%s: item %d: %v; item %d is to have what %q comes to, the others nothing", what, i, err, wants, does)
		}
	}
	for _, does := range []string{"fail", "panic", "goexit"} {
		for _, where := range []string{"marshal", "unmarshal"} { // of an argument: in the parent, in the worker
			in := []wayward{{}, {where, does}, {}}
			i := 0
			for _, err := range executor.Map(t.Context(), ex, itemEcho, slices.Values(in), executor.ChunkSize(3)) {
				judge("the argument's "+where, does, i, 1, err)
				i++
			}
			if i != 3 {
				t.Errorf("the argument's %s: %d outcomes; want 3", where, i)
			}
			_, err := endOf(t, executor.Submit(t.Context(), ex, itemEcho, in[1]))
			judge("the argument's "+where+" in a call of its own", does, 1, 1, err)
		}
	}
	for _, text := range []string{"marshal fail", "marshal panic", "marshal goexit", "unmarshal fail", "unmarshal panic", "unmarshal goexit",
		"Error panic", "Error goexit", "Is panic", "Is goexit", "Unwrap panic", "Unwrap goexit", "Unwrap circle"} {
		where, does, _ := strings.Cut(text, " ")
		i := 0
		for _, err := range executor.Map(t.Context(), ex, itemWayward, slices.Values([]string{"", text, ""}), executor.ChunkSize(3)) {
			if where == "Is" || where == "Unwrap" {
				if (err != nil) != (i == 1) {
					t.Errorf("%s: item %d: %v", text, i, err)
				}
			} else {
				judge(text, does, i, 1, err)
			}
			i++
		}
		if i != 3 {
			t.Errorf("%s: %d outcomes; want 3", text, i)
		}
		if _, err := endOf(t, executor.Submit(t.Context(), ex, itemWayward, text)); err == nil {
			t.Errorf("%s, in a call of its own: no error", text)
		}
	}
	if s := ex.Stats(); s.Restarts != 0 || s.Running != 0 {
		t.Errorf("Stats = %+v; want that no worker died, and nothing runs", s)
	}
}

// A chunk that has begun has been admitted: what is taken back of it, for others to have
// their turn, takes no room in the queue.
func TestAChunkThatHasMadeWayTakesNoRoomInTheQueue(t *testing.T) {
	t.Parallel()
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, QueueLimit: 1})
	dir := t.TempDir()
	items := []deed{{Verb: "busy", N: int(20 * time.Millisecond), Log: dir + "/log", ID: 1}} // to be at it for a while
	for i := range 5 {
		items = append(items, deed{Verb: "tell", N: i})
	}
	mapped := make(chan error, 1)
	go func() {
		_, err := executor.MapSlice(context.Background(), ex, doDeed, items, executor.ChunkSize(len(items)))
		mapped <- err
	}()
	awaitStart(t, dir+"/log", 1)
	holds := do(ex, deed{Verb: "hold", Log: dir + "/log", ID: 2, Path: dir + "/gate"})
	awaitStart(t, dir+"/log", 2) // and what is left of the chunk waits

	returned := make(chan *executor.Future[told], 1)
	go func() { returned <- do(ex, deed{Verb: "tell", N: 42}) }()
	select {
	case f := <-returned:
		touch(t, dir+"/gate")
		if got := mustTell(t, f).N; got != 42 {
			t.Errorf("the call behind it returned %d; want 42", got)
		}
	case <-time.After(longEnough):
		touch(t, dir+"/gate")
		t.Error("QueueLimit 1: Submit waits for room, though only items of a chunk that has begun wait")
	}
	mustTell(t, holds)
	if err := <-mapped; err != nil {
		t.Errorf("MapSlice: %v", err)
	}
}
