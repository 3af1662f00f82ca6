"""``JSONLines``: a file of JSON lines, of which some may not be of its columns."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from orcapod.display import shown
from orcapod.errors import SchemaError, ValueTypeError
from orcapod.types import RowFaults, type_of_column

__all__ = ["EXPECTED", "JSONLines", "json_lines"]

EXPECTED = "expected an object in each line; if the file is one list, give DictSource(json.load(file), ...)"

_BLOCK_BYTES = 1 << 20
_BLANK_BYTES = 64  # of a line without an object
_LONG = re.compile(rb"(?<![\d.])\d{16,}(?![\d.eE])")  # whole numbers of fewer digits are floats
_NONE = pa.schema([])


def json_lines(path: Path, schema: pa.Schema, unexpected: str, *, exact: pa.Schema = _NONE) -> Any:
    """Open a file of JSON lines all of which are of its columns.

    Args:
        path: the file.
        schema: columns whose types are known.
        unexpected: what becomes of other columns: "infer", "error" or "ignore".
        exact: columns whose floats have to be what the file says.
    """
    module: Any = import_module("pyarrow.json")  # only those who read such files should wait for it
    longest, is_first = 0, True
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            longest = max(longest, len(line))
            if is_first and line.removeprefix(BOM_UTF8).lstrip().startswith(b"["):
                raise pa.ArrowInvalid(f"line {number} begins a list, {EXPECTED}")
            is_first = is_first and not line.strip()
            if len(line) < _BLANK_BYTES and line.strip() == b"null":
                raise pa.ArrowInvalid(f"line {number} is null")  # for which pyarrow ends the process, or gives a row
            _check_exact(_Line(number, line), exact)
    return module.open_json(
        str(path),
        read_options=module.ReadOptions(block_size=max(_BLOCK_BYTES, 2 * longest), use_threads=False),
        parse_options=module.ParseOptions(explicit_schema=schema, unexpected_field_behavior=unexpected),
    )


class _Line(NamedTuple):
    """Line of a file, and which one it is, from 1 on."""

    number: int
    text: bytes


class JSONLines:
    """File of JSON lines, of which some may not be of its columns.

    Args:
        path: the file.
        exact: columns whose floats have to be what the file says.
    """

    def __init__(self, path: Path, exact: pa.Schema = _NONE) -> None:
        self._path = path
        self._exact = exact

    def schema(self, declared: pa.Schema) -> pa.Schema:
        """Return its columns: those declared, and others in the types that their first values have.

        Raises:
            ArrowInvalid: they cannot be told.
        """
        first = next(self._blocks(), [])
        first = [line for line in first if not _exceeds_ints(line)] or first
        try:
            return _table(first, declared, "infer").schema
        except pa.ArrowInvalid:
            if not first:
                raise
        alike = _alike([line for lines in _readable(first, declared) for line in lines], declared.names)
        return _table(alike, declared, "infer").schema if alike else declared

    def batches(self, schema: pa.Schema) -> Iterator[tuple[pa.RecordBatch, Mapping[str, RowFaults]]]:
        """Give its rows, null where a line has no value of a column's type, and why, by column and row."""
        for block in self._blocks():
            tables: list[pa.Table] = []
            faults: dict[str, dict[int, ValueTypeError]] = {name: {} for name in schema.names}
            start = 0
            for lines, table in _read(block, schema, self._exact):
                if table is None:
                    table, found = _alone(lines[0], schema, self._exact)
                    for name, error in found.items():
                        faults[name][start] = error
                tables.append(table)
                start += table.num_rows
            (batch,) = pa.concat_tables(tables).combine_chunks().to_batches()
            yield batch, {name: found for name, found in faults.items() if found}

    def _blocks(self) -> Iterator[list[_Line]]:
        """Give its lines, about a megabyte at a time; empty ones are none."""
        block: list[_Line] = []
        size = 0
        with self._path.open("rb") as file:
            for number, text in enumerate(file, 1):
                if text.strip():
                    block.append(_Line(number, text.rstrip(b"\n") + b"\n"))
                    size += len(text)
                if size >= _BLOCK_BYTES:
                    yield block
                    block, size = [], 0
        if block:
            yield block


def _read(
    lines: Sequence[_Line], schema: pa.Schema, exact: pa.Schema
) -> Iterator[tuple[Sequence[_Line], pa.Table | None]]:
    """Give consecutive lines and their rows; None for a line that is not of these columns."""
    spans = [lines]
    while spans:
        span = spans.pop()
        try:
            for line in span:
                _check_exact(line, exact)
            yield span, _table(span, schema, "error")
        except pa.ArrowInvalid:
            half = len(span) // 2
            if half:
                spans += [span[half:], span[:half]]
            else:
                yield span, None


