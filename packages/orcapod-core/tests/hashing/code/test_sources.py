"""What runs is what counts, wherever its source is (promise 5)."""

import ast
import importlib
import linecache
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import orcapod.hashing.code
from orcapod.hashing.code import fingerprint_function


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


def test_running_hot_changes_nothing(module: Callable[[str], Any]) -> None:
    lab = module("def f(x):\n    return x + 1\n")
    bare: dict[str, Any] = {}
    exec("def f(x):\n    return x + 1\n", bare)
    before = hash_of(lab.f), hash_of(bare["f"])
    for x in range(5000):
        lab.f(x), bare["f"](x)
    assert (hash_of(lab.f), hash_of(bare["f"])) == before


def test_lambdas_on_one_line_are_told_apart(module: Callable[[str], Any]) -> None:
    lab = module("a, b, c = lambda x: x + 1, lambda x: x + 2, lambda x: (lambda y: x + y)\nd = lambda x: x + 2\n")
    assert len({hash_of(lab.a), hash_of(lab.b), hash_of(lab.c), hash_of(lab.c(1))}) == 4
    assert hash_of(lab.b) == hash_of(lab.d)
    assert hash_of(lab.c(1)) != hash_of(lab.c(2))


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
    before = fingerprint_function(first, stage="begins")
    first(1)
    assert (
        before
        == fingerprint_function(first, stage="ended")
        == fingerprint_function(same)
        != fingerprint_function(other)
    )
    assert before.opaque == ()
    assert labels(before.state) == ["calls"]


