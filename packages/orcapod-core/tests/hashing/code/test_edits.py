"""Which edits make another function of one (promise 4)."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import orcapod.hashing.code
from orcapod.hashing import Part, compare_parts

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


OTHERWISE = {
    "a lambda": "lambda x: x * 3",
    "a decorator taken away": "decorated",
    "an import under the same name": "neighbour",
}
"""What is named where the edited line is no part by its name."""


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
from dataclasses import asdict
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
    found[folder.name]["parts"] = [asdict(part) for part in print_.parts]
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


def parts(side: Any) -> list[Part]:
    return [Part(**part | {"uses": tuple(part["uses"])}) for part in side["parts"]]


@pytest.mark.parametrize("edit", CHANGES)
def test_promise_4_an_edit_of_what_is_used_is_another_function(edit: str, sides: dict[str, tuple[Any, Any]]) -> None:
    before, after = sides[edit]
    assert before["hash"] != after["hash"]
    assert before["opaque"] == after["opaque"] == []


@pytest.mark.parametrize("edit", CHANGES)
def test_promise_25_the_part_that_was_edited_is_named(
    edit: str,
    sides: dict[str, tuple[Any, Any]],
    edited_names: Callable[[Mapping[str, str], Mapping[str, str]], set[str]],
) -> None:
    before, after = map(parts, sides[edit])
    changes = [each for change in compare_parts(before, after) for each in (change.before, change.after) if each]
    said = "\n".join(f"{part.name}\n{part.source}" for part in changes)
    name, old, new = CHANGES[edit]
    edited = edited_names({name: FILES[name]}, {name: FILES[name].replace(old, new, 1)})
    assert changes
    assert all(each in said for each in ({OTHERWISE[edit]} if edit in OTHERWISE else edited))


@pytest.mark.parametrize("edit", NO_CHANGES)
def test_promise_4_an_edit_without_meaning_is_the_same_function(edit: str, sides: dict[str, tuple[Any, Any]]) -> None:
    before, after = sides[edit]
    assert before["hash"] == after["hash"]
    assert before["opaque"] == after["opaque"] == []
    assert compare_parts(parts(before), parts(after)) == []


def test_promise_4_arguments_of_the_pod_do_not_count(tmp_path: Path) -> None:
    text = "import orcapod as op\n\n{}\ndef main(x: int) -> int:\n    return x + 1\n"
    decorators = ('@op.function_pod(output_keys="y")', '@op.function_pod(output_keys="z", version="v3.0")')
    for name, decorator in zip(("before", "after"), decorators, strict=True):
        write(tmp_path / "pods" / name, {"lab": text.format(decorator)})
    found = json.loads(python("-c", RUN, str(tmp_path / "pods"), seed="3"))
    assert found["before"]["hash"] == found["after"]["hash"]
    write(tmp_path / "plain" / "plain", {"lab": text.format("")})
    assert json.loads(python("-c", RUN, str(tmp_path / "plain"), seed="4"))["plain"]["hash"] == found["before"]["hash"]
