package executor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
)

// What Register and its kin do before WorkerMain is tried in init; the tests look
// at the texts of their panics, "" if they did not.
var inInit = map[string]string{}

func init() {
	try := func(what string, register func()) { inInit[what] = panicTextOf(register) }

	try("Register", func() { executor.Register(regKnown) })
	try("Register twice", func() { executor.Register(regKnown) })
	try("RegisterName after Register", func() { executor.RegisterName("futures.test/known", regKnown) })
	try("RegisterName", func() { executor.RegisterName("futures.test/named", regNamed) })
	try("RegisterName of a name that is taken", func() { executor.RegisterName("futures.test/named", regOther) })
	try("Register after RegisterName", func() { executor.Register(regNamed) })
	try("RegisterInitializer", func() { executor.RegisterInitializer(regInitializer) })
	try("RegisterInitializer twice", func() { executor.RegisterInitializer(regInitializer) })
	try("RegisterError", func() { executor.RegisterError("futures.test/err", errReg) })
	try("RegisterError of a name that is taken", func() { executor.RegisterError("futures.test/err", io.EOF) })
	try("RegisterError of a name of package io", func() { executor.RegisterError("io.EOF", errReg) })
	try("Register of func1", func() { executor.Register(func1) })
	try("Register of a type of its own", func() { executor.Register(regMarshals) })
	try("Register of a type with tags", func() { executor.Register(regWhole) })
	executor.Register(regCycle)
}

var errReg = errors.New("of the test of RegisterError")

func panicTextOf(do func()) (text string) {
	defer func() {
		if p := recover(); p != nil {
			text = fmt.Sprint(p)
		}
	}()
	do()
	return ""
}

func regKnown(_ context.Context, n int) (string, error)   { return fmt.Sprint("known ", n), nil }
func regNamed(_ context.Context, n int) (string, error)   { return fmt.Sprint("named ", n), nil }
func regOther(_ context.Context, n int) (string, error)   { return fmt.Sprint("other ", n), nil }
func regUnknown(_ context.Context, n int) (string, error) { return fmt.Sprint("unknown ", n), nil }
func regInitializer(context.Context) error                { return nil }
func regUnknownInitializer(context.Context) error         { return nil }
func regNothing(context.Context) (int, error)             { return 1, nil }

// func1 has the name of a function literal, and is none.
func func1(_ context.Context, n int) (string, error) { return fmt.Sprint("func1 ", n), nil }

func regGeneric[T any](_ context.Context, v T) (string, error) { return fmt.Sprint(v), nil }

type regReceiver struct{ n int }

func (r regReceiver) add(_ context.Context, n int) (string, error) { return fmt.Sprint(r.n + n), nil }
func (r *regReceiver) initialize(context.Context) error            { return nil }

var regLiteral = func(_ context.Context, n int) (string, error) { return fmt.Sprint(n), nil }

// reading is what a panic or an error is to say.
type reading struct {
	text string
	want []string
}

// read complains about each word that is missing.
func (r reading) read(t *testing.T, what string) {
	t.Helper()
	for _, want := range r.want {
		if !strings.Contains(r.text, want) {
			t.Errorf("%s says\n%s\nwant that it says %q", what, r.text, want)
		}
	}
}

func TestRegistrationIsOncePerFunctionAndName(t *testing.T) {
	for what, want := range map[string][]string{
		"Register":                              nil,
		"Register twice":                        {"executor: Register: ", "executor_test.regKnown", "registered already"},
		"RegisterName after Register":           {"executor: RegisterName: ", "futures.test/known", "registered already, as ", "executor_test.regKnown"},
		"RegisterName":                          nil,
		"RegisterName of a name that is taken":  {"executor: RegisterName: ", "futures.test/named", "registered already"},
		"Register after RegisterName":           {"executor: Register: ", "executor_test.regNamed", "registered already, as futures.test/named"},
		"RegisterInitializer":                   nil,
		"RegisterInitializer twice":             {"executor: RegisterInitializer: ", "executor_test.regInitializer", "registered already"},
		"RegisterError":                         nil,
		"RegisterError of a name that is taken": {"executor: RegisterError: ", `"futures.test/err"`, "registered already"},
		"RegisterError of a name of package io": {"executor: RegisterError: ", `"io.EOF"`, "registered already"},
		"Register of func1":                     nil,
		"Register of a type of its own":         nil,
		"Register of a type with tags":          nil,
	} {
		text, tried := inInit[what]
		if !tried || want == nil && text != "" {
			t.Errorf("%s in init: tried %t, panics with %q; want no panic", what, tried, text)
		}
		reading{text, want}.read(t, "the panic of "+what+" in init")
	}
	if len(inInit) != 14 {
		t.Errorf("%d registrations were tried in init; want 14", len(inInit))
	}
}

