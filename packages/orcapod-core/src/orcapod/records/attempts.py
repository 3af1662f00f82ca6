"""``Attempts``: which packets of a function were computed again, and which record is the newest of each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow as pa

from orcapod.errors import DamagedRecordError
from orcapod.hashing import recipes
from orcapod.protocols import Database
from orcapod.records.address import FunctionUri, attempt_path

__all__ = ["Attempts"]

_COLUMNS = ["__record_id", "__first_id", "__attempt", "__run_id"]


class _Attempt(NamedTuple):
    """Record of a packet: the first that there was, or a further one.

    Attributes:
        first: the first one's id.
        number: which it is, the first being 0.
    """

    first: bytes
    number: int

    @property
    def record_id(self) -> bytes:
        return recipes.attempt_id(self.first, self.number) if self.number else self.first


class Attempts:
    """Further records of the packets of a function, made by runs that were to compute them again.

    They are read once, when they are first asked for: what a run, or somebody who reads, sees of them does not change.

    Args:
        database: the store of the results.
        uri: of the function.
        run_id: the run that makes new ones; empty outside of a run, where results are only invalidated.
        sharing: the runs with which that run shares its work: what they have computed again is not computed again.
        among: returns those of some records that are there; the others, which results that were invalidated are to
            have, are left out. All count if it is None.
    """

    def __init__(
        self,
        database: Database,
        uri: FunctionUri,
        *,
        run_id: str = "",
        sharing: Collection[str] = (),
        among: Callable[[Sequence[bytes]], Collection[bytes]] | None = None,
    ) -> None:
        self._database = database
        self._path = attempt_path(uri)
        self._run_id = run_id
        self._sharing = sharing
        self._among = among
        self._new: dict[bytes, _Attempt] = {}

    def newest(self, ids: Sequence[bytes]) -> list[bytes]:
        """Return the newest record of each packet, given its first, which may be there or not."""
        newest = self._newest
        if not newest:
            return list(ids)
        return [newest[each][0].record_id if each in newest else each for each in ids]

    def next(self, first: bytes) -> bytes:
        """Return the record that is made of a packet when it is computed again, given its first."""
        attempt, run_id = self._newest.get(first, (_Attempt(first, 0), ""))
        if run_id not in self._sharing:
            attempt = _Attempt(first, attempt.number + 1)
            self._new[attempt.record_id] = attempt
        return attempt.record_id

    def add(self, ids: Sequence[bytes]) -> None:
        """Write down which of these records, that are stored, are further ones."""
        self._store({record_id: self._new[record_id] for record_id in ids if record_id in self._new})

    def invalidate(self, ids: Sequence[bytes]) -> None:
        """Write down that the newest results of packets, given their first ones, are computed again by the next run."""
        newest = (self._newest.get(first, (_Attempt(first, 0), ""))[0] for first in ids)
        further = [_Attempt(attempt.first, attempt.number + 1) for attempt in newest]
        self._store({attempt.record_id: attempt for attempt in further})

    def _store(self, attempts: Mapping[bytes, _Attempt]) -> None:
        if not attempts:
            return
        columns: dict[str, pa.Array[Any]] = {
            "__record_id": pa.array(list(attempts), pa.large_binary()),
            "__first_id": pa.array([attempt.first for attempt in attempts.values()], pa.large_binary()),
            "__attempt": pa.array([attempt.number for attempt in attempts.values()], pa.int64()),
            "__run_id": pa.array([self._run_id] * len(attempts), pa.large_string()),
        }
        self._database.add_records(self._path, pa.table(columns))

    def load(self) -> None:
        """Read what there is now."""
        _ = self._newest

    @cached_property
    def _newest(self) -> Mapping[bytes, tuple[_Attempt, str]]:
        """The newest attempt of each packet, by its first record, and the run that made it."""
        newest: dict[bytes, tuple[_Attempt, str]] = {}
        rows: list[Any] = self._database.get_records(self._path, _COLUMNS).to_pylist()
        if self._among is not None:
            there = self._among([row["__record_id"] for row in rows])
            rows = [row for row in rows if row["__record_id"] in there]
        for row in rows:
            attempt = _Attempt(row["__first_id"], row["__attempt"])
            if attempt.record_id != (key := row["__record_id"]):
                named = key.hex() if isinstance(key, bytes) else repr(key)
                raise DamagedRecordError(
                    f"{self._database!r}, table {'/'.join(self._path)}: found a row that is not as it was stored, "
                    f"__record_id {named}; restore the store from a copy, or delete that row, by which an earlier "
                    "result of its packet is served again",
                    keys=[key],
                    found=named,
                )
            if attempt.first not in newest or newest[attempt.first][0].number < attempt.number:
                newest[attempt.first] = attempt, row["__run_id"]
        return newest
