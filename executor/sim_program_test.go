package executor_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// program is a run of the simulation.
type program struct {
	Workers, Limit int
	Help           bool     // WaitersHelp
	Outside        []script // goroutines that use the executor
	settle         bool     // a goroutine outside acts only when all others wait
}

// script is what a call, or a goroutine outside, does.
type script struct {
	Acts []act
	Last time.Duration // it sleeps so long at the end
	End  ending        // of a call
}

type act struct {
	After time.Duration // it sleeps so long first
	Op    op
	N     int           // which of the futures or ctxs of this script
	How   int           // which form of it
	For   time.Duration // until a deadline; 0: none
	Call  *script       // that is submitted
}

type op int

const (
	submit op = iota
	cancelFuture
	endCtx
	waitOne
	waitAll
	mapItems
	mapSlice
	shutdown       // outside
	shutdownInCall // with the ctx of the call
)

func (o op) String() string {
	return [...]string{"submit", "cancel", "end ctx", "wait", "wait for all", "map", "map slice", "shut down", "shut down in a call"}[o]
}

// GoString is what rapid prints.
func (p program) GoString() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d workers, queue limit %d, waiters help %v", p.Workers, p.Limit, p.Help)
	for i, s := range p.Outside {
		fmt.Fprintf(&b, "\n  goroutine %d:", -1-i)
		s.print(&b, "    ")
	}
	return b.String()
}

func (s script) print(b *strings.Builder, indent string) {
	for _, a := range s.Acts {
		fmt.Fprintf(b, "\n%safter %v: %v, n %d, how %d, for %v", indent, a.After, a.Op, a.N, a.How, a.For)
		if a.Call != nil {
			a.Call.print(b, indent+"  ")
		}
	}
	fmt.Fprintf(b, "\n%safter %v: %v", indent, s.Last, s.End)
}

type ending int

const (
	returns ending = iota
	fails
	panics
	exits
)

func (e ending) String() string {
	return [...]string{"returns", "fails", "panics", "exits"}[e]
}

// genProgram makes programs in which anything may happen at the same instant.
// without names operations that are left out.
func genProgram(without ...op) *rapid.Generator[program] {
	ops := slices.DeleteFunc([]op{submit, submit, submit, cancelFuture, endCtx, waitOne, waitAll, mapItems, mapSlice, shutdown, shutdownInCall},
		func(o op) bool { return slices.Contains(without, o) })
	return rapid.Custom(func(t *rapid.T) program {
		duration := func(label string) time.Duration {
			return time.Duration(rapid.IntRange(0, 4).Draw(t, label)) * time.Second
		}
		return program{
			Workers: rapid.IntRange(1, 4).Draw(t, "workers"),
			Limit:   rapid.IntRange(0, 3).Draw(t, "limit"),
			Outside: rapid.SliceOfN(genScript(ops, duration, false, 0), 1, 3).Draw(t, "outside"),
		}
	})
}

// genOrderly makes programs in which no two things happen at the same instant:
// all their durations are different powers of two, so that all sums of them
// differ. Such a program has only one course.
func genOrderly() *rapid.Generator[program] {
	return rapid.Custom(func(t *rapid.T) program {
		bits := rapid.Permutation(firstFew(36)).Draw(t, "durations")
		duration := func(string) time.Duration {
			if len(bits) == 0 {
				return 0
			}
			bit := bits[0]
			bits = bits[1:]
			return 1 << bit
		}
		p := program{
			Workers: 1, // and no limit of the queue: the end of a call would free two that wait
			Outside: []script{genScript([]op{submit, submit, waitOne}, duration, true, 0).Draw(t, "outside")},
			settle:  true,
		}
		if len(bits) == 0 {
			t.Skip("too long for so many durations")
		}
		return p
	})
}

// genScript makes scripts. Calls of depth 3 submit none.
//
// Orderly scripts wait for one future, without a deadline, and do not cancel. A
// call gets its place back from one that ends a moment before that one is done,
// and would see or not see that it is; and a worker takes a moment to find out
// that a queued call was cancelled, in which another may come for its place.
func genScript(ops []op, duration func(label string) time.Duration, orderly bool, depth int) *rapid.Generator[script] {
	misplaced := map[int]op{0: shutdownInCall, 3: submit}
	ops = slices.DeleteFunc(slices.Clone(ops), func(o op) bool {
		wrong, ok := misplaced[depth]
		return depth > 0 && o == shutdown || ok && o == wrong
	})
	most := 4
	if orderly {
		most = 3 // the last way to wait makes calls, which end at the instant at which they start
	}
	genAct := rapid.Custom(func(t *rapid.T) act {
		a := act{
			After: duration("after"),
			Op:    rapid.SampledFrom(ops).Draw(t, "op"),
			N:     rapid.IntRange(0, 5).Draw(t, "n"),
			How:   rapid.IntRange(0, most).Draw(t, "how"),
		}
		if orderly && a.Op == submit {
			a.How = 2 // so that no ctx ends
		}
		switch a.Op {
		case submit:
			call := genScript(ops, duration, orderly, depth+1).Draw(t, "call")
			a.Call = &call
		case waitOne, waitAll, shutdown, shutdownInCall:
			if !orderly && rapid.Bool().Draw(t, "deadline") {
				a.For = duration("for")
			}
		}
		return a
	})
	return rapid.Custom(func(t *rapid.T) script {
		return script{
			Acts: rapid.SliceOfN(genAct, 0, 7-2*depth).Draw(t, "acts"),
			Last: duration("last"),
			End:  rapid.SampledFrom([]ending{returns, returns, fails, panics, exits}).Draw(t, "end"),
		}
	})
}
