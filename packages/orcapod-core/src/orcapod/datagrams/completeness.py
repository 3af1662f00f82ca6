"""``Completeness``: what of a row is there after something that it is made of has failed."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["COMPLETENESS", "Completeness"]

COMPLETENESS = "__completeness"
"""The batch column of a chunk that holds it; all rows are whole where there is none."""


class Completeness(IntEnum):
    """Completeness of a row. What is made of several rows is as complete as the least complete of them."""

    WHOLE = 0
    """It has a packet, which is made of all that it was meant to be made of."""
    PARTIAL = 1
    """It has a packet, though rows are missing that it was meant to be made of: somebody wanted it all the same."""
    MISSING = 2
    """It has no packet, only tags and ids: it has failed, or is made of what has failed."""
    UNCERTAIN = 3
    """It has no packet, and whether it would be no row, one or several depends on what has failed."""
