package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/gofutures/futures/pool"
)

// poolMap closes the pool, which also joins it.
//
//	pool = multiprocessing.Pool(4)
//	print(pool.map(count, ["elephant", "owl", "gopher"]))
//	pool.close()
//	pool.join()
func poolMap(ctx context.Context, out io.Writer) error {
	p := pool.Processes(4)
	counts, err := pool.Map(ctx, p, count, []string{"elephant", "owl", "gopher"})
	if err != nil {
		p.Terminate()
		return err
	}
	fmt.Fprintln(out, counts)
	return p.Close()
}

// poolApply asks for one result while the pool works on others. Where Python's
// with-block ends what is not done, Close waits for it.
//
//	with ThreadPool(4) as pool:
//	    others = pool.map_async(count, ["elephant", "owl"])
//	    print(pool.apply(count, ["gopher"]))
//	    print(others.get())
func poolApply(ctx context.Context, out io.Writer) error {
	p := pool.Threads(4)
	defer p.Close()
	others := pool.MapAsync(ctx, p, count, []string{"elephant", "owl"})
	n, err := pool.Apply(ctx, p, count, "gopher")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, n)
	counts, err := others.Result(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, counts)
	return nil
}

// poolImap goes on after an error, as Python's does if the chunksize is 1.
//
//	with ThreadPool(4) as pool:
//	    counts = pool.imap(count, ["elephant", "", "owl"])
//	    while True:
//	        try:
//	            print(next(counts))
//	        except ValueError as e:
//	            print(e)
//	        except StopIteration:
//	            break
func poolImap(ctx context.Context, out io.Writer) error {
	p := pool.Threads(4)
	defer p.Close()
	for n, err := range pool.Imap(ctx, p, count, slices.Values([]string{"elephant", "", "owl"})) {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			fmt.Fprintln(out, err)
		default:
			fmt.Fprintln(out, n)
		}
	}
	return nil
}
