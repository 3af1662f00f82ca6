"""Promise 25: what a run would compute is told before, and why, and it tells the same of itself afterwards."""

from __future__ import annotations

import pickle
import re
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase, SQLiteDatabase
from orcapod.errors import ConfigError, LabelError
from orcapod.nodes import NodePlan, Reason
from orcapod.nodes.reasons import Failed, Requested
from orcapod.observers import LoggingObserver
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.protocols import Database
from orcapod.sources import DictSource

FACTOR = 2


def scaled(x: int) -> int:
    return FACTOR * x


@op.function_pod(output_keys="y")
def scale(x: int) -> int:
    if x == 9:
        raise ValueError("nine")
    return scaled(x)


@op.function_pod(output_keys="total", identity="version")
def total(y: list[int]) -> int:
    return sum(y)


@pytest.fixture(autouse=True)
def _factor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "FACTOR", 2)


def edit(factor: int) -> None:
    globals()["FACTOR"] = factor


def study(database: Database, rows: list[tuple[int, int]]) -> op.Pipeline:
    pipeline = op.Pipeline("study", database)
    source = DictSource(
        [{"who": who, "x": x} for who, x in rows],
        ["who"],
        source_id="s",
        data_schema={"who": int, "x": int},
    )
    with pipeline:
        total.pod(scale.pod(source, label="scale").batch(), label="total")
    return pipeline


def run(pipeline: op.Pipeline, **options: Any) -> op.RunResult:
    return pipeline.run(progress=False, observer=LoggingObserver(pipeline.log_database), **options)


def counts(plan: NodePlan) -> dict[str, int]:
    names = ("cached", "new", "stale", "failed", "unknown")
    return {name: count for name in names if (count := getattr(plan, name))}


def only(reasons: Any) -> Reason:
    (reason,) = reasons
    assert isinstance(reason, Reason)
    return reason


def contents(database: Database) -> dict[Any, int]:
    return {path: database.get_records(path).num_rows for path in database.list_paths()}


def kind_of(reason: Reason) -> str:
    kind = type(reason.cause).__name__
    return kind if kind != "Changed" else "code" if reason.cause.code else "input"  # type: ignore[union-attr]


@contextmanager
def opened(kind: str) -> Iterator[Database]:
    if kind == "memory":
        yield MemoryDatabase()
        return
    with TemporaryDirectory() as folder, SQLiteDatabase(Path(folder) / "lab.db") as database:
        yield database


Nights = list[tuple[list[tuple[int, int]], int, bool]]
NIGHTS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 3), st.sampled_from([1, 2, 9])), max_size=5),
        st.sampled_from([2, 2, 3]),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


class Model:
    """What a plain program notes of the same nights."""

    def __init__(self) -> None:
        self.results: set[tuple[int, int]] = set()
        self.given: set[int] = set()
        self.failed: set[int] = set()
        self.factor = 0

    def kinds(self, rows: list[tuple[int, int]], factor: int) -> list[str]:
        return [self._kind(who, x, factor) for who, x in rows]

    def _kind(self, who: int, x: int, factor: int) -> str:
        if (factor, x) in self.results:
            return "cached"
        if who in self.failed and factor == self.factor:
            return "Failed"
        if any(x == each for _, each in self.results):
            return "code"
        # The last run says which code made what the row had.
        if who in self.given:
            return "input" if factor == self.factor else "code"
        return "Failed" if who in self.failed else "New"

    def run(self, rows: list[tuple[int, int]], factor: int) -> None:
        self.results |= {(factor, x) for _, x in rows if x != 9}
        self.given = {who for who, x in rows if x != 9}
        self.failed = {who for who, x in rows if x == 9}
        self.factor = factor


