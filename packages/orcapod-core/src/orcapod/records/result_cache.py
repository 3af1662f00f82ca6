"""``ResultCache``: results of a function, found by the packets they were computed from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from orcapod.arrow import array_of, empty_table, scalar_of
from orcapod.checks import Checks
from orcapod.compute import pc
from orcapod.errors import DamagedRecordError, DatabaseError
from orcapod.files import FileStore, folder_error, is_there
from orcapod.hashing import recipes
from orcapod.protocols import Database, RecordPath, checked_database
from orcapod.records.address import RECORD_ID
from orcapod.records.attempts import Attempts
from orcapod.records.large_values import LargeValues, with_large_bytes
from orcapod.records.stubs import Stubs, lost_results
from orcapod.types import Schema, holds_files, paths_in, with_current_files

__all__ = [
    "CHECKSUM",
    "RECORD_ID",
    "SECONDS",
    "NoOpCache",
    "Result",
    "ResultCache",
    "SizeLimit",
    "damaged_results",
    "results_table",
]

CHECKSUM = "__checksum"
SECONDS = "__seconds"

_BESIDE_BYTES = 1024  # ids, the code's hash, the run's name and the time


class SizeLimit(NamedTuple):
    """Bytes that a record may have.

    Attributes:
        size: how many.
        store: which store says so.
        counts_large: whether those of large values count, or lie elsewhere.
    """

    size: int
    store: str
    counts_large: bool = True


class Result(NamedTuple):
    """Result of computing one packet.

    Attributes:
        record_id: what it is found by.
        packet_hash: what it was computed from.
        stored: the outputs, in the form that Arrow stores.
        seconds: how long it took.
    """

    record_id: bytes
    packet_hash: bytes
    stored: tuple[Any, ...]
    seconds: float


class ResultCache:
    """The results of one packet function, in a database.

    Args:
        database: where they are stored.
        path: under which path.
        outputs: the columns that the function returns.
        code: the fingerprint of the code that computes what is stored from now on.
        run_id: the run that computes it.
        files: the folder for large values; they stay in their rows if that goes with the process, or if it is None.
        attempts: which results were computed again; none if it is None.
    """

    def __init__(
        self,
        database: Database,
        path: RecordPath,
        outputs: Schema,
        *,
        code: str,
        run_id: str = "",
        files: Path | None = None,
        attempts: Attempts | None = None,
    ) -> None:
        check = Checks("ResultCache")
        self._database = checked_database(database)
        self._path = check.names("path", path)
        self._outputs = check.instance("outputs", outputs, Schema, "a Schema", "give Schema({'y': int})")
        self._code = check.text("code", code)
        self._run_id = check.text("run_id", run_id)
        self._attempts = attempts
        self._files = [name for name, dtype in self._outputs.types.items() if holds_files(dtype.arrow)]
        self._folder = None if files is None else FileStore(files).folder
        self._large = LargeValues(self._outputs, files)
        self._files += self._large.columns
        self._lost: set[bytes] = set()

    @property
    def has_files(self) -> bool:
        """Whether files belong to the results, without which they are not there."""
        return bool(self._files)

    @property
    def size_limit(self) -> SizeLimit | None:
        """Bytes that a result may have, less what is stored beside it; None for any size."""
        most: int | None = getattr(self._database, "max_record_bytes", None)  # a store that does not say has no limit
        if most is None:
            return None
        store = f"the {type(self._database).__name__.removesuffix('Database')} store"
        return SizeLimit(most - _BESIDE_BYTES, store, counts_large=not self._large.are_apart)

    def newest(self, ids: Sequence[bytes]) -> list[bytes]:
        """Return the newest records of these packets, given their first ones."""
        return list(ids) if self._attempts is None else self._attempts.newest(ids)

    def next(self, first: bytes) -> bytes:
        """Return the record that a packet will have when it is computed again, given its first one."""
        return first if self._attempts is None else self._attempts.next(first)

    def lookup(self, ids: Sequence[bytes]) -> pa.Table:
        """Return the results of these records that are there: ``__record_id``, the outputs, and ``__seconds``.

        A result is there if all its files are, whatever is in them.

        Raises:
            DamagedRecordError: one of them is not as it was stored.
            DatabaseError: its files may not be read.
        """
        columns = [*self._outputs, *self._large.columns]
        results = self._database.get_records_by_ids(self._path, ids, [RECORD_ID, *columns, SECONDS, CHECKSUM])
        if not results.num_rows:
            return _empty(self._outputs)
        if damaged := damaged_results(results, columns):
            more = f", and {len(damaged) - 1} more" if len(damaged) > 1 else ""
            raise DamagedRecordError(
                f"{self._database!r}, table {'/'.join(self._path)}: found a result of {', '.join(self._outputs)} that "
                f"is not as it was stored, {RECORD_ID} {damaged[0].hex()}{more}; op.verify_store(..., repair=True) "
                "moves it aside, and the next run computes it again",
                keys=damaged,
                found=damaged[0].hex(),
            )
        try:
            results = self._with_files(with_current_files(results.select([RECORD_ID, *columns, SECONDS]), self._folder))
        except PermissionError as error:
            folder = self._folder or Path(error.filename)
            raise folder_error(folder, "the files of results cannot be looked for", error) from error
        return with_large_bytes(results)

    def holds(self, ids: Sequence[bytes]) -> bool:
        """Say whether the results of all these records are there; none of them is read."""
        return len(self.there(ids)) == len(set(ids))

    def there(self, ids: Sequence[bytes]) -> set[bytes]:
        """Return those of these records whose results are there; none of them is read."""
        found = self._database.get_records_by_ids(self._path, ids, [RECORD_ID])
        keys: list[Any] = found.column(0).to_pylist() if found.num_rows else []
        return set(keys)

    def pruned(self, ids: Sequence[bytes]) -> set[bytes]:
        """Return those of these records of whose results the values were pruned."""
        stubs = Stubs(self._database, self._path[1:]).among(ids)
        keys: list[Any] = stubs.column(0).to_pylist() if stubs.num_rows else []
        return set(keys) - self.there(keys)

    def lost(self, ids: Sequence[bytes]) -> DatabaseError:
        """Return the error for records that somebody needs and whose results are not there."""
        return lost_results(self._database, self._path[1:], ids)

    def present(self, ids: Sequence[bytes]) -> set[bytes]:
        """Return those of these records whose results are there; they are only read where files belong to them."""
        if not self._files:
            return self.there(ids)
        keys: list[Any] = self.lookup(ids).column(RECORD_ID).to_pylist()
        return set(keys)

    def _with_files(self, results: pa.Table) -> pa.Table:
        """Return the results whose files are there; note which others there are."""
        if not self._files or _has_files(files := results.select(self._files)):
            return results
        there = [_has_files(files.slice(row, 1)) for row in range(results.num_rows)]
        keys: list[Any] = results.column(RECORD_ID).to_pylist()
        self._lost.update(key for key, is_there in zip(keys, there, strict=True) if not is_there)
        return results.filter(array_of(there, pa.bool_()))

    def begin(self, stored: Sequence[Any], most: int) -> int:
        """Begin to write the large values of a result that will be stored; see ``LargeValues.begin``."""
        return self._large.begin(stored, most)

    def store(self, results: Sequence[Result]) -> pa.Table:
        """Store new results; return what is stored: another writer's where that was first."""
        kept = self._large.put([result.stored for result in results])
        table = results_table(results, self._outputs)
        at_rest = self._large.at_rest(table, kept)
        columns = [*self._outputs, *self._large.columns]
        length = len(results)
        now = scalar_of(datetime.now(UTC), pa.timestamp("us", "UTC"))
        record = {
            RECORD_ID: table.column(RECORD_ID),
            "__packet_hash": array_of([result.packet_hash for result in results], pa.large_binary()),
            "__code": pa.repeat(scalar_of(self._code, pa.large_string()), length),
            "__run_id": pa.repeat(scalar_of(self._run_id, pa.large_string()), length),
            "__timestamp": pa.repeat(now, length),
            SECONDS: table.column(SECONDS),
            CHECKSUM: array_of(recipes.result_checksums(at_rest, [RECORD_ID, *columns]), pa.int64()),
            **{name: at_rest.column(name) for name in columns},
        }
        if computed_again := self._lost.intersection(result.record_id for result in results):
            self._database.delete_records(self._path, list(computed_again))
            self._lost -= computed_again
        added = self._database.add_records(self._path, pa.table(record))
        if self._attempts is not None:
            self._attempts.add([result.record_id for result in results])
        if added == length:
            return table
        first = self.lookup([result.record_id for result in results])
        mine = pc.invert(pc.is_in(table.column(RECORD_ID), value_set=first.column(RECORD_ID)))
        return pa.concat_tables([first, table.filter(mine)])


