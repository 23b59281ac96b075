package executor

import (
	"context"
	"iter"
	"math"
)

// chunk is a call of a function for several items.
type chunk[In, Out any] struct {
	Future[[]outcome[Out]] // of as many as there are items, also if the call fails
	fn                     Func[In, Out]
	in                     []In
}

// outcome is what came of one item.
type outcome[Out any] struct {
	value Out
	err   error
}

func submitChunk[In, Out any](ctx context.Context, ex Executor, fn Func[In, Out], in []In) *Future[[]outcome[Out]] {
	k := &chunk[In, Out]{fn: fn, in: in}
	k.value = make([]outcome[Out], len(in))
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
			k.value[i].err = caught(recover())
			k.runFrom(ctx, i+1)
		}
	}()
	for ; i < len(k.in); i++ {
		k.value[i].value, k.value[i].err = k.fn(ctx, k.in[i])
	}
}

func (k *chunk[In, Out]) forget()      { k.fn, k.in = nil, nil }
func (k *chunk[In, Out]) name() string { return funcName(k.fn) }

// encode leaves out the items that cannot be encoded: they have failed already.
func (k *chunk[In, Out]) encode() (parcel, error) {
	p, err := encodeMany(k.fn, k.in, math.MaxInt, func(i int, err error) (goOn bool) {
		k.value[i].err = err
		return true
	})
	if err == nil && p.n == 0 {
		err = errNothingToDo
	}
	return p, err
}

func (k *chunk[In, Out]) complete(r result) {
	var sent []int
	for i := range k.value {
		if k.value[i].err == nil {
			sent = append(sent, i)
		}
	}
	out := make([]Out, len(sent))
	n, err := decodeMany(k.fn, r, out, func(i int, err error) { k.value[sent[i]].err = err })
	if err == nil && n < len(sent) {
		err = errMalformed(k.name())
	}
	if err != nil {
		k.call.fail(err)
		return
	}
	for i, value := range out {
		k.value[sent[i]].value = value
	}
}

// chunks returns the items of in, n together.
func chunks[In any](in iter.Seq[In], n int) iter.Seq[[]In] {
	return func(yield func([]In) bool) {
		var items []In
		for item := range in {
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
