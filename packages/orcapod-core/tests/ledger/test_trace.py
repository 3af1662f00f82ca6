"""Promise 25: every value leads to its source rows, through groups too; and every source row to what it has touched."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase, SQLiteDatabase
from orcapod.errors import LabelError, SchemaError, UnknownRowError, UnknownRunError
from orcapod.ledger import ComputedRow, Origin, RowGroup, SourceRow
from orcapod.ledger.routes import NodeInRun
from orcapod.ledger.trace import Tracer
from orcapod.observers import LoggingObserver
from orcapod.protocols import Database
from orcapod.sources import DictSource
from orcapod.streams import Stream

# Values say themselves where they come from: each is a list of labels, which functions only put together.


@op.function_pod(output_keys="x", identity="version")
def same(x: list[str]) -> list[str]:
    return sorted({*x})


@op.function_pod(output_keys="x", identity="version")
def both(x: list[str], y: list[str]) -> list[str]:
    return sorted({*x, *y})


@op.function_pod(output_keys="x", identity="version")
def union(x: list[list[str]]) -> list[str]:
    return sorted({label for each in x for label in each})


@op.function_pod(output_keys="x", identity="version")
def rotated(x: list[list[str]]) -> list[list[str]]:
    """Give each member what is in all of them."""
    return [sorted({label for each in x for label in each})] * len(x)


STEPS = [
    *("same", "both", "self", "group", "group, tags dropped", "group of groups", "batch", "explode", "rotated"),
    *("filter", "drop", "rename", "concat", "semi", "left", "sort"),
]
ROWS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 1), st.sampled_from("pqrs")), min_size=1, max_size=4)
STEP = st.tuples(st.sampled_from(STEPS), st.integers(0, 9), st.integers(0, 9))


class Plan(NamedTuple):
    """Rows ``(k, j, label)`` of each source, and steps: what is done, to which stream, with which other."""

    sources: Sequence[Sequence[tuple[str, int, str]]]
    steps: Sequence[tuple[str, int, int]]

    def labels(self) -> dict[tuple[str, str], str]:
        """Return the label in each row of the sources."""
        return {
            (f"s{at}", f"row_{row}"): label
            for at, rows in enumerate(self.sources)
            for row, (*_, label) in enumerate(rows)
        }

    def build(self) -> None:
        """Call sources, operators and functions."""
        types = {"k": str, "j": int, "x": list[str]}
        streams: list[Stream] = [
            DictSource(
                [{"k": k, "j": j, "x": [label]} for k, j, label in rows],
                ["k", "j"],
                source_id=f"s{at}",
                data_schema=types,
            )
            for at, rows in enumerate(self.sources)
        ]
        for kind, first, second in self.steps:
            one, other = streams[first % len(streams)], streams[second % len(streams)]
            try:
                streams.append(_applied(kind, one, other))
            except SchemaError:  # the tags that it needs are no longer there
                continue
        for at, stream in enumerate(streams):
            if "x" in stream.schema.packets and stream.schema.packets.types["x"].name == "list[str]":
                same.pod(stream, label=f"last {at}")


def _applied(kind: str, one: Stream, other: Stream) -> Stream:
    match kind:
        case "same":
            return same.pod(one)
        case "both":
            return both.pod(one.join(other.map_packets({"x": "y"})))
        case "self":
            return both.pod(one.join(one.map_packets({"x": "y"}), on="k").drop_tag_columns(["j"]))
        case "group":
            return union.pod(one.group_by("k"))
        case "group, tags dropped":
            return union.pod(one.group_by("k", tags="drop"))
        case "group of groups":
            return union.pod(union.pod(one.group_by("k", "j", tags="drop")).group_by("j", tags="drop"))
        case "batch":
            return union.pod(one.batch(2))
        case "explode":
            return one.batch(2).explode([*one.schema.tags, "x"])
        case "rotated":
            return rotated.pod(one.batch(2)).explode([*one.schema.tags, "x"])
        case "filter":
            return one.filter(k="a")
        case "drop":
            return one.drop_tag_columns(["j"])
        case "rename":
            return one.map_tags({"j": "i"}).map_packets({"x": "z"}).map_packets({"z": "x"})
        case "concat":
            return one.concat(other)
        case "semi":
            return one.semi_join(other)
        case "left":
            return one.join(other.map_packets({"x": "y"}), how="left").drop_packet_columns(["y"])
        case _:
            return one.sort("k")


PLANS = st.builds(Plan, st.lists(ROWS, min_size=1, max_size=2), st.lists(STEP, min_size=1, max_size=4))
PROPERTY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


JOINED_WITH_MEMBERS = Plan([[("a", 0, "p"), ("a", 0, "p"), ("a", 0, "q")]], [("rotated", 0, 0), ("both", 0, 1)])
"""A row and one that was exploded, whose source rows are those of no one row above."""


TWO_OF_ONE_RESULT = Plan([[("b", 1, "r")], [("b", 1, "r")]], [("both", 0, 1), ("both", 0, 0), ("both", 3, 2)])
"""A row that joins two rows of nodes with one function, whose packets are equal, so that they have one result."""

WITHOUT_TAGS = Plan([[("a", 0, "p")]], [("group of groups", 0, 0), ("drop", 1, 0)])


@given(plan=PLANS)
@example(plan=JOINED_WITH_MEMBERS)
@example(plan=WITHOUT_TAGS)
@example(plan=TWO_OF_ONE_RESULT)
@settings(PROPERTY, max_examples=16)
@pytest.mark.filterwarnings("ignore:.* none agree", "ignore:.*share no tag")
def test_every_value_leads_to_the_rows_that_it_says_it_is_made_of(plan: Plan) -> None:
    check_plan(plan, MemoryDatabase())


@given(plan=PLANS)
@settings(PROPERTY, max_examples=5)
@pytest.mark.filterwarnings("ignore:.* none agree", "ignore:.*share no tag")
def test_so_it_does_in_a_store_that_looks_where_rows_lie(plan: Plan) -> None:
    with TemporaryDirectory() as folder, SQLiteDatabase(Path(folder) / "lab.db") as database:
        check_plan(plan, database)


def check_plan(plan: Plan, database: Database) -> None:
    """Compare trees, impacts and lineages of all rows with what their values and their source rows say."""
    pipeline = op.Pipeline("p", database)
    with pipeline:
        plan.build()
    pipeline.run(progress=False).raise_for_errors()
    store, labels = op.open_store(database), plan.labels()
    run = store.run("")
    tracer = Tracer(database, [run])
    touched: Counter[tuple[str, str, str]] = Counter()
    for label, node in run.functions.items():
        rows, entries = store.rows("p", label), store.entries("p", label)
        expected: Counter[Any] = Counter()
        for at, row in enumerate(rows.to_pylist()):
            tree = tracer.row(NodeInRun(run, node), entries.slice(at, 1))
            values = {leaf for leaf in leaves(tree) if leaf.columns}
            assert {labels[leaf.source_id, leaf.record_id] for leaf in values} == labels_in(row["x"]), (
                f"{label}\n{tree}"
            )
            pairs = pairs_of(entries.slice(at, 1).to_pylist()[0])
            sources = {(each.source_id, each.record_id) for each in tree.sources()}
            assert {(each.source_id, each.record_id) for each in leaves(tree)} <= sources, f"{label}\n{tree}"
            assert pairs == sources or (pairs <= sources and any("rotated" in step for step in plan.steps))
            touched.update((label, *pair) for pair in sources)
            made = {(leaf.source_id, leaf.record_id) for leaf in values}
            expected.update((at, *pair, "x" if pair in made else None) for pair in sources)
        table = store.lineage("p", label)
        *tags, number, source, record, column = table.column_names
        listed = table.to_pylist()
        assert Counter((row[number], row[source], row[record], row[column]) for row in listed) == expected, label
        of_rows = rows.select(tags).to_pylist()
        assert all(of_rows[row[number]] == {name: row[name] for name in tags} for row in listed)
    for pair in labels:
        hits = {hit.node: hit for hit in store.impact(*pair)}
        assert {node: hit.rows for node, hit in hits.items()} == {
            label: touched[label, *pair] for label in run.functions if touched[label, *pair]
        }
        assert all(hit.tags().num_rows for hit in hits.values())


def leaves(origin: Origin) -> Iterator[SourceRow]:
    below = origin.members() if isinstance(origin, RowGroup) else origin.inputs
    if isinstance(origin, SourceRow):
        yield origin
    for each in below:
        yield from leaves(each)


def labels_in(x: Any) -> set[str]:
    return {label for each in x for label in (each if isinstance(each, list) else [each])}


def pairs_of(entry: dict[str, Any]) -> set[tuple[str, str]]:
    """Return the source rows that an entry names, in lists of any depth."""

    def flat(value: Any) -> list[Any]:
        return [item for each in value for item in flat(each)] if isinstance(value, list) else [value]

    names = [name for name in entry if name.startswith("_tag_source_id")]
    pairs = [
        pair
        for name in names
        for pair in zip(flat(entry[name]), flat(entry[name.replace("source", "record")]), strict=True)
    ]
    return {(source, record) for source, record in pairs if source is not None}


@op.function_pod(output_keys="bmi", identity="version")
def bmi(weight: float) -> float:
    print(f"weight {weight}")
    return weight / 4


@op.function_pod(output_keys="mean", identity="version")
def mean(bmi: list[float]) -> float:
    return sum(bmi) / len(bmi)


def study(database: Database, weights: dict[int, float], name: str = "study") -> op.Pipeline:
    """Return the pipeline of one night: a value of each patient, and one of all."""
    rows = [{"patient": patient, "weight": weight} for patient, weight in weights.items()]
    pipeline = op.Pipeline(name, database)
    with pipeline:
        source = DictSource(rows, ["patient"], source_id="patients", record_id_column="patient")
        mean.pod(bmi.pod(source, label="bmi").batch(), label="mean")
    return pipeline


def night(database: Database, weights: dict[int, float], name: str = "study", **options: Any) -> str:
    pipeline = study(database, weights, name)
    return pipeline.run(observer=LoggingObserver(pipeline.log_database), progress=False, **options).run_id


@pytest.fixture(params=["memory", "sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with MemoryDatabase() if request.param == "memory" else SQLiteDatabase(tmp_path / "lab.db") as database:
        yield database


def records(origin: Origin) -> list[str]:
    return [row.record_id for row in origin.sources()]


def test_a_value_is_followed_in_the_run_that_gave_it(database: Database) -> None:
    """What came back, went or changed since then does not matter; the present is that of the last run."""
    nights = [{1: 80.0, 2: 60.0}, {1: 100.0, 2: 60.0, 3: 60.0}, {1: 80.0}]
    runs = [night(database, weights) for weights in nights]
    store = op.open_store(database)
    for run, weights in zip(runs, nights, strict=True):
        tree = store.trace("study", "mean", {}, "mean", run=run)
        (group,) = tree.inputs
        assert isinstance(group, RowGroup)
        assert len(group) == len(weights)
        assert records(tree) == [f"patient={patient}" for patient in weights]
        assert [member.tags["patient"] for member in group.members() if isinstance(member, ComputedRow)] == [*weights]
        assert {hit.node: hit.rows for hit in store.impact("patients", "patient=2", run=run)} == (
            {"bmi": 1, "mean": 1} if 2 in weights else {}
        )
    assert records(store.trace("study", "mean", {})) == ["patient=1"]
    with pytest.raises(UnknownRowError, match=f"which other runs gave, such as {runs[0]}; name that one"):
        store.trace("study", "bmi", {"patient": 2})


def test_it_says_which_run_computed_a_value_on_what_and_what_it_wrote(database: Database) -> None:
    """Results are the store's: that of another pipeline, or of an earlier run, is said to be of that."""
    first, second = night(database, {1: 80.0}), night(database, {1: 80.0, 2: 60.0}, "other")
    store = op.open_store(database)
    one, two = (store.trace("other", "bmi", {"patient": patient}) for patient in (1, 2))
    assert (one.pipeline, one.node, one.function, one.columns) == ("other", "bmi", "bmi", ("bmi",))
    assert (one.run_id, two.run_id) == (first, second)
    assert one.log["__stdout"].to_pylist() == ["weight 80.0\n"]
    assert one.environment["python"]
    assert [part.name for part in store.code(one.code)] == ["version", "output_keys"]
    assert one.seconds is not None


