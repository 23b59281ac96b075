package wire_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/gofutures/futures/executor/internal/wire"
)

// faithful says what must hold of any bytes.
func FuzzReader(f *testing.F) {
	all, _ := stream()
	f.Add(all)
	for _, m := range honest() {
		f.Add(m.bytes)
		f.Add(m.bytes[:len(m.bytes)-1])
		f.Add(append(bytes.Clone(m.bytes), 0))
	}
	f.Add([]byte{0, 0, 0, 16, byte(wire.ReadyFrame)})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, byte(wire.RequestFrame)})
	f.Fuzz(func(t *testing.T, data []byte) { faithful(t, data) })
}

func FuzzHandshake(f *testing.F) {
	for _, m := range honest() {
		if wire.Type(m.bytes[4]) <= wire.ReadyFrame {
			f.Add(m.bytes[5:])
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, typ := range []wire.Type{wire.ConfigFrame, wire.HelloFrame, wire.ReadyFrame} {
			again, err := rewrite(nil, frame{typ, body})
			if err == nil && !bytes.Equal(again[5:], body) {
				t.Errorf("type %d: %x is parsed and written again as %x", typ, body, again[5:])
			}
			if err != nil && !errors.Is(err, wire.ErrProtocol) {
				t.Errorf("type %d: %x: %v; want ErrProtocol", typ, body, err)
			}
		}
	})
}

func FuzzChunk(f *testing.F) {
	f.Add(chunk(), uint16(0))
	f.Add(append(chunk(), 1), uint16(0))
	f.Add([]byte{}, uint16(0))
	f.Add(make([]byte, 24), uint16(8))
	f.Add(wire.AppendOutcome(wire.AppendOutcome(nil, 1, []byte("x"), false), 2, nil, true), uint16(0))
	f.Fuzz(func(t *testing.T, data []byte, size uint16) {
		var again []byte
		var failed error
		for item, err := range itemsOf(data, int(size)) {
			if failed != nil {
				t.Fatalf("Items of %x goes on after %v", data, failed)
			}
			if failed = err; err == nil {
				if size > 0 {
					again = append(again, item...)
				} else {
					again = wire.AppendItem(again, item, item == nil)
				}
			}
		}
		check(t, "Items", data, again, failed)

		again, failed = nil, nil
		for o, err := range outcomesOf(data) {
			if failed != nil {
				t.Fatalf("Outcomes of %x goes on after %v", data, failed)
			}
			if failed = err; err == nil {
				again = wire.AppendOutcome(again, o.Kind, o.Data, o.Data == nil)
			}
		}
		check(t, "Outcomes", data, again, failed)
	})
}

// check says that what was parsed of data before an error is its beginning, and
// all of it without one.
func check(t *testing.T, name string, data, again []byte, err error) {
	t.Helper()
	switch {
	case err != nil && !errors.Is(err, wire.ErrProtocol):
		t.Fatalf("%s of %x: %v; want ErrProtocol", name, data, err)
	case err == nil && !bytes.Equal(again, data), !bytes.HasPrefix(data, again):
		t.Fatalf("%s: %x is parsed and written again as %x", name, data, again)
	}
}
