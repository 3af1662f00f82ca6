"""``PendingChunk``: a chunk on its way through a packet function.

Its results are looked up at once, those that are missing are computed row by row, stored, and given on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from enum import Enum, auto
from typing import Any

import pyarrow as pa

from orcapod.arrow import array_of
from orcapod.compute import pc
from orcapod.datagrams import Chunk, Completeness
from orcapod.errors import DamagedRecordError
from orcapod.execution.function_spec import FunctionSpec
from orcapod.records import RECORD_ID, SECONDS, Result, record_ids, record_names, results_table

__all__ = ["PendingChunk", "RowState"]

_MANY_TABLES = 64
_MANY_BYTES = 1 << 20

OnCached = Callable[[Chunk, Sequence[int], Chunk, Sequence[int]], None]
"""Called with rows of a chunk whose results were there, and with those results: rows of another chunk."""


OnDamaged = Callable[[int, DamagedRecordError], None]
"""Called with a row whose result is not as it was stored, and why."""

OnRecomputed = Callable[[Sequence[int], Sequence[bool]], None]
"""Called with rows of a chunk that were computed again, and whether each gave what it had given before."""


class RowState(Enum):
    """State of one row of a pending chunk."""

    OPEN = auto()
    """It was not computed; a result may be there all the same: an equal row's, or one that was looked up."""
    COMPUTED = auto()
    """Its own call gave the result."""
    FAILED = auto()
    """It has no result: its own call failed, and will not be made again, or it has no packet to begin with."""
    EMITTED = auto()
    """Its result was given on."""
    MISSING = auto()
    """It was given on without a result."""


_GIVEN_ON = (RowState.EMITTED, RowState.MISSING)
_WITHOUT_RESULT = (RowState.FAILED, RowState.MISSING)


