"""Every wrong argument is refused in our own words, or accepted; nothing hangs, crashes or raises a bare error."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pytest

from orcapod.testing import argument_faults
from orcapod_delta import DeltaDatabase, DeltaTableSource

RECORDS = pa.table({"k": ["2"], "v": [1]})


def right(value: object) -> Callable[[], object]:
    return lambda: value


@cache
def database() -> DeltaDatabase:
    return DeltaDatabase("filled")


def method(name: str) -> Callable[..., object]:
    return lambda **given: getattr(database(), name)(**given)


def read(**given: Any) -> object:
    return DeltaTableSource(**given).as_table()


DOORS: dict[str, tuple[Callable[..., object], dict[str, object]]] = {
    "DeltaDatabase": (DeltaDatabase, {"path_or_url": "a", "storage_options": None, "buffer_bytes": 1}),
    "DeltaDatabase.from_url": (DeltaDatabase.from_url, {"url": "delta:///a"}),
    "DeltaDatabase.from_config": (DeltaDatabase.from_config, {"config": {"path": "a"}}),
    "configuration": (
        lambda **config: DeltaDatabase.from_config(config),
        {"path": "a", "prefix": [], "storage_options": None, "buffer_bytes": 1},
    ),
    "add_records": (method("add_records"), {"path": ("a",), "table": RECORDS, "on_conflict": "skip"}),
    "get_records": (method("get_records"), {"path": ("a",), "columns": None, "where": None}),
    "get_records_by_ids": (method("get_records_by_ids"), {"path": ("a",), "ids": ["2"], "columns": None}),
    "delete_records": (method("delete_records"), {"path": ("a",), "ids": ["1"]}),
    "at": (lambda prefix: database().at(prefix), {"prefix": "a"}),
    "DeltaTableSource": (
        read,
        {
            "path": "table",
            "tag_columns": ["k"],
            "version": None,
            "columns": None,
            "storage_options": None,
            "source_id": None,
            "record_id_column": None,
            "data_schema": None,
            "bad_rows": "raise",
            "label": None,
        },
    ),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    database.cache_clear()
    deltalake.write_deltalake("table", pa.table({"k": [1], "x": [2]}))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", DOORS)
def test_a_wrong_argument_is_refused_in_our_words(name: str) -> None:
    call, arguments = DOORS[name]
    given = {each: right(value) for each, value in arguments.items()}
    call(**{each: make() for each, make in given.items()})
    assert list(argument_faults(call, given)) == []


@pytest.mark.parametrize("older_than", [None, 5, "x", float("nan")])
def test_the_age_of_what_is_removed_is_a_timedelta(older_than: Any) -> None:
    with pytest.raises(ValueError, match="found older_than .*expected a timedelta; give one, as in"):
        database().vacuum(older_than)


@pytest.mark.parametrize("older_than", [timedelta(days=-1), timedelta.max])
def test_the_age_of_what_is_removed_is_one_that_there_is(older_than: timedelta) -> None:
    with pytest.raises(ValueError, match="found older_than .*expected an amount of time, at most 1,000 years"):
        database().vacuum(older_than)
