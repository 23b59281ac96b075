package main

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
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

// inputError is an error that the user mends, by another command line.
type inputError struct{ err error }

func (e *inputError) Error() string { return e.err.Error() }
func (e *inputError) Unwrap() error { return e.err }

func badInput(format string, args ...any) error {
	return &inputError{fmt.Errorf(format, args...)}
}

// readInput reads the command line, lists the pictures and makes the output folder.
func readInput(ctx context.Context, args []string) (input, error) {
	var in input
	flags := flag.NewFlagSet("thumbnails", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error says it all
	flags.StringVar(&in.output, "o", "", "")
	flags.IntVar(&in.size, "size", 128, "")
	flags.IntVar(&in.n, "n", -1, "")
	flags.StringVar(&in.backend, "backend", "threads", "")
	flags.DurationVar(&in.timeout, "timeout", 30*time.Second, "")
	flags.BoolVar(&in.verbose, "v", false, "")
	if err := flags.Parse(args); err != nil {
		return input{}, &inputError{err}
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
		return badInput("-size %d: it must be 1 pixel or more", in.size)
	case in.n == 0:
		return badInput("-n 0: no picture at once is never done; take 1 for one after another, -1 for all CPUs")
	case !slices.Contains([]string{"threads", "processes"}, in.backend):
		return badInput("-backend %s: it must be threads or processes", in.backend)
	case in.timeout < 0:
		return badInput("-timeout %v: it must be more than 0, or 0 for no limit", in.timeout)
	}
	return nil
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
	// A worker process may have another opinion of where it is.
	if folder, err = filepath.Abs(folder); err != nil {
		return "", badInput("folder %s: %s", name, reason(err))
	}
	return folder, nil
}

// goSource returns the source tree of the installed Go. It asks the go command,
// because runtime.GOROOT speaks of the machine that built this program.
func goSource(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	root := strings.TrimSpace(string(out))
	if err != nil || root == "" {
		return "", badInput("found no installed Go to take the pictures of (go env GOROOT: %v); name a folder: thumbnails <folder>", err)
	}
	source := filepath.Join(root, "src")
	if _, err := os.Stat(source); err != nil {
		return "", badInput("the installed Go has no source tree (%s: %s); name a folder: thumbnails <folder>", source, reason(err))
	}
	return source, nil
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
			return badInput("folder %s: %s", in.folder, reason(err))
		case err != nil:
			in.lost = append(in.lost, failure{within(in.folder, path), errRead.Error(), reason(err)})
		case d.IsDir() && isSame(output, path):
			return fs.SkipDir // it has thumbnails already, or may have
		case !d.IsDir() && isPicture(path):
			in.pictures = append(in.pictures, picture{
				Folder: in.folder,
				Name:   within(in.folder, path),
				Size:   in.size,
				Temp:   fmt.Sprintf("%s-%d.tmp", temp, len(in.pictures)),
			})
		}
		return nil
	})
	if err == nil && len(in.pictures) == 0 {
		return badInput("no .png, .jpg or .jpeg file in or below %s", in.folder)
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
		return nil, badInput("-o %s: %s", in.output, reason(err))
	}
	in.output = output
	info, err := os.Stat(output)
	switch {
	case err != nil:
		return nil, nil // prepare makes it, or says why not
	case !info.IsDir():
		return nil, badInput("-o %s: it is a file; name a folder", output)
	}
	for folder := in.folder; ; folder = filepath.Dir(folder) {
		if isSame(info, folder) {
			return nil, badInput("-o %s: the pictures in %s are in it, and thumbnails could replace them; name another folder", output, in.folder)
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
			return badInput("make a temporary folder: %v; name a folder for the thumbnails with -o", err)
		}
	} else if err := os.MkdirAll(in.output, 0o777); err != nil {
		return badInput("-o %s: it cannot be made: %s; name another folder", in.output, reason(err))
	}
	ignoresCase, err := ignoresCase(in.output)
	if err != nil {
		return badInput("-o %s: it cannot be written: %s; name another folder", in.output, reason(err))
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

// within returns path as seen from folder.
func within(folder, path string) string {
	if rel, err := filepath.Rel(folder, path); err == nil {
		return rel
	}
	return path
}
