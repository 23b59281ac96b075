//go:build unix

package disk

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// refuse returns an error if others than this user can write to a folder: they could
// put there what this program then takes for its own results. So it does if this user
// cannot read it, which would else be found out for each result anew.
func refuse(about fs.FileInfo) error {
	mode := about.Mode().Perm()
	if mode&0o022 != 0 {
		return fmt.Errorf("%w: its mode is %v, so that others can write to it; chmod go-w, or choose a folder of your own", ErrNotUsed, mode)
	}
	if sys, ok := about.Sys().(*syscall.Stat_t); ok && int(sys.Uid) != os.Geteuid() {
		return fmt.Errorf("%w: it belongs to the user %d, and this process to %d; chown it, or choose a folder of your own", ErrNotUsed, sys.Uid, os.Geteuid())
	}
	if mode&0o500 != 0o500 && os.Geteuid() != 0 {
		return fmt.Errorf("%w: its mode is %v, so that its owner cannot read it; chmod u+rx", ErrNotUsed, mode)
	}
	return nil
}
