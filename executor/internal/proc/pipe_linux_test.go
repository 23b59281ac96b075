package proc

import (
	"bytes"
	"io"
	"testing"
)

// Another process writes without end: reading ends nevertheless, behind what was
// there when it was first looked at after the end of the worker.
func TestWhatOthersWriteAfterTheEndOfAWorkerIsNotRead(t *testing.T) {
	t.Parallel()
	p, out := newPipe(t)
	mustWrite(t, out, []byte("worker"))
	if err := p.end(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 3)
	if n, err := p.Read(b); string(b[:n]) != "wor" || err != nil {
		t.Fatalf("Read = %q, %v", b[:n], err)
	}
	mustWrite(t, out, []byte("another"))
	rest, err := io.ReadAll(p)
	if string(rest) != "ker" || err != nil {
		t.Errorf("the rest is %q, %v; want what the worker wrote", rest, err)
	}
}

// A pipe that is full to the brim.
func TestAFullPipeIsReadToTheEnd(t *testing.T) {
	t.Parallel()
	p, out := newPipe(t)
	whole := &Process{Requests: out}
	var want []byte
	for part := bytes.Repeat([]byte("0123456789abcdef"), 4096); ; {
		n := whole.TryWrite(part)
		if want = append(want, part[:n]...); n < len(part) {
			break
		}
	}
	if err := p.end(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(p); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, %v; want %d", len(got), err, len(want))
	}
}
