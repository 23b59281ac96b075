package codec_test

import (
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"testing"
	"time"

	"github.com/gofutures/futures/executor/internal/codec"
)

type inner struct {
	A int
	B []string
	M map[string]int8
}
type rich struct {
	Inner2
	X   *inner
	T   time.Time
	Big *big.Int
	Ad  netip.Addr
	U   url.URL
	F   [3]float32
	D   time.Duration
	By  []byte
	E   struct{}
	L   []*inner
}
type Inner2 struct{ Q int }
type node struct{ L, R *node }

func rt[T any](t *testing.T, v T) {
	t.Helper()
	c, err := codec.For[T]()
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Append(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, v) {
		t.Errorf("%#v\n%#v", got, v)
	}
}

func TestQuick(t *testing.T) {
	rt(t, 5)
	rt(t, "abc")
	rt(t, []float64{1, 2})
	rt(t, true)
	rt(t, complex(1, 2))
	u, _ := url.Parse("http://a:b@c/d?e")
	rt(t, rich{T: time.Unix(5, 6).UTC(), Big: big.NewInt(77), Ad: netip.MustParseAddr("1.2.3.4"), U: *u, L: []*inner{nil, {B: []string{}}}, By: []byte{}})
	rt(t, &node{L: &node{}})
	c, _ := codec.For[*node]()
	n := &node{}
	n.L, n.R = n, n
	if _, err := c.Append(nil, n); err == nil {
		t.Error("cycle")
	} else {
		t.Log(err)
	}
	if _, err := codec.For[struct {
		F []struct{ c chan int }
	}](); err == nil {
		t.Error("chan")
	} else {
		t.Log(err)
	}
}
