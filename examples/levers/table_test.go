package main

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"github.com/gofutures/futures/parallel"
)

func TestTableLooksLikeThis(t *testing.T) {
	var out bytes.Buffer
	printCosts(&out, "peak memory", []measured{
		{name: "a plain loop", wall: 12*time.Second + 345678*time.Microsecond, peak: 40 << 20},
		{name: "twice as fast", wall: 6172839 * time.Microsecond, peak: 1234 << 20},
		{name: "unknown", wall: 24 * time.Second},
	})
	want := `
lever          wall time  speed-up  peak memory
a plain loop    12.346 s      1.00     40.0 MiB
twice as fast    6.173 s      2.00   1234.0 MiB
unknown         24.000 s      0.51    not known

All 3 levers gave the same answer.
`
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestTableOfACacheLooksLikeThis(t *testing.T) {
	var out bytes.Buffer
	printCosts(&out, "peak memory", []measured{
		{name: "a plain loop", wall: 12 * time.Second, peak: 40 << 20},
		{name: "a cache", wall: time.Second, peak: 50 << 20, cache: &parallel.MemoryStats{Hits: 1233, Misses: 1, Saved: 11 * time.Second}},
	})
	want := `
lever         wall time  speed-up  peak memory   hits  misses  time saved
a plain loop   12.000 s      1.00     40.0 MiB      -       -           -
a cache         1.000 s     12.00     50.0 MiB  1,233       1    11.000 s

All 2 levers gave the same answer.
`
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestFailuresLookLikeThis(t *testing.T) {
	root := t.TempDir()
	failures := []Failure{
		{Path: filepath.Join(root, "a.go"), Line: 7, Kind: doesNotParse, Message: "expected a gopher"},
		{Path: filepath.Join(root, "b.go"), Kind: disappeared, Message: "no such file"},
		{Path: filepath.Join(root, "c.go"), Line: 1, Kind: doesNotParse, Message: "found none"},
	}
	want := `
3 failed (does not parse: 2, disappeared: 1):
  a.go:7: does not parse: expected a gopher
  b.go: disappeared: no such file
  c.go:1: does not parse: found none
`
	var out bytes.Buffer
	printFailures(&out, input{folder: root}, failures)
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
