"""What makes two functions the same (promises 4 and 5)."""

import ast
import functools
import json
import linecache
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import orcapod.hashing.code
from orcapod.hashing.code import Fingerprint, fingerprint_function

LAB = '''
import enum, functools, re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
import helpers
import tools as unused
from helpers import scale as scaled

LIMIT = 10
TABLE = ({"low": 1, "high": [2, 3]},)
WORDS = {"a", "b", "c"}
PATTERN = re.compile("a+")

class Base:
    def shift(self, x):
        return x + 1

class Model(Base):
    factor = 3
    def apply(self, x):
        return self.shift(x) * self.factor

class Color(enum.Enum):
    RED = 1
    BLUE = 2

@dataclass(frozen=True)
class Options:
    gain: float = 0.5
    names: list = field(default_factory=list)

class Pair(NamedTuple):
    left: int
    right: int = 4

OPTIONS = Options()

def twice(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(function(*args))
    return wrapper

@twice
def decorated(x):
    return x - 1

def make(offset):
    def shifted(x):
        return x + offset
    return shifted

shifted = make(5)
double = lambda x: x * 2
triple = functools.partial(pow, 3)

def nested_target(x):
    return x + 7

def main(x, base=2, *, mode="fast"):
    """What it does."""
    def inner(y):
        return nested_target(y)
    total = helpers.scale(x) + scaled(x) + LIMIT + TABLE[0]["low"] + len(WORDS)
    total += Model().apply(x) + decorated(x) + shifted(x) + double(x) + triple(1)
    total += sum(value * 2 for value in range(3)) + inner(x)
    if PATTERN.match("aa") and Color.RED is not Color.BLUE:
        total += OPTIONS.gain + len(Options().names) + Pair(1).right  # a comment
    return f"{mode}: {total!r:>{base}}"
'''
HELPERS = """
from deeper import constant

def scale(x):
    return x * constant()

def neighbour(x):
    return x
"""
DEEPER = """
def constant():
    return 11
"""
FILES = {"lab": LAB, "helpers": HELPERS, "deeper": DEEPER, "tools": "def wrench():\n    return 1\n"}

CHANGES = {
    "the body": ("lab", "total += sum(", "total -= sum("),
    "a helper through its module": ("helpers", "x * constant()", "x ** constant()"),
    "a helper's helper in another module": ("deeper", "return 11", "return 12"),
    "a constant": ("lab", "LIMIT = 10", "LIMIT = 11"),
    "the type of a constant": ("lab", "LIMIT = 10", "LIMIT = 10.0"),
    "a constant inside of others": ("lab", "[2, 3]", "[2, 4]"),
    "a set": ("lab", '"b", "c"}', '"b", "d"}'),
    "a pattern": ("lab", 're.compile("a+")', 're.compile("a+", re.I)'),
    "a class attribute": ("lab", "factor = 3", "factor = 4"),
    "a method": ("lab", "self.shift(x) * self", "self.shift(x) + self"),
    "a method of a base": ("lab", "return x + 1", "return x + 2"),
    "a base": ("lab", "class Model(Base)", "class Model"),
    "a closure value": ("lab", "make(5)", "make(6)"),
    "a default": ("lab", "base=2", "base=3"),
    "a keyword default": ("lab", 'mode="fast"', 'mode="slow"'),
    "a parameter's name": ("lab", "nested_target(x):\n    return x", "nested_target(z):\n    return z"),
    "a lambda": ("lab", "lambda x: x * 2", "lambda x: x * 3"),
    "an argument of partial": ("lab", "partial(pow, 3)", "partial(pow, 4)"),
    "a user's decorator": ("lab", "function(function(*args))", "function(*args)"),
    "what is decorated": ("lab", "return x - 1", "return x - 2"),
    "a decorator taken away": ("lab", "@twice\n", ""),
    "an enum member": ("lab", "BLUE = 2", "BLUE = 3"),
    "a dataclass default": ("lab", "gain: float = 0.5", "gain: float = 0.6"),
    "a dataclass field": ("lab", "default_factory=list", "default_factory=tuple"),
    "a named tuple's default": ("lab", "right: int = 4", "right: int = 5"),
    "a comprehension": ("lab", "value * 2 for", "value * 3 for"),
    "what a nested function refers to": ("lab", "return x + 7", "return x + 8"),
    "a format": ("lab", "{total!r:>{base}}", "{total!r:<{base}}"),
    "an import under the same name": ("lab", "import scale as scaled", "import neighbour as scaled"),
}
NO_CHANGES = {
    "nothing": ("lab", "", ""),
    "a comment": ("lab", "# a comment", "# another comment"),
    "a docstring": ("lab", '"""What it does."""', '"""What it really does."""'),
    "no docstring": ("lab", '    """What it does."""\n', ""),
    "formatting": ("lab", "sum(value * 2 for value in range(3))", "sum(\n  value*2 for value in range( 3 )\n )"),
    "quotes": ("lab", 'mode="fast"', "mode='fast'"),
    "an unused function": ("lab", "LIMIT = 10", "def unused_function():\n    return 1\n\nLIMIT = 10"),
    "an unused function of a helper's module": ("helpers", "    return x\n", "    return x + 1\n"),
    "moved lines": ("lab", "\nLIMIT", "\n\n\n\n\nLIMIT"),
    "an unused import renamed": ("lab", "as unused", "as unneeded"),
    "an import for type checking": ("lab", "LIMIT = 10", "if TYPE_CHECKING:\n    import nowhere\nLIMIT = 10"),
    "type checking inside": ("lab", "    def inner", "    if TYPE_CHECKING:\n        import nowhere\n    def inner"),
    "an annotation of a local variable": ("lab", "total = helpers", "total: float = helpers"),
    "annotations of parameters": ("lab", "def main(x, base=2", "def main(x: int, base: int = 2"),
    "the order of a set": ("lab", '{"a", "b", "c"}', '{"c", "a", "b"}'),
    "a pass": ("lab", "    def inner", "    pass\n    def inner"),
}  # fmt: skip

