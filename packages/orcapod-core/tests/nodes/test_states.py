"""Promise 24: what the store shows as present is what the last whole run gave; any past run can be read again."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase, SQLiteDatabase
from orcapod.errors import LabelError, SchemaError, UnknownRunError
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.protocols import Database
from orcapod.records import RUN_ID, NodeStates
from orcapod.sources import DictSource

Rows = list[tuple[int, int]]

STOP = {"at": -1}


@op.function_pod(output_keys="y", identity="version")
def double(x: int) -> int:
    if x == STOP["at"]:
        raise KeyboardInterrupt
    if x == 9:
        raise ValueError("nine")
    return 2 * x


@op.function_pod(output_keys="total", identity="version")
def total(y: list[int]) -> int:
    return sum(y)


def study(database: Database, rows: Rows) -> op.Pipeline:
    pipeline = op.Pipeline("study", database)
    source = DictSource(
        [{"who": who, "x": x} for who, x in rows],
        ["who"],
        source_id="s",
        data_schema={"who": int, "x": int},
    )
    with pipeline:
        doubled = double.pod(source, label="doubled")
        total.pod(doubled.batch(), label="total")
    return pipeline


def present(pipeline: op.Pipeline, run_id: str) -> dict[str, Counter[Any]]:
    doubled = pipeline.doubled.at(run_id).to_pylist()
    totals = pipeline.total.at(run_id).to_pylist()
    return {
        "doubled": Counter((row["who"], row["y"]) for row in doubled),
        "total": Counter((*sorted(row["who"]), row["total"]) for row in totals),
    }


def expected(rows: Rows) -> dict[str, Counter[Any]]:
    good = [(who, 2 * x) for who, x in rows if x != 9]
    is_whole = len(good) == len(rows)  # of a batch with a failed row, nothing is made
    totals = [(*sorted(who for who, _ in good), sum(y for _, y in good))] if good and is_whole else []
    return {"doubled": Counter(good), "total": Counter(totals)}


NIGHTS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 3), st.sampled_from([1, 2, 9])), max_size=5),
        st.sampled_from(["whole", "whole", "interrupted", "fail_fast"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@given(nights=NIGHTS)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_every_run_can_be_read_again_as_it_was(nights: list[tuple[Rows, str, bool]]) -> None:
    """Over any history: rows come, go, come back and are there twice; packets fail; runs are cut short."""
    database = MemoryDatabase()
    history: list[tuple[str, dict[str, Counter[Any]]]] = []
    last = expected([])
    for rows, ending, is_async in nights:
        pipeline = study(database, rows)
        is_interrupted = ending == "interrupted"  # which goes by this thread
        orchestrator = AsyncPipelineOrchestrator() if is_async and not is_interrupted else SyncPipelineOrchestrator()
        STOP["at"] = 2 if is_interrupted else -1
        policy: Any = "fail_fast" if ending == "fail_fast" else "continue"
        seen = _RunId()
        try:
            pipeline.run(orchestrator, error_policy=policy, observer=seen, progress=False)
        except (KeyboardInterrupt, ValueError):
            assert ending != "whole"
        else:
            last = expected(rows)
        history.append((seen.run_id, last))
    STOP["at"] = -1
    names = [name for name, _ in history]
    assert names == sorted(names)
    for name, rows_then in history:
        assert present(pipeline, name) == rows_then


class _RunId(op.observers.NoOpObserver):
    """Observer that notes the name of the run."""

    def on_run_start(self, run_id: str) -> None:
        self.run_id = run_id


def test_what_is_new_costs_nothing_beside_its_entry_and_what_is_the_same_nothing_at_all(tmp_path: Path) -> None:
    with SQLiteDatabase(tmp_path / "lab.db") as database:
        for rows in ([(1, 1)], [(1, 1), (2, 2)], [(1, 1), (2, 2)]):
            study(database, rows).run().raise_for_errors()
        states = database.get_records(("study", "_states")).to_pylist()
        doubled = [row for row in states if row["__node_label"] == "doubled"]
        assert [(row["__number"], row["__rows"], row["__own"]) for row in doubled] == [(1, 1, 1), (2, 2, 1)]
        paths = [path for path in database.list_paths() if "_changes" in path]
        assert all(path[2] != "double" for path in paths)


def test_nodes_that_share_a_table_have_a_present_each() -> None:
    """One function over streams of one schema: their entries lie in one table, and those of twins are the same."""
    database = MemoryDatabase()
    for first, second in ([(1, 1), (2, 2)], [(2, 2), (3, 3)]), ([(2, 2)], [(2, 2), (3, 3), (1, 1)]), ([], [(1, 1)]):
        pipeline = op.Pipeline("study", database)
        with pipeline:
            for labels, rows in ((("one", "twin"), first), (("other",), second)):
                source = DictSource(
                    [{"who": who, "x": x} for who, x in rows],
                    ["who"],
                    source_id=labels[0],
                    data_schema={"who": int, "x": int},
                )
                for label in labels:
                    double.pod(source, label=label)
        assert pipeline.one.path == pipeline.twin.path == pipeline.other.path
        run_id = pipeline.run().run_id
        for label, rows in (("one", first), ("twin", first), ("other", second)):
            found = [(row["who"], row["y"]) for row in pipeline[label].at(run_id).to_pylist()]
            assert sorted(found) == sorted((who, 2 * x) for who, x in rows), label


def test_many_rows_that_come_and_go_are_told_as_few_are() -> None:
    """What changed is looked up row by row of a few rows, and read as a whole of many."""
    database = MemoryDatabase()
    nights = [[(who, 1) for who in range(first, first + 3500)] for first in (0, 7, 0)]
    runs = [study(database, rows).run(progress=False).run_id for rows in nights]
    pipeline = study(database, [])
    for run_id, rows in zip(runs, nights, strict=True):
        assert sorted(pipeline.doubled.at(run_id)["who"].to_pylist()) == [who for who, _ in rows]


def test_two_runs_at_a_time_each_have_their_place(tmp_path: Path) -> None:
    """Each can be read again, and the present is what one of them gave, whole."""
    nights: list[Rows] = [[(who, (who + night) % 3) for who in range(8)] for night in range(4)]
    with SQLiteDatabase(tmp_path / "lab.db") as database:
        barrier = Barrier(len(nights))

        def run(rows: Rows) -> str:
            pipeline = study(database, rows)
            barrier.wait()
            return pipeline.run(progress=False).run_id

        with ThreadPoolExecutor(len(nights)) as pool:
            names = list(pool.map(run, nights))
        pipeline = study(database, nights[0])
        for name, rows in zip(names, nights, strict=True):
            assert present(pipeline, name) == expected(rows)
        states = NodeStates(pipeline.log_database, pipeline.doubled.path, "doubled")
        assert states.last().rows == states.entries().num_rows == 8


def test_a_run_that_was_killed_has_a_beginning_and_no_end(tmp_path: Path) -> None:
    database = MemoryDatabase()
    pipeline = study(database, [(1, 1)])
    whole = pipeline.run(note="the first", tags={"reason": "nightly"}).run_id
    (start,) = pipeline.log_database.get_records(("_run_starts",)).to_pylist()
    assert (start["__run_id"], start["__note"], start["__tags"]) == (whole, "the first", '{"reason": "nightly"}')
    assert pipeline.log_database.get_records(("_runs",), ["__started"])["__started"].to_pylist() == [start["__started"]]


def test_a_run_or_node_that_there_is_not_is_named() -> None:
    database = MemoryDatabase()
    pipeline = study(database, [(1, 1)])
    run_id = pipeline.run().run_id
    with pytest.raises(UnknownRunError, match="no run 'oops'"):
        pipeline.doubled.at("oops")
    renamed = op.Pipeline("study", database)
    with renamed:
        double.pod(DictSource([{"who": 1, "x": 1}], ["who"]), label="other")
    with pytest.raises(LabelError, match=r"had no function node 'other'; it had \['doubled', 'total'\]"):
        renamed.other.at(run_id)


def test_an_entry_says_which_run_wrote_it() -> None:
    database = MemoryDatabase()
    first, second = (study(database, rows).run().run_id for rows in ([(1, 1)], [(1, 1), (2, 2)]))
    entries = study(database, []).log_database.get_records(study(database, []).doubled.path, ["who", RUN_ID])
    assert {(row["who"], row[RUN_ID]) for row in entries.to_pylist()} == {(1, first), (2, second)}


@given(nights=NIGHTS)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_the_history_of_a_tag_says_from_which_run_to_which_each_of_its_rows_was_there(
    nights: list[tuple[Rows, str, bool]],
) -> None:
    database = MemoryDatabase()
    STOP["at"] = -1
    runs = {study(database, rows).run().run_id: rows for rows, _, _ in nights}
    node = study(database, []).doubled
    for who in range(4):
        found = node.history(who=who).to_pylist()
        assert {row["who"] for row in found} <= {who}
        assert [row["__since"] for row in found] == sorted(row["__since"] for row in found)
        for run_id, rows in runs.items():
            there = [row for row in found if row["__since"] <= run_id < (row["__until"] or "g")]
            assert Counter(row["y"] for row in there) == Counter(2 * x for each, x in rows if each == who and x != 9)
    assert node.history().num_rows == sum(node.history(who=who).num_rows for who in range(4))


def test_the_history_of_a_tag_that_there_is_not_is_refused() -> None:
    node = study(MemoryDatabase(), [(1, 1)]).doubled
    assert node.history().num_rows == 0
    with pytest.raises(SchemaError, match=r"has no tag 'whom'; found \['who'\]"):
        node.history(whom=1)
    with pytest.raises(SchemaError, match="who='1' never holds"):
        node.history(who="1")
