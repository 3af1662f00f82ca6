"""Promise 25: every value leads to its source rows, through groups too; and every source row to what it has touched."""

from __future__ import annotations

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
from orcapod.errors import SchemaError
from orcapod.ledger import Origin, RowGroup, SourceRow
from orcapod.ledger.trace import NodeInRun, Tracer
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


@given(plan=PLANS)
@example(plan=JOINED_WITH_MEMBERS)
@settings(PROPERTY, max_examples=30)
@pytest.mark.filterwarnings("ignore:.* none agree", "ignore:.*share no tag")
def test_every_value_leads_to_the_rows_that_it_says_it_is_made_of(plan: Plan) -> None:
    check_plan(plan, MemoryDatabase())


@given(plan=PLANS)
@settings(PROPERTY, max_examples=10)
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
            tags = repr({name: row[name] for name in rows.column_names if name in entries.column_names})
            made = {(leaf.source_id, leaf.record_id) for leaf in values}
            expected.update((tags, *pair, "x" if pair in made else None) for pair in sources)
        table = store.lineage("p", label)
        tags = table.column_names[:-3]
        found = Counter(
            (repr({name: row[name] for name in tags}), row["source_id"], row["record_id"], row["column"])
            for row in table.to_pylist()
        )
        assert found == expected, label
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
