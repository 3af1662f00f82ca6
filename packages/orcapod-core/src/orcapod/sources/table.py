"""``TableSource``: a source over a table that is there."""

from __future__ import annotations

import warnings
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from orcapod.arrow import array_of, scalar_of
from orcapod.checks import Checks
from orcapod.compute import pc
from orcapod.datagrams import SEPARATOR, Chunk, Packet, Tag, colliding, with_packets
from orcapod.display import html_table, near_hint, shown
from orcapod.errors import InputValidationError, SchemaError, ValueTypeError
from orcapod.hashing import ContentHash, recipes
from orcapod.protocols import Database, checked_database
from orcapod.sources.cached import CachedSource
from orcapod.sources.record_names import RecordNames
from orcapod.sources.root import BadRows, OnBadRow, Source, checked_bad_rows, checked_source_id, root_schema
from orcapod.types import (
    LogicalType,
    OptionalType,
    RowFaults,
    Schema,
    conform,
    conform_rows,
    registry,
    type_of_column,
)

__all__ = ["BAD_ROWS_HINT", "TableSource", "declared_types", "named_source"]

_CHUNK_ROWS = 65_536
_CHUNK_BYTES = 32 << 20
_SHOWN_ROWS = 5
_NOTHING = scalar_of("", pa.large_string())
BAD_ROWS_HINT = '; or give bad_rows="fail", by which such rows fail alone'


