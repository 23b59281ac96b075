package main

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
)

// counted is Go source whose numbers were counted by hand.
const counted = `package counted

//line elsewhere.y:1000
func Straight() {}

// The comment is not part of the function.
func (r *Ring[K, V]) Branches(a, b bool, c chan int) {
	if a && b || a { // 3: if, &&, ||
	} else if b { // 1
	} else {
	}
	for range c { // 1
	}
	for i := 0; i < 3; i++ { // 1
	}
	switch { // 2: two cases, no default
	case a, b:
	case b:
	default:
	}
	switch any(a).(type) { // 1
	case int:
	}
	select { // 1: a case, no default
	case <-c:
	default:
	}
	_ = func() { // belongs to Branches: 1
		for {
		}
	}
}

var notDeclared = func() bool { return a && b }

func outside() int
`

func TestFunctionsAreMeasuredAsCountedByHand(t *testing.T) {
	path := write(t, t.TempDir(), "counted.go", counted)
	got, err := parse(t.Context(), path)
	want := Report{
		Path:        path,
		Lines:       36,
		Functions:   3,
		Longest:     Function{Name: "(*Ring).Branches", Path: path, Line: 7, Lines: 26, Complexity: 12},
		MostComplex: Function{Name: "(*Ring).Branches", Path: path, Line: 7, Lines: 26, Complexity: 12},
	}
	if err != nil || got != want {
		t.Errorf("parse = %v\n got %+v\nwant %+v", err, got, want)
	}
}

func TestLongestAndMostComplexMayDiffer(t *testing.T) {
	path := write(t, t.TempDir(), "two.go", `package two

func (T) long() {


}

func branchy() bool { return a && b }

func shortAndPlain() {}
`)
	got, err := parse(t.Context(), path)
	longest := Function{Name: "T.long", Path: path, Line: 3, Lines: 4, Complexity: 1}
	branchy := Function{Name: "branchy", Path: path, Line: 8, Lines: 1, Complexity: 2}
	if err != nil || got.Longest != longest || got.MostComplex != branchy {
		t.Errorf("parse = %+v, %v; want longest %+v, most complex %+v", got, err, longest, branchy)
	}
}

func TestSyntaxErrorIsReportedAtItsLine(t *testing.T) {
	path := write(t, t.TempDir(), "bad.go", "package bad\n//line elsewhere.y:1000\n\nfunc F( {\n")
	got, err := parse(t.Context(), path)
	if err != nil || got.Failure.Kind != doesNotParse || got.Failure.Line != 4 {
		t.Errorf("parse = %+v, %v; want a failure at line 4", got, err)
	}
	if slices.ContainsFunc([]int{got.Lines, got.Functions}, func(n int) bool { return n != 0 }) {
		t.Errorf("parse = %+v; want a file that failed to add nothing", got)
	}
}

func TestParseDoesNotStartWhenCtxHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got, err := parse(ctx, write(t, t.TempDir(), "a.go", "package a\n"))
	if !errors.Is(err, context.Canceled) || got != (Report{}) {
		t.Errorf("parse = %+v, %v; want nothing and context.Canceled", got, err)
	}
}

func TestReportOfAnotherProcessIsTheSame(t *testing.T) {
	executortest.NeedsProcesses(t)
	root := t.TempDir()
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1}
	defer ex.Close()
	for _, path := range []string{
		write(t, root, "counted.go", counted),
		write(t, root, "bad.go", "package bad\n\nfunc {\n"),
		filepath.Join(root, "gone.go"),
		root, // not a regular file
	} {
		want, wantErr := parse(t.Context(), path)
		got, err := executor.Submit(t.Context(), ex, parse, path).Result(t.Context())
		if got != want || err != nil || wantErr != nil {
			t.Errorf("%s:\n there %+v, %v\n here  %+v, %v", path, got, err, want, wantErr)
		}
	}
}
