package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gofutures/futures/examples/internal/cli"
)

// syncFile brings a file to the disk. Tests stop here, where the temporary file is
// whole and the thumbnail is not there.
var syncFile = (*os.File).Sync

// write makes a file of a thumbnail, whole or not at all, and returns its size.
//
// Root keeps it in the output folder. A link there could lead to where the pictures
// are, which have the same names.
func (p picture) write(ctx context.Context, content io.Reader) (n int64, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w: %s", errWrite, cli.Reason(err))
		}
	}()
	root, err := os.OpenRoot(p.Output)
	if err != nil {
		return 0, err
	}
	defer root.Close()
	if err := root.MkdirAll(filepath.Dir(p.Name), 0o777); err != nil {
		return 0, err
	}
	if n, err = p.writeTemp(root, content); err == nil {
		err = ctx.Err() // what is stopped makes no thumbnail any more
	}
	if err == nil {
		err = root.Rename(p.temp(), p.Name)
	}
	if err != nil {
		_ = root.Remove(p.temp()) // it may not be there
	}
	return n, err
}

// temp is where the temporary file is, below Output.
func (p picture) temp() string { return filepath.Join(filepath.Dir(p.Name), p.Temp) }

func (p picture) writeTemp(root *os.Root, content io.Reader) (n int64, err error) {
	f, err := root.OpenFile(p.temp(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return 0, err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	if n, err = io.Copy(f, content); err != nil {
		return n, err
	}
	return n, syncFile(f)
}

// sweep removes the temporary files of worker processes that were killed. It is
// called when no call runs any more.
func sweep(in input) {
	root, err := os.OpenRoot(in.output)
	if err != nil {
		return // then there is none
	}
	defer root.Close()
	for _, p := range in.pictures {
		_ = root.Remove(p.temp())
	}
}
