package executor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/executor/internal/wire"
)

func init() {
	verbs["environment"] = func(_ context.Context, _ deed, a *told) error {
		a.Text = strings.Join(os.Environ(), "\n")
		return nil
	}
	hosts["must not run"] = func(string) { fmt.Println("the program runs") }
	beRogue()
	beUnsealed()
}

// A user who sets the variable of a worker by hand gets an explanation, and no program.
func TestMarkerSetByHand(t *testing.T) {
	for _, value := range []string{"1", "0", "-1", "", "yes", "1 2 3", "99999999999999999999"} {
		out, err := runMarked(t, value)
		if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 2 {
			t.Errorf("FUTURES_WORKER=%q: %v; want exit status 2", value, err)
		}
		if !strings.Contains(out, "FUTURES_WORKER") || strings.Contains(out, "the program runs") || strings.Count(out, "\n") > 3 {
			t.Errorf("FUTURES_WORKER=%q: it prints %q; want a line that explains, and that the program does not run", value, out)
		}
	}
}

// A worker whose parent says nothing, or nonsense, ends.
func TestMarkerSetByHandWithPipes(t *testing.T) {
	for _, text := range []string{"", "\x00", strings.Repeat("nonsense", 1000), "\xff\xff\xff\xff\xff\xff\xff\xff"} {
		calls, in, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		out, results, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.WriteString(text); err != nil {
			t.Fatal(err)
		}
		in.Close()
		printed, err := runMarked(t, "1", calls, results)
		calls.Close()
		results.Close()
		answer, _ := io.ReadAll(out)
		out.Close()
		if err == nil && text != "" || strings.Contains(printed, "the program runs") || strings.Contains(printed, "goroutine ") || len(answer) > 0 {
			t.Errorf("a worker that hears %.20q: %v, prints %q, answers %q; want that it ends with an error, and no answer", text, err, printed, answer)
		}
	}
}

// runMarked runs a host with the marker of a worker, and returns what it prints.
func runMarked(t *testing.T, value string, files ...*os.File) (string, error) {
	t.Helper()
	executortest.NeedsProcesses(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), longEnough)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe, "-test.run=^TestHost$")
	cmd.Env = append(os.Environ(), "FUTURES_WORKER="+value, hostVariable+"=must not run")
	cmd.ExtraFiles = files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it may end its group
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}

// Env is exactly the environment of the workers.
func TestEnvIsExact(t *testing.T) {
	for _, tt := range []struct{ env, want []string }{
		{[]string{}, nil},
		{[]string{"A=1", "B=two words", "C="}, []string{"A=1", "B=two words", "C="}},
		{[]string{"FUTURES_WORKER=7", "A=1"}, []string{"A=1"}},
	} {
		ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, Env: tt.env})
		if got := mustTell(t, do(ex, deed{Verb: "environment"})).Text; got != strings.Join(tt.want, "\n") {
			t.Errorf("Env %q: the worker has %q; want %q", tt.env, got, tt.want)
		}
	}
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	t.Setenv("FUTURES_TEST_LATE", "yes")
	if got, own := mustTell(t, do(ex, deed{Verb: "environment"})).Text, strings.Join(os.Environ(), "\n"); got != own {
		t.Errorf("Env nil: the worker has\n%s\nwant that of this process:\n%s", got, own)
	}
}

// rogueVariable is what makes a worker behave as none should.
const rogueVariable = "FUTURES_TEST_ROGUE"

// beRogue is called by an init function, before WorkerMain can do its work.
func beRogue() {
	how := os.Getenv(rogueVariable)
	if _, isWorker := os.LookupEnv("FUTURES_WORKER"); !isWorker || how == "" {
		return
	}
	_ = logStart(os.Getenv(initLog), 0)
	results := os.NewFile(4, "results")
	switch how {
	case "exits":
		os.Exit(3)
	case "exits with 0":
		os.Exit(0)
	case "is silent":
		select {}
	case "sends garbage":
		_, _ = results.WriteString(strings.Repeat("garbage!", 100))
		os.Exit(0)
	case "sends garbage and stays":
		_, _ = results.WriteString("\x05\x00\x00\x00garbage!")
		select {}
	case "registers more":
		executor.Register(rogueFunction)
		return
	case "has children":
		cmd := exec.Command("sleep", "600")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		_ = logStart(os.Getenv(initLog), cmd.Process.Pid)
		return
	}
	config := readConfig()
	hello := wire.Hello{Version: wire.Version, Nonce: config.Nonce, PID: uint32(os.Getpid())}
	switch how {
	case "has another version":
		hello.Version++
	case "does not know the nonce":
		hello.Nonce[0]++
	case "is another build":
		hello.Build = "another"
	case "sends a part of its hello":
		b := hello.Append(nil)
		_, _ = results.Write(b[:len(b)-1])
		os.Exit(0)
	}
	_, _ = results.Write(hello.Append(nil))
	select {}
}

func rogueFunction(context.Context, int) (int, error) { return 0, nil }

func readConfig() wire.Config {
	_, body, err := wire.NewReader(os.NewFile(3, "calls")).Next()
	if err != nil {
		panic(err)
	}
	config, err := wire.ParseConfig(body)
	if err != nil {
		panic(err)
	}
	return config
}

func rogueEnv(how, log string) []string { return append(withLog(log), rogueVariable+"="+how) }