@pytest.mark.parametrize("store", ["memory", "sqlite"])
@given(nights=NIGHTS)
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_explained_is_what_the_run_does_and_says(store: str, nights: Nights) -> None:
    """Over any history of rows, edits and failures; and nothing is computed or written by it."""
    model = Model()
    with opened(store) as database:
        for rows, factor, is_async in nights:
            edit(factor)
            pipeline = study(database, rows)
            before = contents(database)
            plan = pipeline.explain()["scale"]
            assert contents(database) == before
            kinds = model.kinds(rows, factor)
            assert plan.cached == kinds.count("cached")
            said: Counter[str] = Counter()
            for reason in plan.reasons:
                said[kind_of(reason)] += reason.count
                assert {tag["who"] for tag in reason.examples} <= {who for who, _ in rows}
            assert said == Counter(kind for kind in kinds if kind != "cached")

            result = run(pipeline, orchestrator=AsyncPipelineOrchestrator() if is_async else SyncPipelineOrchestrator())
            assert plan.calls == len({x for (_, x), kind in zip(rows, kinds, strict=True) if kind != "cached"})
            told: Counter[str] = Counter()
            for reason in result.reasons.get("scale", ()):
                told[kind_of(reason)] += reason.count
            expected = Counter(kind for (_, x), kind in zip(rows, kinds, strict=True) if kind != "cached" and x != 9)
            assert told == expected
            model.run(rows, factor)


def test_the_part_of_the_code_is_named_with_its_whole_difference() -> None:
    database = MemoryDatabase()
    run(study(database, [(1, 1), (2, 2)]))
    edit(3)
    plan = study(database, [(1, 1), (2, 2), (3, 3)]).explain()
    assert counts(plan["scale"]) == {"stale": 2, "new": 1}
    stale, new = plan["scale"].reasons
    assert str(stale) == f"2 (who=1; who=2): global {__name__}.FACTOR: 2 -> 3"
    assert stale.diff == f"global {__name__}.FACTOR\n--- before\n+++ after\n@@ -1 +1 @@\n-2\n+3"
    assert str(new.cause) == "new: no such packet before, and no row with these tags when it last ran"
    assert new.examples == [{"who": 3}]


def test_code_is_compared_with_that_of_the_last_run_though_other_results_are_newer() -> None:
    database = MemoryDatabase()
    for factor in (2, 3, 2):
        edit(factor)
        run(study(database, [(1, 1)]))
    edit(4)
    assert "FACTOR: 2 -> 4" in str(study(database, [(1, 1)]).explain("scale"))


def test_what_is_not_computed_yet_is_not_guessed_at() -> None:
    database = MemoryDatabase()
    pipeline = study(database, [(1, 1), (2, 2)])
    plan = pipeline.plan()
    assert counts(plan["scale"]) == {"new": 2}
    assert counts(plan["total"]) == {"unknown": 1}
    assert "not known before: made of what is computed by 'scale'" in str(plan)
    run(pipeline)
    assert pipeline.explain().is_empty
    assert counts(pipeline.explain()["total"]) == {"cached": 1}
    plan = study(database, [(1, 1), (2, 5)]).explain()
    assert (counts(plan["scale"]), counts(plan["total"])) == ({"cached": 1, "stale": 1}, {"unknown": 1})


def ratio(weight: float, height: float) -> float:
    return weight / height


def ratios(database: Database, *rows: tuple[str, float, float], table: str = "s") -> op.Pipeline:
    source = DictSource(
        [{"who": who, "weight": weight, "height": height} for who, weight, height in rows],
        ["who"],
        source_id=table,
        record_id_column="who",
    )
    with op.Pipeline("ratios", database) as pipeline:
        op.function_pod("r", identity="version")(ratio).pod(source, label="ratio")
    return pipeline


def test_which_column_of_a_row_has_changed_is_said_as_far_as_the_store_tells() -> None:
    database = MemoryDatabase()
    run(ratios(database, ("a", 1.0, 2.0), ("b", 1.0, 3.0)))
    reason = only(ratios(database, ("a", 1.0, 2.0), ("b", 2.0, 3.0)).explain("ratio").reasons)
    assert str(reason) == (
        "1 (who='b'): one of the inputs weight, height, or several: another value in the same row of the source"
    )
    reason = only(ratios(database, ("a", 4.0, 2.0), ("b", 2.0, 3.0), table="other").explain("ratio").reasons)
    assert str(reason) == (
        "2 (who='a'; who='b'): one of the inputs weight, height, or several: from another record than before"
    )


def plus(x: int) -> int:
    return x + FACTOR


def times(y: int, z: int) -> int:
    return y * z


def joined(database: Database, z: int = 5) -> op.Pipeline:
    def rows(column: str, value: int) -> DictSource:
        return DictSource([{"k": 1, column: value}], ["k"], source_id=column, record_id_column="k")

    with op.Pipeline("joined", database) as pipeline:
        made = op.function_pod("y")(plus).pod(rows("x", 1), label="plus")
        op.function_pod("p")(times).pod(made, rows("z", z), label="times")
    return pipeline


