"""Whatever columns, nodes and pipelines are called, the views of each show what it gave, on every store."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from datetime import date, datetime, time
from typing import Any

import psycopg
import pytest

import orcapod as op
from orcapod.databases import SQLiteDatabase
from orcapod.errors import DatabaseError
from orcapod.sources import DictSource
from orcapod_postgres import PostgresDatabase

STATEMENTS = {
    "memory": "SELECT sql FROM duckdb_views() WHERE view_name IN ({})",
    "delta": "SELECT sql FROM duckdb_views() WHERE view_name IN ({})",
    "sqlite": "SELECT sql FROM sqlite_master WHERE name IN ({})",
    "postgres": "SELECT definition FROM _orcapod_views WHERE view_name IN ({})",
}


def asked(database: Any, statement: str) -> list[dict[str, Any]]:
    """What the store's own SQL says; of an SQLite file both the library and any other tool."""
    said: list[dict[str, Any]] = op.open_store(database).sql(statement).to_pylist()
    if isinstance(database, SQLiteDatabase):
        with closing(sqlite3.connect(database.to_config()["path"])) as connection:
            connection.row_factory = sqlite3.Row
            assert [dict(row) for row in connection.execute(statement)] == said
    return said


def giving(outputs: list[str], takes: Any = int) -> Any:
    """A function of ``taken``, a number or a list of numbers, with these outputs: the numbers that follow."""

    def give(taken: Any) -> Any:
        start = taken if isinstance(taken, int) else sum(taken)
        return start if len(outputs) == 1 else tuple(range(start, start + len(outputs)))

    give.__annotations__.update(taken=takes)
    give.__annotations__["return"] = int if len(outputs) == 1 else tuple[(int,) * len(outputs)]
    return op.function_pod(output_keys=outputs, identity="version")(give)


def rows_of(tags: list[str], size: int, source: str) -> DictSource:
    rows = [{**{tag: at + row for at, tag in enumerate(tags)}, "taken": row} for row in range(size)]
    return DictSource(rows, tags, source_id=source)


def run(database: Any, size: int, *, tags: list[str], lists: list[str], outputs: list[str]) -> None:
    """Run nodes whose rows have tags, long lists, and outputs of these names."""
    pipeline = op.Pipeline("p", database)
    with pipeline:
        giving(["made"]).pod(rows_of(tags, size, "few"), label="tagged")
        giving(["made"], list[int]).pod(rows_of(lists, 64 * size, "many").batch(), label="listed")
        giving(outputs).pod(rows_of(["made"], size, "one"), label="given")
    pipeline.run(progress=False).raise_for_errors()


def test_a_column_may_be_called_like_anything_that_the_views_say(database: Any, request: pytest.FixtureRequest) -> None:
    """The names are taken from the statements of the views, so that those of a new one are tried, too."""
    run(database, 1, tags=["tag"], lists=["tag"], outputs=["y"])
    words: dict[str, set[str]] = {}
    for node in ("tagged", "listed", "given"):
        statement = STATEMENTS[request.node.callspec.params["database"]].format(f"'p.{node}', 'p.{node}_history'")
        said = " ".join(op.open_store(database).sql(statement).column(0).to_pylist())
        words[node] = {word.lower() for word in re.findall(r"[A-Za-z]\w*", said)} - {"made", "taken"}
    assert {"select", "copies", "states", "e", "r"} <= words["tagged"]
    names = sorted({word for said in words.values() for word in said})
    tags = [*names, *map(str.upper, names)]  # names that differ by case only are one to SQL
    lists = sorted(words["listed"] - words["tagged"] | {"tag"})
    for size in (2, 1):  # the second night takes a row away
        run(database, size, tags=tags, lists=lists, outputs=names)
    for node, first in (("tagged", tags), ("listed", lists), ("given", ["made", *names])):
        present, ever = (asked(database, f'SELECT * FROM "p.{node}{end}"') for end in ("", "_history"))
        ended = [row for row in ever if row.get("__until_run", row.get("until_run")) is not None]
        assert (len(present), len(ever), len(ended)) == (1, 2, 1)
        values = [
            json.loads(each) if isinstance(each, str) else each for each in list(present[0].values())[: len(first)]
        ]
        wanted = [[*range(at, at + 64)] if node == "listed" else at for at in range(len(first))]
        assert values == ([0, *wanted[:-1]] if node == "given" else wanted)


@op.function_pod(
    output_keys=["record_id", "Seconds", "it's", "texts", "floats", "facts", "when", "day", "clock"], identity="version"
)
def odd(
    x: int,
) -> tuple[str, float, int, list[str | None], list[float], dict[str, int], datetime, date, time]:
    texts = ['"', "\\", "\0\ufdd0", None, ""]
    return (
        "mine",
        0.5,
        x,
        texts,
        [float("nan"), -0.0, 1e300],
        {"a": x},
        datetime.fromisoformat("2026-01-02 03:04:05.000006"),
        date(1969, 5, 6),
        time(0, 1, 2),
    )


