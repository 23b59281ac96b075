package procpool

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gofutures/futures/executor/internal/wire"
)

// Task is what a Pool has of the one that submits a Request: it is asked once whether the
// request may be sent, is given what came of it, and is told when that is all.
//
// A request that was withdrawn, and one that Drain has returned, is none of the pool's
// business any more: its task is told nothing.
type Task interface {
	// MayStart reports whether the request may be sent to a worker. The lock of the pool
	// is held: MayStart returns at once, and calls no method of the pool.
	MayStart() bool

	// Keep keeps what came of n items from one on, or, with n 0, of a request that is no
	// chunk. Several workers may make items of one chunk, and so may Keep be called by
	// several goroutines at once. The data of the reply is used again when Keep has
	// returned. An error is that of the whole request.
	Keep(from, n int, r Reply) error

	// Lose keeps why nothing came of n items from one on: a *Death, ErrNotBegun, or the
	// error that was given to Drain. It is called as Keep is.
	Lose(from, n int, why error) error

	// End is called when something has come of each item, and no worker has anything of
	// the request any more, with the first error of Keep and Lose.
	End(err error)
}

// ErrNotBegun is why items are lost that have not begun when the request is interrupted.
var ErrNotBegun = fmt.Errorf("executor: it had not begun when the call was asked to stop")

// Function is what a Pool has to know of the function that a request calls.
type Function struct {
	Index uint32 // the same in parent and worker
	Size  int    // of each encoded argument, 0 if they differ
	Plain bool   // Keep runs no code of the user's
	Quick int    // if so: a reply of fewer bytes takes Keep little time
}

// Reply is what came of a request, or of items of one.
type Reply struct {
	Kind Kind
	Data []byte // nil for a nil slice
}

// Kind is what the data of a reply is.
type Kind byte

const (
	Lost     Kind = iota // nothing came
	Returned             // the value
	Failed               // an error
	Values               // of a chunk: what each item returned
	Outcomes             // of a chunk: a reply for each item, as wire.AppendOutcome has it
)

// MaxData is the number of bytes that the data of a request, or of a reply, has at most.
const MaxData = wire.MaxFrame - 1024

// Request is a call on its way to a worker: one, or a chunk of many. The exported fields
// are set before it is submitted.
type Request struct {
	Task         Task
	Function     *Function
	Items        int       // 0, or the number of items of a chunk
	StopsAtError bool      // the chunk: no item begins after one that failed
	Data         []byte    // the encoded argument, nil for a nil one; or the items of a chunk
	Deadline     time.Time // zero if there is none
	Kin          any       // of a chunk: the same for all chunks of one map

	left atomic.Int64 // items of which it is not known what came of them, and jobs that are not over

	// Guarded by Pool.mu.

	isWithdrawn bool   // it will never start
	isBegun     bool   // it cannot be withdrawn any more, though parts may be queued
	whole       job    // all of it, as long as it is one job
	parts       []*job // its jobs, when it was divided; none is over
	reason      error  // why it was asked to stop after it had started; nil if it was not
	stopAt      int    // parts from this item on are not needed; 0: all are
	err         error  // the first of Keep and Lose
}

// job is what is sent to a worker: a request, or some items of a chunk.
type job struct {
	*Request
	lo, hi   int           // the items
	known    int           // items from lo on of which it is known what came of them
	serial   uint64        // the number of the job in its pool
	order    uint64        // its place among those that wait: its first serial, or a later one
	attempts int           // how often it was lost with a worker
	worker   *worker       // that it was sent to, nil if it is not
	slot     int           // there
	grace    *time.Timer   // that ends its worker if it does not stop
	weight   time.Duration // that it is expected to take, while it is sent
	wasSent  bool          // it was, or nearly: it is not in the queue
	isAsked  bool          // it was asked to stop
	isOver   bool          // nothing will come of it any more
}

// isChunk reports whether the request is a chunk, and its jobs some items of it.
func (r *Request) isChunk() bool { return r.Items > 0 }

// wasSubmitted reports whether the scheduler has had the request.
func (r *Request) wasSubmitted() bool { return r.whole.serial > 0 }

// jobs returns the jobs that are not over.
func (r *Request) jobs() []*job {
	if r.parts == nil && !r.whole.isOver {
		return []*job{&r.whole}
	}
	return r.parts
}

// hasStarted reports whether a worker has started the request, or some of its items.
func (r *Request) hasStarted() bool { return r.isBegun || r.whole.hasStarted() }

func (j *job) hasStarted() bool {
	if j.worker == nil {
		return false
	}
	shared := j.worker.process.sys.Shared
	return shared == nil || shared.Slots[j.slot].Load() == startedWord(j.serial)
}

func (j *job) items() int { return j.hi - j.lo }

// drop says that a job is over.
func (j *job) drop() {
	j.isOver = true
	if j.grace != nil {
		j.grace.Stop()
	}
	j.parts = slices.DeleteFunc(j.parts, func(other *job) bool { return other == j })
}

// data returns the encoded argument of a job, or those of its items.
func (j *job) data() []byte {
	if j.items() >= j.Items {
		return j.Data
	}
	size := j.Function.Size
	from := cutItems(j.Data, j.lo, size)
	rest := cutItems(from, j.items(), size)
	return from[: len(from)-len(rest) : len(from)-len(rest)]
}

// cutItems takes the first n items off encoded ones.
func cutItems(data []byte, n, size int) []byte {
	if size > 0 {
		return data[n*size:]
	}
	for range n {
		_, data, _ = wire.CutItem(data, 0) // they are our own
	}
	return data
}

// Death is how a worker process has ended.
type Death struct {
	PID         int
	ExitCode    int       // -1 if a signal ended it, or nobody knows
	Signal      os.Signal // nil if none ended it
	Attempts    int       // how often what was lost with it was tried
	OutOfMemory bool      // it was over its MemoryLimit, or the system seems to have been out of memory
	Stderr      string    // the last lines that it printed there
	Reason      error     // why the pool has ended it, or the request; nil if it died by itself
}

func (d *Death) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "executor: worker process %d ", d.PID)
	switch {
	case d.Reason != nil:
		fmt.Fprintf(&b, "was ended: %s", strings.TrimPrefix(d.Reason.Error(), "executor: "))
	case d.Signal != nil:
		fmt.Fprintf(&b, "died of signal: %v", d.Signal)
	case d.ExitCode < 0:
		b.WriteString("died, nobody knows how")
	default:
		fmt.Fprintf(&b, "exited with code %d", d.ExitCode)
	}
	if d.OutOfMemory && d.Reason == nil {
		b.WriteString(", probably out of memory")
	}
	if d.Attempts > 1 {
		fmt.Fprintf(&b, " at attempt %d", d.Attempts)
	}
	if d.Stderr != "" {
		fmt.Fprintf(&b, "; its last lines:\n%s", d.Stderr)
	}
	return b.String()
}

// Unwrap returns the reason.
func (d *Death) Unwrap() error { return d.Reason }
