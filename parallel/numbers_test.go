package parallel_test

import (
	"context"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/parallel"
)

var extremes = []int{math.MinInt, -2, -1, 1, 2, 3, math.MaxInt32, math.MaxInt/4 + 1, math.MaxInt/10 + 1, math.MaxInt/2 + 1, math.MaxInt - 1, math.MaxInt}

func drawJobs(t *rapid.T, backends ...string) (j parallel.Jobs, wrong []string) {
	extreme := rapid.OneOf(rapid.Just(0), rapid.SampledFrom(extremes))
	j = parallel.Jobs{
		Backend:     rapid.SampledFrom(backends).Draw(t, "Backend"),
		N:           extreme.Draw(t, "N"),
		BatchSize:   extreme.Draw(t, "BatchSize"),
		PreDispatch: extreme.Draw(t, "PreDispatch"),
		Timeout:     time.Duration(rapid.SampledFrom([]int64{math.MinInt64, -1, 0, 0, int64(longEnough), math.MaxInt64/2 + 1, math.MaxInt64}).Draw(t, "Timeout")),
		Verbose:     extreme.Draw(t, "Verbose"),
		Output:      new(strings.Builder),
	}
	for name, isWrong := range map[string]bool{
		"BatchSize": j.BatchSize < 0, "PreDispatch": j.PreDispatch < parallel.PreDispatchAll, "Timeout": j.Timeout < 0, "Verbose": j.Verbose < 0,
	} {
		if isWrong {
			wrong = append(wrong, name)
		}
	}
	return j, wrong
}

// checkJobs makes some calls as j says, in all ways.
func checkJobs(t require.TestingT, j parallel.Jobs, wrong []string) {
	ctx, cancel := context.WithTimeout(context.Background(), longEnough)
	defer cancel()
	requireEither := func(got []int, err error) {
		if len(wrong) == 0 {
			require.NoError(t, err)
			require.Equal(t, []int{0, 2, 4, 6, 8, 10, 12, 14, 16}, got)
			return
		}
		require.Error(t, err)
		isNamed := func(name string) bool { return strings.Contains(err.Error(), name) }
		require.True(t, slices.ContainsFunc(wrong, isNamed), "the error is %q; want it to name one of %v", err, wrong)
	}
	in := upTo(9)
	calls := slices.Values(delayed(double, in))
	requireEither(parallel.Run(ctx, j, calls))
	requireEither(executor.Collect(parallel.Stream(ctx, j, calls)))
	if len(wrong) == 0 && j.N != 0 {
		requireEither(parallel.Map(parallel.WithConfig(ctx, j), j.N, double, in))
	}
}

func TestEachNumberWorksAtItsExtremesOrIsAnError(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j, wrong := drawJobs(t, "threads", "sequential")
		checkJobs(t, j, wrong)
	})
}

// Each number without a limit, the others as they are by themselves: processes are too
// slow for more.
func TestEachNumberWorksWithoutALimitInProcesses(t *testing.T) {
	t.Parallel()
	executortest.NeedsProcesses(t)
	for _, x := range []int{math.MaxInt/2 + 1, math.MaxInt} {
		for _, j := range []parallel.Jobs{{N: x}, {N: 2, BatchSize: x}, {N: 2, PreDispatch: x}, {N: x, BatchSize: x, PreDispatch: x}, {N: 2, Timeout: math.MaxInt64}} {
			j.Backend = "processes"
			checkJobs(t, j, nil)
		}
	}
}

func TestEffectiveJobsOfExtremes(t *testing.T) {
	for n, want := range map[int]int{math.MinInt: 1, math.MinInt + 1: 1, -1: parallel.CPUCount(), 1: 1, math.MaxInt: math.MaxInt} {
		got, err := parallel.EffectiveJobs(n)
		require.NoError(t, err)
		require.Equal(t, want, got, "EffectiveJobs(%d)", n)
	}
}

