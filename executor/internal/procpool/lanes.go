package procpool

import (
	"runtime"
	"sync"

	"github.com/gofutures/futures/executor/internal/proc"
	"github.com/gofutures/futures/executor/internal/wire"
)

// The words of a slot: what a worker and its parent know of the job there. Above them is
// the serial of the job.
const (
	wordSent    = 1 // the parent has sent it
	wordStarted = 2 // the worker has started it, and it is the worker's
	wordTaken   = 3 // the parent has taken it back, and it is the parent's
)

func sentWord(serial uint64) uint32    { return uint32(serial)<<2 | wordSent }
func startedWord(serial uint64) uint32 { return uint32(serial)<<2 | wordStarted }
func takenWord(serial uint64) uint32   { return uint32(serial)<<2 | wordTaken }

// slotPage is the page of the scheduler: each worker has its own.
type slotPage struct{}

func (slotPage) takeBack(j *job) bool {
	return j.worker.process.sys.Shared.Slots[j.slot].CompareAndSwap(sentWord(j.serial), takenWord(j.serial))
}

func (slotPage) begun(j *job) int {
	if !j.hasStarted() {
		return 0
	}
	return begunOf(&j.worker.process.sys.Shared.Ranges[j.slot])
}

func (slotPage) cut(j *job, at int) (from int) {
	if !j.hasStarted() {
		return j.items()
	}
	return cutRange(&j.worker.process.sys.Shared.Ranges[j.slot], at)
}

// The areas of the memory that a worker and its parent share. Behind them are
// lanes, for chunks.
const (
	argsArea = iota
	repliesArea
	firstLane
)

// From these lengths on, an argument or a reply goes through shared memory, and
// a chunk. A pipe is as good for less.
const (
	BigData  = 1 << 20
	bigChunk = 32 << 10
)

// lend takes an area for n bytes, unless it is too short or in use. The slots
// behind those of the jobs say that: their words are 1, and else 0.
func lend(s *proc.Shared, area, n int) bool {
	return s != nil && n <= len(s.Areas[area]) && s.Slots[aheadJobs+area].CompareAndSwap(0, 1)
}

// giveBack lets others have an area that was lent.
func giveBack(s *proc.Shared, area int) { s.Slots[aheadJobs+area].Store(0) }

// lent returns the bytes that are in an area, unless the other process cannot
// mean them.
func lent(s *proc.Shared, d wire.Data) (data []byte, ok bool) {
	if s == nil || d.Area >= uint64(len(s.Areas)) || d.Len > uint64(len(s.Areas[d.Area])) {
		return nil, false
	}
	return s.Areas[d.Area][:d.Len], true
}

// fill copies data to an area, with several goroutines if it is much: one core copies
// half as fast as the memory can. On two cores 64 MiB take 5.5 ms instead of 11.7.
func fill(area, data []byte) {
	const share = 4 << 20 // worth a goroutine
	var others sync.WaitGroup
	for n := min(runtime.GOMAXPROCS(0), len(data)/share); n > 1; n-- {
		part := len(data) / n
		to, from := area[:part], data[:part]
		others.Go(func() { copy(to, from) })
		area, data = area[part:], data[part:]
	}
	copy(area, data)
	others.Wait()
}
