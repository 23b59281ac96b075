package executor_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor"
)

var untils = map[string]executor.Until{
	"AllCompleted":   executor.AllCompleted,
	"FirstCompleted": executor.FirstCompleted,
	"FirstError":     executor.FirstError,
}

// nap is a call of that length; fails says how it ends.
type nap struct {
	time.Duration
	fails bool
}

func (n nap) call(ctx context.Context, ex executor.Executor) *executor.Future[int] {
	return executor.Submit(ctx, ex, func(_ context.Context, n nap) (int, error) {
		time.Sleep(n.Duration)
		if n.fails {
			return 0, errBoom
		}
		return int(n.Milliseconds()), nil
	}, n)
}

// checkWait compares what Wait returned, order included.
func checkWait[F comparable](t *testing.T, done, pending, wantDone, wantPending []F) {
	t.Helper()
	if !slices.Equal(done, wantDone) || !slices.Equal(pending, wantPending) {
		t.Errorf("Wait = done %v, pending %v; want %v, %v", done, pending, wantDone, wantPending)
	}
}

func TestWaitReturnsAFutureOnceThatIsGivenTwice(t *testing.T) {
	done, pending := cannedIn("succeeded"), cannedIn("pending")
	for name, until := range untils {
		gotDone, gotPending, err := executor.Wait(ended(), until, done, pending, done, pending, pending)
		t.Log(name, err)
		checkWait(t, gotDone, gotPending, []*executor.Future[int]{done}, []*executor.Future[int]{pending})
	}
	all, none, err := executor.Wait(t.Context(), executor.AllCompleted, done, done)
	if err != nil {
		t.Errorf("Wait for a done future twice = %v; want nil", err)
	}
	checkWait(t, all, none, []*executor.Future[int]{done}, nil)
}

func TestWaitForNothingReturnsAtOnce(t *testing.T) {
	for name, until := range untils {
		for _, ctx := range []context.Context{context.Background(), ended()} {
			done, pending, err := executor.Wait[*executor.Future[int]](ctx, until)
			if len(done)+len(pending) > 0 || err != nil {
				t.Errorf("%s of nothing, ctx %v = %v, %v, %v; want empty, nil", name, ctx.Err(), done, pending, err)
			}
		}
	}
}

// The ctx of the wait has ended, so that nothing blocks unseen.
func TestWaitForDoneFuturesNeedsNoLiveCtx(t *testing.T) {
	fs := []*executor.Future[int]{cannedIn("succeeded"), cannedIn("failed"), cannedIn("cancelled")}
	for name, until := range untils {
		done, pending, err := executor.Wait(ended(), until, fs...)
		if err != nil {
			t.Errorf("%s = %v; want nil", name, err)
		}
		checkWait(t, done, pending, fs, nil)
	}
}

// Each row says when Wait returns, and with what.
func TestWaitReturnsWhenItsConditionHolds(t *testing.T) {
	const s = time.Second
	for _, row := range []struct {
		name  string
		until executor.Until
		naps  []nap
		after time.Duration
		done  []int
	}{
		{"all", executor.AllCompleted, []nap{{3 * s, false}, {1 * s, true}, {2 * s, false}}, 3 * s, []int{0, 1, 2}},
		{"first", executor.FirstCompleted, []nap{{3 * s, false}, {1 * s, false}, {2 * s, true}}, 1 * s, []int{1}},
		{"first is an error", executor.FirstCompleted, []nap{{2 * s, false}, {1 * s, true}}, 1 * s, []int{1}},
		{"no error, then an error", executor.FirstError, []nap{{3 * s, false}, {2 * s, true}, {1 * s, false}}, 2 * s, []int{1, 2}},
		{"no error", executor.FirstError, []nap{{3 * s, false}, {1 * s, false}}, 3 * s, []int{0, 1}},
		{"already failed", executor.FirstError, []nap{{1 * s, false}, {0, true}}, 0, []int{1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ex := &executor.ThreadPerTask{}
				defer ex.Close()
				var fs, wantDone, wantPending []*executor.Future[int]
				for i, n := range row.naps {
					fs = append(fs, n.call(t.Context(), ex))
					if slices.Contains(row.done, i) {
						wantDone = append(wantDone, fs[i])
					} else {
						wantPending = append(wantPending, fs[i])
					}
				}
				synctest.Wait()
				start := time.Now()
				done, pending, err := executor.Wait(t.Context(), row.until, fs...)
				if took := time.Since(start); took != row.after || err != nil {
					t.Errorf("Wait returned %v after %v; want nil after %v", err, took, row.after)
				}
				checkWait(t, done, pending, wantDone, wantPending)
			})
		})
	}
}

