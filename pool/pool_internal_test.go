package pool

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
)

// The sizes of chunks that CPython's Pool.map has chosen.
func TestChunkSizeOfProcessesIsThatOfPython(t *testing.T) {
	var table struct {
		MadeBy any               `json:"made_by"`
		Chunks []json.RawMessage // the numbers of items, then, for each number of workers, the sizes
	}
	text, err := os.ReadFile("testdata/pool.json")
	if err == nil {
		err = json.Unmarshal(text, &table)
	}
	if err != nil {
		t.Fatal(err)
	}
	var numbers []int
	if err := json.Unmarshal(table.Chunks[0], &numbers); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, raw := range table.Chunks[1:] {
		var workers int
		var sizes []int
		if err := json.Unmarshal(raw, &[]any{&workers, &sizes}); err != nil {
			t.Fatal(err)
		}
		for i, n := range numbers {
			if got := quarter(n, workers); got != sizes[i] {
				t.Errorf("chunks of %d items for %d workers have %d; want %d, as with %v", n, workers, got, sizes[i], table.MadeBy)
			}
			checked++
		}
		p := Processes(workers)
		if got, want := p.chunkSize(0, numbers[len(numbers)-1]), sizes[len(sizes)-1]; got != want {
			t.Errorf("Processes(%d): chunks of %d items have %d; want %d", workers, numbers[len(numbers)-1], got, want)
		}
		_ = p.Close()
	}
	if checked != 5*55 {
		t.Errorf("the table has %d chunk sizes; want %d", checked, 5*55)
	}
}

// A pool whose Workers says that there is no limit.
func TestChunkSizeForNoWorkersIsThatForOne(t *testing.T) {
	if got, want := quarter(100, 0), 25; got != want {
		t.Errorf("quarter(100, 0) = %d; want %d", got, want)
	}
}

// A pool that lives on keeps nothing of the calls that have ended.
func TestPoolForgetsItsJobs(t *testing.T) {
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
	defer ex.Close()
	fails := func(_ context.Context, n int) (int, error) {
		if n == 2 {
			return 0, errors.New("two")
		}
		return n, nil
	}
	in := []int{1, 2, 3}
	for name, p := range map[string]*Pool{"Threads": Threads(2), "Over": Over(ex)} {
		_, _ = Map(t.Context(), p, fails, in)
		_, _ = Map(t.Context(), p, fails, in, CollectErrors())
		for _, f := range []*executor.Future[[]int]{MapAsync(t.Context(), p, fails, in), MapAsync(t.Context(), p, fails, nil)} {
			_, _ = f.Result(t.Context())
		}
		ended, end := context.WithCancel(t.Context())
		end()
		_, _ = MapAsync(ended, p, fails, in).Result(t.Context())
		_, _ = executor.Submit(t.Context(), p, fails, 2).Result(t.Context())
		_, _ = Apply(t.Context(), p, fails, 2)
		_, _ = ApplyAsync(t.Context(), p, fails, 1).Result(t.Context())
		for range Imap(t.Context(), p, fails, slices.Values(in)) {
		}
		for range ImapUnordered(t.Context(), p, fails, slices.Values(in)) {
			break
		}
		left := func() int {
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.jobs) + p.awaited
		}
		for begin := time.Now(); left() > 0 && time.Since(begin) < time.Minute; { // a callback ends it, which nobody waits for
			time.Sleep(time.Millisecond)
		}
		if n := left(); n != 0 {
			t.Errorf("%s: %d jobs are left when all have ended; want 0", name, n)
		}
		if err := p.Close(); err != nil {
			t.Errorf("%s: Close = %v; want nil", name, err)
		}
	}
}
