//go:build unix

package disk

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// foreign returns an error if others than this user can write to a folder: they
// could put there what this program then takes for its own results.
func foreign(about fs.FileInfo) error {
	if about.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%w: its mode is %v, so that others can write to it; chmod go-w, or choose a folder of your own", ErrDistrust, about.Mode().Perm())
	}
	if sys, ok := about.Sys().(*syscall.Stat_t); ok && int(sys.Uid) != os.Geteuid() {
		return fmt.Errorf("%w: it belongs to the user %d, and this process to %d; chown it, or choose a folder of your own", ErrDistrust, sys.Uid, os.Geteuid())
	}
	return nil
}
