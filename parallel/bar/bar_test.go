package bar

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/gofutures/futures/parallel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shown returns what a screen that understands \r has after out: its lines, of
// which the last is not ended.
func shown(out string) []string {
	var lines []string
	for line := range strings.SplitSeq(strings.ReplaceAll(out, "\r\n", "\n"), "\n") {
		var screen []rune
		for part := range strings.SplitSeq(line, "\r") {
			text := []rune(part)
			screen = append(text, screen[min(len(text), len(screen)):]...)
		}
		lines = append(lines, strings.TrimRight(string(screen), " "))
	}
	return lines
}

func check(t *testing.T, out *bytes.Buffer, want ...string) {
	t.Helper()
	got := shown(out.String())
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("shown:\n%q\nwant:\n%q", got, want)
	}
}

func TestReportShowsBarCountRateRemainingTimeAndFailedCalls(t *testing.T) {
	for _, c := range []struct {
		name  string
		stats parallel.Stats
		want  string
	}{
		{"beginning", parallel.Stats{Total: 40}, "   0% |                              |  shrink: 0/40"},
		{"middle", parallel.Stats{Done: 18, Failed: 1, Total: 40, Rate: 12.3, Remaining: 1800 * time.Millisecond}, "  45% |============>                 |  shrink: 18/40, 12/s, 2s left, 1 failed"},
		{"slow", parallel.Stats{Done: 1, Total: 2, Rate: 0.05, Remaining: 20 * time.Second}, "  50% |==============>               |  shrink: 1/2, 3.0/min, 20s left"},
		{"slower", parallel.Stats{Done: 1, Total: 2, Rate: 0.001, Remaining: 1000 * time.Second}, "  50% |==============>               |  shrink: 1/2, 3.6/h, 16m40s left"},
		{"end", parallel.Stats{Done: 40, Total: 40, Rate: 1.25}, " 100% |==============================|  shrink: 40/40, 1.2/s"},
		{"no total", parallel.Stats{Done: 7, Failed: 2, Rate: 3}, "|  shrink: 7, 3.0/s, 2 failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			b := &Bar{out: &out, label: "shrink"}
			b.Report(c.stats)
			check(t, &out, c.want)
		})
	}
}

func TestCountBecomesABarWhenTheTotalIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		b := &Bar{out: &out, label: "shrink"}
		for done := range 101 { // more than progressbar counts without a total
			b.Report(parallel.Stats{Done: done})
			time.Sleep(showEvery)
		}
		check(t, &out, "|  shrink: 100")
		b.Report(parallel.Stats{Done: 101, Total: 202})
		check(t, &out, "  50% |==============>               |  shrink: 101/202")
		b.Report(parallel.Stats{Done: 202, Total: 202})
		b.Close()
		check(t, &out, " 100% |==============================|  shrink: 202/202", "")
	})
}

func TestLineChangesAtMostTenTimesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		b := &Bar{out: &out, label: "shrink"}
		defer b.Close()
		b.Report(parallel.Stats{Total: 1000})
		begun := out.Len()
		for done := range 100 {
			b.Report(parallel.Stats{Done: done, Total: 1000})
		}
		if out.Len() != begun {
			t.Errorf("reports at the same moment have written %q; want nothing", out.String()[begun:])
		}
		time.Sleep(showEvery)
		b.Report(parallel.Stats{Done: 500, Total: 1000})
		check(t, &out, "  50% |==============>               |  shrink: 500/1000")
	})
}

func TestCloseInTheMiddleShowsTheLastReportAndEndsTheLineOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		b := &Bar{out: &out, label: "shrink"}
		b.Report(parallel.Stats{Total: 4})
		b.Report(parallel.Stats{Done: 3, Failed: 1, Total: 4}) // too early to be shown
		want := []string{"  75% |=====================>        |  shrink: 3/4, 1 failed", ""}
		for range 2 {
			if err := b.Close(); err != nil {
				t.Errorf("Close = %v, want nil", err)
			}
			check(t, &out, want...)
		}
		b.Report(parallel.Stats{Done: 4, Total: 4})
		check(t, &out, want...)
	})
}

func TestCloseWithoutAReportWritesNothing(t *testing.T) {
	var out bytes.Buffer
	b := &Bar{out: &out}
	b.Close()
	if out.Len() > 0 {
		t.Errorf("written: %q; want nothing", out.String())
	}
}

func TestRunWithoutCallsIsACountOfZero(t *testing.T) {
	var out bytes.Buffer
	b := &Bar{out: &out, label: "shrink"}
	_, err := parallel.Run(t.Context(), parallel.Jobs{Progress: b.Report}, func(func(parallel.Call[int]) bool) {})
	b.Close()
	if err != nil {
		t.Fatal(err)
	}
	check(t, &out, "|  shrink: 0", "")
}

func TestRunReportsToABarUntilItFails(t *testing.T) {
	var out bytes.Buffer
	b := &Bar{out: &out, label: "shrink"}
	wrong := errors.New("wrong")
	shrink := func(_ context.Context, n int) (int, error) {
		if n == 2 {
			return 0, wrong
		}
		return n, nil
	}
	calls := []parallel.Call[int]{parallel.Delayed(shrink, 1), parallel.Delayed(shrink, 2), parallel.Delayed(shrink, 3)}
	_, err := parallel.Parallel(parallel.WithConfig(t.Context(), parallel.Jobs{Progress: b.Report}), 1, calls...)
	b.Close()
	if !errors.Is(err, wrong) {
		t.Errorf("Parallel = %v, want %v", err, wrong)
	}
	lines := shown(out.String())
	if !strings.Contains(lines[0], "2/3") || !strings.HasSuffix(lines[0], "1 failed") || len(lines) != 2 {
		t.Errorf("shown %q; want a line with 2/3 and 1 failed, ended", lines)
	}
}

func TestNewLeavesAPipeItsDeadlines(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if err := w.SetDeadline(time.Time{}); err != nil {
		t.Skip("the pipes of this system have no deadlines:", err)
	}
	New(w, "shrink")
	if err := w.SetDeadline(time.Time{}); err != nil {
		t.Errorf("after New, SetDeadline = %v, want nil", err)
	}
}

func TestNothingIsWrittenWithoutATerminal(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a device, but no terminal
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	var buffer bytes.Buffer
	for _, w := range []io.Writer{file, null, &buffer, (*os.File)(nil), nil} {
		b := New(w, "shrink")
		if b.out != nil {
			t.Errorf("New(%T) writes; want silence", w)
		}
		b.Report(parallel.Stats{Total: 1})
		b.Close()
	}
	if info, err := file.Stat(); err != nil || info.Size() != 0 || buffer.Len() > 0 {
		t.Errorf("the file has %v bytes (%v), the buffer %d; want 0", info.Size(), err, buffer.Len())
	}
	var zero Bar
	zero.Report(parallel.Stats{Total: 1})
	zero.Close()
}
