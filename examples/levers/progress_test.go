package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestProgressShowsCountAndRateAndErasesItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		now := time.Now()
		p := &progress{out: &out, label: "job", total: 2000, began: now, shown: now}
		for range 1000 {
			p.step() // all at once: nothing to see yet
		}
		if out.Len() > 0 {
			t.Errorf("shown too early: %q", out.String())
		}
		time.Sleep(time.Second)
		p.step()
		line := "job: 1,001/2,000 files, 1,001/s"
		if got, want := out.String(), "\r"+line; got != want {
			t.Errorf("shown %q, want %q", got, want)
		}
		out.Reset()
		p.erase()
		if got, want := out.String(), "\r"+strings.Repeat(" ", len(line))+"\r"; got != want {
			t.Errorf("erased with %q, want %q", got, want)
		}
	})
}

func TestProgressIsSilentWithoutATerminal(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/stderr")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	p := newProgress(file, "job", 1)
	p.shown = time.Time{} // long ago: a line is due
	p.step()
	p.erase()
	if info, err := file.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("the file has %d bytes (%v), want 0", info.Size(), err)
	}
}
