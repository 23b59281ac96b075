package parallel_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/gofutures/futures/parallel"
)

// MEM-01.
func TestACallWithTheSameArgumentIsAnsweredFromDisk(t *testing.T) {
	m := &parallel.Memory{Dir: t.TempDir()}
	defer m.Sync()
	var calls atomic.Int64
	square := parallel.Cache(m, "square", "v1", func(_ context.Context, n int) (int, error) {
		calls.Add(1)
		return n * n, nil
	})
	for range 3 {
		if got, err := square(t.Context(), 7); got != 49 || err != nil {
			t.Fatalf("square(7) = %d, %v; want 49", got, err)
		}
	}
	if calls.Load() != 1 {
		t.Errorf("the function was called %d times; want 1", calls.Load())
	}
	if s := m.Stats(); s.Hits != 2 || s.Misses != 1 {
		t.Errorf("Stats() = %+v; want 2 hits and 1 miss", s)
	}
}
