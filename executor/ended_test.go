package executor_test

import (
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/parallel"
	"github.com/gofutures/futures/pool"
)

// lastError returns the error that an iteration ended with.
func lastError[T any](seq iter.Seq2[T, error]) (last error) {
	for _, err := range seq {
		last = err
	}
	return last
}

// The end of a ctx is one error, the same on every executor, whatever was made with it:
// it names what was called, says each thing once, and matches ctx's error and its cause,
// and ErrPending only where work goes on.
func TestTheEndOfACtxIsOneErrorEverywhere(t *testing.T) {
	heed := []deed{{Verb: "heed"}, {Verb: "heed"}, {Verb: "heed"}}
	endless := func(yield func(deed) bool) { // else a map may end with the errors of its last items
		for yield(heed[0]) {
		}
	}
	calls := func(yield func(parallel.Call[told]) bool) {
		for yield(parallel.Delayed(doDeed, heed[0])) {
		}
	}
	// on submits a call that goes on, and waits for it with ctx.
	on := func(wait func(ctx context.Context, f *executor.Future[told]) error) func(context.Context, executor.Executor) error {
		return func(ctx context.Context, ex executor.Executor) error {
			own, end := context.WithCancel(context.Background())
			defer end()
			return wait(ctx, executor.Submit(own, ex, doDeed, deed{Verb: "heed"}))
		}
	}
	rows := []struct {
		doing   string
		text    string // before the cause
		pending bool
		do      func(ctx context.Context, ex executor.Executor) error
	}{
		{"Result", "executor: Result: still pending: ", true, on(func(ctx context.Context, f *executor.Future[told]) error {
			_, err := f.Result(ctx)
			return err
		})},
		{"Gather", "executor: Gather: still pending: ", true, on(func(ctx context.Context, f *executor.Future[told]) error {
			_, err := executor.Gather(ctx, f)
			return err
		})},
		{"Wait", "executor: Wait: 1 of 1 futures: still pending: ", true, on(func(ctx context.Context, f *executor.Future[told]) error {
			_, _, err := executor.Wait(ctx, executor.AllCompleted, f)
			return err
		})},
		{"Map", "executor: Map: the ctx ended: ", false, func(ctx context.Context, ex executor.Executor) error {
			return lastError(executor.Map(ctx, ex, doDeed, endless))
		}},
		{"Map in chunks", "executor: Map: the ctx ended: ", false, func(ctx context.Context, ex executor.Executor) error {
			return lastError(executor.Map(ctx, ex, doDeed, endless, executor.ChunkSize(2)))
		}},
		{"MapSlice", "executor: MapSlice: the ctx ended: ", false, func(ctx context.Context, ex executor.Executor) error {
			_, err := executor.MapSlice(ctx, ex, doDeed, heed)
			return err
		}},
		{"pool.Map", "pool: Map: the ctx ended: ", false, func(ctx context.Context, ex executor.Executor) error {
			_, err := pool.Map(ctx, pool.Over(ex), doDeed, heed)
			return err
		}},
		{"pool.Imap", "pool: Imap: the ctx ended: ", false, func(ctx context.Context, ex executor.Executor) error {
			return lastError(pool.Imap(ctx, pool.Over(ex), doDeed, endless))
		}},
		{"parallel.Run", "parallel: Run: the ctx ended: ", false, func(ctx context.Context, ex executor.Executor) error {
			_, err := parallel.Run(ctx, parallel.Jobs{Executor: ex}, calls)
			return err
		}},
		{"parallel.Stream", "parallel: Stream: the ctx ended: ", false, func(ctx context.Context, ex executor.Executor) error {
			return lastError(parallel.Stream(ctx, parallel.Jobs{Executor: ex}, calls))
		}},
	}
	executors := map[string]func() opened{
		"ThreadPoolExecutor": func() opened { return &executor.ThreadPoolExecutor{MaxWorkers: 2} },
		"WaitersHelp":        func() opened { return &executor.ThreadPoolExecutor{MaxWorkers: 2, WaitersHelp: true} },
		"ThreadPerTask":      func() opened { return &executor.ThreadPerTask{} },
		"processes":          func() opened { return &executor.ProcessPoolExecutor{MaxWorkers: 2, KillGrace: longEnough} },
	}
	ends := map[string]struct {
		derive func() (context.Context, context.CancelFunc)
		err    error
		cause  error
	}{
		"a cause": {func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(context.Background())
			time.AfterFunc(50*time.Millisecond, func() { cancel(errBoom) })
			return ctx, func() { cancel(nil) }
		}, context.Canceled, errBoom},
		"a deadline": {func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 50*time.Millisecond)
		}, context.DeadlineExceeded, context.DeadlineExceeded},
	}
	for kind, open := range executors {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			if kind == "processes" {
				executortest.NeedsProcesses(t)
			}
			ex := open()
			defer ex.Close()
			for _, row := range rows {
				for end, how := range ends {
					ctx, cancel := how.derive()
					err := row.do(ctx, ex)
					cancel()
					if err == nil || err.Error() != row.text+how.cause.Error() {
						t.Errorf("%s, %s: the error is %q; want %q", row.doing, end, err, row.text+how.cause.Error())
						continue
					}
					if !errors.Is(err, how.err) || !errors.Is(err, how.cause) || errors.Is(err, executor.ErrPending) != row.pending {
						t.Errorf("%s, %s: %v matches %v: %v, the cause: %v, ErrPending: %v; want true, true, %v", row.doing, end, err,
							how.err, errors.Is(err, how.err), errors.Is(err, how.cause), errors.Is(err, executor.ErrPending), row.pending)
					}
				}
			}
		})
	}
}

// Shutdown says how many calls go on.
func TestTheEndOfTheCtxOfShutdownIsOneErrorToo(t *testing.T) {
	for kind, ex := range map[string]opened{
		"ThreadPoolExecutor": &executor.ThreadPoolExecutor{MaxWorkers: 2},
		"ThreadPerTask":      &executor.ThreadPerTask{},
		"processes":          &executor.ProcessPoolExecutor{MaxWorkers: 2, KillGrace: longEnough},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			if kind == "processes" {
				executortest.NeedsProcesses(t)
			}
			gate := filepath.Join(t.TempDir(), "gate")
			f := executor.Submit(context.Background(), ex, doDeed, deed{Verb: "hold", Path: gate})
			waitUntil(t, "the call runs", func() bool { return f.State() == executor.Running })
			ctx, cancel := context.WithCancelCause(context.Background())
			cancel(errBoom)
			err := ex.Shutdown(ctx)
			if want := "executor: Shutdown: 1 calls have not ended: still pending: boom"; err == nil || err.Error() != want || !errors.Is(err, executor.ErrPending) || !errors.Is(err, errBoom) || !errors.Is(err, context.Canceled) {
				t.Errorf("Shutdown = %v; want %s", err, want)
			}
			if err := os.WriteFile(gate, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			ex.Close()
		})
	}
}
