"""How functions and values get to workers that do not have the user's modules: by value."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ray import cloudpickle

from orcapod.errors import ExecutionError
from orcapod.hashing import is_own
from orcapod_ray.batch import CODE_OF_CALLS, Pickler, pickled

__all__ = ["WorkerPickler", "by_value", "shipped"]

_LOCK = threading.RLock()
_SEEN: set[str] = set()  # modules that were there before; there are thousands, and this is asked for every batch
_OWN: set[str] = set()


@contextmanager
def by_value() -> Iterator[None]:
    """Have Ray's cloudpickle send the user's own code meanwhile, not the names of its modules."""
    with _LOCK:
        new = sys.modules.keys() - _SEEN
        _SEEN.update(new)
        _OWN.update(name for name in new if _travels(name))
        known = cloudpickle.list_registry_pickle_by_value()  # type: ignore[no-untyped-call]  # untyped in Ray
        modules = [sys.modules[name] for name in _OWN if name in sys.modules and name not in known]
        for module in modules:
            cloudpickle.register_pickle_by_value(module)  # type: ignore[no-untyped-call]  # untyped in Ray
        try:
            yield
        finally:
            for module in modules:
                cloudpickle.unregister_pickle_by_value(module)  # type: ignore[no-untyped-call]  # untyped in Ray


def shipped(fn: Callable[..., Any]) -> bytes:
    """Return a function as bytes, by value; by name, where it lives with something that cannot be sent, such as a lock.

    Raises:
        ExecutionError: it can be sent neither way.
    """
    try:
        with by_value():
            return pickled(fn, pickler=WorkerPickler)
    except Exception as error:  # noqa: BLE001  # pickling runs code of the user's
        try:
            return pickled(fn, pickler=WorkerPickler)
        except Exception:  # noqa: BLE001  # the first reason says more
            name = getattr(fn, "__qualname__", fn)
            raise ExecutionError(
                f"{name} cannot be sent to Ray workers: {error}; make what it refers to inside the function"
            ) from error


class WorkerPickler(Pickler):
    """A pickler for workers: what is of this process's main module is, there, of their main module."""

    def __init__(self, file: Any, **options: Any) -> None:
        super().__init__(file, **options)  # type: ignore[no-untyped-call]  # untyped in Ray
        self.globals_ref[id(vars(sys.modules["__main__"]))] = _MainGlobals()


class _MainGlobals(dict[str, Any]):
    """The globals of functions of the main module, which are those of the worker's main module there."""

    def __reduce__(self) -> tuple[Any, ...]:
        return vars, (sys.modules["__main__"],)


def _travels(module: str) -> bool:
    if module in CODE_OF_CALLS:
        return True
    return module.partition(".")[0] not in ("orcapod_ray", "__main__", "__mp_main__") and is_own(module)
