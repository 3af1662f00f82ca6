"""Computing again on purpose, and parts of a pipeline: ``run(recompute=, only=, until=, where=)``."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase, SQLiteDatabase
from orcapod.errors import ConfigError, DamagedRecordError, LabelError, OrcapodError
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import DictSource
from orcapod.testing.strategies import ALL_COLUMNS

SYNC, ASYNC = SyncPipelineOrchestrator(), AsyncPipelineOrchestrator()
ORCHESTRATORS = [SYNC, ASYNC]
CALLS: Counter[tuple[str, int]] = Counter()
CLOCK = itertools.count()


@op.function_pod("rate", identity="version")
def rates(x: int) -> int:
    """Give something else for odd numbers each time."""
    CALLS["rates", x] += 1
    return x if x % 2 == 0 else 1_000 + next(CLOCK)


@op.function_pod("double", identity="version")
def doubled(rate: int) -> int:
    CALLS["doubled", rate] += 1
    return 2 * rate


@pytest.fixture(autouse=True)
def nothing_called() -> None:
    CALLS.clear()


def study(database: Any = None, subjects: Sequence[int] = range(1, 5)) -> op.Pipeline:
    rows = [{"subject": f"s{x}", "x": x} for x in subjects]
    with op.Pipeline("study", MemoryDatabase() if database is None else database) as pipeline:
        first = rates.pod(DictSource(rows, ["subject"], source_id="subjects"), label="rates")
        doubled.pod(first, label="doubled")
    return pipeline


def values(pipeline: op.Pipeline, label: str) -> dict[str, int]:
    return {tag["subject"]: next(iter(packet.values())) for tag, packet in pipeline[label].iter_packets()}


@pytest.mark.parametrize("orchestrator", ORCHESTRATORS)
def test_what_is_there_is_computed_again_and_the_newest_is_served_from_then_on(orchestrator: Any) -> None:
    pipeline = study()
    pipeline.run(orchestrator)
    before = values(pipeline, "rates")
    result = pipeline.run(orchestrator, recompute=["rates"])
    assert result.counts("rates") == {"computed": 4, "cached": 0, "failed": 0}
    assert result.counts("doubled") == {"computed": 2, "cached": 2, "failed": 0}, "which see the new values"
    again = result.recomputed["rates"]
    assert again.equal == 2
    assert sorted(tag["subject"] for tag in again.different) == ["s1", "s3"], "which are not deterministic"
    assert "rates: 4 computed, 0 cached, 0 failed; again: 2 equal, 2 different" in repr(result)
    after = values(pipeline, "rates")
    assert {subject for subject in after if after[subject] == before[subject]} == {"s2", "s4"}
    assert values(pipeline, "doubled") == {subject: 2 * rate for subject, rate in after.items()}
    assert pipeline.run(orchestrator).counts("rates") == {"computed": 0, "cached": 4, "failed": 0}
    assert values(study(pipeline.database), "rates") == after, "whoever reads it"
    alone = op.CachedFunctionPod(rates.pod, pipeline.database)(pipeline.subjects)
    assert sorted(packet["rate"] for _, packet in alone.iter_packets()) == sorted(after.values())
    third = pipeline.run(orchestrator, recompute="rates").recomputed["rates"]
    assert (third.equal, len(third.different)) == (2, 2)
    assert values(pipeline, "rates") != after


@pytest.mark.parametrize("orchestrator", ORCHESTRATORS)
def test_only_the_rows_named_are_computed_again(orchestrator: Any) -> None:
    pipeline = study()
    pipeline.run(orchestrator)
    CALLS.clear()
    result = pipeline.run(orchestrator, recompute={"rates": {"subject": ["s1", "s2"]}, "doubled": {"subject": "s4"}})
    assert result.counts("rates") == {"computed": 2, "cached": 2, "failed": 0}
    assert (result.recomputed["rates"].equal, len(result.recomputed["rates"].different)) == (1, 1)
    assert (result.recomputed["doubled"].equal, result.recomputed["doubled"].different) == (1, [])
    assert {name: each for (function, name), each in CALLS.items() if function == "rates"} == {1: 1, 2: 1}


def test_the_old_record_stays_beside_the_new_one(tmp_path: Path) -> None:
    """Rows that were made of it still lead to it, and nothing of it is taken for damaged."""
    with SQLiteDatabase(tmp_path / "s.db") as database:
        pipeline = study(database)
        pipeline.run()
        old = pipeline.doubled.as_table(ALL_COLUMNS).to_pylist()
        pipeline.run(recompute=["rates"])
        new = pipeline.doubled.as_table(ALL_COLUMNS).to_pylist()
        results = database.get_records(("_result", *pipeline.rates.uri)).to_pylist()
        assert len(results) == 8
        named = {row["__record_id"].hex(): row["rate"] for row in results}
        for rows in (old, new):
            sources = [row["_source_double"].split("::")[1] for row in rows]
            inputs = database.get_records(("study", *pipeline.doubled.path)).to_pylist()
            by_id = {row["__record_id"].hex(): row["_source_rate"].split("::")[1] for row in inputs}
            assert [named[by_id[source]] * 2 for source in sources] == [row["double"] for row in rows]
        attempts = database.get_records(("_attempt", *pipeline.rates.uri)).to_pylist()
        assert [row["__attempt"] for row in attempts] == [1] * 4
        assert {row["__first_id"] for row in attempts} < {row["__record_id"] for row in results}
        assert op.verify_store(database).ok
        for table in (results, attempts):
            assert all(row["__run_id"] for row in table)


@pytest.mark.parametrize(("column", "value"), [("__attempt", 2), ("__attempt", None), ("__first_id", b"other")])
def test_a_damaged_attempt_is_named(tmp_path: Path, column: str, value: Any) -> None:
    """And no earlier result is served as if it were the newest."""
    with SQLiteDatabase(tmp_path / "s.db") as database:
        pipeline = study(database)
        pipeline.run()
        pipeline.run(recompute=["rates"])
        path = ("_attempt", *pipeline.rates.uri)
    with contextlib.closing(sqlite3.connect(tmp_path / "s.db")) as connection, connection:
        connection.execute(f'UPDATE "{"/".join(path)}" SET {column} = ? WHERE _row = 1', [value])
    with SQLiteDatabase(tmp_path / "s.db") as database:
        pipeline = study(database)
        with pytest.raises(DamagedRecordError, match="_attempt/rate.*__record_id [0-9a-f]{64}"):
            pipeline.run()


@op.function_pod("y", identity="version")
def breaking(x: int) -> int:
    if CALLS["breaking", x] and x == 1:
        raise ValueError("not again")
    CALLS["breaking", x] += 1
    return x


@pytest.mark.parametrize("orchestrator", ORCHESTRATORS)
def test_what_fails_when_it_is_computed_again_is_there_as_before(orchestrator: Any) -> None:
    with op.Pipeline("p") as pipeline:
        breaking.pod(DictSource([{"i": 1, "x": 1}, {"i": 2, "x": 2}], ["i"]), label="breaking")
    pipeline.run(orchestrator)
    result = pipeline.run(orchestrator, recompute=["breaking"])
    assert result.counts("breaking") == {"computed": 1, "cached": 0, "failed": 1}
    assert (result.recomputed["breaking"].equal, result.recomputed["breaking"].different) == (1, [])
    assert pipeline.run(orchestrator).counts("breaking") == {"computed": 0, "cached": 2, "failed": 0}


def test_what_was_never_computed_is_neither_equal_nor_different() -> None:
    pipeline = study()
    result = pipeline.run(recompute=["rates"])
    assert result.counts("rates")["computed"] == 4
    assert (result.recomputed["rates"].equal, result.recomputed["rates"].different) == (0, [])
    assert "doubled" not in result.recomputed


def test_equal_rows_are_computed_again_once(tmp_path: Path) -> None:
    rows = [{"subject": f"s{at}", "x": 7} for at in range(3)]
    with op.Pipeline("p", tmp_path / "p.db") as pipeline:
        rates.pod(DictSource(rows, ["subject"], source_id="s"), label="rates")
    pipeline.run()
    for orchestrator in ORCHESTRATORS:
        result = pipeline.run(orchestrator, recompute=["rates"])
        assert result.counts("rates") == {"computed": 1, "cached": 2, "failed": 0}
        assert len(set(values(pipeline, "rates").values())) == 1


RELEASED, STARTED = threading.Event(), threading.Event()
CALLERS: Counter[tuple[int, str]] = Counter()


@op.function_pod("y", identity="version")
def shared(x: int) -> int:
    """Wait for a call of the other, in all calls of the first but one."""
    name = threading.current_thread().name
    CALLERS[x, name] += 1
    if name == "other":
        RELEASED.set()
    elif name == "first" and sum(count for (_, each), count in CALLERS.items() if each == "first") > 1:
        STARTED.set()
        assert RELEASED.wait(60)
    return x


def test_processes_that_share_the_work_compute_each_packet_again_once(tmp_path: Path) -> None:
    """What the first has computed again when the other comes is not computed once more."""

    def run(name: str) -> None:
        with op.Pipeline(name, tmp_path / "p.db") as pipeline:
            shared.pod(DictSource([{"i": x, "x": x} for x in range(60)], ["i"], source_id="s"), label="shared")
        results[name] = pipeline.run(SYNC, recompute=["shared"], share_work=True)

    results: dict[str, op.RunResult] = {}
    run("before")
    first = threading.Thread(target=run, args=["first"], name="first")
    other = threading.Thread(target=run, args=["other"], name="other")
    first.start()
    assert STARTED.wait(60)
    other.start()
    first.join(120)
    other.join(120)
    again = {x for (x, name) in CALLERS if name != threading.current_thread().name}
    assert again == set(range(60))
    assert CALLERS.total() == 120, "60 before, and 60 again"
    assert sum(results[name].recomputed["shared"].equal for name in ("first", "other")) == 60
    assert all(result.ok for result in results.values())
    run("later")
    assert CALLERS.total() == 180, "a run of its own computes all again"


@pytest.mark.parametrize("orchestrator", ORCHESTRATORS)
def test_only_the_nodes_named_compute_and_all_others_give_what_is_there(orchestrator: Any) -> None:
    pipeline = study()
    result = pipeline.run(orchestrator, only=["rates"])
    assert result.counts("rates")["computed"] == 4
    assert result.counts("doubled") == {"computed": 0, "cached": 0, "failed": 0, "skipped": 4}
    assert result.ok
    assert not result.is_whole
    assert pipeline.run(orchestrator).counts("doubled") == {"computed": 4, "cached": 0, "failed": 0}
    more = study(pipeline.database, range(1, 6))
    result = more.run(orchestrator, only="doubled")
    assert result.counts("rates") == {"computed": 0, "cached": 4, "failed": 0, "skipped": 1}
    assert result.counts("doubled") == {"computed": 0, "cached": 4, "failed": 0, "incomplete": 1}
    assert result.ok, "it was left out on purpose"
    result.raise_for_errors()


@pytest.mark.parametrize("orchestrator", ORCHESTRATORS)
def test_a_run_goes_until_the_nodes_named(orchestrator: Any) -> None:
    pipeline = study()
    result = pipeline.run(orchestrator, until="rates")
    assert result.counts("rates")["computed"] == 4
    with pytest.raises(LabelError):
        result.counts("doubled")
    assert not [call for call in CALLS if call[0] == "doubled"]
    assert pipeline.run(orchestrator, until=["subjects"]).node_counts == {}


@pytest.mark.parametrize("orchestrator", ORCHESTRATORS)
def test_only_rows_whose_tags_match_are_computed(orchestrator: Any) -> None:
    pipeline = study()
    result = pipeline.run(orchestrator, where={"subject": ["s1", "s2"]})
    assert result.counts("rates") == {"computed": 2, "cached": 0, "failed": 0, "skipped": 2}
    assert set(values(pipeline, "doubled")) == {"s1", "s2"}
    result = pipeline.run(orchestrator, where={"subject": "s4"})
    assert result.counts("rates") == {"computed": 1, "cached": 2, "failed": 0, "skipped": 1}, "others' are given on"
    assert set(values(pipeline, "doubled")) == {"s1", "s2", "s4"}
    result = pipeline.run(orchestrator, where={"subject": "s4"}, recompute="rates")
    assert result.counts("rates") == {"computed": 1, "cached": 2, "failed": 0, "skipped": 1}


def test_a_group_is_computed_if_one_of_its_members_is_wanted_and_all_are_there() -> None:
    @op.function_pod("total", identity="version")
    def total(double: list[int]) -> int:
        return sum(double)

    rows = [{"subject": f"s{x}", "site": "ab"[x // 3], "x": x} for x in (2, 4, 0)]
    with op.Pipeline("p") as pipeline:
        first = doubled.pod(rates.pod(DictSource(rows, ["subject", "site"]), label="rates"), label="doubled")
        total.pod(first.group_by("site"), label="total")
    result = pipeline.run(where={"subject": "s4"})
    assert result.counts("total") == {"computed": 1, "cached": 0, "failed": 0, "incomplete": 1}
    assert pipeline.total.as_table()["total"].to_pylist() == [8]
    assert pipeline.run().counts("total") == {"computed": 1, "cached": 1, "failed": 0}


WRONG: Mapping[str, tuple[dict[str, Any], type[OrcapodError], str]] = {
    "a node": ({"only": ["rate"]}, LabelError, r"only names 'rate'.*found \['rates', 'doubled'\]"),
    "a source": ({"recompute": "subjects"}, LabelError, r"recompute names 'subjects'.*function node"),
    "an end": ({"until": "x"}, LabelError, r"until names 'x'.*found \['subjects', 'rates', 'doubled'\]"),
    "a tag": ({"where": {"subjekt": "s1"}}, LabelError, r"where names the tag 'subjekt'.*found \['subject'\]"),
    "a tag of one": ({"recompute": {"rates": {"x": 1}}}, LabelError, r"recompute of 'rates' names the tag 'x'"),
    "beyond the end": ({"until": "rates", "only": "doubled"}, LabelError, "only names 'doubled'"),
    "a number": ({"recompute": 1}, ConfigError, "recompute"),
    "a list": ({"where": ["s1"]}, ConfigError, "where"),
    "a value of another type": ({"where": {"subject": ["s1", 1]}}, ConfigError, r"where: subject=1 never holds.*str"),
    "a value of one": ({"recompute": {"rates": {"subject": 1.5}}}, ConfigError, "recompute of 'rates': subject=1.5"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_there_is_refused_before_anything_is_computed(case: str) -> None:
    arguments, error, text = WRONG[case]
    with pytest.raises(error, match=text):
        study().run(**arguments)
    assert not CALLS


UNMET: Mapping[str, tuple[dict[str, Any], str]] = {
    "a value": ({"where": {"subject": ["s1", "s9"]}}, r"where: no row has subject='s9'; check how it is written$"),
    "all": ({"where": {"subject": ["S1", "S2"]}}, r"where: no row has subject='S1', or subject='S2'; check"),
    "a null": ({"where": {"subject": None}}, "where: no row has subject=None; check"),
    "again": ({"recompute": {"rates": {"subject": "s9"}}}, r"recompute of 'rates': no row has subject='s9'; check"),
}


@pytest.mark.parametrize("orchestrator", ORCHESTRATORS)
@pytest.mark.parametrize("case", UNMET)
def test_what_meets_no_row_is_warned_of_once(case: str, orchestrator: Any) -> None:
    arguments, text = UNMET[case]
    with pytest.warns(UserWarning, match=text) as caught:
        study().run(orchestrator, **arguments)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_values_that_no_row_has_together_are_warned_of() -> None:
    rows = [{"subject": "s1", "site": "a", "x": 1}, {"subject": "s2", "site": "b", "x": 2}]
    with op.Pipeline("p") as pipeline:
        rates.pod(DictSource(rows, ["subject", "site"]), label="rates")
    with pytest.warns(UserWarning, match="where: no row has all of subject='s1' and site='b'; check"):
        assert pipeline.run(where={"subject": "s1", "site": "b"}).counts("rates")["skipped"] == 2


class Place(NamedTuple):
    north: int
    east: float


ALIKE: Mapping[str, tuple[Any, Any, Any]] = {
    "numpy": (int, 2, np.int64(2)),
    "an int for a float": (float, 2.0, 2),
    "NaN": (float, float("nan"), float("nan")),
    "null": (int | None, None, None),
    "zeros": (float, 0.0, -0.0),
    "an array": (np.ndarray, np.arange(3), np.arange(3)),
    "a record": (Place, Place(1, 2.0), Place(1, 2.0)),
}


@pytest.mark.parametrize("case", ALIKE)
def test_values_are_compared_as_a_filter_does(case: str) -> None:
    dtype, value, alike = ALIKE[case]
    other = {int: 3, float: 3.0, np.ndarray: np.arange(4), Place: Place(2, 2.0)}.get(dtype, 3)
    source = DictSource([{"t": value, "x": 2}, {"t": other, "x": 4}], ["t"], data_schema={"t": dtype})
    assert source.filter(t=alike).as_table()["x"].to_pylist() == [2]
    with op.Pipeline("p") as pipeline:
        rates.pod(source, label="rates")
    assert pipeline.run(where={"t": alike}).counts("rates") == {"computed": 1, "cached": 0, "failed": 0, "skipped": 1}
    assert pipeline.rates.as_table()["rate"].to_pylist() == [2]


@op.function_pod("total", identity="version")
def total(x: int) -> int:
    return x


NAMED: Mapping[str, tuple[Any, Any, Any, list[int]]] = {
    "the whole list": (list[int], [[], [1], [1, 2], [2, 3]], [1], [1]),
    "the empty list": (list[int], [[], [1], [1, 2], [2, 3]], [], [0]),
    "any of some lists": (list[int], [[], [1], [1, 2], [2, 3]], [[1], [2, 3]], [1, 3]),
    "a member": (list[int], [[], [1], [1, 2], [2, 3]], 2, [2, 3]),
    "any of some members": (list[int], [[], [1], [1, 2], [2, 3]], (1, 3), [1, 2, 3]),
    "a list that is a member": (list[list[int]], [[[1], [2]], [[1, 2]], [[3]]], [1, 2], [1]),
    "a list of lists": (list[list[int]], [[[1], [2]], [[1]], [[3]]], [[1]], [1]),
    "no list": (list[int] | None, [None, [1]], None, [0]),
    "a tuple": (tuple[int, str], [(1, "a"), (2, "a")], (2, "a"), [1]),
    "any of some tuples": (tuple[int, str], [(1, "a"), (2, "a"), (3, "a")], [(2, "a"), (3, "a")], [1, 2]),
    "a set": (set[int], [{1}, {1, 2}], {2, 1}, [1]),
    "an id": (UUID, [UUID(int=1), UUID(int=2)], UUID(int=2), [1]),
    "any of some values": (int, [1, 2, 3], [1, 3], [0, 2]),
}


@pytest.mark.parametrize("case", NAMED)
def test_a_list_or_tuple_that_may_be_the_tag_is_one_value_wherever_rows_are_named(case: str) -> None:
    dtype, tags, value, rows = NAMED[case]
    source = DictSource(
        [{"t": tag, "x": x} for x, tag in enumerate(tags)], ["t"], data_schema={"t": dtype, "x": int}, source_id="s"
    )
    with op.Pipeline("p") as pipeline:
        total.pod(source, label="total")
    assert pipeline.run(where={"t": value}).counts("total")["computed"] == len(rows)
    assert pipeline.total.as_table()["total"].to_pylist() == rows
    pipeline.run()
    assert pipeline.explain("total", {"t": value}).cached == len(rows)
    assert pipeline.run(recompute={"total": {"t": value}}).counts("total")["computed"] == len(rows)
    assert pipeline.total.invalidate(t=value) == len(rows)
    if len(rows) == 1 and value in tags:
        assert {*pipeline.total.history(t=value)["total"].to_pylist()} == {*rows}, "what is told of the same tag"
        trace = op.open_store(pipeline.database).trace("p", "total", {"t": value})
        assert [row.record_id for row in trace.sources()] == [f"row_{rows[0]}"]


def test_values_of_a_run_may_be_members_of_lists_where_another_node_has_them_one_by_one() -> None:
    @op.function_pod("total", identity="version")
    def totals(rate: list[int]) -> int:
        return sum(rate)

    rows = [{"subject": f"s{x}", "site": "abc"[x // 3], "x": x} for x in (0, 2, 4, 6)]
    with op.Pipeline("p") as pipeline:
        first = rates.pod(DictSource(rows, ["subject", "site"]), label="rates")
        totals.pod(first.group_by("site"), label="totals")
    result = pipeline.run(where={"subject": ["s0", "s2", "s4"]})
    assert result.counts("totals") == {"computed": 2, "cached": 0, "failed": 0, "incomplete": 1}
    assert pipeline.run(recompute={"totals": {"subject": ["s0", "s2"]}}).counts("totals")["computed"] == 2
    assert pipeline.run(recompute={"totals": {"subject": ["s0", "s2"]}}).counts("totals")["computed"] == 1
    assert pipeline.run(recompute={"totals": {"subject": ("s0", "s4")}}).counts("totals")["computed"] == 2


# Properties


class Plan(NamedTuple):
    """Random DAG: function nodes, each made of one stream before it or of two that are joined.

    Attributes:
        rows: the numbers of the source.
        nodes: for each, of which streams it is made; of one alone where the first number is even.
    """

    rows: Sequence[int]
    nodes: Sequence[tuple[int, int]]

    def build(self, database: Any, shift: Mapping[str, int]) -> op.Pipeline:
        def function(label: str) -> Any:
            def plus(x: int) -> int:
                return x + 1 + shift.get(label, 0)

            pod = op.function_pod("x", name=label, identity="version")
            return pod(plus)

        rows = [{"i": i, "x": 1_000 * i + x} for i, x in enumerate(self.rows)]
        with op.Pipeline("p", database) as pipeline:
            source = DictSource(rows, ["i"], source_id="s", data_schema={"i": int, "x": int})
            streams: list[Any] = [source]
            for at, (first, second) in enumerate(self.nodes):
                one, other = streams[first % len(streams)], streams[second % len(streams)]
                if first % 2:
                    one = one.join(other.map_packets({"x": "y"})).drop_packet_columns(["y"])
                streams.append(function(f"n{at}").pod(one, label=f"n{at}"))
        return pipeline

    def inputs(self, at: int) -> set[int]:
        """Return the nodes that a node is made of, the source being -1."""
        first, second = self.nodes[at]
        one = first % (at + 1) - 1
        return {one, second % (at + 1) - 1} if first % 2 else {one}

    def needed(self, ends: set[int]) -> set[int]:
        """Return these nodes and all that they are made of."""
        found: set[int] = set()
        waiting = list(ends)
        while waiting:
            if (at := waiting.pop()) not in found and at >= 0:
                found.add(at)
                waiting += self.inputs(at)
        return found


PLANS = st.builds(
    Plan,
    st.lists(st.integers(0, 5), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=4),
)


class Model:
    """What is there after each run, in plain Python: (node, row) to its value."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.results: dict[tuple[int, int], int] = {}  # (node, value of the input) to the newest result
        self.values: dict[tuple[int, int], int] = {}  # (node, row) to what the last run gave

    def run(
        self, only: set[int] | None, ends: set[int] | None, rows: set[int] | None, again: set[int], shift: int
    ) -> dict[int, Counter[str]]:
        counts: dict[int, Counter[str]] = {}
        values: dict[tuple[int, int], int] = {}
        plan = self.plan
        for i, x in enumerate(plan.rows):
            values[-1, i] = 1_000 * i + x
        reached = plan.needed(ends) if ends is not None else set(range(len(plan.nodes)))
        for at in sorted(reached):
            counts[at] = Counter()
            first = plan.nodes[at][0] % (at + 1) - 1
            for i in range(len(plan.rows)):
                if any((part, i) not in values for part in plan.inputs(at)):
                    counts[at]["incomplete"] += 1
                    continue
                key = at, values[first, i]
                wanted = (only is None or at in only) and (rows is None or i in rows)
                if wanted and (at in again or key not in self.results):
                    self.results[key] = key[1] + 1 + (shift if at in again else 0)
                    counts[at]["computed"] += 1
                elif key in self.results:
                    counts[at]["cached"] += 1
                else:
                    counts[at]["skipped"] += 1
                    continue
                values[at, i] = self.results[key]
        self.values = {key: value for key, value in values.items() if key[0] >= 0}
        return counts


