"""Two functions that would be given each other's results are refused."""

from collections.abc import Callable
from typing import Any

import pytest

import orcapod as op
from orcapod.errors import PipelineError
from orcapod.sources import DictSource


def plus(k: int, **options: Any) -> op.FunctionPod:
    live = (k for _ in range(99))  # an object that nothing says anything of

    def f(x: int) -> int:
        return x + next(iter(live))

    return op.function_pod("y", **options)(f).pod


def times(k: int) -> Callable[[int], int]:
    def f(x: int) -> int:
        return x * k

    return f


def run_both(first: op.FunctionPod, second: op.FunctionPod) -> op.Pipeline:
    pipeline = op.Pipeline("both")
    rows = DictSource([{"i": 0, "x": 1}, {"i": 1, "x": 2}], ["i"], source_id="s")
    with pipeline:
        first(rows, label="first")
        second(rows, label="second")
    pipeline.run()
    return pipeline


def test_two_live_objects_of_which_the_author_says_the_same_are_refused() -> None:
    pods = [plus(k, depends_on=["model"]) for k in (1, 2)]
    with pytest.raises(PipelineError, match=r"nodes 'first' and 'second' .*live"):
        run_both(*pods)
    run_both(*[plus(k, depends_on=["model", k]) for k in (1, 2)])
    run_both(*[plus(1, ignores=["live"]) for _ in range(2)])


def test_two_versions_of_one_number_are_refused() -> None:
    pods = [op.function_pod("y", identity="version")(times(k)).pod for k in (2, 3)]
    with pytest.raises(PipelineError, match="one fingerprint"):
        run_both(*pods)
    run_both(*[op.function_pod("y", identity="version")(times(2)).pod for _ in range(2)])


def test_functions_that_are_alike_share_their_results_in_every_run() -> None:
    """Also once each of them has changed what it alone keeps."""

    def make() -> op.FunctionPod:
        n, seen = 0, []

        def f(x: int) -> int:
            nonlocal n
            n += 1
            seen.append(x)
            return x

        return op.function_pod("y")(f).pod

    pods = [make(), make()]
    for _ in range(3):
        run_both(*pods)


def test_a_mistake_of_the_walk_is_refused_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were two closures ever taken for one, nobody would be given the other's results."""
    pods = [op.function_pod("y")(times(k)).pod for k in (2, 3)]
    first = pods[0].packet_function.code()
    monkeypatch.setattr(op.PythonPacketFunction, "code", lambda self, stage=None: first)
    with pytest.raises(PipelineError, match="k is 2 in one and 3 in the other, which is a mistake of orcapod"):
        run_both(*pods)
