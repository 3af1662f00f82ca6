"""Promise 27: a result that is damaged fails its packet, by name, and no other."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import orcapod as op
from orcapod.errors import DamagedRecordError
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import DictSource
from orcapod.types import LARGE_BYTES

ROWS = 6
RUNS: dict[str, dict[str, Any]] = {
    "sync": {"orchestrator": SyncPipelineOrchestrator()},
    "async": {"orchestrator": AsyncPipelineOrchestrator()},
    "pool": {"execution_engine_opts": {"workers": 2}},
    "shared": {"share_work": True},
    "shared pool": {"share_work": True, "execution_engine_opts": {"workers": 2}},
}


@op.function_pod(output_keys=["data", "double"])
def record(x: int) -> tuple[bytes, int]:
    return bytes([x]) * LARGE_BYTES, 2 * x


@op.function_pod(output_keys="size")
def size(data: bytes) -> int:
    return len(data)


def built(path: Path) -> op.Pipeline:
    pipeline = op.Pipeline("lab", path)
    with pipeline:
        rows = [{"i": i, "x": i // 2} for i in range(2 * ROWS)]  # every packet comes twice
        size.pod(record.pod(DictSource(rows, ["i"], source_id="s"), label="record"), label="size")
    return pipeline


def damage_file(write: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        (row,) = [row for row in built(path).record.as_table().to_pylist() if row["i"] == 3]
        (file,) = [file for file in path.with_name("lab.db.files").rglob("*.*") if is_of(file, row["data"])]
        file.chmod(0o600)
        file.write_bytes(write(file.read_bytes()))

    return damage


def is_of(file: Path, data: bytes) -> bool:
    return file.is_file() and pa.Codec("zstd").decompress(file.read_bytes(), LARGE_BYTES).to_pybytes() == data


def edit(statement: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '_result/record%'"
            ((table,),) = connection.execute(tables).fetchall()
            connection.execute(statement.format(f'"{table}"'))

    return damage


DAMAGES = {
    "a file that was changed": damage_file(lambda data: data[:-1] + b"!"),
    "a file that was cut": damage_file(lambda data: data[:-1]),
    "a value that was changed": edit("UPDATE {} SET double = 77 WHERE double = 2"),
    "a value that cannot be read": edit("UPDATE {} SET double = 'many' WHERE double = 2"),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    built(tmp_path / "lab.db").run(progress=False).raise_for_errors()
    return tmp_path / "lab.db"


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_is_damaged_fails_its_packets_and_is_computed_again_once_it_was_moved_aside(
    path: Path, damage: Callable[[Path], None], run: dict[str, Any]
) -> None:
    damage(path)
    result = built(path).run(progress=False, **run)
    assert result.counts("record") == {"computed": 0, "cached": 2 * ROWS - 2, "failed": 2}
    assert result.counts("size")["cached"] == 2 * ROWS - 2
    assert sorted(error.tag["i"] for error in result.errors) == [2, 3]
    for error in result.errors:
        assert isinstance(error.exception, DamagedRecordError)
        assert "verify_store(..., repair=True)" in str(error.exception)
        assert len(error.exception.keys) == 1
    op.verify_store(path, repair=True)
    again = built(path).run(progress=False, **run)
    assert again.ok
    assert again.counts("record") == {"computed": 1, "cached": 2 * ROWS - 1, "failed": 0}


def test_each_of_several_is_named_by_its_own_key(path: Path) -> None:
    edit("UPDATE {} SET double = 77 WHERE double < 6")(path)
    result = built(path).run(progress=False)
    assert result.counts("record") == {"computed": 0, "cached": 6, "failed": 6}
    keys = [error.exception.keys for error in result.errors if isinstance(error.exception, DamagedRecordError)]
    assert len(set(keys)) == 3
    assert all(key.hex() in str(error) for error, (key,) in zip(result.errors, keys, strict=True))


def test_it_ends_a_run_that_is_to_fail_fast(path: Path) -> None:
    edit("UPDATE {} SET double = 77 WHERE double < 6")(path)
    with pytest.raises(DamagedRecordError, match="a result of data, double that is not as it was stored"):
        built(path).run(progress=False, error_policy="fail_fast")


def test_it_is_recomputed_on_demand_and_told_apart_from_no_other(path: Path) -> None:
    """What is damaged is nothing that a new result could be compared with."""
    edit("UPDATE {} SET double = 77 WHERE double = 2")(path)
    result = built(path).run(progress=False, recompute=["record"])
    assert result.ok
    assert (result.recomputed["record"].equal, result.recomputed["record"].different) == (ROWS - 1, [])


def test_rows_that_a_run_leaves_alone_fail_likewise(path: Path) -> None:
    edit("UPDATE {} SET double = 77 WHERE double = 2")(path)
    result = built(path).run(progress=False, where={"i": [0]})
    assert result.counts("record") == {"computed": 0, "cached": 2 * ROWS - 2, "failed": 2}


def test_reading_says_so(path: Path) -> None:
    edit("UPDATE {} SET double = 77 WHERE double = 2")(path)
    with pytest.raises(DamagedRecordError, match="a result of data, double"):
        built(path).record.as_table()
