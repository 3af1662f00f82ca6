"""Checks of what users hand in, made at the door: each returns what it was given, or says what was expected."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from threading import TIMEOUT_MAX
from typing import Any, TypeVar

from orcapod.display import discreet, shown
from orcapod.errors import ConfigError, OrcapodError

__all__ = ["MOST_AT_ONCE", "Checks", "checked_object"]

MOST_AT_ONCE = 10_000
"""How many threads, processes or connections are more than a machine has room for."""

T = TypeVar("T")

_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_POWERS = ["", "k", "m", "g", "t"]
_DURATION = re.compile(r"([0-9]{1,5}) ?([hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
_LONGEST = timedelta(days=365_250)


class Checks:
    """Checks of the arguments of one function or class, each of which gives an argument back.

    Args:
        owner: what takes the arguments, as messages call it; empty where the arguments say it all.
        error: what is raised for a wrong one.
    """

    __slots__ = ("_error", "_owner")

    def __init__(self, owner: str = "", error: type[OrcapodError] = ConfigError) -> None:
        self._owner = f"{owner}: " if owner else ""
        self._error = error

    def wrong(self, name: str, found: object, expected: str, advice: str = "") -> OrcapodError:
        """Return the error for an argument that is not what it has to be."""
        return self._refusal(name, shown(found), expected, advice)

    def wrong_type(self, name: str, found: object, expected: str, advice: str) -> OrcapodError:
        """Return the error for an argument of another type."""
        if isinstance(found, type):
            return self._refusal(name, f"the class {found.__name__}", expected, advice)
        return self._refusal(name, f"{shown(found)} of type {type(found).__qualname__}", expected, advice)

    def _refusal(self, name: str, found: str, expected: str, advice: str) -> OrcapodError:
        what_to_do = f"; {advice}" if advice else ""
        message = f"{self._owner}found {name} {found}, expected {expected}{what_to_do}"
        return self._error(message, expected=expected, found=found)

    def instance(self, name: str, found: object, cls: type[T] | tuple[type[T], ...], expected: str, advice: str) -> T:
        """Return an object of a class, or of one of several."""
        if isinstance(found, cls):
            return found
        if isinstance(found, type) and issubclass(found, cls):
            advice = f"make one: {found.__name__}(...)"
        raise self.wrong_type(name, found, expected, advice)

    def text(self, name: str, found: object) -> str:
        """Return a text, which has to be one that can be written down."""
        if not isinstance(found, str):
            raise self.wrong_type(name, found, "a text", "give a str")
        if not found.isascii():
            try:
                found.encode()
            except UnicodeEncodeError:
                raise self.wrong(
                    name, found, "a text of Unicode characters", "take the lone surrogate out, which nothing can store"
                ) from None
        return found

    def text_or_none(self, name: str, found: object) -> str | None:
        """Return a text, or None."""
        return None if found is None else self.text(name, found)

    def names(self, name: str, found: object) -> tuple[str, ...]:
        """Return one name or several, as a tuple."""
        if isinstance(found, str):
            return (self.text(name, found),)
        names = tuple(self.iterable(name, found, "a name or a list of names", "give texts, as in ['a', 'b']"))
        for each in names:
            if not isinstance(each, str):
                raise self.wrong_type(f"{name} with", each, "names that are texts", "give texts, as in ['a', 'b']")
            self.text(f"{name} with", each)
        return names

    def names_or_none(self, name: str, found: object) -> tuple[str, ...] | None:
        """Return one name or several, as a tuple, or None."""
        return None if found is None else self.names(name, found)

    def mapping(self, name: str, found: object, example: str) -> Mapping[str, Any]:
        """Return names and what belongs to each."""
        if not isinstance(found, Mapping):
            raise self.wrong_type(name, found, f"a dict such as {example}", "give names and what belongs to each")
        for each in found:
            self.text(f"{name} with the name", each)
        return found

    def mapping_or_empty(self, name: str, found: object, example: str) -> Mapping[str, Any]:
        """Return names and what belongs to each; nothing for None."""
        return {} if found is None else self.mapping(name, found, example)

    def members(self, name: str, found: object) -> tuple[Any, ...]:
        """Return the members of a list of anything."""
        if isinstance(found, str | bytes | Mapping) or not isinstance(found, Iterable):
            raise self.wrong_type(name, found, "a list", f"give one, as in {name}=[{shown(found)}]")
        return tuple(found)

    def iterable(self, name: str, found: object, expected: str, advice: str) -> Iterable[Any]:
        """Return what has members."""
        if not isinstance(found, Iterable):
            raise self.wrong_type(name, found, expected, advice)
        return found

    def function(self, name: str, found: object) -> Callable[..., Any]:
        """Return what can be called."""
        if not callable(found):
            raise self.wrong_type(name, found, "a function", "give one")
        return found

    def choice(self, name: str, found: object, choices: Iterable[str]) -> Any:
        """Return one of several texts."""
        known = tuple(choices)
        if not isinstance(found, str) or found not in known:
            raise self.wrong(name, found, f"one of {known}")
        return found

    def count(self, name: str, found: object, *, least: int, most: int | None = None, also: str = "") -> int:
        """Return a whole number of a range.

        Args:
            name: what it is called.
            found: what was given.
            least: the smallest that has a meaning.
            most: the largest; None for any.
            also: what else may be given, as messages say it.
        """
        if type(found) is not int or found < least or (most is not None and found > most):
            to = "on" if most is None else f"to {most:,}"
            raise self.wrong(name, found, f"an int from {least} {to}{also}")
        return found

    def seconds(self, name: str, found: object, *, unit: str = "seconds", also: str = "") -> float:
        """Return an amount of seconds that one can wait: more than 0, and no more than a clock can count."""
        if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found <= TIMEOUT_MAX:
            raise self.wrong(name, found, f"{unit}, more than 0{also}")
        return found

    def duration(self, name: str, found: object) -> timedelta:
        """Return an amount of time: a timedelta, or a text such as ``90d``, ``12h`` or ``2w``; at most 1,000 years."""
        duration: object = found
        if isinstance(found, str) and (match := _DURATION.fullmatch(found.strip())):
            number, unit = match.groups()
            duration = timedelta(**{_UNITS[unit]: int(number)})
        if isinstance(duration, timedelta) and timedelta() <= duration <= _LONGEST:
            return duration
        raise self.wrong(
            name,
            found,
            "an amount of time, at most 1,000 years",
            "write a text such as '90d', '12h' or '2w', or a timedelta",
        )

    def size(self, name: str, found: object, *, least: int) -> int:
        """Return an amount of memory in bytes: an int, or a text such as ``2 GiB`` or ``500MB``.

        Args:
            name: what it is called.
            found: what was given.
            least: the fewest bytes that have a meaning.
        """
        size: object = found
        if isinstance(found, str) and (match := _SIZE.fullmatch(found.strip())):
            number, unit, is_binary = match.groups()
            size = int(float(number) * (1024 if is_binary else 1000) ** _POWERS.index(unit.lower()))
        if type(size) is not int or size < least:
            raise self.wrong(
                name,
                found,
                f"{least >> 20} MiB or more",
                "write a text such as '2 GiB' or '500 MB', or an int of bytes",
            )
        return size

    def flag(self, name: str, found: object) -> bool:
        """Return True or False."""
        if not isinstance(found, bool):
            raise self.wrong(name, found, "True or False")
        return found

    def file(self, name: str, found: object) -> str:
        """Return the path of a file or a folder, which need not be there, but has to be one that could be."""
        if not isinstance(found, str | os.PathLike) or not isinstance(path := os.fspath(found), str):
            raise self.wrong_type(name, found, "a path", "give a str or a pathlib.Path")
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            pass  # what it takes to be there is asked by who opens it
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise self.wrong(name, found, "the path of a file that can be", f"this one cannot: {why}") from None
        return path


def checked_object(found: object, protocol: type, *, noun: str, ways: str) -> Any:
    """Return what was handed in, if it is what it has to be.

    Args:
        found: what was handed in.
        protocol: what it has to answer; how it may be made again (``from_...``) is not asked for.
        noun: what it is called in messages, for example ``a database``.
        ways: what else may be handed in, for example ``give a Database, a URL or a path``.

    Raises:
        ConfigError: it is a class, or lacks what is expected of it.
    """
    if isinstance(found, type):
        raise ConfigError(
            f"found the class {found.__name__}, expected {noun}; make one: {found.__name__}(...)",
            expected=noun,
            found=found.__name__,
        )
    wanted = [name for name in dir(protocol) if not name.startswith(("_", "from_"))]
    if missing := [name for name in wanted if not hasattr(found, name)]:
        some = "" if len(missing) == len(wanted) else f" that has {', '.join(missing)} too"
        kind = type(found).__qualname__
        raise ConfigError(
            f"found {discreet(found, quoted=True)} of type {kind}, expected {noun}{some}; {ways}",
            expected=noun,
            found=kind,
        )
    return found
