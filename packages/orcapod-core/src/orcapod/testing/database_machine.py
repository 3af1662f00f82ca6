"""``DatabaseMachine``: random sequences of calls, each answered by a store and by ``MemoryDatabase`` alike."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from orcapod.databases import MemoryDatabase
from orcapod.errors import DatabaseError
from orcapod.protocols.database import Database, Key, OnConflict, RecordPath

__all__ = ["DatabaseMachine"]

_PATHS = st.sampled_from([("p",), ("P",), ("p", "q"), ("p/q",)])
_TEXTS: list[Key] = ["a", "A", "b", "c", "☃", ""]
_BYTES: list[Key] = [b"a", b"A", b"\0", b"", b"plumless", b"plainness"]  # the last two begin and end alike
_KEYS = st.sampled_from([*_TEXTS, *_BYTES])
_COLUMNS: dict[str, st.SearchStrategy[pa.DataType]] = {
    "x": st.sampled_from([pa.int64(), pa.int64(), pa.int64(), pa.string()]),  # seldom of another type: refused
    "X": st.just(pa.float64()),
    "n": st.just(pa.list_(pa.string())),
}
_VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.int64(): st.integers(0, 5),
    pa.string(): st.sampled_from(["", "u"]),
    pa.float64(): st.sampled_from([0.0, 0.5]),
    pa.list_(pa.string()): st.lists(st.none() | st.just("v"), max_size=2),
}


@st.composite
def _tables(draw: st.DrawFn) -> pa.Table:
    kind, type_ = draw(st.sampled_from([(_TEXTS, pa.string()), (_BYTES, pa.binary())]))
    keys = draw(st.lists(st.sampled_from(kind), max_size=5))
    columns: dict[str, pa.Array[Any]] = {"key": pa.array(keys, type_)}
    for name in draw(st.lists(st.sampled_from(list(_COLUMNS)), unique=True)):
        type_ = draw(_COLUMNS[name])
        values = st.lists(st.none() | _VALUES[type_], min_size=len(keys), max_size=len(keys))
        columns[name] = pa.array(draw(values), type_)
    return pa.table(columns)


class DatabaseMachine(RuleBasedStateMachine):
    """Subclasses say how to make an empty store."""

    def make_database(self) -> Database:
        """Return an empty store, or an empty view of one."""
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        """A store and its model, both empty."""
        self.store = self.make_database()
        self.model = MemoryDatabase()

    @rule(path=_PATHS, table=_tables(), on_conflict=st.sampled_from(["skip", "skip", "raise"]))
    def add(self, path: RecordPath, table: pa.Table, on_conflict: OnConflict) -> None:
        """The same rows are added, or the same error is raised."""
        answers = []
        for database in (self.model, self.store):
            try:
                answers.append(str(database.add_records(path, table, on_conflict=on_conflict)))
            except DatabaseError as error:
                answers.append(type(error).__name__)
        assert answers[0] == answers[1], answers

    @rule(path=_PATHS, ids=st.lists(_KEYS, max_size=4))
    def delete(self, path: RecordPath, ids: list[Key]) -> None:
        """As many records are removed."""
        assert self.store.delete_records(path, ids) == self.model.delete_records(path, ids)

    @rule(path=_PATHS, ids=st.lists(_KEYS, max_size=4))
    def look_up(self, path: RecordPath, ids: list[Key]) -> None:
        """The same records are found."""
        found, expected = (database.get_records_by_ids(path, ids) for database in (self.store, self.model))
        assert found.schema.equals(expected.schema)
        assert sorted(found.to_pylist(), key=str) == sorted(expected.to_pylist(), key=str)

    @rule()
    def flush(self) -> None:
        """Flushing changes nothing."""
        self.store.flush()

    @invariant()
    def all_is_the_same(self) -> None:
        """The same paths, with the same records in the same order."""
        if hasattr(self, "store"):
            assert self.store.list_paths() == self.model.list_paths()
            for path in self.model.list_paths():
                found, expected = self.store.get_records(path), self.model.get_records(path)
                assert found.schema.equals(expected.schema), path
                assert found.to_pylist() == expected.to_pylist(), path
