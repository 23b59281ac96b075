package parallel_test

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/parallel"
)

func TestTheKeyIsTakenBeforeTheFunctionChangesItsArgument(t *testing.T) {
	type basket struct {
		Items []string
		Count map[string]int
	}
	m := &parallel.Memory{Dir: t.TempDir()}
	calls := 0
	c := newCached(t, m, "f", "v1", func(_ context.Context, b *basket) (int, error) {
		calls++
		n := len(b.Items)
		b.Items[0] = "changed"
		b.Items = append(b.Items, "more")
		b.Count["changed"] = 1
		return n, nil
	})
	full := func() *basket { return &basket{[]string{"a", "b"}, map[string]int{"a": 1}} }
	changed := full()
	mustBe(t, "f", 2)(c.Call(t.Context(), changed))
	mustBe(t, "f with an equal argument", 2)(c.Call(t.Context(), full()))
	if changed.Items[0] != "changed" {
		t.Errorf("the function changed %v; want it to get the caller's argument and no copy", changed)
	}
	if c.Contains(changed) {
		t.Error("Contains is true for what the argument became")
	}
	mustBe(t, "f with the changed argument", 3)(c.Call(t.Context(), changed))
	if calls != 2 {
		t.Errorf("the function was called %d times; want 2", calls)
	}
}

func TestFieldsThatAreToBeIgnoredAreNotInTheKey(t *testing.T) {
	type query struct {
		Text    string
		Verbose bool         `hash:"-"`
		Print   func(string) `hash:"-"`
		cache   any          `hash:"-"`
		Sub     []struct {
			N     int
			Debug bool `hash:"-"`
		}
	}
	m := &parallel.Memory{Dir: t.TempDir()}
	calls, sawVerbose := 0, false
	c := newCached(t, m, "f", "v1", func(_ context.Context, q query) (string, error) {
		calls++
		sawVerbose = q.Verbose && q.Print != nil && q.cache != nil
		return strings.ToUpper(q.Text), nil
	})
	q := query{Text: "a", Verbose: true, Print: func(string) {}, cache: 1}
	mustBe(t, "f", "A")(c.Call(t.Context(), q))
	if !sawVerbose {
		t.Error("the function did not get the fields that are ignored")
	}
	mustBe(t, "f with other ignored fields", "A")(c.Call(t.Context(), query{Text: "a"}))
	if calls != 1 {
		t.Errorf("the function was called %d times; want 1", calls)
	}
	q.Sub = append(q.Sub, struct {
		N     int
		Debug bool `hash:"-"`
	}{1, true})
	mustBe(t, "f with another field", "A")(c.Call(t.Context(), q))
	q.Sub[0].Debug = false
	mustBe(t, "f with another ignored field inside", "A")(c.Call(t.Context(), q))
	if calls != 2 {
		t.Errorf("the function was called %d times; want 2", calls)
	}
}

// tree is a result of many kinds.
type tree struct {
	Name     string
	Kids     []tree
	By       map[string]*tree
	When     time.Time
	Took     time.Duration
	Big      *big.Int
	F        [3]float64
	Raw      []byte
	Nothing  *int
	Optional *string
}

