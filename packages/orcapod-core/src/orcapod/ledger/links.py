"""Links between rows and the rows that they were made of, which nodes above gave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from orcapod.compute import counted, pc
from orcapod.datagrams import SEPARATOR, SOURCE_INFO
from orcapod.ledger.node_entries import NodeEntries, is_list, source_rows
from orcapod.records import RECORD_ID, RUN_ID

__all__ = ["Links", "known_of", "links_of", "matching", "unnested"]

_INFO = r"(?s)^(?P<producer>.*?)::(?P<record>.*)::(?P<column>.*)$"


class Links(NamedTuple):
    """Records of which the values of rows are, one for each value or, where these are lists, for each member.

    Attributes:
        rows: the number of the row of each.
        producers: the uris of functions, and ids of sources.
        records: what these call their records.
        columns: and what the values.
        known: the tags and system tags of the row, or the member.
    """

    rows: pa.Array[Any]
    producers: pa.Array[Any]
    records: pa.Array[Any]
    columns: pa.Array[Any]
    known: pa.Table

    def of(self, producer: str) -> Links:
        """Return those of one producer."""
        return self.take(pc.indices_nonzero(pc.equal(self.producers, producer)))

    def take(self, some: pa.Array[Any]) -> Links:
        """Return those at some positions."""
        return Links(*(each.take(some) for each in self))


def links_of(entries: pa.Table) -> Iterator[Links]:
    """Give the links of entries, those of one column that a function takes after those of another."""
    for name in entries.column_names:
        if not name.startswith(SOURCE_INFO):
            continue
        infos, known = entries.column(name).combine_chunks(), known_of(entries)
        rows = counted(0, len(infos))
        while is_list(infos.type):
            parents, known = unnested(infos, known)
            rows, infos = rows.take(parents), infos.flatten()
        parted = pc.extract_regex(infos.cast(pa.large_string()), _INFO)
        texts = [pc.struct_field(parted, part) for part in ("producer", "record", "column")]
        yield Links(rows, *texts, known).take(pc.indices_nonzero(parted.is_valid()))


def known_of(entries: pa.Table) -> pa.Table:
    """Return the tags and system tags of entries."""
    names = entries.column_names
    return entries.select([name for name in names if not name.startswith("_") or name.startswith("_tag_")])


def unnested(lists: pa.Array[Any], known: pa.Table) -> tuple[pa.Array[Any], pa.Table]:
    """Return for the members of lists of each row, the number of the row and what is known of each member.

    Lists of what is known that are as long in every row are those of the same members.
    """
    parents, lengths = pc.list_parent_indices(lists), pc.fill_null(pc.list_value_length(lists), 0)
    columns: dict[str, Any] = {}
    for name in known.column_names:
        column = known.column(name).combine_chunks()
        is_of_members = is_list(column.type) and lengths.equals(pc.fill_null(pc.list_value_length(column), 0))
        columns[name] = column.flatten() if is_of_members else column.take(parents)
    return parents, pa.table(columns)


def matching(entries: NodeEntries, known: pa.Table, wanted: Mapping[int, bytes]) -> Mapping[int, bytes]:
    """Return for rows that are made of results the keys of the entries that these have in them, where they are there.

    The key of an entry is made of its tags, its source rows and its result; so one whose tags and source rows are those
    of the row is found by its key. Others, whose tags an operator has changed, are known by their source rows.

    Args:
        entries: of the node that gave the results.
        known: the tags and system tags of rows.
        wanted: the results, by the numbers of the rows.
    """
    found: dict[int, bytes] = {}
    left = dict(wanted)
    for columns in _guesses(entries, known):
        rows, record_ids = list(left), list(left.values())
        some = {name: column.take(pa.array(rows, pa.int64())) for name, column in columns.items()}
        for keys in entries.keys_of(some, record_ids) if rows else ():
            there = entries.with_keys(dict.fromkeys(keys), [RUN_ID])
            existing = {*there.column(0).to_pylist()} if there.num_rows else set()
            found |= {row: key for row, key in zip(rows, keys, strict=True) if key in existing}
        left = {row: record_id for row, record_id in left.items() if row not in found}
    if left:
        found |= _by_source_rows(entries, known, left)
    return found


def _guesses(entries: NodeEntries, known: pa.Table) -> Iterator[Mapping[str, Any]]:
    """Give what the tags and system tags of the rows above may be, by what is known of those below.

    Joins append the same to the names of all system tags of an input: the hash of what it is, first of all.
    """
    first = next(iter(entries.system_tags), None)
    if first is None:
        return
    own = SEPARATOR + entries.node.record.path[-1].rpartition(":")[2]
    endings = [name.removeprefix(first) for name in known.column_names if name.startswith(first)]
    for ending in sorted(endings, key=lambda ending: not ending.startswith(own)):
        names = {each: each for each in entries.tags} | {each: each + ending for each in entries.system_tags}
        if all(_type(known, below) == entries.schema.field(above).type for above, below in names.items()):
            yield {above: known.column(below).combine_chunks() for above, below in names.items()}


def _by_source_rows(entries: NodeEntries, known: pa.Table, wanted: Mapping[int, bytes]) -> Mapping[int, bytes]:
    """Return the same, where all source rows of the one are among those of the other."""
    table = entries.with_records([*dict.fromkeys(wanted.values())])
    if not table.num_rows:
        return {}
    keys: list[Any] = table.column(0).to_pylist()
    by_record: dict[bytes, list[int]] = {}
    for at, record_id in enumerate(table.column(RECORD_ID).to_pylist()):
        by_record.setdefault(record_id, []).append(at)
    rows = [*wanted]
    below = _pairs(source_rows(known.take(pa.array(rows, pa.int64())), entries.system_tags))
    above = _pairs(source_rows(table))
    found: dict[int, bytes] = {}
    for number, (row, record_id) in enumerate(wanted.items()):
        mine = below.get(number, set())
        for at in by_record.get(record_id, ()):
            theirs = above.get(at, set())
            if theirs <= mine or (mine and mine <= theirs):
                found[row] = keys[at]
                break
    return found


def _type(table: pa.Table, name: str) -> Any:
    at = table.schema.get_field_index(name)
    return None if at < 0 else table.schema.field(at).type


def _pairs(rows: pa.Table) -> Mapping[int, set[tuple[str, str]]]:
    pairs: dict[int, set[tuple[str, str]]] = {}
    columns: list[list[Any]] = [rows.column(name).to_pylist() for name in ("row", "source_id", "record_id")]
    for row, source_id, record_id in zip(*columns, strict=True):
        pairs.setdefault(row, set()).add((source_id, record_id))
    return pairs
