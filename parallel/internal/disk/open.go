package disk

import (
	"errors"
	"io/fs"
	"os"
)

// errNoFile is the error of something that is no regular file.
var errNoFile = errors.New("it is no regular file")

// openFile opens a regular file, and makes it if the flags say so. For anything else
// in its place it returns an error: a pipe or a device could be waited for without an
// end, and a link leads out of the folder.
func openFile(path string, flags int) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(path, flags|atOnce, 0o600)
	if err != nil {
		return nil, nil, err
	}
	about, err := f.Stat()
	if err == nil && !about.Mode().IsRegular() {
		err = errNoFile
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, about, nil
}

// blames reports whether err, of reading the file at path, is that file's fault. Else
// it is that of a folder above or of this process, which may have too many files open,
// and another file would fare no better.
func blames(path string, err error) bool {
	if p, ok := errors.AsType[*fs.PathError](err); !ok || p.Op != "open" {
		return true
	}
	about, missing := os.Lstat(path)
	return missing == nil && (!about.Mode().IsRegular() || errors.Is(err, fs.ErrPermission))
}
