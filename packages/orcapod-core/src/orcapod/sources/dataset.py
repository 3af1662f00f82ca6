"""``DatasetSource``: a stream over files of columns, one or a folder of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.compute import Expression, pc
from orcapod.errors import InputValidationError, SchemaError, ValueTypeError
from orcapod.sources.arrow import ArrowTableSource
from orcapod.sources.dataset_files import DatasetFiles, DatasetRows
from orcapod.sources.root import BadRows, checked_bad_rows
from orcapod.sources.spool import in_whole, spooled
from orcapod.sources.table import BAD_ROWS_HINT, declared_types
from orcapod.types import LogicalType, OptionalType, RowFaults, conform, conform_rows, type_of_column

__all__ = ["DatasetSource"]


class DatasetSource(ArrowTableSource):
    """A source over Parquet, Feather (Arrow IPC) or JSON lines, a file or a folder, as it is now.

    The rows are read once, some thousand at a time, into an Arrow file in the folder for temporary files, which is
    mapped: files larger than the memory are fine. What the files say enters the identity, not where they are.

    The files of a folder, and of those in it, come in the order of their paths; names that begin with a dot or ``_``
    are left out, and so are files of other formats. Columns that a file lacks are null in its rows, and numbers that
    are ``int`` in one and ``float`` in another are ``float``. Folders called ``year=2024`` give a column ``year`` more:
    ``int``, or ``str`` where one is no whole number, or begins with a zero.

    A column that holds no null is ``T``, whatever the files declare. The types of JSON lines are those of the first
    megabyte of each file; what comes later must be of these, and have no other columns: declare them. A whole number
    in a column of floats must be one that a float is, unless ``float`` is declared.

    Args:
        path: the file or folder.
        tag_columns: the columns that are keys; the others are the data.
        format: "parquet", "feather" or "jsonl"; what the names of the files end in if None.
        columns: the columns to read, tag columns among them; all if None.
        where: an expression of pyarrow that rows have to meet, ``pc.field("visit") > 3``.
        source_id: what the source is called in provenance; the absolute path if None.
        record_id_column: the column whose values name the records, or several; ``row_{i}`` counts all rows if None.
        data_schema: declared types of columns; the others follow from the files.
        bad_rows: see ``TableSource``; so fails a line that is no JSON, or not of the types of the lines before it.
            A file of another format that is damaged is an error all the same.
        label: what the source is called in a pipeline; ``source_id``, or the file's name, if None.

    Raises:
        InputValidationError: the files cannot become a stream; says which column, and why.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        tag_columns: Sequence[str],
        *,
        format: str | None = None,  # noqa: A002  # as others call it
        columns: Sequence[str] | None = None,
        where: Expression | None = None,
        source_id: str | None = None,
        record_id_column: str | Sequence[str] | None = None,
        data_schema: Mapping[str, Any] | None = None,
        bad_rows: BadRows = "raise",
        label: str | None = None,
    ) -> None:
        kind = type(self).__name__
        check = Checks(kind, InputValidationError)
        self.path = Path(os.path.abspath(check.file("path", path)))  # noqa: PTH100  # links stay
        self._called = f"{kind} {str(path)!r}"
        if where is not None and not isinstance(where, pc.Expression):
            raise check.wrong_type("where", where, "an expression of pyarrow", "write pyarrow.compute.field('x') > 3")
        self._fails = checked_bad_rows(bad_rows, self._called) == "fail"
        wanted = check.names_or_none("columns", columns)
        declared = check.mapping_or_empty("data_schema", data_schema, "{'x': int}")
        types = declared_types(self._called, dict.fromkeys(declared), declared)
        files = DatasetFiles.of(self.path, check.text_or_none("format", format), self._wrong)
        try:
            dataset = DatasetRows(files, types, fails=self._fails)
            names = list(dict.fromkeys(wanted if wanted is not None else dataset.schema.names))
            for name in (*names, *types):
                if dataset.schema.names.count(name) != 1:
                    self._refuse_column(name, dataset.schema.names)
            table = self._spooled(dataset.batches(names, where), dataset.schema, names, types)
        except (pa.ArrowException, OSError, UnicodeError) as error:
            raise self._wrong(f"it cannot be read: {error}; mend the file, or declare types in data_schema") from error
        place = str(self.path)
        super().__init__(
            table,
            tag_columns,
            source_id=source_id,
            record_id_column=record_id_column,
            data_schema={name: dtype for name, dtype in types.items() if name in names},
            bad_rows=bad_rows,
            label=check.text_or_none("label", label) or check.text_or_none("source_id", source_id) or self.path.name,
            location=place if where is None or record_id_column else f"{place} where {where}",
        )

    def _spooled(
        self,
        batches: Iterable[tuple[pa.RecordBatch, Mapping[str, RowFaults]]],
        schema: pa.Schema,
        names: Sequence[str],
        types: Mapping[str, LogicalType],
    ) -> pa.Table:
        """Return the rows in the Arrow types of their logical types, in a file."""
        arrow = {}
        for name in names:
            try:
                dtype = types.get(name) or type_of_column(pa.nulls(0, schema.field(name).type))
            except SchemaError as error:
                raise self._wrong(f"column {name!r}: {error}", **error.about(column=name)) from None
            arrow[name] = dtype.arrow

        found: dict[str, dict[int, ValueTypeError]] = {}
        self._faults = found

        def converted() -> Iterator[pa.RecordBatch]:
            start = 0
            for batch, broken in batches:
                columns = []
                for name in names:
                    column, faults = self._conformed_part(batch.column(name), name, types.get(name), start)
                    columns.append(column)
                    if faults := {**faults, **broken.get(name, {})}:
                        found.setdefault(name, {}).update({start + row: error for row, error in faults.items()})
                yield pa.RecordBatch.from_arrays(columns, schema=pa.schema(arrow))
                start += batch.num_rows

        return spooled(pa.schema(arrow), converted())

    def _conformed_part(
        self, column: pa.Array[Any], name: str, declared: LogicalType | None, start: int
    ) -> tuple[pa.Array[Any], RowFaults]:
        dtype = declared or type_of_column(column)
        wide = dtype if isinstance(dtype, OptionalType) else OptionalType(dtype)
        try:
            if self._fails:
                conformed, faults = conform_rows(pa.chunked_array([column]), wide)
                return conformed.combine_chunks(), faults
            return conform(column, wide).combine_chunks(), {}
        except ValueTypeError as error:
            row, why = in_whole(error, start)
            hint = f"column {name!r}, row {row}: {why}{BAD_ROWS_HINT}"
            raise self._wrong(hint, **error.about(column=name, row=row)) from None
        except SchemaError as error:
            raise self._wrong(f"column {name!r}: {error}", **error.about(column=name)) from None

    def _refuse_column(self, name: str, names: Sequence[str]) -> None:
        if name in names:
            raise self._wrong(f"column {name!r} is there twice; rename one", column=name)
        raise self._wrong(f"there is no column {name!r}; found {list(names)}", column=name, found=str(list(names)))

    def _wrong(self, why: str, **about: Any) -> InputValidationError:
        return InputValidationError(f"{self._called}: {why}", **about)
