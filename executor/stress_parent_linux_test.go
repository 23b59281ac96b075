package executor_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
)

// doomedEnv is in the environment of the parents that are killed, and so of
// their descendants: by it the test knows them. Each parent has its own value.
const doomedEnv = "FUTURES_DOOMED"

func init() {
	executor.Register(doomedSpin)
	executor.Register(doomedBlock)
	executor.Register(doomedRun)
	executor.Register(doomedShout)
	executor.Register(doomedNest)
}

// The calls of a parent to be killed. None of them ends by itself, nor at the
// end of its ctx.
func doomedSpin(_ context.Context, n int) (int, error) {
	fmt.Println("up")
	for {
		n++
	}
}

func doomedBlock(context.Context, int) (int, error) {
	fmt.Println("up")
	time.Sleep(time.Hour)
	return 0, nil
}

// doomedRun waits for a program that no pool knows of.
func doomedRun(context.Context, int) (int, error) {
	c := exec.Command("sleep", "3600")
	err := c.Start()
	fmt.Println("up")
	if err == nil {
		err = c.Wait()
	}
	return 0, err
}

// doomedShout has a program too, and prints on when nobody is there to read it.
func doomedShout(context.Context, int) (int, error) {
	if err := exec.Command("sleep", "3600").Start(); err != nil {
		return 0, err
	}
	fmt.Println("up")
	for {
		fmt.Println("hello?")
	}
}

// doomedNest has workers of its own, down to a depth.
func doomedNest(ctx context.Context, depth int) (int, error) {
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2}
	first := executor.Submit(ctx, ex, doomedBlock, 0)
	if depth > 1 {
		executor.Submit(ctx, ex, doomedNest, depth-1)
	} else {
		executor.Submit(ctx, ex, doomedSpin, 0)
	}
	return first.Result(ctx)
}

// doomedCalls is how many of them print that they are up.
const doomedCalls = 7

func beDoomed() {
	ctx := context.Background()
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 5}
	executor.Submit(ctx, ex, doomedSpin, 0)
	executor.Submit(ctx, ex, doomedBlock, 0)
	executor.Submit(ctx, ex, doomedRun, 0)
	executor.Submit(ctx, ex, doomedShout, 0)
	executor.Submit(ctx, ex, doomedNest, 2)
	select {}
}

// A parent is killed at random moments of its first 300 ms, or of those after
// all its calls are up: workers start, spin, block, run a program, have workers
// of their own, are stopped and go on.
func TestParentKilledLeavesNobody(t *testing.T) {
	if os.Getenv(doomedEnv) != "" {
		beDoomed()
	}
	executortest.NeedsProcesses(t)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	r, _ := stressRand(t)

	rounds := sized(5, 50)
	limit := time.Duration(sized(int(stressPatience/time.Second), 1)) * time.Second // the long form runs alone
	var slowest time.Duration
	var had, most, stopped int
	for i := range rounds {
		k := &parentKill{
			t: t, marker: fmt.Sprintf("%s=%d.%d", doomedEnv, os.Getpid(), i), limit: limit,
			after: time.Duration(r.Int64N(int64(300 * time.Millisecond))), fromUp: i%5 == 4, stop: r.IntN(4) == 0, choice: r.IntN(1 << 20),
		}
		k.make()
		slowest, most = max(slowest, k.took), max(most, k.descendants)
		if k.descendants > 0 {
			had++
		}
		if k.hasStopped {
			stopped++
		}
	}
	t.Logf("%d parents killed, %d of them with descendants, up to %d, %d with one of them stopped: nobody alive after %v at most", rounds, had, most, stopped, slowest.Round(time.Millisecond))
}

// parentKill is one parent that is killed.
type parentKill struct {
	t      *testing.T
	marker string
	limit  time.Duration // in which all must be gone
	after  time.Duration
	fromUp bool // after counts from when all calls run, not from the start of the parent
	stop   bool // one descendant is stopped before, and goes on afterwards
	choice int  // of that

	descendants int
	hasStopped  bool
	took        time.Duration
}

func (k *parentKill) make() {
	t := k.t
	var others []int // children that are not of the parent
	for _, p := range ownChildren(t) {
		others = append(others, p.pid)
	}
	c := exec.Command("/proc/self/exe", "-test.run=^TestParentKilledLeavesNobody$")
	c.Env = append(os.Environ(), k.marker)
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if k.fromUp {
		isUp := make(chan int)
		go func() {
			isUp <- countLines(out, "up", doomedCalls)
			io.Copy(io.Discard, out)
			close(isUp)
		}()
		select {
		case n := <-isUp:
			if n < doomedCalls {
				t.Errorf("%s: only %d of %d calls have started, then the parent ended", k.marker, n, doomedCalls)
			}
		case <-time.After(stressPatience):
			t.Errorf("%s: its %d calls have not all started after %v", k.marker, doomedCalls, stressPatience)
		}
		defer func() {
			for range isUp { // it reads to the end: nobody has the pipe any more
			}
		}()
	}
	time.Sleep(k.after)

	alive := k.alive(others)
	alive = slices.DeleteFunc(alive, func(pid int) bool { return pid == c.Process.Pid })
	k.descendants = len(alive)
	stopped := 0
	if k.stop && len(alive) > 0 {
		stopped = alive[k.choice%len(alive)]
		k.hasStopped = syscall.Kill(stopped, syscall.SIGSTOP) == nil
	}
	begin := time.Now()
	if err := c.Process.Kill(); err != nil {
		t.Errorf("%s: %v", k.marker, err)
	}
	_ = c.Wait()
	if k.hasStopped {
		time.Sleep(50 * time.Millisecond)
		begin = time.Now()
		_ = syscall.Kill(stopped, syscall.SIGCONT) // it is a zombie at worst: only this process reaps it
	}
	isGone := comesTrue(k.limit, func() bool {
		alive = k.alive(others)
		return len(alive) == 0
	})
	k.took = time.Since(begin)
	defer comesTrue(stressPatience, func() bool { // those that are dead are all children of this process now
		return len(k.alive(others)) == 0 && len(ownChildren(t)) <= len(others)
	})
	if isGone {
		return
	}
	t.Errorf("%s, killed after %v (from when its calls ran: %v; one stopped: %v): %v later these live:%s", k.marker, k.after, k.fromUp, k.hasStopped, k.limit, describeProcesses(alive))
	for _, pid := range alive {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// countLines reads until n lines were that, and returns how many were.
func countLines(r io.Reader, line string, n int) (count int) {
	for lines := bufio.NewScanner(r); count < n && lines.Scan(); {
		if lines.Text() == line {
			count++
		}
	}
	return count
}

// alive returns the processes that the parent and its descendants are, and
// reaps those that have ended and become children of this process.
func (k *parentKill) alive(others []int) (pids []int) {
	for _, p := range systemProcesses(k.t) {
		isOrphan := p.parent == os.Getpid() && !slices.Contains(others, p.pid)
		switch {
		case isOrphan && p.hasEnded():
			k.reap(p.pid)
		case p.hasEnded():
		case isOrphan, wasStartedWith(p.pid, k.marker):
			pids = append(pids, p.pid)
		}
	}
	return pids
}

func (k *parentKill) reap(pid int) { _, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil) }

func describeProcesses(pids []int) string {
	var b strings.Builder
	for _, pid := range pids {
		p, _ := lookUpProcess(pid)
		command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		fmt.Fprintf(&b, "\n\t%d, child of %d, %c, %q", pid, p.parent, p.state, command)
	}
	return b.String()
}
