package main

import (
	"fmt"
	"testing"
)

func TestProgramsMeanWhatTheyMeanInBasic(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{"10 END 1 + 2 * (3 - 4) / 1", "-1"},
		{"10 END 7 % 4", "3"},
		{"10 LET A = \"n = \"\n20 LET A = A + 3\n\n30 END A", "n = 3"},
		{"10 IF 2 > 1 THEN 30\n20 END \"not greater\"\n30 IF 2 < 1 THEN 20\n40 IF 1 == 2 THEN 20\n50 END \"good\"", "good"},
		{"10 LET N = 0\n20 GOSUB 60\n30 GOSUB 60\n40 END N\n50 REM adds one\n60 LET N = N + 1\n70 RETURN", "2"},
		{"10 GOSUB 30\n20 END \"after it\"\n30 END \"in it\"", "in it"},
		{"10 LET START = 40\n20 GOTO START\n30 END \"fell\"\n40 END \"jumped\"", "jumped"},
		{"10 END CHR(65) + CHR(66)", "AB"},
	} {
		if got, err := interpret(t.Context(), c.source); err != nil || got != c.want {
			t.Errorf("%q = %q, %v; want %q", c.source, got, err, c.want)
		}
	}
}

func TestProgramThatDoesNotLoadIsAnErrorWithItsLine(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{"10 END 1\nEND 2", `line "END 2" has no number`},
		{"10 CLS", "line 10: unknown statement CLS"},
		{"10", "line 10: unknown statement "},
		{"10 GOTO", "line 10: GOTO has 1 arguments, not 0"},
		{"10 IF 1 == 1", "line 10: IF has 2 arguments, not 1"},
		{"10 END (1", "line 10: END (1: missing ',' before newline in argument list"},
		{"10 END 1) + (2", "line 10: END 1) + (2: no expression"},
	} {
		if got, err := interpret(t.Context(), c.source); err == nil || err.Error() != c.want {
			t.Errorf("%q = %q, %v; want the error %q", c.source, got, err, c.want)
		}
	}
}

func TestProgramThatGoesWrongPanics(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{"10 GOTO 20", "there is no line 20"},
		{"10 REM no end", "runtime error: index out of range [1] with length 1"},
		{"10 END RND(1)", "unknown function RND"},
		{"10 END 1 &^ 2", "unknown operator &^"},
		{"10 END A[1]", "unknown expression *ast.IndexExpr"},
		{"10 END A + 1", "interface conversion: interface {} is nil, not int64"},
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); got != c.want {
					t.Errorf("%q panicked with %q, want %q", c.source, got, c.want)
				}
			}()
			got, err := interpret(t.Context(), c.source)
			t.Errorf("%q = %q, %v; want a panic", c.source, got, err)
		}()
	}
}
