package executor_test

import (
	"context"
	"fmt"
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
				submitted := newGate() // the first call: it submits the others
				fn := func(_ context.Context, i int) (int, error) {
					<-submitted
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
				submitted.open()
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

// Each call that starts makes room for one submitter, also where many wait.
func TestEachCallThatStartsLetsOneSubmitterGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 20
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1, QueueLimit: limit}
		defer ex.Close()
		begin := time.Now()
		for i := range 3 * limit {
			executor.Submit(t.Context(), ex, func(context.Context, int) (int, error) { time.Sleep(time.Second); return 0, nil }, i)
			if got, want := time.Since(begin), time.Duration(max(0, i-limit))*time.Second; got != want {
				t.Fatalf("Submit of call %d returned after %v; want %v, when call %d starts", i, got, want, i-limit)
			}
		}
	})
}

// What has come when ctx ends goes before what ctx has cancelled, though that came first.
func TestUnorderedResultsGoBeforeWhatCtxHasCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		fn := func(ctx context.Context, i int) (int, error) {
			if i == 1 {
				<-ctx.Done()
			}
			time.Sleep(time.Second) // 0 is not done before Map has submitted the others, and waits
			return i, nil
		}
		var got []int
		var errs []error
		in, _ := upTo(8)
		for v, err := range executor.Map(ctx, ex, fn, in, executor.Unordered(), executor.Buffer(4)) {
			if err != nil {
				errs = append(errs, err)
				continue
			}
			if got = append(got, v); v == 0 {
				synctest.Wait() // 1 runs, the others wait
				cancel()
				time.Sleep(time.Minute)
			}
		}
		if !slices.Equal(got, []int{0, 1}) || len(errs) != 1 {
			t.Errorf("Map yielded %v and the errors %v; want 0, 1 and one error", got, errs)
		}
	})
}

// lateCtx is a ctx that has ended, and says so from the second look on: it ended while
// somebody looked.
type lateCtx struct {
	context.Context
	looks int
}

func (c *lateCtx) Err() error {
	if c.looks++; c.looks == 1 {
		return nil
	}
	return c.Context.Err()
}

// A call that comes into the queue when its ctx has just ended, with the calls before
// it, is cancelled like those.
func TestACallThatComesJustAfterTheEndOfItsCtxIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		g := newGate()
		defer g.open()
		executor.Submit(context.Background(), ex, g.pass, 0)
		ctx, cancel := context.WithCancel(context.Background())
		before := executor.Submit(ctx, ex, double, 1)
		cancel()
		synctest.Wait()
		late := executor.Submit(&lateCtx{Context: ctx}, ex, double, 2)
		synctest.Wait()
		if before.State() != executor.Cancelled || late.State() != executor.Cancelled {
			t.Errorf("the call before is %v, the late one %v; want both cancelled while the worker is busy", before, late)
		}
	})
}

// Calls that want their places back have them in the order in which they asked, before
// all that are queued, also before those that have left the queue together.
func TestPlacesComeBackInOrderAndBeforeWhatIsQueued(t *testing.T) {
	const s = time.Second
	for workers, want := range map[int][]time.Duration{
		1: {1 * s, 2 * s, 3 * s, 4 * s},
		2: {1 * s, 3 * s / 2, 2 * s, 5 * s / 2},
	} {
		t.Run(fmt.Sprint(workers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ex := &executor.ThreadPoolExecutor{MaxWorkers: workers}
				defer ex.Close()
				begin := time.Now()
				var mu sync.Mutex
				var back []time.Duration // when each was, in the order in which they came
				var order []int
				waits := func(ctx context.Context, i int) (int, error) {
					p := executor.NewPromise[int]()
					time.AfterFunc(s/2+time.Duration(i)*s/10, func() { _ = p.Resolve(0) })
					_, err := p.Future().Result(ctx)
					mu.Lock()
					back, order = append(back, time.Since(begin)), append(order, i)
					mu.Unlock()
					time.Sleep(s)
					return 0, err
				}
				for i := range want {
					executor.Submit(t.Context(), ex, waits, i)
				}
				for i := range 40 {
					executor.Submit(t.Context(), ex, func(_ context.Context, i int) (int, error) {
						if time.Sleep(s); i == 1 {
							time.Sleep(s / 2) // so that two workers do not end at once
						}
						return 0, nil
					}, i)
				}
				time.Sleep(time.Hour) // Close would make each call that ends look for those that come back
				synctest.Wait()
				if !slices.IsSorted(order) || !slices.Equal(back, want) {
					t.Errorf("calls that had lent their places came back in the order %v, after %v; want them in order, after %v", order, back, want)
				}
			})
		})
	}
}

// An executor that rests holds no ctx of calls that have ended, wherever they waited.
func TestARestingExecutorHoldsNoCtx(t *testing.T) {
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
	defer ex.Close()
	for _, n := range []int{1, 5, 40} {
		if !collected(submitUnder(t, ex, n)) {
			t.Errorf("the ctx of %d calls that have ended is held", n)
		}
	}
}

//go:noinline
func submitUnder(t *testing.T, ex *executor.ThreadPoolExecutor, n int) weak.Pointer[big] {
	value := new(big)
	ctx := context.WithValue(context.Background(), value, value)
	g := newGate()
	var fs []*executor.Future[int]
	for i := range n {
		fs = append(fs, executor.Submit(ctx, ex, g.pass, i))
	}
	g.open()
	for _, f := range fs {
		for begin := time.Now(); f.State() != executor.Finished; time.Sleep(time.Millisecond) { // a waiter would make it end by another way
			if time.Since(begin) > longEnough {
				t.Fatal("the calls do not end")
			}
		}
	}
	return weak.Make(value)
}
