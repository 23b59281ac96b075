package executor_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor"
)

// While Map waits, it calls what it was given, on the goroutine that ranges, and not
// while results are there.
func TestMapDoesSomethingMeanwhile(t *testing.T) {
	for name, opts := range map[string][]executor.MapOption{
		"in order": nil, "unordered": {executor.Unordered()}, "in chunks": {executor.ChunkSize(2)}, "one at a time": {executor.Buffer(1)},
	} {
		synctest.Test(t, func(t *testing.T) {
			ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
			defer ex.Close()
			begin, told := time.Now(), []time.Duration{}
			isInLoop := false // with the race detector: of one goroutine
			meanwhile := executor.Meanwhile(300*time.Millisecond, func() {
				if isInLoop {
					t.Errorf("%s: it is called while the loop has a result", name)
				}
				told = append(told, time.Since(begin))
			})
			naps := []time.Duration{time.Second, 100 * time.Millisecond}
			n := 0
			for _, err := range executor.Map(t.Context(), ex, sleep, slices.Values(naps), append(opts, meanwhile)...) {
				isInLoop = true
				if n++; err != nil {
					t.Errorf("%s: %v", name, err)
				}
				isInLoop = false
			}
			if len(told) < 3 || told[0] != 300*time.Millisecond || told[2] != 900*time.Millisecond || n != 2 {
				t.Errorf("%s: it was called at %v, with %d results; want at 300ms, 600ms, 900ms, with 2", name, told, n)
			}
		})
	}
}

// What is done meanwhile does not keep the end of ctx from the loop, nor a panic in it.
func TestWhatMapDoesMeanwhileHoldsNothingUp(t *testing.T) {
	for name, opts := range map[string][]executor.MapOption{"in order": nil, "unordered": {executor.Unordered()}} {
		synctest.Test(t, func(t *testing.T) {
			ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
			defer ex.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begin := time.Now()
			var last error
			for _, last = range executor.Map(ctx, ex, sleep, slices.Values([]time.Duration{time.Hour}), append(opts, executor.Meanwhile(300*time.Millisecond, func() {}))...) {
			}
			if took := time.Since(begin); took != time.Second || !errors.Is(last, context.DeadlineExceeded) || errors.Is(last, executor.ErrPending) {
				t.Errorf("%s: the last error is %v after %v; want that of ctx after 1s", name, last, took)
			}
			panics := executor.Meanwhile(300*time.Millisecond, func() { panic(errBoom) })
			defer func() {
				if v := recover(); v != errBoom {
					t.Errorf("%s: the loop panics with %v; want what was panicked meanwhile", name, v)
				}
			}()
			for range executor.Map(t.Context(), ex, sleep, slices.Values([]time.Duration{time.Hour}), append(opts, panics)...) {
			}
		})
	}
}

// Made counts items of chunks in worker processes, and nothing else.
func TestMadeOfACallThatIsNoChunkIsZero(t *testing.T) {
	calls := make(captor, 1)
	f := executor.Submit(t.Context(), calls, thrice, 1)
	c := <-calls
	before := c.Made()
	c.Run(c.Context())
	if after := c.Made(); before != 0 || after != 0 || f.State() != executor.Finished {
		t.Errorf("Made = %d, and %d when it has ended; want 0, 0", before, after)
	}
}
