package pool_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/pool"
)

// Each number works, math.MaxInt as no limit, or is named in an error.
func TestEachNumberWorksAtItsExtremesOrIsAnError(t *testing.T) {
	extreme := rapid.OneOf(rapid.Just(0), rapid.SampledFrom([]int{math.MinInt, -1, 1, 2, math.MaxInt32, math.MaxInt/4 + 1, math.MaxInt/32 + 1, math.MaxInt/2 + 1, math.MaxInt}))
	rapid.Check(t, func(t *rapid.T) {
		workers, chunk, buffer := extreme.Draw(t, "workers"), extreme.Draw(t, "ChunkSize"), extreme.Draw(t, "Buffer")
		p := pool.Threads(workers)
		if rapid.Bool().Draw(t, "over") {
			ex := &executor.ThreadPoolExecutor{MaxWorkers: workers}
			defer ex.Close()
			p = pool.Over(ex)
		}
		defer p.Close()
		wrong := map[string]bool{"MaxWorkers": workers < 0, "ChunkSize": chunk < 0}
		var opts []pool.Option
		if chunk != 0 {
			opts = append(opts, pool.ChunkSize(chunk))
		}
		requireEither := func(got []int, err error) {
			for name, isWrong := range wrong {
				if isWrong && err != nil && strings.Contains(err.Error(), name) {
					return
				}
				require.False(t, isWrong && err == nil, "%s is wrong, and no error says so", name)
			}
			require.NoError(t, err)
			require.Equal(t, []int{2, 4, 6, 8, 10}, got)
		}

		in := []int{1, 2, 3, 4, 5}
		requireEither(pool.Map(t.Context(), p, double, in, opts...))
		requireEither(pool.MapAsync(t.Context(), p, double, in, opts...).Result(t.Context()))
		requireEither(pool.Map(t.Context(), p, double, in, append(opts, pool.CollectErrors())...))

		wrong["Buffer"] = buffer < 0
		if buffer != 0 {
			opts = append(opts, pool.Buffer(buffer))
		}
		requireEither(executor.Collect(pool.Imap(t.Context(), p, double, slices.Values(in), opts...)))
	})
}

// What would be too slow to draw.
func TestAProcessPoolHasNoLimitAtTheExtremes(t *testing.T) {
	executortest.NeedsProcesses(t)
	t.Parallel()
	for _, workers := range []int{math.MaxInt/4 + 1, math.MaxInt/2 + 1, math.MaxInt} {
		p := pool.Processes(workers)
		for _, opts := range [][]pool.Option{nil, {pool.CollectErrors()}} {
			got, err := pool.Map(t.Context(), p, double, []int{1, 2, 3}, opts...)
			require.NoError(t, err, "%d workers", workers)
			require.Equal(t, []int{2, 4, 6}, got)
		}
		closeInTime(t, p)
	}
}
