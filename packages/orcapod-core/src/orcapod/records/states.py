"""``NodeStates``: which rows a node gave, in the present and in every run before.

A row of a node is an entry: tags, source rows and result, under one key. The rows that a whole run gave are a state: a
multiset of entries, with a number. A state is a row of ``_states``, and only there where it differs from the last one.
An entry is there from the state of the run that wrote it on; where that is not what a state says, the difference is in
``_changes``: an entry that went has -1 there, one that came back, or is there twice, +1. So what is new costs nothing
beside its entry, and a run that changes nothing costs nothing at all. A node that comes back to
a table has a state of no rows there, of the run in which it was elsewhere. Where nodes share a table, as one function
does that is applied to two streams of one schema, what a run wrote is counted for the first of them.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

import pyarrow as pa

from orcapod.arrow import array_of, scalar_of
from orcapod.compute import pc
from orcapod.protocols import Database, RecordPath, decoding, find_records
from orcapod.records.address import RECORD_ID, changes_path
from orcapod.records.members import CUT, Members

__all__ = [
    "CHANGE_TYPES",
    "RUN_ID",
    "SINCE",
    "STATES",
    "STATE_TYPES",
    "UNTIL",
    "GivenEntries",
    "NodeStates",
    "State",
    "States",
    "states_in",
]

STATES: RecordPath = ("_states",)
RUN_ID, SINCE, UNTIL = "__run_id", "__since", "__until"

STATE_TYPES: dict[str, pa.DataType] = {
    "__state_id": pa.large_string(),
    "__node_label": pa.large_string(),
    "__path": pa.large_string(),
    "__number": pa.int64(),
    RUN_ID: pa.large_string(),
    "__rows": pa.int64(),
    "__own": pa.int64(),
    "__digest": pa.large_binary(),
}
CHANGE_TYPES: dict[str, pa.DataType] = {
    "__change_id": pa.large_binary(),
    "__node_label": pa.large_string(),
    "__entry_id": pa.large_binary(),
    "__count": pa.int64(),
    "__number": pa.int64(),
    RUN_ID: pa.large_string(),
}

_KEY_BYTES = 16  # of an entry's key: enough to tell it from all others of a node
_MODULUS = 1 << 256
_MOST_LOOK_UPS = 10_000  # of changes, beyond which all are read


@dataclass(frozen=True, slots=True)
class State:
    """State of a node: what a whole run gave.

    Attributes:
        number: 1 for the first; 0 before there was any.
        run_id: the run that gave it first.
        rows: how many rows it has.
        own: how many of them that run wrote.
        digest: the sum of their keys, which tells one multiset of rows from another.
    """

    number: int
    run_id: str
    rows: int
    own: int
    digest: bytes


class GivenEntries:
    """Entries that a node gives in a run, as far as has to be known of them until it ends.

    Args:
        is_certain: whether what this run wrote is there for good; else another run may turn out to have been first.

    Attributes:
        own: how many of them this run wrote.
        others: how many more there are.
    """

    def __init__(self, *, is_certain: bool = True) -> None:
        self.is_certain = is_certain
        self.own = self.others = 0
        self._own_sum = self._others_sum = 0
        self._others = bytearray()
        self._claimed: set[bytes] = set()

    def add(self, keys: Sequence[bytes], *, own: Collection[bytes]) -> None:
        """Take the keys of rows that are given on, and those of them that this run wrote, each once."""
        others = keys if not own else [] if len(own) == len(keys) else _without(keys, own)
        self.own += len(own)
        self.others += len(others)
        self._own_sum += sum(map(int.from_bytes, own))
        if not self.is_certain:
            self._claimed.update(own)
        self._others_sum += sum(map(int.from_bytes, others))
        self._others += b"".join([key[:_KEY_BYTES] for key in others])

    def settle(self, written: Collection[bytes]) -> None:
        """Take what this run has not written after all, given the keys that it has, for what others wrote."""
        lost = self._claimed.difference(written)
        total = sum(map(int.from_bytes, lost))
        self.own, self.others = self.own - len(lost), self.others + len(lost)
        self._own_sum, self._others_sum = self._own_sum - total, self._others_sum + total
        self._others += b"".join([key[:_KEY_BYTES] for key in lost])
        self._claimed.clear()
        self.is_certain = True

    @property
    def rows(self) -> int:
        return self.own + self.others

    @property
    def digest(self) -> bytes:
        return ((self._own_sum + self._others_sum) % _MODULUS).to_bytes(32, "big")

    def extends(self, last: State) -> bool:
        """Say whether they are the rows of a state, and what this run wrote besides."""
        return self.others == last.rows and (self._others_sum % _MODULUS).to_bytes(32, "big") == last.digest

    def counted_others(self) -> Counter[bytes]:
        """Return how often each is given that this run did not write, by the beginning of its key."""
        starts = range(0, len(self._others), _KEY_BYTES)
        return Counter(bytes(self._others[start : start + _KEY_BYTES]) for start in starts)


States = Mapping[tuple[str, RecordPath], Sequence[State]]
"""The states of nodes, by label and path."""


def states_in(database: Database) -> States:
    """Return the states of all nodes of a pipeline, in their order."""
    found: defaultdict[tuple[str, RecordPath], list[State]] = defaultdict(list)
    with decoding(STATES, None, "__path"):
        rows: list[Any] = database.get_records(STATES).to_pylist()
    for row in rows:
        with decoding(STATES, row.get("__state_id"), "__path"):
            node = row["__node_label"], tuple(row["__path"].split("/"))
        found[node].append(_state(row))
    return {node: sorted(states, key=lambda state: state.number) for node, states in found.items()}


class NodeStates:
    """The states of one node.

    Args:
        database: where its entries are.
        path: under which path.
        label: what the node is called.
        known: those of all nodes, where somebody has read them just now.
    """

    def __init__(self, database: Database, path: RecordPath, label: str, known: States | None = None) -> None:
        self._database = database
        self._path = path
        self._label = label
        self._known = None if known is None else known.get((label, path), ())

    def last(self) -> State:
        """Return the present one."""
        states = self._states() if self._known is None else self._known
        return states[-1] if states else State(0, "", 0, 0, bytes(32))

    def left(self, known: States) -> str | None:
        """Return the first run that gave the node rows in another table since its present state; None if none did.

        Args:
            known: the states of all nodes.
        """
        last = self.last()
        elsewhere = [states for (label, path), states in known.items() if label == self._label and path != self._path]
        runs = [state.run_id for states in elsewhere for state in states if state.run_id > last.run_id]
        return min(runs, default=None) if last.rows else None

    def close(self, run_id: str, given: GivenEntries) -> int:
        """Store what a whole run gave, if it is not what was there; return the number of its state."""
        if given.own and not given.is_certain:
            self._database.flush()
            mine = {RUN_ID: array_of([run_id], pa.large_string())}
            written: list[Any] = find_records(self._database, self._path, mine, []).column(0).to_pylist()
            given.settle(set(written))
        while True:
            last = self.last()
            if last.run_id == run_id:
                return last.number  # it was stored, and what came after it was not
            if last.digest == given.digest and last.rows == given.rows and not given.own:
                return last.number
            number = last.number + 1
            if not given.extends(last):
                self._store_changes(run_id, number, self._changes(given, last.number))
                self._database.flush()  # a state is there only once all is there that it goes by
            path = "/".join(self._path)
            key = f"{self._label}/{path}/{number:09}"
            row = (key, self._label, path, number, run_id, given.rows, given.own, given.digest)
            columns = zip(row, STATE_TYPES.items(), strict=True)
            table = pa.table({name: array_of([value], type_) for value, (name, type_) in columns})
            self._database.add_records(STATES, table)
            self._database.flush()
            there: list[Any] = self._database.get_records_by_ids(STATES, [key], [RUN_ID]).to_pylist()
            if all(state[RUN_ID] == run_id for state in there):
                return number
            self._known = None  # another run was first, and this one comes after it

    def read(self, wanted: Callable[[str], bool] | None = None) -> pa.Table:
        """Return all entries, of every state; if there is none, without columns.

        Args:
            wanted: says which columns are, beside the key and the run that wrote the entry; all if None.
        """
        if wanted is None:
            return self._database.get_records(self._path)
        names = self._database.get_records_by_ids(self._path, []).column_names[1:]
        needed = [name for name in names if name in (RUN_ID, *CUT) or wanted(name)]
        return self._database.get_records(self._path, needed)

    def entries(self, number: int | None = None, wanted: Callable[[str], bool] | None = None) -> pa.Table:
        """Return the entries of a state, of the present one if None, as often as they are in it; see ``read``."""
        return self.of(self.read(wanted), number)

    def of(self, entries: pa.Table, number: int | None = None) -> pa.Table:
        """Return those of all entries that are in a state, as often as they are, with their long lists.

        Raises:
            DamagedRecordError: a piece of a long list is not there, or not as it was stored.
        """
        if not entries.num_rows:
            return entries
        counts = self.counts(entries, number)
        often: list[Any] = counts.to_pylist()
        if max(often) <= 1:
            return self.unpacked(entries.filter(pc.equal(counts, scalar_of(1, pa.int64()))))
        rows = [row for row, count in enumerate(often) for _ in range(count)]
        return self.unpacked(entries.take(array_of(rows, pa.int64())))

    def unpacked(self, entries: pa.Table) -> pa.Table:
        """Return entries with their long lists, which lie in pieces elsewhere."""
        return Members(self._database).unpack(entries)

    def record_ids(self) -> list[bytes]:
        """Return the results of its present rows."""
        present = self.entries(wanted={RECORD_ID}.__contains__)
        ids: list[Any] = present.column(RECORD_ID).to_pylist() if present.num_rows else []
        return ids

    def counts(self, entries: pa.Table, number: int | None = None) -> pa.Array[Any]:
        """Return how often each of these entries is in a state, in the present one if None."""
        states = [state for state in self._states() if number is None or state.number <= number]
        wrote = array_of([state.run_id for state in states if state.own], pa.large_string())
        more: Counter[bytes] = Counter()
        with decoding(self._path, self._label, RUN_ID):
            for _, key, count in self._changes_to(states, entries.column(0)):
                more[key] += count
            own = pc.cast(pc.is_in(entries.column(RUN_ID), value_set=wrote), pa.int64())
            changed = pc.index_in(entries.column(0), value_set=array_of(list(more), pa.large_binary()))
        changed = pc.fill_null(changed, scalar_of(len(more), pa.int32()))
        changes = array_of([*more.values(), 0], pa.int64()).take(changed)
        counts: pa.Array[Any] = pc.add(own, changes).combine_chunks()
        return counts

    def history(self, entries: pa.Table) -> pa.Table:
        """Return in which runs each of these entries was there, in the order of the runs.

        Returns:
            the entries, ``__since``, the run whose state was the first to have each, and ``__until``, the one whose
            state was the first to have it no longer, null if it is there. One that went and came back is there once
            for each time; one that was there twice, twice.
        """
        if not entries.num_rows:
            return pa.table(dict.fromkeys((SINCE, UNTIL), array_of([], pa.large_string())))
        states = self._states()
        keys: list[Any] = entries.column(0).to_pylist()
        steps: dict[bytes, Counter[int]] = {key: Counter() for key in keys}
        wrote = {state.run_id: state.number for state in states if state.own}
        for key, run_id in zip(keys, entries.column(RUN_ID).to_pylist(), strict=True):
            if run_id in wrote:
                steps[key][wrote[run_id]] += 1
        for number, key, count in self._changes_to(states, entries.column(0)):
            if key in steps:
                steps[key][number] += count
        spans = sorted((*span, row) for row, key in enumerate(keys) for span in _spans(steps[key]))
        rows, runs = entries.take(array_of([row for *_, row in spans], pa.int64())), _runs(states)
        for at, name in enumerate((SINCE, UNTIL)):
            rows = rows.append_column(name, array_of([runs.get(span[at]) for span in spans], pa.large_string()))
        return rows

    def _changes(self, given: GivenEntries, before: int) -> Mapping[bytes, int]:
        """Return by how much the entries' counts differ from those of a state, apart from what this run wrote."""
        entries = self._database.get_records(self._path, [RUN_ID])
        if not entries.num_rows:
            return {}
        keys: list[Any] = entries.column(0).to_pylist()
        counts: list[Any] = self.counts(entries, before).to_pylist()
        now = given.counted_others()
        changes = {key: now[key[:_KEY_BYTES]] - count for key, count in zip(keys, counts, strict=True)}
        return {key: change for key, change in changes.items() if change}

    def _changes_to(self, states: Sequence[State], keys: pa.ChunkedArray[Any]) -> Iterator[tuple[int, bytes, int]]:
        """Give what has come to these states or went, apart from what is new: number, entry, how often.

        Args:
            states: the states.
            keys: of the entries of which is told; of others may be, too.
        """
        path, runs = changes_path(self._path), _runs(states)
        if len(states) * len(keys) <= _MOST_LOOK_UPS:
            some: list[Any] = keys.to_pylist()
            ids = [self._change_id(state.number, state.run_id, key) for state in states for key in some]
            found = self._database.get_records_by_ids(path, ids)
        else:
            found = self._database.get_records(path, where=pc.field("__node_label") == self._label)
        with decoding(path, None, "__entry_id"):
            changes: list[Any] = found.to_pylist()
        for change in changes:
            with decoding(path, change.get("__change_id"), "__entry_id"):
                if runs.get(change["__number"]) == change[RUN_ID]:
                    yield change["__number"], bytes(memoryview(change["__entry_id"])), index(change["__count"])

    def _change_id(self, number: int, run_id: str, key: bytes) -> bytes:
        return f"{self._label}/{number}/{run_id}/".encode() + key[:_KEY_BYTES]

    def _store_changes(self, run_id: str, number: int, changes: Mapping[bytes, int]) -> None:
        rows = [
            (self._change_id(number, run_id, key), self._label, key, count, number, run_id)
            for key, count in changes.items()
        ]
        if rows:
            columns = zip(CHANGE_TYPES.items(), zip(*rows, strict=True), strict=True)
            table = pa.table({name: array_of(values, type_) for (name, type_), values in columns})
            self._database.add_records(changes_path(self._path), table)

    def _states(self) -> Sequence[State]:
        """Return all states in their order."""
        mine = {"__node_label": self._label, "__path": "/".join(self._path)}
        values = {name: array_of([value], STATE_TYPES[name]) for name, value in mine.items()}
        with decoding(STATES, self._label, "__number"):
            found: list[Any] = find_records(self._database, STATES, values).to_pylist()
        return sorted(map(_state, found), key=lambda state: state.number)


def _runs(states: Iterable[State]) -> Mapping[float, str]:
    """Return which run gave each of these states."""
    return {state.number: state.run_id for state in states}


def _spans(steps: Mapping[int, int]) -> Iterator[tuple[float, float]]:
    """Give from which state on, and up to which, something was there, given by how much each state has more of it."""
    since: list[float] = []
    for number, count in sorted(steps.items()):
        since += [number] * count
        for _ in range(-count):
            if since:
                yield since.pop(), number
    yield from ((number, math.inf) for number in since)


def _state(row: Mapping[str, Any]) -> State:
    with decoding(STATES, row.get("__state_id"), "__number"):
        number, rows, own = (index(row[name]) for name in ("__number", "__rows", "__own"))
        return State(number, str(row[RUN_ID]), rows, own, bytes(memoryview(row["__digest"])))


def _without(keys: Sequence[bytes], own: Collection[bytes]) -> list[bytes]:
    """Return all keys but one of each that is in ``own``."""
    left, others = set(own), []
    for key in keys:
        if key in left:
            left.remove(key)
        else:
            others.append(key)
    return others
