package executor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"pgregory.net/rapid"

	"github.com/gofutures/futures/executor"
)

func TestCallsStartInTheOrderOfSubmit(t *testing.T) {
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
	defer ex.Close()
	var started []int // by the only worker
	fs := make([]*executor.Future[int], 1000)
	hold := newGate()
	executor.Submit(t.Context(), ex, hold.pass, 0)
	for i := range fs {
		fs[i] = executor.Go(t.Context(), ex, func(context.Context) (int, error) { started = append(started, i); return i, nil })
	}
	var want []int
	for i, f := range fs {
		if i%7 == 3 || i > 400 && i < 800 { // tombstones, many in a row too
			f.Cancel()
		} else {
			want = append(want, i)
		}
	}
	hold.open()
	ex.Close()
	if !slices.Equal(started, want) {
		t.Errorf("started %v; want %v", started, want)
	}
}

// full returns an executor with one worker, which is in a call, and one queued
// call, which is all that its queue takes; the gate lets both go.
func full(t *testing.T) (ex *executor.ThreadPoolExecutor, queued *executor.Future[int], hold gate) {
	ex = &executor.ThreadPoolExecutor{MaxWorkers: 1, QueueLimit: 1}
	hold = newGate()
	executor.Submit(t.Context(), ex, hold.pass, 1)
	synctest.Wait()
	queued = executor.Submit(t.Context(), ex, hold.pass, 2)
	return ex, queued, hold
}

func TestSubmitBlocksWhileTheQueueIsFull(t *testing.T) {
	type scene struct {
		ex     *executor.ThreadPoolExecutor
		queued *executor.Future[int]
		hold   gate
		cancel context.CancelCauseFunc // of the ctx of the blocked Submit
	}
	for _, row := range []struct {
		name    string
		release func(scene)
		err     error // of the call whose Submit was blocked
		state   executor.State
	}{
		{"until a call ends", func(s scene) { s.hold.open() }, nil, executor.Finished},
		{"until a queued call is cancelled", func(s scene) { s.queued.Cancel() }, nil, executor.Pending},
		{"until its ctx ends", func(s scene) { s.cancel(errBoom) }, errBoom, executor.Cancelled},
		{"until Close", func(s scene) { go s.ex.Close() }, executor.ErrShutdown, executor.Finished},
		{"until Shutdown", func(s scene) { s.ex.Shutdown(ended()) }, executor.ErrShutdown, executor.Finished},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ex, queued, hold := full(t)
				defer ex.Close()
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				submitted := make(chan *executor.Future[int], 1)
				begin := time.Now()
				go func() { submitted <- executor.Submit(ctx, ex, hold.pass, 3) }()
				time.Sleep(time.Minute)
				if len(submitted) != 0 {
					t.Fatal("Submit returned though the queue is full")
				}
				row.release(scene{ex, queued, hold, cancel})
				synctest.Wait()
				if len(submitted) != 1 || time.Since(begin) != time.Minute {
					t.Fatal("Submit is still blocked")
				}
				f := <-submitted
				if f.State() != row.state {
					t.Errorf("%v; want %v", f, row.state)
				}
				if row.name != "until a call ends" {
					hold.open()
				}
				v, err := f.Result(t.Context())
				if !errors.Is(err, row.err) || row.err == nil && v != 3 {
					t.Errorf("Result = %v, %v; want %v", v, err, row.err)
				}
				ex.Close()
				if s := ex.Stats(); s.Queued+s.Running != 0 || s.Submitted != s.Succeeded+s.Failed+s.Cancelled {
					t.Errorf("Stats = %+v; want all accounted for", s)
				}
			})
		})
	}
}

// A task that submits more than the queue takes, with its own ctx, lends its
// worker to what is queued.
func TestATaskThatBlocksInSubmitLendsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1, QueueLimit: 1}
		defer ex.Close()
		sum := func(ctx context.Context) (int, error) {
			var fs []*executor.Future[int]
			for i := range 10 {
				fs = append(fs, executor.Submit(ctx, ex, double, i))
			}
			got, err := executor.Gather(ctx, fs...)
			sum := 0
			for _, v := range got {
				sum += v
			}
			return sum, err
		}
		if v, err := executor.Go(t.Context(), ex, sum).Result(t.Context()); v != 90 || err != nil {
			t.Errorf("sum = %v, %v; want 90", v, err)
		}
	})
}

