//go:build unix

package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// wantDistrust wants that nothing is read from the folder, nor written to it, and
// that this is told.
func wantDistrust(t *testing.T, s *Store, told *reports) {
	t.Helper()
	key := keyNumber(1)
	if e, err := s.Read(folder, key); !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, ErrNotUsed) {
		t.Errorf("Read = %q, %v; want fs.ErrNotExist for distrust", e.Body, err)
	}
	before, _ := os.ReadDir(filepath.Dir(s.Path(folder, key)))
	l := lock(t, s, key) // so that calls go on
	l.Prepare(folder)
	if e, err := l.Read(folder); !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, ErrNotUsed) {
		t.Errorf("Read with the lock = %q, %v; want fs.ErrNotExist for distrust", e.Body, err)
	}
	if err := l.Write(folder, entry("mine")); !errors.Is(err, ErrNotUsed) {
		t.Errorf("Write = %v; want distrust", err)
	}
	if after, _ := os.ReadDir(filepath.Dir(s.Path(folder, key))); len(after) != len(before) {
		t.Errorf("there are %v; want no file to be made", after)
	}
	l.Unlock()
	if err := s.Forget(folder, key); !errors.Is(err, ErrNotUsed) {
		t.Errorf("Forget = %v; want distrust", err)
	}
	if err := s.Clear(""); !errors.Is(err, ErrNotUsed) {
		t.Errorf("Clear = %v; want distrust", err)
	}
	s.Sync()
	got := told.all()
	for _, line := range got {
		if !strings.HasPrefix(line, "nothing is kept: "+s.dir+": ") {
			t.Errorf("reported %q; want that nothing is kept", line)
		}
	}
	if len(got) == 0 {
		t.Error("reported nothing; want that nothing is kept")
	}
	if len(s.busy) != 0 {
		t.Errorf("%d keys are busy after all were given back", len(s.busy))
	}
}

func TestAFolderThatOthersCanWriteToIsNotUsed(t *testing.T) {
	t.Parallel()
	for _, mode := range []fs.FileMode{0o777, 0o775, 0o720, 0o702, 0o1777} {
		t.Run(mode.String(), func(t *testing.T) {
			s, told := openLoud(t, storeDir(t), Limits{})
			lay(t, s.Path(folder, keyNumber(1)), encoded(keyNumber(1), "theirs"))
			if err := os.Chmod(s.dir, mode&fs.ModePerm); err != nil {
				t.Fatal(err)
			}
			wantDistrust(t, s, told)
			if exists(filepath.Join(s.dir, "lock")) {
				t.Error("there is a lock file in a folder that is not used")
			}
			if !exists(s.Path(folder, keyNumber(1))) {
				t.Error("a file was removed from a folder that is not used")
			}
		})
	}
}

func TestAFolderThatOthersCanReadIsUsed(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	settled(t, s, keyNumber(1), "x")
	wantBody(t, s, keyNumber(1), "x")
}

func TestAFolderOfSomebodyElseIsNotUsed(t *testing.T) {
	t.Parallel()
	dir := "/" // root's
	if os.Geteuid() == 0 {
		dir = storeDir(t)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, nobody, -1); err != nil {
			t.Skip("cannot give a folder to somebody else:", err)
		}
	}
	s, told := openLoud(t, dir, Limits{})
	wantDistrust(t, s, told)
}

func TestALinkToAFolderIsJudgedByTheFolder(t *testing.T) {
	t.Parallel()
	above := t.TempDir()
	real, link := filepath.Join(above, "real"), filepath.Join(above, "link")
	if err := errors.Join(os.Mkdir(real, 0o700), os.Chmod(real, 0o777), os.Symlink(real, link)); err != nil {
		t.Fatal(err)
	}
	s, told := openLoud(t, link, Limits{})
	wantDistrust(t, s, told)
}

func TestAFileInTheFoldersPlaceIsNotUsed(t *testing.T) {
	t.Parallel()
	s, told := openLoud(t, storeDir(t), Limits{})
	lay(t, s.dir, []byte("foreign"))
	wantDistrust(t, s, told)
	if data, err := os.ReadFile(s.dir); string(data) != "foreign" {
		t.Errorf("the file = %q, %v; want it untouched", data, err)
	}
}

func make777(t *testing.T, dir string) {
	t.Helper()
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o777)); err != nil {
		t.Fatal(err)
	}
}

func TestAFolderThatOthersMakeInTheMeantimeIsNotUsed(t *testing.T) {
	t.Parallel()
	s, told := openLoud(t, storeDir(t), Limits{})
	wantMissing(t, s, keyNumber(1)) // nothing is there, which is no reason for distrust
	make777(t, s.dir)
	lay(t, s.Path(folder, keyNumber(1)), encoded(keyNumber(1), "theirs"))
	wantDistrust(t, s, told)
}

func TestAFolderThatOthersMakeBetweenLockAndWriteIsNotUsed(t *testing.T) {
	t.Parallel()
	above := filepath.Join(t.TempDir(), "above")
	lay(t, above, nil) // so that no folder can be made, nor a lock file
	s, told := openLoud(t, filepath.Join(above, "cache"), Limits{})
	l := lock(t, s, keyNumber(1))
	if err := errors.Join(os.Remove(above), os.Mkdir(above, 0o700)); err != nil {
		t.Fatal(err)
	}
	make777(t, s.dir)
	if err := l.Write(folder, entry("mine")); !errors.Is(err, ErrNotUsed) {
		t.Errorf("Write = %v; want distrust", err)
	}
	l.Unlock()
	wantDistrust(t, s, told)
}

func TestAFolderThatOthersMakeInTheTrustedOnesPlaceIsNotUsed(t *testing.T) {
	t.Parallel()
	s, told := openLoud(t, storeDir(t), Limits{})
	settled(t, s, keyNumber(1), "x")
	l := lock(t, s, keyNumber(1))
	if err := os.RemoveAll(s.dir); err != nil {
		t.Fatal(err)
	}
	make777(t, s.dir)
	if err := l.Write(folder, entry("mine")); !errors.Is(err, ErrNotUsed) {
		t.Errorf("Write = %v; want distrust", err)
	}
	l.Unlock()
	wantDistrust(t, s, told)
}
