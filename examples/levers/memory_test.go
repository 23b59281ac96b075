package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
)

// much is enough memory to tell from what a test needs by itself.
const much = 64 << 20

func TestPeakIsThatOfOneLever(t *testing.T) {
	for _, g := range []gauge{newGauge(), {"sampled", sampledPeak}} {
		t.Run(g.head, func(t *testing.T) {
			peak := g.start()
			runtime.KeepAlive(take(much))
			high := peak()
			if high < much {
				t.Errorf("peak is %d, want at least the %d that were taken", high, much)
			}

			debug.FreeOSMemory()
			if low := g.start()(); low > high-much/2 {
				t.Errorf("the next peak is %d, after %d; want the %d that were taken to be forgotten", low, high, much)
			}
		})
	}
}

func TestSampledPeakSeesWhatIsGivenBackBeforeTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peak := sampledPeak()
		b := take(much)
		time.Sleep(2 * sampleEvery)
		runtime.KeepAlive(b)
		b = nil
		debug.FreeOSMemory()
		if left, high := goMemory(), peak(); high < much || high < left+much/2 {
			t.Errorf("peak is %d and at the end it is %d; want the peak to have the %d that were taken in between", high, left, much)
		}
	})
}

func init() { executor.Register(takeMuch) }

// takeMuch needs memory in one of two other processes.
func takeMuch(ctx context.Context, in [2]string) (int, error) {
	b := take(much)
	return len(b), meet(ctx, in[0], in[1])
}

func TestPeakHasThatOfEveryWorker(t *testing.T) {
	executortest.NeedsProcesses(t)
	if _, err := children(); err != nil || resetPeak() != nil {
		t.Skip("the memory of other processes is not to be seen here")
	}
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2}
	defer ex.Close()
	debug.FreeOSMemory()
	own, all := residentPeak(), residentPeakOfAll()
	folder := t.TempDir()
	two, err := executor.MapSlice(t.Context(), ex, takeMuch, [][2]string{{folder, "a"}, {folder, "b"}}, executor.ChunkSize(1))
	if err != nil || len(two) != 2 {
		t.Fatalf("MapSlice = %v, %v; want two workers that took %d", two, err, much)
	}
	if own, all := own(), all(); all < own+2*much {
		t.Errorf("peak is %d, of which %d of this process; want the %d of each of two workers in it too", all, own, much)
	}
}

// take returns n bytes, with each page touched.
//
//go:noinline
func take(n int) []byte {
	b := make([]byte, n)
	for i := 0; i < n; i += 4096 {
		b[i] = 1
	}
	return b
}
