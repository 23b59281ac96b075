package parallel

import "sync/atomic"

// counter is one of the numbers of a [MemoryStats].
type counter int

const (
	hits counter = iota
	misses
	shared
	unkept
	damaged
	saved
	evicted
	counters
)

type counts [counters]atomic.Int64

// tally counts what a function's calls come to, or a Memory's limits.
//
// What happens in a worker process is counted there, and once more in memory that
// all processes of a program share, which is the first one's: it adds that to its own.
// Nothing has to be sent, so that a worker process may be killed at any time, and it
// costs one more addition. Counts that travel back with each result would reach the
// parent only if there is a result, and only by a change to the protocol of every
// executor; counts in a file of the folder would be those of all programs that use it,
// and somebody would have to remove it.
type tally struct {
	here   *counts
	above  *counts         // what worker processes count, in one of them; else nil
	below  *counts         // the same in the process that has started them; else nil
	before [counters]int64 // what was below when this tally was made
}

// tallyOf returns the tally of a function's results in a folder, or with the zero owner
// of the folder itself.
func tallyOf(dir string, o owner) tally {
	t := tally{here: new(counts)}
	all := programCounts(dir, o)
	if isWorkerProcess {
		t.above = all
		return t
	}
	t.below = all
	for c := range t.before {
		if all != nil {
			t.before[c] = all[c].Load()
		}
	}
	return t
}

func (t *tally) add(c counter, n int64) {
	t.here[c].Add(n)
	if t.above != nil {
		t.above[c].Add(n)
	}
}

func (t *tally) sum(c counter) int64 {
	n := t.here[c].Load()
	if t.below != nil {
		n += t.below[c].Load() - t.before[c]
	}
	return n
}
