package executor_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gofutures/futures/executor"
)

func init() {
	verbs["flood"] = func(context.Context, deed, *told) error {
		for {
			fmt.Println("all work and no play")
		}
	}
	verbs["grandchild, then sleep"] = func(_ context.Context, d deed, _ *told) error {
		if _, err := startGrandchild(d.Path, false); err != nil {
			return err
		}
		if err := logStart(d.Log+" grandchild", mustNumber(d.Path)); err != nil {
			return err
		}
		stuckInSleep()
		return nil
	}
	executor.Register(blocks)
	hosts["nursery"] = nursery
}

// blocks returns a result that a pipe does not hold many of.
func blocks(_ context.Context, n int) ([]byte, error) { return make([]byte, n), nil }

func mustNumber(file string) int {
	text, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	n, err := strconv.Atoi(string(text))
	if err != nil {
		panic(err)
	}
	return n
}

// nursery starts calls in workers, says when they have started, and then does as
// it is told. Its argument is "log verb workers".
func nursery(arg string) {
	log, verb, _ := strings.Cut(arg, " ")
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 3, Stdout: io.Discard, Stderr: io.Discard}
	switch verb {
	case "idle":
		mustInHost(ex, deed{Verb: "tell", Log: log})
	case "initialize":
		ex.Initializer = initHangs
		ex.Env = withLog(log)
		do(ex, deed{Verb: "tell"})
	case "write":
		mustInHost(ex, deed{Verb: "tell", Log: log})
		ctx := context.Background()
		for range 50 { // the parent is stopped when it has said ready
			executor.Submit(ctx, ex, blocks, 900_000)
		}
	case "dive":
		do(ex, deed{Verb: "dive", Log: log, N: 2, Path: log + " never"})
	default:
		for i := range 3 {
			do(ex, deed{Verb: verb, Log: log, ID: i, Path: fmt.Sprint(log, " grandchild ", i)})
		}
	}
	fmt.Println("ready")
	switch how := heard(); how {
	case "exit":
		os.Exit(0)
	case "panic":
		go panic("the host is out of its mind")
	}
	select {}
}

// pidsIn returns the processes of a log.
func pidsIn(t *testing.T, log string) (pids []int) {
	for _, p := range startsIn(t, log) {
		pids = append(pids, p...)
	}
	slices.Sort(pids)
	return slices.Compact(pids)
}

// When the parent ends, however it ends, its workers end, whatever they do, and
// all that they have started.
func TestNobodyOutlivesTheParent(t *testing.T) {
	for _, tt := range []struct {
		verb string // what the workers do
		pids int    // how many processes there are to be
		how  string // how the parent ends
	}{
		{"idle", 1, "SIGKILL"},
		{"sleep", 3, "SIGKILL"},
		{"spin", 3, "SIGKILL"},
		{"read", 3, "SIGKILL"},
		{"flood", 3, "SIGKILL"},
		{"write", 1, "SIGSTOP, SIGKILL"},
		{"initialize", 1, "SIGKILL"},
		{"dive", 3, "SIGKILL"},
		{"grandchild, then sleep", 3, "SIGKILL"},
		{"idle", 1, "exit"},
		{"spin", 3, "exit"},
		{"sleep", 3, "panic"},
		{"sleep", 3, "SIGTERM"},
		{"sleep", 3, "workers are stopped"},
		{"spin", 3, "workers are stopped"},
		{"grandchild, then sleep", 3, "workers are killed, SIGKILL"},
		{"grandchild, then sleep", 3, "SIGSTOP, workers are killed, SIGKILL"},
	} {
		t.Run(tt.verb+", "+tt.how, func(t *testing.T) {
			log := inDir(t, "log")
			h := startHost(t, "nursery", log+" "+tt.verb)
			if line := h.line(); line != "ready" {
				t.Fatalf("the host says %q", line)
			}
			waitUntil(t, fmt.Sprintf("%d processes have started", tt.pids), func() bool { return len(pidsIn(t, log)) == tt.pids })
			workers := pidsIn(t, log)
			pids := slices.Clone(workers)
			if strings.HasPrefix(tt.verb, "grandchild") {
				waitUntil(t, "the grandchildren have started", func() bool { return len(startsIn(t, log+" grandchild")) == tt.pids })
				for pid := range startsIn(t, log+" grandchild") {
					pids = append(pids, pid)
				}
			}
			t.Cleanup(func() {
				for _, pid := range pids {
					if t.Failed() && isAlive(pid) {
						_ = syscall.Kill(pid, syscall.SIGKILL)
					}
				}
			})
			for _, pid := range pids {
				if !isAlive(pid) {
					t.Errorf("process %d is gone before its parent", pid)
				}
			}
			switch tt.how {
			case "SIGKILL":
				_ = h.Process.Kill()
			case "SIGTERM":
				_ = h.Process.Signal(syscall.SIGTERM)
			case "SIGSTOP, SIGKILL":
				_ = h.Process.Signal(syscall.SIGSTOP)
				_ = h.Process.Kill()
			case "workers are killed, SIGKILL", "SIGSTOP, workers are killed, SIGKILL":
				if strings.HasPrefix(tt.how, "SIGSTOP") { // it cannot end what they have started
					mustStop(t, h.Process.Pid)
				}
				for _, pid := range workers {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
				_ = h.Process.Kill()
			case "workers are stopped":
				for _, pid := range pids {
					_ = syscall.Kill(pid, syscall.SIGSTOP)
				}
				_ = h.Process.Kill()
				_ = h.Wait()
				for _, pid := range pids {
					_ = syscall.Kill(pid, syscall.SIGCONT)
				}
			default:
				h.say(tt.how)
			}
			_ = h.Wait()
			mustGo(t, "after its parent", pids...)
		})
	}
}

// A worker does not depend on the thread that has started it.
func TestWorkerOutlivesTheThreadThatStartedIt(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	pids := make(chan int)
	go func() {
		runtime.LockOSThread() // and ends with the goroutine
		a, _ := do(ex, deed{Verb: "tell"}).Result(context.Background())
		pids <- a.PID
	}()
	pid := <-pids
	for range 20 {
		if a := mustTell(t, do(ex, deed{Verb: "tell"})); a.PID != pid {
			t.Fatalf("a call ran in process %d; want %d again", a.PID, pid)
		}
	}
}
