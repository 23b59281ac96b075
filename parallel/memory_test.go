package parallel_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/parallel"
)

// counted is a function that says how often it was called so far.
type counted struct{ calls atomic.Int64 }

func (c *counted) next(context.Context, int) (int, error) { return int(c.calls.Add(1)), nil }

// newCached is parallel.NewCachedFunc for what must succeed. The memory is synced
// before its folder is removed.
func newCached[In, Out any](t *testing.T, m *parallel.Memory, name, version string, fn executor.Func[In, Out]) *parallel.CachedFunc[In, Out] {
	t.Helper()
	c, err := parallel.NewCachedFunc(m, name, version, fn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Sync)
	return c
}

// mustBe ends the test unless a call returned want.
func mustBe[Out comparable](t *testing.T, what string, want Out) func(Out, error) {
	t.Helper()
	return func(got Out, err error) {
		t.Helper()
		if got != want || err != nil {
			t.Fatalf("%s = %v, %v; want %v", what, got, err, want)
		}
	}
}

// records are what was logged.
type records struct {
	mu    sync.Mutex
	texts []string // guarded by mu
}

// logging returns what is logged from now to the end of the test.
func logging(t *testing.T) *records {
	r := new(records)
	before, out, flags := slog.Default(), log.Writer(), log.Flags()
	slog.SetDefault(slog.New(slog.NewTextHandler(r, nil)))
	t.Cleanup(func() {
		slog.SetDefault(before)
		log.SetOutput(out)
		log.SetFlags(flags)
	})
	return r
}

// Write gets a record at a time.
func (r *records) Write(text []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.texts = append(r.texts, string(text))
	return len(text), nil
}

func (r *records) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.texts...)
}

var entryName = regexp.MustCompile(`/[0-9a-f]/[0-9a-f]/[0-9a-f]{62}(\.tmp)?$`)

// entries returns the paths of the entries in a folder, and those of the temporary
// files.
func entries(t testing.TB, dir string) (whole, temporary []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it was removed meanwhile
		}
		if m := entryName.FindStringSubmatch(filepath.ToSlash(path)); m != nil && m[1] == "" {
			whole = append(whole, path)
		} else if m != nil {
			temporary = append(temporary, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return whole, temporary
}

// theEntry returns the path of the only entry in a folder.
func theEntry(t testing.TB, dir string) string {
	t.Helper()
	whole, temporary := entries(t, dir)
	if len(whole) != 1 || len(temporary) != 0 {
		t.Fatalf("there are entries %q and temporary files %q; want one entry", whole, temporary)
	}
	return whole[0]
}

func TestACallWithTheSameArgumentIsAnsweredFromDisk(t *testing.T) {
	m := &parallel.Memory{Dir: t.TempDir()}
	defer m.Sync()
	var calls atomic.Int64
	square := parallel.Cache(m, "square", "v1", func(_ context.Context, n int) (int, error) {
		calls.Add(1)
		return n * n, nil
	})
	for range 3 {
		if got, err := square(t.Context(), 7); got != 49 || err != nil {
			t.Fatalf("square(7) = %d, %v; want 49", got, err)
		}
	}
	if calls.Load() != 1 {
		t.Errorf("the function was called %d times; want 1", calls.Load())
	}
	if s := m.Stats(); s.Hits != 2 || s.Misses != 1 {
		t.Errorf("Stats() = %+v; want 2 hits and 1 miss", s)
	}
}

// Not only this Memory does, but the next on the folder too.
func TestAnotherMemoryOnTheFolderAnswersFromDisk(t *testing.T) {
	dir := inDir(t, "not/there/yet")
	for i := range 3 {
		m := &parallel.Memory{Dir: dir}
		c := newCached(t, m, "double", "v1", double)
		mustBe(t, "double(4)", 8)(c.Call(t.Context(), 4))
		if s, want := m.Stats(), int64(min(i, 1)); s.Hits != want || s.Misses != 1-want {
			t.Errorf("Stats() of Memory %d = %+v; want a miss for the first, else a hit", i, s)
		}
	}
}

func TestTheZeroMemoryKeepsNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	var m parallel.Memory
	var f counted
	c := newCached(t, &m, "f", "v1", f.next)
	for i := range 3 {
		mustBe(t, "f(0)", i+1)(c.Call(t.Context(), 0))
	}
	mustBe(t, "Refresh(0)", 4)(c.Refresh(t.Context(), 0))
	if c.Contains(0) {
		t.Error("Contains(0) = true; want false")
	}
	if err := errors.Join(c.Forget(0), c.Clear(), m.Clear()); err != nil {
		t.Errorf("Forget and Clear: %v; want no error", err)
	}
	m.Sync()
	if c.Stats() != (parallel.MemoryStats{}) || m.Stats() != (parallel.MemoryStats{}) {
		t.Errorf("Stats() = %+v and %+v; want zeros", c.Stats(), m.Stats())
	}
	if files, err := os.ReadDir("."); len(files) != 0 || err != nil {
		t.Errorf("there are files %v, %v; want none", files, err)
	}
	var g counted
	if _, err := parallel.NewCachedFunc(&m, "f", "v1", g.next); err != nil {
		t.Errorf("another function of the name: %v; want no error, as nothing is kept", err)
	}
}

