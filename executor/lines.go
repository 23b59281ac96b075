package executor

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"sync"
)

// The limits of what is kept of what a worker prints.
const (
	longestLine = 64 << 10 // a longer one is handed on in parts
	tailLines   = 20       // of its stderr, for a WorkerDiedError
	tailBytes   = 64 << 10
	crashLines  = 30        // of the report of a fatal error, which is longer than the tail
	afterCrash  = 5         // of the tail, behind such a report
	stackBytes  = 256 << 10 // of the stacks of its goroutines, the first ones
)

// lines hands on what a worker prints, in whole lines, and keeps the last ones.
type lines struct {
	printer *printer
	to      *stream
	mu      sync.Mutex // guards the fields below
	tail    []byte
	crash   []byte // the beginning of the last report of a panic or a fatal error
	secret  bool   // lines are kept only: they are the stacks of a worker that is being ended
}

// copyFrom hands on all that r has, until its end. A worker's output is drained
// whatever becomes of it.
func (l *lines) copyFrom(r io.Reader) {
	var buf []byte
	for {
		buf = grow(buf)
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		end := bytes.LastIndexByte(buf, '\n') + 1
		if end == 0 && len(buf) >= longestLine {
			end = len(buf)
		}
		l.handOn(buf[:end])
		buf = append(buf[:0], buf[end:]...)
		if err != nil {
			if len(buf) > 0 { // else the next line of another worker would be its end
				buf = append(buf, '\n')
			}
			l.handOn(buf)
			return
		}
	}
}

func grow(buf []byte) []byte {
	if cap(buf)-len(buf) < 4096 {
		return append(make([]byte, 0, 2*cap(buf)+8192), buf...)
	}
	return buf
}

func (l *lines) handOn(text []byte) {
	if len(text) == 0 {
		return
	}
	if l.keep(text) {
		l.printer.print(l.to, bytes.Clone(text))
	}
}

// keep adds text to the tail, and reports whether others may see it.
func (l *lines) keep(text []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.secret {
		l.tail = append(l.tail, text[:min(len(text), stackBytes-len(l.tail))]...)
		return false
	}
	l.tail = append(l.tail, text...)
	if over := len(l.tail) - tailBytes; over > 0 {
		l.tail = slices.Clone(l.tail[over:])
	}
	l.keepCrash(text)
	return true
}

// keepCrash adds text to the report of a crash, if it is one. l.mu is held.
func (l *lines) keepCrash(text []byte) {
	rest, at := text, 0
	for line := range bytes.Lines(text) {
		if isCrash(line) {
			l.crash, rest = []byte{}, text[at:]
		}
		at += len(line)
	}
	if l.crash != nil && len(l.crash) < tailBytes/4 {
		l.crash = append(l.crash, rest[:min(len(rest), tailBytes/4-len(l.crash))]...)
	}
}

// isCrash reports whether with line begins what the Go runtime prints when it
// ends a program.
func isCrash(line []byte) bool {
	for _, begin := range []string{"panic: ", "fatal error: ", "unexpected fault address ", "runtime: goroutine stack exceeds ", "SIG"} {
		if bytes.HasPrefix(line, []byte(begin)) {
			return begin != "SIG" || bytes.Contains(line, []byte(": "))
		}
	}
	return false
}

// keepStacks keeps what comes now to itself, all of it.
func (l *lines) keepStacks() {
	l.mu.Lock()
	l.secret, l.tail = true, nil
	l.mu.Unlock()
}

// last returns the last lines, the beginning of the report of a crash before
// them, or all since keepStacks.
func (l *lines) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.secret {
		return strings.TrimRight(string(l.tail), "\n")
	}
	tail := splitLines(l.tail)
	if l.crash == nil {
		return strings.Join(tail[max(0, len(tail)-tailLines):], "\n")
	}
	crash := splitLines(l.crash)
	if len(crash) <= crashLines+afterCrash {
		return strings.Join(crash, "\n")
	}
	end := tail[max(0, len(tail)-afterCrash):]
	return strings.Join(slices.Concat(crash[:crashLines], []string{"..."}, end), "\n")
}

func splitLines(text []byte) []string {
	return strings.Split(strings.TrimRight(string(text), "\n"), "\n")
}
