//go:build unix

package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// specials is what may be in the place of a file and can be waited for without an end,
// or leads elsewhere.
var specials = map[string]func(path string) error{
	"a pipe": func(path string) error { return syscall.Mkfifo(path, 0o600) },
	"a link to a pipe": func(path string) error {
		return errors.Join(syscall.Mkfifo(path+".pipe", 0o600), os.Symlink(path+".pipe", path))
	},
	"a link that leads nowhere": func(path string) error {
		return os.Symlink("nowhere", path)
	},
	"a link to another entry": func(path string) error {
		key, _, _ := keyOf(path)
		return errors.Join(os.WriteFile(path+".elsewhere", encoded(key, "theirs"), 0o600), os.Symlink(path+".elsewhere", path))
	},
	"a socket": func(path string) error {
		near := filepath.Join(os.TempDir(), fmt.Sprint("disk-test-", os.Getpid())) // a socket's path must be short
		l, err := net.Listen("unix", near)
		if err != nil {
			return err
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		return errors.Join(l.Close(), os.Rename(near, path))
	},
	"a terminal": func(path string) error {
		return syscall.Mknod(path, syscall.S_IFCHR|0o600, 5<<8) // /dev/tty
	},
	"an endless device": func(path string) error {
		return syscall.Mknod(path, syscall.S_IFCHR|0o600, 1<<8|5) // /dev/zero
	},
}

// layAll makes a special file, and the folders above it.
func laySpecial(t *testing.T, make func(string) error, path string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		_ = os.Remove(path)
		err = make(path)
	}
	if errors.Is(err, fs.ErrPermission) {
		t.Skip("only root can make one:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// inTime ends the test if f does not return.
func inTime(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		buf := make([]byte, 1<<20)
		t.Fatalf("%s hangs\n%s", what, buf[:runtime.Stack(buf, true)])
	}
}

// Whatever is in the place of a file, a call does not wait for it, nothing of it is
// used, and what is stored takes its place.
func TestWhatIsNoRegularFileIsNeverWaitedFor(t *testing.T) {
	t.Parallel()
	key := keyNumber(1)
	for name, make := range specials {
		for place, path := range map[string]func(*Store) string{
			"an entry":               func(s *Store) string { return s.Path(folder, key) },
			"a temporary file":       func(s *Store) string { return s.Path(folder, key) + tmp },
			"an old temporary file":  func(s *Store) string { return s.Path(folder, key) + tmp },
			"the lock file":          func(s *Store) string { return filepath.Join(s.dir, "lock") },
			"the function's folder":  func(s *Store) string { return filepath.Join(s.dir, string(folder)) },
			"the last folder":        func(s *Store) string { return filepath.Dir(s.Path(folder, key)) },
			"what says leave it out": func(s *Store) string { return filepath.Join(s.dir, ".gitignore") },
		} {
			t.Run(name+" in the place of "+place, func(t *testing.T) {
				t.Parallel()
				s, told := openLoud(t, storeDir(t), Limits{MaxItems: 100})
				at := path(s)
				laySpecial(t, make, at)
				if place == "an old temporary file" && !strings.HasPrefix(name, "a link") {
					age(t, at, 2*leftFor)
				}
				inTime(t, "Read", func() {
					if e, err := s.Read(folder, key); err == nil {
						t.Errorf("Read = %q; want an error", e.Body)
					} else if _, ok := errors.AsType[*DamagedError](err); ok != (place == "an entry") {
						t.Errorf("Read = %v; want a DamagedError if it is the entry, else fs.ErrNotExist", err)
					}
				})
				isStored := !strings.Contains(place, "folder")
				inTime(t, "a call", func() {
					l := lock(t, s, key)
					l.Prepare(folder)
					if e, err := l.Read(folder); err == nil {
						t.Errorf("Read with the lock = %q; want an error", e.Body)
					}
					if err := l.Write(folder, entry("mine")); (err == nil) != isStored {
						t.Errorf("Write = %v; want an error if there is no folder", err)
					}
					l.Unlock()
					s.Sync()
				})
				if isStored {
					wantBody(t, s, key, "mine")
				}
				inTime(t, "what looks at the whole folder", func() {
					s.survey(time.Now())
					s.sweepFolder(filepath.Dir(s.Path(folder, key)))
					_ = s.Forget(folder, key)
					_ = s.Clear(folder)
					_ = s.Clear("")
				})
				wantMissing(t, s, key)
				for _, line := range told.all() {
					if place == "the lock file" && strings.HasPrefix(line, "processes do not wait for each other: "+at) {
						continue
					}
					if isStored {
						t.Errorf("reported %q; want nothing, as the result is kept", line)
					}
				}
			})
		}
	}
}

// A pipe that comes between a writer's two looks at its temporary file.
func TestAPipeInThePlaceOfAPreparedFileIsReplaced(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	l := lock(t, s, keyNumber(1))
	l.Prepare(folder)
	<-l.prepared
	laySpecial(t, specials["a pipe"], l.file)
	inTime(t, "Write", func() {
		if err := l.Write(folder, entry("x")); err != nil {
			t.Errorf("Write = %v; want nil", err)
		}
		l.Unlock()
		s.Sync()
	})
	wantBody(t, s, keyNumber(1), "x")
}

func TestAPipeInThePlaceOfAFileThatWasFoundIsNotNamed(t *testing.T) {
	t.Parallel()
	s, _ := openLoud(t, storeDir(t), Limits{})
	at := s.Path(folder, keyNumber(1)) + tmp
	lay(t, at, encoded(keyNumber(1), "x"))
	l := lock(t, s, keyNumber(1))
	if _, err := l.Read(folder); err != nil {
		t.Fatal(err)
	}
	laySpecial(t, specials["a pipe"], at)
	inTime(t, "Unlock", func() {
		l.Unlock()
		s.Sync()
	})
	wantMissing(t, s, keyNumber(1))
	if !isFree(s, keyNumber(1)) {
		t.Error("the lock is held after Unlock")
	}
}
