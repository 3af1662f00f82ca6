"""Every wrong argument is refused in our own words, or accepted; nothing hangs, crashes or raises a bare error.

All doors that users call, every parameter of theirs, with everything that `orcapod.testing.arguments.ODD` lists.
"""

from __future__ import annotations

import asyncio
import functools
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas
import pyarrow as pa
import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase, NoOpDatabase, SQLiteDatabase, open_database
from orcapod.errors import (
    ConfigError,
    DatabaseError,
    InputValidationError,
    LabelError,
    PipelineError,
    SchemaError,
)
from orcapod.executors import LocalExecutor, open_executor
from orcapod.observers import CompositeObserver, LoggingObserver, NoOpObserver, StatusObserver
from orcapod.operators import Filter
from orcapod.orchestrators import AsyncPipelineOrchestrator, Channel, SyncPipelineOrchestrator
from orcapod.sources import (
    ArrowTableSource,
    CSVSource,
    DataFrameSource,
    DatasetSource,
    DictSource,
    FileSource,
    ListSource,
    SQLiteQuerySource,
    SQLiteTableSource,
)
from orcapod.testing import argument_faults
from orcapod.types import TypeRegistry
from orcapod.ui import app

Arguments = Mapping[str, Callable[[], object]]
DOORS: dict[str, tuple[Callable[..., object], Arguments, tuple[str, ...]]] = {}


def door(title: str, call: Callable[..., object], /, *positional: str, **arguments: object) -> None:
    """Write down what users call, and right arguments: functions without an argument that make one, or constants."""
    DOORS[title] = (
        call,
        {
            each: right if callable(right) else functools.partial(lambda it: it, right)
            for each, right in arguments.items()
        },
        positional,
    )


def constant(value: object) -> Callable[[], object]:
    return lambda: value


def plus(x: int) -> int:
    return x + 1


def source() -> op.sources.Source:
    return DictSource([{"k": 1, "x": 2, "l": [1, 2]}], ["k"], source_id="s")


def other() -> op.sources.Source:
    return DictSource([{"k": 1, "z": 2}], ["k"], source_id="other")


def packet_function() -> op.PythonPacketFunction:
    return op.PythonPacketFunction(plus, "y")


def pod() -> op.FunctionPod:
    return op.FunctionPod(packet_function())


def pipeline() -> op.Pipeline:
    made = op.Pipeline("p", MemoryDatabase())
    with made:
        pod()(source(), label="n")
    return made


@functools.cache
def ran() -> Any:
    made = pipeline()
    made.run(progress=False)
    return made.result_database


def a_run() -> str:
    (run_id,) = op.open_store(ran()).runs().column("run_id").to_pylist()
    return str(run_id)


def filled(database: Any) -> Any:
    database.add_records(("a",), pa.table({"k": ["1"], "v": [1]}))
    return database


@functools.cache
def sqlite() -> SQLiteDatabase:
    stored: SQLiteDatabase = filled(SQLiteDatabase("filled.db"))
    return stored


def read(make: Callable[..., Any]) -> Callable[..., object]:
    """Return what makes a stream and reads it."""
    return lambda *args, **kwargs: make(*args, **kwargs).as_table()


def verb(name: str) -> Callable[..., object]:
    return read(lambda *args, **kwargs: getattr(source(), name)(*args, **kwargs))


def method(make: Callable[[], Any], name: str) -> Callable[..., object]:
    return lambda *args, **kwargs: getattr(make(), name)(*args, **kwargs)


SOURCE: dict[str, object] = {
    "source_id": None, "record_id_column": None, "data_schema": None, "bad_rows": "raise", "label": None,
}  # fmt: skip
RUN: dict[str, object] = {
    "orchestrator": None, "execution_engine": None, "execution_engine_opts": None, "observer": None,
    "error_policy": None, "flush_interval": None, "share_work": False, "progress": False,
    "recompute": None, "only": None, "until": None, "where": None, "note": "", "tags": None,
}  # fmt: skip
FUNCTION: dict[str, object] = {
    "output_keys": "y", "name": None, "version": "v0.0", "identity": "code", "depends_on": (), "ignores": (),
    "packages": "name", "tags": (),
}  # fmt: skip

