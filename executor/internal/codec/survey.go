package codec

import (
	"encoding"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// survey looks at a type for what cannot cross, and for what has to be known of
// it.
type survey struct {
	marshals  bool // a marshaler of the user's is in it
	recursive bool
	text      strings.Builder // describes it
	around    []reflect.Type  // the types that this one is in
}

// native are types with marshalers, or unexported fields, that the codec knows.
var native = []reflect.Type{reflect.TypeFor[time.Time](), reflect.TypeFor[big.Int]()}

var (
	marshaler         = reflect.TypeFor[cbor.Marshaler]()
	unmarshaler       = reflect.TypeFor[cbor.Unmarshaler]()
	binaryMarshaler   = reflect.TypeFor[encoding.BinaryMarshaler]()
	binaryUnmarshaler = reflect.TypeFor[encoding.BinaryUnmarshaler]()
)

// marshals reports whether t has a marshaler, or one half of one.
func marshals(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(marshaler) || p.Implements(unmarshaler) || p.Implements(binaryMarshaler) || p.Implements(binaryUnmarshaler)
}

// visit looks at t, which is found at path.
func (s *survey) visit(t reflect.Type, path string) error {
	if slices.Contains(native, t) {
		s.text.WriteString(t.String())
		return nil
	}
	if t.Kind() == reflect.Pointer && slices.Contains(native, t.Elem()) {
		s.text.WriteString(t.String())
		return nil
	}
	if t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface && marshals(t) {
		return s.visitMarshaler(t, path)
	}
	if slices.Contains(s.around, t) {
		s.recursive = true
		s.text.WriteString(t.String())
		return nil
	}
	s.around = append(s.around, t)
	defer func() { s.around = s.around[:len(s.around)-1] }()
	switch t.Kind() {
	case reflect.Struct:
		return s.visitStruct(t, path)
	case reflect.Pointer:
		switch t.Elem().Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			return refuse(path, t, "a pointer to what may be nil itself loses which of the two is", "use one of the two")
		}
		s.text.WriteByte('*')
		return s.visit(t.Elem(), path)
	case reflect.Slice:
		s.text.WriteString("[]")
		return s.visit(t.Elem(), path+"[]")
	case reflect.Array:
		fmt.Fprintf(&s.text, "[%d]", t.Len())
		return s.visit(t.Elem(), path+"[]")
	case reflect.Map:
		return s.visitMap(t, path)
	case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Uintptr:
		return refuse(path, t, "it means nothing in another process", "leave it out, or give the type that has it MarshalBinary and UnmarshalBinary")
	case reflect.Interface:
		return refuse(path, t, "an interface does not say what to decode", "use a concrete type")
	}
	s.text.WriteString(t.Kind().String())
	return nil
}

// refuse says what cannot cross, where it is, why, and what to do.
func refuse(path string, t reflect.Type, why, remedy string) error {
	return fmt.Errorf("%s: a %v cannot cross to another process: %s; %s", path, t, why, remedy)
}

func (s *survey) visitMarshaler(t reflect.Type, path string) error {
	p := reflect.PointerTo(t)
	if !(p.Implements(marshaler) && p.Implements(unmarshaler)) && !(p.Implements(binaryMarshaler) && p.Implements(binaryUnmarshaler)) {
		return refuse(path, t, "it has a marshaler or an unmarshaler, and not the other", "give it both")
	}
	s.marshals = true
	s.text.WriteString(t.String())
	return nil
}

func (s *survey) visitMap(t reflect.Type, path string) error {
	key := t.Key()
	switch k := key.Kind(); {
	case marshals(key), k != reflect.String && k != reflect.Bool && (k < reflect.Int || k > reflect.Uint64):
		return refuse(path+"[key]", key, "only strings, integers and bools are keys that come back the same", "use a slice of pairs")
	}
	fmt.Fprintf(&s.text, "map[%v]", key.Kind())
	return s.visit(t.Elem(), path+"[]")
}

func (s *survey) visitStruct(t reflect.Type, path string) error {
	s.text.WriteString("struct{")
	names := make(map[string]string)
	if err := s.visitFields(t, path, names); err != nil {
		return err
	}
	s.text.WriteByte('}')
	return nil
}

