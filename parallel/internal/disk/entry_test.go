package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
	"testing"
	"time"
)

func TestParseReturnsWhatHeaderWasMadeOf(t *testing.T) {
	t.Parallel()
	for _, e := range []Entry{
		{Stored: time.Unix(0, 0)},
		{Stored: time.Unix(0, math.MaxInt64), Took: math.MaxInt64, Body: []byte("x")},
		{Stored: time.Unix(0, math.MinInt64), Took: math.MinInt64, Body: bytes.Repeat([]byte{0}, 1000)},
		{Stored: time.Now(), Took: time.Minute, Body: []byte(magic)},
	} {
		key := keyNumber(1)
		got, err := parse(append(e.header(key), e.Body...), key)
		if err != nil || !got.Stored.Equal(e.Stored) || got.Took != e.Took || !bytes.Equal(got.Body, e.Body) {
			t.Errorf("parse = %+v, %v; want %+v", got, err, e)
		}
	}
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	t.Parallel()
	key := keyNumber(1)
	whole := encoded(key, "the body")
	for i := range whole {
		for bit := range 8 {
			data := bytes.Clone(whole)
			data[i] ^= 1 << bit
			if e, err := parse(data, key); err == nil {
				t.Errorf("parse with bit %d of byte %d flipped = %+v; want an error", bit, i, e)
			}
		}
		data := bytes.Clone(whole)
		data[i] ^= 0xff
		if e, err := parse(data, key); err == nil {
			t.Errorf("parse with byte %d flipped = %+v; want an error", i, e)
		}
	}
}

func TestEveryTruncationAndAnyMoreBytesAreRefused(t *testing.T) {
	t.Parallel()
	key := keyNumber(1)
	whole := encoded(key, "the body")
	for n := range whole {
		if e, err := parse(whole[:n], key); err == nil {
			t.Errorf("parse of %d bytes of %d = %+v; want an error", n, len(whole), e)
		}
	}
	if e, err := parse(append(whole, 0), key); err == nil {
		t.Errorf("parse of an entry and a byte = %+v; want an error", e)
	}
}

func TestTheEntryOfAnotherKeyIsRefused(t *testing.T) {
	t.Parallel()
	if e, err := parse(encoded(keyNumber(1), "x"), keyNumber(2)); err == nil {
		t.Errorf("parse = %+v; want an error", e)
	}
}

// FuzzParse: never a panic, and what is accepted is what header makes, byte for byte.
func FuzzParse(f *testing.F) {
	whole := encoded(keyNumber(1), "the body")
	f.Add(whole)
	f.Add(whole[:headerSize])
	f.Add(whole[:headerSize-1])
	f.Add([]byte{})
	f.Add(encoded(keyNumber(2), ""))
	f.Fuzz(func(t *testing.T, data []byte) {
		check := func(data []byte) {
			var key Key
			if len(data) >= 48 {
				key = Key(data[16:48])
			}
			e, err := parse(data, key)
			if err == nil && !bytes.Equal(append(e.header(key), e.Body...), data) {
				t.Errorf("parse accepted %x, which header does not make", data)
			}
		}
		check(data)
		if len(data) < headerSize {
			return
		}
		data = bytes.Clone(data) // the fuzzer cannot guess a checksum
		binary.LittleEndian.PutUint32(data[12:], crc32.Checksum(data[16:], castagnoli))
		check(data)
	})
}

func TestReadTellsWhatIsThere(t *testing.T) {
	t.Parallel()
	key := keyNumber(1)
	whole := encoded(key, "right")
	otherVersion := encoded(key, "right")
	binary.LittleEndian.PutUint32(otherVersion[8:], version+1)
	flipped := encoded(key, "right")
	flipped[len(flipped)-1]++

	for _, row := range []struct {
		name             string
		named, temporary []byte // nil: there is none
		want             func(testing.TB, *Store, Key)
	}{
		{"nothing", nil, nil, wantMissing},
		{"an entry", whole, nil, isRight},
		{"a whole temporary file", nil, whole, isRight},
		{"a torn temporary file", nil, whole[:len(whole)-1], wantMissing},
		{"a temporary file without header", nil, whole[:3], wantMissing},
		{"an empty temporary file", nil, []byte{}, wantMissing},
		{"another key's temporary file", nil, encoded(keyNumber(2), "wrong"), wantMissing},
		{"another version's temporary file", nil, otherVersion, wantMissing},
		{"an entry and a torn temporary file", whole, whole[:80], isRight},
		{"another version's entry", otherVersion, nil, wantMissing},
		{"an empty entry", []byte{}, nil, wantDamaged},
		{"half an entry", whole[:headerSize+1], nil, wantDamaged},
		{"an entry and more", append(bytes.Clone(whole), 0), nil, wantDamaged},
		{"a flipped byte", flipped, nil, wantDamaged},
		{"another key's entry", encoded(keyNumber(2), "wrong"), nil, wantDamaged},
		{"text", []byte("text"), nil, wantDamaged},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := open(t, storeDir(t), Limits{})
			path := s.Path(folder, key)
			if row.named != nil {
				lay(t, path, row.named)
			}
			if row.temporary != nil {
				lay(t, path+tmp, row.temporary)
			}
			row.want(t, s, key)

			// Whatever was there, what is written now is what is read.
			settled(t, s, key, "new")
			wantBody(t, s, key, "new")
			wantFiles(t, s, 1, 0)
		})
	}
}

func isRight(t testing.TB, s *Store, key Key) {
	t.Helper()
	e, err := s.Read(folder, key)
	want := entry("right")
	if err != nil || string(e.Body) != "right" || !e.Stored.Equal(want.Stored) || e.Took != want.Took {
		t.Errorf("Read = %+v, %v; want %+v", e, err, want)
	}
}

func TestReadOfAFolderInTheEntrysPlaceIsADamagedError(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	key := keyNumber(1)
	if err := os.MkdirAll(s.Path(folder, key), 0o700); err != nil {
		t.Fatal(err)
	}
	wantDamaged(t, s, key)
	l := lock(t, s, key)
	defer l.Unlock()
	if _, err := l.Read(folder); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read = %v; want a DamagedError", err)
	}
}

func TestReadOfAFolderInTheTemporaryFilesPlaceIsAMiss(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	key := keyNumber(1)
	if err := os.MkdirAll(s.Path(folder, key)+tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	wantMissing(t, s, key)
	settled(t, s, key, "x") // one that is empty is put away
	wantBody(t, s, key, "x")
}

func TestReadMakesNothing(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	wantMissing(t, s, keyNumber(1))
	if exists(s.dir) {
		t.Errorf("Read made %s; want nothing made", s.dir)
	}
}

func TestAReadBodyIsTheReadersOwn(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	settled(t, s, keyNumber(1), "abc")
	e, err := s.Read(folder, keyNumber(1))
	if err != nil {
		t.Fatal(err)
	}
	e.Body[0] = 'x'
	wantBody(t, s, keyNumber(1), "abc")
}

func TestAFunctionsEntriesAreNotAnothers(t *testing.T) {
	t.Parallel()
	s := open(t, storeDir(t), Limits{})
	settled(t, s, keyNumber(1), "x")
	if _, err := s.Read(FolderOf("other"), keyNumber(1)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read of another function's = %v; want fs.ErrNotExist", err)
	}
}
