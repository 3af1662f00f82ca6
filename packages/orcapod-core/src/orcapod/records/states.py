"""``NodeStates``: which rows a node gave, in the present and in every run before.

A row of a node is an entry: tags, source rows and result, under one key. The rows that a whole run gave are a state: a
multiset of entries, with a number. A state is a row of ``_states``, and only there where it differs from the last one.
An entry is there from the state of the run that wrote it on; where that is not what a state says, the difference is in
``_changes``: an entry that went has -1 there, one that came back, or is there twice, +1. So what is new costs nothing
beside its entry, and a run that changes nothing costs nothing at all. Where nodes share a table, as one function does
that is applied to two streams of one schema, what a run wrote is counted for the first of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

import pyarrow as pa

from orcapod.compute import pc
from orcapod.protocols import Database, RecordPath, decoding
from orcapod.records.address import changes_path

__all__ = ["CHANGE_TYPES", "RUN_ID", "STATES", "GivenEntries", "NodeStates", "State"]

STATES: RecordPath = ("_states",)
RUN_ID = "__run_id"

_KEY_BYTES = 16  # of an entry's key: enough to tell it from all others of a node
_MODULUS = 1 << 256
_TYPES: dict[str, pa.DataType] = {
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
    "__change_id": pa.large_string(),
    "__node_label": pa.large_string(),
    "__entry_id": pa.large_binary(),
    "__count": pa.int64(),
    "__number": pa.int64(),
    RUN_ID: pa.large_string(),
}


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

    Attributes:
        own: how many of them this run wrote.
        others: how many more there are.
    """

    def __init__(self) -> None:
        self.own = self.others = 0
        self._own_sum = self._others_sum = 0
        self._others = bytearray()

    def add(self, keys: Sequence[bytes], *, own: Collection[bytes]) -> None:
        """Take the keys of rows that are given on, and those of them that this run wrote, each once."""
        others = keys if not own else [] if len(own) == len(keys) else _without(keys, own)
        self.own += len(own)
        self.others += len(others)
        self._own_sum += sum(map(_number, own))
        self._others_sum += sum(map(_number, others))
        self._others += b"".join(key[:_KEY_BYTES] for key in others)

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


class NodeStates:
    """The states of one node.

    Args:
        database: where its entries are.
        path: under which path.
        label: what the node is called.
    """

    def __init__(self, database: Database, path: RecordPath, label: str) -> None:
        self._database = database
        self._path = path
        self._label = label

    def last(self) -> State:
        """Return the present one."""
        states = self._states()
        return states[-1] if states else State(0, "", 0, 0, bytes(32))

    def close(self, run_id: str, given: GivenEntries) -> int:
        """Store what a whole run gave, if it is not what was there; return the number of its state."""
        while True:
            last = self.last()
            if last.digest == given.digest and last.rows == given.rows and not given.own:
                return last.number
            number = last.number + 1
            if not given.extends(last):
                self._store_changes(run_id, number, self._changes(given, last.number))
            path = "/".join(self._path)
            key = f"{self._label}/{path}/{number:09}"
            row = (key, self._label, path, number, run_id, given.rows, given.own, given.digest)
            columns = {name: pa.array([value], _TYPES[name]) for name, value in zip(_TYPES, row, strict=True)}
            self._database.add_records(STATES, pa.table(columns))
            self._database.flush()
            if not any(state.number == number and state.run_id != run_id for state in self._states()):
                return number  # else another run was first, and this one comes after it

    def entries(self, number: int | None = None) -> pa.Table:
        """Return the entries of a state, of the present one if None, as often as they are in it."""
        states = [state for state in self._states() if number is None or state.number <= number]
        table = self._database.get_records(self._path)
        if not table.num_rows:
            return table
        counts = self._counts(states, table)
        keys: list[Any] = table.column(0).to_pylist()
        positions = [row for row, key in enumerate(keys) for _ in range(counts[key[:_KEY_BYTES]])]
        return table.take(pa.array(positions, pa.int64()))

    def _changes(self, given: GivenEntries, before: int) -> Mapping[bytes, int]:
        """Return by how much the entries' counts differ from those of a state, apart from what this run wrote."""
        states = [state for state in self._states() if state.number <= before]
        table = self._database.get_records(self._path, [RUN_ID])
        changes = given.counted_others()
        if not table.num_rows:
            return {}
        changes.subtract(self._counts(states, table))
        keys: list[Any] = table.column(0).to_pylist()
        return {key: changes[key[:_KEY_BYTES]] for key in keys if changes[key[:_KEY_BYTES]]}

    def _counts(self, states: Sequence[State], entries: pa.Table) -> Counter[bytes]:
        """Return how often each entry is there after these states, by the beginning of its key."""
        numbers = {state.number: state.run_id for state in states}
        runs = {state.run_id for state in states if state.own}
        with decoding(self._path, self._label, RUN_ID):
            keys: list[Any] = entries.column(0).to_pylist()
            writers = entries.column(RUN_ID).to_pylist()
            counts = Counter(key[:_KEY_BYTES] for key, run_id in zip(keys, writers, strict=True) if run_id in runs)
        path = changes_path(self._path)
        changes: list[Any] = self._database.get_records(path, where=pc.field("__node_label") == self._label).to_pylist()
        for change in changes:
            with decoding(path, change.get("__change_id"), "__entry_id"):
                if numbers.get(change["__number"]) == change[RUN_ID]:
                    counts[change["__entry_id"][:_KEY_BYTES]] += change["__count"]
        return counts

    def _store_changes(self, run_id: str, number: int, changes: Mapping[bytes, int]) -> None:
        prefix, length = f"{self._label}/{number:09}/{run_id}", len(changes)
        columns: tuple[list[Any], ...] = (
            [f"{prefix}/{key.hex()}" for key in changes],
            [self._label] * length,
            list(changes),
            list(changes.values()),
            [number] * length,
            [run_id] * length,
        )
        if changes:
            arrays = [pa.array(values, type_) for values, type_ in zip(columns, CHANGE_TYPES.values(), strict=True)]
            self._database.add_records(changes_path(self._path), pa.table(arrays, names=list(CHANGE_TYPES)))

    def _states(self) -> list[State]:
        """Return all states in their order."""
        is_mine = (pc.field("__node_label") == self._label) & (pc.field("__path") == "/".join(self._path))
        found: list[Any] = self._database.get_records(STATES, where=is_mine).to_pylist()
        return sorted(map(_state, found), key=lambda state: state.number)


def _state(row: Mapping[str, Any]) -> State:
    with decoding(STATES, row.get("__state_id"), "__number"):
        number, rows, own = (index(row[name]) for name in ("__number", "__rows", "__own"))
        return State(number, str(row[RUN_ID]), rows, own, bytes(memoryview(row["__digest"])))


def _number(key: bytes) -> int:
    return int.from_bytes(key, "big")


def _without(keys: Sequence[bytes], own: Collection[bytes]) -> list[bytes]:
    """Return all keys but one of each that is in ``own``."""
    left, others = set(own), []
    for key in keys:
        if key in left:
            left.remove(key)
        else:
            others.append(key)
    return others