RUN = """
import importlib, json, sys
from pathlib import Path
from orcapod.hashing.code import fingerprint_function
found = {}
for folder in sorted(Path(sys.argv[1]).iterdir()):
    names = [path.stem for path in folder.iterdir() if path.suffix == ".py"]
    for name in names:
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    sys.path.insert(0, str(folder))
    print_ = fingerprint_function(importlib.import_module("lab").main)
    sys.path.pop(0)
    found[folder.name] = {"hash": str(print_.hash), "opaque": print_.opaque, "state": print_.state}
print(json.dumps(found))
"""


def python(*arguments: str, seed: str) -> str:
    """What a new process prints."""
    package = Path(orcapod.hashing.code.__file__).parents[3]
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Any]]:
    """Every edit, fingerprinted before it in one process and after it in another."""
    root = tmp_path_factory.mktemp("edits")
    for edit, (name, old, new) in {**CHANGES, **NO_CHANGES}.items():
        assert old in FILES[name], edit
        write(root / "before" / edit, FILES)
        write(root / "after" / edit, {**FILES, name: FILES[name].replace(old, new, 1)})
    before = json.loads(python("-c", RUN, str(root / "before"), seed="1"))
    after = json.loads(python("-c", RUN, str(root / "after"), seed="2"))
    return {edit: (before[edit], after[edit]) for edit in before}


@pytest.mark.parametrize("edit", CHANGES)
def test_promise_4_an_edit_of_what_is_used_is_another_function(edit: str, sides: dict[str, tuple[Any, Any]]) -> None:
    before, after = sides[edit]
    assert before["hash"] != after["hash"]
    assert before["opaque"] == after["opaque"] == []


@pytest.mark.parametrize("edit", NO_CHANGES)
def test_promise_4_an_edit_without_meaning_is_the_same_function(edit: str, sides: dict[str, tuple[Any, Any]]) -> None:
    before, after = sides[edit]
    assert before == after


