"""Promise 23 for files: what functions make comes back on every store, from every worker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before ray is imported
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"  # what Ray will do one day, without its warning

import pytest

import orcapod as op
from orcapod.errors import ConfigError
from orcapod.executors import LocalExecutor
from orcapod.protocols import Database, PythonFunctionExecutorProtocol
from orcapod.sources import FileSource
from orcapod_delta import DeltaDatabase
from orcapod_postgres import PostgresDatabase
from orcapod_ray import RayExecutor


@dataclass
class Scan:
    """An object that holds files, some of them deep inside of it."""

    mask: op.File
    series: dict[str, list[op.File | None]]


@op.function_pod(output_keys=["copy", "tiles", "scan"])
def copy(file: op.File) -> tuple[op.File, list[Path], Scan]:
    made = op.output_path("copy.txt")
    made.write_text(file.path.read_text())
    tiles = op.output_path("tiles")
    tiles.mkdir()
    (tiles / "tile.txt").write_text(file.name)
    mask, slice_ = op.output_path("mask.txt"), op.output_path("slice.txt")
    mask.write_text("mask of " + file.name)
    slice_.write_text(f"slice of {file.path}")  # another one for every test, or it would be found in their folders
    return op.File(made), [tiles], Scan(op.File(mask), {"t1": [op.File(slice_), None], "t2": []})


@op.function_pod(output_keys="length")
def measure(copy: Path, tiles: list[Path], scan: Scan) -> int:
    assert scan.mask.path.read_text().startswith("mask of ")
    return len(copy.read_text()) + sum(1 for tile in tiles for _ in tile.iterdir()) + len(scan.series["t1"])


def study(folder: Path, database: Database, files: Path | None = None) -> op.Pipeline:
    pipeline = op.Pipeline("study", database, files=files)
    with pipeline:
        made = copy.pod(FileSource(folder / "data", "{subject}.txt", source_id="s"), label="copies")
        measure.pod(made, label="lengths")
    return pipeline


@pytest.fixture(autouse=True)
def data(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for subject in ("a", "b", "c"):
        (tmp_path / "data" / f"{subject}.txt").write_text(subject * 10)


def check(folder: Path, database: Database, executor: PythonFunctionExecutorProtocol, files: Path) -> None:
    """Run twice, and look at what is there."""
    for computed in (3, 0):
        pipeline = study(folder, database, files)
        result = pipeline.run(execution_engine=executor)
        result.raise_for_errors()
        assert [result.counts(label)["computed"] for label in ("copies", "lengths")] == [computed, computed]
        assert [packet["length"] for _, packet in pipeline["lengths"].iter_packets()] == [13, 13, 13]
        for tag, packet in pipeline["copies"].iter_packets():
            assert packet["copy"].path.read_text() == str(tag["subject"]) * 10
            assert packet["copy"].path.is_relative_to(files)
            assert packet["tiles"][0].is_relative_to(files)
            scan = packet["scan"]
            assert scan.mask.path.read_text() == f"mask of {tag['subject']}.txt"
            assert scan.series["t1"][0].path.read_text() == f"slice of {folder}/data/{tag['subject']}.txt"
            assert (scan.series["t1"][1:], scan.series["t2"]) == ([None], [])
            assert scan.mask.path.is_relative_to(files)
    lost = next(iter(pipeline["copies"].iter_packets()))[1]["scan"].series["t1"][0].path
    lost.unlink()
    result = study(folder, database, files).run(execution_engine=executor)
    assert result.counts("copies")["computed"] == 1, "a file that is lost from inside of a result is made again"
    assert lost.exists()
    assert op.remove_orphans(database, files=files, hours=1e-9) == []


@op.function_pod(output_keys="text")
def overwrite(file: op.File) -> str:
    if file.name == "b.txt":
        file.path.write_text("changed")
    return file.path.read_text()


def check_change(folder: Path, executor: PythonFunctionExecutorProtocol) -> None:
    """Check that nothing is stored of a file that changes while its call is made."""
    with op.Pipeline("changing", folder / "changing.db") as pipeline:
        overwrite.pod(FileSource(folder / "data", "{subject}.txt"), label="texts")
    (error,) = pipeline.run(execution_engine=executor).errors
    assert "b.txt has changed while the function ran" in str(error.exception)
    assert [packet["text"] for _, packet in pipeline["texts"].iter_packets()] == ["a" * 10, "c" * 10]


@contextmanager
def opened(store: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[Database]:
    if store == "delta":
        with DeltaDatabase(folder / "lab") as delta:
            yield delta
    else:
        with PostgresDatabase(request.getfixturevalue("postgres_conninfo")) as postgres:
            yield postgres.at(f"files-{folder.name}")


@pytest.mark.parametrize("store", ["delta", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_every_store_knows_the_files_that_functions_made(
    tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    with opened(store, tmp_path, request) as database, LocalExecutor(2) as executor:
        check(tmp_path, database, executor, tmp_path / "files")


def test_the_files_of_a_delta_store_on_a_disk_lie_beside_it(tmp_path: Path) -> None:
    with DeltaDatabase(tmp_path / "lab") as database:
        pipeline = study(tmp_path, database)
        pipeline.run().raise_for_errors()
        for _, packet in pipeline["copies"].iter_packets():
            assert packet["copy"].path.is_relative_to(tmp_path / "lab.files")


@pytest.mark.postgres
def test_a_store_on_a_server_is_told_where_files_go(tmp_path: Path, postgres_conninfo: str) -> None:
    with PostgresDatabase(postgres_conninfo) as database:
        errors = study(tmp_path, database.at("nowhere")).run().errors
    assert len(errors) == 3
    assert all(isinstance(error.exception, ConfigError) for error in errors)
    assert all("files='/data/files'" in str(error.exception) for error in errors)


@pytest.mark.ray
def test_ray_workers_make_and_take_files(tmp_path: Path) -> None:
    with op.databases.SQLiteDatabase(tmp_path / "lab.db") as database:
        cluster = RayExecutor(ray_init={"num_cpus": 2, "object_store_memory": 200 * 2**20})
        try:
            check(tmp_path, database, cluster, tmp_path / "lab.db.files")
            check_change(tmp_path, cluster)
        finally:
            cluster.shutdown()
