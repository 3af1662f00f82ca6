"""``NodeHistory``: what a store holds of a function node's past: its runs, its results, and the rows that it gave."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

import pyarrow as pa

from orcapod.arrow import array_of, rows_of, scalar_of
from orcapod.compute import counted, pc
from orcapod.datagrams import SOURCE_INFO
from orcapod.hashing import ContentHash, Part
from orcapod.protocols import Database, RecordPath
from orcapod.records.address import RUN_STARTS, RUNS, FunctionUri, result_path
from orcapod.records.code import CodeRecords
from orcapod.records.graph_records import GraphRecords, NodeRecord
from orcapod.records.ledger import totals_in
from orcapod.records.members import CUT, Members
from orcapod.records.result_cache import RECORD_ID
from orcapod.records.run_record import NodeTotals
from orcapod.records.states import RUN_ID, NodeStates

__all__ = ["NodeHistory", "PastRun", "PastRuns", "ResultOrigin"]


class PastRun(NamedTuple):
    """A function node in a run that has ended."""

    run_id: str
    node: NodeRecord
    totals: NodeTotals


class PastRuns:
    """The runs of a pipeline that have ended, read from the newest back as far as somebody asks.

    Args:
        database: where the pipeline keeps its records.
        before: only runs that began before this one; all if it is empty.
    """

    REMEMBERED = 3
    """How many runs of a node are looked at, by which is told what changes by itself."""

    def __init__(self, database: Database, before: str = "") -> None:
        self.before = before
        self._graphs = GraphRecords(database)
        starts = rows_of(database.get_records(RUN_STARTS))
        ends = rows_of(database.get_records(RUNS))
        self._plans = {start[RUN_ID]: start["__graph_id"] for start in starts}
        self._ends = sorted(
            (end for end in ends if end[RUN_ID] in self._plans and (not before or end[RUN_ID] < before)),
            key=lambda end: end[RUN_ID],
            reverse=True,
        )
        self._totals: dict[str, Any] = {}
        self._nodes: dict[str, dict[str, NodeRecord]] = {}

    def of(self, label: str) -> list[PastRun]:
        """Return the last runs that went through a function node, the newest first."""
        return list(islice(self._through(label), self.REMEMBERED))

    def _through(self, label: str) -> Iterator[PastRun]:
        for end in self._ends:
            run_id = end[RUN_ID]
            if run_id not in self._totals:
                self._totals[run_id] = totals_in(end)
            totals, node = self._totals[run_id].get(label), self._plan(self._plans[run_id]).get(label)
            if node is not None and node.kind == "function" and totals is not None and totals.counts:
                yield PastRun(run_id, node, totals)

    def _plan(self, graph_id: str) -> dict[str, NodeRecord]:
        if graph_id not in self._nodes:
            self._nodes[graph_id] = {node.label: node for node in self._graphs.nodes(graph_id)}
        return self._nodes[graph_id]


class ResultOrigin(NamedTuple):
    """What made a result: a function, by its uri and the fingerprint of its code."""

    uri: FunctionUri
    code: str


class NodeHistory:
    """The past of one function node; each table of the store is read once, when it is first needed.

    Args:
        results: where the results are.
        records: where the pipeline keeps its records.
        uri: what its function is called.
        label: what the node is called.
        runs: the runs of the pipeline.

    Attributes:
        origins: what made the results that were met so far; positions in it stand for them.
        runs: the last runs that went through the node, the newest first.
    """

    def __init__(self, results: Database, records: Database, uri: FunctionUri, label: str, runs: PastRuns) -> None:
        self.origins: list[ResultOrigin] = []
        self.runs = runs.of(label)
        self._results = results
        self._records = records
        self._uri = uri
        self._label = label
        self._before = runs.before

    def there(self, record_ids: Iterable[bytes]) -> set[bytes]:
        """Return those of these records that are stored: for many, of which it is known that all will be read."""
        return self._stored.intersection(record_ids)

    @cached_property
    def _stored(self) -> set[bytes]:
        stored: list[Any] = [each for table in self._by_preference for each in table.column(RECORD_ID).to_pylist()]
        return set(stored)

    def of_packets(self, packet_hashes: pa.Array[Any]) -> Any:
        """Return what made the last result of each packet, as a position in ``origins``; null where there is none.

        That is what the last run found, if it did; else what was stored last.
        """
        found = pa.nulls(len(packet_hashes), pa.int32())
        for table in self._by_preference:
            found = pc.coalesce(found, _looked_up(packet_hashes, table, "__packet_hash"))
            if not found.null_count:
                break
        return found

    def of_records(self, record_ids: pa.Array[Any]) -> Any:
        """Return what made these records, likewise."""
        found = pa.nulls(len(record_ids), pa.int32())
        for table in self._by_preference:
            found = pc.coalesce(found, _looked_up(record_ids, table, RECORD_ID))
        return found

    def parts(self, code: str) -> tuple[Part, ...]:
        """Return the parts of a fingerprint.

        Raises:
            UnknownCodeError: the store does not know it.
        """
        return CodeRecords(self._results).parts(ContentHash.parse(code))

    def outputs(self, uri: FunctionUri) -> pa.Schema:
        """Return what a function has given, as it is stored."""
        schema = self._results.get_records_by_ids(result_path(uri), []).schema
        return pa.schema([field for field in schema if not field.name.startswith("__")])

    def last_rows(self, columns: Sequence[str]) -> pa.Table:
        """Return the entries of the rows that it gave last; a table without columns if it gave none.

        Args:
            columns: those that are wanted beside the result, as far as they are there.
        """
        last = self._last_with_rows
        if last is None:
            return pa.table({})
        return NodeStates(self._records, last.node.path, self._label).entries(
            last.totals.state, {RECORD_ID, *columns}.__contains__
        )

    def taken(self, path: RecordPath) -> list[str] | None:
        """Return the columns that the function took of the rows that it gave last; None if they are those of a path."""
        last = self._last_with_rows
        if last is None or last.node.path == path:
            return None
        names = self._records.get_records_by_ids(last.node.path, []).column_names
        return [name.removeprefix(SOURCE_INFO) for name in names if name.startswith(SOURCE_INFO)]

    @cached_property
    def _last_with_rows(self) -> PastRun | None:
        return next((run for run in self.runs if run.totals.state), None)

    def computed(self, path: RecordPath, run_id: str, columns: Sequence[str]) -> tuple[pa.Table, Any]:
        """Return the entries of rows whose results a run computed, and the hashes of their packets.

        Args:
            path: of its rows.
            run_id: the run.
            columns: those that are wanted beside the result.
        """
        results = self._results.get_records(result_path(self._uri), ["__packet_hash"], where=pc.field(RUN_ID) == run_id)
        there = self._records.get_records_by_ids(path, []).column_names
        cut = [name for name in CUT if name in there]
        entries = self._records.get_records(path, [RECORD_ID, *columns, *cut])
        if not results.num_rows or not entries.num_rows:
            return pa.table({}), array_of([], pa.large_binary())
        at = pc.index_in(entries.column(RECORD_ID), value_set=results.column(RECORD_ID).combine_chunks())
        hashes = results.column("__packet_hash").take(at.drop_null()).combine_chunks()
        return Members(self._records).unpack(entries.filter(at.is_valid())), hashes

    @cached_property
    def _by_preference(self) -> list[pa.Table]:
        """Key, packet and origin of all results of functions of this name, in the order in which they are looked at.

        Those of the function that the node had in its last run are among them, if that bore another name.
        """
        names = {self._uri[0], *(run.node.path[0] for run in self.runs[:1])}
        prefixes = {result_path((name,)) for name in names}
        paths = [path for path in self._results.list_paths() if path[:2] in prefixes]
        ordering = [RUN_ID] if self._before or len(paths) > 1 else []
        tables = [table for path in paths if (table := self._read(path, ["__packet_hash", "__code", *ordering]))]
        tables.sort(key=lambda found: found[0], reverse=True)
        newest = [table for _, table in tables]
        if not self.runs:
            return newest
        last = ResultOrigin(self.runs[0].node.path[:-1], self.runs[0].node.code)
        if last not in self.origins or len(self.origins) == 1:
            return newest
        position = self.origins.index(last)
        preferred = scalar_of(position, pa.int32())
        return [*(table.filter(pc.equal(table.column("origin"), preferred)) for table in newest), *newest]

    def _read(self, path: RecordPath, columns: Sequence[str]) -> tuple[str, pa.Table] | None:
        """Return the results of a path, the newest first, and the run that made the newest, if it is read."""
        table = self._results.get_records(path, columns)
        if self._before and table.num_rows:
            table = table.filter(pc.less(table.column(RUN_ID), self._before))
        if not table.num_rows:
            return None
        codes = table.column("__code").combine_chunks().dictionary_encode()
        first = len(self.origins)
        distinct: list[Any] = codes.dictionary.to_pylist()
        self.origins += [ResultOrigin(path[1:], code) for code in distinct]
        origin = pc.add(codes.indices, scalar_of(first, pa.int32()))
        kept = table.select([RECORD_ID, "__packet_hash"]).append_column("origin", origin)
        last = scalar_of(table.num_rows - 1, pa.int64())
        newest_first = pc.subtract(last, counted(0, table.num_rows))
        made_by = table.column(RUN_ID)[-1].as_py() if RUN_ID in columns else ""
        return made_by, kept.take(newest_first).combine_chunks()


def _looked_up(wanted: pa.Array[Any], table: pa.Table, column: str) -> Any:
    """Return the origin of the first row that has each value in a column; null where none has."""
    at = pc.index_in(wanted, value_set=table.column(column).combine_chunks())
    return table.column("origin").combine_chunks().take(at)
