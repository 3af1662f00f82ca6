"""Reading the records of a table in portions, with what cannot be read named and left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from orcapod.integrity.keys import Keys
from orcapod.integrity.report import Finding
from orcapod.protocols import Database, Key, RecordPath, ScanningDatabaseProtocol

__all__ = ["TableReader"]

_PORTION_BYTES = 4 << 20
_FIRST, _MOST, _FASTER = 16, 100_000, 8


class TableReader:
    """Reader of one table: in the order in which it lies there, and key by key from where that cannot be read.

    Attributes:
        keys: the keys of all records that are there, as far as they were looked at.
        records: how many records were read so far.
        bytes: how many bytes they had.
        findings: what could not be read, and the keys that are there twice.
    """

    def __init__(self, database: Database, path: RecordPath) -> None:
        self.keys = Keys()
        self.records = 0
        self.bytes = 0
        self.findings: list[Finding] = []
        self._database = database
        self._path = path

    def portions(self) -> Iterator[pa.Table]:
        """Give all records that can be read, some at a time."""
        failure = None
        if isinstance(self._database, ScanningDatabaseProtocol):
            try:
                for table in self._database.scan_records(self._path):
                    self.keys.add(table.column(0))
                    yield self._counted(table)
            except Exception as error:  # noqa: BLE001 - whatever damage makes of it
                failure = error
        if failure or not isinstance(self._database, ScanningDatabaseProtocol):
            yield from self._others()
        if failure and not self.findings:
            self.findings.append(Finding("unreadable", self._path, why=_said(failure)))
        self.findings += [Finding("doubled", self._path, key) for key in self.keys.doubled()]

    def _others(self) -> Iterator[pa.Table]:
        """Give the records that were not read yet, by their keys."""
        try:
            key_table = self._database.get_records(self._path, [])
        except Exception as error:  # noqa: BLE001 - likewise
            self.findings.append(Finding("unreadable", self._path, why=_said(error)))
            return
        if not key_table.num_columns:
            return
        read, self.keys = self.keys, Keys()
        self.keys.add(key_table.column(0))
        keys = self.keys.without(read).distinct()
        start, size = 0, _FIRST
        while start < len(keys):
            for table in self._read(keys[start : start + size]):
                yield self._counted(table)
            start += size
            size = min(max(1, self.records * _PORTION_BYTES // max(1, self.bytes)), _FASTER * size, _MOST)

    def _counted(self, table: pa.Table) -> pa.Table:
        self.records += table.num_rows
        self.bytes += table.nbytes
        return table

    def _read(self, keys: Sequence[Key]) -> Iterator[pa.Table]:
        """Give the records of these keys; of those that cannot be read, note which."""
        try:
            yield self._database.get_records_by_ids(self._path, keys)
        except Exception as error:  # noqa: BLE001 - likewise
            damaged = _named_by(error, keys)
            for key in damaged:
                column = getattr(error, "column", None) or self._column(key)
                self.findings.append(Finding("unreadable", self._path, key, column, _said(error)))
            for some in _halves(keys, damaged):
                yield from self._read(some)

    def _column(self, key: Key) -> str | None:
        """Return the column of a record that cannot be read, if there is just one."""
        unreadable = [name for name in self._columns() if not self._is_readable(key, name)]
        return unreadable[0] if len(unreadable) == 1 else None

    def readable(self, keys: Sequence[Key], columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Give what can be read of these records: all columns, or some."""
        try:
            yield self._database.get_records_by_ids(self._path, keys, columns)
        except Exception as error:  # noqa: BLE001 - likewise
            names = self._columns() if columns is None else columns
            damaged = _named_by(error, keys)
            column = getattr(error, "column", None)
            if column in names:
                yield from self.readable(damaged, [name for name in names if name != column])
            else:
                for key in damaged:
                    readable = [name for name in names if self._is_readable(key, name)]
                    yield self._database.get_records_by_ids(self._path, [key], readable)
            for some in _halves(keys, damaged):
                yield from self.readable(some, columns)

    def _columns(self) -> list[str]:
        return self._database.get_records_by_ids(self._path, []).column_names[1:]

    def _is_readable(self, key: Key, column: str) -> bool:
        try:
            self._database.get_records_by_ids(self._path, [key], [column])
        except Exception:  # noqa: BLE001 - likewise
            return False
        return True


def _named_by(error: Exception, keys: Sequence[Key]) -> list[Key]:
    """Return those of the keys that an error names; the only one there is."""
    named = {*getattr(error, "keys", ())}
    return [key for key in keys if key in named or len(keys) == 1]


def _halves(keys: Sequence[Key], damaged: Sequence[Key]) -> Iterator[list[Key]]:
    """Give the keys that are not damaged in two parts."""
    without = {*damaged}
    others = [key for key in keys if key not in without]
    middle = len(others) // 2
    yield from filter(None, (others[:middle], others[middle:]))


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