door("DictSource", read(DictSource), rows=[{"k": 1, "x": 2}], tag_columns=["k"], **SOURCE)
door("DictSource, a value", read(lambda value: DictSource([{"k": 1, "x": value}], ["k"])), value=1)
door(
    "DictSource, a type",
    read(lambda type_: DictSource([{"k": 1}], ["k"], data_schema={"k": type_})),
    type_=constant(int),
)
door("DictSource, a row", read(lambda row: DictSource([{"k": 1}, row], ["k"])), row=constant({"k": 2}))
door("ListSource", read(ListSource), name="x", elements=[1], tag_function=None, **SOURCE)
door("ListSource, tags", read(lambda tags: ListSource("x", [1], lambda element, index: tags)), tags={"k": 1})
door("ArrowTableSource", read(ArrowTableSource), table=pa.table({"k": [1], "x": [2]}), tag_columns=["k"], **SOURCE)
door(
    "ArrowTableSource, location",
    lambda location: ArrowTableSource(pa.table({"k": [1]}), ["k"], location=location),
    location=None,
)
door("DataFrameSource", read(DataFrameSource), frame=lambda: pandas.DataFrame({"k": [1]}), tag_columns=["k"], **SOURCE)
door("CSVSource", read(CSVSource), path="a.csv", tag_columns=["k"], delimiter=",", encoding="utf-8", **SOURCE)
door("DatasetSource", read(DatasetSource), path="a.jsonl", tag_columns=["k"], format=None, columns=None, where=None,
     **SOURCE)  # fmt: skip
door("SQLiteTableSource", read(SQLiteTableSource), path="t.db", table="t", tag_columns=["k"], columns=None, where=None,
     **SOURCE)  # fmt: skip
door("SQLiteQuerySource", read(SQLiteQuerySource), path="t.db", query="SELECT * FROM t", tag_columns=["k"], **SOURCE)
door("FileSource", read(FileSource), folder=".", pattern="*.csv", source_id=None, label=None)
door("File", op.File, path="a.csv")
door("Directory", op.Directory, path=".")
door("output_path", op.output_path, name="a.csv")
door("source.cached", lambda database: source().cached(database).as_table(), database=MemoryDatabase)

door("join", verb("join"), "other", other=other, on="k", how="left", validate="1:1", label=None)
door("cross", verb("cross"), "other", other=lambda: op.grid(h=[1]), label=None)
door("grid", read(op.grid), h=[1], source_id=None, label=None)
door("cases", read(op.cases), parameters=[{"h": 1}], source_id=None, label=None)
door("cases, a case", read(lambda case: op.cases([{"h": 1}, case])), case=constant({"h": 2}))
door("merge_join", verb("merge_join"), "other", other=source, label=None)
door("semi_join", verb("semi_join"), other=source, label=None)
door("concat", verb("concat"), "other", other=source, missing="error", label=None)
door("batch", verb("batch"), size=0, drop_partial=False, incomplete="keep", label=None)
door("group_by", verb("group_by"), "names", names="k", tags="drop", incomplete="raise", label=None)
door("aggregate", verb("aggregate"), "by", "outputs", by=["k"], outputs={"n": "count"}, incomplete="keep")
door("aggregate, an output", read(lambda output: source().aggregate("k", n=output)), output="count")
door("explode", verb("explode"), columns="l", index_tag=None, label=None)
door("head", verb("head"), n=5, incomplete="keep", label=None)
door("sort", verb("sort"), "by", by="k", descending=False, incomplete="keep", label=None)
door("sample", verb("sample"), fraction=None, n=1, seed=0, incomplete="keep", label=None)
door("sample, a share", read(lambda fraction: source().sample(fraction=fraction)), fraction=0.5)
door("index", verb("index"), column="l", position=0, into=None, label=None)
door("pick", read(lambda **options: DictSource([{"k": 1, "d": {"a": 1}}], ["k"]).pick(**options)),
     column="d", key="a", into=None, label=None)  # fmt: skip
