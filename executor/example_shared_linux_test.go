package executor_test

import (
	"context"
	"fmt"

	"github.com/gofutures/futures/executor"
)

func init() { executor.Register(fillRow) }

// fillRow writes one row.
func fillRow(_ context.Context, r row) (n int, err error) {
	numbers := r.numbers()
	for i := range numbers {
		numbers[i] = float64(r.Index)
	}
	return r.Width, nil
}

// Workers write their results into memory of the parent. Elsewhere than on Linux,
// the error of the call says that they cannot.
func ExampleShared_Writable() {
	ctx := context.Background()
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2}
	defer ex.Close()

	table, err := executor.NewShared[float64](3 * 2)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer table.Close()

	rows := []row{{table.Writable(), 0, 2}, {table.Writable(), 1, 2}, {table.Writable(), 2, 2}}
	if _, err := executor.MapSlice(ctx, ex, fillRow, rows); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(table.Slice())
	// Output: [0 0 1 1 2 2]
}
