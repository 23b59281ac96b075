package executor

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gofutures/futures/executor/internal/codec"
	"github.com/gofutures/futures/executor/internal/proc"
	"github.com/gofutures/futures/executor/internal/procpool"
	"github.com/gofutures/futures/executor/internal/wire"
)

func init() {
	Register(cutTexts)
	Register(cutBytes)
}

// cut says where a worker stops to write its result.
type cut struct {
	At      int    // so many bytes of its frame are written
	FromEnd bool   // so many are left out
	More    int    // bytes of another frame behind it, if it is written to the end
	File    string // has what a frame is to have as its data
}

const cutLen = 16 << 20

// cutTexts is killed while its worker writes the frame that has its result.
func cutTexts(_ context.Context, c cut) ([]string, error) {
	return nil, c.writeAndDie(func(*cutMemory) (here []byte, d wire.Data, err error) {
		f, err := os.Open(c.File)
		if err != nil {
			return nil, d, err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return nil, d, err
		}
		here, err = unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED) // what is not written costs nothing
		return here, d, err
	})
}

// cutBytes is killed while its worker writes the frame that says where in the
// shared memory its result is.
func cutBytes(_ context.Context, c cut) ([]byte, error) {
	return nil, c.writeAndDie(func(memory *cutMemory) (here []byte, d wire.Data, err error) {
		return nil, wire.Data{Shared: true, Area: 1, Len: cutLen}, memory.keepResult(cutBytesWhole())
	})
}

func cutTextsWhole() []string {
	const n = 64 << 10
	texts := make([]string, cutLen/n)
	for i := range texts {
		texts[i] = strings.Repeat(string(rune('a'+i%26)), n)
	}
	return texts
}

func cutBytesWhole() []byte {
	const block = 4 << 10
	b := make([]byte, 0, cutLen)
	for i := range cutLen / block {
		b = append(b, bytes.Repeat([]byte{byte(i) | 1}, block)...)
	}
	return b
}

