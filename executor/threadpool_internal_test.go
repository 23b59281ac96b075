package executor

import (
	"context"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A worker that seeks work is all that submitters look for: nobody is woken for what
// they submit meanwhile, so it is the worker that summons another for a second call.
func TestAWorkerThatHasSoughtSummonsOneForTheNextCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which says so if the two calls never meet
		ex := &ThreadPoolExecutor{MaxWorkers: 2}
		ex.tracker.mu.Lock()
		if err := ex.open(); err != nil {
			t.Fatal(err)
		}
		ex.seeking, ex.places.taken, ex.tracker.stats.Workers = true, 1, 1
		ex.tracker.mu.Unlock()
		seeker := &worker{wake: make(chan struct{}, 1), step: seeking}

		meeting := make(chan int)
		first := Submit(t.Context(), ex, func(context.Context, int) (int, error) { return <-meeting, nil }, 0)
		second := Submit(t.Context(), ex, func(_ context.Context, n int) (int, error) { meeting <- n; return n, nil }, 7)
		go ex.work(seeker)
		if got, err := Gather(context.Background(), first, second); err != nil || got[0] != 7 || got[1] != 7 {
			t.Errorf("the two calls returned %v, %v; want 7 and 7", got, err)
		}
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A call that Cancel has cancelled never starts. One goroutine starts calls and another
// cancels the same ones at the same moment, give or take 200 nanoseconds, so that each
// meets the other between any two of its steps: where either looks at the state and
// changes it in two, one round of 20 to 200 goes wrong.
func TestACallIsEitherStartedOrCancelled(t *testing.T) {
	enough := 10_000 // rounds in which both ran at once, which are few beside other programs
	if os.Getenv("FUTURES_LONG") != "" {
		enough *= 20
	}
	var pool tracker
	for name, r := range map[string]*origin{
		"of no executor": fromBackground,
		"of an executor": newOrigin(context.Background(), &pool),
	} {
		t.Run("a call "+name, func(t *testing.T) {
			for begin, met := time.Now(), 0; met < enough && time.Since(begin) < 2*time.Second; { // it is an effort, and not for ever
				met += startAndCancel(t, r, 1000)
			}
		})
	}
}

// startAndCancel starts and cancels n calls, and returns how many at the same moment.
func startAndCancel(t *testing.T, r *origin, n int) (met int) {
	calls := make([]Call, n)
	for i := range calls {
		calls[i].origin.Store(r)
	}
	var starter, canceller atomic.Int64 // the round that each has come to
	started, cancelled := make([]bool, n), make([]bool, n)
	ran, atOnce := make([]bool, n), make([]bool, n)
	over := make(chan struct{})
	go func() {
		defer close(over)
		for i := range calls {
			ran[i] = meet(&starter, &canceller, i, i%400)
			started[i] = calls[i].start()
		}
	}()
	for i := range calls {
		atOnce[i] = meet(&canceller, &starter, i, 200)
		cancelled[i] = calls[i].withdraw(expired)
	}
	<-over
	for i := range calls {
		if ran[i] && atOnce[i] {
			met++
		}
		if started[i] == cancelled[i] {
			t.Fatalf("call %d: started %v, cancelled %v; want one of both", i, started[i], cancelled[i])
		}
	}
	return met
}

// meet says that the own goroutine has come to round i, and returns some moments after
// the other has. It reports whether it did not have to make room for the other.
func meet(own, other *atomic.Int64, i, moments int) (atOnce bool) {
	own.Store(int64(i) + 1)
	atOnce = true
	for n := 0; other.Load() <= int64(i); n++ {
		if n > 1000 {
			atOnce = false
			runtime.Gosched()
		}
	}
	for range moments {
		other.Load()
	}
	return atOnce
}