// No wake-up is lost between many submitters, whatever frees the room.
func TestNoSubmitterIsForgotten(t *testing.T) {
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 2, QueueLimit: 2}
	var ran atomic.Int64
	var expired atomic.Int64
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				ctx, cancel := context.WithCancel(t.Context())
				if (g+i)%5 == 0 {
					go cancel()
				}
				f := executor.Go(ctx, ex, func(context.Context) (int, error) { ran.Add(1); return 0, nil })
				if (g+i)%3 == 0 {
					f.Cancel()
				}
				if _, err := f.Result(context.Background()); err != nil {
					if expired.Add(1); !errors.Is(err, executor.ErrCancelled) {
						t.Error(err)
					}
				}
				cancel()
			}
		})
	}
	wg.Wait()
	ex.Close()
	if got := ran.Load() + expired.Load(); got != 8*200 || ex.Stats().Queued != 0 {
		t.Errorf("%d ran, %d were cancelled, %+v; want 1600 in all", ran.Load(), expired.Load(), ex.Stats())
	}
}

// A cancelled call gives back its place in the queue and its argument at once,
// though no worker comes by.
func TestCancelledCallsLeaveTheQueueAtOnce(t *testing.T) {
	type large struct{ _ [1 << 12]byte }
	for name, cancelBy := range map[string]func(context.CancelFunc, []*executor.Future[int]){
		"Cancel": func(_ context.CancelFunc, fs []*executor.Future[int]) {
			for _, f := range fs {
				f.Cancel()
			}
		},
		"the end of ctx": func(cancel context.CancelFunc, _ []*executor.Future[int]) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
				defer ex.Close()
				hold := newGate()
				defer hold.open()
				executor.Submit(t.Context(), ex, hold.pass, 0)
				synctest.Wait()

				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				take := func(context.Context, *large) (int, error) { return 0, nil }
				fs := make([]*executor.Future[int], 10_000)
				args := make([]weak.Pointer[large], len(fs))
				for i := range fs {
					arg := new(large)
					args[i] = weak.Make(arg)
					fs[i] = executor.Submit(ctx, ex, take, arg)
				}
				begin := time.Now()
				cancelBy(cancel, fs)
				synctest.Wait()
				for i, f := range fs {
					if f.State() != executor.Cancelled || !isDone(f) {
						t.Fatalf("call %d is %v; want cancelled", i, f)
					}
					if !collected(args[i]) {
						t.Fatalf("the argument of call %d is held", i)
					}
				}
				if s := ex.Stats(); s.Queued != 0 || s.Cancelled != len(fs) || time.Since(begin) != 0 {
					t.Errorf("Stats = %+v after %v; want none queued, %d cancelled, after 0s", s, time.Since(begin), len(fs))
				}
			})
		})
	}
}

// Calls that Shutdown, a broken Initializer, or the end of ctx takes out of a
// long queue are not counted as queued any more, nor twice as gone.
func TestNothingIsCountedAsQueuedThatIsNot(t *testing.T) {
	for _, n := range []int{1, 63, 64, 65, 100, 1000} {
		t.Run(fmt.Sprint("Shutdown of ", n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
				hold := newGate()
				for range n + 1 {
					executor.Submit(t.Context(), ex, hold.pass, 0)
				}
				synctest.Wait()
				ex.Shutdown(ended())
				if s := ex.Stats(); s.Queued != 0 || s.Running != 1 || s.Cancelled != n {
					t.Errorf("Stats = %+v; want 0 queued, 1 running, %d cancelled", s, n)
				}
				hold.open()
				ex.Close()
			})
		})
		t.Run(fmt.Sprint("broken with ", n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hold := newGate()
				ex := &executor.ThreadPoolExecutor{MaxWorkers: 1, Initializer: func(context.Context) error { <-hold; return errBoom }}
				defer ex.Close()
				for range n {
					executor.Submit(t.Context(), ex, double, 0)
				}
				synctest.Wait()
				hold.open()
				synctest.Wait()
				if s := ex.Stats(); s.Queued != 0 || s.Running != 0 {
					t.Errorf("Stats = %+v; want 0 queued, 0 running", s)
				}
			})
		})
		t.Run(fmt.Sprint("expired after ", n, " were cancelled"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
				defer ex.Close()
				hold := newGate()
				executor.Submit(t.Context(), ex, hold.pass, 0)
				synctest.Wait()
				ctx := newWatchedCtx()
				first := executor.Submit(ctx, ex, double, 1)
				for range n {
					executor.Submit(t.Context(), ex, double, 0).Cancel()
				}
				ctx.endUnheard() // so that it is the worker that finds it out
				hold.open()
				synctest.Wait()
				if s := ex.Stats(); s.Queued != 0 || s.Running != 0 || first.State() != executor.Cancelled {
					t.Errorf("Stats = %+v, %v; want 0 queued, 0 running, cancelled", s, first)
				}
			})
		})
	}
}

