package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gofutures/futures/executor/executortest"
)

// needShell skips a test that cannot be without one.
func needShell(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("this system has no sh, which SHELL calls:", err)
	}
}

// outcomesOf runs programs and returns what came of them, by name.
func outcomesOf(t *testing.T, in input) map[string]outcome {
	t.Helper()
	executortest.NeedsProcesses(t)
	s := newSandbox(in)
	defer s.close()
	outcomes := make(map[string]outcome)
	for o, err := range s.run(t.Context()) {
		if err != nil {
			t.Fatalf("run = %v", err)
		}
		outcomes[o.name] = o
	}
	return outcomes
}

// inputOf reads a command line as the command does.
func inputOf(t *testing.T, args ...string) input {
	t.Helper()
	in, err := readInput(args)
	if err != nil {
		t.Fatalf("readInput(%q) = %v", args, err)
	}
	return in
}

// wanted is what has to come of each sample.
var wanted = map[string]struct {
	kind string
	what string // a part of it
}{
	"collatz.bas":              {good, "871, in 178 steps"},
	"deadlocks.bas":            {timedOut, "which waits: sync.Mutex.Lock"},
	"divisor.bas":              {good, "252"},
	"eats-memory.bas":          {overMemory, "needed more than 256 MiB"},
	"exits.bas":                {exited, "code 3"},
	"fibonacci.bas":            {good, "2880067194370816120"},
	"fizzbuzz.bas":             {good, "11 Fizz 13 14 FizzBuzz"},
	"has-a-typo.bas":           {failed, "line 10: unknown statement PRNIT"},
	"kills-itself.bas":         {killed, "killed"},
	"leaves-a-child.bas":       {good, "a good result"},
	"leaves-a-time-bomb.bas":   {good, "a good result"},
	"loops-for-ever.bas":       {timedOut, "still running after 1s"},
	"overflows-the-stack.bas":  {overflowed, "needed more than 16 MiB of stack, in "},
	"panics-beside-itself.bas": {crashed, "panic: runtime error: integer divide by zero, in arithmetic (basic.go:"},
	"panics.bas":               {panicked, "runtime error: integer divide by zero, in arithmetic (basic.go:"},
	"primes.bas":               {good, "303"},
	"prints-garbage.bas":       {good, "a good result"},
	"segfaults.bas":            {segfault, "no memory at 0x8000, in peek (reach.go:"},
	"square-root.bas":          {good, "1.414213562"},
}

// Those that never end have a second, and all others as much time as they need
// on a machine that has much to do.
func TestEverySampleHasTheOutcomeThatItsNamePromises(t *testing.T) {
	endless := inputOf(t, "-timeout", "1s", "-workers", "2")
	others := inputOf(t, "-timeout", "2m", "-workers", "2")
	all := others.programs
	endless.programs, others.programs = nil, nil
	for _, name := range all {
		want, ok := wanted[name]
		switch why := leftOut(t, others, name, want.kind); {
		case !ok:
			t.Errorf("nobody has said what is to come of the sample %s", name)
		case why != "":
			t.Logf("%s is left out: %s", name, why)
		case want.kind == timedOut:
			endless.programs = append(endless.programs, name)
		default:
			others.programs = append(others.programs, name)
		}
	}
	for _, in := range []input{endless, others} {
		outcomes := outcomesOf(t, in)
		for _, name := range in.programs {
			want, got := wanted[name], outcomes[name]
			if got.kind != want.kind || !strings.Contains(got.what, want.what) || (got.err == nil) != (want.kind == good) {
				t.Errorf("%s: %s, %q; want %s, %q; its error: %v", name, got.kind, got.what, want.kind, want.what, got.err)
			}
		}
	}
}

// leftOut returns why a sample cannot be what it is on this system, or "".
func leftOut(t *testing.T, in input, name, kind string) string {
	t.Helper()
	source, err := in.read(name)
	if err != nil {
		t.Fatalf("read(%s) = %v", name, err)
	}
	if _, err := exec.LookPath("sh"); err != nil && strings.Contains(source, "SHELL") {
		return err.Error()
	}
	if kind == overMemory && runtime.GOOS != "linux" {
		return "nobody watches memory here"
	}
	return ""
}

func TestWhatAProgramLeavesBehindMeetsNoOther(t *testing.T) {
	executortest.NeedsProcesses(t)
	needShell(t)
	folder := t.TempDir()
	write(t, folder, "a.bas", "10 TIMER 100, 30\n20 END \"left a time bomb\"\n30 LET X = 1 / 0")
	write(t, folder, "b.bas", "10 SHELL \"sleep 0.5\"\n20 END \"was there when it had to go off\"")
	in := inputOf(t, "-timeout", "2m", "-workers", "1", folder)
	s := newSandbox(in)
	defer s.close()
	for o, err := range s.run(t.Context()) {
		if err != nil || o.kind != good {
			t.Errorf("%s: %s, %q, %v; want a result", o.name, o.kind, o.what, err)
		}
	}
	if n := s.pool.Stats().Restarts; n != 0 {
		t.Errorf("%d workers died, want 0: each has ended with its program", n)
	}
}

func TestNoiseOfProgramsIsCountedAndDropped(t *testing.T) {
	executortest.NeedsProcesses(t)
	in := inputOf(t, "-timeout", "2m")
	in.programs = []string{"prints-garbage.bas"}
	s := newSandbox(in)
	defer s.close()
	for o, err := range s.run(t.Context()) {
		if err != nil || o.kind != good {
			t.Errorf("%s: %s, %q, %v; want a result", o.name, o.kind, o.what, err)
		}
	}
	s.close() // it has read all
	if got, want := s.printed.n.Load(), int64(7<<17+1); got != want {
		t.Errorf("%d bytes were printed, want %d", got, want)
	}
}

func TestProgramThatCannotBeReadIsAnErrorAndStopsNothing(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "good.bas", "10 END 1")
	write(t, folder, "long.bas", "10 REM "+strings.Repeat("x", maxSource))
	want := map[string]string{"good.bas": "1", "long.bas": "has 1048583 bytes, more than 1048576"}
	if err := os.Symlink("nowhere", filepath.Join(folder, "link.bas")); err == nil {
		want["link.bas"] = "no such file or directory"
	}
	outcomes := outcomesOf(t, inputOf(t, "-timeout", "2m", folder))
	for name, what := range want {
		if got := outcomes[name]; got.what != what || (got.kind == failed) != (name != "good.bas") {
			t.Errorf("%s: %s, %q; want %q", name, got.kind, got.what, what)
		}
	}
}

func TestProgramThatGetsNoWorkerInTimeIsATimeout(t *testing.T) {
	in := inputOf(t)
	in.limits.timeout = time.Nanosecond
	in.programs = []string{"primes.bas"}
	if got := outcomesOf(t, in)["primes.bas"]; got.kind != timedOut || got.what != "had no worker after 1ns" {
		t.Errorf("%s, %q; want a timeout without a worker", got.kind, got.what)
	}
}
