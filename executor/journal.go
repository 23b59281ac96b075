package executor

import (
	"fmt"
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
//     death costs one item. See [link.salvage].
//
// When the chunk is made, or the journal is full, what is noted goes through the
// pipe as a Result frame, and noting begins again. The journal is a part of the
// memory that all calls share, for a large chunk an area of its own; numbers whose
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

// notes are what a worker notes of the chunk that it makes. Without a worker, for
// [Invoke], they are kept in memory that grows.
type notes struct {
	own   journalHead    // where no memory is shared; the first field, so that 32 bits align it
	n     int            // items of the chunk
	word  *atomic.Uint64 // its range; nil: all items are the worker's
	head  *journalHead
	first int        // the first item that is noted
	items int        // that are noted since
	kind  resultKind // of what is noted: values, as long as no item has failed
	bytes []byte     // what is noted, in memory that is as long as its capacity
	area  uint32     // in which that is

	sent  time.Time   // when a frame went last, where no memory is shared
	work  *workshop   // nil for Invoke
	frame wire.Result // what is the same in all results of the chunk
}

// begin reports whether item i may be made, and marks that it has begun.
func (n *notes) begin(i int) bool {
	if n.word == nil {
		return i < n.n
	}
	for {
		old := n.word.Load()
		_, end := rangeOf(old)
		if i >= end {
			return false
		}
		if n.word.CompareAndSwap(old, rangeWord(i+1, end)) {
			return true
		}
	}
}

// open begins to note values in memory, the bytes of an area.
func (n *notes) open(memory []byte, area uint32) {
	n.bytes, n.area, n.kind = memory[:0], area, values
	n.start()
}

// start begins to note from the next item on.
func (n *notes) start() {
	n.first, n.items = n.first+n.items, 0
	n.bytes = n.bytes[:0]
	atomic.StoreUint64(&n.head.serial, 0) // it says nothing while it is written
	n.head.from, n.head.kind, n.head.area, n.head.noted = uint32(n.first), uint32(n.kind), n.area, 0
	atomic.StoreUint64(&n.head.serial, n.frame.Serial)
}

// hasRoom makes room for so many bytes. It returns false if there never will be.
func (n *notes) hasRoom(bytes int) bool {
	if len(n.bytes)+bytes <= cap(n.bytes) || n.work == nil {
		return true
	}
	n.flush()
	return bytes <= cap(n.bytes)
}

// note says that the bytes have grown by what came of the next item.
func (n *notes) note() {
	n.items++
	n.head.note(n.items, len(n.bytes))
	if n.word == nil && n.work != nil && time.Since(n.sent) > whileTiny {
		n.flush()
	}
}

// outcome notes what came of the next item.
func (n *notes) outcome(r result) {
	if n.kind == values {
		n.turn()
	}
	if len(r.data) > wire.MaxFrame-1024 {
		r = failure(fmt.Errorf("executor: a result has %d bytes; the limit is %d", len(r.data), wire.MaxFrame-1024), "")
	}
	const most = 16 // bytes around an outcome
	if !n.hasRoom(most + len(r.data)) {
		n.sendAlone(r)
		return
	}
	n.bytes = wire.AppendOutcome(n.bytes, byte(r.kind), r.data, r.data == nil)
	n.note()
}

// turn goes on with outcomes instead of values: not all items have a value.
func (n *notes) turn() {
	if n.work == nil {
		n.spell()
		return
	}
	if n.items > 0 {
		n.flush()
	}
	n.kind = outcomes
	if n.area != inJournal && n.frame.Data.Shared && n.area == uint32(n.frame.Data.Area) {
		n.bytes, n.area = n.work.journal(), inJournal // the arguments are still needed
	}
	n.start()
}

// spell makes outcomes of the values that are noted.
func (n *notes) spell() {
	noted, size := n.bytes, 0
	if n.items > 0 {
		size = len(noted) / n.items
	}
	n.kind, n.bytes = outcomes, nil
	for ; len(noted) > 0; noted = noted[size:] {
		n.bytes = wire.AppendOutcome(n.bytes, byte(returned), noted[:size], false)
	}
}

// sendAlone sends what came of the next item, for which the journal is too small.
func (n *notes) sendAlone(r result) {
	n.items++
	a := n.result()
	a.More, a.Data = true, wire.Data{Bytes: wire.AppendOutcome(nil, byte(r.kind), r.data, r.data == nil)}
	n.send(a)
}

// flush sends what is noted, and begins again.
func (n *notes) flush() {
	a := n.result()
	a.More, a.Data = true, wire.Data{Bytes: n.bytes}
	n.send(a)
}

func (n *notes) send(a wire.Result) {
	n.work.add(a.Append)
	n.work.send(false) // it is written when this returns: what was noted is not needed
	n.sent = time.Now()
	n.start()
}

// result returns what is noted, without its data.
func (n *notes) result() wire.Result {
	a := n.frame
	a.Data = wire.Data{}
	a.Kind, a.From, a.Items = byte(n.kind), uint32(n.first), uint32(n.items)
	return a
}

// journal returns the memory of the journal behind its head.
func (w *workshop) journal() []byte {
	if w.Shared == nil {
		if w.ownJournal == nil {
			w.ownJournal = make([]byte, 60<<10)
		}
		return w.ownJournal[:0]
	}
	return w.Shared.Journal[headSize:headSize]
}

// notesOf opens the notes of a chunk that has come.
func (w *workshop) notesOf(m *arrived, inPlace bool) *notes {
	w.write() // the result of the chunk before may wait to be, and is noted until now
	n := &notes{n: int(m.Items), work: w, sent: time.Now(), frame: wire.Result{Slot: m.Slot, Serial: m.Serial, Data: m.Data}}
	n.head = &n.own
	if w.Shared == nil {
		n.open(w.journal(), inJournal)
		return n
	}
	n.word, n.head = &w.Shared.Ranges[m.Slot], headOf(w.Shared)
	switch data, ok := lent(w.Shared, m.Data); {
	case !m.Data.Shared || !ok:
		n.open(w.journal(), inJournal)
	case inPlace:
		n.open(data, uint32(m.Data.Area))
	default:
		n.openLane()
	}
	return n
}

// openLane opens notes in an area, if one is free.
func (n *notes) openLane() {
	shared := n.work.Shared
	for area := firstLane; area < firstLane+proc.Lanes; area++ {
		if lend(shared, area, 0) {
			n.open(shared.Areas[area], uint32(area))
			return
		}
	}
	n.open(n.work.journal(), inJournal)
}

// close returns the last result of the chunk.
func (n *notes) close() wire.Result {
	a := n.result()
	switch isLane := n.area != inJournal; {
	case isLane && n.items > 0:
		a.Data = wire.Data{Shared: true, Area: uint64(n.area), Len: uint64(len(n.bytes))}
	case isLane && !(n.frame.Data.Shared && n.area == uint32(n.frame.Data.Area)):
		giveBack(n.work.Shared, int(n.area))
		a.Data.Bytes = []byte{}
	default:
		a.Data.Bytes = n.bytes
	}
	return a // it can be salvaged until the next chunk begins
}

// salvage returns what a worker that has died has noted of a chunk, and the pipe has
// not brought.
func (l *link) salvage(j *job) (m wire.Result, data []byte, ok bool) {
	shared := l.proc.Shared
	if shared == nil || !j.isChunk() {
		return m, nil, false
	}
	head := headOf(shared)
	items, bytes := notedOf(head.noted)
	if head.serial != j.serial || int(head.from) != j.known || items == 0 || j.known+items > j.items() || head.kind > uint32(outcomes) {
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
	return wire.Result{Slot: uint32(j.slot), Serial: j.serial, Kind: byte(head.kind), More: true, From: head.from, Items: uint32(items)}, memory[:bytes], true
}

// invoked returns the notes of a chunk that no worker makes.
func invoked(n int) *notes {
	v := &notes{n: n, kind: values}
	v.head = &v.own
	return v
}
