"""Promise 24, for other tools: views in SQL show what each node gives and gave, under the names of its author."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from threading import Barrier
from typing import Any, get_type_hints

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import SQLiteDatabase
from orcapod.errors import DatabaseError, LabelError
from orcapod.observers import NoOpObserver
from orcapod.sources import DictSource
from orcapod_postgres import PostgresDatabase

Rows = list[tuple[int, int]]

STOP = {"at": -1}
NAMES = count()


@pytest.fixture(autouse=True)
def nobody_stops() -> Iterator[None]:
    """The next test begins with a function that is not interrupted, however the last history ended."""
    yield
    STOP["at"] = -1


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


def study(database: Any, rows: Rows, name: str = "study", more: str = "") -> op.Pipeline:
    pipeline = op.Pipeline(name, database)
    columns: dict[str, Any] = {"who": int, "x": int} | ({more: int} if more else {})
    source = DictSource(
        [{"who": who, "x": x} | ({more: 1} if more else {}) for who, x in rows],
        ["who", *([more] if more else [])],
        source_id="s",
        data_schema=columns,
    )
    with pipeline:
        doubled = double.pod(source, label="doubled")
        total.pod(doubled.batch(), label="total")
    return pipeline


def asked(database: Any, statement: str) -> list[dict[str, Any]]:
    """What the store's own SQL says; of an SQLite file both the library and any other tool."""
    said: list[dict[str, Any]] = op.open_store(database).sql(statement).to_pylist()
    if isinstance(database, SQLiteDatabase):
        with closing(sqlite3.connect(database.to_config()["path"])) as connection:
            connection.row_factory = sqlite3.Row
            assert [dict(row) for row in connection.execute(statement)] == said
    return said


def listed(value: Any) -> list[Any]:
    found: list[Any] = json.loads(value) if isinstance(value, str) else value
    return found


def expected(rows: Rows) -> tuple[Counter[Any], Counter[Any]]:
    good = [(who, 2 * x) for who, x in rows if x != 9]
    is_whole = len(good) == len(rows)
    totals = [(*sorted(who for who, _ in good), sum(y for _, y in good))] if good and is_whole else []
    return Counter(good), Counter(totals)


class RunId(NoOpObserver):
    """Observer that notes the name of the run."""

    def on_run_start(self, run_id: str) -> None:
        self.run_id = run_id


NIGHTS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 2), st.sampled_from([1, 2, 9])), max_size=4),
        st.sampled_from(["whole", "whole", "interrupted", "fail_fast"]),
    ),
    min_size=1,
    max_size=4,
)


@given(nights=NIGHTS)
@settings(deadline=None, max_examples=6, suppress_health_check=list(HealthCheck))
def test_views_show_what_each_run_gave(database: Any, nights: list[tuple[Rows, str]]) -> None:
    """Over any history: rows come, go, come back and are there twice; packets fail; runs are cut short."""
    name = f"study{next(NAMES)}"
    last = expected([])
    history: list[tuple[str, tuple[Counter[Any], Counter[Any]]]] = []
    for rows, ending in nights:
        STOP["at"] = 2 if ending == "interrupted" else -1
        policy: Any = "fail_fast" if ending == "fail_fast" else "continue"
        seen = RunId()
        try:
            study(database, rows, name).run(error_policy=policy, observer=seen, progress=False)
        except (KeyboardInterrupt, ValueError):
            assert ending != "whole"
        else:
            last = expected(rows)
        history.append((seen.run_id, last))
    if any(then[1] for _, then in history):  # who never gave a row has no columns
        totals = asked(database, f'SELECT who, total FROM "{name}.total"')
        assert Counter((*sorted(listed(row["who"])), row["total"]) for row in totals) == last[1]
    if not any(then[0] for _, then in history):
        return
    doubled = asked(database, f'SELECT who, y FROM "{name}.doubled"')
    assert Counter((row["who"], row["y"]) for row in doubled) == last[0]
    ever = asked(database, f'SELECT who, y, copies, first_run, until_run FROM "{name}.doubled_history"')
    for run_id, (then, _) in history:
        found: Counter[Any] = Counter()
        for row in ever:
            if row["first_run"] <= run_id and (row["until_run"] is None or row["until_run"] > run_id):
                found[row["who"], row["y"]] += row["copies"]
        assert found == then


