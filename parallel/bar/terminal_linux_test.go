package bar

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/gofutures/futures/parallel"
)

// terminal opens a pseudo terminal so many columns wide: both of its ends.
func terminal(t *testing.T, columns uint16) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("this system has no pseudo terminals:", err)
	}
	t.Cleanup(func() { screen.Close() })
	fd := int(screen.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatal(err)
	}
	return screen, tty
}

// written returns what was written to a terminal, to the end of a line.
func written(t *testing.T, screen *os.File) *bytes.Buffer {
	t.Helper()
	var all bytes.Buffer
	buffer := make([]byte, 4096)
	for !bytes.HasSuffix(all.Bytes(), []byte("\n")) {
		n, err := screen.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(buffer[:n])
	}
	return &all
}

func TestBarIsShownOnATerminal(t *testing.T) {
	screen, tty := terminal(t, 80)
	b := New(tty, "shrink")
	b.Report(parallel.Stats{Total: 4})
	b.Report(parallel.Stats{Done: 1, Total: 4, Rate: 100, Remaining: 30 * time.Millisecond})
	b.Close()
	check(t, written(t, screen), "  25% |======>                       |  shrink: 1/4, 100/s, 1s left", "")
}

func TestLineIsNeverLongerThanTheTerminal(t *testing.T) {
	for _, columns := range []uint16{1, 20, 40, 60} {
		screen, tty := terminal(t, columns)
		b := New(tty, "shrink")
		b.Report(parallel.Stats{Done: 18, Failed: 1, Rate: 12})
		b.Report(parallel.Stats{Done: 40, Failed: 1, Total: 40, Rate: 12})
		b.Close()
		for _, line := range shown(written(t, screen).String()) {
			if n := utf8.RuneCountInString(line); n > int(columns) && columns > uint16(around) {
				t.Errorf("on %d columns, a line has %d: %q", columns, n, line)
			}
		}
	}
}
