package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/gofutures/futures/executor"
)

// An item is the argument of a call. Its low bits are a number, and those above say
// how many steps of work the call has; the result is always the item plus one, so
// that every contender can be checked.
const stepShift = 24

// maxItems is how many different items of one size there are.
const maxItems = 1 << stepShift

func item(number int, steps int64) int64 { return steps<<stepShift | int64(number) }

// itemsOf returns n items that all have so many steps.
func itemsOf(n int, steps int64) []int64 {
	items := make([]int64, n)
	for i := range items {
		items[i] = item(i%maxItems, steps)
	}
	return items
}

// skewed returns n items of so many steps, of which a hundredth has a hundred times as
// many: the last ones, or any.
func skewed(n int, steps int64, last bool) []int64 {
	items := itemsOf(n, steps)
	order := rand.New(rand.NewPCG(1, 2)).Perm(n)
	for i := range n / 100 {
		long := order[i]
		if last {
			long = n - 1 - i
		}
		items[long] = item(long, 100*steps)
	}
	return items
}

// call is what the contenders call. Its work is a chain of multiplications: it
// touches no memory, and the compiler cannot remove it.
//
//go:noinline
func call(item int64) int64 {
	u := uint64(item) | 1
	for range item >> stepShift {
		u = u*6364136223846793005 + 1442695040888963407
	}
	if u == 0 {
		return 0 // which is never so: it makes the result depend on the work
	}
	return item + 1
}

// callIn is call as this library has its functions.
func callIn(_ context.Context, item int64) (int64, error) { return call(item), nil }

// A function is what the maps call, in the two shapes in which they take it.
type function struct {
	plain func(int64) int64
	in    executor.Func[int64, int64]
}

// cheap is a function with next to no work, and working one with the work of its item.
var (
	cheap   = function{func(x int64) int64 { return x + 1 }, func(_ context.Context, x int64) (int64, error) { return x + 1, nil }}
	working = function{call, callIn}
)

// checkResults says whether each result is that of its item.
func checkResults(items, results []int64) error {
	if len(results) != len(items) {
		return fmt.Errorf("%d results of %d items", len(results), len(items))
	}
	for i, r := range results {
		if r != items[i]+1 {
			return fmt.Errorf("result %d is %d; want %d", i, r, items[i]+1)
		}
	}
	return nil
}

// checkUnordered is checkResults for libraries that lose the order of the results.
func checkUnordered(items, results []int64) error {
	if len(results) != len(items) {
		return fmt.Errorf("%d results of %d items", len(results), len(items))
	}
	var got, want int64
	for i, r := range results {
		got += r
		want += items[i] + 1
	}
	if got != want {
		return fmt.Errorf("the sum of the results is %d; want %d", got, want)
	}
	return nil
}

// stepsPerMicrosecond measures how many steps of call this machine does now. The
// shortest of some tries is the one that was disturbed least.
func stepsPerMicrosecond() float64 {
	const steps = 200_000
	best := time.Duration(1<<63 - 1)
	for range 10 {
		begin := time.Now()
		_ = call(item(1, steps))
		best = min(best, time.Since(begin))
	}
	return steps / (float64(best.Nanoseconds()) / 1000)
}
