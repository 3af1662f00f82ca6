"""``flush_all``: several buffers are flushed, each of them; ``BufferingDatabaseProtocol``: a store that has some."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable

__all__ = ["BufferingDatabaseProtocol", "flush_all"]


@runtime_checkable
class BufferingDatabaseProtocol(Protocol):
    """Database that holds rows in memory until it is flushed; one that has no such method stores them at once."""

    def discard_failed(self, error: BaseException) -> None:
        """Let go of rows that could not be written, of those tables whose flush has raised this error.

        The run that wrote them has ended with it, and the next one on this store has nothing to do with them. What
        any table would be refused, since a disk is full, say, is not let go: it is written once there is room.
        """
        ...


def flush_all(flushes: Iterable[Callable[[], None]]) -> None:
    """Call each of these, also if one before it raised.

    Raises:
        Exception: what one of them raised, or an ``ExceptionGroup`` of what several did: each error once, since
            two views of one store raise the same.
    """
    errors: dict[str, Exception] = {}
    for flush in flushes:
        try:
            flush()
        except ExceptionGroup as group:
            errors |= {repr(error): error for error in group.exceptions}
        except Exception as error:  # noqa: BLE001  # raised below
            errors[repr(error)] = error
    if len(errors) > 1:
        raise ExceptionGroup(
            f"{len(errors)} writes failed: {'; '.join(map(str, errors.values()))}", list(errors.values())
        )
    for only in errors.values():
        raise only
