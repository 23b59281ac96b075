package main

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/gofutures/futures/examples/internal/cli"
)

// Total is the sum of reports. It is the same in whatever order they come.
type Total struct {
	Files       int
	Lines       int
	Functions   int
	Longest     Function
	MostComplex Function
	Failures    []Failure // by path, once sorted
}

// add adds one report.
func (t *Total) add(r Report) {
	t.Files++
	t.Lines += r.Lines
	t.Functions += r.Functions
	t.Longest = longer(t.Longest, r.Longest)
	t.MostComplex = moreComplex(t.MostComplex, r.MostComplex)
	if r.Failure.Kind != "" {
		t.Failures = append(t.Failures, r.Failure)
	}
}

func (t *Total) sort() {
	slices.SortFunc(t.Failures, func(a, b Failure) int { return cmp.Compare(a.Path, b.Path) })
}

// longer returns the longer of two functions.
func longer(a, b Function) Function {
	return first(a, b, cmp.Compare(b.Lines, a.Lines))
}

// moreComplex returns the more complex of two functions.
func moreComplex(a, b Function) Function {
	return first(a, b, cmp.Compare(b.Complexity, a.Complexity))
}

// first returns a or b by order, or by where they are if order is 0, so that
// the answer does not depend on which comes first. The zero Function, which has
// no lines, loses.
func first(a, b Function, order int) Function {
	if cmp.Or(order, cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line)) <= 0 {
		return a
	}
	return b
}

// fact is one line of an answer.
type fact struct{ what, is string }

// facts returns the answer in words: what is printed, and what is compared.
func (t Total) facts(folder string) []fact {
	return []fact{
		{"files", cli.Thousands(t.Files)},
		{"  failed", cli.Thousands(len(t.Failures))},
		{"lines", cli.Thousands(t.Lines)},
		{"functions", cli.Thousands(t.Functions)},
		{"longest function", place(folder, t.Longest, "length "+cli.Thousands(t.Longest.Lines))},
		{"most complex", place(folder, t.MostComplex, "complexity "+cli.Thousands(t.MostComplex.Complexity))},
	}
}

// place returns what a function excels in, its name, and where it is.
func place(folder string, f Function, size string) string {
	if f.Name == "" {
		return "none"
	}
	return fmt.Sprintf("%s, %s (%s:%d)", size, f.Name, cli.Within(folder, f.Path), f.Line)
}

// sameAnswer returns an error that says what differs, if the answers do.
func sameAnswer(runs []measured, folder string) error {
	for _, m := range runs[1:] {
		want, got := allFacts(runs[0].total, folder), allFacts(m.total, folder)
		if slices.Equal(want, got) {
			continue
		}
		return fmt.Errorf("the levers disagree (did the folder change?):\n  %s: %s\n  %s: %s",
			runs[0].name, onlyIn(want, got), m.name, onlyIn(got, want))
	}
	return nil
}

// allFacts returns the facts of an answer and its failures.
func allFacts(t Total, folder string) []fact {
	all := t.facts(folder)
	for _, f := range t.Failures {
		all = append(all, fact{"failure", describeFailure(folder, f)})
	}
	return all
}

// onlyIn returns the first fact of a that b does not have.
func onlyIn(a, b []fact) string {
	for _, f := range a {
		if !slices.Contains(b, f) {
			return f.what + " " + f.is
		}
	}
	return "nothing more"
}