// visitFields looks at the fields of t. names has those that are encoded, and
// where they are.
func (s *survey) visitFields(t reflect.Type, path string, names map[string]string) error {
	for i := range t.NumField() {
		f := t.Field(i)
		at := path + "." + f.Name
		if f.Name == "_" {
			continue
		}
		name, skipped, tagged := tagOf(f)
		switch {
		case !f.IsExported():
			return refuse(at, f.Type, "the field is unexported and would be lost", fmt.Sprintf("export it, or give %v MarshalBinary and UnmarshalBinary", t))
		case skipped:
			return refuse(at, f.Type, "its tag says that the field is left out, so it would be lost", `give it a name for this purpose, as in cbor:"name"`)
		case f.Anonymous && !tagged && f.Type.Kind() == reflect.Struct && !marshals(f.Type) && !slices.Contains(native, f.Type):
			if err := s.visitFields(f.Type, at, names); err != nil {
				return err
			}
			continue
		case f.Anonymous && !tagged && f.Type.Kind() == reflect.Pointer:
			return refuse(at, f.Type, "it is embedded, and nil would be lost", `give it a name, as in cbor:"name"`)
		}
		if other, taken := names[name]; taken {
			return fmt.Errorf("%s: it is encoded as %q, as is %s, so that one would be lost; give one another name, as in cbor:\"name\"", at, name, other)
		}
		names[name] = at
		fmt.Fprintf(&s.text, "%q ", name)
		if err := s.visit(f.Type, at); err != nil {
			return err
		}
		s.text.WriteByte(';')
	}
	return nil
}

// tagOf returns the name under which a field is encoded, whether it is not, and
// whether a tag says so.
func tagOf(f reflect.StructField) (name string, skipped, tagged bool) {
	tag, ok := f.Tag.Lookup("cbor")
	if !ok {
		tag = f.Tag.Get("json")
	}
	if tag == "-" {
		return "", true, true
	}
	name, _, _ = strings.Cut(tag, ",")
	if name == "" {
		return f.Name, false, false
	}
	return name, false, true
}

// checkCycles returns an error for a value that has a cycle, or is nested too
// deep, which would overflow the stack of who encodes it.
func checkCycles(v reflect.Value) error {
	w := walker{left: 1 << 28}
	return w.walk(v, 0)
}

type walker struct {
	path []uintptr // the pointers, slices and maps that this value is in
	left int       // values that may yet come
}

var (
	errCycle = errors.New("it has a cycle; use indexes instead of pointers")
	errDeep  = fmt.Errorf("it is nested more than %d levels deep", maxLevels)
	errLarge = errors.New("it is too large")
)

func (w *walker) walk(v reflect.Value, level int) error {
	if w.left--; w.left < 0 {
		return errLarge
	}
	if level > maxLevels {
		return errDeep
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return w.within(v.Pointer(), func() error { return w.walk(v.Elem(), level+1) })
	case reflect.Slice:
		if v.Len() == 0 || isNumber(v.Type().Elem()) {
			return nil
		}
		return w.within(v.Pointer(), func() error { return w.each(v, level) })
	case reflect.Array:
		return w.each(v, level)
	case reflect.Map:
		if v.Len() == 0 {
			return nil
		}
		return w.within(v.Pointer(), func() error {
			for it := v.MapRange(); it.Next(); {
				if err := w.walk(it.Value(), level+1); err != nil {
					return err
				}
			}
			return nil
		})
	case reflect.Struct:
		for i := range v.NumField() {
			if err := w.walk(v.Field(i), level+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *walker) each(v reflect.Value, level int) error {
	for i := range v.Len() {
		if err := w.walk(v.Index(i), level+1); err != nil {
			return err
		}
	}
	return nil
}

// within walks what p points to.
func (w *walker) within(p uintptr, walk func() error) error {
	if slices.Contains(w.path, p) && len(w.path) > maxLevels/10 {
		return errCycle
	}
	w.path = append(w.path, p)
	err := walk()
	w.path = w.path[:len(w.path)-1]
	return err
}
