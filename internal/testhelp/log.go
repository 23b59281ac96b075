package testhelp

import (
	"bytes"
	"log"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Log keeps what slog writes during a test.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// KeepLog makes a Log that keeps what slog writes from now on until the test ends.
func KeepLog(t *testing.T) *Log {
	before, out, flags := slog.Default(), log.Writer(), log.Flags()
	l := new(Log)
	slog.SetDefault(slog.New(slog.NewTextHandler(l, nil)))
	t.Cleanup(func() {
		slog.SetDefault(before)
		log.SetOutput(out) // SetDefault has led package log to l, and does not lead it back
		log.SetFlags(flags)
	})
	return l
}

func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// LostPanics returns the lines that tell of a panic whose call nobody has asked for.
func (l *Log) LostPanics() (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, "nobody has asked for its result") {
			lines = append(lines, line)
		}
	}
	return lines
}

// LostValues returns the values of those panics, sorted.
func (l *Log) LostValues() (values []string) {
	for _, line := range l.LostPanics() {
		_, rest, _ := strings.Cut(line, " panic=")
		value, _, _ := strings.Cut(rest, " stack=")
		values = append(values, strings.Trim(value, `"`))
	}
	slices.Sort(values)
	return values
}

// Collect waits until what is garbage now has been collected, and its cleanups have run.
func Collect(t *testing.T) {
	t.Helper()
	for range 3 { // a cleanup may make garbage
		gone := make(chan struct{})
		dropMarker(gone)
		WaitUntil(t, "a marker is collected", func() bool {
			runtime.GC()
			select {
			case <-gone:
				return true
			default:
				return false
			}
		})
	}
}

//go:noinline
func dropMarker(gone chan struct{}) {
	runtime.AddCleanup(new([64]byte), func(gone chan struct{}) { close(gone) }, gone)
}
