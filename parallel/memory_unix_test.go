//go:build unix

package parallel_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/parallel"
)

// Under a umask that forbids nothing.
func TestFilesAreTheUsersAlone(t *testing.T) {
	root := t.TempDir()
	before := syscall.Umask(0)
	defer syscall.Umask(before)
	m := &parallel.Memory{Dir: filepath.Join(root, "a", "cache"), MaxItems: 10}
	c := newCached(t, m, "f", "v1", double)
	mustBe(t, "f(1)", 2)(c.Call(t.Context(), 1))
	see := func(when string) {
		files := 0
		err := filepath.WalkDir(filepath.Join(root, "a"), func(path string, d fs.DirEntry, err error) error {
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
			} else {
				files++
			}
			if about.Mode().Perm() != want {
				t.Errorf("%s, the mode of %s is %v; want %v", when, path, about.Mode().Perm(), want)
			}
			return nil
		})
		if err != nil || files < 2 {
			t.Errorf("%s, there are %d files, %v; want an entry and the lock", when, files, err)
		}
	}
	m.Sync()
	see("after a call")
	mustBe(t, "Refresh(1)", 2)(c.Refresh(t.Context(), 1))
	m.Sync()
	see("after Refresh")
}

// isNotUsed checks that a Memory on a folder keeps nothing and uses nothing that is
// there, and says so once.
func isNotUsed(t *testing.T, dir, says string) {
	t.Helper()
	logged := logging(t)
	files := func() (all string) {
		_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, _ error) error { all += path + "\n"; return nil })
		return all
	}
	before := files()
	m := &parallel.Memory{Dir: dir}
	var f counted
	c := newCached(t, m, "f", "v1", f.next)
	for i := range 3 {
		mustBe(t, "f(0)", i+1)(c.Call(t.Context(), 0))
	}
	m.Sync()
	if c.Contains(0) {
		t.Error("Contains(0) = true")
	}
	if err := errors.Join(m.Clear(), c.Forget(0), c.Clear()); err == nil || strings.Count(err.Error(), says) != 3 {
		t.Errorf("Clear, Forget and Clear: %v; want three errors with %q", err, says)
	}
	if err := m.Check(); err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("Check = %v; want an error with %q", err, says)
	}
	if after := files(); after != before {
		t.Errorf("there are\n%s\nwant what was there before,\n%s", after, before)
	}
	if s := m.Stats(); s.Misses != 3 || s.Hits != 0 || s.Unkept != 3 {
		t.Errorf("Stats() = %+v; want 3 misses that are not kept", s)
	}
	texts := logged.all()
	if len(texts) < 1 || len(texts) > 2 || !strings.Contains(texts[0], "nothing is kept") || !strings.Contains(texts[0], says) || !strings.Contains(texts[0], dir) {
		t.Errorf("logged %q; want the folder and %q, once", texts, says)
	}
}

// filled returns a folder with a result of f(0), which is 100.
func filled(t *testing.T) string {
	t.Helper()
	m := &parallel.Memory{Dir: t.TempDir()}
	var f counted
	f.calls.Store(99)
	mustBe(t, "f(0)", 100)(newCached(t, m, "f", "v1", f.next).Call(t.Context(), 0))
	m.Sync()
	return m.Dir
}

func TestAFolderThatOthersCanWriteToIsNotUsed(t *testing.T) {
	for _, mode := range []fs.FileMode{0o777, 0o770, 0o707, 0o720, 0o702, fs.ModeSticky | 0o777} {
		t.Run(mode.String(), func(t *testing.T) {
			dir := filled(t)
			if err := os.Chmod(dir, mode); err != nil {
				t.Fatal(err)
			}
			isNotUsed(t, dir, "others can write to it")
		})
	}
	t.Run("but one that others can read is", func(t *testing.T) {
		dir := filled(t)
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		var f counted
		mustBe(t, "f(0)", 100)(newCached(t, &parallel.Memory{Dir: dir}, "f", "v1", f.next).Call(t.Context(), 0))
	})
}

func TestAFolderOfSomebodyElseIsNotUsed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a folder away")
	}
	dir := filled(t)
	if err := os.Chown(dir, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	isNotUsed(t, dir, "it belongs to the user 12345")
}

