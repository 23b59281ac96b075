package digest

import "reflect"

// ForBigEndian returns a Hasher as it would be on a machine where numbers are not
// in memory as they are written: it takes them one by one.
func ForBigEndian(t reflect.Type) *Hasher {
	defer func(was bool) { isLittleEndian = was }(isLittleEndian)
	isLittleEndian = false
	return judge(t).hasher
}

// SumAfter returns the error of the digest of v where so many places were come
// through before.
func (h *Hasher) SumAfter(places int, v reflect.Value) error {
	w := writers.Get().(*writer)
	defer w.release()
	w.places = places
	if err := h.plan.write(w, address(v)); err != nil {
		return explain(h.typ, err)
	}
	return nil
}
