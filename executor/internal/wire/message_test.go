package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gofutures/futures/executor/internal/wire"
)

func nonce(t *rapid.T) (b [16]byte) {
	copy(b[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "nonce"))
	return b
}

func anyBytes(t *rapid.T, name string) []byte {
	return rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, name)
}

func anyText(t *rapid.T, name string) string { return string(anyBytes(t, name)) }

// anyData is of all forms; what is empty is not nil, as a Reader makes it.
func anyData(t *rapid.T) wire.Data {
	switch rapid.IntRange(0, 2).Draw(t, "data") {
	case 0:
		return wire.Data{Nil: true}
	case 1:
		return wire.Data{Shared: true, Area: rapid.Uint64().Draw(t, "area"), Len: rapid.Uint64().Draw(t, "len")}
	}
	return wire.Data{Bytes: anyBytes(t, "bytes")}
}

// sent appends a message behind other bytes, reads the frame, and parses it.
func sent[M any](t *rapid.T, typ wire.Type, m M, b []byte, parse func([]byte) (M, error)) {
	before := []byte("before")
	if !bytes.HasPrefix(b, before) {
		t.Fatalf("Append has written over what was there: %x", b)
	}
	r := wire.NewReader(bytes.NewReader(b[len(before):]))
	gotType, body, err := r.Next()
	if gotType != typ || err != nil {
		t.Fatalf("Next = type %d, %v of %+v; want type %d", gotType, err, m, typ)
	}
	got, err := parse(body)
	if err != nil || !reflect.DeepEqual(got, m) {
		t.Fatalf("parsed: %+v, %v; want %+v", got, err, m)
	}
	if _, _, err := r.Next(); err == nil {
		t.Fatalf("something is behind the frame of %+v", m)
	}
}

func TestMessagesArriveAsTheyWereSent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := []byte("before")
		switch rapid.IntRange(0, 5).Draw(t, "type") {
		case 0:
			m := wire.Config{Nonce: nonce(t), Name: anyText(t, "name"), Initializer: anyText(t, "initializer"), Depth: rapid.Uint32().Draw(t, "depth")}
			sent(t, wire.ConfigFrame, m, m.Append(b), wire.ParseConfig)
		case 1:
			m := wire.Hello{Version: rapid.Uint32().Draw(t, "version"), Nonce: nonce(t), Build: anyText(t, "build"), PID: rapid.Uint32().Draw(t, "pid")}
			copy(m.Digest[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "digest"))
			sent(t, wire.HelloFrame, m, m.Append(b), wire.ParseHello)
		case 2:
			m := wire.Ready{Error: anyBytes(t, "error")}
			sent(t, wire.ReadyFrame, m, m.Append(b), wire.ParseReady)
		case 3:
			m := wire.Request{
				Serial: rapid.Uint64().Draw(t, "serial"), Slot: rapid.Uint32().Draw(t, "slot"), Func: rapid.Uint32().Draw(t, "func"),
				Items: rapid.Uint32().Draw(t, "items"), Attempt: rapid.Uint32().Draw(t, "attempt"), Data: anyData(t),
			}
			m.Stops = rapid.Bool().Draw(t, "stops")
			if m.HasTimeout = rapid.Bool().Draw(t, "has timeout"); m.HasTimeout {
				m.Timeout = time.Duration(rapid.Int64().Draw(t, "timeout"))
			}
			whole := m.Append(b)
			sent(t, wire.RequestFrame, m, whole, wire.ParseRequest)
			if m.Data.Bytes != nil {
				if parts := append(m.AppendHead(bytes.Clone(b), len(m.Data.Bytes)), m.Data.Bytes...); !bytes.Equal(parts, whole) {
					t.Fatalf("AppendHead and the data: %x; want %x", parts, whole)
				}
			}
		case 4:
			m := wire.Cancel{Serial: rapid.Uint64().Draw(t, "serial"), Slot: rapid.Uint32().Draw(t, "slot"), Cause: anyText(t, "cause")}
			sent(t, wire.CancelFrame, m, m.Append(b), wire.ParseCancel)
		case 5:
			m := wire.Reply{
				Serial: rapid.Uint64().Draw(t, "serial"), Slot: rapid.Uint32().Draw(t, "slot"), Kind: rapid.Byte().Draw(t, "kind"),
				More: rapid.Bool().Draw(t, "more"), From: rapid.Uint32().Draw(t, "from"), Items: rapid.Uint32().Draw(t, "items"),
				Spent: time.Duration(rapid.Int64().Draw(t, "spent")), Data: anyData(t),
			}
			sent(t, wire.ReplyFrame, m, m.Append(b), wire.ParseReply)
		}
	})
}

