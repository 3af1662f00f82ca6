"""``failure_kinds``: packets that failed, those together that failed alike."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from orcapod.display import one_line, printable
from orcapod.execution.packet_error import Location

__all__ = ["FailureKind", "failure_kinds"]

_QUOTED = re.compile(r"""(?<!\w)(?:'[^'\n]*'|"[^"\n]*"|`[^`\n]*`)""")
_NUMBERS = re.compile(r"(?:[-+]?(?:(?<![\w-])[\w-]*\d[\w.-]*|\b(?:nan|inf|infinity)\b))+", re.IGNORECASE)
"""Words with a digit, looked at once from where they begin, so that long ones take no longer than short ones."""

_TELLING = 500  # characters of a message, without its values, that tell what kind it is of
_MOST = 2_000  # characters of a message that a person is shown


@dataclass(frozen=True, slots=True)
class FailureKind:
    """Packets that failed alike: of one type of exception, at one place, with one message but for its values.

    Attributes:
        error: the exception's type; empty if nothing is known of it.
        message: that of the first of them, its type included.
        location: where in the user's code; None if it came through none.
        nodes: the labels of their nodes.
        rows: which rows they are of the table that was given.
    """

    error: str
    message: str
    location: Location | None
    nodes: tuple[str, ...]
    rows: Sequence[int]

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self.rows)

    def __str__(self) -> str:
        message = self.message if len(self.message) <= _MOST else f"{self.message[:_MOST]}…"
        nodes = ", ".join(map(one_line, self.nodes))
        text = f"{self.count:,} × {printable(message) or 'nothing is known of it'} ({nodes})"
        return f"{text}\n  {self.location}" if self.location else text


def failure_kinds(failures: pa.Table) -> list[FailureKind]:
    """Return the kinds of failures, those of most packets first.

    Two are of one kind if their exceptions are of one type, came through the same line of the user's code, and the last
    lines of their messages are equal but for numbers and what is quoted, as far as the first 500 characters of that.

    Args:
        failures: a row for each packet, with the columns ``node``, ``error``, ``message``, ``file``, ``line`` and
            ``function``; as ``PacketErrors.to_table`` and ``failed_packets`` give it.
    """
    names = ("node", "error", "message", "file", "line", "function")
    columns: list[list[Any]] = [failures.column(name).to_pylist() for name in names]
    kinds: dict[tuple[Any, ...], list[int]] = {}
    blanks: dict[str, str] = {}
    for row, (_, error, message, *place) in enumerate(zip(*columns, strict=True)):
        last = (message or "").rpartition("\n")[2]
        if last not in blanks:
            blanks[last] = _NUMBERS.sub("#", _QUOTED.sub("''", last))[:_TELLING]
        kinds.setdefault((error, blanks[last], *place), []).append(row)
    nodes, _, messages, *_ = columns
    found = [
        FailureKind(
            error or "",
            messages[rows[0]] or "",
            None if file is None else Location(file, line, function),
            tuple(dict.fromkeys(nodes[row] for row in rows)),
            tuple(rows),
        )
        for (error, _, file, line, function), rows in kinds.items()
    ]
    return sorted(found, key=lambda kind: -kind.count)
