package proc

import (
	"io"
	"os"
	"time"
)

// Pipe is what a worker writes to, for its parent. What the worker has written
// is read to its end, however late; what other processes write after it has ended, which
// may have the other end too, is not.
type Pipe struct {
	file *os.File
	over bool // the worker has ended: rest is what is still to be read
	rest int
}

// Read reads what the worker has written. It is called by one goroutine. The
// error is io.EOF when the worker has ended, or has closed its end as all others
// have.
func (p *Pipe) Read(b []byte) (n int, err error) {
	if !p.over {
		if n, err = p.file.Read(b); !os.IsTimeout(err) {
			return n, err
		}
		p.over, p.rest = true, unread(p.file)
	}
	if p.rest == 0 {
		return 0, io.EOF
	}
	n, err = readNow(p.file, b[:min(len(b), p.rest)])
	p.rest -= n
	return n, err
}

// end says that the worker has ended. The error is that the system cannot end a
// Read that waits: it waits until all others have closed their ends.
func (p *Pipe) end() error { return p.file.SetReadDeadline(time.Unix(1, 0)) }

// Close gives back the descriptor.
func (p *Pipe) Close() error { return p.file.Close() }
