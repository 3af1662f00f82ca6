"""What differs between two pieces of code can be seen in what is told of it, however long it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orcapod.hashing import CodeChanges, Part
from orcapod.hashing.code import CodeChange, fingerprint_function
from orcapod.nodes.reasons import Changed

_SUM = " + ".join(map(str, range(1_000, 1_080)))


def part(module: Any, name: str) -> Part:
    (found,) = (each for each in fingerprint_function(module.f).parts if each.name == f"{module.__name__}.{name}")
    return found


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"a": [1, 1]}, {"a": [1, 2]}, ["{'a': [1, 1]} -> {'a': [1, 2]}"]),
        ([(1, {"k": {"v"}})], [(1, {"k": {"w"}})], ["[(1, {'k': {'v'}})] -> [(1, {'k': {'w'}})]"]),
        ("a" * 300 + "b", "a" * 300 + "c", ["aaab'", "aaac'"]),
        ("a" * 200 + "b" + "c" * 300, "a" * 200 + "c" * 300, ["aaabccc", "aaaccc"]),
        ("b" + "a" * 300, "c" + "a" * 300, ["- 'baaa", "+ 'caaa"]),
        ([1] * 100 + [2], [1] * 101, [", 1, 2]", ", 1, 1]"]),
    ],
)
def test_what_differs_of_a_constant_is_shown(
    module: Callable[[str], Any], before: Any, after: Any, told: list[str]
) -> None:
    text = "VALUE = {!r}\ndef f(x):\n    return VALUE\n"
    change = CodeChange(*(part(module(text.format(value)), "VALUE") for value in (before, after)))
    shown = str(Changed(CodeChanges([change])))
    assert all(each in shown for each in told), shown
    assert all(len(line) <= 160 for line in shown.splitlines())
    assert [f"-{before!r}", f"+{after!r}"] == change.diff.splitlines()[-2:], "which is whole"


@pytest.mark.parametrize("line", [f"return x + {_SUM} + {{0}}", f"return [{{0}} + {_SUM}, {_SUM}]"])
def test_what_differs_of_a_long_line_is_shown(module: Callable[[str], Any], line: str) -> None:
    text = f"def f(x):\n    x = x + 1\n    {line}\n"
    change = CodeChange(*(part(module(text.format(number)), "f") for number in (1, 2)))
    title, before, after = str(Changed(CodeChanges([change]))).splitlines()
    assert (title[-2:], before.split()[0], after.split()[0]) == ("f:", "-", "+")
    assert before.replace("1", "2", 1)[1:] != after[1:]
    assert before != after
    assert max(len(before), len(after)) <= 160


def test_a_value_that_is_too_long_to_be_kept_is_told_by_its_beginning(module: Callable[[str], Any]) -> None:
    parts = [part(module(f"VALUE = 'a' * 100_000 + {end!r}\ndef f(x):\n    return VALUE\n"), "VALUE") for end in "bc"]
    assert str(CodeChange(*parts)).endswith("VALUE: holds something else")
    assert all(len(each.source) < 5_000 for each in parts)
    held = "VALUE = []\nVALUE += [VALUE, 1]\ndef f(x):\n    return VALUE\n"
    assert part(module(held), "VALUE").source == "<builtins.list>", "which holds itself"


def test_a_function_is_called_as_where_it_is_written_whatever_it_wraps(module: Callable[[str], Any]) -> None:
    lab = module(
        "import functools\ndef deco(n):\n    def wrap(g):\n        @functools.wraps(g)\n        def inner(x):\n"
        "            return g(x) + n\n        return inner\n    return wrap\n"
        "@deco(1)\ndef decorated(x):\n    return x\ndef f(x):\n    return decorated(x)\n"
    )
    parts = [each for each in fingerprint_function(lab.f).parts if each.kind == "function"]
    written = {
        "f": "return decorated(x)",
        "deco.<locals>.wrap.<locals>.inner around decorated": "g(x) + n",
        "decorated": "return x",
    }
    assert {each.name for each in parts} == {f"{lab.__name__}.{name}" for name in written}
    assert all(text in part(lab, name).source for name, text in written.items())
