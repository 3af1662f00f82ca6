"""``Flusher``: what is finished is stored within a second, whatever the run is waiting for."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from types import TracebackType
from typing import Self, TypeVar

from orcapod import interrupts
from orcapod.errors import DatabaseError
from orcapod.protocols import BufferingDatabaseProtocol, Database, flush_all

__all__ = ["Flusher", "discarding"]

T = TypeVar("T")

_RETRY_SECONDS = 30.0
"""For how many seconds a store may fail before that ends the run: a network or a disk that is full may recover."""

_LONGEST_PAUSE = 1.0
_ENDING_SECONDS = 1.0


class Flusher:
    """A thread that has what is finished stored, so that at most one interval of computing is ever lost.

    A round that fails is made again an interval later. The second failure in a row is warned of; after 30 seconds
    of them the error is raised where the flusher is used next. A round that succeeds, whoever makes it, makes up for
    all that failed before. A thread that dies is an error where the flusher is used next, too.

    Args:
        interval: seconds between two rounds.
    """

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._stores: list[Callable[[], None]] = []
        self._stop = threading.Event()
        self._ending = threading.Event()
        self._last_success = 0.0
        self._lasting_error: BaseException | None = None
        self._thread_error: BaseException | None = None
        self._has_warned = False

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
        """Make a round now, with retries.

        Raises:
            Exception: what a store raised, or an ``ExceptionGroup`` where several did; each of them was tried.
        """
        self._with_retries(self._round)
        self.check()

    def with_retries(self, write: Callable[[], T]) -> T:
        """Return what this returns; while it fails for a reason that may pass, it is tried again, for 30 seconds.

        Args:
            write: asks something of a store, and may be called again when it has failed.
        """
        if not self._ending.is_set():
            self.check()
        return self._with_retries(write)

    def stop_retrying(self) -> None:
        """Let everything be tried once from now on: the run is about to end before its time."""
        self._ending.set()

    def check(self) -> None:
        """Raise what rounds have failed with for too long, or what the thread has died of."""
        if (error := self._thread_error or self._lasting_error) is not None:
            raise error

    def __enter__(self) -> Self:
        rounds = copy_context()  # what the run's thread knows of its end, the flusher's has to know
        self._thread = threading.Thread(target=rounds.run, args=(self._rounds,), name="orcapod-flusher", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        # A store that blocks may do so for long, and whoever has interrupted the run does not wait for it.
        self._thread.join(_ENDING_SECONDS if self._ending.is_set() else None)
        if error is None:
            self.check()

    def _with_retries(self, write: Callable[[], T]) -> T:
        failures = _Failures()
        while True:
            started = time.monotonic()
            try:
                return write()
            except Exception as error:
                failures.add(started)
                if not _is_transient(error) or failures.seconds >= _RETRY_SECONDS or self._ending.is_set():
                    self.stop_retrying()  # what else is left to do fails likewise
                    raise
                self._warn(failures, error)
            until = time.monotonic() + min(self.interval, _LONGEST_PAUSE)
            while (left := until - time.monotonic()) > 0 and not self._ending.wait(interrupts.slice_of(left)):
                interrupts.check()

    def _rounds(self) -> None:
        failures = _Failures()
        try:
            while not self._stop.wait(self.interval):
                started = time.monotonic()
                try:
                    self._round()
                except Exception as error:  # noqa: BLE001  # it is tried again, and raised in the end
                    if self._last_success > started:  # the run itself has made a round since
                        failures = _Failures()
                        continue
                    failures.add(started)
                    self._warn(failures, error)
                    if failures.count > 1 and failures.seconds >= _RETRY_SECONDS:
                        self._lasting_error = error
                else:
                    failures = _Failures()
        except BaseException as error:  # noqa: BLE001  # whatever it is, the run's own thread raises it
            self._thread_error = error

    def _round(self) -> None:
        """Call every store, also if one before it raised."""
        flush_all(list(self._stores))
        self._lasting_error, self._last_success = None, time.monotonic()

    def _warn(self, failures: _Failures, error: Exception) -> None:
        """Warn of the second failure in a row, once in a run."""
        if failures.count == 2 and not self._has_warned:
            self._has_warned = True
            message = (
                f"what was computed could not be stored, twice in a row: {error}; it is tried again, "
                f"and kept in memory until then; after {_RETRY_SECONDS:.0f} seconds of this the error ends the run"
            )
            try:
                warnings.warn(message, stacklevel=2)
            except UserWarning:  # whoever wants no warnings wants this error
                raise error from None


class _Failures:
    """Failures in a row.

    Attributes:
        count: how many.
        seconds: for how long there have been nothing but failures.
    """

    def __init__(self) -> None:
        self.count = 0
        self._since: float | None = None

    @property
    def seconds(self) -> float:
        return 0.0 if self._since is None else time.monotonic() - self._since

    def add(self, started: float) -> None:
        """Count one more, of what was begun then."""
        self.count += 1
        self._since = started if self._since is None else self._since


@contextmanager
def discarding(*databases: Database) -> Iterator[None]:
    """Have stores let go, if an exception ends the context, of the rows that they could not write because of it.

    So that tables that cannot be written end the run that wrote to them, and no other.
    """
    try:
        yield
    except BaseException as error:
        for database in databases:
            if isinstance(database, BufferingDatabaseProtocol):
                database.discard_failed(error)
        raise


def _is_transient(error: BaseException) -> bool:
    """Say whether the same may succeed a moment later."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_transient, error.exceptions))
    return error.is_transient if isinstance(error, DatabaseError) else isinstance(error, OSError)
