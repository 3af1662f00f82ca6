"""Walks over syntax trees that are deeper than Python lets its own code go by default."""

import sys
import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["deeply"]

T = TypeVar("T")

_DEEPEST = 50_000  # frames; the compiler of Python itself ends at trees of some thousand levels
_lock = threading.Lock()


def deeply(walk: Callable[[], T]) -> T:
    """Return what a walk returns; with a higher limit where the usual one is too low for it.

    Raises:
        RecursionError: that is too low as well.
    """
    try:
        return walk()
    except RecursionError:
        pass
    with _lock:
        usual = sys.getrecursionlimit()
        sys.setrecursionlimit(usual + _DEEPEST)
        try:
            return walk()
        finally:
            sys.setrecursionlimit(usual)