// Numbers inside of messages.
func TestNumbersInMessagesHaveExactLimits(t *testing.T) {
	uvarint := func(v uint64) []byte { return binary.AppendUvarint(nil, v) }
	long := append(bytes.Repeat([]byte{0xff}, 10), 1) // more than 64 bits
	zeros := func(n int) []byte { return make([]byte, n) }

	parseConfig := func(b []byte) error { _, err := wire.ParseConfig(b); return err }
	parseHello := func(b []byte) error { _, err := wire.ParseHello(b); return err }
	parseRequest := func(b []byte) error { _, err := wire.ParseRequest(b); return err }
	parseReply := func(b []byte) error { _, err := wire.ParseReply(b); return err }
	parseCancel := func(b []byte) error { _, err := wire.ParseCancel(b); return err }
	items := func(b []byte) error {
		for _, err := range itemsOf(b, 0) {
			if err != nil {
				return err
			}
		}
		return nil
	}
	outcomes := func(b []byte) error {
		for _, err := range outcomesOf(b) {
			if err != nil {
				return err
			}
		}
		return nil
	}
	config := func(nameLen []byte) []byte { return slices.Concat(zeros(16), nameLen, []byte("x"), zeros(2)) }
	for _, row := range []struct {
		name  string
		parse func([]byte) error
		body  []byte
		ok    bool
	}{
		{"a name's length, right", parseConfig, config(uvarint(1)), true},
		{"a name's length, one too long", parseConfig, config(uvarint(4)), false},
		{"a name's length, 2^31-1", parseConfig, config(uvarint(1<<31 - 1)), false},
		{"a name's length, 2^32-1", parseConfig, config(uvarint(1<<32 - 1)), false},
		{"a name's length, 2^63", parseConfig, config(uvarint(1 << 63)), false},
		{"a name's length, 2^64-1", parseConfig, config(uvarint(math.MaxUint64)), false},
		{"a name's length, more than 64 bits", parseConfig, config(long), false},
		{"a name's length, written with a byte too many", parseConfig, config([]byte{0x81, 0}), false},
		{"the depth, 2^32-1", parseConfig, slices.Concat(zeros(18), uvarint(1<<32-1)), true},
		{"the depth, 2^32", parseConfig, slices.Concat(zeros(18), uvarint(1<<32)), false},
		{"a config and something behind it", parseConfig, zeros(20), false},
		{"an empty config", parseConfig, nil, false},
		{"a hello and something behind it", parseHello, zeros(52), false},
		{"a hello", parseHello, zeros(51), true},
		{"an empty hello", parseHello, nil, false},
		{"all flags that there are", parseRequest, []byte{0, 0, 0, 0, 0, 3, 0, 0}, true},
		{"a flag that there is not", parseRequest, []byte{0, 0, 0, 0, 0, 4, 0}, false},
		{"a flag that is 0", parseRequest, []byte{0, 0, 0, 0, 0, 0, 0}, true},
		{"a timeout that is missing", parseRequest, []byte{0, 0, 0, 0, 0, 1}, false},
		{"nil data and something behind it", parseRequest, []byte{0, 0, 0, 0, 0, 0, 1, 9}, false},
		{"nil data", parseRequest, []byte{0, 0, 0, 0, 0, 0, 1}, true},
		{"shared data without a length", parseRequest, []byte{0, 0, 0, 0, 0, 0, 2, 9}, false},
		{"shared data and something behind it", parseRequest, []byte{0, 0, 0, 0, 0, 0, 2, 9, 9, 9}, false},
		{"a place for data that does not exist", parseRequest, []byte{0, 0, 0, 0, 0, 0, 3}, false},
		{"no data", parseRequest, []byte{0, 0, 0, 0, 0, 0}, false},
		{"an empty call", parseRequest, nil, false},
		{"a slot, 2^32", parseReply, slices.Concat([]byte{0}, uvarint(1<<32), []byte{0, 0, 0, 0, 0, 0}), false},
		{"a slot, 2^32-1", parseReply, slices.Concat([]byte{0}, uvarint(1<<32-1), []byte{0, 0, 0, 0, 0, 0}), true},
		{"flags of a result that there are not", parseReply, []byte{0, 0, 0, 2, 0, 0, 0, 0}, false},
		{"a first item, 2^32", parseReply, slices.Concat([]byte{0, 0, 0, 1}, uvarint(1<<32), []byte{0, 0, 0}), false},
		{"items, 2^32", parseReply, slices.Concat([]byte{0, 0, 0, 1, 0}, uvarint(1<<32), []byte{0, 0}), false},
		{"an empty result", parseReply, nil, false},
		{"an empty cancel", parseCancel, nil, false},
		{"a cancel without a cause", parseCancel, []byte{0, 0}, true},
		{"an item's length, one too long", items, append(uvarint(3), 'x'), false},
		{"an item's length, right", items, append(uvarint(2), 'x'), true},
		{"an item's length, 2^63", items, append(uvarint(1<<63), 'x'), false},
		{"an item's length, 2^64-1", items, append(uvarint(math.MaxUint64), 'x'), false},
		{"an item's length, more than 64 bits", items, append(bytes.Clone(long), 'x'), false},
		{"an outcome without data", outcomes, []byte{1}, false},
		{"an outcome's length, 2^64-1", outcomes, append([]byte{1}, uvarint(math.MaxUint64)...), false},
		{"an outcome", outcomes, []byte{1, 2, 3}, true},
	} {
		err := row.parse(row.body)
		if row.ok && err != nil || !row.ok && !errors.Is(err, wire.ErrProtocol) {
			t.Errorf("%s (%x): %v; want an error: %v", row.name, row.body, err, !row.ok)
		}
	}
}

