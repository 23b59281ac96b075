package executor_test

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/gofutures/futures/executor"
)

func TestDecodeReturnsWhatEncodeWasGiven(t *testing.T) {
	type part struct {
		Name string
		Tags map[string][]float64
	}
	check(t, 7)
	check(t, "")
	check(t, "grün")
	check[[]byte](t, nil)
	check(t, []byte{})
	check(t, []byte{0})
	check[[]float64](t, nil)
	check(t, []float64{})
	check(t, []float64{math.Inf(-1), 0, 1})
	check[[]string](t, nil)
	check(t, []string{})
	check(t, part{"a", map[string][]float64{"x": {1}, "y": nil}})
	check[*part](t, nil)
	check(t, &part{})
}

func check[T any](t *testing.T, want T) {
	t.Helper()
	data, err := executor.Encode(want)
	if err != nil {
		t.Errorf("Encode(%#v): %v", want, err)
		return
	}
	got, err := executor.Decode[T](data)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Decode(Encode(%#v)) = %#v, %v", want, got, err)
	}
}

func TestDecodeRefusesWhatEncodeDidNotMake(t *testing.T) {
	for _, data := range [][]byte{nil, {}, {2}, {0, 0}, {1, 0, 0, 0}} {
		if got, err := executor.Decode[[]float64](data); err == nil {
			t.Errorf("Decode[[]float64](%v) = %v, without an error", data, got)
		}
	}
	if got, err := executor.Decode[int]([]byte{1, 2}); err == nil {
		t.Errorf("Decode[int] of 2 bytes = %v, without an error", got)
	}
	if got, err := executor.Decode[[]string](bytes.Repeat([]byte{0x9f}, 1e5)); err == nil {
		t.Errorf("Decode[[]string] of rubbish = %v, without an error", got)
	}
}

func TestEncodeRefusesATypeThatWouldLoseSomething(t *testing.T) {
	_, err := executor.Encode(struct{ Wait chan int }{})
	if err == nil || !strings.Contains(err.Error(), ".Wait: a chan int cannot") {
		t.Errorf("Encode of a channel: %v", err)
	}
	if _, err := executor.Decode[func()](nil); err == nil {
		t.Error("Decode of a function has no error")
	}
}
