package parallel_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/parallel"
)

// smallDisk returns a folder on a file system of so many bytes.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small file system")
	}
	at := t.TempDir()
	if err := syscall.Mount("tmpfs", at, "tmpfs", 0, options); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(at, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return at
}

func TestAFullDiskCostsNoResult(t *testing.T) {
	logged := logging(t)
	m := &parallel.Memory{Dir: filepath.Join(smallDisk(t, "size=128k"), "cache")}
	defer m.Sync()
	calls := 0
	c := newCached(t, m, "f", "v1", func(_ context.Context, n int) (string, error) {
		calls++
		return strings.Repeat(string(rune('a'+n)), 10_000), nil
	})
	for range 2 {
		for n := range 20 {
			if got, err := c.Call(t.Context(), n); err != nil || got != strings.Repeat(string(rune('a'+n)), 10_000) {
				t.Fatalf("f(%d) = %d bytes, %v; want its result", n, len(got), err)
			}
			m.Sync()
			if _, temporary := entries(t, m.Dir); len(temporary) != 0 {
				t.Fatalf("f(%d) left %q", n, temporary)
			}
		}
	}
	whole, _ := entries(t, m.Dir)
	s := m.Stats()
	if n := int64(len(whole)); n == 0 || s.Hits != n || s.Misses != 40-n || s.Unkept != 40-2*n || int64(calls) != s.Misses || s.Damaged != 0 {
		t.Errorf("Stats() = %+v, %d entries, %d calls; want hits of those that had room, and the rest not to be kept", s, n, calls)
	}
	if texts := logged.all(); len(texts) != 1 || !strings.Contains(texts[0], "a result is not kept") || !strings.Contains(texts[0], "no space left") {
		t.Errorf("logged %q; want one record", texts)
	}
	if err := m.Clear(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Call(t.Context(), 19); err != nil || !c.Contains(19) {
		t.Errorf("when there is room again, f(19) = %v, and Contains(19) = %v; want it to be kept", err, c.Contains(19))
	}
}

// No room for a folder or an empty file either.
func TestADiskWithoutRoomForFilesCostsNoResult(t *testing.T) {
	logged := logging(t)
	for _, inodes := range []string{"nr_inodes=1", "nr_inodes=2", "nr_inodes=3", "nr_inodes=5", "nr_inodes=7"} {
		m := &parallel.Memory{Dir: filepath.Join(smallDisk(t, "size=128k,"+inodes), "cache")}
		c := newCached(t, m, "f", "v1", double)
		for n := range 10 {
			mustBe(t, "f", 2*n)(c.Call(t.Context(), n))
		}
		m.Sync()
		whole, _ := entries(t, m.Dir)
		if s := m.Stats(); s.Misses != 10 || int(s.Unkept) != 10-len(whole) || len(whole) > 1 {
			t.Errorf("%s: Stats() = %+v with %d entries; want 10 misses, most of which are not kept", inodes, s, len(whole))
		}
	}
	if n := len(logged.all()); n < 5 || n > 10 {
		t.Errorf("logged %q; want one record for each thing of each Memory", logged.all())
	}
}

// The next result is kept where the folder can be written to again.
func TestAFolderThatBecomesReadOnlyIsReadOn(t *testing.T) {
	logged := logging(t)
	at := smallDisk(t, "size=1m")
	m := &parallel.Memory{Dir: filepath.Join(at, "cache"), MaxItems: 10}
	defer m.Sync()
	var f counted
	c := newCached(t, m, "f", "v1", f.next)
	mustBe(t, "f(0)", 1)(c.Call(t.Context(), 0))
	m.Sync()
	remount := func(flags uintptr) {
		if err := syscall.Mount("", at, "", syscall.MS_REMOUNT|flags, ""); err != nil {
			t.Skipf("cannot mount it otherwise: %v", err)
		}
	}
	// The lock is open for writing, so that the mount would be busy.
	other := &parallel.Memory{Dir: m.Dir}
	if err := syscall.Mount(at, at, "", syscall.MS_BIND, ""); err != nil {
		t.Skipf("cannot mount it again: %v", err)
	}
	defer syscall.Unmount(at, syscall.MNT_DETACH)
	remount(syscall.MS_BIND | syscall.MS_RDONLY)
	d := newCached(t, other, "f", "v1", f.next)
	mustBe(t, "f(0) when the folder is read-only", 1)(d.Call(t.Context(), 0))
	mustBe(t, "f(1) when the folder is read-only", 2)(d.Call(t.Context(), 1))
	mustBe(t, "Refresh(0) when the folder is read-only", 3)(d.Refresh(t.Context(), 0))
	mustBe(t, "f(0) after that", 4)(d.Call(t.Context(), 0)) // the first result is not that of f(0) any more
	if s := other.Stats(); s.Unkept != 3 || s.Damaged != 0 {
		t.Errorf("Stats() = %+v; want 3 that are not kept", s)
	}
	if err := other.Clear(); !errors.Is(err, syscall.EROFS) {
		t.Errorf("Clear() = %v; want an error that says that it is read-only", err)
	}
	remount(syscall.MS_BIND)
	mustBe(t, "f(1) when it can be written to again", 5)(d.Call(t.Context(), 1))
	mustBe(t, "f(1) after that", 5)(d.Call(t.Context(), 1))
	mustBe(t, "f(0) when it can be written to again", 6)(d.Call(t.Context(), 0))
	mustBe(t, "f(0) after that", 6)(d.Call(t.Context(), 0))
	other.Sync()
	if n := len(logged.all()); n < 1 || n > 2 {
		t.Errorf("logged %q; want one record for each thing", logged.all())
	}
}

func init() { executor.Register(rememberLittle) }

// rememberLittle calls the cached function in a process that cannot write a file of
// more than 4096 bytes: what is more is cut off, which is an error.
func rememberLittle(ctx context.Context, in memo) (parallel.MemoryStats, error) {
	signal.Ignore(syscall.SIGXFSZ)
	limit := syscall.Rlimit{Cur: 4096, Max: 4096}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return parallel.MemoryStats{}, err
	}
	r, err := memoryIn(in.Dir)
	if err != nil {
		return parallel.MemoryStats{}, err
	}
	for range 3 {
		got, err := r.cached.Call(ctx, in)
		if err != nil || !slices.Equal(got, numbersOf(in.N, in.Size)) {
			return r.memory.Stats(), fmt.Errorf("f(%d) = %d numbers, %w", in.N, len(got), err)
		}
	}
	r.memory.Sync()
	return r.memory.Stats(), nil
}

