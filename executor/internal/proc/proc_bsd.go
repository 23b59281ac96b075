//go:build unix && !linux

package proc

import (
	"os"
	"time"
)

// unread returns how many bytes of a pipe were not read at most: no pipe holds more.
func unread(*os.File) int { return 1 << 20 }

// await waits a little for the end of p, which has closed its pipe and is about to
// end: what is left of its group is ended before it is reaped, while its number is
// its own.
func await(*os.Process) (hasEnded bool) {
	time.Sleep(time.Millisecond)
	return false
}