// writeAndDie does what the worker does with a result, up to the cut. It returns
// if it cannot. The data of the result is what load returns.
func (c cut) writeAndDie(load func(*cutMemory) (here []byte, d wire.Data, err error)) error {
	const repliesFD = 4 // as package proc has it
	memory, err := openCutMemory()
	if err != nil {
		return err
	}
	m := wire.Reply{Kind: byte(procpool.Returned), Spent: time.Millisecond}
	if m.Slot, m.Serial, err = memory.current(); err != nil {
		return err
	}
	var data []byte
	if data, m.Data, err = load(memory); err != nil {
		return err
	}
	head := m.Append(nil)
	binary.LittleEndian.PutUint32(head, uint32(len(head)+len(data)-4)) // the length of a frame is that of what follows
	n := min(c.At, len(head)+len(data))
	if c.FromEnd {
		n = len(head) + len(data) - n
	}
	fd, err := syscall.Dup(repliesFD)
	if err != nil {
		return err
	}
	results := os.NewFile(uintptr(fd), "results")
	for _, part := range [][]byte{head[:min(n, len(head))], data[:max(0, n-len(head))], append(head, data[:min(c.More, len(data))]...)[:min(c.More, len(head)+len(data))]} {
		if _, err := results.Write(part); err != nil {
			return err
		}
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// cutMemory is the memory that this worker shares with its parent.
type cutMemory struct {
	own        *os.File // all memory of this process, by address
	start, end int64
}

func openCutMemory() (*cutMemory, error) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	m := &cutMemory{}
	for line := range strings.Lines(string(maps)) {
		var start, end int64
		if !strings.Contains(line, "memfd:futures") {
			continue
		}
		if _, err := fmt.Sscanf(line, "%x-%x", &start, &end); err != nil {
			return nil, err
		}
		if m.start == 0 {
			m.start = start
		}
		m.end = end
	}
	if m.start == 0 {
		return nil, errors.New("this worker shares no memory with its parent")
	}
	m.own, err = os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	return m, err
}

// current returns the call that runs, by its slot.
func (m *cutMemory) current() (slot uint32, serial uint64, err error) {
	const aheadJobs, started = 254, 2 // as package procpool has it
	words := make([]byte, 4*aheadJobs)
	if _, err := m.own.ReadAt(words, m.start); err != nil {
		return 0, 0, err
	}
	for i := range aheadJobs {
		word := binary.NativeEndian.Uint32(words[4*i:])
		if serial := uint64(word >> 2); word == uint32(serial)<<2|started {
			return uint32(i), serial, nil
		}
	}
	return 0, 0, errors.New("no slot says that its call has started")
}

// keepResult writes a result to the memory for big ones: the second of two equal
// areas between the slots and the lanes.
func (m *cutMemory) keepResult(b []byte) error {
	const head, lanes = 64 << 10, proc.Lanes << 20
	area := m.start + head + (m.end-m.start-head-lanes)/2
	if m.end-lanes-area < int64(len(b)) {
		return fmt.Errorf("the memory for results has %d bytes", m.end-lanes-area)
	}
	_, err := m.own.WriteAt(b, area)
	return err
}

// cuts returns all that are interesting for a result in a frame.
func cuts(r *rand.Rand, isLong bool) []cut {
	var list []cut
	step, anywhere := 5, 2
	if isLong {
		step, anywhere = 1, 100
	}
	for i := r.IntN(step); i < 24; i += step { // the head, and where the data begins
		list = append(list, cut{At: i})
	}
	for i := 1 + r.IntN(step); i <= 16; i += step {
		list = append(list, cut{At: i, FromEnd: true})
	}
	around := func(n int) {
		for at := n - 1; at <= n+1; at++ {
			list = append(list, cut{At: at})
		}
	}
	boundaries := func(size, from, to int) {
		for at := from; at <= to; at += size {
			around(at)
		}
	}
	const (
		page  = 4 << 10
		chunk = 64 << 10 // that the parent reads
		pipe  = 1 << 20  // that the system holds
	)
	around(page)
	around(chunk)
	around(pipe)
	if isLong {
		boundaries(page, 2*page, chunk)
		boundaries(page, cutLen-chunk, cutLen)
		boundaries(chunk, 2*chunk, 2*pipe)
		boundaries(pipe, 2*pipe, cutLen)
	}
	for range anywhere {
		list = append(list, cut{At: r.IntN(cutLen)})
	}
	// The whole, alone and with a part of the next.
	return append(list, cut{FromEnd: true}, cut{FromEnd: true, More: 3}, cut{FromEnd: true, More: 1000})
}

// A worker is killed while it writes a result of 16 MiB: a result that is cut
// is a death, one that is whole is a result. The workers are real ones, which
// write what a worker writes and stop there.
func TestResultCutAtEveryByte(t *testing.T) {
	needsProcesses(t)
	seed := uint64(0)
	if f := flag.Lookup("stress.seed"); f != nil { // of the other stress tests
		seed, _ = strconv.ParseUint(f.Value.String(), 10, 64)
	}
	if seed == 0 {
		seed = 1 + uint64(time.Now().UnixNano())%1_000_000_000
	}
	t.Logf("-stress.seed %d", seed)
	list := cuts(rand.New(rand.NewPCG(seed, 1)), os.Getenv("FUTURES_LONG") != "")

	ctx := t.Context()
	ex := &ProcessPoolExecutor{MaxWorkers: 2, Stdout: io.Discard, Stderr: io.Discard}
	defer ex.Close()
	begin := time.Now()
	texts, n := cutTextsWhole(), 0
	file := t.TempDir() + "/texts"
	types, err := codec.For[[]string]()
	if err != nil {
		t.Fatal(err)
	}
	data, err := encodeValue(types, texts)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range list {
		list[i].File = file
	}
	n += tryCuts(ctx, t, ex, cutTexts, list, func(v []string) bool { return v == nil }, func(v []string) bool { return slices.Equal(v, texts) })
	if strconv.IntSize == 64 { // else all results are in frames
		// The frame that says where in the shared memory a result is has few bytes.
		list = slices.DeleteFunc(list, func(c cut) bool { return c.At > 16 || !c.FromEnd && c.At > 14 })
		whole := cutBytesWhole()
		n += tryCuts(ctx, t, ex, cutBytes, list, func(v []byte) bool { return v == nil }, func(v []byte) bool { return bytes.Equal(v, whole) })
	}
	t.Logf("a result of 16 MiB, cut %d times: each one a WorkerDiedError, or the whole result if that was written; %.1f s", n, time.Since(begin).Seconds())
}

// tryCuts makes a call for each cut, two at a time, and returns how many of
// them left a worker that died.
func tryCuts[T any](ctx context.Context, t *testing.T, ex Executor, fn Func[cut, T], list []cut, isNone, isWhole func(T) bool) (died int) {
	t.Helper()
	i := 0
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	hangs := time.AfterFunc(time.Minute, cancel)
	wrong := 0
	for value, err := range Map(ctx, ex, fn, slices.Values(list), Buffer(2)) {
		hangs.Reset(time.Minute)
		if i == len(list) {
			t.Errorf("after all %d cuts: %v", i, err)
			break
		}
		c := list[i]
		i++
		death := new(WorkerDiedError)
		switch isAll := c.FromEnd && c.At == 0; {
		case isAll && (err != nil || !isWhole(value)):
			t.Errorf("%T, whole %+v: error %v, whole value %v; want the value", value, c, err, isWhole(value))
			wrong++
		case !isAll && (!errors.As(err, &death) || death.Signal != syscall.SIGKILL || !isNone(value)):
			t.Errorf("%T, cut at %+v: error %v, no value %v; want a WorkerDiedError with signal killed, and no value", value, c, err, isNone(value))
			wrong++
		case !isAll:
			died++
		}
		if wrong == 5 {
			t.Fatalf("%d of %d cuts went wrong; that is enough", wrong, i)
		}
	}
	if i != len(list) {
		t.Errorf("%d of %d cuts have a result; want all", i, len(list))
	}
	return died
}
