package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

func mustClear(t testing.TB, s *Store, in Folder) {
	t.Helper()
	if err := s.Clear(in); err != nil {
		t.Errorf("Clear = %v; want nil", err)
	}
}

func mustForget(t testing.TB, s *Store, key Key) {
	t.Helper()
	if err := s.Forget(folder, key); err != nil {
		t.Errorf("Forget = %v; want nil", err)
	}
}

func TestClearRemovesAllThatWasWrittenBefore(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	for range 3 {
		for n := range 20 {
			mustPut(t, s, keyNumber(n), "x")
		}
		mustClear(t, s, "") // some have no name yet
		for n := range 20 {
			wantMissing(t, s, keyNumber(n))
		}
		wantFiles(t, s, 0, 0)
	}
	if exists(filepath.Join(s.dir, string(folder))) {
		t.Error("the function's folder is there after Clear")
	}
	settled(t, s, keyNumber(1), "y")
	wantBody(t, s, keyNumber(1), "y")
}

func TestClearRemovesWhatOtherStoresHaveWritten(t *testing.T) {
	t.Parallel()
	dir := storeDir(t)
	a, b := open(t, dir, Limits{}), open(t, dir, Limits{})
	settled(t, a, keyNumber(1), "x")
	lay(t, a.Path(folder, keyNumber(2))+tmp, encoded(keyNumber(2), "of the dead"))
	lay(t, a.Path(folder, keyNumber(3))+tmp, []byte("torn"))
	lay(t, a.Path(folder, keyNumber(4)), []byte("damaged"))
	mustClear(t, b, "")
	wantFiles(t, a, 0, 0)
	for n := range 5 {
		wantMissing(t, a, keyNumber(n))
	}
}

func TestClearOfAFunctionLeavesTheOthers(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	other := FolderOf("other")
	settled(t, s, keyNumber(1), "x")
	l := lock(t, s, keyNumber(2))
	if err := l.Write(other, entry("other's")); err != nil {
		t.Fatal(err)
	}
	l.Unlock()
	mustClear(t, s, folder)
	wantMissing(t, s, keyNumber(1))
	if e, err := s.Read(other, keyNumber(2)); err != nil || string(e.Body) != "other's" {
		t.Errorf("Read of the other function's = %q, %v; want it", e.Body, err)
	}
}

func TestClearAndForgetOfNothing(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	mustClear(t, s, "")
	mustClear(t, s, folder)
	mustForget(t, s, keyNumber(1))
	wantMissing(t, s, keyNumber(1))
}

// wantForeignStay lays files, clears, and wants all of them to be there still.
func wantForeignStay(t *testing.T, in Folder, foreign func(s *Store) []string) {
	t.Helper()
	s := open(t, storeDir(t), Limits{MaxItems: 1})
	for n := range 3 {
		settled(t, s, keyNumber(n), "x")
	}
	for _, path := range foreign(s) {
		lay(t, path, []byte("foreign"))
	}
	mustClear(t, s, in)
	wantFiles(t, s, 0, 0)
	for _, path := range foreign(s) {
		if data, err := os.ReadFile(path); err != nil || string(data) != "foreign" {
			t.Errorf("the foreign file %s = %q, %v; want it to stay", path, data, err)
		}
	}
}

func TestForeignFilesStay(t *testing.T) {
	t.Parallel()
	for _, in := range []Folder{"", folder} {
		wantForeignStay(t, in, func(s *Store) []string {
			leaf := filepath.Dir(s.Path(folder, keyNumber(1)))
			return []string{
				filepath.Join(s.dir, "README"),
				filepath.Join(s.dir, "name-0123456789abcdef"), // a file where a function's folder may be
				filepath.Join(s.dir, "features", "a", "b", filepath.Base(s.Path(folder, keyNumber(1)))),
				filepath.Join(leaf, "README"),
				filepath.Join(leaf, "x"+tmp),
				filepath.Join(leaf, filepath.Base(s.Path(folder, keyNumber(1)))+".bak"),
				filepath.Join(leaf, "folder", "file"),
			}
		})
	}
}

func TestForeignFilesAboveTheLastFoldersStay(t *testing.T) {
	t.Parallel()
	for _, in := range []Folder{"", folder} {
		wantForeignStay(t, in, func(s *Store) []string {
			return []string{
				filepath.Join(s.dir, string(folder), "README"),
				filepath.Join(s.dir, string(folder), filepath.Base(filepath.Dir(filepath.Dir(s.Path(folder, keyNumber(1))))), "README"),
				filepath.Join(s.dir, "backup-0123456789abcdef", "data.tar"), // a folder whose name is like a function's
			}
		})
	}
}