// What is kept comes back as it was, nil as nil and empty as empty.
func TestResultsComeBackEqual(t *testing.T) {
	text := "text"
	zone := time.Date(2026, 11, 28, 1, 2, 3, 456789, time.FixedZone("", 3600))
	returns(t, 0)
	returns(t, -1)
	returns(t, uint8(255))
	returns(t, int64(math.MinInt64))
	returns(t, uint64(math.MaxUint64))
	returns(t, math.Copysign(0, -1))
	returns(t, math.Inf(1))
	returns(t, float32(0.1))
	returns(t, true)
	returns(t, "")
	returns(t, "héllo\x00")
	returns(t, strings.Repeat("long ", 1<<17))
	returns(t, []byte(nil))
	returns(t, []byte{})
	returns(t, []byte("bytes\x00\xff"))
	returns(t, []int(nil))
	returns(t, []int{})
	returns(t, []int{1, -2, 3})
	returns(t, []float64{0, math.Pi, math.MaxFloat64})
	returns(t, []bool{true, false})
	returns(t, []string(nil))
	returns(t, []string{})
	returns(t, []string{"", "a"})
	returns(t, [][]int{nil, {}, {1}})
	returns(t, [2]string{"a", "b"})
	returns(t, map[string]int(nil))
	returns(t, map[string]int{})
	returns(t, map[string][]int{"a": nil, "b": {}, "c": {1}})
	returns(t, map[int]map[bool]string{1: {true: "x"}, 2: nil})
	returns(t, (*int)(nil))
	returns(t, new(7))
	returns(t, &text)
	returns(t, (*tree)(nil))
	returns(t, struct{}{})
	returns(t, time.Time{})
	returns(t, time.Date(2026, 11, 28, 1, 2, 3, 999999999, time.UTC))
	returns(t, time.Hour)
	returns(t, *big.NewInt(0))
	returns(t, new(big.Int).Neg(new(big.Int).Lsh(big.NewInt(1), 200)))
	returns(t, tree{})
	returns(t, &tree{
		Name: "root", Kids: []tree{{Name: "kid", Kids: []tree{}}, {}}, By: map[string]*tree{"a": {Name: "a"}, "nil": nil},
		When: time.Unix(1, 2).UTC(), Took: time.Second, Big: big.NewInt(-5), F: [3]float64{1, 2, 3}, Raw: []byte{0}, Optional: &text,
	})

	c := newCached(t, &parallel.Memory{Dir: t.TempDir()}, "zone", "v1", func(context.Context, int) (time.Time, error) { return zone, nil })
	for range 2 {
		got, err := c.Call(t.Context(), 0)
		if !got.Equal(zone) || got.Format(time.RFC3339Nano) != zone.Format(time.RFC3339Nano) || err != nil {
			t.Errorf("a time in a zone came back as %v, %v; want %v", got, err, zone)
		}
	}
}

// returns checks that a result comes back equal, from the function and from disk.
func returns[Out any](t *testing.T, want Out) {
	t.Helper()
	m := &parallel.Memory{Dir: t.TempDir()}
	c := newCached(t, m, "f", "v1", func(context.Context, int) (Out, error) { return want, nil })
	for _, from := range []string{"the function", "disk"} {
		if got, err := c.Call(t.Context(), 0); !reflect.DeepEqual(got, want) || err != nil {
			t.Errorf("%T from %s: %#v, %v; want %#v", want, from, got, err, want)
		}
	}
	if s := m.Stats(); s.Hits != 1 || s.Misses != 1 || s.Unkept != 0 {
		t.Errorf("%T: Stats() = %+v; want a miss and a hit", want, s)
	}
}

// link is of a list, which may be a ring: that has no encoding.
type link struct {
	Secret string
	Next   *link
}

func TestAResultThatCannotBeEncodedIsReturnedAndReported(t *testing.T) {
	logged := logging(t)
	m := &parallel.Memory{Dir: t.TempDir()}
	calls := 0
	c := newCached(t, m, "f", "v1", func(_ context.Context, n int) (*link, error) {
		calls++
		l := &link{Secret: "s3cret"}
		l.Next = l
		return l, nil
	})
	for i := range 3 {
		got, err := c.Call(t.Context(), i%2)
		if err != nil || got == nil || got.Next != got {
			t.Fatalf("f = %v, %v; want the ring that the function made", got, err)
		}
	}
	if _, err := c.Refresh(t.Context(), 0); err != nil {
		t.Errorf("Refresh: %v; want no error", err)
	}
	m.Sync()
	whole, temporary := entries(t, m.Dir)
	if s := m.Stats(); calls != 4 || s.Misses != 4 || s.Unkept != 4 || s.Hits != 0 || len(whole)+len(temporary) != 0 {
		t.Errorf("%d calls, %+v, entries %q, temporary files %q; want 4 calls that are misses and not kept", calls, s, whole, temporary)
	}
	if texts := logged.all(); len(texts) != 1 || !strings.Contains(texts[0], "a result is not kept") || !strings.Contains(texts[0], "cycle") {
		t.Errorf("logged %q; want one record that says why", texts)
	}
	if text := fmt.Sprint(logged.all()); strings.Contains(text, "s3cret") {
		t.Errorf("logged %s; want no value in it", text)
	}
}

