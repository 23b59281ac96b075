package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gofutures/futures/examples/internal/cli"
)

// showEvery is how often the line changes: often enough to live, seldom enough
// to cost nothing.
const showEvery = 100 * time.Millisecond

// progress is a line on a terminal that says how far the work is. Elsewhere it
// is silent. One goroutine uses it.
type progress struct {
	out   io.Writer // nil: silent
	label string
	total int

	done         int
	began, shown time.Time
	width        int // of what is on the terminal
}

// newProgress returns the progress of total files on out, if out is a terminal.
func newProgress(out io.Writer, label string, total int) *progress {
	if !isTerminal(out) {
		out = nil
	}
	now := time.Now()
	return &progress{out: out, label: label, total: total, began: now, shown: now}
}

func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// step says that one more file is done.
func (p *progress) step() {
	p.done++
	if p.out == nil {
		return
	}
	now := time.Now()
	if now.Sub(p.shown) < showEvery {
		return
	}
	p.shown = now
	rate := float64(p.done) / now.Sub(p.began).Seconds()
	p.show(fmt.Sprintf("%s: %s/%s files, %s/s", p.label, cli.Thousands(p.done), cli.Thousands(p.total), cli.Thousands(int(rate))))
}

// erase takes the line off the terminal.
func (p *progress) erase() {
	if p.width > 0 {
		p.show("")
		fmt.Fprint(p.out, "\r")
	}
}

// show overwrites the line, with spaces where it was longer: not every console
// knows the escape code that clears it.
func (p *progress) show(line string) {
	width := utf8.RuneCountInString(line)
	fmt.Fprint(p.out, "\r", line, strings.Repeat(" ", max(0, p.width-width)))
	p.width = width
}