func TestARelativeDirStaysWhereItWas(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	t.Chdir(first)
	m := &parallel.Memory{Dir: "cache"}
	var f counted
	c := newCached(t, m, "f", "v1", f.next)
	mustBe(t, "f(0)", 1)(c.Call(t.Context(), 0))
	t.Chdir(second)
	mustBe(t, "f(0) elsewhere", 1)(c.Call(t.Context(), 0))
	mustBe(t, "f(1) elsewhere", 2)(c.Call(t.Context(), 1))
	m.Sync()
	if whole, _ := entries(t, first); len(whole) != 2 {
		t.Errorf("in the first folder are entries %q; want 2", whole)
	}
	if files, err := os.ReadDir(second); len(files) != 0 || err != nil {
		t.Errorf("in the second folder are %v, %v; want nothing", files, err)
	}
}

type lossy struct{ hidden int }

func (l *lossy) read() int { return l.hidden }

func TestWhatIsWrongWithAMemoryOrAFunctionIsSaid(t *testing.T) {
	dir := t.TempDir()
	good := &parallel.Memory{Dir: dir}
	takesChan := func(context.Context, chan int) (int, error) { return 0, nil }
	returnsAny := func(context.Context, int) (any, error) { return nil, nil }
	returnsLossy := func(context.Context, int) (lossy, error) { return lossy{(&lossy{1}).read()}, nil }
	for _, row := range []struct {
		name  string
		make  func() error
		cache func()
		says  []string
	}{
		{"nil Memory", try(nil, "f", "v1", double), must(nil, "f", "v1", double), []string{`parallel: Cache "f"`, "nil Memory"}},
		{"nil function", try[int, int](good, "f", "v1", nil), must[int, int](good, "f", "v1", nil), []string{"nil function"}},
		{"no name", try(good, "", "v1", double), must(good, "", "v1", double), []string{`parallel: Cache ""`, "empty name"}},
		{"no version", try(good, "f", "", double), must(good, "f", "", double), []string{`"f"`, "empty version"}},
		{"argument without a key", try(good, "f", "v1", takesChan), must(good, "f", "v1", takesChan), []string{`"f"`, "the argument", "chan int"}},
		{"result that is an interface", try(good, "f", "v1", returnsAny), must(good, "f", "v1", returnsAny), []string{`"f"`, "the result", "interface"}},
		{"result that would lose a field", try(good, "f", "v1", returnsLossy), must(good, "f", "v1", returnsLossy), []string{`"f"`, "the result", "hidden"}},
		{"negative ExpiresAfter", try(&parallel.Memory{ExpiresAfter: -1}, "f", "v1", double), must(&parallel.Memory{ExpiresAfter: -1}, "f", "v1", double), []string{"ExpiresAfter is -1ns"}},
		{"negative MaxBytes", try(&parallel.Memory{Dir: dir, MaxBytes: -2}, "f", "v1", double), must(&parallel.Memory{Dir: dir, MaxBytes: -2}, "f", "v1", double), []string{"MaxBytes is -2"}},
		{"negative MaxItems", try(&parallel.Memory{Dir: dir, MaxItems: -3}, "f", "v1", double), must(&parallel.Memory{Dir: dir, MaxItems: -3}, "f", "v1", double), []string{"MaxItems is -3"}},
		{"negative MaxAge", try(&parallel.Memory{Dir: dir, MaxAge: -time.Second}, "f", "v1", double), must(&parallel.Memory{Dir: dir, MaxAge: -time.Second}, "f", "v1", double), []string{"MaxAge is -1s"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			err := row.make()
			if err == nil {
				t.Fatal("NewCachedFunc returned no error")
			}
			for _, says := range row.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("the error is %q; want %q in it", err, says)
				}
			}
			defer func() {
				if p := recover(); p != err.Error() {
					t.Errorf("Cache panicked with %v; want %q", p, err)
				}
			}()
			row.cache()
		})
	}
	if files, err := os.ReadDir(dir); len(files) != 0 || err != nil {
		t.Errorf("there are files %v, %v; want none", files, err)
	}
	wrong := &parallel.Memory{Dir: dir, MaxItems: -1}
	wrong.Sync()
	if err := wrong.Clear(); err == nil || wrong.Stats() != (parallel.MemoryStats{}) {
		t.Errorf("Clear() = %v, Stats() = %+v; want an error and zeros", err, wrong.Stats())
	}
}

