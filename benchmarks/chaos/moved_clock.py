"""A clock of this process that can be set, as orcapod's modules see it: ``time`` and ``now`` of ``datetime``.

What does not ask Python for the time is not moved: ``time.monotonic``, as on a machine whose clock is set; the file
system, the server of a store, what is compiled (the log of a Delta table is written by such), and other processes,
workers among them.
"""

from __future__ import annotations

import datetime
import sys
import time
from typing import Any

_OF_VALUES = ("orcapod.types", "orcapod.hashing", "orcapod.datagrams")  # where datetime is a type, and no clock
_shift = 0.0
_time, _time_ns, _datetime = time.time, time.time_ns, datetime.datetime


def jump(seconds: float) -> None:
    """Set the clock back or forth."""
    global _shift  # the one clock of a process
    _shift += seconds
    time.time, time.time_ns = _moved_time, _moved_time_ns
    for name, module in list(sys.modules.items()):
        if name.startswith("orcapod") and not name.startswith(_OF_VALUES):
            for each, value in list(vars(module).items()):
                if value is _time:
                    setattr(module, each, _moved_time)
                if value is _datetime:
                    setattr(module, each, _MovedDatetime)


def _moved_time() -> float:
    return _time() + _shift


def _moved_time_ns() -> int:
    return _time_ns() + int(_shift * 1e9)


class _AnyDatetime(type):
    """The type of a class that is to be taken for ``datetime``."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _datetime)

    def __eq__(cls, other: object) -> bool:
        return other is cls or other is _datetime

    def __hash__(cls) -> int:
        return hash(_datetime)


class _MovedDatetime(_datetime, metaclass=_AnyDatetime):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return _datetime.now(tz) + datetime.timedelta(seconds=_shift)
