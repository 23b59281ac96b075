package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gofutures/futures/examples/internal/cli"
	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/parallel"
)

const (
	asMain = "THUMBNAILS_TEST_MAIN" // the process is the command, not its test
	hold   = "THUMBNAILS_TEST_HOLD" // the end of the name of the temporary file at which it stops for ever
)

func TestMain(m *testing.M) {
	if suffix := os.Getenv(hold); suffix != "" {
		syncFile = func(f *os.File) error {
			if strings.HasSuffix(f.Name(), suffix) {
				select {}
			}
			return f.Sync()
		}
	}
	executor.WorkerMain()
	if os.Getenv(asMain) != "" {
		main()
	}
	if os.Getenv("GORACE") == "" { // by default, each process that the race detector watches sleeps for a second at its end
		os.Setenv("GORACE", "atexit_sleep_ms=0")
	}
	goleak.VerifyTestMain(m)
}

// atSync makes a function run where the temporary file of a picture is whole and its
// thumbnail is not there.
func atSync(t *testing.T, do func(f *os.File) error) {
	t.Helper()
	before := syncFile
	t.Cleanup(func() { syncFile = before })
	syncFile = do
}

// write writes a file and returns its path.
func write(t *testing.T, folder, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(folder, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// tree returns the contents of all files in and below a folder.
func tree(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		files[filepath.ToSlash(cli.Within(folder, path))] = content
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func names(files map[string][]byte) []string { return slices.Sorted(maps.Keys(files)) }

// mustRun runs the command and returns what it prints, without the time.
func mustRun(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if status := run(t.Context(), args, &out, &errs); status != want {
		t.Fatalf("run %q = %d, want %d; stdout:\n%s\nstderr:\n%s", args, status, want, out.String(), errs.String())
	}
	return regexp.MustCompile(`[0-9.]+ s\n`).ReplaceAllString(out.String(), "TIME\n"), errs.String()
}

// checkLines compares lines with their beginnings: their ends may be the system's.
func checkLines(t *testing.T, out string, want ...string) {
	t.Helper()
	got := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	ok := len(got) == len(want)
	for i := 0; ok && i < len(want); i++ {
		ok = strings.HasPrefix(got[i], want[i])
	}
	if !ok {
		t.Errorf("got:\n%s\nwant lines that begin with:\n%s", out, strings.Join(want, "\n"))
	}
}

func TestCommandMakesThumbnailsAndNamesWhatFailed(t *testing.T) {
	in, out := t.TempDir(), filepath.Join(t.TempDir(), "new", "out")
	small := pngOf(t, flat(10, 10))
	write(t, in, "good.png", small)
	write(t, in, "sub/GOOD.JPG", jpegOf(t, flat(150, 100)))
	write(t, in, "bad.jpeg", []byte("no picture"))
	write(t, in, "note.txt", []byte("no picture"))
	write(t, in, "bomb.png", bomb(t))
	stdout, stderr := mustRun(t, 0, "-o", out, in)
	thumbnail := tree(t, out)["sub/GOOD.JPG"]
	checkLines(t, stdout,
		"4 pictures of ",
		"thumbnails in "+out,
		fmt.Sprintf("2 thumbnails, 2 failed (does not decode: 1, too large: 1); %s bytes in, %s bytes out; TIME",
			cli.Thousands(len(small)+len(jpegOf(t, flat(150, 100)))), cli.Thousands(len(small)+len(thumbnail))),
		"  bad.jpeg: does not decode: image: unknown format",
		"  bomb.png: too large: 30000 x 30000 pixels, more than 100 megapixels",
	)
	if stderr != "" {
		t.Errorf("stderr is no terminal, and has %q; want nothing", stderr)
	}
	if got, want := names(tree(t, out)), []string{"good.png", "sub/GOOD.JPG"}; !slices.Equal(got, want) {
		t.Errorf("the output folder has %q, want %q", got, want)
	}
}

func TestTenFailuresAreNamedAndAllWithV(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	for i := range 12 {
		write(t, in, fmt.Sprintf("bad%02d.png", i), nil)
	}
	write(t, in, "good.png", pngOf(t, flat(1, 1)))
	stdout, _ := mustRun(t, 0, "-o", out, in)
	if !strings.Contains(stdout, "bad09.png") || strings.Contains(stdout, "bad10.png") || !strings.HasSuffix(stdout, "  and 2 more; -v names them\n") {
		t.Errorf("want 10 failures and a hint:\n%s", stdout)
	}
	if stdout, _ := mustRun(t, 0, "-v", "-o", out, in); !strings.Contains(stdout, "bad11.png") || strings.Contains(stdout, "more") {
		t.Errorf("want all 12 failures with -v:\n%s", stdout)
	}
}

func TestNotOneThumbnailIsStatus1(t *testing.T) {
	in := t.TempDir()
	write(t, in, "bad.png", nil)
	_, stderr := mustRun(t, 1, "-o", t.TempDir(), in)
	checkLines(t, stderr, "thumbnails: not one of 1 pictures has a thumbnail")
}

func TestWithoutArgumentsThePicturesOfGoGoToATemporaryFolder(t *testing.T) {
	temp := t.TempDir()
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} { // on the different systems
		t.Setenv(name, temp)
	}
	stdout, _ := mustRun(t, 0)
	folders, err := filepath.Glob(filepath.Join(temp, "thumbnails-*"))
	if err != nil || len(folders) != 1 || !strings.Contains(stdout, "thumbnails in "+folders[0]+"\n") {
		t.Fatalf("temporary folders: %q, %v; want one that is printed:\n%s", folders, err, stdout)
	}
	if files := tree(t, folders[0]); len(files) < 10 {
		t.Errorf("it has only %q", names(files))
	}
}

func TestBadInputIsExplainedWithStatus2(t *testing.T) {
	empty, in := t.TempDir(), t.TempDir()
	file := write(t, in, "sub/picture.png", pngOf(t, flat(1, 1)))
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"no such folder", []string{filepath.Join(empty, "none")}, "none: "},
		{"a file", []string{file}, "is not a folder"},
		{"no pictures", []string{empty}, "no .png, .jpg or .jpeg file in or below"},
		{"two folders", []string{empty, empty}, "one folder, please, not 2"},
		{"unknown flag", []string{"-fast"}, "-fast"},
		{"no pixels", []string{"-size", "0"}, "-size 0: it must be 1 pixel or more"},
		{"no jobs", []string{"-n", "0"}, "-n 0: "},
		{"unknown backend", []string{"-backend", "loky"}, "-backend loky: it must be threads or processes"},
		{"negative time", []string{"-timeout", "-1s"}, "-timeout -1s: "},
		{"output is a file", []string{"-o", file, in}, "picture.png: it is a file; name a folder"},
		{"output is below a file", []string{"-o", filepath.Join(file, "out"), in}, "it cannot be made: "},
		{"output is the input", []string{"-o", in, in}, "thumbnails could replace them"},
		{"output has the input in it", []string{"-o", in, filepath.Join(in, "sub")}, "thumbnails could replace them"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, stderr := mustRun(t, 2, c.args...)
			if !strings.Contains(stderr, c.want) || stdout != "" {
				t.Errorf("run %q: stdout %q, stderr %q; want nothing, %q", c.args, stdout, stderr, c.want)
			}
		})
	}
	if got := names(tree(t, in)); !slices.Equal(got, []string{"sub/picture.png"}) {
		t.Errorf("bad input has left %q", got)
	}
}

