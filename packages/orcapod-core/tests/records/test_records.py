"""What is written about computations and runs, and how it is found again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orcapod import ResultCache, Schema
from orcapod.databases import MemoryDatabase, NoOpDatabase
from orcapod.datagrams import Chunk
from orcapod.hashing import ContentHash, hash_structure
from orcapod.records import (
    ENVIRONMENTS,
    RECORD_ID,
    RUN_ID,
    RUNS,
    SECONDS,
    Environment,
    NodeTotals,
    NoOpCache,
    PipelineRecords,
    Result,
    RunLedger,
    RunRecord,
    RunStart,
    node_path,
    record_ids,
    record_names,
    result_path,
)
from orcapod.sources import DictSource

URI = ("f", "abc", "v0", "python")
OUTPUTS = Schema({"y": int, "names": list[str | None]})
CODE = hash_structure("code")


# Addresses


def test_paths_are_those_that_the_documentation_names() -> None:
    assert result_path(URI) == ("_result", "f", "abc", "v0", "python")
    assert node_path(URI, ContentHash("m", bytes(32))) == (*URI, "schema:000000000000")
    assert record_names(URI, [b"\x01\xff"])[0] == "f:abc:v0:python::01ff"


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_a_record_id_is_made_of_function_code_and_packet(packet: bytes, other: bytes) -> None:
    (found,) = record_ids(URI, CODE, [packet])
    assert [found] == record_ids(URI, CODE, [packet])
    assert [found] != record_ids(("g", *URI[1:]), CODE, [packet])
    assert [found] != record_ids(URI, hash_structure("other code"), [packet])
    assert (record_ids(URI, CODE, [other]) == [found]) is (packet == other)
    assert record_ids(URI, CODE, [packet, other])[0] == found


# Results


def results(*numbers: int, y: int = 0) -> list[Result]:
    return [Result(bytes([n]) * 32, bytes([n, n]), (10 * n + y, [str(n), None]), 0.5) for n in numbers]


def values(table: pa.Table) -> dict[bytes, int]:
    return dict(zip(table[RECORD_ID].to_pylist(), table["y"].to_pylist(), strict=True))


def cache(database: Any, run_id: str = "r") -> ResultCache:
    return ResultCache(database, result_path(URI), OUTPUTS, code=str(CODE), run_id=run_id)


def test_a_look_up_gives_what_is_there_in_the_columns_of_the_function() -> None:
    kept = cache(MemoryDatabase())
    empty = kept.lookup([b"x" * 32])
    assert empty.num_rows == 0
    assert empty.column_names == [RECORD_ID, "y", "names", SECONDS]
    kept.store(results(1, 2))
    found = kept.lookup([bytes([2]) * 32, bytes([9]) * 32])
    assert found.column_names == [RECORD_ID, "y", "names", SECONDS]
    assert found.to_pylist() == [{RECORD_ID: bytes([2]) * 32, "y": 20, "names": ["2", None], SECONDS: 0.5}]


def test_the_first_writer_wins_and_everybody_reads_the_winner() -> None:
    database = MemoryDatabase()
    assert values(cache(database, "first").store(results(1, 2))) == {bytes([1]) * 32: 10, bytes([2]) * 32: 20}
    given_back = cache(database, "second").store(results(2, 3, y=5))
    assert values(given_back) == {bytes([2]) * 32: 20, bytes([3]) * 32: 35}
    assert values(cache(database).lookup([bytes([n]) * 32 for n in (1, 2, 3)])) == {
        bytes([1]) * 32: 10,
        bytes([2]) * 32: 20,
        bytes([3]) * 32: 35,
    }
    runs = database.get_records(result_path(URI), ["__run_id", "__code", "__seconds"]).to_pylist()
    assert [row["__run_id"] for row in runs] == ["first", "first", "second"]
    assert {row["__code"] for row in runs} == {str(CODE)}
    assert {row["__seconds"] for row in runs} == {0.5}


def test_a_store_that_keeps_nothing_gives_back_what_it_was_given() -> None:
    assert values(cache(NoOpDatabase()).store(results(1, 2))) == {bytes([1]) * 32: 10, bytes([2]) * 32: 20}


def test_a_cache_of_nothing_finds_nothing() -> None:
    nothing = NoOpCache(OUTPUTS)
    assert values(nothing.store(results(1))) == {bytes([1]) * 32: 10}
    assert nothing.lookup([bytes([1]) * 32]).num_rows == 0


# Pipeline records


def chunk(rows: Sequence[int], source_id: str = "s") -> Chunk:
    (found,) = DictSource([{"i": i, "x": i % 2} for i in rows], tag_columns=["i"], source_id=source_id).chunks()
    return found


@given(st.lists(st.tuples(st.lists(st.integers(0, 5), min_size=1, unique=True), st.booleans())))
def test_every_row_is_recorded_once_however_often_it_comes(batches: list[tuple[list[int], bool]]) -> None:
    """``fresh`` only says that nothing need be looked up; it never doubles a row."""
    database = MemoryDatabase()
    records = PipelineRecords(database, ("f", "schema:1"), ["x"])
    expected = set()
    for rows, fresh in batches:
        part = chunk(range(6)).take(rows)
        records.add(part, [bytes([i % 2]) * 32 for i in rows], fresh=fresh)
        expected |= set(rows)
    found = database.get_records(("f", "schema:1")).to_pylist()
    assert sorted(row["i"] for row in found) == sorted(expected)
    for row in found:
        assert row[RECORD_ID] == bytes([row["i"] % 2]) * 32
        assert row["_source_x"] == f"s::row_{row['i']}::x"


def test_rows_of_two_sources_and_of_two_results_are_records_of_their_own() -> None:
    database = MemoryDatabase()
    records = PipelineRecords(database, ("f", "schema:1"), ["x"])
    for source_id in ("a", "b"):
        for result in (b"1" * 32, b"2" * 32):
            records.add(chunk([0], source_id), [result], fresh=False)
    assert database.get_records(("f", "schema:1")).num_rows == 4


@pytest.mark.parametrize("known", [[], [1]])
def test_a_record_has_the_provenance_of_the_columns_that_the_function_takes_and_no_others(known: list[int]) -> None:
    """Of a stream of any width; a parameter with a default may have no column there."""
    database = MemoryDatabase()
    rows = [{"i": i, "x": i, "y": i, **{f"g{at}": 0.5 for at in range(50)}} for i in range(3)]
    (wide,) = DictSource(rows, tag_columns=["i"], source_id="s").chunks()
    records = PipelineRecords(database, ("f", "schema:1"), ["y", "x", "absent"])
    for some in (known, [0, 1, 2]):
        if some:
            records.add(wide.take(some), [bytes([i]) * 32 for i in some], fresh=False)
    found = database.get_records(("f", "schema:1")).drop_columns(["__entry_id", RECORD_ID, RUN_ID])
    assert [name for name in found.column_names if not name.startswith("_tag_")] == ["i", "_source_y", "_source_x"]
    assert {row["i"]: (row["_source_x"], row["_source_y"]) for row in found.to_pylist()} == {
        i: (f"s::row_{i}::x", f"s::row_{i}::y") for i in range(3)
    }


# Runs


def run(run_id: str, **changes: Any) -> RunRecord:
    now = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
    fields: dict[str, Any] = {
        "start": RunStart(run_id=run_id, pipeline="lab/p", started=now, orchestrator="SyncPipelineOrchestrator"),
        "ended": now,
        "outcome": "SUCCESS",
        "nodes": {
            "f": NodeTotals(counts={"computed": 1, "cached": 2, "failed": 3}),
            "g": NodeTotals(counts={"computed": 10, "cached": 20, "failed": 30}),
        },
    }
    return RunRecord(**fields | changes)


HERE = Environment("CPython 3.11.7", "Linux", (("pyarrow", "20"),), None, None)


def test_a_run_is_a_row_and_an_environment_is_a_row_however_many_runs_it_has() -> None:
    database = MemoryDatabase()
    ledger = RunLedger(database)
    elsewhere = Environment("CPython 3.12.0", "Linux", (("pyarrow", "20"),), "abc", True)
    ledger.add(run("one"), HERE)
    ledger.add(run("two", nodes={}), HERE)
    ledger.add(run("three"), elsewhere)
    rows = database.get_records(RUNS).to_pylist()
    assert [(row["__run_id"], row["__computed"], row["__cached"], row["__failed"]) for row in rows] == [
        ("one", 11, 22, 33),
        ("two", 0, 0, 0),
        ("three", 11, 22, 33),
    ]
    environments = {row["__environment_id"]: row for row in database.get_records(ENVIRONMENTS).to_pylist()}
    assert [environments[row["__environment_id"]]["__git_commit"] for row in rows] == [None, None, "abc"]
    assert len(environments) == 2


@pytest.mark.parametrize(
    "other",
    [
        Environment("CPython 3.11.8", "Linux", (("pyarrow", "20"),), None, None),
        Environment("CPython 3.11.7", "Darwin", (("pyarrow", "20"),), None, None),
        Environment("CPython 3.11.7", "Linux", (("pyarrow", "21"),), None, None),
        Environment("CPython 3.11.7", "Linux", (("pyarrow", "20"),), "abc", None),
        Environment("CPython 3.11.7", "Linux", (("pyarrow", "20"),), None, True),
    ],
)
def test_whatever_differs_makes_another_environment(other: Environment) -> None:
    assert other.content_hash() != HERE.content_hash()


def test_the_environment_is_that_of_the_program_and_equal_in_every_process(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("from orcapod.records import Environment\nprint(Environment.here())")

    def here() -> str:
        return subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=True).stdout

    before = here()
    assert "git_commit=None, git_dirty=None" in before
    assert "('pyarrow', " in before
    assert here() == before
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    for arguments in (["init", "-q"], ["add", "program.py"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *arguments], check=True)
    assert "git_dirty=False" in here()
    (tmp_path / "notes.txt").write_text("untracked files are no change")
    assert "git_dirty=False" in here()
    program.write_text(program.read_text() + "\n")
    assert "git_dirty=True" in here()
