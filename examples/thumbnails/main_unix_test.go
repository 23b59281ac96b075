//go:build unix

package main

import (
	"bytes"
	"fmt"
	"image"
	"image/draw"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestSignalLeavesWholeThumbnailsAndNothingElse(t *testing.T) {
	const n = 400
	in := t.TempDir()
	first := write(t, in, "000.png", pngOf(t, noise(200, 200)))
	for i := 1; i < n; i++ {
		if err := os.Link(first, filepath.Join(in, fmt.Sprintf("%03d.png", i))); err != nil {
			t.Skip("this file system has no links:", err)
		}
	}
	for _, c := range []struct {
		backend string
		signal  syscall.Signal
		after   int // thumbnails
	}{
		{"threads", syscall.SIGINT, 1},
		{"threads", syscall.SIGTERM, 5},
		{"processes", syscall.SIGINT, 3},
	} {
		t.Run(c.backend+" "+c.signal.String(), func(t *testing.T) {
			out := t.TempDir()
			cmd, stderr := command(t, "-n", "2", "-backend", c.backend, "-o", out, in)
			waitFor(t, func() bool {
				thumbnails, err := filepath.Glob(filepath.Join(out, "*.png"))
				return len(thumbnails) >= c.after || err != nil
			})
			// As a terminal does it: to all processes.
			if err := syscall.Kill(-cmd.Process.Pid, c.signal); err != nil {
				t.Fatal(err)
			}
			err := cmd.Wait()
			if status := cmd.ProcessState.ExitCode(); status != 130 || !strings.Contains(stderr.String(), " of 400 pictures were done by then") {
				t.Errorf("%v, stderr %q; want 130, and how far it was", err, stderr)
			}
			files := tree(t, out)
			if len(files) < c.after || len(files) == n {
				t.Errorf("%d thumbnails, want %d or more, but not all", len(files), c.after)
			}
			for name, content := range files {
				if _, _, err := image.Decode(bytes.NewReader(content)); err != nil || !strings.HasSuffix(name, ".png") {
					t.Errorf("%s is left, and decodes: %v", name, err)
				}
			}
			waitFor(t, func() bool { return syscall.Kill(-cmd.Process.Pid, 0) == syscall.ESRCH }) // nobody is left
		})
	}
}

// noise returns a picture that takes a while.
func noise(width, height int) image.Image {
	picture := image.NewNRGBA(image.Rect(0, 0, width, height))
	draw.Draw(picture, picture.Bounds(), image.White, image.Point{}, draw.Src)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range picture.Pix {
		if i%4 < 3 {
			picture.Pix[i] = uint8(random.Uint32())
		}
	}
	return picture
}

// command starts this program as the command, in a process group of its own.
func command(t *testing.T, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), asMain+"=1")
	cmd.Stderr = &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil { // the test has failed before it waited
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			_ = cmd.Wait()
		}
	})
	return cmd, &stderr
}

func waitFor(t *testing.T, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited for a minute")
		}
	}
}

func TestWhatIsNoFileFails(t *testing.T) {
	in, out := folderWith(t, 1), t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(in, "pipe.png"), 0o666); err != nil {
		t.Skip("this file system has no named pipes:", err)
	}
	for link, target := range map[string]string{"dangling.png": "nowhere", "folder.png": ".", "good.png": "0.png"} {
		if err := os.Symlink(target, filepath.Join(in, link)); err != nil {
			t.Fatal(err)
		}
	}
	stdout, _ := mustRun(t, 0, "-o", out, in)
	checkLines(t, stdout, "5 pictures of ", "thumbnails in ", "2 thumbnails, 3 failed (cannot be read: 3); ",
		"  dangling.png: cannot be read: no such file or directory",
		"  folder.png: cannot be read: not a regular file",
		"  pipe.png: cannot be read: not a regular file")
}

func TestWhatTheUserMayNotReadFails(t *testing.T) {
	in, out := folderWith(t, 2), t.TempDir()
	write(t, in, "sub/a.png", pngOf(t, flat(1, 1)))
	locked, folder := filepath.Join(in, "1.png"), filepath.Join(in, "sub")
	for _, path := range []string{locked, folder} {
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(path, 0o777) }) // so that it can be removed
	}
	if f, err := os.Open(locked); err == nil {
		f.Close()
		t.Skip("this user may read every file: root")
	}
	stdout, _ := mustRun(t, 0, "-o", out, in)
	checkLines(t, stdout, "2 pictures of ", "thumbnails in ", "1 thumbnails, 2 failed (cannot be read: 2); ",
		"  1.png: cannot be read: permission denied", "  sub: cannot be read: permission denied")
}
