package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"
)

// Config tells a worker what it is for.
type Config struct {
	Nonce       [16]byte
	Name        string // of the pool
	Initializer string // its registered name, "" for none
	Depth       uint32
}

// Hello says who a worker is.
type Hello struct {
	Version uint32
	Nonce   [16]byte // of the Config
	Build   string
	Digest  [32]byte // of what is registered
	PID     uint32
}

// Ready says that the Initializer has ended, with an error unless that is empty.
type Ready struct{ Error []byte }

// Request is a request to make: of a call, or of a chunk of many.
type Request struct {
	Serial     uint64 // the number of the request
	Slot       uint32
	Func       uint32 // index in the registry
	Items      uint32 // 0, or the number of items of a chunk
	Stops      bool   // of a chunk: at an item that fails
	Attempt    uint32
	HasTimeout bool
	Timeout    time.Duration // until its deadline
	Data       Data
}

// Cancel asks a request to stop.
type Cancel struct {
	Serial uint64
	Slot   uint32
	Cause  string
}

// Reply is what came of a request, or of some items of a chunk.
type Reply struct {
	Serial uint64
	Slot   uint32
	Kind   byte
	More   bool   // of a chunk: other results of it follow
	From   uint32 // of a chunk: the first item that it is about
	Items  uint32 // of a chunk: how many items it is about
	Spent  time.Duration
	Data   Data
}

// Data is an argument or a result: bytes of the frame, or the first ones of an
// area of the shared memory.
type Data struct {
	Nil       bool // and nothing else
	Shared    bool
	Area, Len uint64 // of shared memory
	Bytes     []byte // if it is in the frame
}

// begin appends the head of a frame whose length end fills in.
func begin(b []byte, t Type) []byte { return append(b, 0, 0, 0, 0, byte(t)) }

// end fills in the length of the frame that begins at start; more bytes of it
// follow elsewhere.
func end(b []byte, start, more int) []byte {
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start-4+more))
	return b
}