def test_a_function_given_on_the_command_line() -> None:
    text = (
        "from orcapod.hashing import fingerprint_function as p\nK = {}\ndef f(x):\n    return x + K\nprint(p(f).hash)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(orcapod.hashing.code.__file__).parents[3])}
    first, same, other = (
        subprocess.run([sys.executable, "-c", text.format(k)], env=environment, check=True, capture_output=True).stdout
        for k in (1, 1, 2)
    )
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
    assert labels(fingerprint_function(module(text.format("nowhere")).f).unseen) == ["nowhere", "nowhere.g"]


def test_a_module_that_is_loaded_again_is_what_its_file_says(module: Callable[[str], Any]) -> None:
    text = "class A:\n    k: int = 1\n    def g(self):\n        return {}\ndef f(x):\n    return A().g(), {}\n"
    lab, new = module(text.format(1, 1)), module(text.format(22, 22))
    old, before = lab.f, hash_of(lab.f)
    Path(lab.__file__).write_text(text.format(22, 22))
    importlib.reload(lab)
    assert hash_of(lab.f) == hash_of(new.f) != before
    assert hash_of(old) != before, "the old code now meets the new class"


def test_relative_imports_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    found = []
    for name, number in (("pack_a", 1), ("pack_b", 1), ("pack_c", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
        (tmp_path / name / "sub.py").write_text(f"def g(x):\n    return x + {number}\n")
        (tmp_path / name / "top.py").write_text("def f(x):\n    from . import sub\n    from .sub import g\n"
                                                "    return g(x) + sub.g(x)\n")  # fmt: skip
        importlib.invalidate_caches()  # the folder may have been listed in the same tick of the clock
        found.append(fingerprint_function(importlib.import_module(f"{name}.top").f))
    assert found[0] == found[1]
    assert found[0].hash != found[2].hash
    assert found[0].opaque == ()


CLASS_EDITS = {
    "a method": ("return x + 1", "return x + 9"),
    "a field's factory": ("default_factory=list", "default_factory=tuple"),
    "a factory that is a lambda": ("lambda: [1]", "lambda: [2]"),
    "an option of a field": ("field(compare=False)", "field(compare=True)"),
    "an option of the class": ("frozen=True", "frozen=False"),
    "a field more": ("    n: int = 0\n", "    n: int = 0\n    m: int = 0\n"),
    "a field by another name": ("    n: int", "    m: int"),
    "another function of the file": ("return 0", "return 1"),
}


@pytest.mark.parametrize("edit", CLASS_EDITS)
def test_source_of_a_class_edited_after_it_was_imported_is_not_what_runs(
    edit: str, module: Callable[[str], Any]
) -> None:
    text = (
        "from dataclasses import dataclass, field\n@dataclass(frozen=True)\nclass Options:\n"
        "    names: list = field(default_factory=list)\n    more: list = field(default_factory=lambda: [1])\n"
        "    some: int = field(compare=False)\n    n: int = 0\n    def g(self, x):\n        return x + 1\n"
        "def other():\n    return 0\n"
    ).replace("field(compare=False)", "field(compare=False, default=1)")
    old, new = CLASS_EDITS[edit]
    old, new = old.replace("False)", "False,"), new.replace("True)", "True,")
    assert old in text
    lab, after = module(text), module(text.replace(old, new))
    Path(lab.__file__).write_text(text.replace(old, new))
    assert hash_of(lab.Options) != hash_of(after.Options)
    assert fingerprint_function(lab.Options).opaque == ()


def test_a_class_seen_once_keeps_what_was_seen(module: Callable[[str], Any]) -> None:
    lab = module("class A:\n    k: int = 1\n")
    before = hash_of(lab.A)
    Path(lab.__file__).write_text("class A:\n    k: float = 1\n")
    assert hash_of(lab.A) == before


def test_the_source_of_a_class_with_decorated_methods_is_found(module: Callable[[str], Any]) -> None:
    text = (
        "import functools\ndef twice(f):\n    @functools.wraps(f)\n    def wrapper(*a):\n        return f(*a)\n"
        "    return wrapper\nclass A:\n    {}\n    @twice\n    def g(self):\n        return 1\n"
    )
    plain, commented, annotated = (module(text.format(line)) for line in ("pass", "'It is.'", "k: int"))
    assert hash_of(plain.A) == hash_of(commented.A) != hash_of(annotated.A)


def test_code_that_is_nested_deeply_is_read(module: Callable[[str], Any]) -> None:
    total = " + ".join(["x"] * 1_500)
    choice = "".join(f"    elif x == {number}:\n        return {number}\n" for number in range(1, 300))
    text = f"def f(x):\n    return {total}\ndef g(x):\n    if x == 0:\n        return 0\n{choice}"
    first, same, other = module(text), module(text), module(text.replace("return 299", "return 0"))
    assert fingerprint_function(first.f) == fingerprint_function(same.f)
    assert fingerprint_function(first.g) == fingerprint_function(same.g) != fingerprint_function(other.g)


@pytest.mark.parametrize(("line", "is_read"), [("g.__doc__ = 'C'", False), ("g.__doc__", True), ("g().__doc__", True)])
def test_a_docstring_counts_where_it_is_read_and_not_where_one_is_given(
    module: Callable[[str], Any], line: str, is_read: bool
) -> None:
    text = "def g():\n    '{}'\n    return g\n\n\ndef f(x):\n    y = {}\n    return x\n"
    text = text if is_read else text.replace("y = ", "")
    one, other = (fingerprint_function(module(text.format(doc, line)).f).hash for doc in "AB")
    assert (one != other) == is_read


NAMED = """
import functools
import logging


def timed(function):
    def wrapper(*args):
        return function.__name__, function(*args)

    return wrapper


def logged(function):
    @functools.wraps(function)
    def wrapper(*args):
        logging.getLogger(__name__).info(function.__qualname__)
        return function(*args)

    return wrapper


@timed
@logged
def g(x):
    return x


class A:
    def go(self):
        return type(self).__name__


class B(A):
    @timed
    def to(self):
        return self


class Config:
    def __init__(self):
        self.k = 1

    def __str__(self):
        return "k=1"


CONFIG = Config()
LIMITS = {"k": 1}


@logged
def f(x: int):
    return g(x), B().go(), B().to(), f"{CONFIG} {CONFIG.k} {LIMITS}"


def written(x: int):
    return f"{CONFIG} {LIMITS} {CONFIG.k}" + str(CONFIG)
"""


def test_names_by_which_the_code_itself_calls_things_need_not_count(module: Callable[[str], Any]) -> None:
    lab = module(NAMED)
    found = fingerprint_function(lab.f)
    assert hash_of(lab.written) == "code-v1:d14c32251dddcb21bf84b4ee04c12f2a0d583f2dbc8bf114b3e4ae2993ca3096"
    assert found.hash.hex == "3dac896d6b39a1a526e8b92bd6ddcc02c2ebfdbe53cd5172c22d4a31d00d9f14"
    assert found.hash == fingerprint_function(module(NAMED.replace("wrapper", "inner")).f).hash


CALLED = """
import enum


class Mode(enum.StrEnum):
    FAST = "fast"


class Kelvin(float):
    pass


class Window:
    pass


class Model:
    class Settings:
        gain = 2

    @classmethod
    def named(cls, name):
        if name != cls.__name__:
            raise ValueError(f"{cls.__name__} is not {name}")
        return cls()

    def __scaled(self, x):
        return x * self.Settings.gain

    def fit(self, x):
        return self.__scaled(x)


MODE, ZERO, WINDOWS = Mode.FAST, Kelvin(273.15), [Window()]


def attempt(x: int):
    try:
        return Model().fit(x)
    except Exception as error:
        return type(error).__name__


def written(x: int):
    return f"{MODE}.csv {ZERO:.1f} {ZERO!r}"


def made(x: int):
    return Model.named("Model"), WINDOWS
"""


def test_names_that_are_not_read_or_counted_already_need_not_count(module: Callable[[str], Any]) -> None:
    lab = module(CALLED)
    assert [hash_of(function) for function in (lab.attempt, lab.written, lab.made)] == [
        "code-v1:fb34828f708621b18fde0f9f9ae830a204debd6bff7daf2b0ab3d8eff5a8fc1a",
        "code-v1:d87be017baaf375be0f4fd76edd4f3c8f0af74415af16dc1c5f7a4e1da2a17e0",
        "code-v1:782f615d237e23b86fea8bec62ac3100cd1ddda6b471bc0587a7d49e9e903d25",
    ]
