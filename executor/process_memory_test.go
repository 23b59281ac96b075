package executor_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"weak"

	"github.com/gofutures/futures/executor"
)

func init() { executor.Register(futBlock) }

// When a call is done, an executor keeps nothing of its argument and its
// result, nor when it was cancelled, whatever way they go.
func TestProcessesKeepNeitherArgumentNorResult(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, KillGrace: never})
	for _, size := range []int{1 << 10, 100 << 10, 2 << 20} {
		f, argument := submitBytes(t, ex, size)
		result := resultBytes(t, f)
		untilCollected(t, fmt.Sprintf("the argument of %d bytes of a call that is done", size), argument)
		runtime.KeepAlive(f)
		f = nil
		untilCollected(t, fmt.Sprintf("the result of %d bytes of a call that is done", size), result)

		dir := t.TempDir()
		running := do(ex, deed{Verb: "hold", Log: dir + "/log", ID: 1, Path: dir + "/gate"})
		awaitStart(t, dir+"/log", 1)
		queued, argument := submitBytes(t, ex, size)
		if !queued.Cancel() {
			t.Error("Cancel of a queued call = false; want true")
		}
		untilCollected(t, fmt.Sprintf("the argument of %d bytes of a call that was cancelled, while the worker is busy", size), argument)
		runtime.KeepAlive(queued)
		touch(t, dir+"/gate")
		mustTell(t, running)
	}
	dies, argument := submitBlock(t, ex)
	mustDie(t, dies)
	untilCollected(t, "the argument of a call whose worker has died", argument)
	runtime.KeepAlive(dies)
}

//go:noinline
func submitBytes(t *testing.T, ex executor.Executor, n int) (*executor.Future[[]byte], weak.Pointer[byte]) {
	b := make([]byte, n)
	return executor.Submit(t.Context(), ex, remoteEcho, b), weak.Make(&b[0])
}

//go:noinline
func resultBytes(t *testing.T, f *executor.Future[[]byte]) weak.Pointer[byte] {
	b, err := endOf(t, f)
	if err != nil || len(b) == 0 {
		t.Fatalf("Result = %d bytes, %v; want some", len(b), err)
	}
	return weak.Make(&b[0])
}

//go:noinline
func submitBlock(t *testing.T, ex executor.Executor) (*executor.Future[block], weak.Pointer[byte]) {
	b := block{Data: make([]byte, 100<<10), Exit: true}
	return executor.Submit(t.Context(), ex, futBlock, b), weak.Make(&b.Data[0])
}

// untilCollected waits until the garbage collector has found that nobody holds p.
func untilCollected(t *testing.T, what string, p weak.Pointer[byte]) {
	t.Helper()
	waitUntil(t, "the garbage collector takes "+what, func() bool {
		runtime.GC()
		return p.Value() == nil
	})
}

// block is an argument and a result that is not only memory.
type block struct {
	Data []byte
	Grow int // what comes back is so long
	Exit bool
	Sum  uint64
}

func futBlock(_ context.Context, b block) (block, error) {
	if b.Exit {
		os.Exit(1)
	}
	sum := hashOf(b.Data)
	if b.Grow > 0 {
		b.Data = make([]byte, b.Grow)
	}
	b.Sum = sum
	return b, nil
}

// Memory that a large argument or result has shared is given back.
func TestSharedMemoryIsGivenBack(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no memory is shared")
	}
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	before := sharedMemory(t)
	if b, err := endOf(t, executor.Submit(t.Context(), ex, remoteEcho, make([]byte, 64<<20))); len(b) != 64<<20 || err != nil {
		t.Fatalf("Result = %d bytes, %v", len(b), err)
	}
	const most = 24 << 20
	waitUntil(t, "64 MiB that were shared both ways are given back", func() bool { return sharedMemory(t) < before+most })
}

// sharedMemory returns how much memory this process shares with others, in bytes.
func sharedMemory(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "RssShmem:")
	var kb int
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		t.Fatalf("/proc/self/status has no RssShmem: %v", err)
	}
	return kb << 10
}
