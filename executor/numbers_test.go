package executor_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
)

// extremes are numbers that a user may give, meaning no limit, or by mistake.
var extremes = []int{math.MinInt, -1, 0, 1, 2, 3, math.MaxInt32, math.MaxInt/4 + 1, math.MaxInt/2 + 1, math.MaxInt - 1, math.MaxInt}

// numerals is what a test gives an executor and a map. A wrong one is named in an
// error, and all others work.
type numerals struct {
	kind string // of executor

	workers, queue, perChild, retries int
	memory                            int64
	grace                             time.Duration

	chunk, buffer int // 0: not given
}

func drawNumerals(t *rapid.T, kinds ...string) numerals {
	extreme := rapid.OneOf(rapid.Just(0), rapid.SampledFrom(extremes))
	return numerals{
		kind:     rapid.SampledFrom(kinds).Draw(t, "executor"),
		workers:  extreme.Draw(t, "MaxWorkers"),
		queue:    extreme.Draw(t, "QueueLimit"),
		perChild: extreme.Draw(t, "MaxTasksPerChild"),
		retries:  extreme.Draw(t, "Retries"),
		memory:   rapid.SampledFrom([]int64{-1, 0, math.MaxInt64/2 + 1, math.MaxInt64}).Draw(t, "MemoryLimit"),
		grace:    time.Duration(rapid.SampledFrom([]int64{math.MinInt64, -1, 0, 1, math.MaxInt64}).Draw(t, "KillGrace")),
		chunk:    extreme.Draw(t, "ChunkSize"),
		buffer:   extreme.Draw(t, "Buffer"),
	}
}

// make returns the executor, and the name of what is wrong with it; "" if nothing is.
func (n *numerals) make() (ex opened, wrong []string) {
	negative := func(name string, isNegative bool) {
		if isNegative {
			wrong = append(wrong, name)
		}
	}
	switch n.kind {
	case "ThreadPoolExecutor", "WaitersHelp", "KeepPlaces":
		negative("MaxWorkers", n.workers < 0)
		negative("QueueLimit", n.queue < 0)
		return &executor.ThreadPoolExecutor{MaxWorkers: n.workers, QueueLimit: n.queue, WaitersHelp: n.kind == "WaitersHelp", KeepPlaces: n.kind == "KeepPlaces"}, wrong
	case "ProcessPoolExecutor":
		negative("MaxWorkers", n.workers < 0)
		negative("QueueLimit", n.queue < 0)
		negative("MaxTasksPerChild", n.perChild < 0)
		negative("MemoryLimit", n.memory < 0)
		negative("Retries", n.retries < 0)
		negative("KillGrace", n.grace < 0)
		return &executor.ProcessPoolExecutor{
			MaxWorkers: n.workers, QueueLimit: n.queue, MaxTasksPerChild: n.perChild,
			MemoryLimit: n.memory, Retries: n.retries, KillGrace: n.grace,
		}, wrong
	case "ThreadPerTask":
		return &executor.ThreadPerTask{}, nil
	}
	return &executor.Sequential{}, nil
}

// options returns those of a map, and the names of what is wrong with them.
func (n *numerals) options() (opts []executor.MapOption, wrong []string) {
	if n.chunk != 0 {
		opts = append(opts, executor.ChunkSize(n.chunk))
		if n.chunk < 0 {
			wrong = append(wrong, "ChunkSize")
		}
	}
	if n.buffer != 0 {
		opts = append(opts, executor.Buffer(n.buffer))
		if n.buffer < 0 {
			wrong = append(wrong, "Buffer")
		}
	}
	return opts, wrong
}

// requireEither requires the results, or an error that names one of the wrong numbers.
func requireEither(t require.TestingT, got []int, err error, wrong []string, want []int) {
	if len(wrong) == 0 {
		require.NoError(t, err)
		require.Equal(t, want, got)
		return
	}
	require.Error(t, err)
	isNamed := func(name string) bool { return strings.Contains(err.Error(), name) }
	require.True(t, slices.ContainsFunc(wrong, isNamed), "the error is %q; want it to name one of %v", err, wrong)
}

