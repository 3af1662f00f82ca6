"""``IntegritySuite``: bits of a store are flipped; no wrong value is served, and what is damaged is named."""

from __future__ import annotations

import os
import random
import shutil
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import pytest

from orcapod.databases import MemoryDatabase
from orcapod.errors import OrcapodError
from orcapod.integrity import verify_store
from orcapod.pipeline import Pipeline
from orcapod.pods import function_pod
from orcapod.protocols import Database, FileTablesDatabaseProtocol
from orcapod.sources import DictSource

__all__ = ["IntegritySuite"]

_FLIPS = int(os.environ.get("ORCAPOD_FLIPS", "25"))
_ROWS = 60
_LABELS = ("measured", "named")

Rows = dict[str, list[dict[str, Any]]]


@function_pod(["y", "note"])
def measured(x: int) -> tuple[float, str]:
    return 2.5 * x, f"row {x}"


@function_pod("z")
def named(y: float, note: str) -> tuple[int, str]:
    return round(y / 2.5), note


class IntegritySuite(ABC):
    """Law of stores on a disk: whatever becomes of their bits, they give right values or errors that say where.

    Subclass it, and say how a store in a folder is opened. The environment variable ``ORCAPOD_FLIPS`` says how many
    stores are damaged, 25 if it is not set.
    """

    @abstractmethod
    def open(self, folder: Path) -> Database:
        """Open the store in a folder, or make one."""

    @pytest.fixture(scope="class")
    @classmethod
    def truth(cls) -> Rows:
        with MemoryDatabase() as database:
            pipeline = _built(database)
            pipeline.run().raise_for_errors()
            return _shown(pipeline)

    @pytest.fixture(scope="class")
    @classmethod
    def whole(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("store") / "whole"
        folder.mkdir()
        with cls().open(folder) as database:
            _built(database).run().raise_for_errors()
        return folder

    def test_a_store_as_it_was_written_is_in_order(self, whole: Path) -> None:
        with self.open(whole) as database:
            report = verify_store(database)
        assert report.ok, report
        assert report.records > 4 * _ROWS

    @pytest.mark.filterwarnings("ignore:.* left out")
    @pytest.mark.parametrize("seed", range(_FLIPS))
    def test_a_damaged_store_serves_no_wrong_value(self, whole: Path, truth: Rows, seed: int, tmp_path: Path) -> None:
        folder = tmp_path / "damaged"
        shutil.copytree(whole, folder)
        drawn = random.Random(seed)
        _flip_bits(self.drawn_file(folder, drawn), drawn)
        said = str(folder)
        try:
            with self.open(folder) as database:
                _check(database, truth)
        except OrcapodError as error:  # it cannot be opened, or closed
            said = str(error)
        assert str(folder) in said, "it says which file"

    def drawn_file(self, folder: Path, drawn: random.Random) -> Path:
        """Return the file of a store that is to be damaged."""
        return drawn.choice(sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size))


def _flip_bits(file: Path, drawn: random.Random) -> None:
    """Flip one bit, or thirty, of a file."""
    content = bytearray(file.read_bytes())
    for _ in range(drawn.choice([1, 1, 30])):
        content[drawn.randrange(len(content))] ^= 1 << drawn.randrange(8)
    file.write_bytes(content)


def _check(database: Database, truth: Rows) -> None:
    is_whole = verify_store(database).ok
    pipeline = _built(database)
    for label in _LABELS:
        try:
            rows = _rows(pipeline, label)
        except OrcapodError:
            assert not is_whole
            continue
        assert all(row in truth[label] for row in rows)
        assert len(rows) == len(truth[label]) or not is_whole
    try:
        assert pipeline.run(error_policy="fail_fast").ok
    except OrcapodError:
        assert not is_whole
        damages = verify_store(database, repair=True).damages
        if isinstance(database, FileTablesDatabaseProtocol) or all(damage.key is not None for damage in damages):
            _check_repaired(database, truth)
        return
    assert _shown(pipeline) == truth


def _check_repaired(database: Database, truth: Rows) -> None:
    assert verify_store(database).ok
    pipeline = _built(database)
    assert pipeline.run().ok
    assert _shown(pipeline) == truth


def _built(database: Database) -> Pipeline:
    pipeline = Pipeline("flipped", database)
    with pipeline:
        rows = DictSource([{"i": i, "x": i} for i in range(_ROWS)], ["i"], source_id="s")
        named.pod(measured.pod(rows, label="measured"), label="named")
    return pipeline


def _shown(pipeline: Pipeline) -> Rows:
    return {label: _rows(pipeline, label) for label in _LABELS}


def _rows(pipeline: Pipeline, label: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pipeline[label].as_table().to_pylist()
    return sorted(rows, key=lambda row: row["i"])