@settings(max_examples=30)
@given(PLANS, st.data(), st.sampled_from(ORCHESTRATORS))
def test_any_parts_give_what_plain_python_gives(plan: Plan, data: st.DataObject, orchestrator: Any) -> None:
    """After any runs of parts, again or not, each node holds what the last that computed it gave."""
    nodes = list(range(len(plan.nodes)))
    some = st.none() | st.sets(st.sampled_from(nodes), min_size=1)
    database, model = MemoryDatabase(), Model(plan)
    for turn in range(1, data.draw(st.integers(1, 3)) + 1):
        ends = data.draw(some)
        reached = sorted(plan.needed(ends) if ends is not None else nodes)
        of_these = st.sets(st.sampled_from(reached), min_size=1)
        only, again = data.draw(st.none() | of_these), data.draw(st.just(set()) | of_these)
        rows = data.draw(st.none() | st.sets(st.sampled_from(range(len(plan.rows))), min_size=1))
        shift = 100_000 * turn * data.draw(st.booleans())
        pipeline = plan.build(database, {f"n{at}": shift for at in again})
        result = pipeline.run(
            orchestrator,
            only=None if only is None else [f"n{at}" for at in only],
            until=None if ends is None else [f"n{at}" for at in ends],
            where=None if rows is None else {"i": list(rows)},
            recompute=[f"n{at}" for at in again] if again else None,
        )
        expected = model.run(only, ends, rows, again, shift)
        found = {int(label[1:]): Counter(counts) for label, counts in result.node_counts.items()}
        assert {at: +counts for at, counts in found.items()} == {at: +counts for at, counts in expected.items()}
    pipeline = plan.build(database, {})
    result = pipeline.run(orchestrator)
    expected = model.run(None, None, None, set(), 0)
    assert {int(label[1:]): +Counter(counts) for label, counts in result.node_counts.items()} == {
        at: +counts for at, counts in expected.items()
    }
    assert result.ok
    found_values = {(at, tag["i"]): packet["x"] for at in nodes for tag, packet in pipeline[f"n{at}"].iter_packets()}
    assert found_values == model.values


