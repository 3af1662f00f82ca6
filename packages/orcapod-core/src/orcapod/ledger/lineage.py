"""``lineage`` and ``impacts``: provenance of many rows at once, upwards and downwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pyarrow as pa

from orcapod.arrow import empty_table
from orcapod.compute import pc
from orcapod.datagrams import free_name
from orcapod.errors import UnknownRowError
from orcapod.ledger.links import Links, links_of
from orcapod.ledger.node_entries import is_list, keys_of, record_column, rows_with, source_rows
from orcapod.ledger.routes import NodeInRun
from orcapod.ledger.run_summary import RunSummary
from orcapod.ledger.trace import Tracer
from orcapod.records import RECORD_ID
from orcapod.streams import inputs_first

__all__ = ["Impact", "check_source", "descendants", "impacts", "lineage"]

_MOST_LISTS = 16  # that rows are looked for by
_SOURCE_ROW = ["source_id", "record_id"]
_VALUE = [*_SOURCE_ROW, "column"]
_TEXT = pa.large_string()
_NO_VALUES = empty_table(pa.schema({"row": pa.int64()} | dict.fromkeys(_VALUE, _TEXT)))


@dataclass(frozen=True, slots=True)
class Impact:
    """Rows of a function node that were made of one row of a source, among others.

    Attributes:
        pipeline: the pipeline of the node.
        node: its label.
        rows: how many they are.
    """

    pipeline: str
    node: str
    rows: int
    _tags: Callable[[], pa.Table] = field(repr=False, compare=False)

    def tags(self) -> pa.Table:
        """Return their tags; they are read now."""
        return self._tags()


def impacts(tracer: Tracer, run: RunSummary, source_id: str, record_id: str) -> list[Impact]:
    """Return the function nodes of a run with rows that were made of a source row, each behind what it is made of.

    The ids of its source rows say so of a row, whatever it went through. Only behind an ``Explode`` a row has those of
    one member, and may have values that were made of others: there it counts what the row above was made of.
    """
    found, lists = list[Impact](), _Lists(tracer, (source_id, record_id))
    touched: dict[tuple[str, str], set[bytes]] = {}
    for node in inputs_first([NodeInRun(run, each) for each in run.functions.values()], tracer.routes.functions_above):
        if node.key in touched:
            continue
        entries = tracer.entries(node)
        inherited = lists.inherited(node)
        keys = entries.made_of(source_id, record_id, inherited)
        if tracer.routes.is_spread(node):
            for above in tracer.routes.functions_above(node):
                keys |= _made_of(tracer, node, above, touched[above.key])
        touched[node.key] = keys
        lists.note(node, keys, inherited)
        rows = entries.with_keys(keys, []) if keys and node.run is run else _NO_VALUES
        if rows.num_rows:
            pipeline = "/".join(run.pipeline)
            found.append(Impact(pipeline, node.record.label, rows.num_rows, partial(entries.tags_of, rows)))
    return found


def descendants(tracer: Tracer, node: NodeInRun, entry: pa.Table) -> list[Impact]:
    """Return the function nodes of a run with rows that have values which were made of a row, as ``impacts`` does.

    Args:
        tracer: the reader of the store.
        node: the function node that gave the row.
        entry: the record of the row.
    """
    run, found = node.run, list[Impact]()
    touched = {node.key: {*keys_of(entry)}}
    nodes = [NodeInRun(run, each) for each in run.functions.values()]
    for below in inputs_first(nodes, tracer.routes.functions_above):
        if below.key in touched:
            continue
        above = [each for each in tracer.routes.functions_above(below) if touched.get(each.key)]
        touched[below.key] = {key for each in above for key in _made_of(tracer, below, each, touched[each.key])}
        entries = tracer.entries(below)
        rows = entries.with_keys(touched[below.key], []) if touched[below.key] and below.run is run else _NO_VALUES
        if rows.num_rows:
            pipeline = "/".join(run.pipeline)
            found.append(Impact(pipeline, below.record.label, rows.num_rows, partial(entries.tags_of, rows)))
    return found


@dataclass(frozen=True)
class _Lists:
    """Lists of source rows that have a certain one among them, each once, though a million rows may have it.

    Attributes:
        tracer: the reader of the store.
        source_row: the source and the record.
        known: of the nodes so far, by column of sources: a table of lists of sources, and of records.
    """

    tracer: Tracer
    source_row: tuple[str, str]
    known: dict[tuple[str, str], dict[str, pa.Table]] = field(default_factory=dict)

    def inherited(self, node: NodeInRun) -> Mapping[str, pa.Table]:
        """Return the lists that rows can have, of columns that have all of theirs from the nodes above."""
        entries, lists = self.tracer.entries(node), dict[str, pa.Table]()
        if not self.tracer.routes.is_passed_on(node) or not entries.finds_lists:
            return lists
        for name in entries.source_columns:
            type_ = entries.schema.field(name).type
            parts = [
                table
                for above in (self.tracer.routes.functions_above(node) if is_list(type_) else ())
                for column, table in self.known[above.key].items()
                if name.startswith(column) and table.schema.field(0).type == type_
            ]
            if parts and sum(part.num_rows for part in parts) <= _MOST_LISTS:
                lists[name] = pa.concat_tables(parts)
        return lists

    def note(self, node: NodeInRun, touched: set[bytes], inherited: Mapping[str, pa.Table]) -> None:
        """Note the lists of rows that were made of the source row."""
        entries, lists = self.tracer.entries(node), dict(inherited)
        for name in entries.source_columns:
            if name not in lists and is_list(entries.schema.field(name).type):
                columns = [name, record_column(name)]
                rows = entries.ever.with_keys(touched, columns) if touched else entries.schema.empty_table()
                rows = rows.take(rows_with(rows, *self.source_row).unique())
                lists[name] = rows.select(columns).rename_columns(["sources", "records"])
        self.known[node.key] = lists


def _made_of(tracer: Tracer, node: NodeInRun, above: NodeInRun, touched: set[bytes]) -> set[bytes]:
    """Return the keys of the rows that were made of some of those above."""
    if not touched:
        return set()
    entries = tracer.entries(node).ever.all()
    ids: list[Any] = tracer.entries(above).ever.with_keys(touched).column(RECORD_ID).to_pylist()
    records = pa.array([record_id.hex() for record_id in ids], _TEXT)
    keys = keys_of(entries)
    found: set[bytes] = set()
    for links in links_of(entries):
        some = links.of(above.producer)
        some = some.take(pc.indices_nonzero(pc.is_in(some.records, value_set=records)))
        rows: list[Any] = some.rows.to_pylist()
        found |= {keys[rows[at]] for at, key in _matched(tracer, above, some).items() if key in touched}
    return found


def lineage(tracer: Tracer, node: NodeInRun) -> pa.Table:
    """Return for each row of a function node, and each source row that it was made of, which of its columns.

    Like the tree of every row, without the trees.
    """
    values: dict[tuple[str, str], tuple[pa.Table, pa.Table]] = {}
    for each in inputs_first([node], tracer.routes.functions_above):
        if each.key in values:
            continue
        entries = (tracer.entries(each) if each is node else tracer.entries(each).ever).all()
        parts = [_NO_VALUES]
        for links in links_of(entries):
            above = tracer.routes.functions_above(each)
            uris = pa.array([function.producer for function in above], _TEXT)
            direct = links.take(pc.indices_nonzero(pc.invert(pc.is_in(links.producers, value_set=uris))))
            columns = [direct.rows, direct.producers, direct.records, direct.columns]
            parts.append(pa.Table.from_arrays(columns, schema=_NO_VALUES.schema))
            parts += [_from_above(tracer, function, links, *values[function.key]) for function in above]
        values[each.key] = entries, _distinct(pa.concat_tables(parts), ["row", *_VALUE])
    entries, found = values[node.key]
    sources = _distinct(source_rows(entries), ["row", *_SOURCE_ROW])
    others = sources.join(found, ["row", *_SOURCE_ROW], join_type="left anti")
    others = others.append_column("column", pa.nulls(others.num_rows, _TEXT)).select(found.column_names)
    rows = pa.concat_tables([found, others]).sort_by([(name, "ascending") for name in ["row", *_VALUE]])
    # A list of a group's members, once for each of them, would be as long as the square of their number.
    named = [name for name in tracer.entries(node).tags if not is_list(entries.schema.field(name).type)]
    tags = {name: entries.column(name).take(rows["row"]) for name in named}
    return pa.table(tags | {free_name(name, tags): rows[name] for name in ["row", *_VALUE]})


def _from_above(tracer: Tracer, above: NodeInRun, links: Links, entries: pa.Table, values: pa.Table) -> pa.Table:
    """Return the values of sources that rows have from those above, given what those have."""
    some = links.of(above.producer)
    matched = _matched(tracer, above, some)
    if not matched:
        return _NO_VALUES
    keys = entries.column(0).combine_chunks()
    rows_above = pc.index_in(pa.array(matched.values(), keys.type), value_set=keys).cast(pa.int64())
    pairs = pa.table({"above": rows_above, "row": some.rows.take(pa.array(matched, pa.int64()))})
    joined = pairs.join(values.rename_columns(["above", *_VALUE]), "above", join_type="inner")
    return joined.select(_NO_VALUES.schema.names)


def _matched(tracer: Tracer, above: NodeInRun, links: Links) -> Any:
    """Return the keys of the entries above that links lead to, by their positions."""
    records: list[Any] = links.records.to_pylist()
    wanted = {at: bytes.fromhex(record) for at, record in enumerate(records)}
    return tracer.matched(above, links.known, wanted)


def check_source(runs: Iterable[RunSummary], source_id: str) -> None:
    """Check that some run had a source of this name.

    Raises:
        UnknownRowError: none had.
    """
    records = [node.record for run in runs for node in run.nodes.values() if node.record.kind == "source"]
    if source_id not in (names := sorted({record.name for record in records})):
        raise UnknownRowError(
            f"impact: found no source {source_id!r} in any run, expected one of {names}",
            expected=str(names),
            found=repr(source_id),
            source_id=source_id,
        )


def _distinct(table: pa.Table, columns: list[str]) -> pa.Table:
    return table.select(columns).group_by(columns, use_threads=False).aggregate([])
