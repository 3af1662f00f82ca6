"""A store tells what is in it: pipelines, runs, rows, logs, code and environments; reading never writes."""

from __future__ import annotations

import re
import shutil
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

import orcapod as op
from orcapod.databases import open_database
from orcapod.errors import ConfigError, DatabaseError, LabelError, UnknownCodeError, UnknownRunError
from orcapod.observers import CompositeObserver, LoggingObserver, StatusObserver
from orcapod.sources import DictSource

Weights = dict[str, float]


@op.function_pod(output_keys="bmi")
def bmi(weight: float) -> float:
    if weight < 0:
        raise ValueError(f"a weight of {weight}")
    print("weighed", weight)
    return weight / 4


@op.function_pod(output_keys="mean")
def mean(bmi: list[float]) -> float:
    return sum(bmi) / len(bmi)


def study(path: Path, weights: Weights, name: str = "study") -> op.Pipeline:
    rows = [{"patient": patient, "weight": weight} for patient, weight in weights.items()]
    with op.Pipeline(name, path) as pipeline:
        source = DictSource(rows, ["patient"], source_id="patients", data_schema={"patient": str, "weight": float})
        each = bmi.pod(source, label="bmi")
        mean.pod(each.batch(), label="mean")
    return pipeline


def night(path: Path, weights: Weights, name: str = "study", **told: object) -> str:
    pipeline = study(path, weights, name)
    logs = pipeline.log_database
    observer = CompositeObserver(LoggingObserver(logs), StatusObserver(logs))
    run_id = pipeline.run(observer=observer, **told).run_id  # type: ignore[arg-type]
    pipeline.database.close()
    return run_id


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lab.db"


def test_runs_are_told_in_the_order_in_which_they_began(path: Path) -> None:
    runs = [night(path, {"a": 80.0}, note="first", tags={"why": "new"}), night(path, {"a": 80.0, "b": -1.0}, "other")]
    runs.append(night(path, {"a": 80.0}))
    with op.open_store(path) as store:
        assert store.pipelines() == ["other", "study"]
        found = store.runs().to_pylist()
        assert [row["run_id"] for row in found] == runs
        assert [row["pipeline"] for row in found] == ["study", "other", "study"]
        assert [row["outcome"] for row in found] == ["SUCCESS", "FAILED", "SUCCESS"]
        assert [(row["computed"], row["cached"], row["failed"]) for row in found] == [(2, 0, 0), (0, 1, 1), (0, 2, 0)]
        assert (found[0]["note"], found[0]["tags"]) == ("first", [("why", "new")])
        assert all(row["started"] < row["ended"] for row in found)
        assert store.runs("study").column("run_id").to_pylist() == [runs[0], runs[2]]


def test_a_run_is_found_by_a_beginning_of_its_name_that_no_other_has(path: Path) -> None:
    runs = [night(path, {"a": 80.0}) for _ in range(2)]
    with op.open_store(path) as store:
        assert store.run(runs[0]) == store.run(runs[0][:-1])
        with pytest.raises(UnknownRunError, match=f"found 2 runs .*expected one.*{runs[0]}, {runs[1]}"):
            store.run(runs[0][:6])
        with pytest.raises(UnknownRunError, match="found 0 runs whose name begins with 'x'"):
            store.run("x")
        with pytest.raises(ConfigError, match="run_id"):
            store.run(7)  # type: ignore[arg-type]


def test_a_run_tells_what_it_was_made_of_and_what_each_node_did(path: Path) -> None:
    run_id = night(path, {"a": 80.0, "b": 60.0})
    with op.open_store(path) as store:
        nodes = store.nodes(run_id)
        assert {label: (node.record.kind, node.record.inputs) for label, node in nodes.items()} == {
            "patients": ("source", ()),
            "bmi": ("function", ("patients",)),
            "batch": ("operator", ("bmi",)),
            "mean": ("function", ("batch",)),
        }
        assert {label: (node.totals.taken, node.totals.given) for label, node in nodes.items()} == {
            "patients": ((), 2),
            "bmi": ((2,), 2),
            "batch": ((2,), 1),
            "mean": ((1,), 1),
        }
        assert {part.name.rpartition(".")[2] for part in store.code(nodes["bmi"].record.code)} >= {"bmi"}
        assert store.environment(run_id)["python"].startswith("CPython")
        with pytest.raises(UnknownCodeError):
            store.code(nodes["bmi"].record.code[:-4] + "0000")