def test_promise_4_arguments_of_the_pod_do_not_count(tmp_path: Path) -> None:
    text = "import orcapod as op\n\n{}\ndef main(x: int) -> int:\n    return x + 1\n"
    decorators = ('@op.function_pod(output_keys="y")', '@op.function_pod(output_keys="z", version="v3.0")')
    for name, decorator in zip(("before", "after"), decorators, strict=True):
        write(tmp_path / "pods" / name, {"lab": text.format(decorator)})
    found = json.loads(python("-c", RUN, str(tmp_path / "pods"), seed="3"))
    assert found["before"] == found["after"]
    write(tmp_path / "plain" / "plain", {"lab": text.format("")})
    assert json.loads(python("-c", RUN, str(tmp_path / "plain"), seed="4"))["plain"] == found["before"]


_modules = iter(range(10**6))


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Makes a module of the user's own from its text."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(text: str) -> ModuleType:
        name = f"lab_{next(_modules)}"
        (tmp_path / f"{name}.py").write_text(text)
        return __import__(name)

    return make


def hash_of(function: Callable[..., object], **options: Any) -> str:
    return str(fingerprint_function(function, **options).hash)


def labels(listed: tuple[str, ...]) -> list[str]:
    return [text.partition(" (")[0] for text in listed]


def test_promise_5_one_name_and_two_bodies_are_two_functions(module: Callable[[str], Any]) -> None:
    lab = module("def f(x):\n    return x + 1\nfirst = f\ndef f(x):\n    return x + 2\n")
    assert hash_of(lab.first) != hash_of(lab.f)


def test_the_name_of_a_function_and_of_its_module_do_not_count(module: Callable[[str], Any]) -> None:
    lab = module("def f(x):\n    return x + 1\ndef g(x):\n    return x + 1\n")
    other = module("\n\ndef f(x):\n    return x + 1\n")
    assert hash_of(lab.f) == hash_of(lab.g) == hash_of(other.f)


@pytest.mark.parametrize(
    ("declared", "changing", "label"),
    [
        ("calls: list[str] = []", "calls.append('x')", "calls"),
        ("cache = {}", "cache[x] = x", "cache"),
        ("cache = {1: 1, 2: 2, 3: 3}", "del cache[x]", "cache"),
        ("from collections import defaultdict\ngroups = defaultdict(list)", "groups[x].append(1)", "groups"),
        ("n = 0", "global n; n += 1", "n"),
        ("class Counter:\n    n = 0\n    limit = 5", "Counter.n += 1", "Counter.n"),
        (
            "class Counter:\n    def __init__(self):\n        self.n = 0\n    def hit(self):\n        self.bump()\n"
            "    def bump(self):\n        self.n += 1\ncounter = Counter()",
            "counter.hit()",
            "counter.n",
        ),
        (
            "class Store:\n    seen = []\n    def add(self, x):\n        self.seen.append(x)",
            "Store().add(x)",
            "Store.seen",
        ),
    ],
)
def test_what_the_code_changes_is_state(declared: str, changing: str, label: str, module: Callable[[str], Any]) -> None:
    """A fingerprint is the same before and after the function has run."""
    lab = module(f"{declared}\ndef f(x):\n    {changing}\n    return x\n")
    before = fingerprint_function(lab.f)
    for x in (1, 2, 3):
        lab.f(x)
    assert fingerprint_function(lab.f) == before
    assert labels(before.state) == [label]
    assert before.opaque == ()


def test_state_that_a_helper_changes_is_state_where_it_is_read(module: Callable[[str], Any]) -> None:
    lab = module("seen = []\ndef add(x):\n    seen.append(x)\ndef f(x):\n    n = len(seen)\n    add(x)\n    return n\n")
    before = fingerprint_function(lab.f)
    lab.f(1)
    assert fingerprint_function(lab.f) == before
    assert labels(before.state) == ["seen"]


def test_a_closure_or_default_that_is_changed_is_state(module: Callable[[str], Any]) -> None:
    lab = module(
        "def make():\n    n, seen = 0, []\n    def f(x, memo={}, *, log=[]):\n        nonlocal n\n        n += 1\n"
        "        seen.append(x)\n        memo[x] = x\n        log.append(x)\n"
        "        return n\n    return f\nf = make()\n"
    )
    before = fingerprint_function(lab.f)
    lab.f(1)
    assert fingerprint_function(lab.f) == before
    assert len(before.state) == 4