// The worker finds the function by its name, and never takes another.
func TestRegisteredFunctionsAreTheOnesThatRun(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	for _, c := range []struct {
		fn   executor.Func[int, string]
		want string
	}{{regKnown, "known 7"}, {regNamed, "named 7"}, {func1, "func1 7"}} {
		if got, err := endOf(t, executor.Submit(t.Context(), ex, c.fn, 7)); got != c.want || err != nil {
			t.Errorf("Result = %q, %v; want %q, nil", got, err, c.want)
		}
	}
}

// Another process knows no name of a function that is not top-level.
func TestRegisterRefusesWhatIsNotTopLevel(t *testing.T) {
	captured := 1
	closure := func(_ context.Context, n int) (string, error) { return fmt.Sprint(n + captured), nil }
	const top = "only top-level functions can be called in another process"
	for what, c := range map[string]struct {
		fn   executor.Func[int, string]
		want []string
	}{
		"a closure":                     {closure, []string{"TestRegisterRefusesWhatIsNotTopLevel.func1", "closure", "pass them as the argument", top}},
		"a literal at package level":    {regLiteral, []string{"executor_test.", "closure", top}},
		"a method value":                {regReceiver{1}.add, []string{"regReceiver.add", "method value", "pass the receiver as the argument", top}},
		"an instance of a generic one":  {regGeneric[int], []string{"regGeneric[...]", "generic", "share a name", top}},
		"a closure in a generic method": {closureOf(1), []string{"closureOf", top}},
		"nil":                           {nil, []string{"nil function"}},
	} {
		register := panicTextOf(func() { executor.Register(c.fn) })
		reading{register, append(c.want, "executor: Register: ")}.read(t, "the panic of Register of "+what)
		named := panicTextOf(func() { executor.RegisterName("futures.test/x", c.fn) })
		reading{named, append(c.want, "executor: RegisterName: ")}.read(t, "the panic of RegisterName of "+what)
	}
	for what, c := range map[string]struct {
		fn   func(context.Context) error
		want []string
	}{
		"a closure":      {func(context.Context) error { _ = captured; return nil }, []string{"closure", top}},
		"a method value": {new(regReceiver).initialize, []string{"method value", top}},
		"nil":            {nil, []string{"nil function"}},
	} {
		text := panicTextOf(func() { executor.RegisterInitializer(c.fn) })
		reading{text, append(c.want, "executor: RegisterInitializer: ")}.read(t, "the panic of RegisterInitializer of "+what)
	}
}

func closureOf[T any](v T) executor.Func[int, string] {
	return func(context.Context, int) (string, error) { return fmt.Sprint(v), nil }
}

func TestRegisterRefusesSillyNames(t *testing.T) {
	reading{panicTextOf(func() { executor.RegisterName("", regUnknown) }), []string{"executor: RegisterName: empty name"}}.read(t, "the panic")
	reading{panicTextOf(func() { executor.RegisterError("", errReg) }), []string{"executor: RegisterError: empty name"}}.read(t, "the panic")
	reading{panicTextOf(func() { executor.RegisterError("futures.test/nil", nil) }), []string{"executor: RegisterError: ", "nil error"}}.read(t, "the panic")
}

// A worker would not have it.
func TestRegisterAfterWorkerMainPanics(t *testing.T) {
	for what, register := range map[string]func(){
		"Register: github.com/gofutures/futures/executor_test.regUnknown":                       func() { executor.Register(regUnknown) },
		"RegisterName: futures.test/late":                                                       func() { executor.RegisterName("futures.test/late", regUnknown) },
		"RegisterInitializer: github.com/gofutures/futures/executor_test.regUnknownInitializer": func() { executor.RegisterInitializer(regUnknownInitializer) },
		"RegisterError: futures.test/late":                                                      func() { executor.RegisterError("futures.test/late", io.ErrNoProgress) },
	} {
		text := panicTextOf(register)
		reading{text, []string{"executor: " + what, "after WorkerMain", "no worker would have it", "register at package level or in init"}}.read(t, "the panic")
	}
	ex := newProcesses(t, new(executor.ProcessPoolExecutor))
	if _, err := endOf(t, executor.Submit(t.Context(), ex, regUnknown, 1)); !errors.Is(err, executor.ErrNotRegistered) {
		t.Errorf("Result of a function whose Register panicked = %v; want ErrNotRegistered", err)
	}
}