func TestWithoutGoTheUserIsToldToNameAFolder(t *testing.T) {
	t.Setenv("PATH", "")
	_, stderr := mustRun(t, 2)
	if want := "name a folder: thumbnails <folder>"; !strings.Contains(stderr, want) {
		t.Errorf("stderr %q; want %q", stderr, want)
	}
}

func TestHelpIsNoError(t *testing.T) {
	if stdout, stderr := mustRun(t, 0, "-h"); stdout != usage || stderr != "" {
		t.Errorf("run -h: stdout %q, stderr %q; want the usage", stdout, stderr)
	}
}

func TestBothBackendsMakeTheSame(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	for _, c := range kindsOfPicture(t) {
		write(t, in, c.name, c.content)
	}
	write(t, in, "bad.png", []byte("no picture"))
	write(t, in, "bomb.png", bomb(t))
	threads, _ := mustRun(t, 0, "-v", "-n", "2", "-o", out, in)
	want := tree(t, out)
	processes, _ := mustRun(t, 0, "-v", "-n", "2", "-backend", "processes", "-o", out, in)
	if threads != processes {
		t.Errorf("threads:\n%s\nprocesses:\n%s", threads, processes)
	}
	if !maps.EqualFunc(tree(t, out), want, bytes.Equal) {
		t.Error("the thumbnails of processes differ from those of threads")
	}
}

