package pool

import (
	"errors"
	"fmt"
)

// Option is an option of [Map], [MapAsync], [Imap] and [ImapUnordered].
type Option func(*options)

type options struct {
	chunk    int // 0: not given
	buffer   int
	collects bool
	err      error
}

// ChunkSize makes calls of n items each: chunksize. The default of [Imap] is 1.
// That of [Map] is a quarter of a worker's share on processes, as in Python. On
// goroutines, its chunks get shorter as less is left, so that all workers end
// together whatever the items cost.
func ChunkSize(n int) Option {
	return func(o *options) { o.chunk = o.positive("ChunkSize", n) }
}

// Buffer lets [Imap] be n items ahead of what was taken, at least one chunk:
// imap's buffersize. The default is twice the pool's Workers; math.MaxInt is no limit.
// Calls that are submitted meanwhile start behind those n items.
// Map has all items at hand and takes no Buffer.
func Buffer(n int) Option {
	return func(o *options) { o.buffer = o.positive("Buffer", n) }
}

// CollectErrors makes [Map] go on after an item that fails. Its error is then
// [executor.ItemErrors], with each failed item's, and the results of the others are
// returned beside it. Imap has an error for each item by itself and takes no
// CollectErrors.
func CollectErrors() Option {
	return func(o *options) { o.collects = true }
}

func (o *options) positive(name string, n int) int {
	if n < 1 && o.err == nil {
		o.err = fmt.Errorf("pool: %s(%d): it must be at least 1", name, n)
	}
	return n
}

func newOptions(opts []Option) options {
	if len(opts) == 0 {
		return options{} // without an object
	}
	var o options
	for _, opt := range opts {
		if opt == nil {
			o.err = errors.New("pool: nil Option")
			continue
		}
		opt(&o)
	}
	return o
}

// forMap returns what is wrong with options of Map.
func (o *options) forMap() error {
	if o.err == nil && o.buffer > 0 {
		return errors.New("pool: Map: Buffer is for Imap")
	}
	return o.err
}

// forImap returns what is wrong with options of Imap.
func (o *options) forImap() error {
	if o.err == nil && o.collects {
		return errors.New("pool: Imap: CollectErrors is for Map; here each item has its own error")
	}
	return o.err
}
