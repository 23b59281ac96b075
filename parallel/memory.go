package parallel

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/gofutures/futures/parallel/internal/disk"
)

// Memory keeps the results of functions on disk, so that a call with an argument
// that was there before is answered from there: joblib.Memory. [Cache] makes a
// function one that has a memory. The zero value keeps nothing. The fields are set
// before the first use and not changed afterwards, and it must not be copied.
//
//	var memory = parallel.Memory{Dir: "cache", MaxBytes: 10 << 30}
//	var features = parallel.Cache(&memory, "features", "v3", computeFeatures)
//
// Many goroutines and processes may use one folder at once. A result that is whole
// is kept, and anything else is as if it had never been: an entry that is damaged, is
// not readable, or comes from another version of this module is computed again. What
// goes wrong with the folder, a full disk for instance, costs no call its result; it
// is logged with [slog], once for each thing, and [Memory.Check] returns it. A file that
// is no regular one, a pipe for instance, is an entry that is damaged.
//
// A result is there for all as soon as its call returns, also if the process ends
// then. It is safe from a failure of power some milliseconds later; Sync waits for
// that.
//
// The folder belongs to one user, who is the only one to write to it: Memory makes
// it with mode 0700, and files with 0600. It does not use a folder that is somebody
// else's, that others can write to (as one that was made with a umask of 002 is), or that
// its owner cannot read; Check says so.
type Memory struct {
	// Dir is the folder: location. It is made if it is not there. "" keeps
	// nothing: the functions are called as if there were no Memory.
	Dir string

	// ExpiresAfter is how old a result may be; 0 is no limit: expires_after. One
	// that is older is computed again, and so is one from the future, which there is
	// when a clock was set back.
	ExpiresAfter time.Duration

	// Validate says whether a result may be used, when it is about to be; nil is yes:
	// cache_validation_callback. One that may not is computed again. It may be called by
	// many goroutines at once.
	Validate func(MemoryEntry) bool

	// MaxBytes, MaxItems and MaxAge limit what is kept, of all functions together; 0
	// is no limit: reduce_size, without having to call it. Over a limit, the
	// results that were not used for longest are removed, a tenth more than needed;
	// MaxAge is the time since a result was last used. It is seen to after results
	// are stored: for a while there may be a tenth more, or one result, and whoever
	// stores another then waits. Each process looks at what the others have stored when
	// it has stored a tenth of a limit itself, so that with n of them there may be 2n-1
	// tenths too much, or n results.
	MaxBytes int64
	MaxItems int
	MaxAge   time.Duration

	once  sync.Once // guards the making of the fields below
	wrong error     // with the exported fields
	store *disk.Store

	evicted tally

	mu      sync.Mutex // guards the fields below, and no wait
	owners  map[owner]*ownership
	flights map[disk.Key]*flight
	logged  map[string]map[string]bool // the places, by what went wrong there
	group   singleflight.Group
}

// MemoryEntry is what is known of a result that is kept.
type MemoryEntry struct {
	Name, Version string        // that Cache was given
	Stored        time.Time     // when it was
	Took          time.Duration // to compute it
	Size          int           // in bytes, of its encoding
}

// MemoryStats counts the calls of functions with a memory since they were wrapped, in
// this process and, on Linux, in the worker processes that it has started, and theirs. A
// call is one of Hits, Misses and Shared, unless its ctx ended first.
type MemoryStats struct {
	Hits    int64         // were answered from disk
	Misses  int64         // called the function
	Shared  int64         // waited for the same call of another goroutine
	Unkept  int64         // results that could not be kept
	Damaged int64         // entries that could not be used
	Evicted int64         // entries that were removed to keep the limits, of all functions
	Saved   time.Duration // by hits: what computing their results had taken
}

// open makes what the Memory works with and returns what is wrong with its fields.
func (m *Memory) open() error {
	m.once.Do(func() {
		if m.wrong = m.wrongField(); m.wrong != nil || m.Dir == "" {
			return
		}
		dir, err := filepath.Abs(m.Dir) // so that it stays where it is when the process goes elsewhere
		if err != nil {
			m.wrong = fmt.Errorf("parallel: Memory: %w", err)
			return
		}
		limits := disk.Limits{MaxBytes: m.MaxBytes, MaxItems: m.MaxItems, MaxAge: m.MaxAge}
		m.evicted = tallyOf(dir, owner{})
		m.store = disk.New(dir, limits, m.log, func(entries int64) { m.evicted.add(evicted, entries) })
		m.owners = make(map[owner]*ownership)
		m.flights = make(map[disk.Key]*flight)
		m.logged = make(map[string]map[string]bool)
	})
	return m.wrong
}