type (
	lossyChan    struct{ Done chan int }
	lossyFunc    struct{ Options []struct{ F func() } }
	lossyPrivate struct {
		Name string
		user string
	}
	lossyAny    struct{ M map[string]any }
	lossyHalf   struct{ T halfMarshaler }
	lossyKey    map[[2]*int]string
	lossyDeep   struct{ A []map[string]*lossyPrivate }
	lossyEmbeds struct{ *lossyAny }
)

type halfMarshaler struct{ n int }

func (h halfMarshaler) MarshalBinary() ([]byte, error) { return []byte{byte(h.n)}, nil }

// A type that would lose something is refused where that can be known, with the
// path to it and the remedy. Gob loses it silently.
func TestRegisterRefusesTypesThatWouldLoseSomething(t *testing.T) {
	const argument, result = "executor: Register: the argument of github.com/gofutures/futures/executor_test.lossy%s: ", "executor: Register: the result of github.com/gofutures/futures/executor_test.lossy%s: "
	for _, c := range []struct {
		register func()
		form     string
		name     string
		want     []string
	}{
		{func() { executor.Register(lossy1) }, argument, "1", []string{"lossyChan.Done", "chan int", "leave it out"}},
		{func() { executor.Register(lossy2) }, argument, "2", []string{"lossyFunc.Options[].F", "func()", "leave it out"}},
		{func() { executor.Register(lossy3) }, argument, "3", []string{"lossyPrivate.user", "unexported", "export it", "MarshalBinary"}},
		{func() { executor.Register(lossy4) }, argument, "4", []string{"lossyAny.M[]", "interface", "use a concrete type"}},
		{func() { executor.Register(lossy5) }, argument, "5", []string{"interface", "use a concrete type"}},
		{func() { executor.Register(lossy8) }, argument, "8", []string{"lossyHalf.T", "MarshalBinary and no UnmarshalBinary", "give it both"}},
		{func() { executor.Register(lossy9) }, argument, "9", []string{"lossyKey[key]", "[2]*int", "slice of pairs"}},
		{func() { executor.Register(lossy11) }, argument, "11", []string{"lossyDeep.A[][].user", "unexported"}},
		{func() { executor.Register(lossy12) }, argument, "12", []string{"lossyEmbeds.lossyAny", "export it"}},
		{func() { executor.Register(lossy13) }, argument, "13", []string{"chan int"}},
		{func() { executor.Register(lossy14) }, argument, "14", []string{"uintptr"}},
		{func() { executor.Register(lossy15) }, result, "15", []string{"error", "interface", "use a concrete type"}},
		{func() { executor.Register(lossy16) }, result, "16", []string{"lossyPrivate.user", "unexported"}},
		{func() { executor.Register(lossy17) }, result, "17", []string{"func()"}},
	} {
		reading{panicTextOf(c.register), append([]string{fmt.Sprintf(c.form, c.name)}, c.want...)}.read(t, "the panic")
	}
	reading{
		panicTextOf(func() { executor.RegisterName("a name", lossy1) }),
		[]string{"executor: RegisterName: the argument of a name, which is github.com/gofutures/futures/executor_test.lossy1: ", "lossyChan.Done: a chan int cannot cross"},
	}.read(t, "the panic")
}

// whole has what was left out, made zero, or refused once.
type whole struct {
	Empty   []string          `json:"empty,omitempty"`
	Map     map[string]string `cbor:"1,keyasint,omitempty"`
	Minus   float64           `json:",omitempty"`
	Small   float32           `json:",omitzero"`
	Hidden  string            `json:"-"`
	At      time.Time         `json:",omitzero"`
	Ago     *time.Time
	Pointer **int
	Points  map[[2]int]complex64
	*Whole2
}

type Whole2 struct{ N []int }

func regWhole(_ context.Context, w whole) (whole, error) {
	if w.Empty == nil || w.Map == nil || !math.Signbit(w.Minus) || math.Float32bits(w.Small) != 0x7f800001 || w.Hidden == "" {
		return whole{}, fmt.Errorf("what has arrived is %#v", w)
	}
	return w, nil
}

