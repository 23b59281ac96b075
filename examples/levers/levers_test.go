package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
)

func TestMain(m *testing.M) {
	executor.WorkerMain()
	// Else the race detector lets each worker sleep for a second before it ends.
	_ = os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
	goleak.VerifyTestMain(m)
}

// write writes a file of a tree and returns its path.
func write(t *testing.T, folder, name, content string) string {
	t.Helper()
	path := filepath.Join(folder, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// lock takes the right to read a file away. It reports whether that helps: root
// may read all files, and Windows has no such mode.
func lock(t *testing.T, path string) bool {
	t.Helper()
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(path, 0o666) })
	f, err := os.Open(path)
	if err == nil {
		f.Close()
	}
	return err != nil
}

// inputOf lists a folder as the command does.
func inputOf(t *testing.T, folder string) input {
	t.Helper()
	in, err := readInput(t.Context(), []string{folder})
	if err != nil {
		t.Fatalf("readInput(%s) = %v", folder, err)
	}
	return in
}

func TestEveryLeverReportsGoodAndBadFilesAlike(t *testing.T) {
	root := t.TempDir()
	write(t, root, "good.go", "package good\n\nfunc F() {\n\tif true {\n\t}\n}\n")
	write(t, root, "sub/more.go", "package sub\n\nfunc G() {}") // the last line does not end
	write(t, root, "bad.go", "package bad\n\nfunc {\n")
	write(t, root, "empty.go", "")
	write(t, root, "note.txt", "func not in Go")
	write(t, root, "folder.go/in.go", "package in\n")
	gone := write(t, root, "gone.go", "package gone\n")

	in := inputOf(t, root)
	if err := os.Remove(gone); err != nil { // after the folder was listed
		t.Fatal(err)
	}
	want := Total{
		Files:       6,
		Lines:       6 + 3 + 1,
		Functions:   2,
		Longest:     Function{Name: "F", Path: filepath.Join(in.folder, "good.go"), Line: 3, Lines: 4, Complexity: 2},
		MostComplex: Function{Name: "F", Path: filepath.Join(in.folder, "good.go"), Line: 3, Lines: 4, Complexity: 2},
	}
	wantFailures := []string{
		"bad.go:3: does not parse: expected 'IDENT', found '{'",
		"empty.go:1: does not parse: expected 'package', found 'EOF'",
		"gone.go: disappeared: ",
	}
	for _, l := range withCache(t) {
		t.Run(l.name, func(t *testing.T) {
			needWorkersOf(t, l)
			got := totalOf(t, l, in)
			checkFailures(t, in, got.Failures, wantFailures)
			if want, got := want.facts(in.folder), withoutFailures(got).facts(in.folder); !slices.Equal(got, want) {
				t.Errorf("facts:\n got %v\nwant %v", got, want)
			}
		})
	}
}

// needWorkersOf skips the test of a lever that cannot be pulled here.
func needWorkersOf(t *testing.T, l lever) {
	t.Helper()
	if strings.Contains(strings.ToLower(l.name), "process") {
		executortest.NeedsProcesses(t)
	}
}

// totalOf does the job with one lever.
func totalOf(t *testing.T, l lever, in input) Total {
	t.Helper()
	got, err := l.total(t.Context(), in, newProgress(nil, "", 0))
	if err != nil {
		t.Fatalf("%s: %v", l.name, err)
	}
	return got
}

func withoutFailures(t Total) Total {
	t.Failures = nil
	return t
}

// checkFailures compares failures with the beginnings of their descriptions:
// their ends may be the parser's or the system's.
func checkFailures(t *testing.T, in input, got []Failure, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d failures, want %d: %+v", len(got), len(want), got)
	}
	for i, f := range got {
		if text := describeFailure(in.folder, f); !strings.HasPrefix(text, want[i]) {
			t.Errorf("failure %d is %q; want %q…", i, text, want[i])
		}
	}
}

