//go:build unix

package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const nobody = 65534

func init() {
	children["write little"] = func(dir string) {
		signal.Ignore(syscall.SIGXFSZ)
		s := quiet(dir)
		must(0, put(s, keyNumber(1), "small"))
		s.Sync()
		must(0, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 4096, Max: 4096}))
		fmt.Println("Write:", put(s, keyNumber(2), strings.Repeat("x", 10_000)) != nil)
		fmt.Println("Write:", put(s, keyNumber(1), strings.Repeat("x", 10_000)) != nil)
		must(0, put(s, keyNumber(3), "small"))
		s.Sync()
	}
	children["read only"] = func(dir string) {
		if os.Geteuid() == 0 {
			must(0, os.Chown(dir, nobody, -1))
			must(0, syscall.Setuid(nobody))
		}
		dir = filepath.Join(dir, "cache")
		s := New(dir, Limits{MaxItems: 100}, func(what, _ string, _ error) { fmt.Println("reported:", what) }, nil)
		must(0, put(s, keyNumber(1), "x"))
		s.Sync()
		must(0, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				err = os.Chmod(path, 0o500)
			}
			return err
		}))
		if e, err := s.Read(folder, keyNumber(1)); string(e.Body) != "x" {
			fmt.Println(err)
		}
		fmt.Println("Write:", put(s, keyNumber(2), "x") != nil)
		fmt.Println("Write:", put(s, keyNumber(1), "x") != nil)
		fmt.Println("Forget:", s.Forget(folder, keyNumber(1)) != nil)
		fmt.Println("Clear:", s.Clear("") != nil)
		s.Sync()
		if e, err := s.Read(folder, keyNumber(1)); string(e.Body) != "x" {
			fmt.Println(err)
		}
		if _, temporary := files(s); temporary != 0 {
			fmt.Println("temporary files:", temporary)
		}
		must(0, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				err = os.Chmod(path, 0o700)
			}
			return err
		}))
	}
	children["void"] = func(dir string) {
		if os.Geteuid() == 0 {
			must(0, os.Chown(dir, nobody, -1))
			must(0, syscall.Setuid(nobody))
		}
		s := quiet(filepath.Join(dir, "cache"))
		must(0, put(s, keyNumber(1), "old"))
		must(0, put(s, keyNumber(2), "other"))
		s.Sync()
		see := func(when string) {
			e, err := s.Read(folder, keyNumber(1))
			l := must(s.Lock(context.Background(), keyNumber(1)))
			locked, lockedErr := l.Read(folder)
			l.Unlock()
			other, _ := s.Read(folder, keyNumber(2))
			fmt.Printf("%s: %q %v, with the lock %q %v, other %q\n", when, e.Body, errors.Is(err, fs.ErrNotExist), locked.Body, errors.Is(lockedErr, fs.ErrNotExist), other.Body)
		}
		leaf := filepath.Dir(s.Path(folder, keyNumber(1)))
		must(0, os.Chmod(leaf, 0o500))
		l := must(s.Lock(context.Background(), keyNumber(1)))
		l.Void(folder)
		l.Unlock()
		see("void")
		must(0, os.Chmod(leaf, 0o700))
		see("when it could be removed")
		must(0, os.WriteFile(s.Path(folder, keyNumber(1))+tmp, encoded(keyNumber(1), "old as well"), 0o600))
		must(0, os.Remove(s.Path(folder, keyNumber(1))))
		see("with an old temporary file")
		e := Entry{Stored: time.Now(), Body: []byte("theirs")}
		must(0, os.WriteFile(s.Path(folder, keyNumber(1)), append(e.header(keyNumber(1)), e.Body...), 0o600))
		see("when others have stored another")
		must(0, put(s, keyNumber(1), "new")) // by a clock that was set back
		see("when this process has")
		fmt.Println("keys:", len(s.void))
	}
	children["umask 0"] = func(dir string) {
		syscall.Umask(0)
		s := quiet(dir)
		must(0, put(s, keyNumber(1), "x"))
		must(0, modes(dir))
		s.Sync()
		must(0, modes(dir))
		must(0, os.Remove(filepath.Join(dir, "lock")))
		must(0, put(s, keyNumber(1), "y"))
		s.Sync()
		must(0, modes(dir))
	}
	children["unreadable"] = func(dir string) {
		if os.Geteuid() == 0 {
			must(0, os.Chown(dir, nobody, -1))
			must(0, syscall.Setuid(nobody))
		}
		dir = filepath.Join(dir, "cache")
		s := New(dir, Limits{}, func(what, path string, _ error) { fmt.Println("reported:", what, path == dir) }, nil)
		must(0, put(s, keyNumber(1), "x"))
		s.Sync()
		must(0, os.Chmod(filepath.Join(dir, string(folder)), 0))
		_, err := s.ReadNamed(folder, keyNumber(1))
		fmt.Println("missing:", errors.Is(err, fs.ErrNotExist))
		must(0, os.Chmod(filepath.Join(dir, string(folder)), 0o300))
		err = s.Clear("")
		_, kept := s.Read(folder, keyNumber(1))
		fmt.Println("Clear:", err != nil, "kept:", kept == nil)
		must(0, os.Chmod(filepath.Join(dir, string(folder)), 0o700))
	}
	children["read sparse"] = func(dir string) {
		s := quiet(dir)
		must(0, put(s, keyNumber(1), "x"))
		s.Sync()
		must(0, os.Truncate(s.Path(folder, keyNumber(1)), 1<<43))
		_, err := s.Read(folder, keyNumber(1))
		fmt.Println(err != nil)
	}
}

