package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
)

func init() { executor.Register(countOnceBothAreThere) }

// counts is what a cache was good for.
type counts struct{ Hits, Misses int64 }

// cacheDir returns a folder for a cache. It is not that of [testing.T.TempDir],
// whose removal must not fail: a cache keeps a file in it open, which Windows does
// not remove.
func cacheDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "levers-cache")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// withCache returns all levers, also the one with a cache.
func withCache(t *testing.T) []lever {
	t.Helper()
	return leversFor(input{cache: cacheDir(t)})
}

// checkCache does the job with the reports that an earlier one has left in dir. The
// answer must be that of the plain loop.
func checkCache(t *testing.T, when, dir string, in input, want counts) {
	t.Helper()
	l := cached(dir)
	got, plain := totalOf(t, l, in), totalOf(t, levers[0], in)
	if got, want := allFacts(got, in.folder), allFacts(plain, in.folder); !slices.Equal(got, want) {
		t.Errorf("%s: facts:\n got %v\nwant %v", when, got, want)
	}
	s := l.stats()
	if (counts{s.Hits, s.Misses}) != want || s.Unkept != 0 || s.Damaged != 0 {
		t.Errorf("%s: stats %+v, want %+v", when, *s, want)
	}
	if hasSaved := s.Saved > 0; hasSaved != (want.Hits > 0) {
		t.Errorf("%s: %v saved by %d hits", when, s.Saved, want.Hits)
	}
}

// manyFiles is how many files a tree of writeMany has.
const manyFiles = 24

// writeMany writes a tree in which one file does not parse.
func writeMany(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	for i := range manyFiles - 1 {
		write(t, root, fmt.Sprintf("sub%d/f%d.go", i%3, i), fmt.Sprintf("package sub\n\nfunc F%d() {%s}\n", i, strings.Repeat("\n", i)))
	}
	write(t, root, "bad.go", "package bad\n\nfunc {\n")
	return root
}

func TestSecondRunAnswersFromTheCache(t *testing.T) {
	in, dir := inputOf(t, writeMany(t)), cacheDir(t)
	checkCache(t, "first run", dir, in, counts{Misses: manyFiles})
	checkCache(t, "second run", dir, in, counts{Hits: manyFiles})
}

func TestOnlyAFileThatHasChangedIsParsedAgain(t *testing.T) {
	root, dir := writeMany(t), cacheDir(t)
	path, modified := filepath.Join(root, "sub0", "f0.go"), time.Now()
	setTime(t, path, modified)
	in := inputOf(t, root)
	checkCache(t, "at first", dir, in, counts{Misses: manyFiles})

	write(t, root, "sub0/f0.go", "package sub\n\nfunc Longer() {\n\n\n}\n")
	setTime(t, path, modified)
	checkCache(t, "after another size", dir, in, counts{Hits: manyFiles - 1, Misses: 1})

	setTime(t, path, modified.Add(time.Hour))
	checkCache(t, "after another time", dir, in, counts{Hits: manyFiles - 1, Misses: 1})
	checkCache(t, "after no change", dir, in, counts{Hits: manyFiles})
}

// setTime sets when a file was modified.
func setTime(t *testing.T, path string, modified time.Time) {
	t.Helper()
	if err := os.Chtimes(path, modified, modified); err != nil {
		t.Fatal(err)
	}
}

func TestFileThatDoesNotParseIsRemembered(t *testing.T) {
	root, dir := t.TempDir(), cacheDir(t)
	write(t, root, "bad.go", "package bad\n\nfunc {\n")
	in := inputOf(t, root)
	checkCache(t, "first run", dir, in, counts{Misses: 1})
	checkCache(t, "second run", dir, in, counts{Hits: 1})
}

