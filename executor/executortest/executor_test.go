package executortest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
)

// SIM-02: same seed, same order.
func TestSameSeedGivesSameOrder(t *testing.T) {
	orders := make(map[string]bool)
	for seed := range uint64(20) {
		var first []string
		for run := range 3 {
			var order []string
			synctest.Test(t, func(t *testing.T) { order = service(t, executortest.New(t, executortest.Seed(seed))) })
			if run == 0 {
				first = order
				orders[fmt.Sprint(order)] = true
			}
			require.Equal(t, first, order, "order of run %d with seed %d; want the one of run 0", run, seed)
		}
		require.Len(t, first, 40, "calls of the service")
	}
	assert.Greater(t, len(orders), 15, "different orders of 20 seeds")
}

// service submits calls from a call, from a callback, in a burst and after a
// nap, and returns what happened in which order.
func service(t *testing.T, ex executor.Executor) []string {
	var mu sync.Mutex
	var order []string
	note := func(ctx context.Context, name string) (string, error) {
		mu.Lock()
		order = append(order, name)
		mu.Unlock()
		return name, nil
	}
	napAndNote := func(ctx context.Context, name string) (string, error) {
		time.Sleep(time.Second)
		return note(ctx, name)
	}
	var fs []*executor.Future[string]
	for i := range 10 {
		fs = append(fs, executor.Submit(t.Context(), ex, note, fmt.Sprint("burst ", i)))
	}
	for i := range 5 {
		fs = append(fs, executor.Submit(t.Context(), ex, napAndNote, fmt.Sprint("nap ", i)))
	}
	fs = append(fs, executor.Go(t.Context(), ex, func(ctx context.Context) (string, error) {
		for name, err := range executor.Map(ctx, ex, note, names("child", 9)) {
			if err != nil {
				return name, err
			}
		}
		return note(ctx, "parent")
	}))
	called := make(chan *executor.Future[string], 1)
	fs[3].OnDone(func(*executor.Future[string]) { called <- executor.Submit(t.Context(), ex, note, "of a callback") })
	fs = append(fs, <-called)
	time.Sleep(1500 * time.Millisecond)
	for i := range 14 {
		fs = append(fs, executor.Submit(t.Context(), ex, note, fmt.Sprint("late ", i)))
	}
	_, err := executor.Gather(t.Context(), fs...)
	require.NoError(t, err)
	return order
}

func names(prefix string, n int) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := range n {
			if !yield(fmt.Sprint(prefix, " ", i)) {
				return
			}
		}
	}
}

// SIM-02, with programs and faults that nobody has thought of.
func TestSameSeedGivesSameTraceWhateverTheCalls(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		naps := rapid.SliceOfN(rapid.IntRange(0, 3), 1, 20).Draw(rt, "naps")
		delays := rapid.SliceOfN(rapid.IntRange(0, 3), len(naps), len(naps)).Draw(rt, "delays")
		cancels := rapid.SliceOfN(rapid.Bool(), len(naps), len(naps)).Draw(rt, "cancels")
		run := func() (trace []int, outcomes []string) {
			synctest.Test(t, func(t *testing.T) {
				opts := []executortest.Option{executortest.Seed(seed)}
				for i, d := range delays {
					opts = append(opts, executortest.Delay(i+1, time.Duration(d)*time.Second))
				}
				ex := executortest.New(t, opts...)
				var fs []*executor.Future[int]
				for i, n := range naps {
					fs = append(fs, executor.Submit(t.Context(), ex, nap, time.Duration(n)*time.Second))
					if cancels[i] {
						time.Sleep(time.Second)
						fs[i/2].Cancel()
					}
				}
				for _, f := range fs {
					_, err := f.Result(t.Context())
					outcomes = append(outcomes, fmt.Sprint(f.State(), err))
				}
				trace = ex.Trace()
			})
			return trace, outcomes
		}
		trace, outcomes := run()
		again, outcomesAgain := run()
		if !slices.Equal(trace, again) || !slices.Equal(outcomes, outcomesAgain) {
			rt.Fatalf("two runs with seed %d: order %v, %v, then %v, %v; want the same", seed, trace, outcomes, again, outcomesAgain)
		}
	})
}

// nap sleeps, or returns 1 as soon as it is asked to stop.
func nap(ctx context.Context, d time.Duration) (int, error) {
	select {
	case <-time.After(d):
		return 0, nil
	case <-ctx.Done():
		return 1, nil
	}
}

func TestOneCallComputesAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := executortest.New(t)
		var running, peak atomic.Int64
		work := func(context.Context, int) (int, error) {
			peak.Store(max(peak.Load(), running.Add(1)))
			time.Sleep(time.Second)
			running.Add(-1)
			return 0, nil
		}
		start := time.Now()
		_, err := executor.MapSlice(t.Context(), ex, work, make([]int, 10))
		require.NoError(t, err)
		for range 10 {
			executor.Submit(t.Context(), ex, work, 0)
		}
		require.NoError(t, ex.Close())
		assert.EqualValues(t, 1, peak.Load(), "calls that ran at once")
		assert.Equal(t, 20*time.Second, time.Since(start).Round(time.Microsecond), "time of 20 calls of a second each")
	})
}

func TestFailedCallIsNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := executortest.New(t, executortest.Fail(2, io.ErrUnexpectedEOF))
		var made atomic.Int64
		work := func(_ context.Context, n int) (int, error) { made.Add(1); return n, nil }
		var fs []*executor.Future[int]
		for i := range 3 {
			fs = append(fs, executor.Submit(t.Context(), ex, work, i))
		}
		for i, f := range fs {
			got, err := f.Result(t.Context())
			if i == 1 {
				assert.ErrorIs(t, err, io.ErrUnexpectedEOF, "call 2")
				assert.Equal(t, executor.Finished, f.State(), "State of call 2")
				continue
			}
			assert.NoError(t, err, "call %d", i+1)
			assert.Equal(t, i, got, "call %d", i+1)
		}
		assert.EqualValues(t, 2, made.Load(), "calls that were made")
		assert.ElementsMatch(t, []int{1, 2, 3}, ex.Trace(), "calls that had their turn")
		assert.Equal(t, executor.Stats{Submitted: 3, Succeeded: 2, Failed: 1, Workers: 1}, ex.Stats())
	})
}

func TestCancelledCallIsNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := executortest.New(t, executortest.Cancel(1))
		var called atomic.Bool
		f := executor.Go(t.Context(), ex, func(context.Context) (int, error) { called.Store(true); return 1, nil })
		var told atomic.Bool
		f.OnDone(func(*executor.Future[int]) { told.Store(true) })
		_, err := f.Result(t.Context())
		assert.ErrorIs(t, err, executor.ErrCancelled)
		assert.Equal(t, executor.Cancelled, f.State())
		assert.True(t, f.Cancel(), "Cancel of a call that was cancelled")
		require.NoError(t, ex.Close())
		synctest.Wait()
		assert.False(t, called.Load(), "the call was made")
		assert.True(t, told.Load(), "its callback was called")
		assert.Equal(t, executor.Stats{Submitted: 1, Cancelled: 1}, ex.Stats())
	})
}

func TestDelayedCallStartsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := executortest.New(t, executortest.Delay(1, time.Hour), executortest.Fail(3, io.EOF), executortest.Delay(3, time.Minute))
		start := time.Now()
		since := func(context.Context) (time.Duration, error) { return time.Since(start).Round(time.Microsecond), nil }
		delayed := executor.Go(t.Context(), ex, since)
		other := executor.Go(t.Context(), ex, since)
		both := executor.Go(t.Context(), ex, since)

		_, err := both.Result(t.Context())
		assert.ErrorIs(t, err, io.EOF)
		assert.Equal(t, time.Minute, time.Since(start).Round(time.Microsecond), "time at which a call that is delayed a minute fails")
		got, err := executor.Gather(t.Context(), delayed, other)
		require.NoError(t, err)
		assert.Equal(t, []time.Duration{time.Hour, 0}, got, "start of a call that is delayed, and of the next")
		assert.Equal(t, []int{2, 3, 1}, ex.Trace(), "order")
	})
}

// D5, D8: nobody waits for the delay of a call that has ended before.
func TestDelayedCallIsCancelledAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := executortest.New(t, executortest.Delay(1, time.Hour), executortest.Delay(2, time.Hour), executortest.Delay(3, time.Hour))
		ctx, cancel := context.WithCancelCause(t.Context())
		byCancel := executor.Submit(t.Context(), ex, nap, 0)
		byCtx := executor.Submit(ctx, ex, nap, 0)
		byShutdown := executor.Submit(t.Context(), ex, nap, 0)
		start := time.Now()

		assert.True(t, byCancel.Cancel())
		cause := errors.New("a reason")
		cancel(cause)
		_, err := byCtx.Result(t.Context())
		assert.ErrorIs(t, err, executor.ErrCancelled)
		assert.ErrorIs(t, err, cause)
		assert.NoError(t, ex.Shutdown(ctx), "Shutdown with a ctx that has ended, while nothing runs")
		assert.Equal(t, executor.Cancelled, byShutdown.State())
		assert.Zero(t, time.Since(start), "time that it all took")
		assert.Empty(t, ex.Trace(), "calls that had their turn")
	})
}

