package main

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"strconv"
	"strings"
	"sync"

	"github.com/gofutures/futures/executor"
)

func init() { executor.Register(interpret) }

// interpret is the work: it runs a program in a small BASIC and returns its
// result. It is meant to be like code that one has not written and cannot mend:
// it does not look at its ctx, trusts the program, and knows no limits. What a
// program does to it, it does to its process.
//
// The language is in the usage of the command. Expressions are Go's.
func interpret(_ context.Context, source string) (string, error) {
	m, err := load(source)
	if err != nil {
		return "", err
	}
	result, _ := m.run(0)
	return fmt.Sprint(result), nil
}

// machine is a program and its state.
type machine struct {
	program []statement
	index   map[int64]int // of a line in program, by its number
	vars    map[string]any
	lock    sync.Mutex // that LOCK takes
}

// statement is a line of a program.
type statement struct {
	keyword string
	target  string // the variable of LET
	args    []ast.Expr
}

// arity is how many arguments a statement has; -1: any number.
var arity = map[string]int{
	"REM": -1, "LET": 1, "PRINT": -1, "IF": 2, "GOTO": 1, "GOSUB": 1, "RETURN": 0, "END": 1,
	"LOCK": 0, "TIMER": 2, "SHELL": 1, "EXIT": 1,
}

// load reads a program.
func load(source string) (*machine, error) {
	m := &machine{index: make(map[int64]int), vars: make(map[string]any)}
	for line := range strings.Lines(source) {
		number, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if number == "" {
			continue
		}
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("line %q has no number", strings.TrimSpace(line))
		}
		s, err := parse(strings.TrimSpace(rest))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		m.index[n] = len(m.program)
		m.program = append(m.program, s)
	}
	return m, nil
}

// parse reads a statement.
func parse(line string) (s statement, err error) {
	keyword, rest, _ := strings.Cut(line, " ")
	s.keyword = keyword
	want, ok := arity[keyword]
	switch {
	case !ok:
		return s, fmt.Errorf("unknown statement %s", keyword)
	case keyword == "REM":
		return s, nil
	case keyword == "LET":
		s.target, rest, _ = strings.Cut(rest, "=")
		s.target = strings.TrimSpace(s.target)
	case keyword == "IF":
		rest = strings.Replace(rest, "THEN", ",", 1)
	}
	e, err := parser.ParseExpr("_(" + rest + ")")
	call, ok := e.(*ast.CallExpr)
	switch {
	case err != nil:
		return s, fmt.Errorf("%s: %s", line, message(err))
	case !ok:
		return s, fmt.Errorf("%s: no expression", line)
	}
	s.args = call.Args
	if want >= 0 && len(s.args) != want {
		return s, fmt.Errorf("%s has %d arguments, not %d", keyword, want, len(s.args))
	}
	return s, nil
}

// message returns what a parser says, without the position, which is that in a
// line of our making.
func message(err error) string {
	if list, ok := errors.AsType[scanner.ErrorList](err); ok && len(list) > 0 {
		return list[0].Msg
	}
	return err.Error()
}

// run makes the statements from program[i] on, until END, which has a result,
// or RETURN.
func (m *machine) run(i int) (result any, ended bool) {
	for {
		s := m.program[i]
		i++
		switch s.keyword {
		case "LET":
			m.vars[s.target] = m.eval(s.args[0])
		case "IF":
			if m.eval(s.args[0]).(bool) {
				i = m.line(s.args[1])
			}
		case "GOTO":
			i = m.line(s.args[0])
		case "GOSUB":
			if result, ended := m.run(m.line(s.args[0])); ended {
				return result, true
			}
		case "RETURN":
			return nil, false
		case "END":
			return m.eval(s.args[0]), true
		default:
			m.reach(s)
		}
	}
}

// line returns the index of the line whose number e is.
func (m *machine) line(e ast.Expr) int {
	n := m.eval(e).(int64)
	i, ok := m.index[n]
	if !ok {
		panic(fmt.Sprintf("there is no line %d", n))
	}
	return i
}

// eval returns the value of an expression: an int64, a string, or a bool.
func (m *machine) eval(e ast.Expr) any {
	switch e := e.(type) {
	case *ast.BasicLit:
		return literal(e)
	case *ast.Ident:
		return m.vars[e.Name]
	case *ast.ParenExpr:
		return m.eval(e.X)
	case *ast.BinaryExpr:
		x, y := m.eval(e.X), m.eval(e.Y)
		if text, ok := x.(string); ok {
			return text + fmt.Sprint(y)
		}
		return arithmetic(e.Op, x.(int64), y.(int64))
	case *ast.CallExpr:
		return function(e.Fun.(*ast.Ident).Name, m.eval(e.Args[0]).(int64))
	}
	panic(fmt.Sprintf("unknown expression %T", e))
}

func literal(e *ast.BasicLit) any {
	if n, err := strconv.ParseInt(e.Value, 10, 64); err == nil {
		return n
	}
	text, err := strconv.Unquote(e.Value)
	if err != nil {
		panic(err)
	}
	return text
}

func arithmetic(op token.Token, x, y int64) any {
	switch op {
	case token.ADD:
		return x + y
	case token.SUB:
		return x - y
	case token.MUL:
		return x * y
	case token.QUO:
		return x / y
	case token.REM:
		return x % y
	case token.EQL:
		return x == y
	case token.LSS:
		return x < y
	case token.GTR:
		return x > y
	}
	panic("unknown operator " + op.String())
}
