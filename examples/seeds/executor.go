package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/gofutures/futures/executor"
)

// mapWords has the results in the order of the words.
//
//	with ThreadPoolExecutor(max_workers=4) as ex:
//	    for n in ex.map(count, ["elephant", "owl", "gopher"]):
//	        print(n)
func mapWords(ctx context.Context, out io.Writer) error {
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 4}
	defer ex.Close()
	for n, err := range executor.Map(ctx, ex, count, slices.Values([]string{"elephant", "owl", "gopher"})) {
		if err != nil {
			return err
		}
		fmt.Fprintln(out, n)
	}
	return nil
}

// sumWords has all results in one slice, or the first error.
//
//	with ThreadPoolExecutor(max_workers=4) as ex:
//	    print(sum(ex.map(count, ["elephant", "owl", "gopher"])))
func sumWords(ctx context.Context, out io.Writer) error {
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 4}
	defer ex.Close()
	counts, err := executor.MapSlice(ctx, ex, count, []string{"elephant", "owl", "gopher"})
	if err != nil {
		return err
	}
	sum := 0
	for _, n := range counts {
		sum += n
	}
	fmt.Fprintln(out, sum)
	return nil
}

// submitWords has the results in the order in which they come, and the errors
// with them.
//
//	words = ["elephant", "owl", "", "gopher"]
//	with ThreadPoolExecutor(max_workers=4) as ex:
//	    futures = {ex.submit(count, word): word for word in words}
//	    for future in as_completed(futures):
//	        word = futures[future]
//	        try:
//	            print(f"{word!r}: {future.result()}")
//	        except ValueError as e:
//	            print(f"{word!r}: {e}")
func submitWords(ctx context.Context, out io.Writer) error {
	words := []string{"elephant", "owl", "", "gopher"}
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 4}
	defer ex.Close()
	var futures []*executor.Future[int]
	for _, word := range words {
		futures = append(futures, executor.Submit(ctx, ex, count, word))
	}
	for i, future := range executor.AsCompleted(ctx, futures...) {
		if n, err := future.Result(ctx); err != nil {
			fmt.Fprintf(out, "'%s': %v\n", words[i], err)
		} else {
			fmt.Fprintf(out, "'%s': %d\n", words[i], n)
		}
	}
	return ctx.Err()
}

// startAndJoin needs no list for the results: a future brings its own.
//
//	results = []
//	thread = threading.Thread(target=lambda: results.append(count("gopher")))
//	thread.start()
//	print("started")
//	thread.join()
//	print(results[0])
func startAndJoin(ctx context.Context, out io.Writer) error {
	thread := executor.Go(ctx, &executor.ThreadPerTask{}, func(ctx context.Context) (int, error) {
		return count(ctx, "gopher")
	})
	fmt.Fprintln(out, "started")
	n, err := thread.Result(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, n)
	return nil
}

// firstOfAll takes the first result. Cancel also stops what runs already,
// because count looks at its ctx; Python's with-block waits for it.
//
//	with ThreadPoolExecutor(max_workers=4) as ex:
//	    futures = [ex.submit(count, word) for word in ["elephant", "owl", "gopher"]]
//	    done, pending = wait(futures, return_when=FIRST_COMPLETED)
//	    for future in done:
//	        print(future.result())
//	    print(len(pending), "pending")
//	    for future in pending:
//	        future.cancel()
func firstOfAll(ctx context.Context, out io.Writer) error {
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 4}
	defer ex.Close()
	var futures []*executor.Future[int]
	for _, word := range []string{"elephant", "owl", "gopher"} {
		futures = append(futures, executor.Submit(ctx, ex, count, word))
	}
	done, pending, err := executor.Wait(ctx, executor.FirstCompleted, futures...)
	if err != nil {
		return err
	}
	for _, future := range done {
		n, err := future.Result(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, n)
	}
	fmt.Fprintln(out, len(pending), "pending")
	for _, future := range pending {
		future.Cancel()
	}
	return nil
}

// A function that runs in other processes is registered, and main begins with
// executor.WorkerMain().
func init() { executor.Register(count) }

// mapInProcesses is mapWords with another executor: the words are counted in
// other processes.
//
//	with ProcessPoolExecutor(max_workers=4) as ex:
//	    for n in ex.map(count, ["elephant", "owl", "gopher"]):
//	        print(n)
func mapInProcesses(ctx context.Context, out io.Writer) error {
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 4}
	defer ex.Close()
	for n, err := range executor.Map(ctx, ex, count, slices.Values([]string{"elephant", "owl", "gopher"})) {
		if err != nil {
			return err
		}
		fmt.Fprintln(out, n)
	}
	return nil
}
