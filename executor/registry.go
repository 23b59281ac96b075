package executor

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/gofutures/futures/executor/internal/codec"
	"github.com/gofutures/futures/executor/internal/procpool"
)

// Register makes fn a function that can be called in another process: by a
// [ProcessPoolExecutor], or by whatever executor encodes its calls. It is
// called once for each function, at package level or in init, before
// [WorkerMain]:
//
//	func init() { executor.Register(parse) }
//
// fn is known by its name, as with Python's pickle, so it must be a top-level
// function. Register panics if fn is something else (a
// closure, a method value, an instance of a generic function), if it is
// registered already, or if its argument or result has a type that would lose
// something on the way: the panic names the function, the path to the type,
// and the remedy.
//
// Arguments and results are copied, as Python's are: what a function does to
// its argument, the caller does not see. A slice of bytes or numbers of 1 MiB or
// more, as the argument itself and not a field, is in memory that the next such
// argument overwrites: a function that keeps it after it has returned must copy
// it. Channels, functions, interfaces and
// unexported fields do not cross; a type with its own MarshalBinary and
// UnmarshalBinary does.
func Register[In, Out any](fn Func[In, Out]) {
	register("Register", "", fn)
}

// RegisterName is [Register] under a name of your own, for two programs that
// must agree on it though the function moves: gob.RegisterName.
func RegisterName[In, Out any](name string, fn Func[In, Out]) {
	if name == "" {
		panic("executor: RegisterName: empty name")
	}
	register("RegisterName", name, fn)
}

// RegisterInitializer makes fn a function that can be the Initializer of a
// [ProcessPoolExecutor]. It is called as [Register] is.
func RegisterInitializer(fn func(context.Context) error) {
	name, err := symbol(fn, fn == nil)
	if err != nil {
		panic(fmt.Sprintf("executor: RegisterInitializer: %v", err))
	}
	registry.mu.Lock()
	defer registry.mu.Unlock()
	registry.mustBeOpen("RegisterInitializer", name)
	if registry.initializers[name] != nil {
		panic(fmt.Sprintf("executor: RegisterInitializer: %s is registered already", name))
	}
	registry.initializers[name] = fn
}

// RegisterError lets errors.Is find err, a sentinel, in the errors that come
// from another process. The errors of packages io and fs, of context and of
// this package are registered. RegisterError panics if the name is taken.
func RegisterError(name string, err error) {
	if name == "" || err == nil {
		panic("executor: RegisterError: empty name or nil error")
	}
	registry.mu.Lock()
	defer registry.mu.Unlock()
	registry.mustBeOpen("RegisterError", name)
	if registry.sentinels[name] != nil {
		panic(fmt.Sprintf("executor: RegisterError: %q is registered already", name))
	}
	registry.sentinels[name] = err
}

// ErrNotRegistered is matched by the error of a call whose function cannot be
// called in another process, because it was not given to [Register].
var ErrNotRegistered = errors.New("executor: not registered")

// registry is what this program can do for another process. It grows until
// WorkerMain, so that parent and worker have the same.
var registry = functions{
	byPC:         make(map[uintptr]function),
	byName:       make(map[string]function),
	initializers: make(map[string]func(context.Context) error),
	sentinels: map[string]error{
		"context.Canceled":         context.Canceled,
		"context.DeadlineExceeded": context.DeadlineExceeded,
		"executor.ErrBroken":       ErrBroken,
		"executor.ErrCancelled":    ErrCancelled,
		"executor.ErrGoexit":       ErrGoexit,
		"executor.ErrInvalidState": ErrInvalidState,
		"executor.ErrPending":      ErrPending,
		"executor.ErrShutdown":     ErrShutdown,
		"fs.ErrClosed":             fs.ErrClosed,
		"fs.ErrExist":              fs.ErrExist,
		"fs.ErrInvalid":            fs.ErrInvalid,
		"fs.ErrNotExist":           fs.ErrNotExist,
		"fs.ErrPermission":         fs.ErrPermission,
		"fs.SkipAll":               fs.SkipAll,
		"fs.SkipDir":               fs.SkipDir,
		"io.EOF":                   io.EOF,
		"io.ErrClosedPipe":         io.ErrClosedPipe,
		"io.ErrNoProgress":         io.ErrNoProgress,
		"io.ErrShortBuffer":        io.ErrShortBuffer,
		"io.ErrShortWrite":         io.ErrShortWrite,
		"io.ErrUnexpectedEOF":      io.ErrUnexpectedEOF,
		"os.ErrDeadlineExceeded":   os.ErrDeadlineExceeded,
		"os.ErrProcessDone":        os.ErrProcessDone,
		"errors.ErrUnsupported":    errors.ErrUnsupported,
	},
}

