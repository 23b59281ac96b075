package main

import (
	"strings"
	"testing"

	"github.com/gofutures/futures/executor"
)

func TestPlaceIsTheInnermostFunctionOfTheInterpreter(t *testing.T) {
	// HERE is what the names of this package's functions begin with.
	for _, c := range []struct{ name, stacks, want string }{
		{"none", "", ""},
		{"no goroutine is in it", "goroutine 1 [running]:\nHEREmain()\n\t/src/main.go:3 +0x1\n", ""},
		{"one computes", "goroutine 1 [running]:\nHEREmain()\n\t/src/main.go:3 +0x1\n\n" +
			"goroutine 7 [runnable]:\nstrings.Cut(...)\n\t/go/strings.go:9\nHERE(*machine).run(0x1, {0x2, ...})\n\t/src/basic.go:30 +0x1d fp=0x1\nHEREinterpret(...)\n\t/src/basic.go:10\n", "(*machine).run (basic.go:30)"},
		{"one waits", "goroutine 7 gp=0x1 m=nil [chan receive, 2 minutes]:\nHEREinterpret(...)\n\t/src/basic.go:10\n", "interpret (basic.go:10), which waits: chan receive, 2 minutes"},
		{"cut off", "goroutine 7 [running]:\nHEREinterp", ""},
		{"cut off in a line", "goroutine 7 [running]:\nHEREinterp\n...", ""},
	} {
		if got := place(strings.ReplaceAll(c.stacks, "HERE", here)); got != c.want {
			t.Errorf("%s: place = %q, want %q", c.name, got, c.want)
		}
	}
}

func TestReportOfTheRuntimeBecomesALine(t *testing.T) {
	for _, c := range []struct {
		name           string
		died           executor.WorkerDiedError
		kind, whatWant string
	}{
		{"nothing was printed", executor.WorkerDiedError{ExitCode: 7}, exited, "code 7"},
		{"something was", executor.WorkerDiedError{ExitCode: 1, Stderr: "tired of panic: life"}, exited, "code 1"},
		{"fatal error", executor.WorkerDiedError{ExitCode: 2, Stderr: "last words\nfatal error: concurrent map writes\n\ngoroutine 7 [running]:\n"}, crashed, "fatal error: concurrent map writes"},
		{"nil pointer elsewhere", executor.WorkerDiedError{ExitCode: 2, Stderr: "panic: nil pointer\n[signal SIGSEGV: segmentation violation code=0x1 addr=0x18 pc=0x49]\n"}, segfault, "no memory at 0x18"},
		{"the system's memory", executor.WorkerDiedError{ExitCode: -1, OutOfMemory: true}, overMemory, "the system had no more"},
	} {
		if kind, what := judge("", &c.died, limits{memory: 1 << 20}); kind != c.kind || what != c.whatWant {
			t.Errorf("%s: %s, %q; want %s, %q", c.name, kind, what, c.kind, c.whatWant)
		}
	}
}

func TestLineOfAnOutcomeIsOneAndDoesNoHarm(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{" plain ", "plain"},
		{"two\nlines", `"two\nlines"`},
		{"\x1b[2J", `"\x1b[2J"`},
		{"\xff", `"\xff"`},
		{strings.Repeat("é", 101), strings.Repeat("é", 99) + "…"},
	} {
		if got := oneLine(c.text); got != c.want {
			t.Errorf("oneLine(%q) = %q, want %q", c.text, got, c.want)
		}
	}
}
