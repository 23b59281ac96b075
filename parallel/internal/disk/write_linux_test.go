package disk

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// descriptors returns how many are open for files below dir.
func descriptors(t *testing.T, dir string) (n int) {
	t.Helper()
	for _, name := range names(t, "/proc/self/fd") {
		if to, err := os.Readlink(filepath.Join("/proc/self/fd", name)); err == nil && strings.HasPrefix(to, dir+"/") {
			n++
		}
	}
	return n
}

func TestNothingButTheLockFileStaysOpen(t *testing.T) {
	t.Parallel()
	s, _ := openLoud(t, storeDir(t), Limits{MaxItems: 10})
	wantOpen := func(after string) {
		t.Helper()
		s.Sync()
		if n := descriptors(t, s.dir); n != 1 {
			t.Errorf("%d files are open after %s; want 1, the lock file", n, after)
		}
	}
	for n := range 15 {
		mustPut(t, s, keyNumber(n), "x")
	}
	wantOpen("Write")
	for n := range 20 {
		_, _ = s.Read(folder, keyNumber(n))
	}
	lay(t, s.Path(folder, keyNumber(30)), []byte("damaged"))
	_, _ = s.Read(folder, keyNumber(30))
	wantOpen("Read")
	lay(t, filepath.Join(s.Path(folder, keyNumber(31)), "foreign"), nil)
	if _, err := s.Read(folder, keyNumber(31)); err == nil {
		t.Error("Read of a folder = nil; want an error")
	}
	l := lock(t, s, keyNumber(32))
	lay(t, filepath.Join(s.Path(folder, keyNumber(32))+tmp, "foreign"), nil)
	if err := l.Write(folder, entry("x")); err == nil {
		t.Error("Write where a folder is = nil; want an error")
	}
	l.Unlock()
	if err := put(s, keyNumber(31), "x"); err == nil {
		t.Error("Write of an entry where a folder is = nil; want an error")
	}
	wantOpen("errors")
	lay(t, s.Path(folder, keyNumber(33))+tmp, encoded(keyNumber(33), "x"))
	for n := range 20 {
		l := lock(t, s, keyNumber(100+n))
		l.Prepare(folder)
		l.Unlock() // without a result
	}
	wantOpen("a file that was prepared in vain")
	l = lock(t, s, keyNumber(33))
	_, _ = l.Read(folder)
	l.Unlock()
	wantOpen("a found temporary file")
	if err := s.Forget(folder, keyNumber(33)); err != nil {
		t.Error(err)
	}
	_ = s.Clear("") // there are foreign files
	wantOpen("Clear")
}

func TestTwoWritesUnderOneLockLeaveNoFileOpen(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	l := lock(t, s, keyNumber(1))
	for range 3 {
		if err := l.Write(folder, entry("x")); err != nil {
			t.Fatal(err)
		}
	}
	l.Unlock()
	s.Sync()
	if n := descriptors(t, s.dir); n != 1 {
		t.Errorf("%d files are open; want 1, the lock file", n)
	}
}
