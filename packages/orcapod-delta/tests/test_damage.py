"""What is damaged in a Delta store is named with table and column, as an error of the store, or a warning."""

from __future__ import annotations

import json
import os
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orcapod.errors import DatabaseError
from orcapod_delta import DeltaDatabase

PATH = ("lab",)
TABLE = pa.table({"k": ["one", "two"], "nested": [["a"], ["b"]], "v": pa.array([1, 2], pa.uint64())})
READERS: dict[str, Callable[[DeltaDatabase], object]] = {
    "all": lambda database: database.get_records(PATH),
    "by key": lambda database: database.get_records_by_ids(PATH, ["two"]),
    "paths": lambda database: database.list_paths(),
    "written to": lambda database: database.add_records(PATH, TABLE),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with DeltaDatabase(tmp_path) as database:
        database.add_records(PATH, TABLE)
    (made,) = tmp_path.glob("lab*")
    return made


def first_commit(folder: Path) -> Path:
    return folder / "_delta_log" / f"{0:020}.json"


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("text", ["garbage", "{}", "\0" * 100, '{"add": 5}'])
def test_a_damaged_log_is_named_in_a_line(folder: Path, text: str, read: str) -> None:
    first_commit(folder).write_text(text)
    with DeltaDatabase(folder.parent) as database, pytest.raises(DatabaseError) as raised:
        READERS[read](database)
    assert str(folder) in str(raised.value)
    assert len(str(raised.value).splitlines()) <= 2
    assert not raised.value.is_transient, "no time mends it"


@pytest.mark.parametrize(
    "lost", [shutil.rmtree, lambda log: first_commit(log.parent).unlink()], ids=["log", "version 0"]
)
def test_a_lost_log_is_told(folder: Path, lost: Callable[[Path], None]) -> None:
    lost(folder / "_delta_log")
    for file in folder.glob("*.parquet"):
        os.utime(file, (1, 1))
    with DeltaDatabase(folder.parent) as database:
        with pytest.warns(UserWarning, match=re.escape(f"{folder}: found 1 files of records and no log")):
            assert database.get_records(PATH).num_rows == 0
        with warnings.catch_warnings(action="error"):  # once is enough
            database.get_records(PATH)


def test_files_of_a_first_commit_that_is_being_made_are_no_loss(folder: Path) -> None:
    shutil.rmtree(folder / "_delta_log")
    with DeltaDatabase(folder.parent) as database:
        assert database.get_records(PATH).num_rows == 0


@pytest.mark.parametrize("text", ["=", "////", "QUJD", ""])
def test_a_damaged_type_in_the_log_is_named(folder: Path, text: str) -> None:
    actions = [json.loads(line) for line in first_commit(folder).read_text().splitlines()]
    (metadata,) = (action["metaData"] for action in actions if "metaData" in action)
    schema = json.loads(metadata["schemaString"])
    (field,) = (each for each in schema["fields"] if each["name"] == "nested")
    field["metadata"]["orcapod.type"] = text
    metadata["schemaString"] = json.dumps(schema)
    first_commit(folder).write_text("".join(json.dumps(action) + "\n" for action in actions))
    why = "column 'nested'"
    with DeltaDatabase(folder.parent) as database, pytest.raises(DatabaseError, match=why) as raised:
        database.get_records(PATH)
    assert str(folder) in str(raised.value)


def test_a_damaged_value_is_named(folder: Path) -> None:
    """A value that Delta has no type for is stored in another, of which not every value is one."""
    (file,) = folder.glob("*.parquet")
    table = pq.read_table(file)
    at = table.schema.get_field_index("v")
    odd = pa.chunked_array([pa.array([None, -1]).cast(table.schema.field(at).type)])
    pq.write_table(table.set_column(at, table.schema.field(at), odd), file)
    why = "column 'v' is damaged: "
    with DeltaDatabase(folder.parent) as database, pytest.raises(DatabaseError, match=why) as raised:
        database.get_records(PATH)
    assert str(folder) in str(raised.value)


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"\xff" * 1000])
@pytest.mark.parametrize("read", ["all", "by key"])
def test_a_damaged_file_is_named(folder: Path, damage: bytes, read: str) -> None:
    (file,) = folder.glob("*.parquet")
    file.write_bytes(damage)
    with DeltaDatabase(folder.parent) as database, pytest.raises(DatabaseError) as raised:
        READERS[read](database)
    assert str(folder) in str(raised.value)
