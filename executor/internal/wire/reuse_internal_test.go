package wire

import (
	"bytes"
	"testing"
)

// What was read stays, a chunk that is mostly used is used again from its beginning,
// and a long one is not kept.
func TestReuseKeepsWhatWasReadAndNoMoreMemoryThanItNeeds(t *testing.T) {
	for _, row := range []struct {
		name          string
		all, from, to int // buf is all[from:to], free what is behind it
		isMoved       bool
		isDropped     bool
	}{
		{"mostly free", chunkLen, 5, chunkLen/2 - 1, false, false},
		{"half free", chunkLen, 5, chunkLen / 2, false, false},
		{"less than half free", chunkLen, 5, chunkLen/2 + 1, true, false},
		{"nothing free", chunkLen, chunkLen - 7, chunkLen, true, false},
		{"nothing in it", chunkLen, chunkLen, chunkLen, true, false},
		{"as long as a chunk is kept", mostLen, mostLen, mostLen, true, false},
		{"longer", mostLen + 1, mostLen + 1, mostLen + 1, false, true},
		{"longer, with a rest", mostLen + 1, mostLen - 6, mostLen + 1, false, false},
	} {
		all := make([]byte, row.all)
		for i := range all {
			all[i] = byte(i % 251)
		}
		r := &Reader{all: all, buf: all[row.from:row.to], free: all[row.to:]}
		want := bytes.Clone(r.buf)
		r.Reuse()
		if !bytes.Equal(r.buf, want) {
			t.Errorf("%s: what was read has changed", row.name)
		}
		free := row.all - row.to
		if row.isMoved {
			free = row.all - len(want)
		}
		if isDropped := r.all == nil; isDropped != row.isDropped || len(r.free) != free {
			t.Errorf("%s: the chunk is dropped: %t, and has room for %d; want %t and %d", row.name, isDropped, len(r.free), row.isDropped, free)
		}
	}
}
