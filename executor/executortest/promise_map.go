package executortest

import (
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"

	"github.com/gofutures/futures/executor"
)

// mapPromises are about Map, MapSlice and Collect (D12).
var mapPromises = []promise{
	{id: "D12, MAP-01", says: "Map yields the results in the order of the items", check: mapInOrder},
	{id: "D12, MAP-17", says: "an unordered Map yields each result once", check: mapUnordered},
	{id: "D12, MAP-08", says: "nothing runs before a Map is ranged over", check: mapIsLazy},
	{id: "D12, MAP-07", says: "Map is no further ahead than its buffer", check: mapIsBounded},
	{id: "D12, MAP-04", says: "each item of a Map has its own outcome even inside a chunk", check: mapOutcomes},
	{id: "D12, MAP-10", says: "leaving a Map cancels what has not started and leaves nothing behind", check: mapBreak},
	{id: "D12, MAP-03", says: "Collect stops at the first error", check: collectStops},
	{id: "MAP-06", says: "maps of nothing return nothing", check: mapNothing},
	{id: "MAP-01", says: "MapSlice returns the results in order", check: mapSliceInOrder},
	{id: "MAP-03", says: "MapSlice fails with the error of lowest index", check: mapSliceFails},
}

var chunkSizes = []int{1, 3, 10, 100}

func mapInOrder(k *trial) {
	want := numbers(50)
	for _, size := range chunkSizes {
		k.await("a Map with chunks of %d", size)
		got, err := executor.Collect(executor.Map(k.ctx, k.ex, echo, slices.Values(want), executor.ChunkSize(size)))
		if !slices.Equal(got, want) || err != nil {
			k.violated("Map with chunks of %d = %v, %v; want %v, nil", size, got, err, want)
		}
	}
}

func mapUnordered(k *trial) {
	want := numbers(50)
	for _, size := range chunkSizes {
		k.await("an unordered Map with chunks of %d", size)
		got, err := executor.Collect(executor.Map(k.ctx, k.ex, echo, slices.Values(want), executor.Unordered(), executor.ChunkSize(size)))
		slices.Sort(got)
		if !slices.Equal(got, want) || err != nil {
			k.violated("unordered Map with chunks of %d, sorted = %v, %v; want %v, nil", size, got, err, want)
		}
	}
}

func mapIsLazy(k *trial) {
	pulled := 0
	results := executor.Map(k.ctx, k.ex, work, endless(k, &pulled))
	finish(k, "a call", executor.Submit(k.ctx, k.ex, echo, 1))
	if n := len(k.names("start")); n > 0 || pulled > 0 {
		k.violated("a Map that nobody has ranged over has pulled %d items and started %d; want 0 and 0", pulled, n)
	}
	k.await("the first result of a Map")
	for got, err := range results {
		if got != "done" || err != nil {
			k.violated("the first result of a Map = %q, %v; want %q, nil", got, err, "done")
		}
		break
	}
}

// endless is an endless source of jobs that counts in pulled.
func endless(k *trial, pulled *int) iter.Seq[job] {
	return func(yield func(job) bool) {
		for {
			*pulled++
			if !yield(k.job(fmt.Sprintf("item%d", *pulled), "")) {
				return
			}
		}
	}
}

func mapIsBounded(k *trial) {
	limit := k.ex.Workers()
	if limit == 0 {
		limit = runtime.GOMAXPROCS(0)
	}
	for _, c := range []struct {
		says  string
		opts  []executor.MapOption
		ahead int
	}{
		{"no option", nil, 2 * limit},
		{"Buffer(1)", []executor.MapOption{executor.Buffer(1)}, 1},
		{"Buffer(6)", []executor.MapOption{executor.Buffer(6)}, 6},
		{"Buffer(6) and ChunkSize(3)", []executor.MapOption{executor.Buffer(6), executor.ChunkSize(3)}, 6},
		{"Buffer(6) and Unordered", []executor.MapOption{executor.Buffer(6), executor.Unordered()}, 6},
	} {
		pulled, yielded := 0, 0
		k.await("a Map with %s", c.says)
		for _, err := range executor.Map(k.ctx, k.ex, work, endless(k, &pulled), c.opts...) {
			if ahead := pulled - yielded; ahead > c.ahead || err != nil {
				k.violated("Map with %s: before result %d, %v, it was %d items ahead; want at most %d", c.says, yielded, err, ahead, c.ahead)
			}
			if yielded++; yielded == 30 {
				break
			}
		}
	}
}

