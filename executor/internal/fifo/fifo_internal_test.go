package fifo

import (
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// model is a queue and what it should hold.
type model struct {
	queue  Queue[*int]
	values []*int
}

// aFew is how many values are added or taken at once: often a whole segment, or nearly.
var aFew = rapid.OneOf(rapid.IntRange(1, 600), rapid.IntRange(segmentSize-1, segmentSize+1))

// A queue is a slice to which values are added at the end, and from which they are taken at
// the front.
func TestQueueEqualsASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := new(model)
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				for range aFew.Draw(t, "n") {
					v := new(int)
					m.queue.Push(v)
					m.values = append(m.values, v)
				}
			},
			"pop":       m.pop,
			"take back": m.takeBack,
			"replace":   m.replace,
			"front": func(t *rapid.T) {
				n := rapid.IntRange(-1, len(m.values)+300).Draw(t, "n")
				want := m.values[:max(0, min(n, len(m.values)))]
				if got := slices.Collect(m.queue.Front(n)); !slices.Equal(got, want) {
					t.Fatalf("Front(%d) yielded %d values; want the first %d", n, len(got), len(want))
				}
			},
			"": m.check,
		})
	})
}

func (m *model) pop(t *rapid.T) {
	for range aFew.Draw(t, "n") {
		v := m.queue.Pop()
		if len(m.values) == 0 {
			if v != nil {
				t.Fatal("Pop of an empty queue returned something")
			}
			return
		}
		if v != m.values[0] {
			t.Fatalf("Pop returned the value at %d; want that at 0", slices.Index(m.values, v))
		}
		m.values = m.values[1:]
	}
}

func (m *model) takeBack(t *rapid.T) {
	for range aFew.Draw(t, "n") {
		if m.queue.TakeBack(new(int)) || m.queue.TakeBack(nil) {
			t.Fatal("TakeBack of a value that is not the last returned true")
		}
		last := len(m.values) - 1
		if last < 0 {
			return
		}
		if last > 0 && m.queue.TakeBack(m.values[last-1]) {
			t.Fatal("TakeBack of the last value but one returned true")
		}
		if !m.queue.TakeBack(m.values[last]) {
			t.Fatalf("TakeBack of the last of %d values returned false", len(m.values))
		}
		m.values = m.values[:last]
	}
}

func (m *model) replace(t *rapid.T) {
	if len(m.values) == 0 {
		t.Skip("nothing to replace")
	}
	v := new(int)
	i := rapid.IntRange(0, len(m.values)-1).Draw(t, "i")
	n := rapid.SampledFrom([]int{0, i, i + 1, len(m.values), len(m.values) + 300}).Draw(t, "n")
	if got, want := m.queue.Replace(m.values[i], v, n), i < n; got != want {
		t.Fatalf("Replace of the value at %d among the first %d = %v; want %v", i, n, got, want)
	}
	if i < n {
		m.values[i] = v
	}
}

// check checks what holds at any time.
func (m *model) check(t *rapid.T) {
	q := &m.queue
	if q.Len() != len(m.values) {
		t.Fatalf("Len = %d; want %d", q.Len(), len(m.values))
	}
	if got := slices.Collect(q.Front(q.Len())); !slices.Equal(got, m.values) {
		t.Fatalf("it holds other values than the %d that it should, or in another order", len(m.values))
	}
	segments, held := 0, 0
	var prev *segment[*int]
	for s := q.head; s != nil; prev, s = s, s.next {
		if s.prev != prev {
			t.Fatal("prev is not the segment before")
		}
		segments++
		n := held
		for _, v := range s.values {
			if v != nil {
				held++
			}
		}
		if held == n && q.len > 0 {
			t.Fatal("a segment is empty")
		}
	}
	if prev != q.tail {
		t.Fatal("tail is not the last segment")
	}
	if held != q.len {
		t.Fatalf("the segments hold %d values; want %d", held, q.len)
	}
	if most := q.len/segmentSize + 2; segments > most {
		t.Fatalf("%d segments for %d values; want at most %d", segments, q.len, most)
	}
	if s := q.spare; s != nil && *s != (segment[*int]{}) {
		t.Fatal("the spare segment holds something")
	}
}

// Front ends where its loop ends.
func TestFrontEndsEarly(t *testing.T) {
	var q Queue[int]
	for i := range 1000 {
		q.Push(i)
	}
	next := 0
	for v := range q.Front(1000) {
		if v != next {
			t.Fatalf("Front yielded %d; want %d", v, next)
		}
		if next++; next == 700 {
			break
		}
	}
	if next != 700 {
		t.Errorf("Front yielded %d values; want 700", next)
	}
}

// A queue that was long gives its memory back, and one through which values go, as many
// in as out, allocates nothing.
func TestAQueueThatWasLongGivesItsMemoryBack(t *testing.T) {
	var q Queue[int64]
	before := heap()
	for i := range int64(1_000_000) {
		q.Push(i)
	}
	if held := heap() - before; held < 8_000_000 {
		t.Errorf("a million integers take %d bytes; want 8 million or more", held)
	}
	for range 1_000_000 - segmentSize/2 {
		q.Pop()
	}
	if held := heap() - before; held > 100_000 {
		t.Errorf("the nearly empty queue holds %d bytes; want next to nothing", held)
	}
	for name, use := range map[string]func(i int64){
		"push and pop": func(i int64) { q.Push(i); q.Pop() },
		"push and take back": func(i int64) {
			for range segmentSize {
				q.Push(i)
			}
			for range segmentSize {
				q.TakeBack(i)
			}
		},
	} {
		n := testing.AllocsPerRun(10, func() {
			for i := range int64(10 * segmentSize) {
				use(i)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations; want 0", name, n)
		}
	}
	runtime.KeepAlive(&q)
}

// heap returns how many bytes are reachable.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
