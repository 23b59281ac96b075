package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/gofutures/futures/parallel"
)

// parallelDelayed may mix functions, as long as they return the same type.
//
//	print(Parallel(n_jobs=4, prefer="threads")(
//	    delayed(count)(word) for word in ["elephant", "owl", "gopher"]))
func parallelDelayed(ctx context.Context, out io.Writer) error {
	counts, err := parallel.Parallel(ctx, 4,
		parallel.Delayed(count, "elephant"),
		parallel.Delayed(count, "owl"),
		parallel.Delayed(count, "gopher"))
	if err != nil {
		return err
	}
	fmt.Fprintln(out, counts)
	return nil
}

// parallelMap is that for one function and all of a slice.
//
//	words = ["elephant", "owl", "gopher"]
//	print(Parallel(n_jobs=4, prefer="threads")(delayed(count)(word) for word in words))
func parallelMap(ctx context.Context, out io.Writer) error {
	words := []string{"elephant", "owl", "gopher"}
	counts, err := parallel.Map(ctx, 4, count, words)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, counts)
	return nil
}

// parallelCache counts a word once, and then has it from disk.
//
//	with tempfile.TemporaryDirectory() as folder:
//	    cached = Memory(folder, verbose=0).cache(count)
//	    print(cached("elephant"), cached("elephant"))
func parallelCache(ctx context.Context, out io.Writer) error {
	folder, err := os.MkdirTemp("", "seeds")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	memory := &parallel.Memory{Dir: folder}
	defer memory.Sync()
	cached := parallel.Cache(memory, "count", "v1", count)
	first, err := cached(ctx, "elephant")
	if err != nil {
		return err
	}
	second, err := cached(ctx, "elephant")
	fmt.Fprintln(out, first, second)
	return err
}

// parallelStream has the results as they are ready, from worker processes.
//
//	words = ["elephant", "owl", "gopher"]
//	for n in Parallel(n_jobs=4, return_as="generator")(delayed(count)(word) for word in words):
//	    print(n)
func parallelStream(ctx context.Context, out io.Writer) error {
	words := slices.Values([]string{"elephant", "owl", "gopher"})
	calls := func(yield func(parallel.Call[int]) bool) {
		words(func(word string) bool { return yield(parallel.Delayed(count, word)) })
	}
	for n, err := range parallel.Stream(ctx, parallel.Jobs{N: 4, Backend: "processes"}, calls) {
		if err != nil {
			return err
		}
		fmt.Fprintln(out, n)
	}
	return nil
}