def test_the_column_is_named_that_an_edited_function_gives() -> None:
    database = MemoryDatabase()
    run(joined(database))
    reason = only(joined(database, z=6).explain("times").reasons)
    assert str(reason) == "1 (k=1): input z: another value in the same row of the source"
    edit(3)
    assert counts(joined(database).explain()["times"]) == {"unknown": 1}
    result = run(joined(database))
    assert "FACTOR: 2 -> 3" in str(only(result.reasons["plus"]))
    assert str(only(result.reasons["times"])) == "1 (k=1): input y: from another record than before"


def test_what_an_edited_function_gives_in_every_run_is_no_clock() -> None:
    database = MemoryDatabase()
    for factor in (2, 3, 4, 5):
        edit(factor)
        result = run(joined(database))
    assert str(only(result.reasons["times"])) == "1 (k=1): input y: from another record than before"
    assert "differs in each of the last 3 runs" in str(result.reasons["plus"][0])


def test_a_packet_of_several_nodes_with_one_function_is_one_call_of_the_first() -> None:
    def pipeline(factor: int) -> op.Pipeline:
        edit(factor)
        with op.Pipeline("p", database) as made:
            for label, values in (("one", [1, 1, 2]), ("two", [2, 3]), ("three", [3, 1])):
                rows = [{"i": i, "x": x} for i, x in enumerate(values)]
                scale.pod(DictSource(rows, ["i"], source_id=label), label=label)
        return made

    database = MemoryDatabase()
    for factor in (2, 3):
        plan = pipeline(factor).explain()
        assert {label: each.calls for label, each in plan.items()} == {"one": 2, "two": 1, "three": 0}
        assert {label: each.new + each.stale for label, each in plan.items()} == {"one": 3, "two": 2, "three": 2}
        result = run(pipeline(factor), orchestrator=SyncPipelineOrchestrator())
        assert {label: result.counts(label)["computed"] for label in plan} == {"one": 2, "two": 1, "three": 0}
    assert pipeline(4).explain("three").calls == 2, "of which nothing is known but itself"


def test_what_failed_before_is_told_where_it_is_kept() -> None:
    database = MemoryDatabase()
    pipeline = study(database, [(1, 9), (2, 2)])
    run_id = run(pipeline).run_id
    plan = pipeline.explain("scale")
    assert (counts(plan), plan.failed_before) == ({"cached": 1, "failed": 1}, 1)
    assert str(only(plan.reasons)) == f"1 (who=1): a row with these tags failed in run {run_id}; tried again"
    pipeline.run(progress=False)  # and nobody keeps what failed
    plan = pipeline.explain("scale")
    assert (counts(plan), plan.failed_before) == ({"cached": 1, "new": 1}, 1)
    assert "1 packets failed in the last run, and it is not known which; run it with observer=" in str(plan)
    assert study(MemoryDatabase(), []).explain("scale").failed_before is None
    edit(3)  # what failed did not fail by this code
    assert "packets failed in the last run" not in str(study(database, [(1, 9), (2, 2)]).explain("scale"))


def test_a_run_says_of_what_failed_before_that_it_was_tried_again() -> None:
    """As the plan before it does, also where the code was edited since, and though others ran after it."""
    database = MemoryDatabase()
    failed = run(study(database, [(1, 9), (2, 2)]))
    tried = run(study(database, [(1, 9), (2, 3)]))
    edit(3)
    plan = study(database, [(1, 4), (2, 3)]).explain("scale")
    mended = run(study(database, [(1, 4), (2, 3)]))
    run(study(database, [(1, 4), (2, 3)]))
    assert counts(plan) == {"stale": 1, "failed": 1}
    assert {kind_of(reason) for reason in tried.reasons["scale"]} == {"input"}
    told = [str(reason) for reason in mended.reasons["scale"] if kind_of(reason) == "Failed"]
    assert told == [f"1 (who=1): a row with these tags failed in run {tried.run_id}; tried again"]
    assert plan.failed_before == 1 == len(failed.errors)


