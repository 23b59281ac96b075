// Package wire has the frames and messages that a process and its workers
// exchange over two pipes. Whatever the bytes are, reading them ends in a
// message or in an error, and takes memory in proportion to what has come.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Version is that of the protocol.
const Version = 2

// MaxFrame is the length of a frame's type and body in bytes, at most.
const MaxFrame = 256 << 20

// headLen is the length of a frame's head: a little-endian uint32 for the
// length of what follows, and the type.
const headLen = 5

// ErrProtocol is matched by the error of bytes that no honest peer sends.
var ErrProtocol = errors.New("executor: a frame is malformed")

// Type is what a frame is for.
type Type byte

const (
	ConfigFrame  Type = 1 + iota // to the worker, first
	HelloFrame                   // from the worker, first
	ReadyFrame                   // from the worker, after its Initializer
	RequestFrame                 // to the worker
	CancelFrame                  // to the worker
	StacksFrame                  // to the worker, without a body: it is to print the stacks of its goroutines and to go
	EndFrame                     // to the worker, last, without a body: it is to go
	ReplyFrame                   // from the worker
	PingFrame                    // to the worker, without a body
	AliveFrame                   // from the worker, without a body, the answer to PingFrame
	endOfTypes
)

// isEmpty reports whether frames of the type have no body.
func (t Type) isEmpty() bool {
	return t == StacksFrame || t == EndFrame || t == PingFrame || t == AliveFrame
}

// chunkLen is how much a Reader reads at once. Small frames share a chunk. For a
// frame that says that it is longer, there may be trustLen at once, or as much as
// frames have had before, up to mostLen.
const (
	chunkLen = 64 << 10
	trustLen = 256 << 10
	mostLen  = 1 << 20
)

// Reader reads frames.
type Reader struct {
	r    io.Reader
	buf  []byte // what was read and not handed out; what was handed out is not written to again, but for Reuse
	free []byte // the rest of the chunk behind buf
	all  []byte // the chunk
	long int    // the length of the longest frame so far
	err  error
}

// NewReader returns a Reader of what r has.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Next returns the next frame; its body belongs to the caller. The error is
// io.EOF between two frames, io.ErrUnexpectedEOF inside one, or matches
// ErrProtocol; it is final.
func (r *Reader) Next() (t Type, body []byte, err error) {
	if r.err != nil {
		return 0, nil, r.err
	}
	if t, body, err = r.next(); err != nil {
		r.err, r.buf, r.free = err, nil, nil
	}
	return t, body, err
}

func (r *Reader) next() (Type, []byte, error) {
	if err := r.fill(headLen, io.EOF); err != nil {
		return 0, nil, err
	}
	n, t, err := parseHead(r.buf)
	if err != nil {
		return 0, nil, err
	}
	if err := r.fill(4+n, io.ErrUnexpectedEOF); err != nil {
		return 0, nil, err
	}
	r.long = max(r.long, 4+n)
	body := r.buf[headLen : 4+n : 4+n]
	r.buf = r.buf[4+n:]
	return t, body, nil
}

func parseHead(b []byte) (n int, t Type, err error) {
	length := binary.LittleEndian.Uint32(b)
	if length == 0 || length > MaxFrame {
		return 0, 0, fmt.Errorf("%w: its length is %d; it must be from 1 to %d", ErrProtocol, length, MaxFrame)
	}
	if t = Type(b[4]); t == 0 || t >= endOfTypes {
		return 0, 0, fmt.Errorf("%w: its type is %d", ErrProtocol, t)
	}
	if t.isEmpty() && length != 1 {
		return 0, 0, fmt.Errorf("%w: one of type %d has a body", ErrProtocol, t)
	}
	return int(length), t, nil
}

// Buffered reports whether Next would return without reading.
func (r *Reader) Buffered() bool {
	if r.err != nil || len(r.buf) < headLen {
		return r.err != nil
	}
	n, _, err := parseHead(r.buf)
	return err != nil || len(r.buf) >= 4+n
}

// fill reads until there are n bytes. If there is nothing at all, the error is
// none.
func (r *Reader) fill(n int, none error) error {
	for len(r.buf) < n {
		if len(r.free) == 0 {
			r.extend(n)
		}
		got, err := r.r.Read(r.free)
		r.buf = r.buf[:len(r.buf)+got]
		r.free = r.free[got:]
		if got > 0 || err == nil {
			continue
		}
		switch {
		case err != io.EOF:
			return err
		case len(r.buf) > 0:
			return io.ErrUnexpectedEOF
		}
		return none
	}
	return nil
}

// extend moves what is there to where there is room for more: for a frame of n
// bytes if that is short, else for twice what has come, since a length is only
// a claim.
func (r *Reader) extend(n int) {
	size := max(chunkLen, min(n, max(trustLen, 2*len(r.buf), min(r.long, mostLen))))
	r.all = make([]byte, size)
	r.move()
}

// move moves what is there to the beginning of the chunk.
func (r *Reader) move() {
	copied := copy(r.all, r.buf)
	r.buf, r.free = r.all[:copied], r.all[copied:]
}

// Reuse says that nobody needs the bodies any more that were handed out.
func (r *Reader) Reuse() {
	switch {
	case len(r.all) > mostLen && len(r.buf) == 0:
		r.all, r.buf, r.free = nil, nil, nil
	case len(r.all) <= mostLen && len(r.free) < len(r.all)/2:
		r.move()
	}
}
