package main

import (
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"
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

// inputError is an error that the user mends, by another command line.
type inputError struct{ err error }

func (e *inputError) Error() string { return e.err.Error() }
func (e *inputError) Unwrap() error { return e.err }

func badInput(format string, args ...any) error {
	return &inputError{fmt.Errorf(format, args...)}
}

// readInput reads the command line and lists the programs.
func readInput(args []string) (input, error) {
	flags := flag.NewFlagSet("sandbox", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error says it all
	timeout := flags.Duration("timeout", 2*time.Second, "")
	memory := flags.Int64("memory", 256, "")
	workers := flags.Int("workers", 0, "")
	verbose := flags.Bool("v", false, "")
	if err := flags.Parse(args); err != nil {
		return input{}, &inputError{err}
	}
	switch {
	case *timeout <= 0:
		return input{}, badInput("-timeout %v: it must be more than 0", *timeout)
	case *memory < 0 || *memory > 1<<40:
		return input{}, badInput("-memory %d: it must be MiB, or 0 for no limit", *memory)
	case *workers < 0:
		return input{}, badInput("-workers %d: it must be more than 0, or 0 for one for each core", *workers)
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
		return badInput("folder %s: %s", args[0], reason(err))
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".bas") && !e.IsDir() {
			in.programs = append(in.programs, e.Name())
		}
	}
	if len(in.programs) == 0 {
		return badInput("no program (.bas) in %s", args[0])
	}
	return nil
}

// folderOf returns the folder that the arguments name, or the samples.
func folderOf(args []string) (fs.FS, error) {
	if len(args) == 0 {
		return fs.Sub(samples, "inputs")
	}
	if len(args) > 1 {
		return nil, badInput("one folder, please, not %d: %s", len(args), strings.Join(args, " "))
	}
	switch info, err := os.Stat(args[0]); {
	case err != nil:
		return nil, badInput("folder %s: %s", args[0], reason(err))
	case !info.IsDir():
		return nil, badInput("%s is not a folder", args[0])
	}
	return os.DirFS(args[0]), nil
}

// read returns the source of a program.
func (in *input) read(name string) (string, error) {
	info, err := fs.Stat(in.folder, name)
	switch {
	case err != nil:
		return "", errors.New(reason(err))
	case !info.Mode().IsRegular():
		return "", errors.New("not a regular file") // a named pipe would never end
	case info.Size() > maxSource:
		return "", fmt.Errorf("has %d bytes, more than %d", info.Size(), maxSource)
	}
	source, err := fs.ReadFile(in.folder, name)
	if err != nil {
		return "", errors.New(reason(err))
	}
	return string(source), nil
}

// reason returns what err says, without the path that its reader knows already.
func reason(err error) string {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err.Error()
	}
	return err.Error()
}
