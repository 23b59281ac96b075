package procpool

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
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

// The limits of what a printer holds for a writer that is slow.
const (
	backlog  = 1 << 20     // bytes; a goroutine that prints more waits
	patience = time.Second // a writer that has not returned for so long is stuck
)

// printer hands what the workers of a pool print to the pool's two writers, on
// one goroutine, which lives while there is something to write. It never lets a
// writer hold up a worker for long: while one is stuck, what does not find room
// is dropped, and counted.
type printer struct {
	mu      sync.Mutex // guards the fields below
	queue   []printed
	size    int // bytes in the queue
	dropped int // bytes
	writing bool
	stuck   bool          // the writer has used up the patience
	changed chan struct{} // closed when something was written
}

// printed is whole lines for a stream.
type printed struct {
	to   *stream
	text []byte
}

// stream is one of the two writers.
type stream struct {
	to     io.Writer
	failed bool // guarded by printer.mu: it is given no more
}

// print hands on text, which it keeps.
func (p *printer) print(to *stream, text []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.size >= backlog && !p.stuck {
		p.wait(nil)
	}
	switch {
	case to.failed:
		return
	case p.size >= backlog:
		p.dropped += len(text)
		return
	}
	p.queue = append(p.queue, printed{to, text})
	p.size += len(text)
	if !p.writing {
		p.writing = true
		go p.write()
	}
}

// flush waits until all is written, the writer is stuck, or end is closed. It is
// for the end, when nobody prints any more.
func (p *printer) flush(end <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.writing && !p.stuck {
		select {
		case <-end:
			return
		default:
			p.wait(end)
		}
	}
}

// wait waits until something was written, or for the end. If it takes too long,
// the writer is stuck. p.mu is held, but for the wait.
func (p *printer) wait(end <-chan struct{}) {
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	changed := p.changed
	p.mu.Unlock()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-changed:
		p.mu.Lock()
	case <-end:
		p.mu.Lock()
	case <-late.C:
		p.mu.Lock()
		p.stuck = p.changed == changed
	}
}

// write writes until nothing is left to write.
func (p *printer) write() {
	for {
		next, ok := p.next()
		if !ok {
			return
		}
		p.writeOne(next)
	}
}

// next returns what is to be written next: all that comes next for one stream.
func (p *printer) next() (next printed, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		p.queue, p.writing = nil, false
		p.progress()
		return printed{}, false
	}
	n := 1
	next = p.queue[0]
	for ; n < len(p.queue) && p.queue[n].to == next.to; n++ {
		next.text = append(next.text, p.queue[n].text...)
	}
	p.queue = p.queue[n:]
	return next, true
}

// writeOne writes, and takes note of what came of it. A writer that fails, or
// panics, or ends this goroutine, is given no more.
func (p *printer) writeOne(text printed) {
	var err error
	hasReturned := false
	defer func() {
		hasPanicked := recover() != nil
		p.mu.Lock()
		defer p.mu.Unlock()
		text.to.failed = text.to.failed || err != nil || !hasReturned
		p.size -= len(text.text)
		if p.dropped > 0 {
			p.note(text.to)
		}
		p.progress()
		if !hasReturned && !hasPanicked {
			go p.write() // instead of this goroutine, which ends
		}
	}()
	if !p.hasFailed(text.to) {
		_, err = text.to.to.Write(text.text)
	}
	hasReturned = true
}

func (p *printer) hasFailed(to *stream) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return to.failed
}

// note says in a stream that lines are missing. p.mu is held.
func (p *printer) note(to *stream) {
	text := fmt.Appendf(nil, "executor: the writer was stuck; %d bytes that workers printed were dropped\n", p.dropped)
	p.dropped = 0
	p.queue = append(p.queue, printed{to, text})
	p.size += len(text)
}

// progress wakes the goroutines that wait. p.mu is held.
func (p *printer) progress() {
	p.stuck = false
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}
