"""Delta stores that somebody has prepared: nothing of them runs, no other file is touched, and all errors are told."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from orcapod import verify_store
from orcapod.errors import DatabaseError
from orcapod.protocols import Database
from orcapod.testing import HostileStoreSuite, hostile_bytes, hostile_schema, hostile_text
from orcapod_delta import DeltaDatabase

DEEP = "[" * 100_000 + "]" * 100_000
NUMBERS = [0, -1, 1, 10**9, 2**31, 2**53, 2**62, 2**63 - 1, -(2**63), 2**64, 0.5, None, "7", [], {}]
OUTSIDE = [
    "../victims/rows.parquet",
    "../../../../../../victims/diary",
    "%2e%2e/%2e%2e/victims/diary",
    "..%2fvictims%2fdiary",
    "/etc/passwd",
    "file:///etc/passwd",
    "http://127.0.0.1:9/rows.parquet",
    "s3://bucket/rows.parquet",
    "_delta_log/00000000000000000000.json",
    ".",
    "",
]


class TestDelta(HostileStoreSuite):
    mutants = 40

    def open(self, folder: Path) -> Database:
        return DeltaDatabase(folder / "store")

    def mutate(self, folder: Path, drawn: Random) -> str:
        mutation = drawn.choice(MUTATIONS)
        return (
            f"{mutation.__name__}: {[mutation(folder / 'store', drawn) for _ in range(drawn.choice([1, 1, 3]))]!s:.300}"
        )


def files(store: Path, pattern: str) -> list[Path]:
    return sorted(path for path in store.rglob(pattern) if path.is_file() and not path.is_symlink())


def changed_bytes(store: Path, drawn: Random) -> str:
    file = drawn.choice(files(store, "*"))
    content = bytearray(file.read_bytes())
    for _ in range(drawn.choice([1, 5, 50]) if content else 0):
        content[-1 - drawn.randrange(drawn.choice([min(20, len(content)), len(content)]))] = drawn.randrange(256)
    file.write_bytes(content)
    return file.name


def replaced_file(store: Path, drawn: Random) -> str:
    file = drawn.choice(files(store, "*"))
    file.write_bytes(hostile_bytes(drawn, file.read_bytes()))
    return file.name


def action(store: Path, drawn: Random) -> str:
    """Change an action of a log, or add one."""
    log = drawn.choice(files(store, "*.json"))
    actions: list[Any] = []
    for line in log.read_text(errors="replace").splitlines():
        try:
            actions.append(json.loads(line))
        except (ValueError, RecursionError):
            continue
    known = [each for each in actions if isinstance(each, dict) and {*each} & {*CHANGES}]
    if known and drawn.random() < 0.8:
        one = drawn.choice(known)
        kind = next(kind for kind in one if kind in CHANGES)
        said = f"{kind} {CHANGES[kind](one, drawn)}"
    else:
        actions.insert(drawn.randrange(len(actions) + 1), more := added_action(drawn))
        said = f"more {more}"
    log.write_text("".join(json.dumps(each) + "\n" for each in actions))
    return f"{log.name} {said:.200}"


def change_add(action: dict[str, Any], drawn: Random) -> str:
    add = action["add"] if isinstance(action["add"], dict) else {}
    name = drawn.choice(
        ["path", "path", "path", "size", "modificationTime", "stats", "deletionVector", "partitionValues"]
    )
    vector = {
        "storageType": drawn.choice(["u", "i", "p", "x"]),
        "pathOrInlineDv": drawn.choice(["", "0" * 20, "file:///etc/passwd", hostile_text(drawn)]),
        "offset": drawn.choice(NUMBERS),
        "sizeInBytes": drawn.choice(NUMBERS),
        "cardinality": drawn.choice(NUMBERS),
    }
    add[name] = {
        "path": drawn.choice([*OUTSIDE, hostile_text(drawn)]),
        "size": drawn.choice(NUMBERS),
        "modificationTime": drawn.choice(NUMBERS),
        "stats": drawn.choice([json.dumps({"numRecords": drawn.choice(NUMBERS)}), hostile_text(drawn), None]),
        "deletionVector": vector,
        "partitionValues": drawn.choice([{"x": "1"}, {"_row": "7"}, None, []]),
    }[name]
    action["add"] = add
    return f"{name} {add[name]!s:.100}"


def change_metadata(action: dict[str, Any], drawn: Random) -> str:
    metadata = action["metaData"] if isinstance(action["metaData"], dict) else {}
    name = drawn.choice(["schemaString", "schemaString", "schemaString", "configuration", "partitionColumns", "format"])
    configuration = {
        drawn.choice(
            [
                *(f"delta.{name}" for name in ("columnMapping.mode", "checkpointInterval", "logRetentionDuration")),
                *(f"delta.{name}" for name in ("appendOnly", "dataSkippingNumIndexedCols", "constraints.x")),
                "delta.deletedFileRetentionDuration",
            ]
        ): drawn.choice(["name", "id", "0", "-1", "99999999999", "interval 0 days", "1 = 1", hostile_text(drawn)])
    }  # fmt: skip
    metadata[name] = {
        "schemaString": changed_schema(metadata.get("schemaString"), drawn),
        "configuration": configuration,
        "partitionColumns": drawn.choice([["_row"], ["nothing"], None, 5]),
        "format": {"provider": hostile_text(drawn), "options": {}},
    }[name]
    action["metaData"] = metadata
    return f"{name} {metadata[name]!s:.100}"


def changed_schema(text: Any, drawn: Random) -> str:
    try:
        schema = json.loads(text)
        field = drawn.choice(schema["fields"])
    except (ValueError, TypeError, LookupError, RecursionError):
        return hostile_text(drawn)
    match drawn.randrange(6):
        case 0 | 1 | 2 if "orcapod.type" in field["metadata"]:
            found = base64.b64decode(field["metadata"]["orcapod.type"])
            field["metadata"]["orcapod.type"] = base64.b64encode(hostile_schema(drawn, found)).decode()
        case 3:
            field["metadata"][drawn.choice(["orcapod.type", "orcapod.name", "x"])] = hostile_text(drawn)
        case 4:
            inner: Any = "long"
            for _ in range(drawn.choice([1, 50, 100])):
                inner = {"type": "array", "elementType": inner, "containsNull": True}
            field["type"] = drawn.choice([inner, "decimal(99,9)", "variant", "void", "string", "long", "binary"])
        case _:
            field["name"] = drawn.choice(["", "_row", "x" * 10_000, hostile_text(drawn)])
    return json.dumps(schema)


def change_protocol(action: dict[str, Any], drawn: Random) -> str:
    name = drawn.choice(["minReaderVersion", "minWriterVersion", "readerFeatures", "writerFeatures"])
    features = [["deletionVectors"], ["columnMapping", "v2Checkpoint"], ["hostile"], "x"]
    action["protocol"] = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": [], "writerFeatures": []}
    action["protocol"][name] = drawn.choice(features if name.endswith("Features") else NUMBERS)
    return f"{name} {action['protocol'][name]}"


CHANGES: dict[str, Callable[[dict[str, Any], Random], str]] = {
    "add": change_add,
    "metaData": change_metadata,
    "protocol": change_protocol,
}


def added_action(drawn: Random) -> Any:
    path = drawn.choice(OUTSIDE)
    old = {"deletionTimestamp": 1, "dataChange": True, "extendedFileMetadata": True, "size": 10, "partitionValues": {}}
    return drawn.choice(
        [
            {"remove": {"path": path, **old}},
            {"remove": {"path": path, **old}},
            {"add": {"path": path, "size": 10, "partitionValues": {}, "modificationTime": 1, "dataChange": True}},
            {"txn": {"appId": hostile_text(drawn), "version": drawn.choice(NUMBERS)}},
            {"cdc": {"path": path, "size": 10, "partitionValues": {}, "dataChange": False}},
            {"sidecar": {"path": path, "sizeInBytes": 10, "modificationTime": 1}},
            {"checkpointMetadata": {"version": 0}},
            {"domainMetadata": {"domain": "x", "configuration": hostile_text(drawn), "removed": False}},
            {"commitInfo": drawn.choice(NUMBERS)},
            hostile_text(drawn),
            drawn.choice(NUMBERS),
        ]
    )


def line(store: Path, drawn: Random) -> str:
    log = drawn.choice(files(store, "*.json"))
    with log.open("a") as file:
        file.write(text := hostile_text(drawn))
    return f"{log.name} {text:.80}"


def checkpoint(store: Path, drawn: Random) -> str:
    log = drawn.choice(sorted(store.rglob("_delta_log")))
    version = drawn.choice([0, 1, 5, 2**31, 2**62])
    said = {"version": version, "size": drawn.choice(NUMBERS), "parts": drawn.choice(NUMBERS)}
    (log / "_last_checkpoint").write_text(json.dumps(said))
    if drawn.random() < 0.6:
        parquet = drawn.choice([*files(store, "*.parquet"), None])
        content = hostile_bytes(drawn) if parquet is None else parquet.read_bytes()
        (log / f"{version:020}.checkpoint.parquet").write_bytes(content)
    return str(said)


def version(store: Path, drawn: Random) -> str:
    log = drawn.choice(files(store, "*.json"))
    name = drawn.choice([f"{1:020}.json", f"{2:020}.json", f"{2**62:020}.json", "9" * 20 + ".json", "x.json"])
    (log.parent / name).write_bytes(log.read_bytes())
    return name


def folder(store: Path, drawn: Random) -> str:
    """Make folders that no store has."""
    name = drawn.choice(
        ["~ff.delta", "~zz.delta", ".delta", "a~.delta", "b~/c.delta", "x/" * 200 + "d.delta", "loop", "é"]
    )
    if name == "loop":
        for each in ("loop", "pool"):
            if not (store / each).is_symlink():
                (store / each).symlink_to(".")
    else:
        (store / name / "_delta_log").mkdir(parents=True, exist_ok=True)
    return name


MUTATIONS: list[Callable[[Path, Random], str]] = [
    changed_bytes, changed_bytes, replaced_file, action, action, action, action, line, checkpoint, version, folder,
]  # fmt: skip


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The folder of a table with one file of one row."""
    with DeltaDatabase(tmp_path / "store") as database:
        database.add_records(("lab",), pa.table({"key": ["a"]}))
    return tmp_path / "store" / "lab.delta"


