//go:build unix

package proc

import (
	"bytes"
	"io"
	"os"
	"testing"
)

// newPipe returns a pipe and its other end, which stays open as if a program that
// the worker has started had it too.
func newPipe(t *testing.T) (*Pipe, *os.File) {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	enlarge(in)
	t.Cleanup(func() { closeAll(in, out) })
	return &Pipe{file: in}, out
}

func mustWrite(t *testing.T, f *os.File, b []byte) {
	t.Helper()
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
}

// Nobody has read a byte when the worker ends: what it has written is there, to
// the last byte, though another process holds the other end.
func TestWhatWasWrittenBeforeTheEndIsReadAfterIt(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 4096, 60_000} {
		p, out := newPipe(t)
		want := bytes.Repeat([]byte("0123456789"), n)[:n]
		mustWrite(t, out, want)
		if err := p.end(); err != nil {
			t.Fatalf("end: %v", err)
		}
		got, err := io.ReadAll(p)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("read %d bytes, %v; want the %d that were written", len(got), err, n)
		}
	}
}

// The worker ends while its parent waits for it to write.
func TestAReadThatWaitsEndsWithTheWorker(t *testing.T) {
	t.Parallel()
	p, out := newPipe(t)
	mustWrite(t, out, []byte("first"))
	b := make([]byte, 100)
	if n, err := p.Read(b); string(b[:n]) != "first" || err != nil {
		t.Fatalf("Read = %q, %v", b[:n], err)
	}
	end := make(chan error, 1)
	go func() { end <- p.end() }()
	if n, err := p.Read(b); n != 0 || err != io.EOF {
		t.Errorf("Read = %q, %v; want io.EOF", b[:n], err)
	}
	if err := <-end; err != nil {
		t.Errorf("end: %v", err)
	}
	if n, err := p.Read(b); n != 0 || err != io.EOF {
		t.Errorf("Read again = %q, %v; want io.EOF", b[:n], err)
	}
}