// asUser runs the test again as a user who is not root, and reports whether it did.
func asUser(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		return false
	}
	executortest.NeedsProcesses(t)
	const nobody = 65534
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The folder of the test binary may be root's alone.
	dir, err := os.MkdirTemp("", "memory-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	binary, err := os.ReadFile(self)
	if err == nil {
		err = errors.Join(os.Chmod(dir, 0o755), os.WriteFile(filepath.Join(dir, "test"), binary, 0o755), os.Mkdir(filepath.Join(dir, "tmp"), 0o777), os.Chmod(filepath.Join(dir, "tmp"), 0o777))
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "test"), "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir = filepath.Join(dir, "tmp")
	cmd.Env = append(os.Environ(), "TMPDIR="+filepath.Join(dir, "tmp"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil && len(out) == 0:
		t.Skipf("cannot run as another user: %v", err)
	case err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Errorf("as another user: %v\n%s", err, out)
	}
	return true
}

func TestAnEntryThatCannotBeReadIsComputedAgain(t *testing.T) {
	if asUser(t) {
		return
	}
	logged := logging(t)
	k := newKept(t)
	for range 2 {
		if err := os.Chmod(k.path, 0); err != nil {
			t.Fatal(err)
		}
		k.isComputedAgain(t, "mode 0")
	}
	if s := k.m.Stats(); s.Damaged != 2 || len(logged.all()) != 1 {
		t.Errorf("Damaged is %d, logged %q; want 2 and one record", s.Damaged, logged.all())
	}
}

func TestAFolderThatIsReadOnlyIsRead(t *testing.T) {
	if asUser(t) {
		return
	}
	logged := logging(t)
	dir := filled(t)
	var folders []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if d.IsDir() {
			folders = append(folders, path)
			return err
		}
		return errors.Join(err, os.Chmod(path, 0o400))
	})
	for _, path := range folders {
		err = errors.Join(err, os.Chmod(path, 0o500))
		defer os.Chmod(path, 0o700) // so that it can be removed
	}
	if err != nil {
		t.Fatal(err)
	}
	m := &parallel.Memory{Dir: dir, MaxItems: 5}
	var f counted
	c := newCached(t, m, "f", "v1", f.next)
	for i := range 3 {
		mustBe(t, "f(0)", 100)(c.Call(t.Context(), 0))
		mustBe(t, "f(1)", i+1)(c.Call(t.Context(), 1))
	}
	mustBe(t, "Refresh(0)", 4)(c.Refresh(t.Context(), 0))
	mustBe(t, "f(0) after a Refresh that is not kept", 5)(c.Call(t.Context(), 0))
	m.Sync()
	if err := m.Clear(); err == nil {
		t.Error("Clear() = nil; want an error")
	}
	if err := c.Forget(0); err == nil {
		t.Error("Forget(0) = nil; want an error")
	}
	if c.Contains(0) {
		t.Error("Contains(0) = true after a Refresh that is not kept")
	}
	if s := m.Stats(); s.Hits != 3 || s.Misses != 5 || s.Unkept != 5 || s.Damaged != 0 {
		t.Errorf("Stats() = %+v; want 3 hits and 5 misses that are not kept", s)
	}
	if texts := logged.all(); len(texts) < 1 || len(texts) > 2 { // one for the lock, one for the results
		t.Errorf("logged %q; want one record for each thing", texts)
	}
	if _, temporary := entries(t, dir); len(temporary) != 0 {
		t.Errorf("there are %q", temporary)
	}
}

// An empty folder that is read-only, so that not even a folder can be made.
func TestAFolderThatIsReadOnlyAndEmptyCostsNoResult(t *testing.T) {
	if asUser(t) {
		return
	}
	logged := logging(t)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700)
	for _, at := range []string{dir, filepath.Join(dir, "cache")} {
		m := &parallel.Memory{Dir: at}
		var f counted
		c := newCached(t, m, "f", "v1", f.next)
		for i := range 3 {
			mustBe(t, "f(0)", i+1)(c.Call(t.Context(), 0))
		}
		m.Sync()
		if s := m.Stats(); s.Misses != 3 || s.Unkept != 3 {
			t.Errorf("Stats() = %+v; want 3 misses that are not kept", s)
		}
	}
	if n := len(logged.all()); n < 2 || n > 4 {
		t.Errorf("logged %q; want one record for each thing", logged.all())
	}
}

