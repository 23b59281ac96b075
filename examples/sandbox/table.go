package main

import (
	"context"
	"fmt"
	"io"
	"time"
	"unicode/utf8"
)

// report runs the programs and prints what comes of each, as it comes, and a
// summary.
func report(ctx context.Context, in input, out io.Writer) error {
	s := newSandbox(in)
	defer s.close()
	start := time.Now()
	t := newTable(out, in.programs)
	var bad []outcome
	for o, err := range s.run(ctx) {
		if err != nil {
			return err
		}
		t.row(o.name, o.kind, seconds(o.took), o.what)
		if o.kind != good {
			bad = append(bad, o)
		}
	}
	took := time.Since(start)
	s.close()
	if in.verbose {
		printErrors(out, bad)
	}
	restarts := s.pool.Stats().Restarts
	fmt.Fprintf(out, "\n%d good, %d bad; %d worker processes died and were replaced; %s in all.\n", len(in.programs)-len(bad), len(bad), restarts, seconds(took))
	fmt.Fprintf(out, "Peak memory of this process: %s. It dropped %s that its workers printed.\n", peak(), mebibytes(s.printed.n.Load()))
	return nil
}

// table prints rows, each as soon as it is there.
type table struct {
	out   io.Writer
	width int // of the first column
}

func newTable(out io.Writer, names []string) *table {
	t := &table{out, 0}
	for _, name := range names {
		t.width = max(t.width, utf8.RuneCountInString(oneLine(name)))
	}
	t.row("program", "outcome", "time", "what happened")
	return t
}

func (t *table) row(name, kind, took, what string) {
	fmt.Fprintf(t.out, "%-*s  %-14s  %8s  %s\n", t.width, oneLine(name), kind, took, what)
}

// printErrors prints the errors in full.
func printErrors(out io.Writer, bad []outcome) {
	for _, o := range bad {
		fmt.Fprintf(out, "\n%s: %s\n%v\n", oneLine(o.name), o.kind, o.err)
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