class PendingChunk:
    """Chunk on its way through a packet function.

    Rows are computed in any order, and equal rows share what one of them gives. Only ``store`` may be called
    by other threads than the one that drives the chunk.

    Args:
        spec: what is computed, and where it is stored.
        chunk: the rows.
        on_cached: called with the rows whose results were there.
        again: rows that are computed though their results may be there.
        again_ids: first ids of such packets, whichever rows have them.

    Attributes:
        chunk: the rows.
        packet_hashes: of what the function takes of the rows; empty where a row is without a packet.
        record_ids: of the records that are computed from the rows.
        has_twins: whether some rows are equal, so that one result is that of several.
        on_stored: called with all results that are stored, once they are; by whatever thread stores them.
        on_found: called with the seconds that results took that were there.
        on_damaged: called with rows whose results are damaged, which have failed by that; if it is None, looking them
            up raises.
        on_recomputed: called with rows of the chunk that were computed again, and whether each gave what it had given
            before.
        result_rows: how many results it has had.
        result_bytes: how many bytes they took.
    """

    def __init__(
        self,
        spec: FunctionSpec,
        chunk: Chunk,
        on_cached: OnCached,
        again: Collection[int] = (),
        again_ids: Collection[bytes] = frozenset(),
    ) -> None:
        self.chunk = chunk
        self._taken = spec.taken(chunk)
        self._spec = spec
        self._on_cached = on_cached
        self._states = [RowState.OPEN] * chunk.num_rows
        self._has_failed = False
        rows = chunk.packet_rows()
        self.packet_hashes = spec.function.packet_hashes(chunk if rows is None else chunk.take(rows))
        first_ids = record_ids(spec.function.uri, spec.fingerprint, self.packet_hashes)
        self.record_ids = spec.cache.newest(first_ids)
        self._earlier: dict[bytes, bytes] = {}
        for at, row in enumerate(range(chunk.num_rows) if rows is None else rows) if again or again_ids else ():
            if row in again or first_ids[at] in again_ids:
                earlier, self.record_ids[at] = self.record_ids[at], spec.cache.next(first_ids[at])
                self._earlier[self.record_ids[at]] = earlier
        self._distinct_ids = list(dict.fromkeys(self.record_ids))
        self.has_twins = len(self._distinct_ids) < len(self.record_ids)
        if rows is not None:
            self._spread(rows)
        self._first_open = 0
        self._unsaved: dict[bytes, Result] = {}
        self._results = _StoredResults()
        self._is_new = True
        self._lock = threading.Lock()
        self.on_stored: Callable[[pa.Table], object] | None = None
        self.on_damaged: OnDamaged | None = None
        self.on_recomputed: OnRecomputed | None = None
        self.on_found: Callable[[float], object] | None = None
        self.result_rows = self.result_bytes = 0

    def look_up(self, ids: Sequence[bytes] | None = None) -> None:
        """Find the results that are there, of all rows or of some records, and tell ``on_stored`` of them."""
        for results in self._found(self._distinct_ids if ids is None else ids):
            if self.on_found is not None:
                self.on_found(pc.sum(results.column(SECONDS)).as_py())
            if self.on_stored is not None:
                self.on_stored(results)

    def _found(self, ids: Sequence[bytes]) -> list[pa.Table]:
        """Adopt the results of records that are there, and return them; the rows of those that are damaged fail."""
        found = [results for results in self._undamaged(ids, self._fail_damaged) if results.num_rows]
        for results in found:
            self._is_new = False
            self.adopt(results)
        return found

    def _undamaged(
        self, ids: Sequence[bytes], on_damaged: Callable[[bytes, DamagedRecordError], object]
    ) -> Iterator[pa.Table]:
        """Give the results of records that are there, and tell of each that is damaged, as far as that is known."""
        parts = [ids]
        while parts:
            part = parts.pop()
            try:
                yield self._spec.cache.lookup(part)
            except DamagedRecordError as error:
                damaged = set(error.keys).intersection(part)
                match list(damaged):
                    case []:
                        raise
                    case [bytes(record_id)]:
                        on_damaged(record_id, error)
                    case several:
                        parts += [[each] for each in several if isinstance(each, bytes)]
                if others := [each for each in part if each not in damaged]:
                    parts.append(others)

    def _fail_damaged(self, record_id: bytes, error: DamagedRecordError) -> None:
        if self.on_damaged is None:
            raise error
        for row, each in enumerate(self.record_ids):
            if each == record_id and self._states[row] is not RowState.FAILED:
                self.fail(row)
                self.on_damaged(row, error)

    def skip(self, rows: Collection[int]) -> int:
        """Let those of these rows that have no result get none; return how many had a packet."""
        asked = [row for row in rows if self.record_ids[row]]
        if asked:
            self._found(list(dict.fromkeys(self.record_ids[row] for row in asked)))
        skipped = [row for row in asked if not self.is_settled(row)]
        for row in skipped:
            self.record_ids[row] = b""
            self.fail(row)
        return len(skipped)

    def missing(self) -> list[int]:
        """Return the rows that have no result, and may get one."""
        if not self._results and not self._unsaved and not self._has_failed:
            return list(range(self.chunk.num_rows))
        return [row for row in range(self.chunk.num_rows) if not self.is_settled(row)]

    def has_result(self, row: int) -> bool:
        """Say whether there is a result for a row, whichever row it was computed from."""
        record_id = self.record_ids[row]
        if self._states[row] is RowState.EMITTED:
            return True
        return record_id in self._unsaved or record_id in self._results  # in this order: `store` moves it on

    def is_settled(self, row: int) -> bool:
        """Say whether there is a result for a row, or there will be none."""
        return self._states[row] in _WITHOUT_RESULT or self.has_result(row)

    def arguments(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """Return the arguments of the calls for these rows, in their order: fresh values at every call."""
        return self._spec.function.arguments(self._taken.take(rows), with_files=True)

    def succeed(self, row: int, stored: tuple[Any, ...], seconds: float) -> Result:
        """Take the result of a row."""
        result = Result(self.record_ids[row], self.packet_hashes[row], stored, seconds)
        self._states[row] = RowState.COMPUTED
        self._unsaved[result.record_id] = result
        return result

    def fail(self, row: int) -> None:
        """Take it that a row has no result, even if an equal one gets one."""
        self._states[row] = RowState.FAILED
        self._has_failed = True

    def adopt(self, results: pa.Table) -> None:
        """Take results that were computed for equal packets elsewhere, and are stored."""
        with self._lock:
            self._take_in(results)

    @property
    def held_bytes(self) -> int:
        """The bytes of stored results that wait to be given on."""
        return self._results.bytes

    @property
    def is_done(self) -> bool:
        """True once every row was given on, with a result or without."""
        return self._first_open == len(self._states)

    def store(self) -> None:
        """Store what is computed and not yet stored. Any thread may call this at any time."""
        with self._lock:
            unsaved = list(self._unsaved.values())
            if not unsaved:
                return
            stored = self._spec.cache.store(unsaved)
            self._take_in(stored)
            for result in unsaved:
                del self._unsaved[result.record_id]
        if self.on_stored is not None:
            self.on_stored(stored)

    def settled(self, *, in_order: bool) -> Iterator[Chunk]:
        """Store the results that are there, and give on the rows that were not given on yet.

        Args:
            in_order: whether rows wait for those before them.
        """
        self.store()
        if rows := self._ready(in_order=in_order):
            yield self._given_on(rows)
        self._skip_settled()
        self._let_go()

    def _given_on(self, rows: Sequence[int]) -> Chunk:
        """Record these rows, and give them on."""
        present = [row for row in rows if self._states[row] is not RowState.FAILED] if self._has_failed else rows
        chunk = None
        if present:
            taken, ids = self._taken.take(present), [self.record_ids[row] for row in present]
            self._spec.records.add(taken, ids, fresh=self._is_new)
            chunk = self._results_of(taken, ids)
            if self._earlier:
                self._compare(present, chunk)
            self._emit(present, chunk)
        return chunk if chunk is not None and len(present) == len(rows) else self._with_missing(chunk, present, rows)

    def _compare(self, rows: Sequence[int], results: Chunk) -> None:
        """Tell which of the rows that were computed again gave what they had given before."""
        states, computed = self._states, RowState.COMPUTED
        earlier = {
            at: self._earlier[self.record_ids[row]]
            for at, row in enumerate(rows)
            if states[row] is computed and self.record_ids[row] in self._earlier
        }
        if not earlier:
            return
        found = _StoredResults()
        for results_before in self._undamaged(list(dict.fromkeys(earlier.values())), lambda *_: None):
            found.append(results_before)
        there = [at for at, record_id in earlier.items() if record_id in found]
        if there and self.on_recomputed is not None:
            ids = [earlier[at] for at in there]
            compared = results.take(there)
            before = self._result_chunk(compared, found.take(ids), ids).packet_hashes
            again = [rows[at] for at in there]
            self.on_recomputed(again, [one == other for one, other in zip(before, compared.packet_hashes, strict=True)])

    def _with_missing(self, results: Chunk | None, present: Sequence[int], rows: Sequence[int]) -> Chunk:
        """Give on rows of which only some have a result, in their order."""
        gone = sorted(set(rows) - set(present))
        missing = self._taken.take(gone).without_packets(self._spec.schema, Completeness.MISSING)
        for row in gone:
            self._states[row] = RowState.MISSING
        if results is None:
            return missing
        numbers = array_of([*present, *gone], pa.int64())
        return Chunk.concat([results, missing]).take(pc.sort_indices(numbers))

    def stored_results(self) -> Chunk:
        """Return all rows, those without a stored result as missing."""
        found = [row for row, record_id in enumerate(self.record_ids) if record_id in self._results]
        results = self._results_of(self._taken.take(found), [self.record_ids[row] for row in found]) if found else None
        every = range(self.chunk.num_rows)
        if results is not None and len(found) == len(every):
            return results
        return self._with_missing(results, found, every)

    def count_lost(self) -> int:
        """Return how many rows are recorded without a result being there."""
        missing = self.missing()
        if not missing:
            return 0
        return self._spec.records.count(self._taken.take(missing), [self.record_ids[row] for row in missing])

    def unstored_result(self, row: int, result: Result) -> Chunk:
        """Return the result of one row, whether it is stored or not."""
        table = results_table([result], self._spec.function.signature.outputs)
        return self._result_chunk(self._taken.take([row]), table, [result.record_id])

    def _spread(self, rows: Sequence[int]) -> None:
        """Let these be the rows that have a packet."""
        hashes, ids = [b""] * self.chunk.num_rows, [b""] * self.chunk.num_rows
        self._states = [RowState.FAILED] * self.chunk.num_rows
        self._has_failed = True
        for at, row in enumerate(rows):
            hashes[row], ids[row], self._states[row] = self.packet_hashes[at], self.record_ids[at], RowState.OPEN
        self.packet_hashes, self.record_ids = hashes, ids

    def _results_of(self, inputs: Chunk, ids: Sequence[bytes]) -> Chunk:
        with self._lock:
            table = self._results.take(ids)
        return self._result_chunk(inputs, table, ids)

    def _ready(self, *, in_order: bool) -> list[int]:
        """Return the rows that can be given on."""
        ready = []
        for row, state in enumerate(self._states[self._first_open :], self._first_open):
            if state in _GIVEN_ON:
                continue
            if state is RowState.FAILED or self.record_ids[row] in self._results:
                ready.append(row)
            elif in_order:
                break
        return ready

    def _emit(self, rows: Sequence[int], results: Chunk) -> None:
        states, computed, emitted = self._states, RowState.COMPUTED, RowState.EMITTED
        cached = [index for index, row in enumerate(rows) if states[row] is not computed]
        for row in rows:
            states[row] = emitted
        if cached:
            self._on_cached(self.chunk, [rows[index] for index in cached], results, cached)

    def _take_in(self, results: pa.Table) -> None:
        self._results.append(results)
        self.result_rows += results.num_rows
        self.result_bytes += results.nbytes

    def _let_go(self) -> None:
        """Forget results that no row waits for, where they are worth it."""
        if self._results.bytes < _MANY_BYTES:
            return
        with self._lock:
            states, settled = self._states, (RowState.FAILED, *_GIVEN_ON)
            open_rows = (row for row in range(self._first_open, len(states)) if states[row] not in settled)
            self._results.retain({self.record_ids[row] for row in open_rows})

    def _skip_settled(self) -> None:
        states, row = self._states, self._first_open
        while row < len(states) and states[row] in _GIVEN_ON:
            row += 1
        self._first_open = row

    def _result_chunk(self, inputs: Chunk, table: pa.Table, ids: Sequence[bytes]) -> Chunk:
        schema = self._spec.schema
        columns = {name: inputs.column(name) for name in [*schema.tags, *schema.system_tags]}
        columns |= {name: table.column(name).combine_chunks() for name in schema.packets}
        producing = array_of(record_names(self._spec.function.uri, ids), pa.large_string())
        chunk = Chunk.from_record(schema, columns, producing, schema.packets)
        return chunk if inputs.completeness is None else chunk.completed(inputs.completeness)


class _StoredResults:
    """Stored results, found by record id.

    Attributes:
        bytes: how many they take.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._tables: list[pa.Table] = []
        self._input_order: dict[bytes, int] = {}
        self._count = 0

    def __contains__(self, record_id: bytes) -> bool:
        return record_id in self._input_order

    def __bool__(self) -> bool:
        return bool(self._tables)

    def append(self, results: pa.Table) -> None:
        """Add results; where a record is there already, either of the two will be found."""
        self._tables.append(results)
        if len(self._tables) > _MANY_TABLES:
            self._tables = [pa.concat_tables(self._tables).combine_chunks()]
        keys: list[Any] = results.column(RECORD_ID).to_pylist()
        self._input_order |= {key: position for position, key in enumerate(keys, self._count)}
        self._count += results.num_rows
        self.bytes += results.nbytes

    def retain(self, ids: Collection[bytes]) -> None:
        """Forget all results but those of these records."""
        kept = [record_id for record_id in self._input_order if record_id in ids]
        if len(kept) == len(self._input_order):
            return
        results = self.take(kept).combine_chunks() if kept else None
        self._tables, self._input_order, self._count, self.bytes = [], {}, 0, 0
        if results is not None:
            self.append(results)

    def take(self, ids: Sequence[bytes]) -> pa.Table:
        """Return the results of these records, which are there, in this order."""
        table = pa.concat_tables(self._tables)
        positions = [self._input_order[record_id] for record_id in ids]
        first, count = positions[0], len(positions)
        if positions == list(range(first, first + count)):
            return table.slice(first, count)
        return table.take(array_of(positions, pa.int64()))
