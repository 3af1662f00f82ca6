"""``TableReader``: rows of the files of one Delta table, as the schema of the table has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake import DeltaTable

from orcapod.compute import pc
from orcapod.errors import DamagedRecordError, OrcapodError
from orcapod_delta.data_files import DataFile, check_protocol
from orcapod_delta.file_columns import ColumnNames, as_in_table

__all__ = ["Mask", "TableReader"]

Mask: TypeAlias = "pa.ChunkedArray[Any]"
"""For every row whether it counts."""

_NO_LIMIT = 2**31 - 1
_MOST_ROWS = 4_000


class TableReader:
    """A reader of the files of one version of a Delta table.

    Files may call their columns otherwise than the table does, lack those that came later, have
    some that were dropped, and rows that were deleted: what is read is what the table holds. There
    is no dataset of Arrow in it, whose threads now and then abort the process at its end.

    Args:
        table: the table, as of the version to read.
        filesystem: the files below the table.
        uri: where the table is, as messages call it.

    Attributes:
        schema: the columns of the table, with the large ones of Arrow's types.

    Raises:
        DatabaseError: the table needs a feature that is not known here.
    """

    def __init__(self, table: DeltaTable, filesystem: pafs.FileSystem, uri: str) -> None:
        check_protocol(table)
        schema: Any = table.schema().to_arrow(as_large_types=True)
        self.schema = pa.schema(schema)
        self._names = ColumnNames.of(table.metadata().configuration)
        self._filesystem = filesystem
        self._uri = uri

    def name_in_files(self, name: str) -> str:
        """Return what the files call a column, where they do it by name."""
        return self._names.of_field(self.schema.field(name))

    def num_rows(self, file: DataFile) -> int:
        """Return how many rows of a file belong to the table."""
        rows = self.rows_in_file(file) if file.rows is None else file.rows
        return rows if file.is_live is None else rows - pc.sum(pc.invert(file.is_live)).as_py()

    def rows_in_file(self, file: DataFile) -> int:
        """Return how many rows a file has, deleted ones among them, whatever the log says."""
        with self._opened(file) as parquet:
            rows: int = parquet.metadata.num_rows
            return rows

    def read(self, file: DataFile, names: Sequence[str], rows: Mask | None = None) -> pa.Table:
        """Return columns of a file, null where it has none: its live rows, or some of them.

        Args:
            file: the file.
            names: columns of the table.
            rows: for every live row whether it is wanted; all if None.
        """
        with self._opened(file) as parquet:
            stored = self._names_in(parquet, names)
            wanted = _wanted(file, rows, parquet.metadata.num_rows)
            present = [name for name in stored if name is not None]
            if wanted is None:
                table = parquet.read(present)
            else:
                table = _some_rows(parquet, present, wanted)
            # A table of no columns forgets its length when it is filtered.
            length = parquet.metadata.num_rows if wanted is None else pc.sum(wanted).as_py() or 0
            return self._as_in_table(file, names, stored, table, length)

    def scan(self, file: DataFile, names: Sequence[str], size: int) -> Iterator[pa.Table]:
        """Give the same of all live rows, in tables of about so many bytes, or of one row."""
        first = 0
        with self._opened(file) as parquet:
            stored = self._names_in(parquet, names)
            present = [name for name in stored if name is not None]
            for batch in parquet.iter_batches(_rows_of(parquet, size), columns=present):
                table = pa.Table.from_batches([batch])
                if file.is_live is not None:
                    live = file.is_live[first : first + len(batch)]
                    table = table.filter(pa.concat_arrays([live, pa.repeat(True, len(batch) - len(live))]))
                first += len(batch)
                yield self._as_in_table(file, names, stored, table, table.num_rows)

    def unreadable(self, file: DataFile, name: str, rows: Mask | None = None) -> Mask | None:
        """Return which live rows of a file cannot be read in a column, group by group, of some rows or of all.

        Returns:
            For every live row whether that is so; None if all can be read.
        """
        with self._opened(file) as parquet:
            groups = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
        live = _wanted(file, None, sum(groups)) or pa.chunked_array([pa.repeat(True, sum(groups))])
        wanted = pa.chunked_array([pa.repeat(True, pc.sum(live).as_py() or 0)]) if rows is None else rows
        marks: list[Any] = []
        first = start = 0
        for group in groups:
            length = pc.sum(live[first : first + group]).as_py() or 0
            mark = [pa.repeat(False, start), *wanted[start : start + length].chunks]
            whole = pa.chunked_array([*mark, pa.repeat(False, len(wanted) - start - length)])
            marks += mark[1:] if self._fails(file, name, whole) else [pa.repeat(False, length)]
            first, start = first + group, start + length
        found = pa.chunked_array(marks, pa.bool_())
        return found if pc.any(found).as_py() else None

    def _fails(self, file: DataFile, name: str, rows: Mask) -> bool:
        try:
            self.read(file, [name], rows)
        except DamagedRecordError:
            return True
        return False

    def _names_in(self, parquet: pq.ParquetFile, names: Sequence[str]) -> list[str | None]:
        """Return what a file calls columns of the table; None where it has none."""
        there = parquet.schema_arrow
        indices = [self._names.index_in(there, self.schema.field(name)) for name in names]
        return [None if index is None else there.names[index] for index in indices]

    def _as_in_table(
        self, file: DataFile, names: Sequence[str], stored: Sequence[str | None], table: pa.Table, length: int
    ) -> pa.Table:
        """Return what was read of a file as the table has it."""
        fields = [self.schema.field(name) for name in names]
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

    @contextmanager
    def _opened(self, file: DataFile) -> Iterator[pq.ParquetFile]:
        """Have a file open for reading.

        Raises:
            DamagedRecordError: its bytes can be read, but are not those of such a file.
        """
        with self._filesystem.open_input_file(unquote(file.path)) as source:
            try:
                yield pq.ParquetFile(
                    source,
                    coerce_int96_timestamp_unit="us",
                    # The footer of a file may hold a large value once more, as the least of its column.
                    thrift_string_size_limit=_NO_LIMIT,
                    thrift_container_size_limit=_NO_LIMIT,
                )
            except (MemoryError, OrcapodError):
                raise
            except Exception as error:
                if isinstance(error, OSError) and (error.errno is not None or not _can_be_read(source)):
                    raise
                raise DamagedRecordError(
                    f"{self._uri}: the file {file.path} is damaged: {error}; restore it from a copy",
                    file=file.path,
                    found=str(error),
                ) from error


def _can_be_read(source: pa.NativeFile) -> bool:
    try:
        source.seek(0)
        source.read(1)
    except (OSError, ValueError):
        return False
    return True


def _rows_of(parquet: pq.ParquetFile, size: int) -> int:
    """Return how many rows of a file have so many bytes, where the largest of them are."""
    metadata = parquet.metadata
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    largest = max((group.total_byte_size / max(1, group.num_rows) for group in groups), default=1)
    return max(1, min(int(size / largest), _MOST_ROWS))


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
