package executor_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gofutures/futures/executor"
)

// span is a part of shared memory, and what is to be done with it.
type span struct {
	Numbers *executor.Shared[float64]
	From    int
	To      int
	Add     float64
}

func init() {
	executor.Register(sumShared)
	executor.Register(sumSpan)
	executor.Register(sumSpans)
	executor.Register(addToSpan)
	executor.Register(returnShared)
	executor.Register(makeShared)
	executor.Register(sumSharedInNestedPool)
	executor.Register(closeShared)
	executor.Register(countNil)
}

func sumOfFloats(numbers []float64) (sum float64) {
	for _, x := range numbers {
		sum += x
	}
	return sum
}

func sumShared(_ context.Context, s *executor.Shared[float64]) (float64, error) {
	numbers := s.Slice()
	runtime.GC() // s is in use no more, as far as this function goes
	return sumOfFloats(numbers), nil
}

func sumSpan(_ context.Context, s span) (float64, error) {
	numbers := s.Numbers.Slice()[s.From:s.To]
	runtime.GC()
	return sumOfFloats(numbers), nil
}

func sumSpans(ctx context.Context, spans []span) (total float64, err error) {
	for _, s := range spans {
		sum, _ := sumSpan(ctx, s)
		total += sum
	}
	return total, nil
}

func addToSpan(_ context.Context, s span) (pid int, err error) {
	numbers := s.Numbers.Slice()
	for i := s.From; i < s.To; i++ {
		numbers[i] += s.Add
	}
	return os.Getpid(), nil
}

func returnShared(_ context.Context, s *executor.Shared[float64]) (*executor.Shared[float64], error) {
	return s, nil
}

func makeShared(_ context.Context, n int) (*executor.Shared[float64], error) {
	return executor.NewShared[float64](n)
}

func sumSharedInNestedPool(ctx context.Context, s *executor.Shared[float64]) (float64, error) {
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1}
	defer ex.Close()
	return executor.Submit(ctx, ex, sumShared, s).Result(ctx)
}

func closeShared(_ context.Context, s *executor.Shared[float64]) (string, error) {
	return fmt.Sprint(s.Close()), nil
}

// countNil counts those that have no memory.
func countNil(_ context.Context, all map[string]*executor.Shared[float64]) (n int, err error) {
	for _, s := range all {
		if s == nil && s.Slice() == nil && s.Close() == nil && s.Writable() == nil {
			n++
		}
	}
	return n, nil
}

