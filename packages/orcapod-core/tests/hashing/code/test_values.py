"""What code refers to counts by value, and what cannot be seen into is listed."""

import functools
import json
import logging
import operator
import pickle
import re
import threading
from argparse import Namespace
from array import array
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from importlib import resources
from pathlib import Path
from struct import Struct
from types import MappingProxyType, SimpleNamespace
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import orcapod as op
from orcapod.errors import ConfigError
from orcapod.hashing.code import Fingerprint, fingerprint_function
from orcapod.hashing.code.live import _own_globals


def hash_of(function: Callable[..., object], **options: Any) -> str:
    return str(fingerprint_function(function, **options).hash)


def labels(listed: tuple[str, ...]) -> list[str]:
    return [text.partition(" (")[0] for text in listed]


def test_what_cannot_be_seen_is_listed_with_why(module: Callable[[str], Any]) -> None:
    lab = module(
        "import socket, json\nhelpers = __import__(__name__)\nline = socket.socket()\nrows = (n for n in [1])\n"
        "class Model:\n    def __init__(self):\n        self.size = 3\n        self.line = line\nmodel = Model()\n"
        "def f(x):\n    with line:\n        next(rows)\n"
        "    return model, nowhere(x), getattr(helpers, 'f'), eval('x'), json\n"
    )
    found = fingerprint_function(lab.f)
    assert labels(found.opaque) == ["line", "model.line", "rows"]
    assert f"line (module {lab.__name__}, a live object of type socket)" in found.opaque
    assert labels(found.unseen) == ["builtins.eval", "helpers", "nowhere"]
    assert f"nowhere (module {lab.__name__}, no such name)" in found.unseen
    lab.line.close()


def test_what_never_matters_is_no_part_of_it(module: Callable[[str], Any]) -> None:
    lab = module(
        "import logging, sys, threading\nlock, log, out = threading.Lock(), logging.getLogger('a'), sys.stdout\n"
        "done = threading.Event()\ndef f(x):\n    return lock, log, out, done\n"
    )
    before = fingerprint_function(lab.f)
    assert before.opaque == before.unseen == before.state == ()
    lab.done.set()
    lab.lock = threading.Lock()
    assert fingerprint_function(lab.f) == before


def test_depends_on_adds_what_cannot_be_seen(module: Callable[[str], Any]) -> None:
    lab = module("def g(x):\n    return x\ndef f(x):\n    return globals()['g'](x)\n")
    assert len({hash_of(lab.f), hash_of(lab.f, depends_on=[lab.g]), hash_of(lab.f, depends_on=[1])}) == 3
    assert labels(fingerprint_function(lab.f, depends_on=[iter(())]).opaque)[-1] == "depends_on[0]"


def test_recursion_ends_and_counts(module: Callable[[str], Any]) -> None:
    text = (
        "def f(n):\n    return n and g(n - 1)\ndef g(n):\n    return n and f(n - {})\nloop = [1]\nloop.append(loop)\n"
    )
    text += "def h():\n    return loop\n"
    first, second, third = (module(text.format(step)) for step in (1, 1, 2))
    assert hash_of(first.f) == hash_of(second.f) != hash_of(third.f)
    assert hash_of(first.h) == hash_of(second.h)


def test_partials_methods_classes_and_instances(module: Callable[[str], Any]) -> None:
    lab = module(
        "class A:\n    def __init__(self, k):\n        self.k = k\n    def __call__(self, x):\n        return self.k\n"
        "    def m(self, x):\n        return x + self.k\n    @classmethod\n    def c(cls, x):\n        return cls(x)\n"
        "    @staticmethod\n    def s(x):\n        return x\ndef f(x, y):\n    return x\n"
    )
    things = [
        *(lab.A(k).m for k in (1, 2)), *(lab.A(k) for k in (1, 2)), lab.A, lab.A.c, lab.A.s, lab.A.m, lab.f,
        *(functools.partial(lab.f, k) for k in (1, 2)), functools.partial(lab.f, y=1), len, sorted,
    ]  # fmt: skip
    found = [fingerprint_function(thing) for thing in things]
    assert len({each.hash for each in found}) == len(things)
    assert all(each.opaque == () for each in found)
    assert fingerprint_function(lab.A(1).m) == found[0]