// What was written when the disk said no is removed.
func TestAResultOfWhichAPartIsWrittenIsNotKept(t *testing.T) {
	dir := inDir(t, "cache")
	ex := workers(t, 1)
	ex.Stderr = io.Discard // the report
	for _, row := range []struct {
		size int
		want parallel.MemoryStats
	}{
		{10_000, parallel.MemoryStats{Misses: 3, Unkept: 3}},
		{100, parallel.MemoryStats{Misses: 4, Unkept: 3, Hits: 2}},
	} {
		got, err := executor.Submit(t.Context(), ex, rememberLittle, memo{N: row.size, Dir: dir, Size: row.size}).Result(t.Context())
		got.Saved = 0
		if err != nil || got != row.want {
			t.Errorf("with %d numbers: %+v, %v; want %+v", row.size, got, err, row.want)
		}
		if _, temporary := entries(t, dir); len(temporary) != 0 {
			t.Errorf("with %d numbers, there are %q; want no temporary files", row.size, temporary)
		}
	}
	theEntry(t, dir)
}

func TestARefreshOnAFullDiskLeavesNoOldResult(t *testing.T) {
	logging(t)
	isNewest(t, &parallel.Memory{Dir: filepath.Join(smallDisk(t, "size=128k"), "cache")}, func(call int) int {
		if call == 2 {
			return 1 << 20
		}
		return 10
	})
}

func TestCheckOfAFullDiskSaysSo(t *testing.T) {
	logging(t)
	at := smallDisk(t, "size=64k")
	if err := os.Chmod(at, 0o700); err != nil {
		t.Fatal(err)
	}
	_ = os.WriteFile(filepath.Join(at, "fill"), make([]byte, 1<<20), 0o600)
	for _, dir := range []string{at, filepath.Join(at, "cache")} {
		if err, isKept := checked(t, &parallel.Memory{Dir: dir}); !errors.Is(err, syscall.ENOSPC) || isKept {
			t.Errorf("Check = %v, and a result is kept: %v; want %v, and that it is not", err, isKept, syscall.ENOSPC)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "check*")); len(left) != 0 {
			t.Errorf("Check left %q", left)
		}
	}
}