func mapOutcomes(k *trial) {
	for _, size := range chunkSizes {
		next := 0
		k.await("a Map of items that fail, with chunks of %d", size)
		for got, err := range executor.Map(k.ctx, k.ex, outcome, slices.Values(numbers(20)), executor.ChunkSize(size)) {
			if !isOutcome(next, got, err) {
				k.violated("item %d of a Map with chunks of %d = %d, %v (%T); want %s", next, size, got, err, err, outcomes[next%4])
			}
			next++
		}
		if next != 20 {
			k.violated("a Map of 20 items, of which some fail, with chunks of %d has yielded %d; want all", size, next)
		}
	}
}

// outcomes says what comes of a call of outcome(n), by n%4.
var outcomes = [4]string{"the item itself", "an error", "a *PanicError", "ErrGoexit"}

// isOutcome reports whether a call of outcome(n) has ended as it must.
func isOutcome(n, got int, err error) bool {
	_, panicked := errors.AsType[*executor.PanicError](err)
	exited := errors.Is(err, executor.ErrGoexit)
	switch n % 4 {
	case 0:
		return got == n && err == nil
	case 1:
		return err != nil && !panicked && !exited
	case 2:
		return panicked
	}
	return exited
}

// mapBreak leaves a Map of which the first item ends and the others do not
// before their ctx does.
func mapBreak(k *trial) {
	first, later := k.job("first", ""), k.job("later", k.newGate())
	source := func(yield func(job) bool) {
		if !yield(first) {
			return
		}
		k.untilAll("start", first) // or one of the others might keep it from starting
		for yield(later) {
		}
	}
	k.await("a Map to be left")
	for got, err := range executor.Map(k.ctx, k.ex, work, source) {
		if got != "done" || err != nil {
			k.violated("the first result of a Map = %q, %v; want %q, nil", got, err, "done")
		}
		break
	}
	started, ended := len(k.names("start")), len(k.names("end"))
	if started != ended {
		k.violated("when a Map has been left, %d of the calls that it has started still run; want 0", started-ended)
	}
	finish(k, "a call after a Map was left", executor.Submit(k.ctx, k.ex, echo, 1))
	if later := len(k.names("start")); later != started {
		k.violated("after a Map has been left, it has started %d calls; want 0", later-started)
	}
}

func collectStops(k *trial) {
	k.await("Collect to return")
	got, err := executor.Collect(executor.Map(k.ctx, k.ex, outcome, slices.Values(numbers(20))))
	if got != nil || !isOutcome(1, 0, err) {
		k.violated("Collect of a Map of which item 1 fails first = %v, %v; want nil and its error", got, err)
	}
}

func mapNothing(k *trial) {
	k.await("a Map of nothing")
	for got, err := range executor.Map(k.ctx, k.ex, echo, slices.Values([]int(nil))) {
		k.violated("Map of nothing has yielded %d, %v; want no iteration", got, err)
	}
	if got, err := executor.MapSlice(k.ctx, k.ex, echo, nil); len(got) != 0 || err != nil {
		k.violated("MapSlice of nothing = %v, %v; want nothing and nil", got, err)
	}
}

func mapSliceInOrder(k *trial) {
	want := numbers(1000)
	k.await("MapSlice")
	got, err := executor.MapSlice(k.ctx, k.ex, echo, want)
	if !slices.Equal(got, want) || err != nil {
		k.violated("MapSlice of 1000 items = %v, %v; want each at its place, nil", got, err)
	}
	for _, size := range chunkSizes {
		k.await("MapSlice with chunks of %d", size)
		got, err := executor.MapSlice(k.ctx, k.ex, echo, want[:50], executor.ChunkSize(size))
		if !slices.Equal(got, want[:50]) || err != nil {
			k.violated("MapSlice with chunks of %d = %v, %v; want %v, nil", size, got, err, want[:50])
		}
	}
}

func mapSliceFails(k *trial) {
	for first := 1; first < 4; first++ {
		in := make([]int, 40) // zeros, of which outcome returns zero
		in[5], in[6], in[39] = first, first%3+1, first%3+1
		k.await("MapSlice of items that fail")
		got, err := executor.MapSlice(k.ctx, k.ex, outcome, in)
		if got != nil || !isOutcome(first, 0, err) {
			k.violated("MapSlice of which items 5, 6 and 39 fail = %v, %v; want nil and %s, of item 5", got, err, outcomes[first])
		}
	}
}
