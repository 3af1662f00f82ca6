"""``fair_share``: how much each may have, so that all together have no more than there is room for."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["fair_share"]


def fair_share(amounts: Sequence[int], room: int) -> int:
    """Return the most that each may have: those that want less leave the rest to the others."""
    for number, amount in enumerate(sorted(amounts)):
        if amount * (len(amounts) - number) > room:
            return room // (len(amounts) - number)
        room -= amount
    return max(amounts, default=0)
