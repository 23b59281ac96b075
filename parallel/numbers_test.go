package parallel_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gofutures/futures/executor"
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
	for _, x := range []int{math.MaxInt/2 + 1, math.MaxInt} {
		for _, j := range []parallel.Jobs{{N: x}, {N: 2, BatchSize: x}, {N: 2, PreDispatch: x}, {N: x, BatchSize: x, PreDispatch: x}, {N: 2, Timeout: math.MaxInt64}} {
			j.Backend = "processes"
			checkJobs(t, j, nil)
		}
	}
}
