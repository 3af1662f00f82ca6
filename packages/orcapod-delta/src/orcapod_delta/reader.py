"""``TableReader``: rows of the files of one Delta table, as the schema of the table has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake import DeltaTable

from orcapod.compute import pc
from orcapod_delta.data_files import DataFile, check_protocol
from orcapod_delta.file_columns import ColumnNames, as_in_table

__all__ = ["TableReader"]

Mask: TypeAlias = "pa.ChunkedArray[Any]"
"""For every row whether it counts."""

_NO_LIMIT = 2**31 - 1


class TableReader:
    """A reader of the files of one version of a Delta table.

    Files may call their columns otherwise than the table does, lack those that came later, have
    some that were dropped, and rows that were deleted: what is read is what the table holds. There
    is no dataset of Arrow in it, whose threads now and then abort the process at its end.

    Args:
        table: the table, as of the version to read.
        filesystem: the files below the table.

    Attributes:
        schema: the columns of the table, with the large ones of Arrow's types.

    Raises:
        DatabaseError: the table needs a feature that is not known here.
    """

    def __init__(self, table: DeltaTable, filesystem: pafs.FileSystem) -> None:
        check_protocol(table)
        schema: Any = table.schema().to_arrow(as_large_types=True)
        self.schema = pa.schema(schema)
        self._names = ColumnNames.of(table.metadata().configuration)
        self._filesystem = filesystem

    def name_in_files(self, name: str) -> str:
        """Return what the files call a column, where they do it by name."""
        return self._names.of_field(self.schema.field(name))

    def num_rows(self, file: DataFile) -> int:
        """Return how many rows of a file belong to the table."""
        rows = file.rows
        if rows is None:
            with self._opened(file) as source:
                rows = _parquet(source).metadata.num_rows
        return rows if file.is_live is None else rows - pc.sum(pc.invert(file.is_live)).as_py()

    def read(self, file: DataFile, names: Sequence[str], rows: Mask | None = None) -> pa.Table:
        """Return columns of a file, null where it has none: its live rows, or some of them.

        Args:
            file: the file.
            names: columns of the table.
            rows: for every live row whether it is wanted; all if None.
        """
        fields = [self.schema.field(name) for name in names]
        with self._opened(file) as source:
            parquet = _parquet(source)
            there = parquet.schema_arrow
            indices = [self._names.index_in(there, field) for field in fields]
            stored = [None if index is None else there.names[index] for index in indices]
            wanted = _wanted(file, rows, parquet.metadata.num_rows)
            present = [name for name in stored if name is not None]
            if wanted is None:
                table = parquet.read(present)
            else:
                table = _some_rows(parquet, present, wanted)
        # A table of no columns forgets its length when it is filtered.
        length = parquet.metadata.num_rows if wanted is None else pc.sum(wanted).as_py() or 0
        columns = []
        for field, name in zip(fields, stored, strict=True):
            if field.name in file.partition:
                chunks = [pa.repeat(file.partition[field.name].cast(field.type), length)]
            elif name is None:
                chunks = [pa.nulls(length, field.type)]
            else:
                found = table.column(name).chunks
                chunks = [as_in_table(chunk, field, self._names) for chunk in found]
            columns.append(pa.chunked_array(chunks, field.type))
        return pa.Table.from_arrays(columns, schema=pa.schema(fields))

    def _opened(self, file: DataFile) -> pa.NativeFile:
        return self._filesystem.open_input_file(unquote(file.path))


def _parquet(source: pa.NativeFile) -> pq.ParquetFile:
    return pq.ParquetFile(
        source,
        coerce_int96_timestamp_unit="us",
        # The footer of a file may hold a large value once more, as the least of its column.
        thrift_string_size_limit=_NO_LIMIT,
        thrift_container_size_limit=_NO_LIMIT,
    )


def _wanted(file: DataFile, rows: Mask | None, num_rows: int) -> Mask | None:
    """Return for every row of a file whether it is wanted; None if all are."""
    if file.is_live is None:
        return rows
    live = pa.concat_arrays([file.is_live, pa.repeat(True, num_rows - len(file.is_live))])
    marked = live if rows is None else pc.replace_with_mask(live, live, rows.combine_chunks())
    return pa.chunked_array([marked])


def _some_rows(parquet: pq.ParquetFile, columns: list[str], rows: Mask) -> pa.Table:
    """Return the rows of a file that are marked, reading no group of rows without one."""
    parts, start = [parquet.schema_arrow.empty_table().select(columns)], 0
    for group in range(parquet.num_row_groups):
        length = parquet.metadata.row_group(group).num_rows
        marked = rows[start : start + length]
        if pc.any(marked).as_py():
            parts.append(parquet.read_row_group(group, columns).filter(marked))
        start += length
    return pa.concat_tables(parts)