// newShared makes n ones, and gives them back after the test.
func newShared(t testing.TB, n int) *executor.Shared[float64] {
	t.Helper()
	s, err := executor.NewShared[float64](n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	numbers := s.Slice()
	for i := range numbers {
		numbers[i] = 1
	}
	return s
}

func want[T comparable](t testing.TB, what string, got T, err error, want T) {
	t.Helper()
	if err != nil || got != want {
		t.Errorf("%s: %v, %v; want %v, nil", what, got, err, want)
	}
}

func TestSharedArrivesInWorkerProcesses(t *testing.T) {
	const n = 1000
	ctx := context.Background()
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	s := newShared(t, n)
	sum, err := resultOf(t, executor.Submit(ctx, ex, sumShared, s))
	want(t, "the sum", sum, err, n)
	sum, err = resultOf(t, executor.Submit(ctx, ex, sumSpan, span{s, 10, 20, 0}))
	want(t, "the sum of a part", sum, err, 10)
	sum, err = resultOf(t, executor.Submit(ctx, ex, sumSpans, []span{{s, 0, 10, 0}, {s, 0, 20, 0}}))
	want(t, "the sum of two parts", sum, err, 30)
	sums, err := executor.MapSlice(ctx, ex, sumSpan, slices.Repeat([]span{{s, 0, 3, 0}}, 100))
	if err != nil || len(sums) != 100 || sumOfFloats(sums) != 300 {
		t.Errorf("MapSlice = %v, %v; want 100 times 3", sums, err)
	}
	sum, err = resultOf(t, executor.Submit(ctx, ex, sumSharedInNestedPool, s))
	want(t, "the sum of a pool in a worker", sum, err, n)
	empty := newShared(t, 0)
	sum, err = resultOf(t, executor.Submit(ctx, ex, sumShared, empty))
	want(t, "the sum of nothing", sum, err, 0)
	nils, err := resultOf(t, executor.Submit(ctx, ex, countNil, map[string]*executor.Shared[float64]{"a": nil, "b": s, "c": nil, "d": empty}))
	want(t, "nil ones", nils, err, 2)
}

func TestSharedIsTheSamePointerOnGoroutines(t *testing.T) {
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
	defer ex.Close()
	s := newShared(t, 10)
	got, err := resultOf(t, executor.Submit(context.Background(), ex, returnShared, s))
	want(t, "the pointer", got, err, s)
}

func TestSharedThatComesBackIsTheSameMemory(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	s := newShared(t, 10)
	got, err := resultOf(t, executor.Submit(context.Background(), ex, returnShared, s))
	if err != nil || len(got.Slice()) != 10 {
		t.Fatalf("it comes back as %v, %v; want 10 numbers", got.Slice(), err)
	}
	if !isShared {
		return
	}
	if &got.Slice()[0] != &s.Slice()[0] {
		t.Error("it comes back as other memory")
	}
	if err := got.Close(); err != nil || s.Slice() != nil {
		t.Errorf("Close = %v, and the slice is %v; want that the memory is closed for all handles", err, s.Slice())
	}
}

func TestNewSharedRefusesImpossibleLengths(t *testing.T) {
	for _, n := range []int{-1, math.MinInt, math.MaxInt, math.MaxInt / 8} {
		s, err := executor.NewShared[float64](n)
		if err == nil || s != nil || !strings.HasPrefix(err.Error(), "executor: NewShared: ") || !strings.Contains(err.Error(), fmt.Sprint(n)) {
			t.Errorf("NewShared(%d) = %v, %v; want an error that says so", n, s, err)
		}
	}
	empty := newShared(t, 0)
	if s := empty.Slice(); s == nil || len(s) != 0 {
		t.Errorf("the slice of none is %v, nil: %t; want an empty one", s, s == nil)
	}
	if err := errors.Join(empty.Close(), empty.Close()); err != nil || empty.Slice() != nil {
		t.Errorf("Close = %v, and the slice is %v after it; want nil and nil", err, empty.Slice())
	}
}

func TestSharedOfEachKindIsZeroAndComesBack(t *testing.T) {
	type celsius float32
	checkKind[int](t, 7)
	checkKind[int8](t, -7)
	checkKind[int16](t, 7)
	checkKind[int32](t, 7)
	checkKind[int64](t, math.MinInt64)
	checkKind[uint](t, 7)
	checkKind[byte](t, 255)
	checkKind[uint16](t, 7)
	checkKind[uint32](t, 7)
	checkKind[uint64](t, math.MaxUint64)
	checkKind[celsius](t, 36.6)
	checkKind[float64](t, math.Inf(1))
	checkKind[complex64](t, 1-2i)
	checkKind[complex128](t, 1-2i)
}

func checkKind[T executor.Number](t *testing.T, x T) {
	t.Helper()
	s, err := executor.NewShared[T](3)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	before := slices.Clone(s.Slice())
	s.Slice()[1] = x
	data, err := executor.Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := executor.Decode[*executor.Shared[T]](data)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(before, make([]T, 3)) || !slices.Equal(got.Slice(), []T{0, x, 0}) {
		t.Errorf("%T: it is %v at first, and %v when it comes back; want zeros, and %v as the second", s, before, got.Slice(), x)
	}
}

func TestClosedSharedIsAnErrorOfTheCall(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	s := newShared(t, 10)
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if s.Slice() != nil || s.Writable().Slice() != nil {
		t.Error("there is a slice after Close; want nil")
	}
	for what, f := range map[string]*executor.Future[float64]{
		"Submit":              executor.Submit(context.Background(), ex, sumShared, s),
		"Submit in a struct":  executor.Submit(context.Background(), ex, sumSpan, span{Numbers: s}),
		"Submit writable":     executor.Submit(context.Background(), ex, sumShared, s.Writable()),
		"Submit a zero value": executor.Submit(context.Background(), ex, sumShared, new(executor.Shared[float64])),
	} {
		_, err := resultOf(t, f)
		isZero := strings.HasSuffix(what, "zero value")
		if err == nil || errors.Is(err, fs.ErrClosed) == isZero || !strings.Contains(err.Error(), "shared memory: ") {
			t.Errorf("%s: the error is %v; want one that says that it is closed", what, err)
		}
	}
	if _, err := executor.MapSlice(context.Background(), ex, sumSpan, []span{{Numbers: s}, {}}); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("MapSlice: the error is %v; want fs.ErrClosed", err)
	}
}