def test_what_cannot_be_given_to_the_function_is_told_before() -> None:
    def half(x: float) -> float:
        return x / 2

    with op.Pipeline("p") as pipeline:
        op.function_pod("y")(half).pod(DictSource([{"i": 1, "x": 2**53 + 1}, {"i": 2, "x": 1}], ["i"]))
    plan = pipeline.explain("half")
    assert counts(plan) == {"failed": 1, "new": 1}
    assert "no exact conversion" in str(plan)


def test_a_lost_result_and_one_that_is_asked_for_are_told_apart_from_edits() -> None:
    database = MemoryDatabase()
    pipeline = study(database, [(1, 1), (2, 2)])
    run(pipeline)
    again = run(pipeline, recompute={"scale": {"who": 1}})
    assert str(only(again.reasons["scale"])) == "1 (who=1): asked for: run(recompute=...)"
    results = ("_result", *pipeline.scale.uri)
    keys: Any = database.get_records(results, [])[0].to_pylist()
    database.delete_records(results, keys)
    plan = pipeline.explain("scale")
    assert counts(plan) == {"stale": 2}
    assert "their results were invalidated, or are no longer in the store" in str(only(plan.reasons))


def test_one_row_is_explained_alone() -> None:
    database = MemoryDatabase()
    run(study(database, [(1, 1), (2, 2)]))
    pipeline = study(database, [(1, 1), (2, 5), (3, 7)])
    assert counts(pipeline.explain("scale", {"who": 1})) == {"cached": 1}
    assert str(only(pipeline.explain("scale", {"who": 2}).reasons)) == (
        "1 (who=2): input x: another value in the same row of the source"
    )
    assert counts(pipeline.explain(node="scale", tag={"who": [2, 3]})) == {"stale": 1, "new": 1}
    assert pipeline.explain("scale", {"who": 8}).rows == 0
    with pytest.raises(LabelError, match=r"explain: found no function node 'oops'; there are \['scale', 'total'\]"):
        pipeline.explain("oops")
    with pytest.raises(LabelError, match=r"tag names the tag 'x', which no row here has; found \['who'\]"):
        pipeline.explain("scale", {"x": 1})
    with pytest.raises(ConfigError, match="expected the label of the node whose rows have that tag"):
        pipeline.explain(tag={"who": 1})  # type: ignore[call-overload]
    with pytest.raises(LabelError, match=r"no function node is called 'oops'; found \['scale', 'total'\]"):
        pipeline.explain()["oops"]


def test_other_outputs_another_version_and_another_name_are_told() -> None:
    def of(name: str, returns: Any, version: str = "v0.0") -> op.Pipeline:
        def f(x: int) -> float:
            return x

        function = op.PythonPacketFunction(
            f, "y", name=name, output_schema={"y": returns}, identity="version", version=version
        )
        with op.Pipeline("p", database) as pipeline:
            op.FunctionPod(function)(DictSource([{"i": 1, "x": 1}], ["i"], source_id="s"), label="f")
        return pipeline

    database = MemoryDatabase()
    run(of("f", float))
    assert "outputs: y: double -> y: int64" in str(of("f", int).explain())
    assert "version: v0 -> v2" in str(of("f", float, version="v2.0").explain())
    assert counts(of("g", float).explain("f")) == {"stale": 1}
    assert "function: f -> g" in str(of("g", float).explain())


def test_a_function_that_takes_other_columns_says_so_and_nothing_of_their_values() -> None:
    def one(weight: float) -> float:
        return weight

    def two(weight: float, height: float) -> float:
        return weight

    def whole(weight: int) -> float:
        return weight

    def of(function: Any) -> op.Pipeline:
        with op.Pipeline("p", database) as pipeline:
            rows = [{"i": 1, "weight": 80, "height": 2}]
            op.function_pod("y", name="f", identity="version")(function).pod(
                DictSource(rows, ["i"], source_id="s"), label="f"
            )
        return pipeline

    database = MemoryDatabase()
    run(of(two))
    assert str(only(of(one).explain("f").reasons)) == "1 (i=1): takes: weight, height -> weight"
    run(of(one))
    assert "input weight: another value in the same row of the source, or a value of another type" in str(
        of(whole).explain("f")
    )


