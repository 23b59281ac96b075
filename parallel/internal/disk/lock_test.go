package disk

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

func TestLockExcludesTheGoroutinesOfAStore(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	n := 0 // the race detector watches it too
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				l, err := s.Lock(context.Background(), keyNumber(1))
				if err != nil {
					t.Error(err)
					return
				}
				n++
				l.Unlock()
			}
		})
	}
	all.Wait()
	if n != 400 {
		t.Errorf("400 increments under the lock made %d", n)
	}
	if len(s.busy) != 0 {
		t.Errorf("%d locks are held after all were given back", len(s.busy))
	}
}

func TestUnlockWakesAllWhoWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, storeDir(t), Limits{})
		l := lock(t, s, keyNumber(1))
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				l, err := s.Lock(context.Background(), keyNumber(1))
				if err != nil {
					t.Error(err)
					return
				}
				l.Unlock()
			})
		}
		synctest.Wait()
		l.Unlock()
		all.Wait() // else the bubble says that all are stuck
	})
}

func TestLocksOfOtherKeysDoNotWait(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	for n := range 100 {
		defer lock(t, s, keyNumber(n)).Unlock()
	}
	if s.TryLock(keyNumber(7)) != nil {
		t.Error("TryLock of one that is held = a lock; want nil")
	}
	if !isFree(s, keyNumber(100)) {
		t.Error("TryLock of another key = nil; want a lock")
	}
}

func TestWaitForALockOfThisStoreEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, storeDir(t), Limits{})
		l := lock(t, s, keyNumber(1))
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan error, 1)
		go func() {
			_, err := s.Lock(ctx, keyNumber(1))
			got <- err
		}()
		synctest.Wait()
		if len(got) != 0 {
			t.Fatalf("Lock of one that is held = %v; want it to wait", <-got)
		}
		cancel()
		if err := <-got; !errors.Is(err, context.Canceled) {
			t.Errorf("Lock = %v; want context.Canceled", err)
		}
		l.Unlock()
		if !isFree(s, keyNumber(1)) {
			t.Error("the lock is held after Unlock; the wait that was given up has it")
		}
	})
}

func TestUnlockGivesAFoundTemporaryFileItsName(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	key := keyNumber(1)
	lay(t, s.Path(folder, key)+tmp, encoded(key, "found"))
	l := lock(t, s, key)
	if e, err := l.Read(folder); err != nil || string(e.Body) != "found" {
		t.Errorf("Read = %q, %v; want %q", e.Body, err, "found")
	}
	wantFiles(t, s, 0, 1)
	l.Unlock()
	s.Sync()
	wantFiles(t, s, 1, 0)
	wantBody(t, s, key, "found")
}

func TestAFoundTemporaryFileMayBeWrittenOver(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	key := keyNumber(1)
	lay(t, s.Path(folder, key)+tmp, encoded(key, "found"))
	l := lock(t, s, key)
	if _, err := l.Read(folder); err != nil {
		t.Error(err)
	}
	if err := l.Write(folder, entry("new")); err != nil {
		t.Errorf("Write = %v; want nil", err)
	}
	l.Unlock()
	s.Sync()
	wantFiles(t, s, 1, 0)
	wantBody(t, s, key, "new")
}

func TestUnlockWithoutAWriteLeavesNothing(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	key := keyNumber(1)
	l := lock(t, s, key)
	if _, err := l.Read(folder); err == nil {
		t.Error("Read = nil; want fs.ErrNotExist")
	}
	l.Unlock()
	wantFiles(t, s, 0, 0)
	if !isFree(s, key) {
		t.Error("the lock is held after Unlock")
	}
}

// Whoever removes the folder, or the lock file, takes locks and entries
// away, but nobody's work.
func TestFolderOrLockFileRemovedInUse(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(s *Store) error{
		"the folder":    func(s *Store) error { return os.RemoveAll(s.dir) },
		"the lock file": func(s *Store) error { return os.Remove(filepath.Join(s.dir, "lock")) },
		"all in it": func(s *Store) error {
			for _, name := range names(t, s.dir) {
				if err := os.RemoveAll(filepath.Join(s.dir, name)); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			skipIfOpenFilesStay(t)
			s := open(t, storeDir(t), Limits{})
			settled(t, s, keyNumber(1), "one")
			held := lock(t, s, keyNumber(2))
			if err := remove(s); err != nil {
				t.Fatal(err)
			}
			if s.TryLock(keyNumber(2)) != nil {
				t.Error("TryLock of one that is held = a lock; want nil")
			}
			if err := held.Write(folder, entry("two")); err != nil {
				t.Errorf("Write = %v; want nil", err)
			}
			wantBody(t, s, keyNumber(2), "two")
			held.Unlock()
			settled(t, s, keyNumber(3), "three")
			wantBody(t, s, keyNumber(2), "two")
			wantBody(t, s, keyNumber(3), "three")
			if name == "the lock file" {
				wantBody(t, s, keyNumber(1), "one")
			} else {
				wantMissing(t, s, keyNumber(1))
			}
			if len(s.busy) != 0 {
				t.Errorf("%d locks are held after all were given back", len(s.busy))
			}
		})
	}
}

// "then two of them may compute the same thing, and one may find damaged what the
// other is writing": never a wrong result, and the next call mends it.
func TestTwoWritersOfAKeyThatDoNotSeeEachOther(t *testing.T) {
	t.Parallel()
	skipIfOpenFilesStay(t)
	dir := storeDir(t)
	a, b := open(t, dir, Limits{}), open(t, dir, Limits{})
	key := keyNumber(1)
	la := lock(t, a, key)
	if err := la.Write(folder, entry("a's")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "lock")); err != nil { // b makes another one
		t.Fatal(err)
	}
	lb := lock(t, b, key)
	f, err := b.create(b.Path(folder, key) + tmp)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(encoded(key, "b's")[:headerSize]); err != nil { // b is in the midst of its Write
		t.Fatal(err)
	}
	la.Unlock()
	a.Sync()
	if e, err := a.Read(folder, key); err == nil && string(e.Body) != "a's" {
		t.Errorf("Read = %q; want the right bytes or an error", e.Body)
	}
	f.Close() // and there b ended
	lb.release()
	settled(t, a, key, "new")
	wantBody(t, b, key, "new")
	wantFiles(t, b, 1, 0)
}

// skipIfOpenFilesStay skips a test that removes files that are open.
func skipIfOpenFilesStay(t *testing.T) {
	t.Helper()
	if os.PathSeparator == '\\' {
		t.Skip("files that are open cannot be removed here")
	}
}

func TestWithoutALockFileAStoreExcludesItsOwnAndSaysSo(t *testing.T) {
	t.Parallel()
	s, told := openLoud(t, storeDir(t), Limits{})
	if err := os.MkdirAll(filepath.Join(s.dir, "lock"), 0o700); err != nil {
		t.Fatal(err)
	}
	l := lock(t, s, keyNumber(1))
	if s.TryLock(keyNumber(1)) != nil {
		t.Error("TryLock of one that is held = a lock; want nil")
	}
	if got := told.all(); len(got) != 1 || !strings.HasPrefix(got[0], "processes do not wait for each other: ") {
		t.Errorf("reported %q; want once that processes do not wait for each other", got)
	}
	if err := l.Write(folder, entry("x")); err != nil {
		t.Errorf("Write = %v; want nil", err)
	}
	l.Unlock()
	s.Sync()
	wantBody(t, s, keyNumber(1), "x")
	if !isFree(s, keyNumber(1)) {
		t.Error("the lock is held after Unlock")
	}
}
