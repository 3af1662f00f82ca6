"""What is explained of many rows, chunk by chunk, is what a run does, wherever the missing ones are."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase, SQLiteDatabase
from orcapod.sources import ArrowTableSource

ROWS = 20_000


@op.function_pod(output_keys="y", identity="version")
def double(x: int) -> int:
    return 2 * x


@pytest.mark.parametrize("changed", [[0], [ROWS - 1], [0, 1, ROWS // 2], range(0, ROWS, 3)])
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_once_a_result_is_missing_others_are_found_all_the_same(kind: str, changed: list[int], tmp_path: Path) -> None:
    """From the first missing one on, results are looked up in what is read of all of them."""
    with MemoryDatabase() if kind == "memory" else SQLiteDatabase(tmp_path / "lab.db") as database:

        def study(values: list[int]) -> op.Pipeline:
            table = pa.table({"i": range(ROWS), "x": values})
            with op.Pipeline("study", database) as pipeline:
                double.pod(ArrowTableSource(table, ["i"], source_id="s"), label="doubled")
            return pipeline

        values = [*range(ROWS)]
        study(values).run(progress=False)
        for row in changed:
            values[row] += ROWS
        plan = study(values).explain("doubled")
        assert (plan.cached, plan.stale, plan.new) == (ROWS - len(changed), len(changed), 0)
        counts = study(values).run(progress=False).counts("doubled")
        assert (counts["cached"], counts["computed"]) == (plan.cached, plan.stale)
