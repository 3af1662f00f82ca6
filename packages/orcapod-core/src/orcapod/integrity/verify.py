"""``verify_store``: whether all that is stored is as it was when it was stored, and what is not moved aside."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.databases import open_database
from orcapod.hashing import hash_structure
from orcapod.integrity.reading import TableReader
from orcapod.integrity.report import Finding, StoreReport
from orcapod.integrity.tables import (
    changed_entries,
    changed_kept_rows,
    changed_results,
    is_entries,
    is_kept,
    is_results,
)
from orcapod.protocols import Database, Key, RecordPath, checked_database
from orcapod.records import RECORD_ID, result_path

__all__ = ["verify_store"]

_DAMAGED: RecordPath = ("_damaged",)


def verify_store(
    store: Database | str | os.PathLike[str] | Mapping[str, object],
    *,
    repair: bool = False,
    result_database: Database | None = None,
) -> StoreReport:
    """Read all that a store holds, and say what is not as it was when it was stored.

    Results are compared with their checksums and keys, rows of nodes and kept rows of sources with their keys; each
    row of a node must have its result; no key is there twice. Stores that have something of their own to check
    (the pages of a file, files that no table knows) check that too.

    Args:
        store: a database, or what ``open_database`` takes.
        repair: move damaged records to the table ``_damaged``, as far as they can be read, so that the next run
            computes them again.
        result_database: where results are, if not in the same store.

    Raises:
        ConfigError: an argument is not what it has to be.
        DatabaseError: the store cannot be opened, or, for ``repair``, not be written to.
    """
    Checks("verify_store").flag("repair", repair)
    results = None if result_database is None else checked_database(result_database)
    if isinstance(store, str | os.PathLike | Mapping):
        with open_database(store) as opened:
            return _Check(opened, results or opened, repair=repair).report()
    database = checked_database(store)
    return _Check(database, results or database, repair=repair).report()


class _Check:
    """Check of one store."""

    def __init__(self, database: Database, results: Database, *, repair: bool) -> None:
        self._database = database
        self._results = results
        self._repair = repair
        self._findings: list[Finding] = []
        self._records = 0
        self._bytes = 0
        self._moved = 0
        self._used: dict[RecordPath, set[Key]] = {}

    def report(self) -> StoreReport:
        """Return the report, with what was found moved aside if that is wanted."""
        if self._repair:
            self._database.check_writable()
        paths: list[RecordPath] = []
        try:
            self._findings += [Finding("storage", path, why=why) for path, why in self._found_by_itself()]
            if self._findings and self._repair:
                self._rebuild_indexes()
            paths = self._database.list_paths()
        except Exception as error:  # noqa: BLE001 - whatever damage makes of it
            self._findings.append(Finding("unreadable", why=f"{type(error).__name__}: {error}"))
        for path in sorted(paths, key=is_results, reverse=True):  # damaged results are moved before rows ask for them
            if path != _DAMAGED:
                self._check(path)
        self._find_unused(paths)
        if self._repair:
            self._database.flush()
        return StoreReport(self._records, self._bytes, tuple(self._findings), self._moved)

    def _found_by_itself(self) -> Iterable[tuple[RecordPath, str]]:
        """Return what a store finds that checks itself."""
        find_damage = getattr(self._database, "find_damage", None)
        return () if find_damage is None else find_damage()

    def _rebuild_indexes(self) -> None:
        """Let a store make its indexes anew, if it has such."""
        if rebuild_indexes := getattr(self._database, "rebuild_indexes", None):
            rebuild_indexes()

    def _check(self, path: RecordPath) -> None:
        reader = TableReader(self._database, path)
        for table in reader.portions():
            found = list(self._changed(path, table))
            self._findings += found
            if self._repair and found:
                self._move(path, table, [finding.key for finding in found if finding.key is not None])
        self._findings += reader.findings
        self._records += reader.records
        self._bytes += reader.bytes
        if self._repair:
            unreadable = [each.key for each in reader.findings if each.kind == "unreadable" and each.key is not None]
            for key in unreadable:
                self._move(path, self._readable(reader, path, key), [key])

    def _changed(self, path: RecordPath, table: pa.Table) -> Iterator[Finding]:
        """Give what is wrong with records that can be read."""
        if is_results(path):
            for key, why in changed_results(path, table):
                yield Finding("changed", path, key, why=why)
        elif is_entries(path, table):
            changed = changed_entries(table)
            yield from (
                Finding("changed", path, key, why="its key is not that of its tags and result") for key in changed
            )
            yield from self._lost(path, table, set(changed))
        elif is_kept(path, table):
            for key in changed_kept_rows(table):
                yield Finding("changed", path, key, why="its key is not that of its values")

    def _lost(self, path: RecordPath, table: pa.Table, changed: set[Key]) -> Iterator[Finding]:
        """Give the rows whose result is not there."""
        results = result_path(path[-5:-1])
        ids: list[Any] = table.column(RECORD_ID).to_pylist()
        try:
            there = self._results.get_records_by_ids(results, ids, [RECORD_ID])
        except Exception as error:  # noqa: BLE001 - whatever damage makes of it, also in another store
            yield Finding("unreadable", results, why=f"asked for by {'/'.join(path)}: {type(error).__name__}: {error}")
            return
        known = set(there.column(0).to_pylist()) if there.num_rows else set()
        self._used.setdefault(results, set()).update(ids)
        for key, record_id in zip(table.column(0).to_pylist(), ids, strict=True):
            if record_id not in known and key not in changed:
                yield Finding("lost result", path, key, why=f"no result {record_id.hex()} in {'/'.join(results)}")

    def _find_unused(self, paths: Sequence[RecordPath]) -> None:
        """Find the results that no row of a node stands for."""
        for path in filter(is_results, paths):
            try:
                ids = self._database.get_records(path, []).column(0).to_pylist()
            except Exception:  # noqa: BLE001 - which was found before
                continue
            used = self._used.get(path, set())
            self._findings += [Finding("unused result", path, key) for key in ids if key not in used]

    def _readable(self, reader: TableReader, path: RecordPath, key: Key) -> pa.Table:
        """Return those columns of a record that can be read."""
        names = self._database.get_records_by_ids(path, []).column_names
        return self._database.get_records_by_ids(
            path, [key], [name for name in names[1:] if reader.is_readable(key, name)]
        )

    def _move(self, path: RecordPath, table: pa.Table, keys: Sequence[Key]) -> None:
        """Move records of a table aside."""
        held = table.column(0).to_pylist()
        now = datetime.now(UTC)
        rows = []
        for key in keys:
            sink = pa.BufferOutputStream()
            record = table.take(pa.array([index for index, each in enumerate(held) if each == key], pa.int64()))
            with pa.ipc.new_stream(sink, record.schema) as writer:
                writer.write_table(record)
            named = key if isinstance(key, str) else key.hex()
            rows.append(
                (
                    hash_structure((path, named, now.isoformat())).hex,
                    "/".join(path),
                    named,
                    now,
                    sink.getvalue().to_pybytes(),
                )
            )
        ids, paths, names, times, records = zip(*rows, strict=True)
        columns = {
            "__damaged_id": pa.array(ids, pa.large_string()),
            "__path": pa.array(paths, pa.large_string()),
            "__key": pa.array(names, pa.large_string()),
            "__timestamp": pa.array(times, pa.timestamp("us", "UTC")),
            "__record": pa.array(records, pa.large_binary()),
        }
        self._database.add_records(_DAMAGED, pa.table(columns))
        self._database.flush()
        self._moved += self._database.delete_records(path, keys)
