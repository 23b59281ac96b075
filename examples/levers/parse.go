package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"

	"github.com/gofutures/futures/examples/internal/cli"
)

// Report is what parse says of one file. Its fields, and those of the types in
// it, are exported plain data, so that it can come from another process.
type Report struct {
	Path        string
	Lines       int
	Functions   int
	Longest     Function // the zero Function if there is none
	MostComplex Function
	Failure     Failure // if its Kind is not "", the rest is zero
}

// Function is a declared function or method.
type Function struct {
	Name       string // a method's with its receiver: (*T).Name
	Path       string
	Line       int
	Lines      int
	Complexity int
}

// Failure is what is wrong with a file. It is part of the report and not an
// error, because a file must not stop the others: MapSlice and Collect end at
// the first error.
type Failure struct {
	Path    string
	Line    int // 0: the whole file
	Kind    string
	Message string
}

// The kinds of Failure.
const (
	doesNotParse = "does not parse"
	cannotRead   = "cannot be read"
	disappeared  = "disappeared"
)

// parseVersion must change with what parse returns: the reports that -cache keeps
// are found by it.
const parseVersion = "1"

// parse is the job: it reads and parses one file. Its error is only that of an
// ended ctx; all else is in the report.
func parse(ctx context.Context, path string) (Report, error) {
	if err := ctx.Err(); err != nil {
		return Report{}, err
	}
	src, failure := read(path)
	if failure.Kind != "" {
		return Report{Path: path, Failure: failure}, nil
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, src, parser.SkipObjectResolution)
	if err != nil {
		return Report{Path: path, Failure: syntaxFailure(path, src, err)}, nil
	}
	r := Report{Path: path, Lines: countLines(src)}
	for _, d := range file.Decls {
		if decl, ok := d.(*ast.FuncDecl); ok {
			r.add(describe(files, path, decl))
		}
	}
	return r, nil
}

// read returns the content of a file, or why there is none.
func read(path string) ([]byte, Failure) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		// A folder behind a link, or a named pipe, which would never end.
		return nil, Failure{Path: path, Kind: cannotRead, Message: "not a regular file"}
	}
	var src []byte
	if err == nil {
		src, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, unreadable(path, err)
	}
	return src, Failure{}
}

// unreadable returns the failure of a file that was listed and could not be
// read. A link that leads nowhere is there, so it did not disappear.
func unreadable(path string, err error) Failure {
	f := Failure{Path: path, Kind: cannotRead, Message: cli.Reason(err)}
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(path); err != nil {
			f.Kind = disappeared
		} else {
			f.Message = "a link that leads nowhere"
		}
	}
	return f
}

// syntaxFailure returns the first error of the parser.
func syntaxFailure(path string, src []byte, err error) Failure {
	f := Failure{Path: path, Kind: doesNotParse, Message: err.Error()}
	if list, ok := errors.AsType[scanner.ErrorList](err); ok && len(list) > 0 {
		// Not Pos.Line: a //line comment may have changed that.
		f.Line = 1 + bytes.Count(src[:min(list[0].Pos.Offset, len(src))], []byte("\n"))
		f.Message = list[0].Msg
		if len(list) > 1 {
			f.Message += fmt.Sprintf(" (and %d more)", len(list)-1)
		}
	}
	return f
}

// countLines counts the last line also if it does not end.
func countLines(src []byte) int {
	n := bytes.Count(src, []byte("\n"))
	if len(src) > 0 && src[len(src)-1] != '\n' {
		n++
	}
	return n
}

// add adds a function to the report of its file.
func (r *Report) add(f Function) {
	r.Functions++
	r.Longest = longer(r.Longest, f)
	r.MostComplex = moreComplex(r.MostComplex, f)
}

func describe(files *token.FileSet, path string, decl *ast.FuncDecl) Function {
	line := func(p token.Pos) int { return files.PositionFor(p, false).Line } // false: without //line comments
	first, last := line(decl.Pos()), line(decl.End())
	return Function{
		Name:       nameOf(decl),
		Path:       path,
		Line:       first,
		Lines:      last - first + 1,
		Complexity: complexity(decl),
	}
}

// nameOf returns F, T.F or (*T).F.
func nameOf(decl *ast.FuncDecl) string {
	if decl.Recv == nil || len(decl.Recv.List) == 0 {
		return decl.Name.Name
	}
	return receiver(decl.Recv.List[0].Type) + "." + decl.Name.Name
}

// receiver returns a receiver's type without its type parameters.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.StarExpr:
		return "(*" + receiver(e.X) + ")"
	case *ast.ParenExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	}
	return "?"
}

// complexity is the cyclomatic complexity of a function: 1, and 1 for each
// place where control may take another way.
func complexity(decl *ast.FuncDecl) int {
	n := 1
	ast.Inspect(decl, func(node ast.Node) bool {
		if branches(node) {
			n++
		}
		return true
	})
	return n
}

func branches(node ast.Node) bool {
	switch node := node.(type) {
	case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt:
		return true
	case *ast.CaseClause:
		return node.List != nil // nil: default
	case *ast.CommClause:
		return node.Comm != nil
	case *ast.BinaryExpr:
		return node.Op == token.LAND || node.Op == token.LOR
	}
	return false
}