def test_a_value_leads_on_from_the_result_that_it_was_made_of(database: Database) -> None:
    """Of what was computed again, the newest result is in the row; what is found was made of an earlier one."""
    first = night(database, {1: 80.0, 2: 60.0})
    again = night(database, {1: 80.0, 2: 60.0}, recompute=["bmi"])
    store = op.open_store(database)
    assert store.trace("study", "bmi", {"patient": 1}).run_id == again
    tree = store.trace("study", "mean", {})
    (group,) = tree.inputs
    assert isinstance(group, RowGroup)
    members = [member for member in group.members() if isinstance(member, ComputedRow)]
    assert [(member.node, member.run_id, member.tags) for member in members] == [
        ("bmi", first, {"patient": patient}) for patient in (1, 2)
    ]
    assert [leaf.record_id for leaf in leaves(tree)] == records(tree) == ["patient=1", "patient=2"]
    assert store.lineage("study", "mean")["column"].to_pylist() == ["weight", "weight"]


def test_a_source_that_is_a_node_of_another_pipeline_leads_on_there(database: Database) -> None:
    night(database, {1: 80.0, 2: 60.0})
    pipeline = op.Pipeline("report", database)
    with pipeline:
        bmi.pod(study(database, {1: 80.0, 2: 60.0})["bmi"].as_source().map_packets({"bmi": "weight"}), label="again")
        bmi.pod(
            study(database, {1: 80.0, 2: 60.0})["bmi"].as_source("anew").map_packets({"bmi": "weight"}), label="anew"
        )
    pipeline.run(progress=False)
    store = op.open_store(database)
    tree = store.trace("report", "again", {"patient": 2})
    (above,) = tree.inputs
    assert isinstance(above, ComputedRow)
    assert (above.pipeline, above.node, above.tags) == ("study", "bmi", {"patient": 2})
    assert above.inputs == [SourceRow("patients", "patient=2", columns=("weight",))]
    assert {hit.node for hit in store.impact("patients", "patient=2")} == {"bmi", "mean", "again"}
    assert store.trace("report", "anew", {"patient": 2}).sources() == [SourceRow("anew", "row_1")]


