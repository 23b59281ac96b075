package executor

import (
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"sync"

	"github.com/gofutures/futures/executor/internal/codec"
	"github.com/gofutures/futures/executor/internal/procpool"
)

// RemoteError is an error that a function returned in another process. Its
// text is that of the original. The type stayed behind, so that errors.As does
// not find it; errors.Is finds the sentinels given to [RegisterError], those of
// packages io, fs and context, and those of this package.
type RemoteError struct {
	Type    string // of the original, as "*fs.PathError"
	Message string
	Stack   []byte // which function returned it, and where that stands

	sentinels []error // that the original matches
}

func (e *RemoteError) Error() string { return e.Message }

// Unwrap returns the registered sentinels that the original matches.
func (e *RemoteError) Unwrap() []error { return e.sentinels }

// failureMessage is an error on its way between processes.
type failureMessage struct {
	Panic     bool
	Value     panicValue // of a panic
	Type      string
	Message   string
	Stack     []byte
	Sentinels []string // names of those that the error matches
}

// panicValue is what a function panicked with: the first that is not nil.
type panicValue struct {
	Text   *string
	Int    *int
	Error  *failureMessage
	Format string // of anything else, as fmt.Sprint has it
}

// failureCodec is made when it is needed: most workers never do.
var failureCodec = sync.OnceValue(func() *codec.Codec[failureMessage] {
	c, err := codec.For[failureMessage]()
	if err != nil {
		panic(err)
	}
	return c
})

// failure encodes an error. Methods of the user's error may do what they like:
// panic, end the goroutine, or lead round in a circle. Those that never return are
// not waited for by anybody but this call.
func failure(err error, source string) reply {
	var m failureMessage
	if ended := contain(func() { m = describe(err, source, 0) }); ended != nil {
		m = failureMessage{Type: fmt.Sprintf("%T", err), Stack: []byte(source), Message: "executor: a method of the error ended its goroutine with runtime.Goexit"}
	}
	data, encErr := failureCodec().Append(nil, m)
	if encErr != nil {
		data, _ = failureCodec().Append(nil, failureMessage{Type: "error", Message: "executor: an error that cannot cross: " + encErr.Error()})
	}
	return reply{Kind: procpool.Failed, Data: data}
}

// describe puts err into words. A panic that is the value of a panic, and so
// on, is followed a few steps.
func describe(err error, source string, depth int) (m failureMessage) {
	m = failureMessage{Type: fmt.Sprintf("%T", err), Stack: []byte(source)}
	if p, ok := err.(*PanicError); ok {
		m.Panic, m.Stack = true, p.Stack
		m.Value = describeValue(p.Value, depth)
		return m
	}
	m.Message = safely(err.Error)
	m.Sentinels = registry.sentinelsIn(err)
	return m
}

// sentinelsIn returns the names of the sentinels that errors.Is finds in err.
func (fs *functions) sentinelsIn(err error) (names []string) {
	fs.mu.RLock()
	sentinels := maps.Clone(fs.sentinels) // not under the lock: methods of err may be slow
	fs.mu.RUnlock()
	walk(err, func(e error) (goOn bool) {
		for name, sentinel := range sentinels {
			if matches(e, sentinel) {
				names = append(names, name)
				delete(sentinels, name)
			}
		}
		return len(sentinels) > 0
	})
	slices.Sort(names)
	return names
}

// mostSteps is how far walk goes. An error that unwraps to itself has no end.
const mostSteps = 1000

// Is is [errors.Is] for the error of a function that may be anybody's: it ends where an
// Unwrap method leads round in a circle, after 1,000 steps, and a method that panics
// matches nothing. The packages of this module look at the errors of calls with it.
func Is(err, target error) (found bool) {
	walk(err, func(e error) (goOn bool) {
		found = matches(e, target)
		return !found
	})
	return found
}

// walk calls visit for err and for all that it wraps, as errors.Is goes, up to a
// number, and while visit says to. A method that panics is where it ends.
func walk(err error, visit func(error) (goOn bool)) {
	defer func() { _ = recover() }()
	for left, next := mostSteps, []error{err}; left > 0 && len(next) > 0; left-- {
		err = next[len(next)-1]
		next = next[:len(next)-1]
		if err == nil {
			continue
		}
		if !visit(err) {
			return
		}
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			next = append(next, e.Unwrap())
		case interface{ Unwrap() []error }:
			for _, wrapped := range slices.Backward(e.Unwrap()) {
				next = append(next, wrapped)
			}
		}
	}
}

// matches reports whether err itself, not what it wraps, is the sentinel or says so.
func matches(err, sentinel error) (is bool) {
	defer func() { _ = recover() }() // err may have an Is of its own
	if reflect.TypeOf(sentinel).Comparable() && err == sentinel {
		return true
	}
	e, ok := err.(interface{ Is(error) bool })
	return ok && e.Is(sentinel)
}

func describeValue(value any, depth int) (v panicValue) {
	switch value := value.(type) {
	case string:
		v.Text = &value
	case int:
		v.Int = &value
	case error:
		if depth < 8 {
			m := describe(value, "", depth+1)
			v.Error = &m
			break
		}
		v.Format = safely(value.Error)
	default:
		v.Format = safely(func() string { return fmt.Sprint(value) })
	}
	return v
}

// safely returns what a method of the user's returns, or that it panicked.
func safely(text func() string) (s string) {
	defer func() {
		if p := recover(); p != nil {
			s = fmt.Sprintf("executor: the error's Error method panicked: %v", p)
		}
	}()
	return text()
}

// remoteError decodes an error.
func remoteError(data []byte) error {
	m, err := failureCodec().Decode(data)
	if err != nil {
		return fmt.Errorf("executor: an error from another process is malformed: %w", err)
	}
	return m.error()
}

func (m *failureMessage) error() error {
	if m.Panic {
		return &PanicError{Value: m.Value.value(), Stack: m.Stack}
	}
	if len(m.Sentinels) == 1 && m.Message == ErrGoexit.Error() {
		return ErrGoexit
	}
	e := &RemoteError{Type: m.Type, Message: m.Message, Stack: m.Stack}
	registry.mu.RLock()
	defer registry.mu.RUnlock()
	for _, name := range m.Sentinels {
		if s := registry.sentinels[name]; s != nil {
			e.sentinels = append(e.sentinels, s)
		}
	}
	return e
}

func (v panicValue) value() any {
	switch {
	case v.Text != nil:
		return *v.Text
	case v.Int != nil:
		return *v.Int
	case v.Error != nil && v.Error.Type == "*runtime.PanicNilError":
		return new(runtime.PanicNilError)
	case v.Error != nil:
		return v.Error.error()
	}
	return v.Format
}