// modes returns an error if others may do anything with what is in dir.
func modes(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		about, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if got := about.Mode().Perm(); got != want {
			return fmt.Errorf("the mode of %s is %v; want %v", path, got, want)
		}
		return nil
	})
}

func TestFoldersAndFilesAreForTheirOwnerAlone(t *testing.T) {
	t.Parallel()
	c := startChild(t, "umask 0", filepath.Join(t.TempDir(), "above", "cache"))
	if said := c.rest(); said != "" {
		t.Error(said)
	}
}

// As on a full disk, a part is written and then no more.
func TestWhatDoesNotFitIsReturnedAndLeavesNoTemporaryFile(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	c := startChild(t, "write little", s.dir)
	if got, want := c.rest(), "Write: true\nWrite: true"; got != want {
		t.Errorf("the child said %q; want %q", got, want)
	}
	wantFiles(t, s, 2, 0)
	wantBody(t, s, keyNumber(1), "small")
	wantMissing(t, s, keyNumber(2))
	wantBody(t, s, keyNumber(3), "small")
}

// A result that could not replace it made the entry void, and nothing can be removed.
func TestAVoidEntryThatCannotBeRemovedIsNotUsed(t *testing.T) {
	t.Parallel()
	c := startChild(t, "void", foreignDir(t))
	const missing = `"" true, with the lock "" true, other "other"`
	want := "void: " + missing + "\nwhen it could be removed: " + missing + "\nwith an old temporary file: " + missing +
		"\nwhen others have stored another: \"theirs\" false, with the lock \"theirs\" false, other \"other\"" +
		"\nwhen this process has: \"new\" false, with the lock \"new\" false, other \"other\"\nkeys: 0"
	if got := c.rest(); got != want {
		t.Errorf("the child said\n%s\nwant\n%s", got, want)
	}
}

// foreignDir returns a folder that a process of another user may be in.
func foreignDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAReadOnlyFolderIsReadAndErrorsAreReturned(t *testing.T) {
	t.Parallel()
	c := startChild(t, "read only", foreignDir(t))
	if got, want := c.rest(), "Write: true\nWrite: true\nForget: true\nClear: true"; got != want {
		t.Errorf("the child said %q; want %q", got, want)
	}
}

func TestClearOfWhatCannotBeListedIsAnError(t *testing.T) {
	t.Parallel()
	c := startChild(t, "unreadable", foreignDir(t))
	if got, want := c.rest(), "reported: results cannot be read true\nmissing: true\nClear: true kept: true"; got != want {
		t.Errorf("the child said %q; want %q", got, want)
	}
}

func TestADamagedEntryOfManyTerabytesIsADamagedError(t *testing.T) {
	t.Parallel()
	c := startChild(t, "read sparse", storeDir(t))
	if got := c.rest(); got != "true" {
		t.Errorf("the child said %q; want true", got)
	}
}

// A crash of the system may leave blocks that were never written.
func TestAnEntryOfZerosIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	path := s.Path(folder, keyNumber(1))
	lay(t, path, make([]byte, 500))
	wantDamaged(t, s, keyNumber(1))
	data := encoded(keyNumber(1), string(bytes.Repeat([]byte{1}, 10_000)))
	clear(data[4096:8192])
	lay(t, path, data)
	wantDamaged(t, s, keyNumber(1))
}
