"""``FrameType``: tables and frames as values; those of pyarrow itself, and what those of other libraries share.

A table is stored as an Arrow IPC stream. It is identified by its schema and its values, however it is cut into chunks.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa

from orcapod.compute import pc
from orcapod.errors import SchemaError
from orcapod.types.codec import encode, payloads
from orcapod.types.large import KEPT_FIELDS, content, identities, inline
from orcapod.types.logical import LogicalType, mismatch, not_exported, registry

__all__ = ["UNHELD", "FrameType", "TableType", "register_frame", "written"]

IDENTITY_METHOD = "table-v1"

UNHELD = (pa.ArrowException, SchemaError, ValueError, TypeError, OverflowError)
"""What is raised where Arrow cannot hold a value."""


class FrameType(LogicalType):
    """Tables of one class; subclasses say how to write one as an Arrow IPC stream, and how to read it.

    Args:
        python: the class; what derives from it holds more than a table.
    """

    is_identity = False
    is_total = False
    is_hashable = False
    is_canonical = False
    shows_values = True
    arrow = pa.struct(KEPT_FIELDS)
    suffixes: tuple[str, ...] = (".parquet", ".arrow")

    def __init__(self, python: type) -> None:
        self.python = python
        self.name = f"{python.__module__.partition('.')[0]}.{python.__qualname__}"
        self.annotation = python

    @abstractmethod
    def write(self, value: Any) -> memoryview:
        """Return a value as an Arrow IPC stream.

        Raises:
            ValueError, TypeError, pa.ArrowException: Arrow cannot hold it.
        """

    @abstractmethod
    def read(self, data: Any) -> Any:
        """Return the value that was written, given the bytes or a buffer of them."""

    @abstractmethod
    def difference(self, one: Any, other: Any) -> str:
        """Say what of a value is not so in another, and what to convert; nothing of two that are the same."""

    def is_same(self, one: Any, other: Any) -> bool:
        """Say whether two values are the same, values and labels and types alike."""
        return not self.difference(one, other)

    def culprit(self, value: Any) -> str:
        """Say which part of a value it is that Arrow cannot hold."""
        return "it"

    def metadata(self, given: Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
        """Return what is part of a value of the metadata of its schema."""
        return given

    def labels(self, table: pa.Table) -> Iterable[pa.Array[Any]]:
        """Return further columns that are part of a value."""
        return []

    def to_storage(self, value: Any) -> Any:
        if type(value) is not self.python:
            is_more = isinstance(value, self.python)
            raise mismatch(self.name, value, "it is more than a table; convert it to one" if is_more else "")
        try:
            data = self.write(value)
            for field in _table(data).schema:
                encode(pa.nulls(0, field.type))
            difference = self.difference(value, self.read(data))
        except UNHELD as error:
            why = f"Arrow cannot hold {self.culprit(value)}: {error}; convert it to numbers, text or times"
            raise mismatch(self.name, value, why) from None
        if difference:
            raise mismatch(self.name, value, f"it would not come back from Arrow as it is: {difference}")
        return inline(data, identify=lambda data: (self._digest(_table(data)), None))

    def from_storage(self, stored: Any) -> Any:
        data = content(stored, self.name)
        try:
            return self.read(data)
        except (pa.ArrowException, ValueError, TypeError, KeyError, OSError) as error:
            raise mismatch(self.name, data, f"that is no Arrow IPC stream: {error}") from None

    def display(self, value: Any) -> Any:
        return f"{self.name} of {' × '.join(map(str, value.shape))}"

    def export(self, value: Any, file: Path) -> None:
        """Write what Arrow holds of it, as Parquet or an Arrow file."""
        table = _table(self.write(value))
        match file.suffix:
            case ".parquet":
                import_module("pyarrow.parquet").write_table(table, file)
            case ".arrow":
                with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                    writer.write_table(table)
            case _:
                raise not_exported(self, file, *self.suffixes)

    def identity(self, column: pa.Array[Any]) -> pa.Array[Any]:
        def of(tables: pa.Array[Any]) -> list[bytes | None]:
            data = pc.struct_field(tables, "data")
            return [self._digest(_table(each.as_buffer())) if each.is_valid else None for each in data]

        return identities(column, of)

    def _digest(self, table: pa.Table) -> bytes:
        """Return what identifies a table: SHA-256 of its schema, and of validity and payloads of every column."""
        fields = [(*_described(field), _sorted(field.metadata)) for field in table.schema]
        head = (IDENTITY_METHOD, table.num_rows, fields, _sorted(self.metadata(table.schema.metadata or {})))
        digest = sha256(_framed(repr(head).encode()))
        for column in (*table.columns, *map(_chunked, self.labels(table))):
            digest.update(len(column).to_bytes(8, "little"))
            for part in column.chunks:
                digest.update(payloads(part.is_valid()))
            for part in column.chunks:
                digest.update(payloads(part))
        return digest.digest()


class TableType(FrameType):
    """``pyarrow.Table``."""

    def write(self, value: Any) -> memoryview:
        return written(value.schema, value.to_batches())

    def read(self, data: Any) -> Any:
        return _table(data)

    def difference(self, one: Any, other: Any) -> str:
        return ""  # Arrow writes what it is


def register_frame(python: type, dtype: LogicalType) -> None:
    """Register the type of a class of tables, and of no other that derives from it."""

    def resolve(annotation: Any) -> LogicalType:
        if annotation is not python:
            raise SchemaError(
                f"found {annotation.__module__}.{annotation.__qualname__}, which is more than a table; expected "
                f"{dtype.name}: take that, with what else there is in columns of their own, or register the type"
            )
        return dtype

    registry.register(python, resolve)


def written(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> memoryview:
    """Return batches as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return memoryview(sink.getvalue())


def _table(data: Any) -> pa.Table:
    return pa.ipc.open_stream(pa.py_buffer(data)).read_all()


def _chunked(array: pa.Array[Any]) -> pa.ChunkedArray[Any]:
    return pa.chunked_array([array])


def _framed(head: bytes) -> bytes:
    return len(head).to_bytes(8, "little") + head


def _sorted(metadata: Mapping[bytes, bytes] | None) -> list[tuple[bytes, bytes]]:
    return sorted((metadata or {}).items())


def _described(field: Any) -> tuple[object, ...]:
    """Return name, type and nullability of a field as plain values that no version of Arrow words otherwise."""
    type_ = field.type
    if isinstance(type_, pa.BaseExtensionType):
        storage = _described(pa.field("", type_.storage_type))
        inner: tuple[object, ...] = (str(type_), storage)
    elif pa.types.is_dictionary(type_):
        inner = ("dictionary", type_.ordered, _described(pa.field("", type_.value_type)))
    elif pa.types.is_run_end_encoded(type_):
        inner = ("run_end_encoded", _described(pa.field("", type_.value_type)))
    elif type_.num_fields:
        name = "map" if pa.types.is_map(type_) else str(type_).partition("<")[0]
        size = type_.list_size if pa.types.is_fixed_size_list(type_) else None
        members = [type_.field(at) for at in range(type_.num_fields)]
        is_struct = pa.types.is_struct(type_)
        inner = (name, size, [_described(each if is_struct else each.with_name("")) for each in members])
    else:
        inner = (str(type_),)
    return field.name, field.nullable, inner


register_frame(pa.Table, TableType(pa.Table))