func try[In, Out any](m *parallel.Memory, name, version string, fn executor.Func[In, Out]) func() error {
	return func() error {
		c, err := parallel.NewCachedFunc(m, name, version, fn)
		if c != nil {
			return errors.Join(err, errors.New("there is a function beside the error"))
		}
		return err
	}
}

func must[In, Out any](m *parallel.Memory, name, version string, fn executor.Func[In, Out]) func() {
	return func() { parallel.Cache(m, name, version, fn) }
}

func TestANilContextIsAnErrorAndNoCall(t *testing.T) {
	var f counted
	c := newCached(t, &parallel.Memory{Dir: t.TempDir()}, "f", "v1", f.next)
	if _, err := c.Call(nilCtx, 0); err == nil || !strings.Contains(err.Error(), "nil Context") {
		t.Errorf("Call(nil ctx) = %v; want an error that says so", err)
	}
	if _, err := c.Refresh(nilCtx, 0); err == nil || !strings.Contains(err.Error(), "nil Context") {
		t.Errorf("Refresh(nil ctx) = %v; want an error that says so", err)
	}
	if f.calls.Load() != 0 {
		t.Errorf("the function was called %d times; want 0", f.calls.Load())
	}
}

func TestANameAndVersionAreOneFunctions(t *testing.T) {
	m := &parallel.Memory{Dir: t.TempDir()}
	closure := func(by int) executor.Func[int, int] {
		return func(_ context.Context, n int) (int, error) { return n * by, nil }
	}
	twice, thrice := closure(2), closure(3)
	first := newCached(t, m, "f", "v1", twice)
	again := newCached(t, m, "f", "v1", twice)
	newCached(t, m, "double", "v1", double)
	newCached(t, m, "double", "v1", double)
	for name, fn := range map[string]executor.Func[int, int]{"another closure of the same code": thrice, "another function": double} {
		if _, err := parallel.NewCachedFunc(m, "f", "v1", fn); err == nil || !strings.Contains(err.Error(), "another function's") || !strings.Contains(err.Error(), `"v1"`) {
			t.Errorf("%s = %v; want an error that says the name is another function's", name, err)
		}
	}
	mustBe(t, "f(5)", 10)(first.Call(t.Context(), 5))
	mustBe(t, "f(5) again", 10)(again.Call(t.Context(), 5))
	if s := again.Stats(); s.Hits != 1 || s.Misses != 1 || s != first.Stats() {
		t.Errorf("Stats() = %+v and %+v; want a hit and a miss, counted together", s, first.Stats())
	}
	other := newCached(t, m, "f", "v2", thrice)
	mustBe(t, "version 2 of f(5)", 15)(other.Call(t.Context(), 5))
	mustBe(t, "double(5)", 10)(newCached(t, m, "double", "v1", double).Call(t.Context(), 5))
	if s := m.Stats(); s.Hits != 1 || s.Misses != 3 {
		t.Errorf("Stats() = %+v; want 1 hit and 3 misses", s)
	}
}

