package disk

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gofutures/futures/executor/executortest"
)

// childMode says what this test binary does as another process, in the folder
// childDir, until it is killed or its standard input ends.
const (
	childMode = "FUTURES_DISK_TEST_MODE"
	childDir  = "FUTURES_DISK_TEST_DIR"
)

// children is what other processes do. Other files add to it.
var children = map[string]func(dir string){}

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		children[mode](os.Getenv(childDir))
		os.Exit(0)
	}
	_ = flag.Set("rapid.checks", "50") // unless the command line says another number; each syncs a disk many times
	goleak.VerifyTestMain(m)
}

// child is another process of this test binary.
type child struct {
	t   *testing.T
	cmd *exec.Cmd
	in  *os.File
	out *bufio.Reader
}

func startChild(t *testing.T, mode, dir string) *child {
	t.Helper()
	executortest.NeedsProcesses(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	theirIn, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer theirIn.Close()
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childMode+"="+mode, childDir+"="+dir, "GORACE=atexit_sleep_ms=0") // or each takes a second to end
	cmd.Stdin, cmd.Stderr = theirIn, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: cmd, in: in, out: bufio.NewReader(out)}
	t.Cleanup(func() {
		c.in.Close()
		if c.cmd.ProcessState == nil {
			_ = c.cmd.Process.Kill()
			_ = c.cmd.Wait()
		}
	})
	return c
}

// line returns what the child says next, "" if it has ended.
func (c *child) line() string {
	s, _ := c.out.ReadString('\n')
	return strings.TrimSpace(s)
}

// rest returns all else that the child says until it ends by itself.
func (c *child) rest() string {
	c.t.Helper()
	c.in.Close()
	all, _ := io.ReadAll(c.out)
	if err := c.cmd.Wait(); err != nil {
		c.t.Errorf("the child: %v", err)
	}
	return strings.TrimSpace(string(all))
}

// died waits for a child that kills itself.
func (c *child) died() {
	c.t.Helper()
	_, _ = io.Copy(io.Discard, c.out)
	if err := c.cmd.Wait(); err == nil {
		c.t.Errorf("the child ended well; it was to be killed")
	}
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// untilEOF is what a child that has nothing to do does.
func untilEOF() { _, _ = io.Copy(io.Discard, os.Stdin) }

// must ends a child that cannot do what it is to do.
func must[T any](v T, err error) T {
	if err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
	return v
}

// reports is what a store told.
type reports struct {
	mu      sync.Mutex
	lines   []string
	evicted int64
	hook    func() // is called once, when entries were removed
}

func (r *reports) evict(entries int64) {
	r.mu.Lock()
	r.evicted += entries
	hook := r.hook
	r.hook = nil
	r.mu.Unlock()
	if hook != nil {
		hook()
	}
}

func (r *reports) report(what, path string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf("%s: %s: %v", what, path, err))
}

func (r *reports) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
}

// openLoud returns a store, and what it tells.
func openLoud(t testing.TB, dir string, limits Limits) (*Store, *reports) {
	r := new(reports)
	s := New(dir, limits, r.report, r.evict)
	reportsOf.Store(s, r)
	t.Cleanup(func() {
		shut(s)
		reportsOf.Delete(s)
	})
	return s, r
}

// reportsOf has the *reports of each *Store that is open.
var reportsOf sync.Map

// evicted returns how many entries a store has removed to keep its limits.
func evicted(s *Store) int64 {
	told, _ := reportsOf.Load(s)
	r := told.(*reports)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.evicted
}

// shut ends what a store does, as the end of its process would.
func shut(s *Store) {
	s.Sync()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.locks != nil {
		s.locks.Close()
	}
}

// open returns a store that has nothing to tell.
func open(t testing.TB, dir string, limits Limits) *Store {
	s, r := openLoud(t, dir, limits)
	t.Cleanup(func() {
		s.Sync()
		if told := r.all(); len(told) > 0 {
			t.Errorf("the store reported %q; want nothing", told)
		}
	})
	return s
}

// folder is that of the function of most tests.
var folder = FolderOf("square")

func keyNumber(n int) Key { return sha256.Sum256([]byte(strconv.Itoa(n))) }

func lock(t testing.TB, s *Store, key Key) *Lock {
	t.Helper()
	l, err := s.Lock(t.Context(), key)
	if err != nil {
		t.Fatalf("Lock = %v; want a lock", err)
	}
	return l
}

// isFree reports whether nobody has the lock of key.
func isFree(s *Store, key Key) bool {
	l := s.TryLock(key)
	if l == nil {
		return false
	}
	l.Unlock()
	return true
}

func entry(body string) Entry {
	return Entry{Stored: time.Unix(1_700_000_000, 5), Took: time.Second, Body: []byte(body)}
}

// put stores a result as Memory does, and does not wait for the disk.
func put(s *Store, key Key, body string) error {
	l, err := s.Lock(context.Background(), key)
	if err != nil {
		return err
	}
	defer l.Unlock()
	return l.Write(folder, entry(body))
}

func mustPut(t testing.TB, s *Store, key Key, body string) {
	t.Helper()
	if err := put(s, key, body); err != nil {
		t.Fatalf("Write of %q = %v; want nil", body, err)
	}
}

// settled stores a result and waits until it has its name.
func settled(t testing.TB, s *Store, key Key, body string) {
	t.Helper()
	mustPut(t, s, key, body)
	s.Sync()
}

func wantBody(t testing.TB, s *Store, key Key, want string) {
	t.Helper()
	e, err := s.Read(folder, key)
	if err != nil || string(e.Body) != want {
		t.Errorf("Read = %q, %v; want %q", e.Body, err, want)
	}
}

func wantMissing(t testing.TB, s *Store, key Key) {
	t.Helper()
	if e, err := s.Read(folder, key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read = %q, %v; want fs.ErrNotExist", e.Body, err)
	}
}

func wantDamaged(t testing.TB, s *Store, key Key) {
	t.Helper()
	e, err := s.Read(folder, key)
	if d, ok := errors.AsType[*DamagedError](err); !ok || d.Path != s.Path(folder, key) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read = %q, %v; want a DamagedError of the entry's path", e.Body, err)
	}
}

// encoded is the file of an entry.
func encoded(key Key, body string) []byte {
	e := entry(body)
	return append(e.header(key), body...)
}

// lay makes a file with the folders above it.
func lay(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// age makes the file at path as old as that, by the clock of the test.
func age(t testing.TB, path string, by time.Duration) {
	t.Helper()
	then := time.Now().Add(-by)
	if err := os.Chtimes(path, then, then); err != nil {
		t.Fatal(err)
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// files returns the entries and the temporary files in a folder.
func files(s *Store) (entries, temporary int) {
	_ = s.walk("", func(path string, _ fs.DirEntry) {
		if strings.HasSuffix(path, tmp) {
			temporary++
		} else {
			entries++
		}
	})
	return entries, temporary
}

func wantFiles(t testing.TB, s *Store, entries, temporary int) {
	t.Helper()
	if e, tmps := files(s); e != entries || tmps != temporary {
		t.Errorf("there are %d entries and %d temporary files; want %d and %d", e, tmps, entries, temporary)
	}
}

// storeDir returns the path of a folder that is yet to be made.
func storeDir(t testing.TB) string { return filepath.Join(t.TempDir(), "cache") }

// names returns what is in a folder.
func names(t testing.TB, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range entries {
		all = append(all, d.Name())
	}
	return all
}
