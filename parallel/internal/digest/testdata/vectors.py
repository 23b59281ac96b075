"""Computes vectors.json from the comment of package digest, and from nothing else.

    python3 vectors.py > vectors.json

It shares no code with the package, so where the two agree, both do what the
comment says. No test runs it: the package's tests compare with vectors.json. The
digests in there are frozen. A new line may be added to CASES, and to the samples
in digest_test.go; one that changes is a mistake.
"""

import hashlib
import json
import struct

HERE = "github.com/gofutures/futures/parallel/internal/digest_test."


class Fixed:
    """A predeclared type whose values struct.pack knows."""

    def __init__(self, name, layout):
        self.name, self.layout = name, layout

    def text(self, seen):
        return self.name

    def value(self, v):
        return struct.pack("<" + self.layout, v)


class Complex(Fixed):
    def value(self, v):
        return struct.pack("<2" + self.layout, v.real, v.imag)


class String:
    def text(self, seen):
        return "string"

    def value(self, v):
        v = v if isinstance(v, bytes) else v.encode()
        return length(v) + v


class Slice:
    def __init__(self, elem):
        self.elem = elem

    def text(self, seen):
        return "[]" + self.elem.text(seen)

    def value(self, v):
        if v is None:
            return b"\0"
        return b"\1" + length(v) + b"".join(map(self.elem.value, v))


class Array:
    def __init__(self, n, elem):
        self.n, self.elem = n, elem

    def text(self, seen):
        return "[%d]%s" % (self.n, self.elem.text(seen))

    def value(self, v):
        assert len(v) == self.n
        return b"".join(map(self.elem.value, v))


class Map:
    """Its values are lists of pairs: a NaN is a key more than once."""

    def __init__(self, key, elem):
        self.key, self.elem = key, elem

    def text(self, seen):
        return "map[%s]%s" % (self.key.text(seen), self.elem.text(seen))

    def value(self, v):
        if v is None:
            return b"\0"
        return b"\1" + length(v) + b"".join(sorted(self.key.value(k) + self.elem.value(e) for k, e in v))


NIL = object()  # what a pointer to nil points to: None would be the pointer


class Pointer:
    def __init__(self, elem=None):
        self.elem = elem

    def text(self, seen):
        return "*" + self.elem.text(seen)

    def value(self, v):
        if v is None:
            return b"\0"
        return b"\1" + self.elem.value(None if v is NIL else v)


class Struct:
    """Fields are pairs of a name, with @ if it is embedded, and a type. A value is
    a list with nothing in it for those named _."""

    def __init__(self, *fields):
        self.fields = fields

    def text(self, seen):
        return "struct{%s}" % ";".join("%s %s" % (name, t.text(seen)) for name, t in self.fields)

    def value(self, v):
        types = [t for name, t in self.fields if name != "_"]
        assert len(v) == len(types)
        return b"".join(t.value(x) for t, x in zip(types, v))


class Named:
    def __init__(self, name, of=None):
        self.name, self.of = name, of

    def text(self, seen):
        if self in seen:
            return seen[self]
        others = sum(t.name == self.name for t in seen)
        seen[self] = self.name + ("#%d" % others if others else "")
        return seen[self] + "=" + self.of.text(seen)

    def value(self, v):
        return self.of.value(v)


class Opaque:
    """A type with a marshaler. Its values are what the marshaler returns."""

    def __init__(self, name):
        self.name = name

    def text(self, seen):
        return self.name + "!"

    def value(self, v):
        return length(v) + v


class Time:
    def text(self, seen):
        return "time.Time+zone"

    def value(self, v):
        seconds, nanos, offset, name = v
        return struct.pack("<qIq", seconds, nanos, offset) + string.value(name)


