package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

func TestAnEntryIsReadByAllAsSoonAsItIsWritten(t *testing.T) {
	t.Parallel()
	dir := storeDir(t)
	a, b := open(t, dir, Limits{}), open(t, dir, Limits{})
	l := lock(t, a, keyNumber(1))
	if err := l.Write(folder, entry("x")); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, a, 0, 1)
	wantBody(t, a, keyNumber(1), "x")
	wantBody(t, b, keyNumber(1), "x")
	l.Unlock()
	wantBody(t, a, keyNumber(1), "x")
	a.Sync()
	wantFiles(t, a, 1, 0)
	wantBody(t, a, keyNumber(1), "x")
	wantBody(t, b, keyNumber(1), "x")
}

func TestWhatIsWrittenOverAnEntryIsReadAsSoonAsItIsWritten(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	settled(t, s, keyNumber(1), "old")
	l := lock(t, s, keyNumber(1))
	defer l.Unlock()
	if err := l.Write(folder, entry("new")); err != nil {
		t.Fatal(err)
	}
	wantBody(t, s, keyNumber(1), "new")
}

func TestWhatIsWrittenOverADamagedEntryIsReadAsSoonAsItIsWritten(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	lay(t, s.Path(folder, keyNumber(1)), []byte("damaged"))
	l := lock(t, s, keyNumber(1))
	defer l.Unlock()
	if err := l.Write(folder, entry("new")); err != nil {
		t.Fatal(err)
	}
	wantBody(t, s, keyNumber(1), "new")
}

// Whoever wrote it has ended before it removed the other. The function is called again.
func TestADamagedEntryIsDamagedWhateverIsBesideIt(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	lay(t, s.Path(folder, keyNumber(1)), []byte("damaged"))
	lay(t, s.Path(folder, keyNumber(1))+tmp, encoded(keyNumber(1), "whole"))
	wantDamaged(t, s, keyNumber(1))
	l := lock(t, s, keyNumber(1))
	if e, err := l.Read(folder); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read with the lock = %q, %v; want a DamagedError", e.Body, err)
	}
	if err := l.Write(folder, entry("mine")); err != nil {
		t.Fatal(err)
	}
	l.Unlock()
	s.Sync()
	wantBody(t, s, keyNumber(1), "mine")
	wantFiles(t, s, 1, 0)
}

// A file that was prepared and not used is gone.
func TestAFileThatWasPreparedInVainIsRemoved(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	l := lock(t, s, keyNumber(1))
	l.Prepare(folder)
	<-l.prepared
	wantFiles(t, s, 0, 1)
	l.Unlock()
	s.Sync()
	wantFiles(t, s, 0, 0)
}

func TestAnEntryIsThereAllTheTimeWhileItGetsItsName(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	for n := range 150 {
		mustPut(t, s, keyNumber(n), "x")
		for range 50 {
			if _, err := s.Read(folder, keyNumber(n)); err != nil {
				t.Fatalf("Read = %v; want what was written before", err)
			}
		}
	}
}

func TestManyWritersAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	size := func(n int) int { return (n % 5) * 100_000 } // so that they end out of order
	var all sync.WaitGroup
	for n := range 3 * manySettling {
		all.Go(func() {
			if err := put(s, keyNumber(n), strings.Repeat("x", size(n))); err != nil {
				t.Errorf("Write = %v; want nil", err)
			}
		})
	}
	all.Wait()
	s.Sync()
	wantFiles(t, s, 3*manySettling, 0)
	for n := range 3 * manySettling {
		wantBody(t, s, keyNumber(n), strings.Repeat("x", size(n)))
	}
	if len(s.settling) != 0 || len(s.busy) != 0 {
		t.Errorf("%d entries settle and %d keys are busy after Sync; want none", len(s.settling), len(s.busy))
	}
}

func TestWriteWaitsWhileManySettle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, storeDir(t), Limits{})
		if !s.underWay.TryAcquire(allUnderWay) { // as a slow disk would
			t.Fatal("something is under way in a new store")
		}
		const more = 5
		var written sync.WaitGroup
		done := make(chan int, more)
		for n := range more {
			l := lock(t, s, keyNumber(n))
			written.Go(func() {
				if err := l.Write(folder, entry("x")); err != nil {
					t.Error(err)
				}
				l.Unlock()
				done <- n
			})
		}
		synctest.Wait()
		if len(done) != 0 {
			t.Errorf("%d of %d were written while %d others settle; want none", len(done), more, manySettling)
		}
		wantFiles(t, s, 0, 0) // none is open, either
		s.underWay.Release(allUnderWay)
		written.Wait()
		s.Sync()
		wantFiles(t, s, more, 0)
	})
}

func TestSyncWaitsForAllThatWereUnlockedBefore(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for n := range 10 {
				key := keyNumber(100*w + n)
				if err := put(s, key, "x"); err != nil {
					t.Errorf("Write = %v; want nil", err)
					return
				}
				s.Sync() // of which the others' are no part
				if path := s.Path(folder, key); !exists(path) || exists(path+tmp) {
					t.Errorf("after Sync, the entry that was written before has no name, or two")
				}
			}
		})
	}
	all.Wait()
}

