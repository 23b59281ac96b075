package procpool

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// blockedWriter does not return from its first Write until it is let go.
type blockedWriter struct {
	gate chan struct{}
	bytes.Buffer
}

func (w *blockedWriter) Write(b []byte) (int, error) {
	<-w.gate
	return w.Buffer.Write(b)
}

func TestWriterThatIsStuckHoldsUpPrintersOnlyForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &blockedWriter{gate: make(chan struct{})}
		p, to := new(printer), &stream{to: w}
		line := []byte(strings.Repeat("x", backlog/4-1) + "\n")
		start := time.Now()
		for range 100 {
			p.print(to, line)
		}
		p.flush(nil)
		if took := time.Since(start); took > 2*patience {
			t.Errorf("100 prints to a writer that is stuck took %v; want at most %v", took, 2*patience)
		}
		close(w.gate)
		synctest.Wait()
		missing := 100*len(line) - strings.Count(w.String(), string(line))*len(line)
		note := fmt.Sprintf("executor: the writer was stuck; %d bytes that workers printed were dropped\n", missing)
		if missing == 0 || !strings.Contains(w.String(), note) {
			t.Errorf("%d bytes are missing, and the writer has %d bytes that do not contain %q", missing, w.Len(), note)
		}
		p.print(to, []byte("again\n"))
		p.flush(nil)
		if !strings.HasSuffix(w.String(), "again\n") {
			t.Errorf("a writer that was stuck has %q at its end; want %q", w.String()[w.Len()-20:], "again\n")
		}
	})
}

func TestFlushReturnsWhenAllIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w slowWriter
		p, to := new(printer), &stream{to: &w}
		for i := range 50 {
			p.print(to, fmt.Appendf(nil, "line %d\n", i))
		}
		p.flush(nil)
		if n := strings.Count(w.String(), "\n"); n != 50 {
			t.Errorf("flush returned after %d of 50 lines", n)
		}
	})
}

// slowWriter takes a while for each Write, less than the patience.
type slowWriter struct {
	mu sync.Mutex
	bytes.Buffer
}

func (w *slowWriter) Write(b []byte) (int, error) {
	if !w.mu.TryLock() {
		panic("two goroutines write")
	}
	defer w.mu.Unlock()
	time.Sleep(patience / 2)
	return w.Buffer.Write(b)
}

type badWriter struct{ writes int }

func (w *badWriter) Write([]byte) (int, error) {
	w.writes++
	if w.writes%2 == 0 {
		panic("bad")
	}
	return 0, errors.New("bad")
}

func TestWriterThatFailsIsGivenNoMore(t *testing.T) {
	for _, writes := range []int{0, 1} {
		bad, good := &badWriter{writes: writes}, new(bytes.Buffer)
		p, a, b := new(printer), &stream{to: bad}, &stream{to: good}
		for range 10 {
			p.print(a, []byte("a\n"))
			p.print(b, []byte("b\n"))
			p.flush(nil)
		}
		if bad.writes != writes+1 || good.String() != strings.Repeat("b\n", 10) {
			t.Errorf("the bad writer was called %d times, the other has %q; want once, and 10 lines", bad.writes-writes, good.String())
		}
	}
}

func TestTailHasTheBeginningOfACrashAndItsLastLines(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string // what last has
		not        string   // what it has not
	}{
		{"few lines", "one\ntwo\n", []string{"one", "two"}, "..."},
		{"many lines", strings.Repeat("line\n", 50) + "end\n", []string{"end"}, "..."},
		{"crash", "before\nfatal error: stack overflow\n" + strings.Repeat("\tframe\n", 200) + "the end\n", []string{"fatal error: stack overflow\n\tframe", "...", "the end"}, "before"},
		{"the last of two", "panic: first\n" + strings.Repeat("x\n", 100) + "panic: second\nshort\n", []string{"panic: second\nshort"}, "first"},
		{"no end", "no newline", []string{"no newline"}, "..."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			p := new(printer)
			l := lines{printer: p, to: &stream{to: &out}}
			l.copyFrom(iotest.OneByteReader(strings.NewReader(tt.text)))
			p.flush(nil)
			for _, want := range tt.want {
				if !strings.Contains(l.last(), want) {
					t.Errorf("last = %q; want it to have %q", l.last(), want)
				}
			}
			if strings.Contains(l.last(), tt.not) {
				t.Errorf("last = %q; want it without %q", l.last(), tt.not)
			}
			if want := strings.TrimSuffix(tt.text, "\n") + "\n"; out.String() != want {
				t.Errorf("the writer has %q; want %q", out.String(), want)
			}
		})
	}
}
