"""What is written down of a run: what it was made of, and what each node did."""

from __future__ import annotations

import json
import time
from pathlib import Path

import orcapod as op
from orcapod.databases import MemoryDatabase, SQLiteDatabase
from orcapod.protocols import Database
from orcapod.records import GraphRecords, NodeRecord
from orcapod.sources import DictSource

FACTOR = 2


@op.function_pod(output_keys="y")
def scaled(x: int) -> int:
    time.sleep(0.02)
    return FACTOR * x


@op.function_pod(output_keys="total")
def total(y: list[int]) -> int:
    return sum(y)


def study(database: Database, *values: int) -> op.Pipeline:
    rows = [{"who": who, "x": x} for who, x in enumerate(values)]
    with op.Pipeline("study", database) as pipeline:
        good = scaled.pod(DictSource(rows, ["who"], source_id="patients"), label="scaled").filter(y=2)
        total.pod(good.batch(), label="total")
    return pipeline


def test_the_plan_of_a_run_is_kept_once_for_all_runs_of_which_it_is_the_same(tmp_path: Path) -> None:
    with SQLiteDatabase(tmp_path / "lab.db") as database:
        for values in ([1], [1, 2], [1, 2]):
            pipeline = study(database, *values)
            pipeline.run()
        starts = pipeline.log_database.get_records(("_run_starts",)).to_pylist()
        assert pipeline.log_database.get_records(("_graphs",)).num_rows == 1
        nodes = GraphRecords(pipeline.log_database).nodes(starts[0]["__graph_id"])
        code = [str(pipeline[label].function.fingerprint()) for label in ("scaled", "total")]
    assert len({start["__graph_id"] for start in starts}) == 1
    assert nodes == (
        NodeRecord("patients", "source", "patients"),
        NodeRecord("scaled", "function", "scaled", ("patients",), pipeline.scaled.path, code=code[0]),
        NodeRecord("filter", "operator", "Filter", ("scaled",), arguments="(None, {'y': 2})"),
        NodeRecord("batch", "operator", "Batch", ("filter",), arguments="(0, False)"),
        NodeRecord("total", "function", "total", ("batch",), pipeline.total.path, code=code[1]),
    )


def test_an_edited_function_makes_another_plan() -> None:
    global FACTOR
    database = MemoryDatabase()
    try:
        study(database, 1).run()
        FACTOR = 3
        study(database, 1).run()
    finally:
        FACTOR = 2
    assert database.get_records(("study", "_graphs")).num_rows == 2


def test_a_run_says_what_each_node_took_gave_and_spent_and_what_the_cache_saved() -> None:
    database = MemoryDatabase()
    first, second = (study(database, *values).run() for values in ([1, 2], [1, 2, 3]))
    records = {
        row["__run_id"]: json.loads(row["__nodes"]) for row in database.get_records(("study", "_runs")).to_pylist()
    }
    before, after = records[first.run_id], records[second.run_id]
    assert before["patients"] == {"given": 2}
    assert before["filter"] == {"taken": [2], "given": 1}
    assert before["scaled"]["counts"] == {"computed": 2, "cached": 0, "failed": 0}
    assert before["scaled"]["seconds"] >= 0.04
    assert "saved" not in before["scaled"]
    assert first.saved == {"scaled": 0.0, "total": 0.0}
    assert after["scaled"]["counts"] == {"computed": 1, "cached": 2, "failed": 0}
    assert after["scaled"]["saved"] == before["scaled"]["seconds"] == second.saved["scaled"]
    assert after["scaled"]["seconds"] == second.seconds["scaled"] >= 0.02
    assert (before["scaled"]["state"], after["scaled"]["state"]) == (1, 2)
    assert (before["total"]["state"], after["total"]["state"]) == (1, 1)
