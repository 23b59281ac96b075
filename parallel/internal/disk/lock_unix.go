//go:build unix

package disk

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// lockByte locks a byte of f against other processes. It returns false if one of them
// has locked it.
func lockByte(f *os.File, at int64) (bool, error) {
	err := setLock(f, at, unix.F_WRLCK)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return false, nil
	}
	return err == nil, err
}

func unlockByte(f *os.File, at int64) error { return setLock(f, at, unix.F_UNLCK) }

func setLock(f *os.File, at int64, kind int16) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		failed = unix.FcntlFlock(fd, setLockCommand, &unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: at, Len: 1})
	})
	return errors.Join(err, failed)
}
