package procpool

import (
	"strconv"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/gofutures/futures/executor/internal/proc"
	"github.com/gofutures/futures/executor/internal/wire"
)

// How the items of a chunk are kept apart.
//
// A chunk goes to a worker as one message, because a message for each item would
// cost more than most items do. But one item that ends its process must not take
// the others with it, and a slow one must not keep those behind it from an idle
// worker. So parent and worker share two things beside the message:
//
//   - A range: one word that says how many items the worker has begun, and from
//     which one on they are not its own. The worker adds one to the first number
//     before each item; the parent lowers the second one to take items back. Both
//     compare and swap, so that each item has one owner, and when the worker has
//     died, the parent knows which item it was in.
//   - A journal: memory in which the worker notes what came of each item before it
//     begins the next. Nothing is written to the pipe for it. When the worker has
//     died, the parent reads there what the pipe had not brought yet, so that one
//     death costs one item. See [process.salvage].
//
// When the chunk is made, or the journal is full, what is noted goes through the
// pipe as a Reply frame, and noting begins again. The journal is a part of the
// memory that all requests share, for a large chunk an area of its own; numbers whose
// results are numbers of the same size are noted where the arguments were.
//
// Where no memory is shared, nothing is taken back, the journal is in the worker's
// own memory, and what is noted goes through the pipe every 50 µs.

// journalHead says what is noted in a journal. It is in its first bytes.
type journalHead struct {
	serial uint64 // of the chunk; 0 while it says nothing
	from   uint32 // the first item that is noted
	kind   uint32 // values or outcomes
	area   uint32 // where the notes are: an area, or inJournal
	_      uint32
	noted  uint64 // how many items, and in how many bytes: written as one, after the bytes
}

const (
	headSize  = int(unsafe.Sizeof(journalHead{}))
	inJournal = 1<<32 - 1
)

// note says how much is noted, in one store: the process may end at any.
func (h *journalHead) note(items, bytes int) {
	if strconv.IntSize == 32 {
		atomic.StoreUint64(&h.noted, notedWord(items, bytes))
		return
	}
	h.noted = notedWord(items, bytes)
}

func headOf(s *proc.Shared) *journalHead {
	return (*journalHead)(unsafe.Pointer(unsafe.SliceData(s.Journal)))
}

// The word of a range: the items that were begun above, the end of the worker's own below.
func rangeWord(begun, end int) uint64         { return uint64(begun)<<32 | uint64(end) }
func rangeOf(word uint64) (begun, end int)    { return int(word >> 32), int(uint32(word)) }
func notedWord(items, bytes int) uint64       { return uint64(items)<<32 | uint64(bytes) }
func notedOf(word uint64) (items, bytes int)  { return int(word >> 32), int(uint32(word)) }
func setRange(word *atomic.Uint64, items int) { word.Store(rangeWord(0, items)) }
func begunOf(word *atomic.Uint64) (begun int) { begun, _ = rangeOf(word.Load()); return begun }

// cutRange takes the items from end on back from a worker, and those before it that it
// has begun are left to it. It returns from which one on they are taken.
func cutRange(word *atomic.Uint64, end int) (from int) {
	for {
		old := word.Load()
		begun, before := rangeOf(old)
		from = min(max(end, begun), before)
		if word.CompareAndSwap(old, rangeWord(begun, from)) {
			return from
		}
	}
}

// Journal is what a worker notes of the chunk that it makes. Outside of a worker, it is
// kept in memory that grows.
type Journal struct {
	own   journalHead    // where no memory is shared; the first field, so that 32 bits align it
	n     int            // items of the chunk
	word  *atomic.Uint64 // its range; nil: all items are the worker's
	head  *journalHead
	first int    // the first item that is noted
	items int    // that are noted since
	kind  Kind   // of what is noted: Values, as long as no item has failed
	bytes []byte // what is noted, in memory that is as long as its capacity
	area  uint32 // in which that is

	sent   time.Time  // when a frame went last, where no memory is shared
	server *server    // nil outside of a worker
	frame  wire.Reply // what is the same in all replies of the chunk
}

// NewJournal returns the journal of a chunk of n items that no worker makes.
func NewJournal(n int) *Journal {
	j := &Journal{n: n, kind: Values}
	j.head = &j.own
	return j
}