door("select_tag_columns", verb("select_tag_columns"), columns=["k"], label=None)
door("select_packet_columns", verb("select_packet_columns"), columns=["x"], label=None)
door("drop_tag_columns", verb("drop_tag_columns"), columns=["k"], label=None)
door("drop_packet_columns", verb("drop_packet_columns"), columns=["x"], label=None)
door("map_tags", verb("map_tags"), names={"k": "i"}, label=None)
door("map_packets", verb("map_packets"), names={"x": "y"}, label=None)
door("map_packets, a name", read(lambda name: source().map_packets({"x": name})), name="y")
door("drop_nulls", verb("drop_nulls"), columns=None, label=None)
door("filter", verb("filter"), "predicate", "constraints", predicate=None, constraints={"x": 1})
door("filter, a value", read(lambda value: source().filter(x=value)), value=1)
door("Filter()", read(lambda stream, label: Filter(x=2)(stream, label=label)), stream=source, label=None)
for name in ("output_schema", "keys", "as_table", "to_pandas", "to_polars"):
    door(f"stream.{name}", method(source, name), columns=None)
door("stream.export", lambda **options: DictSource([{"k": 1, "x": "text"}], ["k"]).export(**options),
     pattern="{k}.txt", column="x", prune=False)  # fmt: skip
door("stream.as_table, a flag", lambda flag: source().as_table({"source": flag}), flag=True)

door("function_pod", lambda **options: op.function_pod(**options)(plus),
    label=None, node_config=None, max_concurrency=None, retries=None, timeout=None, **FUNCTION)  # fmt: skip
door("function_pod()", lambda function: op.function_pod("y")(function), function=constant(plus))
door("PythonPacketFunction", lambda **options: op.PythonPacketFunction(**options).fingerprint(),
    function=constant(plus), input_schema=None, output_schema=None, **FUNCTION)  # fmt: skip
door("depends_on", lambda it: op.PythonPacketFunction(plus, "y", depends_on=[it]).fingerprint(), it=1)
door("FunctionPod", lambda **options: op.FunctionPod(**options)(source()).as_table(),
    packet_function=packet_function, label=None, executor=None, node_config=None)  # fmt: skip
door("pod()", read(lambda stream, label: pod()(stream, label=label)), stream=source, label=None)
door("pod.process_packet", lambda **row: pod().process_packet(**row),
    tag=lambda: next(iter(source()))[0], packet=lambda: next(iter(source()))[1], logger=None)  # fmt: skip
door(
    "CachedFunctionPod", read(lambda **given: op.CachedFunctionPod(**given)(source())), pod=pod, database=MemoryDatabase
)
door("code_of", op.code_of, code=pod, store=None)
door("code_of, a fingerprint", op.code_of, code=lambda: str(packet_function().fingerprint()), store=ran)
door("compare_code", op.compare_code, before=pod, after=pod, store=None)

door("open_store", lambda store: op.open_store(store).runs(), store="memory://")
door("store.sql", lambda statement: op.open_store(ran()).sql(statement), statement="SELECT 1 AS x")
door("store.results", lambda node, pipeline: op.open_store(ran()).results(node, pipeline), node="n", pipeline="p")
door("compare", op.compare, store=lambda: op.open_store(ran()), before=a_run, after=a_run, rtol=0.0)
door("store.trace", lambda **asked: str(op.open_store(ran()).trace(**asked)),
    pipeline="p", node="n", tag={"k": 1}, column="y", run=a_run, record_id="row_0")  # fmt: skip
door("store.descendants", lambda **asked: op.open_store(ran()).descendants(**asked),
    pipeline="p", node="n", tag={"k": 1}, run=a_run, record_id="row_0")  # fmt: skip
door("store.impact", lambda **asked: op.open_store(ran()).impact(**asked), source_id="s", record_id="row_0", run=a_run)
door("store.lineage", lambda **asked: op.open_store(ran()).lineage(**asked), pipeline="p", node="n", run=a_run)
door("app", app, "store", "token", store=lambda: op.open_store(ran()), token="secret")
door("write_report", op.write_report, "store", "path", store=ran, path="run.html", run=a_run)
door("verify_store", op.verify_store, store="memory://", repair=False, result_database=None, files=None)

door("remove_orphans", op.remove_orphans, "store", store="memory://", files=None, hours=24.0)

