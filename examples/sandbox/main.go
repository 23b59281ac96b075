// Command sandbox shows the reason for worker processes: it runs a folder of
// small programs, of which some loop for ever, crash, or eat all memory. Each
// good one gets its result, each bad one an error that says what happened.
//
//	go run ./examples/sandbox [-timeout 2s] [-memory 256] [-workers 0] [-v] [folder]
package main

import (
	"context"
	"io"
	"os"

	"github.com/gofutures/futures/examples/internal/cli"
	"github.com/gofutures/futures/executor"
)

const usage = `usage: sandbox [-timeout 2s] [-memory 256] [-workers 0] [-v] [folder]

Sandbox runs every program, a file that ends in .bas, of the folder, each in a
worker process of its own, and prints what came of it. A program that does not
end, crashes, or eats all memory fails alone. Without a folder it runs the
samples that it brings along.

  -timeout  how long a program may take, the start of its worker included
  -memory   the resident memory of its process, in MiB; 0: no limit.
            It is watched on Linux only
  -workers  how many programs run at once; 0: as many as there are cores
  -v        print the whole error of each program that has one
  -h        print this text

It is no jail. A program may do with files and the network what you may: this
is about accidents, and not about malice.

The programs
  are in a small BASIC. A line has a number and one statement. Expressions are
  those of Go, of integers and strings: + - * / % == < > ( )

    LET name = e      PRINT e, e      IF e THEN line      GOTO line
    GOSUB line        RETURN          END e               REM comment
    LOCK              waits for the one lock, and takes it
    TIMER ms, line    runs from line on, after a while and beside the program
    SHELL e           runs a command
    EXIT e            ends the process
    PEEK(e)           the byte at an address
    CHR(e)            a string of one byte

  Its interpreter knows no limits and trusts the programs. What they print is
  dropped; what counts is the e of END.

The outcomes
  result          it has ended
  error           the interpreter does not take it
  panic           the interpreter panicked
  timeout         it ran on, and its process was killed; with where it was, if
                  that is known
  memory          it was over the limit, and its process was killed
  stack overflow, segfault, crash
                  the Go runtime ended its process; a panic that nobody can
                  recover, on another goroutine, is a crash
  exit            its process ended with that exit code
  signal          its process was killed

Exit status
  0    every program has an outcome, a good or a bad one
  1    some have none: no worker process could be started, for one
  2    bad input: an unknown flag, no such folder, no program in it
  130  stopped with Ctrl-C
`

var cmd = cli.Command{Name: "sandbox", Usage: usage, Signals: "Ctrl-C"}

func main() {
	executor.WorkerMain() // does not return in a worker process
	cli.Main(run, os.Interrupt)
}

// run is main, with the exit status as its result.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	in, err := readInput(args)
	if err == nil {
		err = report(ctx, in, stdout)
		if err != nil && ctx.Err() != nil {
			err = ctx.Err() // which program was the first that did not end does not matter
		}
	}
	return cmd.Status(ctx, err, stdout, stderr)
}
