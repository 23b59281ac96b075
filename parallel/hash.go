package parallel

import (
	"encoding/hex"
	"fmt"
	"reflect"

	"github.com/gofutures/futures/parallel/internal/digest"
)

// Digest is that of a value; see [Hash].
type Digest [len(digest.Digest{})]byte

// String returns the digest in 64 hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Hash returns the SHA-256 digest of v, of its type and all that it holds: joblib.hash.
// It is the digest by which a [Memory] knows an argument.
//
// Two values have one digest exactly if they are the same in type, structure and
// content. Values that differ in a type's name, in the name or the order of a field,
// or in nil and empty, are not the same. The order in which a map was filled, sharing
// of what pointers point to, the capacity of slices and the monotonic clock of a time
// do not count; its instant, its offset from UTC and the name of its zone do. That is
// what executor.Encode sends, so a value has one digest on both sides. A field
// with the tag `hash:"-"` does not count, whatever is in it.
//
// The digest of a value is the same in all processes, on all machines and in all
// releases of this module.
//
// A type has no digest if it has something in it that has no content to be compared:
// a channel, a function, an interface, or an unexported field. The error says where it
// is. A type with a MarshalBinary, or a MarshalCBOR, is what that returns; it must
// return the same for what is the same. A value with a cycle, or nested more than 1000
// levels deep, is an error too, as it is for executor.Encode.
func Hash(v any) (Digest, error) {
	h, err := digest.For(reflect.TypeOf(v))
	if err != nil {
		return Digest{}, fmt.Errorf("parallel: Hash: %w", err)
	}
	sum, err := h.Sum(reflect.ValueOf(v))
	if err != nil {
		return Digest{}, fmt.Errorf("parallel: Hash: %w", err)
	}
	return Digest(sum), nil
}
