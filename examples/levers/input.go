package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// input is what the command line asks for.
type input struct {
	folder  string // with symbolic links resolved
	files   []string
	lost    []Failure // folders below that cannot be listed
	verbose bool
	cache   string // folder; "": none
}

// inputError is an error that the user mends, by another command line.
type inputError struct{ err error }

func (e *inputError) Error() string { return e.err.Error() }
func (e *inputError) Unwrap() error { return e.err }

func badInput(format string, args ...any) error {
	return &inputError{fmt.Errorf(format, args...)}
}

// readInput reads the command line and lists the files.
func readInput(ctx context.Context, args []string) (input, error) {
	flags := flag.NewFlagSet("levers", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error says it all
	var in input
	flags.BoolVar(&in.verbose, "v", false, "")
	flags.Func("cache", "", in.setCache)
	if err := flags.Parse(args); err != nil {
		return input{}, &inputError{err}
	}
	folder, err := folderOf(ctx, flags.Args())
	if err == nil && in.cache != "" {
		folder, err = absolute(folder) // a cache knows files by their path
	}
	if err != nil {
		return input{}, err
	}
	in.folder = folder
	if err := in.list(ctx); err != nil {
		return input{}, err
	}
	if len(in.files) == 0 {
		return input{}, badInput("no .go file in or below %s", folder)
	}
	return in, nil
}

// folderOf returns the folder that the arguments name.
func folderOf(ctx context.Context, args []string) (string, error) {
	if len(args) > 1 {
		return "", badInput("one folder, please, not %d: %s", len(args), strings.Join(args, " "))
	}
	name := ""
	if len(args) == 1 {
		name = args[0]
	} else {
		var err error
		if name, err = goSource(ctx); err != nil {
			return "", err
		}
	}
	// WalkDir does not follow a link, not even as the root.
	folder, err := filepath.EvalSymlinks(name)
	if err != nil {
		return "", badInput("folder %s: %s", name, reason(err))
	}
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return "", badInput("%s is not a folder", name)
	}
	return folder, nil
}

// absolute returns the absolute path of a folder, with symbolic links resolved: the
// working directory may be behind one.
func absolute(folder string) (string, error) {
	path, err := filepath.Abs(folder)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", badInput("folder %s: %s", folder, reason(err))
	}
	return path, nil
}

// setCache sets the folder of the cache. It need not exist.
func (in *input) setCache(dir string) error {
	if dir == "" {
		return errors.New("name a folder")
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return errors.New(reason(err))
	case err == nil && !info.IsDir():
		return errors.New("it is not a folder")
	}
	in.cache = dir
	return nil
}

// goSource returns the source tree of the installed Go. It asks the go command,
// because runtime.GOROOT speaks of the machine that built this program.
func goSource(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	root := strings.TrimSpace(string(out))
	if err != nil || root == "" {
		return "", badInput("found no installed Go to take the source of (go env GOROOT: %v); name a folder: levers <folder>", err)
	}
	source := filepath.Join(root, "src")
	if _, err := os.Stat(source); err != nil {
		return "", badInput("the installed Go has no source tree (%s: %s); name a folder: levers <folder>", source, reason(err))
	}
	return source, nil
}

// list finds the .go files. What below the folder cannot be listed is a failure
// like that of a file.
func (in *input) list(ctx context.Context) error {
	return filepath.WalkDir(in.folder, func(path string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("list %s: %w", in.folder, ctx.Err())
		case err != nil && path == in.folder:
			return badInput("folder %s: %s", in.folder, reason(err))
		case err != nil:
			in.lost = append(in.lost, unreadable(path, err))
		case !d.IsDir() && strings.HasSuffix(path, ".go"):
			in.files = append(in.files, path)
		}
		return nil
	})
}

// warm reads all files once, so that the first lever does not pay for the disk.
// What cannot be read is left for the levers to report.
func warm(ctx context.Context, files []string, p *progress) error {
	defer p.erase()
	for _, path := range files {
		if ctx.Err() != nil {
			return fmt.Errorf("read the files: %w", ctx.Err())
		}
		_, _ = read(path)
		p.step()
	}
	return nil
}
