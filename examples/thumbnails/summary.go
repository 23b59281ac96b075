package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/gofutures/futures/examples/internal/cli"
	"github.com/gofutures/futures/executor"
)

// fewFailures is how many failures are named without -v.
const fewFailures = 10

// failure is a picture that has no thumbnail, or a folder that cannot be listed.
type failure struct{ name, kind, what string }

// summary is what came of all pictures.
type summary struct {
	made    int
	failed  []failure // by name
	in, out int64     // bytes of the pictures that have thumbnails, and of those
	wall    time.Duration
}

func summaryOf(in input, all []sizes, failed executor.ItemErrors) summary {
	s := summary{made: len(all) - len(failed), failed: slices.Clone(in.lost)}
	for _, item := range failed {
		kind, what := judge(item.Err, in)
		s.failed = append(s.failed, failure{in.pictures[item.Index].Name, kind, what})
	}
	slices.SortFunc(s.failed, func(a, b failure) int { return cmp.Compare(a.name, b.name) })
	for _, size := range all { // of a picture that failed, it is 0
		s.in += size.Picture
		s.out += size.Thumbnail
	}
	return s
}

// judge says in a few words, and in a line, why a picture failed.
func judge(err error, in input) (kind, what string) {
	var died *executor.WorkerDiedError
	var p *executor.PanicError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "timed out", fmt.Sprintf("took longer than %v", in.timeout)
	case errors.As(err, &died):
		return "worker died", firstLine(err.Error())
	case errors.As(err, &p):
		return "panicked", firstLine(fmt.Sprint(p.Value))
	}
	for _, reason := range reasons {
		if errors.Is(err, reason) {
			return reason.Error(), strings.TrimPrefix(firstLine(err.Error()), reason.Error()+": ")
		}
	}
	return "failed", firstLine(err.Error())
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func (s summary) print(out io.Writer, in input) {
	fmt.Fprintf(out, "%s thumbnails, %s failed%s; %s in, %s out; %.3f s\n",
		cli.Thousands(s.made), cli.Thousands(len(s.failed)), kinds(s.failed), bytesOf(s.in), bytesOf(s.out), s.wall.Seconds())
	named := s.failed
	if !in.verbose {
		named = named[:min(len(named), fewFailures)]
	}
	for _, f := range named {
		fmt.Fprintf(out, "  %s: %s: %s\n", f.name, f.kind, f.what)
	}
	if left := len(s.failed) - len(named); left > 0 {
		fmt.Fprintf(out, "  and %s more; -v names them\n", cli.Thousands(left))
	}
}

// kinds counts failures by kind, as in " (does not decode: 3, too large: 1)".
func kinds(failures []failure) string {
	if len(failures) == 0 {
		return ""
	}
	counts := make(map[string]int)
	var order []string
	for _, f := range failures {
		if counts[f.kind]++; counts[f.kind] == 1 {
			order = append(order, f.kind)
		}
	}
	slices.SortFunc(order, func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
	for i, kind := range order {
		order[i] = fmt.Sprintf("%s: %s", kind, cli.Thousands(counts[kind]))
	}
	return " (" + strings.Join(order, ", ") + ")"
}

func bytesOf(n int64) string {
	switch {
	case n < 10<<10:
		return cli.Thousands(int(n)) + " bytes"
	case n < 10<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
