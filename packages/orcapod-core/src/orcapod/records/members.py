"""``Members``: long lists of entries, kept in pieces, each once, in place of their rows.

A row behind a group has lists: the ids of its members, their tags, and where each of their values comes from. Of a
long list, the entry keeps the root of a tree whose leaves are pieces of the list. A piece is found by its digest, and
where it ends is decided by its last member alone, and by how many are before it; so lists that differ in one member
differ in one piece, and in one on each floor above it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from os.path import commonprefix
from typing import Any
from zlib import crc32

import pyarrow as pa

from orcapod.arrow import scalar_of
from orcapod.compute import counted, pc
from orcapod.errors import DamagedRecordError
from orcapod.hashing import hash_structure, recipes
from orcapod.protocols import BufferingDatabaseProtocol, Database, RecordPath, decoding
from orcapod.records.address import MEMBERS
from orcapod.types import Schema, encode, type_of_column

__all__ = [
    "CUT",
    "IDS",
    "ID_BYTES",
    "KEYS",
    "KEY_BYTES",
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
KEYS, KEY_BYTES = "__keys", 16
"""Column of the keys of pieces, one after the other, and the bytes of each."""
IDS, ID_BYTES = "__ids", 32
"""Column of the ids of records that texts name, one after the other, and the bytes of each."""
MOST = 32
"""Keys or ids of a piece at most."""

_FEWEST = 64  # members of a list that is cut
_KEY_PATH: RecordPath = (*MEMBERS, "keys")
_ID = re.compile(rf"(.*?)([0-9a-f]{{{2 * ID_BYTES}}})(.*)", re.DOTALL)
_ARROW = pa.large_list(pa.struct([("column", pa.large_string()), ("level", pa.int64()), ("height", pa.int64())]))


@dataclass(frozen=True, slots=True)
class _Cut:
    """Rule of where a piece ends: behind a member whose CRC-32 is a multiple of ``one_in``, and within limits."""

    least: int
    one_in: int
    most: int


_LEAF, _NODE = _Cut(3, 4, 12), _Cut(8, 16, MOST)
"""How members are cut, and how keys: a member that changes has its piece written anew, so that is short."""


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
                    name, piece = root["column"], highest[KEY_BYTES * at : KEY_BYTES * (at + 1)]
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
            for tree, keys in zip(higher, self._members(_KEY_PATH, pa.large_binary(), higher), strict=True):
                listed: list[Any] = keys.to_pylist()
                tree.height, tree.keys = height - 1, listed
        by_path: dict[RecordPath, list[_Tree]] = {}
        for tree in trees:
            by_path.setdefault(_path(tree.leaf_type), []).append(tree)
        found = {id(tree): each for path, some in by_path.items() for tree, each in self._leaves(path, some)}
        return (found[id(tree)] for tree in trees)

    def _leaves(self, path: RecordPath, trees: Sequence[_Tree]) -> Iterable[tuple[_Tree, pa.Array[Any]]]:
        return zip(trees, self._members(path, trees[0].leaf_type, trees), strict=True)

    def _members(self, path: RecordPath, type_: pa.DataType, trees: Sequence[_Tree]) -> Iterator[pa.Array[Any]]:
        """Give the members of the pieces of each tree, all of one type."""
        keys = list(dict.fromkeys(key for tree in trees for key in tree.keys))
        table = self._database.get_records_by_ids(path, keys)
        found: list[Any] = table.column(0).to_pylist() if table.num_columns else []
        pieces: Any = whole_pieces(table) if found else pa.array([], pa.large_list(type_))
        made = recipes.piece_ids(pieces)
        positions = {key: at for at, key in enumerate(found) if made[at] == key}
        if lost := [key for key in keys if key not in positions]:
            raise DamagedRecordError(
                f"{self._database!r}, table {'/'.join(path)}: {len(lost)} pieces of lists are not there, or "
                f"not as they were stored, {PIECE_ID} {lost[0].hex()} the first; restore the store from a copy, or let "
                "op.verify_store(..., repair=True) move aside the rows that need them: a run that gives them again "
                "writes them anew",
                keys=lost,
                found=lost[0].hex(),
            )
        return (pieces.take(pa.array([positions[key] for key in tree.keys], pa.int64())).flatten() for tree in trees)


def whole_pieces(table: pa.Table) -> Any:
    """Return the members of pieces, given their rows."""
    if KEYS in table.column_names:
        return _parted(table.column(KEYS), KEY_BYTES)
    pieces: Any = table.column(VALUES).combine_chunks()
    if PREFIX not in table.column_names:
        return pieces
    pieces = pc.coalesce(pieces, _parted(table.column(IDS), ID_BYTES, as_digits=True))
    of_piece = pc.list_parent_indices(pieces)
    ends = [table.column(name).combine_chunks().take(of_piece) for name in (PREFIX, SUFFIX)]
    members = pc.binary_join_element_wise(ends[0], pieces.flatten(), ends[1], pa.scalar("", pa.large_string()))
    lengths = pc.list_value_length(pieces).to_pylist()
    return pa.LargeListArray.from_arrays(pa.array([0, *accumulate(lengths)], pa.int64()), members)


def _parted(column: pa.ChunkedArray[Any], size: int, *, as_digits: bool = False) -> Any:
    """Return lists of what the values of a column are made of: parts of one size, or these as hexadecimal digits."""
    values: list[Any] = [value or b"" for value in column.to_pylist()]
    counts = [len(value) // size for value in values]
    data = b"".join(value[: count * size] for value, count in zip(values, counts, strict=True))
    if as_digits:
        data, size = data.hex().encode(), 2 * size
    ends = pa.array(range(0, len(data) + 1, size), pa.int64())
    type_ = pa.large_string() if as_digits else pa.large_binary()
    parts = pa.Array.from_buffers(type_, len(ends) - 1, [None, ends.buffers()[1], pa.py_buffer(data)])
    return pa.LargeListArray.from_arrays(pa.array([0, *accumulate(counts)], pa.int64()), parts)


def _shortened(table: pa.Table) -> pa.Table:
    """Return pieces of texts without what all members of a piece begin and end with, which stands beside.

    Of ids of records, that is all but their digits, which stand beside as bytes.
    """
    if VALUES not in table.column_names or not pa.types.is_large_string(table.column(VALUES).type.value_type):
        return table
    pieces: list[Any] = table.column(VALUES).to_pylist()
    columns = zip(*(_named_ids(members) or _inner(members) for members in pieces), strict=True)
    types = {
        PREFIX: pa.large_string(),
        VALUES: table.column(VALUES).type,
        SUFFIX: pa.large_string(),
        IDS: pa.large_binary(),
    }
    texts = {name: pa.array(column, type_) for column, (name, type_) in zip(columns, types.items(), strict=True)}
    return pa.table({PIECE_ID: table.column(PIECE_ID), **texts})


def _named_ids(members: Sequence[str | None]) -> tuple[str, None, str, bytes] | None:
    """Return what texts have around an id, and these ids; None if they do not differ by an id alone."""
    found = [member is not None and _ID.fullmatch(member) for member in members]
    if not found or not all(found) or len(around := {(each[1], each[3]) for each in found if each}) > 1:
        return None
    ((prefix, suffix),) = around
    return prefix, None, suffix, bytes.fromhex("".join(each[2] for each in found if each))


def _inner(members: Sequence[str | None]) -> tuple[str, list[str | None], str, None]:
    """Return what texts begin with, what is between, and what they end with."""
    texts = [member for member in members if member is not None]
    prefix = commonprefix(texts)  # noqa: RUF071 - character by character
    suffix = commonprefix([text[len(prefix) :][::-1] for text in texts])[::-1]  # noqa: RUF071 - likewise
    inner = [None if each is None else each[len(prefix) : len(each) - len(suffix)] for each in members]
    return prefix, inner, suffix, None


def _planted(values: Any, bounds: Sequence[int], new: dict[RecordPath, list[pa.Table]]) -> list[_Tree]:
    """Return the trees of several lists, given their members one after the other; note what is to be stored."""
    trees = [_Tree(values.type, 0, []) for _ in bounds[1:]]
    growing, path, cut = trees, _path(values.type), _LEAF
    while growing:
        ends = [_ends(values, start, stop, cut) for start, stop in pairwise(bounds)]
        offsets = [0, *(end for some in ends for end in some)]
        pieces = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values)
        keys = recipes.piece_ids(pieces)
        column = {VALUES: pieces} if cut is _LEAF else {KEYS: _joined(values.to_pylist(), offsets)}
        new.setdefault(path, []).append(pa.table({PIECE_ID: pa.array(keys, pa.large_binary()), **column}))
        given = iter(keys)
        for tree, some in zip(growing, ends, strict=True):
            tree.keys = [next(given) for _ in some]
        growing, path, cut = [tree for tree in growing if len(tree.keys) > 1], _KEY_PATH, _NODE
        for tree in growing:
            tree.height += 1
        values = pa.array([key for tree in growing for key in tree.keys], pa.large_binary())
        bounds = [0, *accumulate(len(tree.keys) for tree in growing)]
    return trees


def _joined(keys: Sequence[bytes], offsets: Sequence[int]) -> pa.Array[Any]:
    return pa.array([b"".join(keys[start:stop]) for start, stop in pairwise(offsets)], pa.large_binary())


def _ends(values: Any, start: int, stop: int, cut: _Cut) -> list[int]:
    """Return where the pieces of a list end."""
    ends = []
    members: list[Any] = encode(values.slice(start, stop - start)).to_pylist()
    for end, member in enumerate(members, start + 1):
        length = end - start
        if length == cut.most or (length >= cut.least and crc32(member) % cut.one_in == 0):
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
        ends = [0, *accumulate(lengths.fill_null(scalar_of(0, lengths.type)).to_pylist())]
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
    return _KEY_PATH, _path(type_.value_type)


def _path(type_: pa.DataType) -> RecordPath:
    """Return where the pieces of lists of a type are."""
    if not pa.types.is_nested(type_):
        return *MEMBERS, str(type_)
    schema = Schema({VALUES: type_of_column(pa.array([], type_))})
    return *MEMBERS, hash_structure(schema.structure).short