// checkNumbers gives an executor its numbers, and makes a call and two maps with it.
func checkNumbers(t require.TestingT, n numerals) {
	ex, wrong := n.make()
	defer ex.Close()
	ctx, cancel := context.WithTimeout(context.Background(), longEnough)
	defer cancel()

	one, err := executor.Submit(ctx, ex, oneMore, 41).Result(ctx)
	requireEither(t, []int{one}, err, wrong, []int{42})

	opts, wrongOpts := n.options()
	wrong = append(wrong, wrongOpts...)
	in := []int{1, 2, 3, 4, 5, 6, 7}
	want := []int{2, 3, 4, 5, 6, 7, 8}
	out, err := executor.MapSlice(ctx, ex, oneMore, in, opts...)
	requireEither(t, out, err, wrong, want)
	out, err = executor.Collect(executor.Map(ctx, ex, oneMore, slices.Values(in), opts...))
	requireEither(t, out, err, wrong, want)
}

func TestEachNumberWorksAtItsExtremesOrIsAnError(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkNumbers(t, drawNumerals(t, "ThreadPoolExecutor", "WaitersHelp", "KeepPlaces", "ThreadPerTask", "Sequential"))
	})
}

// Each number at each extreme, the others as they are by themselves: processes are
// too slow for more.
func TestEachNumberOfAProcessPoolWorksAtItsExtremesOrIsAnError(t *testing.T) {
	executortest.NeedsProcesses(t)
	t.Parallel()
	var all []numerals
	for _, x := range []int{math.MinInt, -1, math.MaxInt/2 + 1, math.MaxInt} {
		all = append(all,
			numerals{workers: x}, numerals{workers: 1, queue: x}, numerals{workers: 1, perChild: x}, numerals{workers: 1, retries: x},
			numerals{workers: 1, memory: int64(x)}, numerals{workers: 1, grace: time.Duration(x)}, numerals{workers: 2, chunk: x}, numerals{workers: 2, buffer: x})
	}
	for _, n := range all {
		n.kind = "ProcessPoolExecutor"
		if n.memory == math.MaxInt32 || n.memory == math.MaxInt32/2+1 {
			n.memory = math.MaxInt64 // where an int has 32 bits
		}
		t.Run(fmt.Sprintf("%+v", n), func(t *testing.T) { checkNumbers(t, n) })
	}
}

// Two calls that meet each other need two places at once.
func TestMapMakesItemsSideBySideWithoutALimit(t *testing.T) {
	eachExtreme := []int{math.MaxInt/2 + 1, math.MaxInt}
	for _, workers := range eachExtreme {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: workers}
		meeting := make(chan int)
		meet := func(ctx context.Context, i int) (int, error) {
			select {
			case meeting <- i:
			case <-meeting:
			case <-ctx.Done():
				return 0, ctx.Err()
			}
			return i, nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), longEnough)
		out, err := executor.Collect(executor.Map(ctx, ex, meet, slices.Values([]int{0, 1, 2, 3})))
		require.NoError(t, err, "MaxWorkers %d", workers)
		require.Equal(t, []int{0, 1, 2, 3}, out)
		cancel()
		require.NoError(t, ex.Close())
	}
}

// A limit that is none starts as many processes as there is work for.
func TestAProcessPoolWithoutALimitStartsFewWorkersForFewCalls(t *testing.T) {
	executortest.NeedsProcesses(t)
	t.Parallel()
	ex := &executor.ProcessPoolExecutor{MaxWorkers: math.MaxInt}
	defer ex.Close()
	for range 3 {
		out, err := executor.MapSlice(t.Context(), ex, oneMore, []int{1, 2, 3})
		require.NoError(t, err)
		require.Equal(t, []int{2, 3, 4}, out)
	}
	require.LessOrEqual(t, ex.Stats().Workers, 6)
}

func TestSharedOfALengthThatCannotBeIsAnError(t *testing.T) {
	for _, n := range []int{math.MinInt, -1, math.MaxInt/8 + 1, math.MaxInt/2 + 1, math.MaxInt} {
		if s, err := executor.NewShared[int64](n); err == nil {
			t.Errorf("NewShared(%d) has no error", n)
			_ = s.Close()
		}
	}
}
