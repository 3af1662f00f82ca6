"""``NodeEntries``: rows that a node gave in a run, of which few are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.types as pat

from orcapod.arrow import array_of, rows_of, scalar_of
from orcapod.compute import counted, pc
from orcapod.datagrams import RECORD_TAG, SEPARATOR, SOURCE_TAG
from orcapod.display import shown
from orcapod.errors import SchemaError, UnknownRowError, ValueTypeError
from orcapod.hashing import recipes
from orcapod.ledger.run_summary import NodeSummary, RunSummary
from orcapod.operators.keys import comparable
from orcapod.protocols import Database, FindingDatabaseProtocol, find_records
from orcapod.records import CUT, INCOMPLETE, RECORD_ID, RUN_ID, TREES, Members, NodeStates
from orcapod.types import LogicalType, Schema, column_of, type_of_column, type_of_values

__all__ = ["NodeEntries", "flat", "is_list", "keys_of", "only_row", "record_column", "rows_with", "source_rows"]

_SHOWN = 3
_NOTHING = pa.table({})


@dataclass(frozen=True)
class NodeEntries:
    """Entries of a function node in a state, found by what is known of them: none of its tables is read as a whole.

    Attributes:
        database: where they are.
        node: the node.
        is_past: whether those of other states are among them.
    """

    database: Database
    node: NodeSummary
    is_past: bool = False

    @cached_property
    def ever(self) -> NodeEntries:
        """All that there ever were."""
        return replace(self, is_past=True)

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns of an entry; none where there never was one."""
        return self.database.get_records_by_ids(self.node.record.path, []).schema

    @property
    def tags(self) -> list[str]:
        """The tags of its rows."""
        return [name for name in self.schema.names if not name.startswith("_")]

    @property
    def system_tags(self) -> list[str]:
        """The columns that name the source rows of its rows."""
        return [name for name in self.schema.names if name.startswith((SOURCE_TAG, RECORD_TAG))]

    def with_keys(self, keys: Iterable[bytes], columns: Sequence[str] | None = None) -> pa.Table:
        """Return the entries of these keys, with these columns; all if None."""
        wanted = None if columns is None else self._at_rest([*columns, RUN_ID])
        found = self.database.get_records_by_ids(self.node.record.path, list(keys), wanted)
        return self._given(Members(self.database).unpack(found))

    def with_records(self, record_ids: Sequence[bytes]) -> pa.Table:
        """Return the entries that have one of these results."""
        return self._given(self._found({RECORD_ID: array_of(record_ids, pa.large_binary())}))

    def with_tags(self, tags: Mapping[str, Any]) -> tuple[pa.Table, pa.Table]:
        """Return the entries with these tags, those of the state and those of any; their keys and tags alone.

        Raises:
            SchemaError: there is no such tag, or it is of another type.
        """
        types = {name: self._type_of(name) for name in tags}
        wanted = {name: _as_column(name, value, types[name]) for name, value in tags.items() if value is not None}
        plain = {name: values for name, values in wanted.items() if _is_findable(values.type)}
        entries = self._found(plain, [*self.tags, RUN_ID])
        for name, dtype in types.items():
            if entries.num_rows:
                column = entries.column(name).combine_chunks()
                holds = (
                    pc.equal(comparable(column, dtype), comparable(wanted[name], dtype)[0])
                    if name in wanted
                    else (column.is_null())
                )
                entries = entries.filter(holds)
        return self._given(entries), entries

    @property
    def finds_lists(self) -> bool:
        """Whether rows are found by lists that they have: those that are cut, at rest, are read."""
        return isinstance(self.database, FindingDatabaseProtocol) and TREES not in self.schema.names

    @property
    def source_columns(self) -> list[str]:
        """The columns that name the sources of its rows."""
        return [name for name in self.system_tags if name.startswith(SOURCE_TAG)]

    def made_of(self, source_id: str, record_id: str, inherited: Mapping[str, pa.Table] | None = None) -> set[bytes]:
        """Return the keys of entries that a source row is among the sources of, also of those that are not given.

        Args:
            source_id: what the source is called.
            record_id: what the row is called.
            inherited: for columns of lists, by the name of that of sources, all lists with the row that there can be,
                of sources and of records. The lists of other columns are read.
        """
        keys: set[bytes] = set()
        for name in self.source_columns:
            names, type_ = [name, record_column(name)], self.schema.field(name).type
            if not is_list(type_):
                found = [[pa.array([each], type_) for each in (source_id, record_id)]]
            elif inherited is not None and name in inherited:
                lists = inherited[name]
                found = [
                    [column.slice(row, 1).combine_chunks() for column in lists.columns] for row in range(lists.num_rows)
                ]
            else:
                table = self._found({}, names)
                keys.update(keys_of(table.take(rows_with(table, source_id, record_id))))
                continue
            for values in found:
                keys.update(keys_of(self._found(dict(zip(names, values, strict=True)), [])))
        return keys

    def tags_of(self, entries: pa.Table) -> pa.Table:
        """Return the tags of some entries, given with their keys."""
        return self.with_keys(keys_of(entries), self.tags).select(self.tags)

    def all(self) -> pa.Table:
        """Return all entries."""
        return self._given(self.database.get_records(self.node.record.path))

    def keys_of(self, columns: Mapping[str, Any], record_ids: Sequence[bytes]) -> list[list[bytes]]:
        """Return the keys that rows with these tags and source rows have, if they are whole, and if they are not."""
        batch = pa.RecordBatch.from_pydict({**columns, RECORD_ID: pa.array(record_ids, pa.large_binary())})
        batches = [batch]
        if INCOMPLETE in self.schema.names:
            batches.append(batch.append_column(INCOMPLETE, pa.repeat(True, batch.num_rows)))
        return [recipes.entry_ids(each, _types_of(each)) for each in batches]

    def _type_of(self, tag: str) -> LogicalType:
        label = self.node.record.label
        if tag not in self.tags:
            raise SchemaError(
                f"node {label!r} has no tag {tag!r}; found {self.tags}, name some of these",
                column=tag,
                found=str(self.tags),
                node=label,
            )
        return type_of_column(pa.nulls(0, self.schema.field(tag).type))

    def _found(self, values: Mapping[str, pa.Array[Any]], columns: Sequence[str] | None = None) -> pa.Table:
        if not self.schema.names:
            return _NOTHING
        wanted = None if columns is None else self._at_rest(columns)
        return Members(self.database).unpack(find_records(self.database, self.node.record.path, values, wanted))

    def _at_rest(self, columns: Sequence[str]) -> list[str]:
        """Return the columns to read, so that long lists can be put together."""
        return [*columns, *(name for name in self.schema.names if name in CUT and columns)]

    def _given(self, entries: pa.Table) -> pa.Table:
        """Return those that are in the state, as often as they are."""
        record = self.node.record
        if self.is_past:
            return Members(self.database).unpack(entries)
        return NodeStates(self.database, record.path, record.label).of(entries, self.node.totals.state)