// A worker that does not say hello as it should is tried again a few times;
// then the pool is broken, and says so.
func TestWorkerThatDoesNotSayHello(t *testing.T) {
	for _, tt := range []struct{ how, says string }{
		{"exits", "exited with code 3"},
		{"exits with 0", "exited with code 0"},
		{"sends garbage", "worker process"},
		{"sends a part of its hello", "worker process"},
	} {
		t.Run(tt.how, func(t *testing.T) {
			log := inDir(t, "log")
			ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2, Env: rogueEnv(tt.how, log)})
			var fs []*executor.Future[told]
			for range 10 {
				fs = append(fs, do(ex, deed{Verb: "tell"}))
			}
			for i, f := range fs {
				if _, err := resultOf(t, f); !errors.Is(err, executor.ErrBroken) || !strings.Contains(err.Error(), tt.says) {
					t.Fatalf("call %d: %v; want ErrBroken and %q", i, err, tt.says)
				}
			}
			closeInTime(t, ex)
			if n := len(startsIn(t, log)[0]); n < 5 || n > 6 {
				t.Errorf("%d workers were started; want 5, or one more that was under way", n)
			}
			if pids := offspring(t); len(pids) > 0 {
				t.Errorf("the children %v are left", pids)
			}
		})
	}
}

// A worker that sends nonsense and does not go is ended.
func TestWorkerThatSendsGarbageAndStays(t *testing.T) {
	log := inDir(t, "log")
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, Env: rogueEnv("sends garbage and stays", log)})
	if _, err := resultOf(t, do(ex, deed{Verb: "tell"})); !errors.Is(err, executor.ErrBroken) {
		t.Errorf("%v; want ErrBroken", err)
	}
	closeInTime(t, ex)
	mustGo(t, "the worker", startsIn(t, log)[0]...)
}

// While a worker is silent, calls can be cancelled, and Shutdown ends it.
func TestSilentWorkerHoldsUpNeitherCancelNorShutdown(t *testing.T) {
	log := inDir(t, "log")
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, Env: rogueEnv("is silent", log)})
	first, second := do(ex, deed{Verb: "tell"}), do(ex, deed{Verb: "tell"})
	pid := awaitStart(t, log, 0)
	if !first.Cancel() {
		t.Error("Cancel is false")
	}
	_ = ex.Shutdown(ended())
	if _, err := resultOf(t, second); !errors.Is(err, executor.ErrCancelled) {
		t.Errorf("after Shutdown: %v; want ErrCancelled", err)
	}
	closeInTime(t, ex)
	mustGo(t, "the silent worker", pid)
}

// A worker that is not this program breaks the pool at the first try, with an
// error that says why.
func TestWorkerThatIsAnotherProgram(t *testing.T) {
	for how, says := range map[string]string{
		"has another version":     "version",
		"does not know the nonce": "nonce",
		"is another build":        "build",
		"registers more":          "register",
	} {
		t.Run(how, func(t *testing.T) {
			log := inDir(t, "log")
			ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, Env: rogueEnv(how, log)})
			for i := range 3 {
				if _, err := resultOf(t, do(ex, deed{Verb: "tell"})); !errors.Is(err, executor.ErrBroken) || !strings.Contains(err.Error(), says) {
					t.Errorf("call %d: %v; want ErrBroken and %q", i, err, says)
				}
			}
			closeInTime(t, ex)
			if n := len(startsIn(t, log)[0]); n != 1 {
				t.Errorf("%d workers were started; want 1", n)
			}
		})
	}
}

// A process that was started before WorkerMain, and has the worker's transport
// therefore, does not delay the news of a death either.
func TestChildFromBeforeWorkerMainDelaysNothing(t *testing.T) {
	log := inDir(t, "log")
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, Env: rogueEnv("has children", log)})
	t.Cleanup(func() {
		for pid := range startsIn(t, log) {
			if pid != 0 {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
	mustTell(t, do(ex, deed{Verb: "tell"}))
	if died := mustDie(t, do(ex, deed{Verb: "exit", N: 5})); died.ExitCode != 5 {
		t.Errorf("%v; want exit code 5", died)
	}
	mustTell(t, do(ex, deed{Verb: "tell"}))
	closeInTime(t, ex)
}

// unsealedVariable makes a host submit a call before WorkerMain.
const unsealedVariable = "FUTURES_TEST_UNSEALED"

func beUnsealed() {
	if os.Getenv(unsealedVariable) == "" {
		return
	}
	_ = logStart(os.Getenv(initLog), 0)
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2}
	_, err := do(ex, deed{Verb: "tell"}).Result(context.Background())
	fmt.Println(err)
	fmt.Println(ex.Close(), ex.Stats().Workers)
	os.Exit(0)
}

// A program that has not called WorkerMain gets an error that says so, and
// starts no process.
func TestCallBeforeWorkerMain(t *testing.T) {
	log := inDir(t, "log")
	h := startHost(t, "must not run", "", func(cmd *exec.Cmd) {
		cmd.Env = append(withLog(log), unsealedVariable+"=yes")
	})
	if line := h.line(); !strings.Contains(line, "executor.WorkerMain()") || !strings.Contains(line, "first line") {
		t.Errorf("the error is %q; want one that says what to do", line)
	}
	if line := h.line(); line != "<nil> 0" {
		t.Errorf("Close and the number of workers: %s; want <nil> 0", line)
	}
	h.mustSucceed()
	if n := len(startsIn(t, log)[0]); n != 1 {
		t.Errorf("the program was started %d times; want once", n)
	}
}
