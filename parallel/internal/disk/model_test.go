package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// TestAStoreIsLikeAMap is the whole of it, in one goroutine: whatever is done in
// whatever order, Read says what a map would, and a damaged entry is never a wrong
// result.
func TestAStoreIsLikeAMap(t *testing.T) {
	t.Parallel()
	above, runs := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		m := &model{t: rt, dir: filepath.Join(above, strconv.Itoa(runs)), want: make(map[int]string), damaged: make(map[int]bool)}
		m.reopen()
		defer func() { shut(m.s) }()
		rt.Repeat(map[string]func(*rapid.T){
			"":             func(*rapid.T) { m.check() },
			"write":        func(rt *rapid.T) { m.write(drawKey(rt), false) },
			"rewrite":      func(rt *rapid.T) { m.write(drawKey(rt), true) },
			"look":         func(rt *rapid.T) { m.look(drawKey(rt)) },
			"forget":       func(rt *rapid.T) { m.forget(drawKey(rt)) },
			"clear":        func(*rapid.T) { m.clear("") },
			"clear square": func(*rapid.T) { m.clear(folder) },
			"clear other":  func(*rapid.T) { m.must("Clear", m.s.Clear(FolderOf("other"))) },
			"sync":         func(*rapid.T) { m.s.Sync() },
			"reopen":       func(*rapid.T) { m.reopen() },
			"torn":         func(rt *rapid.T) { m.torn(drawKey(rt), rapid.IntRange(0, headerSize+1).Draw(rt, "bytes")) },
			"unnamed":      func(rt *rapid.T) { m.unnamed(drawKey(rt)) },
			"damage":       func(rt *rapid.T) { m.damage(drawKey(rt), rapid.IntRange(0, headerSize+1).Draw(rt, "at")) },
			"remove lock":  func(*rapid.T) { m.s.Sync(); _ = os.Remove(filepath.Join(m.dir, "lock")); m.reopen() },
		})
		m.s.Sync()
		m.check()
		m.checkFiles()
	})
}

func drawKey(rt *rapid.T) int { return rapid.IntRange(0, 3).Draw(rt, "key") }

// model is a map, and the store that is to be like it.
type model struct {
	t       *rapid.T
	dir     string
	s       *Store
	writes  int
	want    map[int]string
	damaged map[int]bool // these are misses or DamagedErrors
}

func (m *model) must(what string, err error) {
	if err != nil {
		m.t.Fatalf("%s = %v; want nil", what, err)
	}
}

func (m *model) reopen() {
	if m.s != nil {
		shut(m.s)
	}
	m.s = New(m.dir, Limits{}, func(what, path string, err error) { m.t.Errorf("reported: %s: %s: %v", what, path, err) }, nil)
}

func (m *model) path(n int) string { return m.s.Path(folder, keyNumber(n)) }

func (m *model) write(n int, isRead bool) {
	l, err := m.s.Lock(m.t.Context(), keyNumber(n))
	m.must("Lock", err)
	if isRead {
		e, err := l.Read(folder)
		m.compare(n, e, err)
	}
	m.writes++
	m.want[n] = "result " + strconv.Itoa(m.writes)
	delete(m.damaged, n)
	m.must("Write", l.Write(folder, entry(m.want[n])))
	m.check()
	l.Unlock()
}

func (m *model) look(n int) {
	l, err := m.s.Lock(m.t.Context(), keyNumber(n))
	m.must("Lock", err)
	e, err := l.Read(folder)
	m.compare(n, e, err)
	l.Unlock()
}

func (m *model) forget(n int) {
	m.must("Forget", m.s.Forget(folder, keyNumber(n)))
	delete(m.want, n)
	delete(m.damaged, n)
}

func (m *model) clear(in Folder) {
	m.must("Clear", m.s.Clear(in))
	clear(m.want)
	clear(m.damaged)
}

// torn is a writer that has died in Write.
func (m *model) torn(n, bytes int) {
	m.s.Sync()
	if exists(m.path(n) + tmp) {
		return // is a whole one, which the dead one would have read, or a torn one
	}
	m.lay(m.path(n)+tmp, encoded(keyNumber(n), "torn")[:bytes])
}

// unnamed is a writer that has died after Write.
func (m *model) unnamed(n int) {
	m.s.Sync()
	m.writes++
	m.want[n] = "result " + strconv.Itoa(m.writes)
	delete(m.damaged, n)
	m.lay(m.path(n)+tmp, encoded(keyNumber(n), m.want[n]))
	m.must("remove", remove(m.path(n)))
}

// damage flips a byte of what is there.
func (m *model) damage(n, at int) {
	m.s.Sync()
	path := m.path(n)
	if !exists(path) {
		path += tmp
	}
	data, err := os.ReadFile(path)
	if err != nil || len(data) <= at || m.damaged[n] { // twice is not at all
		return
	}
	data[at] ^= 0x40
	m.lay(path, data)
	delete(m.want, n)
	m.damaged[n] = true
}

func (m *model) lay(path string, data []byte) {
	m.must("MkdirAll", os.MkdirAll(filepath.Dir(path), 0o700))
	m.must("WriteFile", os.WriteFile(path, data, 0o600))
}

func (m *model) check() {
	for n := range 4 {
		e, err := m.s.Read(folder, keyNumber(n))
		m.compare(n, e, err)
	}
}

func (m *model) compare(n int, e Entry, err error) {
	want, isThere := m.want[n]
	switch {
	case isThere:
		if err != nil || string(e.Body) != want {
			m.t.Fatalf("Read of %d = %q, %v; want %q", n, e.Body, err, want)
		}
	case m.damaged[n]:
		if _, ok := errors.AsType[*DamagedError](err); !ok && !errors.Is(err, fs.ErrNotExist) {
			m.t.Fatalf("Read of %d = %q, %v; want a DamagedError or fs.ErrNotExist", n, e.Body, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		m.t.Fatalf("Read of %d = %q, %v; want fs.ErrNotExist", n, e.Body, err)
	}
}

// checkFiles wants no other files than those of the four keys.
func (m *model) checkFiles() {
	_ = m.s.walk("", func(path string, _ fs.DirEntry) {
		for n := range 4 {
			if path == m.path(n) || path == m.path(n)+tmp {
				return
			}
		}
		m.t.Errorf("there is %s, which is nobody's", path)
	})
	if len(m.s.busy) != 0 || len(m.s.settling) != 0 {
		m.t.Errorf("%d keys are busy and %d entries settle; want none", len(m.s.busy), len(m.s.settling))
	}
}
