"""What a store holds can be told, made less and made anew; nothing that is needed is lost by it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase, SQLiteDatabase
from orcapod.errors import ConfigError, DamagedRecordError, LabelError, PrunedResultError
from orcapod.observers import CompositeObserver, LoggingObserver, StatusObserver
from orcapod.protocols import Database
from orcapod.sources import DictSource

CALLS: list[float] = []
NOW = timedelta()


@op.function_pod(output_keys="bmi", identity="version")
def bmi(weight: float) -> float:
    CALLS.append(weight)
    return weight / 4


@op.function_pod(output_keys="mean", identity="version")
def mean(bmi: list[float]) -> float:
    return sum(bmi) / len(bmi)


def study(database: Database, weights: dict[int, float], name: str = "study") -> op.Pipeline:
    pipeline = op.Pipeline(name, database)
    rows = [{"patient": patient, "weight": weight} for patient, weight in weights.items()]
    schema = {"patient": int, "weight": float}
    named = {"source_id": "patients", "record_id_column": "patient"}
    with pipeline:
        source = DictSource(rows, ["patient"], data_schema=schema, **named)
        mean.pod(bmi.pod(source, label="bmi").batch(), label="mean")
    return pipeline


def run(pipeline: op.Pipeline, **options: Any) -> str:
    result = pipeline.run(progress=False, **options)
    result.raise_for_errors()
    return result.run_id


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with SQLiteDatabase(tmp_path / "lab.db") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    CALLS.clear()


def rows(pipeline: op.Pipeline) -> list[Any]:
    found: list[Any] = sorted(pipeline.bmi.as_table().to_pylist(), key=lambda row: row["patient"])
    return found


# Prune


def test_a_dry_run_says_what_would_go_and_removes_nothing(database: Database) -> None:
    for weight in (80.0, 100.0):
        pipeline = study(database, {1: weight, 2: 60.0})
        run(pipeline)
    before = {path: database.get_records(path) for path in database.list_paths()}
    report = pipeline.prune(older_than=NOW)
    assert report.is_dry_run
    told = {row["function"]: row for row in report.table.to_pylist()}
    assert {name: (row["rows"], row["nodes"]) for name, row in told.items()} == {
        "bmi": (1, ["study.bmi"]),
        "mean": (1, ["study.mean"]),
    }
    assert report.rows == 2
    assert report.bytes > 0
    assert report.seconds > 0, "what it would cost to compute them again"
    assert "would go: 2 rows" in repr(report)
    assert {path: database.get_records(path) for path in database.list_paths()} == before
    assert pipeline.prune().rows == 0, "what is younger than 90 days stays"


def test_what_no_present_row_needs_goes_and_leaves_a_stub(database: Database) -> None:
    runs = []
    for weight in (80.0, 100.0):
        pipeline = study(database, {1: weight, 2: 60.0})
        runs.append(run(pipeline))
    present = rows(pipeline)
    known = database.get_records(("_result", *pipeline.bmi.uri)).to_pylist()
    report = pipeline.prune(older_than=NOW, dry_run=False)
    assert (report.rows, report.is_dry_run) == (2, False)
    assert rows(pipeline) == present
    assert pipeline.bmi.at(runs[1]).num_rows == 2
    (stub,) = database.get_records(("_pruned", *pipeline.bmi.uri)).to_pylist()
    (was,) = [row for row in known if row["bmi"] == 20.0]
    assert stub.items() >= {name: was[name] for name in was if name not in ("bmi", "__checksum")}.items()
    with pytest.raises(PrunedResultError, match="values of 1 results of bmi were pruned") as pruned:
        pipeline.bmi.at(runs[0])
    assert pruned.value.keys == (was["__record_id"],)
    with pytest.raises(PrunedResultError):
        op.open_store(database).rows("study", "bmi", runs[0])
    assert op.open_store(database).entries("study", "bmi", runs[0]).num_rows == 2, "provenance stays"
    assert op.verify_store(database).ok, "what was pruned is not lost"
    assert pipeline.prune(older_than=NOW, dry_run=False).rows == 0


def test_a_history_has_null_for_what_was_pruned(database: Database) -> None:
    """As its view in SQL; what is lost for another reason is an error still."""
    for weight in (80.0, 100.0):
        pipeline = study(database, {1: weight, 2: 60.0})
        run(pipeline)
    pipeline.prune(older_than=NOW, dry_run=False)
    history = pipeline.bmi.history()
    found = {(row["patient"], row["bmi"], row["__until"] is None) for row in history.to_pylist()}
    assert found == {(1, None, False), (1, 25.0, True), (2, 15.0, True)}
    assert [history.schema.field(name).nullable for name in ("patient", "bmi")] == [False, True]
    shown = op.open_store(database).sql('SELECT patient, bmi, until_run IS NULL AS p FROM "study.bmi_history"')
    assert {tuple(row.values()) for row in shown.to_pylist()} == found
    results = ("_result", *pipeline.bmi.uri)
    database.delete_records(results, database.get_records(results).column(0).to_pylist())
    with pytest.raises(DamagedRecordError, match="no longer holds 2 results"):
        pipeline.bmi.history()


def test_a_pruned_result_is_computed_again_where_it_is_needed(database: Database) -> None:
    runs = [run(study(database, {1: weight, 2: 60.0})) for weight in (80.0, 100.0)]
    study(database, {}).prune(older_than=NOW, dry_run=False)
    CALLS.clear()
    pipeline = study(database, {1: 80.0, 2: 60.0})
    runs.append(run(pipeline))
    assert CALLS == [80.0]
    assert [pipeline.bmi.at(name).num_rows for name in (runs[0], runs[2])] == [2, 2]
    assert op.verify_store(database).ok


def test_what_another_pipeline_on_the_store_needs_stays(database: Database) -> None:
    run(study(database, {1: 80.0}, "other"))
    run(study(database, {1: 80.0}))
    pipeline = study(database, {1: 100.0})
    run(pipeline)
    pipeline.prune(older_than=NOW, dry_run=False)
    CALLS.clear()
    run(study(database, {1: 80.0}, "other"))
    assert CALLS == []


def test_what_a_run_that_goes_on_may_need_stays(tmp_path: Path) -> None:
    """It has looked up a value that is no present row's; a prune meanwhile leaves it, and says for whom."""
    with SQLiteDatabase(tmp_path / "lab.db") as database, SQLiteDatabase(tmp_path / "lab.db") as other:
        for weight in (80.0, 100.0):
            run(study(database, {1: weight}))
        reports = []

        @op.function_pod(output_keys="late", identity="version")
        def late(bmi: float) -> float:
            reports.append(study(other, {}).prune(older_than=NOW, dry_run=False))
            return bmi

        pipeline = study(database, {1: 80.0})
        with pipeline:
            late.pod(pipeline.bmi, label="late")
        name = run(pipeline)
        (report,) = reports
        assert report.going_on == (name,)
        assert report.rows == 0
        assert pipeline.bmi.at(name).column("bmi").to_pylist() == [20.0]
        assert CALLS == [80.0, 100.0]
        assert pipeline.prune(older_than=NOW, dry_run=False).rows == 2


