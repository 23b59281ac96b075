package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"testing"
	"time"

	"github.com/gofutures/futures/executor/internal/wire"
)

// frame is what Reader.Next returns.
type frame struct {
	typ  wire.Type
	body []byte
}

func (f frame) String() string {
	if len(f.body) > 40 {
		return fmt.Sprintf("type %d, %d bytes %x...", f.typ, len(f.body), f.body[:40])
	}
	return fmt.Sprintf("type %d, %d bytes %x", f.typ, len(f.body), f.body)
}

// honestMessage is a frame as a peer writes it.
type honestMessage struct {
	name  string
	bytes []byte
}

// honest has frames of every type and of every form of data.
func honest() []honestMessage {
	nonce := [16]byte{1, 2, 3, 15: 0xff}
	return []honestMessage{
		{"config", (&wire.Config{Nonce: nonce, Name: "pool", Initializer: "main.open", Depth: 2}).Append(nil)},
		{"empty config", (&wire.Config{}).Append(nil)},
		{"hello", (&wire.Hello{Version: wire.Version, Nonce: nonce, Build: "h1:abc", Digest: [32]byte{9, 31: 8}, PID: 4711}).Append(nil)},
		{"ready", (&wire.Ready{}).Append(nil)},
		{"ready with an error", (&wire.Ready{Error: []byte("no such file")}).Append(nil)},
		{"call", (&wire.Request{Serial: 300, Slot: 7, Func: 3, Data: wire.Data{Bytes: []byte("argument")}}).Append(nil)},
		{"call with a deadline", (&wire.Request{Serial: 1 << 63, Slot: 1<<32 - 1, Items: 3, Attempt: 2, HasTimeout: true, Timeout: time.Second, Data: wire.Data{Bytes: chunk()}}).Append(nil)},
		{"call late", (&wire.Request{HasTimeout: true, Timeout: -1, Data: wire.Data{Nil: true}}).Append(nil)},
		{"call in shared memory", (&wire.Request{Serial: 5, Data: wire.Data{Shared: true, Area: 4096, Len: 1 << 30}}).Append(nil)},
		{"cancel", (&wire.Cancel{Serial: 300, Slot: 7, Cause: "context canceled"}).Append(nil)},
		{"stacks", wire.AppendEmpty(nil, wire.StacksFrame)},
		{"end", wire.AppendEmpty(nil, wire.EndFrame)},
		{"ping", wire.AppendEmpty(nil, wire.PingFrame)},
		{"alive", wire.AppendEmpty(nil, wire.AliveFrame)},
		{"result", (&wire.Reply{Serial: 300, Slot: 7, Kind: 1, Spent: 50 * time.Microsecond, Data: wire.Data{Bytes: []byte{0, 1, 2}}}).Append(nil)},
		{"result nil", (&wire.Reply{Serial: 300, Kind: 255, Data: wire.Data{Nil: true}}).Append(nil)},
		{"result in shared memory", (&wire.Reply{Data: wire.Data{Shared: true, Area: 1<<64 - 1, Len: 1<<64 - 1}}).Append(nil)},
	}
}

// chunk has items of every form.
func chunk() []byte {
	b := wire.AppendItem(nil, []byte("item"), false)
	b = wire.AppendItem(b, nil, true)
	return wire.AppendItem(b, nil, false)
}

// stream is all honest messages behind each other, and the frames in it.
func stream() (bytes []byte, frames []frame) {
	for _, m := range honest() {
		bytes = append(bytes, m.bytes...)
		frames = append(frames, frame{wire.Type(m.bytes[4]), m.bytes[5:]})
	}
	return bytes, frames
}

// read returns the frames that r has, and the error that ends them.
func read(r *wire.Reader) (frames []frame, err error) {
	for {
		typ, body, err := r.Next()
		if err != nil {
			return frames, err
		}
		frames = append(frames, frame{typ, body})
	}
}