HOSTILE = ['quo"te', "it's", "a.b", "semi;colon --", "naïve ☃", "x" * 200, "%s {}", "select", "sqlite_x", "back\\slash"]


def test_any_names_are_names_of_views(database: Any) -> None:
    """Of pipelines, labels and columns; where a user's column is called as ours would be, ours gets underscores."""
    name = "p " + "".join(HOSTILE)
    pipeline = op.Pipeline(name, database)
    with pipeline:
        for label in HOSTILE:
            tag = f"tag {label}"
            odd.pod(DictSource([{tag: 1, "x": 1}], [tag], source_id=label), label=label)
    pipeline.run(progress=False).raise_for_errors()
    for label in HOSTILE:
        _check_odd(*asked(database, f"SELECT * FROM {_called(database, name, label)}"))


def _check_odd(row: dict[str, Any]) -> None:
    assert (row["record_id"], row["Seconds"], row["it's"]) == ("mine", 0.5, 1)
    assert len(row["__record_id"]) == 64
    assert row["__seconds"] > 0
    assert next(iter(row.values())) == 1
    assert str(row["day"]) == "1969-05-06"
    assert row["clock"] in (62_000_000, time(0, 1, 2))  # of DuckDB
    assert str(row["when"]) == "2026-01-02 03:04:05.000006"
    assert [str(each).lower() for each in _listed(row["floats"])] == ["nan", "-0.0", "1e+300"]
    assert _listed(row["texts"]) == ['"', "\\", "\0\ufdd0", None, ""]


def _called(database: Any, pipeline: str, label: str) -> str:
    """The name of a view, as SQL writes it; what PostgreSQL has no room for is in its catalog."""
    name = f"{pipeline}.{label}"
    if isinstance(database, PostgresDatabase):
        rows = op.open_store(database).sql("SELECT node, view_name FROM _orcapod_views").to_pylist()
        (name,) = (row["view_name"] for row in rows if row["node"] == json.dumps([pipeline, label, 0]))
    return '"' + name.replace('"', '""') + '"'


CALLED = {  # what the views of these nodes are called, which come in this order
    ("study", "bmi"): ("study.bmi", "study.bmi_history"),
    ("study", "bmi_history"): ("study.bmi_history~2", "study.bmi_history_history"),
    ("study", "BMI"): ("study.BMI~2", "study.BMI_history~3"),
    ("Study", "bmi"): ("Study.bmi~3", "Study.bmi_history~4"),
    ("b.c", "d"): ("b.c.d", "b.c.d_history"),
    ("b", "c.d"): ("b.c.d~2", "b.c.d_history~2"),
    ("sqlite_x", "y"): ("_sqlite_x.y", "_sqlite_x.y_history"),
}


def test_views_of_one_name_are_told_apart_and_keep_what_they_are_called(database: Any) -> None:
    """Who came first keeps a name, on every store alike; what another is called, the store says."""

    def give(at: int, pipeline: str, label: str) -> None:
        with op.Pipeline(pipeline, database) as named:
            giving(["y"]).pod(DictSource([{"i": at, "taken": at}], ["i"], source_id=f"{pipeline} {label}"), label=label)
        named.run(progress=False)

    for night in (1, -1):
        for at, node in list(enumerate(CALLED))[::night]:
            give(at, *node)
        for at, names in enumerate(CALLED.values()):
            for name in names:
                assert asked(database, f'SELECT i, y FROM "{name}"') == [{"i": at, "y": at}]
    listed = asked(database, "SELECT node, view_name FROM _orcapod_views")
    assert {tuple(row.values()) for row in listed} == {
        (json.dumps([*node, at]), name) for node, names in CALLED.items() for at, name in enumerate(names)
    }
    store = op.open_store(database)
    for wanted, name in (("study.BMI", "study.BMI~2"), ("Study.bmi", "Study.bmi~3"), ("sqlite_x.y", "_sqlite_x.y")):
        with pytest.raises(DatabaseError, match=f'"{wanted}" is called "{name}" here, since'):
            store.sql(f'SELECT y FROM "{wanted}"')


@pytest.mark.postgres
def test_short_names_in_postgresql_are_told_apart_likewise(postgres_conninfo: str) -> None:
    with PostgresDatabase(postgres_conninfo) as database, psycopg.connect(postgres_conninfo) as shell:
        for at, label in enumerate(("bmi", "bmi_history", "BMI")):
            with op.Pipeline("study", database) as pipeline:
                giving(["y"]).pod(DictSource([{"i": at, "taken": at}], ["i"], source_id=label), label=label)
            pipeline.run(progress=False)
        for at, names in enumerate(list(CALLED.values())[:3]):
            for name in names:
                short = name.removeprefix("study.")
                assert shell.execute(f'SELECT i, y FROM study."{short}"').fetchall() == [(at, at)]


def _listed(value: Any) -> list[Any]:
    found: list[Any] = json.loads(value) if isinstance(value, str) else value
    return found