// Reply returns what is noted in a journal that no worker has.
func (j *Journal) Reply() Reply { return Reply{j.kind, j.bytes} }

// Memory returns the memory to which values are written, which is as long as its capacity,
// and how many are there. The last result is false if there is none: nothing is shared, or
// what is noted are outcomes.
func (j *Journal) Memory() (values []byte, items int, isThere bool) {
	return j.bytes, j.items, j.word != nil && j.kind == Values
}

// Wrote notes that so many values are in the memory, in so many bytes.
func (j *Journal) Wrote(items, bytes int) {
	j.items, j.bytes = items, j.bytes[:bytes]
	j.head.note(items, bytes)
}

// Room returns what is noted, for a value of so many bytes to be appended to, and then given
// to Value. It returns false if what comes next is noted as an outcome: an item has failed,
// or the journal is too small.
func (j *Journal) Room(bytes int) (noted []byte, isThere bool) {
	isThere = j.kind == Values && j.hasRoom(bytes)
	return j.bytes, isThere
}

// Value notes the value of the next item, with which what is noted ends now.
func (j *Journal) Value(noted []byte) {
	j.bytes = noted
	j.note()
}

// TakeOutcomes begins a journal for values that differ in length: they are outcomes.
func (j *Journal) TakeOutcomes() {
	j.kind = Outcomes
	if j.server != nil {
		j.start()
	}
}

// Begin reports whether item i may be made, and marks that it has begun.
func (j *Journal) Begin(i int) bool {
	if j.word == nil {
		return i < j.n
	}
	for {
		old := j.word.Load()
		_, end := rangeOf(old)
		if i >= end {
			return false
		}
		if j.word.CompareAndSwap(old, rangeWord(i+1, end)) {
			return true
		}
	}
}

// open begins to note values in memory, the bytes of an area.
func (j *Journal) open(memory []byte, area uint32) {
	j.bytes, j.area, j.kind = memory[:0], area, Values
	j.start()
}

// start begins to note from the next item on.
func (j *Journal) start() {
	j.first, j.items = j.first+j.items, 0
	j.bytes = j.bytes[:0]
	atomic.StoreUint64(&j.head.serial, 0) // it says nothing while it is written
	j.head.from, j.head.kind, j.head.area, j.head.noted = uint32(j.first), uint32(j.kind), j.area, 0
	atomic.StoreUint64(&j.head.serial, j.frame.Serial)
}

// hasRoom makes room for so many bytes. It returns false if there never will be.
func (j *Journal) hasRoom(bytes int) bool {
	if len(j.bytes)+bytes <= cap(j.bytes) || j.server == nil {
		return true
	}
	j.flush()
	return bytes <= cap(j.bytes)
}

// note says that the bytes have grown by what came of the next item.
func (j *Journal) note() {
	j.items++
	j.head.note(j.items, len(j.bytes))
	if j.word == nil && j.server != nil && time.Since(j.sent) > whileTiny {
		j.flush()
	}
}

// Outcome notes what came of the next item.
func (j *Journal) Outcome(r Reply) {
	if j.kind == Values {
		j.turn()
	}
	const most = 16 // bytes around an outcome
	if !j.hasRoom(most + len(r.Data)) {
		j.sendAlone(r)
		return
	}
	j.bytes = wire.AppendOutcome(j.bytes, byte(r.Kind), r.Data, r.Data == nil)
	j.note()
}

// turn goes on with outcomes instead of values: not all items have a value.
func (j *Journal) turn() {
	if j.server == nil {
		j.spell()
		return
	}
	if j.items > 0 {
		j.flush()
	}
	j.kind = Outcomes
	if j.area != inJournal && j.frame.Data.Shared && j.area == uint32(j.frame.Data.Area) {
		j.bytes, j.area = j.server.journal(), inJournal // the arguments are still needed
	}
	j.start()
}

// spell makes outcomes of the values that are noted.
func (j *Journal) spell() {
	noted, size := j.bytes, 0
	if j.items > 0 {
		size = len(noted) / j.items
	}
	j.kind, j.bytes = Outcomes, nil
	for ; len(noted) > 0; noted = noted[size:] {
		j.bytes = wire.AppendOutcome(j.bytes, byte(Returned), noted[:size], false)
	}
}

