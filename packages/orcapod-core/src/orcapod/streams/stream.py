"""``Stream``: an immutable sequence of rows over one schema."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

import pyarrow as pa

from orcapod.arrow import empty_table
from orcapod.datagrams import Chunk, Columns, Packet, StreamSchema, Tag
from orcapod.display import html_table, one_line
from orcapod.errors import PluginError
from orcapod.hashing import ContentHash
from orcapod.streams.export import export_rows
from orcapod.streams.no_operand import NoOperand
from orcapod.streams.verbs import Verbs
from orcapod.types import OptionalType, Schema

__all__ = ["Stream"]

_FINER_THAN_PANDAS = ("[ps]", "[fs]", "[as]")
"""Units of numpy's times that pandas would round."""


class Stream(Verbs, NoOperand):
    """An immutable sequence of (tag, packet) rows over one schema.

    Two hashes name it. ``content_hash`` is that of everything it says: data, functions, structure.
    ``pipeline_hash`` is that of keys and topology alone, so it stays when rows are added, and when a column is that
    nobody takes.

    Attributes:
        schema: the columns by role.
        label: what the stream is called in a pipeline.
    """

    schema: StreamSchema
    label: str

    @abstractmethod
    def chunks(self) -> Iterator[Chunk]:
        """Return the rows, chunk by chunk; every call starts from the first."""

    def all_chunks(self) -> Iterator[Chunk]:
        """Return the same, and with them the rows that have no packet, since they, or what they are made of, failed."""
        return self.chunks()

    @abstractmethod
    def content_hash(self) -> ContentHash:
        """Return the identity of the stream, its data included; equal in every process."""

    @abstractmethod
    def pipeline_hash(self) -> ContentHash:
        """Return the identity of keys and topology; equal for other data in the same columns."""

    def sources(self) -> Mapping[str, Stream]:
        """Return the sources that its rows come from, by what they are called in provenance."""
        return {}

    def output_schema(self, columns: Columns = None) -> tuple[Schema, Schema]:
        """Return the tag and the packet schema, with the system columns asked for.

        Args:
            columns: ``{"system_tags": True, "source": True}`` or some of it.
        """
        return self.schema.shown(columns)

    def keys(self, columns: Columns = None) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names of tag and packet columns, with the system columns asked for."""
        tags, packets = self.schema.shown(columns)
        return tuple(tags), tuple(packets)

    def iter_packets(self) -> Iterator[tuple[Tag, Packet]]:
        """Yield the rows one by one; every call starts from the first."""
        for chunk in self.chunks():
            for row in range(chunk.num_rows):
                yield Tag(chunk, row), Packet(chunk, row)

    def __iter__(self) -> Iterator[tuple[Tag, Packet]]:
        return self.iter_packets()

    def as_table(self, columns: Columns = None) -> pa.Table:
        """Return all rows as one Arrow table, tags first.

        Args:
            columns: ``{"system_tags": True, "source": True}`` or some of it.
        """
        tags, packets = self.schema.shown(columns)
        empty = empty_table((tags | packets).arrow)
        return pa.concat_tables([empty, *(chunk.table(columns) for chunk in self.chunks())])

    def __arrow_c_schema__(self) -> object:
        tags, packets = self.schema.shown()
        return (tags | packets).arrow.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return the rows for libraries that read Arrow: ``pl.DataFrame(stream)``, ``pa.table(stream)``."""
        tags, packets = self.schema.shown()
        batches = (batch for chunk in self.chunks() for batch in chunk.table().to_batches())
        reader: Any = pa.RecordBatchReader.from_batches((tags | packets).arrow, batches)
        return reader.__arrow_c_stream__(requested_schema)

    def to_pandas(self, columns: Columns = None) -> Any:
        """Return all rows as a ``pandas.DataFrame``.

        A column of ``int | None`` or ``bool | None`` gets a nullable dtype of pandas, so that no None turns the
        others into floats or objects. Arrays, frames, dicts, sets, tuples and objects are in its cells as themselves;
        all other columns get what Arrow gives for them.

        Args:
            columns: ``{"system_tags": True, "source": True}`` or some of it.

        Raises:
            PluginError: pandas is not installed.
        """
        pandas = _library("pandas")
        nullable = {pa.int64(): pandas.Int64Dtype(), pa.bool_(): pandas.BooleanDtype()}
        tags, packets = self.schema.shown(columns)
        table = self.as_table(columns)
        frame = {}
        for name, dtype in (tags | packets).types.items():
            if dtype.shows_values or (not dtype.is_identity and pa.types.is_nested(dtype.arrow)):
                frame[name] = _cells(pandas, dtype.to_python(table.column(name)))
                continue
            mapper = nullable.get if isinstance(dtype, OptionalType) else None
            frame[name] = table.column(name).to_pandas(types_mapper=mapper)
        return pandas.DataFrame(frame, index=pandas.RangeIndex(table.num_rows))

    def to_polars(self, columns: Columns = None) -> Any:
        """Return all rows as a ``polars.DataFrame``; arrays, frames and objects are in its cells as themselves.

        Args:
            columns: ``{"system_tags": True, "source": True}`` or some of it.

        Raises:
            PluginError: polars is not installed.
        """
        polars = _library("polars")
        tags, packets = self.schema.shown(columns)
        table = self.as_table(columns)
        frame = {}
        for name, dtype in (tags | packets).types.items():
            if dtype.shows_values:
                frame[name] = polars.Series(name, dtype.to_python(table.column(name)), dtype=polars.Object)
            else:
                frame[name] = polars.Series(name, table.column(name))
        return polars.DataFrame(frame)

    def export(self, pattern: str | PathLike[str], column: str | None = None, *, prune: bool = False) -> list[Path]:
        """Write one file per row, named after its tags; return where.

        Text and bytes are written as they are, arrays to ``.npy``, frames to ``.parquet``, ``.arrow`` or ``.csv``. A
        row without a value has no file, and is warned of. Every file is there whole or not at all.

        Args:
            pattern: such as ``"figs/{subject}_{bin:03}.png"``. A slash in a tag becomes ``%2F``.
            column: what is written; the data column, if there is one alone.
            prune: whether other files that the pattern may have named are removed.

        Raises:
            SchemaError: there is no such tag or column, or its type is not written to such files.
            InputValidationError: two rows would go to one file; nothing is written.
        """
        return export_rows(self.schema, self.chunks, pattern, column=column, prune=prune)

    def _repr_html_(self) -> str:
        roles = [("tag", self.schema.tags), ("packet", self.schema.packets)]
        rows = [(name, role, dtype.name) for role, columns in roles for name, dtype in columns.types.items()]
        return html_table(f"{type(self).__name__} {self.label!r}", ["column", "role", "type"], rows)

    def __repr__(self) -> str:
        tags = ", ".join(f"{name}: {dtype.name}" for name, dtype in self.schema.tags.types.items())
        packets = ", ".join(f"{name}: {dtype.name}" for name, dtype in self.schema.packets.types.items())
        return one_line(f"<{type(self).__name__} {self.label!r} ({tags}) -> ({packets})>")


def _cells(pandas: Any, values: list[Any]) -> Any:
    """Return values as a column of pandas: times as pandas has them where it has their unit, all else as objects."""
    objects = _library("numpy").fromiter(values, object, len(values))
    if not any(str(getattr(value, "dtype", "")).endswith(_FINER_THAN_PANDAS) for value in values):
        with suppress(ValueError):
            return pandas.Series(objects)
    return pandas.Series(objects, dtype=object)


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise PluginError(
            f"to_{name}: {name} is not installed; run: pip install 'orcapod-core[{name}]', or take as_table()"
        ) from None