// A test that has failed says how to have its order again.
func TestFailureSaysSeedAndOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := &recorder{TB: t, failed: true}
		ex := executortest.New(failing, executortest.Delay(1, time.Second), executortest.Fail(2, io.EOF), executortest.Cancel(3))
		require.NoError(t, executorOf4(t, ex))
		failing.end()
		want := fmt.Sprintf("in the order %v; to have it again: executortest.New(t, Seed(%#x), Delay(1, 1s), Fail(2, \"EOF\"), Cancel(3))", ex.Trace(), ex.Seed())
		assert.Contains(t, failing.logged(), want)

		fine := &recorder{TB: t}
		require.NoError(t, executorOf4(t, executortest.New(fine)))
		fine.end()
		assert.Empty(t, fine.logged(), "what a test that has not failed says")
	})
}

func executorOf4(t *testing.T, ex executor.Executor) error {
	var fs []*executor.Future[int]
	for range 4 {
		fs = append(fs, executor.Submit(t.Context(), ex, nap, 0))
	}
	_, _, err := executor.Wait(t.Context(), executor.AllCompleted, fs...)
	return err
}

// A test that has failed may have left a call that never ends by itself.
func TestFailedTestEndsWhatItLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := &recorder{TB: t, failed: true}
		ex := executortest.New(failing)
		running := executor.Submit(t.Context(), ex, nap, time.Hour)
		queued := executor.Submit(t.Context(), ex, nap, time.Hour)
		time.Sleep(time.Second)
		first, second := running, queued
		if running.State() == executor.Pending { // the order is drawn
			first, second = queued, running
		}
		failing.end()
		got, err := first.Result(t.Context())
		assert.NoError(t, err, "the call that ran")
		assert.Equal(t, 1, got, "what the call returns that ran, when it is asked to stop")
		assert.Equal(t, executor.Cancelled, second.State(), "State of the call that was queued")
	})
}

// The end of a test that has not failed waits for what it left.
func TestEndOfTestCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fine := &recorder{TB: t}
		f := executor.Submit(t.Context(), executortest.New(fine), nap, time.Hour)
		fine.end()
		got, err := f.Result(t.Context())
		assert.NoError(t, err)
		assert.Equal(t, 0, got, "what a nap returns that nobody has ended")
	})
}

// D29
func TestSillyOptionsFailTheTest(t *testing.T) {
	for says, opt := range map[string]executortest.Option{
		"Fail of call 0: calls are numbered from 1":         executortest.Fail(0, io.EOF),
		"Fail(1, nil): the error must not be nil":           executortest.Fail(1, nil),
		"Delay of call -1: calls are numbered from 1":       executortest.Delay(-1, time.Second),
		"Delay(2, -1s): the delay must not be negative":     executortest.Delay(2, -time.Second),
		"Cancel of call 0: calls are numbered from 1":       executortest.Cancel(0),
		"executortest: New: Fail of call 0: calls are numb": executortest.Fail(0, io.EOF),
	} {
		tb := &recorder{TB: t}
		func() {
			defer func() { _ = recover() }() // Fatalf of a recorder
			executortest.New(tb, opt)
		}()
		assert.Contains(t, tb.fatal, says)
	}
}

// The place of a call that waits goes to another, whatever it waits with.
func TestStatsHideHowTurnsAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := executortest.New(t)
		release := make(chan struct{})
		executor.Go(t.Context(), ex, func(context.Context) (int, error) { <-release; return 0, nil })
		time.Sleep(time.Millisecond)
		executor.Submit(t.Context(), ex, nap, 0)
		executor.Submit(t.Context(), ex, nap, 0).Cancel()
		time.Sleep(time.Millisecond) // a turn is asked for, and waits
		assert.Equal(t, executor.Stats{Submitted: 3, Running: 1, Queued: 1, Cancelled: 1, Workers: 1}, ex.Stats())
		close(release)
		require.NoError(t, ex.Close())
		assert.Equal(t, executor.Stats{Submitted: 3, Succeeded: 2, Cancelled: 1}, ex.Stats())
	})
}

func TestNilExecutorRefuses(t *testing.T) {
	var ex *executortest.Executor
	_, err := executor.Submit(t.Context(), ex, nap, 0).Result(t.Context())
	assert.ErrorContains(t, err, "nil *Executor")
}

// recorder is a test within a test.
type recorder struct {
	testing.TB
	failed   bool
	cleanups []func()
	text     []string
	fatal    string
}

func (r *recorder) Failed() bool                 { return r.failed }
func (r *recorder) Cleanup(f func())             { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Logf(format string, a ...any) { r.text = append(r.text, fmt.Sprintf(format, a...)) }
func (r *recorder) logged() string               { return strings.Join(r.text, "\n") }
func (r *recorder) Helper()                      {}

func (r *recorder) Fatalf(format string, a ...any) {
	r.fatal = fmt.Sprintf(format, a...)
	panic(r.fatal)
}

// end ends the test.
func (r *recorder) end() {
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
}