def test_members_of_a_group_are_counted_and_read_when_they_are_asked_for(database: Database) -> None:
    night(database, {patient: 60.0 + patient for patient in range(300)})
    (group,) = op.open_store(database).trace("study", "mean", {}).inputs
    assert isinstance(group, RowGroup)
    table = ("study", *next(path for path in database.at("study").list_paths() if path[0] == "bmi"))
    keys: list[Any] = database.get_records(table).column(0).to_pylist()
    database.delete_records(table, keys[:1])
    one, two = group.members(0, 2)
    assert isinstance(one, ComputedRow)
    assert isinstance(two, ComputedRow)
    assert (one.node, one.function, one.inputs, two.tags) == ("", "bmi", (), {"patient": 1})
    assert "rows that are not of this run" in str(group)
    assert "and 297 more" in str(group)
    assert len(group.sources()) == 299


def test_a_trace_needs_no_outputs(database: Database) -> None:
    """Results may be gone: what a value was made of is known from the records of the rows."""
    night(database, {1: 80.0, 2: 60.0})
    for path in database.list_paths():
        if path[0] == "_result":
            keys: list[Any] = database.get_records(path).column(0).to_pylist()
            database.delete_records(path, keys)
    tree = op.open_store(database).trace("study", "mean", {})
    assert (tree.code, tree.run_id, tree.seconds) == ("", "", None)
    assert {leaf.record_id for leaf in leaves(tree)} == {"patient=1", "patient=2"}
    assert str(tree)


