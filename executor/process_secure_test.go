package executor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
)

func init() { executor.Register(futEnviron) }

// environ is what a worker sees of what it was given.
type environ struct {
	PID       int
	Env, Args []string
}

func futEnviron(_ context.Context, _ string) (environ, error) {
	return environ{os.Getpid(), os.Environ(), os.Args}, nil
}

// A worker has the environment that it was given; the function that is called
// and its argument are in neither that nor its command line.
func TestEnvironmentOfAWorkerIsTheOneThatItWasGiven(t *testing.T) {
	t.Setenv("FUTURES_TEST_INHERITED", "yes")
	for name, c := range map[string]struct {
		env  []string
		want func(got []string) bool
	}{
		"nil":   {nil, func(got []string) bool { return slices.Equal(got, os.Environ()) }},
		"empty": {[]string{}, func(got []string) bool { return len(got) == 0 }},
		"two":   {[]string{"A=1", "B=two words"}, func(got []string) bool { return slices.Equal(got, []string{"A=1", "B=two words"}) }},
		"mark":  {[]string{"FUTURES_WORKER=7 8 9", "A=1"}, func(got []string) bool { return slices.Equal(got, []string{"A=1"}) }},
	} {
		ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, Env: c.env})
		got, err := endOf(t, executor.Submit(t.Context(), ex, futEnviron, secret))
		if err != nil || !c.want(got.Env) {
			t.Errorf("with the Env %q (%s), a worker has %q, %v", c.env, name, got.Env, err)
		}
		if len(got.Args) != 1 {
			t.Errorf("a worker has the arguments %q; want its name only", got.Args)
		}
		if runtime.GOOS != "linux" {
			continue
		}
		for _, file := range []string{"cmdline", "environ"} {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", got.PID, file))
			if err != nil || strings.Contains(string(text), secret) || strings.Contains(string(text), "futEnviron") {
				t.Errorf("/proc/%d/%s has %q, %v; want neither an argument nor a function", got.PID, file, text, err)
			}
			if file == "environ" && c.env != nil {
				if n := len(strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")); n > len(c.env)+1 {
					t.Errorf("/proc/%d/environ has %q; want the Env %q, and one more that says that it is a worker", got.PID, text, c.env)
				}
			}
		}
		closed(t, ex)
	}
}

// isPair reports whether a socket, "socket:[123]", is half of a pair: it has no name by
// which somebody else could reach it, and does not listen.
func isPair(t *testing.T, pid int, socket string) bool {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/unix", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		const flags, inode = 3, 6
		if f := strings.Fields(line); len(f) > inode && socket == "socket:["+f[inode]+"]" {
			return len(f) == inode+1 && f[flags] == "00000000"
		}
	}
	return false
}

// CPython's fork server listened, for anybody on the machine (CVE-2022-42919).
func TestNobodyListensWhileProcessesRun(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it looks at /proc")
	}
	before := sockets(t, os.Getpid())
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	dir := t.TempDir()
	var fs []*executor.Future[told]
	for i := range 2 {
		fs = append(fs, do(ex, deed{Verb: "hold", Log: dir + "/log", ID: i, Path: dir + "/gate"}))
	}
	for i := range fs {
		pid := awaitStart(t, dir+"/log", i)
		for fd, name := range sockets(t, pid) {
			if fd > "2" && !isPair(t, pid, name) {
				t.Errorf("the worker has the socket %s as descriptor %s; want none but its half of a pair", name, fd)
			}
		}
	}
	for fd, name := range sockets(t, os.Getpid()) {
		if before[fd] != name && !isPair(t, os.Getpid(), name) {
			t.Errorf("this process has the socket %s as descriptor %s since it has workers; want none but halves of pairs", name, fd)
		}
	}
	touch(t, dir+"/gate")
	for _, f := range fs {
		mustTell(t, f)
	}
}

// sockets returns the sockets that a process has, by descriptor.
func sockets(t *testing.T, pid int) map[string]string {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && strings.HasPrefix(to, "socket:") {
			all[e.Name()] = to
		}
	}
	return all
}

// A program whose user sets the marker of a worker by hand explains what that
// means.
func TestMarkerOfAWorkerByHandIsExplained(t *testing.T) {
	executortest.NeedsProcesses(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"1", "", "x", "-1", "1 2 3", "99999999999999999999"} {
		cmd := exec.Command(self, "-test.run=^$")
		cmd.Env = append(os.Environ(), "FUTURES_WORKER="+value)
		out, err := cmd.CombinedOutput()
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || exit.ExitCode() != 2 || !strings.Contains(string(out), "FUTURES_WORKER") || !strings.Contains(string(out), "a parent process sets it, nobody else") {
			t.Errorf("this program with FUTURES_WORKER=%q: %v, and it says\n%s\nwant the exit code 2 and an explanation", value, err, out)
		}
	}
	if runtime.GOOS == "windows" {
		return // descriptors are not inherited by number
	}
	// Behind pipes that are none of a parent's, it ends and does nothing. What it
	// has to say about bytes that make no sense, it says with the code 2.
	for name, input := range map[string]string{"nothing": "", "garbage": "\x05\x00\x00\x00\x04abcd", "no config": strings.Repeat("\x01\x00\x00\x00\x01", 3)} {
		in, feed, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		results, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(self, "-test.run=^$")
		cmd.Env = append(os.Environ(), "FUTURES_WORKER=1")
		cmd.ExtraFiles = []*os.File{in, out}
		var text lockedBuffer
		cmd.Stdout, cmd.Stderr = &text, &text
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		in.Close()
		out.Close()
		_, _ = io.WriteString(feed, input)
		feed.Close()
		late := time.AfterFunc(longEnough, func() { _ = cmd.Process.Kill() })
		err = cmd.Wait()
		late.Stop()
		sent, _ := io.ReadAll(results)
		results.Close()
		code := cmd.ProcessState.ExitCode()
		if strings.Contains(text.String(), "PASS") || code == 0 || input != "" && code != 2 || input == "" && text.String() != "" || len(sent) > 0 {
			t.Errorf("this program as a worker whose parent sends %s: %v, it sends %q and says\n%s\nwant that it ends, and complains with the code 2 if its parent makes no sense", name, err, sent, text.String())
		}
	}
}
