package executor

import (
	"context"
	"iter"
	"math"
	"sync"

	"github.com/gofutures/futures/executor/internal/items"
)

// chunk is a call of a function for several items.
type chunk[In, Out any] struct {
	Future[items.Outcomes[Out]] // of as many as there are items, also if the call fails
	fn                          Func[In, Out]
	in                          []In
	kin                         *int       // the same for all chunks of a map
	crossed                     []int      // the items that were encoded; nil: all
	mu                          sync.Mutex // guards value.Errs while the items are in other processes
}

func submitChunk[In, Out any](ctx context.Context, ex Executor, fn Func[In, Out], in []In, kin *int) *Future[items.Outcomes[Out]] {
	k := &chunk[In, Out]{fn: fn, in: in, kin: kin}
	k.value.Values = make([]Out, len(in))
	submit(ctx, ex, k, &k.call, false)
	return &k.Future
}

func (k *chunk[In, Out]) run(ctx context.Context) {
	defer k.forget()
	at := 0
	items.Each(func() { k.makeFrom(ctx, &at) }, func(recovered any) (goOn bool) {
		err := caught(recovered)
		arm(err)
		k.value.Fail(at, err)
		at++
		return true
	})
}

// makeFrom makes the items from *at on, which is the one that it has come to.
func (k *chunk[In, Out]) makeFrom(ctx context.Context, at *int) {
	fn, in, out := k.fn, k.in, k.value.Values
	for i := *at; i < len(in); i++ {
		*at = i
		var err error
		if out[i], err = fn(ctx, in[i]); err != nil {
			k.value.Fail(i, err)
		}
	}
	*at = len(in)
}

func (k *chunk[In, Out]) forget()      { k.fn, k.in = nil, nil }
func (k *chunk[In, Out]) name() string { return funcName(k.fn) }

// encode leaves out the items that cannot be encoded: they have failed already.
func (k *chunk[In, Out]) encode() (request, error) {
	p, err := encodeMany(k.fn, k.in, math.MaxInt, func(i int, err error) (goOn bool) {
		k.value.Fail(i, err)
		return true
	})
	p.kin = k.kin
	if k.value.Errs != nil {
		k.crossed = make([]int, 0, p.n)
		for i, err := range k.value.Errs {
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

func (k *chunk[In, Out]) complete(from, n int, r reply) error {
	if n == allItems {
		n = k.sent()
	}
	out := k.value.Values
	if k.crossed == nil {
		out = out[from : from+n]
	} else { // the items that were sent lie between others
		out = make([]Out, n)
	}
	made, err := decodeMany(k.fn, r, out, func(i int, err error) {
		arm(err)
		k.fail(from+i, err)
	})
	if k.crossed != nil {
		for i, value := range out[:made] {
			k.value.Values[k.crossed[from+i]] = value
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
	return len(k.value.Values)
}

// fail keeps the error of an item, by its number among those that were encoded.
// Several workers may have items of one chunk.
func (k *chunk[In, Out]) fail(i int, err error) {
	if k.crossed != nil {
		i = k.crossed[i]
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.value.Fail(i, err)
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
