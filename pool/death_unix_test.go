//go:build unix

package pool_test

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"testing"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/pool"
)

func init() { executor.Register(killItself) }

// killItself kills its worker process if n is negative.
func killItself(_ context.Context, n int) (int, error) {
	if n < 0 {
		_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
		select {}
	}
	return 2 * n, nil
}

// Python's bpo-22393: a worker that dies fails the call that it made, and no
// other; in Python, that call never ends.
func TestWorkerThatIsKilledFailsItsCallAlone(t *testing.T) {
	executortest.NeedsProcesses(t)
	for name, open := range map[string]func(*testing.T) *pool.Pool{
		"Processes": func(t *testing.T) *pool.Pool {
			p := pool.Processes(2)
			t.Cleanup(func() { closeInTime(t, p) })
			return p
		},
		"Over": func(t *testing.T) *pool.Pool {
			return overProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := open(t)
			wantDeath := func(what string, err error) {
				t.Helper()
				died, ok := errors.AsType[*executor.WorkerDiedError](err)
				if !ok || died.Signal != syscall.SIGKILL {
					t.Errorf("%s whose worker is killed: %v; want a *WorkerDiedError with SIGKILL", what, err)
				}
			}
			gate, log := inDir(t, "gate"), inDir(t, "log")
			other := pool.ApplyAsync(t.Context(), p, makeItem, item{N: 1, Does: "hold", Gate: gate, Log: log})
			awaitStarts(t, log, 1)
			_, err := resultOf(t, pool.ApplyAsync(t.Context(), p, killItself, -1))
			wantDeath("ApplyAsync", err)
			touch(t, gate)
			if v, err := resultOf(t, other); v != 10 || err != nil {
				t.Errorf("the call of the other worker = %v, %v; want 10, nil", v, err)
			}

			out, err := pool.Map(t.Context(), p, killItself, []int{1, 2, -1, 4})
			if wantDeath("Map", err); out != nil {
				t.Errorf("Map whose worker is killed = %v; want nil", out)
			}

			out, err = pool.Map(t.Context(), p, killItself, []int{1, 2, -1, 3, 4, 5}, pool.ChunkSize(2), pool.CollectErrors())
			wantDeath("Map with CollectErrors", err)
			var failed executor.ItemErrors
			if !errors.As(err, &failed) || len(failed) != 1 || failed[0].Index != 2 || !slices.Equal(out, []int{2, 4, 0, 6, 8, 10}) {
				t.Errorf("Map of six in chunks of 2 with CollectErrors, of which item 2 kills its worker = %v, %v; want that item 2 has failed, and no other", out, err)
			}

			i := 0
			for v, err := range pool.Imap(t.Context(), p, killItself, slices.Values([]int{-1, 1, 2, 3}), pool.ChunkSize(2)) {
				if i == 0 {
					wantDeath("an item of Imap", err)
				} else if v != 2*i || err != nil {
					t.Errorf("item %d of Imap, after an item whose worker was killed = %v, %v; want %d, nil", i, v, err, 2*i)
				}
				i++
			}
			if i != 4 {
				t.Errorf("Imap of 4 items, whose worker is killed, has yielded %d outcomes; want 4", i)
			}

			if out, err := pool.Map(t.Context(), p, killItself, []int{1, 2, 3}); !slices.Equal(out, []int{2, 4, 6}) || err != nil {
				t.Errorf("Map afterwards = %v, %v; want [2 4 6], nil", out, err)
			}
		})
	}
}