@dataclass
class _Plain:
    value: object


def constant(value: object) -> Fingerprint:
    def read() -> object:
        return value

    return fingerprint_function(read)


plain = st.recursive(
    st.one_of(
        *(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary()),
        *(st.dates(), st.decimals(allow_nan=False)),
    ),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner) | inner.map(_Plain),
    max_leaves=5,
)  # fmt: skip


@given(plain, plain)
def test_constants_are_equal_if_and_only_if_they_are_written_alike(left: object, right: object) -> None:
    assert (constant(left) == constant(right)) == (repr(left) == repr(right))
    assert constant(left).opaque == ()


@given(st.sets(st.integers() | st.text()))
def test_the_order_of_a_set_does_not_count(members: set[int | str]) -> None:
    other: set[int | str] = set()
    for member in sorted(members, key=repr):
        other.add(member)
    assert constant(members) == constant(other)


def test_installed_packages_count_by_name_or_version(module: Callable[[str], Any]) -> None:
    lab = module("import pytest, json\nfrom pathlib import Path\ndef f(x):\n    return pytest.approx(x), json, Path\n")
    assert hash_of(lab.f) != hash_of(lab.f, packages="version")
    assert fingerprint_function(lab.f, packages="version").opaque == ()


def test_arrow_types_and_arrow_data_count_by_value(module: Callable[[str], Any]) -> None:
    lab = module(
        "import pyarrow as pa\ndef typed(kind):\n    s = pa.schema([('x', kind)])\n    return lambda: (s, kind)\n"
        "def holding(t):\n    return lambda: t\n"
    )
    whole, half = lab.pa.int64(), lab.pa.float16()
    assert hash_of(lab.typed(whole)) == hash_of(lab.typed(whole)) != hash_of(lab.typed(half))
    tables = [pa.table({"x": [1, 2, 3]}), pa.table({"x": [1, 2, 4]}), pa.table({"x": [1, 2, 3, 4]}).slice(0, 3)]
    found = [fingerprint_function(lab.holding(table)) for table in tables]
    assert found[0] == found[2] != found[1]
    kinds = [pa.array([1]), pa.array([2]), pa.chunked_array([[1], [1]]), pa.scalar(1), pa.scalar(2)]
    assert len({hash_of(lab.holding(kind)) for kind in kinds}) == len(kinds)
    assert found[0].opaque == ()


def test_what_a_package_wraps_around_a_function_is_followed(module: Callable[[str], Any]) -> None:
    text = (
        "import contextlib, functools, reprlib\n@contextlib.contextmanager\ndef opened(x):\n    yield x + {0}\n"
        "@functools.singledispatch\ndef g(x):\n    return x\n@g.register\ndef _(x: int):\n    return x + {1}\n"
        "class A:\n    @reprlib.recursive_repr()\n    def __repr__(self):\n        return 'A{2}'\n"
        "def f(x):\n    with opened(x) as y:\n        return g(y), repr(A())\n"
    )
    places = ((1, 1, 1), (1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2))
    found = [fingerprint_function(module(text.format(*numbers)).f) for numbers in places]
    assert found[0].hash == found[1].hash
    assert len({each.hash for each in found}) == 4
    assert found[0].opaque == ()


def test_a_single_dispatch_counts_as_a_pod_itself(module: Callable[[str], Any]) -> None:
    text = (
        "import functools\n@functools.singledispatch\ndef f(x: int) -> int:\n    return x\n"
        "@f.register\ndef _(x: str):\n    return x * {0}\nregister = f.register\n"
    )
    one, same, other = (module(text.format(number)) for number in (1, 1, 2))
    assert hash_of(one.f) == hash_of(same.f) != hash_of(other.f)
    assert hash_of(one.register) == hash_of(same.register) != hash_of(other.register)


