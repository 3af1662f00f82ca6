"""``DeltaTableSource``: a stream over a Delta table, as it was in one version."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from orcapod.checks import Checks
from orcapod.errors import InputValidationError
from orcapod.hashing import ContentHash, versioned_content
from orcapod.sources import TableSource
from orcapod_delta.data_files import data_files
from orcapod_delta.faults import is_fault, raised_as
from orcapod_delta.layout import ORDER, is_ours, original_names, restored
from orcapod_delta.locations import Location
from orcapod_delta.reader import TableReader

__all__ = ["DeltaTableSource"]

_LAST_VERSION = 2**63 - 1


class DeltaTableSource(TableSource):
    """A source over one version of a Delta table, whoever wrote it.

    The version is part of what the source is: ``content_hash`` of another version is another, also when its
    rows are the same, though packets that were computed are found again. Rows come in the order in which their files
    were written; compaction may change it, so give ``record_id_column`` where the table has one.

    Args:
        path: the folder of the table, or its URL (``s3://bucket/table``).
        tag_columns: the columns that are keys; the others are the data.
        version: its number, or a time: the version that was current then; the newest if None.
        columns: the columns to read, tag columns among them; no others are loaded. All if None.
        storage_options: what object storage needs to know besides credentials, which come from the environment.
        source_id: what the source is called in provenance; the place of the table and its version if None.
        record_id_column: the column whose values name the records, or several.
        data_schema: declared types of columns; the others are those of the table, ``T | None`` unless it says that a
            column is never null, which few tables do.
        bad_rows: see ``TableSource``: what a null does, say, in a column that is declared ``float``.
        label: what the source is called in a pipeline; ``source_id``, or the table's name and version, if None.

    Attributes:
        version: the number of the version that is read.

    Raises:
        InputValidationError: there is no such table, version or column, or it cannot become a stream.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        tag_columns: Sequence[str],
        version: int | datetime | None = None,
        columns: Sequence[str] | None = None,
        *,
        storage_options: Mapping[str, str] | None = None,
        source_id: str | None = None,
        record_id_column: str | Sequence[str] | None = None,
        data_schema: Mapping[str, Any] | None = None,
        bad_rows: Literal["raise", "fail"] = "raise",
        label: str | None = None,
    ) -> None:
        location = Location.of(path, storage_options)
        named = f"DeltaTableSource {location.uri}"
        check = Checks(named, InputValidationError)
        columns = check.names_or_none("columns", columns)
        if version is not None and not isinstance(version, datetime):
            check.count("version", version, least=0, most=_LAST_VERSION, also=", a datetime, or None")
        with raised_as(InputValidationError, named):
            table = _opened(location, version, named)
            reader = TableReader(table, location.filesystem(), location.uri)
            read = _read(reader, table, columns, named)
        self.version = table.version()
        name = location.uri.rstrip("/").rpartition("/")[2].removesuffix(".delta") or "table"
        super().__init__(
            dict(zip(read.column_names, read.columns, strict=True)),
            tag_columns=tag_columns,
            source_id=source_id,
            record_id_column=record_id_column,
            data_schema=data_schema,
            bad_rows=bad_rows,
            nullable=_nullable(reader.schema),
            label=check.text_or_none("label", label)
            or check.text_or_none("source_id", source_id)
            or f"{name}@v{self.version}",
            type_name="DeltaTableSource",
            location=f"{location.uri.rstrip('/')}@v{self.version}",
        )

    def content_hash(self) -> ContentHash:
        return versioned_content(self.version, super().content_hash())


def _opened(location: Location, version: int | datetime | None, named: str) -> DeltaTable:
    if isinstance(version, datetime) and version.utcoffset() is None:
        raise InputValidationError(f"{named}: expected a version with a time zone, found {version}; attach one")
    try:
        number = version if isinstance(version, int) else None
        table = location.open_table(number)
        if isinstance(version, datetime):
            table.load_as_version(version)
            first = table.history()[-1]["timestamp"]
            if first > version.timestamp() * 1000:  # deltalake gives the first version for any time before it
                raise ValueError("there was none yet")
    except TableNotFoundError:
        raise InputValidationError(f"{named}: expected a Delta table, found none there; check the path") from None
    except BaseException as error:
        if not is_fault(error) and not isinstance(error, ValueError):
            raise
        raise InputValidationError(f"{named}: version {version} cannot be read: {error}") from error
    return table


def _read(reader: TableReader, table: DeltaTable, columns: Sequence[str] | None, named: str) -> pa.Table:
    names = _stored_names(reader.schema, columns, named)
    nothing = pa.schema([reader.schema.field(name) for name in names]).empty_table()
    parts = [reader.read(file, names) for file in data_files(table)]
    return restored(pa.concat_tables([nothing, *parts]))


def _nullable(schema: pa.Schema) -> set[str]:
    """Return the columns that may hold null, by the definition of a table; of our own records, values tell."""
    if is_ours(schema):
        return set()
    return {name for name, stored in original_names(schema).items() if schema.field(stored).nullable}


def _stored_names(schema: pa.Schema, columns: Sequence[str] | None, named: str) -> list[str]:
    """Return the names in the table of the columns wanted."""
    if columns is None:
        return list(schema.names)
    called = original_names(schema)
    if unknown := [name for name in columns if name not in called]:
        raise InputValidationError(f"{named}: expected columns of the table ({', '.join(called)}), found {unknown}")
    return [*([ORDER] if is_ours(schema) else []), *(called[name] for name in columns)]