// Inside of messages: of data and causes every beginning is one.
func TestTruncatedMessageIsAnError(t *testing.T) {
	for _, m := range honest() {
		typ := wire.Type(m.bytes[4])
		for cut := 5; cut < len(m.bytes); cut++ {
			again, err := rewrite(nil, frame{typ, m.bytes[5:cut]})
			switch {
			case err != nil && !errors.Is(err, wire.ErrProtocol):
				t.Errorf("%s, cut off after %d bytes: %v; want ErrProtocol", m.name, cut, err)
			case err == nil && (typ == wire.ConfigFrame || typ == wire.HelloFrame):
				t.Errorf("%s, cut off after %d bytes: no error", m.name, cut)
			case err == nil && !bytes.Equal(again[5:], m.bytes[5:cut]):
				t.Errorf("%s, cut off after %d bytes, is parsed and written again as %x; want %x", m.name, cut, again[5:], m.bytes[5:cut])
			}
		}
	}
}

func TestChunksArriveAsTheyWereSent(t *testing.T) {
	type item struct {
		kind byte
		data []byte // nil for nil
	}
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOf(rapid.Custom(func(t *rapid.T) item {
			it := item{kind: rapid.Byte().Draw(t, "kind")}
			if !rapid.Bool().Draw(t, "is nil") {
				it.data = append([]byte{}, anyBytes(t, "data")...)
			}
			return it
		})).Draw(t, "items")
		var items, outcomes []byte
		for _, it := range want {
			items = wire.AppendItem(items, it.data, it.data == nil)
			outcomes = wire.AppendOutcome(outcomes, it.kind, it.data, it.data == nil)
		}
		same := func(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }
		i := 0
		for data, err := range itemsOf(items, 0) {
			if err != nil || !same(data, want[i].data) {
				t.Fatalf("item %d: %#v, %v; want %#v", i, data, err, want[i].data)
			}
			i++
		}
		k := 0
		for o, err := range outcomesOf(outcomes) {
			if err != nil || o.Kind != want[k].kind || !same(o.Data, want[k].data) {
				t.Fatalf("outcome %d: %#v, %v; want %#v", k, o, err, want[k])
			}
			k++
		}
		if i != len(want) || k != len(want) {
			t.Fatalf("%d items and %d outcomes; want %d", i, k, len(want))
		}
	})
}

