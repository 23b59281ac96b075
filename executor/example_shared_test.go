package executor_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/gofutures/futures/executor"
)

// row is a row of a table that is in shared memory.
type row struct {
	Table *executor.Shared[float64]
	Index int
	Width int
}

func (r row) numbers() []float64 { return r.Table.Slice()[r.Index*r.Width:][:r.Width] }

// sumRow reads one row.
func sumRow(_ context.Context, r row) (sum float64, err error) {
	for _, x := range r.numbers() {
		sum += x
	}
	return sum, nil
}

func init() {
	executor.Register(sumRow)
	executor.Register(mean)
	executor.Register(totalOfShorts)
}

// Four calls read their rows of one table, which is never copied.
func ExampleShared() {
	ctx := context.Background()
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2}
	defer ex.Close()

	table, err := executor.NewShared[float64](4 * 1000)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer table.Close()
	for i := range table.Slice() {
		table.Slice()[i] = float64(i / 1000)
	}

	sums, err := executor.MapSlice(ctx, ex, sumRow, []row{{table, 0, 1000}, {table, 1, 1000}, {table, 2, 1000}, {table, 3, 1000}})
	fmt.Println(sums, err)
	// Output: [0 1000 2000 3000] <nil>
}

func mean(_ context.Context, s *executor.Shared[float64]) (m float64, err error) {
	for _, x := range s.Slice() {
		m += x / float64(len(s.Slice()))
	}
	return m, nil
}

func ExampleNewShared() {
	ctx := context.Background()
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1}
	defer ex.Close()

	s, err := executor.NewShared[float64](1 << 20)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	fmt.Println(executor.Submit(ctx, ex, mean, s).Result(ctx))
	_, err = executor.NewShared[float64](-1)
	fmt.Println(err)
	// Output:
	// 0 <nil>
	// executor: NewShared: there cannot be -1 numbers
}

// What the maker writes, the next call sees.
func ExampleShared_Slice() {
	ctx := context.Background()
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1}
	defer ex.Close()

	s, err := executor.NewShared[float64](2)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	for range 2 {
		s.Slice()[1] += 10
		fmt.Println(executor.Submit(ctx, ex, mean, s).Result(ctx))
	}
	// Output:
	// 5 <nil>
	// 10 <nil>
}

func ExampleShared_Close() {
	ctx := context.Background()
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1}
	defer ex.Close()

	s, err := executor.NewShared[float64](1 << 20)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Close(), s.Slice())
	_, err = executor.Submit(ctx, ex, mean, s).Result(ctx)
	fmt.Println(errors.Is(err, fs.ErrClosed))
	// Output:
	// <nil> []
	// true
}

// total works with numbers of any type.
func total[T executor.Number](s *executor.Shared[T]) (sum T) {
	for _, x := range s.Slice() {
		sum += x
	}
	return sum
}

func totalOfShorts(_ context.Context, s *executor.Shared[int16]) (int16, error) { return total(s), nil }

func ExampleNumber() {
	ctx := context.Background()
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1}
	defer ex.Close()

	s, err := executor.NewShared[int16](3)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	copy(s.Slice(), []int16{-1, 7, 3})
	fmt.Println(total(s))
	fmt.Println(executor.Submit(ctx, ex, totalOfShorts, s).Result(ctx))
	// Output:
	// 9
	// 9 <nil>
}

// A handle that is encoded by hand is decoded in any process of this machine that is
// of the same user, until the memory is closed. In the one that has made it, it is
// the same memory; where memory cannot be shared, it is a copy.
func ExampleShared_MarshalBinary() {
	s, err := executor.NewShared[float64](1 << 20)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	data, err := s.MarshalBinary()
	if err != nil {
		fmt.Println(err)
		return
	}
	var again executor.Shared[float64]
	fmt.Println(again.UnmarshalBinary(data), len(again.Slice()))
	// Output: <nil> 1048576
}

func ExampleShared_UnmarshalBinary() {
	var s executor.Shared[float64]
	fmt.Println(s.UnmarshalBinary([]byte("nonsense")))
	// Output: shared memory: malformed handle
}
