"""``Flusher``: what is finished is stored within a second, whatever the run is waiting for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from types import TracebackType
from typing import Self

from orcapod.errors import StoreLockedError

__all__ = ["Flusher"]


class Flusher:
    """A thread that has what is finished stored, so that at most one interval of computing is ever lost.

    Args:
        interval: seconds between two rounds.

    An error in a round ends the rounds, and is raised where the flusher is used next. A store that another
    program keeps locked is tried once more first.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._stores: list[Callable[[], None]] = []
        self._stop = threading.Event()
        self._error: BaseException | None = None

    @contextmanager
    def calling(self, *stores: Callable[[], None]) -> Iterator[None]:
        """Have these called in every round while the context lasts, the inner contexts' before the outer's."""
        self.check()
        self._stores[:0] = stores
        try:
            yield
        finally:
            for store in stores:
                self._stores.remove(store)

    def flush(self) -> None:
        """One round, now."""
        self.check()
        for store in list(self._stores):
            store()

    def check(self) -> None:
        """Raise what went wrong in a round."""
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        rounds = copy_context()  # what the run's thread knows of its end, the flusher's has to know
        self._thread = threading.Thread(target=rounds.run, args=(self._rounds,), name="orcapod-flusher", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if error is None:
            self.check()

    def _rounds(self) -> None:
        was_locked = False
        while not self._stop.wait(self._interval):
            try:
                self.flush()
            except BaseException as error:  # noqa: BLE001  # whatever it is, the run's own thread raises it
                if was_locked or not isinstance(error, StoreLockedError):
                    self._error = error
                    return
                was_locked = True
            else:
                was_locked = False