door("Pipeline", op.Pipeline, name="p", database=None, result_database=None, auto_compile=False, config=None,
     files=None)  # fmt: skip
door("Pipeline, a part of its name", lambda part: op.Pipeline(("p", part)), part="q")
door("pipeline.prune", method(pipeline, "prune"), keep="present", older_than="90d", dry_run=True, logs=False)
door("node.invalidate", lambda tag: pipeline()["n"].invalidate(k=tag), tag=1)
door("pipeline.run", lambda **options: pipeline().run(**options), **RUN)
door("pipeline.run_async", lambda **options: asyncio.run(pipeline().run_async(**options)), **RUN)
for name, right in {"workers": 2, "kind": "thread", "capture": "sys"}.items():
    door(f"pipeline.run, {name}", lambda value, name=name: pipeline().run(
        execution_engine="local", execution_engine_opts={name: value}, progress=False), value=right)  # fmt: skip
door("pipeline[]", lambda label: pipeline()[label], label="n")
door("pipeline.get", lambda label: pipeline().get(label), label="n")
door("pipeline.explain", lambda **given: pipeline().explain(**given), node="n", tag={"k": 1})
door("pipeline.explain, one value of a tag", lambda k: pipeline().explain("n", {"k": k}), k=1)
door("pipeline.explain()[]", lambda label: pipeline().explain()[label], label="n")
door("node.as_source", lambda source_id: pipeline()["n"].as_source(source_id).as_table(), source_id="s")
door("node.execute", lambda rows, **options: pipeline()["n"].execute(rows, **options),
    rows=source, observer=None, error_policy="continue")  # fmt: skip
door("node.execute, a row", lambda row: pipeline()["n"].execute([row]), row=lambda: next(iter(source())))
door("NodeConfig", op.NodeConfig, max_concurrency=None, retries=0, timeout=None)
door("Pipeline.graph", lambda run: pipeline().graph(run), run=None)
door("PipelineConfig", op.PipelineConfig, node=op.NodeConfig, flush_interval=1.0)


async def async_execute(rows: Any, results: Any, **options: Any) -> None:
    if isinstance(rows, Channel):
        rows.close()
    await pipeline()["n"].async_execute(rows, results, **options)


door("node.async_execute", lambda **options: asyncio.run(async_execute(**options)),
    rows=lambda: Channel(), results=lambda: Channel(), observer=None, error_policy="continue")  # fmt: skip

door("open_database", open_database, location="memory://")
door("configuration", lambda **config: open_database({"type": "sqlite", **config}), path="a.db", prefix=[])
door("configuration of memory", lambda **config: open_database(config), type="memory", prefix=[])
for cls, url in ((MemoryDatabase, "memory://"), (SQLiteDatabase, "sqlite:///a.db"), (NoOpDatabase, "noop://")):
    door(f"{cls.__name__}.from_url", cls.from_url, url=url)
    door(f"{cls.__name__}.from_config", cls.from_config, config={"path": "a.db"})
door("SQLiteDatabase", SQLiteDatabase, path="a.db")
for kind, make in (("memory", lambda: filled(MemoryDatabase())), ("sqlite", sqlite), ("noop", NoOpDatabase)):
    door(f"{kind}.add_records", method(make, "add_records"),
        path=("a",), table=pa.table({"k": ["2"], "v": [1]}), on_conflict="skip")  # fmt: skip
    door(f"{kind}.get_records", method(make, "get_records"), path=("a",), columns=None, where=None)
    door(f"{kind}.get_records_by_ids", method(make, "get_records_by_ids"), path=("a",), ids=["1"], columns=None)
    door(f"{kind}.delete_records", method(make, "delete_records"), path=("a",), ids=["1"])
    door(f"{kind}.at", method(make, "at"), "prefix", prefix="a")
    door(f"{kind}, a part of a path", lambda part, make=make: make().get_records(("a", part)), part="b")
door("ResultCache", lambda **given: op.ResultCache(**given).lookup([b"1"]),
    database=MemoryDatabase, path=("a",), outputs=op.Schema({"x": int}), code="m:00", run_id="")  # fmt: skip

