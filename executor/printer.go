package executor

import (
	"context"
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

// flush waits until all is written, the writer is stuck, or ctx has ended. It is
// for the end, when nobody prints any more.
func (p *printer) flush(ctx context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.writing && !p.stuck && ctx.Err() == nil {
		p.wait(ctx.Done())
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

// progress wakes who waits. p.mu is held.
func (p *printer) progress() {
	p.stuck = false
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}