def only_row(entries: NodeEntries, tags: Mapping[str, Any], run: RunSummary, record_id: str | None = None) -> pa.Table:
    """Return the entry of the one row of a run that has these tags.

    Args:
        entries: the rows.
        tags: some of its tags.
        run: the run.
        record_id: the id of its result, or the beginning of it, or a source row that it was made of; any if None.

    Raises:
        SchemaError: there is no such tag, or it is of another type.
        UnknownRowError: there is no such row, or more than one.
    """
    given, ever = entries.with_tags(tags)
    keys = [*dict.fromkeys(keys_of(given))]
    if record_id is not None:
        given = _called(entries.with_keys(keys), record_id)
        keys, ever = [*dict.fromkeys(keys_of(given))], ever.slice(0, 0)
    if len(keys) == 1:
        return entries.with_keys(keys).slice(0, 1)
    label, asked = entries.node.record.label, _tags_text(tags)
    if record_id is not None:
        asked += f"{' and ' if asked else ''}record_id={shown(record_id)}"
    message = (
        f"node {label!r}, run {run.run_id}: found {len(keys)} rows{f' with {asked}' if asked else ''}, expected one"
    )
    if keys:
        found, advice = _told_apart(entries.with_keys(keys[:_SHOWN]))
        message += f": {'; '.join(found)}{', ...' if len(keys) > len(found) else ''}; {advice}"
    elif ever.num_rows:
        writers: list[Any] = ever.column(RUN_ID).to_pylist()
        if run.run_id in writers:
            message += (
                "; it has such a row, but did not go through all rows, and told are those of the last run that did"
            )
        else:
            writer = next(filter(None, writers), "one before")
            message += f", which other runs gave, such as {writer}; name that one"
    else:
        message += f", of the {entries.node.totals.given:,} that it gave"
    raise UnknownRowError(message, node=label, expected="one row", found=f"{len(keys)} rows")


def keys_of(entries: pa.Table) -> list[bytes]:
    """Return the keys of entries."""
    keys: list[Any] = entries.column(0).to_pylist() if entries.num_rows else []
    return keys


