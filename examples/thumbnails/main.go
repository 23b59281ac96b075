// Command thumbnails makes a small picture of each PNG and JPEG file of a folder,
// several at once, with a bar that says how far it is. It shows package parallel in
// a program that people use: pictures that are broken or too large stop nothing, and
// Ctrl-C leaves nothing behind that is not whole.
//
//	go run . [-o folder] [-size 128] [-n -1] [-backend threads] [-timeout 30s] [-v] [folder]
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/gofutures/futures/examples/internal/cli"
	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/parallel"
	"github.com/gofutures/futures/parallel/bar"
)

const usage = `usage: thumbnails [-o folder] [-size 128] [-n -1] [-backend threads] [-timeout 30s] [-v] [folder]

Thumbnails makes a small picture of each PNG and JPEG file in and below the
folder. Without a folder it takes the pictures in the source tree of the
installed Go.

  -o        the folder for the thumbnails; it is made if need be. Without it, a
            new temporary folder, whose name is printed
  -size     the longest edge of a thumbnail, in pixels
  -n        how many pictures at once, as joblib counts: 1 is one after another,
            -1 as many as there are CPUs, -2 one less
  -backend  what makes them: threads, or processes, which can be killed
  -timeout  how long a picture may take; 0s: no limit. Then decoding stops at
            once. Scaling does not, with threads; a process is killed
  -v        name all pictures that failed, not only the first few
  -h        print this text

The thumbnails
  have the names of the pictures, in folders as theirs, and the format that the
  picture really has. One that is there already is replaced. A picture that is
  small enough is copied as it is, and never enlarged. Others lose what is not
  picture, such as the orientation that a camera has noted: turn them before.

  Each is written to a temporary file beside its place, and renamed when it is
  whole and on the disk. Nothing is written outside the output folder, also if
  there are links in it. If it is in the input folder, it is left out there.

The pictures that fail
  are counted and named, and stop nothing: those that do not decode, have more
  than 100 megapixels, cannot be read, or take too long, those whose thumbnail
  cannot be written because a folder is in its place, and those whose name
  differs only in case from that of another, where the file system of the
  output folder takes the two for the same.

Exit status
  0    every picture has been tried, also if some have failed
  1    not one thumbnail could be made
  2    bad input: an unknown flag, no such folder, no picture in it, an output
       folder that cannot be written
  130  stopped with Ctrl-C or SIGTERM: what is in the output folder is whole, and
       no temporary file is left. A second one ends the program at once, and may
       leave one
`

var cmd = cli.Command{Name: "thumbnails", Usage: usage, Signals: "Ctrl-C or SIGTERM"}

func main() {
	executor.WorkerMain() // does not return in a worker process
	cli.Main(run, os.Interrupt, syscall.SIGTERM)
}

// run is main, with the exit status as its result.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	in, err := readInput(ctx, args)
	if err == nil {
		err = shrinkAll(ctx, in, stdout, stderr)
	}
	return cmd.Status(ctx, err, stdout, stderr)
}

// shrinkAll makes the thumbnails and prints what came of it.
func shrinkAll(ctx context.Context, in input, stdout, stderr io.Writer) error {
	fmt.Fprintf(stdout, "%s pictures of %s\nthumbnails in %s\n", cli.Thousands(len(in.pictures)), in.folder, in.output)
	defer sweep(in)
	start := time.Now()
	b := bar.New(stderr, "thumbnails")
	defer b.Close() // also if a panic comes by
	var done parallel.Stats
	sizes, err := makeAll(ctx, in, func(s parallel.Stats) {
		if ctx.Err() == nil { // later, calls fail because they are stopped
			done = s
		}
		b.Report(s)
	})
	b.Close()

	var failed executor.ItemErrors
	switch {
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return fmt.Errorf("%s of %s pictures were done by then, of which %s failed; the thumbnails in %s are whole",
			cli.Thousands(done.Done), cli.Thousands(len(in.pictures)), cli.Thousands(done.Failed), in.output)
	case err != nil && !errors.As(err, &failed):
		return err
	}
	s := summaryOf(in, sizes, failed)
	s.wall = time.Since(start)
	s.print(stdout, in)
	if s.made == 0 {
		return fmt.Errorf("not one of %s pictures has a thumbnail", cli.Thousands(len(in.pictures)))
	}
	return nil
}

// makeAll makes the thumbnails, and returns the sizes of all and the errors of some.
func makeAll(ctx context.Context, in input, progress func(parallel.Stats)) ([]sizes, error) {
	calls := make([]parallel.Call[sizes], len(in.pictures))
	for i, p := range in.pictures {
		calls[i] = parallel.Delayed(shrink, p)
	}
	ctx = parallel.WithConfig(ctx, parallel.Jobs{
		Backend:  in.backend,
		Timeout:  in.timeout,
		OnError:  parallel.CollectErrors,
		Progress: progress,
	})
	// Not Run, which takes its calls one by one: the bar is to know their number.
	return parallel.Parallel(ctx, in.n, calls...)
}
