"""What a run changes unseen changes nothing: the node has its rows, and the next run finds them."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

import pytest

import orcapod as op
from orcapod.protocols import NoOpObserver
from orcapod.sources import DictSource


class Sensor:
    def __init__(self) -> None:
        self.calls = 0
        self.seen: list[int] = []


class Cached:
    """Keeps what it was asked for, as many objects do; no reading of the function shows it."""

    def __init__(self) -> None:
        self.found: dict[int, int] = {}

    def __getitem__(self, x: int) -> int:
        return self.found.setdefault(x, x)


def over_a_list() -> Callable[..., int]:
    sensors = [Sensor()]

    def f(x: int) -> int:
        for each in sensors:
            each.calls += 1
        return x

    return f


def by_an_alias() -> Callable[..., int]:
    sensors = {"a": Sensor()}

    def f(x: int) -> int:
        sensor = sensors["a"]
        sensor.seen.append(x)
        return x

    return f


def through_a_library() -> Callable[..., int]:
    heap = [3]

    def f(x: int) -> int:
        heapq.heappush(heap, x)
        return x

    return f


def by_reading() -> Callable[..., int]:
    cached = Cached()

    def f(x: int) -> int:
        return cached[x]

    return f


def on_itself() -> Callable[..., int]:
    def f(x: int) -> int:
        if not hasattr(f, "model"):
            f.model = {"bias": 0}  # type: ignore[attr-defined]
        return x + int(f.model["bias"])  # type: ignore[attr-defined]

    return f


def on_a_helper() -> Callable[..., int]:
    def helper(x: int) -> int:
        helper.calls = getattr(helper, "calls", 0) + 1  # type: ignore[attr-defined]
        return x

    def f(x: int) -> int:
        return helper(x)

    return f


@pytest.mark.parametrize("made", [over_a_list, by_an_alias, through_a_library, by_reading, on_itself, on_a_helper])
def test_what_a_run_changes_unseen_changes_nothing(made: Any) -> None:
    pipeline = op.Pipeline("p")
    with pipeline:
        source = DictSource([{"i": i, "x": i} for i in range(3)], ["i"], source_id="s")
        op.function_pod("y")(made()).pod(source, label="n")
    for computed in (3, 0, 0):
        assert pipeline.run().counts("n") == {"computed": computed, "cached": 3 - computed, "failed": 0}
        assert pipeline["n"].as_table().column("y").to_pylist() == [0, 1, 2]


SETTINGS = [Sensor()]


def reads_a_setting(x: int) -> int:
    for each in SETTINGS:
        each.seen.append(x)
    return x + SETTINGS[0].calls


def test_what_the_user_changes_between_two_runs_counts() -> None:
    pipeline = op.Pipeline("p")
    with pipeline:
        op.function_pod("y")(reads_a_setting).pod(DictSource([{"i": 0, "x": 1}], ["i"], source_id="s"), label="n")
    assert pipeline.run().counts("n")["computed"] == 1
    SETTINGS[0].calls = 5
    assert pipeline.run().counts("n")["computed"] == 1
    assert pipeline["n"].as_table().column("y").to_pylist() == [6]


FACTOR = [2]
OFFSET = 2


def adds_an_offset(x: int) -> int:
    return x + OFFSET + FACTOR[0]


class Edits(NoOpObserver):
    """A user who runs another cell while a run is under way."""

    def on_packet_start(self, *_: Any) -> None:
        globals()["OFFSET"] = 5


def test_a_constant_that_is_edited_during_a_run_counts_in_the_next() -> None:
    pipeline = op.Pipeline("p")
    with pipeline:
        op.function_pod("y")(adds_an_offset).pod(DictSource([{"i": 0, "x": 1}], ["i"], source_id="s"), label="n")
    pipeline.run(observer=Edits())
    assert pipeline.run().counts("n")["computed"] == 1
    assert pipeline["n"].as_table().column("y").to_pylist() == [8]
