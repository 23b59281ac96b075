package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/gofutures/futures/executor"
)

const asMain = "SIDEBYSIDE_TEST_MAIN" // the process is the command, not its test

func TestMain(m *testing.M) {
	executor.WorkerMain()
	if os.Getenv(asMain) != "" {
		main()
	}
	if os.Getenv("GORACE") == "" { // by default, each process that the race detector watches sleeps for a second at its end
		os.Setenv("GORACE", "atexit_sleep_ms=0")
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) // some peers start goroutines before main
}

// mustRun runs the command and returns what it prints.
func mustRun(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if status := run(t.Context(), args, &out, &errs); status != want {
		t.Fatalf("run %q = %d, want %d; stdout:\n%s\nstderr:\n%s", args, status, want, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

func mustContain(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("it has no %q:\n%s", part, text)
		}
	}
}

// program writes a shell script that can be run as if it were an interpreter.
func program(t *testing.T, text string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("there are no shell scripts")
	}
	path := filepath.Join(t.TempDir(), "python")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// quickly are the flags of a run that measures everything once.
func quickly(args ...string) []string { return append([]string{"-quick", "-rounds", "1"}, args...) }

func TestWithoutPythonEverythingElseIsMeasured(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "python3")
	ofPython := 0
	for _, r := range processRows(quickSizes, &pythons{}) {
		ofPython += len(r.goals)
	}
	stdout, stderr := mustRun(t, 0, quickly("-python", absent)...)
	mustContain(t, stdout,
		"ProcessPoolExecutor is not measured: ", "multiprocessing.Pool is not measured: ", "joblib is not measured: ",
		"submit and result, 8 producers", "pool.Map, 1 % of items cost 100 times",
		"processes: submit and result", "processes: argument and result of 4 MiB", "processes: start of two workers",
		fmt.Sprintf("of %d the peer is not measured", ofPython), "\nMeasured in ")
	if strings.Contains(stdout, "FAILED") || stderr != "" {
		t.Errorf("stdout:\n%s\nstderr %q; want no failure", stdout, stderr)
	}
}

func TestPythonIsNotLookedForIfNotWanted(t *testing.T) {
	stdout, _ := mustRun(t, 0, quickly("-python", "", "-run", "one call at a time$")...)
	mustContain(t, stdout, "joblib is not measured: -python is empty")
}

func TestPythonThatFailsIsNamedWithWhatItSaid(t *testing.T) {
	failing := program(t, "echo some trace >&2; echo no module named so >&2; exit 3\n")
	stdout, _ := mustRun(t, 0, quickly("-python", failing, "-run", "processes: one call")...)
	mustContain(t, stdout, "ProcessPoolExecutor is not measured: "+failing, "exit status 3: no module named so", "processes: one call at a time")
}

func TestPythonThatTalksNonsenseIsNotMeasured(t *testing.T) {
	stdout, _ := mustRun(t, 0, quickly("-python", program(t, "echo 'Hello!'\n"), "-run", "processes: one call")...)
	mustContain(t, stdout, "ProcessPoolExecutor is not measured: ", "invalid character")
}

func TestPeerThatFailsLaterIsNamedAndTheStatusIs1(t *testing.T) {
	failing := program(t, `echo '{"version": "CPython 0"}'
read order
echo '{"error": "ValueError: the results are wrong"}'
read order
`)
	stdout, stderr := mustRun(t, 1, quickly("-python", failing, "-run", "processes: one call")...)
	mustContain(t, stdout, "CPython: CPython 0", "FAILED: ProcessPoolExecutor: ValueError: the results are wrong", "FAILED: joblib: ")
	mustContain(t, stderr, "3 measures failed")
}

// python returns the name of an interpreter that works.
func realPython(t *testing.T) string {
	t.Helper()
	ps := startPythons(t.Context(), "python3")
	defer ps.close()
	if why, ok := ps.missing[pythonExecutor]; ok {
		t.Skip("there is no CPython here: ", why)
	}
	return "python3"
}

func TestPythonIsMeasured(t *testing.T) {
	stdout, _ := mustRun(t, 0, quickly("-python", realPython(t), "-run", "^processes: ")...)
	mustContain(t, stdout, "CPython: CPython 3", "  ProcessPoolExecutor ", "  multiprocessing.Pool, dicts ")
}

