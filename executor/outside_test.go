package executor_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/gofutures/futures/executor"
)

// asked is an executor that leaves its calls to the test, and notes what it is asked.
type asked struct {
	captor
	hasBegun bool // what Withdraw says: it has begun elsewhere

	mu        sync.Mutex // guards the fields below
	withdrawn []*executor.Call
	reasons   []error // of Interrupt
}

func newAsked() *asked { return &asked{captor: make(captor, 8)} }

func (a *asked) Withdraw(c *executor.Call) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.withdrawn = append(a.withdrawn, c)
	return !a.hasBegun
}

func (a *asked) Interrupt(_ *executor.Call, reason error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reasons = append(a.reasons, reason)
}

// heard returns how often Withdraw was called, and what Interrupt was given.
func (a *asked) heard() (withdrawn int, reasons []error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.withdrawn), slices.Clone(a.reasons)
}

func (a *asked) want(t *testing.T, withdrawn int, reasons ...error) {
	t.Helper()
	if n, got := a.heard(); n != withdrawn || !slices.Equal(got, reasons) {
		t.Errorf("Withdraw was called %d times, and Interrupt with %v; want %d, %v", n, got, withdrawn, reasons)
	}
}

// A Canceller hears of each early end once, and of nothing else.
func TestACancellerIsAsked(t *testing.T) {
	reason := errors.New("a reason to end")
	for name, row := range map[string]struct {
		start      bool
		hasBegun   bool
		end        func(f *executor.Future[int32], cancel context.CancelCauseFunc) // what the test does
		withdrawn  int
		interrupts []error
		err        error // of the call; nil: what it returns
	}{
		"Cancel of a call that waits":              {end: byCancel, withdrawn: 1, err: executor.ErrCancelled},
		"the end of the ctx of a call that waits":  {end: byCtx(reason), withdrawn: 1, err: reason},
		"Cancel of a call that runs":               {start: true, end: byCancel, interrupts: []error{executor.ErrCancelled}},
		"the end of the ctx of a call that runs":   {start: true, end: byCtx(reason), interrupts: []error{reason}},
		"Cancel of a call that has begun there":    {hasBegun: true, end: byCancel, withdrawn: 1, interrupts: []error{executor.ErrCancelled}},
		"the end of the ctx of such a call":        {hasBegun: true, end: byCtx(reason), withdrawn: 1, interrupts: []error{reason}},
		"nothing, of a call that ends by itself":   {start: true, end: func(*executor.Future[int32], context.CancelCauseFunc) {}},
		"nothing, of a call that nobody has begun": {end: func(*executor.Future[int32], context.CancelCauseFunc) {}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAsked()
				a.hasBegun = row.hasBegun
				ctx, cancel := context.WithCancelCause(t.Context())
				f := executor.Submit(ctx, a, remoteDouble, 4)
				c := <-a.captor
				r, err := c.Encode()
				if err != nil {
					t.Fatal(err)
				}
				if row.start && !c.Start() {
					t.Fatal("Start = false; want true")
				}
				row.end(f, cancel)
				synctest.Wait()
				a.want(t, row.withdrawn, row.interrupts...)
				c.Complete(executor.Invoke(t.Context(), r))
				n, err := f.Result(t.Context())
				if row.err == nil && (n != 8 || err != nil || c.Err() != nil) || !errors.Is(err, row.err) || !errors.Is(c.Err(), row.err) {
					t.Errorf("Result = %d, %v, and Err = %v; want %v", n, err, c.Err(), row.err)
				}
				cancel(errors.New("too late"))
				f.Cancel()
				synctest.Wait()
				a.want(t, row.withdrawn, row.interrupts...)
			})
		})
	}
}

func byCancel(f *executor.Future[int32], _ context.CancelCauseFunc) { f.Cancel() }

func byCtx(reason error) func(*executor.Future[int32], context.CancelCauseFunc) {
	return func(_ *executor.Future[int32], cancel context.CancelCauseFunc) { cancel(reason) }
}

