package executor_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
)

func init() { executor.Register(futEnds) }

// 64 MiB cross both ways; a call with more than the limit fails, and the worker
// lives.
func TestLargeValuesCrossAndTooLargeOnesFailTheirCall(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	pid := pidOf(t, ex)
	large := pattern(64<<20, 1)
	if back, err := endOf(t, executor.Submit(t.Context(), ex, remoteEcho, large)); !slices.Equal(back, large) || err != nil {
		t.Errorf("64 MiB came back as %d bytes, %v, or others", len(back), err)
	}
	if back, err := endOf(t, executor.Submit(t.Context(), ex, futBlock, block{Data: large[:16<<20], Grow: 20 << 20})); len(back.Data) != 20<<20 || back.Sum != hashOf(large[:16<<20]) || err != nil {
		t.Errorf("16 MiB within a struct came back as %d bytes with the sum %x, %v; want 20 MiB and %x", len(back.Data), back.Sum, err, hashOf(large[:16<<20]))
	}
	large = nil
	const limit = 256 << 20
	tooLarge := make([]byte, limit+1)
	f := executor.Submit(t.Context(), ex, remoteEcho, tooLarge)
	if _, err := endOf(t, f); err == nil || !strings.Contains(err.Error(), "the argument of") || !strings.Contains(err.Error(), "remoteEcho") || !strings.Contains(err.Error(), "268435457 bytes") {
		t.Errorf("a call with an argument of 256 MiB and a byte: %v; want an error that names the function and the length", err)
	}
	tooLarge = nil
	if _, err := endOf(t, executor.Submit(t.Context(), ex, futEnds, limit+1)); err == nil || !strings.Contains(err.Error(), "the result of") || !strings.Contains(err.Error(), "futEnds") || !strings.Contains(err.Error(), "268435457 bytes") {
		t.Errorf("a call with a result of 256 MiB and a byte: %v; want an error that names the function and the length", err)
	}
	if after := pidOf(t, ex); after != pid || ex.Stats().Restarts != 0 {
		t.Errorf("the worker was %d and is %d, Stats = %+v; want the same worker", pid, after, ex.Stats())
	}
}

// futEnds returns so many bytes, which nobody has touched but for the ends.
func futEnds(_ context.Context, n int) ([]byte, error) {
	b := make([]byte, n)
	b[0], b[n-1] = 1, 2
	return b, nil
}

// Arguments and results fill both directions at once, where CPython had a
// deadlock (gh-105829).
func TestBothDirectionsFullIsNoDeadlock(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	for _, size := range []int{60 << 10, 1<<20 - 1, 3 << 20} {
		data := pattern(size, 1)
		var submitters sync.WaitGroup
		for range 4 {
			submitters.Go(func() {
				var fs []*executor.Future[[]byte]
				for range 8 {
					fs = append(fs, executor.Submit(context.Background(), ex, remoteEcho, data))
				}
				for i, f := range fs {
					if b, err := f.Result(context.Background()); !slices.Equal(b, data) || err != nil {
						t.Errorf("call %d of %d bytes came back as %d, %v, or others", i, size, len(b), err)
					}
				}
			})
		}
		over := make(chan struct{})
		go func() { submitters.Wait(); close(over) }()
		select {
		case <-over:
		case <-time.After(2 * longEnough):
			t.Fatalf("32 calls with %d bytes both ways have not ended; Stats = %+v", size, ex.Stats())
		}
	}
}

// A burst of calls comes while callbacks hold everything up that they can.
func TestBurstOfCallsFromManyGoroutines(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	const goroutines, each = 8, 2500
	gate := newGate()
	first := executor.Submit(t.Context(), ex, thrice, 1)
	first.OnDone(func(*executor.Future[int]) { <-gate })
	defer gate.open()
	var sum atomic.Int64
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			var fs []*executor.Future[int]
			for i := range each {
				fs = append(fs, executor.Submit(context.Background(), ex, thrice, i))
			}
			for i, f := range fs {
				n, err := f.Result(context.Background())
				if n != 3*i || err != nil {
					t.Errorf("call %d = %d, %v; want %d", i, n, err, 3*i)
				}
				sum.Add(1)
			}
		})
	}
	over := make(chan struct{})
	go func() { all.Wait(); close(over) }()
	select {
	case <-over:
	case <-time.After(2 * longEnough):
		t.Fatalf("%d of %d calls have ended; Stats = %+v", sum.Load(), goroutines*each, ex.Stats())
	}
}
