"""``decoding``: what a record says that was stored as text, or that it was damaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from orcapod.display import shown
from orcapod.errors import DatabaseError
from orcapod.protocols.database import RecordPath

__all__ = ["decoding"]


@contextmanager
def decoding(path: RecordPath, key: object, column: str) -> Iterator[None]:
    """Raise what a block raises over a damaged record as an error of the store that says which one.

    Raises:
        DatabaseError: the block cannot read what the record says.
    """
    try:
        yield
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise DatabaseError(
            f"{'/'.join(path)}: column {column!r} of the record {shown(key)} is damaged: {error!r:.200}; restore the "
            "store from a copy, or delete that record",
            column=column,
        ) from error