def test_a_row_whose_earlier_result_is_gone_is_no_changed_input() -> None:
    database = MemoryDatabase()
    pipeline = study(database, [(1, 1)])
    run(pipeline)
    results = ("_result", *pipeline.scale.uri)
    keys: Any = database.get_records(results, [])[0].to_pylist()
    database.delete_records(results, keys)
    edit(3)
    assert "no longer in the store" in str(only(study(database, [(1, 1)]).explain("scale").reasons))


def test_rows_without_tags_and_functions_without_parameters_are_explained() -> None:
    def answer() -> int:
        return FACTOR

    def of() -> op.Pipeline:
        with op.Pipeline("p", database) as pipeline:
            op.function_pod("y")(answer).pod(DictSource([{"x": 1}, {"x": 2}], [], source_id="s"), label="f")
        return pipeline

    database = MemoryDatabase()
    assert counts(of().explain("f")) == {"new": 2}
    assert only(run(of()).reasons["f"]).count == 2
    edit(3)
    assert str(only(of().explain("f").reasons)) == f"2: global {__name__}.FACTOR: 2 -> 3"


STARTED: object = 0


def late(x: int) -> str:
    return f"{x} at {STARTED}"


def lately(database: Database, **options: Any) -> op.Pipeline:
    globals()["STARTED"] = time.time_ns()
    with op.Pipeline("p", database) as pipeline:
        pod = op.function_pod("y", **options)(late)
        pod.pod(DictSource([{"i": 1, "x": 1}], ["i"], source_id="s"), label="late")
    return pipeline


def test_a_constant_that_is_another_at_every_start_is_named_with_the_way_out() -> None:
    database, name = MemoryDatabase(), f"{__name__}.STARTED"
    for _ in range(2):
        run(lately(database))
    plan = lately(database).explain("late")
    assert f"{name}: differs in each of the last 2 runs" in str(plan)
    assert f"ignores=['{name}'] if it does not matter" in str(plan)
    run(lately(database, ignores=[name]))
    assert counts(lately(database, ignores=[name]).explain("late")) == {"cached": 1}


def test_a_constant_that_was_edited_once_is_no_clock() -> None:
    database = MemoryDatabase()
    for factor in (2, 2, 3):
        edit(factor)
        run(study(database, [(1, 1)]))
    edit(4)
    assert "differs in each" not in str(study(database, [(1, 1)]).explain())


class Settings:
    started: int


SETTINGS = Settings()


def in_closure() -> Any:
    started = time.time_ns()

    def f(x: int) -> str:
        return f"{x} {started}"

    return f


def in_default() -> Any:
    def f(x: int, started: int = time.time_ns()) -> str:
        return f"{x} {started}"

    return f


def in_attribute() -> Any:
    SETTINGS.started = time.time_ns()

    def f(x: int) -> str:
        return f"{x} {SETTINGS.started}"

    return f


def in_what_nobody_sees() -> Any:
    numbers = iter([1])

    def f(x: int) -> str:
        return f"{x} {next(numbers, 0)}"

    return f


@pytest.mark.filterwarnings("ignore:.*cannot see into")
@pytest.mark.parametrize("make", [in_closure, in_default, in_attribute, in_what_nobody_sees])
def test_the_way_out_that_is_told_leads_out(make: Any) -> None:
    def of(**options: Any) -> op.Pipeline:
        with op.Pipeline("p", database) as pipeline:
            op.function_pod("y", **options)(make()).pod(DictSource([{"i": 1, "x": 1}], ["i"], source_id="s"), label="f")
        return pipeline

    database = MemoryDatabase()
    for _ in range(2):
        run(of())
    cause: Any = only(of().explain("f").reasons).cause
    (told,) = re.findall(r"ignores=\['(.*)'\] if (?:it|that) does not matter", cause.advice)
    run(of(ignores=[told]))
    assert counts(of(ignores=[told]).explain("f")) == {"cached": 1}


def test_a_column_that_is_another_in_every_run_is_named() -> None:
    def size(path: str) -> int:
        return len(path)

    def night() -> op.Pipeline:
        rows = [{"i": i, "path": f"/tmp/{uuid.uuid4()}"} for i in range(3)]
        with op.Pipeline("p", database) as pipeline:
            op.function_pod("n", identity="version")(size).pod(DictSource(rows, ["i"], source_id="s"), label="size")
        return pipeline

    database = MemoryDatabase()
    for _ in range(3):
        run(night())
    assert "path: no packet of the last 3 runs was found again; is there a clock" in str(night().explain())


