package testhelp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// InDir returns a name in a directory that is removed after the test.
func InDir(t *testing.T, name string) string {
	t.Helper()
	return filepath.Join(t.TempDir(), name)
}

// HoldUntil returns when there is a file of that name: a call that is to go on when
// the test says so waits in it.
func HoldUntil(path string) {
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// Touch makes a file, and so lets the calls go on that wait for it in HoldUntil.
func Touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// AppendLine adds a line to a file, in one write, so that the lines of several
// processes do not mix.
func AppendLine(name, line string) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Close())
}

// LogStart adds the number of an item that starts to a log.
func LogStart(log string, n int) error { return AppendLine(log, fmt.Sprint(n)) }

// Starts returns the numbers in a log, in order.
func Starts(t *testing.T, log string) []string {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Fields(string(text))
}
