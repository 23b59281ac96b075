package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/gofutures/futures/executor/internal/wire"
)

func TestLengthFieldHasExactLimits(t *testing.T) {
	head := func(length uint32, typ wire.Type) []byte {
		return append(binary.LittleEndian.AppendUint32(nil, length), byte(typ))
	}
	for _, row := range []struct {
		length uint32
		typ    wire.Type
		body   int // bytes that follow
		want   error
	}{
		{0, wire.RequestFrame, 0, wire.ErrProtocol},
		{0, wire.RequestFrame, 100, wire.ErrProtocol},
		{1, wire.RequestFrame, 0, nil},
		{2, wire.RequestFrame, 1, nil},
		{2, wire.RequestFrame, 0, io.ErrUnexpectedEOF},
		{wire.MaxFrame, wire.RequestFrame, 1000, io.ErrUnexpectedEOF},
		{wire.MaxFrame + 1, wire.RequestFrame, 1000, wire.ErrProtocol},
		{1<<31 - 1, wire.RequestFrame, 1000, wire.ErrProtocol},
		{1 << 31, wire.RequestFrame, 1000, wire.ErrProtocol},
		{1<<32 - 1, wire.RequestFrame, 1000, wire.ErrProtocol},
		{1, 0, 0, wire.ErrProtocol},
		{1, wire.ReplyFrame, 0, nil},
		{1, wire.PingFrame, 0, nil},
		{2, wire.PingFrame, 1, wire.ErrProtocol},
		{1, wire.AliveFrame, 0, nil},
		{2, wire.AliveFrame, 1, wire.ErrProtocol}, // it has no body
		{1, wire.AliveFrame + 1, 0, wire.ErrProtocol},
		{1, 255, 0, wire.ErrProtocol},
		{1, wire.StacksFrame, 0, nil},
		{2, wire.StacksFrame, 1, wire.ErrProtocol},
		{1, wire.EndFrame, 0, nil},
		{2, wire.EndFrame, 1, wire.ErrProtocol},
	} {
		r := wire.NewReader(bytes.NewReader(append(head(row.length, row.typ), make([]byte, row.body)...)))
		typ, body, err := r.Next()
		if !errors.Is(err, row.want) || (err == nil) != (row.want == nil) {
			t.Errorf("length %d, type %d, %d bytes: Next = %v; want %v", row.length, row.typ, row.body, err, row.want)
		}
		if err == nil && (typ != row.typ || len(body) != row.body) {
			t.Errorf("length %d, type %d: Next = type %d, %d bytes; want %d bytes", row.length, row.typ, typ, len(body), row.body)
		}
	}
}

// zeros is an endless source.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestFrameOfTheGreatestLengthIsRead(t *testing.T) {
	head := binary.LittleEndian.AppendUint32(nil, wire.MaxFrame)
	head = append(head, byte(wire.ReadyFrame))
	end := wire.AppendEmpty(nil, wire.EndFrame)
	r := wire.NewReader(io.MultiReader(bytes.NewReader(head), io.LimitReader(zeros{}, wire.MaxFrame-1), bytes.NewReader(end)))
	typ, body, err := r.Next()
	if typ != wire.ReadyFrame || len(body) != wire.MaxFrame-1 || err != nil {
		t.Errorf("Next = type %d, %d bytes, %v; want type %d, %d bytes", typ, len(body), err, wire.ReadyFrame, wire.MaxFrame-1)
	}
	if typ, body, err = r.Next(); typ != wire.EndFrame || len(body) != 0 || err != nil {
		t.Errorf("the next: type %d, %d bytes, %v; want type %d, nothing", typ, len(body), err, wire.EndFrame)
	}
}

