"""``ExistingDatabaseProtocol``: a class of stores that looks for one, and makes none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

__all__ = ["ExistingDatabaseProtocol"]


@runtime_checkable
class ExistingDatabaseProtocol(Protocol):
    """Class of databases that says whether there is one; of others, only a path that is not there is noticed."""

    def check_existing(self, location: str | Mapping[str, Any]) -> None:
        """Check that there is a store where a URL or a configuration says, and make nothing.

        Raises:
            DatabaseError: there is none, or it cannot be looked at.
        """
        ...
