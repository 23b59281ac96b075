package codec

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unsafe"
)

const (
	// maxLevels is how many pointers, slices and maps a value may lead through, one
	// inside of the other.
	maxLevels = 1000

	// maxPlaces is through how many of these and of types with marshalers it may
	// lead in all. A small value in which many pointers share what they point to may
	// lead through more than anybody waits for, or has memory for.
	maxPlaces = 1 << 28

	// maxSteps is how much of each end of a path an error has.
	maxSteps = 8
)

var (
	errCycle = errors.New("the value has a cycle, so it has no end; use indexes instead of pointers")
	errDeep  = fmt.Errorf("the value is nested more than %d levels deep; use a slice instead of what leads from one to the next", maxLevels)
	errLarge = fmt.Errorf("the value leads through more than %d pointers, slices and maps; does it share parts? Use indexes instead of pointers", maxPlaces)
)

// walk is the way through a value that is being encoded.
type walk struct {
	level  int // how many pointers, slices and maps it is in
	places int // it has come through
}

var walks = sync.Pool{New: func() any { return new(walk) }}

// release makes w ready for the next value, wherever it has come to.
func (w *walk) release() {
	*w = walk{}
	walks.Put(w)
}

// enter is called before what a pointer, slice or map leads to is encoded, and
// leave behind it.
func (w *walk) enter() error {
	if w.level >= maxLevels {
		return errDeep
	}
	w.level++
	return w.count()
}

func (w *walk) leave() { w.level-- }

func (w *walk) count() error {
	if w.places++; w.places > maxPlaces {
		return errLarge
	}
	return nil
}

// refusal is the error of a value, with the way to where the reason is.
type refusal struct {
	cause error
	steps []step // the last one first: they are added on the way back
}

func (r *refusal) Error() string { return r.cause.Error() }

// step is one on the way through a value: to a field or an element, or through a
// pointer, slice or map.
type step struct {
	text    string
	through place
}

// place is where a pointer, slice or map leads.
type place struct {
	typ    reflect.Type
	to     unsafe.Pointer
	length int // of a slice: one may be in the memory of another
}

// at adds a step to a field or an element.
func at(err error, text string) error { return asRefusal(err).add(step{text: text}) }

// through adds a step through a pointer, slice or map.
func through(err error, p place) error { return asRefusal(err).add(step{through: p}) }

func asRefusal(err error) *refusal {
	if r, ok := err.(*refusal); ok {
		return r
	}
	return &refusal{cause: err}
}

func (r *refusal) add(s step) error {
	r.steps = append(r.steps, s)
	return r
}

// explain returns the error of encoding, or decoding, a value of t.
func explain(doing string, t reflect.Type, err error) error {
	r := asRefusal(err)
	slices.Reverse(r.steps)
	if r.cause == errDeep {
		r.findCycle()
	}
	return fmt.Errorf("cannot %s %v%s: %w", doing, t, r.path(), r.cause)
}

// findCycle tells a cycle from what is only deep: the same place inside of itself.
// The way ends where it is found again.
func (r *refusal) findCycle() {
	seen := make(map[place]bool)
	for i, s := range r.steps {
		if s.text == "" && seen[s.through] {
			r.cause, r.steps = errCycle, r.steps[:i]
			return
		}
		seen[s.through] = true
	}
}

// path returns the way to what was refused.
func (r *refusal) path() string {
	var texts []string
	for _, s := range r.steps {
		if s.text != "" {
			texts = append(texts, s.text)
		}
	}
	if len(texts) > 2*maxSteps {
		texts = slices.Concat(texts[:maxSteps], []string{"…"}, texts[len(texts)-maxSteps:])
	}
	return strings.Join(texts, "")
}
