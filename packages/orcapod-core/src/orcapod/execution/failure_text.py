"""``FailureText``: what is kept of a packet that failed, as text, taken apart."""

from __future__ import annotations

import re
from typing import NamedTuple, Self

from orcapod.errors import PacketAbandonedError
from orcapod.execution.packet_error import Location, location_in

__all__ = ["INTERRUPTIONS", "FailureText"]

INTERRUPTIONS = (PacketAbandonedError.__name__, KeyboardInterrupt.__name__)
"""Errors of packets that did not fail themselves: their run ended."""

_FRAME = re.compile(r'^ *File ".*', re.MULTILINE)
_GROUP = "  + Exception Group Traceback (most recent call last):\n"
_OUTSIDE = re.compile(r"^\S", re.MULTILINE)  # lines that are not of a group
_MARGIN = re.compile(r"^ *\| ?", re.MULTILINE)
_RULE = re.compile(r"^ *(?:\| )?\+[-+]*-{16,}.*$", re.MULTILINE)
_TYPE = re.compile(r"[^:\s]+")


class FailureText(NamedTuple):
    """Failure of a packet, as its traceback tells of it.

    Attributes:
        error: the exception's type, without its module; None if nothing is known.
        message: its type and text, notes included.
        location: the innermost line of the user's own code that it came through.
    """

    error: str | None
    message: str | None
    location: Location | None

    @classmethod
    def of(cls, trace: str | None, message: str | None) -> Self:
        """Return what a traceback says, or, where there is none, the exception as text alone."""
        told = _end(trace) if trace else message
        error = _TYPE.match(told or "")
        return cls(error[0].rpartition(".")[2] if error else None, told, location_in(trace or ""))


def _end(trace: str) -> str:
    """Return what a traceback ends with: the exception's type and text."""
    _, is_group, group = trace.rpartition(_GROUP)
    if is_group and not _OUTSIDE.search(group):
        told, *members = (_end(_MARGIN.sub("", part)) for part in _RULE.split(group) if part.strip())
        return "\n".join([told, *("  - " + member.replace("\n", "\n    ") for member in members)])
    frames = list(_FRAME.finditer(trace))
    lines = (trace[frames[-1].end() :] if frames else trace).splitlines()
    first = next((at for at, line in enumerate(lines) if line and not line.startswith(" ")), 0)
    return "\n".join(lines[first:]).strip()
