package executor

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"github.com/gofutures/futures/executor/internal/proc"
)

func init() { Register(addOneToShared) }

// addOneToShared adds one to all, in its own copy, and returns their sum.
func addOneToShared(_ context.Context, s *Shared[int32]) (sum int32, err error) {
	for i := range s.Slice() {
		s.Slice()[i]++
		sum += s.Slice()[i]
	}
	return sum, nil
}

// copied is what NewShared returns where the system has no memory to share.
func copied(numbers ...int32) *Shared[int32] {
	s := &Shared[int32]{memory: ordinary(reflect.Int32, len(numbers), 4*len(numbers))}
	copy(s.Slice(), numbers)
	return s
}

func TestSharedIsCopiedWhereMemoryCannotBeShared(t *testing.T) {
	needsProcesses(t)
	ctx := context.Background()
	ex := &ProcessPoolExecutor{MaxWorkers: 1, Stderr: io.Discard}
	defer ex.Close()
	for _, numbers := range [][]int32{{}, {1}, {1, -2, 3}, make([]int32, 1<<20)} {
		s := copied(numbers...)
		var want int32
		for _, x := range numbers {
			want += x + 1
		}
		if sum, err := Submit(ctx, ex, addOneToShared, s).Result(ctx); err != nil || sum != want {
			t.Errorf("of %d numbers, the worker returns %d, %v; want %d", len(numbers), sum, err, want)
		}
		if !slices.Equal(s.Slice(), numbers) {
			t.Errorf("%d numbers are others after the call", len(numbers))
		}
		_, err := Submit(ctx, ex, addOneToShared, s.Writable()).Result(ctx)
		if !errors.Is(err, proc.ErrNoSegments) {
			t.Errorf("of a writable one, the error is %v; want that there is no such memory", err)
		}
		if err := s.Close(); err != nil || s.Slice() != nil {
			t.Errorf("Close = %v, and the slice is %v; want nil and nil", err, s.Slice())
		}
		if _, err := Submit(ctx, ex, addOneToShared, s).Result(ctx); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("after Close, the error is %v; want fs.ErrClosed", err)
		}
	}
}

func TestOrdinaryMemoryThatIsTooLargeIsAnError(t *testing.T) {
	if strconv.IntSize == 32 {
		t.Skip("there may be as much memory as an int can say")
	}
	for _, size := range []int{math.MaxInt, math.MaxInt &^ 7} {
		if m, err := tryOrdinary(reflect.Int32, 1, size); m != nil || err == nil {
			t.Errorf("%d bytes: %v, %v; want an error", size, m, err)
		}
	}
}

// A pool in a worker looks for the memory of the first maker in its own table, where
// another process with its number may have been.
func TestHandleOfAnEarlierProcessWithThisNumberIsClosed(t *testing.T) {
	m, err := NewShared[int32](10)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if m.memory.segment == nil {
		t.Skip("there is no memory to share here")
	}
	data, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1]++ // of the nonce
	if err := new(Shared[int32]).UnmarshalBinary(data); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("the error is %v; want fs.ErrClosed", err)
	}
}

func TestSharedTableForgetsWhatNobodyHas(t *testing.T) {
	known := func() int {
		sharedMemories.mu.Lock()
		defer sharedMemories.mu.Unlock()
		return len(sharedMemories.known)
	}
	before := known()
	for range 100 {
		s, err := NewShared[int32](10)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for range 1000 {
		if runtime.GC(); known() <= before {
			return
		}
	}
	t.Errorf("process %d knows %d memories, and %d before", os.Getpid(), known(), before)
}
