package executor_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/gofutures/futures/executor"
)

// Calls start in the order in which they were submitted, wherever they wait: in the
// queue, or among those that have left it together. What ends them is looked at too: a
// call that fails, or that others wait for, ends by another way.
func TestCallsStartInOrderWhateverTheyWaitIn(t *testing.T) {
	for name, ending := range map[string]struct {
		err     error
		isHeard bool
	}{"succeed": {}, "fail": {err: errBoom}, "are waited for": {isHeard: true}} {
		t.Run("calls that "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
				defer ex.Close()
				var started []int
				var fs []*executor.Future[int]
				var add func(n int)
				fn := func(_ context.Context, i int) (int, error) {
					started = append(started, i)
					switch {
					case i == 0:
						add(40) // more than leave the queue together
					case i%3 == 0 && i < 60:
						add(1) // less than do
					}
					return i, ending.err
				}
				add = func(n int) {
					for range n {
						f := executor.Submit(t.Context(), ex, fn, len(fs))
						if fs = append(fs, f); ending.isHeard {
							f.Done()
						}
					}
				}
				add(1)
				synctest.Wait()
				if len(started) != len(fs) || !slices.IsSorted(started) {
					t.Errorf("%d calls were submitted; they have started in the order %v", len(fs), started)
				}
			})
		})
	}
}

// A chunk that has ended gives back its arguments at once, though its results wait in
// the window of Map for those before them.
func TestAChunkThatHasEndedHoldsNoArguments(t *testing.T) {
	type large struct{ _ [1 << 16]byte }
	const items, size = 8, 2
	for name, ex := range map[string]opened{
		"ThreadPoolExecutor": &executor.ThreadPoolExecutor{MaxWorkers: items},
		"ThreadPerTask":      &executor.ThreadPerTask{},
	} {
		t.Run(name, func(t *testing.T) {
			defer ex.Close()
			var mu sync.Mutex
			var args []weak.Pointer[large]
			allPulled := make(chan struct{})
			source := func(yield func(*large) bool) {
				for i := range items {
					arg := new(large)
					mu.Lock()
					args = append(args, weak.Make(arg))
					mu.Unlock()
					if i == items-1 {
						close(allPulled)
					}
					if !yield(arg) {
						return
					}
				}
			}
			fn := func(context.Context, *large) (int, error) { <-allPulled; return 0, nil }
			for _, err := range executor.Map(t.Context(), ex, fn, source, executor.ChunkSize(size), executor.Buffer(items)) {
				if err != nil {
					t.Fatal(err)
				}
				for begin := time.Now(); ex.Stats().Succeeded < items/size && time.Since(begin) < longEnough; {
					time.Sleep(time.Millisecond)
				}
				for i, arg := range args[:items-size] { // the source has the last ones still
					if !collected(arg) {
						t.Errorf("argument %d is held when all chunks have ended and the first result is yielded", i)
					}
				}
				break
			}
		})
	}
}

// KillGrace is what its pool says: longer than the default, it spares a call that takes
// its time to end; shorter, it does not.
func TestKillGraceIsThatOfThePool(t *testing.T) {
	t.Parallel() // it waits most of its time
	const byDefault = time.Second
	for _, c := range []struct {
		grace, late time.Duration // how long after the end of its ctx the call returns
		isKilled    bool
	}{
		{grace: longEnough, late: 3 * byDefault / 2},
		{grace: 20 * time.Millisecond, late: 3 * byDefault / 4, isKilled: true},
	} {
		t.Run(c.grace.String(), func(t *testing.T) {
			t.Parallel()
			ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, KillGrace: c.grace})
			wasKilled := false
			for attempt := 0; attempt < 20 && wasKilled != c.isKilled || attempt == 0; attempt++ { // what is to be killed in time is not always on a machine under load
				ctx, cancel := context.WithCancel(t.Context())
				log := inDir(t, "log")
				f := executor.Submit(ctx, ex, doDeed, deed{Verb: "linger", Log: log, N: int(c.late / time.Microsecond)})
				awaitStart(t, log, 0)
				cancel()
				_, err := resultOf(t, f)
				wasKilled = err != nil
			}
			if wasKilled != c.isKilled {
				t.Errorf("with a KillGrace of %v, a call that returns %v after the end of its ctx is killed: %v; want %v", c.grace, c.late, wasKilled, c.isKilled)
			}
		})
	}
}

func init() {
	verbs["linger"] = func(ctx context.Context, d deed, _ *told) error {
		<-ctx.Done()
		time.Sleep(time.Duration(d.N) * time.Microsecond)
		return nil
	}
}
