"""``Schema``: the names and types of columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.display import html_table, one_line
from orcapod.errors import SchemaError
from orcapod.types.logical import LogicalType, OptionalType, registry

__all__ = ["Schema"]

_CHECK = Checks("Schema", SchemaError)


class Schema(Mapping[str, Any]):
    """An immutable mapping from column names to the Python types of their values.

    Args:
        columns: ``{"x": int, "name": str | None}``, or pairs of the same; a type may also be given as
            a ``LogicalType``.

    Raises:
        SchemaError: no Arrow type is known for one of the types, or there are no names and types.

    Two schemas are equal when their columns are, in any order.
    """

    __slots__ = ("_types",)

    def __init__(self, columns: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        try:
            given = columns if isinstance(columns, Mapping) else dict(columns)
        except (TypeError, ValueError):
            raise _CHECK.wrong("columns", columns, "a dict such as {'x': int}", "give names and types") from None
        _CHECK.names("columns", given)
        self._types: dict[str, LogicalType] = {name: registry.resolve(dtype) for name, dtype in given.items()}

    @classmethod
    def _of(cls, types: dict[str, LogicalType]) -> Schema:
        """Return the schema of columns that were checked: operators make many."""
        schema = object.__new__(cls)
        schema._types = types
        return schema

    @property
    def types(self) -> Mapping[str, LogicalType]:
        """The logical type of every column."""
        return self._types

    @property
    def arrow(self) -> pa.Schema:
        """The Arrow schema of tables of these columns."""
        return pa.schema(
            [pa.field(name, dtype.arrow, isinstance(dtype, OptionalType)) for name, dtype in self._types.items()]
        )

    @property
    def structure(self) -> tuple[tuple[str, str], ...]:
        """The part that enters hashes: names and types, sorted, without nullability."""
        return tuple(sorted((name, dtype.hash_name) for name, dtype in self._types.items()))

    def select(self, names: Iterable[str]) -> Schema:
        """Return the schema of these columns alone, in this order.

        Raises:
            SchemaError: one of them is not there.
        """
        wanted = _CHECK.names("columns", names)
        if unknown := [name for name in wanted if name not in self._types]:
            raise SchemaError(f"found no column {unknown[0]!r}, expected some of {list(self)}", column=unknown[0])
        return self._of({name: self._types[name] for name in wanted})

    def drop(self, names: Iterable[str]) -> Schema:
        """Return the schema without these columns."""
        gone = frozenset(_CHECK.names("columns", names))
        return self._of({name: dtype for name, dtype in self._types.items() if name not in gone})

    def rename(self, names: Mapping[str, str]) -> Schema:
        """Return the schema with some columns renamed, ``{old: new}``."""
        given = _CHECK.mapping("names", names, "{'old': 'new'}")
        _CHECK.names("new names", given.values())
        return self._of({given.get(name, name): dtype for name, dtype in self._types.items()})

    def __or__(self, other: Schema) -> Schema:
        return self._of({**self._types, **other._types})

    def __getitem__(self, name: str) -> Any:
        return self._types[name].annotation

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Schema):
            return self._types == other._types
        return super().__eq__(other)

    def __hash__(self) -> int:
        return hash(frozenset(self._types.items()))

    def _repr_html_(self) -> str:
        return html_table("Schema", ["column", "type"], [(name, dtype.name) for name, dtype in self._types.items()])

    def __repr__(self) -> str:
        return one_line(f"Schema({', '.join(f'{name}: {dtype.name}' for name, dtype in self._types.items())})")