// A folder that this user cannot read is not used, however many keys there are.
func TestAFolderWithoutReadPermissionIsOneReport(t *testing.T) {
	if asUser(t) {
		return
	}
	for _, mode := range []fs.FileMode{0, 0o100, 0o200, 0o300, 0o400, 0o600} {
		dir := filled(t)
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		logged := logging(t)
		m := &parallel.Memory{Dir: dir, MaxItems: 1000}
		var f counted
		c := newCached(t, m, "f", "v1", f.next)
		for i := range 200 {
			mustBe(t, "f", i+1)(c.Call(t.Context(), i))
		}
		m.Sync()
		if s := m.Stats(); s.Misses != 200 || s.Unkept != 200 || s.Damaged != 0 {
			t.Errorf("mode %v: Stats() = %+v; want 200 misses that are not kept, and nothing damaged", mode, s)
		}
		if texts := logged.all(); len(texts) != 1 || !strings.Contains(texts[0], "nothing is kept") {
			t.Errorf("mode %v: logged %q; want one record", mode, texts)
		}
		if err := m.Check(); err == nil || !strings.Contains(err.Error(), "its owner cannot read it") {
			t.Errorf("mode %v: Check = %v; want an error that says why", mode, err)
		}
		_ = os.Chmod(dir, 0o700)
	}
}

// The same of a folder in it.
func TestAFunctionsFolderWithoutReadPermissionIsNotDamage(t *testing.T) {
	if asUser(t) {
		return
	}
	logged := logging(t)
	m := &parallel.Memory{Dir: filled(t), MaxItems: 1000}
	folders, err := filepath.Glob(filepath.Join(m.Dir, "f-*"))
	if err != nil || len(folders) != 1 {
		t.Fatalf("the folders are %q, %v", folders, err)
	}
	if err := os.Chmod(folders[0], 0); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(folders[0], 0o700)
	var f counted
	c := newCached(t, m, "f", "v1", f.next)
	g := newCached(t, m, "g", "v1", double)
	for i := range 200 {
		mustBe(t, "f", i+1)(c.Call(t.Context(), i))
	}
	mustBe(t, "g", 2)(g.Call(t.Context(), 1))
	m.Sync()
	if s := m.Stats(); s.Misses != 201 || s.Unkept != 200 || s.Damaged != 0 {
		t.Errorf("Stats() = %+v; want 201 misses, 200 of them not kept, and nothing damaged", s)
	}
	for _, what := range []string{"results cannot be read", "a result is not kept", "there may be more than the limits say"} {
		if n := strings.Count(strings.Join(logged.all(), ""), what); n != 1 {
			t.Errorf("logged %d times that %s; want once", n, what)
		}
	}
	if n := len(logged.all()); n != 3 {
		t.Errorf("logged %q; want three records", logged.all())
	}
}

// Of what cannot be removed one record is enough.
func TestEntriesThatCannotBeRemovedAreOneReport(t *testing.T) {
	if asUser(t) {
		return
	}
	m := &parallel.Memory{Dir: filled(t)}
	c := newCached(t, m, "f", "v1", double)
	for i := range 50 {
		mustBe(t, "f", 2*(i+1))(c.Call(t.Context(), i+1))
	}
	m.Sync()
	whole, _ := entries(t, m.Dir)
	for _, path := range whole {
		_ = os.Chmod(filepath.Dir(path), 0o500)
		defer os.Chmod(filepath.Dir(path), 0o700)
	}
	logged := logging(t)
	limited := &parallel.Memory{Dir: m.Dir, MaxItems: 10}
	mustBe(t, "g", 2)(newCached(t, limited, "g", "v1", double).Call(t.Context(), 1))
	limited.Sync()
	if texts := logged.all(); len(texts) != 1 || !strings.Contains(texts[0], "cannot be removed") {
		t.Errorf("logged %q; want one record", texts)
	}
}