// What arrives in a worker is what was sent, and so is what comes back.
func TestArgumentsAndResultsArriveAsTheyWereSent(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	one := 1
	pointer, zero := &one, time.Time{}
	sent := whole{
		Empty: []string{}, Map: map[string]string{}, Minus: math.Copysign(0, -1), Small: math.Float32frombits(0x7f800001), Hidden: "kept",
		At: time.Time{}.In(time.FixedZone("CET", 3600)), Ago: &zero, Pointer: &pointer, Points: map[[2]int]complex64{{1, 2}: 3i}, Whole2: &Whole2{[]int{}},
	}
	isWhole := func(got whole) bool {
		name, offset := got.At.Zone()
		return got.Empty != nil && got.Map != nil && math.Signbit(got.Minus) && math.Float32bits(got.Small) == 0x7f800001 && got.Hidden == "kept" &&
			got.At.IsZero() && name == "CET" && offset == 3600 && got.Ago != nil && *got.Ago == zero && **got.Pointer == 1 && got.Points[[2]int{1, 2}] == 3i && got.Whole2 != nil && got.N != nil
	}
	if got, err := endOf(t, executor.Submit(t.Context(), ex, regWhole, sent)); err != nil || !isWhole(got) {
		t.Errorf("Submit: %#v, %v; want %#v", got, err, sent)
	}
	all, err := executor.MapSlice(t.Context(), ex, regWhole, []whole{sent, sent, sent})
	if err != nil || len(all) != 3 || slices.ContainsFunc(all, func(w whole) bool { return !isWhole(w) }) {
		t.Errorf("MapSlice: %#v, %v; want three of %#v", all, err, sent)
	}
	for got, err := range executor.Map(t.Context(), ex, regWhole, slices.Values([]whole{sent, sent, sent}), executor.ChunkSize(2)) {
		if err != nil || !isWhole(got) {
			t.Errorf("Map: %#v, %v; want %#v", got, err, sent)
		}
	}
}

func lossy1(context.Context, lossyChan) (int, error)     { return 0, nil }
func lossy2(context.Context, lossyFunc) (int, error)     { return 0, nil }
func lossy3(context.Context, lossyPrivate) (int, error)  { return 0, nil }
func lossy4(context.Context, lossyAny) (int, error)      { return 0, nil }
func lossy5(context.Context, any) (int, error)           { return 0, nil }
func lossy8(context.Context, lossyHalf) (int, error)     { return 0, nil }
func lossy9(context.Context, lossyKey) (int, error)      { return 0, nil }
func lossy11(context.Context, *lossyDeep) (int, error)   { return 0, nil }
func lossy12(context.Context, lossyEmbeds) (int, error)  { return 0, nil }
func lossy13(context.Context, chan int) (int, error)     { return 0, nil }
func lossy14(context.Context, uintptr) (int, error)      { return 0, nil }
func lossy15(context.Context, int) (error, error)        { return nil, nil }
func lossy16(context.Context, int) (lossyPrivate, error) { return lossyPrivate{user: ""}, nil }
func lossy17(context.Context, int) (func(), error)       { return nil, nil }

// regMarshals has a marshaler of its own, which remembers what it is told.
func regMarshals(_ context.Context, p picky) (picky, error) {
	if p.how == "turn bad" {
		return picky{"become bad"}, nil
	}
	return p, nil
}

// picky encodes itself, in the way that it is told to.
type picky struct{ how string }

var errPicky = errors.New("not in the mood")

func (p picky) MarshalBinary() ([]byte, error) {
	switch p.how {
	case "encode: error":
		return nil, errPicky
	case "encode: panic":
		panic("a panic of MarshalBinary")
	case "encode: slow":
		time.Sleep(50 * time.Millisecond)
	case "become bad":
		return []byte("decode: error"), nil
	}
	return []byte(p.how), nil
}

func (p *picky) UnmarshalBinary(data []byte) error {
	p.how = string(data)
	switch p.how {
	case "decode: error":
		return errPicky
	case "decode: panic":
		panic("a panic of UnmarshalBinary")
	}
	return nil
}

// ring is a value that only its own looks show to have no end.
type ring struct {
	N    int
	Next *ring
}

func newRing(n int) *ring {
	first := &ring{N: n}
	first.Next = &ring{n + 1, first}
	return first
}

func longList(n int) *ring {
	var r *ring
	for i := range n {
		r = &ring{i, r}
	}
	return r
}

// regCycle returns a ring, or a list, though it is given a number, and then its pid.
func regCycle(_ context.Context, r *ring) (*ring, error) {
	switch {
	case r == nil:
		return nil, nil
	case r.N == -1:
		return newRing(0), nil
	case r.N == -2:
		return longList(100_000), nil
	case r.N == -3:
		return &ring{N: os.Getpid()}, nil
	}
	return r, nil
}

