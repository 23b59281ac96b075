// Package bar shows on a terminal how far the calls of package parallel are.
//
//	b := bar.New(os.Stderr, "shrink")
//	defer b.Close()
//	sizes, err := parallel.Run(ctx, parallel.Jobs{N: -1, Progress: b.Report}, calls)
//
// It is one line, which looks like this:
//
//	45% |============>                 |  shrink: 18/40, 12/s, 2s left, 1 failed
//
// Where there is no terminal, nothing is written, so that a program need not ask.
package bar

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	// progressbar draws where it is called, on any io.Writer, without a goroutine;
	// github.com/vbauerster/mpb/v8 is made for many bars at once, and has goroutines
	// and a ticker that draw, for which a single bar would have to wait at its end.
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/gofutures/futures/parallel"
)

const (
	showEvery = 100 * time.Millisecond // often enough to live, seldom enough to cost nothing
	width     = 30                     // of the bar; progressbar makes it less on a narrow terminal
	around    = len(" 100% ||  ")      // what else is on the line beside bar and text
)

// Bar is a line on a terminal that says how far a run is: how many calls are done,
// of how many, how many a second, how long the others will take, and how many have
// failed. It is typically the Progress of a [parallel.Jobs], and closed when the run
// has returned.
//
// A Bar is for one run. Its methods are not for several goroutines at once, and
// need not be: that is how Progress is called. It starts no goroutine of its own, so
// the line stays as it is between two reports. Errors of the writer are ignored. The
// zero Bar writes nothing.
type Bar struct {
	out   io.Writer // nil: silent, or closed
	label string

	line    *progressbar.ProgressBar // nil: nothing is shown yet
	total   int                      // that line is for
	last    parallel.Stats           // that were reported
	isStale bool                     // line does not show last
	shown   time.Time                // when line was
}

// New returns a Bar that writes to w if w is a terminal: an [os.File] such as
// [os.Stderr], unless that is a pipe or a file. The label says what is done.
func New(w io.Writer, label string) *Bar {
	if isTerminal(w) {
		return &Bar{out: w, label: label}
	}
	return &Bar{}
}

// isTerminal asks without Fd, after which a pipe has no deadlines any more.
func isTerminal(w io.Writer) (is bool) {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return false
	}
	_ = conn.Control(func(fd uintptr) { is = term.IsTerminal(int(fd)) })
	return is
}

// Report shows how far the run is: its beginning, its end, and between them at most
// ten times a second. While the total is not known, it shows a count without a bar.
// After Close it does nothing.
func (b *Bar) Report(s parallel.Stats) {
	if b.out == nil {
		return
	}
	b.last, b.isStale = s, true
	isEnd := s.Total > 0 && s.Done >= s.Total
	if b.line == nil || isEnd || time.Since(b.shown) >= showEvery {
		b.show()
	}
}

// Close shows what was reported last and ends the line, wherever the run is: what
// the program prints next is on a line of its own. It returns nil, and may be called
// again.
func (b *Bar) Close() error {
	if b.line != nil {
		if b.isStale {
			b.show()
		}
		fmt.Fprintln(b.out)
	}
	b.out, b.line = nil, nil
	return nil
}

// show draws the line.
func (b *Bar) show() {
	if b.line == nil || b.total != b.last.Total {
		b.begin()
	}
	if b.total > 0 {
		_ = b.line.Set(b.last.Done)
	}
	b.line.Describe(b.text()) // draws
	b.shown, b.isStale = time.Now(), false
}

// begin begins a line for the total, which a progressbar that has counted without
// one cannot take over: it has forgotten the count.
func (b *Bar) begin() {
	if b.line != nil {
		_ = b.line.Clear()
	}
	b.total = b.last.Total
	shownTotal := b.total
	if shownTotal == 0 {
		shownTotal = -1 // progressbar's word for it
	}
	b.line = progressbar.NewOptions(shownTotal,
		progressbar.OptionSetWriter(b.out),
		progressbar.OptionSetWidth(width),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "=", SaucerHead: ">", SaucerPadding: " ", BarStart: "|", BarEnd: "|"}),
		progressbar.OptionShowDescriptionAtLineEnd(), // so that the bar stays where it is when the text grows
		// The run knows its times better.
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetElapsedTime(false),
		// Otherwise a goroutine turns the spinner, until a total is reached that is not known.
		progressbar.OptionSetSpinnerChangeInterval(0),
	)
}

// text is what stands beside the bar, in as many columns as there are: a line that
// is too long would be drawn below itself again and again.
func (b *Bar) text() string {
	text := []rune(b.label + ": " + describe(b.last))
	f, ok := b.out.(*os.File)
	if !ok {
		return string(text)
	}
	if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
		text = text[:min(len(text), max(0, columns-around))]
	}
	return string(text)
}

// describe returns s in words.
func describe(s parallel.Stats) string {
	count := fmt.Sprint(s.Done)
	if s.Total > 0 {
		count = fmt.Sprintf("%d/%d", s.Done, s.Total)
	}
	words := []string{count}
	if s.Rate > 0 {
		words = append(words, pace(s.Rate))
	}
	if s.Remaining > 0 {
		seconds := (s.Remaining + time.Second - 1).Truncate(time.Second) // not 0 before the end
		words = append(words, seconds.String()+" left")
	}
	if s.Failed > 0 {
		words = append(words, fmt.Sprint(s.Failed, " failed"))
	}
	return strings.Join(words, ", ")
}

// pace returns a rate with two digits or more, however slow it is.
func pace(perSecond float64) string {
	switch {
	case perSecond >= 10:
		return fmt.Sprintf("%.0f/s", perSecond)
	case perSecond >= 1:
		return fmt.Sprintf("%.1f/s", perSecond)
	case perSecond*60 >= 1:
		return fmt.Sprintf("%.1f/min", perSecond*60)
	}
	return fmt.Sprintf("%.1f/h", perSecond*3600)
}
