package pool_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/internal/testhelp"
	"github.com/gofutures/futures/pool"
)

// A handle that is dropped loses the panics of its calls, one by one; what is looked at
// loses none.
func TestAPanicThatNobodyAsksForIsLogged(t *testing.T) {
	in := items("panic", "", "panic", "fail")
	for name, row := range map[string]struct {
		begin func(context.Context, *pool.Pool) handle
		want  []string
	}{
		"ApplyAsync": {func(ctx context.Context, p *pool.Pool) handle {
			return handleOf(pool.ApplyAsync(ctx, p, makeItem, in[0]))
		}, []string{"item 0"}},
		"Submit": {func(ctx context.Context, p *pool.Pool) handle {
			return handleOf(executor.Submit(ctx, p, makeItem, in[0]))
		}, []string{"item 0"}},
		"MapAsync": {func(ctx context.Context, p *pool.Pool) handle {
			return handleOf(pool.MapAsync(ctx, p, makeItem, in[:2]))
		}, []string{"item 0"}},
		"MapAsync with CollectErrors": {func(ctx context.Context, p *pool.Pool) handle {
			return handleOf(pool.MapAsync(ctx, p, makeItem, in, pool.CollectErrors()))
		}, []string{"item 0", "item 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, 2, func(t *testing.T, p *pool.Pool) {
				testhelp.Collect(t) // of tests before
				l := testhelp.KeepLog(t)
				beginAndEnd(t, p, row.begin, handle.ask)
				testhelp.Collect(t)
				if got := l.LostValues(); len(got) > 0 {
					t.Errorf("logged %q though somebody has asked; want nothing", got)
				}
				beginAndEnd(t, p, row.begin, handle.wait)
				waitUntil(t, "the lost panics are logged", func() bool { runtime.GC(); return len(l.LostValues()) >= len(row.want) })
				testhelp.Collect(t)
				if got := l.LostValues(); !slices.Equal(got, row.want) {
					t.Errorf("logged %q; want %q", got, row.want)
				}
			})
		})
	}
}

// handle is a future of any type.
type handle struct {
	done   <-chan struct{}
	result func() error
}

func handleOf[T any](f *executor.Future[T]) handle {
	return handle{f.Done(), func() error { _, err := f.Result(context.Background()); return err }}
}

func (h handle) wait(*testing.T) { <-h.done }

func (h handle) ask(t *testing.T) {
	err := h.result()
	if panicked := new(executor.PanicError); !errors.As(err, &panicked) {
		t.Errorf("Result = %v; want a panic", err)
	}
}

//go:noinline
func beginAndEnd(t *testing.T, p *pool.Pool, begin func(context.Context, *pool.Pool) handle, end func(handle, *testing.T)) {
	end(begin(t.Context(), p), t)
}

// An Imap that is left early loses the panics of what it has made and not yielded.
func TestAPanicThatImapDoesNotYieldIsLogged(t *testing.T) {
	for name, opts := range map[string][]pool.Option{"one by one": {pool.Buffer(100)}, "chunks of 2": {pool.ChunkSize(2), pool.Buffer(100)}} {
		t.Run(name, func(t *testing.T) {
			each(t, 2, func(t *testing.T, p *pool.Pool) {
				testhelp.Collect(t)
				l := testhelp.KeepLog(t)
				leaveImap(t, p, opts)
				waitUntil(t, "the lost panics are logged", func() bool { runtime.GC(); return len(l.LostValues()) >= 3 })
				testhelp.Collect(t)
				if got, want := l.LostValues(), []string{"item 1", "item 2", "item 3"}; !slices.Equal(got, want) {
					t.Errorf("logged %q; want %q", got, want)
				}
			})
		})
	}
}

//go:noinline
func leaveImap(t *testing.T, p *pool.Pool, opts []pool.Option) {
	log, gate := inDir(t, "log"), inDir(t, "gate")
	in := func(yield func(item) bool) {
		defer touch(t, gate) // else the first were yielded before the last is pulled
		for i := range 4 {
			if !yield(item{N: i, Does: "hold, panic", Log: log, Gate: gate}) {
				return
			}
		}
	}
	for _, err := range pool.Imap(t.Context(), p, makeItem, in, opts...) {
		awaitStarts(t, log, 4)
		if panicked := new(executor.PanicError); !errors.As(err, &panicked) || fmt.Sprint(panicked.Value) != "item 0" {
			t.Errorf("item 0 = %v; want its panic", err)
		}
		break
	}
}
