"""Objects of installed classes: what they would be rebuilt from, or, where that is not to be had, which they are."""

from __future__ import annotations

import copyreg
import functools
import gc
import itertools
import os
import pickletools
import re
import sys
import threading
import uuid
import weakref
from collections.abc import Iterator
from contextlib import suppress
from contextvars import ContextVar
from operator import attrgetter
from typing import Any, cast

from orcapod.hashing.code.ownership import is_own

__all__ = ["NotTakenApart", "live_identity", "taken_apart"]

_WRAPPERS = {  # what wraps a function and changes while it runs: the attributes that say what it does
    "numba.core.dispatcher.Dispatcher": ("py_func", "targetoptions"),
    "numpy.vectorize": ("pyfunc", "otypes", "signature", "excluded", "cache"),
    "pydantic._internal._validate_call.ValidateCallWrapper": ("function", "validate_return"),
}
_PICKLE = re.compile(rb"\x80[\x04\x05]\x95")  # how one begins, of the protocols that have frames
_KEY = type(functools.cmp_to_key(lambda one, other: 0))
_PROTOCOL = 4  # of pickle: what an object gives is made of plain Python objects


class NotTakenApart(Exception):  # noqa: N818 - nothing has gone wrong
    """Reason why an object cannot be taken apart."""


def taken_apart(item: Any, cls: Any) -> tuple[Any, ...] | str:
    """Return what an object would be rebuilt from, as pickle does it; or the name by which it is found.

    Raises:
        NotTakenApart: there is no such thing.
        Exception: whatever the class of the object raises when it is asked.
    """
    for base in cls.__mro__:
        if attributes := _WRAPPERS.get(f"{base.__module__}.{base.__qualname__}"):
            return tuple(getattr(item, name, None) for name in attributes)
    if issubclass(cls, weakref.WeakKeyDictionary | weakref.WeakValueDictionary):
        return tuple(item.items())
    if issubclass(cls, weakref.WeakSet):
        return (frozenset(item),)
    if cls is weakref.ref:
        return (item(),)
    if cls is ContextVar:
        return item.name, _current(item)
    if cls is threading.local:
        return (vars(item),)
    if hasattr(cls, "__next__"):
        raise NotTakenApart("an iterator")
    reduced: Any
    if (reducer := copyreg.dispatch_table.get(cls)) is not None:
        reduced = reducer(item)
        return cast("tuple[Any, ...] | str", reduced)
    try:
        reduced = cls.__reduce_ex__(item, _PROTOCOL)
    except (TypeError, NotImplementedError):
        if cls is not _KEY and not callable(getattr(item, "__wrapped__", None)):
            raise NotTakenApart(f"a live object of type {cls.__qualname__}") from None
        # A compiled wrapper: what it refers to, in the order in which it is declared.
        return tuple(part for part in gc.get_referents(item) if part is not cls)
    if cls.__module__.startswith("pandas."):
        reduced = _without_caches(reduced)
    if cls.__module__.startswith(("polars.expr.", "polars.lazyframe.")):
        found = [each for part in reduced if type(part) is bytes for each in _own_globals(part)]
        reduced = (*reduced, *found)
    return cast("tuple[Any, ...] | str", reduced)


def _own_globals(data: bytes) -> Iterator[object]:
    """Yield the user's functions and classes that pickles in the bytes of an expression refer to by name."""
    for start in _PICKLE.finditer(data):
        with suppress(ValueError, IndexError):  # bytes of other kinds may look like the beginning of a pickle
            for module, name in _globals_of(data[start.start() :]):
                if is_own(module) and module in sys.modules:
                    yield attrgetter(name)(sys.modules[module])


def _globals_of(pickled: bytes) -> Iterator[tuple[str, str]]:
    """Yield the module and name of each global that a pickle refers to, loading nothing."""
    pushed: list[Any] = []
    memo: list[Any] = []
    for opcode, argument, _ in pickletools.genops(pickled):
        match opcode.name:
            case "MEMOIZE":
                memo.append(pushed[-1])
            case "BINGET" | "LONG_BINGET":
                pushed.append(memo[cast(int, argument)])
            case "STACK_GLOBAL":
                yield pushed[-2], pushed[-1]
                pushed.append(None)
            case "FRAME":  # between any two others
                pass
            case _:
                pushed.append(argument)


def _current(variable: ContextVar[Any]) -> Any:
    """Return what the context says for a variable, or its default; None if neither says anything."""
    try:
        return variable.get()
    except LookupError:
        return None


def _without_caches(reduced: Any) -> Any:
    """Return what pandas rebuilds an object from, without what it keeps of what was asked of it."""
    match reduced:
        case (make, arguments, {"_cache": _, **state}, *more):
            return make, arguments, state, *more
        case (make, arguments, (*parts, {"_cache": _, **state}), *more):  # of dates: dtype, elements, attributes
            return make, arguments, (*parts, state) if state else (*parts,), *more
    return reduced


_process = uuid.uuid4().hex
_counter = itertools.count()
_lock = threading.Lock()
_known: dict[int, tuple[Any, int]] = {}


def live_identity(item: object) -> bytes:
    """Return bytes that are this object's alone, in this process and among all others."""
    with _lock:
        reference, number = _known.get(id(item), (None, 0))
        held = reference() if isinstance(reference, weakref.ref) else reference
        if held is not item:
            number = next(_counter)
            try:
                reference = weakref.ref(item)
            except TypeError:
                reference = item  # it stays, so that its id is never another's
            _known[id(item)] = reference, number
    return f"{_process} {os.getpid()} {number}".encode()
