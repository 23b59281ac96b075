package parallel_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofutures/futures/parallel"
)

// damage changes the last byte of a file.
func damage(t testing.TB, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	overwrite(t, path, data)
}

// overwrite makes a file what data is, whatever was there.
func overwrite(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, data, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// formatVersion is where the version of the format is in an entry.
const formatVersion = 8

// kept is a function with one entry, which tests damage.
type kept struct {
	*parallel.CachedFunc[int, string]
	m     *parallel.Memory
	path  string // of the entry
	whole []byte
	calls int
}

const keptResult = "the result"

func newKept(t *testing.T) *kept {
	t.Helper()
	k := &kept{m: &parallel.Memory{Dir: t.TempDir()}}
	k.CachedFunc = newCached(t, k.m, "f", "v1", func(context.Context, int) (string, error) {
		k.calls++
		return keptResult, nil
	})
	mustBe(t, "f(0)", keptResult)(k.Call(t.Context(), 0))
	k.m.Sync()
	k.path = theEntry(t, k.m.Dir)
	var err error
	if k.whole, err = os.ReadFile(k.path); err != nil {
		t.Fatal(err)
	}
	k.calls = 0
	return k
}

// isComputedAgain checks that the entry is not used and that the one after it is.
func (k *kept) isComputedAgain(t *testing.T, how string) {
	t.Helper()
	calls := k.calls
	mustBe(t, how+": f(0)", keptResult)(k.Call(t.Context(), 0))
	if k.calls != calls+1 {
		t.Errorf("%s: the function was called %d times; want once", how, k.calls-calls)
	}
	k.m.Sync()
	mustBe(t, how+": f(0) after it", keptResult)(k.Call(t.Context(), 0))
	if k.calls != calls+1 {
		t.Errorf("%s: the function was called again for the entry that was mended", how)
	}
	if _, temporary := entries(t, k.m.Dir); len(temporary) != 0 {
		t.Errorf("%s: it left %q", how, temporary)
	}
}

func TestADamagedEntryIsComputedAgainAndReportedOnce(t *testing.T) {
	logged := logging(t)
	k := newKept(t)
	damaged := int64(0)
	check := func(how string, data []byte) {
		t.Helper()
		overwrite(t, k.path, data)
		if k.Contains(0) {
			t.Errorf("%s: Contains(0) = true", how)
		}
		k.isComputedAgain(t, how)
		damaged++
		if s := k.m.Stats(); s.Damaged != damaged {
			t.Fatalf("%s: Damaged is %d; want %d", how, s.Damaged, damaged)
		}
	}
	step := 5
	if os.Getenv("FUTURES_LONG") != "" {
		step = 1
	}
	for i := 0; i < len(k.whole); i += step {
		if i >= formatVersion && i < formatVersion+4 {
			continue // below
		}
		for _, flip := range []byte{1, 0x80, 0xff} {
			data := bytes.Clone(k.whole)
			data[i] ^= flip
			check(fmt.Sprintf("byte %d changed by %#x", i, flip), data)
		}
	}
	for n := 0; n < len(k.whole); n += step {
		check(fmt.Sprintf("cut to %d bytes", n), k.whole[:n])
	}
	check("a byte appended", append(bytes.Clone(k.whole), 0))
	check("itself appended", append(bytes.Clone(k.whole), k.whole...))
	check("zeros", make([]byte, len(k.whole)))
	check("zeros at its end", append(bytes.Clone(k.whole[:len(k.whole)-8]), make([]byte, 8)...))
	check("rubbish", []byte(strings.Repeat("rubbish\n", 1000)))
	huge := bytes.Clone(k.whole)
	binary.LittleEndian.PutUint64(huge[len(k.whole)-len(keptResult)-1-8:], 1<<62)
	check("a body of 2^62 bytes", huge)
	if texts := logged.all(); len(texts) != 1 || !strings.Contains(texts[0], "an entry is computed again") || !strings.Contains(texts[0], "level=WARN") {
		t.Errorf("logged %q; want one record that says that an entry is computed again", texts)
	}
}

func TestAnEntryOfAnotherVersionOfTheFormatIsAQuietMiss(t *testing.T) {
	logged := logging(t)
	k := newKept(t)
	for _, version := range []uint32{0, 2, 1 << 31} {
		data := bytes.Clone(k.whole)
		binary.LittleEndian.PutUint32(data[formatVersion:], version)
		overwrite(t, k.path, data)
		k.isComputedAgain(t, fmt.Sprint("version ", version))
	}
	if s := k.m.Stats(); s.Damaged != 0 || len(logged.all()) != 0 {
		t.Errorf("Damaged is %d, logged %q; want nothing", s.Damaged, logged.all())
	}
}

// A file that is whole is no good in another's place.
func TestTheEntryOfAnotherKeyIsNotUsed(t *testing.T) {
	logged := logging(t)
	m := &parallel.Memory{Dir: t.TempDir()}
	c := newCached(t, m, "f", "v1", double)
	mustBe(t, "f(1)", 2)(c.Call(t.Context(), 1))
	m.Sync()
	first := theEntry(t, m.Dir)
	mustBe(t, "f(2)", 4)(c.Call(t.Context(), 2))
	m.Sync()
	whole, _ := entries(t, m.Dir)
	for _, path := range whole {
		if path != first {
			data, err := os.ReadFile(first)
			if err != nil {
				t.Fatal(err)
			}
			overwrite(t, path, data)
		}
	}
	mustBe(t, "f(2) with the entry of f(1)", 4)(c.Call(t.Context(), 2))
	if s := m.Stats(); s.Damaged != 1 || len(logged.all()) != 1 {
		t.Errorf("Damaged is %d, logged %q; want 1 and one record", s.Damaged, logged.all())
	}
}

// Each entry is reported for itself.
func TestEachDamagedEntryIsReportedOnce(t *testing.T) {
	logged := logging(t)
	m := &parallel.Memory{Dir: t.TempDir()}
	c := newCached(t, m, "f", "v1", double)
	for round := range 3 {
		for i := range 4 {
			mustBe(t, "f", 2*i)(c.Call(t.Context(), i))
		}
		m.Sync()
		whole, _ := entries(t, m.Dir)
		for _, path := range whole {
			if round < 2 {
				damage(t, path)
			}
		}
	}
	if s := m.Stats(); s.Damaged != 8 || len(logged.all()) != 4 {
		t.Errorf("Damaged is %d, logged %q; want 8 and a record for each of 4", s.Damaged, logged.all())
	}
}

// A folder that somebody has damaged may have millions of entries.
func TestDamageIsLoggedForAHundredEntriesAtMost(t *testing.T) {
	logged := logging(t)
	m := &parallel.Memory{Dir: t.TempDir()}
	c := newCached(t, m, "f", "v1", double)
	for i := range 120 {
		mustBe(t, "f", 2*i)(c.Call(t.Context(), i))
	}
	m.Sync()
	whole, _ := entries(t, m.Dir)
	for _, path := range whole {
		damage(t, path)
	}
	for i := range 120 {
		mustBe(t, "f", 2*i)(c.Call(t.Context(), i))
	}
	if s := m.Stats(); s.Damaged != 120 || len(logged.all()) != 100 {
		t.Errorf("Damaged is %d, with %d records; want 120, and 100", s.Damaged, len(logged.all()))
	}
}

// A folder in the place of an entry.
func TestAFolderInThePlaceOfAnEntryCostsNoResult(t *testing.T) {
	for _, full := range []bool{false, true} {
		logged := logging(t)
		k := newKept(t)
		if err := errors.Join(os.Remove(k.path), os.Mkdir(k.path, 0o700)); err != nil {
			t.Fatal(err)
		}
		if full {
			if err := os.WriteFile(filepath.Join(k.path, "file"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			mustBe(t, "f(0)", keptResult)(k.Call(t.Context(), 0))
			k.m.Sync()
		}
		if s := k.m.Stats(); s.Damaged < 1 || s.Hits+s.Misses != 4 {
			t.Errorf("full %v: Stats() = %+v; want the damage and 4 calls", full, s)
		}
		// One for the entry, and one if it cannot be replaced.
		if texts := logged.all(); len(texts) < 1 || len(texts) > 2 {
			t.Errorf("full %v: logged %q; want one or two records", full, texts)
		}
		if _, temporary := entries(t, k.m.Dir); len(temporary) != 0 {
			t.Errorf("full %v: it left %q", full, temporary)
		}
	}
}

// A process may end while it writes, or before it gives its file the name.
func TestATemporaryFileThatWasLeftIsUsedIfWholeElseReplaced(t *testing.T) {
	logged := logging(t)
	k := newKept(t)
	other := bytes.Clone(k.whole)
	other[20] ^= 1 // of the key
	for n := range len(k.whole) + 1 {
		if err := os.RemoveAll(k.path); err != nil {
			t.Fatal(err)
		}
		overwrite(t, k.path+".tmp", k.whole[:n])
		if n < len(k.whole) {
			k.isComputedAgain(t, fmt.Sprintf("torn at %d bytes", n))
			continue
		}
		next := &parallel.Memory{Dir: k.m.Dir}
		c := newCached(t, next, "f", "v1", func(context.Context, int) (string, error) { return "another", nil })
		mustBe(t, "f(0) of the next process", keptResult)(c.Call(t.Context(), 0))
		if s := next.Stats(); s.Hits != 1 || s.Misses != 0 {
			t.Errorf("Stats() = %+v; want a hit", s)
		}
		next.Sync() // it gives the file its name
	}
	if err := os.RemoveAll(k.path); err != nil {
		t.Fatal(err)
	}
	overwrite(t, k.path+".tmp", other)
	k.isComputedAgain(t, "another key's")
	if s := k.m.Stats(); s.Damaged != 0 || len(logged.all()) != 0 {
		t.Errorf("Damaged is %d, logged %q; want nothing: no process was told that it was kept", s.Damaged, logged.all())
	}
}

// A call that stores something beside them sweeps those that are old.
func TestOldTemporaryFilesAreSwept(t *testing.T) {
	for _, maxItems := range []int{0, 1000} {
		k := newKept(t)
		m := &parallel.Memory{Dir: k.m.Dir, MaxItems: maxItems}
		leaf := filepath.Dir(k.path)
		names := map[string]time.Duration{strings.Repeat("a", 62): 2 * time.Hour, strings.Repeat("b", 62): 0, strings.Repeat("c", 62): -48 * time.Hour}
		for name, age := range names {
			path := filepath.Join(leaf, name+".tmp")
			overwrite(t, path, k.whole[:20])
			then := time.Now().Add(-age)
			if err := os.Chtimes(path, then, then); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Rename(k.path, k.path+".tmp"); err != nil { // whole, and nobody's
			t.Fatal(err)
		}
		long := time.Now().Add(-2 * time.Hour)
		if err := os.Chtimes(k.path+".tmp", long, long); err != nil {
			t.Fatal(err)
		}
		// Something must be stored in the same folder.
		c := newCached(t, m, "f", "v1", func(context.Context, int) (string, error) { return "x", nil })
		for i := 1; ; i++ {
			mustBe(t, "f", "x")(c.Call(t.Context(), i))
			m.Sync()
			if files, err := filepath.Glob(filepath.Join(leaf, "*")); err != nil {
				t.Fatal(err)
			} else if hasOther(files, k.path, names) {
				break
			}
			if i == 20000 {
				t.Fatal("no entry came into the folder of the first")
			}
		}
		whole, temporary := entries(t, leaf)
		for _, path := range temporary {
			name := strings.TrimSuffix(filepath.Base(path), ".tmp")
			if age, isOurs := names[name]; !isOurs || age > 0 {
				t.Errorf("MaxItems %d: the temporary file %s is there still", maxItems, path)
			}
		}
		if len(temporary) != 2 {
			t.Errorf("MaxItems %d: there are %q; want the two that are not old", maxItems, temporary)
		}
		if text := fmt.Sprint(whole); !strings.Contains(text, k.path) {
			t.Errorf("MaxItems %d: there are %s; want that which was whole to be an entry", maxItems, text)
		}
	}
}

// hasOther reports whether there is an entry among files beside one, and those
// that the test has made.
func hasOther(files []string, one string, names map[string]time.Duration) bool {
	for _, path := range files {
		_, isOurs := names[strings.TrimSuffix(filepath.Base(path), ".tmp")]
		if !isOurs && path != one && path != one+".tmp" {
			return true
		}
	}
	return false
}

func TestAFolderThatIsRemovedWhileInUseIsMadeAgain(t *testing.T) {
	logged := logging(t)
	m := &parallel.Memory{Dir: filepath.Join(t.TempDir(), "cache")}
	var f counted
	c := newCached(t, m, "f", "v1", f.next)
	mustBe(t, "f(0)", 1)(c.Call(t.Context(), 0))
	m.Sync()
	for i := range 3 {
		if err := os.RemoveAll(m.Dir); err != nil {
			t.Fatal(err)
		}
		if c.Contains(0) {
			t.Error("Contains(0) = true when the folder is gone")
		}
		if err := errors.Join(m.Clear(), c.Clear(), c.Forget(0)); err != nil {
			t.Errorf("Clear and Forget when the folder is gone: %v; want no error", err)
		}
		mustBe(t, "f(0) when the folder is gone", i+2)(c.Call(t.Context(), 0))
		mustBe(t, "f(0) again", i+2)(c.Call(t.Context(), 0))
		m.Sync()
		theEntry(t, m.Dir)
	}
	if s := m.Stats(); s.Unkept != 0 || s.Damaged != 0 || len(logged.all()) != 0 {
		t.Errorf("Stats() = %+v, logged %q; want nothing to be wrong", s, logged.all())
	}
}

func TestAFolderThatCannotBeCostsNoResult(t *testing.T) {
	file := inDir(t, "file")
	overwrite(t, file, []byte("mine"))
	for name, dir := range map[string]string{"Dir is a file": file, "Dir is in a file": filepath.Join(file, "cache"), "Dir has NUL in it": "a\x00b"} {
		t.Run(name, func(t *testing.T) {
			logged := logging(t)
			m := &parallel.Memory{Dir: dir}
			var f counted
			c := newCached(t, m, "f", "v1", f.next)
			for i := range 3 {
				mustBe(t, "f(0)", i+1)(c.Call(t.Context(), 0))
			}
			mustBe(t, "Refresh(0)", 4)(c.Refresh(t.Context(), 0))
			m.Sync()
			if c.Contains(0) {
				t.Error("Contains(0) = true")
			}
			if s := m.Stats(); s.Misses != 4 || s.Unkept != 4 || s.Damaged != 0 {
				t.Errorf("Stats() = %+v; want 4 misses that are not kept", s)
			}
			if texts := logged.all(); len(texts) < 1 || len(texts) > 3 {
				t.Errorf("logged %d records, %q; want what is wrong, once for each thing", len(texts), texts)
			}
			if err := m.Clear(); err == nil || !strings.HasPrefix(err.Error(), "parallel: Memory: Clear: ") {
				t.Errorf("Clear() = %v; want an error that says where", err)
			}
			if err := c.Forget(0); err == nil || !strings.HasPrefix(err.Error(), `parallel: Forget of "f": `) {
				t.Errorf("Forget(0) = %v; want an error that says where", err)
			}
			if err := c.Clear(); err == nil || !strings.HasPrefix(err.Error(), `parallel: Clear of "f": `) {
				t.Errorf("CachedFunc.Clear() = %v; want an error that says where", err)
			}
		})
	}
	if text, err := os.ReadFile(file); string(text) != "mine" || err != nil {
		t.Errorf("the file is %q, %v; want it to be left alone", text, err)
	}
}