func appendBytes[T ~[]byte | ~string](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// Append appends the message as a frame.
func (m *Config) Append(b []byte) []byte {
	start := len(b)
	b = begin(b, ConfigFrame)
	b = append(b, m.Nonce[:]...)
	b = appendBytes(b, m.Name)
	b = appendBytes(b, m.Initializer)
	b = binary.AppendUvarint(b, uint64(m.Depth))
	return end(b, start, 0)
}

// Append appends the message as a frame.
func (m *Hello) Append(b []byte) []byte {
	start := len(b)
	b = begin(b, HelloFrame)
	b = binary.AppendUvarint(b, uint64(m.Version))
	b = append(b, m.Nonce[:]...)
	b = appendBytes(b, m.Build)
	b = append(b, m.Digest[:]...)
	b = binary.AppendUvarint(b, uint64(m.PID))
	return end(b, start, 0)
}

// Append appends the message as a frame.
func (m *Ready) Append(b []byte) []byte {
	start := len(b)
	return end(append(begin(b, ReadyFrame), m.Error...), start, 0)
}

// The flags of a Request.
const (
	hasTimeout = 1 << iota
	stops
)

// Append appends the message as a frame.
func (m *Request) Append(b []byte) []byte {
	start := len(b)
	b = m.head(b, m.Data)
	return end(append(b, m.Data.Bytes...), start, 0)
}

// AppendHead appends a frame but for the n bytes of its data, which are to
// follow.
func (m *Request) AppendHead(b []byte, n int) []byte {
	start := len(b)
	return end(m.head(b, Data{}), start, n)
}

func (m *Request) head(b []byte, d Data) []byte {
	b = begin(b, RequestFrame)
	b = binary.AppendUvarint(b, m.Serial)
	b = binary.AppendUvarint(b, uint64(m.Slot))
	b = binary.AppendUvarint(b, uint64(m.Func))
	b = binary.AppendUvarint(b, uint64(m.Items))
	b = binary.AppendUvarint(b, uint64(m.Attempt))
	var flags byte
	if m.HasTimeout {
		flags |= hasTimeout
	}
	if m.Stops {
		flags |= stops
	}
	b = append(b, flags)
	if m.HasTimeout {
		b = binary.AppendVarint(b, int64(m.Timeout))
	}
	return d.head(b)
}

// Append appends the message as a frame.
func (m *Cancel) Append(b []byte) []byte {
	start := len(b)
	b = begin(b, CancelFrame)
	b = binary.AppendUvarint(b, m.Serial)
	b = binary.AppendUvarint(b, uint64(m.Slot))
	return end(append(b, m.Cause...), start, 0)
}

// AppendEmpty appends a frame of a type without a body.
func AppendEmpty(b []byte, t Type) []byte { return end(begin(b, t), len(b), 0) }

// The flag of a Reply.
const more = 1

// Append appends the message as a frame.
func (m *Reply) Append(b []byte) []byte {
	start := len(b)
	b = begin(b, ReplyFrame)
	b = binary.AppendUvarint(b, m.Serial)
	b = binary.AppendUvarint(b, uint64(m.Slot))
	var flags byte
	if m.More {
		flags |= more
	}
	b = append(b, m.Kind, flags)
	b = binary.AppendUvarint(b, uint64(m.From))
	b = binary.AppendUvarint(b, uint64(m.Items))
	b = binary.AppendVarint(b, int64(m.Spent))
	b = m.Data.head(b)
	return end(append(b, m.Data.Bytes...), start, 0)
}

// Where the data of a message is.
const (
	dataHere byte = iota
	dataNil
	dataShared
)

func (d Data) head(b []byte) []byte {
	switch {
	case d.Nil:
		return append(b, dataNil)
	case d.Shared:
		b = append(b, dataShared)
		b = binary.AppendUvarint(b, d.Area)
		return binary.AppendUvarint(b, d.Len)
	}
	return append(b, dataHere)
}

// parser takes a body apart. The first thing that is wrong stays.
type parser struct {
	b   []byte
	bad bool
}

func (p *parser) uvarint() uint64 {
	v, n := binary.Uvarint(p.b)
	if n <= 0 || n > 1 && p.b[n-1] == 0 { // one way to write a number
		p.bad = true
		return 0
	}
	p.b = p.b[n:]
	return v
}

func (p *parser) varint() int64 {
	u := p.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (p *parser) uint32() uint32 {
	v := p.uvarint()
	if v > math.MaxUint32 {
		p.bad = true
	}
	return uint32(v)
}

func (p *parser) take(n uint64) []byte {
	if p.bad || n > uint64(len(p.b)) {
		p.bad = true
		return nil
	}
	b := p.b[:n:n]
	p.b = p.b[n:]
	return b
}

func (p *parser) byte() byte {
	if b := p.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (p *parser) string() string { return string(p.take(p.uvarint())) }
func (p *parser) rest() []byte   { return p.take(uint64(len(p.b))) }

func (p *parser) data() (d Data) {
	switch p.byte() {
	case dataHere:
		d.Bytes = p.rest()
	case dataNil:
		d.Nil = true
	case dataShared:
		d.Shared, d.Area, d.Len = true, p.uvarint(), p.uvarint()
	default:
		p.bad = true
	}
	return d
}

// end returns what was wrong with the message.
func (p *parser) end(name string) error {
	if p.bad || len(p.b) > 0 {
		return fmt.Errorf("%w: a %s message does not end where it should", ErrProtocol, name)
	}
	return nil
}

// ParseConfig parses the body of a frame.
func ParseConfig(body []byte) (m Config, err error) {
	p := parser{b: body}
	copy(m.Nonce[:], p.take(16))
	m.Name, m.Initializer, m.Depth = p.string(), p.string(), p.uint32()
	return m, p.end("config")
}

// ParseHello parses the body of a frame.
func ParseHello(body []byte) (m Hello, err error) {
	p := parser{b: body}
	m.Version = p.uint32()
	copy(m.Nonce[:], p.take(16))
	m.Build = p.string()
	copy(m.Digest[:], p.take(32))
	m.PID = p.uint32()
	return m, p.end("hello")
}

// ParseReady parses the body of a frame.
func ParseReady(body []byte) (Ready, error) { return Ready{body}, nil }

// ParseRequest parses the body of a frame.
func ParseRequest(body []byte) (m Request, err error) {
	p := parser{b: body}
	m.Serial, m.Slot, m.Func, m.Items, m.Attempt = p.uvarint(), p.uint32(), p.uint32(), p.uint32(), p.uint32()
	flags := p.byte()
	m.HasTimeout, m.Stops = flags&hasTimeout != 0, flags&stops != 0
	p.bad = p.bad || flags > hasTimeout|stops
	if m.HasTimeout {
		m.Timeout = time.Duration(p.varint())
	}
	m.Data = p.data()
	return m, p.end("request")
}

// ParseCancel parses the body of a frame.
func ParseCancel(body []byte) (m Cancel, err error) {
	p := parser{b: body}
	m.Serial, m.Slot, m.Cause = p.uvarint(), p.uint32(), string(p.rest())
	return m, p.end("cancel")
}

// ParseReply parses the body of a frame.
func ParseReply(body []byte) (m Reply, err error) {
	p := parser{b: body}
	m.Serial, m.Slot, m.Kind = p.uvarint(), p.uint32(), p.byte()
	flags := p.byte()
	m.More, p.bad = flags == more, p.bad || flags > more
	m.From, m.Items, m.Spent = p.uint32(), p.uint32(), time.Duration(p.varint())
	m.Data = p.data()
	return m, p.end("reply")
}

// AppendItem appends an item of a chunk.
func AppendItem(b, data []byte, isNil bool) []byte {
	if isNil {
		return append(b, 0)
	}
	return append(binary.AppendUvarint(b, uint64(len(data))+1), data...)
}

func (p *parser) item() []byte {
	n := p.uvarint()
	if n == 0 {
		return nil
	}
	return p.take(n - 1)
}

// AppendItemWith appends an item of a chunk that encode appends to what it is
// given. If encode fails, b comes back as it was.
func AppendItemWith(b []byte, encode func([]byte) ([]byte, error)) ([]byte, error) {
	start := len(b)
	longer, err := encode(append(b, 0)) // most lengths take one byte
	if err != nil {
		return b, err
	}
	n := len(longer) - start - 1
	if n+1 < 0x80 {
		longer[start] = byte(n + 1)
		return longer, nil
	}
	var head [binary.MaxVarintLen64]byte
	return slices.Replace(longer, start, start+1, head[:binary.PutUvarint(head[:], uint64(n)+1)]...), nil
}

// CutItem takes the first item off the data of a chunk: nil for a nil one. If size
// is not 0, it is that of each item, and they have no length of their own.
func CutItem(data []byte, size int) (item, rest []byte, err error) {
	p := parser{b: data}
	if size > 0 {
		item = p.take(uint64(size))
	} else {
		item = p.item()
	}
	if p.bad {
		return nil, nil, p.end("chunk")
	}
	return item, p.b, nil
}

// Outcome is what came of an item of a chunk.
type Outcome struct {
	Kind byte
	Data []byte // nil for nil
}

// AppendOutcome appends what came of an item.
func AppendOutcome(b []byte, kind byte, data []byte, isNil bool) []byte {
	return AppendItem(append(b, kind), data, isNil)
}

// CutOutcome takes the first outcome off those of some items.
func CutOutcome(data []byte) (o Outcome, rest []byte, err error) {
	p := parser{b: data}
	o = Outcome{Kind: p.byte(), Data: p.item()}
	if p.bad {
		return Outcome{}, nil, p.end("chunk")
	}
	return o, p.b, nil
}