// The encoder refuses what it cannot encode, and nobody dies.
func TestArgumentThatCannotBeEncodedFailsItsCallOnly(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	pid := pidOf(t, ex)
	for what, c := range map[string]struct {
		argument *ring
		want     []string
	}{
		"a cycle":       {newRing(1), []string{"the argument of", "executor_test.regCycle", "*executor_test.ring", "cycle"}},
		"a long list":   {longList(100_000), []string{"the argument of", "executor_test.regCycle", "*executor_test.ring", "deep"}},
		"a longer list": {longList(4_000_000), []string{"the argument of", "executor_test.regCycle", "*executor_test.ring", "deep"}},
	} {
		f := executor.Submit(t.Context(), ex, regCycle, c.argument)
		if !isDone(f) {
			t.Errorf("a call with %s is pending when Submit returns; want it done", what)
		}
		r, err := endOf(t, f)
		if err == nil || r != nil {
			t.Errorf("Result of a call with %s = %v, %v; want an error", what, r, err)
		}
		reading{fmt.Sprint(err), c.want}.read(t, "the error of a call with "+what)
	}
	for what, c := range map[string]struct {
		how  string
		want []string
		is   error
	}{
		"a marshaler that fails":     {"encode: error", []string{"the argument of", "regMarshals", "executor_test.picky", "not in the mood"}, errPicky},
		"a marshaler that panics":    {"encode: panic", []string{"the argument of", "regMarshals", "executor_test.picky", "a panic of MarshalBinary"}, nil},
		"an unmarshaler that fails":  {"decode: error", []string{"the argument of", "regMarshals", "executor_test.picky", "not in the mood"}, nil},
		"an unmarshaler that panics": {"decode: panic", []string{"the argument of", "regMarshals", "executor_test.picky", "a panic of UnmarshalBinary"}, nil},
	} {
		_, err := endOf(t, executor.Submit(t.Context(), ex, regMarshals, picky{c.how}))
		reading{fmt.Sprint(err), c.want}.read(t, "the error of a call with "+what)
		if c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("the error of a call with %s, %v, does not match %v", what, err, c.is)
		}
	}
	if got, err := endOf(t, executor.Submit(t.Context(), ex, regMarshals, picky{"encode: slow"})); got.how != "encode: slow" || err != nil {
		t.Errorf("Result of a call with a slow marshaler = %v, %v; want what was sent", got, err)
	}
	if got, err := endOf(t, executor.Submit(t.Context(), ex, regCycle, nil)); got != nil || err != nil {
		t.Errorf("Result of a call with a nil pointer = %v, %v; want nil, nil", got, err)
	}
	if after := pidOf(t, ex); after != pid {
		t.Errorf("the worker was %d and is %d; want the same", pid, after)
	}
	if s := ex.Stats(); s.Restarts != 0 {
		t.Errorf("Stats = %+v; want no restarts", s)
	}
}

func pidOf(t *testing.T, ex executor.Executor) int {
	t.Helper()
	r, err := endOf(t, executor.Submit(t.Context(), ex, regCycle, &ring{N: -3}))
	if err != nil {
		t.Fatalf("a call that tells its process: %v", err)
	}
	return r.N
}

// The worker lives on. multiprocessing's test_unpickleable_result and loky's
// test_queue_full_deadlock ask for the same.
func TestResultThatCannotBeEncodedFailsItsCallOnly(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	pid := pidOf(t, ex)
	want := map[int][]string{
		-1: {"the result of", "executor_test.regCycle", "*executor_test.ring", "cycle"},
		-2: {"the result of", "executor_test.regCycle", "*executor_test.ring", "deep"},
	}
	var bad, good []*executor.Future[*ring]
	for i := range 20 {
		bad = append(bad, executor.Submit(t.Context(), ex, regCycle, &ring{N: -1 - i%2}))
		good = append(good, executor.Submit(t.Context(), ex, regCycle, &ring{N: i}))
	}
	for i, f := range bad {
		r, err := endOf(t, f)
		if err == nil || r != nil {
			t.Errorf("Result of call %d, whose result cannot be encoded = %v, %v; want an error", i, r, err)
		}
		reading{fmt.Sprint(err), want[-1-i%2]}.read(t, "the error of a call whose result cannot be encoded")
	}
	for i, f := range good {
		if r, err := endOf(t, f); err != nil || r == nil || r.N != i {
			t.Errorf("Result of good call %d = %v, %v; want its argument", i, r, err)
		}
	}
	// What the parent cannot decode is no fault of the worker.
	_, err := endOf(t, executor.Submit(t.Context(), ex, regMarshals, picky{"turn bad"}))
	reading{fmt.Sprint(err), []string{"the result of", "regMarshals", "executor_test.picky", "not in the mood"}}.read(t, "the error of a call whose result cannot be decoded")
	if after := pidOf(t, ex); after != pid {
		t.Errorf("the worker was %d and is %d after calls whose results cannot be encoded; want the same", pid, after)
	}
}