door("LoggingObserver", LoggingObserver, database=MemoryDatabase)
door("StatusObserver", StatusObserver, database=MemoryDatabase, cached=True)
door("CompositeObserver", CompositeObserver, "observer", observer=NoOpObserver)
door("get_logs", lambda **which: LoggingObserver(MemoryDatabase()).get_logs(**which), run_id=None, node_label=None)
door("get_status", lambda **which: StatusObserver(MemoryDatabase()).get_status(**which), run_id=None, node_label=None)
door("LocalExecutor", LocalExecutor, workers=None, kind="thread", capture="sys")
door("LocalExecutor.with_options", method(LocalExecutor, "with_options"), workers=None, kind="thread", capture="sys")
door("open_executor", open_executor, engine="local")
door("SyncPipelineOrchestrator", SyncPipelineOrchestrator, await_together=False, error_policy="continue", observer=None)
door("AsyncPipelineOrchestrator", AsyncPipelineOrchestrator, buffer_size=64, error_policy="continue", observer=None)
door("Channel", Channel, buffer_size=64)

door("Schema", op.Schema, columns={"x": int})
door("Schema, a type", lambda type_: op.Schema({"x": type_}), type_=constant(int))
door("Schema.select", method(lambda: op.Schema({"x": int}), "select"), names=["x"])
door("Schema.drop", method(lambda: op.Schema({"x": int}), "drop"), names=["x"])
door("Schema.rename", method(lambda: op.Schema({"x": int}), "rename"), names={"x": "y"})
door("logical_type", op.logical_type, "python", python=lambda: type("Own", (), {}), name=None, to_bytes=constant(plus),
     from_bytes=constant(plus), identity=None, layout=1, migrate=None)  # fmt: skip
door("TypeRegistry.register", method(TypeRegistry, "register"), python=constant(int), factory=constant(len))
door("RunResult.counts", lambda label: pipeline().run(progress=False).counts(label), label="n")
door("RunResult.rows", lambda label: pipeline().run(progress=False).rows(label), label="s")
door("packet.as_table", lambda columns: next(iter(source()))[1].as_table(columns), columns=None)
door("ContentHash.parse", op.ContentHash.parse, text="m:00")


FOR_OTHERS = {
    *("free_view_name", "misnamed", "view_keys"),
    *("Dialect", "ListDialect", "NodeTables", "SQLTable", "tables_of", "to_json", "view_names", "view_selects"),
    *("DatabaseView", "Layout", "SQLColumn", "check_format", "check_process", "checked_config", "checked_ids"),
    *(
        "checked_path",
        "checked_table",
        "chosen_columns",
        "closed_store",
        "read_only_store",
        "why_unwritable",
        "conformed",
        "damaged_catalog",
        "duplicate_key",
        "filtered",
    ),
    *(
        "free_identifier",
        "is_path",
        "merged_schema",
        "named_columns",
        "path_of_text",
        "path_text",
        "rows_of",
        "sql_column",
        "table_of",
    ),
    *("Capture", "Compact", "Loaded", "Returning", "in_parts", "rebuild", "run_call", "unpicklable"),
    *("InputEvent", "Operator", "OperatorStream", "PushOperator", "RowwiseOperator"),
    *("in_turn", "ordered", "run_operator"),
    *("CachedSource", "LiveSource", "StoredSource", "TableSource", "spooled"),  # made by other sources and by nodes
    *("NoOpObserver", "ProgressObserver", "is_watched"),  # take nothing
}
"""What is for those who write a store, an executor or an operator, or what nobody makes."""


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("doors"))
        Path("a.csv").write_text("k,x\n1,2\n")
        Path("a.jsonl").write_text('{"k": 1, "x": 2}\n')
        with closing(sqlite3.connect("t.db")) as connection:
            connection.executescript("CREATE TABLE t (k INTEGER PRIMARY KEY, x INT); INSERT INTO t VALUES (1, 2)")
        yield
        sqlite().close()