def test_a_container_that_is_only_read_counts_by_value(module: Callable[[str], Any]) -> None:
    lab = module("table = [1]\ndef f(x):\n    table_ = list(table)\n    table_.append(x)\n    return table_\n")
    before = fingerprint_function(lab.f)
    assert before.state == ()
    lab.table.append(2)
    assert fingerprint_function(lab.f) != before


def test_a_local_name_hides_a_global_one(module: Callable[[str], Any]) -> None:
    lab = module(
        "rows = [1]\ndef f(x):\n    rows = []\n    rows.append(x)\n    return [x for x in rows]\nx = object()\n"
    )
    before = fingerprint_function(lab.f)
    lab.rows.append(2)
    assert fingerprint_function(lab.f) == before
    assert before.state == before.opaque == ()


def test_caches_do_not_count(module: Callable[[str], Any]) -> None:
    lab = module(
        "import functools\nclass A:\n    @functools.cached_property\n    def p(self):\n        return [1]\na = A()\n"
        "@functools.lru_cache(maxsize=None)\ndef g(x):\n    return x\ndef f(x):\n    return g(x), a.p\n"
    )
    before = fingerprint_function(lab.f)
    lab.f(1)
    assert fingerprint_function(lab.f) == before
    assert before.opaque == before.state == ()


def test_running_hot_changes_nothing(module: Callable[[str], Any]) -> None:
    lab = module("def f(x):\n    return x + 1\n")
    bare: dict[str, Any] = {}
    exec("def f(x):\n    return x + 1\n", bare)
    before = hash_of(lab.f), hash_of(bare["f"])
    for x in range(5000):
        lab.f(x), bare["f"](x)
    assert (hash_of(lab.f), hash_of(bare["f"])) == before


def test_opaque_things_are_listed_with_why(module: Callable[[str], Any]) -> None:
    lab = module(
        "import threading, json\nhelpers = __import__(__name__)\nlock = threading.Lock()\nrows = (n for n in [1])\n"
        "class Model:\n    def __init__(self):\n        self.size = 3\n        self.lock = lock\nmodel = Model()\n"
        "def f(x):\n    with lock:\n        next(rows)\n"
        "    return model, nowhere(x), getattr(helpers, 'f'), eval('x'), json\n"
    )
    found = fingerprint_function(lab.f)
    assert labels(found.opaque) == ["builtins.eval", "helpers", "lock", "model.lock", "nowhere", "rows"]
    assert f"lock (module {lab.__name__}, a live object of type lock)" in found.opaque
    assert f"nowhere (module {lab.__name__}, no such name)" in found.opaque


def test_depends_on_adds_what_cannot_be_seen(module: Callable[[str], Any]) -> None:
    lab = module("def g(x):\n    return x\ndef f(x):\n    return globals()['g'](x)\n")
    assert len({hash_of(lab.f), hash_of(lab.f, depends_on=[lab.g]), hash_of(lab.f, depends_on=[1])}) == 3
    assert labels(fingerprint_function(lab.f, depends_on=[threading.Lock()]).opaque)[-1] == "depends_on[0]"


def test_recursion_ends_and_counts(module: Callable[[str], Any]) -> None:
    text = (
        "def f(n):\n    return n and g(n - 1)\ndef g(n):\n    return n and f(n - {})\nloop = [1]\nloop.append(loop)\n"
    )
    text += "def h():\n    return loop\n"
    first, second, third = (module(text.format(step)) for step in (1, 1, 2))
    assert hash_of(first.f) == hash_of(second.f) != hash_of(third.f)
    assert hash_of(first.h) == hash_of(second.h)


def test_lambdas_on_one_line_are_told_apart(module: Callable[[str], Any]) -> None:
    lab = module("a, b, c = lambda x: x + 1, lambda x: x + 2, lambda x: (lambda y: x + y)\nd = lambda x: x + 2\n")
    assert len({hash_of(lab.a), hash_of(lab.b), hash_of(lab.c), hash_of(lab.c(1))}) == 4
    assert hash_of(lab.b) == hash_of(lab.d)
    assert hash_of(lab.c(1)) != hash_of(lab.c(2))


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


