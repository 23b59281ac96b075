package pool_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/pool"
)

// entry is a function that makes calls of three items, or of one.
type entry struct {
	name  string
	isMap bool // Map or MapAsync
	isOne bool // Apply or ApplyAsync, which take no options
	call  func(context.Context, *pool.Pool, executor.Func[int, int], ...pool.Option) error
}

// entries are all of them. in is the source of Imap, nil for three items.
func entries(in iter.Seq[int]) []entry {
	if in == nil {
		in = slices.Values([]int{1, 2, 3})
	}
	three := []int{1, 2, 3}
	return []entry{
		{"Map", true, false, func(ctx context.Context, p *pool.Pool, fn executor.Func[int, int], opts ...pool.Option) error {
			return onlyError(pool.Map(ctx, p, fn, three, opts...))
		}},
		{"MapAsync", true, false, func(ctx context.Context, p *pool.Pool, fn executor.Func[int, int], opts ...pool.Option) error {
			return onlyError(pool.MapAsync(ctx, p, fn, three, opts...).Result(context.Background()))
		}},
		{"Imap", false, false, func(ctx context.Context, p *pool.Pool, fn executor.Func[int, int], opts ...pool.Option) error {
			return errorsOf(pool.Imap(ctx, p, fn, in, opts...))
		}},
		{"ImapUnordered", false, false, func(ctx context.Context, p *pool.Pool, fn executor.Func[int, int], opts ...pool.Option) error {
			return errorsOf(pool.ImapUnordered(ctx, p, fn, in, opts...))
		}},
		{"Apply", false, true, func(ctx context.Context, p *pool.Pool, fn executor.Func[int, int], _ ...pool.Option) error {
			return onlyError(pool.Apply(ctx, p, fn, 1))
		}},
		{"ApplyAsync", false, true, func(ctx context.Context, p *pool.Pool, fn executor.Func[int, int], _ ...pool.Option) error {
			return onlyError(pool.ApplyAsync(ctx, p, fn, 1).Result(context.Background()))
		}},
	}
}

func onlyError[T any](_ T, err error) error { return err }

// errorsOf returns the errors of an iterator, joined.
func errorsOf[T any](seq iter.Seq2[T, error]) error {
	var errs []error
	for _, err := range seq {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// What is wrong with an option is an error before any work.
func TestWrongOptionIsAnErrorBeforeAnyWork(t *testing.T) {
	for _, row := range []struct {
		name          string
		opts          []pool.Option
		ofMap, ofImap string // what the error has, "" if the option is right there
	}{
		{"ChunkSize(0)", []pool.Option{pool.ChunkSize(0)}, "ChunkSize(0)", "ChunkSize(0)"},
		{"ChunkSize(-1)", []pool.Option{pool.ChunkSize(-1)}, "ChunkSize(-1)", "ChunkSize(-1)"},
		{"a wrong ChunkSize before a right one", []pool.Option{pool.ChunkSize(0), pool.ChunkSize(1)}, "ChunkSize(0)", "ChunkSize(0)"},
		{"Buffer(0)", []pool.Option{pool.Buffer(0)}, "Buffer(0)", "Buffer(0)"},
		{"Buffer(-1)", []pool.Option{pool.Buffer(-1)}, "Buffer(-1)", "Buffer(-1)"},
		{"nil", []pool.Option{nil}, "nil Option", "nil Option"},
		{"nil among others", []pool.Option{pool.ChunkSize(1), nil, pool.ChunkSize(2)}, "nil Option", "nil Option"},
		{"Buffer(1)", []pool.Option{pool.Buffer(1)}, "Buffer is for Imap", ""},
		{"CollectErrors()", []pool.Option{pool.CollectErrors()}, "", "CollectErrors is for Map"},
	} {
		t.Run(row.name, func(t *testing.T) {
			ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
			defer ex.Close()
			p := pool.Over(ex)
			defer closeInTime(t, p)
			var made, pulled atomic.Int64
			fn := func(_ context.Context, n int) (int, error) { made.Add(1); return n, nil }
			source := func(yield func(int) bool) { pulled.Add(1); yield(1) }
			for _, e := range entries(source) {
				want := row.ofImap
				if e.isMap {
					want = row.ofMap
				}
				if e.isOne || want == "" {
					continue // it takes no options, or takes this one
				}
				err := e.call(t.Context(), p, fn, row.opts...)
				if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%s with %s: %v; want one error with %q", e.name, row.name, err, want)
				}
			}
			if s := ex.Stats(); made.Load() != 0 || pulled.Load() != 0 || s.Submitted != 0 {
				t.Errorf("%d items made, %d pulls, %d calls; want none", made.Load(), pulled.Load(), s.Submitted)
			}
		})
	}
}

// Silly input is an error that names the problem: no panic, and no hang.
func TestSillyArgumentsAreErrors(t *testing.T) {
	threads := pool.Threads(1)
	defer closeInTime(t, threads)
	var nilExecutor *executor.ThreadPoolExecutor
	for _, row := range []struct {
		name string
		ctx  context.Context
		p    *pool.Pool
		fn   executor.Func[int, int]
		want string // the error has, in lower case
	}{
		{"nil pool", t.Context(), nil, double, "nil pool"},
		{"zero Pool", t.Context(), new(pool.Pool), double, "no executor"},
		{"Over(nil)", t.Context(), pool.Over(nil), double, "no executor"},
		{"Over of a nil pointer", t.Context(), pool.Over(nilExecutor), double, "nil *threadpoolexecutor"},
		{"Threads(-1)", t.Context(), pool.Threads(-1), double, "-1"},
		{"Processes(-1)", t.Context(), pool.Processes(-1), double, "-1"},
		{"nil ctx", nilCtx, threads, double, "nil c"},
		{"nil function", t.Context(), threads, nil, "nil function"},
		{"all nil", nilCtx, nil, nil, "nil"},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, e := range entries(nil) {
				for name, opts := range map[string][]pool.Option{"": nil, " with ChunkSize(2)": {pool.ChunkSize(2)}, " with CollectErrors": {pool.CollectErrors()}} {
					if e.isOne && opts != nil || !e.isMap && name == " with CollectErrors" {
						continue // it does not take them
					}
					err := inTime(t, e.name, func() (err error) {
						defer func() {
							if v := recover(); v != nil {
								err = nil
								t.Errorf("%s%s with %s panics: %v", e.name, name, row.name, v)
							}
						}()
						return e.call(row.ctx, row.p, row.fn, opts...)
					})
					if err == nil || !strings.Contains(strings.ToLower(err.Error()), row.want) {
						t.Errorf("%s%s with %s: %v; want an error with %q", e.name, name, row.name, err, row.want)
					}
				}
			}
			f := executor.Submit(context.Background(), row.p, double, 1)
			if _, err := resultOf(t, f); err == nil && row.ctx != nilCtx && row.fn != nil {
				t.Errorf("Submit with %s as the executor: no error", row.name)
			}
			if n := row.p.Workers(); n < 0 {
				t.Errorf("Workers of %s = %d; want no negative number", row.name, n)
			}
			if row.p == threads {
				return
			}
			for _, end := range []func() error{row.p.Close, row.p.Terminate, row.p.Terminate, row.p.Close} {
				if err := inTime(t, "Close or Terminate", end); err != nil {
					t.Errorf("Close or Terminate of %s = %v; want nil", row.name, err)
				}
			}
		})
	}
}

