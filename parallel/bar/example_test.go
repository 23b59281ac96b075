package bar_test

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/gofutures/futures/parallel"
	"github.com/gofutures/futures/parallel/bar"
)

func length(_ context.Context, word string) (int, error) { return len(word), nil }

func ExampleBar() {
	ctx := context.Background()
	calls := slices.Values([]parallel.Call[int]{
		parallel.Delayed(length, "go"),
		parallel.Delayed(length, "gopher"),
	})

	b := bar.New(os.Stderr, "measure")
	defer b.Close()
	lengths, err := parallel.Run(ctx, parallel.Jobs{N: -1, Progress: b.Report}, calls)
	fmt.Println(lengths, err)
	// Output: [2 6] <nil>
}

// A run that takes its calls one by one learns at its end how many there are. What
// knows it before says so to the bar.
func ExampleBar_Report() {
	ctx := context.Background()
	words := []string{"go", "gopher"}

	b := bar.New(os.Stderr, "measure")
	defer b.Close()
	calls := make([]parallel.Call[int], len(words))
	for i, word := range words {
		calls[i] = parallel.Delayed(length, word)
	}
	// Parallel is given all calls, so it knows their number from the beginning.
	lengths, err := parallel.Parallel(parallel.WithConfig(ctx, parallel.Jobs{Progress: b.Report}), -1, calls...)
	fmt.Println(lengths, err)
	// Output: [2 6] <nil>
}

func ExampleNew() {
	b := bar.New(os.Stderr, "measure")
	defer b.Close()
}

func ExampleBar_Close() {
	b := bar.New(os.Stderr, "measure")
	b.Report(parallel.Stats{Done: 1, Total: 2})
	b.Close() // before the error is printed, which gets a line of its own
	fmt.Println("the run has failed")
	// Output: the run has failed
}