def _readable(lines: Sequence[_Line], declared: pa.Schema) -> Iterator[Sequence[_Line]]:
    """Give the lines that are JSON, and whose values are of the types declared."""
    spans = [lines]
    while spans:
        span = spans.pop()
        try:
            _table(span, declared, "ignore")
            yield span
        except pa.ArrowInvalid:
            half = len(span) // 2
            spans += [span[half:], span[:half]] if half else []


def _alike(lines: Sequence[_Line], declared: Sequence[str]) -> list[_Line]:
    """Return the lines whose values are of the same kind as the first ones of their columns."""
    kinds: dict[str, type] = dict.fromkeys(declared, object)
    alike = []
    for line in lines:
        found = {name: _kind(value) for name, value in _object(line).items() if value is not None}
        if found and all(issubclass(kind, kinds.get(name, object)) for name, kind in found.items()):
            alike.append(line)
            kinds = found | kinds
    return alike


def _kind(value: Any) -> type:
    return float if type(value) is int else type(value)


def _object(line: _Line) -> dict[str, Any]:
    """Return the object that a line is; an empty one if it is none."""
    with suppress(ValueError, RecursionError):
        found = json.loads(line.text, object_pairs_hook=_once)
        if isinstance(found, dict):
            return found
    return {}


def _exceeds_ints(line: _Line) -> bool:
    """Say whether a line holds a whole number that does not fit in 64 bits."""
    return _LONG.search(line.text) is not None and any(
        type(value) is int and not -(2**63) <= value < 2**63 for value in _object(line).values()
    )


def _check_exact(line: _Line, exact: pa.Schema) -> None:
    """Check that numbers of a line are what floats of these columns hold.

    Raises:
        ArrowInvalid: one is not.
    """
    if not len(exact) or _LONG.search(line.text) is None:
        return
    values = _object(line)
    for field in exact:
        if (number := _rounded(values.get(field.name), field.type)) is not None:
            raise pa.ArrowInvalid(
                f"line {line.number}: column {field.name!r}: found {shown(number)}, which no float is, as others of it "
                "are that have a point or do not fit in 64 bits"
            )


def _rounded(value: Any, type_: pa.DataType) -> int | None:
    """Return the first whole number of a value that a float of its type is not; None if there is none."""
    inside: list[tuple[Any, pa.DataType]] = []
    if pa.types.is_floating(type_):
        return value if type(value) is int and (abs(value) >> 1023 or int(float(value)) != value) else None
    if isinstance(value, list) and pa.types.is_list(type_):
        inside = [(each, type_.value_type) for each in value]
    elif isinstance(value, dict) and pa.types.is_struct(type_):
        inside = [(value.get(field.name), field.type) for field in type_]
    return next((found for each in inside if (found := _rounded(*each)) is not None), None)


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError("a name comes twice")
    return found


def _alone(line: _Line, schema: pa.Schema, exact: pa.Schema) -> tuple[pa.Table, Mapping[str, ValueTypeError]]:
    """Return the row of a line that is not of these columns, null where it is not, and why, by column."""
    values = _object(line)
    columns: dict[str, Any] = {}
    faults: dict[str, ValueTypeError] = {}
    fields: Any = list(schema)
    for field in fields:
        try:
            _check_exact(line, pa.schema([each for each in exact if each.name == field.name]))
            columns[field.name] = _table([line], pa.schema([field]), "ignore").column(0)
        except pa.ArrowInvalid:
            columns[field.name] = pa.chunked_array([pa.nulls(1, field.type)])
            expected, found = _name_of(field.type), shown(values.get(field.name))
            why = f"expected {expected}, found {found} in line {line.number}"
            faults[field.name] = ValueTypeError(why, expected=expected, found=found)
    if not values or not faults or any(len(column) != 1 for column in columns.values()):
        found = shown(line.text.decode(errors="replace").rstrip("\n"))
        more = [name for name in values if name not in schema.names]
        expected = f"an object with the columns {schema.names}" if more else "a JSON object, each name once"
        error = ValueTypeError(
            f"expected {expected}, found line {line.number}: {found}", expected=expected, found=found
        )
        columns = {field.name: pa.nulls(1, field.type) for field in fields}
        faults = dict.fromkeys(schema.names, error)
    return pa.table(columns, schema=schema), faults


def _name_of(type_: Any) -> str:
    try:
        return type_of_column(pa.nulls(0, type_)).name
    except SchemaError:
        return str(type_)


def _table(lines: Sequence[_Line], schema: pa.Schema, unexpected: str) -> pa.Table:
    module: Any = import_module("pyarrow.json")  # as above
    if other := next((line for line in lines if not line.text.lstrip().startswith(b"{")), None):
        raise pa.ArrowInvalid(f"line {other.number} is no object")  # a null alone would end the process
    data = b"".join(line.text for line in lines)
    table: pa.Table = module.read_json(
        pa.BufferReader(data),
        read_options=module.ReadOptions(block_size=len(data) + 1, use_threads=False),
        parse_options=module.ParseOptions(explicit_schema=schema, unexpected_field_behavior=unexpected),
    )
    return table
