package cli

import (
	"slices"
	"strconv"
)

// Thousands returns n as in 1,234,567.
func Thousands(n int) string {
	digits := []byte(strconv.Itoa(n))
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = slices.Insert(digits, i, ',')
	}
	return string(digits)
}
