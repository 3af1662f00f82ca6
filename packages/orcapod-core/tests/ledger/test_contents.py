"""What a store holds of each node is told without any row being read."""

from __future__ import annotations

import numpy as np

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.ledger.contents import contents
from orcapod.protocols import Database
from orcapod.sources import DictSource


@op.function_pod(output_keys=("y", "text"), identity="version")
def made(x: int) -> tuple[float, str]:
    return x / 2, str(x)


@op.function_pod(output_keys="pixels", identity="version")
def drawn(y: float) -> np.ndarray:
    if y < 0:
        raise ValueError("no picture")
    return np.zeros((2, 2))


def run(database: Database, *xs: int, name: str = "study", **how: object) -> op.RunResult:
    pipeline = op.Pipeline(name, database)
    with pipeline:
        source = DictSource([{"who": str(i), "x": x} for i, x in enumerate(xs)], ["who"], source_id="s")
        drawn.pod(made.pod(source, label="made"), label="drawn")
    return pipeline.run(progress=False, **how)  # type: ignore[arg-type]  # what each test gives


def test_rows_are_those_of_the_last_whole_run_and_columns_have_types() -> None:
    with MemoryDatabase() as database:
        first = run(database, 1, 2, 3)
        run(database, 1, only=["made"])
        run(database, 5, name="other")
        found = contents(database)
        assert [(node.pipeline, node.node) for node in found] == [
            *[("other", "made"), ("other", "drawn")],
            *[("study", "made"), ("study", "drawn")],
        ]
        made, drawn = contents(database, "study")
        assert (made.rows, made.tags, made.outputs) == (3, {"who": "str"}, {"y": "float", "text": "str"})
        assert (drawn.rows, drawn.outputs, drawn.run_id) == (3, {"pixels": "array"}, first.run_id)
        store = op.open_store(database)
        assert {node.rows for node in found} == {store.rows(node.pipeline, node.node).num_rows for node in found}
        assert contents(database, "nobody") == []


def test_a_node_that_never_gave_all_of_its_rows_has_no_number_of_them() -> None:
    with MemoryDatabase() as database:
        run(database, 1, -1, only=["made"])
        made, drawn = contents(database)
        assert (made.rows, drawn.rows, drawn.outputs) == (None, None, {})
