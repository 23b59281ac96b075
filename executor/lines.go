package executor

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// The limits of what is kept of what a worker prints.
const (
	longestLine = 64 << 10 // a longer one is handed on in parts
	tailLines   = 20       // of its stderr, for a WorkerDiedError
	tailBytes   = 64 << 10
)

// lines hands on what a worker prints, in whole lines, and keeps the last ones.
type lines struct {
	to     io.Writer
	turn   *sync.Mutex // of all who write to to
	mu     sync.Mutex  // guards the fields below
	tail   []byte
	secret bool // lines are kept only: they are the stacks of a worker that is being ended
}

// copyFrom hands on all that r has, until its end. A writer that fails is given
// no more; one that panics likewise: a worker's output is drained whatever
// happens.
func (l *lines) copyFrom(r io.Reader) {
	var buf []byte
	for {
		buf = grow(buf)
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		end := bytes.LastIndexByte(buf, '\n') + 1
		if end == 0 && (err != nil || len(buf) >= longestLine) {
			end = len(buf)
		}
		l.handOn(buf[:end])
		buf = append(buf[:0], buf[end:]...)
		if err != nil {
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
	l.mu.Lock()
	l.tail = append(l.tail, text...)
	if over := len(l.tail) - tailBytes; over > 0 {
		l.tail = append([]byte(nil), l.tail[over:]...)
	}
	keep := l.secret || l.to == nil
	l.mu.Unlock()
	if keep || l.write(text) {
		return
	}
	l.mu.Lock()
	l.to = nil
	l.mu.Unlock()
}

func (l *lines) write(text []byte) (ok bool) {
	l.turn.Lock()
	defer l.turn.Unlock()
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	_, err := l.to.Write(text)
	return err == nil
}

// keepStacks keeps what comes now to itself, all of it.
func (l *lines) keepStacks() {
	l.mu.Lock()
	l.secret, l.tail = true, nil
	l.mu.Unlock()
}

// last returns the last lines, or all since keepStacks.
func (l *lines) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := strings.TrimRight(string(l.tail), "\n")
	if l.secret {
		return text
	}
	all := strings.Split(text, "\n")
	return strings.Join(all[max(0, len(all)-tailLines):], "\n")
}