// rewrite parses the message of a frame and appends it again.
func rewrite(b []byte, f frame) ([]byte, error) {
	switch f.typ {
	case wire.ConfigFrame:
		m, err := wire.ParseConfig(f.body)
		return m.Append(b), err
	case wire.HelloFrame:
		m, err := wire.ParseHello(f.body)
		return m.Append(b), err
	case wire.ReadyFrame:
		m, err := wire.ParseReady(f.body)
		return m.Append(b), err
	case wire.RequestFrame:
		m, err := wire.ParseRequest(f.body)
		return m.Append(b), err
	case wire.CancelFrame:
		m, err := wire.ParseCancel(f.body)
		return m.Append(b), err
	case wire.StacksFrame, wire.EndFrame, wire.PingFrame, wire.AliveFrame:
		return wire.AppendEmpty(b, f.typ), nil
	case wire.ReplyFrame:
		m, err := wire.ParseReply(f.body)
		return m.Append(b), err
	}
	return b, fmt.Errorf("no frame has type %d", f.typ)
}

// faithful checks what a Reader makes of data, honest or not: every frame is an
// error or a message that, written again, is the very bytes it was read from.
// So nothing is skipped, made up, or read in two ways. It returns the frames
// that are messages.
func faithful(t *testing.T, data []byte) (messages []frame, err error) {
	t.Helper()
	src := &claimless{data: data, t: t}
	frames, err := read(wire.NewReader(src))
	if err != io.EOF && err != io.ErrUnexpectedEOF && !errors.Is(err, wire.ErrProtocol) {
		t.Fatalf("Next = %v of %x; want io.EOF, io.ErrUnexpectedEOF or ErrProtocol", err, data)
	}
	at := 0
	for _, f := range frames {
		end := at + 5 + len(f.body)
		if end > len(data) || !bytes.Equal(data[at+5:end], f.body) {
			t.Fatalf("Next = %v; it is not what is at %d of %x", f, at, data)
		}
		again, parseErr := rewrite(nil, f)
		switch {
		case parseErr == nil && !bytes.Equal(again, data[at:end]):
			t.Fatalf("%x is parsed and written again as %x", data[at:end], again)
		case parseErr != nil && !errors.Is(parseErr, wire.ErrProtocol):
			t.Fatalf("parsing %v: %v; want ErrProtocol", f, parseErr)
		case parseErr == nil:
			messages = append(messages, f)
		}
		at = end
	}
	if err == io.EOF && at != len(data) {
		t.Fatalf("Next = io.EOF after %d of the %d bytes of %x", at, len(data), data)
	}
	return messages, err
}

// claimless is a source that fails the test if a Reader takes memory on the
// word of a length: what it offers to read into is never longer than what has
// come, or one chunk.
type claimless struct {
	t    *testing.T
	data []byte
	came int
}

func (c *claimless) Read(p []byte) (int, error) {
	if len(p) > max(256<<10, c.came) {
		c.t.Fatalf("the Reader took memory for %d bytes more when %d had come", len(p), c.came)
	}
	if c.came == len(c.data) {
		return 0, io.EOF
	}
	n := copy(p, c.data[c.came:])
	c.came += n
	return n, nil
}

// itemsOf returns the items of a chunk, and an error where data is not that.
func itemsOf(data []byte, size int) iter.Seq2[[]byte, error] {
	return cutAll(data, func(data []byte) ([]byte, []byte, error) { return wire.CutItem(data, size) })
}

// outcomesOf returns what came of the items of a chunk.
func outcomesOf(data []byte) iter.Seq2[wire.Outcome, error] { return cutAll(data, wire.CutOutcome) }

func cutAll[T any](data []byte, cut func([]byte) (T, []byte, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for len(data) > 0 {
			first, rest, err := cut(data)
			if !yield(first, err) || err != nil {
				return
			}
			data = rest
		}
	}
}