class NoOpCache:
    """Cache of a function that is used without a database: always empty."""

    size_limit: SizeLimit | None = None
    has_files = False

    def __init__(self, outputs: Schema) -> None:
        self._outputs = outputs

    def newest(self, ids: Sequence[bytes]) -> list[bytes]:
        return list(ids)

    def next(self, first: bytes) -> bytes:
        return first

    def lookup(self, ids: Sequence[bytes]) -> pa.Table:
        return _empty(self._outputs)

    def present(self, ids: Sequence[bytes]) -> set[bytes]:
        return set()

    def begin(self, stored: Sequence[Any], most: int) -> int:
        return 0

    def lost(self, ids: Sequence[bytes]) -> DatabaseError:
        return DamagedRecordError(f"{len(ids)} results were used without a database, which has kept none", keys=ids)

    def store(self, results: Sequence[Result]) -> pa.Table:
        return results_table(results, self._outputs)


def damaged_results(results: pa.Table, outputs: Iterable[str]) -> list[bytes]:
    """Return the record ids of results that are not as they were stored.

    Args:
        results: ``__record_id``, the outputs and ``__checksum``.
        outputs: the columns that the function returns.
    """
    made = array_of(recipes.result_checksums(results, [RECORD_ID, *outputs]), pa.int64())
    stored = results.column(CHECKSUM)
    if stored.equals(pa.chunked_array([made])):
        return []
    ids: list[Any] = results.column(RECORD_ID).to_pylist()
    return [each for each, is_, was in zip(ids, made.to_pylist(), stored.to_pylist(), strict=True) if is_ != was]


def results_table(results: Sequence[Result], outputs: Schema) -> pa.Table:
    """Return results as a table: ``__record_id``, the outputs, and ``__seconds``."""
    columns: dict[str, Any] = {RECORD_ID: array_of([result.record_id for result in results], pa.large_binary())}
    for index, (name, dtype) in enumerate(outputs.types.items()):
        columns[name] = dtype.from_python([result.stored[index] for result in results])
    columns[SECONDS] = array_of([result.seconds for result in results], pa.float64())
    return pa.table(columns)


def _has_files(columns: pa.Table) -> bool:
    chunks = (chunk for column in columns.columns for chunk in column.chunks)
    return all(is_there(path) for chunk in chunks for path in paths_in(chunk))


def _empty(outputs: Schema) -> pa.Table:
    columns: dict[str, pa.DataType] = {RECORD_ID: pa.large_binary()}
    columns |= {name: dtype.arrow for name, dtype in outputs.types.items()}
    columns[SECONDS] = pa.float64()
    return empty_table(pa.schema(columns))
