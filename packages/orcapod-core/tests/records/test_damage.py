"""What is damaged in a record that was stored as text is named with path, column and key."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import orcapod as op
from orcapod.databases import SQLiteDatabase
from orcapod.errors import DatabaseError
from orcapod.records import RunLedger
from orcapod.sources import DictSource


def plus(x: int) -> int:
    return x + 1


POD = op.function_pod("y")(plus).pod


def cached(database: SQLiteDatabase) -> object:
    return DictSource([{"k": 1, "x": 1}], ["k"], source_id="s").cached(database)


READERS: dict[str, tuple[str, Callable[[SQLiteDatabase], object]]] = {
    "__parts": ("_code", lambda database: op.code_of(str(POD.packet_function.fingerprint()), database)),
    "__uses": ("_code", lambda database: op.code_of(str(POD.packet_function.fingerprint()), database)),
    "__nodes": ("p/_runs", lambda database: RunLedger(database.at("p")).last_counts("plus")),
    "__tags": ("_sources", cached),
    "__types": ("_sources", cached),
}


@pytest.mark.parametrize("text", ["", "{", "5", '"text"', "[[[1]]]", "[" * 50_000])
@pytest.mark.parametrize("column", READERS)
def test_a_damaged_text_is_named_or_means_nothing_else(tmp_path: Path, column: str, text: str) -> None:
    file = tmp_path / "lab.db"
    table, read = READERS[column]
    with SQLiteDatabase(file) as database:
        pipeline = op.Pipeline("p", database)
        with pipeline:
            POD(DictSource([{"k": 1, "x": 1}], ["k"], source_id="s").cached(database))
        pipeline.run(progress=False)
    with closing(sqlite3.connect(file)) as connection, connection:
        assert connection.execute(f'UPDATE "{table}" SET {column} = ?', (text,)).rowcount
    connection.close()
    with SQLiteDatabase(file) as database:
        try:
            read(database)
        except DatabaseError as error:
            assert f"{table.removeprefix('p/')}: column {column!r} of the record " in str(error)  # noqa: PT017
        else:
            assert text in ('"text"', "[[[1]]]")  # texts of the right form, which are only not what was written
