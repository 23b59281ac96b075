package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/gofutures/futures/executor"
)

func init() { executor.Register(sumPart) }

// part is a part of numbers that all workers see without a copy.
type part struct {
	Numbers *executor.Shared[float64]
	Lo, Hi  int
}

func sumPart(ctx context.Context, p part) (sum float64, err error) {
	select {
	case <-time.After(50 * time.Millisecond):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	for _, x := range p.Numbers.Slice()[p.Lo:p.Hi] {
		sum += x
	}
	return sum, nil
}

// sharedMemory sums a million numbers that are not copied to the workers. If they
// are to write there too, it takes numbers.Writable().
//
//	def sum_part(name, lo, hi):
//	    time.sleep(0.05)
//	    shm = SharedMemory(name)
//	    total = np.ndarray(1000000, buffer=shm.buf)[lo:hi].sum()
//	    shm.close()
//	    return total
//
//	shm = SharedMemory(create=True, size=8 * 1000000)
//	numbers = np.ndarray(1000000, buffer=shm.buf)
//	numbers[:] = 0.5
//	with ProcessPoolExecutor(2) as ex:
//	    print(sum(ex.map(sum_part, [shm.name] * 2, [0, 500000], [500000, 1000000])))
//	shm.close()
//	shm.unlink()
func sharedMemory(ctx context.Context, out io.Writer) error {
	numbers, err := executor.NewShared[float64](1e6)
	if err != nil {
		return err
	}
	defer numbers.Close()
	all := numbers.Slice()
	for i := range all {
		all[i] = 0.5
	}
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2}
	defer ex.Close()
	sums, err := executor.MapSlice(ctx, ex, sumPart, []part{{numbers, 0, 5e5}, {numbers, 5e5, 1e6}})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, sums[0]+sums[1])
	return nil
}