// A nil source is silly input too.
func TestImapWithoutASourceIsAnError(t *testing.T) {
	each(t, 1, func(t *testing.T, p *pool.Pool) {
		for name, seq := range map[string]iter.Seq2[int, error]{
			"Imap":          pool.Imap(t.Context(), p, double, nil),
			"ImapUnordered": pool.ImapUnordered(t.Context(), p, double, nil),
		} {
			if err := errorsOf(seq); err == nil || !strings.Contains(err.Error(), "nil") {
				t.Errorf("%s without a source: %v; want an error with nil in it", name, err)
			}
		}
	})
}

// What is wrong is wrong for no items too, and gives no results.
func TestMapOfNothingWithANilFunctionIsAnError(t *testing.T) {
	p := pool.Threads(1)
	defer closeInTime(t, p)
	for name, opts := range map[string][]pool.Option{"": nil, "CollectErrors": {pool.CollectErrors()}} {
		for _, n := range []int{0, 1, 2} {
			out, err := pool.Map[int, int](t.Context(), p, nil, make([]int, n), opts...)
			var items executor.ItemErrors
			if err == nil || len(out) > 0 || errors.As(err, &items) {
				t.Errorf("Map of %d items with a nil function and %q = %v, %v; want no results and an error that is not one of items", n, name, out, err)
			}
		}
	}
}

// A function that is not registered does not cross to a process, whichever
// function is used.
func TestUnregisteredFunctionIsAnErrorOnProcesses(t *testing.T) {
	executortest.NeedsProcesses(t)
	p := pool.Processes(1)
	defer closeInTime(t, p)
	for _, e := range entries(nil) {
		err := e.call(t.Context(), p, func(_ context.Context, n int) (int, error) { return n, nil })
		if !errors.Is(err, executor.ErrNotRegistered) {
			t.Errorf("%s of a closure: %v; want an error that matches ErrNotRegistered", e.name, err)
		}
	}
	if _, err := pool.Apply(t.Context(), p, double, 1); err != nil {
		t.Errorf("the next Apply: %v; want nil", err)
	}
}

// A ctx that has ended.
func TestEndedCtxMakesNothing(t *testing.T) {
	each(t, 1, func(t *testing.T, p *pool.Pool) {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(errBoom)
		for _, e := range entries(nil) {
			for name, opts := range map[string][]pool.Option{"": nil, " with CollectErrors": {pool.CollectErrors()}} {
				if !e.isMap && opts != nil {
					continue // it does not take it
				}
				if err := e.call(ctx, p, double, opts...); !errors.Is(err, context.Canceled) {
					t.Errorf("%s%s with a ctx that has ended: %v; want an error that matches context.Canceled", e.name, name, err)
				}
			}
		}
	})
}

// All six make what is asked, so that the tests above do not pass for another
// reason.
func TestRightArgumentsAreNoErrors(t *testing.T) {
	each(t, 2, func(t *testing.T, p *pool.Pool) {
		for _, e := range entries(nil) {
			opts := []pool.Option{pool.ChunkSize(2), pool.Buffer(3)}
			if e.isMap {
				opts = []pool.Option{pool.ChunkSize(2), pool.CollectErrors()}
			}
			if err := e.call(t.Context(), p, double, opts...); err != nil {
				t.Errorf("%s = %v; want nil", e.name, err)
			}
		}
		for _, n := range []int{0, 1, 7} {
			in := make([]int, n)
			if out, err := pool.Map(t.Context(), p, double, in); err != nil || out == nil || len(out) != n {
				t.Errorf("Map of %d items = %v, %v; want as many", n, out, err)
			}
		}
		if got := fmt.Sprint(p.Workers()); got != "2" {
			t.Errorf("Workers = %s; want 2", got)
		}
	})
}
