//go:build unix

package disk

import "syscall"

// atOnce are the flags of an open that does not wait for the other end of a pipe, and
// does not follow a link. Regular files are read and written as ever.
const atOnce = syscall.O_NONBLOCK | syscall.O_NOFOLLOW
