package codec_test

import (
	"fmt"
	"math/big"
	"net/netip"
	"reflect"
	"time"

	"pgregory.net/rapid"
)

// leaves are the types at the ends of random ones.
var leaves = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[uint16](), reflect.TypeFor[int32](), reflect.TypeFor[uint64](),
	reflect.TypeFor[float32](), reflect.TypeFor[float64](), reflect.TypeFor[complex64](), reflect.TypeFor[complex128](), reflect.TypeFor[string](),
	reflect.TypeFor[celsius](), reflect.TypeFor[label](), reflect.TypeFor[pixels](), reflect.TypeFor[struct{}](), reflect.TypeFor[struct{ _ int16 }](),
	reflect.TypeFor[time.Time](), reflect.TypeFor[big.Int](), reflect.TypeFor[netip.Addr](), reflect.TypeFor[secret](), reflect.TypeFor[emptyIsNothing](), reflect.TypeFor[*tree](), reflect.TypeFor[list](),
}

var tags = []reflect.StructTag{"", "", `json:",omitempty"`, `json:"x,omitzero"`, `cbor:"1,keyasint,omitempty"`, `json:"-"`, `cbor:"-"`}

// drawType makes a type that can cross; the deeper, the simpler.
func drawType(t *rapid.T, depth int) reflect.Type {
	kind := rapid.IntRange(0, 7).Draw(t, "kind")
	if depth > 3 {
		kind = 0
	}
	switch kind {
	case 1, 2:
		return reflect.SliceOf(drawType(t, depth+1))
	case 3:
		return reflect.ArrayOf(rapid.IntRange(0, 3).Draw(t, "length"), drawType(t, depth+1))
	case 4:
		return reflect.MapOf(drawKey(t, depth+1), drawType(t, depth+1))
	case 5:
		return reflect.PointerTo(drawType(t, depth+1))
	case 6:
		return drawStruct(t, depth+1)
	}
	return rapid.SampledFrom(leaves).Draw(t, "leaf")
}

func drawStruct(t *rapid.T, depth int) reflect.Type {
	var fields []reflect.StructField
	for i := range rapid.IntRange(0, 4).Draw(t, "fields") {
		fields = append(fields, reflect.StructField{Name: fmt.Sprint("F", i), Type: drawType(t, depth+1), Tag: rapid.SampledFrom(tags).Draw(t, "tag")})
	}
	return reflect.StructOf(fields)
}

func drawKey(t *rapid.T, depth int) reflect.Type {
	switch rapid.IntRange(0, 4).Draw(t, "key") {
	case 0:
		return reflect.ArrayOf(rapid.IntRange(0, 3).Draw(t, "length"), rapid.SampledFrom(leaves[:13]).Draw(t, "leaf"))
	case 1:
		return reflect.StructOf([]reflect.StructField{
			{Name: "A", Type: rapid.SampledFrom(leaves[:13]).Draw(t, "leaf")},
			{Name: "B", Type: rapid.SampledFrom(leaves[:13]).Draw(t, "leaf")},
		})
	}
	return rapid.SampledFrom(leaves[:13]).Draw(t, "leaf")
}
