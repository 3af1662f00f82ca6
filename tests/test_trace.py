"""Promise 25 where packages meet: values lead to their source rows, and these to values, on every store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import orcapod as op
from orcapod.ledger import RowGroup
from orcapod.protocols import Database
from orcapod.sources import DictSource
from orcapod_delta import DeltaDatabase
from orcapod_postgres import PostgresDatabase


@op.function_pod(output_keys="y", identity="version")
def plus(x: int) -> int:
    return x + 1


@op.function_pod(output_keys="total", identity="version")
def total(y: list[int]) -> int:
    return sum(y)


@op.function_pod(output_keys="share", identity="version")
def share(y: int, total: int) -> float:
    return y / total


@pytest.fixture(params=["delta", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "delta":
        store: Database = DeltaDatabase(tmp_path / "lab")
    else:
        store = PostgresDatabase(request.getfixturevalue("postgres_conninfo")).at(tmp_path.name)
    with store:
        yield store


def test_a_share_of_a_group_leads_to_all_of_it_and_each_row_to_what_it_has_touched(database: Database) -> None:
    """Two nights: a row is changed in the second, and one comes; each is followed in the run that gave it."""
    runs = []
    for night in ([1, 1, 2, 3], [1, 5, 2, 3, 4]):
        pipeline = op.Pipeline("p", database)
        rows = [{"k": "ab"[i % 2], "i": i, "x": x} for i, x in enumerate(night)]
        with pipeline:
            each = plus.pod(DictSource(rows, ["k", "i"], source_id="s", record_id_column="i"), label="plus")
            groups = total.pod(each.group_by("k", tags="drop").map_packets({"y": "z"}).map_packets({"z": "y"}))
            share.pod(each.join(groups), label="share")
        runs.append(pipeline.run(progress=False).run_id)
    store = op.open_store(database)
    for run, members in zip(runs, (["i=0", "i=2"], ["i=0", "i=2", "i=4"]), strict=True):
        tree = store.trace("p", "share", {"i": 2}, "share", run=run)
        assert {row.record_id for row in tree.sources()} == {*members}
        one, whole = tree.inputs
        assert [leaf.record_id for leaf in one.inputs] == ["i=2"]  # type: ignore[attr-defined]  # a source row
        (group,) = whole.inputs
        assert isinstance(group, RowGroup)
        assert [row.record_id for row in group.sources()] == members
        hits = {hit.node: hit for hit in store.impact("s", "i=0", run=run)}
        assert {node: hit.rows for node, hit in hits.items()} == {"plus": 1, "total": 1, "share": len(members)}
        assert {row["i"] for row in hits["share"].tags().to_pylist()} == {int(name[2:]) for name in members}
    assert store.lineage("p", "total", run=runs[1]).to_pylist() == [
        {"k": "ab"[i % 2], "row": i % 2, "source_id": "s", "record_id": f"i={i}", "column": "x"}
        for i in (0, 2, 4, 1, 3)
    ]