func TestOnlyTheMakerClosesAShared(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	s := newShared(t, 10)
	for range 2 {
		said, err := resultOf(t, executor.Submit(context.Background(), ex, closeShared, s))
		if err != nil || !strings.Contains(said, "made by another process") {
			t.Errorf("Close in a worker = %s, %v; want an error that says who closes it", said, err)
		}
		sum, err := resultOf(t, executor.Submit(context.Background(), ex, sumShared, s))
		want(t, "the sum after that", sum, err, 10)
	}
}

func TestSharedOfOtherNumbersIsRefused(t *testing.T) {
	s := newShared(t, 10)
	data, err := s.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if err := new(executor.Shared[int64]).UnmarshalBinary(data); err == nil || !strings.Contains(err.Error(), "float64, not int64") {
		t.Errorf("as int64: %v; want an error that names both types", err)
	}
	if err := new(executor.Shared[float32]).UnmarshalBinary(data); err == nil || !strings.Contains(err.Error(), "float64, not float32") {
		t.Errorf("as float32: %v; want an error that names both types", err)
	}
	if _, err := executor.Decode[*executor.Shared[float32]](must(executor.Encode(s))); err == nil || !strings.Contains(err.Error(), "float64, not float32") {
		t.Errorf("Decode: %v; want an error that names both types", err)
	}
}

// must is for what cannot fail.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A handle that is not what MarshalBinary returned is an error or some memory, and
// never the end of the process.
func TestSharedHandlesOfAnyOriginDoNoHarm(t *testing.T) {
	s := newShared(t, 10)
	good := must(s.MarshalBinary())
	take := func(t interface{ Errorf(string, ...any) }, data []byte) {
		var got executor.Shared[float64]
		if err := got.UnmarshalBinary(data); err != nil {
			if got.Slice() != nil {
				t.Errorf("%x: the error is %v, and there is a slice", data, err)
			}
			return
		}
		_ = sumOfFloats(got.Slice())
	}
	for i := range good {
		take(t, good[:i])
		for _, b := range []byte{0, 1, 2, 7, 127, 128, 255} {
			bad := slices.Clone(good)
			bad[i] = b
			take(t, bad)
		}
	}
	form := func(kind, flags byte, n, pid, fd uint64) []byte {
		b := binary.AppendUvarint([]byte{1, kind, flags}, n)
		b = binary.AppendUvarint(append(b, 0), pid)
		return append(binary.AppendUvarint(b, fd), make([]byte, 16)...)
	}
	const float64Kind = 14
	for _, pid := range []uint64{0, 1, uint64(os.Getpid()), uint64(os.Getppid()), math.MaxInt32, math.MaxInt64, math.MaxUint64} {
		for fd := range uint64(12) {
			for _, n := range []uint64{0, 1, 1 << 40, math.MaxInt64 / 8, math.MaxInt64, math.MaxUint64} {
				take(t, form(float64Kind, byte(fd%2), n, pid, fd))
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		head := rapid.SampledFrom([][]byte{nil, {1, float64Kind, 0}, {1, float64Kind, 1}, {2, float64Kind, 0}, good[:4]}).Draw(t, "head")
		take(t, slices.Concat(head, rapid.SliceOf(rapid.Byte()).Draw(t, "data")))
	})
}
