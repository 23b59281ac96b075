package disk

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestFolderOfIsOnePlainNameForEachFunction(t *testing.T) {
	t.Parallel()
	names := []string{
		"square", "Square", "SQUARE", "", " ", ".", "..", "../..", "/", "/etc/passwd", "a/b", "a\\b", "a:b", "a\x00b", "a\x00c", "\x00",
		"C:\\x", "con", "nul", "lock", ".gitignore", "~", "*", "a\nb", "-", "--", "_", "__",
		"ähnlich", "a\u0308hnlich", "日本", "日本語", "\u202egnp", "\xff", "\xfe", "\xff\xfe", "K", "\u212a", // Kelvin's sign is a K in lower case
		strings.Repeat("x", 300), strings.Repeat("x", 301), strings.Repeat("/", 300), strings.Repeat("日", 300),
	}
	seen := make(map[string]string)
	for _, name := range names {
		f := string(FolderOf(name))
		if other, isTaken := seen[strings.ToLower(f)]; isTaken {
			t.Errorf("FolderOf(%q) = FolderOf(%q) = %q, where case does not count; want two folders", name, other, f)
		}
		seen[strings.ToLower(f)] = name
		wantPlain(t, name)
	}
}

func TestFolderOfAnyTextIsAPlainName(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		wantPlain(t, string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")))
		wantPlain(t, rapid.String().Draw(t, "text"))
	})
}

func wantPlain(t rapid.TB, name string) {
	t.Helper()
	f := string(FolderOf(name))
	plain := strings.Trim(f, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
	if !plain || len(f) < 17 || len(f) > 57 || !filepath.IsLocal(f) || filepath.Base(f) != f || !isFolder(f) {
		t.Errorf("FolderOf(%q) = %q; want a short plain name that isFolder knows", name, f)
	}
	if f != string(FolderOf(name)) {
		t.Errorf("FolderOf(%q) differs from call to call", name)
	}
}

// What is kept has to be found again by the next release.
func TestFolderOfAndPathStayTheSame(t *testing.T) {
	t.Parallel()
	if got, want := FolderOf("Features v2/é"), Folder("features_v2__-393017cd101ae9b3"); got != want {
		t.Errorf("FolderOf = %q; want %q as ever", got, want)
	}
	s := New("dir", Limits{}, nil, nil)
	got := s.Path("f", sha256.Sum256(nil))
	want := filepath.Join("dir", "f", "e", "3", "b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	if got != want {
		t.Errorf("Path = %q; want %q as ever", got, want)
	}
}

func TestOthersFoldersAreNoneOfOurs(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "-", "square", "square-", "square-0123456789ABCDEF", "square-0123456789abcde", "square-0123456789abcdef0", "0123456789abcdef", "lock", "x-0123456789abcdeg"} {
		if isFolder(name) {
			t.Errorf("isFolder(%q) = true; want false", name)
		}
	}
}

func TestKeyOfIsTheInverseOfPath(t *testing.T) {
	t.Parallel()
	s := New(filepath.Join(string(os.PathSeparator), "some where", "a"), Limits{}, nil, nil)
	rapid.Check(t, func(t *rapid.T) {
		key := Key(rapid.SliceOfN(rapid.Byte(), len(Key{}), len(Key{})).Draw(t, "key"))
		path := s.Path(FolderOf(rapid.String().Draw(t, "name")), key)
		if got, isTmp, ok := keyOf(path); got != key || isTmp || !ok {
			t.Errorf("keyOf(%q) = %x, %t, %t; want %x, false, true", path, got, isTmp, ok, key)
		}
		if got, isTmp, ok := keyOf(path + tmp); got != key || !isTmp || !ok {
			t.Errorf("keyOf(%q) = %x, %t, %t; want %x, true, true", path+tmp, got, isTmp, ok, key)
		}
	})
}

func TestKeyOfOtherFilesIsNone(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("0", 62)
	for _, path := range []string{
		"", ".tmp", "/", "a", name, "a/" + name, "/a/" + name, "ab/c/" + name, "a/bc/" + name, "a/b/" + name[1:], "a/b/0" + name,
		"g/b/" + name, "a/B/" + name, "a/b/" + strings.Repeat("A", 62), "a/b/" + name + ".tmp.tmp", "a/b/" + name + ".TMP", "a/b/" + name + ".bak", "a/b/" + name[1:] + "é",
	} {
		if key, _, ok := keyOf(filepath.Join("dir", "fn", filepath.FromSlash(path))); ok {
			t.Errorf("keyOf(%q) = %x; want none", path, key)
		}
	}
}

func TestAFolderIsCalledAsItsFunctionWhereThatIsPlain(t *testing.T) {
	t.Parallel()
	if got, _, _ := strings.Cut(string(FolderOf("azAZ09_/é")), "-"); got != "azaz09___" {
		t.Errorf("the folder of azAZ09_/é begins with %q; want azaz09___", got)
	}
}
