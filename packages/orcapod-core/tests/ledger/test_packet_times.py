"""A store tells when the packets of a run were at work, and how long each took, as far as anything was kept."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

import orcapod as op
from orcapod.ledger.packet_times import packet_times
from orcapod.observers import CompositeObserver, LoggingObserver, StatusObserver
from orcapod.sources import DictSource


@op.function_pod("y")
def half(y: int) -> int:
    if y == 3:
        raise ValueError(y)
    return y // 2


def pipeline(database: object = None, result_database: object = None) -> op.Pipeline:
    with op.Pipeline("p", database, result_database) as made:
        rows = [{"i": y, "y": y} for y in (3, 5, 10, 12, 14, 16)]  # of these both nodes are given 5
        once = half.pod(DictSource(rows, ["i"], source_id="s"), label="once")
        half.pod(once, label="twice")
    return made


@pytest.mark.parametrize("kept", ["logs", "statuses", "results"])
def test_each_packet_that_was_computed_has_its_time_within_the_run(kept: str) -> None:
    made = pipeline()
    observers = {"logs": [LoggingObserver, StatusObserver], "statuses": [StatusObserver], "results": []}[kept]
    result = made.run(observer=CompositeObserver(*(each(made.log_database) for each in observers)))
    again = made.run()
    with op.open_store(made.database) as store:
        run = store.run(result.run_id)
        found = packet_times(store, run)
        assert {label: len(times.seconds) for label, times in found.items()} == {"once": 5, "twice": 4}
        for label, times in found.items():
            assert times.told_by == kept
            assert len(times.seconds) == result.counts(label)["computed"]
            assert pc.sum(times.seconds).as_py() == pytest.approx(run.nodes[label].totals.seconds)
            assert times.first is not None
            assert times.last is not None
            assert run.started <= times.first <= times.last <= (run.ended or run.started)
        for times in packet_times(store, store.run(again.run_id)).values():
            assert (times.first, times.last, len(times.seconds), times.told_by) == (None, None, 0, "results")


def test_results_in_another_store_leave_what_the_logs_tell() -> None:
    results = op.databases.MemoryDatabase()
    made = pipeline(None, results)
    result = made.run(observer=LoggingObserver(made.log_database))
    with op.open_store(made.database) as store:
        times = packet_times(store, store.run(result.run_id))["once"]
    assert times.first is not None
    assert times.last is not None
    assert times.last - times.first < timedelta(minutes=5)
    assert len(times.seconds) == 0


def test_of_nodes_that_share_a_function_each_table_is_read_once(tmp_path: Path) -> None:
    count, read = 8, Counter[tuple[str, ...]]()

    class Counting(op.databases.SQLiteDatabase):
        def get_records(self, record_path: Any, *args: Any, **options: Any) -> Any:
            read[*record_path] += 1
            return super().get_records(record_path, *args, **options)

    with op.Pipeline("p", tmp_path / "lab.db") as made:
        last = DictSource([{"i": y, "y": 2**y} for y in range(9, 20)], ["i"], source_id="s")
        for at in range(count):
            last = half.pod(last, label=f"half{at}")
    result = made.run()
    made.database.close()
    with Counting(tmp_path / "lab.db") as database:
        store = op.open_store(database)
        run = store.run(result.run_id)
        read.clear()
        found = packet_times(store, run)
        tables = {path: times for path, times in read.items() if path[0] == "_result" or "schema:" in path[-1]}
        assert (len(tables), {*tables.values()}) == (count + 1, {1})
    computed = {label: result.counts(label)["computed"] for label in found}
    assert {label: len(times.seconds) for label, times in found.items()} == computed
    assert 0 < computed["half1"] < computed["half0"]
