"""``PipelineSuite``: whoever drives a pipeline, and wherever it runs and keeps its records, the answer is the same.

Subclass it in a test file, and give your executor, your store or both:

    class TestMyExecutor(PipelineSuite):
        @pytest.fixture
        def executor(self):
            return MyExecutor()

Needs the extra ``testing`` of orcapod-core.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orcapod.databases import MemoryDatabase
from orcapod.executors import LocalExecutor
from orcapod.functions import NodeConfig, PythonPacketFunction
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.pipeline import Pipeline
from orcapod.pods import FunctionPod
from orcapod.protocols import Database, PythonFunctionExecutorProtocol
from orcapod.sources import DictSource
from orcapod.streams import Stream
from orcapod.testing.row_plans import TWIN_OF_A_FAILURE, RowPlan, check_run, row_plans
from orcapod.testing.strategies import ALL_COLUMNS

__all__ = ["PipelineSuite"]

_TIMES = ("_run_starts", "_runs", "_environments")  # tables that tell when and where, and so differ from run to run
_ORCHESTRATORS: Mapping[str, SyncPipelineOrchestrator | AsyncPipelineOrchestrator] = {
    "sync": SyncPipelineOrchestrator(),
    "async, buffers of 1": AsyncPipelineOrchestrator(buffer_size=1),
    "async, buffers of 64": AsyncPipelineOrchestrator(buffer_size=64),
}


def _pods() -> dict[str, FunctionPod]:
    """Return the functions of plans; they are sent by value, so that workers load nothing of orcapod."""

    def plus(x: int | None) -> int | None:
        return None if x is None else x + 1

    async def slowly(x: int | None) -> int | None:
        return None if x is None else -x

    def picky(x: int | None) -> int:
        if x is None or x % 3 == 0:
            raise ValueError(f"not {x}")
        return x * 2

    def in_turn(x: list[int | None]) -> int | None:
        """Give something that depends on the order of the members."""
        return sum((at + 1) * (each or 0) for at, each in enumerate(x)) % 5

    return {each.__name__: FunctionPod(PythonPacketFunction(each, "x")) for each in (plus, slowly, picky, in_turn)}


_PODS = _pods()
_MOST_ROWS = 2000
_ROWS = st.lists(st.tuples(st.sampled_from([None, "a", "b", "c"]), st.sampled_from([None, 0, 1, 2, 3])), max_size=6)
_STEPS = [
    *("plus", "slowly", "picky", "filter", "join", "join of three", "self-join", "fan-out", "group", "batch"),
    *("sort", "head", "sample", "aggregate", "index"),
]
_STEP = st.tuples(st.sampled_from(_STEPS), st.integers(0, 9), st.integers(0, 9))


class _Plan(NamedTuple):
    """Rows ``(k, x)`` of each source, and steps: what is done, to which stream, with which other."""

    sources: Sequence[Sequence[tuple[str | None, int | None]]]
    steps: Sequence[tuple[str, int, int]]

    def build(self) -> None:
        """Call sources, operators and functions, on streams of one tag ``k`` and one packet column ``x``."""
        types = {"k": str | None, "x": int | None}
        streams: list[Stream] = [
            DictSource([{"k": k, "x": x} for k, x in rows], ["k"], source_id=f"s{at}", data_schema=types)
            for at, rows in enumerate(self.sources)
        ]
        most = [len(rows) for rows in self.sources]  # rows of each stream: joins multiply them
        for kind, first, second in self.steps:
            first, second = first % len(streams), second % len(streams)
            meeting = {"join": [second], "join of three": [second, 0], "self-join": [first]}.get(kind, [])
            if prod(rows := [most[index] for index in (first, *meeting)]) > _MOST_ROWS:
                continue
            others = [streams[index].map_packets({"x": f"y{at}"}) for at, index in enumerate(meeting)]
            one = streams[first]
            match kind:
                case "filter":
                    streams.append(one.filter(x=1))
                case "join" | "join of three" | "self-join":
                    streams.append(one.join(*others).drop_packet_columns([f"y{at}" for at in range(len(others))]))
                case "fan-out":
                    streams += [_PODS["plus"](one), _PODS["slowly"](one)]
                case "sort":
                    streams.append(one.sort("x", descending=True))
                case "head":
                    streams.append(one.head(3))
                case "sample":
                    streams.append(one.sample(n=2))
                case "aggregate":
                    streams.append(one.aggregate("k", x=("x", "max")))
                case "index":
                    streams.append(one.group_by("k").index("x", -1))
                case "group":
                    streams.append(_PODS["in_turn"](one.group_by("k")))
                case "batch":  # its tags are lists: nothing else is made of it
                    _PODS["in_turn"](one.batch(2))
                case _:
                    streams.append(_PODS[kind](one))
            most += [prod(rows)] * (len(streams) - len(most))


_PLANS = st.builds(_Plan, st.lists(_ROWS, min_size=1, max_size=2), st.lists(_STEP, min_size=1, max_size=5))


@pytest.mark.filterwarnings("ignore:.* none agree", "ignore:.*share no tag")  # rows are drawn at random
class PipelineSuite:
    """Random pipelines: linear, diamonds, fan-outs, self-joins; with nulls, empties, duplicates and failures.

    Each is run as plainly as can be, one call after the other with records in memory, and as the subclass
    says, by every orchestrator; all must leave the same behind.
    """

    _fresh = count()

    @pytest.fixture
    def executor(self) -> PythonFunctionExecutorProtocol:
        """Return where functions run; in the calling thread unless a subclass says otherwise."""
        return LocalExecutor()

    def make_database(self, folder: Path) -> Database:
        """Return an empty store, in memory unless a subclass says otherwise; ``folder`` is an empty folder for it."""
        return MemoryDatabase()

    @pytest.mark.parametrize("orchestrator", _ORCHESTRATORS)
    @settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=10)
    @given(plan=_PLANS)
    def test_every_run_gives_the_same_answer_and_records(
        self, executor: PythonFunctionExecutorProtocol, tmp_path: Path, orchestrator: str, plan: _Plan
    ) -> None:
        """Tables with ids and provenance, hashes, counts, errors, and the keys of all records."""
        expected = _answer(plan, MemoryDatabase())
        with self.make_database(self._folder(tmp_path)) as database:
            found = _answer(plan, database, orchestrator=_ORCHESTRATORS[orchestrator], execution_engine=executor)
        for what, value in found.items():
            assert value == expected[what], what

    @settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=10)
    @given(plan=_PLANS)
    def test_what_one_orchestrator_computed_no_other_computes_again(
        self, executor: PythonFunctionExecutorProtocol, tmp_path: Path, plan: _Plan
    ) -> None:
        """Only failures are tried again."""
        with self.make_database(self._folder(tmp_path)) as database:
            first = _answer(plan, database, execution_engine=executor)
            for orchestrator in _ORCHESTRATORS.values():
                again = _answer(plan, database, orchestrator=orchestrator, execution_engine=executor)
                assert again.pop("computed") == 0
                assert again == {what: first[what] for what in again}

    @pytest.mark.parametrize("orchestrator", _ORCHESTRATORS)
    @settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=12)
    @given(plan=row_plans())
    @example(plan=TWIN_OF_A_FAILURE)
    def test_every_row_is_given_its_own_value(
        self, executor: PythonFunctionExecutorProtocol, tmp_path: Path, orchestrator: str, plan: RowPlan
    ) -> None:
        """Whatever fails, is retried or is equal beside it: so says plain Python, and the store to the next run."""
        self._run_twice(executor, tmp_path, orchestrator, plan)

    @pytest.mark.parametrize("orchestrator", _ORCHESTRATORS)
    def test_so_it_is_where_rows_are_looked_up_in_portions(
        self, executor: PythonFunctionExecutorProtocol, tmp_path: Path, orchestrator: str
    ) -> None:
        """More rows than are looked up at once, with twins and failures in every portion."""
        numbers = [number * number % 1000 for number in range(4300)]
        plan = RowPlan([numbers], [("plus", 0, 0), ("picky", 0, 0), ("join", 1, 2)], NodeConfig())
        self._run_twice(executor, tmp_path, orchestrator, plan)

    @settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=5)
    @given(plan=_PLANS)
    def test_what_is_explained_is_what_a_run_does(self, tmp_path: Path, plan: _Plan) -> None:
        """As far as anything is known before; and then all is there but what has failed and what is made of it."""
        with self.make_database(self._folder(tmp_path)) as database:
            with Pipeline("p", database) as pipeline:
                plan.build()
            before, result = pipeline.explain(), pipeline.run()
            for label, told in before.items():
                assert told.unknown or told.rows == sum(result.counts(label).values()), label
            for label, told in pipeline.explain().items():
                counts = result.counts(label)
                assert told.cached == counts["computed"] + counts["cached"], label
                assert told.new + told.stale + told.failed == counts["failed"], label
                assert told.unknown == counts["incomplete"], label

    def _run_twice(
        self, executor: PythonFunctionExecutorProtocol, tmp_path: Path, orchestrator: str, plan: RowPlan
    ) -> None:
        folder, marks = self._folder(tmp_path), self._folder(tmp_path)
        with self.make_database(folder) as database:
            pipeline = Pipeline("p", database)
            with pipeline:
                nodes = plan.build(marks)
            for turn in range(2):
                result = pipeline.run(_ORCHESTRATORS[orchestrator], execution_engine=executor)
                check_run(nodes, pipeline, result, is_first=not turn)

    def _folder(self, tmp_path: Path) -> Path:
        """Return a new one for every example: ``tmp_path`` is the same for all of a test."""
        folder = tmp_path / f"{next(self._fresh)}"
        folder.mkdir()
        return folder


def _answer(plan: _Plan, database: Database, **run: Any) -> dict[str, Any]:
    """Return everything that a run leaves behind, as far as it does not depend on when it happened."""
    pipeline = Pipeline("p", database)
    with pipeline:
        plan.build()
    result = pipeline.run(**run)
    return {
        "tables": {
            node.label: Counter(map(repr, node.as_table(columns=ALL_COLUMNS).to_pylist())) for node in pipeline.values()
        },
        "hashes": {node.label: (str(node.content_hash()), str(node.pipeline_hash())) for node in pipeline.values()},
        # Of two nodes that need the same packet, either may be the one that computes it.
        "counts": {
            label: (each["computed"] + each["cached"], each["failed"], each.get("incomplete", 0))
            for label, each in result.node_counts.items()
        },
        "computed": sum(each["computed"] for each in result.node_counts.values()),
        "errors": Counter(map(str, result.errors)),
        "records": {
            path: sorted(map(repr, database.get_records(path).column(0).to_pylist()))
            for path in database.list_paths()
            if path[-1] not in _TIMES and "_changes" not in path  # whose keys name the run
        },
    }
