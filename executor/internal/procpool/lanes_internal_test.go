package procpool

import (
	"bytes"
	"testing"
)

func TestFillCopiesAllOfIt(t *testing.T) {
	for _, n := range []int{0, 1, 4<<20 - 1, 8 << 20, 8<<20 + 1, 13<<20 + 7} {
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(i*7 + i>>8)
		}
		area := make([]byte, n+10)
		fill(area, data)
		if !bytes.Equal(area[:n], data) || !bytes.Equal(area[n:], make([]byte, 10)) {
			t.Errorf("%d bytes are not what was copied", n)
		}
	}
}
