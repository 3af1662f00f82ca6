"""Random programs and random edits of them, compared with the truth: does a direct call give another value?"""

from __future__ import annotations

import ast
import importlib
import random
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import orcapod as op

EDITS = 500

# Ways to come to a number: what stands in the file, and how the function uses it. `$n` is the piece's own name, each
# `<...>` a number that an edit may change.
WAYS = [
    ("$n = <1>", "$n"),
    ("$n = {'a': <1>, 'b': [<2>, (<3>,)]}", "$n['a'] + $n['b'][0] + $n['b'][1][0]"),
    ("def $n(x):\n    return x + <1>", "$n(x)"),
    ("K_$n = <1>\ndef $n(x, k=<2>, *, m=<3>):\n    return x * k + m + K_$n", "$n(x)"),
    ("def inner_$n(x):\n    return x + <1>\ndef $n(x):\n    return inner_$n(x) * <2>", "$n(x)"),
    ("def make_$n(k):\n    def made(x):\n        return x + k * <1>\n    return made\n$n = make_$n(<2>)", "$n(x)"),
    ("$n = lambda x: x - <1>", "$n(x)"),
    ("import functools\ndef base_$n(k, x):\n    return k + x\n$n = functools.partial(base_$n, <1>)", "$n(x)"),
    (
        "import functools\ndef deco_$n(k):\n    def wrap(fn):\n        @functools.wraps(fn)\n        def inner(x):\n"
        "            return fn(x) + k\n        return inner\n    return wrap\n"
        "@deco_$n(<1>)\ndef $n(x):\n    return x * <2>",
        "$n(x)",
    ),
    ("class $n:\n    k = <1>\n    def go(self, x):\n        return x + self.k * <2>", "$n().go(x)"),
    ("class $n:\n    def go(self, x):\n        return x + self.k\n$n.k = <1>", "$n().go(x)"),
    ("class Base_$n:\n    def k(self):\n        return <1>\nclass $n(Base_$n):\n    m = <2>", "$n().k() + $n.m"),
    ("class C_$n:\n    def __init__(self, k):\n        self.k = k\n"
     "    def rotate(self, x):\n        return x * self.k + <1>\n"
     "$n = C_$n(<2>)", "$n.rotate(x)"),
    ("class $n:\n    @property\n    def a(self):\n        return <1>\n"
     "    @staticmethod\n    def b():\n        return <2>\n"
     "    @classmethod\n    def c(cls):\n        return cls.b() + <3>", "$n().a + $n.c()"),
    ("from dataclasses import dataclass, field\n@dataclass\nclass $n:\n    a: int = <1>\n"
     "    b: list = field(default_factory=lambda: [<2>])", "$n().a + $n().b[0]"),
    ("import enum\nclass $n(enum.Enum):\n    A = <1>\n    B = <2>\n    def go(self):\n        return self.value + <3>",
     "$n.A.go() + $n['B'].value"),
    ("from typing import NamedTuple\nclass $n(NamedTuple):\n    a: int = <1>", "$n().a"),
    ("def one_$n(x):\n    return x + <1>\ndef two_$n(x):\n    return x + <2>\n$n = {'a': one_$n, 'b': [two_$n]}",
     "$n['a'](x) + $n['b'][0](x)"),
    ("def one_$n(x):\n    return x + <1>\n$n = frozenset({('a', one_$n), ('b', len)})", "dict($n)['a'](x)"),
    ("$n = {}\ndef keep_$n(fn):\n    $n[fn.__name__] = fn\n    return fn\n@keep_$n\ndef go_$n(x):\n    return x + <1>\n"
     "def use_$n(x):\n    keep_$n($n['go_$n'])\n    return $n['go_$n'](x)", "use_$n(x)"),
    ("class R_$n:\n    items = []\n"
     "    @classmethod\n    def add(cls, fn):\n        cls.items.append(fn)\n        return fn\n"
     "    @classmethod\n    def go(cls, x):\n        return sum(fn(x) for fn in cls.items)\n"
     "@R_$n.add\ndef $n(x):\n    return x + <1>", "R_$n.go(x)"),
    ("$n = {'k': <1>, 'calls': 0}\ndef go_$n(x):\n    $n['calls'] += 1\n    return x + $n['k']", "go_$n(x)"),
    ("$n = {}\ndef go_$n(x):\n    if x not in $n:\n        $n[x] = x * <1>\n    return $n[x]", "go_$n(x)"),
    ("$n = None\ndef load_$n(k):\n    global $n\n    $n = k\nload_$n(<1>)\ndef go_$n(x):\n    if $n is None:\n"
     "        load_$n(0)\n    return x + $n", "go_$n(x)"),
    ("import numpy as np\n$n = np.array([<1>, <2>])", "int($n.sum())"),
    ("from collections import deque\n$n = deque([<1>, <2>], maxlen=3)", "$n[0] - $n[1]"),
    ("def $n(x):\n    def inner(y):\n        return y + <1>\n    return sum(inner(y) for y in [x, <2>])", "$n(x)"),
    ("def $n(x):\n    yield x + <1>\n    yield <2>", "sum($n(x))"),
    ("import argparse\n$n = argparse.Namespace(k=<1>)", "$n.k"),
    ("from datetime import timedelta, timezone\n$n = timezone(timedelta(minutes=<1>), 'X')",
     "$n.utcoffset(None).seconds"),
    ("def $n(x):\n    if x > 1000:\n        return <1>\n    return x * <2>", "$n(x)"),
    ("unused_$n = <1>\ndef $n(x):\n    return x + <2>", "$n(x)"),
]  # fmt: skip