// A call that writes in one process while another clears: the entry either is kept,
// as that of a call that was running, or is gone. What may not be is a torn one.
func TestClearBetweenWriteAndUnlock(t *testing.T) {
	t.Parallel()
	skipIfOpenFilesStay(t)
	dir := storeDir(t)
	a, b := open(t, dir, Limits{}), open(t, dir, Limits{})
	l := lock(t, a, keyNumber(1))
	if err := l.Write(folder, entry("x")); err != nil {
		t.Fatal(err)
	}
	mustClear(t, b, "")
	l.Unlock()
	a.Sync()
	if e, err := a.Read(folder, keyNumber(1)); err == nil && string(e.Body) != "x" || err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read = %q, %v; want the right bytes or nothing", e.Body, err)
	}
	settled(t, a, keyNumber(1), "y")
	wantBody(t, b, keyNumber(1), "y")
}

func TestForgetRemovesWhatIsThereUnderEitherName(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	mustPut(t, s, keyNumber(1), "x")
	mustPut(t, s, keyNumber(2), "y")
	lay(t, s.Path(folder, keyNumber(3))+tmp, encoded(keyNumber(3), "of the dead"))
	lay(t, s.Path(folder, keyNumber(4)), []byte("damaged"))
	mustForget(t, s, keyNumber(1))
	mustForget(t, s, keyNumber(3))
	mustForget(t, s, keyNumber(4))
	wantMissing(t, s, keyNumber(1))
	wantBody(t, s, keyNumber(2), "y")
	wantMissing(t, s, keyNumber(3))
	wantMissing(t, s, keyNumber(4))
	wantFiles(t, s, 1, 0)
	if len(s.busy) != 0 {
		t.Errorf("%d keys are busy after Forget", len(s.busy))
	}
}

func TestForgetLeavesWhatIsBeingComputed(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	settled(t, s, keyNumber(1), "old")
	l := lock(t, s, keyNumber(1))
	mustForget(t, s, keyNumber(1)) // does not wait for the lock
	wantMissing(t, s, keyNumber(1))
	if err := l.Write(folder, entry("new")); err != nil {
		t.Fatal(err)
	}
	wantBody(t, s, keyNumber(1), "new")
	l.Unlock()
	s.Sync()
	wantBody(t, s, keyNumber(1), "new")
}

func TestForgetOfWhatIsWrittenAndNotUnlocked(t *testing.T) {
	t.Parallel()
	skipIfOpenFilesStay(t)
	s := open(t, storeDir(t), Limits{})
	l := lock(t, s, keyNumber(1))
	if err := l.Write(folder, entry("x")); err != nil {
		t.Fatal(err)
	}
	mustForget(t, s, keyNumber(1))
	wantMissing(t, s, keyNumber(1))
	l.Unlock()
	s.Sync()
	wantMissing(t, s, keyNumber(1))
	settled(t, s, keyNumber(1), "y")
	wantBody(t, s, keyNumber(1), "y")
}

func TestForgetOfWhatCannotBeRemovedIsAnError(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	lay(t, filepath.Join(s.Path(folder, keyNumber(1)), "foreign"), nil)
	if err := s.Forget(folder, keyNumber(1)); err == nil {
		t.Error("Forget = nil; want an error")
	}
	lay(t, filepath.Join(s.Path(folder, keyNumber(2))+tmp, "foreign"), nil)
	if err := s.Forget(folder, keyNumber(2)); err == nil {
		t.Error("Forget = nil; want an error")
	}
	if !isFree(s, keyNumber(2)) {
		t.Error("the lock is held after Forget")
	}
	if err := s.Clear(""); err == nil {
		t.Error("Clear = nil; want an error")
	}
}

