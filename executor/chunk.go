package executor

import (
	"context"
	"iter"
	"math"
	"sync"
)

// chunk is a call of a function for several items.
type chunk[In, Out any] struct {
	Future[chunkResults[Out]] // of as many as there are items, also if the call fails
	fn                        Func[In, Out]
	in                        []In
	kin                       *int       // the same for all chunks of a map
	crossed                   []int      // the items that were encoded; nil: all
	mu                        sync.Mutex // guards value.errs while the items are in other processes
}

// chunkResults are what came of the items of a chunk. That few fail spares memory for
// errors, which the garbage collector would look at.
type chunkResults[Out any] struct {
	values []Out
	errs   []error // nil if none has failed
}

// fail keeps the error of item i.
func (o *chunkResults[Out]) fail(i int, err error) {
	if o.errs == nil {
		o.errs = make([]error, len(o.values))
	}
	o.errs[i] = err
}

// err returns the error of item i, if it has failed.
func (o *chunkResults[Out]) err(i int) error {
	if o.errs == nil {
		return nil
	}
	return o.errs[i]
}

func submitChunk[In, Out any](ctx context.Context, ex Executor, fn Func[In, Out], in []In, kin *int) *Future[chunkResults[Out]] {
	k := &chunk[In, Out]{fn: fn, in: in, kin: kin}
	k.value.values = make([]Out, len(in))
	submit(ctx, ex, k, &k.call, false)
	return &k.Future
}

func (k *chunk[In, Out]) run(ctx context.Context) {
	defer k.forget()
	k.runFrom(ctx, 0)
}

// runFrom makes the calls from item i on. An item that panics or ends its
// goroutine has an outcome like any other: the deferred function goes on with
// the next.
func (k *chunk[In, Out]) runFrom(ctx context.Context, i int) {
	defer func() {
		if i < len(k.in) {
			k.value.fail(i, caught(recover()))
			k.runFrom(ctx, i+1)
		}
	}()
	for ; i < len(k.in); i++ {
		var err error
		if k.value.values[i], err = k.fn(ctx, k.in[i]); err != nil {
			k.value.fail(i, err)
		}
	}
}

func (k *chunk[In, Out]) forget()      { k.fn, k.in = nil, nil }
func (k *chunk[In, Out]) name() string { return funcName(k.fn) }

// encode leaves out the items that cannot be encoded: they have failed already.
func (k *chunk[In, Out]) encode() (parcel, error) {
	p, err := encodeMany(k.fn, k.in, math.MaxInt, func(i int, err error) (goOn bool) {
		k.value.fail(i, err)
		return true
	})
	p.kin = k.kin
	if k.value.errs != nil {
		k.crossed = make([]int, 0, p.n)
		for i, err := range k.value.errs {
			if err == nil {
				k.crossed = append(k.crossed, i)
			}
		}
	}
	if err == nil && p.n == 0 {
		err = errNothingToDo
	}
	return p, err
}

func (k *chunk[In, Out]) complete(from, n int, r result) error {
	if n == allItems {
		n = k.sent()
	}
	out := k.value.values
	if k.crossed == nil {
		out = out[from : from+n]
	} else { // the items that were sent lie between others
		out = make([]Out, n)
	}
	made, err := decodeMany(k.fn, r, out, func(i int, err error) { k.fail(from+i, err) })
	if k.crossed != nil {
		for i, value := range out[:made] {
			k.value.values[k.crossed[from+i]] = value
		}
	}
	if made == n {
		return nil
	}
	if err == nil {
		err = errMalformed(k.name())
	}
	return k.lose(from+made, n-made, err)
}

func (k *chunk[In, Out]) lose(from, n int, err error) error {
	for i := range n {
		k.fail(from+i, err)
	}
	return nil
}

// sent returns how many of the items were encoded.
func (k *chunk[In, Out]) sent() int {
	if k.crossed != nil {
		return len(k.crossed)
	}
	return len(k.value.values)
}

// fail keeps the error of an item, by its number among those that were encoded.
// Several workers may have items of one chunk.
func (k *chunk[In, Out]) fail(i int, err error) {
	if k.crossed != nil {
		i = k.crossed[i]
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.value.fail(i, err)
}

// chunks returns the items of in, n together.
func chunks[In any](in iter.Seq[In], n int) iter.Seq[[]In] {
	const most = 1024 // items that there is memory for before they have come
	return func(yield func([]In) bool) {
		var items []In
		for item := range in {
			if items == nil {
				items = make([]In, 0, min(n, most))
			}
			items = append(items, item)
			if len(items) == n {
				if !yield(items) {
					return
				}
				items = nil
			}
		}
		if len(items) > 0 {
			yield(items)
		}
	}
}