// FirstCompleted returns all that are done, not only the first.
func TestFirstCompletedReturnsAllThatAreDone(t *testing.T) {
	a, b, c := cannedIn("failed"), cannedIn("running"), cannedIn("cancelled")
	done, pending, err := executor.Wait(t.Context(), executor.FirstCompleted, a, b, c)
	if err != nil {
		t.Errorf("Wait = %v; want nil", err)
	}
	checkWait(t, done, pending, []*executor.Future[int]{a, c}, []*executor.Future[int]{b})
}

// A call that was cancelled in the queue is done, though no worker has seen it,
// for a wait that is under way and for a later one.
func TestACallCancelledInTheQueueIsDoneForWait(t *testing.T) {
	for name, cancel := range map[string]func(f *executor.Future[int], end context.CancelFunc){
		"by Cancel": func(f *executor.Future[int], _ context.CancelFunc) { f.Cancel() },
		"by ctx":    func(_ *executor.Future[int], end context.CancelFunc) { end() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
				defer ex.Close()
				g := newGate()
				defer g.open()
				running := executor.Submit(t.Context(), ex, g.pass, 1)
				ctx, end := context.WithCancel(t.Context())
				defer end()
				queued := executor.Submit(ctx, ex, double, 1)

				returned := false
				go func() {
					done, pending, err := executor.Wait(t.Context(), executor.FirstCompleted, running, queued)
					if err != nil {
						t.Errorf("Wait = %v; want nil", err)
					}
					checkWait(t, done, pending, []*executor.Future[int]{queued}, []*executor.Future[int]{running})
					returned = true
				}()
				synctest.Wait()
				cancel(queued, end)
				synctest.Wait()
				if !returned {
					t.Error("Wait still waits; want it to return while the worker is busy")
				}
				if done, _, err := executor.Wait(ended(), executor.AllCompleted, queued); len(done) != 1 || err != nil {
					t.Errorf("a later Wait = %v, %v; want the cancelled future, nil", done, err)
				}
			})
		})
	}
}

func TestFirstErrorTakesNoCancelledFutureForAFailedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPerTask{}
		defer ex.Close()
		slow := nap{time.Second, false}.call(t.Context(), ex)
		before := cannedIn("cancelled")
		during := executor.NewPromise[int]().Future()
		time.AfterFunc(time.Millisecond, func() { during.Cancel() })
		expired := executor.Submit(ended(), ex, double, 1)

		start := time.Now()
		done, pending, err := executor.Wait(t.Context(), executor.FirstError, before, slow, during, expired)
		if took := time.Since(start); took != time.Second || err != nil {
			t.Errorf("Wait returned %v after %v; want nil after 1s, as AllCompleted", err, took)
		}
		checkWait(t, done, pending, []*executor.Future[int]{before, slow, during, expired}, nil)
	})
}

// The end of the ctx of a wait ends the wait and nothing else.
func TestWaitWithATimeoutCancelsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPerTask{}
		defer ex.Close()
		const ms = time.Millisecond
		fs := []*executor.Future[int]{
			nap{10 * ms, false}.call(t.Context(), ex), nap{time.Second, false}.call(t.Context(), ex),
			nap{20 * ms, true}.call(t.Context(), ex), nap{30 * ms, false}.call(t.Context(), ex),
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*ms)
		defer cancel()
		start := time.Now()
		done, pending, err := executor.Wait(ctx, executor.AllCompleted, fs...)
		if took := time.Since(start); took != 50*ms {
			t.Errorf("Wait returned after %v; want 50ms", took)
		}
		if !errors.Is(err, executor.ErrPending) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait = %v; want ErrPending and DeadlineExceeded", err)
		}
		checkWait(t, done, pending, []*executor.Future[int]{fs[0], fs[2], fs[3]}, fs[1:2])
		if got, err := fs[1].Result(t.Context()); got != 1000 || err != nil {
			t.Errorf("Result of the pending one = %v, %v; want 1s, nil", got, err)
		}
	})
}

// No wake-up is lost when many end at once.
func TestWaitSeesFuturesThatEndTogether(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		if _, ok := ex.(*executor.Sequential); ok {
			t.Skip("calls of Sequential do not end together")
		}
		for range 50 {
			g := newGate()
			fs := make([]*executor.Future[int], 100)
			for i := range fs {
				fs[i] = executor.Submit(t.Context(), ex, g.pass, i)
			}
			go g.open()
			done, pending, err := executor.Wait(t.Context(), executor.AllCompleted, fs...)
			if len(done) != 100 || len(pending) != 0 || err != nil {
				t.Fatalf("Wait = %d done, %d pending, %v; want 100, 0, nil", len(done), len(pending), err)
			}
		}
	})
}