// sendAlone sends what came of the next item, for which the journal is too small.
func (j *Journal) sendAlone(r Reply) {
	j.items++
	a := j.reply()
	a.More, a.Data = true, wire.Data{Bytes: wire.AppendOutcome(nil, byte(r.Kind), r.Data, r.Data == nil)}
	j.send(a)
}

// flush sends what is noted, and begins again.
func (j *Journal) flush() {
	a := j.reply()
	a.More, a.Data = true, wire.Data{Bytes: j.bytes}
	j.send(a)
}

func (j *Journal) send(a wire.Reply) {
	j.server.add(a.Append)
	j.server.send(false) // it is written when this returns: what was noted is not needed
	j.sent = time.Now()
	j.start()
}

// reply returns what is noted, without its data.
func (j *Journal) reply() wire.Reply {
	a := j.frame
	a.Data = wire.Data{}
	a.Kind, a.From, a.Items = byte(j.kind), uint32(j.first), uint32(j.items)
	return a
}

// journal returns the memory of the journal behind its head.
func (s *server) journal() []byte {
	if s.shared == nil {
		if s.ownJournal == nil {
			s.ownJournal = make([]byte, 60<<10)
		}
		return s.ownJournal[:0]
	}
	return s.shared.Journal[headSize:headSize]
}

// newJournal opens the journal of a chunk that has come. With inPlace, values are noted where
// the arguments are.
func (s *server) newJournal(m *wire.Request, inPlace bool) *Journal {
	s.write() // the reply of the chunk before may wait to be, and is noted until now
	j := &Journal{n: int(m.Items), server: s, sent: time.Now(), frame: wire.Reply{Slot: m.Slot, Serial: m.Serial, Data: m.Data}}
	j.head = &j.own
	if s.shared == nil {
		j.open(s.journal(), inJournal)
		return j
	}
	j.word, j.head = &s.shared.Ranges[m.Slot], headOf(s.shared)
	switch data, ok := lent(s.shared, m.Data); {
	case !m.Data.Shared || !ok:
		j.open(s.journal(), inJournal)
	case inPlace:
		j.open(data, uint32(m.Data.Area))
	default:
		j.openLane()
	}
	return j
}

// openLane opens the journal in an area, if one is free.
func (j *Journal) openLane() {
	shared := j.server.shared
	for area := firstLane; area < firstLane+proc.Lanes; area++ {
		if lend(shared, area, 0) {
			j.open(shared.Areas[area], uint32(area))
			return
		}
	}
	j.open(j.server.journal(), inJournal)
}

// close returns the last reply of the chunk.
func (j *Journal) close() wire.Reply {
	a := j.reply()
	switch isLane := j.area != inJournal; {
	case isLane && j.items > 0:
		a.Data = wire.Data{Shared: true, Area: uint64(j.area), Len: uint64(len(j.bytes))}
	case isLane && !(j.frame.Data.Shared && j.area == uint32(j.frame.Data.Area)):
		giveBack(j.server.shared, int(j.area))
		a.Data.Bytes = []byte{}
	default:
		a.Data.Bytes = j.bytes
	}
	return a // it can be salvaged until the next chunk begins
}

// salvage returns what a worker that has died has noted of a chunk, and the pipe has
// not brought.
func (pr *process) salvage(j *job) (m wire.Reply, data []byte, ok bool) {
	shared := pr.sys.Shared
	if shared == nil || !j.isChunk() {
		return m, nil, false
	}
	head := headOf(shared)
	items, bytes := notedOf(head.noted)
	if head.serial != j.serial || int(head.from) != j.known || items == 0 || j.known+items > j.items() || head.kind > uint32(Outcomes) {
		return m, nil, false
	}
	memory := shared.Journal[headSize:]
	if head.area != inJournal {
		if int(head.area) >= len(shared.Areas) {
			return m, nil, false
		}
		memory = shared.Areas[head.area]
	}
	if bytes > len(memory) {
		return m, nil, false
	}
	return wire.Reply{Slot: uint32(j.slot), Serial: j.serial, Kind: byte(head.kind), More: true, From: head.from, Items: uint32(items)}, memory[:bytes], true
}
