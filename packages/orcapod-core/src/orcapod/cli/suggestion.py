"""``unknown``: the error for a name that nothing has, the nearest one, and all that there are, as typed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from shlex import quote

import click

from orcapod.display import one_line

__all__ = ["typed", "unknown"]

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
    there = ", ".join(_named(each, str) for each in names[:_MOST])
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    advice = f"did you mean {_named(near[0])}? " if near else ""
    there_are = f"there {'are' if names else 'is'} {there or 'none'}{more}"
    return click.UsageError(f"there is no {noun} {_named(name)}; {advice}{there_are}")


def _named(name: str, plain: Callable[[str], str] = repr) -> str:
    """Return a name for a message: as it is typed, where characters of it cannot be seen."""
    return plain(name) if one_line(name) == name else typed(name)


def typed(word: str) -> str:
    """Return a word as it is typed in a shell: by escapes, ``$'...'``, where characters of it cannot be seen."""
    if one_line(word) == word:
        return quote(word)
    return f"$'{''.join(map(_typed_character, word))}'"


def _typed_character(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if one_line(character) == character:
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode(errors="replace"))