func TestReaderTakesNoMemoryOnTheWordOfALength(t *testing.T) {
	head := append(binary.LittleEndian.AppendUint32(nil, wire.MaxFrame), byte(wire.RequestFrame))
	for _, came := range []int{0, 1, 1000, 64<<10 - 5, 64 << 10, 1 << 20, 10<<20 + 1} {
		data := append(slices.Clip(head), make([]byte, came)...)
		limit := uint64(4*came + 4*64<<10) // all that was ever taken, also what is garbage again
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := wire.NewReader(bytes.NewReader(data)).Next()
		runtime.ReadMemStats(&after)
		if err != io.ErrUnexpectedEOF {
			t.Errorf("%d bytes of %d: Next = %v; want io.ErrUnexpectedEOF", came, wire.MaxFrame, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > limit {
			t.Errorf("%d bytes of %d: the Reader took %d bytes of memory; want at most %d", came, wire.MaxFrame, took, limit)
		}
	}
}

// small frames share their memory, so that reading one costs nearly nothing.
func TestSmallFramesShareMemory(t *testing.T) {
	const n = 10_000
	end := wire.AppendEmpty(nil, wire.EndFrame)
	r := wire.NewReader(bytes.NewReader(bytes.Repeat(end, 2*n)))
	if perFrame := testing.AllocsPerRun(n, func() {
		if _, _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}); perFrame > 0.1 {
		t.Errorf("%.2f allocations for each small frame; want fewer than 0.1", perFrame)
	}
}

// inPieces is a source that hands out its pieces one by one, and counts.
type inPieces struct {
	pieces [][]byte
	reads  int
}

func (s *inPieces) Read(p []byte) (int, error) {
	s.reads++
	if len(s.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.pieces[0])
	if s.pieces[0] = s.pieces[0][n:]; len(s.pieces[0]) == 0 {
		s.pieces = s.pieces[1:]
	}
	return n, nil
}

func TestFramesAreTheSameWhereverTheyAreSplit(t *testing.T) {
	data, want := stream()
	check := func(how string, src io.Reader) {
		t.Helper()
		got, err := read(wire.NewReader(src))
		if err != io.EOF || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v; want %v, EOF", how, got, err, want)
		}
	}
	check("whole", bytes.NewReader(data))
	check("byte by byte", iotest.OneByteReader(bytes.NewReader(data)))
	check("by halves", iotest.HalfReader(bytes.NewReader(data)))
	check("the end together with the last bytes", iotest.DataErrReader(bytes.NewReader(data)))
	for cut := range data {
		check("cut in two", &inPieces{pieces: [][]byte{data[:cut], data[cut:]}})
	}
	for i := range data {
		for j := i; j < len(data); j += 7 {
			check("cut in three", &inPieces{pieces: [][]byte{data[:i], data[i:j], data[j:]}})
		}
	}
}

// bodies returns frames around the sizes where a Reader gets new memory, with
// contents of their own, and their bytes.
func bodies(seed uint64) (data []byte, frames []frame) {
	random := rand.New(rand.NewPCG(seed, 1))
	const chunk = 64 << 10
	for _, size := range []int{0, 1, 100, chunk - 6, chunk - 5, chunk - 4, 0, chunk - 1, chunk, chunk + 1, 3, 2*chunk - 5, 2*chunk + 1, 5*chunk + 77, 10, chunk / 2, chunk / 2, 8} {
		body := make([]byte, size)
		for i := range body {
			body[i] = byte(random.Uint32())
		}
		frames = append(frames, frame{wire.ReadyFrame, body})
		data = (&wire.Ready{Error: body}).Append(data)
	}
	return data, frames
}

// randomPieces cuts data, mostly into small pieces.
func randomPieces(data []byte, random *rand.Rand) (pieces [][]byte) {
	for len(data) > 0 {
		n := min(1+random.IntN(1<<(1+random.IntN(18))), len(data))
		pieces = append(pieces, data[:n])
		data = data[n:]
	}
	return pieces
}

func TestLargeFramesAreTheSameWhereverTheyAreSplit(t *testing.T) {
	for seed := range uint64(20) {
		data, want := bodies(seed)
		src := &inPieces{pieces: randomPieces(data, rand.New(rand.NewPCG(seed, 2)))}
		got, err := read(wire.NewReader(src))
		if err != io.EOF || len(got) != len(want) {
			t.Fatalf("seed %d: %d frames, %v; want %d, EOF", seed, len(got), err, len(want))
		}
		for i, f := range got {
			if f.typ != want[i].typ || !bytes.Equal(f.body, want[i].body) {
				t.Fatalf("seed %d: frame %d is %v; want %v", seed, i, f, want[i])
			}
		}
	}
}

func TestBodyBelongsToTheCaller(t *testing.T) {
	for seed := range uint64(20) {
		data, want := bodies(seed)
		src := &inPieces{pieces: randomPieces(data, rand.New(rand.NewPCG(seed, 3)))}
		r := wire.NewReader(src)
		var got []frame
		for i := range want {
			typ, body, err := r.Next()
			if err != nil || !bytes.Equal(body, want[i].body) {
				t.Fatalf("seed %d: frame %d is %v, %v, after frames whose bodies were written to; want %v", seed, i, frame{typ, body}, err, want[i])
			}
			if cap(body) != len(body) {
				t.Fatalf("seed %d: the body of frame %d has a capacity of %d bytes and a length of %d; appending to it would write to the next", seed, i, cap(body), len(body))
			}
			for k := range body {
				body[k] ^= 0xa5 // the caller's own doing
			}
			got = append(got, frame{typ, body})
		}
		if _, _, err := r.Next(); err != io.EOF {
			t.Fatalf("seed %d: Next = %v; want EOF", seed, err)
		}
		for i, f := range got {
			for k := range f.body {
				if f.body[k] != want[i].body[k]^0xa5 {
					t.Fatalf("seed %d: byte %d of frame %d was written after it was handed out", seed, k, i)
				}
			}
		}
	}
}

// Reuse gives back what was handed out, and loses nothing of what was not.
func TestReuseKeepsWhatIsStillToCome(t *testing.T) {
	for seed := range uint64(12) {
		random := rand.New(rand.NewPCG(seed, 5))
		data, want := bodies(seed)
		more, wantMore := bodies(seed + 1000)
		data, want = append(data, more...), append(want, wantMore...)
		src := &inPieces{pieces: randomPieces(data, random)}
		r := wire.NewReader(src)
		var lent []frame // since Reuse
		for i := range want {
			typ, body, err := r.Next()
			if err != nil {
				t.Fatalf("seed %d: frame %d: %v", seed, i, err)
			}
			lent = append(lent, frame{typ, body})
			for k, f := range lent {
				if w := want[i+1-len(lent)+k]; f.typ != w.typ || !bytes.Equal(f.body, w.body) {
					t.Fatalf("seed %d: after frame %d, frame %d is %v; want %v", seed, i, i+1-len(lent)+k, f, w)
				}
			}
			if random.IntN(3) == 0 {
				buffered := r.Buffered()
				r.Reuse()
				lent = nil
				if now := r.Buffered(); now != buffered {
					t.Fatalf("seed %d: Buffered = %v after frame %d, and %v after Reuse", seed, buffered, i, now)
				}
			}
		}
		if _, _, err := r.Next(); err != io.EOF {
			t.Fatalf("seed %d: Next = %v; want EOF", seed, err)
		}
		r.Reuse()
		if _, _, err := r.Next(); err != io.EOF || !r.Buffered() {
			t.Fatalf("seed %d: after Reuse: Next = %v, Buffered = %v; want EOF, true", seed, err, r.Buffered())
		}
	}
}

// A reader that is told to reuse its memory takes no more of it.
func TestReuseTakesNoMoreMemory(t *testing.T) {
	const n = 2000
	one := (&wire.Ready{Error: make([]byte, 10_000)}).Append(nil)
	readers := make([]io.Reader, n)
	for i := range readers {
		readers[i] = bytes.NewReader(one)
	}
	r := wire.NewReader(io.MultiReader(readers...))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range n {
		if _, _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		r.Reuse()
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
		t.Errorf("%d frames of %d bytes took %d bytes of memory; want less than 1 MiB", n, len(one), took)
	}
}

func TestBufferedSaysWhetherNextReads(t *testing.T) {
	check := func(name string, data []byte, pieces [][]byte) {
		t.Helper()
		src := &inPieces{pieces: pieces}
		r := wire.NewReader(src)
		for i := 0; ; i++ {
			buffered, before := r.Buffered(), src.reads
			_, _, err := r.Next()
			if reads := src.reads - before; buffered != (reads == 0) {
				t.Fatalf("%s: Buffered = %v before frame %d of %x, and Next read %d times (%v)", name, buffered, i, data, reads, err)
			}
			if err != nil {
				break
			}
		}
		before := src.reads
		if _, _, err := r.Next(); !r.Buffered() || src.reads != before || err == nil {
			t.Fatalf("%s: after the end: Buffered = %v, Next = %v, which read %d times; want true, an error, 0", name, r.Buffered(), err, src.reads-before)
		}
	}
	data, _ := stream()
	for cut := range data {
		check("cut in two", data, [][]byte{data[:cut], data[cut:]})
		check("cut off", data, [][]byte{data[:cut]})
	}
	bad := append(wire.AppendEmpty(nil, wire.EndFrame), 0, 0, 0, 0, 0, 1, 2, 3)
	check("a bad length", bad, [][]byte{bad})
	for seed := range uint64(20) {
		data, _ := bodies(seed)
		check("large", data[:100], randomPieces(data, rand.New(rand.NewPCG(seed, 4))))
	}
}

func TestTruncationIsSeenAtEveryByte(t *testing.T) {
	data, frames := stream()
	boundaries := map[int]int{0: 0} // number of frames before it, by offset
	at := 0
	for i, f := range frames {
		at += 5 + len(f.body)
		boundaries[at] = i + 1
	}
	whole := 0
	for cut := range len(data) + 1 {
		n, isBoundary := boundaries[cut]
		want := io.ErrUnexpectedEOF
		if isBoundary {
			whole, want = n, io.EOF
		}
		r := wire.NewReader(bytes.NewReader(data[:cut]))
		got, err := read(r)
		if err != want || len(got) != whole || whole > 0 && !reflect.DeepEqual(got, frames[:whole]) {
			t.Errorf("cut off after %d bytes: %d frames, %v; want %d, %v", cut, len(got), err, whole, want)
		}
		if _, _, again := r.Next(); again != err {
			t.Errorf("cut off after %d bytes: Next = %v and then %v; want the same", cut, err, again)
		}
	}
}

// A failing source is not the end of it.
func TestErrorOfTheSourceIsHandedOnAndFinal(t *testing.T) {
	broken := errors.New("connection reset")
	data, frames := stream()
	for cut := range data {
		r := wire.NewReader(io.MultiReader(bytes.NewReader(data[:cut]), &failsOnce{err: broken}, bytes.NewReader(data[cut:])))
		got, err := read(r)
		if !errors.Is(err, broken) || len(got) > len(frames) {
			t.Fatalf("broken after %d bytes: %d frames, %v; want %v", cut, len(got), err, broken)
		}
		if _, _, again := r.Next(); again != err || !r.Buffered() {
			t.Fatalf("broken after %d bytes: Next = %v and then %v; want the same", cut, err, again)
		}
	}
}

type failsOnce struct{ err error }

func (f *failsOnce) Read([]byte) (int, error) {
	err := f.err
	f.err = io.EOF
	return 0, err
}

// Frames have no checksum, since a pipe flips no bits: this is about a
// peer whose memory is broken. Detected means an error of Next or of the parse
// function. Harmless means that what arrives is exactly what the flipped bytes
// say and what an honest peer could have written, see faithful; that the frames
// before are untouched; that a flip behind a frame's head changes this frame
// only; and that one in the data of a message changes this one bit and nothing
// else of it.
func TestFlippedBitIsDetectedOrHarmless(t *testing.T) {
	before := (&wire.Cancel{Serial: 1, Cause: "before"}).Append(nil)
	after := (&wire.Cancel{Serial: 2, Cause: "after"}).Append(nil)
	detected, harmless := 0, 0
	for _, m := range honest() {
		for bit := range 8 * len(m.bytes) {
			flipped := slices.Clone(m.bytes)
			flipped[bit/8] ^= 1 << (bit % 8)
			data := slices.Concat(before, flipped, after)
			messages, err := faithful(t, data)
			if len(messages) == 0 || !bytes.Equal(messages[0].body, before[5:]) {
				t.Fatalf("%s, bit %d flipped: the frame before it is gone", m.name, bit)
			}
			if bit < 8*5 {
				continue // the head: where frames end may be another place
			}
			if last := messages[len(messages)-1]; err != io.EOF || !bytes.Equal(last.body, after[5:]) {
				t.Fatalf("%s, bit %d flipped: the frame after it is %v, %v; want it untouched", m.name, bit, last, err)
			}
			if len(messages) == 2 {
				detected++
			} else {
				harmless++
			}
		}
	}
	if detected == 0 || harmless == 0 {
		t.Errorf("%d flips were detected and %d harmless; want some of both", detected, harmless)
	}

	call := wire.Request{Serial: 9, Slot: 1, Func: 4, Data: wire.Data{Bytes: []byte("argument")}}
	whole := call.Append(nil)
	for bit := range 8 * len(call.Data.Bytes) {
		flipped := slices.Clone(whole)
		flipped[len(whole)-len(call.Data.Bytes)+bit/8] ^= 1 << (bit % 8)
		want := call
		want.Data.Bytes = slices.Clone(call.Data.Bytes)
		want.Data.Bytes[bit/8] ^= 1 << (bit % 8)
		if got, err := wire.ParseRequest(flipped[5:]); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("bit %d of the data flipped: %+v, %v; want %+v", bit, got, err, want)
		}
	}
}
