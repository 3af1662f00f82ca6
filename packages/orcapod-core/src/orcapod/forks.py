"""``leave_if_forked``: a process that a user's function has forked ends where the function does.

A child of ``os.fork`` comes out of the function as its parent does. It must not go on with the run, which is its
parent's.
"""

from __future__ import annotations

import os
import sys
import traceback

__all__ = ["generation", "leave_if_forked"]


class _State:
    forks = 0


def _forked() -> None:
    _State.forks += 1


if hasattr(os, "register_at_fork"):  # elsewhere nothing forks
    os.register_at_fork(after_in_child=_forked)


def generation() -> int:
    """Return how many forks this process is away from the first one."""
    return _State.forks


def leave_if_forked(since: int, error: BaseException | None = None) -> None:
    """End this process, if it was forked since its generation was ``since``, as Python would end it.

    Args:
        since: what ``generation`` gave before the user's function was called.
        error: what the function raised.
    """
    if _State.forks == since:
        return
    code = 0 if error is None else 1
    try:
        if isinstance(error, SystemExit) and isinstance(error.code, int | None):
            code = error.code or 0
        elif isinstance(error, SystemExit):
            sys.stderr.write(f"{error.code}\n")
        elif error is not None:
            traceback.print_exception(error)
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    finally:
        os._exit(code & 0xFF)  # also where nothing can be printed any more: nothing else ends a process so surely
