"""How an exception gets from one process to another: taken apart there, and rebuilt here.

It is sent by its own way of being pickled where that gives it back, else in parts.
"""

from __future__ import annotations

import builtins
import io
import pickle
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any

__all__ = ["Dumps", "rebuild", "taken_apart"]

Dumps = Callable[[Any], bytes]
"""What pickles a value, by value where the other process could not import it."""

_CALLER = "orcapod.executors.worker"  # the module that calls the user's function


def taken_apart(error: BaseException, dumps: Dumps) -> dict[str, Any]:
    """Return all that ``exceptions.rebuild`` makes the exception of, in parts that can be sent; never raises."""
    twin = None if isinstance(error, BaseExceptionGroup) else _twin(error)
    own = None if twin is None else _dumped(error, dumps)
    known = {} if twin is None or own is None else dict(_attributes(twin))
    attributes = {name: _dumped(value, dumps) for name, value in _attributes(error) if known.get(name) is None}
    parts: dict[str, Any] = {
        "own": own,
        "type": _dumped(type(error), dumps),
        "name": type(error).__qualname__,
        "builtin": nearest_builtin(type(error)).__name__,
        "args": [],
        "members": [],
        "text": text_of(error),
        "attributes": {name: content for name, content in attributes.items() if content is not None},
        "lost": [name for name, content in attributes.items() if content is None],
        "trace": _traceback(error),
    }
    if isinstance(error, BaseExceptionGroup):
        parts |= {"text": error.message, "members": [taken_apart(member, dumps) for member in error.exceptions]}
    else:
        parts["args"] = [_dumped(arg, dumps) or _dumped(_repr(arg), dumps) for arg in error.args]
    return parts


def _twin(error: BaseException) -> BaseException | None:
    """Return what the exception's own way of being pickled makes of it; None if that is another exception."""
    kept: list[Any] = []
    file = io.BytesIO()
    try:
        _TwinPickler(file, kept).dump(error)
        twin = _TwinUnpickler(io.BytesIO(file.getvalue()), kept).load()
        return twin if type(twin) is type(error) and text_of(twin) == text_of(error) else None
    except BaseException:  # noqa: BLE001  # code of the user's
        return None


class _TwinPickler(pickle.Pickler):
    """Pickles what only this process reads: classes and functions stay what they are."""

    def __init__(self, file: io.BytesIO, kept: list[Any]) -> None:
        super().__init__(file, protocol=5)
        self._kept = kept

    def persistent_id(self, value: Any) -> int | None:
        if not isinstance(value, type | FunctionType | ModuleType):
            return None
        self._kept.append(value)
        return len(self._kept) - 1


class _TwinUnpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, kept: list[Any]) -> None:
        super().__init__(file)
        self._kept = kept

    def persistent_load(self, index: int) -> Any:
        return self._kept[index]


def _attributes(error: BaseException) -> Iterator[tuple[str, Any]]:
    """Yield what an exception has beside ``args``: in its dictionary, in slots, and in the fields of builtin ones."""
    yield from vars(error).items()
    for type_ in type(error).__mro__:
        for name, descriptor in vars(type_).items():
            if is_field(descriptor) and not name.startswith("__") and name not in _NOT_SENT:
                with suppress(Exception):  # a slot that is empty
                    if (value := descriptor.__get__(error)) is not None:
                        yield name, value


_NOT_SENT = ("args", "obj", "message", "exceptions")  # sent otherwise, or any object whatever


def is_field(descriptor: object) -> bool:
    """Return whether a class keeps a value of its instances behind it: a slot, or a field in C."""
    return isinstance(descriptor, MemberDescriptorType | GetSetDescriptorType)


def nearest_builtin(type_: type[BaseException]) -> type[BaseException]:
    """Return the first of its bases that Python brings along."""
    return next(base for base in type_.__mro__ if base.__module__ == "builtins")


def _dumped(value: Any, dumps: Dumps) -> bytes | None:
    try:
        return dumps(value)
    except BaseException:  # noqa: BLE001  # code of the user's
        return None


def text_of(error: BaseException) -> str | None:
    """Return what an exception says; None if it cannot say it."""
    try:
        return str(error)
    except BaseException:  # noqa: BLE001  # likewise
        return None


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except BaseException:  # noqa: BLE001  # likewise
        return f"<{type(value).__qualname__}>"


def _traceback(error: BaseException) -> str:
    """Return the traceback as Python prints it, chained causes included, from the user's first frame on."""
    trace = error.__traceback__
    while trace is not None and _is_machinery(trace):
        trace = trace.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, trace))
    except BaseException:  # noqa: BLE001  # likewise
        return "".join([*traceback.format_tb(trace), f"{type(error).__qualname__}\n"])


def _is_machinery(trace: Any) -> bool:
    module = str(trace.tb_frame.f_globals.get("__name__"))
    return module == _CALLER or module.partition(".")[0] == "asyncio"


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
