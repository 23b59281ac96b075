package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofutures/futures/executor/executortest"
)

func TestChildThatAProgramLeavesEndsWithItsWorker(t *testing.T) {
	needShell(t)
	folder, file := t.TempDir(), filepath.Join(t.TempDir(), "pid")
	write(t, folder, "a.bas", "10 SHELL \"sleep 600 & echo $! > '"+file+"'\"\n20 END \"left a child\"")
	if got := outcomesOf(t, inputOf(t, "-timeout", "2m", folder))["a.bas"]; got.kind != good {
		t.Fatalf("a.bas: %s, %q; want a result", got.kind, got.what)
	}
	pid, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); lives(strings.TrimSpace(string(pid))); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("process %s, which the program has left behind, lives", pid)
		}
	}
}

// lives reports whether there is a process that has not ended. One that has may
// wait to be reaped by somebody else.
func lives(pid string) bool {
	status, err := os.ReadFile("/proc/" + pid + "/status")
	return err == nil && !bytes.Contains(status, []byte("\nState:\tZ"))
}

func TestWithoutWorkersThereIsStatus1(t *testing.T) {
	executortest.NeedsProcesses(t)
	var out, errs bytes.Buffer
	status := run(t.Context(), []string{"-memory", "1", "-timeout", "2m"}, &out, &errs) // less than a worker needs that does nothing
	if want := "over the MemoryLimit of 1048576"; status != 1 || !strings.Contains(errs.String(), want) {
		t.Errorf("run = %d, stderr %q; want 1 and %q", status, errs.String(), want)
	}
}
