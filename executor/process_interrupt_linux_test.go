package executor_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gofutures/futures/executor"
)

func init() {
	hosts["Ctrl-C"] = interruptedHost
}

// interruptedHost goes on when it is interrupted, and ends when its calls have.
func interruptedHost(dir string) {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	log, gate := filepath.Join(dir, "log"), filepath.Join(dir, "gate")
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2}
	fs := []*executor.Future[told]{do(ex, deed{Verb: "hold", Log: log, Path: gate}), do(ex, deed{Verb: "hold", Log: log, ID: 1, Path: gate})}
	fmt.Println("ready")
	<-interrupts
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		giveUp("%v", err)
	}
	for _, f := range fs {
		if _, err := f.Result(context.Background()); err != nil {
			giveUp("a call: %v", err)
		}
	}
	if err := ex.Close(); err != nil {
		giveUp("Close: %v", err)
	}
}

// Ctrl-C goes to all processes of the terminal's foreground. The parent decides
// what it means; workers do not even say anything.
func TestInterruptIsTheParentsBusiness(t *testing.T) {
	dir := t.TempDir()
	h := startHost(t, "Ctrl-C", dir, func(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} })
	h.line()
	pids := []int{awaitStart(t, filepath.Join(dir, "log"), 0), awaitStart(t, filepath.Join(dir, "log"), 1)}
	if err := syscall.Kill(-h.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	h.mustSucceed()
	if h.stderr.Len() > 0 {
		t.Errorf("on stderr there is:\n%s", &h.stderr)
	}
	mustGo(t, "the worker", pids...)
}
