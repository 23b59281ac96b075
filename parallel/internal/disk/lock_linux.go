package disk

import "golang.org/x/sys/unix"

// setLockCommand is that for locks of the open file: two stores of one process exclude
// each other too, and closing another descriptor of the file gives none back.
const setLockCommand = unix.F_OFD_SETLK