def test_provenance_is_followed_past_groups(database: Any) -> None:
    study(database, [(1, 1), (2, 3), (3, 4)]).run(progress=False)
    study(database, [(1, 1), (2, 3)]).run(progress=False)
    members = (
        "json_each(t._source_y) AS m" if isinstance(database, SQLiteDatabase) else "unnest(t._source_y) AS m(value)"
    )
    found = asked(
        database,
        f'SELECT d.who, d._source_x FROM "study.total" AS t CROSS JOIN {members}'
        " JOIN \"study.doubled\" AS d ON m.value LIKE '%::' || d.record_id || '::y' ORDER BY d.who",
    )
    assert found == [{"who": 1, "_source_x": "s::row_0::x"}, {"who": 2, "_source_x": "s::row_1::x"}]


TEXTS = ["", "plain", "naïve ☃", 'quo"te', "back\\slash", "tab\t", "x" * 50]


@pytest.mark.parametrize("size", [63, 64, 300, 3000])
def test_lists_are_shown_however_long_they_are(database: Any, size: int) -> None:
    """Of the tags of a large group, and of what its values come from: through that, provenance goes on."""
    rows = [{"who": who, "site": f"{TEXTS[who % 7]} {who}", "x": who % 5} for who in range(size)]
    for night in (rows, rows[:5] + rows[6:] + [{"who": -1, "site": "new", "x": 0}]):
        pipeline = op.Pipeline("study", database)
        with pipeline:
            doubled = double.pod(DictSource(night, ["who", "site"], source_id="s"), label="doubled")
            total.pod(doubled.batch(), label="total")
        pipeline.run(progress=False).raise_for_errors()
    (row,) = asked(database, 'SELECT who, site, total, _source_y FROM "study.total"')
    assert listed(row["who"]) == [each["who"] for each in night]
    assert listed(row["site"]) == [each["site"] for each in night]
    wanted = asked(database, 'SELECT who, record_id FROM "study.doubled"')
    ids = {each["who"]: each["record_id"] for each in wanted}
    uri = ":".join(pipeline.doubled.uri)
    assert listed(row["_source_y"]) == [f"{uri}::{ids[each['who']]}::y" for each in night]


@dataclass(frozen=True)
class Sample:
    """Record that holds bytes, of which lists have no JSON."""

    code: bytes


def of_bytes(number: int) -> bytes:
    return bytes([number, 0])


def of_sample(number: int) -> Sample:
    return Sample(bytes([number, 0]))


@pytest.mark.parametrize("value", [of_bytes, of_sample])
def test_a_long_list_that_is_no_json_is_null(database: Any, value: Any) -> None:
    """And is whole in Python; to DuckDB, which is given whole lists, it is a list."""
    pipeline, tags = op.Pipeline("study", database), [value(who) for who in range(64)]
    rows = [{"who": tag, "y": 1} for tag in tags]
    types = {"who": get_type_hints(value)["return"], "y": int}
    with pipeline:
        source = DictSource(rows, ["who"], source_id="s", data_schema=types)
        total.pod(source.batch(), label="long")
        total.pod(source.batch(32), label="short")
    pipeline.run(progress=False).raise_for_errors()
    wanted = [asdict(tag) if isinstance(tag, Sample) else tag for tag in tags]
    assert pipeline.long.as_table()["who"].to_pylist() == [wanted]
    for end in ("", "_history"):
        (row,) = asked(database, f'SELECT who, total FROM "study.long{end}"')
        assert row == {"who": None if isinstance(database, SQLiteDatabase | PostgresDatabase) else wanted, "total": 64}
    assert all(row["who"] for row in asked(database, 'SELECT who FROM "study.short"'))


def test_a_list_of_which_a_piece_is_lost_is_no_shorter_list(database: Any) -> None:
    rows = [(who, who % 5) for who in range(200)]
    study(database, rows).run(progress=False)
    place = next(path for path in database.list_paths() if path[-2:] == ("_members", "int64"))
    piece = database.get_records(place).column(0)[3].as_py()
    database.delete_records(place, [piece])
    try:
        (row,) = asked(database, 'SELECT who, total FROM "study.total"')
    except DatabaseError as error:
        assert piece.hex() in str(error)  # noqa: PT017  # both are answers
    else:
        assert row["who"] is None


