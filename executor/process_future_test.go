package executor_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/gofutures/futures/executor"
)

func init() { executor.Register(futPointer) }

// No worker starts a call that was cancelled, be it queued or on its way to a
// worker.
func TestCancelledCallIsNeverStartedByAWorker(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2, KillGrace: never})
	log := inDir(t, "log")
	const calls = 600
	cancelled := make([]bool, calls)
	var fs []*executor.Future[told]
	for i := range calls {
		fs = append(fs, do(ex, deed{Verb: "tell", Log: log, ID: i}))
		if i%3 == 2 {
			k := i - rand.IntN(3)
			cancelled[k] = fs[k].Cancel()
		}
	}
	for i, f := range fs {
		_, err := endOf(t, f)
		if errors.Is(err, executor.ErrCancelled) != cancelled[i] || (f.State() == executor.Cancelled) != cancelled[i] {
			t.Errorf("call %d, whose Cancel was %t: %v, %v", i, cancelled[i], f, err)
		}
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
	starts := startsIn(t, log)
	for i := range calls {
		if want := 1; cancelled[i] && len(starts[i]) > 0 || !cancelled[i] && len(starts[i]) != want {
			t.Errorf("call %d, whose Cancel was %t, has started in the processes %v", i, cancelled[i], starts[i])
		}
	}
}

// Cancel may come in the moment in which a result comes.
func TestCancelIsTrueOnlyForCallsThatNeverRan(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2, KillGrace: never})
	block := make([]byte, 300<<10)
	wrong := 0
	for i := range 200 {
		f := executor.Submit(t.Context(), ex, remoteEcho, block)
		g := executor.Submit(t.Context(), ex, regMarshals, picky{"fine"}) // whose result is decoded on another goroutine
		fCancelled, gCancelled := false, false
		for !isDone(f) || !isDone(g) {
			fCancelled = fCancelled || i%2 > 0 && f.State() == executor.Running && f.Cancel()
			gCancelled = gCancelled || i%2 > 0 && g.State() == executor.Running && g.Cancel()
			if i%2 == 0 {
				fCancelled, gCancelled = fCancelled || f.Cancel(), gCancelled || g.Cancel()
			}
		}
		_, fErr := f.Result(ended())
		_, gErr := g.Result(ended())
		for _, c := range []struct {
			is    bool
			err   error
			state executor.State
		}{{fCancelled, fErr, f.State()}, {gCancelled, gErr, g.State()}} {
			if c.is != errors.Is(c.err, executor.ErrCancelled) || c.is != (c.state == executor.Cancelled) {
				t.Errorf("a call whose Cancel was %t: %v, %v", c.is, c.state, c.err)
			}
			if c.is && i%2 > 0 {
				wrong++
			}
		}
	}
	if wrong > 0 {
		t.Errorf("Cancel of %d calls was true, after State had been running; want it never", wrong)
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
	wantIdle(t, ex)
}

// A zero value is a result.
func TestZeroResultsOfWorkersAreResults(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	if n, err := endOf(t, executor.Submit(t.Context(), ex, thrice, 0)); n != 0 || err != nil {
		t.Errorf("Result = %d, %v; want 0, nil", n, err)
	}
	if p, err := endOf(t, executor.Submit(t.Context(), ex, futPointer, nil)); p != nil || err != nil {
		t.Errorf("Result = %v, %v; want a nil pointer, nil", p, err)
	}
	if s, err := endOf(t, executor.Submit(t.Context(), ex, futText, "")); s != "" || err != nil {
		t.Errorf("Result = %q, %v; want the empty string, nil", s, err)
	}
}

func futPointer(_ context.Context, p *int) (*int, error) { return p, nil }