func TestFileThatHasDisappearedIsNotRemembered(t *testing.T) {
	root, dir := t.TempDir(), cacheDir(t)
	content, modified := "package a\n\nfunc F() {}\n", time.Now()
	back := func(name string) string {
		path := write(t, root, name, content)
		setTime(t, path, modified)
		return path
	}
	known, unknown := back("known.go"), back("unknown.go")
	in := inputOf(t, root)
	remove(t, unknown)
	checkCache(t, "without one", dir, in, counts{Misses: 1})
	remove(t, known)
	checkCache(t, "without both", dir, in, counts{})
	back("known.go")
	back("unknown.go")
	checkCache(t, "with both", dir, in, counts{Hits: 1, Misses: 1})
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func TestFileThatCannotBeReadIsNotRemembered(t *testing.T) {
	root, dir := t.TempDir(), cacheDir(t)
	path := write(t, root, "locked.go", "package locked\n")
	if !lock(t, path) {
		t.Skip("this user may read every file: root, or a system without modes")
	}
	in := inputOf(t, root)
	checkCache(t, "locked", dir, in, counts{Misses: 1})
	if err := os.Chmod(path, 0o666); err != nil { // which leaves its size and time alone
		t.Fatal(err)
	}
	checkCache(t, "unlocked", dir, in, counts{Misses: 1})
	checkCache(t, "again", dir, in, counts{Hits: 1})
}

func TestFolderWithTheNameOfAFileIsNotRemembered(t *testing.T) {
	root, dir := t.TempDir(), cacheDir(t)
	in := input{folder: root, files: []string{root}} // as behind a link
	checkCache(t, "first run", dir, in, counts{Misses: 1})
	checkCache(t, "second run", dir, in, counts{Misses: 1})
}

func TestReportIsKeptOnlyIfTheFileStayedAsItWas(t *testing.T) {
	path := write(t, t.TempDir(), "a.go", "package a\n")
	now, err := stateOf(path)
	if err != nil {
		t.Fatal(err)
	}
	shorter, older, gone := now, now, now
	shorter.Size--
	older.Modified = older.Modified.Add(-time.Second)
	gone.Path += ".gone"
	for _, c := range []struct {
		name   string
		state  fileState
		isKept bool
	}{{"as it was", now, true}, {"was shorter", shorter, false}, {"was older", older, false}, {"is gone", gone, false}} {
		want, _ := parse(t.Context(), c.state.Path)
		got, err := parseState(t.Context(), c.state)
		passing, isPassing := errors.AsType[*passingError](err)
		if isPassing {
			got = passing.report
		}
		if isPassing == c.isKept || got != want {
			t.Errorf("%s: parseState = %+v, %v; want the report, kept: %t", c.name, got, err, c.isKept)
		}
	}
}

func TestRelativePathIsAnotherFileElsewhere(t *testing.T) {
	executortest.NeedsProcesses(t)
	dir, modified := cacheDir(t), time.Now()
	for i, name := range []string{"One", "Two"} { // of one length
		root := t.TempDir()
		setTime(t, write(t, root, "a.go", "package a\n\nfunc "+name+"() {}\n"), modified)
		t.Chdir(root)
		var out, errs bytes.Buffer
		if status := run(t.Context(), []string{"-cache", dir, "."}, &out, &errs); status != 0 || !strings.Contains(out.String(), name+" (a.go:3)") {
			t.Errorf("run %d = %d, stdout %q, stderr %q; want 0 and the function %s", i, status, out.String(), errs.String(), name)
		}
	}
}

func TestCommandShowsWhatTheCacheWasGoodFor(t *testing.T) {
	executortest.NeedsProcesses(t)
	root, dir := writeMany(t), cacheDir(t)
	for i, want := range []string{
		fmt.Sprintf("0 %d 0.000 s", manyFiles),
		fmt.Sprintf("%d 0 ", manyFiles),
	} {
		var out, errs bytes.Buffer
		if status := run(t.Context(), []string{"-cache", dir, root}, &out, &errs); status != 0 || errs.Len() > 0 {
			t.Fatalf("run %d = %d, stderr %q; want 0 and nothing", i, status, errs.String())
		}
		last := rowOf(out.String(), "parallel.Cache, threads")
		if got := strings.Join(last[max(0, len(last)-4):], " "); !strings.HasPrefix(got, want) {
			t.Errorf("run %d: the row of the cache ends with %q, want %q:\n%s", i, got, want, out.String())
		}
		if want := "All 10 levers gave the same answer.\n"; !strings.Contains(out.String(), want) {
			t.Errorf("run %d: output lacks %q:\n%s", i, want, out.String())
		}
	}
}

// rowOf returns the words of the line that begins with a name.
func rowOf(table, name string) []string {
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, name) {
			return strings.Fields(line)
		}
	}
	return nil
}

func TestTwoProcessesParseEachFileOnce(t *testing.T) {
	executortest.NeedsProcesses(t)
	in, dir := inputOf(t, writeMany(t)), cacheDir(t)
	meeting := t.TempDir()
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2}
	defer ex.Close()
	jobs := []shared{{in.folder, dir, meeting, "a"}, {in.folder, dir, meeting, "b"}}
	got, err := executor.MapSlice(t.Context(), ex, countOnceBothAreThere, jobs, executor.ChunkSize(1))
	if err != nil {
		t.Fatal(err)
	}
	hits, misses := got[0].Hits+got[1].Hits, got[0].Misses+got[1].Misses
	if hits != manyFiles || misses != manyFiles {
		t.Errorf("two processes had %+v; want %d hits and %[2]d misses together", got, manyFiles)
	}
}

// shared is the job of one of two processes that share a cache.
type shared struct{ Folder, Cache, Meeting, Name string }

// countOnceBothAreThere does the job when the other process is about to.
func countOnceBothAreThere(ctx context.Context, job shared) (counts, error) {
	in, err := readInput(ctx, []string{"-cache", job.Cache, job.Folder})
	if err == nil {
		err = meet(ctx, job.Meeting, job.Name)
	}
	if err != nil {
		return counts{}, err
	}
	l := cached(in.cache)
	_, err = l.total(ctx, in, newProgress(nil, "", 0))
	return counts{l.stats().Hits, l.stats().Misses}, err
}

// meet returns when two calls are there, by two names, each in a process of its own: a
// worker that got both would wait until ctx ends.
func meet(ctx context.Context, folder, name string) error {
	err := os.WriteFile(filepath.Join(folder, name), nil, 0o666)
	for there := 0; err == nil && there < 2; time.Sleep(time.Millisecond) {
		var names []os.DirEntry
		names, err = os.ReadDir(folder)
		err = errors.Join(err, ctx.Err())
		there = len(names)
	}
	return err
}
