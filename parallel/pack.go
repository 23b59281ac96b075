package parallel

import (
	"context"
	"slices"
	"unsafe"

	"github.com/gofutures/futures/executor"
)

// pack is calls of one function that go to another process together. It has their
// arguments only: the calls are garbage as soon as they are taken from the source.
// Kept, they were half of the work, for the garbage collector that has to look at
// each.
type pack[Out any] interface {
	len() int
	add(c Call[Out]) (isLike bool) // if it has the same function
	cut(n int) pack[Out]           // takes out the first n

	submit(ctx context.Context, ex executor.Executor) *executor.Future[Out]                     // the only one
	sendEach(ctx context.Context, ex executor.Executor, keep func(i int, value Out, err error)) // each with its outcome
	sendAll(ctx context.Context, ex executor.Executor) ([]Out, error)                           // all or nothing
}

type packed[In, Out any] struct {
	fn executor.Func[In, Out]
	in []In
}

// newPack returns a pack that has one argument, and room for more.
func newPack[In, Out any](fn executor.Func[In, Out], in In, room int) pack[Out] {
	room = min(room, max(1, mostRoom/max(1, int(unsafe.Sizeof(in)))))
	return &packed[In, Out]{fn, append(make([]In, 0, room), in)}
}

func (p *packed[In, Out]) len() int { return len(p.in) }

// add compares function values, not their code: closures of the same code are
// different functions.
func (p *packed[In, Out]) add(c Call[Out]) bool {
	fn := *(*unsafe.Pointer)(unsafe.Pointer(&p.fn))
	switch body := c.body.(type) {
	case small[In, Out]:
		if fn == c.fn {
			p.in = append(p.in, *(*In)(unsafe.Pointer(&c.arg)))
			return true
		}
	case *delayed[In, Out]:
		if fn == *(*unsafe.Pointer)(unsafe.Pointer(&body.fn)) {
			p.in = append(p.in, body.in)
			return true
		}
	}
	return false
}

func (p *packed[In, Out]) cut(n int) pack[Out] {
	first := &packed[In, Out]{p.fn, p.in[:n:n]}
	p.in = p.in[n:]
	return first
}

func (p *packed[In, Out]) submit(ctx context.Context, ex executor.Executor) *executor.Future[Out] {
	return executor.Submit(ctx, ex, p.fn, p.in[0])
}

func (p *packed[In, Out]) sendEach(ctx context.Context, ex executor.Executor, keep func(i int, value Out, err error)) {
	n, i := len(p.in), 0
	var last error
	for value, err := range executor.Map(ctx, ex, p.fn, slices.Values(p.in), executor.ChunkSize(n), executor.Buffer(n)) {
		keep(i, value, err)
		i, last = i+1, err
	}
	for ; i < n; i++ { // the chunk was turned away, or ended by ctx, as a whole
		var none Out
		keep(i, none, last)
	}
}

func (p *packed[In, Out]) sendAll(ctx context.Context, ex executor.Executor) ([]Out, error) {
	return executor.MapSlice(ctx, ex, p.fn, p.in, executor.ChunkSize(len(p.in)))
}

// load is calls that were taken from the source, to be cut into batches.
type load[Out any] interface {
	add(c Call[Out], want int) // of so many
	len() int
	take(first, n int) *batch[Out] // the first n, of which the first has that index
}

// mostRoom is how much memory there is for calls before they have come, in bytes.
const mostRoom = 8 << 20

// calls are a load that is made in this process.
type calls[Out any] []Call[Out]

func (l *calls[Out]) add(c Call[Out], want int) {
	if *l == nil {
		*l = make([]Call[Out], 0, min(want, mostRoom/int(unsafe.Sizeof(c))))
	}
	*l = append(*l, c)
}

func (l *calls[Out]) len() int { return len(*l) }

func (l *calls[Out]) take(first, n int) *batch[Out] {
	b := newBatch(first, (*l)[:n:n])
	if *l = (*l)[n:]; len(*l) == 0 {
		*l = nil
	}
	return b
}

// packs are a load for another process, in order.
type packs[Out any] struct {
	list []pack[Out]
	n    int
}

func (l *packs[Out]) add(c Call[Out], want int) {
	if last := len(l.list) - 1; last < 0 || !l.list[last].add(c) {
		l.list = append(l.list, c.pack(want-l.n))
	}
	l.n++
}

func (l *packs[Out]) len() int { return l.n }

func (l *packs[Out]) take(first, n int) *batch[Out] {
	b := &batch[Out]{first: first, n: n}
	l.n -= n
	for n > 0 {
		p := l.list[0]
		if p.len() > n {
			p = p.cut(n)
		} else {
			l.list[0] = nil
			l.list = l.list[1:]
		}
		b.packs = append(b.packs, p)
		n -= p.len()
	}
	return b
}
