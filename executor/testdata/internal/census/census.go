// Package census counts the processes of a program.
package census

import (
	"bytes"
	"fmt"
	"os"
)

// Most is how many processes may be counted. The next ones end at once: a
// program that starts itself without end must not take the machine with it.
const Most = 40

// Count adds this process to the file that the environment names.
func Count() {
	name := os.Getenv("FUTURES_CENSUS")
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	pids, readErr := os.ReadFile(name)
	if err != nil || readErr != nil || bytes.Count(pids, []byte("\n")) > Most {
		fmt.Fprintln(os.Stderr, "census: no more processes:", err, readErr)
		os.Exit(4)
	}
}
