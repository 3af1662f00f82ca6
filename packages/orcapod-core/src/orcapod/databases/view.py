"""``DatabaseView``: views of one store, each below a prefix of its own. What all stores share."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, NoReturn, Self, TypeVar

from orcapod.checks import Checks
from orcapod.databases.contract import checked_path
from orcapod.errors import DatabaseError
from orcapod.protocols.database import RecordPath

__all__ = ["DatabaseView", "check_process", "checked_config", "closed_store"]

Shared = TypeVar("Shared")


class DatabaseView(ABC, Generic[Shared]):
    """A view of a store, in which every path starts with a prefix.

    A store derives from it: it reads and writes at ``self._absolute(path)`` of what its views share,
    and lists ``self._relative(paths)``.

    Args:
        shared: what all views of the store share: a connection, tables, locks.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._prefix: RecordPath = ()

    def at(self, *prefix: str) -> Self:
        """Return a view of this store in which every path starts with ``prefix``."""
        view = object.__new__(type(self))
        view._shared = self._shared
        view._prefix = self._absolute(prefix) if prefix else self._prefix
        return view

    @property
    def max_record_bytes(self) -> int | None:
        """The bytes of the largest record that the store takes; None, as there is no limit."""
        return None

    @property
    def files_folder(self) -> Path | None:
        """The folder for files that functions make; None, as there is no place beside the store."""
        return None

    def check_writable(self) -> None:
        """Check nothing: who can open such a store can write to it."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what the views share; closing twice is fine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        name = type(self).__name__
        raise TypeError(f"a {name} cannot be pickled; send to_config() and open it there with from_config()")

    def __repr__(self) -> str:
        shown = [*self._arguments(), *(["at " + "/".join(self._prefix)] if self._prefix else [])]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _arguments(self) -> tuple[str, ...]:
        """Return what ``repr`` says of the store."""
        return ()

    def _absolute(self, path: Iterable[str]) -> RecordPath:
        """Return a path of this view as a path of the store.

        Raises:
            DatabaseError: it is not one or more non-empty strings.
        """
        return (*self._prefix, *checked_path(path))

    def _is_below(self, path: RecordPath) -> bool:
        """Return whether a path of the store is one of this view."""
        depth = len(self._prefix)
        return len(path) > depth and path[:depth] == self._prefix

    def _relative(self, paths: Iterable[RecordPath]) -> list[RecordPath]:
        """Return those paths of the store that are of this view, as paths of this view, sorted."""
        return sorted(path[len(self._prefix) :] for path in paths if self._is_below(path))


def checked_config(config: Mapping[str, Any]) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Return what ``to_config`` of a store gave, and the prefix of its view.

    Raises:
        DatabaseError: it is nothing of that kind.
    """
    if not isinstance(config, Mapping):  # not shown: it may be a URL with a password
        raise DatabaseError(
            f"expected a configuration, as to_config() gives it, found one of type {type(config).__qualname__}"
        )
    return config, Checks("a configuration", DatabaseError).names_or_none("the prefix", config.get("prefix")) or ()


def check_process(opener: int, location: object, database: str) -> None:
    """Check that a store is used by the process that opened it: connections and locks survive no fork.

    Args:
        opener: the id of that process.
        location: which store it is.
        database: its class, for the advice.

    Raises:
        DatabaseError: this process was forked from that one.
    """
    if os.getpid() != opener:
        raise DatabaseError(
            f"{location} was opened by the process that this one was forked from; "
            f"open it here again: {database}.from_config(database.to_config())"
        )


def closed_store(location: object) -> DatabaseError:
    """Return the error for the use of a store that was closed."""
    return DatabaseError(f"{location} was closed, by this view of it or another; open it again")
