// Package cli is what the example programs share as commands: how Ctrl-C, wrong
// input and the exit status are dealt with, which folder they work on, and how
// they write numbers and paths. Nothing here uses the library: what a program does
// with that is in its own files.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
)

// Main calls run with the arguments of the program, and ends the program with the
// exit status that run returns. The ctx of run ends with the first of the signals;
// a second one ends the program the hard way.
func Main(run func(ctx context.Context, args []string, stdout, stderr io.Writer) int, signals ...os.Signal) {
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Command is a program that Main runs.
type Command struct {
	Name    string
	Usage   string // is printed for -h
	Signals string // those that Main gets, as in "Ctrl-C or SIGTERM"
}

// InputError is an error that the user mends, by another command line.
type InputError struct{ err error }

func (e *InputError) Error() string { return e.err.Error() }
func (e *InputError) Unwrap() error { return e.err }

// BadInput returns an InputError with the text and the errors that fmt.Errorf makes
// of its arguments.
func BadInput(format string, args ...any) error {
	return &InputError{fmt.Errorf(format, args...)}
}

// Flags returns a set of flags that prints nothing by itself: Parse returns what is
// wrong, and Status prints it.
func (c Command) Flags() *flag.FlagSet {
	flags := flag.NewFlagSet(c.Name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

// Parse parses the flags. Its error is an InputError, also that for -h.
func Parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return &InputError{err}
	}
	return nil
}

// Status prints the usage if err says that it was asked for, or else err, if there
// is one, and returns the exit status: 0 for success and for the usage, 2 for an
// InputError, 130 if ctx has ended, and 1 for any other error.
func (c Command) Status(ctx context.Context, err error, stdout, stderr io.Writer) int {
	var bad *InputError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, c.Usage)
		return 0
	case ctx.Err() != nil:
		fmt.Fprintf(stderr, "%s: stopped with %s%s\n", c.Name, c.Signals, progress(ctx, err))
		return 130
	case errors.As(err, &bad):
		fmt.Fprintf(stderr, "%s: %v (-h for help)\n", c.Name, err)
		return 2
	}
	fmt.Fprintf(stderr, "%s: %v\n", c.Name, err)
	return 1
}

// progress returns what err says, with a colon before it, or nothing if err says
// only that ctx has ended.
func progress(ctx context.Context, err error) string {
	if err == ctx.Err() {
		return ""
	}
	return ": " + err.Error()
}
