"""The files of a dataset: which there are, what their folders say, and their rows."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.types as pat

from orcapod.compute import Expression, counted
from orcapod.sources.json_lines import EXPECTED, JSONLines, json_lines
from orcapod.types import LogicalType, RowFaults

__all__ = ["DatasetFiles", "DatasetRows"]

_FORMATS: Mapping[str, Sequence[str]] = {
    "parquet": (".parquet", ".pq"),
    "feather": (".feather", ".arrow", ".ipc"),
    "jsonl": (".jsonl", ".ndjson", ".json"),
}
_NONE = "__HIVE_DEFAULT_PARTITION__"
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")
_BATCH_ROWS = 65_536
_BATCH_BYTES = 8 << 20
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class DatasetFiles:
    """Files of one format.

    Attributes:
        folder: where they are.
        paths: of the files, in the order of their rows.
        format: one of ``_FORMATS``.
    """

    folder: Path
    paths: Sequence[Path]
    format: str

    @classmethod
    def of(cls, path: Path, format_: str | None, wrong: Callable[..., Exception]) -> DatasetFiles:
        """Return the files at a path.

        Raises:
            InputValidationError: made by ``wrong``: there are none, or of several formats.
        """
        if format_ is not None and format_ not in _FORMATS:
            raise wrong(f"found format {format_!r}, expected one of {list(_FORMATS)}")
        if path.is_file():
            found = format_ or _format_of(path)
            if found is None:
                known = ", ".join(suffix for suffixes in _FORMATS.values() for suffix in suffixes)
                raise wrong(f"found a file of another format, expected one that ends in {known}; give the format")
            return cls(path.parent, [path], found)
        if not path.is_dir():
            raise wrong("found nothing there, expected a file or a folder; check the path")
        try:
            inside = _files_below(path, format_)
        except OSError as error:
            raise wrong(f"the folder cannot be read: {error}") from error
        formats = set(inside.values()) or ({format_} if format_ else set())
        if len(formats) != 1:
            raise wrong(
                f"found files of {', '.join(sorted(formats)) or 'no format that is known'} in the folder, expected "
                f"those of one of {list(_FORMATS)}; give the format"
            )
        (chosen,) = formats
        if not inside:
            raise wrong(f"found no file of {chosen} in the folder; check the path")
        return cls(path, sorted(inside), chosen)

    def partitions(self, declared: Mapping[str, LogicalType]) -> dict[str, pa.DataType]:
        """Return the columns that the names of folders give, and their types: those declared, or that values have."""
        values: dict[str, list[str | None]] = {}
        for path in self.paths:
            for name, value in self.partition_of(path).items():
                values.setdefault(name, []).append(value)
        return {
            name: declared[name].arrow
            if name in declared
            else pa.int64()
            if all(each is None or _WHOLE.fullmatch(each) for each in found)
            else pa.string()
            for name, found in values.items()
        }

    def partition_of(self, path: Path) -> dict[str, str | None]:
        """Return what the names of a file's folders say: the value of every column."""
        parts = [part.partition("=") for part in path.relative_to(self.folder).parts[:-1]]
        return {unquote(name): None if value == _NONE else unquote(value) for name, is_one, value in parts if is_one}