def test_logs_and_statuses_of_runs_without_results_go_if_that_is_asked(database: Database) -> None:
    names = []
    for weight in (80.0, 90.0, 100.0):
        pipeline = study(database, {1: weight, 2: 60.0})
        records = pipeline.log_database
        observer = CompositeObserver(LoggingObserver(records), StatusObserver(records))
        names.append(run(pipeline, observer=observer))
    assert pipeline.prune(older_than=NOW, dry_run=False).rows == 4
    logs = LoggingObserver(pipeline.log_database)
    assert {row["__run_id"] for row in logs.get_logs().to_pylist()} == {*names}
    would = pipeline.prune(older_than=NOW, logs=True)
    assert pipeline.prune(older_than=NOW, logs=True, dry_run=False).table == would.table
    assert {row["kind"] for row in would.table.to_pylist()} == {"logs", "statuses"}
    left = {row["__run_id"] for row in logs.get_logs().to_pylist()}
    assert left == {names[0], names[2]}, "of the first run, the result of patient 2 is left"
    assert {*op.open_store(database).statuses().column("__run_id").to_pylist()} == left


def test_what_goes_is_said_as_a_text(database: Database) -> None:
    pipeline = study(database, {1: 80.0})
    with pytest.raises(ConfigError, match="expected an amount of time, at most 1,000 years; write a text such"):
        pipeline.prune(older_than="soon")
    with pytest.raises(ConfigError, match="found older_than .*expected an amount of time, at most 1,000 years"):
        pipeline.prune(older_than=timedelta.max)
    for text in ("90d", "12 h", "2w"):
        assert pipeline.prune(older_than=text).rows == 0


