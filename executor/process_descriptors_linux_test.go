package executor_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
)

func init() {
	verbs["descriptors"] = func(_ context.Context, d deed, a *told) (err error) {
		if d.Text == "of a child" {
			out, err := exec.Command("ls", "-l", "/proc/self/fd").Output()
			a.Text = string(out)
			return err
		}
		a.Text, err = descriptors()
		return err
	}
}

// descriptors returns those of this process, one a line, but for the one that is
// needed to list them.
func descriptors() (string, error) {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return "", err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return "", err
	}
	var list []string
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil || fd == int(dir.Fd()) {
			continue
		}
		link, err := os.Readlink("/proc/self/fd/" + name)
		if os.IsNotExist(err) {
			continue // closed meanwhile
		}
		if err != nil {
			return "", err
		}
		list = append(list, fmt.Sprintf("%02d %s", fd, link))
	}
	slices.Sort(list)
	return strings.Join(list, "\n"), nil
}

// A worker has stdin, stdout, stderr and its transport, and its children the
// first three.
func TestDescriptorsOfAWorker(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // what workers must not have
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	usual := descriptorsOfAChild(t) // not all who start tests close theirs
	other := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	mustTell(t, do(other, deed{Verb: "tell"}))
	dir := t.TempDir()
	log, gate := filepath.Join(dir, "log"), filepath.Join(dir, "gate")
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 3})
	for i := range 2 { // so that the third worker comes after others
		do(ex, deed{Verb: "hold", Log: log, ID: i, Path: gate})
		awaitStart(t, log, i)
	}
	var kinds []string
	text := mustTell(t, do(ex, deed{Verb: "descriptors"})).Text
	for line := range strings.Lines(text) {
		fd, target, _ := strings.Cut(strings.TrimSpace(line), " ")
		kind, _, _ := strings.Cut(target, ":")
		if isOfRuntime := kind == "anon_inode" || strings.HasPrefix(kind, "/sys/fs/cgroup/"); !isOfRuntime && (fd <= "06" || !slices.Contains(usual, target)) {
			kinds = append(kinds, kind)
		}
	}
	if want := []string{"/dev/null", "pipe", "pipe", "pipe", "pipe", "socket"}; !slices.Equal(kinds, want) { // the shared memory is mapped, and closed
		t.Errorf("the descriptors of a worker are %q; want %q; all of them:\n%s", kinds, want, text)
	}
	text = mustTell(t, do(ex, deed{Verb: "descriptors", Text: "of a child"})).Text
	if got := parseDescriptors(text); !slices.Equal(got, usual) {
		t.Errorf("a worker's child has, beyond the first three, %q; want %q, what a child of this process has:\n%s", got, usual, text)
	}
	if got := descriptorsOfAChild(t); !slices.Equal(got, usual) {
		t.Errorf("beside pools, a child of this process has, beyond the first three, %q; want %q", got, usual)
	}
	touch(t, gate)
}

// descriptorsOfAChild returns what a process that this one starts has beyond
// stdin, stdout and stderr.
func descriptorsOfAChild(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("ls", "-l", "/proc/self/fd").Output()
	if err != nil {
		t.Fatal(err)
	}
	return parseDescriptors(string(out))
}

// parseDescriptors reads the output of ls, which has a descriptor for the
// directory.
func parseDescriptors(text string) (targets []string) {
	for line := range strings.Lines(text) {
		name, target, ok := strings.Cut(strings.TrimSpace(line), " -> ")
		fd, err := strconv.Atoi(name[strings.LastIndexByte(name, ' ')+1:])
		if ok && err == nil && fd > 2 && !strings.HasSuffix(target, "/fd") {
			targets = append(targets, target)
		}
	}
	slices.Sort(targets)
	return targets
}

// Pools leave nothing behind, however they end.
func TestPoolsLeaveNothingBehind(t *testing.T) {
	usePool := func(i int) {
		ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2, KillGrace: 20 * time.Millisecond})
		f := do(ex, deed{Verb: "tell", N: i})
		switch i % 5 {
		case 0:
			mustTell(t, f)
		case 1:
			mustDie(t, do(ex, deed{Verb: "exit"}))
		case 2:
			do(ex, deed{Verb: "sleep"})
			mustTell(t, f)
			_ = ex.Shutdown(ended())
		case 3:
			_ = ex.Shutdown(ended())
		case 4:
			ctx, cancel := context.WithCancel(t.Context())
			f := executor.Submit(ctx, ex, doDeed, deed{Verb: "heed"})
			cancel()
			_, _ = resultOf(t, f)
		}
		closeInTime(t, ex)
	}
	usePool(0)
	usePool(1)
	before, err := descriptors()
	if err != nil {
		t.Fatal(err)
	}
	goroutines := runtime.NumGoroutine()
	for i := range 20 {
		usePool(i)
	}
	if pids := offspring(t); len(pids) > 0 {
		t.Errorf("the children %v are left, or not reaped", pids)
	}
	after, err := descriptors()
	if err != nil || after != before {
		t.Errorf("the descriptors before:\n%s\nand after 20 pools (%v):\n%s", before, err, after)
	}
	for begin := time.Now(); runtime.NumGoroutine() > goroutines && time.Since(begin) < longEnough; {
		time.Sleep(2 * time.Millisecond) // timers may have some that end soon
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("%d goroutines before, %d after 20 pools", goroutines, n)
	}
}
