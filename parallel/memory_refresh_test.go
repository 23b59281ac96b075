package parallel_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/parallel"
)

// isNewest checks that the results of calls are never older than that of the Refresh
// before, though it cannot be kept.
func isNewest(t *testing.T, m *parallel.Memory, size func(call int) int) {
	t.Helper()
	calls := 0
	c := newCached(t, m, "f", "v1", func(context.Context, int) (string, error) {
		calls++
		return strings.Repeat(string(rune('a'+calls)), size(calls)), nil
	})
	first, err := c.Call(t.Context(), 0)
	if again, err2 := c.Call(t.Context(), 0); err != nil || err2 != nil || again != first || calls != 1 {
		t.Fatalf("f(0) = %v, and %v again, after %d calls; want it to be kept", err, err2, calls)
	}
	refreshed, err := c.Refresh(t.Context(), 0)
	if err != nil || refreshed == first {
		t.Fatalf("Refresh = %v; want the function to be called", err)
	}
	if c.Contains(0) {
		t.Error("Contains(0) = true after a Refresh that is not kept")
	}
	if next, err := c.Call(t.Context(), 0); err != nil || next[0] != 'a'+3 || calls != 3 {
		t.Errorf("f(0) after a Refresh that is not kept is that of call %q, %v; want it to be computed again", next[0]-'a', err)
	}
	m.Sync()
	other := newCached(t, &parallel.Memory{Dir: m.Dir}, "f", "v1", func(context.Context, int) (string, error) { return "z", nil })
	if got, err := other.Call(t.Context(), 0); err != nil || got[0] == 'a'+1 {
		t.Errorf("f(0) of another Memory is that of the first call, %v; want it to be computed again", err)
	}
	if s := m.Stats(); s.Unkept == 0 || s.Damaged != 0 {
		t.Errorf("Stats() = %+v; want results that are not kept, and nothing damaged", s)
	}
}

func TestARefreshOfMoreThanMaxBytesLeavesNoOldResult(t *testing.T) {
	logging(t)
	isNewest(t, &parallel.Memory{Dir: t.TempDir(), MaxBytes: 1000}, func(call int) int {
		if call == 2 {
			return 5000
		}
		return 10
	})
}

// A result that has no encoding is one more that cannot be kept.
func TestARefreshThatCannotBeEncodedLeavesNoOldResult(t *testing.T) {
	logging(t)
	m := &parallel.Memory{Dir: t.TempDir()}
	calls := 0
	c := newCached(t, m, "f", "v1", func(context.Context, int) (*link, error) {
		calls++
		l := &link{Secret: string(rune('a' + calls))}
		if calls == 2 {
			l.Next = l
		}
		return l, nil
	})
	for i, call := range []func(context.Context, int) (*link, error){c.Call, c.Refresh, c.Call, c.Call} {
		want := string("bcdd"[i])
		if got, err := call(t.Context(), 0); err != nil || got.Secret != want {
			t.Errorf("call %d = %+v, %v; want %s", i, got, err, want)
		}
	}
}

// An error is no result: what was kept before is.
func TestARefreshThatFailsLeavesTheOldResult(t *testing.T) {
	m := &parallel.Memory{Dir: t.TempDir()}
	calls := 0
	c := newCached(t, m, "f", "v1", func(context.Context, int) (int, error) {
		if calls++; calls == 2 {
			return 0, errBoom
		}
		return calls, nil
	})
	mustBe(t, "f(0)", 1)(c.Call(t.Context(), 0))
	if _, err := c.Refresh(t.Context(), 0); err != errBoom {
		t.Errorf("Refresh = %v; want boom", err)
	}
	mustBe(t, "f(0) after a Refresh that failed", 1)(c.Call(t.Context(), 0))
}

// The age of a result is counted from when it was there, not from when its computing
// began, nor is that counted twice.
func TestAResultIsAsOldAsItIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &parallel.Memory{Dir: t.TempDir(), ExpiresAfter: 300 * time.Millisecond}
		calls := 0
		c := newCached(t, m, "f", "v1", func(context.Context, int) (int, error) {
			calls++
			time.Sleep(600 * time.Millisecond)
			return calls, nil
		})
		mustBe(t, "f(0)", 1)(c.Call(t.Context(), 0))
		mustBe(t, "f(0) at once", 1)(c.Call(t.Context(), 0))
		time.Sleep(299 * time.Millisecond)
		mustBe(t, "f(0) after 299ms", 1)(c.Call(t.Context(), 0))
		time.Sleep(time.Millisecond)
		mustBe(t, "f(0) after 300ms", 2)(c.Call(t.Context(), 0))
		if s := m.Stats(); s.Saved != 1200*time.Millisecond {
			t.Errorf("Saved is %v; want 1.2s", s.Saved)
		}
	})
}

// checked returns what Check says, and whether a result is kept then.
func checked(t *testing.T, m *parallel.Memory) (err error, isKept bool) {
	t.Helper()
	err = m.Check()
	c := newCached(t, m, "f", "v1", double)
	mustBe(t, "f(1)", 2)(c.Call(t.Context(), 1))
	m.Sync()
	return err, c.Contains(1)
}

// A program can ask before it begins what calls would only log.
func TestCheckSaysWhyNothingIsKept(t *testing.T) {
	logging(t)
	file := inDir(t, "file")
	overwrite(t, file, nil)
	for name, row := range map[string]struct {
		dir, says string
	}{
		"a file":             {file, "it is a file"},
		"a folder in a file": {filepath.Join(file, "cache"), file},
	} {
		err, isKept := checked(t, &parallel.Memory{Dir: row.dir})
		if err == nil || !strings.HasPrefix(err.Error(), "parallel: Memory: ") || !strings.Contains(err.Error(), row.says) || isKept {
			t.Errorf("%s: Check = %v, and a result is kept: %v; want an error with %q", name, err, isKept, row.says)
		}
	}
	if err := (&parallel.Memory{Dir: file, MaxItems: -1}).Check(); err == nil || !strings.Contains(err.Error(), "MaxItems is -1") {
		t.Errorf("Check of a wrong field = %v; want an error that names it", err)
	}
}

func TestCheckOfWhatCanBeKeptIsNil(t *testing.T) {
	dir := inDir(t, "not/there/yet")
	if err, isKept := checked(t, &parallel.Memory{Dir: dir}); err != nil || !isKept {
		t.Errorf("Check = %v, and a result is kept: %v; want nil, and that it is", err, isKept)
	}
	if err, _ := checked(t, &parallel.Memory{Dir: dir, MaxBytes: 1 << 20}); err != nil {
		t.Errorf("Check of a folder that is there = %v; want nil", err)
	}
	if err := new(parallel.Memory).Check(); err != nil {
		t.Errorf("Check of the zero Memory = %v; want nil: it is to keep nothing", err)
	}
	theEntry(t, dir)
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 3 { // .gitignore, the lock, and the function's folder
		t.Errorf("Check left %q, %v", left, err)
	}
}
