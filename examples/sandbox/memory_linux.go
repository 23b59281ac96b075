package main

import (
	"bytes"
	"os"
	"strconv"
)

// peak returns the peak of the resident memory of this process, which the
// kernel counts.
func peak() string {
	status, _ := os.ReadFile("/proc/self/status")
	_, after, _ := bytes.Cut(status, []byte("\nVmHWM:"))
	line, _, _ := bytes.Cut(after, []byte(" kB\n"))
	kib, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 10, 64)
	if err != nil {
		return "not known"
	}
	return mebibytes(kib << 10)
}
