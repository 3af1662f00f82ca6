"""``Members``: long lists of entries, kept in pieces, each once, in place of their rows.

A row behind a group has lists: the ids of its members, their tags, and where each of their values comes from. Of a
long list, the entry keeps the root of a tree whose leaves are pieces of the list. A piece is found by its digest, and
where it ends is decided by its last member alone, and by how many are before it; so lists that differ in one member
differ in one piece, and in one on each floor above it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from os.path import commonprefix
from typing import Any
from zlib import crc32

import pyarrow as pa

from orcapod.compute import counted, pc
from orcapod.errors import DamagedRecordError
from orcapod.hashing import hash_structure, recipes
from orcapod.protocols import BufferingDatabaseProtocol, Database, RecordPath, decoding
from orcapod.records.address import MEMBERS
from orcapod.types import Schema, encode, type_of_column

__all__ = [
    "CUT",
    "MOST",
    "PIECES",
    "PIECE_ID",
    "PREFIX",
    "SUFFIX",
    "TREES",
    "VALUES",
    "Members",
    "piece_paths",
    "whole_pieces",
]

TREES, PIECES = "__members", "__pieces"
"""Columns of entries: which of their lists are made of pieces, and the keys of the highest ones."""
CUT = (TREES, PIECES)
PIECE_ID = "__piece_id"
VALUES = "__values"
PREFIX, SUFFIX = "__prefix", "__suffix"

_FEWEST = 64  # members of a list that is cut
MOST = 12
"""Members of a piece at most."""
_LEAST = 3
_KEY_BYTES = 16
_MASK = 3  # one member in 4 ends a piece
_INDEX = pa.large_binary()
_ARROW = pa.large_list(pa.struct([("column", pa.large_string()), ("level", pa.int64()), ("height", pa.int64())]))


@dataclass(slots=True)
class _Tree:
    """Tree of pieces.

    Attributes:
        leaf_type: of what its leaves are lists.
        height: how many floors are above its leaves.
        keys: of the pieces of its highest floor: one, until it is read.
    """

    leaf_type: pa.DataType
    height: int
    keys: list[bytes]


class Members:
    """Table of pieces of lists, one for each type of members, under ``_members`` of a pipeline.

    Args:
        database: where the entries are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def pack(self, entries: pa.Table) -> pa.Table:
        """Return entries as they are at rest: long lists are null, and two more columns have their roots.

        Their pieces are stored before anything can refer to them.
        """
        new: dict[RecordPath, list[pa.Table]] = {}
        roots: list[list[dict[str, Any]] | None] = [None] * entries.num_rows
        highest = [b""] * entries.num_rows
        for name in [field.name for field in entries.schema if pa.types.is_large_list(field.type)]:
            column = entries.column(name).combine_chunks()
            rows = [row for row, size in enumerate(_sizes(column)) if size >= _FEWEST]
            if not rows:
                continue
            for level, (values, bounds) in enumerate(_levels(column.take(pa.array(rows, pa.int64())))):
                for row, tree in zip(rows, _planted(values, bounds, new), strict=True):
                    roots[row] = [*(roots[row] or ()), {"column": name, "level": level, "height": tree.height}]
                    highest[row] += tree.keys[0]
            is_short = pc.invert(pc.is_in(counted(0, len(column)), value_set=pa.array(rows, pa.int64())))
            at = entries.schema.get_field_index(name)
            entries = entries.set_column(at, name, pc.if_else(is_short, column, pa.scalar(None, column.type)))
        if not new:
            return entries
        for path, tables in new.items():
            self._store(path, pa.concat_tables(tables))
        if isinstance(self._database, BufferingDatabaseProtocol):
            self._database.flush()  # entries may be committed before them else
        entries = entries.append_column(TREES, pa.array(roots, _ARROW))
        return entries.append_column(PIECES, pa.array([keys or None for keys in highest], pa.large_binary()))

    def unpack(self, entries: pa.Table, columns: Collection[str] | None = None) -> pa.Table:
        """Return entries as they were before ``pack``.

        Args:
            entries: their keys first.
            columns: whose lists are read; of others, long ones stay null. All, if None.

        Raises:
            DamagedRecordError: a piece is not there, or not as it was stored.
        """
        if TREES not in entries.column_names:
            return entries
        at_rest = zip(*(entries.column(name).to_pylist() for name in CUT), strict=True)
        entries = entries.drop_columns(list(CUT))
        trees: dict[tuple[str, int], list[_Tree]] = {}
        with decoding(MEMBERS, None, TREES):
            for row, (roots, highest) in enumerate(at_rest):
                for at, root in enumerate(roots or ()):
                    name, piece = root["column"], highest[_KEY_BYTES * at : _KEY_BYTES * (at + 1)]
                    if name in entries.column_names and (columns is None or name in columns):
                        leaf_type = _level_type(entries.schema.field(name).type, root["level"])
                        trees.setdefault((name, row), []).append(_Tree(leaf_type, root["height"], [piece]))
        read = iter(self._read([tree for levels in trees.values() for tree in levels]))
        lists = {place: _nested([next(read) for _ in levels]) for place, levels in trees.items()}
        for name in dict.fromkeys(name for name, _ in lists):
            column, at = entries.column(name).combine_chunks(), entries.schema.get_field_index(name)
            parts = [lists.get((name, row), column.slice(row, 1)) for row in range(len(column))]
            whole = pa.concat_arrays([part.cast(column.type) for part in parts])
            entries = entries.set_column(at, name, whole)
        return entries

    def _store(self, path: RecordPath, pieces: pa.Table) -> None:
        """Store the pieces that are not there: of a list that is like another, few."""
        keys: list[Any] = pieces.column(0).to_pylist()
        there = self._database.get_records_by_ids(path, keys, [])
        if there.num_rows:
            pieces = pieces.filter(pc.invert(pc.is_in(pieces.column(0), value_set=there.column(0))))
        if pieces.num_rows:
            self._database.add_records(path, _shortened(pieces))

    def _read(self, trees: Sequence[_Tree]) -> Iterator[pa.Array[Any]]:
        """Give the members of all leaves of each tree, with one look-up for each floor and type."""
        for height in range(max((tree.height for tree in trees), default=0), 0, -1):
            higher = [tree for tree in trees if tree.height == height]
            for tree, keys in zip(higher, self._members(_INDEX, higher), strict=True):
                listed: list[Any] = keys.to_pylist()
                tree.height, tree.keys = height - 1, listed
        by_type: dict[RecordPath, list[_Tree]] = {}
        for tree in trees:
            by_type.setdefault(_path(tree.leaf_type), []).append(tree)
        found = {id(tree): each for some in by_type.values() for tree, each in self._leaves(some)}
        return (found[id(tree)] for tree in trees)

    def _leaves(self, trees: Sequence[_Tree]) -> Iterable[tuple[_Tree, pa.Array[Any]]]:
        return zip(trees, self._members(trees[0].leaf_type, trees), strict=True)

    def _members(self, type_: pa.DataType, trees: Sequence[_Tree]) -> Iterator[pa.Array[Any]]:
        """Give the members of the pieces of each tree, all of one type."""
        keys = list(dict.fromkeys(key for tree in trees for key in tree.keys))
        table = self._database.get_records_by_ids(_path(type_), keys)
        found: list[Any] = table.column(0).to_pylist() if table.num_columns else []
        pieces: Any = whole_pieces(table) if found else pa.array([], pa.large_list(type_))
        made = recipes.piece_ids(pieces)
        positions = {key: at for at, key in enumerate(found) if made[at] == key}
        if lost := [key for key in keys if key not in positions]:
            raise DamagedRecordError(
                f"{self._database!r}, table {'/'.join(_path(type_))}: {len(lost)} pieces of lists are not there, or "
                f"not as they were stored, {PIECE_ID} {lost[0].hex()} the first; restore the store from a copy, or let "
                "op.verify_store(..., repair=True) move aside the rows that need them: a run that gives them again "
                "writes them anew",
                keys=lost,
                found=lost[0].hex(),
            )
        return (pieces.take(pa.array([positions[key] for key in tree.keys], pa.int64())).flatten() for tree in trees)


