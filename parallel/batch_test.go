package parallel_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/parallel"
)

func init() { executor.Register(halve) }

// halve fails for what has no half.
func halve(_ context.Context, n int) (int, error) {
	if n%2 != 0 {
		return 0, itemError(n)
	}
	return n / 2, nil
}

// Calls of two functions change places within batches of every length, some fail, and
// each result and each error has the index of its call.
func TestEachOutcomeHasTheIndexOfItsCallWhateverTravelsTogether(t *testing.T) {
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2}
	defer ex.Close()
	var calls []parallel.Call[int]
	var want, fails []int
	for i := range 40 {
		if i%5 < 2 {
			calls, want = append(calls, parallel.Delayed(double, i)), append(want, 2*i)
			continue
		}
		calls = append(calls, parallel.Delayed(halve, i))
		if i%2 != 0 {
			fails, want = append(fails, i), append(want, 0)
		} else {
			want = append(want, i/2)
		}
	}
	for size := 1; size <= 16; size++ {
		j := parallel.Jobs{N: 2, Executor: ex, BatchSize: size, OnError: parallel.CollectErrors}
		got, err := parallel.Run(t.Context(), j, slices.Values(calls))
		failed, _ := errors.AsType[executor.ItemErrors](err)
		var at []int
		for _, f := range failed {
			at = append(at, f.Index)
			if text := itemError(f.Index).Error(); f.Err == nil || f.Err.Error() != text {
				t.Errorf("BatchSize %d: the error of call %d is %v; want %s", size, f.Index, f.Err, text)
			}
		}
		if !slices.Equal(got, want) || !slices.Equal(at, fails) {
			t.Errorf("BatchSize %d: %v, with errors of %v; want %v, with errors of %v", size, got, at, want, fails)
		}
	}
}