// foreign is a Waitable that is not of package executor.
type foreign struct {
	done  chan struct{}
	asked int // how often Done was called
}

func newForeign() *foreign { return &foreign{done: make(chan struct{})} }

func (f *foreign) Done() <-chan struct{} {
	f.asked++
	return f.done
}

// odd is a Waitable that cannot be a key of a map.
type odd []*foreign

func (o odd) Done() <-chan struct{} { return o[0].Done() }

func TestWaitTakesFuturesOfAllKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool, perTask, seq := &executor.ThreadPoolExecutor{MaxWorkers: 1}, &executor.ThreadPerTask{}, &executor.Sequential{}
		defer pool.Close()
		defer perTask.Close()
		defer seq.Close()
		text := executor.NewPromise[string]()
		own := newForeign()
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		fs := []executor.Waitable{
			nap{1 * time.Second, false}.call(t.Context(), pool),
			nap{2 * time.Second, true}.call(t.Context(), perTask),
			executor.Submit(t.Context(), seq, double, 1),
			text.Future(), own, ctx, odd{own},
		}
		time.AfterFunc(3*time.Second, func() { text.Resolve("x") })
		time.AfterFunc(5*time.Second, func() { close(own.done) })

		start := time.Now()
		done, pending, err := executor.Wait(t.Context(), executor.AllCompleted, fs...)
		if took := time.Since(start); len(done) != len(fs) || len(pending) != 0 || err != nil || took != 5*time.Second {
			t.Errorf("Wait = %d done, %d pending, %v after %v; want %d, 0, nil after 5s", len(done), len(pending), err, took, len(fs))
		}
	})
}

// A Waitable of another type does not fail, and is not kept waiting for by a
// goroutine when the wait is over: the bubble would not end.
func TestWaitLeavesForeignWaitablesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over, never := newForeign(), newForeign()
		close(over.done)
		done, pending, err := executor.Wait(ended(), executor.FirstError, over, never)
		if !errors.Is(err, executor.ErrPending) {
			t.Errorf("Wait = %v; want ErrPending: a foreign Waitable has not failed", err)
		}
		checkWait(t, done, pending, []*foreign{over}, []*foreign{never})
		done, pending, err = executor.Wait(t.Context(), executor.FirstCompleted, never, over)
		if err != nil {
			t.Errorf("Wait = %v; want nil", err)
		}
		checkWait(t, done, pending, []*foreign{over}, []*foreign{never})
	})
}

// late is a future with an end of its own: Done is what Waitable says, not what
// is embedded.
type late struct {
	*executor.Future[int]
	done chan struct{}
}

func (l late) Done() <-chan struct{} { return l.done }

func TestWaitGoesByTheDoneOfATypeThatEmbedsAFuture(t *testing.T) {
	l := late{cannedIn("succeeded"), make(chan struct{})}
	if done, _, err := executor.Wait(ended(), executor.AllCompleted, l); len(done) != 0 || !errors.Is(err, executor.ErrPending) {
		t.Errorf("Wait before Done is closed = %d done, %v; want 0, ErrPending", len(done), err)
	}
	l = late{cannedIn("pending"), l.done}
	close(l.done)
	if done, _, err := executor.Wait(ended(), executor.AllCompleted, l); len(done) != 1 || err != nil {
		t.Errorf("Wait after Done is closed = %d done, %v; want 1, nil", len(done), err)
	}
}

// The error comes before anything is waited for.
func TestWaitForANilFutureIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, until := range untils {
			for _, f := range []executor.Waitable{nil, (*executor.Future[int])(nil), (*foreign)(nil)} {
				start := time.Now()
				_, _, err := executor.Wait(t.Context(), until, executor.Waitable(cannedIn("pending")), f)
				if took := time.Since(start); err == nil || errors.Is(err, executor.ErrPending) || took != 0 {
					t.Errorf("%s with %T(nil) = %v after %v; want an error that is not ErrPending, at once", name, f, err, took)
				}
			}
		}
	})
}

// An unknown condition is an error, as Python has a ValueError for an unknown
// return_when.
func TestWaitRefusesSillyArguments(t *testing.T) {
	for _, until := range []executor.Until{-1, executor.FirstError + 1} {
		if _, _, err := executor.Wait(t.Context(), until, cannedIn("succeeded")); err == nil {
			t.Errorf("Wait with Until(%d) = nil; want an error", until)
		}
	}
	//lint:ignore SA1012 a nil ctx is what is tested
	if _, _, err := executor.Wait(nil, executor.AllCompleted, cannedIn("pending")); err == nil || errors.Is(err, executor.ErrPending) {
		t.Errorf("Wait with a nil ctx = %v; want an error that is not ErrPending", err)
	}
}

