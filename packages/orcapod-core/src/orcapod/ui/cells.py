"""``cell``: a stored value as a page shows it, without whatever is large of it being read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from pprint import pformat
from typing import Any

import pyarrow as pa

from orcapod.display import one_line, shortened, shown, sizes
from orcapod.records import large_bytes
from orcapod.types.large import KEPT_FIELDS

__all__ = ["cell", "in_words", "output_cells", "whole"]

_KEPT = {name for name, _ in KEPT_FIELDS}
_DIGEST = re.compile("[a-z0-9-]+:[0-9a-f]{64}")
_SHORT_BYTES = 16
_MEMBERS = 5_000
_WIDTH = 100

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
        case bytes() if len(stored) > _SHORT_BYTES:
            return _in_bytes(len(stored))
        case {"dtype": str(dtype), "shape": [*shape], **kept} if {*kept} == _KEPT:
            return f"{_elements(dtype)} array of {' × '.join(map(str, shape)) or 'no'} elements"
        case {"data": data, "size": size, **others} if {*others, "data", "size"} - {"layout"} == _KEPT:
            return f"value of {sizes(size or len(data or b''))[0]}"
        case {"path": str(path), "digest": str(digest), "size": int(), **others} if not others and _DIGEST.fullmatch(
            digest
        ):
            return one_line(path)
        case _:
            return one_line(shown(stored))


def whole(stored: Any) -> str | None:
    """Return a text, or in lines a list or a mapping, of which a cell shows a part; None where it shows all.

    Of long lists the first members are there, of what lies in them and is no text its cell.
    """
    brief = cell(stored)
    if isinstance(stored, str):
        return stored if brief != stored else None
    if not isinstance(stored, list | Mapping) or brief != one_line(shown(stored)):
        return None
    told = pformat(_seen(stored, iter(range(_MEMBERS))), width=_WIDTH, sort_dicts=False, compact=True)
    return told if brief != told else None


def _seen(stored: Any, room: Iterator[int]) -> Any:
    """Return a value with as many members as there is room for."""
    if (isinstance(stored, bytes) and len(stored) > _SHORT_BYTES) or (isinstance(stored, dict) and {*stored} >= _KEPT):
        return cell(stored)
    if isinstance(stored, Mapping):
        return {name: _seen(each, room) for (name, each), _ in zip(stored.items(), room, strict=False)}
    if isinstance(stored, list | tuple):
        found = [_seen(each, room) for each, _ in zip(stored, room, strict=False)]
        return type(stored)(found if len(found) == len(stored) else [*found, "…"])
    return stored


def output_cells(results: pa.Table) -> dict[str, list[str]]:
    """Return the outputs of results as they are stored, by column: bytes that lie in files by their size."""
    found = {name: [*map(cell, results.column(name).to_pylist())] for name in results.column_names if name[0] != "_"}
    for name, files in large_bytes(results).items():
        for row, file in files.items():
            found[name][row] = _in_bytes(file["size"])
    return found


def _in_bytes(size: int) -> str:
    return f"{sizes(size)[0]} of bytes"


def in_words(tags: Mapping[str, Any]) -> str:
    """Return the tags of a row in one line."""
    return ", ".join(f"{one_line(name)}={cell(value)}" for name, value in tags.items())


def _elements(dtype: str) -> str:
    known = _DTYPE.fullmatch(dtype)
    if known is None:
        return one_line(dtype)
    return "bool" if known[1] == "b" else f"{_ELEMENTS[known[1]]}{8 * int(known[2])}"
