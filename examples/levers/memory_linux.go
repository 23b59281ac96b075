package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// resetPeak makes the kernel forget the peak of the resident memory so far. A
// container may not permit it.
func resetPeak() error {
	f, err := os.OpenFile("/proc/self/clear_refs", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString("5")
	return err
}

// readPeak returns the peak of the resident memory of a process, in bytes: since
// its start, or since resetPeak. It is 0 if the process has ended.
func readPeak(pid string) uint64 {
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0
	}
	_, after, _ := bytes.Cut(status, []byte("\nVmHWM:"))
	line, _, _ := bytes.Cut(after, []byte(" kB\n"))
	kib, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}

// children returns the numbers of the processes that this one has started. The
// kernel lists them by the thread that did, if it was built to list them.
func children() (pids []string, err error) {
	files, err := filepath.Glob("/proc/self/task/*/children")
	if len(files) == 0 {
		return nil, errors.Join(errors.ErrUnsupported, err)
	}
	for _, file := range files {
		text, _ := os.ReadFile(file) // of a thread that has ended, there is none
		pids = append(pids, strings.Fields(string(text))...)
	}
	return pids, nil
}
