"""Files on storage that fsspec knows and pyarrow does not, here in memory; and on a disk that is called by a URL."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import orcapod as op
from orcapod.errors import ValueTypeError
from orcapod.executors import LocalExecutor
from orcapod.sources import DictSource

pytest.importorskip("fsspec", reason="fsspec is not installed")


@op.function_pod(output_keys=["figure", "tiles"])
def draw(x: str) -> tuple[op.File, op.Directory]:
    figure, tiles = op.output_path("a figure #1.txt"), op.output_path("tiles")
    figure.write_text(f"x = {x}")
    (tiles / "deep").mkdir(parents=True)
    (tiles / "deep" / "tile.txt").write_text(f"tile of {x}")
    return op.File(figure), op.Directory(tiles)


@op.function_pod(output_keys="text")
def read(figure: Path, tiles: Path) -> str:
    return f"{figure.read_text()}, {(tiles / 'deep' / 'tile.txt').read_text()}"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORCAPOD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def run(folder: Path, url: str, **options: Any) -> tuple[op.Pipeline, op.RunResult]:
    pipeline = op.Pipeline("lab", folder / "lab.db", files=url)
    with pipeline:
        rows = [{"i": i, "x": f"{folder.name} {i}"} for i in range(2)]  # nobody else has such files
        read.pod(draw.pod(DictSource(rows, ["i"], source_id="s"), label="drawn"), label="read")
    return pipeline, pipeline.run(**options)


@pytest.mark.parametrize("scheme", ["memory", "local"])
def test_files_are_kept_there_and_fetched_again(tmp_path: Path, cache: Path, scheme: str) -> None:
    url = f"{scheme}://{tmp_path}/files"
    for computed in (2, 0):
        pipeline, result = run(tmp_path, url)
        result.raise_for_errors()
        assert result.counts("drawn")["computed"] == computed
        shutil.rmtree(cache)  # another machine's is empty
        for i, (_, packet) in enumerate(pipeline["drawn"].iter_packets()):
            assert packet["figure"].path.read_text() == f"x = {tmp_path.name} {i}"
            assert (packet["tiles"].path / "deep" / "tile.txt").read_text() == f"tile of {tmp_path.name} {i}"
    assert op.verify_store(pipeline.database, files=url).findings == ()
    assert op.remove_orphans(pipeline.database, files=url, hours=1e-9) == []


def test_workers_use_it_and_damage_is_noticed(tmp_path: Path, cache: Path) -> None:
    with LocalExecutor(1, "process") as executor:
        pipeline, result = run(tmp_path, f"local://{tmp_path}/files", execution_engine=executor)
    result.raise_for_errors()
    assert [packet["text"] for _, packet in pipeline["read"].iter_packets()] == [
        f"x = {tmp_path.name} {i}, tile of {tmp_path.name} {i}" for i in range(2)
    ]
    shutil.rmtree(cache)
    for file in (tmp_path / "files").rglob("a figure #1.txt"):
        file.write_text("forged")
    with pytest.raises(ValueTypeError, match="it has changed: found sha256:"):
        next(iter(pipeline["drawn"].iter_packets()))[1]["figure"]