class Big:
    def text(self, seen):
        return "math/big.Int"

    def value(self, v):
        magnitude = abs(v).to_bytes((abs(v).bit_length() + 7) // 8, "big")
        return (b"\1" if v < 0 else b"\0") + length(magnitude) + magnitude


def length(v):
    return struct.pack("<Q", len(v))


def digest(t, v):
    data = b"futures digest 1\n" + t.text({}).encode() + b"\n" + t.value(v)
    return hashlib.sha256(data).hexdigest()


bool_, int_, uint = Fixed("bool", "?"), Fixed("int", "q"), Fixed("uint", "Q")
int8, int16, int32, int64 = (Fixed("int%d" % n, c) for n, c in zip((8, 16, 32, 64), "bhiq"))
uint8, uint16, uint32, uint64 = (Fixed("uint%d" % n, c) for n, c in zip((8, 16, 32, 64), "BHIQ"))
float32, float64 = Fixed("float32", "f"), Fixed("float64", "d")
float64_bits = Fixed("float64", "Q")  # for NaNs, which Python may not keep as they are
complex64, complex128 = Complex("complex64", "f"), Complex("complex128", "d")
string, time, big = String(), Time(), Big()
strings, ints = Slice(string), Slice(int_)
floats_of = Map(float64_bits, int_)

number = Named(HERE + "Number", int_)
point = Named(HERE + "Point", Struct(("X", int_), ("Y", int_)))
other_point = Named(HERE + "OtherPoint", Struct(("X", int_), ("Y", int_)))
node = Named(HERE + "Node")
node.of = Struct(("Name", string), ("Next", Pointer(node)), ("Kids", Slice(node)), ("By", Map(string, Pointer(node))))
box_int = Named(HERE + "Box[int]", Struct(("V", int_)))
box_string = Named(HERE + "Box[string]", Struct(("V", string)))
event = Named(HERE + "Event", Struct(("@Time", time), ("Name", string)))
stamp = Named(HERE + "Stamp", Struct(("@Time", time)))
code, cbor_code = Opaque(HERE + "Code"), Opaque(HERE + "CBORCode")
duration = Named("time.Duration", int64)
local_a = Named(HERE + "local", Struct(("A", int_)))
local_b = Named(HERE + "local", Struct(("A", string)))
NEW_YEAR = 1704067200  # 2024-01-01 00:00:00 UTC
NAN, OTHER_NAN, SIGNALLING = 0x7FF8000000000001, 0xFFF8000000000000, 0x7FF0000000000001


def xy(t):
    return Struct(("X", t), ("Y", t))


CASES = {
    "false": (bool_, False),
    "true": (bool_, True),
    "int 0": (int_, 0),
    "int 1": (int_, 1),
    "int -1": (int_, -1),
    "int8 1": (int8, 1),
    "int16 -2": (int16, -2),
    "int32 1": (int32, 1),
    "int64 1": (int64, 1),
    "int64 min": (int64, -(2**63)),
    "uint 1": (uint, 1),
    "uint8 1": (uint8, 1),
    "uint16 0x1234": (uint16, 0x1234),
    "uint32 1": (uint32, 1),
    "uint64 max": (uint64, 2**64 - 1),
    "Number 1": (number, 1),
    "Duration 1s": (duration, 10**9),
    "float32 1.5": (float32, 1.5),
    "float64 1.5": (float64, 1.5),
    "float64 0": (float64, 0.0),
    "float64 -0": (float64, -0.0),
    "float64 inf": (float64, float("inf")),
    "float64 NaN": (float64_bits, NAN),
    "float64 other NaN": (float64_bits, OTHER_NAN),
    "float64 signalling NaN": (float64_bits, SIGNALLING),
    "complex64 1-2i": (complex64, 1 - 2j),
    "complex128 1-2i": (complex128, 1 - 2j),
    "complex128 -2+1i": (complex128, -2 + 1j),
    "string empty": (string, ""),
    "string": (string, "héllo"),
    "string no UTF-8": (string, b"\xff\x00\xfe"),
    "[]byte nil": (Slice(uint8), None),
    "[]byte empty": (Slice(uint8), b""),
    "[]byte": (Slice(uint8), "héllo".encode()),
    "[]byte long": (Slice(uint8), bytes(i % 251 for i in range(10000))),
    "string long": (string, bytes(i % 251 for i in range(10000))),
    "[]int nil": (ints, None),
    "[]int empty": (ints, []),
    "[]int": (ints, [1, -2, 3]),
    "[]int long": (ints, list(range(-1000, 1000))),
    "[]int32": (Slice(int32), [1, -2, 3]),
    "[]uint": (Slice(uint), [1, 2, 2**32 - 1]),
    "[]bool": (Slice(bool_), [True, False]),
    "[]float64": (Slice(float64), [1.5, -0.0]),
    "[]complex64": (Slice(complex64), [1 - 2j]),
    "[2]int": (Array(2, int_), [1, 2]),
    "[]int of 2": (ints, [1, 2]),
    "[0]int": (Array(0, int_), []),
    "[0]string": (Array(0, string), []),
    "[2][2]int16": (Array(2, Array(2, int16)), [[1, 2], [3, 4]]),
    "[2]string": (Array(2, string), ["a", "bc"]),
    "[]string ab c": (strings, ["ab", "c"]),
    "[]string a bc": (strings, ["a", "bc"]),
    "[]string abc": (strings, ["abc"]),
    "[]string abc and empty": (strings, ["abc", ""]),
    "[][]string": (Slice(strings), [["a"], [], None, ["b", "c"]]),
    "[]struct{}": (Slice(Struct()), [[], [], []]),
    "struct{}": (Struct(), []),
    "map nil": (Map(string, int_), None),
    "map empty": (Map(string, int_), []),
    "map": (Map(string, int_), [("a", 1), ("b", 2), ("aa", 3), ("", 4)]),
    "map other": (Map(string, int_), [("a", 2), ("b", 1), ("aa", 3), ("", 4)]),
    "map of 1000": (Map(int_, strings), [(i, ["v"] * (i % 7)) for i in range(-500, 500)]),
    "map of NaNs": (floats_of, [(NAN, 1), (NAN, 2), (OTHER_NAN, 1), (0, 3)]),
    "map of other NaNs": (floats_of, [(NAN, 1), (NAN, 1), (OTHER_NAN, 2), (0, 3)]),
    "map of points": (Map(point, bool_), [([1, 2], True), ([2, 1], False), ([-1, 0], True)]),
    "map of pointers": (Map(Pointer(int_), string), [(7, "a"), (7, "b"), (None, "c")]),
    "map of maps": (
        Map(string, Map(int_, Map(string, uint8))),
        [
            ("x", [(1, [("a", 1), ("b", 2)]), (2, []), (3, None)]),
            ("y", None),
            ("z", [(-1, [("c", 3), ("b", 2), ("a", 1)])]),
        ],
    ),
    "map in a slice": (Slice(Map(string, string)), [[("k", "v"), ("l", "w")], None, [("k", "v" * 5000)]]),
    "*int nil": (Pointer(int_), None),
    "*int 0": (Pointer(int_), 0),
    "**int": (Pointer(Pointer(int_)), 1),
    "**int of nil": (Pointer(Pointer(int_)), None),
    "**int to nil": (Pointer(Pointer(int_)), NIL),
    "struct X Y": (xy(int_), [1, 2]),
    "struct X Y swapped": (xy(int_), [2, 1]),
    "struct Y X": (Struct(("Y", int_), ("X", int_)), [1, 2]),
    "struct A B": (Struct(("A", int_), ("B", int_)), [1, 2]),
    "struct X Y blank": (Struct(("X", int_), ("_", uint8), ("Y", int_)), [1, 2]),
    "struct with gaps": (Struct(("A", uint8), ("B", int64), ("C", bool_)), [1, 2, True]),
    "Point": (point, [1, 2]),
    "OtherPoint": (other_point, [1, 2]),
    "[]Point": (Slice(point), [[1, 2], [3, 4]]),
    "struct of a Point": (Struct(("Point", point)), [[1, 2]]),
    "struct with a Point embedded": (Struct(("@Point", point)), [[1, 2]]),
    "struct of two Points": (Struct(("A", point), ("B", Pointer(point))), [[1, 2], [1, 2]]),
    "Node": (node, ["a", ["b", None, None, []], [["c", None, [], None]], [("d", None), ("e", ["f", None, None, None])]]),
    "Box[int]": (box_int, [1]),
    "Box[string]": (box_string, ["1"]),
    "local types": (Struct(("A", local_a), ("B", local_b), ("C", local_b)), [[1], ["x"], ["y"]]),
    "local types otherwise": (Struct(("A", local_a), ("B", local_b), ("C", local_a)), [[1], ["x"], [2]]),
    "struct with tags": (Struct(("A", int_), ("C", string)), [1, "c"]),
    "time zero": (time, (-62135596800, 0, 0, "UTC")),
    "time UTC": (time, (NEW_YEAR, 5, 0, "UTC")),
    "time east": (time, (NEW_YEAR, 5, 3600, "east")),
    "time in another east": (time, (NEW_YEAR, 5, 3600, b"\xffast")),
    "time west": (time, (NEW_YEAR, 5, -12345, "")),
    "time before 1970": (time, (-2, 999999999, 0, "UTC")),
    "*time nil": (Pointer(time), None),
    "*time": (Pointer(time), (NEW_YEAR, 5, 0, "UTC")),
    "Event": (event, [(NEW_YEAR, 5, 0, "UTC"), "party"]),
    "Stamp": (stamp, [(NEW_YEAR, 5, 0, "UTC")]),
    "big 0": (big, 0),
    "big 1": (big, 1),
    "big -1": (big, -1),
    "big 2^100": (big, 2**100),
    "big -2^100": (big, -(2**100)),
    "*big nil": (Pointer(big), None),
    "*big 0": (Pointer(big), 0),
    "*big -2^100": (Pointer(big), -(2**100)),
    "[]*big": (Slice(Pointer(big)), [255, None, -256]),
    "Code": (code, b"code 7"),
    "*Code": (Pointer(code), b"code 7"),
    "*Code nil": (Pointer(code), None),
    "map of Codes": (Map(code, Slice(code)), [(b"code 2", [b"code 1", b"code 0"]), (b"code 1", None)]),
    "CBORCode": (cbor_code, b"\x07"),
}

def main():
    vectors = {name: digest(t, v) for name, (t, v) in CASES.items()}
    print(json.dumps(vectors, indent="\t", sort_keys=True))


if __name__ == "__main__":
    main()