NIGHTS = st.lists(
    st.tuples(
        st.dictionaries(st.integers(0, 3), st.sampled_from([60.0, 80.0, 100.0])),
        st.sets(st.sampled_from(["invalidate", "prune", "compact"])),
    ),
    max_size=4,
)


@given(nights=NIGHTS)
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_goes_the_present_is_right_and_the_past_is_as_it_was_or_says_that_it_is_pruned(
    nights: list[tuple[dict[int, float], set[str]]],
) -> None:
    database = MemoryDatabase()
    history: list[tuple[str, dict[int, float]]] = []
    for weights, also in nights:
        pipeline = study(database, weights)
        history.append((run(pipeline), {who: weight / 4 for who, weight in weights.items()}))
        assert {row["patient"]: row["bmi"] for row in rows(pipeline)} == history[-1][1]
        if "invalidate" in also and weights:
            pipeline.bmi.invalidate(patient=list(weights)[:2])
        if "prune" in also:
            pipeline.prune(older_than=NOW, dry_run=False)
        if "compact" in also:
            op.open_store(database).compact()
        for name, given_then in history:
            try:
                found = pipeline.bmi.at(name).to_pylist()
            except PrunedResultError:
                assert name != history[-1][0], "the last one is present"
            else:
                assert {row["patient"]: row["bmi"] for row in found} == given_then
    assert op.verify_store(database).ok


# Invalidate


def test_invalidated_results_are_computed_again_and_history_stays() -> None:
    pipeline = study(MemoryDatabase(), {1: 80.0, 2: 60.0, 3: 60.0})
    first = run(pipeline)
    CALLS.clear()
    assert pipeline.bmi.invalidate(patient=2) == 1
    assert pipeline.bmi.invalidate(patient=2) == 0, "it is already"
    assert pipeline.bmi.at(first).num_rows == 3
    assert [row["patient"] for row in rows(pipeline)] == [1], "an equal packet has the same result"
    result = pipeline.run(progress=False)
    assert CALLS == [60.0]
    assert result.counts("bmi") == {"computed": 1, "cached": 2, "failed": 0}
    assert result.counts("mean")["cached"] == 1, "equal values make nothing new"
    assert len(rows(pipeline)) == 3
    assert pipeline.bmi.at(first).equals(pipeline.bmi.at(result.run_id))
    assert pipeline.bmi.invalidate() == 2
    assert pipeline.run(progress=False).counts("bmi")["computed"] == 2


@pytest.mark.parametrize("order", [*permutations(["bmi", "mean", "half"])])
def test_nodes_behind_each_other_are_invalidated_in_any_order(order: Sequence[str]) -> None:
    @op.function_pod("half", identity="version")
    def half(mean: float) -> float:
        return mean / 2

    rows = [{"patient": i, "site": i % 2, "weight": float(i)} for i in range(4)]
    with op.Pipeline("p") as pipeline:
        first = bmi.pod(DictSource(rows, ["patient", "site"], source_id="s"), label="bmi")
        half.pod(mean.pod(first.group_by("site"), label="mean"), label="half")
    pipeline.run(progress=False)
    assert {label: pipeline[label].invalidate() for label in order} == {"bmi": 4, "mean": 2, "half": 2}
    assert [pipeline[label].invalidate() for label in order] == [0, 0, 0], "they are already"
    computed = {label: counts["computed"] for label, counts in pipeline.run(progress=False).node_counts.items()}
    assert computed == {"bmi": 4, "mean": 2, "half": 2}
    assert {label: pipeline[label].invalidate(site=1) for label in order} == {"bmi": 2, "mean": 1, "half": 1}


def test_what_is_invalidated_has_to_be_a_tag() -> None:
    pipeline = study(MemoryDatabase(), {1: 80.0})
    with pytest.raises(LabelError, match="invalidate names the tag 'subject', which no row here has"):
        pipeline.bmi.invalidate(subject="3")
    assert pipeline.bmi.invalidate() == 0, "nothing is there"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rows(pipeline) == []