// What is found depends on the name, the version, the argument with its
// type, and the type of the result.
func TestAnotherNameVersionArgumentOrTypeIsAMiss(t *testing.T) {
	type named int
	dir := t.TempDir()
	first := &parallel.Memory{Dir: dir}
	mustBe(t, "double(4)", 8)(newCached(t, first, "f", "v1", double).Call(t.Context(), 4))
	for _, row := range []struct {
		name string
		call func(m *parallel.Memory) (any, error)
		want any
		hits int64
	}{
		{"the same", func(m *parallel.Memory) (any, error) { return newCached(t, m, "f", "v1", double).Call(t.Context(), 4) }, 8, 1},
		{"another name", func(m *parallel.Memory) (any, error) { return newCached(t, m, "F", "v1", double).Call(t.Context(), 4) }, 8, 0},
		{"another version", func(m *parallel.Memory) (any, error) { return newCached(t, m, "f", "v2", double).Call(t.Context(), 4) }, 8, 0},
		{"name and version cut elsewhere", func(m *parallel.Memory) (any, error) { return newCached(t, m, "fv", "1", double).Call(t.Context(), 4) }, 8, 0},
		{"another argument", func(m *parallel.Memory) (any, error) { return newCached(t, m, "f", "v1", double).Call(t.Context(), 5) }, 10, 0},
		{"another type of argument", func(m *parallel.Memory) (any, error) {
			return newCached(t, m, "f", "v1", func(_ context.Context, n int64) (int, error) { return 1, nil }).Call(t.Context(), 4)
		}, 1, 0},
		{"another defined type of argument", func(m *parallel.Memory) (any, error) {
			return newCached(t, m, "f", "v1", func(_ context.Context, n named) (int, error) { return 2, nil }).Call(t.Context(), 4)
		}, 2, 0},
		{"another type of result", func(m *parallel.Memory) (any, error) {
			return newCached(t, m, "f", "v1", func(_ context.Context, n int) (int64, error) { return 3, nil }).Call(t.Context(), 4)
		}, int64(3), 0},
	} {
		m := &parallel.Memory{Dir: dir}
		got, err := row.call(m)
		if s := m.Stats(); got != row.want || err != nil || s.Hits != row.hits || s.Misses != 1-row.hits || s.Damaged != 0 {
			t.Errorf("%s: %v, %v with %+v; want %v and %d hits", row.name, got, err, s, row.want, row.hits)
		}
	}
}

