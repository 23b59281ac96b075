package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gofutures/futures/examples/internal/cli"
)

// fewFailures is how many failures are named without -v.
const fewFailures = 5

func printAnswer(out io.Writer, in input, t Total) {
	fmt.Fprintf(out, "%s\n", in.folder)
	for _, f := range t.facts(in.folder) {
		fmt.Fprintf(out, "  %-17s %s\n", f.what, f.is)
	}
}

// printCosts prints the table of the levers. memory is the head of its last
// column.
func printCosts(out io.Writer, memory string, runs []measured) {
	rows := [][]string{{"lever", "wall time", "speed-up", memory}}
	for _, m := range runs {
		speedUp := float64(runs[0].wall) / float64(m.wall)
		rows = append(rows, []string{m.name, seconds(m.wall), fmt.Sprintf("%.2f", speedUp), mebibytes(m.peak)})
	}
	if slices.ContainsFunc(runs, func(m measured) bool { return m.cache != nil }) {
		addCache(rows, runs)
	}
	fmt.Fprintf(out, "\n%s\n", table(rows))
	fmt.Fprintf(out, "All %d levers gave the same answer.\n", len(runs))
}

// addCache adds the columns that say what a cache was good for.
func addCache(rows [][]string, runs []measured) {
	rows[0] = append(rows[0], "hits", "misses", "time saved")
	for i, m := range runs {
		cells := []string{"-", "-", "-"}
		if c := m.cache; c != nil {
			cells = []string{cli.Thousands(int(c.Hits)), cli.Thousands(int(c.Misses)), seconds(c.Saved)}
		}
		rows[i+1] = append(rows[i+1], cells...)
	}
}

// table aligns the first column to the left and the others to the right.
func table(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		fmt.Fprintf(&b, "%-*s", widths[0], row[0])
		for i, cell := range row[1:] {
			fmt.Fprintf(&b, "  %*s", widths[i+1], cell)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// printFailures counts failures by kind and names them.
func printFailures(out io.Writer, in input, failures []Failure) {
	if len(failures) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s failed (%s):\n", cli.Thousands(len(failures)), kinds(failures))
	named := failures
	if !in.verbose {
		named = failures[:min(len(failures), fewFailures)]
	}
	for _, f := range named {
		fmt.Fprintf(out, "  %s\n", describeFailure(in.folder, f))
	}
	if left := len(failures) - len(named); left > 0 {
		fmt.Fprintf(out, "  and %s more; -v names them\n", cli.Thousands(left))
	}
}

// kinds counts failures by kind, as in "does not parse: 3, disappeared: 1".
func kinds(failures []Failure) string {
	var counts []string
	for _, kind := range []string{doesNotParse, cannotRead, disappeared} {
		n := 0
		for _, f := range failures {
			if f.Kind == kind {
				n++
			}
		}
		if n > 0 {
			counts = append(counts, fmt.Sprintf("%s: %s", kind, cli.Thousands(n)))
		}
	}
	return strings.Join(counts, ", ")
}

func describeFailure(folder string, f Failure) string {
	at := cli.Within(folder, f.Path)
	if f.Line > 0 {
		at += ":" + strconv.Itoa(f.Line)
	}
	return fmt.Sprintf("%s: %s: %s", at, f.Kind, f.Message)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }

func mebibytes(n uint64) string {
	if n == 0 {
		return "not known"
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