// A call whose argument has no key, because of a cycle in it, is made all the same.
func TestACallWhoseArgumentHasNoKeyIsMadeAndReported(t *testing.T) {
	logged := logging(t)
	m := &parallel.Memory{Dir: t.TempDir()}
	calls := 0
	c := newCached(t, m, "f", "v1", func(_ context.Context, l *link) (string, error) {
		calls++
		return l.Secret, nil
	})
	ring := &link{Secret: "s3cret"}
	ring.Next = ring
	mustBe(t, "f of a ring", "s3cret")(c.Call(t.Context(), ring))
	mustBe(t, "Refresh of a ring", "s3cret")(c.Refresh(t.Context(), ring))
	if c.Contains(ring) {
		t.Error("Contains(a ring) = true")
	}
	err := c.Forget(ring)
	if err == nil || !strings.Contains(err.Error(), `"f"`) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("Forget(a ring) = %v; want an error with the name and without the value", err)
	}
	mustBe(t, "f of a list", "open")(c.Call(t.Context(), &link{Secret: "open"}))
	mustBe(t, "f of a list again", "open")(c.Call(t.Context(), &link{Secret: "open"}))
	if s := m.Stats(); calls != 3 || s.Misses != 3 || s.Hits != 1 {
		t.Errorf("%d calls, %+v; want 3 calls, 3 misses and 1 hit", calls, s)
	}
	if texts := logged.all(); len(texts) != 1 || !strings.Contains(texts[0], "an argument cannot be a key") || strings.Contains(texts[0], "s3cret") {
		t.Errorf("logged %q; want one record that says why, without the value", texts)
	}
}

// Each gets a result of its own.
func TestAResultMayBeChangedByWhoGetsIt(t *testing.T) {
	c := newCached(t, &parallel.Memory{Dir: t.TempDir()}, "f", "v1", func(context.Context, int) ([]string, error) { return []string{"a", "b"}, nil })
	for i := range 4 {
		got, err := c.Call(t.Context(), 0)
		if len(got) != 2 || got[0] != "a" || err != nil {
			t.Fatalf("call %d = %q, %v; want [a b]", i, got, err)
		}
		got[0] = "changed"
	}
}

// What is said of a call that failed has no value in it but what the
// function put into its error.
func TestTextsHaveNoArgumentsInThem(t *testing.T) {
	logged := logging(t)
	m := &parallel.Memory{Dir: t.TempDir()}
	var c *parallel.CachedFunc[string, int]
	c = newCached(t, m, "f", "v1", func(ctx context.Context, secret string) (int, error) { return c.Call(ctx, secret) })
	_, err := c.Call(t.Context(), "s3cret")
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a call in itself = %v; want an error without the argument", err)
	}
	d := newCached(t, m, "length", "v1", func(_ context.Context, secret string) (int, error) { return len(secret), nil })
	mustBe(t, "length", 6)(d.Call(t.Context(), "s3cret"))
	m.Sync()
	damage(t, theEntry(t, m.Dir))
	mustBe(t, "length", 6)(d.Call(t.Context(), "s3cret"))
	m.Sync()
	if text := fmt.Sprint(logged.all()); len(logged.all()) != 1 || strings.Contains(text, "s3cret") {
		t.Errorf("logged %s; want one record without the argument", text)
	}
	if name := theEntry(t, m.Dir); strings.Contains(name, "s3cret") {
		t.Errorf("the entry is %s; want the argument not to be in its name", name)
	}
	var _ executor.Func[string, int] = d.Call
}

// What is on disk must be found by all releases: a change of a key, or of where its entry
// is, loses what users have computed.
func TestEntriesAreWhereTheyAlwaysWere(t *testing.T) {
	dir := t.TempDir()
	m := &parallel.Memory{Dir: dir}
	number := newCached(t, m, "number", "v1", func(_ context.Context, n int) (string, error) { return "x", nil })
	words := newCached(t, m, "Wörter/..", "2026", func(_ context.Context, words []string) ([]int, error) { return nil, nil })
	mustBe(t, "number(7)", "x")(number.Call(t.Context(), 7))
	if _, err := words.Call(t.Context(), []string{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	m.Sync()
	for _, want := range []string{
		"number-12886f9d00055adf/5/2/458c501f91a034895899bf43d1f0f4d8b6eb3e6a566751ebf2153b8c0a5ece",
		"w_rter___-7e4a48891557cbdc/d/3/3147cfbd4875500bf62f092b561f11d3e2f491a58571ce349daeb1697a7499",
	} {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(want))); err != nil {
			t.Errorf("there is no entry %s, but these: %v", want, filesIn(t, dir))
		}
	}
}

func filesIn(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, strings.TrimPrefix(path, dir+string(filepath.Separator)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