def test_every_class_and_function_that_users_call_is_tried() -> None:
    rooms = (op, op.databases, op.executors, op.observers, op.operators, op.orchestrators, op.sources)
    public = {name for room in rooms for name in room.__all__ if callable(getattr(room, name))}
    tried = {re.split(r"[^a-z_]", title.lower())[0].replace("_", "") for title in DOORS}
    assert {name for name in public if name.replace("_", "").lower() not in tried} == FOR_OTHERS


@pytest.mark.parametrize("name", DOORS)
def test_right_arguments_are_accepted(name: str) -> None:
    """Or the other test would prove nothing."""
    call, arguments, positional = DOORS[name]
    given = {each: right() for each, right in arguments.items()}
    call(*[given.pop(each) for each in positional], **given)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", DOORS)
def test_a_wrong_argument_is_refused_in_our_words(name: str) -> None:
    call, arguments, positional = DOORS[name]
    assert list(argument_faults(call, arguments, positional=positional)) == []


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (
            lambda: op.Pipeline("p", 5),
            ConfigError,
            r"found 5 of type int, expected a database; give .*SQLiteDatabase\(",
        ),
        (lambda: op.Pipeline(3), PipelineError, "Pipeline: found the name 3 of type int, expected a name or a list of"),
        (
            lambda: pipeline().run("async"),
            ConfigError,
            r"orchestrator 'async' of type str, .*AsyncPipelineOrchestrator\(",
        ),
        (lambda: pipeline()[["n"]], LabelError, r"pipeline 'p': found the label \['n'\] of type list, expected a text"),
        (lambda: op.FunctionPod(plus), SchemaError, "found packet_function <function plus.*PythonPacketFunction"),
        (lambda: op.function_pod("y", name=3)(plus), SchemaError, "found name 3 of type int, expected a text"),
        (
            lambda: source().cached("kept.db"),
            ConfigError,
            r"found 'kept.db' of type str, expected a database; open it first: orcapod.databases.open_database\(",
        ),
        (
            lambda: LoggingObserver(Path("kept.db")),
            ConfigError,
            r"found .*kept.db.*, expected a database; .*open_database\(.*pipeline.log_database$",
        ),
        (
            lambda: source().drop_packet_columns(0),
            SchemaError,
            "DropPacketColumns: found columns 0 of type int, expected",
        ),
        (
            lambda: source().select_tag_columns([["a"]]),
            SchemaError,
            r"found columns with \['a'\] of type list, expected",
        ),
        (
            lambda: source().map_packets("x"),
            SchemaError,
            "MapPackets: found names 'x' of type str, expected a dict such",
        ),
        (lambda: source().map_tags({"k": "a\ud800"}), SchemaError, r"a new name 'a\\ud800', .*lone surrogate"),
        (
            lambda: DictSource([{"k": 1}], 5),
            InputValidationError,
            "DictSource: found tag_columns 5 of type int, expected",
        ),
        (lambda: DictSource([{"k": 1}], ["k"], source_id=5), InputValidationError, "source_id 5 of type int"),
        (
            lambda: DictSource([{"k": 1}], ["k"], data_schema=[1]),
            InputValidationError,
            r"data_schema \[1\] of type list",
        ),
        (
            lambda: DictSource([{"a\udfff": 1}], []),
            InputValidationError,
            r"a column called 'a\\udfff', expected a text of",
        ),
        (lambda: DictSource([cyclic()], []), InputValidationError, "'itself': found values that contain themselves"),
        (lambda: CSVSource("x" * 10_000, ["k"]), InputValidationError, "this one cannot: File name too long"),
        (lambda: open_database("a\0b"), DatabaseError, "found path 'a.x00b', .*: embedded null byte"),
    ],
)
def test_the_likeliest_slips_are_answered_with_the_way_out(
    call: Callable[[], object], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        call()


def cyclic() -> dict[str, Any]:
    made: dict[str, Any] = {}
    made["itself"] = made
    return made


@pytest.mark.parametrize("cls", [MemoryDatabase, SQLiteDatabase])
def test_what_is_no_configuration_is_not_shown(cls: Any) -> None:
    """It may be a URL, with a password in it."""
    with pytest.raises(DatabaseError, match="as to_config.. gives it, found one of type str") as raised:
        cls.from_config("postgresql://me:hunter2@host/lab")
    assert "hunter2" not in str(raised.value)
