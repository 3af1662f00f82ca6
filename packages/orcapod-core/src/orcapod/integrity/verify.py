"""``verify_store``: whether all that is stored is as it was when it was stored, and what is not moved aside."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.compute import pc
from orcapod.databases.open import open_existing
from orcapod.errors import DamagedRecordError
from orcapod.files import files_folder
from orcapod.hashing import hash_structure
from orcapod.integrity.files import StoredFiles
from orcapod.integrity.keys import Keys
from orcapod.integrity.reading import TableReader
from orcapod.integrity.report import Finding, StoreReport
from orcapod.integrity.tables import (
    changed_entries,
    changed_kept_rows,
    changed_pieces,
    changed_results,
    changed_stubs,
    is_entries,
    is_kept,
    is_pieces,
    is_results,
    is_stubs,
)
from orcapod.protocols import (
    Database,
    FileTablesDatabaseProtocol,
    IndexedDatabaseProtocol,
    Key,
    RecordPath,
    VerifiedDatabaseProtocol,
    checked_database,
    files_folder_of,
)
from orcapod.records import RECORD_ID, FunctionUri, Members, result_path, stub_path

__all__ = ["verify_store"]

_DAMAGED: RecordPath = ("_damaged",)
_DAMAGED_TYPES: dict[str, pa.DataType] = {
    "__damaged_id": pa.large_string(),
    "__path": pa.large_string(),
    "__key": pa.large_string(),
    "__timestamp": pa.timestamp("us", "UTC"),
    "__record": pa.large_binary(),
}
_MOVED_AT_ONCE = 100


def verify_store(
    store: Database | str | os.PathLike[str] | Mapping[str, object],
    *,
    repair: bool = False,
    result_database: Database | None = None,
    files: str | os.PathLike[str] | None = None,
) -> StoreReport:
    """Read all that a store holds, and say what is not as it was when it was stored.

    Results are compared with their checksums and keys, and their files with their digests; rows of nodes and kept rows
    of sources with their keys, and so are the pieces of long lists; each row of a node must have its result and its
    lists; no key is there twice. Stores that have
    something of their own to check (the pages of a file, files that no table knows) check that too.

    Args:
        store: a database, or what ``open_database`` takes.
        repair: move damaged records to the table ``_damaged``, as far as they can be read, so that the next run
            computes them again.
        result_database: where results are, if not in the same store.
        files: the folder for files that functions make; that of the store if None.

    Raises:
        ConfigError: an argument is not what it has to be.
        DatabaseError: there is no such store, it cannot be opened, or, for ``repair``, not be written to.
    """
    check = Checks("verify_store")
    check.flag("repair", repair)
    results = None if result_database is None else checked_database(result_database)
    folder = files_folder(check, files)
    if isinstance(store, str | os.PathLike | Mapping):
        with open_existing(store) as opened:
            return _Check(opened, results or opened, folder, repair=repair).report()
    database = checked_database(store)
    return _Check(database, results or database, folder, repair=repair).report()


class _Check:
    """Check of one store."""

    def __init__(self, database: Database, results: Database, files: Path | None, *, repair: bool) -> None:
        self._files = StoredFiles(files or files_folder_of(database))
        self._database = database
        self._results = results
        self._repair = repair
        self._findings: list[Finding] = []
        self._records = 0
        self._bytes = 0
        self._moved = 0
        self._ids: dict[RecordPath, Keys] = {}
        self._unused: dict[RecordPath, Keys] = {}

    def report(self) -> StoreReport:
        """Return the report, with what was found moved aside if that is wanted."""
        if self._repair:
            self._database.check_writable()
        with ThreadPoolExecutor(1) as pool:  # it looks at what lies beside the records, while these are looked at
            beside = pool.submit(self._found_beside)
            if self._repair:
                self._repair_beside(beside.result())
            self._check_tables()
        findings = [*beside.result(), *self._findings]
        if self._repair:
            self._database.flush()
        return StoreReport(self._records, self._bytes, tuple(findings), self._moved)

    def _found_beside(self) -> list[Finding]:
        """Return what a store finds that checks itself."""
        findings = []
        try:
            if isinstance(self._database, VerifiedDatabaseProtocol):
                for path, why in self._database.find_damage():
                    findings.append(Finding("storage", path, why=why))
            if isinstance(self._database, FileTablesDatabaseProtocol):
                for path, name in self._database.find_orphans():
                    findings.append(Finding("orphan file", path, why=name))
        except Exception as error:  # noqa: BLE001 - whatever damage makes of it
            findings.append(Finding("unreadable", why=f"{type(error).__name__}: {error}"))
        return findings

    def _repair_beside(self, found: Sequence[Finding]) -> None:
        """Let a store repair what it has found, as far as it can, and move aside what it cannot read."""
        try:
            if isinstance(self._database, IndexedDatabaseProtocol) and any(finding.is_damage for finding in found):
                self._database.rebuild_indexes()
            if isinstance(self._database, FileTablesDatabaseProtocol):
                for path, what in self._database.move_damage_aside():
                    self._findings.append(Finding("storage", path, why=what))
        except Exception as error:  # noqa: BLE001 - likewise
            self._findings.append(Finding("unreadable", why=f"{type(error).__name__}: {error}"))

    def _check_tables(self) -> None:
        try:
            paths = self._database.list_paths()
        except Exception as error:  # noqa: BLE001 - likewise
            self._findings.append(Finding("unreadable", why=f"{type(error).__name__}: {error}"))
            return
        for path in sorted(paths, key=is_results, reverse=True):  # damaged results are moved before rows ask for them
            if path != _DAMAGED:
                self._check(path)
        for path, unused in self._unused.items():
            self._findings += [Finding("unused result", path, key) for key in unused.distinct()]
        if not any(finding.kind == "unreadable" for finding in self._findings):  # else not all are known
            self._findings += [Finding("unneeded file", why=str(file)) for file in self._files.unneeded()]

    def _check(self, path: RecordPath) -> None:
        """Check one table, and move aside what is damaged in it."""
        reader = TableReader(self._database, path)
        rows: list[pa.Table] = []
        findings: list[Finding] = []
        for table in reader.portions():
            findings += self._changed(path, table)
            self._files.need(table)
            if is_entries(path, table):
                rows.append(table.select([table.column_names[0], RECORD_ID]))
        findings += reader.findings
        damaged = {each.key: None for each in findings if each.key is not None}
        if rows:
            lost = [each for each in self._lost(path, pa.concat_tables(rows)) if each.key not in damaged]
            findings += lost
            damaged |= {each.key: None for each in lost if each.key is not None}
        if self._repair and damaged:
            self._move(reader, path, list(damaged))
        self._findings += findings
        self._records += reader.records
        self._bytes += reader.bytes
        if is_results(path) and all(each.key is not None for each in reader.findings):  # else not all are known
            self._ids[path] = reader.keys.without(Keys.of(damaged)) if self._repair else reader.keys
            self._unused[path] = self._ids[path]

    def _changed(self, path: RecordPath, table: pa.Table) -> Iterator[Finding]:
        """Give what is wrong with records that can be read."""
        if is_results(path):
            for key, why in changed_results(path, table):
                yield Finding("changed", path, key, why=why)
            yield from self._files.changed(path, table)
        elif is_entries(path, table):
            yield from self._changed_entries(path, table)
        elif is_stubs(path):
            for key, why in changed_stubs(path, table):
                yield Finding("changed", path, key, why=why)
        elif is_pieces(path, table):
            for key in changed_pieces(table):
                yield Finding("changed", path, key, why="its key is not that of its members")
        elif is_kept(path, table):
            for key in changed_kept_rows(table):
                yield Finding("changed", path, key, why="its key is not that of its values")

    def _changed_entries(self, path: RecordPath, table: pa.Table) -> Iterator[Finding]:
        """Give what is wrong with rows of a node, and with the lists that are kept apart from them."""
        try:
            whole = Members(self._database.at(*path[:-5])).unpack(table)
        except DamagedRecordError as error:
            if table.num_rows == 1:
                yield Finding("changed", path, table.column(0)[0].as_py(), why=str(error))
                return
            for row in range(table.num_rows):
                yield from self._changed_entries(path, table.slice(row, 1))
            return
        for key in changed_entries(whole):
            yield Finding("changed", path, key, why="its key is not that of its tags and result")

    def _lost(self, path: RecordPath, rows: pa.Table) -> Iterator[Finding]:
        """Give the rows of a node whose result is not there, and remember which results are used.

        Args:
            path: the table.
            rows: their keys, and those of their results.
        """
        results, used = result_path(path[-5:-1]), Keys([rows.column(1)])
        try:
            there = self._result_ids(results)
        except Exception as error:  # noqa: BLE001 - whatever damage makes of it, also in another store
            yield Finding("unreadable", results, why=f"asked for by {'/'.join(path)}: {type(error).__name__}: {error}")
            return
        if results in self._unused:
            self._unused[results] = self._unused[results].without(used)
        lost = rows.filter(pc.invert(used.are_among(there)))
        if lost.num_rows:
            lost = lost.filter(pc.invert(Keys([lost.column(1)]).are_among(self._stub_ids(results[1:]))))
        keys, ids = (list[Any](column.to_pylist()) for column in lost.columns)
        for key, result in zip(keys, ids, strict=True):
            named = result.hex() if isinstance(result, bytes) else result
            yield Finding("lost result", path, key, why=f"no result {named} in {'/'.join(results)}")

    def _stub_ids(self, uri: FunctionUri) -> Keys:
        """Return the ids of results of a function that were pruned, which are not lost."""
        table = self._results.get_records(stub_path(uri), [])
        return Keys([table.column(0)] if table.num_columns else [])

    def _result_ids(self, path: RecordPath) -> Keys:
        if self._results is not self._database or path not in self._ids:
            table = self._results.get_records(path, [])
            return Keys([table.column(0)] if table.num_columns else [])
        return self._ids[path]

    def _move(self, reader: TableReader, path: RecordPath, keys: Sequence[Key]) -> None:
        """Move records of a table aside, as far as they can be read."""
        for start in range(0, len(keys), _MOVED_AT_ONCE):
            for table in reader.readable(keys[start : start + _MOVED_AT_ONCE]):
                self._database.add_records(_DAMAGED, _aside(path, table))
        self._database.flush()
        self._moved += self._database.delete_records(path, keys)


def _aside(path: RecordPath, table: pa.Table) -> pa.Table:
    """Return records as they are kept in the table of damaged ones."""
    now = datetime.now(UTC)
    rows = []
    keys: list[Any] = table.column(0).to_pylist()
    for index, key in enumerate(keys):
        named = key if isinstance(key, str) else key.hex()
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table.slice(index, 1))
        aside = hash_structure((path, named, now.isoformat())).hex
        rows.append((aside, "/".join(path), named, now, sink.getvalue().to_pybytes()))
    columns = zip(*rows, strict=True) if rows else [()] * len(_DAMAGED_TYPES)
    arrays = [pa.array(column, type_) for column, type_ in zip(columns, _DAMAGED_TYPES.values(), strict=True)]
    return pa.table(arrays, list(_DAMAGED_TYPES))