def test_a_killed_run_is_told_with_its_plan_and_no_end(path: Path) -> None:
    run_id = night(path, {"a": 80.0})
    with sqlite3.connect(path) as connection:  # as a kill leaves it
        connection.execute('DELETE FROM "study/_runs"')
    connection.close()
    with op.open_store(path) as store:
        run = store.run(run_id)
        assert (run.outcome, run.ended, run.duration) == ("UNFINISHED", None, None)
        (told,) = store.runs().to_pylist()
        assert (told["computed"], told["cached"], told["failed"]) == (None, None, None)
        assert list(run.nodes) == ["patients", "bmi", "batch", "mean"]
        assert store.environment(run_id) == {}
        with pytest.raises(UnknownRunError, match="no run of pipeline 'study' has ended, so that"):
            store.rows("study", "bmi")
    later = night(path, {"a": 100.0})
    with op.open_store(path) as store:
        for ask in (
            lambda: store.rows("study", "bmi", run_id),
            lambda: op.compare(store, run_id, later),
            lambda: store.impact("patients", "row_0", run_id),
        ):
            with pytest.raises(UnknownRunError, match="has not ended, or was killed"):
                ask()


def test_rows_of_any_run_are_told_with_what_is_known_of_them(path: Path) -> None:
    runs = [night(path, weights) for weights in ({"a": 80.0, "b": 60.0}, {"a": 100.0}, {"a": 80.0})]
    with op.open_store(path) as store:
        found = store.rows("study", "bmi", runs[0])
        assert found.column_names == ["patient", "bmi", "record_id", "run_id", "timestamp", "seconds"]
        assert sorted(zip(found["patient"].to_pylist(), found["bmi"].to_pylist(), strict=True)) == [
            ("a", 20),
            ("b", 15),
        ]
        assert store.rows("study", "bmi", runs[1])["bmi"].to_pylist() == [25.0]
        present = store.rows("study", "bmi").to_pylist()
        assert [(row["bmi"], row["run_id"]) for row in present] == [(20.0, runs[0])]
        with pytest.raises(LabelError, match=r"no function node 'rates'; it had \['bmi', 'mean'\]"):
            store.rows("study", "rates")
        with pytest.raises(UnknownRunError, match=r"no run of pipeline 'stduy'; found \['study'\]"):
            store.rows("stduy", "bmi")


def test_a_tag_that_is_called_like_what_is_told_keeps_its_name(tmp_path: Path) -> None:
    with op.Pipeline("p", tmp_path / "lab.db") as pipeline:
        bmi.pod(DictSource([{"run_id": "mine", "seconds": 1, "weight": 4.0}], ["run_id", "seconds"]), label="bmi")
    runs = [pipeline.run().run_id for _ in range(2)]
    with op.open_store(tmp_path / "lab.db") as store:
        (row,) = store.rows("p", "bmi").to_pylist()
        assert (row["run_id"], row["_run_id"], row["seconds"]) == ("mine", runs[0], 1)
        assert row["_seconds"] >= 0


def test_logs_and_failures_are_found_by_run_node_and_tag(path: Path) -> None:
    first, second = night(path, {"a": 80.0, "b": -1.0}), night(path, {"a": 80.0, "b": -2.0})
    night(path, {"b": -1.0}, "other")
    with op.open_store(path) as store:
        assert store.logs().num_rows == 4
        assert store.logs(first)["patient"].to_pylist() == ["a", "b"]
        assert [row["__stdout"] for row in store.logs(first, failed=False).to_pylist()] == ["weighed 80.0\n"]
        (failure,) = store.failures(second[:-2]).to_pylist()
        assert failure["patient"] == "b"
        assert "a weight of -2.0" in failure["__traceback"]
        assert store.logs(node="bmi", tag={"patient": "b"}).num_rows == 3
        assert store.logs(node="bmi", tag={"nobody": "b"}).num_rows == 0
        assert store.logs(node="bmi", tag={"nobody": "b"}).column_names == store.logs().column_names
        assert store.logs(node="mean", failed=True).column_names == store.logs().column_names
        for told in (store.logs, store.statuses):
            with pytest.raises(LabelError, match=r"no pipeline had a node 'nope'; found \['batch', 'bmi', 'mean"):
                told(node="nope")
        assert set(store.statuses(second)["__state"].to_pylist()) >= {"FAILED"}


