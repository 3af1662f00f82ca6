"""What is damaged in a Delta store is named with table and column, as an error of the store, or a warning."""

from __future__ import annotations

import base64
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

import orcapod as op
from orcapod.errors import DamagedRecordError, DatabaseError
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
    why = rf"{file.name}: column 'v' of 1 records, the first of which is 'two', is damaged: "
    with DeltaDatabase(folder.parent) as database, pytest.raises(DamagedRecordError, match=why) as raised:
        database.get_records(PATH)
    assert str(folder) in str(raised.value)
    assert (raised.value.column, raised.value.keys) == ("v", ("two",))


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"\xff" * 1000])
@pytest.mark.parametrize("read", ["all", "by key"])
def test_a_damaged_file_is_named(folder: Path, damage: bytes, read: str) -> None:
    (file,) = folder.glob("*.parquet")
    file.write_bytes(damage)
    with DeltaDatabase(folder.parent) as database, pytest.raises(DatabaseError) as raised:
        READERS[read](database)
    assert str(folder) in str(raised.value)


def damage_column(file: Path, group: int, column: str) -> None:
    """Make the values of one column of one group of rows unreadable."""
    metadata = pq.ParquetFile(file).metadata
    index = metadata.schema.names.index(column)
    content = bytearray(file.read_bytes())
    chunk = metadata.row_group(group).column(index)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content[start : start + 20] = b"\xff" * 20
    file.write_bytes(content)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of a table of 3,000 rows, in three groups."""
    with DeltaDatabase(tmp_path) as database:
        keys = [f"k{number:04}" for number in range(3000)]
        database.add_records(PATH, pa.table({"k": keys, "v": range(3000), "w": range(3000)}))
    (made,) = tmp_path.glob("lab*/*.parquet")
    size = made.stat().st_size
    pq.write_table(pq.read_table(made), made, row_group_size=1000)
    log = first_commit(made.parent)
    log.write_text(log.read_text().replace(f'"size":{size}', f'"size":{made.stat().st_size}'))
    return made


def test_a_damaged_column_is_named_with_file_and_keys(file: Path, tmp_path: Path) -> None:
    damage_column(file, 1, "v")
    with DeltaDatabase(tmp_path) as database:
        assert database.get_records(PATH, ["w"]).num_rows == 3000
        assert database.get_records_by_ids(PATH, ["k0001", "k2000"]).num_rows == 2
        with pytest.raises(DamagedRecordError, match=r"lab.*column 'v' of 2 records, .*k1000") as raised:
            database.get_records_by_ids(PATH, ["k0001", "k1000", "k1999", "k2000"])
        assert (raised.value.column, raised.value.keys) == ("v", ("k1000", "k1999"))
        assert raised.value.file == file.name
        with pytest.raises(DamagedRecordError) as raised:
            database.get_records(PATH)
        assert len(raised.value.keys) == 1000


def test_rows_that_cannot_be_read_are_moved_aside_as_far_as_they_can(file: Path, tmp_path: Path) -> None:
    damage_column(file, 1, "v")
    with DeltaDatabase(tmp_path) as database:
        report = op.verify_store(database, repair=True)
        assert {(finding.kind, finding.column) for finding in report.damages} == {("unreadable", "v")}
        assert sorted(str(finding.key) for finding in report.damages) == [f"k{number}" for number in range(1000, 2000)]
        assert (report.records, report.moved) == (2000, 1000)
        assert database.get_records(PATH).num_rows == 2000
        (first, *_) = database.get_records(("_damaged",), ["__record"])["__record"].to_pylist()
        assert pa.ipc.open_stream(first).read_all().to_pylist() == [{"k": "k1000", "w": 1000}]
        assert op.verify_store(database).ok


def test_the_order_of_rows_that_cannot_be_read_is_found(file: Path, tmp_path: Path) -> None:
    damage_column(file, 0, "_row")
    with DeltaDatabase(tmp_path) as database:
        (finding,) = op.verify_store(database).damages
        assert finding.path == PATH
        assert "column '_row' of 1000 records" in finding.why


def test_a_footer_that_is_no_text_is_named(file: Path, tmp_path: Path) -> None:
    content = file.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    file.write_bytes(content[:footer] + content[footer:].replace(b"_row", b"\xef\xffow"))
    with DeltaDatabase(tmp_path) as database, pytest.raises(DatabaseError, match=re.escape(file.name)):
        database.get_records(PATH)


def test_a_file_of_other_rows_than_its_log_says_is_named(file: Path, tmp_path: Path) -> None:
    log = first_commit(file.parent)
    log.write_text(log.read_text().replace('\\"numRecords\\":3000', '\\"numRecords\\":2000'))
    with DeltaDatabase(tmp_path) as database:
        (finding,) = op.verify_store(database).damages
        assert f"the file {file.name}: found 3000 rows, expected 2000" in finding.why


def test_a_type_that_is_written_otherwise_is_kept_as_it_is(folder: Path) -> None:
    """By damage that changes nothing that is read, or by another version of pyarrow."""
    actions = [json.loads(line) for line in first_commit(folder).read_text().splitlines()]
    (metadata,) = (action["metaData"] for action in actions if "metaData" in action)
    schema = json.loads(metadata["schemaString"])
    (field,) = (each for each in schema["fields"] if each["name"] == "nested")
    written = pa.schema([pa.field("another name", pa.list_(pa.string()))]).serialize().to_pybytes()
    field["metadata"]["orcapod.type"] = base64.b64encode(written).decode()
    metadata["schemaString"] = json.dumps(schema)
    first_commit(folder).write_text("".join(json.dumps(action) + "\n" for action in actions))
    with DeltaDatabase(folder.parent) as database:
        assert database.add_records(PATH, TABLE.set_column(0, "k", pa.array(["three", "four"]))) == 2
    with DeltaDatabase(folder.parent) as database:
        assert database.get_records(PATH)["nested"].to_pylist() == [["a"], ["b"], ["a"], ["b"]]


@pytest.mark.parametrize("key", ["orcapod.type", "orcapod.name"])
def test_a_column_whose_metadata_are_damaged_is_told_from_one_that_another_tool_added(folder: Path, key: str) -> None:
    text = first_commit(folder).read_text()
    at = text.index(key, text.index("nested"))
    first_commit(folder).write_text(text[:at] + "X" + text[at + 1 :])
    with DeltaDatabase(folder.parent) as database:
        with pytest.raises(DamagedRecordError, match="column 'nested': what the log tells of it is damaged"):
            database.get_records(PATH)
        assert not op.verify_store(database, repair=True).ok
        assert op.verify_store(database).ok
        assert database.add_records(PATH, TABLE) == 2
