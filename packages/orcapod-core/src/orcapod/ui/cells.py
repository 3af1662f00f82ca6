"""``cell``: a stored value as a page shows it, without whatever is large of it being read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from orcapod.display import one_line, shortened, shown, sizes

__all__ = ["cell", "in_words"]

_DTYPE = re.compile(r"[<>|=]?([biufc])(\d+)")
_ELEMENTS = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex"}


def cell(stored: Any) -> str:
    """Return a value, as Arrow gives it, in one short line: an array by its elements and shape, a file by its path."""
    match stored:
        case None:
            return "–"
        case str():
            return one_line(shortened(stored))
        case datetime() | date() | time() | timedelta() | bool() | int() | float():
            return str(stored)
        case {"dtype": str(dtype), "shape": [*shape], "identity": _}:
            return f"{_elements(dtype)} array of {' × '.join(map(str, shape)) or 'no'} elements"
        case {"data": data, "size": size, "identity": _}:
            return f"value of {sizes(size or len(data or b''))[0]}"
        case {"path": path, "digest": _, "size": _}:
            return one_line(str(path))
        case _:
            return one_line(shown(stored))


def in_words(tags: Mapping[str, Any]) -> str:
    """Return the tags of a row in one line."""
    return ", ".join(f"{one_line(name)}={cell(value)}" for name, value in tags.items())


def _elements(dtype: str) -> str:
    known = _DTYPE.fullmatch(dtype)
    if known is None:
        return one_line(dtype)
    return "bool" if known[1] == "b" else f"{_ELEMENTS[known[1]]}{8 * int(known[2])}"