type functions struct {
	mu           sync.RWMutex
	sealed       bool // WorkerMain was here
	byPC         map[uintptr]function
	byName       map[string]function
	initializers map[string]func(context.Context) error
	sentinels    map[string]error

	once   sync.Once // guards the making of the fields below, when it is sealed
	sorted []function
	digest [32]byte
}

// function is a registered function, its types erased.
type function interface {
	// call makes a call, and leaves what came of it in r, also if it ends its
	// goroutine.
	call(ctx context.Context, p request, r *reply)
	// callItems makes the calls of a chunk in turn, and notes what came of each.
	callItems(ctx context.Context, p request, n *notes)
	makesInPlace() bool
	about() *about
}

// about is what does not depend on the types of a function.
type about struct {
	procpool.Function // its Index is that in functions.sorted
	name              string
	types             string // describes the argument and the result
	source            string // where the function stands
}

// registered is a function with its types.
type registered[In, Out any] struct {
	about_ about
	fn     Func[In, Out]
	in     *codec.Codec[In]
	out    *codec.Codec[Out]
}

func (r *registered[In, Out]) about() *about { return &r.about_ }

func register[In, Out any](doing, name string, fn Func[In, Out]) {
	symbol, err := symbol(fn, fn == nil)
	if name == "" {
		name = symbol
	}
	r := &registered[In, Out]{fn: fn}
	if err == nil {
		if r.in, err = codec.For[In](); err != nil {
			err = fmt.Errorf("the argument of %s: %w", inFull(name, symbol), err)
		}
	}
	if err == nil {
		if r.out, err = codec.For[Out](); err != nil {
			err = fmt.Errorf("the result of %s: %w", inFull(name, symbol), err)
		}
	}
	if err != nil {
		panic(fmt.Sprintf("executor: %s: %v", doing, err))
	}
	r.about_ = about{name: name, types: r.in.Describe() + " -> " + r.out.Describe(), source: source(fn), Function: procpool.Function{
		Plain: r.in.Plain() && r.out.Plain(), Quick: quickResult(r.out), Size: r.in.Size(),
	}}
	registry.add(doing, pc(fn), r)
}

// inFull returns the name under which a function is registered, and its own if
// that is another.
func inFull(name, symbol string) string {
	if name == symbol {
		return name
	}
	return name + ", which is " + symbol
}

func (fs *functions) add(doing string, pc uintptr, f function) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	name := f.about().name
	fs.mustBeOpen(doing, name)
	if fs.byName[name] != nil {
		panic(fmt.Sprintf("executor: %s: %s is registered already", doing, name))
	}
	if other := fs.byPC[pc]; other != nil {
		panic(fmt.Sprintf("executor: %s: %s is registered already, as %s", doing, name, other.about().name))
	}
	fs.byName[name] = f
	fs.byPC[pc] = f
}

// mustBeOpen panics if it is too late to register. fs.mu is held.
func (fs *functions) mustBeOpen(doing, name string) {
	if fs.sealed {
		panic(fmt.Sprintf("executor: %s: %s comes after WorkerMain, so that no worker would have it; register at package level or in init", doing, name))
	}
}

// seal lets nobody register any more.
func (fs *functions) seal() {
	fs.mu.Lock()
	fs.sealed = true
	fs.mu.Unlock()
	fs.once.Do(fs.number)
}

