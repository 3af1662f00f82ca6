"""``Layout``: the columns of the table of one path, their names there and their Arrow types.

A Delta table says it of itself: every field has its name and its Arrow type in its metadata. The first
column, ``_row``, is the order of the rows.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from orcapod.databases import free_identifier
from orcapod.display import shown
from orcapod.errors import DamagedRecordError, DatabaseError, RecordSchemaError, SchemaError
from orcapod.protocols import Key
from orcapod_delta.stored_columns import StoredColumn, stored_column

__all__ = ["ORDER", "Layout", "is_ours", "of_records", "original_names", "restored"]

ORDER = "_row"
_NAME, _TYPE = b"orcapod.name", b"orcapod.type"
_UNDECODABLE = (pa.ArrowException, SchemaError, TypeError, ValueError, OverflowError)
"""What Arrow and our own codec raise for values that they did not write."""

_UNKNOWN_TO_SPARK = re.compile(r"[\s ,;{}()=.`\x00-\x1f]")


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a table, without the order of its rows.

    Attributes:
        schema: as the records have them.
        names: what they are called in Delta.
        type_texts: their types as the log tells them: what it says is not changed by whoever can read it.
    """

    schema: pa.Schema = pa.schema([])  # noqa: RUF009 - it is immutable
    names: tuple[str, ...] = ()
    type_texts: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, fields: Iterable[pa.Field[Any]], where: str) -> Layout:
        """Return the layout that the fields of a Delta table tell of.

        Raises:
            DatabaseError: they do not: another tool made the table, or added columns to it.
            DamagedRecordError: what they tell cannot be read.
        """
        stored_fields, names, type_texts = [], [], []
        for field in fields:
            metadata = field.metadata or {}
            if _TYPE in metadata and _NAME in metadata:
                stored_fields.append(_original(field.name, metadata, where))
                names.append(field.name)
                type_texts.append(metadata[_TYPE])
            elif _TYPE in metadata or _NAME in metadata:
                raise DamagedRecordError(
                    f"{where}: column {field.name!r}: what the log tells of it is damaged; restore the table from a "
                    "copy",
                    column=field.name,
                )
            elif field.name != ORDER:
                raise DatabaseError(
                    f"{where}: expected columns that orcapod made, found {field.name!r}; "
                    "DeltaTableSource reads tables of other tools"
                )
        return cls(pa.schema(stored_fields), tuple(names), tuple(type_texts))

    def extended(self, schema: pa.Schema) -> Layout:
        """Return this layout with the further columns of ``schema``."""
        names, type_texts = list(self.names), list(self.type_texts)
        for field in list(schema)[len(names) :]:
            names.append(free_identifier(_UNKNOWN_TO_SPARK.sub("_", field.name) or "_", {ORDER, *names}))
            type_texts.append(base64.b64encode(pa.schema([pa.field("", field.type)]).serialize().to_pybytes()))
        return Layout(schema, tuple(names), tuple(type_texts))

    @property
    def stored_types(self) -> dict[str, pa.DataType]:
        """The types in Delta by the names in Delta, the order of rows among them."""
        types = {name: stored_column(field.type).type for name, field in zip(self.names, self.schema, strict=True)}
        return {ORDER: pa.int64(), **types}

    def stored_keys(self, ids: Iterable[Key]) -> pa.Array[Any]:
        """Return keys as they are stored; those that cannot be there, being text or bytes, left out."""
        type_ = self.stored_types[self.names[0]]
        key_class = str if pa.types.is_string(type_) or pa.types.is_large_string(type_) else bytes
        return pa.array([key for key in ids if isinstance(key, key_class)], type_)

    def stored_names(self, names: Iterable[str]) -> list[str]:
        """Return the names of these columns in Delta."""
        called = dict(zip(self.schema.names, self.names, strict=True))
        return [called[name] for name in names]

    def to_store(self, table: pa.Table, first_row: int) -> pa.Table:
        """Return records as they are written, with all columns; ``first_row`` is the first's number."""
        columns: list[Any] = [pa.array(range(first_row, first_row + table.num_rows), pa.int64())]
        fields: list[pa.Field[Any]] = [pa.field(ORDER, pa.int64())]
        for field, name, type_text in zip(self.schema, self.names, self.type_texts, strict=True):
            stored = stored_column(field.type)
            chunks = [stored.to_store(chunk) for chunk in table.column(field.name).chunks]
            columns.append(_chunked(chunks, stored.type))
            called = field.name.encode("utf-8", "surrogatepass")
            fields.append(pa.field(name, stored.type, metadata={_NAME: called, _TYPE: type_text}))
        return pa.Table.from_arrays(columns, schema=pa.schema(fields))

    def from_store(self, table: pa.Table, names: Sequence[str], where: str = "") -> pa.Table:
        """Return what was read as records with these columns.

        Args:
            table: what was read, the key among it.
            names: the columns wanted.
            where: what messages call the place it was read from.

        Raises:
            DamagedRecordError: what was read is not what was stored.
        """
        columns: dict[str, Any] = {}
        for name, stored_name in zip(names, self.stored_names(names), strict=True):
            type_ = self.schema.field(name).type
            column, stored = table.column(stored_name), stored_column(type_)
            try:
                chunks = [part for chunk in column.chunks for part in _from_store(chunk, stored)]
            except _UNDECODABLE as error:
                keys = self._keys_of(table, [not _can_be_restored(value, stored) for value in _single(column)])
                raise DamagedRecordError(
                    f"{where}{': ' if where else ''}column {name!r}{of_records(keys)} is damaged: {error}; restore the "
                    "table from a copy, or have op.verify_store(..., repair=True) move these records aside, so that "
                    "they are computed again",
                    keys=keys,
                    column=name,
                ) from error
            columns[name] = _chunked(chunks, type_)
        return pa.Table.from_arrays(list(columns.values()), schema=pa.schema([self.schema.field(n) for n in names]))

    def _keys_of(self, table: pa.Table, rows: Sequence[bool]) -> list[Key]:
        column, stored = table.column(self.names[0]), stored_column(self.schema.field(0).type)
        if not all(_can_be_restored(chunk, stored) for chunk in column.chunks):
            return []
        key_table = self.from_store(table.filter(pa.array(rows, pa.bool_())), [self.schema.names[0]])
        return list[Any](key_table.column(0).to_pylist())

    @staticmethod
    def check(path: Sequence[str], schema: pa.Schema) -> None:
        """Check that all columns can be stored.

        Raises:
            RecordSchemaError: one cannot.
        """
        for field in schema:
            try:
                stored_column(field.type)
            except SchemaError as error:
                raise RecordSchemaError(f"{'/'.join(path)}: column {field.name!r}: {error}") from error