def whole_pieces(table: pa.Table) -> Any:
    """Return the members of pieces, given their rows."""
    pieces: Any = table.column(VALUES).combine_chunks()
    if PREFIX not in table.column_names:
        return pieces
    of_piece = pc.list_parent_indices(pieces)
    ends = [table.column(name).combine_chunks().take(of_piece) for name in (PREFIX, SUFFIX)]
    members = pc.binary_join_element_wise(ends[0], pieces.flatten(), ends[1], pa.scalar("", pa.large_string()))
    lengths = pc.list_value_length(pieces).to_pylist()
    return pa.LargeListArray.from_arrays(pa.array([0, *accumulate(lengths)], pa.int64()), members)


def _shortened(table: pa.Table) -> pa.Table:
    """Return pieces of texts without what all members of a piece begin and end with, as ids do: it stands beside."""
    pieces: Any = table.column(VALUES).combine_chunks()
    if not pa.types.is_large_string(pieces.type.value_type):
        return table
    shortened, prefixes, suffixes = [], [], []
    listed: list[Any] = pieces.to_pylist()
    for members in listed:
        texts = [member for member in members if member is not None]
        prefix = commonprefix(texts)  # noqa: RUF071 - character by character
        suffix = commonprefix([text[len(prefix) :][::-1] for text in texts])[::-1]  # noqa: RUF071 - likewise
        prefixes.append(prefix)
        suffixes.append(suffix)
        shortened.append([None if each is None else each[len(prefix) : len(each) - len(suffix)] for each in members])
    columns = {PREFIX: prefixes, VALUES: shortened, SUFFIX: suffixes}
    types = {VALUES: pieces.type}
    return pa.table(
        {
            PIECE_ID: table.column(PIECE_ID),
            **{name: pa.array(column, types.get(name, pa.large_string())) for name, column in columns.items()},
        }
    )


