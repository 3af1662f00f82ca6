"""``PacketError``: a packet that failed, and where in the user's code."""

from __future__ import annotations

import re
import sysconfig
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from orcapod.arrow import array_of, texts_of
from orcapod.datagrams import Packet, Tag
from orcapod.display import one_line, printable

__all__ = ["Location", "PacketError", "PacketErrors", "location_in"]

_FRAME = re.compile(r'^[\s|]*File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>.+)$', re.MULTILINE)
_FROM_A_WORKER = "In the worker process:"  # so begins a note that holds what a traceback cannot: frames elsewhere
_COMPILED = (".pyx", ".pxi", ".pxd")
_CELLS = ("<ipython-input-", "<stdin>")


class Location(NamedTuple):
    """Line of a file, in a function."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        path = Path(self.file)
        shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        return one_line(f'File "{shown}", line {self.line}, in {self.function}')


@dataclass(frozen=True, slots=True)
class PacketError:
    """A packet that failed.

    Printed, it says which packet, the exception's type, its whole message and notes, and where it was raised.

    Attributes:
        node_label: in which node.
        tag: the keys of its row.
        packet: what the function was given.
        exception: what the function raised, as itself.
    """

    node_label: str
    tag: Tag
    packet: Packet
    exception: BaseException

    @property
    def location(self) -> Location | None:
        """The innermost line of the user's own code that the exception came through, in whatever process."""
        own = [frame for frame in _frames(self.exception) if _is_users(frame.file)]
        return own[-1] if own else None

    @property
    def message(self) -> str:
        """The exception's type and text, its notes, and the members of a group."""
        return _described(self.exception)

    def __str__(self) -> str:
        tag = ", ".join(f"{one_line(name)}={value!r}" for name, value in self.tag.items())
        where = self.location
        return f"{one_line(self.node_label)}({tag}): {printable(self.message)}" + (f"\n  {where}" if where else "")


class PacketErrors(tuple[PacketError, ...]):
    """The packets that failed in a run, in the order in which they did."""

    __slots__ = ()

    def to_table(self) -> pa.Table:
        """Return a row for each: node, the tags as text, error, message, file, line and function.

        A lone surrogate, as names of files have it that are no text, is there as Python escapes it.
        """
        names = list(dict.fromkeys(name for error in self for name in error.tag))
        tags = [{name: str(value) for name, value in error.tag.items() if value is not None} for error in self]
        locations = [error.location or (None, None, None) for error in self]
        columns: dict[str, pa.Array[Any]] = {"node": texts_of([error.node_label for error in self])}
        columns |= {name: texts_of([each.get(name) for each in tags]) for name in names}
        columns |= {
            "error": texts_of([type(error.exception).__qualname__ for error in self]),
            "message": texts_of([error.message for error in self]),
            "file": texts_of([location[0] for location in locations]),
            "line": array_of([location[1] for location in locations], pa.int64()),
            "function": texts_of([location[2] for location in locations]),
        }
        return pa.table(columns)

    def to_pandas(self) -> Any:
        """Return ``to_table`` as a ``pandas.DataFrame``."""
        frame = self.to_table().to_pandas()
        frame["line"] = frame["line"].astype("Int64")  # one that is not known would make floats of all
        return frame


def location_in(text: str) -> Location | None:
    """Return the innermost line of the user's own code in the text of a traceback."""
    frames = [Location(each["file"], int(each["line"]), each["function"]) for each in _FRAME.finditer(text)]
    own = [frame for frame in frames if _is_users(frame.file)]
    return own[-1] if own else None


def _described(error: BaseException) -> str:
    text = "".join(traceback.format_exception_only(error)[: 1 if isinstance(error, BaseExceptionGroup) else None])
    for note in getattr(error, "__notes__", ()):
        if str(note).startswith(_FROM_A_WORKER):
            text = text.replace(f"{note}\n", "")
    lines = [text.strip()]
    if isinstance(error, BaseExceptionGroup):
        members = (_described(member).replace("\n", "\n    ") for member in error.exceptions)
        lines += [f"  - {member}" for member in members]
    return "\n".join(lines)


def _frames(error: BaseException) -> Iterator[Location]:
    for frame in traceback.extract_tb(error.__traceback__):
        yield Location(frame.filename, frame.lineno or 0, frame.name)
    for note in getattr(error, "__notes__", ()):
        if str(note).startswith(_FROM_A_WORKER):
            for found in _FRAME.finditer(str(note)):
                yield Location(found["file"], int(found["line"]), found["function"])


@cache
def _installed() -> tuple[str, ...]:
    """Return where the standard library and installed packages lie, and orcapod itself."""
    paths = sysconfig.get_paths()
    folders = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return (*(f"{folder}/" for folder in folders), f"{Path(__file__).parent.parent}/")


def _is_users(file: str) -> bool:
    if file.startswith("<"):
        return file.startswith(_CELLS)
    return not (file.startswith(_installed()) or file.endswith(_COMPILED) or "/site-packages/" in file)
