package executor_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/internal/wire"
)

func init() { executor.Register(futHostile) }

// hostile is what a worker does that is out of its mind.
type hostile struct {
	Frames []byte // written to its parent
	Noise  int    // bytes without a line's end, written to stdout
	Stay   bool   // it does not return
}

// resultsPipe is held, because an os.File that nobody holds is closed.
var resultsPipe *os.File

func futHostile(_ context.Context, h hostile) (int, error) {
	if h.Noise > 0 {
		_, err := os.Stdout.Write(make([]byte, h.Noise))
		return 5, err
	}
	resultsPipe = os.NewFile(4, "results")
	if _, err := resultsPipe.Write(h.Frames); err != nil {
		return 0, err
	}
	if h.Stay {
		select {}
	}
	return 5, nil
}

// A worker that sends what it cannot mean is ended; its call fails, and no
// other.
func TestWorkerThatSendsNonsenseIsReplaced(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the worker does not know the number of its pipe")
	}
	reply := func(m wire.Reply) []byte { return m.Append(nil) }
	for name, frames := range map[string][]byte{
		"unknown type":          {1, 0, 0, 0, 99},
		"type of a parent":      {1, 0, 0, 0, byte(wire.RequestFrame)},
		"second hello":          {1, 0, 0, 0, byte(wire.HelloFrame)},
		"second ready":          {1, 0, 0, 0, byte(wire.ReadyFrame)},
		"length 0":              {0, 0, 0, 0, byte(wire.ReplyFrame)},
		"length 4 GiB":          {0xff, 0xff, 0xff, 0xff, byte(wire.ReplyFrame)},
		"length over the limit": append(binary.LittleEndian.AppendUint32(nil, wire.MaxFrame+1), byte(wire.ReplyFrame)),
		"half a result":         {3, 0, 0, 0, byte(wire.ReplyFrame), 0x80, 0x80},
		"unknown call":          reply(wire.Reply{Serial: 1 << 40, Slot: 1, Kind: 1}),
		"unknown slot":          reply(wire.Reply{Serial: 1, Slot: 9999, Kind: 1}),
		"call of before":        reply(wire.Reply{Serial: 1, Slot: 1, Kind: 1, Data: wire.Data{Bytes: make([]byte, 8)}}),
		"outside of shared":     append(reply(wire.Reply{Serial: 2, Slot: 2, Kind: 1, Data: wire.Data{Shared: true, Area: 1 << 40, Len: 8}}), 1, 0, 0, 0, 99),
		"overflow of shared":    append(reply(wire.Reply{Serial: 2, Slot: 2, Kind: 1, Data: wire.Data{Shared: true, Area: 1, Len: math.MaxUint64 - 3}}), 1, 0, 0, 0, 99),
		"text":                  []byte("Hello, world\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
			dir := t.TempDir()
			if n, err := endOf(t, executor.Submit(t.Context(), ex, thrice, 1)); n != 3 || err != nil {
				t.Fatalf("the first call = %d, %v; want 3", n, err)
			}
			bad := executor.Submit(t.Context(), ex, futHostile, hostile{Frames: frames, Stay: true})
			other := do(ex, deed{Verb: "hold", Log: dir + "/log", ID: 1, N: 4, Path: dir + "/gate"})
			awaitStart(t, dir+"/log", 1)
			n, err := endOf(t, bad)
			if err == nil {
				t.Errorf("the call of a worker that sends %v = %d, nil; want an error", frames, n)
			}
			waitUntil(t, "the worker is replaced", func() bool { return ex.Stats().Restarts == 1 })
			touch(t, dir+"/gate")
			if a := mustTell(t, other); a.N != 4 {
				t.Errorf("the call of another worker = %+v; want 4", a)
			}
			for i := range 20 {
				if n, err := endOf(t, executor.Submit(t.Context(), ex, thrice, i)); n != 3*i || err != nil {
					t.Errorf("call %d afterwards = %d, %v; want %d", i, n, err, 3*i)
				}
			}
		})
	}
}

// A result that comes twice is no result of another call.
func TestResultThatComesTwiceIsTakenOnce(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the worker does not know the number of its pipe")
	}
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	early := wire.Reply{Serial: 1, Slot: 1, Kind: 1, Data: wire.Data{Bytes: binary.NativeEndian.AppendUint64(nil, 77)}}
	f := executor.Submit(t.Context(), ex, futHostile, hostile{Frames: early.Append(nil)})
	var calls atomic.Int64
	f.OnDone(func(*executor.Future[int]) { calls.Add(1) })
	if n, err := endOf(t, f); n != 77 && n != 5 && err == nil {
		t.Errorf("a call with two results = %d, %v; want one of the two, 77 or 5, or an error", n, err)
	}
	for i := range 50 {
		n, err := endOf(t, executor.Submit(t.Context(), ex, thrice, i))
		if died := new(executor.WorkerDiedError); !(n == 3*i && err == nil) && !errors.As(err, &died) {
			t.Errorf("call %d afterwards = %d, %v; want %d, or that it died with the worker that sends results twice", i, n, err, 3*i)
		}
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("the callback was called %d times; want once", n)
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
	wantIdle(t, ex)
}

// What a worker prints, in whatever amount, does no harm.
func TestNoiseOfAWorkerDoesNoHarm(t *testing.T) {
	var w countingWriter
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, Stdout: &w})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const noise = 64 << 20
	if n, err := endOf(t, executor.Submit(t.Context(), ex, futHostile, hostile{Noise: noise})); n != 5 || err != nil {
		t.Errorf("a call that prints 64 MiB without a line's end = %d, %v; want 5", n, err)
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > noise/2 {
		t.Errorf("the heap has grown by %d bytes while a worker printed %d; want a bounded amount", grown, noise)
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
	if got := w.n.Load(); got != noise && got != noise+1 { // the end of the line is added
		t.Errorf("%d bytes of %d that a worker printed have arrived", got, noise)
	}
}

type countingWriter struct{ n atomic.Int64 }

func (w *countingWriter) Write(p []byte) (int, error) { w.n.Add(int64(len(p))); return len(p), nil }