def test_reading_needs_no_permission_to_write_and_writes_nothing(path: Path) -> None:
    run_id = night(path, {"a": 80.0, "b": 60.0})
    before = path.read_bytes()
    path.chmod(stat.S_IRUSR)
    copied = path.with_name("copy.db")
    shutil.copy(path, copied)
    for file in (path, copied):
        with op.open_store(file) as store:
            store.runs(), store.nodes(run_id), store.rows("study", "mean"), store.logs(), store.statuses()
        assert file.read_bytes() == before
    assert {each.name for each in path.parent.iterdir()} <= {"lab.db", "copy.db", "lab.db.files", "lab.db.lock"}


def test_a_store_that_is_not_there_is_told_and_not_made(tmp_path: Path) -> None:
    for name in ("typo.db", "no/such/folder/lab.db"):
        with pytest.raises(DatabaseError, match="there is no store at"):
            op.open_store(tmp_path / name)
    assert not list(tmp_path.iterdir())
    with pytest.raises(DatabaseError, match=f"there is one at {tmp_path}, which four slashes begin"):
        op.open_store(f"sqlite://{tmp_path}")
    with pytest.raises(
        DatabaseError, match=r"expected a URL or the path of an SQLite file, found .*, which is a folder"
    ):
        op.open_store(tmp_path)


def test_what_a_part_gave_under_another_function_does_not_empty_the_present(path: Path) -> None:
    """The function has a new name, and so another table, in which the part alone has rows yet."""
    night(path, {"a": 80.0, "b": 60.0})

    @op.function_pod(output_keys="bmi")
    def body_mass(weight: float) -> float:
        return weight / 5

    rows = [{"patient": patient, "weight": weight} for patient, weight in (("a", 80.0), ("b", 60.0))]
    with op.Pipeline("study", path) as pipeline:
        types = {"patient": str, "weight": float}
        body_mass.pod(DictSource(rows, ["patient"], source_id="patients", data_schema=types), label="bmi")
    pipeline.run(where={"patient": "a"})
    with op.open_store(path) as store:
        assert sorted(store.rows("study", "bmi")["bmi"].to_pylist()) == [15.0, 20.0]
        assert store.sql('SELECT bmi FROM "study.bmi" ORDER BY bmi')["bmi"].to_pylist() == [15.0, 20.0]
        assert store.results("mean")["mean"].to_pylist() == [17.5]
    report = pipeline.prune(older_than="0d", dry_run=False)
    assert report.rows == 0, report
    pipeline.run()
    with op.open_store(path) as store:
        assert sorted(store.rows("study", "bmi")["bmi"].to_pylist()) == [12.0, 16.0]


def test_of_two_runs_at_a_time_the_last_to_end_gave_the_present(path: Path) -> None:
    begun, ended = Event(), Event()

    @op.function_pod(output_keys="bmi", identity="version")
    def slow(weight: float) -> float:
        if weight == 80.0:
            begun.set()
            assert ended.wait(60)
        return weight / 4

    def run(weight: float) -> str:
        with op.Pipeline("study", path) as pipeline:
            slow.pod(DictSource([{"patient": "a", "weight": weight}], ["patient"], source_id="patients"), label="bmi")
        return pipeline.run(progress=False).run_id

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(run, 80.0)
        assert begun.wait(60)
        assert run(100.0) > ""
        ended.set()
        first.result()
    with op.open_store(path) as store:
        assert store.rows("study", "bmi")["bmi"].to_pylist() == [20.0]
        assert store.sql('SELECT bmi FROM "study.bmi"')["bmi"].to_pylist() == [20.0]