def rewrite(table: Path, change: Callable[[dict[str, Any]], object]) -> None:
    log = table / "_delta_log" / f"{0:020}.json"
    actions = [json.loads(each) for each in log.read_text().splitlines()]
    for each in actions:
        change(each)
    log.write_text("".join(json.dumps(each) + "\n" for each in actions))


@pytest.mark.parametrize(
    "path", ["../../secret.parquet", "%2e%2e/%2e%2e/secret.parquet", "{outside}", "file://{outside}"]
)
def test_rows_outside_of_the_table_are_not_read(table: Path, path: str, tmp_path: Path) -> None:
    (rows,) = table.glob("*.parquet")
    rows.rename(outside := tmp_path / "secret.parquet")
    rewrite(table, lambda each: "add" in each and each["add"].update(path=path.format(outside=outside)))
    with DeltaDatabase(table.parent) as database, pytest.raises(DatabaseError):
        database.get_records(("lab",))


def test_files_outside_of_the_table_are_not_removed(table: Path, tmp_path: Path) -> None:
    """Whatever the log says of files that the table does not need any more."""
    (diary := tmp_path / "diary").write_text("dear diary")
    os.utime(diary, (1, 1))
    with (table / "_delta_log" / f"{0:020}.json").open("a") as log:
        for path in ("../../diary", "%2e%2e/%2e%2e/diary", str(diary), diary.as_uri()):
            gone = {"path": path, "deletionTimestamp": 1, "dataChange": True, "size": 10, "partitionValues": {}}
            log.write(json.dumps({"remove": gone}) + "\n")
    with DeltaDatabase(table.parent) as database:
        try:
            database.add_records(("lab",), pa.table({"key": ["b"]}))
            database.vacuum()
        except DatabaseError:
            pass
    assert diary.read_text() == "dear diary"


