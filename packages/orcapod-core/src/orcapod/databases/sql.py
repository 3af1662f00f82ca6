"""Pieces of SQL stores: Arrow columns as SQL values and back, and names of tables and columns.

A column is stored as integers, reals, text, JSON or bytes where that is exact, and otherwise as the canonical
bytes of ``orcapod.types.codec``. Its Arrow type is stored beside the table and decides how it is read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from types import NoneType
from typing import Any, Literal

import pyarrow as pa

from orcapod.arrow import array_of
from orcapod.compute import pc
from orcapod.databases.contract import is_key_type
from orcapod.databases.json_columns import from_json, has_json, to_json
from orcapod.display import shown
from orcapod.errors import DamagedRecordError, RecordSchemaError, SchemaError
from orcapod.protocols.database import RecordPath
from orcapod.types import check_fixed_size
from orcapod.types.codec import decode, encode
from orcapod.types.codec_reader import reader_of, unwrapped_type, wrapped

__all__ = [
    "Layout",
    "SQLColumn",
    "damaged_catalog",
    "free_identifier",
    "path_of_text",
    "path_text",
    "rows_of",
    "sql_column",
    "table_of",
]

SQLType = Literal["boolean", "integer", "real", "text", "json", "bytes"]

_PYTHON_TYPES: Mapping[SQLType, frozenset[type]] = {
    "boolean": frozenset([int, NoneType]),
    "integer": frozenset([int, NoneType]),
    "real": frozenset([float, str, NoneType]),
    "text": frozenset([str, NoneType]),
    "json": frozenset([str, NoneType]),
    "bytes": frozenset([bytes, NoneType]),
}
_UNDECODABLE = (pa.ArrowException, SchemaError, TypeError, ValueError, OverflowError)
"""What Arrow and our own codec raise for values that they did not write."""

_ROWS_AT_ONCE = 65_536  # in a batch of a table
_NAN = "NaN"  # SQLite has no NaN: it would come back as NULL


@dataclass(frozen=True, slots=True)
class SQLColumn:
    """Conversion of values of one Arrow type to SQL and back.

    Attributes:
        type: the SQL type; ``boolean`` and ``integer`` are integers to the driver.
        to_sql: an array as a list of SQL values, None for null.
        from_sql: SQL values as an array of the type.
    """

    type: SQLType
    to_sql: Callable[[pa.Array[Any]], list[Any]]
    from_sql: Callable[[Sequence[Any]], pa.Array[Any]]

    def checked(self, values: Sequence[Any]) -> pa.Array[Any]:
        """Return SQL values as an array, if they are what ``to_sql`` gives.

        Raises:
            TypeError: they are of another SQL type, which Arrow may read as something else.
            Exception: they cannot be read as what they should be; one of many kinds.
        """
        if odd := set(map(type, values)) - _PYTHON_TYPES[self.type]:
            raise TypeError(f"expected {self.type}, found {', '.join(sorted(cls.__name__ for cls in odd))}")
        array = self.from_sql(values)
        if pa.types.is_nested(array.type):
            array.validate(full=True)
        return array


@lru_cache(maxsize=512)
def sql_column(type_: pa.DataType) -> SQLColumn:
    """Return the conversion of values of a type.

    Raises:
        SchemaError: they cannot be stored (unions, and what is of a large fixed size).
    """
    check_fixed_size(type_)
    if (unwrapped := unwrapped_type(type_)) is not None:
        inner = sql_column(unwrapped)
        return SQLColumn(
            inner.type,
            lambda array: _unwrapped_to_sql(array, inner),
            lambda values: wrapped(inner.from_sql(values), type_),
        )
    if pa.types.is_null(type_):
        return SQLColumn("bytes", lambda array: [None] * len(array), lambda values: pa.nulls(len(values)))
    if pa.types.is_boolean(type_):
        return SQLColumn("boolean", pa.Array.to_pylist, _booleans_from_sql)
    if pa.types.is_integer(type_) and type_ != pa.uint64():
        return SQLColumn("integer", pa.Array.to_pylist, lambda values: array_of(values, type_))
    if pa.types.is_temporal(type_) and not pa.types.is_interval(type_):
        ticks = pa.int32() if type_.bit_width == 32 else pa.int64()
        return SQLColumn(
            "integer",
            lambda array: array.view(ticks).to_pylist(),
            lambda values: array_of(values, ticks).view(type_),
        )
    if type_ in (pa.float32(), pa.float64()):
        return SQLColumn("real", _reals_to_sql, lambda values: _reals_from_sql(values, type_))
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return SQLColumn("text", pa.Array.to_pylist, lambda values: array_of(values, type_))
    if pa.types.is_binary(type_) or pa.types.is_large_binary(type_) or pa.types.is_fixed_size_binary(type_):
        return SQLColumn("bytes", pa.Array.to_pylist, lambda values: array_of(values, type_))
    if has_json(type_):
        return SQLColumn("json", lambda array: to_json(array).to_pylist(), lambda values: from_json(values, type_))
    reader_of(type_)  # refuses what cannot be stored
    return SQLColumn("bytes", _payloads, lambda values: decode(values, type_))


def _unwrapped_to_sql(array: pa.Array[Any], inner: SQLColumn) -> list[Any]:
    if isinstance(array, pa.DictionaryArray):  # each distinct value becomes one Python object, however often it occurs
        values = [*inner.to_sql(array.dictionary), None]
        return [values[-1 if index is None else index] for index in array.indices.to_pylist()]
    return inner.to_sql(array.storage if isinstance(array, pa.ExtensionArray) else pc.run_end_decode(array))


def _payloads(array: pa.Array[Any]) -> list[bytes | None]:
    payloads: list[bytes | None] = encode(array).to_pylist()
    if array.null_count == 0:
        return payloads
    return [blob if valid else None for blob, valid in zip(payloads, array.is_valid().to_pylist(), strict=True)]


def _booleans_from_sql(values: Sequence[Any]) -> pa.Array[Any]:
    if not {0, 1, None}.issuperset(values):
        raise ValueError("expected 0 or 1")
    return array_of(values, pa.int8()).cast(pa.bool_())


def _reals_to_sql(array: pa.Array[Any]) -> list[float | str | None]:
    values: list[float | None] = array.to_pylist()
    if not pc.any(pc.is_nan(array)).as_py():
        return list(values)
    return [_NAN if value != value else value for value in values]


def _reals_from_sql(values: Sequence[Any], type_: pa.DataType) -> pa.Array[Any]:
    with suppress(pa.ArrowInvalid, pa.ArrowTypeError):
        return array_of(values, type_)
    if any(isinstance(value, str) and value != _NAN for value in values):
        raise TypeError("expected real, found another text than NaN")  # Arrow would quote it, however long it is
    return array_of([float("nan") if value == _NAN else value for value in values], type_)


def rows_of(path: RecordPath, table: pa.Table) -> list[tuple[Any, ...]]:
    """Return the rows of a table as tuples of SQL values.

    Raises:
        RecordSchemaError: a column is of a type that cannot be stored.
    """
    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            to_sql = sql_column(column.type).to_sql
        except SchemaError as error:
            raise RecordSchemaError(f"{'/'.join(path)}: column {name!r}: {error}") from error
        columns.append([value for chunk in column.chunks for value in to_sql(chunk)])
    return list(zip(*columns, strict=True))


def table_of(
    schema: pa.Schema,
    batches: Iterable[Sequence[Sequence[Any]]],
    *,
    where: str,
    read: Callable[[pa.DataType], Callable[[Sequence[Any]], pa.Array[Any]]] = lambda type_: sql_column(type_).checked,
) -> pa.Table:
    """Return batches of rows of SQL values as a table.

    Args:
        schema: the columns, the key first.
        batches: the rows, which may have more columns.
        where: what messages call the table.
        read: gives for a type what makes an array of values.

    Raises:
        DamagedRecordError: a value is none of its column's type; says which column and record.
    """
    reads = [read(field.type) for field in schema]
    return pa.Table.from_batches(
        [
            pa.RecordBatch.from_arrays(
                [
                    _decoded(field, each, values, columns[0], where)
                    for field, each, values in zip(schema, reads, columns, strict=False)
                ],
                schema=schema,
            )
            for columns in _gathered(batches)
        ],
        schema,
    )


def _gathered(batches: Iterable[Sequence[Sequence[Any]]]) -> Iterator[list[list[Any]]]:
    """Give the columns of many rows at a time.

    Rows are let go at once: Python's garbage collector looks through all tuples that are held, time and again, and not
    through the values of a list.
    """
    columns: list[list[Any]] = []
    for rows in batches:
        if not rows:
            continue
        if not columns:
            columns = [[] for _ in rows[0]]
        for column, values in zip(columns, zip(*rows, strict=True), strict=True):
            column += values
        if len(columns[0]) >= _ROWS_AT_ONCE:
            yield columns
            columns = []
    if columns:
        yield columns


def _decoded(
    field: pa.Field[Any],
    read: Callable[[Sequence[Any]], pa.Array[Any]],
    values: Sequence[Any],
    keys: Sequence[Any],
    where: str,
) -> pa.Array[Any]:
    """Return the values of one column as an array.

    Args:
        field: the column.
        read: what makes an array of values.
        values: its values.
        keys: the keys of the rows that they are of.
        where: what messages call the table.

    Raises:
        DamagedRecordError: a value is none of its column's type; says which column and record.
    """
    try:
        return read(values)
    except _UNDECODABLE:
        for key, value in zip(keys, values, strict=True):
            try:
                read([value])
            except _UNDECODABLE as error:
                raise DamagedRecordError(
                    f"{where}: column {field.name!r} of the record {_key(key)} is damaged: {error!s:.200}; "
                    "op.verify_store(..., repair=True) moves the record aside, so that it is computed again",
                    keys=[key] if isinstance(key, str | bytes) else (),
                    column=field.name,
                    expected=str(field.type),
                    found=shown(value),
                ) from error
        raise


def _key(key: object) -> str:
    return key.hex() if isinstance(key, bytes) else shown(key)


@dataclass(frozen=True, slots=True)
class Layout:
    """Layout of the table of one path: its name, its columns, and their names in SQL."""

    table: str
    schema: pa.Schema
    columns: tuple[str, ...]

    def named(self, names: Iterable[str]) -> list[str]:
        """Return the names of these columns in SQL."""
        called = dict(zip(self.schema.names, self.columns, strict=True))
        return [called[name] for name in names]

    def extended(self, schema: pa.Schema, *, taken: Collection[str], max_bytes: int | None = None) -> Layout:
        """Return this layout with the further columns of ``schema``; ``taken`` names are not used."""
        columns = list(self.columns)
        for name in schema.names[len(columns) :]:
            columns.append(free_identifier(name, {*taken, *columns}, max_bytes=max_bytes))
        return Layout(self.table, schema, tuple(columns))

    def to_catalog(self) -> tuple[str, bytes, str]:
        """Return the three values by which a catalog stores it."""
        return self.table, self.schema.serialize().to_pybytes(), json.dumps(self.columns)

    @staticmethod
    @lru_cache(maxsize=1024)
    def from_catalog(table: str, schema: bytes, columns: str) -> Layout:
        """Return the layout of which ``to_catalog`` returned these.

        Raises:
            ValueError: they are damaged.
        """
        try:
            read = pa.ipc.read_schema(pa.py_buffer(schema))
            names = json.loads(columns)
            is_named = list(map(type, names)) == [str] * len(read.names)
            is_clear = len({*names}) == len({*read.names}) == len(names) > 0 and is_key_type(read.field(0).type)
            if isinstance(table, str) and is_named and is_clear:
                return Layout(table, read, tuple(names))
        except (pa.ArrowException, TypeError, ValueError, OSError, RecursionError) as error:
            raise ValueError(f"it cannot be read: {error}") from error
        raise ValueError("the names in it do not fit its schema")


def path_text(path: RecordPath) -> str:
    """Return a path as one text, different for different paths."""
    return json.dumps(path)


def path_of_text(text: str) -> RecordPath:
    """Return the path of which ``path_text`` made this.

    Raises:
        ValueError: it is no such text.
    """
    try:
        path = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"it cannot be read: {error}") from error
    if not isinstance(path, list) or not path or not all(isinstance(part, str) for part in path):
        raise ValueError("it is no path")
    return tuple(path)


def damaged_catalog(where: str, table: str, error: ValueError) -> DamagedRecordError:
    """Return the error for a row of a catalog that cannot be read."""
    return DamagedRecordError(
        f"{where}: its row in {table} is damaged: {error}; restore the store from a copy, or move it aside to compute "
        "everything again"
    )


def free_identifier(name: str, taken: Collection[str], *, max_bytes: int | None = None) -> str:
    """Return ``name``, or something like it, as an SQL identifier that is not taken.

    Identifiers which differ by case only are one to SQL, NUL cannot be written, and some databases
    have a longest one: beyond it a name ends in a hash of the whole.
    """
    wanted = name.replace("\0", "\N{SYMBOL FOR NULL}").encode("utf-8", "backslashreplace").decode()
    if max_bytes is not None and len(wanted.encode()) > max_bytes - 4:
        digest = sha256(wanted.encode()).hexdigest()[:12]
        wanted = wanted.encode()[: max_bytes - 17].decode("utf-8", "ignore") + "~" + digest
    folded = {other.casefold() for other in taken}
    identifier, number = wanted, 1
    while identifier.casefold() in folded:
        number += 1
        identifier = f"{wanted}~{number}"
    return identifier
