package executor_test

import (
	"context"
	"testing"
	"testing/synctest"
	"weak"

	"github.com/gofutures/futures/executor"
)

// submitWithValue submits calls with a ctx that has a value, and drops both.
//
//go:noinline
func submitWithValue(ex executor.Executor, n int) weak.Pointer[big] {
	value := new(big)
	type key struct{}
	ctx := context.WithValue(context.Background(), key{}, value)
	for range n {
		executor.Submit(ctx, ex, func(ctx context.Context, n int) (int, error) {
			if ctx.Value(key{}) == nil {
				panic("the function's ctx has lost the value")
			}
			return n, nil
		}, 1).Result(ctx)
	}
	return weak.Make(value)
}

// D28: calls with one ctx share what is known of it; when the last has ended, that
// goes too, though the executor lives on.
func TestAnExecutorThatHasNothingToDoHoldsNoCtx(t *testing.T) {
	eachBubble(t, func(t *testing.T, ex opened) {
		for _, n := range []int{1, 3, 100} {
			value := submitWithValue(ex, n)
			synctest.Wait()
			if !collected(value) {
				t.Errorf("after %d calls the value of their ctx is held", n)
			}
		}
	})
}

// The ctx of a type that cannot be compared is a ctx like any other.
func TestACtxNeedNotBeComparable(t *testing.T) {
	type uncomparable struct {
		context.Context
		_ []int
	}
	eachBubble(t, func(t *testing.T, ex opened) {
		for range 3 {
			ctx := uncomparable{Context: context.Background()}
			if n, err := executor.Submit(ctx, ex, double, 2).Result(ctx); n != 4 || err != nil {
				t.Errorf("Result = %d, %v; want 4, nil", n, err)
			}
		}
	})
}
