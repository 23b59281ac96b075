package codec

import (
	"fmt"
	"math/big"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"time"
)

// survey looks at a type for what cannot cross, and for what has to be known of
// it.
type survey struct {
	marshals bool            // a marshaler of the user's is in it
	text     strings.Builder // describes it
	seen     map[reflect.Type]int
}

// These two have marshalers, or unexported fields, and are known as a whole.
var (
	timeType = reflect.TypeFor[time.Time]()
	bigType  = reflect.TypeFor[big.Int]()
)

func isKnown(t reflect.Type) bool { return t == timeType || t == bigType }

// visit looks at t, which is found at path.
func (s *survey) visit(t reflect.Type, path string) error {
	switch k := t.Kind(); {
	case isKnown(t):
		s.text.WriteString(t.String())
		return nil
	case k != reflect.Pointer && k != reflect.Interface && marshals(t):
		return s.visitMarshaler(t, path)
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return s.visitOnce(t, path)
	case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Uintptr:
		return refuse(path, t, "it means nothing there", "leave it out, or give the type that has it MarshalBinary and UnmarshalBinary")
	case reflect.Interface:
		return refuse(path, t, "an interface does not say what to decode", "use a concrete type")
	}
	s.text.WriteString(t.Kind().String())
	return nil
}

// visitOnce looks at each type once: the paths through types that point to each
// other can be more than anyone has time for.
func (s *survey) visitOnce(t reflect.Type, path string) error {
	if number, ok := s.seen[t]; ok {
		fmt.Fprintf(&s.text, "type %d", number)
		return nil
	}
	s.seen[t] = len(s.seen)
	switch t.Kind() {
	case reflect.Struct:
		return s.visitStruct(t, path)
	case reflect.Pointer:
		s.text.WriteByte('*')
		return s.visit(t.Elem(), path)
	case reflect.Slice:
		s.text.WriteString("[]")
		return s.visit(t.Elem(), path+"[]")
	case reflect.Array:
		fmt.Fprintf(&s.text, "[%d]", t.Len())
		return s.visit(t.Elem(), path+"[]")
	}
	if !isKey(t.Key()) {
		return refuse(path+"[key]", t.Key(), "only bools, numbers and strings, and arrays and structs of these, are keys that are found again", "use a slice of pairs")
	}
	s.text.WriteString("map[")
	if err := s.visit(t.Key(), path+"[key]"); err != nil {
		return err
	}
	s.text.WriteByte(']')
	return s.visit(t.Elem(), path+"[]")
}

// isKey reports whether what arrives is equal to what was sent, as Go compares
// values. A pointer is not, and neither is a time, which has one to its zone.
func isKey(t reflect.Type) bool {
	switch {
	case isKnown(t) || marshals(t):
		return false
	case isNumber(t) || t.Kind() == reflect.Bool || t.Kind() == reflect.String:
		return true
	case t.Kind() == reflect.Array:
		return isKey(t.Elem())
	case t.Kind() != reflect.Struct:
		return false
	}
	for i := range t.NumField() {
		if f := t.Field(i); f.Name != "_" && !isKey(f.Type) {
			return false
		}
	}
	return true
}

func (s *survey) visitStruct(t reflect.Type, path string) error {
	s.text.WriteString("struct{")
	for i := range t.NumField() {
		f := t.Field(i)
		switch at := path + "." + f.Name; {
		case f.Name == "_":
			continue
		case !f.IsExported():
			return refuse(at, f.Type, "the field is unexported and would be lost",
				fmt.Sprintf("export it, or give %v MarshalBinary and UnmarshalBinary; a type that is not yours can be wrapped in one that is and has them", t))
		default:
			s.text.WriteString(f.Name + " ")
			if err := s.visit(f.Type, at); err != nil {
				return err
			}
			s.text.WriteByte(';')
		}
	}
	s.text.WriteByte('}')
	return nil
}

func (s *survey) visitMarshaler(t reflect.Type, path string) error {
	m, p := marshalersOf(t), reflect.PointerTo(t)
	switch {
	case !p.Implements(m.typ):
		return refuse(path, t, fmt.Sprintf("it has %s and no %s", m.inverse, m.method), "give it both, or wrap it in a type that has both")
	case !p.Implements(m.inverseTyp):
		return refuse(path, t, fmt.Sprintf("it has %s and no %s", m.method, m.inverse), "give it both, or wrap it in a type that has both")
	}
	if from := heir(t, m); from != nil {
		return refuse(path, t, fmt.Sprintf("its %s is that of %v, which it embeds and which knows nothing of the rest", m.method, from),
			"give the embedded field a name, or the type marshalers of its own")
	}
	s.marshals = true
	s.text.WriteString(t.String())
	return nil
}

// heir returns the embedded type that a struct has one of the methods from, if
// the struct is more than that type. A method that was not written but inherited
// is one that the compiler generates.
func heir(t reflect.Type, m *marshalers) (from reflect.Type) {
	if t.Kind() != reflect.Struct {
		return nil
	}
	isInherited := slices.ContainsFunc([]string{m.method, m.inverse}, func(name string) bool {
		m, ok := t.MethodByName(name)
		if !ok {
			m, _ = reflect.PointerTo(t).MethodByName(name)
		}
		file, _ := runtime.FuncForPC(m.Func.Pointer()).FileLine(m.Func.Pointer())
		return file == "<autogenerated>"
	})
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous && isInherited {
			if k := f.Type.Kind(); t.NumField() > 1 || k == reflect.Pointer || k == reflect.Interface {
				return f.Type
			}
		}
	}
	return nil
}

// refuse says what cannot cross, where it is, why, and what to do.
func refuse(path string, t reflect.Type, why, remedy string) error {
	if path == t.String() {
		return fmt.Errorf("a %v cannot cross to another process: %s; %s", t, why, remedy)
	}
	return fmt.Errorf("%s: a %v cannot cross to another process: %s; %s", path, t, why, remedy)
}