def _called(entries: pa.Table, record_id: str) -> pa.Table:
    """Return the entries whose result's id begins so, or that were made of a source row that is called so."""
    ids: list[Any] = entries.column(RECORD_ID).to_pylist() if entries.num_rows else []
    rows = source_rows(entries)
    whole = pc.binary_join_element_wise(rows["source_id"], rows["record_id"], scalar_of(SEPARATOR, pa.large_string()))
    is_it = pc.or_(pc.equal(rows["record_id"], record_id), pc.equal(whole, record_id))
    of_sources: list[Any] = rows["row"].filter(is_it).to_pylist()
    found = {*of_sources, *(row for row, each in enumerate(ids) if each.hex().startswith(record_id))}
    return entries.take(array_of(sorted(found), pa.int64()))


def _told_apart(entries: pa.Table) -> tuple[list[str], str]:
    """Return the tags of entries, each once, and what to give of them; of equal ones with a source row of each."""
    tags = rows_of(entries.select([name for name in entries.column_names if not name.startswith("_")]))
    texts = dict(zip(keys_of(entries), map(_tags_text, tags), strict=True))
    if len({*texts.values()}) == len(texts):
        return [*texts.values()], "give the tags that tell them apart"
    rows = source_rows(entries)
    of = {rows["row"][at].as_py(): at for at in reversed(range(rows.num_rows))}
    for at, key in enumerate(keys_of(entries)):
        if at in of:
            source, record = (rows[name][of[at]].as_py() for name in ("source_id", "record_id"))
            texts[key] = f"{_tags_text(tags[at])} of {source}{SEPARATOR}{record}".lstrip()
    return [*texts.values()], "give what tells them apart: tags, or such a row of a source as record_id="


def _tags_text(tags: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={shown(value)}" for name, value in tags.items())


def is_list(type_: Any) -> bool:
    """Say whether values of a type are lists, as those of rows that are made of several are."""
    return pat.is_large_list(type_) or pat.is_list(type_)


def source_rows(entries: pa.Table) -> pa.Table:
    """Return the source rows of entries: the number of the entry's ``row``, ``source_id`` and ``record_id``."""
    text = pa.nulls(0, pa.large_string())
    tables = [pa.table({"row": pa.nulls(0, pa.int64()), "source_id": text, "record_id": text})]
    for name in entries.column_names:
        if name.startswith(SOURCE_TAG):
            rows, sources = flat(entries.column(name))
            _, records = flat(entries.column(record_column(name)))
            tables.append(pa.table({"row": rows, "source_id": sources, "record_id": records}))
    found = pa.concat_tables(tables)
    return found.filter(found["source_id"].is_valid())


def rows_with(entries: pa.Table, source_id: str, record_id: str) -> Any:
    """Return the numbers of the entries that a source row is among the sources of."""
    rows = source_rows(entries)
    is_it = pc.and_(pc.equal(rows["source_id"], source_id), pc.equal(rows["record_id"], record_id))
    return rows["row"].filter(is_it)


def record_column(name: str) -> str:
    """Return the column that names the records of the sources that a column names."""
    return RECORD_TAG + name.removeprefix(SOURCE_TAG)


def flat(column: Any) -> tuple[Any, Any]:
    """Return what is in lists of any depth, and the number of the row of each."""
    column = column.combine_chunks()
    rows = counted(0, len(column))
    while is_list(column.type):
        rows, column = rows.take(pc.list_parent_indices(column)), column.flatten()
    return rows, column.cast(pa.large_string())


def _as_column(name: str, value: Any, dtype: LogicalType) -> Any:
    """Return a column of one value of a tag, whose type is known as far as Arrow knows it: a UUID is there as text."""
    try:
        return dtype.from_python([dtype.to_storage(value)])
    except ValueTypeError as error:
        with suppress(SchemaError, ValueTypeError):
            own = column_of([value], type_of_values([value]))
            if own.type == dtype.arrow:
                return own
        why = f"{name}={shown(value)}: {error}; give the tag as it is in the rows"
        raise SchemaError(why, **error.about(column=name)) from error


def _is_findable(type_: Any) -> bool:
    """Say whether a store finds values of a type by what they are: -0.0 and 0.0 are one, and lists are bytes."""
    return not (pat.is_nested(type_) or pat.is_floating(type_) or isinstance(type_, pa.BaseExtensionType))


def _types_of(batch: pa.RecordBatch) -> Schema:
    return Schema({name: type_of_column(batch.column(name)) for name in batch.schema.names})
