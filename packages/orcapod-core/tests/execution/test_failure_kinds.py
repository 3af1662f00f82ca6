"""Packets that failed alike are told of together."""

from __future__ import annotations

import time
import traceback

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import orcapod as op
from orcapod.execution import FailureText, Location, failure_kinds
from orcapod.sources import DictSource

Row = tuple[str, str | None, str | None, int | None]


def table(*rows: Row) -> pa.Table:
    text = pa.large_string()
    types = {"node": text, "error": text, "message": text, "file": text, "line": pa.int64(), "function": text}
    listed = [
        {
            "node": node,
            "error": error,
            "message": message,
            "file": line and "lab.py",
            "line": line,
            "function": line and "f",
        }
        for node, error, message, line in rows
    ]
    return pa.Table.from_pylist(listed, schema=pa.schema(types))


@given(st.floats(), st.integers(), st.text("abc /-", max_size=9), st.sampled_from(["sub-01", "a3f9", "0x7f3a", "x2"]))
def test_numbers_names_with_numbers_and_quoted_values_make_no_other_kind(
    value: float, number: int, text: str, name: str
) -> None:
    told = f"ValueError: {value} in row {number} of '{text}' (\"{text}\") can't be at {name}"
    again = "ValueError: 0.5 in row 1 of 'it' (\"it\") can't be at a1"
    (kind,) = failure_kinds(table(("f", "ValueError", told, 3), ("g", "ValueError", again, 3)))
    assert (kind.count, kind.error, kind.message, kind.rows) == (2, "ValueError", told, (0, 1))
    assert (kind.nodes, kind.location) == (("f", "g"), Location("lab.py", 3, "f"))


@pytest.mark.parametrize(
    "other",
    [
        ("f", "KeyError", "ValueError: no value 1", 3),
        ("f", "ValueError", "ValueError: no value 1", 4),
        ("f", "ValueError", "ValueError: no value 1", None),
        ("f", "ValueError", "ValueError: no number 1", 3),
        ("f", None, None, 3),
    ],
)
def test_another_type_line_or_text_is_another_kind_and_the_largest_is_first(other: Row) -> None:
    same = ("f", "ValueError", "ValueError: no value 1", 3)
    assert [kind.rows for kind in failure_kinds(table(other, same, same))] == [(1, 2), (0,)]


@pytest.mark.parametrize("text", ["m", "-", "+", "'", '"', "' ", "m+", "1+", "m.", "it's ", "nan", "1m"])
def test_a_million_letters_are_looked_at_once(text: str) -> None:
    """What is quadratic takes hours of this, what is linear less than a second."""
    told, again = (f"ValueError: {text * (count // len(text))} at {count}" for count in (1_000_000, 1_000_012))
    began = time.process_time()
    (kind,) = failure_kinds(table(("f", "ValueError", told, 3), ("f", "ValueError", again, 3)))
    assert (kind.count, kind.message) == (2, told)
    assert len(str(kind)) < 3000
    assert time.process_time() - began < 30


def test_of_nothing_there_is_no_kind() -> None:
    assert failure_kinds(table()) == []


def test_a_kind_says_how_many_what_and_where() -> None:
    (kind,) = failure_kinds(table(*[("f", "ValueError", "ValueError: no value 1", 3)] * 1200))
    assert str(kind) == '1,200 × ValueError: no value 1 (f)\n  File "lab.py", line 3, in f'
    (kind,) = failure_kinds(table(("f", None, None, None)))
    assert str(kind) == "1 × nothing is known of it (f)"


def test_what_a_result_has_is_taken_as_it_is() -> None:
    @op.function_pod("y")
    def f(x: int) -> float:
        if x == 2:
            raise KeyError(f"no {x}")
        return 1 / (x % 2)

    with op.Pipeline("p") as pipeline:
        f.pod(DictSource([{"i": i, "x": i} for i in range(6)], ["i"], source_id="s"), label="f")
    kinds = failure_kinds(pipeline.run().errors.to_table())
    assert [(kind.count, kind.error) for kind in kinds] == [(2, "ZeroDivisionError"), (1, "KeyError")]
    assert kinds[0].location is not None
    assert kinds[0].location.function == "f"


def test_text_that_is_kept_is_taken_apart() -> None:
    assert FailureText.of(None, "lab.errors.Odd: 3") == ("Odd", "lab.errors.Odd: 3", None)
    assert FailureText.of(None, None) == (None, None, None)


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001  # with its frames
        return caught


def test_the_text_of_a_group_tells_of_it_and_of_its_members() -> None:
    lines = raised(ValueError("two:\n  lines"))
    lines.add_note("a note")
    inner = raised(ExceptionGroup("inner", [KeyError("k")]))
    group = raised(ExceptionGroup("odd + ones", [lines, TypeError("| in2"), inner]))
    chained = raised(OSError("afterwards"))
    chained.__context__ = group
    told = {
        group: "ExceptionGroup: odd + ones (3 sub-exceptions)\n  - ValueError: two:\n      lines\n    a note\n"
        "  - TypeError: | in2\n  - ExceptionGroup: inner (1 sub-exception)\n  - KeyError: 'k'",
        chained: "OSError: afterwards",
    }
    for error, message in told.items():
        text = "".join(traceback.format_exception(error))
        assert FailureText.of(text, None)[:2] == (type(error).__name__, message)
