package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofutures/futures/examples/internal/cli"
)

// input is what the command line asks for.
type input struct {
	folder   string // with symbolic links resolved
	output   string
	pictures []picture
	size     int
	n        int
	backend  string
	timeout  time.Duration
	verbose  bool
	lost     []failure // folders below that cannot be listed
}

// readInput reads the command line, lists the pictures and makes the output folder.
func readInput(ctx context.Context, args []string) (input, error) {
	var in input
	flags := cmd.Flags()
	flags.StringVar(&in.output, "o", "", "")
	flags.IntVar(&in.size, "size", 128, "")
	flags.IntVar(&in.n, "n", -1, "")
	flags.StringVar(&in.backend, "backend", "threads", "")
	flags.DurationVar(&in.timeout, "timeout", 30*time.Second, "")
	flags.BoolVar(&in.verbose, "v", false, "")
	if err := cli.Parse(flags, args); err != nil {
		return input{}, err
	}
	if err := in.check(); err != nil {
		return input{}, err
	}
	var err error
	if in.folder, err = folderOf(ctx, flags.Args()); err != nil {
		return input{}, err
	}
	if err := in.list(ctx); err != nil {
		return input{}, err
	}
	return in, in.prepare()
}

// check returns what is wrong with the flags.
func (in *input) check() error {
	switch {
	case in.size < 1:
		return cli.BadInput("-size %d: it must be 1 pixel or more", in.size)
	case in.n == 0:
		return cli.BadInput("-n 0: no picture at once is never done; take 1 for one after another, -1 for all CPUs")
	case !slices.Contains([]string{"threads", "processes"}, in.backend):
		return cli.BadInput("-backend %s: it must be threads or processes", in.backend)
	case in.timeout < 0:
		return cli.BadInput("-timeout %v: it must be more than 0, or 0 for no limit", in.timeout)
	}
	return nil
}

// folderOf returns the absolute path of the folder that the arguments name.
func folderOf(ctx context.Context, args []string) (string, error) {
	folder, err := cmd.Folder(ctx, args, "the pictures")
	if err != nil {
		return "", err
	}
	// A worker process may have another opinion of where it is.
	path, err := filepath.Abs(folder)
	if err != nil {
		return "", cli.BadInput("folder %s: %s", folder, cli.Reason(err))
	}
	return path, nil
}

// list finds the pictures. What below the folder cannot be listed is a failure like
// that of a picture.
func (in *input) list(ctx context.Context) error {
	output, err := in.findOutput()
	if err != nil {
		return err
	}
	temp := ".thumbnail-" + strings.ToLower(rand.Text()[:8])
	err = filepath.WalkDir(in.folder, func(path string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("list %s: %w", in.folder, ctx.Err())
		case err != nil && path == in.folder:
			return cli.BadInput("folder %s: %s", in.folder, cli.Reason(err))
		case err != nil:
			in.lost = append(in.lost, failure{cli.Within(in.folder, path), errRead.Error(), cli.Reason(err)})
		case d.IsDir() && isSame(output, path):
			return fs.SkipDir // it has thumbnails already, or may have
		case !d.IsDir() && isPicture(path):
			in.pictures = append(in.pictures, picture{
				Folder: in.folder,
				Name:   cli.Within(in.folder, path),
				Size:   in.size,
				Temp:   fmt.Sprintf("%s-%d.tmp", temp, len(in.pictures)),
			})
		}
		return nil
	})
	if err == nil && len(in.pictures) == 0 {
		return cli.BadInput("no .png, .jpg or .jpeg file in or below %s", in.folder)
	}
	return err
}

func isPicture(path string) bool {
	return slices.Contains([]string{".png", ".jpg", ".jpeg"}, strings.ToLower(filepath.Ext(path)))
}

// isSame reports whether the file at path is that of info, if there is one: also by
// another name, such as one in other case.
func isSame(info fs.FileInfo, path string) bool {
	if info == nil {
		return false
	}
	other, err := os.Stat(path)
	return err == nil && os.SameFile(info, other)
}

// findOutput returns what the output folder is, nil if it is not there yet, and an
// error if thumbnails in it could replace pictures.
func (in *input) findOutput() (fs.FileInfo, error) {
	if in.output == "" {
		return nil, nil
	}
	output, err := filepath.Abs(in.output)
	if err != nil {
		return nil, cli.BadInput("-o %s: %s", in.output, cli.Reason(err))
	}
	in.output = output
	info, err := os.Stat(output)
	switch {
	case err != nil:
		return nil, nil // prepare makes it, or says why not
	case !info.IsDir():
		return nil, cli.BadInput("-o %s: it is a file; name a folder", output)
	}
	for folder := in.folder; ; folder = filepath.Dir(folder) {
		if isSame(info, folder) {
			return nil, cli.BadInput("-o %s: the pictures in %s are in it, and thumbnails could replace them; name another folder", output, in.folder)
		}
		if folder == filepath.Dir(folder) {
			return info, nil
		}
	}
}

// prepare makes the output folder, finds out whether it can be written, and which
// pictures would have the same name in it.
func (in *input) prepare() (err error) {
	if in.output == "" {
		if in.output, err = os.MkdirTemp("", "thumbnails-"); err != nil {
			return cli.BadInput("make a temporary folder: %v; name a folder for the thumbnails with -o", err)
		}
	} else if err := os.MkdirAll(in.output, 0o777); err != nil {
		return cli.BadInput("-o %s: it cannot be made: %s; name another folder", in.output, cli.Reason(err))
	}
	ignoresCase, err := ignoresCase(in.output)
	if err != nil {
		return cli.BadInput("-o %s: it cannot be written: %s; name another folder", in.output, cli.Reason(err))
	}
	for i := range in.pictures {
		in.pictures[i].Output = in.output
	}
	if ignoresCase {
		markSame(in.pictures)
	}
	return nil
}

// ignoresCase finds out whether a folder takes names that differ only in case for
// the same.
func ignoresCase(folder string) (bool, error) {
	f, err := os.CreateTemp(folder, ".thumbnail-*.tmp")
	if err != nil {
		return false, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	_, err = os.Stat(filepath.Join(folder, strings.ToUpper(filepath.Base(f.Name()))))
	return err == nil, nil
}

// markSame marks the pictures whose names differ only in case from that of one
// before.
func markSame(pictures []picture) {
	first := make(map[string]string)
	for i, p := range pictures {
		folded := strings.ToLower(p.Name)
		if other, ok := first[folded]; ok {
			pictures[i].SameAs = other
		} else {
			first[folded] = p.Name
		}
	}
}
