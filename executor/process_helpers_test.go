package executor_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/internal/testhelp"
)

// What the tests of other packages need too, by short names.
const longEnough = testhelp.LongEnough

var (
	waitUntil = testhelp.WaitUntil
	holdUntil = testhelp.HoldUntil
	touch     = testhelp.Touch
	inDir     = testhelp.InDir
)

// deed is what a worker process is told to do.
type deed struct {
	Verb string // of verbs
	Log  string // a file that gets a line before the deed is done; "": none
	ID   int    // in that line
	Path string // a file that matters to the verb
	N    int
	Text string
}

// told is what a worker process answers.
type told struct {
	PID  int
	N    int
	Text string
}

// verbs is what doDeed can do. A call that returns nil has done it.
var verbs = map[string]func(ctx context.Context, d deed, a *told) error{
	"tell": func(context.Context, deed, *told) error { return nil },
	"hold": func(_ context.Context, d deed, _ *told) error { holdUntil(d.Path); return nil },
	"heed": func(ctx context.Context, _ deed, _ *told) error { <-ctx.Done(); return ctx.Err() },
	"busy": func(_ context.Context, d deed, _ *told) error { keepBusy(time.Duration(d.N)); return nil },
	"exit": func(_ context.Context, d deed, _ *told) error { os.Exit(d.N); return nil },
}

func init() {
	executor.Register(doDeed)
	testhelp.EndWorkersAtOnce()
}

func doDeed(ctx context.Context, d deed) (told, error) {
	a := told{PID: os.Getpid(), N: d.N}
	if d.Log != "" {
		if err := logStart(d.Log, d.ID); err != nil {
			return a, err
		}
	}
	do := verbs[d.Verb]
	if do == nil {
		return a, fmt.Errorf("no verb is %q", d.Verb)
	}
	err := do(ctx, d, &a)
	return a, err
}

// keepBusy keeps a core busy for so long, for ever if d is negative.
func keepBusy(d time.Duration) {
	for begin := time.Now(); d < 0 || time.Since(begin) < d; {
	}
}

// logStart adds a start, and the process in which it is, to a log.
func logStart(log string, id int) error {
	return testhelp.AppendLine(log, fmt.Sprintf("%d %d", id, os.Getpid()))
}

// startsIn returns, for each ID in a log, the processes in which it started.
func startsIn(t *testing.T, log string) map[int][]int {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	starts := make(map[int][]int)
	for line := range strings.Lines(string(text)) {
		var id, pid int
		if _, err := fmt.Sscanf(line, "%d %d\n", &id, &pid); err != nil {
			t.Fatalf("%s has the line %q: %v", log, line, err)
		}
		starts[id] = append(starts[id], pid)
	}
	return starts
}

// awaitStart waits for a start in the log, and returns its process.
func awaitStart(t *testing.T, log string, id int) (pid int) {
	t.Helper()
	waitUntil(t, fmt.Sprintf("call %d starts", id), func() bool {
		pids := startsIn(t, log)[id]
		if len(pids) > 0 {
			pid = pids[len(pids)-1]
		}
		return len(pids) > 0
	})
	return pid
}

// newProcesses skips the test where there are no worker processes. It closes ex
// after the test, and keeps what its workers print on stderr out of the test's,
// unless it goes somewhere.
func newProcesses(t *testing.T, ex *executor.ProcessPoolExecutor) *executor.ProcessPoolExecutor {
	t.Helper()
	executortest.NeedsProcesses(t)
	if ex.Stderr == nil {
		ex.Stderr = io.Discard
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), longEnough)
		defer cancel()
		if t.Failed() {
			cancel() // what the test left may hold for ever
		}
		err := ex.Shutdown(ctx)
		switch {
		case !t.Failed() && err != nil:
			t.Errorf("Shutdown after the test: %v", err)
		case err != nil:
			_ = ex.Close() // KillGrace later, nothing is left
		}
	})
	return ex
}

// closeInTime closes ex.
func closeInTime(t *testing.T, ex *executor.ProcessPoolExecutor) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), longEnough)
	defer cancel()
	if err := ex.Shutdown(ctx); err != nil {
		t.Fatalf("Shutdown, with %v: %v", longEnough, err)
	}
}

// do submits a deed.
func do(ex executor.Executor, d deed) *executor.Future[told] {
	return executor.Submit(context.Background(), ex, doDeed, d)
}

// resultOf waits for a future.
func resultOf[T any](t *testing.T, f *executor.Future[T]) (T, error) {
	t.Helper()
	select {
	case <-f.Done():
	case <-time.After(longEnough):
		t.Fatalf("%v after %v", f, longEnough)
	}
	return f.Result(context.Background())
}