def test_a_value_that_no_row_has_is_warned_of_when_it_is_invalidated() -> None:
    pipeline = study(MemoryDatabase(), {1: 80.0, 2: 60.0})
    run(pipeline)
    with pytest.warns(UserWarning, match="invalidate: no row has patient=7, or patient=9; check how it is written"):
        assert pipeline.bmi.invalidate(patient=[1, 7, 9]) == 1
    with pytest.warns(UserWarning, match="invalidate: no row has patient=7"):
        assert pipeline.bmi.invalidate(patient=7) == 0


# Size and space


def sizes(store: op.Store) -> dict[tuple[str | None, str | None, str], int]:
    return {(row["pipeline"], row["node"], row["kind"]): row["rows"] for row in store.size().to_pylist()}


def test_a_store_tells_how_large_it_is_by_pipeline_node_and_kind(database: Database) -> None:
    runs = []
    for weight in (80.0, 100.0):
        pipeline = study(database, dict.fromkeys(range(99), 60.0) | {1: weight})
        runs.append(run(pipeline, observer=LoggingObserver(pipeline.log_database)))
    pipeline.bmi.invalidate(patient=1)
    pipeline.prune(older_than=NOW, dry_run=False)
    with op.open_store(database) as store:
        found = sizes(store)
        assert found == {
            (None, "bmi", "results"): 2,
            (None, "mean", "results"): 1,
            (None, "bmi", "stubs"): 1,
            (None, "mean", "stubs"): 1,
            (None, "bmi", "attempts"): 1,
            (None, None, "code"): found[None, None, "code"],
            ("study", "bmi", "rows"): 100,
            ("study", "mean", "rows"): 2,
            ("study", None, "members"): found["study", None, "members"],
            ("study", "bmi", "logs"): 3,
            ("study", "mean", "logs"): 2,
            ("study", None, "states"): 4,
            ("study", "bmi", "states"): 1,
            ("study", "mean", "states"): 1,
            ("study", None, "runs"): 6,
        }
        assert all(row["bytes"] > 0 for row in store.size().to_pylist())
    with op.open_store("memory://") as empty:
        assert empty.size().column_names == ["pipeline", "node", "kind", "rows", "bytes"]


def test_large_values_are_files_in_the_size_of_a_store(tmp_path: Path) -> None:
    @op.function_pod(output_keys="image", identity="version")
    def image(weight: float) -> bytes:
        return bytes([int(weight)]) * 2_000_000

    with SQLiteDatabase(tmp_path / "lab.db") as database:
        pipeline = op.Pipeline("study", database)
        with pipeline:
            image.pod(DictSource([{"i": 1, "weight": 1.0}], ["i"]), label="image")
        run(pipeline)
        store = op.open_store(database)
        (files,) = [row for row in store.size().to_pylist() if row["kind"] == "files"]
        assert files["rows"] == 1
        report = study(database, {1: 1.0}).prune(older_than=NOW)
        assert report.rows == 0, "another pipeline needs it"


def test_what_was_pruned_is_given_back(tmp_path: Path) -> None:
    @op.function_pod(output_keys="text", identity="version")
    def text(weight: float) -> str:
        return str(weight) * 2_000

    def texts(weight: float) -> op.Pipeline:
        pipeline = op.Pipeline("study", tmp_path / "lab.db")
        with pipeline:
            rows = [{"i": i, "weight": weight + i} for i in range(200)]
            text.pod(DictSource(rows, ["i"], source_id="s", record_id_column="i"), label="text")
        run(pipeline)
        return pipeline

    for weight in (1.0, 1000.0):
        pipeline = texts(weight)
    with op.open_store(tmp_path / "lab.db") as store:
        store.compact()
        before = (tmp_path / "lab.db").stat().st_size
        pipeline.prune(older_than=NOW, dry_run=False)
        present = pipeline.text.as_table()
        store.compact()
        assert (tmp_path / "lab.db").stat().st_size < 0.7 * before
        assert (tmp_path / "lab.db-wal").stat().st_size == 0
        assert pipeline.text.as_table().equals(present)
        assert op.verify_store(store.database).ok
