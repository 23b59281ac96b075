package executor

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// The limits of what a printer holds for a writer that is slow.
const (
	backlog  = 1 << 20     // bytes; who prints more waits
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
		p.wait()
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

// flush waits until all is written, or the writer is stuck. It is for the end,
// when nobody prints any more.
func (p *printer) flush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.writing && !p.stuck {
		p.wait()
	}
}

// wait waits until something was written. If that takes too long, the writer is
// stuck. p.mu is held, but for the wait.
func (p *printer) wait() {
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
	case <-late.C:
		p.mu.Lock()
		p.stuck = p.changed == changed
	}
}

// write writes until nothing is left to write.
func (p *printer) write() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) > 0 {
		next := p.queue[0]
		p.queue = p.queue[1:]
		if !next.to.failed {
			p.mu.Unlock()
			ok := writeAll(next.to.to, next.text)
			p.mu.Lock()
			next.to.failed = !ok
		}
		p.size -= len(next.text)
		if p.dropped > 0 {
			p.note(next.to)
		}
		p.progress()
	}
	p.queue, p.writing = nil, false
	p.progress()
}

// note says in a stream that lines are missing. p.mu is held.
func (p *printer) note(to *stream) {
	text := fmt.Appendf(nil, "executor: the writer was stuck; %d bytes that workers printed were dropped\n", p.dropped)
	p.dropped = 0
	p.queue = append(p.queue, printed{to, text})
	p.size += len(text)
}

// progress wakes who waits. p.mu is held.
func (p *printer) progress() {
	p.stuck = false
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// writeAll reports whether w took text. A panic of w goes no further.
func writeAll(w io.Writer, text []byte) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	_, err := w.Write(text)
	return err == nil
}
