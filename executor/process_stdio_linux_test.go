package executor_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/gofutures/futures/executor"
)

func init() {
	hosts["printer"] = printerHost
	hosts["stdin"] = stdinHost
	hosts["writer ends its goroutine"] = goexitWriterHost
}

// printerHost lets a worker print.
func printerHost(string) {
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1}
	mustInHost(ex, deed{Verb: "print", N: 2, Text: "worker:"})
	if err := ex.Close(); err != nil {
		giveUp("Close: %v", err)
	}
}

// Without Stdout and Stderr, workers print where their parent does.
func TestWorkersPrintWhereTheParentDoes(t *testing.T) {
	h := startHost(t, "printer", "")
	for _, want := range []string{"worker: stdout 0", "worker: stdout 1"} {
		if got := h.line(); got != want {
			t.Errorf("the host's stdout has %q; want %q", got, want)
		}
	}
	h.mustSucceed()
	if got, want := h.stderr.String(), "worker: stderr 0\nworker: stderr 1\n"; got != want {
		t.Errorf("the host's stderr has %q; want %q", got, want)
	}
}

// stdinHost has a worker that reads its stdin, then reads its own.
func stdinHost(string) {
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1}
	if a := mustInHost(ex, deed{Verb: "stdin"}); a.N != 0 {
		giveUp("a worker reads %q", a.Text)
	}
	if line := heard(); line != "for the parent" {
		giveUp("the parent reads %q", line)
	}
	if err := ex.Close(); err != nil {
		giveUp("Close: %v", err)
	}
}

// No worker reads what is meant for its parent.
func TestStdinIsTheParents(t *testing.T) {
	h := startHost(t, "stdin", "")
	h.say("for the parent")
	h.mustSucceed()
}

// goexitWriterHost has a writer that ends its goroutine, as one does that calls
// t.FailNow.
func goexitWriterHost(string) {
	w := writerFunc(func([]byte) (int, error) { runtime.Goexit(); return 0, nil })
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1, Stdout: w, Stderr: w}
	for range 3 {
		mustInHost(ex, deed{Verb: "print", N: 100})
	}
	ctx, cancel := context.WithTimeout(context.Background(), longEnough)
	defer cancel()
	if err := ex.Shutdown(ctx); err != nil {
		giveUp("Shutdown: %v", err)
	}
}

// A writer that ends its goroutine is like one that panics.
func TestWriterThatEndsItsGoroutine(t *testing.T) {
	startHost(t, "writer ends its goroutine", "").mustSucceed()
}
