"""Links between rows and the rows that they were made of, which nodes above gave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from orcapod.compute import counted, pc
from orcapod.datagrams import SEPARATOR, SOURCE_INFO
from orcapod.ledger.node_entries import NodeEntries, is_list, keys_of, source_rows
from orcapod.records import RECORD_ID

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
        taken = [array.take(some) for array in (self.rows, self.producers, self.records, self.columns)]
        rows, producers, records, columns = taken
        return Links(rows, producers, records, columns, self.known.take(some))


def links_of(entries: pa.Table) -> Iterator[Links]:
    """Give the links of entries, those of one column that a function takes after those of another."""
    for name in entries.column_names:
        if not name.startswith(SOURCE_INFO):
            continue
        infos: Any = entries.column(name).combine_chunks()
        known, rows = known_of(entries), counted(0, len(infos))
        while is_list(infos.type):
            parents, known = unnested(infos, known)
            rows, infos = rows.take(parents), infos.flatten()
        parted = pc.extract_regex(infos.cast(pa.large_string()), _INFO)
        producers, records, columns = (pc.struct_field(parted, part) for part in ("producer", "record", "column"))
        yield Links(rows, producers, records, columns, known).take(pc.indices_nonzero(parted.is_valid()))


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
        column: Any = known.column(name).combine_chunks()
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
            existing = {*keys_of(entries.with_keys(dict.fromkeys(keys), []))}
            found |= {row: key for row, key in zip(rows, keys, strict=True) if key in existing}
        left = {row: record_id for row, record_id in left.items() if row not in found}
    if left:
        found |= _by_source_rows(entries, known, left)
    return found


def _endings(entries: NodeEntries, known: pa.Table) -> list[str]:
    """Return what may have been appended to the names of the system tags of rows, by what is known of those below.

    A join appends the same to all system tags of an input: first of all the hash of what that is.
    """
    own = SEPARATOR + entries.node.record.path[-1].rpartition(":")[2]
    firsts = entries.system_tags[:1]
    endings = [name.removeprefix(first) for first in firsts for name in known.column_names if name.startswith(first)]
    there = {*known.column_names}
    fitting = [ending for ending in endings if {each + ending for each in entries.system_tags} <= there]
    return sorted(fitting, key=lambda ending: not ending.startswith(own))


def _guesses(entries: NodeEntries, known: pa.Table) -> Iterator[Mapping[str, Any]]:
    """Give what the tags and system tags of the rows above may be, by what is known of those below."""
    for ending in _endings(entries, known):
        names = {each: each for each in entries.tags} | {each: each + ending for each in entries.system_tags}
        if all(_type(known, below) == entries.schema.field(above).type for above, below in names.items()):
            yield {above: known.column(below).combine_chunks() for above, below in names.items()}


def _by_source_rows(entries: NodeEntries, known: pa.Table, wanted: Mapping[int, bytes]) -> Mapping[int, bytes]:
    """Return the same, where all source rows of the one are among those of the other."""
    table = entries.with_records([*dict.fromkeys(wanted.values())])
    keys, record_ids = keys_of(table), list[Any](table.column(RECORD_ID).to_pylist() if table.num_rows else [])
    by_record: dict[bytes, list[int]] = {}
    for at, record_id in enumerate(record_ids):
        by_record.setdefault(record_id, []).append(at)
    rows = [*wanted]
    above, some = _pairs(source_rows(table)), known.take(pa.array(rows, pa.int64()))
    found: dict[int, bytes] = {}
    for ending in _endings(entries, known) if by_record else ():
        below = _pairs(source_rows(some.select([name + ending for name in entries.system_tags])))
        for number, row in enumerate(rows):
            mine = below.get(number, set())
            for at in by_record.get(wanted[row], ()) if row not in found else ():
                if above[at] <= mine or (mine and mine <= above[at]):
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
