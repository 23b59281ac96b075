package executor_test

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func init() {
	verbs["sleep"] = func(context.Context, deed, *told) error { stuckInSleep(); return nil }
	verbs["spin"] = func(context.Context, deed, *told) error { stuckInLoop(); return nil }
	verbs["read"] = func(context.Context, deed, *told) error { return stuckInRead() }
	verbs["crowd"] = func(_ context.Context, d deed, _ *told) error {
		crowd(d.N)
		if d.Path != "" { // to start so many takes longer than a KillGrace of 100 ms
			_ = os.WriteFile(d.Path, nil, 0o600)
		}
		stuckInSleep()
		return nil
	}
	verbs["draw a crowd"] = func(_ context.Context, d deed, _ *told) error { crowd(d.N); return nil }
	verbs["leave"] = func(context.Context, deed, *told) error { runtime.Goexit(); return nil }
	verbs["no quit"] = func(context.Context, deed, *told) error { signal.Ignore(syscall.SIGQUIT); stuckInSleep(); return nil }
	verbs["signal"] = func(_ context.Context, d deed, _ *told) error {
		_ = syscall.Kill(os.Getpid(), syscall.Signal(d.N))
		select {}
	}
	verbs["log.Fatal"] = func(_ context.Context, d deed, _ *told) error { log.Fatal(d.Text); return nil }
	verbs["goroutine panics"] = func(_ context.Context, d deed, _ *told) error { go panic(d.Text); select {} }
	verbs["stack overflow"] = func(context.Context, deed, *told) error {
		debug.SetMaxStack(32 << 20)
		fmt.Println(recurse(1))
		return nil
	}
	verbs["unlock"] = func(context.Context, deed, *told) error { new(sync.Mutex).Unlock(); return nil }
	verbs["concurrent map writes"] = func(context.Context, deed, *told) error { writeMapTogether(); return nil }
	verbs["out of memory"] = func(context.Context, deed, *told) error { return exhaust() }
	verbs["eat"] = func(_ context.Context, d deed, _ *told) error { eat(d.N); stuckInSleep(); return nil }
	verbs["chatty exit"] = func(_ context.Context, d deed, _ *told) error {
		for i := range d.N {
			fmt.Fprintf(os.Stderr, "line %d of the worker\n", i)
		}
		os.Exit(7)
		return nil
	}
	verbs["exit once"] = func(_ context.Context, d deed, _ *told) error {
		if f, err := os.OpenFile(d.Path, os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			f.Close()
			os.Exit(7)
		}
		return nil
	}
	verbs["exit later"] = func(_ context.Context, d deed, _ *told) error {
		go func() {
			holdUntil(d.Path)
			os.Exit(8)
		}()
		return nil
	}
	verbs["duel"] = func(_ context.Context, d deed, _ *told) error { return duel(d.Path) }
	verbs["grandchild"] = func(_ context.Context, d deed, a *told) (err error) {
		a.N, err = startGrandchild(d.Path, strings.Contains(d.Text, "setsid"))
		if strings.Contains(d.Text, "exit") {
			os.Exit(9)
		}
		return err
	}
}

// The functions in which calls are stuck. Their names are looked for.

//go:noinline
func stuckInSleep() { time.Sleep(time.Hour) }

//go:noinline
func stuckInLoop() {
	for n := 0; ; n++ {
	}
}

//go:noinline
func stuckInRead() error {
	var p [2]int
	if err := syscall.Pipe(p[:]); err != nil {
		return err
	}
	_, err := syscall.Read(p[0], make([]byte, 1))
	return err
}

// crowd starts goroutines that are in nobody's way.
func crowd(n int) {
	for range n {
		go func() { select {} }()
	}
}

//
//lint:ignore SA5007 it is to overflow the stack
//go:noinline
func recurse(n int) int { return recurse(n+1) + 1 }

func writeMapTogether() {
	runtime.GOMAXPROCS(4)
	m := make(map[int]int)
	for range 4 {
		go func() {
			for i := 0; ; i++ {
				m[i%8] = i
			}
		}()
	}
	select {}
}

// exhaust uses up all the address space that the worker may have.
func exhaust() error {
	limit := syscall.Rlimit{Cur: 64 << 20, Max: 64 << 20} // less than there is already
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &limit); err != nil {
		return err
	}
	var all [][]byte
	for {
		//lint:ignore SA4010 they are to be kept
		all = append(all, make([]byte, 64<<20))
	}
}

var eaten [][]byte

// eat makes memory resident.
func eat(n int) {
	const piece = 4 << 20
	for ; n > 0; n -= piece {
		b := make([]byte, piece)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		eaten = append(eaten, b)
	}
}

// duel kills another worker that is in the directory.
func duel(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(os.Getpid())), nil, 0o600); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	rand.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && parentOf(pid) == os.Getppid() {
			_ = syscall.Kill(pid, syscall.SIGKILL) // itself, perhaps
			break
		}
	}
	return nil
}

// startGrandchild starts a process that has the worker's stdout and stderr, and
// lives longer than any test. Its number is written to a file.
func startGrandchild(file string, setsid bool) (pid int, err error) {
	cmd := exec.Command("sleep", "600")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: setsid}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	return cmd.Process.Pid, os.WriteFile(file, []byte(strconv.Itoa(cmd.Process.Pid)), 0o600)
}

// mustRead returns the number in a file.
func mustRead(t *testing.T, file string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// statOf returns the fields of /proc/pid/stat that follow the name: the state,
// the parent, the group.
func statOf(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')'):]), " ")
	return strings.Fields(rest)
}

func parentOf(pid int) int {
	stat := statOf(pid)
	if len(stat) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(stat[1])
	return parent
}

// isAlive reports whether there is such a process that has not ended.
func isAlive(pid int) bool {
	stat := statOf(pid)
	return len(stat) > 0 && stat[0] != "Z" && stat[0] != "X"
}

// offspring returns the children of this process, zombies included.
func offspring(t *testing.T) (pids []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && parentOf(pid) == os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

func mustGo(t *testing.T, what string, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		waitUntil(t, fmt.Sprintf("%s, process %d, is gone (%v)", what, pid, statOf(pid)), func() bool { return !isAlive(pid) })
	}
}

// mustStop stops a process, and waits until all of it has.
func mustStop(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, fmt.Sprintf("process %d has stopped", pid), func() bool {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		for _, task := range tasks {
			text, err := os.ReadFile(task)
			if _, rest, _ := strings.Cut(string(text), ") "); err == nil && !strings.HasPrefix(rest, "T") {
				return false
			}
		}
		return len(tasks) > 0
	})
}

var hasRaceDetector = func() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}()
