package executor_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/gofutures/futures/executor"
)

func init() {
	executor.Register(manyEntries)
	executor.Register(sevenTimes)
}

// manyEntries returns what takes its parent long to decode.
func manyEntries(_ context.Context, n int) (map[string]int, error) {
	m := make(map[string]int, n)
	for i := range n {
		m[fmt.Sprint(i)] = i
	}
	return m, nil
}

func sevenTimes(_ context.Context, n int) (int, error) { return 7 * n, nil }

// A result that takes long to decode holds up none that the same worker sends
// behind it. The order is the machine's: it is enough that it was seen once, which
// it never is where one goroutine reads and decodes.
func TestALargeResultHoldsUpNoneBehindIt(t *testing.T) {
	t.Parallel()
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	const rounds, entries = 50, 20_000
	for range rounds {
		large := executor.Submit(t.Context(), ex, manyEntries, entries)
		small := executor.Submit(t.Context(), ex, sevenTimes, 6)
		v, err := resultOf(t, small)
		wasFirst := large.State() != executor.Finished
		if v != 42 || err != nil {
			t.Fatalf("the small result = %d, %v; want 42, nil", v, err)
		}
		if m, err := resultOf(t, large); len(m) != entries || err != nil {
			t.Fatalf("the large result has %d entries, %v; want %d, nil", len(m), err, entries)
		}
		if wasFirst {
			return
		}
	}
	t.Errorf("the small result came after the large one in all %d rounds", rounds)
}