func TestSyncOfNothingDoesNotWait(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	s.Sync()
	defer lock(t, s, keyNumber(1)).Unlock()
	s.Sync()
	if exists(filepath.Join(s.dir, "square")) {
		t.Error("Sync made folders")
	}
}

func TestFolderThatIsMadeHasFilesForOthersToKnowIt(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	settled(t, s, keyNumber(1), "x")
	if data, err := os.ReadFile(filepath.Join(s.dir, ".gitignore")); err != nil || string(data) != "*\n" {
		t.Errorf(".gitignore = %q, %v; want %q", data, err, "*\n")
	}
	if got, want := strings.Join(names(t, s.dir), " "), ".gitignore lock "+string(folder); got != want {
		t.Errorf("the folder has %q; want %q", got, want)
	}
}

func TestAFolderThatWasThereIsNotTouched(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	settled(t, s, keyNumber(1), "x")
	if exists(filepath.Join(s.dir, ".gitignore")) {
		t.Error("there is a .gitignore in a folder of somebody else's making")
	}
}

func TestWriteErrorsAreReturnedAndLeaveNoTemporaryFile(t *testing.T) {
	t.Parallel()
	key := keyNumber(1)
	for name, spoil := range map[string]func(t *testing.T, s *Store){
		"a file is in the function's folder's place": func(t *testing.T, s *Store) {
			lay(t, filepath.Join(s.dir, string(folder)), nil)
		},
		"a file is in the last folder's place": func(t *testing.T, s *Store) {
			lay(t, filepath.Dir(s.Path(folder, key)), nil)
		},
		"a folder with something in it is in the temporary file's place": func(t *testing.T, s *Store) {
			lay(t, filepath.Join(s.Path(folder, key)+tmp, "foreign"), nil)
		},
		"a file is in the folder's place": func(t *testing.T, s *Store) {
			settled(t, s, keyNumber(2), "x")
			if err := os.RemoveAll(s.dir); err != nil {
				t.Fatal(err)
			}
			lay(t, s.dir, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			skipIfOpenFilesStay(t)
			s, _ := openLoud(t, storeDir(t), Limits{})
			spoil(t, s)
			l := lock(t, s, key)
			err := l.Write(folder, entry("x"))
			if err == nil {
				t.Error("Write = nil; want an error")
			}
			l.Unlock()
			s.Sync()
			if e, err := s.Read(folder, key); err == nil {
				t.Errorf("Read = %q; want an error", e.Body)
			}
			if about, err := os.Lstat(s.Path(folder, key) + tmp); err == nil && !about.IsDir() {
				t.Error("there is a temporary file")
			}
			if !isFree(s, key) {
				t.Error("the lock is held after Unlock")
			}
		})
	}
}

func TestReadWithoutAnEntryWhereAFileIsInItsFoldersPlaceIsAMiss(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	lay(t, filepath.Join(s.dir, string(folder)), nil)
	wantMissing(t, s, keyNumber(1))
}

func TestAnEntryThatCannotHaveItsNameIsReported(t *testing.T) {
	t.Parallel()
	s, told := openLoud(t, storeDir(t), Limits{})
	path := s.Path(folder, keyNumber(1))
	l := lock(t, s, keyNumber(1))
	if err := l.Write(folder, entry("x")); err != nil {
		t.Fatal(err)
	}
	lay(t, filepath.Join(path, "foreign"), nil)
	l.Unlock()
	s.Sync()
	if got := told.all(); len(got) != 1 || !strings.HasPrefix(got[0], "a result is not kept: "+path+": ") {
		t.Errorf("reported %q; want once that the result is not kept", got)
	}
	if exists(path + tmp) {
		t.Error("there is a temporary file")
	}
	if !isFree(s, keyNumber(1)) {
		t.Error("the lock is held after Unlock")
	}
}

func TestAFolderInTheEntrysPlaceIsOneErrorAndLeavesNoTemporaryFile(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	path := s.Path(folder, keyNumber(1))
	lay(t, filepath.Join(path, "foreign"), nil)
	l := lock(t, s, keyNumber(1))
	defer l.Unlock()
	if err := l.Write(folder, entry("x")); err == nil {
		t.Error("Write = nil; want an error")
	}
	if exists(path + tmp) {
		t.Error("there is a temporary file")
	}
}

func TestFolderRemovedBetweenWriteAndUnlock(t *testing.T) {
	t.Parallel()
	skipIfOpenFilesStay(t)
	s := open(t, storeDir(t), Limits{}) // that it reports nothing is part of the test
	l := lock(t, s, keyNumber(1))
	if err := l.Write(folder, entry("x")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(s.dir); err != nil {
		t.Fatal(err)
	}
	l.Unlock()
	s.Sync()
	wantMissing(t, s, keyNumber(1))
	settled(t, s, keyNumber(1), "y")
	wantBody(t, s, keyNumber(1), "y")
	if !isFree(s, keyNumber(2)) || !exists(filepath.Join(s.dir, "lock")) {
		t.Error("the new folder has no lock file, and other processes do not see this one's locks")
	}
}
