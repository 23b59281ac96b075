package parallel

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"time"
	"unsafe"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/parallel/internal/digest"
	"github.com/gofutures/futures/parallel/internal/disk"
)

// Cache returns a function that does what fn does, and remembers its results in m:
// Memory.cache. Called with an argument that was there before, it answers from disk.
//
// A result is found by the name, the version, the argument and the type of the
// result. Go cannot see when the code of fn changes: give it another version then, and
// what the old code made is not found any more. The name may be any text. Of the
// argument, everything counts but fields with the tag `hash:"-"`; see [Hash]. The key
// is taken before fn is called, so that fn may change its argument.
//
// An error is returned and not kept, and so is a panic. Calls with the same
// argument at the same time call fn once, also in several processes: the others wait.
// A caller that waits, and whose ctx ends, leaves with the error of ctx; the ctx of fn, which has
// the values of the first caller's and no deadline, ends when the last one is to leave.
// An error and a panic reach all that wait. Each gets a result of its own, which shares
// no memory with another's. A caller that has left must not change the argument while
// the function may run on for the others.
//
// Cache panics, as [executor.Register] does, if m is nil or a field of it is wrong, fn is nil, the
// name or the version is empty, the argument cannot be a key or the result cannot be kept
// without loss, or the name and version are another function's. It is called
// once for each function, and a closure that depends on anything else than its argument
// has no business here. To see the error, or for more than calls, use [NewCachedFunc].
//
// In worker processes, a registered function calls the cached one:
//
//	func cachedFeatures(ctx context.Context, path string) (Features, error) { return features(ctx, path) }
//	func init() { executor.Register(cachedFeatures) }
func Cache[In, Out any](m *Memory, name, version string, fn executor.Func[In, Out]) executor.Func[In, Out] {
	c, err := NewCachedFunc(m, name, version, fn)
	if err != nil {
		panic(err.Error())
	}
	return c.Call
}

// CachedFunc is a function with a memory: joblib's MemorizedFunc. Its methods may be
// used by many goroutines at once.
type CachedFunc[In, Out any] struct {
	memory  *Memory
	fn      executor.Func[In, Out]
	owner   owner
	own     *ownership // nil if nothing is kept
	folder  disk.Folder
	prefix  []byte // what all keys are made of
	argHash *digest.Hasher
}

// NewCachedFunc is [Cache] for a caller that does more than call the function, or wants
// to see the error.
func NewCachedFunc[In, Out any](m *Memory, name, version string, fn executor.Func[In, Out]) (*CachedFunc[In, Out], error) {
	c := &CachedFunc[In, Out]{memory: m, fn: fn, owner: owner{name, version}, folder: disk.FolderOf(name)}
	err := c.prepare()
	if err == nil {
		c.own, err = m.claim(c.owner, *(*unsafe.Pointer)(unsafe.Pointer(&fn)))
	}
	if err != nil {
		return nil, fmt.Errorf("parallel: Cache %q: %w", name, err)
	}
	return c, nil
}

// prepare returns what is wrong with the function and its names, if anything is.
func (c *CachedFunc[In, Out]) prepare() error {
	switch {
	case c.memory == nil:
		return errors.New("nil Memory")
	case c.fn == nil:
		return errors.New("nil function")
	case c.owner.name == "":
		return errors.New("empty name; results are found by it")
	case c.owner.version == "":
		return errors.New("empty version; it is to change when the function does")
	}
	in, out := reflect.TypeFor[In](), reflect.TypeFor[Out]()
	var err error
	if c.argHash, err = digest.For(in); err != nil {
		return fmt.Errorf("the argument: %w", err)
	}
	outHash, err := digest.For(out)
	if err != nil {
		return fmt.Errorf("the result: %w", err)
	}
	var none Out
	if _, err := executor.Encode(none); err != nil {
		return fmt.Errorf("the result: %w", err)
	}
	c.prefix = append(c.prefix, "futures memory 2\n"...)
	for _, part := range []string{c.owner.name, c.owner.version, outHash.Text()} {
		c.prefix = binary.LittleEndian.AppendUint64(c.prefix, uint64(len(part)))
		c.prefix = append(c.prefix, part...)
	}
	return nil
}

// claim makes o the name of a function, and returns nil if nothing is kept. Function
// values are compared, not their code: closures of one code may do different things.
func (m *Memory) claim(o owner, function unsafe.Pointer) (*ownership, error) {
	if err := m.open(); err != nil || m.store == nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	own := m.owners[o]
	if own == nil {
		own = m.own(o, function)
		m.owners[o] = own
	}
	if own.function != function {
		return nil, fmt.Errorf("the name, with version %q, is another function's; choose another, or wrap a function once and keep what that returns", o.version)
	}
	return own, nil
}

