package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
)

func TestMain(m *testing.M) {
	executor.WorkerMain()
	goleak.VerifyTestMain(m)
}

// write writes a program and returns its path.
func write(t *testing.T, folder, name, source string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, []byte(source), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCommandPrintsARowForEachProgramAndASummary(t *testing.T) {
	executortest.NeedsProcesses(t)
	folder := t.TempDir()
	write(t, folder, "exits.bas", "10 EXIT 3")
	write(t, folder, "good.bas", "10 PRINT \"noise\"\n20 END 6 * 7")
	write(t, folder, "note.txt", "no program")
	var out, errs bytes.Buffer
	if status := run(t.Context(), []string{"-v", "-timeout", "1m", folder}, &out, &errs); status != 0 || errs.Len() > 0 {
		t.Fatalf("run = %d, stderr %q; want 0 and nothing", status, errs.String())
	}
	lines := strings.Split(out.String(), "\n")
	for i, want := range [][]string{
		{"program", "outcome", "time", "what happened"},
		{"exits.bas", "exit", " s  code 3"},
		{"good.bas", "result", " s  42"},
		{""},
		{"exits.bas: exit"},
		{"executor: worker process ", " exited with code 3"},
		{""},
		{"1 good, 1 bad; 1 worker processes died and were replaced; ", " s in all."},
		{"Peak memory of this process: ", ". It dropped 0.0 MiB that its workers printed."},
	} {
		if i >= len(lines) || !containsInOrder(lines[i], want) {
			t.Fatalf("line %d lacks %q in:\n%s", i, want, out.String())
		}
	}
}

func containsInOrder(line string, parts []string) bool {
	for _, part := range parts {
		_, rest, ok := strings.Cut(line, part)
		if !ok {
			return false
		}
		line = rest
	}
	return true
}

func TestBadInputIsExplainedWithStatus2(t *testing.T) {
	empty := t.TempDir()
	file := write(t, t.TempDir(), "file.bas", "10 END 1")
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"no such folder", []string{filepath.Join(empty, "none")}, "none: "},
		{"a file", []string{file}, "is not a folder"},
		{"no programs", []string{empty}, "no program (.bas) in"},
		{"two folders", []string{empty, empty}, "one folder, please, not 2"},
		{"unknown flag", []string{"-fast"}, "-fast"},
		{"no time", []string{"-timeout", "0s"}, "-timeout 0s"},
		{"negative memory", []string{"-memory", "-1"}, "-memory -1"},
		{"negative workers", []string{"-workers", "-1"}, "-workers -1"},
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

func TestHelpIsNoError(t *testing.T) {
	var out, errs bytes.Buffer
	if status := run(t.Context(), []string{"-h"}, &out, &errs); status != 0 || out.String() != usage || errs.Len() > 0 {
		t.Errorf("run -h = %d, stdout %q, stderr %q; want 0 and the usage", status, out.String(), errs.String())
	}
}

func TestCtrlCEndsWithStatus130WhateverRuns(t *testing.T) {
	executortest.NeedsProcesses(t)
	folder := t.TempDir()
	has := filepath.Join(t.TempDir(), "started")
	write(t, folder, "loops.bas", "10 SHELL \"echo > '"+has+"'\"\n20 GOTO 20")
	needShell(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for ; ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
			if _, err := os.Stat(has); err == nil {
				cancel()
			}
		}
	}()
	var out, errs bytes.Buffer
	status := run(ctx, []string{"-timeout", "10m", folder}, &out, &errs)
	if want := "sandbox: stopped with Ctrl-C\n"; status != 130 || errs.String() != want {
		t.Errorf("run = %d, stderr %q; want 130 and %q", status, errs.String(), want)
	}
}
