"""Every row of the tables of docs/identity.md is so: what is computed again, what is not, and what is named."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from orcapod.hashing.code import fingerprint_function

DOCS = Path(__file__).parents[5] / "docs" / "identity.md"

COMPUTED_AGAIN = {
    "the function, or a helper that it calls, in any file of yours": ["a helper of its distribution"],
    "a constant that it reads, a default, a value in its closure": ["a constant, a default and a closure"],
    "a method of a class that it uses, or a class attribute set below the class": ["a class attribute below the class"],
    "a method of the class of an argument: an enum, a dataclass, a type of yours": ["a method of an enum"],
    "the order of `output_keys`": ["two outputs of one type named the wrong way round"],
    "a decorator of yours, or its parameter": ["a decorator made with wrapt", "its parameter"],
    "a function that is found in a registry, a list or a dict": ["a class registry", "a class that collects steps"],
    "an object of an installed class: a fitted model, a frame, a namespace": ["a frame in a global", "a namespace"],
    "which function of an installed package is used": ["which of two functions of numpy is a default"],
    "a docstring or an annotation that something reads": ["a docstring that is read", "annotations that are read"],
    "a name that something reads as `__name__` or `__qualname__`": [
        "the name of a class that is read of an object",
        "names of functions in a list",
    ],
    "the name of a class, where an object is written that says it": [
        "the name of a dataclass in a text",
        "the name of an enum in a text",
        "the name of a tuple in a text",
    ],
    "a setting beside a counter in one dict": ["a setting beside a counter"],
    "what a memo holds before the run": ["a global that is loaded"],
}
IN_THE_NEXT_RUN = "what `np.add(x, y, out=TABLE)` writes to"


def rows() -> list[str]:
    """What the tables say that one changes."""
    found = re.findall(r"^\| (.*?) \| .*\|$", DOCS.read_text(), re.MULTILINE)
    return [row for row in found if row != "what you change"]


@pytest.fixture(scope="module")
def same(
    read_edits: Callable[[Mapping[str, Any]], dict[str, Any]], edits: Callable[[str], dict[str, Any]]
) -> dict[str, Any]:
    return read_edits({**edits("same.md"), **edits("unseen.md")})


def test_every_row_has_its_example(edits: Callable[[str], dict[str, Any]]) -> None:
    assert {*rows()} == {*COMPUTED_AGAIN, *edits("same.md"), *edits("unseen.md"), IN_THE_NEXT_RUN}
    assert {title for titles in COMPUTED_AGAIN.values() for title in titles} <= set(edits("edits.md"))


def test_what_means_nothing_is_the_same_function(edits: Callable[[str], dict[str, Any]], same: dict[str, Any]) -> None:
    for title in edits("same.md"):
        before, _, after = same[title]
        assert {side["hash"] for side in same[title]} == {before["after"]}, title
        assert after["warned"] == [], title


def test_what_goes_unnoticed_is_named_where_it_can_be(
    edits: Callable[[str], dict[str, Any]], same: dict[str, Any]
) -> None:
    texts = Path(__file__).with_name("unseen.md").read_text().split("\n### ")
    for title in edits("unseen.md"):
        before, _, after = same[title]
        assert before["given"] != after["given"], title
        assert before["hash"] == after["hash"], title
        (text,) = [text for text in texts if text.startswith(f"{title}\n")]
        named = re.findall(r"^Named: `(.*)`$", text, re.MULTILINE)
        assert [each.partition(" (module")[0] for each in before["unseen"]] == named, title
        assert [file.endswith("lab.py") for _, file in before["warned"]] == [True] * len(named), title


def test_what_a_library_is_told_to_write_to_counts_as_it_is(module: Callable[[str], Any]) -> None:
    lab = module(
        "import numpy as np\nTABLE = np.zeros(2)\ndef f(x):\n    np.add(x, 1, out=TABLE)\n    return TABLE.sum()\n"
    )
    before = fingerprint_function(lab.f, stage="begins")
    lab.f(1)
    assert fingerprint_function(lab.f, stage="ended").hash != before.hash