func TestManyMayWaitForTheSameFutures(t *testing.T) {
	const waiters, futures = 16, 1000
	promises := make([]*executor.Promise[int], futures)
	fs := make([]*executor.Future[int], futures)
	for i := range promises {
		promises[i] = executor.NewPromise[int]()
		fs[i] = promises[i].Future()
	}
	var wg sync.WaitGroup
	for w := range waiters {
		mine := slices.Clone(fs) // each in an order of its own
		rand.New(rand.NewPCG(1, uint64(w))).Shuffle(futures, func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
		wg.Go(func() {
			done, pending, err := executor.Wait(t.Context(), executor.AllCompleted, mine...)
			if !slices.Equal(done, mine) || len(pending) != 0 || err != nil {
				t.Errorf("waiter %d: Wait = %d done, %d pending, %v; want all in its order, 0, nil", w, len(done), len(pending), err)
			}
		})
	}
	for part := range 4 {
		wg.Go(func() {
			for i := part; i < futures; i += 4 {
				promises[i].Resolve(i)
			}
		})
	}
	wg.Wait()
}

// hookedCtx ends in its first Done, after hook: it puts what hook does between
// the last look of a wait at its futures and the select.
type hookedCtx struct {
	context.Context
	hook func()
	once sync.Once
}

func newHookedCtx(hook func()) *hookedCtx {
	ctx, cancel := context.WithCancel(context.Background())
	return &hookedCtx{Context: ctx, hook: func() { hook(); cancel() }}
}

func (c *hookedCtx) Done() <-chan struct{} {
	c.once.Do(c.hook)
	return c.Context.Done()
}

// What was done before ctx ended is done for Wait, in whatever order the waiter
// hears of the two.
func TestWaitReportsWhatWasDoneBeforeItsCtxEnded(t *testing.T) {
	for range 64 { // select chooses at random
		p := executor.NewPromise[int]()
		done, _, err := executor.Wait(newHookedCtx(func() { p.Resolve(1) }), executor.AllCompleted, p.Future())
		if len(done) != 1 || err != nil {
			t.Fatalf("Wait for a future that ended before ctx did = %d done, %v; want 1, nil", len(done), err)
		}
	}
}

func TestResultReturnsWhatWasDoneBeforeItsCtxEnded(t *testing.T) {
	for range 64 {
		p := executor.NewPromise[int]()
		if got, err := p.Future().Result(newHookedCtx(func() { p.Resolve(1) })); got != 1 || err != nil {
			t.Fatalf("Result of a future that ended before ctx did = %v, %v; want 1, nil", got, err)
		}
	}
}

// Gather: results in order, or the error of the lowest index.
func TestGatherReturnsResultsInOrderOrTheLowestError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPerTask{}
		defer ex.Close()
		const s = time.Second
		got, err := executor.Gather(t.Context(),
			nap{3 * s, false}.call(t.Context(), ex), nap{1 * s, false}.call(t.Context(), ex), nap{2 * s, false}.call(t.Context(), ex))
		if want := []int{3000, 1000, 2000}; !slices.Equal(got, want) || err != nil {
			t.Errorf("Gather = %v, %v; want %v, nil", got, err, want)
		}

		late := nap{2 * s, true}.call(t.Context(), ex)
		soon := cannedIn("cancelled")
		goesOn := nap{5 * s, false}.call(t.Context(), ex)
		if _, err := executor.Gather(t.Context(), late, soon, goesOn); err != errBoom {
			t.Errorf("Gather = %v; want %v, of the lowest index", err, errBoom)
		}
		if _, err := executor.Gather(t.Context(), soon, late); !errors.Is(err, executor.ErrCancelled) {
			t.Errorf("Gather = %v; want ErrCancelled", err)
		}
		if _, err := executor.Gather(ended(), goesOn); !errors.Is(err, executor.ErrPending) || !errors.Is(err, context.Canceled) {
			t.Errorf("Gather = %v; want ErrPending and the error of ctx", err)
		}
		if got, err := goesOn.Result(t.Context()); got != 5000 || err != nil {
			t.Errorf("Result of the one that goes on = %v, %v; want 5000, nil: Gather cancels nothing", got, err)
		}
		if got, err := executor.Gather[int](ended()); len(got) != 0 || err != nil {
			t.Errorf("Gather of nothing = %v, %v; want empty, nil", got, err)
		}
		if _, err := executor.Gather(t.Context(), (*executor.Future[int])(nil)); err == nil {
			t.Error("Gather of a nil future = nil; want an error")
		}
	})
}