def test_a_view_follows_its_label(database: Any) -> None:
    """Another column upstream moves the node to another table; what was renamed shows what it last gave."""
    study(database, [(1, 1)]).run(progress=False)
    moved = study(database, [(1, 1), (2, 2)], more="ward")
    assert moved.doubled.path != study(database, []).doubled.path
    moved.run(progress=False)
    assert len(asked(database, 'SELECT who, ward, y FROM "study.doubled"')) == 2
    renamed = op.Pipeline("study", database)
    with renamed:
        double.pod(DictSource([{"who": 5, "x": 5}], ["who"], source_id="s"), label="renamed")
    renamed.run(progress=False)
    assert asked(database, 'SELECT who, y FROM "study.renamed"') == [{"who": 5, "y": 10}]
    assert len(asked(database, 'SELECT who FROM "study.doubled"')) == 2


def test_a_history_ends_where_the_node_moves_to_another_table(database: Any) -> None:
    """And begins anew with the run in which it is back, as whatever else tells of that run."""
    nights = [([(1, 1), (2, 2)], ""), ([(1, 1), (2, 2)], "ward"), ([(1, 1)], "ward"), ([(1, 1)], ""), ([(1, 1)], "")]
    runs, states = [], []
    for rows, more in nights:
        runs.append(study(database, rows, more=more).run(progress=False).run_id)
        states.append(database.get_records(("study", "_states")).num_rows)
    assert states[-1] == states[-2]  # where nothing moves, nothing is written
    pipeline, store = study(database, [(1, 1)]), op.open_store(database)
    spans = [(row["who"], row["__since"], row["__until"]) for row in pipeline.doubled.history().to_pylist()]
    assert sorted(spans, key=str) == sorted([(1, runs[0], runs[1]), (1, runs[3], None), (2, runs[0], runs[1])], key=str)
    shown = asked(database, 'SELECT who, first_run, until_run FROM "study.doubled_history"')
    assert Counter(tuple(row.values()) for row in shown) == Counter(spans)
    assert asked(database, 'SELECT who, y FROM "study.doubled"') == [{"who": 1, "y": 2}]
    for run_id, (rows, _) in zip(runs, nights, strict=True):
        assert sorted(store.rows("study", "doubled", run_id)["who"].to_pylist()) == [who for who, _ in rows]


class Meanwhile(RunId):
    """Observer that notes the name of the run, and has another one begin and end within it."""

    def __init__(self, other: op.Pipeline) -> None:
        self.other = other

    def on_run_start(self, run_id: str) -> None:
        super().on_run_start(run_id)
        self.other_id = self.other.run(progress=False).run_id


def test_a_history_tells_what_runs_gave_that_overlapped(database: Any) -> None:
    """By the numbers of states, which order by the ends of runs; and no row goes before it came."""
    seen = Meanwhile(study(database, [(1, 1), (2, 2)]))
    study(database, [(1, 1), (3, 3)]).run(observer=seen, progress=False)
    store = op.open_store(database)
    ever = asked(database, 'SELECT * FROM "study.doubled_history"')
    for run_id, wanted in ((seen.run_id, [1, 3]), (seen.other_id, [1, 2])):
        assert sorted(store.rows("study", "doubled", run_id)["who"].to_pylist()) == wanted
        state = store.nodes(run_id)["doubled"].totals.state
        assert state is not None
        there = [row for row in ever if row["first_state"] <= state < (row["until_state"] or state + 1)]
        assert sorted(row["who"] for row in there) == wanted
    (gone,) = (row for row in ever if row["until_run"] is not None)
    assert (gone["first_run"], gone["until_run"]) == (seen.other_id, seen.run_id)
    assert gone["first_at"] <= gone["until"]


REFUSED = [
    'DELETE FROM "study/_runs"',
    "CREATE TABLE mine (x int)",
    "SELECT 1; SELECT 2",
    "COMMIT",
    "nonsense",
    'SELECT * FROM "study.nobody"',
    'WITH gone AS (DELETE FROM "study/_runs" RETURNING 1) SELECT * FROM gone',
    "ATTACH 'other' AS other",
    "COPY (SELECT 1) TO 'file'",
    "",
]


def test_what_would_write_or_is_no_sql_is_refused(database: Any) -> None:
    study(database, [(1, 1)]).run(progress=False)
    with op.open_store(database) as store:
        for statement in REFUSED:
            with pytest.raises(DatabaseError, match="expected one SELECT"):
                store.sql(statement)
        assert store.sql('SELECT count(*) AS n FROM "study/_runs"')["n"].to_pylist() == [1]


