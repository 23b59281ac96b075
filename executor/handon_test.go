package executor_test

import (
	"context"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/internal/testhelp"
)

// reentrantCtx submits a call when somebody begins to watch it.
type reentrantCtx struct {
	context.Context
	done   chan struct{}
	submit func()
}

func (c *reentrantCtx) Done() <-chan struct{} { return c.done }

func (c *reentrantCtx) AfterFunc(func()) func() bool {
	c.submit()
	return func() bool { return true }
}

// No lock is held while a ctx, which may be anybody's, is asked to be watched.
func TestACtxMaySubmitWhenItIsWatched(t *testing.T) {
	pool := &executor.ThreadPoolExecutor{MaxWorkers: 1}
	defer pool.Close()
	a := newAsked()
	for name, ex := range map[string]executor.Executor{"a pool": pool, "an outside executor": a} {
		t.Run(name, func(t *testing.T) {
			hold := make(chan struct{})
			executor.Go(t.Context(), pool, func(context.Context) (int, error) { <-hold; return 0, nil })
			ctx := &reentrantCtx{Context: t.Context(), done: make(chan struct{})}
			other, cancel := context.WithCancel(t.Context())
			defer cancel()
			ctx.submit = func() { executor.Submit(other, ex, remoteDouble, 1) }
			returned := make(chan struct{})
			go func() {
				executor.Submit(ctx, ex, remoteDouble, 4)
				close(returned)
			}()
			testhelp.Receive(t, "Submit with a ctx that submits when it is watched", returned)
			close(hold)
		})
	}
	for len(a.captor) > 0 {
		(<-a.captor).Reject(errRemote)
	}
}

// wrapping hands its calls on to another executor.
type wrapping struct{ to executor.Executor }

func (w wrapping) Workers() int                                     { return w.to.Workers() }
func (w wrapping) Execute(ctx context.Context, call *executor.Call) { call.HandOn(ctx, w.to) }

// wrappingCanceller is asked itself, as long as it has the call.
type wrappingCanceller struct{ *handing }

func (w wrappingCanceller) Execute(ctx context.Context, call *executor.Call) { call.HandOn(ctx, w.to) }

// The executor that a call is handed on to is the one that is asked and told.
func TestHandOnMakesAnotherExecutorTheOneThatIsAsked(t *testing.T) {
	a, h := newAsked(), &handing{}
	h.to = a
	for name, ex := range map[string]executor.Executor{
		"by a wrapper":                   wrapping{a},
		"by a wrapper of a wrapper":      wrapping{wrapping{a}},
		"by a wrapper that is asked too": wrappingCanceller{h},
	} {
		t.Run(name, func(t *testing.T) {
			before, _ := a.heard()
			ctx, cancel := context.WithCancel(t.Context())
			f := executor.Submit(ctx, ex, remoteDouble, 4)
			c := <-a.captor
			cancel()
			testhelp.Receive(t, "the end of a call whose ctx has ended", f.Done())
			if n, _ := a.heard(); n != before+1 {
				t.Errorf("Withdraw was called %d times for one call; want once", n-before)
			}
			h.want(t, 0)
			if c.Start() {
				t.Error("Start of a call that was withdrawn = true; want false")
			}
		})
	}
	l := &lending{seats: make(seats, 1)}
	f := executor.Go(t.Context(), wrapping{l}, func(ctx context.Context) (int, error) {
		done := make(chan struct{})
		time.AfterFunc(time.Millisecond, func() { close(done) })
		return 0, executor.Await(ctx, done)
	})
	if _, err := f.Result(t.Context()); err != nil || l.lent.Load() != 1 {
		t.Errorf("a call that waits = %v, and has lent its place %d times; want nil, once", err, l.lent.Load())
	}
}
