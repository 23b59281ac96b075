package executor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gofutures/futures/executor"
)

func init() { hosts["without /proc"] = noProcHost }

// noProcHost takes /proc away from itself, and uses a pool. It says first whether it
// could.
func noProcHost(when string) {
	if when != "from the start, now" {
		if err := syscall.Mount("none", "/proc", "tmpfs", 0, ""); err != nil {
			fmt.Println("cannot cover /proc:", err)
			return
		}
	}
	switch when {
	case "from the start":
		// By a name that is good in this directory only.
		exe := executableOf(os.Args[0])
		if err := os.Chdir(filepath.Dir(exe)); err != nil {
			giveUp("chdir: %v", err)
		}
		_ = os.Setenv(argVariable, "from the start, now")
		err := syscall.Exec("./"+filepath.Base(exe), os.Args, os.Environ())
		giveUp("exec: %v", err)
	case "and the file was removed":
		if err := os.Remove(executableOf(os.Args[0])); err != nil {
			giveUp("remove: %v", err)
		}
	case "and the file was replaced":
		if err := replaceBy("/bin/true", executableOf(os.Args[0])); err != nil {
			giveUp("replace: %v", err)
		}
	}
	fmt.Println("covered")
	if err := os.Chdir("/"); err != nil {
		giveUp("chdir: %v", err)
	}
	ctx := context.Background()
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2}
	defer ex.Close()
	two, err := executor.Submit(ctx, ex, oneMore, 1).Result(ctx)
	if strings.HasPrefix(when, "and") {
		if !errors.Is(err, executor.ErrBroken) || !strings.Contains(err.Error(), "mount /proc") {
			giveUp("1 + 1 = %d, %v; want ErrBroken, and what to do", two, err)
		}
		return
	}
	if two != 2 || err != nil {
		giveUp("1 + 1 = %d, %v; want 2, nil", two, err)
	}
	s, err := executor.NewShared[float64](1000)
	if err != nil {
		giveUp("NewShared: %v", err)
	}
	defer s.Close()
	if n, err := executor.Submit(ctx, ex, fillShared, s.Writable()).Result(ctx); n != 1000 || err != nil || s.Slice()[999] != 2 {
		giveUp("fill = %d, %v; want 1000, nil", n, err)
	}
}

// executableOf returns the file that a host was started from, as startHost names it.
func executableOf(name string) string {
	exe, err := filepath.Abs(name)
	if err != nil {
		giveUp("%v", err)
	}
	return exe
}

// replaceBy makes name one of another file.
func replaceBy(other, name string) error {
	if err := os.Remove(name); err != nil {
		return err
	}
	return os.Symlink(other, name)
}

// A chroot and some containers have no /proc. Then a worker is started from the file
// that this program was started from, wherever the program has gone since.
func TestWorkersStartWithoutProc(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"since a moment", "from the start", "and the file was removed", "and the file was replaced"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			exe := nameOfThisProgram(t)
			alone := func(cmd *exec.Cmd) {
				cmd.Path, cmd.Args[0] = exe, exe
				cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
			}
			trial := exec.Command(exe, "-test.run=^$")
			if alone(trial); trial.Run() != nil {
				t.Skip("this user may not have mounts of its own")
			}
			h := startHost(t, "without /proc", when, alone)
			if line := h.line(); line != "covered" {
				t.Skip(line)
			}
			h.mustSucceed()
		})
	}
}

// nameOfThisProgram returns a name of it that may be removed.
func nameOfThisProgram(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := inDir(t, "program")
	if err := os.Symlink(exe, name); err != nil {
		t.Fatal(err)
	}
	return name
}