// queueOp is a step of a random test of the queue. which picks one of the calls
// that it can be done to.
type queueOp struct {
	does  string
	which int
}

// queueScene is an executor and what it should be doing.
type queueScene struct {
	workers, limit int
	ex             *executor.ThreadPoolExecutor
	calls          []*queuedCall
	running, queue []int // numbers of calls, first to last

	mu      sync.Mutex
	started []int
}

type queuedCall struct {
	hold     gate
	cancel   context.CancelFunc
	future   atomic.Pointer[executor.Future[int]] // when Submit has returned
	becomes  error
	finishes bool
}

func (s *queueScene) submit(t *testing.T) {
	i := len(s.calls)
	ctx, cancel := context.WithCancel(t.Context())
	c := &queuedCall{hold: newGate(), cancel: cancel}
	s.calls = append(s.calls, c)
	s.queue = append(s.queue, i)
	go func() {
		c.future.Store(executor.Go(ctx, s.ex, func(context.Context) (int, error) {
			s.mu.Lock()
			s.started = append(s.started, i)
			s.mu.Unlock()
			<-c.hold
			return i, nil
		}))
	}()
	synctest.Wait() // so that the next Submit comes after this one
}

// do does the step and says what should come of it.
func (s *queueScene) do(t *testing.T, op queueOp) {
	free := s.queue // of those, the ones whose Submit has returned
	if s.limit > 0 {
		free = s.queue[:min(len(s.queue), s.limit)]
	}
	remove := func(from *[]int, n int) *queuedCall {
		i := (*from)[n]
		*from = slices.Delete(slices.Clone(*from), n, n+1)
		return s.calls[i]
	}
	switch {
	case op.does == "submit":
		s.submit(t)
	case op.does == "finish" && len(s.running) > 0:
		c := remove(&s.running, op.which%len(s.running))
		c.finishes = true
		c.hold.open()
	case op.does == "cancel" && len(free) > 0:
		c := remove(&s.queue, op.which%len(free))
		c.becomes = executor.ErrCancelled
		c.future.Load().Cancel()
	case op.does == "end ctx" && len(s.queue) > 0:
		c := remove(&s.queue, op.which%len(s.queue))
		c.becomes = context.Canceled
		c.cancel()
	case op.does == "end ctx of a running call" && len(s.running) > 0:
		s.calls[s.running[op.which%len(s.running)]].cancel()
	}
	for len(s.queue) > 0 && len(s.running) < s.workers {
		s.running = append(s.running, s.queue[0])
		s.queue = s.queue[1:]
	}
}

// check returns what is not as it should be.
func (s *queueScene) check() string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	var want []int
	for i, c := range s.calls {
		if c.finishes || slices.Contains(s.running, i) {
			want = append(want, i)
		}
	}
	// Two workers that take two calls at once may begin them in either order.
	got := s.started
	if s.workers > 1 {
		got = slices.Sorted(slices.Values(s.started))
	}
	if !slices.Equal(got, want) {
		return fmt.Sprintf("started %v; want %v", s.started, want)
	}
	var blocked, wantBlocked []int
	for i, c := range s.calls {
		if c.future.Load() == nil {
			blocked = append(blocked, i)
		}
	}
	if s.limit > 0 && len(s.queue) > s.limit {
		wantBlocked = s.queue[s.limit:]
	}
	if !slices.Equal(blocked, wantBlocked) {
		return fmt.Sprintf("Submit of %v is blocked; want of %v", blocked, wantBlocked)
	}
	if st := s.ex.Stats(); st.Queued != len(s.queue) || st.Running != len(s.running) || st.Submitted != len(s.calls) {
		return fmt.Sprintf("Stats = %+v; want %d queued, %d running, %d submitted", st, len(s.queue), len(s.running), len(s.calls))
	}
	return ""
}