func TestClearAndForgetWhileOthersWriteAndRead(t *testing.T) {
	t.Parallel()
	skipIfOpenFilesStay(t)
	dir := storeDir(t)
	stores := []*Store{open(t, dir, Limits{}), open(t, dir, Limits{})}
	foreign := filepath.Join(dir, "README")
	lay(t, foreign, []byte("foreign"))
	const keys = 8
	var writers, others sync.WaitGroup
	var isOver atomic.Bool
	var hits atomic.Int64
	for w, s := range stores {
		writers.Go(func() {
			for n := range 150 {
				key := keyNumber((n + w) % keys)
				if err := put(s, key, "right"); err != nil && !errors.Is(err, fs.ErrNotExist) { // bug B17
					t.Errorf("Write = %v; want nil", err)
				}
			}
		})
		others.Go(func() {
			for n := 0; !isOver.Load(); n++ {
				e, err := s.Read(folder, keyNumber(n%keys))
				if err == nil {
					hits.Add(1)
				}
				if err == nil && string(e.Body) != "right" || err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("Read = %q, %v; want the right bytes or nothing", e.Body, err)
				}
				runtime.Gosched()
			}
		})
	}
	others.Go(func() {
		for n := 0; !isOver.Load(); n++ {
			in := Folder("")
			if n%2 == 1 {
				in = folder
			}
			if err := stores[n%2].Clear(in); err != nil {
				t.Errorf("Clear = %v; want nil", err)
			}
			if err := stores[n%2].Forget(folder, keyNumber(n%keys)); err != nil {
				t.Errorf("Forget = %v; want nil", err)
			}
			runtime.Gosched()
		}
	})
	writers.Wait()
	isOver.Store(true)
	others.Wait()
	if data, err := os.ReadFile(foreign); string(data) != "foreign" {
		t.Errorf("the foreign file = %q, %v; want it to stay", data, err)
	}
	for n := range keys { // and all is well afterwards
		settled(t, stores[0], keyNumber(n), "right")
		wantBody(t, stores[1], keyNumber(n), "right")
	}
	t.Logf("%d hits", hits.Load())
}

func TestClearLeavesTheCountOfWhatWasEvicted(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{MaxItems: 1})
	settled(t, s, keyNumber(1), "x")
	settled(t, s, keyNumber(2), "x")
	mustClear(t, s, "")
	if got := evicted(s); got != 1 {
		t.Errorf("Evicted = %d after one was; want 1", got)
	}
}

func TestAWriterGoesOnHoweverOftenOthersClear(t *testing.T) {
	t.Parallel()
	skipIfOpenFilesStay(t)
	dir := storeDir(t)
	s := open(t, dir, Limits{})
	var others sync.WaitGroup
	var isOver atomic.Bool
	for range 3 {
		other := open(t, dir, Limits{})
		others.Go(func() {
			for !isOver.Load() {
				if err := other.Clear(""); err != nil {
					t.Errorf("Clear = %v; want nil", err)
				}
			}
		})
	}
	for n := range 100 {
		if err := put(s, keyNumber(n), "x"); err != nil {
			t.Errorf("Write = %v; want nil", err)
			break
		}
	}
	isOver.Store(true)
	others.Wait()
}

// What the other store has written has not its name yet, and gets it while Clear is
// on its way.
func TestClearRemovesWhatAnotherStoreHasJustWritten(t *testing.T) {
	t.Parallel()
	clearJustWritten(t, 40)
}

func TestClearRemovesWhatAnotherStoreHasJustWrittenToALargeFolder(t *testing.T) {
	t.Parallel()
	clearJustWritten(t, 300)
}

// clearJustWritten clears while many entries in one folder, beside so many others, are
// about to get their names.
func clearJustWritten(t *testing.T, beside int) {
	t.Helper()
	dir := storeDir(t)
	a, b := open(t, dir, Limits{}), open(t, dir, Limits{})
	near := func(n int, digit byte) Key { // all in one folder, by that digit, so that Clear is in there for long
		key := keyNumber(n)
		key[0], key[1] = 0, digit
		return key
	}
	for round := range 6 {
		for n := range beside {
			lay(t, a.Path(folder, near(n, 0)), encoded(near(n, 0), "x"))
		}
		for n := range manySettling {
			mustPut(t, a, near(n, 255), "x")
		}
		mustClear(t, b, "")
		a.Sync()
		if entries, temporary := files(a); entries+temporary > 0 {
			t.Fatalf("round %d: there are %d entries and %d temporary files that were written before Clear", round, entries, temporary)
		}
	}
}

func TestForgetRemovesWhatAnotherStoreHasJustWritten(t *testing.T) {
	t.Parallel()
	dir := storeDir(t)
	a, b := open(t, dir, Limits{}), open(t, dir, Limits{})
	for n := range 50 {
		mustPut(t, a, keyNumber(n), "x")
		mustForget(t, b, keyNumber(n))
		a.Sync()
		if _, err := a.Read(folder, keyNumber(n)); err == nil {
			t.Fatalf("Read of %d = nil; want fs.ErrNotExist, as it was written before Forget", n)
		}
	}
}
