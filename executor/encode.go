package executor

import (
	"errors"
	"fmt"

	"github.com/gofutures/futures/executor/internal/codec"
)

// Encode returns v as bytes, in the way in which arguments and results cross to
// another process: pickle.dumps. It is used by executors of one's own and by what
// keeps results, as a cache does. [Decode] makes the value again.
//
// It is as strict as [Register]: the error of a type that would lose something
// names the path to it, and that of a value says what is wrong with it, as a cycle.
// The bytes of two releases of this module need not be the same, nor those of two
// maps that are equal.
func Encode[T any](v T) ([]byte, error) {
	c, err := codec.For[T]()
	if err != nil {
		return nil, fmt.Errorf("executor: Encode: %w", err)
	}
	if data, ok := c.View(v); ok {
		if data == nil {
			return []byte{isNilSlice}, nil
		}
		return append([]byte{isNoNilSlice}, data...), nil
	}
	data, err := c.Append(nil, v)
	if err != nil {
		return nil, fmt.Errorf("executor: Encode: %w", err)
	}
	return data, nil
}

// Decode returns the value that [Encode] made data of: pickle.loads. Unlike that,
// it takes bytes of any origin: it runs no code but the type's own UnmarshalCBOR or
// UnmarshalBinary, and takes memory in proportion to data. What is wrong is an
// error. The value shares no memory with data.
func Decode[T any](data []byte) (v T, err error) {
	c, err := codec.For[T]()
	if err != nil {
		return v, fmt.Errorf("executor: Decode: %w", err)
	}
	if _, ok := c.View(v); ok {
		if data, err = unmark(data); err != nil {
			return v, fmt.Errorf("executor: Decode: cannot decode a %T: %w", v, err)
		}
	}
	if v, err = c.Decode(data); err != nil {
		return v, fmt.Errorf("executor: Decode: %w", err)
	}
	return v, nil
}

// Before a string or a slice of numbers stands whether it is nil: in a message, that
// is told otherwise.
const (
	isNilSlice = iota
	isNoNilSlice
)

// unmark takes the mark off.
func unmark(data []byte) ([]byte, error) {
	switch {
	case len(data) == 1 && data[0] == isNilSlice:
		return nil, nil
	case len(data) > 0 && data[0] == isNoNilSlice:
		return data[1:], nil
	}
	return nil, errors.New("its first byte is wrong")
}
