package executor_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofutures/futures/executor"
)

// setProcs sets GOMAXPROCS for a test, which must not run beside others.
func setProcs(t *testing.T) func(int) {
	before := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	return func(n int) { runtime.GOMAXPROCS(n) }
}

// submitHeld submits n calls that hold their places until the gate is opened.
func submitHeld(t *testing.T, ex executor.Executor, n int) (gates []gate) {
	for range n {
		g := newGate()
		executor.Submit(t.Context(), ex, g.pass, 0)
		gates = append(gates, g)
	}
	return gates
}

func requireRunning(t *testing.T, ex *executor.ThreadPoolExecutor, n int, when string) {
	t.Helper()
	synctest.Wait()
	require.Equal(t, n, ex.Stats().Running, "calls that run %s", when)
}

func TestThePlacesFollowGOMAXPROCS(t *testing.T) {
	set := setProcs(t)
	synctest.Test(t, func(t *testing.T) {
		set(2)
		ex := &executor.ThreadPoolExecutor{}
		defer ex.Close()
		gates := submitHeld(t, ex, 12)
		requireRunning(t, ex, 2, "at first")

		set(4)
		time.Sleep(2 * time.Second)
		requireRunning(t, ex, 4, "when there are four, and nothing else happens")
		require.Equal(t, 4, ex.Workers())

		set(1)
		time.Sleep(time.Minute)
		requireRunning(t, ex, 4, "when there is one: they go on")
		for i, g := range gates {
			g.open()
			requireRunning(t, ex, max(3-i, min(1, 11-i)), "as one after another ends")
		}
	})
}

func TestThePlacesFollowGOMAXPROCSWhenACallIsSubmitted(t *testing.T) {
	set := setProcs(t)
	synctest.Test(t, func(t *testing.T) {
		set(1)
		ex := &executor.ThreadPoolExecutor{}
		defer ex.Close()
		gates := submitHeld(t, ex, 1)
		set(3)
		gates = append(gates, submitHeld(t, ex, 3)...)
		requireRunning(t, ex, 3, "when there are three")
		for _, g := range gates {
			g.open()
		}
		synctest.Wait()

		set(1) // while nothing runs
		for _, g := range submitHeld(t, ex, 3) {
			requireRunning(t, ex, 1, "when there is one")
			g.open()
		}
	})
}

func TestThePlacesFollowGOMAXPROCSWhenACallEnds(t *testing.T) {
	set := setProcs(t)
	synctest.Test(t, func(t *testing.T) {
		set(1)
		ex := &executor.ThreadPoolExecutor{}
		defer ex.Close()
		gates := submitHeld(t, ex, 5)
		requireRunning(t, ex, 1, "at first")
		set(3)
		gates[0].open()
		requireRunning(t, ex, 3, "when there are three, and one has ended")
		for _, g := range gates[1:] {
			g.open()
		}
	})
}

// A runner of a map that has more places than there are now leaves its own after an
// element; and one that waits for a place has it when there are more.
func TestTheRunnersOfAMapFollowGOMAXPROCS(t *testing.T) {
	set := setProcs(t)
	synctest.Test(t, func(t *testing.T) {
		set(4)
		ex := &executor.ThreadPoolExecutor{}
		defer ex.Close()
		var running tally
		work := func(context.Context, int) (int, error) {
			defer running.begin()()
			time.Sleep(element)
			return 0, nil
		}
		done := make(chan error)
		go func() {
			_, err := executor.MapSlice(t.Context(), ex, work, make([]int, 1000))
			done <- err
		}()
		time.Sleep(11 * time.Millisecond)
		require.EqualValues(t, 4, running.running.Load())
		set(1)
		gates := submitHeld(t, ex, 2) // somebody looks
		time.Sleep(11 * time.Millisecond)
		require.EqualValues(t, 0, running.running.Load(), "a call has the only place")
		gates[0].open()
		gates[1].open()
		time.Sleep(11 * time.Millisecond)
		require.EqualValues(t, 1, running.running.Load())
		set(3)
		executor.Submit(t.Context(), ex, double, 1)
		time.Sleep(11 * time.Millisecond)
		require.EqualValues(t, 3, running.running.Load())
		require.NoError(t, <-done)
	})
}
