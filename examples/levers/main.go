// Command levers does one job with every lever of this module: it parses all
// Go files of a folder and says what it found, how long that took, and what
// memory it needed. The job is the same function each time; what differs is
// one line in the table of levers.go.
//
//	go run ./examples/levers [-v] [-cache dir] [folder]
//
// With -cache, one more lever keeps what it found in the folder dir. Run it twice:
// the second run answers from there, and parses only what has changed.
package main

import (
	"context"
	"io"
	"os"

	"github.com/gofutures/futures/examples/internal/cli"
	"github.com/gofutures/futures/executor"
)

const usage = `usage: levers [-v] [-cache dir] [folder]

Levers parses every .go file in and below the folder, once with each lever of
this module, checks that all levers give the same answer, and prints what each
of them cost. Without a folder it takes the source tree of the installed Go.

  -v          name all files that failed, not only the first few
  -cache dir  add a lever that keeps its reports in the folder dir, and parses
              only files that have none there
  -h          print this text

The answer
  Lines, functions, the longest function and the most complex one. Functions
  are declared functions and methods; a function literal belongs to the one
  that it is written in. The length of a function is the number of its lines,
  from the word func to the last brace. Its complexity is the cyclomatic one:
  1, and 1 more for each if, for, range, case of a switch or select, && and ||
  (default adds nothing). Of two that are equal, the first in the order of file
  and line is named.

  A file that does not parse, cannot be read, or has disappeared since the
  folder was listed is counted and named, adds nothing else to the answer, and
  stops nothing.

The cost
  All files are read once before the first lever, so that no lever pays for the
  disk. Speed-up is the wall time of the plain loop divided by that of the lever.
  On Linux, memory is the peak of the resident memory of this process while the
  lever worked, which the kernel counts, plus the peak of each of its worker
  processes, if it has any. What processes share, such as the program's code, is
  counted for each. Where the kernel does not count, it is the memory that the
  Go runtime of this process holds, looked at every few milliseconds, so a short
  peak may be missed, and workers are not in it. The head of the column says
  which.

The cache
  With -cache, the last lever looks for the report of each file in the folder
  dir, which it makes if it is not there. Hits are the files whose report it
  found, and misses those that it had to parse: new ones, and those whose size or
  time of modification has changed. Time saved is what parsing the hits had taken,
  one by one, and the wall time has the wait until what is new is safe on the
  disk. The report of a file that cannot be read is not kept; one that has
  disappeared is neither a hit nor a miss. Several runs may use one folder at the
  same time: of two that miss a file, one parses it and the other waits. The
  folder may be removed at any time.

Exit status
  0    all levers gave the same answer, also if files failed
  1    they did not, or a lever failed
  2    bad input: an unknown flag, no such folder, no .go file in it, a cache that
       is not a folder
  130  stopped with Ctrl-C
`

var cmd = cli.Command{Name: "levers", Usage: usage, Signals: "Ctrl-C"}

func main() {
	executor.WorkerMain() // does not return in a worker process
	cli.Main(run, os.Interrupt)
}

// run is main, with the exit status as its result.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	in, err := readInput(ctx, args)
	if err == nil {
		err = compare(ctx, leversFor(in), in, stdout, stderr)
	}
	return cmd.Status(ctx, err, stdout, stderr)
}

// compare does the job with each lever and prints the answer and the costs.
func compare(ctx context.Context, levers []lever, in input, stdout, stderr io.Writer) error {
	if err := warm(ctx, in.files, newProgress(stderr, "reading", len(in.files))); err != nil {
		return err
	}
	gauge := newGauge()
	var runs []measured
	for _, l := range levers {
		m, err := measure(ctx, l, in, gauge, newProgress(stderr, l.name, len(in.files)))
		if err != nil {
			return err
		}
		runs = append(runs, m)
	}
	if err := sameAnswer(runs, in.folder); err != nil {
		return err
	}
	printAnswer(stdout, in, runs[0].total)
	printCosts(stdout, gauge.head, runs)
	printFailures(stdout, in, runs[0].total.Failures)
	return nil
}