def test_slots_count_as_attributes(module: Callable[[str], Any]) -> None:
    lab = module(
        "from dataclasses import dataclass\nclass A:\n    __slots__ = ('k', 'unset')\n    def __init__(self, k):\n"
        "        self.k = k\n@dataclass(slots=True)\nclass B:\n    k: int\n"
        "def make(a):\n    def f():\n        return a.k\n    return f\n"
    )
    for cls in (lab.A, lab.B):
        one, same, other = (fingerprint_function(lab.make(cls(k))) for k in (1, 1, 2))
        assert one == same
        assert one.hash != other.hash
        assert one.opaque == ()
        assert constant(cls(1)).hash != constant(cls(2)).hash


def test_objects_of_installed_classes_count_by_what_they_would_be_rebuilt_from() -> None:
    kinds: list[Callable[[int], object]] = [
        lambda k: SimpleNamespace(a=k), lambda k: Namespace(a=k), lambda k: array("i", [k]), operator.itemgetter,
        lambda k: slice(k), lambda k: bytearray([k]), lambda k: ValueError(k), lambda k: {"a": [SimpleNamespace(a=k)]},
    ]  # fmt: skip
    for kind in kinds:
        one, same, other = (constant(kind(k)) for k in (1, 1, 2))
        assert one == same
        assert one.hash != other.hash
        assert one.opaque == ()


def test_what_is_often_a_constant_is_seen_into() -> None:
    kinds = [
        *(re.compile("a"), re.compile(b"a"), re.compile("a", re.I), Fraction(1, 3), Fraction(2, 3), Decimal("1.0")),
        *(Path("a"), Path("b"), ZoneInfo("UTC"), UTC, timezone(timedelta(hours=1)), time(1)),
        *(datetime(2020, 1, 1, tzinfo=UTC), OrderedDict(a=1), Counter("a"), defaultdict(list), deque([1])),
        *(deque([1], 3), MappingProxyType({"a": 1}), list[int], dict[str, int], int | None, TypeVar("T"), str.upper),
        *("a".join, "b".join, object, ..., NotImplemented, range(3), pa.int64(), pa.field("x", pa.int64())),
        *(pa.field("x", pa.int64(), metadata={"a": "b"}), Struct("<i"), Struct("<f"), memoryview(b"a")),
    ]
    found = [constant(kind) for kind in kinds]
    assert [kind for kind, each in zip(kinds, found, strict=True) if each.opaque] == []
    assert len({each.hash for each in found}) == len(kinds)
    assert constant(logging.getLogger("a")).opaque == constant(logging.getLogger()).opaque == ()


def test_numpy_arrays_count_by_value(module: Callable[[str], Any]) -> None:
    np = pytest.importorskip("numpy")
    table = np.arange(6, dtype="int64").reshape(2, 3)
    others = [
        *(table + 1, table.reshape(3, 2), table.astype("int32"), table.astype(">i8"), table.astype(float), table[0]),
        *(np.int64(1), np.int32(1), np.float64(1), np.dtype("int64"), np.dtype("<f4"), np.datetime64("2020-01-01")),
    ]
    assert constant(table) == constant(table.copy(order="F")) == constant(np.stack([table, table])[0])
    assert len({constant(other).hash for other in [table, *others]}) == 13
    assert [constant(other).opaque for other in [table, *others]] == [()] * 13
    assert labels(constant(np.array([iter(())])).opaque) == ["value"]
    lab = module(
        "import numpy as np\nTABLE = np.zeros(3)\nSEEN = np.zeros(3)\n"
        "def f(x):\n    SEEN[0] += x\n    return np.sum(TABLE) + SEEN[0]\n"
    )
    before = fingerprint_function(lab.f, stage="begins")
    lab.f(1)
    assert fingerprint_function(lab.f, stage="ended") == before
    assert (labels(before.state), before.opaque) == (["SEEN"], ())
    lab.TABLE[0] = 1
    assert fingerprint_function(lab.f).hash != before.hash


