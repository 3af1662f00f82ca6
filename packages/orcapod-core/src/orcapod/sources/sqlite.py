"""``SQLiteTableSource`` and ``SQLiteQuerySource``: streams over what is in a SQLite file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.errors import InputValidationError, ValueTypeError
from orcapod.sources.root import BadRows, checked_bad_rows
from orcapod.sources.spool import spooled
from orcapod.sources.sqlite_types import declared_type, found_type, restored
from orcapod.sources.table import BAD_ROWS_HINT, TableSource, declared_types
from orcapod.types import LogicalType, OptionalType, column_of_rows

__all__ = ["SQLiteQuerySource", "SQLiteTableSource"]

_MOST_ROWS = 8_192
_BATCH_BYTES = 8 << 20


class SQLiteTableSource(TableSource):
    """A source over a table or view of a SQLite file, as it is now; nothing is changed there.

    The rows come some thousand at a time, into an Arrow file in the folder for temporary files, which is mapped and not
    read: a table larger than the memory is fine. A later change to the table is another source.

    Types are those that the table declares: ``INTEGER`` is ``int``, ``REAL`` ``float``, ``TEXT`` ``str``, ``BLOB``
    ``bytes``, ``BOOLEAN`` ``bool``, ``NUMERIC`` ``float``, ``DATE``, ``TIME``, ``DATETIME`` and ``TIMESTAMP`` what ISO
    text says, and all others by SQLite's own rules; ``T | None``, unless the column is ``NOT NULL`` or in the primary
    key. A value that is of another type is an error. Columns without a declared type have that of their values.

    Rows are in the order of the primary key, which also names them in provenance, ``id=7``; or else in the order of the
    tag columns.

    Args:
        path: the file.
        table: the name of a table or view, as it is.
        tag_columns: the columns that are keys; the primary key of the table if None.
        columns: the columns to read, tag columns among them; all if None.
        where: a condition in SQL that rows have to meet, such as ``"visit > 3"``.
        source_id: what the source is called in provenance; the place of the table, ``sqlite:///...``, if None.
        record_id_column: the column whose values name the records, or several; the primary key if None.
        data_schema: declared types of columns, ``{"price": Decimal}``, in place of the table's.
        bad_rows: see ``TableSource``.
        label: what the source is called in a pipeline; ``source_id``, or ``table``, if None.

    Raises:
        InputValidationError: there is no such file or table, or what it holds cannot become a stream; says why.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        table: str,
        tag_columns: Sequence[str] | None = None,
        *,
        columns: Sequence[str] | None = None,
        where: str | None = None,
        source_id: str | None = None,
        record_id_column: str | Sequence[str] | None = None,
        data_schema: Mapping[str, Any] | None = None,
        bad_rows: BadRows = "raise",
        label: str | None = None,
    ) -> None:
        kind = type(self).__name__
        check = Checks(kind, InputValidationError)
        file = Path(check.file("path", path))
        named = f"{kind} {check.text('table', table)!r}"
        condition = check.text_or_none("where", where)
        wanted = check.names_or_none("columns", columns)
        tags = check.names_or_none("tag_columns", tag_columns)
        with _Reader(file, named, fails=checked_bad_rows(bad_rows, named) == "fail") as reader:
            definition = reader.definition(table)
            names = reader.chosen(definition, wanted)
            key = [column.name for column in sorted(definition.values(), key=lambda each: each.key_at) if column.key_at]
            tags = tags if tags is not None else tuple(key)
            if not tags and tag_columns is None:
                raise InputValidationError(f"{named}: found no primary key to take as tags; give tag_columns")
            origin = _quoted(table) + (f" WHERE ({condition}\n)" if condition is not None else "")
            order = ", ".join(_quoted(name) for name in key or tags if name in definition)
            selected = f"SELECT {', '.join(map(_quoted, names))} FROM {origin}"
            rows, types = reader.read(
                selected + (f" ORDER BY {order}" if order else ""),
                [definition[name] for name in names],
                data_schema,
            )
        self._faults = reader.faults
        if record_id_column is None and set(key) <= set(names):
            record_id_column = key
        location = f"sqlite://{os.path.abspath(file)}/{table}"  # noqa: PTH100  # which also takes out what is like a/../b
        is_part = condition is not None and not record_id_column  # whose rows are counted from its own first
        super().__init__(
            dict(zip(rows.column_names, rows.columns, strict=True)),
            tag_columns=tags,
            source_id=source_id,
            record_id_column=record_id_column,
            data_schema=types,
            bad_rows=bad_rows,
            label=check.text_or_none("label", label) or check.text_or_none("source_id", source_id) or table,
            type_name=kind,
            location=f"{location} where {condition}" if is_part else location,
        )


