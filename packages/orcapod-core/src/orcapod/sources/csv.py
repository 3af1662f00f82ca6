"""``CSVSource``: a stream over a file of comma-separated values."""

from __future__ import annotations

import codecs
import io
import os
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.compute import counted, pc
from orcapod.display import near_hint, shown
from orcapod.errors import InputValidationError, ValueTypeError
from orcapod.sources.arrow import ArrowTableSource
from orcapod.sources.root import BadRows, checked_bad_rows
from orcapod.sources.table import BAD_ROWS_HINT, declared_types
from orcapod.types import FILE_ARROW, LogicalType, OptionalType, RowFaults, converted_rows

__all__ = ["CSVSource"]

_EXACT = 2.0**53
_WHOLE = r"^\s*[+-]?\d+\s*$"
_CODE = r"^\s*[+-]?0\d"
_DIGIT = r"\d"
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")
_ONE_COLUMN = "Expected 1 columns"
_CONVERSION = re.compile(r"In CSV column #(?P<number>\d+): (?P<why>.*)", re.DOTALL)
_NO_FLOAT = re.compile(r"to double: invalid value '(?P<text>.*)'", re.DOTALL)
_ALL_ROWS = 2**31 - 1
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class CSVSource(ArrowTableSource):
    """A source over a CSV file with a line of column names, read once, when the source is made.

    What the file says enters the identity: an edited file is another source, a moved or touched one is not.
    Types follow from the values, by the rules of ``pyarrow.csv``, unless ``data_schema`` declares them. Whole numbers
    of which one begins with a zero, ``007``, are codes and stay text; one row ``A0456`` makes text of all others, so
    declare what names things. A column declared ``str`` keeps ``NA`` as it is. Elsewhere an empty field, and ``NA``,
    ``null`` and the like, are null; in a text column an empty field is ``""``, and null if it is declared
    ``str | None``. A number in digits that no float is, ``1e999``, is a bad row.

    Args:
        path: the file; one that ends in ``.gz``, ``.bz2`` or ``.zst`` is unpacked.
        tag_columns: the columns that are keys; the others are the data.
        delimiter: what stands between two fields, one character.
        encoding: of the text.
        source_id: what the source is called in provenance; the file's absolute path if None.
        record_id_column: see ``TableSource``, and so are the others.
        data_schema: see ``TableSource``.
        bad_rows: see ``TableSource``; so fails a line with too few or too many fields.
        label: see ``TableSource``.

    Raises:
        InputValidationError: the file cannot become a stream; says which line or column, and why.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        tag_columns: Sequence[str],
        *,
        delimiter: str = ",",
        encoding: str = "utf-8",
        source_id: str | None = None,
        record_id_column: str | Sequence[str] | None = None,
        data_schema: Mapping[str, Any] | None = None,
        bad_rows: BadRows = "raise",
        label: str | None = None,
    ) -> None:
        named = type(self).__name__
        check = Checks(named, InputValidationError)
        self.path = Path(check.file("path", path))
        check.text("encoding", encoding)
        file = _File(self.path, check.text("delimiter", delimiter), encoding, f"{named} {str(path)!r}")
        schema = check.mapping_or_empty("data_schema", data_schema, "{'x': int}")
        table, self._faults = file.table(schema, fails=checked_bad_rows(bad_rows, named) == "fail")
        super().__init__(
            table,
            tag_columns,
            source_id=source_id,
            record_id_column=record_id_column,
            data_schema=data_schema,
            bad_rows=bad_rows,
            label=check.text_or_none("label", label) or check.text_or_none("source_id", source_id) or self.path.name,
            location=os.path.abspath(path),  # noqa: PTH100  # which also takes out what is like a/../b
        )


class _File:
    """CSV file that is being read."""

    def __init__(self, path: Path, delimiter: str, encoding: str, named: str) -> None:
        self._path = path
        self._delimiter = delimiter
        self._encoding = encoding
        self._named = named
        self._fails = False
        self._broken: RowFaults = {}

    def table(self, data_schema: Mapping[str, Any], *, fails: bool) -> tuple[pa.Table, dict[str, RowFaults]]:
        """Read all rows, columns in the types declared, or else those that follow from the values.

        Args:
            data_schema: declared types.
            fails: whether a field that is no value of its type is null, and among the faults.
        """
        self._check_start()
        declared = declared_types(self._named, dict.fromkeys(data_schema), data_schema)
        self._fails = fails
        types: dict[str, pa.DataType] = {name: _written_as(dtype) for name, dtype in declared.items()}
        texts: list[str] = []
        try:
            read = self._read(types)
        except InputValidationError:
            texts = [name for name, type_ in types.items() if fails and type_ != pa.large_string()]
            if not texts:
                raise
            types |= dict.fromkeys(texts, pa.large_string())
            read = self._read(types)
        if codes := self._codes(read.schema, declared):
            read = self._read({**types, **codes})
        if absent := [name for name in declared if name not in read.column_names]:
            near = near_hint(absent[0], read.column_names)
            why = f"data_schema declares {absent[0]!r}, found columns {read.column_names}{near}"
            raise self._invalid(why, column=absent[0], found=str(read.column_names))
        read = _with_nulls(read, declared)
        faults = dict.fromkeys(read.column_names, self._broken) if self._broken else {}
        for name in texts:
            column, found = _fields(read.column(name), declared[name])
            faults[name] = {**found, **self._broken}
            read = read.set_column(read.column_names.index(name), name, column)
        for at, field in enumerate(read.schema):
            if pa.types.is_binary(field.type) and field.name not in declared:
                why = f"column {field.name!r} is not {self._encoding} text; give the file's encoding"
                raise self._invalid(why, column=field.name)
            if pa.types.is_floating(field.type) and field.name not in declared:
                self._check_exact(field.name, read.column(at))
            if large := {} if field.name in texts else self._too_large(field.name, read.column(at)):
                faults[field.name] = {**large, **faults.get(field.name, {})}
                is_large = pc.is_in(counted(0, read.num_rows), value_set=pa.array(sorted(large), pa.int64()))
                read = read.set_column(at, field.name, pc.if_else(is_large, None, read.column(at)))
        return read, faults

    def _check_start(self) -> None:
        """Refuse a file that is empty, and one that is to be UTF-8 and begins as UTF-16 or UTF-32 does."""
        start, is_utf8 = b" ", False
        with suppress(OSError, pa.ArrowException, LookupError, ValueError):  # whoever reads all of it tells of these
            with pa.input_stream(str(self._path)) as file:
                start = file.read(4)
            is_utf8 = codecs.lookup(self._encoding).name in ("utf-8", "utf-8-sig", "ascii")
        if not start:
            raise self._invalid("found an empty file, expected a line of column names; check whether it was written")
        if not is_utf8:
            return
        marked = next((encoding for mark, encoding in _MARKS.items() if start.startswith(mark)), None)
        unmarked = {b"\0": "utf-16-be"}.get(start[:1], {b"\0": "utf-16-le"}.get(start[1:2]))
        if found := marked or unmarked:
            raise self._invalid(
                f"found text in {found}, expected {self._encoding}; give encoding={found!r}",
                expected=self._encoding,
                found=found,
            )

    def _read(self, types: Mapping[str, pa.DataType]) -> pa.Table:
        if not self._path.is_file():
            found = "a folder" if self._path.is_dir() else "nothing"
            raise self._invalid(f"found {found} there, expected a CSV file; check the path")
        broken: dict[int, ValueTypeError] = {}

        def skip(line: Any) -> Literal["skip"]:
            expected, found = f"{line.expected_columns} fields", f"{line.actual_columns}: {shown(line.text)}"
            why = f"expected {expected}, found {found} in line {line.number}, not counting empty ones"
            broken[line.number - 2] = ValueTypeError(why, expected=expected, found=found)
            return "skip"

        try:
            read = self._rows(types, skip if self._fails else None)
        except (pa.ArrowException, OSError, UnicodeError, LookupError, TypeError, ValueError) as error:
            raise self._unreadable(str(error), types) from None
        self._check_names(read)
        self._broken = broken
        return _with_gaps(read, broken)

    def _rows(self, types: Mapping[str, pa.DataType], on_broken: Any = None, *, skipped: int = 0) -> pa.Table:
        """Return what pyarrow reads.

        Args:
            types: Arrow types of columns; all others follow from the values.
            on_broken: what becomes of lines with too few or too many fields.
            skipped: how many rows are left out.
        """
        from pyarrow import csv  # noqa: PLC0415  # only those who read such files should wait for it

        return csv.read_csv(
            str(self._path),
            # without threads, so that errors name lines
            csv.ReadOptions(encoding=self._encoding, use_threads=False, skip_rows_after_names=skipped),
            csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=on_broken),
            csv.ConvertOptions(column_types=dict(types)),
        )

    def _check_names(self, read: pa.Table) -> None:
        try:
            list(read.column_names)
        except UnicodeDecodeError:
            raise self._invalid(f"names of columns are not {self._encoding} text; give the file's encoding") from None

    def _unreadable(self, why: str, types: Mapping[str, pa.DataType]) -> InputValidationError:
        """Return the error for what pyarrow says of a file, with the column by its name, and what helps."""
        advice = "mend the file"
        if of_column := _CONVERSION.match(why):
            names = self._rows({}, skipped=_ALL_ROWS)
            self._check_names(names)
            name = names.column_names[int(of_column["number"])]
            why = f"column {name!r}: {of_column['why']}"
            advice += f", or declare {'another type for it' if name in types else 'its type'} in data_schema"
        if _ONE_COLUMN in why:
            advice += f"; or give its delimiter, if that is not {self._delimiter!r}"
        if "Row #" in why and not self._fails:
            advice += BAD_ROWS_HINT
        if no_float := _NO_FLOAT.search(why):
            advice += _decimal_hint(no_float["text"])
        return self._invalid(f"it cannot be read: {why}; {advice}")

    def _codes(self, schema: pa.Schema, declared: Mapping[str, LogicalType]) -> dict[str, pa.DataType]:
        """Return the columns of whole numbers that are codes: they begin with zeros, which a number would lose."""
        numbers = [field.name for field in schema if pa.types.is_integer(field.type)]
        whole = [name for name in numbers if name not in declared and schema.names.count(name) == 1]
        written = self._read(dict.fromkeys(whole, pa.large_string())) if whole else None
        return {
            name: pa.large_string()
            for name in whole
            if written is not None and pc.any(pc.match_substring_regex(written.column(name), _CODE)).as_py()
        }

    def _check_exact(self, name: str, column: pa.ChunkedArray[Any]) -> None:
        """Refuse whole numbers that were changed by being taken for floats: they fit in no int."""
        if not pc.any(pc.greater_equal(pc.abs(column), _EXACT)).as_py():
            return
        written = self._read({name: pa.large_string()}).column(name)
        row = pc.index(pc.match_substring_regex(written.filter(pc.greater_equal(pc.abs(column), _EXACT)), _WHOLE), True)
        if row.as_py() >= 0:
            raise self._invalid(
                f"column {name!r} holds whole numbers that do not fit in 64 bits; declare it as str, or as float if "
                "that is exact enough, in data_schema",
                column=name,
            )

    def _too_large(self, name: str, column: pa.ChunkedArray[Any]) -> RowFaults:
        """Return the rows of numbers that became infinite, or refuse the first: none may fail."""
        if not pa.types.is_floating(column.type) or not pc.any(pc.is_inf(column)).as_py():
            return {}
        written = self._read({name: pa.large_string()}).column(name)
        rows: list[Any] = pc.indices_nonzero(_became_infinite(column, written)).to_pylist()
        faults = {row: _overflow(written[row].as_py()) for row in rows}
        for row, error in {} if self._fails else faults.items():
            raise self._invalid(f"row {row}: column {name!r}: {error}", **error.about(column=name, row=row))
        return faults

    def _invalid(self, why: str, **about: Any) -> InputValidationError:
        return InputValidationError(f"{self._named}: {why}", **about)


def _written_as(dtype: LogicalType) -> pa.DataType:
    """Return the Arrow type in which fields are read that stand for values of a type: paths are text."""
    return pa.large_string() if dtype.arrow == FILE_ARROW else dtype.arrow


def _fields(texts: pa.ChunkedArray[Any], dtype: LogicalType) -> tuple[pa.ChunkedArray[Any], RowFaults]:
    """Return texts as the values of a type, null where one is none, and the faults of those rows.

    Each text is looked at once: what is no value is often the same in many rows.
    """
    distinct = pc.unique(texts)
    values, faults = converted_rows(pa.chunked_array([distinct]), partial(_parsed, dtype=dtype), dtype.arrow)
    numbers = pc.index_in(texts, value_set=distinct)
    bad = pc.is_in(numbers, value_set=pa.array(sorted(faults), pa.int32()))
    rows = pc.indices_nonzero(bad).to_pylist()
    errors = zip(rows, numbers.filter(bad).to_pylist(), strict=True)
    return values.take(numbers), {row: faults[number] for row, number in errors}


def _parsed(texts: pa.ChunkedArray[Any], *, dtype: LogicalType) -> pa.ChunkedArray[Any]:
    """Return what a CSV file says whose fields are these.

    Raises:
        ValueTypeError: one is no value of the type; it speaks of the first, and is right where there is no other.
    """
    from pyarrow import csv  # noqa: PLC0415  # as above

    file = io.BytesIO()
    csv.write_csv(pa.table({"field": texts}), file)
    file.seek(0)
    parsing = csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)  # of one field, that is null
    try:
        read = csv.read_csv(
            file, csv.ReadOptions(use_threads=False), parsing, csv.ConvertOptions(column_types={"field": dtype.arrow})
        )
    except pa.ArrowInvalid:
        found = shown(texts[0].as_py())
        hint = _decimal_hint(texts[0].as_py()) if pa.types.is_floating(dtype.arrow) else ""
        why = f"expected {dtype.name}, found {found}{hint}"
        raise ValueTypeError(why, expected=dtype.name, found=found) from None
    column = read.column(0)
    if pa.types.is_floating(column.type) and (at := pc.index(_became_infinite(column, texts), True).as_py()) >= 0:
        raise _overflow(texts[at].as_py())
    return column


def _decimal_hint(text: str | None) -> str:
    """Return what reads a number that is written with a comma; nothing for any other text, or none."""
    if text is None or not _DECIMAL_COMMA.fullmatch(text):
        return ""
    return (
        "; a decimal comma is read by pyarrow.csv.read_csv with ConvertOptions(decimal_point=','): give the table that "
        "it makes to an ArrowTableSource"
    )


def _became_infinite(numbers: pa.ChunkedArray[Any], written: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    """Say of each number whether it is infinite, and was written in digits."""
    became: pa.ChunkedArray[Any] = pc.and_kleene(pc.is_inf(numbers), pc.match_substring_regex(written, _DIGIT))
    return became


def _overflow(text: str) -> ValueTypeError:
    why = f"expected a float, found {shown(text)}, which is too large for one; declare str in data_schema, or write inf"
    return ValueTypeError(why, expected="float", found=shown(text))


def _with_gaps(table: pa.Table, rows: Collection[int]) -> pa.Table:
    """Return a table with rows of nulls more, which are these then."""
    if not rows:
        return table
    others = iter(range(table.num_rows))
    taken = [None if row in rows else next(others) for row in range(table.num_rows + len(rows))]
    return table.take(pa.array(taken, pa.int64()))


def _with_nulls(table: pa.Table, declared: Mapping[str, LogicalType]) -> pa.Table:
    """Return a table in which empty fields of optional text columns are null."""
    for name, dtype in declared.items():
        if isinstance(dtype, OptionalType) and pa.types.is_large_string(dtype.arrow):
            column = table.column(name)
            empty = pc.equal(column, pa.scalar("", column.type))
            column = pc.if_else(empty, pa.scalar(None, column.type), column)
            table = table.set_column(table.schema.get_field_index(name), name, column)
    return table
