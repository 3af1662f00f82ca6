"""Bits of a store are flipped: no wrong value is served, and what is damaged is named."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase, open_database
from orcapod.errors import OrcapodError
from orcapod.sources import DictSource

FLIPS = int(os.environ.get("ORCAPOD_FLIPS", "40"))
ROWS = 60
LABELS = ("f", "g")


@op.function_pod(["y", "note"])
def f(x: int) -> tuple[float, str]:
    return 2.5 * x, f"row {x}"


@op.function_pod("z")
def g(y: float, note: str) -> tuple[int, str]:
    return round(y / 2.5), note


def built(database: Any) -> op.Pipeline:
    pipeline = op.Pipeline("flipped", database)
    with pipeline:
        rows = DictSource([{"i": i, "x": i} for i in range(ROWS)], ["i"], source_id="s")
        g.pod(f.pod(rows, label="f"), label="g")
    return pipeline


def shown(pipeline: op.Pipeline, label: str) -> list[dict[str, Any]]:
    return sorted(pipeline[label].as_table().to_pylist(), key=lambda row: row["i"])


@pytest.fixture(scope="module")
def truth() -> dict[str, list[dict[str, Any]]]:
    pipeline = built(MemoryDatabase())
    pipeline.run().raise_for_errors()
    return {label: shown(pipeline, label) for label in LABELS}


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "store.db"
    with open_database(path) as database:
        built(database).run().raise_for_errors()
    return path.read_bytes()


@pytest.mark.filterwarnings("ignore:.* left out")
@pytest.mark.parametrize("seed", range(FLIPS))
@pytest.mark.parametrize("bits", [1, 30])
def test_a_damaged_sqlite_file_serves_no_wrong_value(
    content: bytes, truth: dict[str, Any], seed: int, bits: int, tmp_path: Path
) -> None:
    drawn, damaged = random.Random(seed), bytearray(content)
    for _ in range(bits):
        damaged[drawn.randrange(len(damaged))] ^= 1 << drawn.randrange(8)
    path = tmp_path / "store.db"
    path.write_bytes(damaged)
    said = str(path)
    try:
        with open_database(path) as database:
            check(database, truth)
    except OrcapodError as error:  # it cannot be opened, or closed
        said = str(error)
    assert str(path) in said


def check(database: Any, truth: dict[str, Any]) -> None:
    report = op.verify_store(database)
    pipeline = built(database)
    for label in LABELS:
        try:
            rows = shown(pipeline, label)
        except OrcapodError:
            assert not report.ok
            continue
        assert all(row in truth[label] for row in rows)
        assert len(rows) == len(truth[label]) or not report.ok
    try:
        assert pipeline.run().ok
    except OrcapodError:
        assert not report.ok
        return
    assert {label: shown(pipeline, label) for label in LABELS} == truth
