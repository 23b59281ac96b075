package main

import (
	"bytes"
	"context"
	"iter"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gofutures/futures/executor/executortest"
)

func TestCommandPrintsAnswerCostsAndFailures(t *testing.T) {
	executortest.NeedsProcesses(t)
	root := t.TempDir()
	write(t, root, "good.go", "package good\n\nfunc F() {}\n")
	for i := range fewFailures + 2 {
		write(t, root, "bad"+strconv.Itoa(i)+".go", "")
	}
	var out, errs bytes.Buffer
	if status := run(t.Context(), []string{root}, &out, &errs); status != 0 || errs.Len() > 0 {
		t.Fatalf("run = %d, stderr %q; want 0 and nothing", status, errs.String())
	}
	for _, want := range []string{
		"files             8\n",
		"failed          7\n",
		"longest function  length 1, F (good.go:3)\n",
		"All 9 levers gave the same answer.\n",
		"7 failed (does not parse: 7):\n  bad0.go:1: does not parse: ",
		"and 2 more; -v names them\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output lacks %q:\n%s", want, out.String())
		}
	}
	for _, l := range levers {
		if !strings.Contains(out.String(), "\n"+l.name) {
			t.Errorf("output lacks the lever %q:\n%s", l.name, out.String())
		}
	}

	out.Reset()
	if status := run(t.Context(), []string{"-v", root}, &out, &errs); status != 0 || !strings.Contains(out.String(), "bad6.go") {
		t.Errorf("run -v = %d; want 0 and all failures:\n%s", status, out.String())
	}
}

func TestBadInputIsExplainedWithStatus2(t *testing.T) {
	empty := t.TempDir()
	file := write(t, t.TempDir(), "file.go", "package file\n")
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"no such folder", []string{filepath.Join(empty, "none")}, "none: "},
		{"a file", []string{file}, "is not a folder"},
		{"no Go files", []string{empty}, "no .go file in or below"},
		{"two folders", []string{empty, empty}, "one folder, please, not 2"},
		{"unknown flag", []string{"-fast"}, "-fast"},
		{"cache without a name", []string{"-cache", "", empty}, `invalid value "" for flag -cache: name a folder`},
		{"cache that is a file", []string{"-cache", file, empty}, "for flag -cache: it is not a folder"},
		{"cache without a folder", []string{"-cache"}, "flag needs an argument: -cache"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			status := run(t.Context(), c.args, &out, &errs)
			if status != 2 || !strings.Contains(errs.String(), c.want) || out.Len() > 0 {
				t.Errorf("run %q = %d, stdout %q, stderr %q; want 2, nothing, %q", c.args, status, out.String(), errs.String(), c.want)
			}
		})
	}
}

func TestWithoutGoTheUserIsToldToNameAFolder(t *testing.T) {
	t.Setenv("PATH", "")
	var out, errs bytes.Buffer
	status := run(t.Context(), nil, &out, &errs)
	if want := "name a folder"; status != 2 || !strings.Contains(errs.String(), want) {
		t.Errorf("run = %d, stderr %q; want 2 and %q", status, errs.String(), want)
	}
}

func TestHelpIsNoError(t *testing.T) {
	var out, errs bytes.Buffer
	if status := run(t.Context(), []string{"-h"}, &out, &errs); status != 0 || out.String() != usage || errs.Len() > 0 {
		t.Errorf("run -h = %d, stdout %q, stderr %q; want 0 and the usage", status, out.String(), errs.String())
	}
}

func TestCtrlCEndsWithStatus130(t *testing.T) {
	root := t.TempDir()
	write(t, root, "a.go", "package a\n")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	status := run(ctx, []string{root}, &out, &errs)
	if status != 130 || !strings.Contains(errs.String(), "stopped with Ctrl-C") || out.Len() > 0 {
		t.Errorf("run = %d, stdout %q, stderr %q; want 130, nothing, a message", status, out.String(), errs.String())
	}
}

func TestCtrlCDuringALeverSaysHowFarItWas(t *testing.T) {
	root := t.TempDir()
	write(t, root, "a.go", "package a\n")
	write(t, root, "b.go", "package b\n")
	ctx, cancel := context.WithCancel(t.Context())
	interrupted := lever{name: "interrupted", run: func(ctx context.Context, files []string) reports {
		return func(yield func(Report, error) bool) {
			if yield(parse(ctx, files[0])) {
				cancel()
				yield(parse(ctx, files[1]))
			}
		}
	}}
	var out, errs bytes.Buffer
	err := compare(ctx, []lever{interrupted}, inputOf(t, root), &out, &errs)
	status := cmd.Status(ctx, err, &out, &errs)
	if want := "interrupted, after 1 of 2 files"; status != 130 || !strings.Contains(errs.String(), want) {
		t.Errorf("status %d, stderr %q; want 130 and %q", status, errs.String(), want)
	}
}

func TestLeversThatDisagreeAreStatus1(t *testing.T) {
	root := t.TempDir()
	write(t, root, "a.go", "package a\n")
	write(t, root, "b.go", "")
	for _, c := range []struct {
		name string
		lie  func(*Report)
		want string
	}{
		{"another number", func(r *Report) { r.Lines++ }, "a plain loop: lines 1\n  liar: lines 3\n"},
		{"another failure", func(r *Report) { r.Failure.Message += "!" }, "a plain loop: failure b.go:1: does not parse: expected 'package', found 'EOF'\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			liar := lever{name: "liar", run: func(ctx context.Context, files []string) reports { return changed(loop(ctx, files), c.lie) }}
			var out, errs bytes.Buffer
			err := compare(t.Context(), []lever{levers[0], liar}, inputOf(t, root), &out, &errs)
			status := cmd.Status(t.Context(), err, &out, &errs)
			if status != 1 || !strings.Contains(errs.String(), c.want) || out.Len() > 0 {
				t.Errorf("status %d, stdout %q, stderr:\n%s\nwant 1, nothing, %q", status, out.String(), errs.String(), c.want)
			}
		})
	}
}

func changed(seq reports, change func(*Report)) iter.Seq2[Report, error] {
	return func(yield func(Report, error) bool) {
		for r, err := range seq {
			change(&r)
			if !yield(r, err) {
				return
			}
		}
	}
}
