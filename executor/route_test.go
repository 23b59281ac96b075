package executor_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
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

// Calls with one ctx share what is known of it; when the last has ended, that
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

// Nor does an executor hold a ctx while it has calls with another one.
func TestACtxIsNotHeldWhenItsLastCallHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, ex := range map[string]opened{"ThreadPoolExecutor": &executor.ThreadPoolExecutor{MaxWorkers: 2}, "ThreadPerTask": &executor.ThreadPerTask{}} {
			hold := newGate()
			executor.Submit(context.Background(), ex, hold.pass, 1)
			value := submitWithValue(ex, 2)
			synctest.Wait()
			if !collected(value) {
				t.Errorf("%s: the value of the ctx of a call that has ended is held", name)
			}
			hold.open()
			ex.Close()
		}
	})
}

// The last call of a batch is taken on another way than one that is made.
func TestACtxIsNotHeldWhenItsLastCallWasCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		value := cancelTheLast(ex)
		synctest.Wait()
		if !collected(value) {
			t.Error("the value of the ctx is held")
		}
	})
}

//go:noinline
func cancelTheLast(ex executor.Executor) weak.Pointer[big] {
	value := new(big)
	type key struct{}
	ctx := context.WithValue(context.Background(), key{}, value)
	hold := newGate()
	futures := []*executor.Future[int]{executor.Submit(context.Background(), ex, hold.pass, 1)}
	for i := range 10 {
		futures = append(futures, executor.Submit(ctx, ex, double, i))
	}
	futures[10].Cancel()
	hold.open()
	executor.Wait(context.Background(), executor.AllCompleted, futures...)
	return weak.Make(value)
}

// A runner that was cancelled in the queue holds nothing of its MapSlice.
func TestAMapSliceThatIsCancelledInTheQueueIsNotHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		hold := newGate()
		executor.Submit(context.Background(), ex, hold.pass, 1)
		in := cancelMapSlice(ex)
		synctest.Wait()
		if !collected(in) {
			t.Error("the input is held")
		}
		hold.open()
	})
}

//go:noinline
func cancelMapSlice(ex executor.Executor) weak.Pointer[big] {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	in := []*big{new(big), new(big)}
	executor.MapSlice(ctx, ex, func(context.Context, *big) (int, error) { return 1, nil }, in)
	return weak.Make(in[0])
}
