// Command sidebyside measures this library beside its peers, in one run, and prints one
// table: goroutines beside ants, pond, conc, workerpool, errgroup and what is written by
// hand, and processes beside CPython's ProcessPoolExecutor, multiprocessing.Pool and
// joblib, where they are installed.
//
//	go run . [-rounds 5] [-quick] [-run regexp] [-python python3] [-out folder]
//	go run . -grow [-inflight 1000000]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gofutures/futures/executor"
)

const usage = `usage: sidebyside [-rounds 5] [-quick] [-run regexp] [-python python3] [-out folder]
       sidebyside -grow [-inflight 1000000] [...]

Sidebyside measures this library beside its peers, in one run, and prints one
table. It takes about five minutes, and -grow and -out more.

  -rounds    how often each contender is measured
  -quick     small sizes, to see that all of it works: the figures mean little
  -run       only the rows whose name matches
  -python    the CPython to compare with; "": none
  -out       the folder for plots of the time of a call against the number of
             workers and against the size of a call, as SVG; it is made if need
             be. Without it, nothing is plotted
  -grow      instead of the table: what a call costs with 1 to 64 workers, with
             1,000 to 10,000,000 calls (of 1,000,000 and more, not with all
             peers), and with 1 to all CPUs
  -inflight  with -grow, how many calls wait at once: of more calls, so many
             are submitted and their results taken, again and again. 10,000,000
             need a GiB or more, and some peers many times that
  -h         print this text

How it is measured
  All contenders of a row do the same work, with the defaults of their library,
  as its users write it, and their results are checked. They take turns: each
  round has all of them, begins with another one than the round before, and goes
  the other way round. Before each is a garbage collection. The first round is
  not counted. Python's time is measured in Python, and its workers are forked,
  where there is fork. Joblib sends calls in batches, also those of "submit and
  result". Big arguments are sent as often before it counts as when it does. The
  start of workers and their memory are those of a small program and of a fresh
  interpreter: what a program has loaded, its workers have too. Of calls to
  processes, Python makes fewer in a round, because they take longer.

The table
  Cost is the median of the rounds, and spread how far they lie apart: the
  greatest minus the smallest, divided by the median. Ours/this is the cost of
  the first contender, which is this library, divided by that of the line: the
  median of the ratios of the rounds. A goal is met if that is at most the goal.
  On a machine that does something else too, a ratio is not exact: then "within
  1.3" says that it is missed by no more than that. Allocs and bytes are those
  of one call, of all goroutines together; of Python and worker processes,
  they are not known.

What is not in it
  Arguments that are made in shared memory, where memory cannot be shared:
  everywhere but on Linux.

Exit status
  0    all that could be measured is, whether goals are met or not
  1    a contender failed or gave a wrong result
  2    bad input
  130  stopped with Ctrl-C or SIGTERM
`

func main() {
	executor.WorkerMain() // does not return in a worker process
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program the hard way
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main, with the exit status as its result.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	in, err := readInput(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return 0
	case err == nil:
		err = measureAll(ctx, in, stdout)
	}
	var bad *inputError
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "sidebyside: stopped with Ctrl-C or SIGTERM:", err)
		return 130
	case errors.As(err, &bad):
		fmt.Fprintf(stderr, "sidebyside: %v (-h for help)\n", err)
		return 2
	}
	fmt.Fprintln(stderr, "sidebyside:", err)
	return 1
}

// input is what the flags say.
type input struct {
	rounds   int
	sizes    sizes
	run      *regexp.Regexp
	python   string
	out      string
	grow     bool
	inFlight int
}

// An inputError says what is wrong with the flags.
type inputError struct{ text string }

func (e *inputError) Error() string { return e.text }

