package parallel_test

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/parallel"
)

func TestProgressIsToldFromTheBeginningOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for n, want := range map[int][]parallel.Stats{
			1: {
				{Total: 4},
				{Done: 1, Total: 4, Elapsed: 1 * time.Second, Rate: 1, Remaining: 3 * time.Second},
				{Done: 2, Total: 4, Elapsed: 2 * time.Second, Rate: 1, Remaining: 2 * time.Second},
				{Done: 3, Total: 4, Elapsed: 3 * time.Second, Rate: 1, Remaining: 1 * time.Second},
				{Done: 4, Total: 4, Elapsed: 4 * time.Second, Rate: 1},
			},
			2: {
				{Total: 4},
				{Done: 1, Total: 4, Elapsed: 1 * time.Second, Rate: 1, Remaining: 3 * time.Second},
				{Done: 2, Total: 4, Elapsed: 1 * time.Second, Rate: 2, Remaining: 1 * time.Second},
				{Done: 3, Total: 4, Elapsed: 2 * time.Second, Rate: 1.5, Remaining: 666666666},
				{Done: 4, Total: 4, Elapsed: 2 * time.Second, Rate: 2},
			},
		} {
			var got []parallel.Stats
			ctx := parallel.WithConfig(t.Context(), parallel.Jobs{Progress: func(s parallel.Stats) { got = append(got, s) }})
			var c tally
			for name, run := range map[string]func() error{
				"Parallel": func() error { _, err := parallel.Parallel(ctx, n, delayed(c.nap, upTo(4))...); return err },
				"Map":      func() error { _, err := parallel.Map(ctx, n, c.nap, upTo(4)); return err },
			} {
				got = nil
				if err := run(); err != nil || !slices.Equal(got, want) {
					t.Errorf("%s, N %d: %v, progress %+v; want %+v", name, n, err, got, want)
				}
			}
		}
	})
}

// Until the source has ended, the Total of Run and Stream is not known.
func TestProgressCountsBatchesAndFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, stream := range streams {
			var got []parallel.Stats
			j := parallel.Jobs{N: 2, BatchSize: 3, OnError: parallel.CollectErrors, Progress: func(s parallel.Stats) { got = append(got, s) }}
			in, _ := counting(60, func(_ context.Context, n int) (int, error) {
				time.Sleep(time.Second)
				if n%3 == 1 {
					return 0, errBoom
				}
				return n, nil
			})
			all(stream(t.Context(), j, in))
			if len(got) < 21 || got[0] != (parallel.Stats{}) {
				t.Fatalf("%s: progress %+v; want the beginning and each batch", name, got)
			}
			for i, s := range got[1:] {
				step := s.Done - got[i].Done
				if step < 1 || step > 3 || s.Failed > (s.Done+2)/3+1 || s.Elapsed < got[i].Elapsed || s.Total != 0 && s.Total != 60 {
					t.Errorf("%s: progress goes from %+v to %+v", name, got[i], s)
				}
				if rate := float64(s.Done) / s.Elapsed.Seconds(); s.Rate != rate {
					t.Errorf("%s: progress %+v; want the Rate %v", name, s, rate)
				}
				if s.Total == 0 && s.Remaining != 0 {
					t.Errorf("%s: progress %+v; want no Remaining without a Total", name, s)
				}
			}
			if last := got[len(got)-1]; last.Done != 60 || last.Failed != 20 || last.Total != 60 || last.Remaining != 0 {
				t.Errorf("%s: the last progress is %+v; want 60 of 60 done, 20 failed", name, last)
			}
		}
	})
}

func TestProgressIsToldOfNothing(t *testing.T) {
	for _, n := range []int{1, 2} {
		told := 0
		j := parallel.Jobs{N: n, Progress: func(s parallel.Stats) {
			if told++; s.Done != 0 {
				t.Errorf("N %d: %+v; want nothing done", n, s)
			}
		}}
		if _, err := parallel.Run(t.Context(), j, callsOf()); err != nil || told == 0 {
			t.Errorf("N %d: %v, told %d times; want the beginning", n, err, told)
		}
	}
}

