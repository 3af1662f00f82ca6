"""What the code itself changes is state, and does not count."""

from collections.abc import Callable
from typing import Any

import pytest

from orcapod.hashing.code import fingerprint_function


def labels(listed: tuple[str, ...]) -> list[str]:
    return [text.partition(" (")[0] for text in listed]


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