// Call is the function that [Cache] returns.
func (c *CachedFunc[In, Out]) Call(ctx context.Context, in In) (Out, error) {
	key, isKept, err := c.begin(ctx, in)
	if err != nil {
		var none Out
		return none, err
	}
	if !isKept {
		return c.fn(ctx, in)
	}
	if out, err := c.use(c.memory.store.ReadNamed(c.folder, key)); err == nil {
		return out, nil
	}
	return c.share(ctx, key, in)
}

// begin returns the key of a call's result. Without one, the function is called and
// nothing is kept.
func (c *CachedFunc[In, Out]) begin(ctx context.Context, in In) (key disk.Key, isKept bool, err error) {
	switch {
	case c.own == nil:
		return key, false, nil
	case ctx == nil:
		return key, false, errNilContext
	}
	key, err = c.key(in)
	if err != nil {
		c.memory.log("an argument cannot be a key", c.owner.name, err)
		c.own.count(misses, 1)
	}
	return key, err == nil, nil
}

// key returns the key of the result of a call.
func (c *CachedFunc[In, Out]) key(in In) (disk.Key, error) {
	sum, err := c.argHash.Sum(reflect.ValueOf(&in).Elem())
	if err != nil {
		return disk.Key{}, err
	}
	return sha256.Sum256(append(c.prefix[:len(c.prefix):len(c.prefix)], sum[:]...)), nil
}

// use returns the result that an entry has; err is that of reading it. The error
// matches [fs.ErrNotExist] if there is no entry that may be used, and is another if
// there is one that is no good.
func (c *CachedFunc[In, Out]) use(e disk.Entry, err error) (out Out, _ error) {
	switch {
	case err != nil:
		return out, err
	case !c.mayUse(e):
		return out, fs.ErrNotExist
	}
	if out, err = executor.Decode[Out](e.Body); err == nil {
		c.own.count(hits, 1)
		c.own.count(saved, int64(e.Took))
	}
	return out, err
}

// mayUse reports whether an entry is young enough and valid. How old one is that comes
// from the future, before a clock was set back, nobody knows.
func (c *CachedFunc[In, Out]) mayUse(e disk.Entry) bool {
	m := c.memory
	if age := time.Since(e.Stored); m.ExpiresAfter > 0 && (age < 0 || age >= m.ExpiresAfter) {
		return false
	}
	return m.Validate == nil || m.Validate(MemoryEntry{c.owner.name, c.owner.version, e.Stored, e.Took, len(e.Body)})
}

// Contains reports whether a call with in would be answered from disk now:
// check_call_in_cache.
func (c *CachedFunc[In, Out]) Contains(in In) bool {
	if c.own == nil {
		return false
	}
	key, err := c.key(in)
	if err != nil {
		return false
	}
	e, err := c.memory.store.Read(c.folder, key)
	return err == nil && c.mayUse(e)
}

// Refresh calls the function even if its result is kept, and keeps the new one:
// MemorizedFunc.call. If a call with the same argument runs, it waits for that first.
// The function runs on the caller's goroutine. If its result cannot be kept, the old one
// is not used any more either: it is removed, or where nothing can be removed, this
// Memory does not look at it.
func (c *CachedFunc[In, Out]) Refresh(ctx context.Context, in In) (Out, error) {
	var none Out
	key, isKept, err := c.begin(ctx, in)
	if err != nil {
		return none, err
	}
	if !isKept {
		return c.fn(ctx, in)
	}
	if c.isInside(ctx, key) {
		return none, c.errEndless()
	}
	ctx = c.enter(ctx, key, nil)
	lock, err := c.memory.lock(ctx, key)
	if err != nil {
		return none, err
	}
	defer lock.Unlock()
	out, _, err := c.compute(ctx, lock, in, func() error { return nil })
	return out, err
}

// Forget removes the result of a call with in: MemorizedResult.clear. A call that
// runs is not affected, and its result will be kept.
func (c *CachedFunc[In, Out]) Forget(in In) error {
	if c.own == nil {
		return nil
	}
	key, err := c.key(in)
	if err == nil {
		err = c.memory.store.Forget(c.folder, key)
	}
	if err != nil {
		return fmt.Errorf("parallel: Forget of %q: %w", c.owner.name, err)
	}
	return nil
}

// Clear removes all results of the function, those of other versions too:
// MemorizedFunc.clear.
func (c *CachedFunc[In, Out]) Clear() error {
	if c.own == nil {
		return nil
	}
	if err := c.memory.store.Clear(c.folder); err != nil {
		return fmt.Errorf("parallel: Clear of %q: %w", c.owner.name, err)
	}
	return nil
}

// Stats counts the calls of the function, of this version, as [Memory.Stats] does.
// Evicted is 0: limits are the Memory's.
func (c *CachedFunc[In, Out]) Stats() MemoryStats {
	if c.own == nil {
		return MemoryStats{}
	}
	return c.own.stats()
}
