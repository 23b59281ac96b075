package digest

import (
	"encoding"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	timeType = reflect.TypeFor[time.Time]()
	bigType  = reflect.TypeFor[big.Int]()
)

// marshaler is a way of a type to say what it holds.
type marshaler struct {
	method string
	typ    reflect.Type // the interface
	call   func(v any) ([]byte, error)
}

// cborMarshaler is the Marshaler of github.com/fxamacker/cbor, which some types have.
type cborMarshaler interface{ MarshalCBOR() ([]byte, error) }

// marshalers are those that count, the first before the second.
var marshalers = []*marshaler{
	{"MarshalBinary", reflect.TypeFor[encoding.BinaryMarshaler](), func(v any) ([]byte, error) {
		return v.(encoding.BinaryMarshaler).MarshalBinary()
	}},
	{"MarshalCBOR", reflect.TypeFor[cborMarshaler](), func(v any) ([]byte, error) {
		return v.(cborMarshaler).MarshalCBOR()
	}},
}

// marshalerOf returns the marshaler that is t's own, nil if it has none.
func marshalerOf(t reflect.Type) *marshaler {
	for _, m := range marshalers {
		if m.isOf(t) && m.embeddedIn(t) == nil {
			return m
		}
	}
	return nil
}

// isOf reports whether t or the pointer to it has m.
func (m *marshaler) isOf(t reflect.Type) bool {
	return t.Implements(m.typ) || reflect.PointerTo(t).Implements(m.typ)
}

// embeddedIn returns the type of a field that t may have m from, nil if there is
// none. Where there is one, t may still have an m of its own. The only way to know
// is to ask the runtime whether the compiler generated the method, as codec does
// to refuse a type. No rule of the language promises the answer, so it is no base for
// digests that are to last.
func (m *marshaler) embeddedIn(t reflect.Type) reflect.Type {
	if t.Kind() != reflect.Struct {
		return nil
	}
	for f := range t.Fields() {
		if f.Anonymous && m.isOf(f.Type) {
			return f.Type
		}
	}
	return nil
}

// isHandle reports whether t is an executor.Shared, whose marshaler returns the
// handle of memory. To tell such a type by a method would give it one for that alone.
func isHandle(t reflect.Type) bool {
	return t.PkgPath() == "github.com/gofutures/futures/executor" && strings.HasPrefix(t.Name(), "Shared[")
}

// typeText is the text of a type, as far as it is written.
type typeText struct {
	strings.Builder
	named map[string][]reflect.Type // the defined types in it, by path and name
}

// textOf returns the text of t, or an error if t has no digest.
func textOf(t reflect.Type) (string, error) {
	s := typeText{named: make(map[string][]reflect.Type)}
	err := s.visit(t, t.String())
	return s.String(), err
}

// visit writes the text of t, which is found at path.
func (s *typeText) visit(t reflect.Type, path string) error {
	switch {
	case t == timeType:
		s.WriteString("time.Time+zone")
		return nil
	case t == bigType:
		s.WriteString("math/big.Int")
		return nil
	case isHandle(t):
		return refuse(path, t, "it says where memory is, and not what is in it", `give its Slice instead, or leave it out with the tag hash:"-"`)
	case t.Kind() == reflect.Interface: // its methods, if any, are those of a value to come
		return refuse(path, t, "what an interface will hold is not known from its type", `use a concrete type, or leave it out with the tag hash:"-"`)
	case t.PkgPath() == "":
		return s.visitParts(t, path)
	}
	isNew := s.writeName(t)
	switch {
	case marshalerOf(t) != nil:
		s.WriteByte('!')
		return nil
	case !isNew:
		return nil
	}
	s.WriteByte('=')
	return s.visitParts(t, path)
}

// writeName writes the name of a defined type and reports whether it is the
// first time. It is the type that must be new and not its name, which types that
// are declared in functions may share.
func (s *typeText) writeName(t reflect.Type) (isNew bool) {
	name := t.PkgPath() + "." + t.Name()
	i := slices.Index(s.named[name], t)
	if isNew = i < 0; isNew {
		i = len(s.named[name])
		s.named[name] = append(s.named[name], t)
	}
	s.WriteString(name)
	if i > 0 {
		fmt.Fprintf(s, "#%d", i)
	}
	return isNew
}

// visitParts writes what t is made of.
func (s *typeText) visitParts(t reflect.Type, path string) error {
	switch t.Kind() {
	case reflect.Struct:
		return s.visitStruct(t, path)
	case reflect.Pointer:
		s.WriteByte('*')
		return s.visit(t.Elem(), path)
	case reflect.Slice:
		s.WriteString("[]")
		return s.visit(t.Elem(), path+"[]")
	case reflect.Array:
		s.WriteString("[" + strconv.Itoa(t.Len()) + "]")
		return s.visit(t.Elem(), path+"[]")
	case reflect.Map:
		return s.visitMap(t, path)
	case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Uintptr:
		return refuse(path, t, "it is another one in every process", `leave it out with the tag hash:"-", or give the type that has it MarshalBinary`)
	}
	s.WriteString(t.Kind().String())
	return nil
}

func (s *typeText) visitMap(t reflect.Type, path string) error {
	s.WriteString("map[")
	if err := s.visit(t.Key(), path+"[key]"); err != nil {
		return err
	}
	s.WriteByte(']')
	return s.visit(t.Elem(), path+"[]")
}

func (s *typeText) visitStruct(t reflect.Type, path string) error {
	s.WriteString("struct{")
	between := ""
	for f := range t.Fields() {
		if isSkipped(f) {
			continue
		}
		s.WriteString(between)
		between = ";"
		if err := s.visitField(t, f, path+"."+f.Name); err != nil {
			return err
		}
	}
	s.WriteByte('}')
	return nil
}

func (s *typeText) visitField(t reflect.Type, f reflect.StructField, path string) error {
	if !f.IsExported() && f.Name != "_" {
		return refuseUnexported(path, t, f)
	}
	if f.Anonymous {
		s.WriteByte('@')
	}
	s.WriteString(f.Name + " ")
	return s.visit(f.Type, path)
}

// isSkipped reports whether a field is to be ignored.
func isSkipped(f reflect.StructField) bool { return f.Tag.Get("hash") == "-" }

// refuse says what has no digest, where it is, why, and what to do.
func refuse(path string, t reflect.Type, why, remedy string) error {
	if path == t.String() {
		return fmt.Errorf("a %v has no digest: %s; %s", t, why, remedy)
	}
	return fmt.Errorf("%s: a %v has no digest: %s; %s", path, t, why, remedy)
}

// refuseUnexported is for the field f of t.
func refuseUnexported(path string, t reflect.Type, f reflect.StructField) error {
	for _, m := range marshalers {
		if from := m.embeddedIn(t); from != nil && m.isOf(t) {
			return fmt.Errorf("%s: the field has no digest: it is unexported, and the %s of %v may be that of %v, which it embeds and which knows nothing of the rest; "+
				`export the field, leave it out with the tag hash:"-", or give the embedded field a name and %v a %[2]s of its own`, path, m.method, t, from, t)
		}
	}
	return fmt.Errorf("%s: the field has no digest: it is unexported, so only its package knows what it means; "+
		`export it, leave it out with the tag hash:"-", or give %v MarshalBinary; a type that is not yours can be wrapped in one that is and has it`, path, t)
}