// Progress runs on the goroutine of the run, which gets its panic.
func TestAPanicOfProgressIsTheCallers(t *testing.T) {
	each(t, func(t *testing.T, j parallel.Jobs) {
		for _, at := range []int{0, 3} {
			j.Progress = func(s parallel.Stats) {
				if s.Done >= at {
					panic(errBoom)
				}
			}
			if got := panicOf(func() { _, _ = parallel.Run(t.Context(), j, callsOf(items(make([]string, 9)...)...)) }); got != errBoom {
				t.Errorf("after %d calls: Run panics with %v; want boom", at, got)
			}
			if got := panicOf(func() { all(parallel.Stream(t.Context(), j, callsOf(items(make([]string, 9)...)...))) }); got != errBoom {
				t.Errorf("after %d calls: Stream panics with %v; want boom", at, got)
			}
		}
	})
}

func init() { executor.Register(holdForProgress) }

// held is a call, and says what it waits for.
type held struct {
	Dir string
	ID  int
	N   int
}

// holdForProgress returns when it was told that N calls have ended. It says that it has
// begun.
func holdForProgress(_ context.Context, h held) (int, error) {
	if err := os.WriteFile(filepath.Join(h.Dir, fmt.Sprint("begun ", h.ID)), nil, 0o600); err != nil {
		return 0, err
	}
	for {
		if _, err := os.Stat(filepath.Join(h.Dir, strconv.Itoa(h.N))); err == nil {
			return h.N, nil
		}
		time.Sleep(time.Millisecond)
	}
}

// Calls that travel together are told one by one: each of a batch waits here until the
// progress says that those before it have ended.
func TestProgressDoesNotStandStillWhileABatchIsMade(t *testing.T) {
	t.Parallel()
	const size = 6
	for name, policy := range map[string]parallel.Policy{"StopAtFirst": parallel.StopAtFirst, "CollectErrors": parallel.CollectErrors} {
		for way, run := range map[string]func(context.Context, parallel.Jobs, iter.Seq[parallel.Call[int]]) ([]int, error){
			"Run": parallel.Run[int],
			"Stream": func(ctx context.Context, j parallel.Jobs, in iter.Seq[parallel.Call[int]]) ([]int, error) {
				return executor.Collect(parallel.Stream(ctx, j, in))
			},
			"StreamUnordered": func(ctx context.Context, j parallel.Jobs, in iter.Seq[parallel.Call[int]]) ([]int, error) {
				return executor.Collect(parallel.StreamUnordered(ctx, j, in))
			},
		} {
			t.Run(name+"/"+way, func(t *testing.T) {
				t.Parallel()
				dir, ended := t.TempDir(), 0
				tell := func(s parallel.Stats) {
					for ; ended <= s.Done; ended++ {
						_ = os.WriteFile(filepath.Join(dir, strconv.Itoa(ended)), nil, 0o600)
					}
					if begun, _ := filepath.Glob(filepath.Join(dir, "begun *")); s.Done > len(begun) || s.Done < ended-1 {
						t.Errorf("progress %+v after one of %d, when %d calls have begun", s, ended-1, len(begun))
					}
				}
				var calls []parallel.Call[int]
				for i := range 2 * size {
					calls = append(calls, parallel.Delayed(holdForProgress, held{dir, i, i % size}))
				}
				ctx, cancel := context.WithTimeout(t.Context(), longEnough)
				defer cancel()
				got, err := run(ctx, parallel.Jobs{N: 2, Backend: "processes", BatchSize: size, PreDispatch: 2 * size, OnError: policy, Progress: tell}, slices.Values(calls))
				if len(got) != 2*size || err != nil {
					t.Errorf("%d results, %v, when the progress has told of %d; want %d, nil", len(got), err, ended-1, 2*size)
				}
			})
		}
	}
}
