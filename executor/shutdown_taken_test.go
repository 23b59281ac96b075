package executor_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/gofutures/futures/executor"
)

func init() {
	verbs["resign"] = func(ctx context.Context, _ deed, _ *told) error { <-ctx.Done(); return nil }
}

// takenFrom makes deeds in all ways, of which calls wait or run at once, and returns the
// error.
var takenFrom = map[string]struct {
	calls int
	take  func(ctx context.Context, ex executor.Executor, deeds []deed) error
}{
	"Submit": {6, func(ctx context.Context, ex executor.Executor, deeds []deed) (err error) {
		var fs []*executor.Future[told]
		for _, d := range deeds {
			fs = append(fs, executor.Submit(ctx, ex, doDeed, d))
		}
		_, err = executor.Gather(ctx, fs...)
		return err
	}},
	"Map": {6, func(ctx context.Context, ex executor.Executor, deeds []deed) error {
		_, err := executor.Collect(executor.Map(ctx, ex, doDeed, slices.Values(deeds), executor.Buffer(6)))
		return err
	}},
	"Map in chunks": {3, func(ctx context.Context, ex executor.Executor, deeds []deed) error {
		_, err := executor.Collect(executor.Map(ctx, ex, doDeed, slices.Values(deeds), executor.ChunkSize(2), executor.Buffer(6)))
		return err
	}},
	"MapSlice": {1, func(ctx context.Context, ex executor.Executor, deeds []deed) error {
		_, err := executor.MapSlice(ctx, ex, doDeed, deeds)
		return err
	}},
	"MapSlice in chunks": {1, func(ctx context.Context, ex executor.Executor, deeds []deed) error {
		_, err := executor.MapSlice(ctx, ex, doDeed, deeds, executor.ChunkSize(2))
		return err
	}},
	"MapSlice in one chunk": {1, func(ctx context.Context, ex executor.Executor, deeds []deed) error {
		_, err := executor.MapSlice(ctx, ex, doDeed, deeds, executor.ChunkSize(len(deeds)))
		return err
	}},
}

// What Shutdown takes away because its ctx ends has the error of a call that was
// cancelled, whichever way it came, and whether it waited for a worker or was behind an
// item that runs.
func TestWhatShutdownTakesAwayIsCancelledWhicheverWayItCame(t *testing.T) {
	t.Parallel()
	for name, newOne := range map[string]func() opened{
		"ThreadPoolExecutor": func() opened { return &executor.ThreadPoolExecutor{MaxWorkers: 1} },
		"WaitersHelp":        func() opened { return &executor.ThreadPoolExecutor{MaxWorkers: 1, WaitersHelp: true} },
		"KeepPlaces":         func() opened { return &executor.ThreadPoolExecutor{MaxWorkers: 1, KeepPlaces: true} },
		"Sequential":         func() opened { return &executor.Sequential{} },
		"processes":          func() opened { return &executor.ProcessPoolExecutor{MaxWorkers: 1} },
		"NoPrefetch":         func() opened { return &executor.ProcessPoolExecutor{MaxWorkers: 1, NoPrefetch: true} },
	} {
		for way, row := range takenFrom {
			for _, waits := range []bool{true, false} {
				if name == "Sequential" && (waits || !strings.HasPrefix(way, "MapSlice")) {
					continue // nothing ever waits there
				}
				t.Run(fmt.Sprintf("%s/%s/all of it waits %t", name, way, waits), func(t *testing.T) {
					if runtime.GOOS != "linux" && way == "MapSlice in one chunk" {
						t.Skip("where no memory is shared, items begin until the worker has heard of Shutdown")
					}
					t.Parallel()
					ex, log := newOne(), inDir(t, "log")
					defer ex.Close()
					if waits {
						executor.Submit(t.Context(), ex, doDeed, deed{Verb: "resign", Log: log, ID: 1})
						awaitStart(t, log, 1)
					}
					deeds := make([]deed, 6)
					for i := range deeds {
						deeds[i] = deed{Verb: "resign", Log: log, ID: 2 + i}
					}
					returned := make(chan error, 1)
					go func() { returned <- row.take(context.Background(), ex, deeds) }()
					// What comes after Shutdown is refused, which is not what this is about.
					submitted := row.calls
					if waits {
						submitted++
					} else {
						awaitStart(t, log, 2)
					}
					waitUntil(t, "all of it was submitted", func() bool { return ex.Stats().Submitted >= submitted })
					_ = ex.Shutdown(ended())
					if err := <-returned; !errors.Is(err, executor.ErrCancelled) || errors.Is(err, executor.ErrShutdown) {
						t.Errorf("what Shutdown took away: %v; want ErrCancelled", err)
					}
					if late := startsIn(t, log)[7]; len(late) > 0 {
						t.Error("the last of six has started after Shutdown")
					}
				})
			}
		}
	}
}