func TestFileWithoutPermissionIsAFailureOfEveryLever(t *testing.T) {
	executortest.NeedsProcesses(t)
	root := t.TempDir()
	write(t, root, "good.go", "package good\n")
	if !lock(t, write(t, root, "locked.go", "package locked\n")) {
		t.Skip("this user may read every file: root, or a system without modes")
	}
	in := inputOf(t, root)
	for _, l := range withCache(t) {
		checkFailures(t, in, totalOf(t, l, in).Failures, []string{"locked.go: cannot be read: "})
	}
}

func TestLinkThatLeadsToNoFileIsAFailureOfEveryLever(t *testing.T) {
	executortest.NeedsProcesses(t)
	root := t.TempDir()
	write(t, root, "sub/good.go", "package good\n")
	for name, target := range map[string]string{"dangling.go": "nowhere", "tree.go": "sub"} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Skip("this system lets this user make no symbolic links:", err)
		}
	}
	in := inputOf(t, root)
	for _, l := range withCache(t) {
		checkFailures(t, in, totalOf(t, l, in).Failures, []string{
			"dangling.go: cannot be read: a link that leads nowhere",
			"tree.go: cannot be read: not a regular file",
		})
	}
}

func TestEveryLeverStopsWhenCtxEnds(t *testing.T) {
	path := write(t, t.TempDir(), "a.go", "package a\n")
	// More than a Map may have under way, so that some are left.
	files := slices.Repeat([]string{path}, 10+4*runtime.GOMAXPROCS(0))
	for _, l := range withCache(t) {
		t.Run(l.name, func(t *testing.T) {
			needWorkersOf(t, l)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			n, failed := 0, error(nil)
			for _, err := range l.run(ctx, files) {
				if err != nil {
					failed = err
					break
				}
				n++
				cancel()
			}
			if !errors.Is(failed, context.Canceled) || n == 0 || n == len(files) {
				t.Errorf("%d of %d reports, then %v; want some, then context.Canceled", n, len(files), failed)
			}
		})
	}
}

func TestNoLeverLeavesAProcessBehind(t *testing.T) {
	executortest.NeedsProcesses(t)
	if _, err := children(); err != nil {
		t.Skip("this system does not list the processes that another has started:", err)
	}
	root := t.TempDir()
	write(t, root, "a.go", "package a\n")
	in := inputOf(t, root)
	for _, l := range withCache(t) {
		totalOf(t, l, in)
		if pids, err := children(); len(pids) > 0 || err != nil {
			t.Errorf("%s has left the processes %v (%v), want none", l.name, pids, err)
		}
	}
}

func TestAnswerIsTheSameInWhateverOrderReportsCome(t *testing.T) {
	f := func(path string, line int) Function {
		return Function{Name: "F", Path: path, Line: line, Lines: 3, Complexity: 2}
	}
	failure := func(path string) Failure { return Failure{Path: path, Kind: doesNotParse} }
	reports := []Report{
		{Path: "b", Functions: 1, Longest: f("b", 1), MostComplex: f("b", 1)},
		{Path: "a", Functions: 1, Longest: f("a", 9), MostComplex: f("a", 9)},
		{Path: "none"},
		{Path: "z", Failure: failure("z")},
		{Path: "y", Failure: failure("y")},
	}
	var forth, back Total
	for i, r := range reports {
		forth.add(r)
		back.add(reports[len(reports)-1-i])
	}
	forth.sort()
	back.sort()
	if forth.Longest.Path != "a" || forth.MostComplex.Path != "a" {
		t.Errorf("longest is in %q, most complex in %q; want a, the first by path", forth.Longest.Path, forth.MostComplex.Path)
	}
	if !slices.Equal(allFacts(forth, ""), allFacts(back, "")) {
		t.Errorf("forth and back differ:\n%v\n%v", allFacts(forth, ""), allFacts(back, ""))
	}
}