// end closes the executor and returns what is wrong with any call's result.
func (s *queueScene) end(t *testing.T) string {
	closed := make(chan struct{})
	go func() { defer close(closed); s.ex.Close() }()
	synctest.Wait()
	if s.limit > 0 && len(s.queue) > s.limit {
		for _, i := range s.queue[s.limit:] { // their Submit was blocked
			s.calls[i].becomes = executor.ErrShutdown
		}
	}
	for _, c := range s.calls {
		if !c.finishes {
			c.hold.open()
		}
		defer c.cancel()
	}
	<-closed
	synctest.Wait()
	for i, c := range s.calls {
		f := c.future.Load()
		if f == nil {
			return fmt.Sprintf("Submit of %d is still blocked after Close", i)
		}
		v, err := f.Result(t.Context())
		if c.becomes != nil && !errors.Is(err, c.becomes) || c.becomes == nil && (v != i || err != nil) {
			return fmt.Sprintf("call %d = %v, %v; want %v", i, v, err, c.becomes)
		}
	}
	if st := s.ex.Stats(); st.Queued+st.Running+st.Workers != 0 || st.Submitted != st.Succeeded+st.Failed+st.Cancelled {
		return fmt.Sprintf("Stats after Close = %+v", st)
	}
	return ""
}

// Whatever happens, in whatever order, the first calls run, the next wait, and
// the Submit of the others is blocked.
func TestAnyQueueEqualsAList(t *testing.T) {
	op := rapid.Custom(func(rt *rapid.T) queueOp {
		kinds := []string{"submit", "submit", "submit", "finish", "cancel", "end ctx", "end ctx of a running call"}
		return queueOp{rapid.SampledFrom(kinds).Draw(rt, "does"), rapid.IntRange(0, 99).Draw(rt, "which")}
	})
	rapid.Check(t, func(rt *rapid.T) {
		workers := rapid.IntRange(1, 4).Draw(rt, "workers")
		limit := rapid.IntRange(0, 4).Draw(rt, "limit")
		ops := rapid.SliceOfN(op, 1, 60).Draw(rt, "ops")
		wrong := ""
		synctest.Test(t, func(t *testing.T) {
			s := &queueScene{workers: workers, limit: limit, ex: &executor.ThreadPoolExecutor{MaxWorkers: workers, QueueLimit: limit}}
			for n, op := range ops {
				s.do(t, op)
				if what := s.check(); what != "" && wrong == "" {
					wrong = fmt.Sprintf("after step %d, %v: %s", n, op, what)
				}
			}
			if what := s.end(t); wrong == "" {
				wrong = what
			}
		})
		if wrong != "" {
			rt.Fatalf("%d workers, limit %d: %s\nsteps %v", workers, limit, wrong, ops)
		}
	})
}

// The results of calls that have waited for room are held by whoever keeps their futures,
// and by nobody else.
func TestCallsThatWaitedForRoomAreNotHeld(t *testing.T) {
	type large struct{ _ [1 << 16]byte }
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1, QueueLimit: 1}
		defer ex.Close()
		hold := newGate()
		executor.Submit(t.Context(), ex, hold.pass, 0)
		results := make([]weak.Pointer[large], 64)
		makeLarge := func(_ context.Context, i int) (*large, error) {
			v := new(large)
			results[i] = weak.Make(v)
			return v, nil
		}
		for i := range results {
			go executor.Submit(t.Context(), ex, makeLarge, i)
		}
		synctest.Wait()
		if n := ex.Stats().Queued; n != len(results) {
			t.Fatalf("%d calls are queued; want %d, most of which wait for room", n, len(results))
		}
		hold.open()
		synctest.Wait()
		for i, result := range results {
			if !collected(result) {
				t.Errorf("the result of call %d is held", i)
			}
		}
	})
}