def test_a_tree_is_text_and_json(database: Database) -> None:
    run = night(database, {1: 80.0, 2: 60.0, 3: 61.0, 4: 62.0, 5: 63.0})
    tree = op.open_store(database).trace("study", "mean", {})
    lines = str(tree).splitlines()
    assert lines[0].startswith("mean of study/mean patient=[1, 2, 3, 4, 5] | mean() | code ")
    assert run in lines[0]
    assert lines[1] == "└─ bmi of 5 rows by Batch"
    assert lines[3] == "   │  └─ weight of patients::patient=1"
    assert lines[-1] == "   └─ and 2 more"
    told = json.loads(json.dumps(tree.to_dict()))
    (group,) = told["inputs"]
    assert (group["kind"], group["count"], group["operators"], group["left_out"]) == ("group", 5, ["batch"], 2)
    assert len(tree.to_dict(members=None)["inputs"][0]["members"]) == 5
    assert group["members"][0]["inputs"][0]["record_id"] == "patient=1"
    assert "<pre>" in tree._repr_html_()


def test_rows_of_equal_tags_and_packets_are_told_apart_by_what_they_were_made_of(database: Database) -> None:
    rows = [{"patient": 1, "weight": weight} for weight in (80.0, 80.0, 60.0)]
    with op.Pipeline("study", database) as pipeline:
        first = bmi.pod(DictSource(rows, ["patient"], source_id="visits"), label="bmi")
        mean.pod(first.group_by("patient", tags="drop"), label="mean")
    pipeline.run(progress=False)
    store = op.open_store(database)
    tree = store.trace("study", "mean", {"patient": 1})
    assert [line.split()[-1] for line in str(tree).splitlines() if "weight of" in line] == [
        "visits::row_0", "visits::row_1", "visits::row_2",
    ]  # fmt: skip
    (group,) = tree.to_dict()["inputs"]
    assert [member["inputs"][0]["record_id"] for member in group["members"]] == ["row_0", "row_1", "row_2"]
    with pytest.raises(UnknownRowError, match="found 3 rows with patient=1, expected one: ") as several:
        store.trace("study", "bmi", {"patient": 1})
    for row in range(3):
        named = f"visits::row_{row}"
        assert f"patient=1 of {named}" in str(several.value), "each is named by what tells it from the others"
        assert records(store.trace("study", "bmi", {"patient": 1}, record_id=named)) == [f"row_{row}"]
        assert store.descendants("study", "bmi", {}, record_id=f"row_{row}")[0].rows == 1
    other = store.trace("study", "bmi", {}, record_id="row_2")
    assert records(store.trace("study", "bmi", {}, record_id=other.record_id[:12])) == ["row_2"]
    equal = store.trace("study", "bmi", {}, record_id="row_0").record_id
    with pytest.raises(UnknownRowError, match="found 2 rows with patient=1 and record_id="):
        store.trace("study", "bmi", {"patient": 1}, record_id=equal)
    with pytest.raises(UnknownRowError, match=r"found 0 rows with record_id='row_7', expected one, of the 3"):
        store.trace("study", "bmi", {}, record_id="row_7")
    with pytest.raises(UnknownRowError, match="found 0 rows with patient=2 and record_id='row_0'"):
        store.trace("study", "bmi", {"patient": 2}, record_id="row_0")
    assert records(store.trace("study", "mean", {"patient": 1}, record_id="row_1")) == ["row_0", "row_1", "row_2"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda store: store.trace("study", "bmi", {"patient": "1"}),
            SchemaError,
            "expected int, found '1' of type str",
        ),
        (lambda store: store.trace("study", "bmi", {"name": 1}), SchemaError, r"no tag 'name'; found \['patient'\]"),
        (
            lambda store: store.trace("study", "bmi", {}),
            UnknownRowError,
            "found 2 rows, expected one: patient=1; patient=2",
        ),
        (lambda store: store.trace("study", "bmi", {"patient": 9}), UnknownRowError, "of the 2 that it gave"),
        (lambda store: store.trace("study", "bmi", {"patient": None}), UnknownRowError, "0 rows with patient=None"),
        (
            lambda store: store.trace("study", "bmi", {"patient": 1}, "x"),
            SchemaError,
            r"no output 'x'; found \['bmi'\]",
        ),
        (lambda store: store.trace("study", "batch", {}), LabelError, "no function node 'batch'"),
        (lambda store: store.trace("nothing", "bmi", {}), UnknownRunError, "no run of pipeline 'nothing'"),
        (lambda store: store.trace("no", "bmi", {}, run=store.run("").run_id), UnknownRunError, "expected one of 'no'"),
        (lambda store: store.impact("people", "patient=1"), UnknownRowError, r"expected one of \['patients'\]"),
    ],
)
def test_who_asks_for_what_is_not_there_is_told_what_is(
    database: Database, call: Any, error: type[Exception], message: str
) -> None:
    night(database, {1: 80.0, 2: 60.0})
    with pytest.raises(error, match=message):
        call(op.open_store(database))
    assert op.open_store(database).impact("patients", "patient=9") == []


