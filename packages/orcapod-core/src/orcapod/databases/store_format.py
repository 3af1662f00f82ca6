"""The format of a store: which recipes its paths, names and keys were made by."""

from __future__ import annotations

from orcapod.errors import StoreVersionError

__all__ = ["STORE_FORMAT", "check_format"]

STORE_FORMAT = 8
"""The format of new stores.

In 1, results lay below the names of pipelines; in 2, they had no checksums; in 3, SQLite files had an index per table;
in 4, large values lay in their rows; in 5, no row of a node said which run wrote it; in 6, no other tool could find the
pieces of long lists; in 7, these had ids as hexadecimal digits, and keys as lists.
"""


def check_format(found: int, *, location: object, package: str) -> None:
    """Check that a store is of the format that this version reads and writes.

    Args:
        found: the format that the store says it has.
        location: which store it is.
        package: the distribution that reads it.

    Raises:
        StoreVersionError: it is of another; says what to do.
    """
    if found == STORE_FORMAT:
        return
    if found > STORE_FORMAT:
        advice = f"written by a newer {package}; this one reads format {STORE_FORMAT}: upgrade it"
    else:
        advice = (
            f"written by an older {package}; this one reads format {STORE_FORMAT}. "
            "Nothing of it was touched: give another store, where everything is computed once more, or read this one "
            f"with the {package} that wrote it"
        )
    raise StoreVersionError(
        f"{location} has format {found}, {advice}", expected=f"format {STORE_FORMAT}", found=f"format {found}"
    )