def test_plans_and_reasons_are_tables_to_read() -> None:
    database = MemoryDatabase()
    result = run(study(database, [(1, 1), (2, 2)]))
    edit(3)
    plan = study(database, [(1, 1), (2, 2), (3, 3)]).explain()
    lines = str(plan).splitlines()
    assert lines[:3] == [
        "node   cached  new  stale  failed  unknown",
        "scale       0    1      2       0        0",
        "total       0    0      0       0        1",
    ]
    assert lines[3] == f"scale: 2 (who=1; who=2): global {__name__}.FACTOR: 2 -> 3"
    assert "<td>scale</td><td>0</td><td>1</td><td>2</td>" in plan._repr_html_()
    assert "FACTOR: 2 -&gt; 3" in plan._repr_html_()
    assert "FACTOR: 2 -&gt; 3" in plan["scale"]._repr_html_()
    assert str(result.reasons).splitlines()[0].startswith("scale: 2 (who=1; who=2): new")
    assert "scale: 2" in result.reasons._repr_html_()
    assert repr(run(study(MemoryDatabase(), [])).reasons) == "nothing was computed"


def test_every_cause_is_asked_alike_for_its_advice() -> None:
    database = MemoryDatabase()
    run(study(database, [(1, 1), (2, 2)]))
    study(database, [(2, 2)]).scale.invalidate()
    told = {}
    for factor in (2, 3):
        edit(factor)
        plan = study(database, [(1, 1), (2, 2), (3, 3)]).explain()
        told |= {type(reason.cause).__name__: reason.cause.advice for each in plan.values() for reason in each.reasons}
    assert told == {"Changed": "", "Lost": "", "New": "", "Unknown": ""}
    assert all(cause.advice == "" for cause in (Failed(), Requested()))


def test_a_long_difference_is_shown_in_short_and_kept_whole() -> None:
    def pipeline(lines: int) -> op.Pipeline:
        body = "\n".join(f"    x = x + {lines} * {line}" for line in range(lines))
        names: dict[str, Any] = {"__name__": __name__}
        exec(f"def f(x: int) -> int:\n{body}\n    return x\n", names)  # its source is not to be had
        with op.Pipeline("p", database) as made:
            op.function_pod("y", depends_on=[f"say {lines} " * 40])(names["f"]).pod(
                DictSource([{"i": 1, "x": 1}], ["i"], source_id="s"), label="f"
            )
        return made

    database = MemoryDatabase()
    run(pipeline(3))
    reason = only(pipeline(4).explain("f").reasons)
    assert len(max(str(reason).splitlines(), key=len)) <= 200
    assert "say 4 " in reason.diff


def test_nothing_is_computed_and_a_store_that_may_only_be_read_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    with SQLiteDatabase(path) as database:
        run(study(database, [(1, 1)]))
    before = path.read_bytes()
    path.chmod(0o400)
    tmp_path.chmod(0o500)
    try:
        edit(3)
        with SQLiteDatabase(path) as database:
            assert counts(study(database, [(1, 1), (2, 9)]).explain("scale")) == {"stale": 1, "new": 1}
    finally:
        tmp_path.chmod(0o700)
    assert path.read_bytes() == before


def test_a_result_goes_to_another_process_without_the_store() -> None:
    result = run(study(MemoryDatabase(), [(1, 1)]))
    assert pickle.loads(pickle.dumps(result)).reasons == {}
    assert result.reasons["scale"][0].count == 1
    assert pickle.loads(pickle.dumps(result)).reasons["scale"] == result.reasons["scale"]


def test_reasons_are_those_of_their_run_though_others_ran_since() -> None:
    database = MemoryDatabase()
    first = run(study(database, [(1, 1)]))
    edit(3)
    second = run(study(database, [(1, 1), (2, 2)]))
    edit(4)
    run(study(database, [(1, 1), (2, 2)]))

    def said(result: op.RunResult) -> Mapping[str, int]:
        return {kind_of(reason): reason.count for reason in result.reasons["scale"]}

    assert said(first) == {"New": 1}
    assert said(second) == {"code": 1, "New": 1}
    assert "FACTOR: 2 -> 3" in str(second.reasons)
