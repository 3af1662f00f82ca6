"""A store tells of the packets of a run that failed what was kept of them, each of them once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow.compute as pc
import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.execution import failure_kinds
from orcapod.graph.box import Box
from orcapod.ledger.failures import failed_packets
from orcapod.ledger.run_picture import run_picture
from orcapod.observers import CompositeObserver, LoggingObserver, StatusObserver
from orcapod.sources import DictSource

calls: Counter[int] = Counter()


@op.function_pod("y", retries=2)
def steady(x: int) -> int:
    print("tried", x)
    calls[x] += 1
    if x == 1 or (x == 2 and calls[x] == 1):
        raise ValueError(f"cannot do {x}")
    return x


@op.function_pod("z")
def inverse(y: int) -> float:
    return 1 / (y - 3)


def pipeline(store: object = None) -> op.Pipeline:
    calls.clear()
    with op.Pipeline("p", store) as made:
        rows = [{"who": f"<{x}>", "at": x, "x": x} for x in range(6)]
        first = steady.pod(DictSource(rows, ["who", "at"], source_id="s"), label="first")
        inverse.pod(first.filter(pc.field("at") != 4), label="second")
    return made


@pytest.mark.parametrize("kept", ["logs", "statuses", "both"])
def test_each_is_told_of_once_however_often_it_was_tried(kept: str) -> None:
    made = pipeline()
    observers = {"logs": [LoggingObserver], "statuses": [StatusObserver], "both": [StatusObserver, LoggingObserver]}
    result = made.run(observer=CompositeObserver(*(each(made.log_database) for each in observers[kept])))
    with op.open_store(made.database) as store:
        failures = failed_packets(store, store.run(result.run_id))
    assert failures.select(["node", "tag", "error", "message"]).to_pylist() == [
        {"node": "first", "tag": "who=<1>, at=1", "error": "ValueError", "message": "ValueError: cannot do 1"},
        {
            "node": "second",
            "tag": "who=<3>, at=3",
            "error": "ZeroDivisionError",
            "message": "ZeroDivisionError: division by zero",
        },
    ]
    if kept != "statuses":
        assert failures["stdout"].to_pylist() == ["tried 1\n", ""]
        assert [Path(file).name for file in failures["file"].to_pylist()] == [Path(__file__).name] * 2
        assert failures["function"].to_pylist() == ["steady", "inverse"]
        kinds = [(kind.count, kind.nodes, kind.location) for kind in failure_kinds(failures)]
        told = [(kind.count, kind.nodes, kind.location) for kind in failure_kinds(result.errors.to_table())]
        assert kinds == told


def test_where_nothing_was_kept_none_is_told_of() -> None:
    made = pipeline()
    result = made.run()
    with op.open_store(made.database) as store:
        assert store.run(result.run_id).count("failed") == 2
        failures = failed_packets(store, store.run(result.run_id))
    assert (failures.num_rows, failure_kinds(failures)) == (0, [])


def test_a_run_is_drawn_as_its_result_is() -> None:
    """But for the classes of sources, which no store knows."""
    made = pipeline(MemoryDatabase())
    result = made.run()
    with op.open_store(made.database) as store:
        drawn = run_picture(store.run(result.run_id))
    expected = made.graph(run=result)
    assert drawn.title == expected.title
    assert [(box.label, box.kind, box.inputs, box.outcome, box.counts) for box in drawn.boxes] == [
        (box.label, box.kind, box.inputs, box.outcome, box.counts) for box in expected.boxes
    ]
    assert [box.detail for box in drawn.boxes] == ["source", "function steady", "Filter", "function inverse"]


def test_what_had_no_part_in_a_run_is_drawn_so() -> None:
    made = pipeline(MemoryDatabase())
    result = made.run(until="first")
    with op.open_store(made.database) as store:
        boxes: dict[str, Box] = {box.label: box for box in run_picture(store.run(result.run_id)).boxes}
    assert boxes["first"].outcome == "failed"
    assert boxes["second"].outcome == "not run"
