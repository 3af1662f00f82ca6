"""``Where``: rows that are wanted, by values of their tags, and which of these values no row has."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.compute import counted, pc
from orcapod.datagrams import Chunk
from orcapod.display import shown
from orcapod.errors import ConfigError, LabelError, ValueTypeError
from orcapod.operators.keys import comparable
from orcapod.operators.nested import item_of
from orcapod.types import LogicalType, OptionalType, Schema, column_of

__all__ = ["Where", "checked_where"]


class _Keys(NamedTuple):
    """What identifies values among those of a type.

    Attributes:
        keys: of the values that are of the type.
        numbers: which values these are.
    """

    keys: pa.Array[Any]
    numbers: Sequence[int]


class Where:
    """Values that tags of a row may have, compared as a filter does; a tag that a stream does not have may have any.

    Of a tag that is a list, as in rows of a group, a value may be the list, or one of its members.

    Args:
        wanted: by tag; all rows are wanted if there is none.
        argument: what it is called in messages.
    """

    def __init__(self, wanted: Mapping[str, Sequence[Any]] | None = None, argument: str = "where") -> None:
        self.wanted = wanted or {}
        self._argument = argument
        self._keys: dict[tuple[str, LogicalType], _Keys] = {}
        self._met: dict[str, set[int]] = {name: set() for name in self.wanted}
        self._has_rows = False

    def check(self, schemas: Sequence[Schema]) -> None:
        """Check that each value may be one of its tag, in one of these schemas.

        Raises:
            ConfigError: it never is.
        """
        for name, values in self.wanted.items():
            types = [schema.types[name] for schema in schemas if name in schema]
            levels = [level for dtype in types for level in _levels(dtype)]
            possible = {number for level in levels for number in self._keys_of(name, level).numbers}
            for value in (value for number, value in enumerate(values) if number not in possible):
                expected = " or ".join(dict.fromkeys(dtype.name for dtype in types))
                raise ConfigError(
                    f"{self._argument}: {name}={shown(value)} never holds: expected {expected}; give a value of that "
                    "type",
                    column=name,
                    expected=expected,
                    found=shown(value),
                )

    def rows(self, chunk: Chunk) -> Collection[int]:
        """Return the rows of a chunk that are wanted."""
        rows: Collection[int] = range(chunk.num_rows)
        for name in self.wanted:
            if name in chunk.schema.tags:
                rows = self._having(name, chunk).intersection(rows)
        self._has_rows = self._has_rows or len(rows) > 0
        return rows

    def unmet(self) -> str:
        """Return what no row had so far that it was asked about, in a sentence; nothing if there is no such thing."""
        for name, values in self.wanted.items():
            if missed := [value for number, value in enumerate(values) if number not in self._met[name]]:
                never = ", or ".join(f"{name}={shown(value)}" for value in missed)
                return f"{self._argument}: no row has {never}; check how it is written"
        if self.wanted and not self._has_rows:
            together = " and ".join(
                f"{name}={' or '.join(map(shown, values)) or 'nothing'}" for name, values in self.wanted.items()
            )
            return f"{self._argument}: no row has all of {together}; check which belong together"
        return ""

    def _having(self, name: str, chunk: Chunk) -> set[int]:
        """Return the rows in which a tag, or a member of it, is one of its values."""
        found: set[int] = set()
        column, owners = chunk.column(name), counted(0, chunk.num_rows)
        for depth, dtype in enumerate(_levels(chunk.schema.tags.types[name])):
            if depth:
                owners, column = owners.take(pc.list_parent_indices(column)), pc.list_flatten(column)
            keys, numbers = self._keys_of(name, dtype)
            if not numbers:
                continue
            at = pc.index_in(comparable(column, dtype), value_set=keys)
            having: Any = owners.filter(at.is_valid()).to_pylist()
            found.update(having)
            of_keys = pc.index_in(keys, value_set=keys).to_pylist()  # equal ones count as one
            met = set(pc.unique(at).to_pylist())
            self._met[name].update(number for number, key in zip(numbers, of_keys, strict=True) if key in met)
        return found

    def _keys_of(self, name: str, dtype: LogicalType) -> _Keys:
        if (name, dtype) not in self._keys:
            keys: list[pa.Array[Any]] = [comparable(column_of([], dtype), dtype)]
            numbers = []
            for number, value in enumerate(self.wanted[name]):
                if (column := _column_of(value, dtype)) is not None:
                    keys.append(comparable(column, dtype))
                    numbers.append(number)
            self._keys[name, dtype] = _Keys(pa.concat_arrays(keys), numbers)
        return self._keys[name, dtype]


def _levels(dtype: LogicalType) -> Sequence[LogicalType]:
    """Return a type, and those of its members, and of theirs."""
    levels = [dtype]
    while (item := item_of(levels[-1])) is not None:
        levels.append(item)
    return levels


def _column_of(value: Any, dtype: LogicalType) -> pa.Array[Any] | None:
    """Return a column of one value; None if it is none of that type."""
    try:
        return column_of([value], OptionalType(dtype) if value is None else dtype)
    except ValueTypeError:
        return None


def _is_of(dtype: LogicalType, value: Any) -> bool:
    """Say whether something may be a value of a type, or a member of one."""
    return any(_column_of(value, level) is not None for level in _levels(dtype))


def checked_where(check: Checks, argument: str, where: Any, schemas: Sequence[Schema]) -> Where:
    """Return the values wanted of tags, which have to be among these schemas.

    What may be the tag itself, or a member of it, is one value, also where it is a list or a tuple. Any other list,
    tuple or set, and one that is so for some schemas only, is of values of which any will do.

    Raises:
        LabelError: there is no such tag.
        ConfigError: it never has such a value, or it is no mapping of tags to values.
    """
    wanted, tags = {}, list(dict.fromkeys(name for schema in schemas for name in schema))
    for name, values in check.mapping_or_empty(argument, where, "{'subject': ['s1', 's2']}").items():
        if name not in tags:
            raise LabelError(
                f"{argument} names the tag {name!r}, which no row here has; found {tags}",
                column=name,
                expected=f"one of {tags}",
                found=repr(name),
            )
        several = type(values) in (list, tuple, set, frozenset)  # a named tuple is one value
        types = [schema.types[name] for schema in schemas if name in schema] if several else []
        is_one = all(_is_of(dtype, values) for dtype in types)
        wanted[name] = (values,) if is_one else tuple(values)
    found = Where(wanted, argument)
    found.check(schemas)
    return found