func TestAnyNameStaysInsideTheFolderAndIsDistinct(t *testing.T) {
	root := t.TempDir()
	m := &parallel.Memory{Dir: filepath.Join(root, "cache")}
	names := []string{
		"f", "F", "ƒ", "f ", " f", ".", "..", "../f", "../../f", "/f", "/etc/f", `\f`, `..\f`, `C:\f`, "f/../g", "f\x00", "f\x00g", "\xff", "\xfe",
		"lock", ".gitignore", "con", "nul", "f.tmp", "*", "f\n", strings.Repeat("a", 300), strings.Repeat("a", 301), strings.Repeat("日", 300), "é", "e\u0301",
	}
	for i, name := range names {
		c := newCached(t, m, name, "v1", func(context.Context, int) (int, error) { return i, nil })
		mustBe(t, fmt.Sprintf("%q", name), i)(c.Call(t.Context(), 0))
	}
	m.Sync()
	again := &parallel.Memory{Dir: m.Dir}
	for i, name := range names {
		c := newCached(t, again, name, "v1", func(context.Context, int) (int, error) { return -1, nil })
		mustBe(t, fmt.Sprintf("%q again", name), i)(c.Call(t.Context(), 0))
	}
	if whole, _ := entries(t, m.Dir); len(whole) != len(names) {
		t.Errorf("there are %d entries; want %d", len(whole), len(names))
	}
	if files, err := os.ReadDir(root); len(files) != 1 || err != nil {
		t.Errorf("beside the folder are %v, %v; want nothing", files, err)
	}
	// Where upper and lower case are the same, the folders must differ still.
	folders, err := os.ReadDir(m.Dir)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, f := range folders {
		if f.IsDir() {
			seen[strings.ToLower(f.Name())] = true
		}
	}
	if len(seen) != len(names) {
		t.Errorf("there are %d folders; want %d", len(seen), len(names))
	}
}

func TestAResultThatIsTooOldIsComputedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &parallel.Memory{Dir: t.TempDir(), ExpiresAfter: time.Hour}
		var f counted
		c := newCached(t, m, "f", "v1", f.next)
		mustBe(t, "f(0)", 1)(c.Call(t.Context(), 0))
		time.Sleep(time.Hour - 1)
		mustBe(t, "f(0) when it may be used", 1)(c.Call(t.Context(), 0))
		if !c.Contains(0) {
			t.Error("Contains(0) = false when the result may be used")
		}
		time.Sleep(2 * time.Nanosecond)
		if c.Contains(0) {
			t.Error("Contains(0) = true when the result is too old")
		}
		mustBe(t, "f(0) when it is too old", 2)(c.Call(t.Context(), 0))
		time.Sleep(time.Hour - 1) // a hit does not make it younger
		mustBe(t, "f(0) when the new result may be used", 2)(c.Call(t.Context(), 0))
		if s := m.Stats(); s.Hits != 2 || s.Misses != 2 || s.Damaged != 0 {
			t.Errorf("Stats() = %+v; want 2 hits, 2 misses and nothing damaged", s)
		}
		m.Sync()
		theEntry(t, m.Dir)
	})
}

func TestAResultFromTheFutureIsTooOld(t *testing.T) {
	dir := t.TempDir()
	m := &parallel.Memory{Dir: dir, ExpiresAfter: time.Hour}
	mustBe(t, "f(0)", 1)(newCached(t, m, "f", "v1", func(context.Context, int) (int, error) { return 1, nil }).Call(t.Context(), 0))
	m.Sync()
	synctest.Test(t, func(t *testing.T) { // it is 2000 in here
		isFuture := false
		without := &parallel.Memory{Dir: dir, Validate: func(e parallel.MemoryEntry) bool {
			isFuture = e.Stored.After(time.Now())
			return true
		}}
		two := func(context.Context, int) (int, error) { return 2, nil }
		mustBe(t, "f(0) of a Memory without ExpiresAfter", 1)(newCached(t, without, "f", "v1", two).Call(t.Context(), 0))
		if !isFuture {
			t.Error("the entry was not stored in the future; want the test to be one of that")
		}
		m := &parallel.Memory{Dir: dir, ExpiresAfter: time.Hour}
		c := newCached(t, m, "f", "v1", two)
		if c.Contains(0) {
			t.Error("Contains(0) = true when the clock was set back")
		}
		mustBe(t, "f(0) when the clock was set back", 2)(c.Call(t.Context(), 0))
		mustBe(t, "f(0) again, at the same time", 2)(c.Call(t.Context(), 0))
		if s := m.Stats(); s.Misses != 1 || s.Hits != 1 || s.Damaged != 0 {
			t.Errorf("Stats() = %+v; want one miss, and then a hit", s)
		}
	})
}

func TestAResultThatIsNotValidIsComputedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []parallel.MemoryEntry
		valid := true
		m := &parallel.Memory{Dir: t.TempDir(), Validate: func(e parallel.MemoryEntry) bool {
			seen = append(seen, e)
			return valid
		}}
		n := 0
		c := newCached(t, m, "f", "v1", func(context.Context, int) (string, error) {
			time.Sleep(3 * time.Second)
			n++
			return fmt.Sprint("result ", n), nil
		})
		mustBe(t, "f(0)", "result 1")(c.Call(t.Context(), 0))
		stored := time.Now()
		if len(seen) != 0 {
			t.Errorf("Validate was asked about %+v when nothing was kept", seen)
		}
		time.Sleep(time.Minute)
		mustBe(t, "f(0) when it is valid", "result 1")(c.Call(t.Context(), 0))
		if len(seen) != 1 {
			t.Fatalf("Validate was asked %d times; want once", len(seen))
		}
		if e := seen[0]; e.Name != "f" || e.Version != "v1" || !e.Stored.Equal(stored) || e.Took != 3*time.Second || e.Size < len("result 1") || e.Size > 2*len("result 1") {
			t.Errorf("Validate was asked about %+v; want f, v1, stored at %v, 3s, a little more than 8 bytes", e, stored)
		}
		if s := c.Stats(); s.Saved != 3*time.Second {
			t.Errorf("Saved is %v; want 3s", s.Saved)
		}
		valid = false
		if c.Contains(0) {
			t.Error("Contains(0) = true when the result is not valid")
		}
		mustBe(t, "f(0) when it is not valid", "result 2")(c.Call(t.Context(), 0))
		valid = true
		mustBe(t, "f(0) when the new one is valid", "result 2")(c.Call(t.Context(), 0))
		if s := c.Stats(); s.Hits != 2 || s.Misses != 2 || s.Damaged != 0 {
			t.Errorf("Stats() = %+v; want 2 hits, 2 misses and nothing damaged", s)
		}
	})
}

func TestAnErrorIsReturnedAndNotKept(t *testing.T) {
	m := &parallel.Memory{Dir: t.TempDir()}
	failing, calls := true, 0
	c := newCached(t, m, "f", "v1", func(context.Context, int) (int, error) {
		calls++
		if failing {
			return 7, errBoom
		}
		return 1, nil
	})
	for range 2 {
		if _, err := c.Call(t.Context(), 0); !errors.Is(err, errBoom) {
			t.Errorf("f(0) = %v; want %v", err, errBoom)
		}
		if c.Contains(0) {
			t.Error("Contains(0) = true after an error")
		}
	}
	failing = false
	mustBe(t, "f(0)", 1)(c.Call(t.Context(), 0))
	failing = true
	if _, err := c.Refresh(t.Context(), 0); !errors.Is(err, errBoom) {
		t.Errorf("Refresh(0) = %v; want %v", err, errBoom)
	}
	mustBe(t, "f(0) after a Refresh that failed", 1)(c.Call(t.Context(), 0))
	if s := m.Stats(); calls != 4 || s.Misses != 4 || s.Hits != 1 || s.Unkept != 0 {
		t.Errorf("%d calls, Stats() = %+v; want 4 calls, 4 misses and 1 hit", calls, s)
	}
}

func TestRefreshCallsAndKeepsTheNewResult(t *testing.T) {
	m := &parallel.Memory{Dir: t.TempDir()}
	var f counted
	c := newCached(t, m, "f", "v1", f.next)
	mustBe(t, "Refresh(0) when nothing is kept", 1)(c.Refresh(t.Context(), 0))
	mustBe(t, "f(0)", 1)(c.Call(t.Context(), 0))
	mustBe(t, "Refresh(0)", 2)(c.Refresh(t.Context(), 0))
	m.Sync()
	mustBe(t, "f(0) after Refresh", 2)(c.Call(t.Context(), 0))
	if s := m.Stats(); s.Hits != 2 || s.Misses != 2 {
		t.Errorf("Stats() = %+v; want 2 hits and 2 misses", s)
	}
}