def test_results_of_a_node(database: Any) -> None:
    study(database, [(1, 1), (2, 2)]).run(progress=False)
    store = op.open_store(database)
    assert sorted(store.results("doubled")["y"].to_pylist()) == [2, 4]
    with pytest.raises(LabelError, match=r"found 0 pipelines with a function node 'nobody'"):
        store.results("nobody")
    study(database, [(3, 3)], "other").run(progress=False)
    with pytest.raises(LabelError, match=r"found 2 pipelines with a function node 'doubled', expected one; say which"):
        store.results("doubled")
    assert store.results("doubled", "other")["y"].to_pylist() == [6]


def test_results_in_another_store_are_not_shown(database: Any, tmp_path: Path) -> None:
    with SQLiteDatabase(tmp_path / "results.db") as results:
        pipeline = op.Pipeline("study", database, result_database=results)
        with pipeline:
            double.pod(DictSource([{"who": 1, "x": 1}], ["who"], source_id="s"), label="doubled")
        run_id = pipeline.run(progress=False).run_id
        (row,) = asked(database, 'SELECT * FROM "study.doubled"')
        assert (row["who"], row["run_id"], len(row["record_id"])) == (1, run_id, 64)
        assert "y" not in row
        store = op.open_store(database)
        for ask in (lambda: store.rows("study", "doubled"), lambda: store.results("doubled")):
            with pytest.raises(DatabaseError, match="results of 'doubled' are not in .* keeps them in another store"):
                ask()
        assert store.entries("study", "doubled")["who"].to_pylist() == [1]
        assert pipeline.doubled.at(run_id)["y"].to_pylist() == [2]


KILLED = """
import os, signal
import orcapod as op
from orcapod.databases import SQLiteDatabase
from orcapod.sources import DictSource

class Killed(SQLiteDatabase):
    def place_view(self, view, results):
        os.kill(os.getpid(), signal.SIGKILL)

@op.function_pod(output_keys="y", identity="version")
def double(x: int) -> int:
    return 2 * x

pipeline = op.Pipeline("study", Killed({path!r}))
types = {{"who": int, "x": int}}
with pipeline:
    double.pod(DictSource({rows!r}, ["who"], source_id="s", data_schema=types), label="doubled")
pipeline.run(progress=False)
"""