def test_the_namespace_of_a_module_is_opaque(module: Callable[[str], Any]) -> None:
    lab = module("import sys\nme = sys.modules[__name__]\ndef f():\n    return me.__dict__\n")
    assert labels(fingerprint_function(lab.f).unseen) == ["me.__dict__"]


def vectors() -> list[Any]:
    text = (resources.files("orcapod.testing") / "vectors" / "code-v1.json").read_text()
    return [pytest.param(vector, id=vector["name"]) for vector in json.loads(text)]


@pytest.mark.parametrize("vector", vectors())
def test_pinned_vectors(vector: dict[str, Any], module: Callable[[str], Any]) -> None:
    """Append-only: what was ever hashed keeps its hash, on every Python."""
    function = getattr(module(vector["source"]), vector["function"])
    assert hash_of(function, **vector.get("options", {})) == vector["hash"]


def test_a_name_that_leads_nowhere_keeps_its_hash(module: Callable[[str], Any]) -> None:
    """Whatever the house calls what stands in for its value."""
    lab = module("def f(x):\n    return missing(x)\n")
    assert fingerprint_function(lab.f).hash.hex == "ad56e1fc7a2711fdf9608e23bbf856fc2eed235473c782774c55934254ae54b1"


def test_what_the_context_says_counts(module: Callable[[str], Any]) -> None:
    lab = module(
        "import contextvars, threading\nscale = contextvars.ContextVar('scale', default=1)\n"
        "local = threading.local()\nlocal.k = 1\ndef f(x):\n    return scale.get() * x + local.k\n"
    )
    before = hash_of(lab.f)
    reset = lab.scale.set(2)
    after = hash_of(lab.f)
    assert after != before
    lab.scale.reset(reset)
    assert hash_of(lab.f) == before
    lab.local.k = 2
    assert hash_of(lab.f) not in (before, after)


def test_a_class_that_a_function_made_holds_what_it_took_from_it(module: Callable[[str], Any]) -> None:
    lab = module(
        "def make(k):\n    class Limits:\n        most = k\n        def of(self):\n            return self.most\n"
        "    def f(x):\n        return Limits().of()\n    return f\nf, same, other = make(3), make(3), make(4)\n"
    )
    assert hash_of(lab.f) == hash_of(lab.same) != hash_of(lab.other)
    assert fingerprint_function(lab.f).unseen == ()


def test_a_name_to_ignore_means_one_thing(module: Callable[[str], Any]) -> None:
    cfg = module("K = [1]\ndef g(x):\n    return x + K[0]\n")
    lab = module(f"import {cfg.__name__} as cfg\nK = [2]\ndef f(x):\n    return cfg.g(x) + K[0]\n")
    with pytest.raises(ConfigError, match=f"{cfg.__name__}, {lab.__name__}"):
        fingerprint_function(lab.f, ignores=["K"])
    ignores = [f"{cfg.__name__}.K"]
    before = hash_of(lab.f, ignores=ignores)
    cfg.K.append(3)
    assert hash_of(lab.f, ignores=ignores) == before
    lab.K.append(3)
    assert hash_of(lab.f, ignores=ignores) != before


def test_a_name_to_ignore_that_nothing_bears_is_told() -> None:
    with pytest.warns(UserWarning, match="found ignores of sesion: nothing that it uses bears such a name"):
        op.PythonPacketFunction(_double, "y", ignores=["sesion"]).code()


def _double(x: int) -> int:
    return 2 * x


def test_functions_are_found_in_a_pickle_wherever_a_frame_of_it_ends(module: Callable[[str], Any]) -> None:
    """Also between the module and the name of a function: frames have some 64 KiB."""
    step = module("def step(column):\n    return column\n").step
    for size in range(65_440, 65_540):
        assert list(_own_globals(pickle.dumps(["text", "x" * size, step], protocol=5))) == [step], size
