"""``View``: a store as its pages look at it, which remembers what never changes; ``CurrentView``: of what is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from threading import Lock

import pyarrow as pa

from orcapod.errors import DatabaseError, UnknownRowError
from orcapod.ledger import ComputedRow, Store, compare
from orcapod.ui.rows import NodeRows

__all__ = ["CurrentView", "View"]

_REMEMBERED = 2  # a million rows of a node, and what is looked for in them, take some 300 MB
_TRACES = 32
_KEY = re.compile("(?:[0-9a-f]{2})+")


class View:
    """A store, and the rows that were last looked at of runs that have ended.

    Args:
        store: the store; it is not closed with the view.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._rows = lru_cache(_REMEMBERED)(lambda run_id, label: NodeRows.of(store, run_id, label))
        self._compared = lru_cache(_REMEMBERED)(lambda before, after: compare(store, before, after))
        self._traced = lru_cache(_TRACES)(self._trace)

    def rows(self, run_id: str, label: str) -> NodeRows:
        """Return the rows that a node gave in a run."""
        return self._rows(self.store.run(run_id).run_id, label)

    def compared(self, before: str, after: str) -> Mapping[str, pa.Table]:
        """Return what became of the rows of each node from one run to another."""
        return self._compared(before, after)

    def traced(self, run_id: str, label: str, key: str) -> ComputedRow:
        """Return the tree of a row that a node gave in a run, given the key of its record as text.

        Raises:
            UnknownRowError: it gave no such row.
        """
        return self._traced(self.store.run(run_id).run_id, label, key)

    def _trace(self, run_id: str, label: str, key: str) -> ComputedRow:
        pipeline = "/".join(self.store.run(run_id).pipeline)
        tracer, node = self.store.tracer("trace", pipeline, label, run_id)
        found = tracer.entries(node).with_keys([bytes.fromhex(key)] if _KEY.fullmatch(key) else [])
        if not found.num_rows:
            raise UnknownRowError(
                f"node {label!r}, run {run_id}: found no row {key!r}, expected one of the "
                f"{node.summary.totals.given:,} that it gave",
                node=label,
                found=key,
            )
        return tracer.row(node, found.slice(0, 1), tracer.outputs(node, None))


class CurrentView:
    """The view of the store that is at its place now; where another one has come there, that is opened.

    Args:
        opened: opens the store.

    Raises:
        DatabaseError: it cannot be opened.
    """

    def __init__(self, opened: Callable[[], Store]) -> None:
        self._opened = opened
        self._lock = Lock()
        self._view = View(opened())

    def get(self) -> View:
        """Return the view.

        Raises:
            DatabaseError: there is no store any more.
        """
        with self._lock:
            try:
                self._view.store.check_in_place()
            except (DatabaseError, ExceptionGroup):
                self._view = View(self._opened())  # the other one goes when nobody reads it any more
                self._view.store.check_in_place()
            return self._view

    def close(self) -> None:
        """Let go of the store."""
        with suppress(DatabaseError):  # it was deleted: nothing was written that could be lost
            self._view.store.close()