func TestPictureThatTakesTooLongFailsAlone(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	write(t, in, "a.png", pngOf(t, flat(130, 130)))
	write(t, in, "b.png", pngOf(t, flat(1, 1)))
	atSync(t, func(f *os.File) error {
		if strings.HasSuffix(f.Name(), "-0.tmp") {
			time.Sleep(1100 * time.Millisecond) // it is the slow picture: more than the timeout, which is much for the other
		}
		return nil
	})
	t.Setenv(hold, "-0.tmp") // in a process, it takes for ever
	for _, backend := range []string{"threads", "processes"} {
		stdout, _ := mustRun(t, 0, "-timeout", "1s", "-n", "2", "-backend", backend, "-o", out, in)
		_, failures, _ := strings.Cut(stdout, "\n")
		_, failures, _ = strings.Cut(failures, "\n")
		checkLines(t, failures, "1 thumbnails, 1 failed (timed out: 1); ", "  a.png: timed out: took longer than 1s")
		if got := names(tree(t, out)); !slices.Equal(got, []string{"b.png"}) {
			t.Errorf("%s: the output folder has %q, want b.png alone", backend, got)
		}
	}
}

func TestCtrlCWhileAPictureIsWrittenLeavesNothingOfIt(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	for _, name := range []string{"a.png", "b.png", "c.png", "d.png"} {
		write(t, in, name, pngOf(t, flat(130, 130)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	held := make(chan struct{})
	atSync(t, func(f *os.File) error {
		if strings.HasSuffix(f.Name(), "-2.tmp") {
			close(held)
			<-ctx.Done()
		}
		return nil
	})
	go func() {
		<-held
		cancel()
	}()
	var stdout, stderr bytes.Buffer
	status := run(ctx, []string{"-n", "1", "-o", out, in}, &stdout, &stderr)
	if status != 130 {
		t.Errorf("run = %d, want 130", status)
	}
	checkLines(t, stderr.String(), "thumbnails: stopped with Ctrl-C or SIGTERM: 2 of 4 pictures were done by then, of which 0 failed; the thumbnails in "+out+" are whole")
	if got := names(tree(t, out)); !slices.Equal(got, []string{"a.png", "b.png"}) {
		t.Errorf("the output folder has %q, want a.png and b.png", got)
	}
}

func TestCtrlCBeforeTheBeginningMakesNothing(t *testing.T) {
	in := t.TempDir()
	write(t, in, "a.png", pngOf(t, flat(1, 1)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	out := filepath.Join(t.TempDir(), "out")
	status := run(ctx, []string{"-o", out, in}, &stdout, &stderr)
	if _, err := os.Stat(out); status != 130 || stdout.Len() > 0 || err == nil {
		t.Errorf("run = %d, stdout %q, the output folder is there: %v; want 130 and nothing", status, stdout.String(), err == nil)
	}
}

func TestBarKnowsHowManyPicturesThereAre(t *testing.T) {
	in, err := readInput(t.Context(), []string{"-o", t.TempDir(), folderWith(t, 3)})
	if err != nil {
		t.Fatal(err)
	}
	var totals []int
	_, err = makeAll(t.Context(), in, func(s parallel.Stats) { totals = append(totals, s.Total) })
	if want := []int{3, 3, 3, 3}; err != nil || !slices.Equal(totals, want) {
		t.Errorf("totals: %v, %v; want %v", totals, err, want)
	}
}

// folderWith returns a folder with so many pictures.
func folderWith(t *testing.T, n int) string {
	t.Helper()
	folder := t.TempDir()
	for i := range n {
		write(t, folder, fmt.Sprintf("%d.png", i), pngOf(t, flat(1, 1)))
	}
	return folder
}
