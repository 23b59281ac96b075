package parallel_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/parallel"
)

// use calls c with each of in, a second apart, and waits until all is on disk.
func use(t *testing.T, m *parallel.Memory, c *parallel.CachedFunc[int, int], in ...int) {
	t.Helper()
	for _, n := range in {
		mustBe(t, "f", 2*n)(c.Call(t.Context(), n))
		m.Sync()
		time.Sleep(time.Second)
	}
}

// thatAreKept returns those of 0 to n-1 whose results are kept.
func thatAreKept(t *testing.T, dir string, n int) (kept []int) {
	t.Helper()
	c := newCached(t, &parallel.Memory{Dir: dir}, "f", "v1", double) // without limits: looking is no use
	for i := range n {
		if c.Contains(i) {
			kept = append(kept, i)
		}
	}
	return kept
}

// bytesOf returns how many bytes the entries in a folder have.
func bytesOf(t *testing.T, dir string) (sum int64) {
	t.Helper()
	whole, _ := entries(t, dir)
	for _, path := range whole {
		if about, err := os.Stat(path); err == nil {
			sum += about.Size()
		}
	}
	return sum
}

func TestNoMoreThanMaxItemsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &parallel.Memory{Dir: t.TempDir(), MaxItems: 20}
		c := newCached(t, m, "f", "v1", double)
		for i := range 70 {
			use(t, m, c, i)
			whole, temporary := entries(t, m.Dir)
			if n := len(whole); n > 20 || n < min(i+1, 18) || len(temporary) != 0 { // a tenth more is removed
				t.Fatalf("after %d results there are %d, and %d temporary files; want up to 20, not less than 18, and none", i+1, n, len(temporary))
			}
			if s := m.Stats(); s.Evicted != int64(i+1-len(whole)) {
				t.Fatalf("Evicted is %d after %d results of which %d are there", s.Evicted, i+1, len(whole))
			}
		}
		if s := c.Stats(); s.Evicted != 0 || s.Misses != 70 {
			t.Errorf("Stats() of the function = %+v; want 70 misses, and evictions to be the Memory's", s)
		}
	})
}

func TestWhatWasNotUsedForLongestIsRemovedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &parallel.Memory{Dir: t.TempDir(), MaxItems: 10}
		c := newCached(t, m, "f", "v1", double)
		use(t, m, c, upTo(10)...)
		use(t, m, c, 0, 3, 1) // from disk
		use(t, m, c, 10)      // one too many: that, and a tenth of 10
		if got, want := thatAreKept(t, m.Dir, 11), []int{0, 1, 3, 5, 6, 7, 8, 9, 10}; !slices.Equal(got, want) && !slices.Equal(got, append([]int{0, 1, 3}, want[4:]...)) {
			t.Errorf("kept are %v; want %v, or all but 5 of it", got, want)
		}
	})
}

func TestNoMoreThanMaxBytesAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &parallel.Memory{Dir: t.TempDir(), MaxBytes: 10_000}
		c := newCached(t, m, "f", "v1", func(_ context.Context, n int) (string, error) { return strings.Repeat("x", n), nil })
		for i := range 60 {
			n := 100 + 37*i%1500
			if got, err := c.Call(t.Context(), n); len(got) != n || err != nil {
				t.Fatalf("f(%d) = %d bytes, %v", n, len(got), err)
			}
			m.Sync()
			time.Sleep(time.Second)
			if sum := bytesOf(t, m.Dir); sum > m.MaxBytes {
				t.Fatalf("after %d results there are %d bytes; want up to %d", i+1, sum, m.MaxBytes)
			}
			if !c.Contains(n) {
				t.Fatalf("f(%d) was removed at once; want what was used longest ago to go", n)
			}
		}
		if sum := bytesOf(t, m.Dir); sum < m.MaxBytes*9/10-1600 {
			t.Errorf("there are %d bytes; want a tenth more to be removed and no more", sum)
		}
		if m.Stats().Evicted == 0 {
			t.Error("Evicted is 0")
		}
	})
}

// It would push out all others and itself.
func TestAResultOfMoreThanMaxBytesIsNotKept(t *testing.T) {
	logged := logging(t)
	m := &parallel.Memory{Dir: t.TempDir(), MaxBytes: 10_000}
	c := newCached(t, m, "f", "v1", func(_ context.Context, n int) (string, error) { return strings.Repeat("x", n), nil })
	for _, n := range []int{100, 200, 20_000, 20_000, 30_000} {
		if got, err := c.Call(t.Context(), n); len(got) != n || err != nil {
			t.Fatalf("f(%d) = %d bytes, %v", n, len(got), err)
		}
		m.Sync()
	}
	if s := m.Stats(); s.Unkept != 3 || s.Evicted != 0 || s.Misses != 5 || !c.Contains(100) || !c.Contains(200) || c.Contains(20_000) {
		t.Errorf("Stats() = %+v; want 3 that are not kept, and no other to be removed", s)
	}
	if texts := logged.all(); len(texts) != 1 || !strings.Contains(texts[0], "a result is not kept") {
		t.Errorf("logged %q; want one record", texts)
	}
}

func TestWhatWasNotUsedForMaxAgeIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &parallel.Memory{Dir: t.TempDir(), MaxAge: time.Hour}
		c := newCached(t, m, "f", "v1", double)
		use(t, m, c, 0, 1, 2)
		time.Sleep(40 * time.Minute)
		use(t, m, c, 1)
		time.Sleep(40 * time.Minute) // 0 and 2 are too old now
		use(t, m, c, 3)
		if got := thatAreKept(t, m.Dir, 4); !slices.Equal(got, []int{1, 3}) {
			t.Errorf("kept are %v; want [1 3]", got)
		}
		if s := m.Stats(); s.Evicted != 2 {
			t.Errorf("Evicted is %d; want 2", s.Evicted)
		}
	})
}

func TestAClockThatWasSetBackEvictsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		before := &parallel.Memory{Dir: dir}
		use(t, before, newCached(t, before, "f", "v1", double), upTo(8)...)
		future := time.Now().AddDate(1, 0, 0)
		whole, _ := entries(t, dir)
		for _, path := range whole {
			if err := os.Chtimes(path, future, future); err != nil {
				t.Fatal(err)
			}
		}
		m := &parallel.Memory{Dir: dir, MaxAge: time.Hour, MaxItems: 10, ExpiresAfter: 24 * time.Hour}
		c := newCached(t, m, "f", "v1", double)
		use(t, m, c, 8, 0, 9)
		time.Sleep(20 * time.Minute)
		use(t, m, c, 9, 0)
		if got := thatAreKept(t, dir, 10); !slices.Equal(got, upTo(10)) {
			t.Errorf("kept are %v; want all of 0 to 9", got)
		}
		if s := m.Stats(); s.Evicted != 0 || s.Hits != 3 || s.Misses != 2 {
			t.Errorf("Stats() = %+v; want 3 hits, 2 misses and nothing to be removed", s)
		}
	})
}

func TestLimitsAreForAllFunctionsAndAllThatWasThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		before := &parallel.Memory{Dir: dir}
		use(t, before, newCached(t, before, "f", "v1", double), upTo(30)...)
		m := &parallel.Memory{Dir: dir, MaxItems: 10}
		f, g := newCached(t, m, "f", "v2", double), newCached(t, m, "g", "v1", double)
		use(t, m, f, 0)
		if whole, _ := entries(t, dir); len(whole) > 10 {
			t.Errorf("there are %d entries after the first that was stored; want up to 10", len(whole))
		}
		for i := range 20 {
			use(t, m, f, i)
			use(t, m, g, i)
		}
		if whole, _ := entries(t, dir); len(whole) > 10 || len(whole) < 9 {
			t.Errorf("there are %d entries; want 9 or 10", len(whole))
		}
		if !f.Contains(19) || !g.Contains(19) {
			t.Error("the last results of both are not there")
		}
	})
}

// Evicted counts since the functions were wrapped.
func TestClearDoesNotForgetWhatWasEvicted(t *testing.T) {
	m := &parallel.Memory{Dir: t.TempDir(), MaxItems: 5}
	c := newCached(t, m, "f", "v1", double)
	for i := range 20 {
		mustBe(t, "f", 2*i)(c.Call(t.Context(), i))
		m.Sync()
	}
	before := m.Stats()
	if before.Evicted < 15 {
		t.Errorf("Evicted is %d; want 15 or more", before.Evicted)
	}
	if err := errors.Join(c.Clear(), m.Clear()); err != nil {
		t.Fatal(err)
	}
	if after := m.Stats(); after != before {
		t.Errorf("Stats() = %+v after Clear; want what it was, %+v", after, before)
	}
}

// Each counts what it stores itself, so that with two of them there may be a
// tenth too much.
func TestTwoThatStoreAtOnceKeepATenthTooMuchAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var both [2]*parallel.Memory
		var fs [2]*parallel.CachedFunc[int, int]
		for i := range both {
			both[i] = &parallel.Memory{Dir: dir, MaxItems: 20}
			fs[i] = newCached(t, both[i], "f", "v1", double)
		}
		most := 0
		for i := range 100 {
			use(t, both[i%2], fs[i%2], i)
			whole, _ := entries(t, dir)
			most = max(most, len(whole))
		}
		if most > 22 {
			t.Errorf("there were %d entries; want up to 20 and a tenth", most)
		}
	})
}