// A result is there for all as soon as its call returns.
func TestTheResultOfRefreshIsThereAsSoonAsItReturns(t *testing.T) {
	m := &parallel.Memory{Dir: t.TempDir()}
	var f counted
	c := newCached(t, m, "f", "v1", f.next)
	mustBe(t, "f(0)", 1)(c.Call(t.Context(), 0))
	m.Sync()
	for i := range 50 {
		want := i + 2
		mustBe(t, "Refresh(0)", want)(c.Refresh(t.Context(), 0))
		mustBe(t, "f(0) after Refresh", want)(c.Call(t.Context(), 0))
	}
}

func TestRefreshRunsOnTheCallersGoroutine(t *testing.T) {
	c := newCached(t, &parallel.Memory{Dir: t.TempDir()}, "f", "v1", func(context.Context, int) (int, error) { panic(errBoom) })
	func() {
		defer func() {
			if p := recover(); p != errBoom {
				t.Errorf("Refresh panicked with %v; want %v itself", p, errBoom)
			}
		}()
		_, err := c.Refresh(t.Context(), 0)
		t.Errorf("Refresh returned %v; want a panic", err)
	}()
	// Nothing is locked.
	_, err := inTime(t, "Refresh after a panic", func() (_ int, err error) {
		defer func() { err = fmt.Errorf("panic: %v", recover()) }()
		return c.Refresh(t.Context(), 0)
	})
	if err == nil || err.Error() != "panic: boom" {
		t.Errorf("Refresh after a panic = %v; want the panic again", err)
	}
}

func TestForgetRemovesOneResult(t *testing.T) {
	m := &parallel.Memory{Dir: t.TempDir()}
	var f counted
	c := newCached(t, m, "f", "v1", f.next)
	for i := range 3 {
		mustBe(t, "f", i+1)(c.Call(t.Context(), i))
	}
	for range 2 { // what is not there may be forgotten too
		if err := c.Forget(1); err != nil {
			t.Fatal(err)
		}
		if !c.Contains(0) || c.Contains(1) || !c.Contains(2) {
			t.Errorf("Contains(0, 1, 2) = %v, %v, %v; want true, false, true", c.Contains(0), c.Contains(1), c.Contains(2))
		}
	}
	mustBe(t, "f(1) after Forget", 4)(c.Call(t.Context(), 1))
	mustBe(t, "f(0) after Forget", 1)(c.Call(t.Context(), 0))
	m.Sync()
	if whole, temporary := entries(t, m.Dir); len(whole) != 3 || len(temporary) != 0 {
		t.Errorf("there are entries %q and temporary files %q; want 3 and none", whole, temporary)
	}
}

func TestContainsCallsNothingAndCountsNothing(t *testing.T) {
	m := &parallel.Memory{Dir: t.TempDir()}
	var f counted
	c := newCached(t, m, "f", "v1", f.next)
	if c.Contains(0) {
		t.Error("Contains(0) = true before any call")
	}
	mustBe(t, "f(0)", 1)(c.Call(t.Context(), 0))
	m.Sync()
	if !c.Contains(0) || c.Contains(1) {
		t.Errorf("Contains(0), Contains(1) = %v, %v; want true, false", c.Contains(0), c.Contains(1))
	}
	if s := m.Stats(); s.Hits != 0 || s.Misses != 1 || f.calls.Load() != 1 {
		t.Errorf("Stats() = %+v after %d calls; want 1 miss and 1 call", s, f.calls.Load())
	}
}