def cell(text: str, name: str) -> Any:
    """A function as a notebook makes it: each statement compiled by itself, the source in linecache."""
    file = f"<cell {name}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    space: dict[str, Any] = {"__name__": "__main__"}
    for statement in ast.parse(text).body:
        exec(compile(ast.Module([statement], []), file, "exec"), space)
    return space["f"]


def test_a_cell_of_a_notebook_counts_by_its_source() -> None:
    text = "import math as m\nK = 1\ndef f(x):\n    return m.floor(x) + K\n"
    first, commented, edited = (
        cell(text, "1"),
        cell(text.replace("f(x):", "f(x):\n    'It floors.'"), "2"),
        cell(text.replace("K = 1", "K = 2"), "3"),
    )
    assert hash_of(first) == hash_of(commented) != hash_of(edited)


def test_without_source_the_code_itself_counts() -> None:
    def made(text: str) -> Any:
        space: dict[str, Any] = {}
        exec(text, space)
        return space["f"]

    text = "K = {}\ncalls = []\ndef g(x):\n    return x + K\ndef f(x):\n    calls.append(x)\n    return g(x)\n"
    first, same, other = made(text.format(1)), made("\n\n" + text.format(1)), made(text.format(2))
    before = fingerprint_function(first)
    first(1)
    assert before == fingerprint_function(first) == fingerprint_function(same) != fingerprint_function(other)
    assert before.opaque == ()
    assert labels(before.state) == ["calls"]


def test_a_function_given_on_the_command_line() -> None:
    text = (
        "from orcapod.hashing import fingerprint_function as p\nK = {}\ndef f(x):\n    return x + K\nprint(p(f).hash)"
    )
    first, same, other = (python("-c", text.format(k), seed=str(k)) for k in (1, 1, 2))
    assert first == same != other


def test_source_edited_after_it_was_imported_is_not_what_runs(tmp_path: Path, module: Callable[[str], Any]) -> None:
    """The old code keeps its identity until it is loaded again; never is it taken for the new one."""
    lab, new = module("def f(x):\n    return x + 1\n"), module("def f(x):\n    return x + 22\n")
    Path(lab.__file__).write_text("def f(x):\n    return x + 22\n")
    assert hash_of(lab.f) != hash_of(new.f)


def test_an_import_inside_the_function_is_followed(module: Callable[[str], Any]) -> None:
    helper = module("def g(x):\n    return x\n")
    same = module("def g(x):\n    return x  # the same\n")
    other = module("def g(x):\n    return -x\n")
    text = "def f(x):\n    import {0} as h, json\n    from {0} import g\n    return h.g(x), g(x), json.dumps(x)\n"
    lab = module(text.format(helper.__name__))
    before = fingerprint_function(lab.f)
    assert before.opaque == ()
    helper.g = other.g
    assert fingerprint_function(lab.f) != before
    helper.g = same.g
    assert fingerprint_function(lab.f) == before
    assert labels(fingerprint_function(module(text.format("nowhere")).f).opaque) == ["nowhere", "nowhere.g"]


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


def test_arrow_types_count_by_value_and_arrow_data_is_opaque(module: Callable[[str], Any]) -> None:
    lab = module(
        "import pyarrow as pa\ndef typed(kind):\n    s = pa.schema([('x', kind)])\n    return lambda: (s, kind)\n"
        "def holding(n):\n    t = pa.table({'x': [n]})\n    return lambda: t\n"
    )
    whole, half = lab.pa.int64(), lab.pa.float16()
    assert hash_of(lab.typed(whole)) == hash_of(lab.typed(whole)) != hash_of(lab.typed(half))
    assert labels(fingerprint_function(lab.holding(1)).opaque) == ["t"]


def vectors() -> list[Any]:
    text = (resources.files("orcapod.testing") / "vectors" / "code-v1.json").read_text()
    return [pytest.param(vector, id=vector["name"]) for vector in json.loads(text)]


@pytest.mark.parametrize("vector", vectors())
def test_pinned_vectors(vector: dict[str, str], module: Callable[[str], Any]) -> None:
    """Append-only: what was ever hashed keeps its hash, on every Python."""
    assert hash_of(getattr(module(vector["source"]), vector["function"])) == vector["hash"]
