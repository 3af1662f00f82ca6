"""Whatever a store holds is shown as lines that move no cursor, and given as JSON that is what it was."""

from __future__ import annotations

import json
import os
import pty
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orcapod.cli.output import Output, json_of, text_of
from orcapod.cli.tags import tag_values
from orcapod.display import width_of
from orcapod.types import AwareDatetime, Schema

LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.dates(), st.datetimes()
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(VALUES)
def test_any_value_is_one_printable_line_and_json(value: Any) -> None:
    assert all(each.isprintable() or each in "\u200c\u200d" for each in text_of(value))
    json.loads(json.dumps(json_of(value), allow_nan=False))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_what_json_has_is_given_as_it_is(value: Any) -> None:
    assert json.loads(json.dumps(json_of(value))) == value


def test_values_are_told_as_a_person_reads_them() -> None:
    array = {"dtype": "<f8", "shape": [3, 4], "data": b"", "size": None, "file": None, "identity": None}
    large = {"data": None, "size": 2_000_000, "file": {"path": "x"}, "identity": b""}
    for value, text in {
        "2026": 2026,
        "12345": 12345,
        "[1440, 2026]": [1440, 2026],
        "True": True,
        "0.333333": 1 / 3,
        "": None,
        "00ff": b"\x00\xff",
        "1.0 kB of bytes": bytes(1000),
        "2026-01-31": date(2026, 1, 31),
        "float64 array of 3 × 4": array,
        "2.0 MB of data": large,
        "[1, 2, 3]": [1, 2, 3],
        "[0, 1, 2, 3, 4, 5, 6, 7, …]": [*range(100)],
        "{a: 1}": {"a": 1},
        "{dtype: x, shape: [1], data: 5}": {"dtype": "x", "shape": [1], "data": 5},  # somebody's own record class
        "{data: 61, size: 7, file: f, more: 1}": {"data": b"a", "size": 7, "file": "f", "more": 1},
    }.items():
        assert text_of(text) == value
    assert json_of([float("nan"), float("inf"), b"\x01", datetime(2026, 1, 1, tzinfo=UTC)]) == [
        *(None, "inf", "01", "2026-01-01T00:00:00+00:00")
    ]


def test_an_instant_of_the_data_is_shown_as_a_command_takes_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Where it is read it may be another hour; of what orcapod did, the hour there is the one that is meant."""
    instant = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    output = Output(is_json=False)
    output.data([{"at": instant}])
    output.table([{"started": instant}])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].strip() == "2026-03-29 01:30:00+00:00"
    assert lines[3].strip() == f"{instant.astimezone():%Y-%m-%d %H:%M:%S}"
    typed = tag_values([f"at={lines[1].strip()}"], [Schema({"at": AwareDatetime})], "--tag")
    assert typed == {"at": (instant,)}


def test_counts_are_told_from_years_and_names(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(is_json=False)
    output.data([{"year": 2026, "subject": 10_001, "pair": [1440, 2026]}])
    output.table([{"rows": 1440}])
    output.facts({"records": 12_345})
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == ["2026", "10001", "[1440,", "2026]"]
    assert (lines[3], lines[4]) == (["1,440"], ["records", "12,345"])


@pytest.mark.parametrize("columns", [80, 100])
def test_on_a_terminal_long_cells_are_cut_and_names_are_whole(
    columns: int, all_shown: Callable[[int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = pty.openpty()
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        Output(is_json=False).table([{"run": "01a21a24-769f", "note": "word " * 30, "n": 1, "more": "日本" * 30}])
        monkeypatch.undo()
    lines = all_shown(ours).splitlines()
    assert width_of(lines[1]) <= columns
    assert lines[1].startswith("01a21a24-769f ")
    assert lines[1].count("…") == 2


def test_a_long_line_is_cut_and_says_how_to_see_all(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(is_json=False)
    output.line("word " * 10_000)
    output.lines("short\n" + "word " * 10_000)
    output.lines("word " * 10_000, whole=True)
    first, short, second, whole = capsys.readouterr().out.splitlines()
    assert (first, short) == (second, "short")
    assert len(first) < 2100
    assert first.endswith("word word  (cut: --json gives all 50,000 characters)")
    assert whole == "word " * 10_000


def test_of_many_rows_a_person_is_shown_a_thousand_and_told_of_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    Output(is_json=False).table([{"i": i} for i in range(1234)])
    lines = capsys.readouterr().out.splitlines()
    assert (len(lines), lines[-1]) == (1002, "and 234 more, which --json gives")