// wrongField returns what is wrong with the exported fields.
func (m *Memory) wrongField() error {
	switch {
	case m.ExpiresAfter < 0:
		return fmt.Errorf("parallel: Memory: ExpiresAfter is %v; it must be positive, or 0 for no limit", m.ExpiresAfter)
	case m.MaxBytes < 0:
		return fmt.Errorf("parallel: Memory: MaxBytes is %d; it must be positive, or 0 for no limit", m.MaxBytes)
	case m.MaxItems < 0:
		return fmt.Errorf("parallel: Memory: MaxItems is %d; it must be positive, or 0 for no limit", m.MaxItems)
	case m.MaxAge < 0:
		return fmt.Errorf("parallel: Memory: MaxAge is %v; it must be positive, or 0 for no limit", m.MaxAge)
	}
	return nil
}

// mostLogged is how many places one thing is logged for: a folder that somebody has
// damaged may have millions of entries.
const mostLogged = 100

// log tells of what went wrong, once for each thing and place.
func (m *Memory) log(what, path string, err error) {
	if m.isNews(what, path) {
		slog.Warn("parallel: Memory: "+what, "path", path, "err", err)
	}
}

// isNews reports whether that is to be logged, and notes that it was.
func (m *Memory) isNews(what, path string) bool {
	switch what {
	case "a result is not kept", "an entry over the limits cannot be removed":
		path = "" // for one reason, most likely: a full disk has many results
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	places := m.logged[what]
	if places == nil {
		places = make(map[string]bool)
		m.logged[what] = places
	}
	if places[path] || len(places) == mostLogged {
		return false
	}
	places[path] = true
	return true
}

// Check returns why results cannot be kept: what is wrong with the fields of m, or with
// its folder, which it makes if it is not there. Calls do not fail of that; they log it.
// A program that wants to know before it begins asks Check.
func (m *Memory) Check() error {
	if err := m.open(); err != nil || m.store == nil {
		return err
	}
	if err := m.store.Check(); err != nil {
		return fmt.Errorf("parallel: Memory: %w", err)
	}
	return nil
}

// Clear removes all results of all functions: Memory.clear. Other files in Dir stay
// where they are. A call that runs is not affected; its result is kept if it comes
// later.
func (m *Memory) Clear() error {
	if err := m.open(); err != nil || m.store == nil {
		return err
	}
	if err := m.store.Clear(""); err != nil {
		return fmt.Errorf("parallel: Memory: Clear: %w", err)
	}
	return nil
}

// Sync waits until the results of all calls that have returned are safe from a
// failure of power, and the limits are kept.
func (m *Memory) Sync() {
	if m.open() == nil && m.store != nil {
		m.store.Sync()
	}
}

// Stats counts the calls of all functions of the Memory. In a worker process it counts
// those that were made there.
func (m *Memory) Stats() MemoryStats {
	var sum MemoryStats
	if m.open() != nil || m.store == nil {
		return sum
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.owners {
		sum = sum.plus(o.stats())
	}
	sum.Evicted = m.evicted.sum(evicted)
	return sum
}

func (s MemoryStats) plus(t MemoryStats) MemoryStats {
	s.Hits += t.Hits
	s.Misses += t.Misses
	s.Shared += t.Shared
	s.Unkept += t.Unkept
	s.Damaged += t.Damaged
	s.Saved += t.Saved
	return s
}

// owner is what a function is known by: it has the results of that name and
// version.
type owner struct{ name, version string }

// ownership is that of a function.
type ownership struct {
	function any // pointer to the function value
	tally    tally
}

// own returns the ownership of a function by that name.
func (m *Memory) own(o owner, function any) *ownership {
	return &ownership{function, tallyOf(m.store.Dir(), o)}
}

func (o *ownership) count(what counter, n int64) { o.tally.add(what, n) }

func (o *ownership) stats() MemoryStats {
	return MemoryStats{
		Hits:    o.tally.sum(hits),
		Misses:  o.tally.sum(misses),
		Shared:  o.tally.sum(shared),
		Unkept:  o.tally.sum(unkept),
		Damaged: o.tally.sum(damaged),
		Saved:   time.Duration(o.tally.sum(saved)),
	}
}
