"""A table that cannot be written harms no other, and one that was deleted while it was open is noticed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import orcapod as op
from orcapod.errors import DatabaseError
from orcapod.nodes import flusher
from orcapod.observers import LoggingObserver
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import DictSource
from orcapod_delta import DeltaDatabase
from orcapod_delta.locations import Location

ROW = pa.table({"key": ["a"]})


@op.function_pod("y", identity="version")
def double(x: int) -> int:
    return 2 * x


def pipeline_of(name: str, database: DeltaDatabase, start: int) -> op.Pipeline:
    pipeline = op.Pipeline(name, database)
    rows = [{"i": i, "x": start + i} for i in range(20)]
    with pipeline:
        double.pod(DictSource(rows, ["i"], source_id="s"), label="n")
    return pipeline


def block(place: Path) -> None:
    """Put a file where folders of tables are to be, which no user may write into, root included."""
    place.write_text("in the way")


def test_a_flush_commits_every_table_that_it_can(tmp_path: Path) -> None:
    with DeltaDatabase(tmp_path) as database:
        for name in "pqrs":
            database.add_records((name, "t"), ROW)
        for name in "pr":
            shutil.rmtree(tmp_path / name)
            block(tmp_path / name)
        with pytest.raises(ExceptionGroup) as caught:
            database.at("anywhere").flush()
        assert [type(error) for error in caught.value.exceptions] == [DatabaseError] * 2
        for name, error in zip("pr", caught.value.exceptions, strict=True):
            assert str(tmp_path / name) in str(error)
        with DeltaDatabase(tmp_path) as other:
            assert other.list_paths() == [("q", "t"), ("s", "t")]
        (tmp_path / "r").unlink()
        with pytest.raises(DatabaseError, match=str(tmp_path / "p")):
            database.flush()
        (tmp_path / "p").unlink()
        database.flush()
    with DeltaDatabase(tmp_path) as other:
        assert len(other.list_paths()) == 4


@pytest.mark.filterwarnings("ignore:what was computed could not be stored")
@pytest.mark.parametrize("driver", [SyncPipelineOrchestrator(), AsyncPipelineOrchestrator()])
@pytest.mark.parametrize("bad", ["y" * 5000, "bad"])
def test_a_table_that_cannot_be_written_harms_no_other_run(
    bad: str, driver: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is too long is refused at once; what no try can write is let go with the run that wrote it."""
    monkeypatch.setattr(flusher, "_RETRY_SECONDS", 0.2)
    database = DeltaDatabase(tmp_path)
    assert pipeline_of("good", database, 0).run(driver).ok
    block(tmp_path / "bad")
    with pytest.raises((DatabaseError, ExceptionGroup)):
        pipeline_of(bad, database, 20).run(driver, flush_interval=0.05)
    database.flush()
    assert pipeline_of("good2", database, 40).run(driver).ok
    assert pipeline_of("good", database, 0).run(driver).counts("n")["cached"] == 20
    database.close()
    with DeltaDatabase(tmp_path) as database:
        assert pipeline_of("good2", database, 40)["n"].as_table().num_rows == 20
        (tmp_path / "bad").unlink()
        assert pipeline_of("bad", database, 20).run(driver).ok
        assert pipeline_of("bad", database, 20)["n"].as_table().num_rows == 20


@pytest.mark.filterwarnings("ignore:what was computed could not be stored")
def test_logs_that_cannot_be_written_are_let_go_with_their_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though they are kept in a store of their own."""
    monkeypatch.setattr(flusher, "_RETRY_SECONDS", 0.2)
    with DeltaDatabase(tmp_path / "lab") as database, DeltaDatabase(tmp_path / "logs") as logs:
        observer = LoggingObserver(logs)
        block(tmp_path / "logs" / "_log")
        with pytest.raises((DatabaseError, ExceptionGroup), match="_log"):
            pipeline_of("bad", database, 0).run(observer=observer, flush_interval=0.05)
        (tmp_path / "logs" / "_log").unlink()
        assert pipeline_of("good", database, 20).run(observer=observer).ok
        assert pc.count_distinct(observer.get_logs()["__run_id"]).as_py() == 1


def test_only_what_failed_with_the_error_that_ended_a_run_is_let_go(tmp_path: Path) -> None:
    """What other runs have written waits on, and nothing is let go where nothing could be written at all."""
    with DeltaDatabase(tmp_path) as database:
        for name in "pq":
            database.add_records((name, "t"), ROW)
        shutil.rmtree(tmp_path / "p")
        block(tmp_path / "p")
        database.discard_failed(ValueError("another reason"))
        with pytest.raises(DatabaseError) as caught:
            database.flush()
        database.add_records(("q", "t"), pa.table({"key": ["b"]}))
        database.discard_failed(ValueError("another reason"))
        assert database.get_records_by_ids(("q", "t"), ["a", "b"]).num_rows == 2
        with pytest.raises(DatabaseError, match=str(tmp_path / "p")):
            database.flush()
        database.discard_failed(caught.value)
        database.flush()
        assert database.get_records(("q", "t")).num_rows == 2


def test_a_name_that_is_too_long_is_refused_before_anything_waits(tmp_path: Path) -> None:
    with DeltaDatabase(tmp_path) as database:
        with pytest.raises(DatabaseError, match="too long a name.*shorter") as caught:
            database.add_records(("y" * 5000,), ROW)
        assert len(str(caught.value)) < 500
        database.add_records(("y" * 1000,), ROW)
    for length in (500, 2000):
        location = Location(f"s3://bucket/{'y' * length}", {})
        if length == 500:
            location.check_length()
            continue
        with pytest.raises(DatabaseError, match="too long a name"):
            location.check_length()


@pytest.mark.parametrize("part", ["", "p.delta", "p.delta/_delta_log"])
@pytest.mark.parametrize(
    "then",
    [
        lambda database: database.flush(),
        lambda database: database.add_records(("p",), pa.table({"key": ["b"]})),
        lambda database: database.get_records(("p",)),
        lambda database: database.close(),
    ],
)
def test_a_table_that_was_deleted_while_it_was_open_is_noticed(
    part: str, then: Callable[[DeltaDatabase], object], tmp_path: Path
) -> None:
    store = tmp_path / "lab"
    database = DeltaDatabase(store)
    database.add_records(("p",), ROW)
    database.flush()
    shutil.rmtree(store / part)
    with pytest.raises(DatabaseError, match=r"p\.delta: this table was deleted.*open the store again"):
        then(database)
    with DeltaDatabase(store) as again:
        assert again.add_records(("p",), ROW) == 1


def test_a_run_into_a_store_that_is_deleted_fails(tmp_path: Path) -> None:
    store = tmp_path / "lab"
    pipeline = op.Pipeline("p", DeltaDatabase(store))

    def disturbed(x: int) -> int:
        if x == 2:
            pipeline.result_database.flush()
            shutil.rmtree(store)
        return x

    with pipeline:
        op.function_pod("y", identity="version")(disturbed).pod(
            DictSource([{"i": i, "x": i} for i in range(4)], ["i"], source_id="s"), label="n"
        )
    with pytest.raises((DatabaseError, ExceptionGroup)):
        pipeline.run()
