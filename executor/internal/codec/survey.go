package codec

import (
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/fxamacker/cbor/v2"
)

// survey looks at a type for what cannot cross, and for what has to be known of
// it.
type survey struct {
	marshals bool // a marshaler of the user's is in it
	careful  bool // some of its values cannot cross: they have to be checked
	needsRaw error
	text     strings.Builder // describes it
	seen     map[reflect.Type]*sight
	opaque   map[reflect.Type]bool // types that are encoded as a whole, and not by what is in them
}

// sight is that of a type.
type sight struct {
	number int
	isOpen bool // we are inside
}

// native are types with marshalers, or unexported fields, that the codec knows.
var native = []reflect.Type{timeType, reflect.TypeFor[big.Int]()}

var (
	timeType          = reflect.TypeFor[time.Time]()
	marshaler         = reflect.TypeFor[cbor.Marshaler]()
	unmarshaler       = reflect.TypeFor[cbor.Unmarshaler]()
	binaryMarshaler   = reflect.TypeFor[encoding.BinaryMarshaler]()
	binaryUnmarshaler = reflect.TypeFor[encoding.BinaryUnmarshaler]()
	zeroer            = reflect.TypeFor[interface{ IsZero() bool }]()
)

// marshals reports whether t has a marshaler, or one half of one.
func marshals(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(marshaler) || p.Implements(unmarshaler) || p.Implements(binaryMarshaler) || p.Implements(binaryUnmarshaler)
}

// visit looks at t, which is found at path.
func (s *survey) visit(t reflect.Type, path string) error {
	switch k := t.Kind(); {
	case slices.Contains(native, t):
		s.careful = s.careful || t == timeType
		s.skip(t)
		return nil
	case k == reflect.Pointer && slices.Contains(native, t.Elem()):
		s.text.WriteByte('*')
		return s.visit(t.Elem(), path)
	case k != reflect.Pointer && k != reflect.Interface && marshals(t):
		return s.visitMarshaler(t, path)
	}
	// Each type is looked at once: the paths through types that point to each
	// other can be more than anyone has time for.
	if seen := s.seen[t]; seen != nil {
		s.careful = s.careful || seen.isOpen // a value may have a cycle
		fmt.Fprintf(&s.text, "type %d", seen.number)
		return nil
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		seen := &sight{len(s.seen), true}
		defer func() { seen.isOpen = false }()
		s.seen[t] = seen
	}
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
		s.careful = s.careful || t.Elem().Size() == 0
		s.text.WriteString("[]")
		return s.visit(t.Elem(), path+"[]")
	case reflect.Array:
		s.careful = s.careful || t.Elem().Size() == 0
		fmt.Fprintf(&s.text, "[%d]", t.Len())
		return s.visit(t.Elem(), path+"[]")
	case reflect.Map:
		return s.visitMap(t, path)
	case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Uintptr:
		return refuse(path, t, "it means nothing in another process", "leave it out, or give the type that has it MarshalBinary and UnmarshalBinary")
	case reflect.Interface:
		return refuse(path, t, "an interface does not say what to decode", "use a concrete type")
	case reflect.Complex64, reflect.Complex128:
		if s.needsRaw == nil {
			s.needsRaw = refuse(path, t, "there are complex numbers beside slices, maps or pointers to other things", "use an array of two floats")
		}
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
	has, hasOther, methods := p.Implements(marshaler), p.Implements(unmarshaler), []string{"MarshalCBOR", "UnmarshalCBOR"}
	if !has && !hasOther { // those for bytes count where there are none for CBOR
		has, hasOther, methods = p.Implements(binaryMarshaler), p.Implements(binaryUnmarshaler), []string{"MarshalBinary", "UnmarshalBinary"}
	}
	if !has || !hasOther {
		return refuse(path, t, "it has a marshaler or an unmarshaler, and not the other", "give it both")
	}
	if from := heir(t, methods); from != nil {
		return refuse(path, t, fmt.Sprintf("its marshaler is that of %v, which it embeds and which knows nothing of the rest", from), "do not embed it, or give it marshalers of its own")
	}
	s.marshals = true
	s.skip(t)
	return nil
}

// skip is for a type that is encoded as a whole.
func (s *survey) skip(t reflect.Type) {
	s.opaque[t] = true
	s.text.WriteString(t.String())
}