class DatasetRows:
    """Rows of files, in the columns that all of them have together.

    Args:
        files: the files.
        types: of columns, where they are declared.
        fails: whether a line of JSON that is not of the columns is a row of nulls.

    Attributes:
        schema: the columns, in the types of the files where none is declared.
    """

    def __init__(self, files: DatasetFiles, types: Mapping[str, LogicalType], *, fails: bool = False) -> None:
        self._files = files
        self._fails = fails
        self._partitions = files.partitions(types)
        self._texts: dict[str, pa.DataType] = {}  # what is read as text, and is more
        if files.format == "jsonl":
            declared = {name: dtype.arrow for name, dtype in types.items() if name not in self._partitions}
            self._texts = {name: type_ for name, type_ in declared.items() if _parsed(type_) == pa.string()}
            parsed = pa.schema({name: _parsed(type_) for name, type_ in declared.items()})
            schemas = [
                JSONLines(path).schema(parsed) if fails else json_lines(path, parsed, "infer").schema
                for path in files.paths
            ]
        elif files.format == "parquet":
            schemas = [_parquet(path).schema_arrow for path in files.paths]
        else:
            schemas = [_feather(path).schema for path in files.paths]
        self._stored = pa.unify_schemas(schemas, promote_options="permissive").remove_metadata()
        if fails and not self._stored.names:
            raise pa.ArrowInvalid(f"no line is an object with a value, {EXPECTED}")
        self._exact = pa.schema([field for field in self._stored if field.name not in types])
        fields = {field.name: field.type for field in self._stored} | self._partitions | self._texts
        twice = [name for name in self._stored.names if self._stored.names.count(name) > 1]
        self.schema = pa.schema([*fields.items(), *((name, fields[name]) for name in twice[1:])])

    def batches(
        self, names: Sequence[str], where: Expression | None
    ) -> Iterator[tuple[pa.RecordBatch, Mapping[str, RowFaults]]]:
        """Yield the rows that meet a condition, in these columns, some megabytes at a time.

        With them comes why values are null that are not, by column and row; of such rows nobody knows whether they
        meet the condition, so that they are there.
        """
        needed = [*names, *(name for name in self._used_by(where) if name not in names)]
        for path in self._files.paths:
            partition = self._files.partition_of(path)
            for batch, faults in self._stored_batches(path, [name for name in needed if name in self._stored.names]):
                table = pa.table({name: self._column(name, batch, partition) for name in needed})
                if where is not None:
                    table, faults = _meeting(table, where, faults)
                yield from ((each, faults) for each in table.select(names).to_batches())

    def _column(self, name: str, batch: pa.RecordBatch, partition: Mapping[str, str | None]) -> pa.Array[Any]:
        type_: Any = self.schema.field(name).type
        if name in self._partitions:
            value: Any = pa.scalar(partition.get(name), pa.string()).cast(type_)
            repeated: pa.Array[Any] = pa.repeat(value, batch.num_rows)
            return repeated
        if name not in batch.schema.names:
            missing: pa.Array[Any] = pa.nulls(batch.num_rows, type_)
            return missing
        column: pa.Array[Any] = batch.column(name)
        return column if column.type == type_ else column.cast(type_)

    def _stored_batches(
        self, path: Path, names: Sequence[str]
    ) -> Iterator[tuple[pa.RecordBatch, Mapping[str, RowFaults]]]:
        if self._files.format == "jsonl" and self._fails:
            yield from JSONLines(path, self._exact).batches(self._stored)
        else:
            yield from ((batch, {}) for batch in self._whole_batches(path, names))

    def _whole_batches(self, path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        match self._files.format:
            case "parquet":
                file = _parquet(path)
                columns = [name for name in names if name in file.schema_arrow.names]
                yield from file.iter_batches(_rows_at_once(file.metadata), columns=columns)
            case "feather":
                reader = _feather(path)
                for at in range(reader.num_record_batches):
                    yield reader.get_batch(at)
            case _:
                yield from json_lines(path, self._stored, "error", exact=self._exact)

    def _used_by(self, where: Expression | None) -> list[str]:
        """Return the columns that a condition names: those without which it cannot be asked."""
        if where is None:
            return []
        empty = self.schema.empty_table()
        empty.filter(where)  # raises if it cannot be asked at all
        return [name for name in self.schema.names if not _can_ask(empty.drop_columns([name]), where)]


def _format_of(path: Path) -> str | None:
    return next((name for name, suffixes in _FORMATS.items() if path.suffix.lower() in suffixes), None)


def _files_below(folder: Path, wanted: str | None) -> dict[Path, str]:
    """Return the files of one format in a folder, and in those in it; of none and several, as soon as there are two."""
    found: dict[Path, str] = {}
    for root, folders, names in os.walk(folder, onerror=_raised):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        for name in names:
            path = Path(root, name)
            format_ = None if name.startswith((".", "_")) else _format_of(path)
            if format_ is not None and wanted in (None, format_):
                found[path] = format_
        if len(set(found.values())) > 1:
            break
    return found


def _raised(error: OSError) -> None:
    raise error


def _parquet(path: Path) -> Any:
    module: Any = import_module("pyarrow.parquet")  # only those who read such files should wait for it
    return module.ParquetFile(str(path), pre_buffer=False, buffer_size=_BLOCK_BYTES)


def _feather(path: Path) -> Any:
    return pa.ipc.open_file(pa.memory_map(str(path)))


def _rows_at_once(metadata: Any) -> int:
    """Return how many rows of a file of Parquet are some megabytes."""
    groups = [metadata.row_group(at) for at in range(metadata.num_row_groups)]
    size = max((group.total_byte_size // max(1, group.num_rows) for group in groups), default=0)
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, size)))


def _meeting(
    table: pa.Table, where: Expression, faults: Mapping[str, RowFaults]
) -> tuple[pa.Table, Mapping[str, RowFaults]]:
    """Return the rows that meet a condition, and those of which that is not known."""
    if not faults:
        return table.filter(where), faults
    met: list[Any] = table.append_column("", counted(0, table.num_rows)).filter(where).column("").to_pylist()
    rows = sorted({*met, *(row for found in faults.values() for row in found)})
    at = {row: number for number, row in enumerate(rows)}
    moved = {name: {at[row]: error for row, error in found.items()} for name, found in faults.items()}
    return table.take(pa.array(rows, pa.int64())).combine_chunks(), moved


def _can_ask(table: pa.Table, where: Expression) -> bool:
    try:
        table.filter(where)
    except (pa.ArrowException, KeyError):
        return False
    return True


def _parsed(type_: pa.DataType) -> pa.DataType:
    """Return the type that Arrow's reader of JSON makes of a column that is to be of another."""
    if pat.is_large_list(type_):
        return pa.list_(_parsed(type_.value_type))
    if pat.is_struct(type_):
        return pa.struct([pa.field(field.name, _parsed(field.type)) for field in type_])
    return pa.string() if pat.is_date(type_) or pat.is_time(type_) else type_
