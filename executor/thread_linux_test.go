package executor_test

import (
	"context"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofutures/futures/executor"
)

// A thread that a call has locked, and may have changed, makes no other call.
func TestAThreadThatACallHasLockedIsNotUsedAgain(t *testing.T) {
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("on this architecture, a call that leaves its thread locked is not noticed")
	}
	lock := func(_ context.Context, times int) (int, error) {
		for range times {
			runtime.LockOSThread()
		}
		return syscall.Gettid(), nil
	}
	where := func(context.Context, int) (int, error) { return syscall.Gettid(), nil }
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
	defer ex.Close()
	for times := range 4 {
		var fs []*executor.Future[int]
		fs = append(fs, executor.Submit(t.Context(), ex, lock, times))
		for range 50 { // in a batch too
			fs = append(fs, executor.Submit(t.Context(), ex, where, 0))
		}
		tids, err := executor.Gather(t.Context(), fs...)
		require.NoError(t, err)
		if times > 0 {
			require.NotContains(t, tids[1:], tids[0], "a call ran on a thread that was locked %d times", times)
		}
	}
	require.Equal(t, 4*51, ex.Stats().Succeeded)
	require.LessOrEqual(t, ex.Stats().Workers, 1)
}

// A thread that the Initializer has locked is for all calls of its worker.
func TestAnInitializerMayLockTheThreadOfItsWorker(t *testing.T) {
	initialized := make(chan int, 10)
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 1, Initializer: func(context.Context) error {
		runtime.LockOSThread()
		initialized <- syscall.Gettid()
		return nil
	}}
	defer ex.Close()
	where := func(context.Context, int) (int, error) { return syscall.Gettid(), nil }
	for range 20 {
		tid, err := executor.Submit(t.Context(), ex, where, 0).Result(t.Context())
		require.NoError(t, err)
		initializedOn := <-initialized
		require.Equal(t, initializedOn, tid)
		initialized <- initializedOn
	}
	require.Len(t, initialized, 1, "the worker was replaced")
}
