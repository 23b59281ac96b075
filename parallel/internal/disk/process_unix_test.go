//go:build unix

package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func init() {
	children["hold"] = func(dir string) {
		must(quiet(dir).Lock(context.Background(), keyNumber(1)))
		fmt.Println("held")
		untilEOF()
	}
	children["hold with a child"] = func(dir string) {
		must(quiet(dir).Lock(context.Background(), keyNumber(1)))
		cmd := exec.Command(must(os.Executable()))
		cmd.Env = append(os.Environ(), childMode+"=idle")
		cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
		must(0, cmd.Start())
		untilEOF()
	}
	children["idle"] = func(string) {
		fmt.Println("idle")
		untilEOF()
	}
	children["count"] = func(dir string) {
		s := quiet(dir)
		for range 10 {
			l := must(s.Lock(context.Background(), keyNumber(1)))
			must(0, increment(filepath.Join(dir, "counter")))
			l.Unlock()
		}
	}
	children["die after Write"] = func(dir string) {
		s := quiet(dir)
		l := must(s.Lock(context.Background(), keyNumber(1)))
		must(0, l.Write(folder, entry("of the dead")))
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		untilEOF()
	}
	children["die in Write"] = func(dir string) {
		s := quiet(dir)
		must(s.Lock(context.Background(), keyNumber(1)))
		f := must(s.create(s.Path(folder, keyNumber(1)) + tmp))
		must(f.Write(encoded(keyNumber(1), "of the dead")[:headerSize+3]))
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		untilEOF()
	}
	children["write all"] = func(dir string) {
		s := quiet(dir)
		for n := range 20 {
			must(0, put(s, keyNumber(n), body(n)))
		}
		s.Sync()
		for n := range 20 {
			e, err := s.Read(folder, keyNumber(n))
			if err != nil || string(e.Body) != body(n) {
				fmt.Printf("Read of %d = %.20q, %v\n", n, e.Body, err)
			}
		}
	}
}

// quiet is the store of a child, whose tests see to what it reports.
func quiet(dir string) *Store {
	return New(dir, Limits{}, func(what, path string, err error) { fmt.Println(what, path, err) }, nil)
}

// body is a result that takes more than one page.
func body(n int) string { return strings.Repeat(strconv.Itoa(n)+" ", 3000) }

func increment(path string) error {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	n, _ := strconv.Atoi(string(data))
	return os.WriteFile(path, []byte(strconv.Itoa(n+1)), 0o600)
}

func TestLockExcludesProcesses(t *testing.T) {
	t.Parallel()
	dir := storeDir(t)
	var all []*child
	for range 3 {
		all = append(all, startChild(t, "count", dir))
	}
	for _, c := range all {
		if said := c.rest(); said != "" {
			t.Errorf("a process said %q; want nothing", said)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, "counter"))
	if err != nil || string(data) != "30" {
		t.Errorf("30 increments under the lock made %q, %v", data, err)
	}
}

func TestTheLockOfAKilledProcessIsFreeAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	c := startChild(t, "hold", s.dir)
	if said := c.line(); said != "held" {
		t.Fatalf("the child said %q", said)
	}
	if isFree(s, keyNumber(1)) {
		t.Error("the lock that the child holds is free")
	}
	if !isFree(s, keyNumber(2)) {
		t.Error("a lock that the child does not hold is not free")
	}
	c.kill()
	if !isFree(s, keyNumber(1)) {
		t.Error("the lock of a killed process is held")
	}
}

func TestTheLockOfAKilledProcessIsNotItsChildrens(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	c := startChild(t, "hold with a child", s.dir)
	if said := c.line(); said != "idle" { // the child's child
		t.Fatalf("the child said %q", said)
	}
	if isFree(s, keyNumber(1)) {
		t.Error("the lock that the child holds is free")
	}
	_ = c.cmd.Process.Kill()
	_, _ = c.cmd.Process.Wait()
	if !isFree(s, keyNumber(1)) {
		t.Error("the lock of a killed process is held; its own child has it")
	}
}

func TestAnEntryWhoseWriterDiedIsReadAndNamedByTheNext(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	key := keyNumber(1)
	startChild(t, "die after Write", s.dir).died()
	wantFiles(t, s, 0, 1)
	wantBody(t, s, key, "of the dead")
	l := lock(t, s, key)
	if e, err := l.Read(folder); err != nil || string(e.Body) != "of the dead" {
		t.Errorf("Read = %q, %v; want %q", e.Body, err, "of the dead")
	}
	l.Unlock()
	s.Sync()
	wantFiles(t, s, 1, 0)
	wantBody(t, s, key, "of the dead")
}

func TestWhatAKilledProcessHasWrittenInPartIsWrittenOver(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	startChild(t, "die in Write", s.dir).died()
	wantFiles(t, s, 0, 1)
	wantMissing(t, s, keyNumber(1))
	settled(t, s, keyNumber(1), "new")
	wantFiles(t, s, 1, 0)
	wantBody(t, s, keyNumber(1), "new")
}

func TestProcessesThatWriteAndReadTheSameEntries(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	var all []*child
	for range 3 {
		all = append(all, startChild(t, "write all", s.dir))
	}
	for n := range 20 {
		if e, err := s.Read(folder, keyNumber(n)); err == nil && string(e.Body) != body(n) {
			t.Errorf("Read of %d = %.20q; want the right bytes or nothing", n, e.Body)
		}
	}
	for _, c := range all {
		if said := c.rest(); said != "" {
			t.Errorf("a process said %q; want nothing", said)
		}
	}
	wantFiles(t, s, 20, 0)
}