def _planted(values: Any, bounds: Sequence[int], new: dict[RecordPath, list[pa.Table]]) -> list[_Tree]:
    """Return the trees of several lists, given their members one after the other; note what is to be stored."""
    leaf_type = values.type
    trees = [_Tree(leaf_type, 0, []) for _ in bounds[1:]]
    growing = trees
    while growing:
        ends = [_cuts(values, start, stop) for start, stop in pairwise(bounds)]
        offsets = pa.array([0, *(end for some in ends for end in some)], pa.int64())
        pieces = pa.LargeListArray.from_arrays(offsets, values)
        keys = recipes.piece_ids(pieces)
        table = pa.table({PIECE_ID: pa.array(keys, pa.large_binary()), VALUES: pieces})
        new.setdefault(_path(values.type), []).append(table)
        given = iter(keys)
        for tree, some in zip(growing, ends, strict=True):
            tree.keys = [next(given) for _ in some]
        growing = [tree for tree in growing if len(tree.keys) > 1]
        for tree in growing:
            tree.height += 1
        values = pa.array([key for tree in growing for key in tree.keys], _INDEX)
        bounds = [0, *accumulate(len(tree.keys) for tree in growing)]
    return trees


def _cuts(values: Any, start: int, stop: int) -> list[int]:
    """Return where the pieces of a list end."""
    ends = []
    members: list[Any] = encode(values.slice(start, stop - start)).to_pylist()
    for end, member in enumerate(members, start + 1):
        length = end - start
        if length == MOST or (length >= _LEAST and not crc32(member) & _MASK):
            ends.append(end)
            start = end
    return ends if ends and start == stop else [*ends, stop]


def _sizes(column: Any) -> list[int]:
    """Return how many members each list of a column has on its longest floor; 0 where there is no list."""
    sizes = [[stop - start for start, stop in pairwise(bounds)] for _, bounds in _levels(column)]
    return [max(floor) for floor in zip(*sizes, strict=True)]


def _levels(lists: Any) -> Iterator[tuple[Any, list[int]]]:
    """Give for lists of lists how long those inside are, floor by floor, and at last the members that are no lists.

    Each comes with where in it those of each list begin, and at last the end.
    """
    bounds = list(range(len(lists) + 1))
    is_inside = False
    while pa.types.is_large_list(lists.type):
        lengths = pc.list_value_length(lists)
        if is_inside:
            yield lengths, bounds
        ends = [0, *accumulate(lengths.fill_null(0).to_pylist())]
        bounds, lists, is_inside = [ends[bound] for bound in bounds], lists.flatten(), True
    yield lists, bounds


def _nested(levels: Sequence[Any]) -> Any:
    """Return the one list that was taken apart."""
    *lengths, values = levels
    for each in reversed(lengths):
        ends = pa.array([0, *accumulate(each.fill_null(0).to_pylist())], pa.int64())
        values = pa.LargeListArray.from_arrays(ends, values, mask=each.is_null())
    return pa.LargeListArray.from_arrays(pa.array([0, len(values)], pa.int64()), values)


def _level_type(type_: Any, level: int) -> Any:
    """Return of what type the members of one floor of nested lists are: lengths, or no lists at last."""
    floors = []
    while pa.types.is_large_list(type_):
        floors.append(pa.int64())
        type_ = type_.value_type
    return [*floors[1:], type_][level]


def piece_paths(type_: Any) -> tuple[RecordPath, RecordPath] | None:
    """Return where the keys and the members of cut lists of a type are; None of what is no list, or has lists in it."""
    if not pa.types.is_large_list(type_) or pa.types.is_large_list(type_.value_type):
        return None
    return _path(_INDEX), _path(type_.value_type)


def _path(type_: pa.DataType) -> RecordPath:
    """Return where the pieces of lists of a type are."""
    if not pa.types.is_nested(type_):
        return *MEMBERS, str(type_)
    schema = Schema({VALUES: type_of_column(pa.array([], type_))})
    return *MEMBERS, hash_structure(schema.structure).short