FACTOR = [1]


@op.function_pod("v", identity="version")
def scaled(x: int) -> int:
    return x * FACTOR[0]


@op.function_pod("mean", identity="version")
def mean(v: list[int]) -> float:
    return sum(v) / len(v)


@pytest.mark.parametrize("orchestrator", ORCHESTRATORS)
@pytest.mark.parametrize("named", [1, 2, 3])
def test_rows_of_one_packet_change_together_whichever_is_named(orchestrator: Any, named: int) -> None:
    FACTOR[0] = 1
    rows = [
        {"id": 1, "g": "a", "x": 5},
        {"id": 2, "g": "a", "x": 5},
        {"id": 3, "g": "b", "x": 5},
        {"id": 4, "g": "b", "x": 7},
    ]
    with op.Pipeline("study", MemoryDatabase()) as pipeline:
        values = scaled.pod(DictSource(rows, ["id", "g"], source_id="s"), label="values")
        mean.pod(values.group_by("g", tags="drop"), label="means")
    pipeline.run(orchestrator)
    FACTOR[0] = 10
    result = pipeline.run(orchestrator, recompute={"values": {"id": named}})
    assert result.counts("values")["computed"] == 1
    assert pipeline["values"].as_table()["v"].to_pylist() == [50, 50, 50, 7]
    assert {row["g"]: row["mean"] for row in pipeline["means"].as_table().to_pylist()} == {"a": 50, "b": 28.5}
    again = pipeline.run(orchestrator)
    assert not any(counts["computed"] for counts in again.node_counts.values())


def test_groups_that_must_be_whole_are_no_failure_where_rows_were_not_wanted() -> None:
    rows = [{"id": 1, "g": "a", "x": 5}, {"id": 2, "g": "b", "x": 6}]
    with op.Pipeline("study", MemoryDatabase()) as pipeline:
        values = scaled.pod(DictSource(rows, ["id", "g"], source_id="s"), label="values")
        mean.pod(values.group_by("g", tags="drop", incomplete="raise"), label="means")
    assert not pipeline["means"].as_table().num_rows
    result = pipeline.run(where={"g": "a"})
    assert result.counts("means") == {"computed": 1, "cached": 0, "failed": 0, "incomplete": 1}
    assert pipeline["means"].as_table()["g"].to_pylist() == ["a"]
