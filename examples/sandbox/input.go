package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/gofutures/futures/examples/internal/cli"
)

// samples are the programs that are run when no folder is named.
//
//go:embed inputs/*.bas
var samples embed.FS

// maxSource is how long a program may be, in bytes.
const maxSource = 1 << 20

// input is what the command line asks for.
type input struct {
	folder   fs.FS
	programs []string // the names of the files in it
	limits   limits
	verbose  bool
}

// limits are those of a program, and of all of them.
type limits struct {
	timeout time.Duration
	memory  int64 // bytes; 0: none
	workers int
}

// readInput reads the command line and lists the programs.
func readInput(args []string) (input, error) {
	flags := cmd.Flags()
	timeout := flags.Duration("timeout", 2*time.Second, "")
	memory := flags.Int64("memory", 256, "")
	workers := flags.Int("workers", 0, "")
	verbose := flags.Bool("v", false, "")
	if err := cli.Parse(flags, args); err != nil {
		return input{}, err
	}
	switch {
	case *timeout <= 0:
		return input{}, cli.BadInput("-timeout %v: it must be more than 0", *timeout)
	case *memory < 0 || *memory > 1<<40:
		return input{}, cli.BadInput("-memory %d: it must be MiB, or 0 for no limit", *memory)
	case *workers < 0:
		return input{}, cli.BadInput("-workers %d: it must be more than 0, or 0 for one for each core", *workers)
	}
	in := input{limits: limits{*timeout, *memory << 20, *workers}, verbose: *verbose}
	if in.limits.workers == 0 {
		in.limits.workers = runtime.GOMAXPROCS(0)
	}
	return in, in.list(flags.Args())
}

// list finds the programs of the folder that the arguments name.
func (in *input) list(args []string) (err error) {
	if in.folder, err = folderOf(args); err != nil {
		return err
	}
	entries, err := fs.ReadDir(in.folder, ".")
	if err != nil {
		return cli.BadInput("folder %s: %s", args[0], cli.Reason(err))
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".bas") && !e.IsDir() {
			in.programs = append(in.programs, e.Name())
		}
	}
	if len(in.programs) == 0 {
		return cli.BadInput("no program (.bas) in %s", args[0])
	}
	return nil
}

// folderOf returns the folder that the arguments name, or the samples.
func folderOf(args []string) (fs.FS, error) {
	if len(args) == 0 {
		return fs.Sub(samples, "inputs")
	}
	if err := cli.OneFolder(args); err != nil {
		return nil, err
	}
	switch info, err := os.Stat(args[0]); {
	case err != nil:
		return nil, cli.BadInput("folder %s: %s", args[0], cli.Reason(err))
	case !info.IsDir():
		return nil, cli.BadInput("%s is not a folder", args[0])
	}
	return os.DirFS(args[0]), nil
}

// read returns the source of a program.
func (in *input) read(name string) (string, error) {
	info, err := fs.Stat(in.folder, name)
	switch {
	case err != nil:
		return "", errors.New(cli.Reason(err))
	case !info.Mode().IsRegular():
		return "", errors.New("not a regular file") // a named pipe would never end
	case info.Size() > maxSource:
		return "", fmt.Errorf("has %d bytes, more than %d", info.Size(), maxSource)
	}
	source, err := fs.ReadFile(in.folder, name)
	if err != nil {
		return "", errors.New(cli.Reason(err))
	}
	return string(source), nil
}
