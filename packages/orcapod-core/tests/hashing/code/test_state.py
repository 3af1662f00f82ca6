"""What the code itself changes is state, and does not count."""

from collections.abc import Callable
from typing import Any

import pytest

from orcapod.hashing.code import Fingerprint, fingerprint_function


def begun(function: Callable[..., object]) -> Fingerprint:
    """What a function says when a run begins."""
    return fingerprint_function(function, stage="begins")


def ended(function: Callable[..., object]) -> Fingerprint:
    """What it says after a run, and when the next one begins."""
    assert fingerprint_function(function, stage="ended") == fingerprint_function(function)
    return begun(function)


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
    before = begun(lab.f)
    for x in (1, 2, 3):
        lab.f(x)
    assert ended(lab.f) == before
    assert labels(before.state) == [label]
    assert before.opaque == ()


def test_state_that_a_helper_changes_is_state_where_it_is_read(module: Callable[[str], Any]) -> None:
    lab = module("seen = []\ndef add(x):\n    seen.append(x)\ndef f(x):\n    n = len(seen)\n    add(x)\n    return n\n")
    before = begun(lab.f)
    lab.f(1)
    assert ended(lab.f) == before
    assert labels(before.state) == ["seen"]


def test_a_closure_or_default_that_is_changed_is_state(module: Callable[[str], Any]) -> None:
    lab = module(
        "def make():\n    n, seen = 0, []\n    def f(x, memo={}, *, log=[]):\n        nonlocal n\n        n += 1\n"
        "        seen.append(x)\n        memo[x] = x\n        log.append(x)\n"
        "        return n\n    return f\nf = make()\n"
    )
    before = begun(lab.f)
    lab.f(1)
    assert ended(lab.f) == before
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


def test_what_is_changed_between_runs_counts(module: Callable[[str], Any]) -> None:
    """As in a notebook: only what runs change is state."""
    lab = module("S = {}\ndef f(x):\n    S[str(x)] = x\n    return S.get('k')\n")
    first = begun(lab.f)
    lab.f(1)
    assert ended(lab.f) == first
    lab.S["k"] = 2
    second = begun(lab.f)
    assert second.hash != first.hash
    lab.f(2)
    assert ended(lab.f) == second


def test_functions_that_are_registered_again_between_runs_count(module: Callable[[str], Any]) -> None:
    lab = module(
        "R = {}\ndef register(g):\n    R[g.__name__] = g\n@register\ndef g(x):\n    return x + 1\n"
        "def f(x):\n    register(R['g'])\n    return R['g'](x)\n"
    )
    other = module("def g(x):\n    return x + 2\n")
    first = begun(lab.f)
    assert ended(lab.f) == first
    lab.register(other.g)
    assert begun(lab.f).hash != first.hash


def test_looking_at_it_beside_a_run_settles_nothing(module: Callable[[str], Any]) -> None:
    """A pipeline is built before the settings of a run are made."""
    lab = module("S = {}\ndef f(x):\n    S[str(x)] = x\n    return S.get('k')\n")
    fingerprint_function(lab.f)
    lab.S["k"] = 1
    first = begun(lab.f)
    lab.f(1)
    assert (
        ended(lab.f)
        == first
        != fingerprint_function(module("S = {}\ndef f(x):\n    S[str(x)] = x\n    return S.get('k')\n").f)
    )


def test_state_of_objects_that_know_each_other_is_looked_at_once_each(module: Callable[[str], Any]) -> None:
    lab = module(
        "class Node:\n    def __init__(self, name):\n        self.name, self.friends, self.hits = name, [], 0\n"
        "    def meet(self, other):\n        self.friends.append(other)\n        self.hits += 1\n"
        "a, b = Node('a'), Node('b')\na.meet(b)\nb.meet(a)\n"
        "def f(x):\n    a.meet(b)\n    b.meet(a)\n    return x + len(a.friends)\n"
    )
    before = begun(lab.f)
    assert before.opaque == ()
    lab.f(1)
    assert ended(lab.f) == before
    lab.b.name = "c"
    assert begun(lab.f) != before


def test_another_object_in_the_place_of_one_that_changes_counts(module: Callable[[str], Any]) -> None:
    lab = module(
        "class Scale:\n    def __init__(self, k):\n        self.calls, self.k = 0, k\n"
        "    def of(self, x):\n        self.calls += 1\n        return self.k * x\n"
        "class Box:\n    scale = None\nbox = Box()\nbox.scale = Scale(1)\n"
        "def f(x):\n    box.scale = box.scale\n    return box.scale.of(x)\n"
    )
    before = begun(lab.f)
    lab.f(1)
    assert ended(lab.f) == before
    lab.box.scale = lab.Scale(2)
    assert begun(lab.f) != before


def test_a_parameter_is_not_the_global_of_its_name(module: Callable[[str], Any]) -> None:
    lab = module(
        "items = [1, 2]\ndef add(items, x):\n    items.append(x)\n    return items\n"
        "def f(x):\n    return add([], x) + items\n"
    )
    before = begun(lab.f)
    assert before.state == ()
    lab.items.append(3)
    assert begun(lab.f) != before