def test_a_store_is_opened_by_url_or_object_which_stays_open(path: Path) -> None:
    run_id = night(path, {"a": 80.0})
    database = op.databases.SQLiteDatabase(path)
    for given in (f"sqlite:///{path}", str(path), path, database, database.to_config()):
        with op.open_store(given) as store:
            assert store.runs()["run_id"].to_pylist() == [run_id]
    assert database.list_paths()
    database.close()
    with pytest.raises(ConfigError):
        op.open_store(7)  # type: ignore[arg-type]


def rows_of(store: op.Store, name: str) -> list[object]:
    """The values of a view of this name, or of the one that it has instead, as is told."""
    try:
        return store.sql(f'SELECT bmi FROM "{name}"')["bmi"].to_pylist()
    except DatabaseError as error:
        other = re.search(rf'"{name}" is called "({name}~\d)" here, since that was taken', str(error))
        if other is None:
            raise
        return rows_of(store, other[1])


@pytest.mark.parametrize("url", ["memory://", "sqlite:///{}/lab.db"])
def test_names_that_differ_by_case_only_are_told_apart_in_sql(url: str, tmp_path: Path) -> None:
    """SQL takes them for one, so that one has another name instead: asked for by its own, it is told, not the other."""
    with open_database(url.format(tmp_path)) as database:
        for name, weight in (("study", 4.0), ("Study", 8.0)):
            with op.Pipeline(name, database) as pipeline:
                source = DictSource([{"i": 1, "weight": weight}], ["i"], source_id="s")
                bmi.pod(source, label="bmi")
                bmi.pod(source.map_packets({"weight": "weight"}).filter({"i": 2}), label="BMI")
            pipeline.run(progress=False)
        store = op.open_store(database)
        found = {name: rows_of(store, name) for name in ("study.bmi", "study.BMI", "Study.bmi", "Study.BMI")}
        assert found == {"study.bmi": [1.0], "study.BMI": [], "Study.bmi": [2.0], "Study.BMI": []}
        if url == "memory://":
            with pytest.raises(DatabaseError, match='"study/_runs" is called "study/_runs~2" here'):
                store.sql('SELECT * FROM "study/_runs"')
            assert store.sql('SELECT __pipeline AS p FROM "study/_runs~2"')["p"].to_pylist() == ["study"]


def test_a_copy_of_a_store_that_was_open_says_what_belongs_to_it(tmp_path: Path) -> None:
    """What was written last lies beside the file until the store is closed."""

    @op.function_pod("y", identity="version")
    def double(x: float) -> float:
        return 2 * x

    pipeline = op.Pipeline("p", tmp_path / "lab.db")
    with pipeline:
        double.pod(DictSource([{"i": 1, "x": 1.0}], ["i"], source_id="s"))
    pipeline.run()
    for ending in ("", "-wal"):
        shutil.copy(tmp_path / f"lab.db{ending}", tmp_path / f"copy.db{ending}")
        if not ending:
            with pytest.raises(DatabaseError, match=r"found no table of one, .* copy lab\.db-wal with lab\.db"):
                op.open_store(tmp_path / "copy.db")
    with op.open_store(tmp_path / "copy.db") as copied:
        assert copied.runs().num_rows == 1
    pipeline.database.close()
    shutil.copy(tmp_path / "lab.db", tmp_path / "later.db")
    with op.open_store(tmp_path / "later.db") as copied:
        assert copied.runs().num_rows == 1


@pytest.mark.parametrize("content", ["nothing", "another's table", "another's log"])
def test_a_file_that_is_no_store_is_not_made_one(tmp_path: Path, content: str) -> None:
    """Whoever looks into a store writes nothing, whatever it is that he was led to."""
    file = tmp_path / "other.db"
    file.touch()
    with closing(sqlite3.connect(file)) as connection:
        if content != "nothing":
            connection.execute("CREATE TABLE mine (a)")
        if content == "another's log":
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("INSERT INTO mine VALUES (1)")
            connection.commit()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for look in (op.open_store, op.verify_store, op.remove_orphans):
        for location in (file, f"sqlite:///{file}", {"type": "sqlite", "path": str(file)}):
            with pytest.raises(DatabaseError, match="there is no store in .*other.db"):
                look(location)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
