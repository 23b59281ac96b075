package digest

import "reflect"

// ForBigEndian returns a Hasher as it would be on a machine where numbers are not
// in memory as they are written: it takes them one by one.
func ForBigEndian(t reflect.Type) *Hasher {
	defer func(was bool) { isLittleEndian = was }(isLittleEndian)
	isLittleEndian = false
	return judge(t).hasher
}