class TableSource(Source):
    """A source over a table that is there, whole.

    Every row is a record of the source, called ``row_{i}``, or ``{column}={value}`` after the column
    that identifies it (``subject=7,session=2`` after several); that name and ``source_id`` stay with every value
    derived from it.

    Args:
        columns: the columns of the table, all of one length.
        tag_columns: the columns that are keys; the others are the data.
        source_id: what the source is called in provenance; where it is, or else made from its content, if None.
        record_id_column: the column whose values name the records, or several: never null, never twice.
        data_schema: declared types of columns, ``{"x": int | None}``; the others are taken from the data.
        bad_rows: what a row does of which a value is not of its declared type: ``raise`` makes no source of the table;
            with ``fail`` such a row has no packet, it is among the failed ones of a run, and all others are given.
        label: what the source is called in a pipeline; ``source_id`` if None.
        type_name: what it is called in messages.
        location: where the table is, such that no other one is there.
        nullable: the columns that may hold null, by the definition of the table, whatever they hold now.

    Raises:
        InputValidationError: the table cannot become a stream; says which column and row, and why.
    """

    _faults: Mapping[str, RowFaults] = MappingProxyType({})
    """Why values are null in the columns that a subclass has made: by column, what it has found."""

    def __init__(
        self,
        columns: Mapping[str, pa.ChunkedArray[Any]],
        *,
        tag_columns: Sequence[str],
        source_id: str | None,
        record_id_column: str | Sequence[str] | None,
        data_schema: Mapping[str, Any] | None,
        label: str | None,
        type_name: str,
        location: str | None = None,
        bad_rows: BadRows = "raise",
        nullable: Container[str] = (),
    ) -> None:
        if source_id is not None:
            checked_source_id(source_id, named_source(type_name, source_id))
        self._declared_id = source_id
        self._named = named_source(type_name, source_id or location)
        check = Checks(self._named, InputValidationError)
        self._location = check.text_or_none("location", location)
        tags = check.names_or_none("tag_columns", tag_columns) or ()
        names = list(check.names_or_none("record_id_column", record_id_column) or ())
        self._check_names(columns, tags, names)
        self.bad_rows = checked_bad_rows(bad_rows, self._named)
        self._has_told = False
        schema = self._typed(columns, declared_types(self._named, columns, data_schema), nullable)
        self._table = pa.table(
            {name: self._conformed(columns[name], name, dtype) for name, dtype in schema.types.items()}
        )
        self._records = RecordNames(names, schema)
        self._bad = self._bad_columns()
        self._records.check(self._table, self._invalid, self._bad)
        tag_schema, packet_schema = schema.select(tags), schema.drop(tags)
        self.schema = root_schema(tag_schema, packet_schema)
        self._source_tag, self._record_tag = self.schema.system_tags
        self._label = check.text_or_none("label", label)

    @cached_property
    def source_id(self) -> str:  # type: ignore[override]  # made from the content when nothing else tells it
        """The source's name in provenance."""
        if self._declared_id is not None:
            return self._declared_id
        if self._location is not None:
            return self._location.replace("%", "%25").replace(SEPARATOR, "%3A%3A")
        return recipes.source_name(self.schema.structure, self._records.columns, self._rows_digest)

    @property
    def label(self) -> str:  # type: ignore[override]  # made from the content when nothing was given
        return self._label or self.source_id

    def chunks(self) -> Iterator[Chunk]:
        return with_packets(self.all_chunks())

    def all_chunks(self) -> Iterator[Chunk]:
        if self._bad and not self._has_told:
            self._has_told = True
            first, count = self._why_bad(min(self._bad)), len(self._bad)
            more = f"; and so are {count - 1} more, of {self._table.num_rows} rows" if count > 1 else ""
            warnings.warn(f"{first}; it is left out{more}", stacklevel=2)
        return self._rows(lambda tag, packet, error: None)

    def read(self, on_bad_row: OnBadRow) -> Iterator[Chunk]:
        self._has_told = True
        return self._rows(on_bad_row)

    def _rows(self, on_bad_row: OnBadRow) -> Iterator[Chunk]:
        rows = self._rows_at_once
        for start in range(0, self._table.num_rows, rows):
            part = self._table.slice(start, rows).combine_chunks()
            columns: dict[str, Any] = {name: part.column(name).chunk(0) for name in part.column_names}
            records = self._records.of(columns, start, part.num_rows)
            producing = pc.binary_join_element_wise(
                scalar_of(self.source_id + SEPARATOR, pa.large_string()), records, _NOTHING
            )
            columns[self._source_tag] = pa.repeat(scalar_of(self.source_id, pa.large_string()), part.num_rows)
            columns[self._record_tag] = records
            chunk = Chunk.from_record(self.schema, columns, producing, self.schema.packets)
            bad = [row for row in range(chunk.num_rows) if start + row in self._bad] if self._bad else []
            for row in bad:
                on_bad_row(Tag(chunk, row), Packet(chunk, row), self._why_bad(start + row))
            yield chunk.failed(bad)

    def cached(self, database: Database) -> CachedSource:
        """Return the cumulative record of this source in a database: every row that it ever had.

        Raises:
            InputValidationError: the source has no name but the one that follows from its place or content, under
                which another might be accumulated.
        """
        if self._declared_id is None:
            raise self._invalid(
                "what is accumulated needs a name of its own, under which it is found again; give the source one: "
                "source_id='...'"
            )
        is_named = bool(self._records.columns)
        return CachedSource(self, checked_database(database), source_id=self._declared_id, is_named=is_named)

    def content_hash(self) -> ContentHash:
        """Return the identity of the rows and of the name that was given; where they lie is no part of it."""
        return recipes.source_content(
            self._declared_id, self.schema.structure, self._records.columns, self._rows_digest
        )

    def pipeline_hash(self) -> ContentHash:
        return self._pipeline_hash

    @cached_property
    def _pipeline_hash(self) -> ContentHash:
        return super().pipeline_hash()

    @cached_property
    def _rows_digest(self) -> bytes:
        batches = self._table.to_batches(max_chunksize=self._rows_at_once)
        digest = recipes.rows_digest(batches, self.schema.tags | self.schema.packets)
        return recipes.rows_digest_with_bad(digest, sorted(self._bad)) if self._bad else digest

    @property
    def _rows_at_once(self) -> int:
        """How many rows are put together, which may take a copy."""
        fitting = _CHUNK_BYTES * self._table.num_rows // max(1, self._table.nbytes)
        return max(1, min(fitting, _CHUNK_ROWS))

    def _repr_html_(self) -> str:
        first = self._table.slice(0, _SHOWN_ROWS)
        types = (self.schema.tags | self.schema.packets).types
        columns = [
            [None if value is None else dtype.display(value) for value in dtype.to_python(first.column(name))]
            for name, dtype in types.items()
        ]
        count = f"{self._table.num_rows:,} rows" + (f", {len(self._bad):,} of them bad" if self._bad else "")
        shown = count if self._table.num_rows <= _SHOWN_ROWS else f"the first {_SHOWN_ROWS} of {count}"
        return super()._repr_html_() + html_table(shown, list(types), zip(*columns, strict=True))

    def _invalid(self, why: str, **about: Any) -> InputValidationError:
        return InputValidationError(f"{self._named}: {why}", **{"source_id": self._declared_id, **about})

    def _check_names(self, columns: Mapping[str, object], tags: Sequence[str], record_ids: Sequence[str]) -> None:
        names = list(columns)
        if not names:
            raise self._invalid("there is no column, so that rows could not be told from nothing; give at least one")
        for name in names:
            if not isinstance(name, str) or not name:
                raise self._invalid(f"found a column called {shown(name)}, expected non-empty strings; rename it")
            Checks(self._named, InputValidationError).text("a column called", name)
            if name.startswith("_"):
                why = f"column {name!r} starts with '_', which is kept for system columns; rename it"
                raise self._invalid(why, column=name)
        if two := colliding(names):
            raise self._invalid(str(two), column=two.other)
        if missing := [tag for tag in tags if tag not in columns]:
            why = f"tag column {missing[0]!r} is not there; found columns {names}{near_hint(missing[0], names)}"
            raise self._invalid(why, column=missing[0], found=str(names))
        for argument, named in (("tag_columns", tags), ("record_id_column", record_ids)):
            if len(set(named)) != len(named):
                raise self._invalid(f"{argument} names a column twice: {list(named)}; name it once")
        if unknown := [name for name in record_ids if name not in columns]:
            why = f"record_id_column {unknown[0]!r} is not there; found columns {names}{near_hint(unknown[0], names)}"
            raise self._invalid(why, column=unknown[0], found=str(names))

    def _bad_columns(self) -> dict[int, dict[str, ValueTypeError]]:
        """Return the rows that are bad, with the columns that are, and why."""
        faults = {name: dict(found) for name, found in self._faults.items()}
        for name in self._records.columns if self.bad_rows == "fail" else ():
            why = ValueTypeError("expected the name of a record, found null", found="null")
            for row in self._records.unnamed(self._table, name):
                faults.setdefault(name, {}).setdefault(row, why)
        bad: dict[int, dict[str, ValueTypeError]] = {}
        for name in self._table.column_names:
            for row, error in faults.get(name, {}).items():
                bad.setdefault(row, {})[name] = error
        return bad

    def _why_bad(self, row: int) -> InputValidationError:
        errors = self._bad[row]
        column, first = next(iter(errors.items()))
        if len(errors) > 1 and all(error is first for error in errors.values()):
            return self._invalid(f"row {row}: {first}", **first.about(row=row))
        why = "; ".join(f"column {name!r}: {error}" for name, error in errors.items())
        return self._invalid(f"row {row}: {why}", **first.about(column=column, row=row))

    def _typed(
        self,
        columns: Mapping[str, pa.ChunkedArray[Any]],
        declared: Mapping[str, LogicalType],
        nullable: Container[str],
    ) -> Schema:
        types: dict[str, LogicalType] = {}
        bad = array_of(sorted({row for found in self._faults.values() for row in found}), pa.int64())
        for name, column in columns.items():
            if name in declared:
                types[name] = declared[name]
                continue
            try:
                found = type_of_column(column)
                if isinstance(found, OptionalType) and column.take(bad).null_count == column.null_count:
                    found = found.inner
                is_widened = name in nullable and not isinstance(found, OptionalType)
                types[name] = OptionalType(found) if is_widened else found
            except SchemaError as error:
                if len(column) == 0 and pa.types.is_null(column.type):
                    why = f"no rows, so the type of column {name!r} is unknown; declare it in data_schema"
                    raise self._invalid(why, column=name) from None
                raise self._invalid(f"column {name!r}: {error}", **error.about(column=name)) from None
        return Schema(types)

    def _conformed(self, column: pa.ChunkedArray[Any], name: str, dtype: LogicalType) -> pa.ChunkedArray[Any]:
        try:
            if self.bad_rows == "raise":
                return conform(column, dtype)
            conformed, faults = conform_rows(column, dtype)
        except (SchemaError, ValueTypeError) as error:
            hint = "" if isinstance(error, SchemaError) else BAD_ROWS_HINT
            raise self._invalid(f"column {name!r}: {error}{hint}", **error.about(column=name)) from None
        self._faults = {**self._faults, name: {**faults, **self._faults.get(name, {})}}
        return conformed


def named_source(type_name: str, called: object) -> str:
    """Return the name of a source in messages."""
    return f"{type_name} {called!r}" if isinstance(called, str) and called else type_name


def declared_types(
    named: str, columns: Mapping[str, object], data_schema: Mapping[str, Any] | None
) -> dict[str, LogicalType]:
    """Return the logical types of a ``data_schema`` argument.

    Raises:
        InputValidationError: it names a column that is not there, or a type that is not known.
    """
    types: dict[str, LogicalType] = {}
    declared = Checks(named, InputValidationError).mapping_or_empty("data_schema", data_schema, "{'x': int}")
    for name, annotation in declared.items():
        if name not in columns:
            raise InputValidationError(
                f"{named}: data_schema declares {name!r}, found columns {list(columns)}{near_hint(name, columns)}",
                column=name,
                found=str(list(columns)),
            )
        try:
            types[name] = registry.resolve(annotation)
        except SchemaError as error:
            raise InputValidationError(f"{named}: data_schema[{name!r}]: {error}", **error.about(column=name)) from None
    return types
