"""``rebuild``: an exception that was raised in another process becomes itself again in this one."""

from __future__ import annotations

import builtins
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from orcapod.executors.worker import is_field, nearest_builtin, text_of

__all__ = ["rebuild"]


def rebuild(failure: Mapping[str, Any]) -> BaseException:
    """Return the exception that a worker took apart; its traceback there comes along as a note.

    It is of its own type if that can be had here, and says what it said there; what of it could not be
    sent is named in the note.
    """
    made_again = (_made_again(attempt, failure) for attempt in _attempts(failure))
    error = next(filter(None, made_again), None) or _stand_in(failure)
    note = f"In the worker process:\n{failure['trace'].rstrip()}"
    if failure["lost"]:
        note += f"\nIts attributes that cannot be sent between processes: {', '.join(failure['lost'])}"
    vars(error)["__notes__"] = [*vars(error).get("__notes__", ()), note]
    return error


def _made_again(attempt: Callable[[], BaseException], failure: Mapping[str, Any]) -> BaseException | None:
    """Return what an attempt gives, if it says what the exception said."""
    try:
        error = attempt()
        for name, content in failure["attributes"].items():
            with suppress(Exception):  # code of the user's, or a field that cannot be set
                _set(error, name, pickle.loads(content))  # noqa: S301  # from our worker
        return error if failure["members"] or failure["text"] in (None, text_of(error)) else None
    except BaseException:  # noqa: BLE001  # code of the user's
        return None


def _stand_in(failure: Mapping[str, Any]) -> BaseException:
    """Return the nearest builtin exception that can say what the exception said, and what it was called."""
    said = f"{failure['name']}: {failure['text']}"
    for base in getattr(builtins, failure["builtin"]).__mro__:
        with suppress(TypeError):  # it wants other arguments
            error: BaseException = base(said)
            return error
    return Exception(said)


def _attempts(failure: Mapping[str, Any]) -> Iterator[Callable[[], BaseException]]:
    if failure["own"] is not None:
        yield lambda: pickle.loads(failure["own"])  # noqa: S301  # from our worker
    members = [rebuild(member) for member in failure["members"]]
    if failure["type"] is not None:
        yield lambda: _assembled(pickle.loads(failure["type"]), failure, members)  # noqa: S301  # likewise
        yield lambda: _assembled(_worded(pickle.loads(failure["type"]), failure["text"]), failure, members)  # noqa: S301  # likewise
    if members:
        group = getattr(builtins, failure["builtin"])
        yield lambda: group(f"{failure['name']}: {failure['text']}", members)


def _assembled(type_: type[BaseException], failure: Mapping[str, Any], members: list[BaseException]) -> BaseException:
    """Return an exception without having run its own constructor, which may take other arguments than ``args``."""
    builtin: Any = nearest_builtin(type_)
    args = [failure["text"], members] if members else [pickle.loads(arg) for arg in failure["args"]]  # noqa: S301  # from our worker
    error: BaseException = builtin.__new__(type_, *args)
    builtin.__init__(error, *args)  # sets what a builtin keeps beside args: the code of an exit, for one
    return error


def _worded(type_: type[BaseException], text: str) -> type[BaseException]:
    """Return a type of the same name that says this, whatever it is that its own way of saying it lacks."""
    namespace = {"__str__": lambda _: text, "__module__": type_.__module__, "__qualname__": type_.__qualname__}
    return type(type_.__name__, (type_,), namespace)


def _set(error: BaseException, name: str, value: Any) -> None:
    for type_ in type(error).__mro__:
        if is_field(descriptor := vars(type_).get(name)):
            descriptor.__set__(error, value)  # type: ignore[union-attr]  # a field
            return
    vars(error)[name] = value  # whatever its __setattr__ has against it
