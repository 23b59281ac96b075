package main

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"unicode/utf8"
)

// A unit is what the costs of a row are.
type unit string

const (
	perCall        unit = "time per call"
	perItem        unit = "time per item"
	perMap         unit = "time per map"
	perStart       unit = "time per pool"
	bytesPerCall   unit = "bytes per call"
	bytesPerWorker unit = "bytes per worker"
)

func (u unit) format(v float64) string {
	if u == bytesPerCall || u == bytesPerWorker {
		return scaled(v, 1024, "B", "KiB", "MiB", "GiB")
	}
	return scaled(v, 1000, "ns", "µs", "ms", "s")
}

// scaled returns v in the unit that leaves the fewest digits before the point.
func scaled(v, step float64, units ...string) string {
	i := 0
	for ; math.Abs(v) >= step && i < len(units)-1; i++ {
		v /= step
	}
	return digits(v) + " " + units[i]
}

// digits returns v with three digits that say something.
func digits(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// A tally counts the goals by how they came out.
type tally map[verdict]int

var columns = []struct {
	head  string
	width int // negative: to the left
}{
	{"", -30}, {"cost", 10}, {"spread", 8}, {"allocs", 8}, {"bytes", 8},
	{"ours/this", 10}, {"spread", 8}, {"goal", 8}, {"", -12},
}

// printLine prints one line of the table.
func printLine(w io.Writer, cells ...string) {
	var b strings.Builder
	for i, cell := range cells {
		width := columns[i].width
		pad := strings.Repeat(" ", max(0, max(width, -width)-utf8.RuneCountInString(cell)))
		if width < 0 {
			b.WriteString(cell + pad)
		} else {
			b.WriteString(pad + cell)
		}
		b.WriteString(" ")
	}
	fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
}

// printHead prints what all rows have in common.
func printHead(w io.Writer, workers, rounds int) {
	fmt.Fprintf(w, "\nMedians of %d rounds, %d workers for goroutines and %d for processes. Spread: (max - min) / median.\n", rounds, workers, processWorkers)
	fmt.Fprintln(w, "ours/this: the cost of the first line divided by that of this one, median of the rounds; the goal is at most that.")
	cells := make([]string, len(columns))
	for i, c := range columns {
		cells[i] = c.head
	}
	printLine(w, cells...)
}

// printRow prints a row and counts its goals.
func printRow(w io.Writer, r results, goals tally) {
	fmt.Fprintf(w, "%s (%s)\n", r.row.name, r.row.unit)
	for i, name := range r.names {
		values := r.values(i)
		cells := []string{"  " + name, r.row.unit.format(median(values)), percent(spread(values))}
		allocs := median(collect(r.costs[i], func(c cost) float64 { return c.allocs }))
		if allocs >= 0 {
			bytes := median(collect(r.costs[i], func(c cost) float64 { return c.bytes }))
			cells = append(cells, digits(allocs), digits(bytes))
		} else {
			cells = append(cells, "", "")
		}
		switch {
		case i > 0:
			ratios := r.ratios(i)
			ratio := median(ratios)
			cells = append(cells, digits(ratio), percent(spread(ratios)))
			if goal, ok := r.row.goals[name]; ok {
				v := judge(ratio, goal)
				goals[v]++
				cells = append(cells, digits(goal), string(v))
			}
		case r.row.maxAllocs > 0:
			v := judge(math.Round(allocs*10)/10, r.row.maxAllocs)
			goals[v]++
			cells = append(cells, "", "", digits(r.row.maxAllocs)[:1]+" alloc", string(v))
		}
		printLine(w, cells...)
	}
	for _, err := range r.failed {
		fmt.Fprintf(w, "  FAILED: %v\n", err)
	}
	for name := range r.row.goals {
		if !slices.Contains(r.names, name) {
			goals[unknown]++
		}
	}
}

// pad returns text with blanks before it.
func pad(text string, width int) string {
	return strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text))) + text
}

func percent(v float64) string { return fmt.Sprintf("%.0f %%", 100*v) }

// printTally says how many goals are met.
func printTally(w io.Writer, goals tally) {
	fmt.Fprintf(w, "\nGoals: %d met, %d missed by less than the margin of %g, %d missed; of %d the peer is not measured.\n",
		goals[met], goals[nearly], margin, goals[missed], goals[unknown])
}

// printMachine says where this is measured, and with what.
func printMachine(w io.Writer, ps *pythons) {
	fmt.Fprintf(w, "%s, %s/%s, %d CPUs, GOMAXPROCS %d\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.GOMAXPROCS(0))
	if info, ok := debug.ReadBuildInfo(); ok {
		var versions []string
		for _, m := range info.Deps {
			for _, peer := range []string{"alitto/pond", "panjf2000/ants", "sourcegraph/conc", "gammazero/workerpool", "golang.org/x/sync"} {
				if strings.Contains(m.Path, peer) {
					versions = append(versions, peer+" "+m.Version)
				}
			}
		}
		if len(versions) > 0 {
			fmt.Fprintln(w, strings.Join(versions, ", "))
		}
	}
	fmt.Fprintln(w, "CPython:", ps.version())
	for _, k := range pythonKinds {
		if why, ok := ps.missing[k.name]; ok {
			fmt.Fprintf(w, "%s is not measured: %s\n", k.name, why)
		}
	}
}