// Limits are kept after Sync, and no reader sees anything of it.
func TestReadersSeeNothingOfWhatIsRemoved(t *testing.T) {
	logged := logging(t)
	m := &parallel.Memory{Dir: t.TempDir(), MaxItems: 8, MaxBytes: 1 << 20, MaxAge: time.Hour}
	var computed atomic.Int64
	c := newCached(t, m, "f", "v1", func(_ context.Context, n int) ([]int, error) {
		computed.Add(1)
		return []int{n, n * n}, nil
	})
	const rounds, calls = 2, 6
	for round := range rounds {
		together(func(g int) {
			for i := range calls {
				n := (g*5 + i*3 + round) % 40
				if got, err := c.Call(t.Context(), n); err != nil || len(got) != 2 || got[0] != n || got[1] != n*n {
					t.Errorf("f(%d) = %v, %v; want [%[1]d %d]", n, got, err, n*n)
				}
			}
		})
		m.Sync()
		if whole, temporary := entries(t, m.Dir); len(whole) > m.MaxItems || len(temporary) != 0 {
			t.Errorf("round %d: there are %d entries, and temporary files %q after Sync; want up to %d, and none", round, len(whole), temporary, m.MaxItems)
		}
	}
	if s := m.Stats(); s.Hits+s.Misses+s.Shared != rounds*calls*many || s.Misses != computed.Load() || s.Damaged+s.Unkept != 0 || s.Evicted == 0 {
		t.Errorf("Stats() = %+v; want %d calls, %d misses, evictions and nothing wrong", s, rounds*calls*many, computed.Load())
	}
	if texts := logged.all(); len(texts) != 0 {
		t.Errorf("logged %q; want nothing", texts)
	}
}

// clearing has many goroutines call a function of m while others clear what is kept.
func clearing(t *testing.T, m *parallel.Memory) {
	t.Helper()
	other := &parallel.Memory{Dir: m.Dir}
	c := newCached(t, m, "f", "v1", double)
	newCached(t, other, "f", "v1", double)
	stop := make(chan struct{})
	var all sync.WaitGroup
	for _, clear := range []func() error{m.Clear, c.Clear, other.Clear, func() error { return c.Forget(3) }} {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := clear(); err != nil {
					t.Errorf("Clear = %v; want no error", err)
				}
			}
		})
	}
	together(func(g int) {
		for i := range 20 {
			n := (g + i) % 10
			if got, err := c.Call(t.Context(), n); got != 2*n || err != nil {
				t.Errorf("f(%d) = %d, %v; want %d", n, got, err, 2*n)
			}
		}
	})
	close(stop)
	all.Wait()
	m.Sync()
	if s := m.Stats(); s.Hits+s.Misses+s.Shared != 20*many || s.Damaged != 0 {
		t.Errorf("Stats() = %+v; want %d calls and nothing damaged", s, 20*many)
	}
	if err := m.Clear(); err != nil {
		t.Fatal(err)
	}
	if whole, temporary := entries(t, m.Dir); len(whole)+len(temporary) != 0 {
		t.Errorf("there are %q and %q after Clear; want none", whole, temporary)
	}
}

func TestCallersSeeNothingOfClear(t *testing.T) {
	logging(t)
	clearing(t, &parallel.Memory{Dir: t.TempDir()})
}

// Nothing is wrong with the folder.
func TestAResultIsKeptWhileOthersClear(t *testing.T) {
	logged := logging(t)
	m := &parallel.Memory{Dir: t.TempDir()}
	clearing(t, m)
	if s, texts := m.Stats(), logged.all(); s.Unkept != 0 || len(texts) != 0 {
		t.Errorf("Unkept is %d, logged %q; want nothing", s.Unkept, texts)
	}
}

// Sync waits until the limits are kept.
func TestLimitsAreKeptAfterSyncThoughManyStoreAtOnce(t *testing.T) {
	m := &parallel.Memory{Dir: t.TempDir(), MaxItems: 30}
	c := newCached(t, m, "f", "v1", double)
	for round := range 2 {
		together(func(g int) {
			for i := range 6 {
				n := (round*6+i)*many + g
				if got, err := c.Call(t.Context(), n); got != 2*n || err != nil {
					t.Errorf("f(%d) = %d, %v; want %d", n, got, err, 2*n)
				}
			}
		})
		m.Sync()
		if whole, temporary := entries(t, m.Dir); len(whole) > 30 || len(temporary) != 0 {
			t.Errorf("round %d: there are %d entries, and temporary files %q after Sync; want up to 30, and none", round, len(whole), temporary)
		}
	}
}

// What was last used in a future that is gone counts as used now, and not as young for
// ever.
func TestWhatWasUsedInTheFutureIsRemovedMaxAgeFromNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &parallel.Memory{Dir: t.TempDir(), MaxAge: time.Hour}
		c := newCached(t, m, "f", "v1", double)
		use(t, m, c, 0)
		future := time.Now().AddDate(1, 0, 0)
		if err := os.Chtimes(theEntry(t, m.Dir), future, future); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			time.Sleep(20 * time.Minute)
			use(t, m, c, 1)
			use(t, m, c, 10+i)
			kept := thatAreKept(t, m.Dir, 2)
			if want := []int{0, 1}[min(i/3, 1):]; !slices.Equal(kept, want) {
				t.Errorf("%d minutes later, kept are %v; want %v", 20*(i+1), kept, want)
			}
		}
	})
}