// number gives each function its index, the same in parent and worker.
func (fs *functions) number() {
	for _, f := range fs.byName {
		fs.sorted = append(fs.sorted, f)
	}
	slices.SortFunc(fs.sorted, func(a, b function) int { return cmp.Compare(a.about().name, b.about().name) })
	h := sha256.New()
	for i, f := range fs.sorted {
		a := f.about()
		a.Index = uint32(i)
		fmt.Fprintf(h, "%q %q\n", a.name, a.types)
	}
	for _, names := range [][]string{sortedKeys(fs.initializers), sortedKeys(fs.sentinels)} {
		fmt.Fprintf(h, "%q\n", names)
	}
	h.Sum(fs.digest[:0])
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// isSealed reports whether WorkerMain was called.
func (fs *functions) isSealed() bool {
	fs.mu.RLock()
	defer fs.mu.RUnlock()
	return fs.sealed
}

func (fs *functions) named(name string) function {
	fs.mu.RLock()
	defer fs.mu.RUnlock()
	return fs.byName[name]
}

// find returns the registered form of fn, or why there is none.
func find[In, Out any](fn Func[In, Out]) (*registered[In, Out], error) {
	registry.mu.RLock()
	f := registry.byPC[pc(fn)]
	registry.mu.RUnlock()
	if r, ok := f.(*registered[In, Out]); ok {
		return r, nil
	}
	return nil, notRegistered(fn)
}

// findInitializer returns the name under which fn is registered.
func findInitializer(fn func(context.Context) error) (string, error) {
	name, err := symbol(fn, false)
	if err != nil {
		return "", fmt.Errorf("%w: the Initializer: %w", ErrNotRegistered, err)
	}
	registry.mu.RLock()
	defer registry.mu.RUnlock()
	if registry.initializers[name] == nil {
		return "", fmt.Errorf("%w: the Initializer %s: call executor.RegisterInitializer(%s) in an init function", ErrNotRegistered, name, shortName(name))
	}
	return name, nil
}

// notRegistered says why fn cannot be called in another process, and what to
// do.
func notRegistered(fn any) error {
	name, err := symbol(fn, false)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotRegistered, err)
	}
	return fmt.Errorf("%w: %s: call executor.Register(%s) in an init function", ErrNotRegistered, name, shortName(name))
}

// symbol returns the name of a function that is the same one in every process
// of this program, or why it has none.
func symbol(fn any, isNil bool) (string, error) {
	if isNil {
		return "", errors.New("nil function")
	}
	name := funcName(fn)
	why := ""
	switch last := name[strings.LastIndexByte(name, '/')+1:]; {
	case strings.Contains(name, "[...]"):
		why = "an instance of a generic function, whose instances share a name"
	case strings.HasSuffix(name, "-fm"):
		why = "a method value, whose receiver would stay behind; pass the receiver as the argument"
	case isClosure(last):
		why = "a closure, whose variables would stay behind; pass them as the argument"
	default:
		return name, nil
	}
	return "", fmt.Errorf("%s is %s: only top-level functions can be called in another process", name, why)
}

// isClosure reports whether a name is that of a function literal: main.f.func1,
// main.glob..func1, main.f.gowrap2, main.init.func3.
func isClosure(name string) bool {
	parts := strings.Split(name, ".")
	for _, part := range parts[min(2, len(parts)):] {
		for _, prefix := range []string{"func", "gowrap", "deferwrap"} {
			if n, ok := strings.CutPrefix(part, prefix); ok && n != "" && strings.Trim(n, "0123456789-") == "" {
				return true
			}
		}
	}
	return false
}

// shortName is a name as source code outside of its package has it.
func shortName(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

func pc(fn any) uintptr { return reflect.ValueOf(fn).Pointer() }

// source says where a function stands.
func source(fn any) string {
	f := runtime.FuncForPC(pc(fn))
	if f == nil {
		return ""
	}
	file, line := f.FileLine(f.Entry())
	return fmt.Sprintf("%s(...)\n\t%s:%d\n", f.Name(), file, line)
}
