package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// present returns which of the first n keys have an entry, without using them.
func present(s *Store, n int) (all []int) {
	for i := range n {
		if exists(s.Path(folder, keyNumber(i))) {
			all = append(all, i)
		}
	}
	return all
}

func wantPresent(t testing.TB, s *Store, n int, want ...int) {
	t.Helper()
	if got := present(s, n); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("of %d, there are %v; want %v", n, got, want)
	}
}

// sized is a result whose file has that many bytes.
func sized(size int) string { return strings.Repeat("x", size-headerSize) }

func TestSmallMaxItemsIsKeptExactly(t *testing.T) {
	t.Parallel()
	for limit := 1; limit < 10; limit += 4 {
		s := open(t, storeDir(t), Limits{MaxItems: limit})
		for n := range 12 {
			settled(t, s, keyNumber(n), "x")
			if got := len(present(s, 12)); got != min(n+1, limit) {
				t.Errorf("MaxItems %d: after %d, there are %d; want %d", limit, n+1, got, min(n+1, limit))
			}
		}
		if got := evicted(s); got != int64(12-limit) {
			t.Errorf("Evicted = %d; want %d", got, 12-limit)
		}
	}
}

func TestWhatWasNotUsedForLongestGoesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, storeDir(t), Limits{MaxItems: 3})
		for n := range 3 {
			settled(t, s, keyNumber(n), "x")
			time.Sleep(time.Minute)
		}
		wantBody(t, s, keyNumber(0), "x") // is a use
		time.Sleep(time.Minute)
		settled(t, s, keyNumber(3), "x")
		wantPresent(t, s, 5, 0, 2, 3)
		time.Sleep(time.Minute)
		l := lock(t, s, keyNumber(2)) // so is reading with the lock
		if _, err := l.Read(folder); err != nil {
			t.Error(err)
		}
		l.Unlock()
		time.Sleep(time.Minute)
		settled(t, s, keyNumber(4), "x")
		wantPresent(t, s, 5, 2, 3, 4)
	})
}

func TestATenthMoreIsRemoved(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{MaxItems: 20})
	for n := range 20 {
		mustPut(t, s, keyNumber(n), "x")
	}
	s.Sync()
	if got := len(present(s, 20)); got != 20 {
		t.Errorf("at the limit, there are %d; want 20", got)
	}
	settled(t, s, keyNumber(20), "x")
	if got := len(present(s, 21)); got != 18 {
		t.Errorf("over the limit, there are %d; want 18", got)
	}
	if got := evicted(s); got != 3 {
		t.Errorf("Evicted = %d; want 3", got)
	}
	if !exists(s.Path(folder, keyNumber(20))) {
		t.Error("the newest was removed")
	}
}

func TestMaxBytesIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, storeDir(t), Limits{MaxBytes: 1000})
		for n := range 4 {
			settled(t, s, keyNumber(n), sized(250))
			time.Sleep(time.Second)
		}
		wantPresent(t, s, 5, 0, 1, 2, 3) // 1000 bytes are not more than 1000
		settled(t, s, keyNumber(4), sized(80))
		wantPresent(t, s, 5, 1, 2, 3, 4) // 830; 900 may stay
		time.Sleep(time.Second)
		settled(t, s, keyNumber(5), sized(500))
		wantPresent(t, s, 6, 3, 4, 5)
	})
}

func TestAnEntryLargerThanMaxBytesIsRefusedAndCostsNoOther(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{MaxBytes: 1000})
	settled(t, s, keyNumber(0), sized(500))
	if err := put(s, keyNumber(1), sized(1001)); err == nil {
		t.Error("Write of 1001 bytes = nil; want an error")
	}
	s.Sync()
	wantMissing(t, s, keyNumber(1))
	wantFiles(t, s, 1, 0)
	wantBody(t, s, keyNumber(0), sized(500))
	if !isFree(s, keyNumber(1)) {
		t.Error("the lock is held after Unlock")
	}
	if evicted(s) != 0 {
		t.Errorf("Evicted = %d; want 0", evicted(s))
	}
	mustClear(t, s, "")
	settled(t, s, keyNumber(2), sized(1000))
	wantPresent(t, s, 3, 2)
}

// "A large entry that the limits would not let stay is not written."
func TestTheNewestEntryStaysIfItFits(t *testing.T) {
	t.Parallel()
	for _, size := range []int{950, 1000} {
		synctest.Test(t, func(t *testing.T) {
			s := open(t, storeDir(t), Limits{MaxBytes: 1000})
			settled(t, s, keyNumber(0), sized(100))
			time.Sleep(time.Second)
			settled(t, s, keyNumber(1), sized(size))
			wantPresent(t, s, 2, 1)
		})
	}
}

func TestMaxAgeIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, storeDir(t), Limits{MaxAge: time.Hour})
		settled(t, s, keyNumber(0), "x")
		settled(t, s, keyNumber(1), "x")
		time.Sleep(time.Hour - time.Minute)
		wantBody(t, s, keyNumber(1), "x")
		settled(t, s, keyNumber(2), "x")
		wantPresent(t, s, 5, 0, 1, 2)
		time.Sleep(8 * time.Minute)
		settled(t, s, keyNumber(3), "x")
		wantPresent(t, s, 5, 1, 2, 3)
		time.Sleep(2 * time.Hour)
		settled(t, s, keyNumber(4), "x")
		wantPresent(t, s, 5, 4)
		if got := evicted(s); got != 4 {
			t.Errorf("Evicted = %d; want 4", got)
		}
	})
}

// The clock of a bubble is decades behind.
func TestClockSetBackEvictsNothing(t *testing.T) {
	t.Parallel()
	dir := storeDir(t)
	before := open(t, dir, Limits{})
	for n := range 5 {
		settled(t, before, keyNumber(n), "x")
	}
	synctest.Test(t, func(t *testing.T) {
		s := open(t, dir, Limits{MaxAge: time.Hour, MaxItems: 8, MaxBytes: 1 << 20})
		s.tidy()
		wantPresent(t, s, 9, 0, 1, 2, 3, 4)
		for n := range 3 {
			settled(t, s, keyNumber(5+n), "x")
			time.Sleep(time.Minute)
		}
		wantPresent(t, s, 9, 0, 1, 2, 3, 4, 5, 6, 7)
		settled(t, s, keyNumber(8), "x")
		if got := len(present(s, 9)); got != 8 {
			t.Errorf("over MaxItems 8, there are %d; want 8", got)
		}
		for n := range 9 {
			if exists(s.Path(folder, keyNumber(n))) {
				wantBody(t, s, keyNumber(n), "x")
			}
		}
	})
}

func TestClockSetBackWhileAStoreIsOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, storeDir(t), Limits{MaxAge: time.Hour})
		settled(t, s, keyNumber(0), "x")
		s.mu.Lock()
		s.usage.looked = s.usage.looked.Add(24 * time.Hour) // as if it had been tomorrow then
		s.mu.Unlock()
		age(t, s.Path(folder, keyNumber(0)), 2*time.Hour)
		settled(t, s, keyNumber(1), "x")
		wantPresent(t, s, 2, 1) // it does not wait for tomorrow to look again
	})
}

func TestAReaderOfWhatIsEvictedSeesTheRightBytesOrNothing(t *testing.T) {
	t.Parallel()
	dir := storeDir(t)
	a, b := open(t, dir, Limits{MaxItems: 5}), open(t, dir, Limits{MaxItems: 5})
	var writers, readers sync.WaitGroup
	stop := make(chan struct{})
	for w, s := range []*Store{a, b} {
		writers.Go(func() {
			for n := range 60 {
				if err := put(s, keyNumber(2*n+w), "right"); err != nil {
					t.Errorf("Write = %v; want nil", err)
				}
			}
		})
		readers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				e, err := s.Read(folder, keyNumber(n%120))
				if err == nil && string(e.Body) != "right" || err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("Read = %q, %v; want the right bytes or nothing", e.Body, err)
				}
				runtime.Gosched()
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
}

// Each counts what it stores itself, and looks when that is a tenth.
func TestTwoStoresWithLimitsOnOneFolder(t *testing.T) {
	t.Parallel()
	for limit, most := range map[int]int{5: 5, 20: 22} {
		dir := storeDir(t)
		stores := []*Store{open(t, dir, Limits{MaxItems: limit}), open(t, dir, Limits{MaxItems: limit})}
		for n := range 45 {
			settled(t, stores[n/3%2], keyNumber(n), "x")
			if got := len(present(stores[0], 60)); got > most {
				t.Fatalf("MaxItems %d: there are %d; want at most %d", limit, got, most)
			}
		}
	}
}

