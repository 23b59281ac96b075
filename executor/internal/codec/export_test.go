package codec

import "reflect"

// Form is what a Codec has in it, for a type that is known when a test runs.
type Form struct{ form }

// FormOf returns the form of a struct type.
func FormOf(t reflect.Type) (Form, error) {
	f, err := formOf(t)
	return Form{f}, err
}

// Encode appends the encoding of what v points to.
func (f *Form) Encode(b []byte, v reflect.Value) ([]byte, error) {
	return f.append(b, v.UnsafePointer())
}

// EncodeAfter returns the error of encoding what v points to behind so many places.
func (f *Form) EncodeAfter(places int, v reflect.Value) error {
	_, err := f.plan.encode(nil, v.UnsafePointer(), &walk{places: places})
	if err == nil {
		return nil
	}
	return explain("encode", f.typ, err)
}

// Decode returns a pointer to a value.
func (f *Form) Decode(data []byte) (reflect.Value, error) {
	v := reflect.New(f.typ)
	return v, f.follow(data, v.UnsafePointer())
}

func (f *Form) Size() int    { return f.size }
func (f *Form) Least() int64 { return f.plan.least }

// OnBigEndian calls f as if numbers were the other way round in memory here.
func OnBigEndian(f func()) {
	defer func(was bool) { isBigEndian = was }(isBigEndian)
	isBigEndian = !isBigEndian
	f()
}
