package executor_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gofutures/futures/executor/executortest"
)

// Programs that forget executor.WorkerMain, or call it too late, start at most
// as many processes as they want workers, and end by themselves with one error
// that says what to do.
func TestProgramWithoutWorkerMain(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skipf("it builds programs, and there is no go: %v", err)
	}
	executortest.NeedsProcesses(t)
	const workers = 3
	for _, p := range []struct {
		name string // of its folder in testdata
		args []string
		most int // processes
		want string
	}{
		{"nomain", nil, 1 + workers, "main has not called executor.WorkerMain()"},
		{"latemain", nil, 1 + workers, "main has not called executor.WorkerMain()"},
		// Whether that would help the next time, nobody can know: it is tried
		// five times.
		{"hiddenmain", []string{"run"}, 1 + workers + 5, "is executor.WorkerMain() the first line of main?"},
	} {
		if p.name != "nomain" && sized(0, 1) == 0 {
			continue // building them takes most of the time
		}
		t.Run(p.name, func(t *testing.T) {
			dir := t.TempDir()
			program, census := dir+"/"+p.name, dir+"/census"
			if out, err := exec.Command("go", "build", "-o", program, "./testdata/"+p.name).CombinedOutput(); err != nil {
				t.Fatalf("go build ./testdata/%s: %v\n%s", p.name, err, out)
			}
			if err := os.WriteFile(census, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), stressPatience)
			defer cancel()
			var stdout, stderr bytes.Buffer
			c := exec.CommandContext(ctx, program, p.args...)
			c.Env = append(os.Environ(), "FUTURES_CENSUS="+census)
			c.Stdout, c.Stderr = &stdout, &stderr
			begin := time.Now()
			err := c.Run()
			took := time.Since(begin)

			if ctx.Err() != nil {
				t.Errorf("it has not ended after %v", took)
			}
			if c.ProcessState.ExitCode() != 1 {
				t.Errorf("it ended with %v; want the exit code 1 that it has for errors", err)
			}
			text := stderr.String()
			if strings.Count(text, p.want) != 1 || strings.Count(text, "\n") != 1 || stdout.Len() > 0 {
				t.Errorf("it printed %q and, as an error, %q; want one line with %q", stdout.String(), text, p.want)
			}
			pids, err := os.ReadFile(census)
			n := bytes.Count(pids, []byte("\n"))
			if err != nil || n < 1 || n > p.most {
				t.Errorf("it was %d processes; want 1 to %d (%v)", n, p.most, err)
			}
			t.Logf("%s: %d processes, ended after %v: %s", p.name, n, took.Round(time.Millisecond), strings.TrimSpace(text))
		})
	}
}