// pastDeadline submits a call whose deadline passes while it runs. It tries longer and
// longer ones, for a machine under load may not start the call before: then it is
// cancelled.
func pastDeadline[T any](t *testing.T, submit func(context.Context) *executor.Future[T]) *executor.Future[T] {
	t.Helper()
	for timeout := 100 * time.Millisecond; timeout < longEnough; timeout *= 2 {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		f := submit(ctx)
		_, err := resultOf(t, f)
		cancel()
		if !errors.Is(err, executor.ErrCancelled) {
			return f
		}
	}
	t.Fatalf("the call does not start within %v", longEnough/2)
	return nil
}

// mustTell waits for a future, and wants no error.
func mustTell(t *testing.T, f *executor.Future[told]) told {
	t.Helper()
	a, err := resultOf(t, f)
	if err != nil {
		t.Fatalf("the call failed: %v", err)
	}
	return a
}

// mustDie waits for a future, and wants that its worker died.
func mustDie[T any](t *testing.T, f *executor.Future[T]) *executor.WorkerDiedError {
	t.Helper()
	v, err := resultOf(t, f)
	died, ok := errors.AsType[*executor.WorkerDiedError](err)
	if !ok {
		t.Fatalf("Result = %+v, %v; want a *WorkerDiedError", v, err)
	}
	return died
}

// hosts are programs that use the package: each is run as a process of its own,
// by startHost.
var hosts = map[string]func(arg string){}

const (
	hostVariable = "FUTURES_TEST_HOST" // which of hosts
	argVariable  = "FUTURES_TEST_ARG"
)

// TestHost tests nothing: it is the main function of the hosts.
func TestHost(t *testing.T) {
	name := os.Getenv(hostVariable)
	if name == "" {
		return
	}
	main := hosts[name]
	if main == nil {
		fmt.Fprintf(os.Stderr, "no host is %q\n", name)
		os.Exit(3)
	}
	main(os.Getenv(argVariable))
	os.Exit(0)
}

// hosted is a host that runs.
type hosted struct {
	*exec.Cmd
	t      *testing.T
	in     io.WriteCloser // its stdin
	out    *bufio.Scanner // its stdout
	stderr bytes.Buffer
}

// startHost starts a host, which is killed if it is still there after the test,
// or after a while. change may change the command before.
func startHost(t *testing.T, name, arg string, change ...func(*exec.Cmd)) *hosted {
	t.Helper()
	executortest.NeedsProcesses(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h := &hosted{t: t, Cmd: exec.Command(exe, "-test.run=^TestHost$", "-test.timeout=5m")}
	h.Env = append(os.Environ(), hostVariable+"="+name, argVariable+"="+arg)
	h.WaitDelay = longEnough
	h.Stderr = &h.stderr
	for _, change := range change {
		change(h.Cmd)
	}
	if h.in, err = h.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := h.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.out = bufio.NewScanner(out)
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(2*longEnough, func() { _ = h.Process.Kill() })
	t.Cleanup(func() {
		late.Stop()
		_ = h.Process.Kill()
		_ = h.Wait()
	})
	return h
}

// line returns the next line of the host's stdout.
func (h *hosted) line() string {
	h.t.Helper()
	if !h.out.Scan() {
		err := h.Wait()
		h.t.Fatalf("the host ended before it said what it was to say: %v; its stderr:\n%s", err, &h.stderr)
	}
	return h.out.Text()
}

// say sends a line to the host's stdin.
func (h *hosted) say(line string) {
	h.t.Helper()
	if _, err := io.WriteString(h.in, line+"\n"); err != nil {
		h.t.Fatalf("the host does not listen: %v", err)
	}
}

// heard is, in a host, the next line of its stdin.
func heard() string {
	var line []byte
	for b := make([]byte, 1); ; {
		if _, err := os.Stdin.Read(b); err != nil || b[0] == '\n' {
			return string(line)
		}
		line = append(line, b[0])
	}
}

// mustSucceed wants that the host ends well.
func (h *hosted) mustSucceed() {
	h.t.Helper()
	for h.out.Scan() {
		h.t.Logf("the host says: %s", h.out.Text())
	}
	if err := h.Wait(); err != nil {
		h.t.Errorf("the host: %v; its stderr:\n%s", err, &h.stderr)
	}
}

func init() { executor.Register(oneMore) }

func oneMore(_ context.Context, x int) (int, error) { return x + 1, nil }