// Start asks nobody: the executor may hold its lock.
func TestStartOfACallWhoseCtxHasEndedAsksNobody(t *testing.T) {
	a := newAsked()
	ctx := &quietCtx{Context: t.Context()}
	f := executor.Submit(ctx, a, remoteDouble, 4)
	c := <-a.captor
	ctx.isOver.Store(true) // and the watch has not heard of it
	if c.Start() {
		t.Error("Start of a call whose ctx has ended = true; want false")
	}
	a.want(t, 0)
	if _, err := f.Result(t.Context()); !errors.Is(err, executor.ErrCancelled) || !errors.Is(err, context.Canceled) {
		t.Errorf("Result = %v; want ErrCancelled", err)
	}
}

// quietCtx ends without telling anybody.
type quietCtx struct {
	context.Context
	isOver atomic.Bool
}

func (c *quietCtx) Err() error {
	if c.isOver.Load() {
		return context.Canceled
	}
	return nil
}

// One registration on a ctx serves all of its calls, and is given back.
func TestTheCtxOfManyCallsIsWatchedOnce(t *testing.T) {
	a := newAsked()
	ctx := newCountingCtx()
	var calls []*executor.Call
	for range 8 {
		executor.Submit(ctx, a, remoteDouble, 4)
		calls = append(calls, <-a.captor)
	}
	ctx.mu.Lock()
	if ctx.peak != 1 {
		t.Errorf("%d registrations on the ctx of 8 calls; want 1", ctx.peak)
	}
	ctx.mu.Unlock()
	for i, c := range calls {
		if i%2 == 0 {
			c.Start()
		}
		c.Complete(executor.Reply{}, errRemote)
	}
	waitUntil(t, "nobody watches the ctx of calls that have ended", func() bool {
		ctx.mu.Lock()
		defer ctx.mu.Unlock()
		return ctx.live == 0
	})
	if n, reasons := a.heard(); n != 0 || reasons != nil {
		t.Errorf("Withdraw was called %d times, and Interrupt with %v; want never", n, reasons)
	}
}

// handing is a Canceller that hands its calls on.
type handing struct {
	asked
	to executor.Executor
}

func (h *handing) Execute(ctx context.Context, c *executor.Call) { h.to.Execute(ctx, c) }

// The executor that a call was handed on to is the one that cancels it.
func TestACallThatWasHandedOnIsTheOtherExecutors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer pool.Close()
		h := &handing{to: pool}
		ctx, cancel := context.WithCancel(t.Context())
		runs := executor.Go(ctx, h, func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 1, nil
		})
		queued := executor.Go(ctx, h, func(context.Context) (int, error) { return 2, nil })
		other := executor.Go(t.Context(), h, func(context.Context) (int, error) { return 3, nil })
		if !other.Cancel() {
			t.Error("Cancel of a queued call = false; want true")
		}
		synctest.Wait()
		cancel()
		if n, err := runs.Result(t.Context()); n != 1 || err != nil {
			t.Errorf("the call that ran = %d, %v; want 1, nil", n, err)
		}
		if _, err := queued.Result(t.Context()); !errors.Is(err, executor.ErrCancelled) {
			t.Errorf("the queued call = %v; want ErrCancelled", err)
		}
		h.want(t, 0)
	})
}

// A request has the memory of the argument, and tells nil from empty where bytes alone do
// not.
func TestARequestIsACopyOfNothing(t *testing.T) {
	text := []byte("some bytes")
	deadline := time.Now().Add(time.Hour)
	ctx, cancel := context.WithDeadline(t.Context(), deadline)
	defer cancel()
	a := newAsked()
	executor.Submit(ctx, a, remoteEcho, text)
	c := <-a.captor
	r, err := c.Encode()
	if err != nil || unsafe.SliceData(r.Data) != unsafe.SliceData(text) || len(r.Data) != len(text) {
		t.Errorf("Encode = %v, %v; want the memory of the argument", r, err)
	}
	if !r.Deadline.Equal(deadline) || r.Items != 0 || r.IsNil {
		t.Errorf("Encode = %+v; want one call with the deadline %v", r, deadline)
	}
	reply, err := executor.Invoke(t.Context(), r)
	if err != nil || unsafe.SliceData(reply.Data) == nil {
		t.Errorf("Invoke = %+v, %v", reply, err)
	}
	c.Complete(reply, err)

	for _, in := range [][]byte{nil, {}} {
		f := executor.Submit(t.Context(), a, remoteEcho, in)
		c := <-a.captor
		r, err := c.Encode()
		if r.Data = confuse(r.Data); err != nil || !r.Deadline.IsZero() {
			t.Errorf("Encode = %+v, %v; want no deadline", r, err)
		}
		reply, err := executor.Invoke(t.Context(), r)
		reply.Data = confuse(reply.Data)
		c.Complete(reply, err)
		if out, err := f.Result(t.Context()); err != nil || len(out) != 0 || (out == nil) != (in == nil) {
			t.Errorf("%#v has come back as %#v, %v", in, out, err)
		}
	}
}

