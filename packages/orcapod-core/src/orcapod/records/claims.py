"""``Claims``: which records are being computed, and by whom, where several processes share the work of one store."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from orcapod.protocols import Database, RecordPath

__all__ = ["Claims", "TableClaims"]

_CLAIMS: RecordPath = ("_claims",)
_HOLDERS: RecordPath = ("_holders",)


class Claims(ABC):
    """Claims of one holder, in a store that others use too.

    A claim has a name: the first to make it has it. A holder that is alive has a heartbeat now and then, which is
    counted; whoever sees no new one for as long as the holder's lease says takes it for dead. So no clock is compared
    with that of another machine.

    Args:
        database: the store.
        holder: the name of this holder, which no other has.
        lease: after how many seconds without a heartbeat it is to be taken for dead.
    """

    def __init__(self, database: Database, holder: str, *, lease: float) -> None:
        self.holder = holder
        self.lease = lease
        self._database = database
        self._names: set[str] = set()

    def take(self, names: Sequence[str]) -> dict[str, str]:
        """Claim what nobody has; return who has each."""
        self._claim(names)
        holders = self.holders(names)
        self._names.update(name for name, holder in holders.items() if holder == self.holder)
        return holders

    @abstractmethod
    def _claim(self, names: Sequence[str]) -> None:
        """Claim what nobody has."""

    @abstractmethod
    def holders(self, names: Sequence[str]) -> dict[str, str]:
        """Return who has each, of those that anybody has."""

    def keep(self, names: Sequence[str]) -> None:
        """Take it that these are done with: nobody will ask for them any more."""
        self._names.difference_update(names)

    def release(self, names: Sequence[str]) -> None:
        """Let others have these."""
        if names:
            self._remove(names)
            self._names.difference_update(names)

    @abstractmethod
    def _remove(self, names: Sequence[str]) -> None:
        """Remove claims."""

    @abstractmethod
    def beat(self) -> None:
        """Say that this holder is alive."""

    @abstractmethod
    def beats(self) -> dict[str, tuple[int, float]]:
        """Return how many heartbeats every holder had, and its lease."""

    @abstractmethod
    def bury(self, holder: str, beats: int) -> None:
        """Remove the heartbeats of a holder that is dead, as many as were seen."""

    def flush(self) -> None:
        """Let others see what was stored."""
        self._database.flush()

    def close(self) -> None:
        """Let others have what this holder still has, and end its heartbeats; the last one removes all claims."""
        self.flush()
        self.release(sorted(self._names))
        self._leave()

    @abstractmethod
    def _leave(self) -> None:
        """End the heartbeats of this holder; remove all claims if there is no other."""


class TableClaims(Claims):
    """Claims as rows of a table, which any store has, and heartbeats as rows of another."""

    def __init__(self, database: Database, holder: str, *, lease: float) -> None:
        super().__init__(database, holder, lease=lease)
        self._beats: list[str] = []

    def _claim(self, names: Sequence[str]) -> None:
        columns = {"__claim": pa.array(names, pa.large_string())}
        columns["__holder"] = pa.array([self.holder] * len(names), pa.large_string())
        self._database.add_records(_CLAIMS, pa.table(columns))
        self.flush()

    def holders(self, names: Sequence[str]) -> dict[str, str]:
        found = self._database.get_records_by_ids(_CLAIMS, names, ["__holder"])
        if not found.num_rows:
            return {}
        rows: list[list[Any]] = [column.to_pylist() for column in found.columns]
        return dict(zip(*rows, strict=True))

    def _remove(self, names: Sequence[str]) -> None:
        self._database.delete_records(_CLAIMS, names)

    def beat(self) -> None:
        name = json.dumps([self.holder, len(self._beats) + 1])
        self._beats.append(name)
        row = {"__beat": pa.array([name], pa.large_string()), "__lease": pa.array([self.lease], pa.float64())}
        self._database.add_records(_HOLDERS, pa.table(row))
        self.flush()

    def beats(self) -> dict[str, tuple[int, float]]:
        found = self._database.get_records(_HOLDERS)
        last: dict[str, tuple[int, float]] = {}
        for row in found.to_pylist():
            holder, number = json.loads(row["__beat"])
            last[holder] = max(last.get(holder, (0, 0.0)), (number, row["__lease"]))
        return last

    def bury(self, holder: str, beats: int) -> None:
        self._database.delete_records(_HOLDERS, [json.dumps([holder, number + 1]) for number in range(beats)])

    def _leave(self) -> None:
        self._database.delete_records(_HOLDERS, self._beats)
        if not self.beats() and (claims := self._database.get_records(_CLAIMS, [])).num_rows:
            names: list[Any] = claims.column(0).to_pylist()
            self._database.delete_records(_CLAIMS, names)
        self.flush()
