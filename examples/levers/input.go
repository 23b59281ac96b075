package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofutures/futures/examples/internal/cli"
)

// input is what the command line asks for.
type input struct {
	folder  string // with symbolic links resolved
	files   []string
	lost    []Failure // folders below that cannot be listed
	verbose bool
	cache   string // folder; "": none
}

// readInput reads the command line and lists the files.
func readInput(ctx context.Context, args []string) (input, error) {
	flags := cmd.Flags()
	var in input
	flags.BoolVar(&in.verbose, "v", false, "")
	flags.Func("cache", "", in.setCache)
	if err := cli.Parse(flags, args); err != nil {
		return input{}, err
	}
	folder, err := cmd.Folder(ctx, flags.Args(), "the source")
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
		return input{}, cli.BadInput("no .go file in or below %s", folder)
	}
	return in, nil
}

// absolute returns the absolute path of a folder, with symbolic links resolved: the
// working directory may be behind one.
func absolute(folder string) (string, error) {
	path, err := filepath.Abs(folder)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", cli.BadInput("folder %s: %s", folder, cli.Reason(err))
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
		return errors.New(cli.Reason(err))
	case err == nil && !info.IsDir():
		return errors.New("it is not a folder")
	}
	in.cache = dir
	return nil
}

// list finds the .go files. What below the folder cannot be listed is a failure
// like that of a file.
func (in *input) list(ctx context.Context) error {
	return filepath.WalkDir(in.folder, func(path string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("list %s: %w", in.folder, ctx.Err())
		case err != nil && path == in.folder:
			return cli.BadInput("folder %s: %s", in.folder, cli.Reason(err))
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