def test_many_rows_that_share_lists_of_members_are_found_by_them(database: Database) -> None:
    """Behind a join with its group, each row has the ids of all members."""
    rows = [{"k": "ab"[i % 2], "i": i, "x": [f"{i}"]} for i in range(200)]
    pipeline = op.Pipeline("p", database)
    with pipeline:
        each = same.pod(DictSource(rows, ["k", "i"], source_id="s", record_id_column="i"), label="each")
        all_of_k = union.pod(each.group_by("k", tags="drop"), label="union")
        first = same.pod(each.join(all_of_k.map_packets({"x": "y"})).drop_packet_columns(["y"]), label="apart")
        same.pod(first, label="behind")
    pipeline.run(progress=False)
    store = op.open_store(database)
    hits = {hit.node: hit for hit in store.impact("s", "i=7")}
    assert {node: hit.rows for node, hit in hits.items()} == {"each": 1, "union": 1, "apart": 100, "behind": 100}
    assert {row["i"] for row in hits["behind"].tags().to_pylist()} == {*range(1, 200, 2)}
    tree = store.trace("p", "behind", {"i": 7})
    assert len(tree.sources()) == 100
    assert [leaf.record_id for leaf in leaves(tree) if leaf.columns] == ["i=7"]
    table = store.lineage("p", "behind")
    assert table.num_rows == 200 * 100
    assert table.filter(table["column"].is_valid()).num_rows == 200


def test_the_lineage_of_a_large_group_is_no_larger_than_what_it_was_made_of() -> None:
    """The tags of its members, of which there are as many, are not repeated for each of them."""
    database = MemoryDatabase()
    pipeline = op.Pipeline("p", database)
    with pipeline:
        each = same.pod(DictSource([{"i": i, "x": [str(i)]} for i in range(3000)], ["i"], source_id="s"), label="each")
        union.pod(each.batch(), label="all")
    pipeline.run(progress=False)
    table = op.open_store(database).lineage("p", "all")
    assert table.column_names == ["row", "source_id", "record_id", "column"]
    assert (table.num_rows, set(table["row"].to_pylist())) == (3000, {0})
    assert table.nbytes < 500_000