class SQLiteQuerySource(TableSource):
    """A source over the answer to a query of a SQLite file, as it is now; nothing is changed there.

    A column that is one of a table has the type that the table declares, see ``SQLiteTableSource``, and any other that
    of its values; it is ``T | None`` where there is a null. Rows come as the query gives them: order it by something
    unique, since ``row_{i}`` names them, or give ``record_id_column``.

    Args:
        path: the file.
        query: a ``SELECT``.
        tag_columns: the columns that are keys; the others are the data.
        source_id: what the source is called in provenance; made from the content if None.
        record_id_column: the column whose values name the records, or several.
        data_schema: declared types of columns; a ``float`` without ``| None`` takes no null.
        bad_rows: see ``TableSource``.
        label: what the source is called in a pipeline; ``source_id`` if None.

    Raises:
        InputValidationError: there is no such file, or the answer cannot become a stream; says why.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        query: str,
        tag_columns: Sequence[str],
        *,
        source_id: str | None = None,
        record_id_column: str | Sequence[str] | None = None,
        data_schema: Mapping[str, Any] | None = None,
        bad_rows: BadRows = "raise",
        label: str | None = None,
    ) -> None:
        kind = type(self).__name__
        check = Checks(kind, InputValidationError)
        file = Path(check.file("path", path))
        text = check.text("query", query).strip().rstrip(";")
        named = f"{kind} of {file.name!r}"
        with _Reader(file, named, fails=checked_bad_rows(bad_rows, named) == "fail") as reader:
            definition = reader.definition_of_query(text)
            rows, types = reader.read(text, list(definition.values()), data_schema)
        self._faults = reader.faults
        super().__init__(
            dict(zip(rows.column_names, rows.columns, strict=True)),
            tag_columns=tag_columns,
            source_id=source_id,
            record_id_column=record_id_column,
            data_schema=types,
            bad_rows=bad_rows,
            label=label,
            type_name=kind,
        )


@dataclass(frozen=True, slots=True)
class _Column:
    """Definition of one column.

    Attributes:
        name: what it is called.
        dtype: the type that it declares; None if it declares none.
        is_optional: whether there may be null; None if its values tell.
        key_at: its place in the primary key, from 1; 0 if it is no part of it.
    """

    name: str
    dtype: LogicalType | None
    is_optional: bool | None
    key_at: int = 0


class _Reader:
    """One state of a SQLite file, which is only read.

    Args:
        file: the file.
        named: what the source is called in messages.
        fails: whether a value that is not of its type is null, and among the faults.

    Attributes:
        faults: by column, the rows of such values, and why.
    """

    def __init__(self, file: Path, named: str, *, fails: bool) -> None:
        self.faults: dict[str, dict[int, ValueTypeError]] = {}
        self._file = file
        self._named = named
        self._fails = fails
        self._sqlite3: Any = import_module("sqlite3")  # only those who read such files should wait for it
        self._connection: Any = None

    def __enter__(self) -> _Reader:
        if not self._file.is_file():
            found = "a folder" if self._file.is_dir() else "nothing"
            raise self._invalid(f"found {found} at {self._file}, expected a SQLite file; check the path")
        uri = f"{Path(os.path.abspath(self._file)).as_uri()}?mode=ro"  # noqa: PTH100  # links stay
        self._connection = self._sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30)
        try:
            self._execute("BEGIN").fetchall()
        except BaseException:
            self._connection.close()
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        self._connection.close()

    def definition(self, table: str) -> dict[str, _Column]:
        """Return the columns of a table or view."""
        found = self._execute(f"PRAGMA table_xinfo({_quoted(table)})").fetchall()
        if not found:
            names = [
                name for (name,) in self._execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")
            ]
            raise self._invalid(f"found no table of that name; there are {sorted(names)}")
        return {
            name: _Column(name, declared_type(sql_type), not (is_not_null or key_at), key_at)
            for _, name, sql_type, is_not_null, _, key_at, hidden in found
            if hidden != 1
        }

    def definition_of_query(self, query: str) -> dict[str, _Column]:
        """Return the columns of the answer to a query, which SQLite describes as it does those of a view."""
        self._execute(f"CREATE TEMP VIEW answer AS {query}")
        found = self._execute("PRAGMA temp.table_xinfo(answer)").fetchall()
        return {name: _Column(name, declared_type(sql_type), None) for _, name, sql_type, *_ in found}

    def chosen(self, definition: Mapping[str, _Column], wanted: Sequence[str] | None) -> list[str]:
        """Return the names of the columns to read."""
        if wanted is None:
            return list(definition)
        if unknown := [name for name in wanted if name not in definition]:
            raise self._invalid(f"there is no column {unknown[0]!r}; found {list(definition)}", column=unknown[0])
        return list(dict.fromkeys(wanted))

    def read(
        self, query: str, columns: Sequence[_Column], data_schema: Mapping[str, Any] | None
    ) -> tuple[pa.Table, dict[str, LogicalType]]:
        """Return the rows of a query as a table in a file, and the types of its columns."""
        declared = declared_types(self._named, {column.name: None for column in columns}, data_schema)
        types = {column.name: declared.get(column.name, column.dtype) for column in columns}
        if untyped := [name for name, dtype in types.items() if dtype is None]:
            types |= self._types_of_values(query, untyped)
        inner = {name: dtype for name, dtype in types.items() if dtype is not None}
        table = spooled(pa.schema({name: dtype.arrow for name, dtype in inner.items()}), self._batches(query, inner))
        made: dict[str, LogicalType] = {}
        for column in columns:
            dtype, null_count = inner[column.name], table.column(column.name).null_count
            has_nulls = null_count > len(self.faults.get(column.name, {}))
            is_optional = has_nulls if column.is_optional is None else column.is_optional
            made[column.name] = OptionalType(dtype) if is_optional and column.name not in declared else dtype
        return table, made

    def _types_of_values(self, query: str, names: Sequence[str]) -> dict[str, LogicalType]:
        """Return the types of columns that declare none, from their values."""
        asked = ", ".join(f"group_concat(DISTINCT typeof({_quoted(name)}))" for name in names)
        (found,) = self._execute(f"SELECT {asked} FROM ({query}\n)").fetchall()
        types = {}
        for name, kinds in zip(names, found, strict=True):
            dtype = found_type((kinds or "").split(","))
            if dtype is None:
                raise self._invalid(
                    f"column {name!r} declares no type and holds values of {kinds or 'none'}; declare it in "
                    "data_schema",
                    column=name,
                )
            types[name] = dtype
        return types

    def _batches(self, query: str, types: Mapping[str, LogicalType]) -> Iterator[pa.RecordBatch]:
        """Yield the rows, as many at a time as are some megabytes."""
        cursor = self._execute(query)
        names = [name for name, *_ in cursor.description]
        if twice := [name for name in names if names.count(name) > 1]:
            raise self._invalid(f"column {twice[0]!r} is there twice; rename one with AS", column=twice[0])
        count, start = 64, 0
        while rows := self._fetched(cursor, count):
            arrays = {
                name: self._column(values, name, dtype, start)
                for (name, dtype), values in zip(types.items(), zip(*rows, strict=True), strict=True)
            }
            batch = pa.RecordBatch.from_pydict(arrays)
            yield batch
            start += len(rows)
            count = max(1, min(_MOST_ROWS, _BATCH_BYTES * len(rows) // max(1, batch.nbytes)))

    def _column(self, values: Sequence[Any], name: str, dtype: LogicalType, start: int) -> pa.Array[Any]:
        inner = dtype.non_null
        column, faults = column_of_rows(restored(values, inner), OptionalType(inner))
        for row, error in faults.items():
            if not self._fails:
                raise self._invalid(
                    f"column {name!r}, row {start + row}: {error}; mend it, or declare the type of what is there in "
                    f"data_schema{BAD_ROWS_HINT}",
                    **error.about(column=name, row=start + row),
                )
            self.faults.setdefault(name, {})[start + row] = error
        return column

    def _execute(self, statement: str) -> Any:
        try:
            return self._connection.execute(statement)
        except (self._sqlite3.Error, self._sqlite3.Warning, ValueError) as error:
            raise self._invalid(str(error)) from error

    def _fetched(self, cursor: Any, count: int) -> list[Any]:
        try:
            rows: list[Any] = cursor.fetchmany(count)
        except self._sqlite3.Error as error:
            raise self._invalid(str(error)) from error
        return rows

    def _invalid(self, why: str, **about: Any) -> InputValidationError:
        return InputValidationError(f"{self._named}: {why}", **about)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