// Items of one size have no length.
func TestItemsOfOneSizeArriveAsTheyWereSent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 20).Draw(t, "size")
		data := anyBytes(t, "data")
		var again []byte
		var failed error
		for item, err := range itemsOf(data, size) {
			if failed != nil {
				t.Fatalf("items of %d bytes of %x go on after %v", size, data, failed)
			}
			if failed = err; err == nil {
				again = append(again, item...)
			}
		}
		if fits := len(data)%size == 0; fits != (failed == nil) || fits && !bytes.Equal(again, data) || !bytes.HasPrefix(data, again) {
			t.Fatalf("items of %d bytes of %d bytes %x: %x, %v; want an error: %v", size, len(data), data, again, failed, !fits)
		}
		if failed != nil && !errors.Is(failed, wire.ErrProtocol) {
			t.Fatalf("items of %d bytes of %d bytes: %v; want ErrProtocol", size, len(data), failed)
		}
	})
}

func TestItemIsTheSameHoweverItIsAppended(t *testing.T) {
	refused := errors.New("refused")
	for _, size := range []int{0, 1, 126, 127, 128, 1000, 1<<14 - 1, 1 << 14, 1 << 20} {
		for _, room := range []int{0, 1, 10, 2 << 20} {
			data := bytes.Repeat([]byte{7}, size)
			before := append(make([]byte, 0, 6+room), "before"...)
			want := wire.AppendItem(bytes.Clone(before), data, false)
			got, err := wire.AppendItemWith(before, func(b []byte) ([]byte, error) { return append(b, data...), nil })
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, room for %d: AppendItemWith = %d bytes, %v; want the %d of AppendItem", size, room, len(got), err, len(want))
			}
			got, err = wire.AppendItemWith(before, func(b []byte) ([]byte, error) { return append(b, data...), refused })
			if err != refused || string(got) != "before" {
				t.Errorf("%d bytes, room for %d, an error: AppendItemWith = %d bytes, %v; want what was there, and the error", size, room, len(got), err)
			}
		}
	}
}

// Nothing is taken for an item that is only claimed.
func TestChunkTakesNoMemory(t *testing.T) {
	data := []byte{0, 0, 1, 0xff, 0xff, 0xff, 0xff, 7}
	if allocs := testing.AllocsPerRun(100, func() {
		rest := data
		for range 3 {
			_, rest, _ = wire.CutItem(rest, 0)
		}
	}); allocs > 0 {
		t.Errorf("%v allocations for three items; want none", allocs)
	}
	if item, rest, err := wire.CutItem(data[3:], 0); !errors.Is(err, wire.ErrProtocol) || item != nil || rest != nil {
		t.Errorf("an item that is longer than its chunk: %d bytes, %v; want ErrProtocol", len(item), err)
	}
}

// A frame whose data is written behind it is that of Append.
func TestHeadOfACallCountsTheDataThatFollows(t *testing.T) {
	for _, n := range []int{0, 1, 70_000} {
		data := bytes.Repeat([]byte{7}, n)
		m := wire.Request{Serial: 1, Slot: 2, Func: 3, HasTimeout: true, Timeout: 5}
		got := append(m.AppendHead([]byte("before"), n), data...)
		m.Data.Bytes = data
		if want := m.Append([]byte("before")); !bytes.Equal(got, want) {
			t.Errorf("head and %d bytes: %.100x; want %.100x", n, got, want)
		}
	}
}