@dataclass(frozen=True)
class Piece:
    """A way to a number, with its numbers and the file that it lies in."""

    way: int
    name: str
    numbers: tuple[int, ...]
    is_helper: bool

    def text(self) -> str:
        numbers = iter(self.numbers)
        return re.sub("<.>", lambda _: str(next(numbers)), WAYS[self.way][0].replace("$n", self.name))

    def use(self) -> str:
        """How the function uses it, by its module where it lies in the other file."""
        text = WAYS[self.way][1].replace("$n", self.name)
        if not self.is_helper:
            return text
        return re.sub(rf"\b(\w+_)?{self.name}\b", lambda found: f"helpers.{found.group()}", text)


@dataclass(frozen=True)
class Program:
    pieces: tuple[Piece, ...]
    has_docs: bool = False
    is_rewritten: bool = False

    def files(self) -> dict[str, str]:
        """The texts of its two files."""
        doc = '    """It adds up."""  # as ever\n' if self.has_docs else ""
        uses = "".join(f"    y += {piece.use()}\n" for piece in sorted(self.pieces, key=lambda piece: piece.name))
        mine, helpers = (
            "\n".join(piece.text() for piece in self.pieces if piece.is_helper is is_helper)
            for is_helper in (False, True)
        )
        lab = f"import helpers\n{mine}\ndef f(x: int) -> int:\n{doc}    y = 0\n{uses}    return y\n"
        files = {"lab": lab, "helpers": helpers}
        return {name: ast.unparse(ast.parse(text)) if self.is_rewritten else text for name, text in files.items()}


def random_program(chosen: random.Random) -> Program:
    pieces = []
    for number, way in enumerate(chosen.sample(range(len(WAYS)), chosen.randint(1, 5))):
        numbers = tuple(chosen.randint(1, 9) for _ in re.findall("<.>", WAYS[way][0]))
        pieces.append(Piece(way, f"p{number}", numbers, chosen.random() < 0.3))
    return Program(tuple(pieces))


def random_edit(program: Program, chosen: random.Random) -> Program:
    """Changes a number, moves a piece, turns pieces round, rewrites, adds or takes away a comment."""
    pieces = list(program.pieces)
    at = chosen.randrange(len(pieces))
    match chosen.choice(["number", "number", "number", "file", "order", "comment", "format", "new", "gone"]):
        case "number":
            numbers = list(pieces[at].numbers)
            numbers[chosen.randrange(len(numbers))] += chosen.randint(1, 3)
            pieces[at] = replace(pieces[at], numbers=tuple(numbers))
        case "file":
            pieces[at] = replace(pieces[at], is_helper=not pieces[at].is_helper)
        case "order":
            chosen.shuffle(pieces)
        case "comment":
            return replace(program, has_docs=not program.has_docs)
        case "format":
            return replace(program, is_rewritten=not program.is_rewritten)
        case "new":
            pieces.append(Piece(0, f"p{len(pieces)}", (chosen.randint(0, 1),), is_helper=False))
        case "gone" if len(pieces) > 1:
            del pieces[at]
    return replace(program, pieces=tuple(pieces))


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Program], tuple[str, list[int]]]:
    """Loads a program as a new process would; its fingerprint, and what direct calls give."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load(number: int, program: Program) -> tuple[str, list[int]]:
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, text in program.files().items():
            (folder / f"{name}.py").write_text(text)
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        with monkeypatch.context() as patched:
            patched.syspath_prepend(str(folder))
            lab = importlib.import_module("lab")
            function = op.PythonPacketFunction(lab.f, "y")
            found = function.code("begins")
            assert found.opaque == found.unseen == ()
            with function.running(found):
                given = [lab.f(x) for x in range(4)]
            assert function.fingerprint() == found.hash, "running it changes nothing"
        del sys.modules["lab"], sys.modules["helpers"]
        return str(found.hash), given

    return load


def test_no_random_edit_leaves_a_stale_value(read: Callable[[int, Program], tuple[str, list[int]]]) -> None:
    needless = []
    for seed in range(EDITS):
        chosen = random.Random(seed)
        program = random_program(chosen)
        edited = random_edit(program, chosen)
        (before, old), (after, new) = read(2 * seed, program), read(2 * seed + 1, edited)
        assert old == new or before != after, f"seed {seed}: stale after {program.files()} became {edited.files()}"
        if old == new and before != after:
            needless.append(seed)
    assert len(needless) < EDITS / 5, needless


def test_the_same_program_is_the_same_function(read: Callable[[int, Program], tuple[str, list[int]]]) -> None:
    for seed in range(50):
        program = random_program(random.Random(seed))
        assert read(2 * seed, program) == read(2 * seed + 1, program)