// Of a function with its versions, and of all; what is not the Memory's stays.
func TestClearRemovesAllResultsAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	m := &parallel.Memory{Dir: dir}
	f1, f2 := newCached(t, m, "f", "v1", double), newCached(t, m, "f", "v2", double)
	g := newCached(t, m, "g", "v1", double)
	fill := func() {
		for i := range 20 {
			for _, c := range []*parallel.CachedFunc[int, int]{f1, f2, g} {
				mustBe(t, "a function", 2*i)(c.Call(t.Context(), i))
			}
		}
	}
	fill()
	m.Sync()
	whole, _ := entries(t, dir)
	foreign := []string{
		filepath.Join(dir, "notes.txt"),
		filepath.Join(dir, "other-0123456789abcdef.txt"),
		filepath.Join(filepath.Dir(whole[0]), "notes.txt"),
		filepath.Join(filepath.Dir(whole[0]), strings.Repeat("a", 61)),
		whole[0] + ".bak",
		filepath.Join(dir, "deep/a/b/c"),
	}
	for _, path := range foreign {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("mine"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f1.Clear(); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if f1.Contains(i) || f2.Contains(i) || !g.Contains(i) {
			t.Fatalf("after f.Clear(), Contains(%d) = %v, %v and %v; want only g's", i, f1.Contains(i), f2.Contains(i), g.Contains(i))
		}
	}
	fill()
	if err := m.Clear(); err != nil {
		t.Fatal(err)
	}
	if whole, temporary := entries(t, dir); len(whole) != 0 || len(temporary) != 0 {
		t.Errorf("after Clear there are entries %q and temporary files %q; want none", whole, temporary)
	}
	for _, path := range foreign {
		if text, err := os.ReadFile(path); string(text) != "mine" {
			t.Errorf("%s: %v after Clear; want it to be left alone", path, err)
		}
	}
	if s := m.Stats(); s.Misses != 100 || s.Hits != 20 {
		t.Errorf("Stats() = %+v; want 100 misses and 20 hits", s)
	}
	fill()
	if err := (&parallel.Memory{Dir: filepath.Join(dir, "nowhere")}).Clear(); err != nil {
		t.Errorf("Clear of a folder that is not there = %v; want no error", err)
	}
}

func TestACallThatRunsKeepsItsResultThoughAllIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &parallel.Memory{Dir: t.TempDir()}
		var f tally
		c := newCached(t, m, "f", "v1", f.nap)
		for _, forget := range []struct {
			what string
			do   func() error
		}{
			{"Memory.Clear", m.Clear},
			{"CachedFunc.Clear", c.Clear},
			{"Forget", func() error { return c.Forget(1) }},
		} {
			done := make(chan error, 1)
			go func() { _, err := c.Call(t.Context(), 1); done <- err }()
			synctest.Wait()
			err := forget.do()
			if err := errors.Join(err, <-done); err != nil {
				t.Errorf("%s while the call runs: %v", forget.what, err)
			}
			m.Sync()
			if !c.Contains(1) {
				t.Errorf("after %s, the call that ran has not kept its result", forget.what)
			}
			if err := m.Clear(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestStatsAreThoseOfTheFunctionAndItsVersion(t *testing.T) {
	m := &parallel.Memory{Dir: t.TempDir()}
	f1, f2 := newCached(t, m, "f", "v1", double), newCached(t, m, "f", "v2", double)
	for range 3 {
		mustBe(t, "f(1)", 2)(f1.Call(t.Context(), 1))
	}
	mustBe(t, "version 2 of f(1)", 2)(f2.Call(t.Context(), 1))
	a, b, sum := f1.Stats(), f2.Stats(), m.Stats()
	if a.Hits != 2 || a.Misses != 1 || b.Hits != 0 || b.Misses != 1 || sum.Hits != 2 || sum.Misses != 2 || sum.Saved != a.Saved {
		t.Errorf("Stats() = %+v, %+v and %+v of all; want 2 hits 1 miss, 1 miss, and their sum", a, b, sum)
	}
}

// A result is there for all as soon as its call returns, and stays there.
func TestContainsIsTrueFromTheReturnOfTheCallOn(t *testing.T) {
	m := &parallel.Memory{Dir: t.TempDir()}
	c := newCached(t, m, "f", "v1", double)
	for i := range 150 {
		mustBe(t, "f", 2*i)(c.Call(t.Context(), i))
		for range 100 {
			if !c.Contains(i) {
				t.Fatalf("Contains(%d) = false after the call", i)
			}
		}
	}
}
