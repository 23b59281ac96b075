package disk

import (
	"fmt"
	"io/fs"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// amountIn returns how much there is, with and without a name.
func amountIn(s *Store) (is amount) {
	_ = s.walk("", func(_ string, file fs.DirEntry) {
		if about, err := file.Info(); err == nil && about.Size() > 0 { // others may be prepared
			is.add(about.Size())
		}
	})
	return is
}

// However slow removing is, writers wait for it, so that there is never more over a limit
// than a tenth, or one result.
func TestWritersWaitForWhoeverSeesToTheLimits(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		limits Limits
		size   int
		before int // results
		most   int
	}{
		"many small results":        {Limits{MaxBytes: 60 * 200}, 200, 60, 66},
		"small results":             {Limits{MaxBytes: 20 * 200}, 200, 20, 22},
		"results of half the limit": {Limits{MaxBytes: 2 * 5000}, 5000, 2, 3},
		"results of all the limit":  {Limits{MaxBytes: 5000}, 5000, 1, 2},
		"items":                     {Limits{MaxItems: 40}, 200, 40, 44},
		"few items":                 {Limits{MaxItems: 3}, 200, 3, 4},
		"both":                      {Limits{MaxBytes: 100 * 200, MaxItems: 50}, 200, 50, 55},
		"limits that are not near":  {Limits{MaxBytes: math.MaxInt64, MaxItems: math.MaxInt}, 200, 1, 1 + manySettling},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := open(t, storeDir(t), row.limits)
				for n := range row.before {
					mustPut(t, s, keyNumber(n), sized(row.size))
				}
				s.Sync()
				s.tidying <- struct{}{} // removing takes its time
				var writers sync.WaitGroup
				var failed atomic.Int64
				for n := range 2 * manySettling {
					writers.Go(func() {
						if put(s, keyNumber(1000+n), sized(row.size)) != nil {
							failed.Add(1)
						}
					})
				}
				synctest.Wait()
				if is := amountIn(s); is.items != row.most || is.bytes != int64(row.most*row.size) {
					t.Errorf("while the limits are seen to, there is %+v; want %d results", is, row.most)
				}
				<-s.tidying
				writers.Wait()
				s.Sync()
				is := amountIn(s)
				if m := row.limits; m.MaxBytes > 0 && is.bytes > m.MaxBytes || m.MaxItems > 0 && is.items > m.MaxItems || failed.Load() > 0 {
					t.Errorf("after Sync there is %+v, and %d were not written; want no more than %+v, and none", is, failed.Load(), m)
				}
				if !s.underWay.TryAcquire(allUnderWay) {
					t.Error("something is under way after Sync")
				}
				s.underWay.Release(allUnderWay)
			})
		})
	}
}

// The same with writers as quick as they can be.
func TestEightWritersKeepATenthMoreThanMaxBytesAtMost(t *testing.T) {
	t.Parallel()
	const size, most = 300, 60
	s := open(t, storeDir(t), Limits{MaxBytes: most * size})
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for n := range 40 {
				if err := put(s, keyNumber(1000*w+n), sized(size)); err != nil {
					t.Errorf("Write = %v; want nil", err)
				}
				if is := amountIn(s); w == 0 && is.items > most+most/10 {
					t.Errorf("there are %d results; want at most %d", is.items, most+most/10)
				}
			}
		})
	}
	writers.Wait()
}

// Each process looks at what the others have stored when it has stored a tenth itself.
func TestThreeStoresOnOneFolderKeepMaxBytes(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string]Limits{"MaxBytes": {MaxBytes: 20 * 4900}, "MaxItems": {MaxItems: 20}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := storeDir(t)
			stores := []*Store{open(t, dir, limits), open(t, dir, limits), open(t, dir, limits)}
			for n := range 18 * len(stores) {
				settled(t, stores[n%3], keyNumber(n), sized(4900))
				if got, _ := files(stores[0]); got > 24 { // two tenths that are not seen
					t.Fatalf("after %d there are %d; want at most 24", n+1, got)
				}
			}
			if got, _ := files(stores[0]); got < 15 {
				t.Errorf("there are %d; want no more to be removed than has to be", got)
			}
		})
	}
}

// A file is a part of what may be under way at once.
func TestPartsAddUpToATenthOfEachLimit(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		limits Limits
		size   int64
		most   int64
	}{
		{Limits{}, 1 << 40, manySettling},
		{Limits{MaxAge: 1}, 100, manySettling},
		{Limits{MaxBytes: 1000}, 100, 1},
		{Limits{MaxBytes: 1000}, 101, 1},
		{Limits{MaxBytes: 1000}, 1000, 1},
		{Limits{MaxBytes: 1000}, 50, 2},
		{Limits{MaxBytes: 1000}, 51, 1},
		{Limits{MaxBytes: math.MaxInt64}, math.MaxInt64, 1},
		{Limits{MaxBytes: 1 << 62}, 1 << 40, manySettling},
		{Limits{MaxItems: 1}, 100, 1},
		{Limits{MaxItems: 19}, 100, 1},
		{Limits{MaxItems: 20}, 100, 2},
		{Limits{MaxItems: 70}, 100, 7},
		{Limits{MaxItems: 1 << 30, MaxBytes: 1 << 40}, 100, manySettling},
		{Limits{MaxItems: 20, MaxBytes: 1 << 40}, 100, 2},
	} {
		part := row.limits.part(row.size)
		if got := allUnderWay / part; part < 1 || got != row.most {
			t.Errorf("%s: %d files of %d bytes may be under way; want %d", fmt.Sprint(row.limits), got, row.size, row.most)
		}
	}
}

// Looking at what is kept takes as long as it is large: it is done when there may be too
// much, and else not.
func TestTheLimitsAreSeenToWhenThereMayBeTooMuch(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	looked := func(before time.Duration, is, added amount) usage { return usage{now.Add(-before), is, added} }
	bytes, items, age := Limits{MaxBytes: 1000}, Limits{MaxItems: 100}, Limits{MaxAge: 8 * time.Hour}
	for name, row := range map[string]struct {
		usage  usage
		limits Limits
		want   bool
	}{
		"never looked":              {usage{}, bytes, true},
		"at MaxBytes":               {looked(0, amount{1000, 5000}, amount{100, 5000}), bytes, false},
		"over MaxBytes":             {looked(0, amount{1001, 1}, amount{}), bytes, true},
		"more than a tenth of it":   {looked(0, amount{200, 1}, amount{101, 1}), bytes, true},
		"at MaxItems":               {looked(0, amount{5000, 100}, amount{5000, 10}), items, false},
		"over MaxItems":             {looked(0, amount{1, 101}, amount{}), items, true},
		"more than a tenth of them": {looked(0, amount{1, 20}, amount{1, 11}), items, true},
		"an eighth of MaxAge":       {looked(time.Hour, amount{1 << 40, 1 << 20}, amount{1 << 40, 1 << 20}), age, false},
		"more than an eighth":       {looked(time.Hour+1, amount{}, amount{}), age, true},
		"a clock that was set back": {looked(-time.Hour-1, amount{}, amount{}), age, true},
		"long ago, without MaxAge":  {looked(1000*time.Hour, amount{1, 1}, amount{1, 1}), Limits{MaxBytes: 1000, MaxItems: 100}, false},
	} {
		if got := row.usage.isDue(&row.limits, now); got != row.want {
			t.Errorf("%s: isDue = %v; want %v", name, got, row.want)
		}
	}
}