// The error of the future is what Register would have said, with what to do.
func TestCallThatCannotCrossSaysWhyAndWhatToDo(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	captured := 1
	ctx := t.Context()
	one := func(fn executor.Func[int, string]) error {
		f := executor.Submit(ctx, ex, fn, 1)
		if !isDone(f) {
			t.Error("the future is pending when Submit returns; want it done")
		}
		_, err := endOf(t, f)
		return err
	}
	closure := func(_ context.Context, n int) (string, error) { return fmt.Sprint(n + captured), nil }
	const unknown = "github.com/gofutures/futures/executor_test.regUnknown"
	for what, c := range map[string]struct {
		err  error
		want []string
	}{
		"Submit of a function": {one(regUnknown), []string{unknown, "call executor.Register(executor_test.regUnknown) in an init function"}},
		"Submit of a closure":  {one(closure), []string{"TestCallThatCannotCross", "closure", "pass them as the argument"}},
		"Submit of a method":   {one(regReceiver{}.add), []string{"regReceiver.add", "method value", "pass the receiver as the argument"}},
		"Submit of a generic":  {one(regGeneric[int]), []string{"regGeneric[...]", "generic", "top-level"}},
		"Map of a function": {second(executor.Collect(executor.Map(ctx, ex, regUnknown, slices.Values([]int{1, 2})))),
			[]string{unknown, "call executor.Register("}},
		"Map in chunks":       {second(executor.Collect(executor.Map(ctx, ex, regUnknown, slices.Values([]int{1, 2}), executor.ChunkSize(2)))), []string{unknown, "call executor.Register("}},
		"MapSlice":            {second(executor.MapSlice(ctx, ex, regUnknown, []int{1, 2, 3})), []string{unknown, "call executor.Register("}},
		"MapSlice of closure": {second(executor.MapSlice(ctx, ex, closure, []int{1, 2, 3})), []string{"closure", "pass them as the argument"}},
		"Go of a closure": {second(executor.Go(ctx, ex, func(context.Context) (int, error) { return captured, nil }).Result(ctx)),
			[]string{"in this process only", "Submit"}},
		"Initializer": {second(executor.Submit(ctx, &executor.ProcessPoolExecutor{Initializer: regUnknownInitializer}, regKnown, 1).Result(ctx)),
			[]string{"regUnknownInitializer", "call executor.RegisterInitializer(executor_test.regUnknownInitializer) in an init function"}},
	} {
		if !errors.Is(c.err, executor.ErrNotRegistered) {
			t.Errorf("%s: %v; want an error that matches ErrNotRegistered", what, c.err)
		}
		reading{fmt.Sprint(c.err), c.want}.read(t, "the error of "+what)
	}
	if s := ex.Stats(); s != (executor.Stats{}) {
		t.Errorf("Stats = %+v after calls that cannot cross; want no call and no worker", s)
	}
}

// What an error tells to do must be possible: Register does not take a function
// without an argument, nor RegisterInitializer a closure.
func TestRemedyThatIsNamedIsOne(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	_, err := endOf(t, executor.Go(t.Context(), ex, regNothing))
	if !errors.Is(err, executor.ErrNotRegistered) || strings.Contains(err.Error(), "executor.Register(") {
		t.Errorf("Go of a top-level function on processes: %v; want ErrNotRegistered without the advice to call Register with it, which does not compile", err)
	}
	captured := 1
	f := executor.Submit(t.Context(), &executor.ProcessPoolExecutor{Initializer: func(context.Context) error { captured++; return nil }}, regKnown, 1)
	_, err = endOf(t, f)
	if !errors.Is(err, executor.ErrNotRegistered) || !strings.Contains(err.Error(), "closure") || strings.Contains(err.Error(), "RegisterInitializer(") {
		t.Errorf("a closure as the Initializer: %v; want ErrNotRegistered, and that it is a closure, without the advice to call RegisterInitializer with it, which panics", err)
	}
}

func second[T any](_ T, err error) error { return err }
