"""Errors say what they speak of, to people and to programs, also after a journey between processes."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

import orcapod as op
from orcapod import errors
from orcapod.databases import MemoryDatabase
from orcapod.errors import ConfigError, DatabaseError, LabelError, OrcapodError, PluginError, RecordTooLargeError
from orcapod.sources import ArrowTableSource, DictSource, StoredSource

EVERY = [getattr(errors, name) for name in errors.__all__]
ABOUT = {"column": "x", "row": 3, "expected": "int", "found": "'a'", "node": "f", "source_id": "s"}


@pytest.mark.parametrize("kind", EVERY)
def test_every_error_carries_what_it_speaks_of_and_keeps_it_when_copied(kind: type[OrcapodError]) -> None:
    about = {"column": "x"} if kind is RecordTooLargeError else ABOUT
    error = kind("column 'x' is odd", **about)  # type: ignore[arg-type]
    for each in (error, copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(each) is kind
        assert str(each) == "column 'x' is odd"
        assert {name: getattr(each, name) for name in about} == about


@pytest.mark.parametrize("kind", EVERY)
def test_what_an_error_does_not_speak_of_is_none(kind: type[OrcapodError]) -> None:
    error = kind("odd")
    assert [getattr(error, name) or None for name in ABOUT] == [None] * len(ABOUT)


def test_names_and_options_without_meaning_are_configuration_errors_and_labels_are_keys() -> None:
    assert issubclass(PluginError, ConfigError)
    assert issubclass(PluginError, LookupError)
    assert issubclass(errors.UnknownOptionError, ConfigError)
    assert issubclass(errors.UnknownOptionError, errors.ExecutionError)
    assert issubclass(LabelError, KeyError)
    assert issubclass(LabelError, AttributeError)


def rows(*values: Any, name: str = "x", **options: Any) -> DictSource:
    return DictSource([{"i": i, name: x} for i, x in enumerate(values)], ["i"], source_id="s", **options)


@op.function_pod("y")
def f(x: int) -> int:
    return "no number"  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("fails", "about"),
    [
        (
            lambda: rows(1, 2, "a", data_schema={"x": int}),
            {"source_id": "s", "column": "x", "row": 2, "expected": "int", "found": "'a' of type str"},
        ),
        (lambda: rows(1, "a"), {"source_id": "s", "column": "x", "row": 1}),
        (lambda: rows(1, name="_x"), {"source_id": "s", "column": "_x"}),
        (lambda: rows(1, 1, record_id_column="x"), {"source_id": "s", "column": "x", "row": 1, "found": "1"}),
        (lambda: rows(1, record_id_column="q"), {"source_id": "s", "column": "q"}),
        (lambda: DictSource([{"i": 1}, 3], ["i"]), {"row": 1, "expected": "dict", "found": "int"}),  # type: ignore[list-item]
        (
            lambda: ArrowTableSource(pa.table({"x": ["a"]}), [], source_id="s", data_schema={"x": int}),
            {"source_id": "s", "column": "x", "expected": "int", "found": "string"},
        ),
        (lambda: ArrowTableSource(pa.table({"x": [1]}), ["q"], source_id="s"), {"source_id": "s", "column": "q"}),
        (lambda: StoredSource.open(MemoryDatabase(), "gone"), {"source_id": "gone", "found": "[]"}),
        (lambda: f.pod(rows(1, name="q")), {"node": "f", "column": "x", "expected": "int", "found": "['q']"}),
        (lambda: f.pod(rows("a")), {"node": "f", "column": "x", "expected": "int", "found": "str"}),
        (
            lambda: f.pod(rows(1)).as_table(),
            {"node": "f", "column": "y", "expected": "int", "found": "'no number' of type str"},
        ),
        (lambda: rows(1).select_packet_columns(["q"]), {"column": "q", "found": "['x']"}),
        (lambda: rows(1).map_packets({"x": "i"}), {"column": "x", "found": "'i'"}),
        (lambda: rows(1).join(rows(2)), {"column": "x"}),
        (lambda: rows(1).concat(rows("a")), {"expected": "int", "found": "str"}),
        (lambda: rows(1).filter(q=1), {"column": "q"}),
        (lambda: rows(1).filter(x="a"), {"column": "x", "expected": "int"}),
        (lambda: rows(1).explode("x"), {"column": "x", "expected": "list", "found": "int"}),
        (lambda: rows(1).group_by("q"), {"column": "q", "found": "['i']"}),
        (lambda: stored(pa.int64(), pa.string()), {"column": "x", "expected": "int64", "found": "string"}),
    ],
)
def test_an_error_of_the_library_says_where_and_what_as_attributes(
    fails: Callable[[], object], about: dict[str, Any]
) -> None:
    with pytest.raises(OrcapodError) as raised:
        fails()
    assert {name: getattr(raised.value, name) for name in about} == about


def stored(*types: pa.DataType) -> None:
    database = MemoryDatabase()
    for number, kind in enumerate(types):
        table = pa.table({"key": pa.array([str(number)]), "x": pa.nulls(1, kind)})
        database.add_records(("there",), table)


def test_a_record_that_is_too_large_says_how_large_it_is_and_how_large_it_may_be() -> None:
    error = RecordTooLargeError.of(("lab", "p"), "a", 1_100_000_000, 1_000_000_000, "an SQLite store")
    for each in (error, pickle.loads(pickle.dumps(error))):
        assert (each.path, each.column, each.size, each.limit) == (("lab", "p"), "a", 1_100_000_000, 1_000_000_000)
        assert each.store == "an SQLite store"
        assert str(each).startswith("lab/p: column 'a' makes a record of 1.1 GB, an SQLite store takes 1.0 GB; ")
        with pytest.raises(DatabaseError):
            raise each
