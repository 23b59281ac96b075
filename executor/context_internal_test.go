package executor

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestABubbleIsRecognized(t *testing.T) {
	if isInBubble() {
		t.Error("isInBubble outside of a bubble = true; want false")
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(40 * 365 * 24 * time.Hour)
		if !isInBubble() {
			t.Error("isInBubble in a bubble = false; want true")
		}
	})
}

func TestACrowdEndsEachOfItsLivesOnce(t *testing.T) {
	g := new(family)
	var ended [4]int
	add := func(i int) int { return g.add(func(error) { ended[i]++ }) }
	a, b := add(0), add(1)
	g.end(a)
	if g.ends[a] != nil {
		t.Error("what ended a life is kept")
	}
	c := add(2) // where the first was
	if c != a || ended != [4]int{1, 0, 0, 0} {
		t.Fatalf("index %d, ended %v; want %d, and the first alone", c, ended, a)
	}
	g.end(b)
	g.end(c)
	if g.ends != nil || g.free != nil {
		t.Errorf("a family without lives keeps %d ends and %d indexes", len(g.ends), len(g.free))
	}
	g.end(add(3))
	if ended != [4]int{1, 1, 1, 1} {
		t.Errorf("ended %v; want each once", ended)
	}
}