def test_a_process_killed_before_its_views_leaves_none_that_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"

    def killed(number: int) -> None:
        program = KILLED.format(path=str(path), rows=[{"who": number, "x": number}])
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
        assert done.returncode == -signal.SIGKILL, done.stderr

    killed(1)
    with SQLiteDatabase(path) as database:
        assert op.open_store(database).sql('SELECT who, y FROM "study.doubled"').to_pylist() == [{"who": 1, "y": 2}]
        study(database, [(1, 1)]).run(progress=False)
    killed(2)
    with SQLiteDatabase(path) as database:
        assert asked(database, 'SELECT who, y FROM "study.doubled"') == [{"who": 2, "y": 4}]
        study(database, [(2, 2)]).run(progress=False)
        assert asked(database, 'SELECT total FROM "study.total"') == [{"total": 4}]


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_several_place_views_at_once(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Of two definitions under one name, one is there in the end, whole."""
    conninfo = request.getfixturevalue("postgres_conninfo") if kind == "postgres" else ""
    barrier = Barrier(4)

    def run(number: int) -> None:
        with SQLiteDatabase(tmp_path / "lab.db") if kind == "sqlite" else PostgresDatabase(conninfo) as database:
            pipelines = [study(database, [(number, number)], more="ward" * (number % 2)) for _ in range(2)]
            for pipeline in pipelines:
                barrier.wait()
                pipeline.run(progress=False)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))
    with SQLiteDatabase(tmp_path / "lab.db") if kind == "sqlite" else PostgresDatabase(conninfo) as database:
        (row,) = op.open_store(database).sql('SELECT who, y FROM "study.doubled"').to_pylist()
        assert row["y"] == 2 * row["who"]
    if kind == "sqlite":
        with closing(sqlite3.connect(tmp_path / "lab.db")) as connection:
            ((who, y),) = connection.execute('SELECT who, y FROM "study.doubled"').fetchall()
        assert y == 2 * who


@pytest.mark.postgres
def test_views_that_others_made_of_ours_stay(postgres_conninfo: str) -> None:
    """And PostgreSQL has short names in a schema of the pipeline, unless that is somebody else's."""
    with psycopg.connect(postgres_conninfo, autocommit=True) as shell, PostgresDatabase(postgres_conninfo) as database:
        shell.execute("CREATE SCHEMA taken")
        study(database, [(1, 1)]).run(progress=False)
        study(database, [(1, 1)], "taken").run(progress=False)
        shell.execute('CREATE VIEW dashboard AS SELECT y FROM orcapod."study.doubled"')
        shell.execute("CREATE VIEW other_dashboard AS SELECT y FROM study.doubled")
        study(database, [(1, 1), (2, 2)], more="ward").run(progress=False)
        assert shell.execute("SELECT who, ward, y FROM study.doubled ORDER BY who").fetchall() == [(1, 1, 2), (2, 1, 4)]
        assert shell.execute("SELECT y FROM dashboard").fetchall() == [(2,)]
        assert shell.execute("SELECT y FROM other_dashboard").fetchall() == [(2,)]
        assert shell.execute("SELECT count(*) FROM pg_views WHERE schemaname = 'taken'").fetchone() == (0,)
        assert shell.execute("SELECT who, pg_typeof(who)::text FROM study.total").fetchall() == [([1, 2], "bigint[]")]


def test_a_view_is_made_once(tmp_path: Path) -> None:
    """A night with nothing new, and one with rows that come and go, change no definition."""
    with SQLiteDatabase(tmp_path / "lab.db") as database, closing(sqlite3.connect(tmp_path / "lab.db")) as shell:
        versions = []
        for rows in ([(1, 1)], [(1, 1)], [(2, 2)], [(1, 1), (2, 2)]):
            study(database, rows).run(progress=False)
            versions.append(shell.execute("PRAGMA schema_version").fetchone())
        assert len({*versions}) == 1


@pytest.mark.parametrize("body", ["SELECT count(*) AS who FROM n", "SELECT 1 AS who, 2 AS y"])
def test_a_view_that_somebody_else_put_there_is_not_run(tmp_path: Path, body: str) -> None:
    endless = f"WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) {body}"
    with SQLiteDatabase(tmp_path / "lab.db") as database:
        study(database, [(1, 1)]).run(progress=False)
    with closing(sqlite3.connect(tmp_path / "lab.db")) as shell:
        shell.execute('DROP VIEW "study.doubled"')
        shell.execute(f'CREATE VIEW "study.doubled" AS {endless}')
        shell.execute(f'CREATE VIEW "theirs" AS {endless}')
    with op.open_store(tmp_path / "lab.db") as store:
        assert store.sql('SELECT who, y FROM "study.doubled"').to_pylist() == [{"who": 1, "y": 2}]
        for name in ('main."study.doubled"', '"main"."STUDY.doubled"', "theirs", "[Theirs]"):
            with pytest.raises(DatabaseError, match="none of orcapod's"):
                store.sql(f"SELECT count(*) FROM {name}")
    with SQLiteDatabase(tmp_path / "lab.db") as database:
        study(database, [(1, 1)]).run(progress=False)
        assert asked(database, 'SELECT who, y FROM "study.doubled"') == [{"who": 1, "y": 2}]


def test_a_table_under_the_name_of_a_view_stays(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "lab.db")) as shell, SQLiteDatabase(tmp_path / "lab.db") as database:
        study(database, [(1, 1)]).run(progress=False)
        shell.execute('DROP VIEW "study.doubled"')
        shell.execute('CREATE TABLE "study.doubled" (mine)')
        shell.execute('INSERT INTO "study.doubled" VALUES (7)')
        shell.commit()
        study(database, [(1, 1)]).run(progress=False)
        assert shell.execute('SELECT mine FROM "study.doubled"').fetchall() == [(7,)]
        assert shell.execute('SELECT who, y FROM "study.doubled~2"').fetchall() == [(1, 2)]


def test_times_in_views_are_text_in_sqlite(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    with SQLiteDatabase(tmp_path / "lab.db") as database:
        study(database, [(1, 1)]).run(progress=False)
        (row,) = asked(database, 'SELECT timestamp, first_at FROM "study.doubled_history"')
    for text in row.values():
        assert before <= datetime.fromisoformat(text).replace(tzinfo=UTC) <= datetime.now(UTC)
