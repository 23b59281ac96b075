package items_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/gofutures/futures/executor/internal/items"
)

// making is items that are made one after another, of which some misbehave.
type making struct {
	does  []string // "", "panic" or "goexit"
	at    int
	log   []string
	depth []int // functions under way at each item
	most  int   // failures after which it is enough; 0: no limit
}

func (m *making) makeLeft() {
	for ; m.at < len(m.does); m.at++ {
		m.depth = append(m.depth, runtime.Callers(0, make([]uintptr, 10_000)))
		switch m.does[m.at] {
		case "panic":
			panic(m.at)
		case "goexit":
			runtime.Goexit()
		}
		m.log = append(m.log, "made")
	}
}

func (m *making) failed(recovered any) (goOn bool) {
	m.log = append(m.log, fmt.Sprint(recovered))
	m.at++
	m.most--
	return m.most != 0
}

// run makes the items on a goroutine of its own, and reports whether that came back.
func (m *making) run() (hasReturned bool) {
	ended := make(chan bool, 1)
	go func() {
		defer func() { ended <- hasReturned }()
		items.Each(m.makeLeft, m.failed)
		hasReturned = true
	}()
	return <-ended
}

func TestEachItemHasItsOwnOutcome(t *testing.T) {
	for _, row := range []struct {
		does, want string
		returns    bool
	}{
		{"", "", true},
		{"-", "made", true},
		{"panic", "0", true},
		{"goexit", "<nil>", false},
		{"- panic - goexit - panic goexit -", "made 1 made <nil> made 5 <nil> made", false},
		{"panic panic panic -", "0 1 2 made", true},
		{"goexit goexit goexit -", "<nil> <nil> <nil> made", false},
	} {
		m := &making{}
		for _, does := range strings.Fields(row.does) {
			m.does = append(m.does, strings.TrimPrefix(does, "-"))
		}
		returns := m.run()
		if got := strings.Join(m.log, " "); got != row.want || returns != row.returns {
			t.Errorf("items that do %q: %q, Each returned: %t; want %q, %t", row.does, got, returns, row.want, row.returns)
		}
	}
}

func TestNoItemIsMadeWhenFailedSaysSo(t *testing.T) {
	for _, does := range []string{"panic", "goexit"} {
		m := &making{does: []string{"", "panic", does, "", "panic"}, most: 2}
		m.run()
		if len(m.log) != 3 || m.at != 3 {
			t.Errorf("after a second failure by %s that is the end, %q was made; want nothing more", does, m.log)
		}
	}
}

func TestPanicsDoNotPileUp(t *testing.T) {
	m := &making{does: slices.Repeat([]string{"panic"}, 100)}
	m.run()
	if slices.Min(m.depth) != slices.Max(m.depth) || len(m.depth) != 100 {
		t.Errorf("the items found %v functions under way; want as many each time", m.depth)
	}
	m = &making{does: append([]string{"goexit"}, m.does...)}
	m.run()
	if inside := m.depth[1:]; slices.Min(inside) != slices.Max(inside) || len(inside) != 100 {
		t.Errorf("the items behind the end of the goroutine found %v functions under way; want as many each time", inside)
	}
}

// Nothing is allocated while no item misbehaves.
func TestEachCostsNoObject(t *testing.T) {
	n := 0
	if allocs := testing.AllocsPerRun(100, func() {
		at := 0
		items.Each(func() {
			for ; at < 3; at++ {
				n++
			}
		}, func(any) bool { at++; return true })
	}); allocs != 0 || n < 300 {
		t.Errorf("Each of 3 items takes %v objects; want none", allocs)
	}
}

func TestOutcomesHaveErrorsWhereItemsHaveFailed(t *testing.T) {
	o := items.Outcomes[int]{Values: make([]int, 3)}
	if err := o.Err(1); err != nil || o.Errs != nil {
		t.Errorf("before any has failed: %v, %v; want nil", err, o.Errs)
	}
	boom := fmt.Errorf("boom")
	o.Fail(1, boom)
	for i, want := range []error{nil, boom, nil} {
		if o.Err(i) != want {
			t.Errorf("the error of item %d = %v; want %v", i, o.Err(i), want)
		}
	}
}
