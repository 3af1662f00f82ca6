"""``PacketError``: what is printed says type, whole message and notes, and where in the user's file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

import orcapod as op
from orcapod.executors import LocalExecutor
from orcapod.sources import DictSource

HERE = __file__


def noted() -> None:
    error = ValueError("cell is empty")
    error.add_note("while reading sheet 3")
    raise error


def long() -> None:
    raise ValueError("first line\nsecond line")


def group() -> None:
    raise ExceptionGroup("two", [ValueError("a"), ExceptionGroup("inner", [KeyError("b"), TypeError("c")])])


def compiled() -> None:
    pa.array([1, "a"])


RAISING: dict[Callable[[], None], str] = {
    noted: "ValueError: cell is empty\nwhile reading sheet 3",
    long: "ValueError: first line\nsecond line",
    group: "ExceptionGroup: two (2 sub-exceptions)\n  - ValueError: a\n  - ExceptionGroup: inner (2 sub-exceptions)\n"
    "      - KeyError: 'b'\n      - TypeError: c",
    compiled: "pyarrow.lib.ArrowInvalid: Could not convert 'a' with type str: tried to convert to int64",
}


@pytest.mark.parametrize("raising", RAISING, ids=lambda each: each.__name__)
@pytest.mark.parametrize("executor", [LocalExecutor(), LocalExecutor(workers=1), LocalExecutor(1, "process")])
def test_it_says_what_was_raised_and_where_in_the_users_file(raising: Any, executor: LocalExecutor) -> None:
    def fails(x: int) -> int:
        raising()
        return x

    pipeline = op.Pipeline("p")
    with pipeline:
        op.function_pod("y", identity="version")(fails).pod(
            DictSource([{"i": 3, "x": 1}], ["i"], source_id="s"), label="n"
        )
    with executor:
        (error,) = pipeline.run(execution_engine=executor).errors
    assert error.message == RAISING[raising]
    assert error.location is not None
    assert (error.location.file, error.location.function) == (HERE, raising.__name__)
    assert str(error).startswith(f"n(i=3): {RAISING[raising]}\n  File ")


def test_a_line_is_a_whole_number_beside_one_that_is_not_known() -> None:
    """In a data frame, too."""

    def checked(x: float) -> int:
        return 10 // int(x)

    pipeline = op.Pipeline("p")
    with pipeline:
        op.function_pod("y", identity="version")(checked).pod(
            DictSource([{"i": 1, "x": 2**53 + 1}, {"i": 2, "x": 0}], ["i"], source_id="s"), label="n"
        )
    frame = pipeline.run().errors.to_pandas().set_index("i")
    assert frame["file"].isna().to_dict() == {"1": True, "2": False}, "a value that no float is fails nowhere"
    line = frame["line"]["2"]
    assert (str(frame["line"].dtype), line) == ("Int64", checked.__code__.co_firstlineno + 1)
