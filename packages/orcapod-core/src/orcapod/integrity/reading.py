"""Reading the records of a table in portions, with what cannot be read named and left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from orcapod.integrity.report import Finding
from orcapod.protocols import Database, Key, RecordPath

__all__ = ["TableReader"]

_PORTION_BYTES = 32 * 2**20
_FIRST, _MOST = 1_000, 100_000


class TableReader:
    """Reader of one table.

    Attributes:
        records: how many records were read so far.
        bytes: how many bytes they had.
        findings: what could not be read.
    """

    def __init__(self, database: Database, path: RecordPath) -> None:
        self.records = 0
        self.bytes = 0
        self.findings: list[Finding] = []
        self._database = database
        self._path = path

    def portions(self) -> Iterator[pa.Table]:
        """Give all records that can be read, some at a time."""
        try:
            key_table = self._database.get_records(self._path, [])
        except Exception as error:  # noqa: BLE001 - whatever damage makes of it
            self.findings.append(Finding("unreadable", self._path, why=_said(error)))
            return
        if not key_table.num_columns:
            return
        counts = Counter[Any](key_table.column(0).to_pylist())
        distinct = list(counts)
        if counts.total() > len(distinct):
            self.findings += [Finding("doubled", self._path, key) for key, count in counts.items() if count > 1]
        start, size = 0, _FIRST
        while start < len(distinct):
            for table in self._read(distinct[start : start + size]):
                self.records += table.num_rows
                self.bytes += table.nbytes
                yield table
            start += size
            size = min(max(1, self.records * _PORTION_BYTES // max(1, self.bytes)), _MOST)

    def _read(self, keys: Sequence[Key]) -> Iterator[pa.Table]:
        """Give the records of these keys; of those that cannot be read, note which."""
        try:
            yield self._database.get_records_by_ids(self._path, keys)
        except Exception as error:  # noqa: BLE001 - likewise
            if len(keys) == 1:
                self.findings.append(Finding("unreadable", self._path, keys[0], self._column(keys[0]), _said(error)))
                return
            middle = len(keys) // 2
            yield from self._read(keys[:middle])
            yield from self._read(keys[middle:])

    def _column(self, key: Key) -> str | None:
        """Return the column of a record that cannot be read, if there is just one."""
        names = self._database.get_records_by_ids(self._path, []).column_names
        unreadable = [name for name in names[1:] if not self.is_readable(key, name)]
        return unreadable[0] if len(unreadable) == 1 else None

    def is_readable(self, key: Key, column: str) -> bool:
        """Say whether a column of a record can be read."""
        try:
            self._database.get_records_by_ids(self._path, [key], [column])
        except Exception:  # noqa: BLE001 - likewise
            return False
        return True


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
