package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestOutputInTheInputIsNotInput(t *testing.T) {
	in := folderWith(t, 2)
	out := filepath.Join(in, "out")
	for range 2 { // the second time, there are thumbnails
		stdout, _ := mustRun(t, 0, "-o", out, in)
		checkLines(t, stdout, "2 pictures of ", "thumbnails in ", "2 thumbnails, 0 failed; ")
	}
	if got := names(tree(t, out)); !slices.Equal(got, []string{"0.png", "1.png"}) {
		t.Errorf("the output folder has %q", got)
	}
}

func TestThumbnailThatIsThereIsReplaced(t *testing.T) {
	in, out := folderWith(t, 1), t.TempDir()
	write(t, out, "0.png", []byte("an old one"))
	mustRun(t, 0, "-o", out, in)
	if got, want := tree(t, out)["0.png"], tree(t, in)["0.png"]; !bytes.Equal(got, want) {
		t.Errorf("it has %d bytes, want %d", len(got), len(want))
	}
}

func TestWhatIsInTheWayIsAFailureAndStays(t *testing.T) {
	in, out := folderWith(t, 2), t.TempDir()
	write(t, in, "sub/a.png", pngOf(t, flat(1, 1)))
	write(t, out, "0.png/a-folder", nil)
	write(t, out, "sub", []byte("a file"))
	stdout, _ := mustRun(t, 0, "-o", out, in)
	checkLines(t, stdout, "3 pictures of ", "thumbnails in ",
		"1 thumbnails, 2 failed (thumbnail cannot be written: 2); ",
		"  0.png: thumbnail cannot be written: ",
		"  "+filepath.Join("sub", "a.png")+": thumbnail cannot be written: ")
	if got, want := names(tree(t, out)), []string{"0.png/a-folder", "1.png", "sub"}; !slices.Equal(got, want) {
		t.Errorf("the output folder has %q, want %q", got, want)
	}
}

func TestFolderThatCannotBeWrittenIsBadInput(t *testing.T) {
	out := t.TempDir()
	if err := os.Chmod(out, 0o555); err != nil {
		t.Fatal(err)
	}
	if f, err := os.Create(filepath.Join(out, "probe")); err == nil {
		f.Close()
		t.Skip("this user may write every folder: root, or a system without modes")
	}
	_, stderr := mustRun(t, 2, "-o", out, folderWith(t, 1))
	checkLines(t, stderr, "thumbnails: -o "+out+": it cannot be written: ")
}

func TestDiskThatIsFullIsAFailureOfEachPicture(t *testing.T) {
	atSync(t, func(f *os.File) error {
		return &os.PathError{Op: "sync", Path: f.Name(), Err: errors.New("no space left")}
	})
	out := t.TempDir()
	stdout, _ := mustRun(t, 1, "-o", out, folderWith(t, 2))
	checkLines(t, stdout, "2 pictures of ", "thumbnails in ",
		"0 thumbnails, 2 failed (thumbnail cannot be written: 2); ",
		"  0.png: thumbnail cannot be written: no space left",
		"  1.png: thumbnail cannot be written: no space left")
	if got := names(tree(t, out)); len(got) > 0 {
		t.Errorf("the output folder has %q, want nothing", got)
	}
}

func TestLinkInTheOutputDoesNotLeadToThePictures(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	content := pngOf(t, flat(130, 130))
	write(t, in, "sub/a.png", content)
	write(t, in, "b.png", content)
	for link, target := range map[string]string{"sub": filepath.Join(in, "sub"), "b.png": filepath.Join(in, "b.png")} {
		if err := os.Symlink(target, filepath.Join(out, link)); err != nil {
			t.Skip("this system lets this user make no symbolic links:", err)
		}
	}
	stdout, _ := mustRun(t, 0, "-o", out, in)
	checkLines(t, stdout, "2 pictures of ", "thumbnails in ", "1 thumbnails, 1 failed (thumbnail cannot be written: 1); ",
		"  "+filepath.Join("sub", "a.png")+": thumbnail cannot be written: ")
	for name, got := range tree(t, in) {
		if !bytes.Equal(got, content) {
			t.Errorf("the picture %s has changed", name)
		}
	}
	if info, err := os.Lstat(filepath.Join(out, "b.png")); err != nil || !info.Mode().IsRegular() {
		t.Errorf("b.png is %v, %v; want the thumbnail instead of the link", info.Mode(), err)
	}
}

func TestNamesThatDifferOnlyInCaseAreOneNameWhereCaseIsIgnored(t *testing.T) {
	pictures := []picture{{Name: "A.png"}, {Name: "b.png"}, {Name: "a.PNG"}, {Name: "a.png"}}
	markSame(pictures)
	for i, want := range []string{"", "", "A.png", "A.png"} {
		if got := pictures[i].SameAs; got != want {
			t.Errorf("%s has the name of %q, want %q", pictures[i].Name, got, want)
		}
	}
	in, err := readInput(t.Context(), []string{"-o", t.TempDir(), folderWith(t, 2)})
	if err != nil {
		t.Fatal(err)
	}
	in.pictures[1].SameAs = "0.png"
	var stdout bytes.Buffer
	if err := shrinkAll(t.Context(), in, &stdout, new(bytes.Buffer)); err != nil {
		t.Fatal(err)
	}
	checkLines(t, stdout.String(), "2 pictures of ", "thumbnails in ", "1 thumbnails, 1 failed (name is taken: 1); ",
		"  1.png: name is taken: by 0.png, which differs only in case")
}

func TestNamesThatDifferOnlyInCaseAreTwoElsewhere(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	if is, err := ignoresCase(in); is || err != nil {
		t.Skip("this file system ignores case:", err)
	}
	write(t, in, "A.png", pngOf(t, flat(1, 1)))
	write(t, in, "a.png", pngOf(t, flat(2, 2)))
	mustRun(t, 0, "-o", out, in)
	if got := tree(t, out); len(got) != 2 || bytes.Equal(got["A.png"], got["a.png"]) {
		t.Errorf("the output folder has %q; want A.png and a.png, which differ", names(got))
	}
}

func TestCaseIsFoundOutByLookingAndLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "case", nil)
	_, err := os.Stat(filepath.Join(folder, "CASE"))
	got, gotErr := ignoresCase(folder)
	if want := err == nil; got != want || gotErr != nil {
		t.Errorf("ignoresCase = %v, %v; want %v", got, gotErr, want)
	}
	if files := names(tree(t, folder)); len(files) != 1 {
		t.Errorf("it has left %q", files)
	}
}