@pytest.mark.parametrize("text", ["[" * 100_000, '{"add": 5}' + DEEP, json.dumps({"add": {"stats": DEEP}})])
def test_a_log_that_is_nested_without_end_is_an_error(table: Path, text: str) -> None:
    """And not the end of the process, for want of stack."""
    with (table / "_delta_log" / f"{0:020}.json").open("a") as log:
        log.write(text)
    with DeltaDatabase(table.parent) as database, pytest.raises(DatabaseError, match="nested"):
        database.get_records(("lab",))


def test_folders_of_somebody_else_are_no_tables(table: Path) -> None:
    """Neither is one that a link leads to a second time."""
    for name in ("~ff.delta", "Notes.delta", "x/y"):
        (table.parent / name).mkdir(parents=True)
    for name in ("back", "again"):
        (table.parent / name).symlink_to(".")
    with DeltaDatabase(table.parent) as database:
        assert database.list_paths() == [("lab",)]
        assert verify_store(database).ok


def test_versions_of_a_log_are_not_counted_one_by_one(table: Path) -> None:
    shutil.copy(table / "_delta_log" / f"{0:020}.json", table / "_delta_log" / f"{2**62}.json".zfill(25))
    (damage,) = [each for each in verify_store(f"delta:///{table.parent}").damages if each.kind == "storage"]
    assert damage.why == "its log has gaps"
