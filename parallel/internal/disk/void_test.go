package disk

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// void makes the entry of a key void, as a result does that cannot be kept.
func void(t *testing.T, s *Store, key Key) {
	t.Helper()
	l := lock(t, s, key)
	l.Void(folder)
	l.Unlock()
	s.Sync()
}

func TestAVoidEntryIsRemovedWhateverItsName(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	void(t, s, keyNumber(1)) // nothing is there
	settled(t, s, keyNumber(1), "old")
	void(t, s, keyNumber(1))
	wantMissing(t, s, keyNumber(1))
	lay(t, s.Path(folder, keyNumber(1))+tmp, encoded(keyNumber(1), "unnamed"))
	void(t, s, keyNumber(1))
	wantMissing(t, s, keyNumber(1))
	wantFiles(t, s, 0, 0)
	if len(s.void) != 0 {
		t.Errorf("%d keys are kept for entries that were removed; want none", len(s.void))
	}
}

func TestWhatWasFoundOrWrittenAndIsVoidGetsNoName(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	lay(t, s.Path(folder, keyNumber(1))+tmp, encoded(keyNumber(1), "unnamed"))
	l := lock(t, s, keyNumber(1))
	if _, err := l.Read(folder); err != nil {
		t.Fatal(err)
	}
	l.Void(folder)
	l.Unlock()
	l = lock(t, s, keyNumber(2))
	if err := l.Write(folder, entry("written")); err != nil {
		t.Fatal(err)
	}
	l.Void(folder)
	l.Unlock()
	s.Sync()
	wantMissing(t, s, keyNumber(1))
	wantMissing(t, s, keyNumber(2))
	wantFiles(t, s, 0, 0)
}

func TestNoKeyIsKeptOfWhatWasNeverThere(t *testing.T) {
	t.Parallel()
	s, _ := openLoud(t, storeDir(t), Limits{})
	lay(t, filepath.Join(s.dir, string(folder)), nil) // so that nothing can be removed, either
	for n := range 20 {
		void(t, s, keyNumber(n))
	}
	if len(s.void) != 0 {
		t.Errorf("%d keys are kept; want none", len(s.void))
	}
}

// A folder that is not used has entries that may be used later.
func TestAnEntryThatIsVoidWhileTheFolderIsNotUsedStaysVoid(t *testing.T) {
	t.Parallel()
	s, told := openLoud(t, storeDir(t), Limits{})
	settled(t, s, keyNumber(1), "old")
	if err := os.Chmod(s.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	void(t, s, keyNumber(1))
	if len(told.all()) == 0 {
		t.Skip("nobody looks at who can write to a folder here")
	}
	if err := os.Chmod(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	wantMissing(t, s, keyNumber(1))
	if !strings.HasPrefix(told.all()[0], "nothing is kept: ") {
		t.Errorf("reported %q", told.all())
	}
}