// confuse is what transports do to bytes of which there are none: some make nil of empty,
// others empty of nil.
func confuse(b []byte) []byte {
	switch {
	case b == nil:
		return []byte{}
	case len(b) == 0:
		return nil
	}
	return b
}

// lending is a Lender that checks that Lend and Reclaim alternate.
type lending struct {
	seats
	isLent   atomic.Bool
	lent     atomic.Int64
	mistakes atomic.Int64
}

func (l *lending) Lend(c *executor.Call) {
	if l.isLent.Swap(true) {
		l.mistakes.Add(1)
	}
	l.lent.Add(1)
	l.seats.Lend(c)
}

func (l *lending) Reclaim(c *executor.Call) {
	l.seats.Reclaim(c)
	if !l.isLent.Swap(false) {
		l.mistakes.Add(1)
	}
}

// However many goroutines of a call wait, its place is lent once while one of them does,
// and back when none does.
func TestGoroutinesOfACallLendItsPlaceTogether(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	for range 50 {
		naps := make([]time.Duration, 20)
		for i := range naps {
			naps[i] = time.Duration(dice.IntN(4)) * time.Second
		}
		synctest.Test(t, func(t *testing.T) {
			l := &lending{seats: make(seats, 1)}
			f := executor.Go(t.Context(), l, func(ctx context.Context) (int, error) {
				var waiters sync.WaitGroup
				for i := range 4 {
					waiters.Go(func() {
						for _, nap := range naps[5*i : 5*i+5] {
							done := make(chan struct{})
							time.AfterFunc(nap, func() { close(done) })
							_ = executor.Await(ctx, done)
							time.Sleep(nap / 2)
						}
					})
				}
				waiters.Wait()
				return 0, nil
			})
			if _, err := f.Result(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if n := l.mistakes.Load(); n > 0 || l.isLent.Load() || len(l.seats) != 0 {
				t.Errorf("Lend and Reclaim did not alternate %d times; lent at the end: %t, places taken: %d; want 0, false, 0", n, l.isLent.Load(), len(l.seats))
			}
			if l.lent.Load() == 0 {
				t.Error("the place was never lent; want it lent while the call waits")
			}
		})
	}
}

// A call that wants its place back while another of its goroutines begins to wait lends it
// again.
func TestAPlaceThatComesBackTooLateIsLentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lending{seats: make(seats, 1)}
		nap := func(ctx context.Context, d time.Duration) {
			done := make(chan struct{})
			time.AfterFunc(d, func() { close(done) })
			_ = executor.Await(ctx, done)
		}
		var order []string
		f := executor.Go(t.Context(), l, func(ctx context.Context) (int, error) {
			// The second waits from 1.5 s on for the third call, which needs the place that
			// the first is given back at 2 s.
			executor.Go(t.Context(), l, func(context.Context) (int, error) {
				time.Sleep(2 * time.Second)
				order = append(order, "other")
				return 0, nil
			})
			var both sync.WaitGroup
			both.Go(func() { nap(ctx, time.Second) })
			both.Go(func() {
				time.Sleep(1500 * time.Millisecond)
				_, err := executor.Go(ctx, l, func(context.Context) (int, error) {
					order = append(order, "inner")
					return 0, nil
				}).Result(ctx)
				order = append(order, fmt.Sprint("waited ", err))
			})
			both.Wait()
			return 0, nil
		})
		if _, err := f.Result(t.Context()); err != nil || !slices.Equal(order, []string{"other", "inner", "waited <nil>"}) {
			t.Errorf("the call has failed with %v, in the order %v", err, order)
		}
		synctest.Wait()
		if n := l.mistakes.Load(); n > 0 || l.isLent.Load() || len(l.seats) != 0 {
			t.Errorf("%d mistakes, lent at the end: %t, places taken: %d; want 0, false, 0", n, l.isLent.Load(), len(l.seats))
		}
	})
}
