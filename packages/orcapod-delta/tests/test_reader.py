"""Whatever its files call its columns, and whatever was deleted: what is read is what the table holds."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from orcapod.errors import DatabaseError, InputValidationError
from orcapod_delta import DeltaDatabase, DeltaTableSource

_MAPPED = {"delta.minReaderVersion": "2", "delta.minWriterVersion": "5"}
_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def _actions(table: Path, kind: str) -> list[dict[str, Any]]:
    """Return the newest actions of a kind that the log of a table has."""
    logs = sorted((table / "_delta_log").glob("*.json"))
    found = [[json.loads(line)[kind] for line in log.read_text().splitlines() if f'{{"{kind}"' in line] for log in logs]
    return next(actions for actions in reversed(found) if actions)


def _commit(table: Path, *actions: Mapping[str, Any]) -> None:
    """Commit as another engine would."""
    log = table / "_delta_log" / f"{DeltaTable(table).version() + 1:020}.json"
    log.write_text("\n".join(json.dumps(action) for action in actions))


def _change_schema(
    table: Path,
    change: Callable[[list[dict[str, Any]]], object],
    partitions: Sequence[str] = (),
    **configuration: str,
) -> None:
    """Commit other columns, as renaming and dropping do where columns are mapped."""
    (metadata,) = _actions(table, "metaData")
    schema = json.loads(metadata["schemaString"])
    change(schema["fields"])
    metadata["schemaString"] = json.dumps(schema)
    metadata["partitionColumns"] = list(partitions)
    metadata["configuration"].update({f"delta.{name}": value for name, value in configuration.items()})
    _commit(table, {"metaData": metadata})


def _delete(table: Path, path: str, rows: Sequence[int]) -> None:
    """Commit that rows of a file are deleted, by a deletion vector within the log."""
    values = struct.pack(f"<{len(rows)}H", *rows)
    bitmap = struct.pack("<IIHHI", 12346, 1, 0, len(rows) - 1, 16) + values
    vector = struct.pack("<IQI", 1681511377, 1, 0) + bitmap
    padded = vector + b"\0" * (-len(vector) % 4)
    text = ""
    for word in struct.unpack(f">{len(padded) // 4}I", padded):
        text += "".join(_Z85[word // 85**power % 85] for power in (4, 3, 2, 1, 0))
    described = {"storageType": "i", "pathOrInlineDv": text, "sizeInBytes": len(vector), "cardinality": len(rows)}
    (add,) = (add for add in _actions(table, "add") if add["path"] == path)
    features = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
    _commit(
        table,
        {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **features}},
        {"remove": {"path": path, "deletionTimestamp": 1, "dataChange": True}},
        {"add": {**add, "deletionVector": described}},
    )


def _rows(table: Path, **options: Any) -> list[dict[str, Any]]:
    return DeltaTableSource(table, ["id"], **options).as_table().sort_by("id").to_pylist()


@pytest.mark.parametrize("mode", ["name", "id"])
def test_mapped_columns_have_their_values(mode: str, tmp_path: Path) -> None:
    rows = pa.table({"id": ["a", "b"], "dose mg": [1.5, None]})
    write_deltalake(tmp_path, rows, configuration={"delta.columnMapping.mode": mode, **_MAPPED})
    write_deltalake(tmp_path, pa.table({"id": ["c"], "dose mg": [2.5]}), mode="append")
    assert _rows(tmp_path) == [*rows.to_pylist(), {"id": "c", "dose mg": 2.5}]
    assert _rows(tmp_path, version=0) == rows.to_pylist()
    assert _rows(tmp_path, columns=["id"]) == [*rows.select(["id"]).to_pylist(), {"id": "c"}]


def test_so_have_nested_and_partition_columns(tmp_path: Path) -> None:
    entry = pa.struct([("b c", pa.int64()), ("d", pa.list_(pa.struct([("e f", pa.string())])))])
    deep = [{"b c": 1, "d": [{"e f": "x"}, None]}, None, {"b c": None, "d": None}]
    rows = pa.table(
        {
            "id": ["a", "b", "c"],
            "a b": pa.array(deep, entry),
            "many": pa.array([[deep[0]], [], None], pa.list_(entry)),
            "by name": pa.array([[("k", deep[0])], None, []], pa.map_(pa.string(), entry)),
            "group": ["u v", "%/é", None],
        }
    )
    options = {"delta.columnMapping.mode": "name", **_MAPPED}
    write_deltalake(tmp_path, rows, partition_by=["group"], configuration=options)
    found = DeltaTableSource(tmp_path, ["id"], columns=["id", "a b", "many", "group"]).as_table().sort_by("id")
    assert found.to_pylist() == rows.drop_columns(["by name"]).to_pylist()
    maps = DeltaTableSource(tmp_path, ["id"], columns=["id", "by name"]).as_table().sort_by("id")
    assert maps["by name"].to_pylist() == rows["by name"].to_pylist()


def test_columns_that_were_renamed_and_dropped(tmp_path: Path) -> None:
    """Their files were not written anew; the versions before still have them."""
    rows = pa.table({"id": ["a"], "x": [1], "y": [2], "g": ["u"], "s": [{"m": 1, "n": 2}]})
    options = {"delta.columnMapping.mode": "name", **_MAPPED}
    write_deltalake(tmp_path, rows, partition_by=["g"], configuration=options)

    def rename_x_and_g_and_m_and_drop_y(fields: list[dict[str, Any]]) -> None:
        by_name = {field["name"]: field for field in fields}
        by_name["x"]["name"] = "y"
        by_name["g"]["name"] = "group"
        by_name["s"]["type"]["fields"][0]["name"] = "first"
        fields.remove(by_name["y"])

    _change_schema(tmp_path, rename_x_and_g_and_m_and_drop_y, partitions=["group"])
    assert _rows(tmp_path) == [{"id": "a", "y": 1, "group": "u", "s": {"first": 1, "n": 2}}]
    assert _rows(tmp_path, version=0) == rows.to_pylist()


def test_a_column_that_came_later_is_null_before(tmp_path: Path) -> None:
    """Members of structs too."""
    write_deltalake(tmp_path, pa.table({"id": ["a"], "s": [{"m": 1}]}))
    both = pa.table({"id": ["b"], "s": [{"m": 2, "n": 3}], "x": [4]})
    write_deltalake(tmp_path, both, mode="append", schema_mode="merge")
    expected = [{"id": "a", "s": {"m": 1, "n": None}, "x": None}, {"id": "b", "s": {"m": 2, "n": 3}, "x": 4}]
    assert _rows(tmp_path) == expected
    assert _rows(tmp_path, columns=["id", "x"])[0] == {"id": "a", "x": None}


def test_files_without_the_numbers_that_the_mapping_goes_by_are_refused(tmp_path: Path) -> None:
    write_deltalake(tmp_path, pa.table({"id": ["a"]}), configuration={"delta.columnMapping.mode": "id", **_MAPPED})
    (add,) = _actions(tmp_path, "add")
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / add["path"])
    with pytest.raises(InputValidationError, match=r"columns have numbers, found one with id.*write the table anew"):
        DeltaTableSource(tmp_path, ["id"])


def test_files_from_before_a_column_got_a_wider_type_are_read(tmp_path: Path) -> None:
    narrow = pa.table({"id": ["a"], "n": pa.array([7], pa.int8()), "s": pa.array([[1.5]], pa.list_(pa.float32()))})
    write_deltalake(tmp_path, narrow)

    def widen(fields: list[dict[str, Any]]) -> None:
        fields[1]["type"], fields[2]["type"]["elementType"] = "long", "double"

    features = {"readerFeatures": ["typeWidening"], "writerFeatures": ["typeWidening"]}
    _commit(tmp_path, {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **features}})
    _change_schema(tmp_path, widen)
    assert _rows(tmp_path) == [{"id": "a", "n": 7, "s": [1.5]}]


def test_deleted_rows_are_gone(tmp_path: Path) -> None:
    rows = pa.table({"id": list("abcde"), "x": range(5), "group": ["u", "v %", "v %", "v %", "v %"]})
    write_deltalake(tmp_path / "a table", rows, partition_by=["group"])
    (path,) = (add["path"] for add in _actions(tmp_path / "a table", "add") if add["partitionValues"]["group"] != "u")
    _delete(tmp_path / "a table", path, [0, 2])
    found = DeltaTableSource(tmp_path / "a table", ["id"], columns=["id", "group"]).as_table()
    assert found.sort_by("id").to_pydict() == {"id": ["a", "c", "e"], "group": ["u", "v %", "v %"]}
    assert DeltaTableSource(tmp_path / "a table", ["group"], columns=["group"]).as_table().num_rows == 3
    assert len(_rows(tmp_path / "a table", version=0)) == 5


def test_values_of_partitions_have_their_types(tmp_path: Path) -> None:
    rows = pa.table(
        {
            "id": ["a", "b"],
            "day": [date(2024, 2, 29), None],
            "at": pa.array([datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=UTC), None], pa.timestamp("us", "UTC")),
            "n": [7, None],
            "is_new": [True, None],
        }
    )
    for name in rows.column_names[1:]:
        write_deltalake(tmp_path / name, rows.select(["id", name]), partition_by=[name])
        assert _rows(tmp_path / name) == rows.select(["id", name]).to_pylist()
    prices = pa.array([Decimal("1.50"), None], pa.decimal128(9, 2))
    write_deltalake(tmp_path / "price", pa.table({"id": ["a", "b"], "price": prices}), partition_by=["price"])
    assert [row["price"] for row in _rows(tmp_path / "price")] == ["1.50", None]


def test_what_the_reader_cannot_do_is_refused_by_name(tmp_path: Path) -> None:
    write_deltalake(tmp_path, pa.table({"id": ["a"]}))
    features = {"readerFeatures": ["variantType"], "writerFeatures": ["variantType"]}
    _commit(tmp_path, {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **features}})
    with pytest.raises(InputValidationError, match="variantType"):
        DeltaTableSource(tmp_path, ["id"])


def test_old_timestamps_of_other_engines_are_read_whole(tmp_path: Path) -> None:
    """Spark writes 96 bits, which reach further than 64 bits of nanoseconds."""
    at = pa.array([datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    rows = pa.table({"id": ["a", "b"], "at": at})
    write_deltalake(tmp_path, rows)
    (add,) = _actions(tmp_path, "add")
    pq.write_table(rows, tmp_path / add["path"], use_deprecated_int96_timestamps=True, store_schema=False)
    add["size"] = (tmp_path / add["path"]).stat().st_size
    _commit(tmp_path, {"add": add})
    assert _rows(tmp_path) == rows.to_pylist()


def test_a_store_reads_what_another_engine_made_of_its_tables(tmp_path: Path) -> None:
    """It mapped the columns, renamed one and deleted rows: every record that is left has its values."""
    with DeltaDatabase(tmp_path) as database:
        database.add_records(("p",), pa.table({"key": ["a", "b", "c"], "x": [1, 2, 3]}))
    table = tmp_path / "p.delta"
    (protocol,) = _actions(table, "protocol")
    _commit(table, {"protocol": {**protocol, "minReaderVersion": 2, "minWriterVersion": 5}})

    def map_and_rename(fields: list[dict[str, Any]]) -> None:
        for at, field in enumerate(fields, 1):
            field["metadata"]["delta.columnMapping.id"] = at
            field["metadata"]["delta.columnMapping.physicalName"] = field["name"]
        fields[2]["name"] = "renamed"

    _change_schema(table, map_and_rename, **{"columnMapping.mode": "name", "columnMapping.maxColumnId": "3"})
    with DeltaDatabase(tmp_path) as database:
        assert database.get_records(("p",)).to_pydict() == {"key": ["a", "b", "c"], "x": [1, 2, 3]}
        assert database.add_records(("p",), pa.table({"key": ["c", "d"], "x": [0, 4]})) == 1
        database.flush()
        assert database.get_records_by_ids(("p",), ["d"]).to_pydict() == {"key": ["d"], "x": [4]}
        assert database.get_records(("p",))["x"].to_pylist() == [1, 2, 3, 4]


def test_a_store_sees_what_another_engine_deleted(tmp_path: Path) -> None:
    with DeltaDatabase(tmp_path) as database:
        database.add_records(("p",), pa.table({"key": ["a", "b", "c"], "x": [1, 2, 3]}))
        database.flush()
        assert database.get_records(("p",)).num_rows == 3
        (add,) = _actions(tmp_path / "p.delta", "add")
        _delete(tmp_path / "p.delta", add["path"], [1])
        assert database.get_records(("p",)).to_pydict() == {"key": ["a", "c"], "x": [1, 3]}
        assert database.get_records_by_ids(("p",), ["b", "c"])["x"].to_pylist() == [3]
        assert database.add_records(("p",), pa.table({"key": ["b", "c"], "x": [5, 6]})) == 1
        assert database.delete_records(("p",), ["a"]) == 1
        assert database.get_records(("p",)).to_pydict() == {"key": ["c", "b"], "x": [3, 5]}


def test_files_without_statistics_have_their_rows(tmp_path: Path) -> None:
    """Other engines may write the files of a store anew, and keep none."""
    with DeltaDatabase(tmp_path) as database:
        database.add_records(("p",), pa.table({"key": ["a", "b"]}))
    (add,) = _actions(tmp_path / "p.delta", "add")
    del add["stats"]
    _commit(tmp_path / "p.delta", {"add": add})
    with DeltaDatabase(tmp_path) as database:
        assert database.add_records(("p",), pa.table({"key": ["b", "c"]})) == 1
        database.flush()
        assert database.get_records(("p",))["key"].to_pylist() == ["a", "b", "c"]


def test_a_store_refuses_a_table_that_it_cannot_read(tmp_path: Path) -> None:
    with DeltaDatabase(tmp_path) as database:
        database.add_records(("p",), pa.table({"key": ["a"]}))
    features = {"readerFeatures": ["variantType"], "writerFeatures": ["variantType"]}
    _commit(tmp_path / "p.delta", {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **features}})
    with DeltaDatabase(tmp_path) as database, pytest.raises(DatabaseError, match="variantType"):
        database.get_records(("p",))