func TestWhatIsStoredWhileTheLimitsAreSeenToCounts(t *testing.T) {
	t.Parallel()
	const limit, meanwhile = 100, 5
	s, told := openLoud(t, storeDir(t), Limits{MaxItems: limit})
	for n := range limit {
		mustPut(t, s, keyNumber(n), "x")
	}
	s.Sync()
	told.hook = func() {
		for n := range meanwhile {
			mustPut(t, s, keyNumber(1000+n), "x")
		}
		for isCounted := false; !isCounted; runtime.Gosched() {
			s.mu.Lock()
			isCounted = s.usage.is.items >= limit+1+meanwhile
			s.mu.Unlock()
		}
	}
	settled(t, s, keyNumber(limit), "x")
	s.Sync()
	entries, _ := files(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.usage.is.items < entries || entries != 90+meanwhile {
		t.Errorf("there are %d, and %d are counted; want %d, and all of them to be counted", entries, s.usage.is.items, 90+meanwhile)
	}
}

func TestWhatCannotBeRemovedIsReportedAndDoesNotCountAsEvicted(t *testing.T) {
	t.Parallel()
	s, told := openLoud(t, storeDir(t), Limits{MaxItems: 2})
	stuck := s.Path(folder, keyNumber(1000))
	lay(t, filepath.Join(stuck, "foreign"), nil)
	age(t, stuck, time.Hour)
	settled(t, s, keyNumber(0), "x")
	settled(t, s, keyNumber(1), "x")
	if got := told.all(); len(got) == 0 || !strings.Contains(got[0], stuck) {
		t.Errorf("reported %q; want that %s cannot be removed", got, stuck)
	}
	if got := evicted(s); got != 0 && exists(s.Path(folder, keyNumber(0))) {
		t.Errorf("Evicted = %d, and all are there; want 0", got)
	}
}

// left lays temporary files: a whole, a torn and another version's one, as old as that.
func left(t *testing.T, s *Store, by time.Duration) {
	t.Helper()
	for n, data := range [][]byte{encoded(keyNumber(0), "whole"), encoded(keyNumber(1), "torn")[:80], {}} {
		path := s.Path(folder, keyNumber(n)) + tmp
		lay(t, path, data)
		age(t, path, by)
	}
}

func TestTemporaryFilesOfTheDeadAreSweptAfterAnHour(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{MaxItems: 100})
	left(t, s, leftFor+time.Minute)
	settled(t, s, keyNumber(10), "x")
	wantPresent(t, s, 11, 0, 10)
	wantFiles(t, s, 2, 0)
	wantBody(t, s, keyNumber(0), "whole")
	if len(s.busy) != 0 {
		t.Errorf("%d keys are busy after the sweep", len(s.busy))
	}
}

func TestTemporaryFilesAreLeftAloneForAnHour(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{MaxItems: 100})
	left(t, s, leftFor-time.Minute)
	settled(t, s, keyNumber(10), "x")
	wantFiles(t, s, 1, 3)
}

func TestTemporaryFilesFromTheFutureAreLeftAlone(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{MaxItems: 100})
	left(t, s, -24*time.Hour)
	settled(t, s, keyNumber(10), "x")
	wantFiles(t, s, 1, 3)
}

func TestTheTemporaryFilesOfTheLiveAreNeverSwept(t *testing.T) {
	t.Parallel()
	dir := storeDir(t)
	live := open(t, dir, Limits{})
	sweepers := []*Store{live}
	if runtime.GOOS == "linux" || runtime.GOOS == "windows" {
		sweepers = append(sweepers, open(t, dir, Limits{}))
	}
	left(t, live, 100*leftFor)
	var held []*Lock
	for n := range 3 {
		held = append(held, lock(t, live, keyNumber(n)))
	}
	for _, s := range sweepers {
		s.survey(time.Now())
		for n := range 3 {
			s.sweepFolder(filepath.Dir(s.Path(folder, keyNumber(n))))
		}
	}
	wantFiles(t, live, 0, 3)
	for _, l := range held {
		l.Unlock()
	}
	sweepers[len(sweepers)-1].survey(time.Now())
	wantFiles(t, live, 1, 0)
}

func TestWithoutLimitsAFolderIsSweptOnceByWhoAddsToIt(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	neighbour := keyNumber(1)
	neighbour[31]++ // in the same folder
	lay(t, s.Path(folder, neighbour)+tmp, encoded(neighbour, "whole"))
	age(t, s.Path(folder, neighbour)+tmp, 2*leftFor)
	left(t, s, 2*leftFor)
	settled(t, s, keyNumber(1), "x")
	if !exists(s.Path(folder, neighbour)) || exists(s.Path(folder, neighbour)+tmp) {
		t.Error("the whole temporary file beside the entry has not got its name")
	}
	wantBody(t, s, neighbour, "whole")
	wantFiles(t, s, 2, 2)
}

func TestWhatTheSweepNamesCountsToTheLimits(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{MaxItems: 3})
	for n := range 5 {
		path := s.Path(folder, keyNumber(n)) + tmp
		lay(t, path, encoded(keyNumber(n), "whole"))
		age(t, path, 2*leftFor)
	}
	settled(t, s, keyNumber(10), "x")
	if entries, _ := files(s); entries > 3 {
		t.Errorf("there are %d; want at most 3", entries)
	}
}

func TestReadingWithoutLimitsDoesNotTouch(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	settled(t, s, keyNumber(0), "x")
	path := s.Path(folder, keyNumber(0))
	age(t, path, time.Hour)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	wantBody(t, s, keyNumber(0), "x")
	after, err := os.Stat(path)
	if err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("the time of the file is %v, %v after Read; want %v", after.ModTime(), err, before.ModTime())
	}
}
