"""``Claims``: which records are being computed, and by whom, where several processes share the work of one store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from orcapod.protocols import Database, RecordPath

__all__ = ["Claims"]

_CLAIMS: RecordPath = ("_claims",)
_HOLDERS: RecordPath = ("_holders",)


class Claims:
    """Claims of one holder, in a store that others use too.

    A claim is a row under a name: the first to write it has it. A holder that is alive writes a row with a number
    now and then, its heartbeat; whoever sees no new one for as long as the holder's lease says takes it for dead. So
    no clock is compared with that of another machine.

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
        self._beats: list[str] = []

    def take(self, names: Sequence[str]) -> dict[str, str]:
        """Claim what nobody has; return who has each."""
        columns = {"__claim": pa.array(names, pa.large_string())}
        columns["__holder"] = pa.array([self.holder] * len(names), pa.large_string())
        self._database.add_records(_CLAIMS, pa.table(columns))
        self.flush()
        holders = self.holders(names)
        self._names.update(name for name, holder in holders.items() if holder == self.holder)
        return holders

    def holders(self, names: Sequence[str]) -> dict[str, str]:
        """Return who has each, of those that anybody has."""
        found = self._database.get_records_by_ids(_CLAIMS, names, ["__holder"])
        if not found.num_rows:
            return {}
        rows: list[list[Any]] = [column.to_pylist() for column in found.columns]
        return dict(zip(*rows, strict=True))

    def keep(self, names: Sequence[str]) -> None:
        """Take it that these are done with: nobody will ask for them any more."""
        self._names.difference_update(names)

    def release(self, names: Sequence[str]) -> None:
        """Let others have these."""
        if names:
            self._database.delete_records(_CLAIMS, names)
            self._names.difference_update(names)

    def beat(self) -> None:
        """Say that this holder is alive."""
        name = json.dumps([self.holder, len(self._beats)])
        self._beats.append(name)
        row = {"__beat": pa.array([name], pa.large_string()), "__lease": pa.array([self.lease], pa.float64())}
        self._database.add_records(_HOLDERS, pa.table(row))
        self.flush()

    def beats(self) -> dict[str, tuple[int, float]]:
        """Return the number of the last heartbeat of every holder, and its lease."""
        found = self._database.get_records(_HOLDERS)
        last: dict[str, tuple[int, float]] = {}
        for row in found.to_pylist():
            holder, number = json.loads(row["__beat"])
            last[holder] = max(last.get(holder, (-1, 0.0)), (number, row["__lease"]))
        return last

    def bury(self, holder: str, beats: int) -> None:
        """Remove the heartbeats of a holder that is dead."""
        self._database.delete_records(_HOLDERS, [json.dumps([holder, number]) for number in range(beats + 1)])

    def flush(self) -> None:
        """Let others see what was stored."""
        self._database.flush()

    def close(self) -> None:
        """Let others have what this holder still has, and end its heartbeats; the last one removes all claims."""
        self.flush()
        self.release(sorted(self._names))
        self._database.delete_records(_HOLDERS, self._beats)
        if not self.beats() and (claims := self._database.get_records(_CLAIMS, [])).num_rows:
            names: list[Any] = claims.column(0).to_pylist()
            self._database.delete_records(_CLAIMS, names)
        self.flush()