func readInput(args []string) (input, error) {
	in := input{sizes: fullSizes}
	flags := flag.NewFlagSet("sidebyside", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.IntVar(&in.rounds, "rounds", 5, "")
	quick := flags.Bool("quick", false, "")
	pattern := flags.String("run", "", "")
	flags.StringVar(&in.python, "python", "python3", "")
	flags.StringVar(&in.out, "out", "", "")
	flags.BoolVar(&in.grow, "grow", false, "")
	flags.IntVar(&in.inFlight, "inflight", 1_000_000, "")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return in, err
	}
	if err == nil && *quick {
		in.sizes = quickSizes
	}
	set := make(map[string]bool)
	flags.Visit(func(f *flag.Flag) { set[f.Name] = true })
	switch {
	case err != nil:
		return in, &inputError{err.Error()}
	case flags.NArg() > 0:
		return in, &inputError{fmt.Sprintf("%q is not a flag, and there are no other arguments", flags.Arg(0))}
	case in.rounds < 1:
		return in, &inputError{fmt.Sprintf("-rounds %d: at least 1", in.rounds)}
	case in.inFlight < 1 || in.inFlight > in.sizes.growMax && set["inflight"]:
		return in, &inputError{fmt.Sprintf("-inflight %d: from 1 to %s", in.inFlight, count(in.sizes.growMax))}
	case set["inflight"] && !in.grow:
		return in, &inputError{"-inflight is for -grow"}
	}
	if in.run, err = regexp.Compile(*pattern); err != nil {
		return in, &inputError{fmt.Sprintf("-run: %v", err)}
	}
	if in.out != "" {
		if info, err := os.Stat(in.out); err == nil && !info.IsDir() {
			return in, &inputError{fmt.Sprintf("-out %s: it is a file; name a folder", in.out)}
		}
		if err := os.MkdirAll(in.out, 0o777); err != nil {
			return in, &inputError{fmt.Sprintf("-out: %v", err)}
		}
	}
	return in, nil
}

// measureAll prints the table, or how the costs grow, and plots.
func measureAll(ctx context.Context, in input, stdout io.Writer) error {
	begin := time.Now()
	ps := startPythons(ctx, in.python)
	defer ps.close()
	if err := ctx.Err(); err != nil {
		return err
	}
	var rows []row
	var sweeps []sweep
	if in.grow {
		sweeps = growSweeps(in.sizes, ps, in.inFlight)
	} else {
		rows = slices.Concat(goroutineRows(in.sizes), processRows(in.sizes, ps))
		if in.out != "" {
			sweeps = plotSweeps(in.sizes, ps)
		}
	}
	names := append(collectNames(rows, func(r row) string { return r.name }), collectNames(sweeps, func(s sweep) string { return s.name })...)
	if !slices.ContainsFunc(names, in.run.MatchString) {
		return &inputError{fmt.Sprintf("-run %s: it matches none of\n  %s\n", in.run, strings.Join(names, "\n  "))}
	}

	printMachine(stdout, ps)
	failures, err := measureRows(ctx, rows, in, stdout)
	if err != nil {
		return err
	}
	more, err := measureSweeps(ctx, sweeps, in, stdout)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "\nMeasured in %.0f s.\n", time.Since(begin).Seconds())
	if failures += more; failures > 0 {
		return fmt.Errorf("%d measures failed; the table says which", failures)
	}
	return nil
}

func collectNames[T any](from []T, name func(T) string) []string {
	names := make([]string, len(from))
	for i, v := range from {
		names[i] = name(v)
	}
	return names
}

// measureRows measures the rows that are wanted, and prints each when it is done. It
// returns how many peers have failed.
func measureRows(ctx context.Context, rows []row, in input, stdout io.Writer) (failures int, _ error) {
	rows = slices.DeleteFunc(rows, func(r row) bool { return !in.run.MatchString(r.name) })
	if len(rows) == 0 {
		return 0, nil
	}
	printHead(stdout, runtime.GOMAXPROCS(0), in.rounds)
	goals := make(tally)
	for _, r := range rows {
		measured, err := measureRow(ctx, r, in.rounds)
		var leftOut *leftOutError
		switch {
		case errors.As(err, &leftOut):
			fmt.Fprintf(stdout, "%s\n  left out: %v\n", r.name, leftOut)
			goals[unknown] += len(r.goals)
		case err != nil:
			return failures, fmt.Errorf("%s: %w", r.name, err)
		default:
			printRow(stdout, measured, goals)
			failures += len(measured.failed)
		}
	}
	printTally(stdout, goals)
	return failures, nil
}

// measureSweeps does that for sweeps, and plots them if there is a folder for it.
func measureSweeps(ctx context.Context, sweeps []sweep, in input, stdout io.Writer) (failures int, _ error) {
	for _, s := range sweeps {
		if !in.run.MatchString(s.name) {
			continue
		}
		curves, failed, err := measureSweep(ctx, s, in.rounds)
		if err != nil {
			return failures, fmt.Errorf("%s: %w", s.name, err)
		}
		printSweep(stdout, s, curves)
		for _, err := range failed {
			fmt.Fprintf(stdout, "  FAILED: %v\n", err)
		}
		failures += len(failed)
		if in.out == "" {
			continue
		}
		path, err := writePlot(in.out, s, curves)
		if err != nil {
			return failures, err
		}
		fmt.Fprintln(stdout, "  plotted in", path)
	}
	return failures, nil
}