func TestPlotsAreWrittenWhereTheUserSays(t *testing.T) {
	out := filepath.Join(t.TempDir(), "new", "plots")
	stdout, _ := mustRun(t, 0, quickly("-python", "", "-run", " by ", "-out", out)...)
	files, err := filepath.Glob(filepath.Join(out, "*.svg"))
	if err != nil || len(files) != 4 {
		t.Fatalf("plots: %q, %v; want 4", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(text, []byte("<svg")) || !bytes.Contains(text, []byte("futures")) {
			t.Errorf("%s, %v: it is no plot with the name of this library", file, err)
		}
		mustContain(t, stdout, "plotted in "+file)
	}
}

func TestGrowPrintsEachSweep(t *testing.T) {
	stdout, _ := mustRun(t, 0, quickly("-python", "", "-grow", "-inflight", "3000")...)
	for _, s := range growSweeps(quickSizes, &pythons{}, 1) {
		mustContain(t, stdout, "\n"+s.name+": time per ")
	}
	mustContain(t, stdout, "10,000", "max/min")
}

func TestNothingIsWrittenWithoutOut(t *testing.T) {
	temp := t.TempDir()
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} { // on the different systems
		t.Setenv(name, temp)
	}
	mustRun(t, 0, quickly("-python", "", "-run", "one call at a time")...)
	err := filepath.WalkDir(temp, func(path string, d fs.DirEntry, err error) error {
		if path != temp {
			t.Errorf("%s is left", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestBadInputIsExplainedWithStatus2(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"unknown flag", []string{"-fast"}, "-fast"},
		{"an argument", []string{"pond"}, `"pond" is not a flag`},
		{"no rounds", []string{"-rounds", "0"}, "-rounds 0: at least 1"},
		{"rounds that are no number", []string{"-rounds", "many"}, `"many"`},
		{"no regexp", []string{"-run", "("}, "-run: error parsing regexp"},
		{"nothing matches", []string{"-python", "", "-quick", "-run", "xyz"}, "-run xyz: it matches none of\n  submit and result, 1 producer\n"},
		{"out is a file", []string{"-out", file}, "it is a file; name a folder"},
		{"out is below a file", []string{"-out", filepath.Join(file, "plots")}, "-out: "},
		{"none in flight", []string{"-grow", "-inflight", "0"}, "-inflight 0: from 1 to 10,000,000"},
		{"inflight alone", []string{"-inflight", "5"}, "-inflight is for -grow"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, stderr := mustRun(t, 2, c.args...)
			if !strings.Contains(stderr, c.want) || stdout != "" {
				t.Errorf("run %q: stdout %q, stderr %q; want nothing, %q", c.args, stdout, stderr, c.want)
			}
		})
	}
}

func TestHelpIsNoError(t *testing.T) {
	if stdout, stderr := mustRun(t, 0, "-h"); stdout != usage || stderr != "" {
		t.Errorf("run -h: stdout %q, stderr %q; want the usage", stdout, stderr)
	}
}

// A writer that ends a ctx when it has seen a text.
type canceler struct {
	bytes.Buffer
	text   string
	cancel context.CancelFunc
}

func (c *canceler) Write(p []byte) (int, error) {
	n, err := c.Buffer.Write(p)
	if strings.Contains(c.String(), c.text) {
		c.cancel()
	}
	return n, err
}

func TestCtrlCEndsItBetweenTwoMeasures(t *testing.T) {
	for _, text := range []string{"GOMAXPROCS", "one call at a time (", "processes: one call at a time ("} {
		ctx, cancel := context.WithCancel(t.Context())
		stdout, stderr := &canceler{text: text, cancel: cancel}, new(bytes.Buffer)
		if status := run(ctx, quickly("-run", "one call|memory of an idle"), stdout, stderr); status != 130 {
			t.Errorf("stopped at %q: run = %d, want 130; stderr %q", text, status, stderr)
		}
		mustContain(t, stderr.String(), "sidebyside: stopped with Ctrl-C or SIGTERM: ")
	}
}

func TestCtrlCWhilePythonWorksEndsPython(t *testing.T) {
	slow := program(t, `echo '{"version": "CPython 0"}'
read order
sleep 1000
`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ps := startPythons(ctx, slow)
	defer ps.close()
	asked := make(chan error)
	go func() {
		_, err := ps.running[pythonPool].ask(ctx, order{"one", 2, 1, 0})
		asked <- err
	}()
	cancel()
	if err := <-asked; err != context.Canceled { //nolint:errorlint // exactly that
		t.Errorf("ask = %v, want context.Canceled", err)
	}
}

func TestEachRowHasItsGoalsPeers(t *testing.T) {
	ps := &pythons{running: make(map[string]*python)}
	for _, k := range pythonKinds {
		ps.running[k.name] = &python{version: "numpy"}
	}
	for _, r := range slices.Concat(goroutineRows(quickSizes), processRows(quickSizes, ps)) {
		if len(r.goals) == 0 {
			t.Errorf("%s has no goal", r.name)
		}
		for name := range r.goals {
			if !slices.ContainsFunc(r.peers, func(c contender) bool { return c.name == name }) {
				t.Errorf("%s has a goal beside %s, which is not measured", r.name, name)
			}
		}
	}
}