// heir returns the embedded type that a struct has one of the methods from, if
// the struct is more than that type. A method that was not written but inherited
// is one that the compiler generates.
func heir(t reflect.Type, methods []string) (from reflect.Type) {
	if t.Kind() != reflect.Struct {
		return nil
	}
	isInherited := slices.ContainsFunc(methods, func(name string) bool {
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
	if f, ok := t.FieldByName("_"); ok {
		switch tag := f.Tag.Get("cbor") + ","; {
		case strings.Contains(tag, ",toindefarray,"):
			return refuse(path, t, "its tag toindefarray makes what cannot be decoded", "use toarray")
		case strings.Contains(tag, ",toarray,"):
			s.text.WriteString("toarray ")
		}
	}
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
		tag := tagOf(f)
		isEmbedded := f.Anonymous && !tag.isName
		switch {
		case !f.IsExported():
			return refuse(at, f.Type, "the field is unexported and would be lost", fmt.Sprintf("export it, or give %v MarshalBinary and UnmarshalBinary", t))
		case tag.isSkipped:
			return refuse(at, f.Type, "its tag says that the field is left out, so it would be lost", `give it a name for this purpose, as in cbor:"name"`)
		case isEmbedded && f.Type.Kind() == reflect.Pointer:
			return refuse(at, f.Type, "it is embedded, and nil would be lost", `give it a name, as in cbor:"name"`)
		case isEmbedded && f.Type.Kind() == reflect.Struct && (marshals(f.Type) || slices.Contains(native, f.Type)):
			return refuse(at, f.Type, "it is embedded, and only its exported fields would cross", `give it a name, as in cbor:"name"`)
		case isEmbedded && f.Type.Kind() == reflect.Struct:
			if err := s.visitFields(f.Type, at, names); err != nil {
				return err
			}
			continue
		case tag.omitsZero && f.Type != timeType && reflect.PointerTo(f.Type).Implements(zeroer),
			tag.omitsZero && f.Type.Kind() == reflect.Pointer && f.Type.Implements(zeroer):
			return refuse(at, f.Type, "what its IsZero method calls zero would be lost", "leave omitzero out of its tag")
		}
		name := strconv.Quote(tag.name)
		if tag.isInt {
			n, err := strconv.Atoi(tag.name)
			if err != nil {
				return fmt.Errorf("%s: its tag has keyasint, and %q is no integer", at, tag.name)
			}
			name = strconv.Itoa(n)
		}
		if other, taken := names[name]; taken {
			return fmt.Errorf("%s: it is encoded as %s, as is %s, so that one would be lost; give one another name, as in cbor:\"name\"", at, name, other)
		}
		names[name] = at
		s.text.WriteString(name + " ")
		if err := s.visit(f.Type, at); err != nil {
			return err
		}
		s.text.WriteByte(';')
	}
	return nil
}

// fieldTag is what the tag of a field says.
type fieldTag struct {
	name      string // under which it is encoded
	isName    bool   // the tag says so
	isInt     bool   // the name is to be a number
	isSkipped bool
	omitsZero bool
}

func tagOf(f reflect.StructField) fieldTag {
	text := f.Tag.Get("cbor")
	if text == "" {
		text = f.Tag.Get("json")
	}
	if text == "-" {
		return fieldTag{isSkipped: true}
	}
	name, options, _ := strings.Cut(text, ",")
	tag := fieldTag{name: cmp.Or(name, f.Name), isName: name != ""}
	for option := range strings.SplitSeq(options, ",") {
		tag.isInt = tag.isInt || option == "keyasint"
		tag.omitsZero = tag.omitsZero || option == "omitzero"
	}
	return tag
}

// check returns an error for a value that cannot cross though its type can: one
// that has a cycle or is nested too deep, which would overflow the stack of who
// encodes it, and a time that would come back as another.
func check(v reflect.Value, opaque map[reflect.Type]bool) error {
	w := walker{left: 1 << 28, opaque: opaque}
	return w.walk(v, 0)
}

type walker struct {
	path   []unsafe.Pointer // the pointers, slices and maps that this value is in
	left   int              // values that may yet come
	opaque map[reflect.Type]bool
}

var (
	errCycle    = errors.New("it has a cycle; use indexes instead of pointers")
	errDeep     = fmt.Errorf("it is nested more than %d levels deep", maxLevels)
	errLarge    = errors.New("it is too large")
	errZeroTime = errors.New("a pointer to the zero time.Time would come back as nil; use nil")
	errOffset   = errors.New("the offset of a time.Time has seconds, which would be lost; use its UTC")
)

func (w *walker) walk(v reflect.Value, level int) error {
	if w.left--; w.left < 0 {
		return errLarge
	}
	if level > maxLevels {
		return w.tooDeep()
	}
	switch k := v.Kind(); k {
	case reflect.Struct, reflect.Slice, reflect.Array, reflect.Map:
		if t := v.Type(); w.opaque[t] {
			if t == timeType {
				return checkTime(v)
			}
			return nil
		}
	case reflect.Pointer:
	default:
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		if v.Type().Elem() == timeType && v.Interface().(*time.Time).IsZero() {
			return errZeroTime
		}
		return w.within(v, func() error { return w.walk(v.Elem(), level+1) })
	case reflect.Slice:
		if v.Len() == 0 {
			return nil
		}
		return w.within(v, func() error { return w.each(v, level) })
	case reflect.Array:
		return w.each(v, level)
	case reflect.Map:
		return w.within(v, func() error {
			for it := v.MapRange(); it.Next(); {
				if err := w.walk(it.Value(), level+1); err != nil {
					return err
				}
			}
			return nil
		})
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanInterface() { // all but blank ones
				if err := w.walk(f, level+1); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (w *walker) each(v reflect.Value, level int) error {
	if v.Len() > w.left && v.Type().Elem().Size() == 0 {
		return errLarge // a length that takes no memory can be any
	}
	if k := v.Type().Elem().Kind(); k <= reflect.Complex128 || k == reflect.String {
		return nil
	}
	for i := range v.Len() {
		if err := w.walk(v.Index(i), level+1); err != nil {
			return err
		}
	}
	return nil
}

// within walks what v points to.
func (w *walker) within(v reflect.Value, walk func() error) error {
	w.path = append(w.path, v.UnsafePointer())
	err := walk()
	w.path = w.path[:len(w.path)-1]
	return err
}

// tooDeep tells a cycle from what is only deep.
func (w *walker) tooDeep() error {
	seen := make(map[unsafe.Pointer]bool)
	for _, p := range w.path {
		if seen[p] {
			return errCycle
		}
		seen[p] = true
	}
	return errDeep
}

func checkTime(v reflect.Value) error {
	t, _ := v.Interface().(time.Time)
	if _, offset := t.Zone(); offset%60 != 0 {
		return errOffset
	}
	return nil
}