// Each number of a Memory works at its extremes, or is named in an error: a limit that is
// none removes nothing, and one that lets nothing stay costs no call its result.
func TestEachNumberOfAMemoryWorksAtItsExtremesOrIsAnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	runs := 0
	numbers := rapid.SampledFrom([]int64{math.MinInt64, math.MinInt64 + 1, -1, 0, 0, 0, 1, math.MaxInt64/10 + 1, math.MaxInt64/8 + 1, 1 << 62, math.MaxInt64 - 1, math.MaxInt64})
	rapid.Check(t, func(t *rapid.T) {
		runs++
		m := &parallel.Memory{Dir: filepath.Join(dir, strconv.Itoa(runs))}
		limits := map[string]int64{}
		for _, name := range []string{"ExpiresAfter", "MaxBytes", "MaxItems", "MaxAge"} {
			limits[name] = numbers.Draw(t, name)
		}
		limits["MaxItems"] = int64(int(limits["MaxItems"])) // where an int has 32 bits
		m.ExpiresAfter, m.MaxBytes = time.Duration(limits["ExpiresAfter"]), limits["MaxBytes"]
		m.MaxItems, m.MaxAge = int(limits["MaxItems"]), time.Duration(limits["MaxAge"])

		var wrong []string
		isTight := false // so that results may go
		for name, limit := range limits {
			if limit < 0 {
				wrong = append(wrong, name)
			}
			isTight = isTight || limit == 1
		}
		computed := 0
		cached, err := parallel.NewCachedFunc(m, "double", "1", func(_ context.Context, n int) (int, error) { computed++; return 2 * n, nil })
		if len(wrong) > 0 {
			require.Error(t, err)
			isNamed := func(name string) bool { return strings.Contains(err.Error(), name) }
			require.True(t, slices.ContainsFunc(wrong, isNamed), "the error is %q; want it to name one of %v", err, wrong)
			require.Error(t, m.Check())
			return
		}
		require.NoError(t, err)
		require.NoError(t, m.Check())
		for range 2 {
			for n := range 4 {
				got, err := cached.Call(context.Background(), n)
				require.NoError(t, err)
				require.Equal(t, 2*n, got)
			}
			m.Sync()
		}
		if s := m.Stats(); !isTight && (computed != 4 || s.Hits != 4 || s.Evicted != 0 || s.Unkept != 0) {
			t.Errorf("limits that are none: %d calls were computed, %+v; want 4, and 4 hits", computed, s)
		}
	})
}

// No limit on what goes together is no reason to take a source to its end before the
// calls start, if it has one.
func TestCallsOfAnEndlessSourceStartWithoutALimit(t *testing.T) {
	const tooMany = 4 << 20
	for name, j := range map[string]parallel.Jobs{
		"N":                      {N: math.MaxInt},
		"N, a limit ahead":       {N: math.MaxInt, PreDispatch: 1000},
		"BatchSize":              {N: 2, BatchSize: math.MaxInt},
		"N and BatchSize":        {N: math.MaxInt, BatchSize: math.MaxInt},
		"PreDispatch":            {N: 2, BatchSize: 100, PreDispatch: math.MaxInt},
		"BatchSize, PreDispatch": {N: 2, BatchSize: math.MaxInt, PreDispatch: math.MaxInt},
	} {
		for where, ex := range map[string]executor.Executor{"here": &executor.ThreadPerTask{}, "elsewhere": elsewhere{&executor.ThreadPerTask{}}} {
			t.Run(name+"/"+where, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					started := 0
					var mu sync.Mutex
					fn := func(ctx context.Context, n int) (int, error) {
						mu.Lock()
						if started++; started == 5000 { // more than the first ones, which are taken apart
							cancel()
						}
						mu.Unlock()
						time.Sleep(time.Microsecond)
						return n, ctx.Err()
					}
					in, pulled := counting(tooMany, fn)
					j.Executor = ex
					for range parallel.StreamUnordered(ctx, j, in) {
						if pulled.Load() == tooMany {
							break
						}
					}
					if n := pulled.Load(); n == tooMany {
						t.Errorf("%d calls were taken, of which %d have started; want that they start as they come", n, started)
					}
				})
			})
		}
	}
}
