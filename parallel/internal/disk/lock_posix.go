//go:build unix && !linux

package disk

import "golang.org/x/sys/unix"

// setLockCommand is that for locks of the process: two stores of one process on one
// folder do not exclude each other, and may compute the same thing.
const setLockCommand = unix.F_SETLK
