"""Whole pipelines of every kind of source, operator and function, and what identity makes of them.

What they give is pinned in ``vectors/pipelines-v1.json``, to which it is only ever appended: names, hashes and keys are
what stores that are in use consist of. ``python -m orcapod.testing.whole_pipelines`` prints what it is now.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from orcapod.databases import MemoryDatabase
from orcapod.functions import PythonPacketFunction
from orcapod.operators import Aggregate, Filter
from orcapod.pipeline import Pipeline
from orcapod.pods import FunctionPod
from orcapod.protocols import Database
from orcapod.sources import (
    ArrowTableSource,
    CSVSource,
    DatasetSource,
    DictSource,
    FileSource,
    ListSource,
    SQLiteQuerySource,
    SQLiteTableSource,
    StoredSource,
    cases,
    grid,
)
from orcapod.streams import Stream

__all__ = ["identities"]

_EVERYTHING = {"system_tags": True, "source": True}
_TIMES = ("_run_starts", "_runs", "_environments")  # which tell when and where


def identities() -> dict[str, Any]:
    """Return, by name, what is to stay the same of streams, and of a store in which pipelines were run."""
    with TemporaryDirectory() as folder, MemoryDatabase() as database:
        sources = _sources(Path(folder), database)
        pipeline = Pipeline(("lab", "pinned"), database)
        with pipeline:
            derived = _derived(sources)
        pipeline.run().raise_for_errors()
        live = {
            "live": pipeline["bmi"].as_source(),
            "live, named": pipeline["bmi"].as_source("anew"),
            "function of a tag": _function_of_a_tag(sources),
        }
        nodes = {f"node {node.label}": node for node in pipeline.values()}
        streams = {**sources, **derived, **live, **nodes}
        return {name: _stream(stream) for name, stream in streams.items()} | {
            "/".join(path): _table(database.get_records(path))
            for path in database.list_paths()
            if path[-1] not in _TIMES
        }


def _sources(folder: Path, database: Database) -> dict[str, Stream]:
    rows = [{"id": i, "sex": "fm"[i % 2], "weight": 60.5 + i, "note": None if i else "x"} for i in range(4)]
    sizes = pa.table({"id": [0, 1, 2, 3], "height": [1.5, 1.75, 1.25, 2.0]})
    (folder / "visits.csv").write_text("id,visit,score\n0,1,2\n0,2,5\n3,1,4\n")
    (folder / "recordings").mkdir()
    for name in ("a", "b"):
        (folder / "recordings" / f"{name}.txt").write_text(name)
    (folder / "runs" / "year=2024").mkdir(parents=True)
    (folder / "runs" / "year=2024" / "a.jsonl").write_text('{"id": 1, "rate": 0.5}\n')
    with closing(sqlite3.connect(folder / "lab.db")) as connection:
        connection.executescript(
            "CREATE TABLE cells (id INTEGER PRIMARY KEY, rate REAL); INSERT INTO cells VALUES (1, 2)"
        )
    people = DictSource(rows, ["id", "sex"], source_id="people")
    named = DictSource(rows, ["id"], source_id="people by id", record_id_column="id")
    accumulated = DictSource([{"site": "a"}, {"site": "b"}], ["site"], source_id="sites").cached(database)
    accumulated.as_table()  # which stores them
    return {
        "rows of dicts": people,
        "rows of dicts, records named": DictSource(
            rows, ["id"], source_id="patients", record_id_column=["id", "sex"], data_schema={"note": str | None}
        ),
        "rows of dicts, nameless": DictSource(rows, ["id"], record_id_column="id"),
        "an Arrow table": ArrowTableSource(sizes, ["id"], source_id="sizes"),
        "a CSV file": CSVSource(folder / "visits.csv", ["id", "visit"], source_id="visits"),
        "files": FileSource(folder / "recordings", "{name}.txt", source_id="recordings"),
        "a list": ListSource("path", ["a", "b"], source_id="paths"),
        "a list, tagged": ListSource("path", ["a", "b"], lambda path, at: {"name": path, "at": at}, source_id="tagged"),
        "accumulated": accumulated,
        "accumulated, records named": named.cached(database),
        "stored": StoredSource.open(database, "sites"),
        "a grid": grid(threshold=[0.5, 1.0], window=[5]),
        "cases": cases([{"threshold": 0.5, "smooth": None}, {"threshold": 1.0, "smooth": 3}], source_id="tried"),
        "a dataset": DatasetSource(folder / "runs", ["year", "id"], source_id="runs"),
        "a table of SQLite": SQLiteTableSource(folder / "lab.db", "cells", source_id="cells"),
        "a query of SQLite": SQLiteQuerySource(folder / "lab.db", "SELECT id, rate * 2 AS rate FROM cells", ["id"]),
    }


def _derived(sources: Mapping[str, Stream]) -> dict[str, Stream]:
    people, sizes, visits = (sources[name] for name in ("rows of dicts", "an Arrow table", "a CSV file"))

    def bmi(weight: float, height: float) -> float:
        return weight / height**2

    def spread(score: list[int]) -> tuple[int, int]:
        return max(score), min(score)

    def raised(weight: float, by: float = 1.0) -> float:
        return weight + by

    heavier = people.map_packets({"weight": "heavier"})
    return {
        "filter": people.filter(sex="f", note=None),
        "drop nulls": people.drop_nulls(["note"]),
        "drop all nulls": people.drop_nulls(),
        "select tags": people.select_tag_columns(["id"]),
        "drop tags": people.drop_tag_columns(["sex"]),
        "select packets": people.select_packet_columns(["weight"]),
        "drop packets": people.drop_packet_columns(["note"]),
        "map tags": people.map_tags({"id": "person"}),
        "map packets": heavier,
        "join": people.join(sizes),
        "join of three": people.join(sizes, visits),
        "join with itself": people.select_packet_columns([]).join(people.select_packet_columns([])),
        "merge join": people.merge_join(Filter(sex="m")(people, label="men")),
        "semi join": people.semi_join(visits),
        "concat": people.concat(people.filter(sex="m")),
        "batch": people.batch(3),
        "batch, whole ones": people.batch(3, drop_partial=True),
        "group by": visits.group_by("id"),
        "explode": visits.group_by("id").explode(["visit", "score"], index_tag="at"),
        "explode, some": people.batch(2).explode("weight"),
        "function": _pod(bmi, "bmi")(people, sizes),
        "function of groups": _pod(spread, "most", "least", version="v2.1")(visits.group_by("id")),
        "function of a function": _pod(raised, "weight")(_pod(raised, "weight")(people), label="twice raised"),
        "join on a tag": people.join(sizes, on="id", validate="n:1", label="by id"),
        "join from the left": sizes.join(visits, how="left", label="with visits"),
        "join, those without": sizes.join(visits, how="anti", label="without visits"),
        "cross": people.cross(sources["a grid"], label="crossed"),
        "group by, tags dropped": visits.group_by("id", tags="drop", label="scores by id"),
        "group by, what is left": visits.group_by("id", incomplete="keep", label="what is left of visits"),
        "batch, what is left": people.batch(3, incomplete="keep", label="what is left of threes"),
        "concat, with nulls": people.concat(visits, missing="null", label="with nulls"),
        "sort": people.sort("weight", descending=True),
        "head": people.sort("sex", "id").head(3),
        "sample": people.sample(fraction=0.5),
        "sample of two": people.sample(n=2, seed=1),
        "index": visits.group_by("id").index("score", -1, into="last"),
        "pick": DictSource([{"id": 1, "sizes": {"a": 1}}], ["id"], source_id="sizes by name").pick("sizes", "a"),
        "aggregate": visits.aggregate("id", n="count", total=("score", "sum"), best=("score", "max")),
        "aggregate of all": people.aggregate(
            [], heavy=("weight", "mean"), std=("weight", "std", 0), a=("sex", "first")
        ),
        "sort, what is left": people.sort("weight", incomplete="keep", label="what is left in order"),
        "head, what is left": people.head(2, incomplete="keep", label="what is left of two"),
        "sample, what is left": people.sample(n=2, incomplete="keep", label="what is left by chance"),
        "aggregate, what is left": Aggregate("id", n="count", incomplete="keep")(visits, label="what is left to count"),
    }


def _function_of_a_tag(sources: Mapping[str, Stream]) -> Stream:
    """Return one that is in no pipeline, whose store would tell of its code."""

    def above(weight: float, threshold: float) -> bool:
        return weight > threshold

    return _pod(above, "is_above", tags=["threshold"])(sources["rows of dicts"].cross(sources["a grid"]))


def _pod(function: Any, *outputs: str, version: str = "v1.0", tags: Sequence[str] = ()) -> FunctionPod:
    return FunctionPod(PythonPacketFunction(function, outputs, identity="version", version=version, tags=tags))


def _stream(stream: Stream) -> dict[str, Any]:
    table = stream.as_table(_EVERYTHING)
    ids = [name for name in table.column_names if name.startswith("_")]
    return {
        "content": str(stream.content_hash()),
        "pipeline": str(stream.pipeline_hash()),
        "columns": [name for name in table.column_names if name not in ids],
        "first ids": table.select(ids).to_pylist()[0],
    }


def _table(table: pa.Table) -> dict[str, Any]:
    keys: list[Any] = table.column(0).to_pylist()
    return {
        "columns": table.column_names,
        "keys": sorted(key if isinstance(key, str) else key.hex() for key in keys),
    }


if __name__ == "__main__":
    lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in identities().items()]
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")