def of_records(keys: Sequence[Key]) -> str:
    """Return how many records these are, and one of them, for a message."""
    if not keys:
        return ""
    first = keys[0].hex() if isinstance(keys[0], bytes) else shown(keys[0])
    return f" of {len(keys)} records, the first of which is {first},"


def _single(column: pa.ChunkedArray[Any]) -> Iterator[pa.Array[Any]]:
    return (chunk.slice(row, 1) for chunk in column.chunks for row in range(len(chunk)))


def _can_be_restored(array: pa.Array[Any], stored: StoredColumn) -> bool:
    try:
        _from_store(array, stored)
    except _UNDECODABLE:
        return False
    return True


def _original(name: str, metadata: Mapping[bytes, bytes], where: str) -> pa.Field[Any]:
    try:
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(metadata[_TYPE])))
        return pa.field(metadata[_NAME].decode("utf-8", "surrogatepass"), schema.field(0).type)
    except Exception as error:
        raise DamagedRecordError(
            f"{where}: column {name!r}: its type in the log is damaged: {error}; restore the table from a copy",
            column=name,
        ) from error


def is_ours(schema: pa.Schema) -> bool:
    """Say whether a Delta table of this schema keeps records of orcapod."""
    return ORDER in schema.names and any(_TYPE in (field.metadata or {}) for field in schema)


def original_names(schema: pa.Schema) -> dict[str, str]:
    """Return the names in the Delta table of this schema, by names of columns as they went in."""
    if not is_ours(schema):
        return {name: name for name in schema.names}
    layout = Layout.of(schema, "")
    return dict(zip(layout.schema.names, layout.names, strict=True))


def restored(table: pa.Table) -> pa.Table:
    """Return a table that was read from Delta; its records, if it has such, as they went in."""
    if not is_ours(table.schema):
        return table
    layout = Layout.of(table.schema, "")
    return layout.from_store(table.sort_by(ORDER), layout.schema.names)


def _chunked(chunks: Sequence[pa.Array[Any]], type_: Any) -> Any:
    return pa.chunked_array(chunks, type_)


def _from_store(array: pa.Array[Any], stored: StoredColumn) -> list[pa.Array[Any]]:
    """Return the array as it went in, in parts if one dictionary is too small for its values."""
    try:
        return [stored.from_store(array)]
    except (pa.ArrowInvalid, SchemaError):
        half = len(array) // 2
        if not half:
            raise
        return [*_from_store(array[:half], stored), *_from_store(array[half:], stored)]
