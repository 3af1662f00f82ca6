"""``unknown``: the error for a name that nothing has, with the nearest one, or all that there are."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

import click

__all__ = ["unknown"]

_MOST = 20


def unknown(noun: str, name: str, known: Iterable[str]) -> click.UsageError:
    """Return the error for a name that nothing has.

    Args:
        noun: of what it is the name.
        name: the name.
        known: those that there are.
    """
    names = [*dict.fromkeys(known)]
    near = get_close_matches(name, names, n=1)
    there = ", ".join(names[:_MOST]) + (f" and {len(names) - _MOST} more" if len(names) > _MOST else "")
    advice = f"did you mean {near[0]!r}? " if near else ""
    return click.UsageError(f"there is no {noun} {name!r}; {advice}there {'are' if names else 'is'} {there or 'none'}")
