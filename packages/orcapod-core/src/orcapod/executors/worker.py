"""What runs in a worker process: takes calls from a connection, and answers each as soon as it is made.

A worker loads nothing of orcapod but this and what it imports, which is no more than cloudpickle, and what the user's
function needs. Output is captured by file descriptor, so what C code and child processes write is captured too, in
the order written.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib.machinery import ModuleSpec
from multiprocessing.connection import Connection
from types import CoroutineType, ModuleType
from typing import Any

from orcapod.executors.descendants import kill_all, stopped_descendants
from orcapod.executors.exceptions import Dumps, taken_apart
from orcapod.executors.messages import Message, received
from orcapod.executors.pickling import ReturningPickler, serialized
from orcapod.executors.redirection import Capture, mend_streams

__all__ = ["Loaded", "main", "run_call", "unpicklable"]

_LOOK_SECONDS = 1.0
_PR_SET_CHILD_SUBREAPER = 36  # of Linux, see prctl(2)

_serialized = partial(serialized, pickler=ReturningPickler)


def main(descriptor: int, parent: int) -> None:
    """Answer calls until the other end is closed."""
    os.set_inheritable(descriptor, False)
    _adopt_orphans()
    threading.Thread(target=_end_with, args=(descriptor, parent), daemon=True).start()
    connection = Connection(descriptor)
    capture = Capture()
    started = time.time()
    function: Loaded | None = None
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent has gone
        while True:
            match pickle.loads(connection.recv_bytes()):  # noqa: S301  # from the process that made this one
                case Mapping() as surroundings:
                    if function is not None and _has_changed_since(started):
                        return  # another worker takes its place, with the code as it is now
                    _enter(surroundings)
                    function = Loaded(received(connection))
                case None:
                    assert function is not None
                    _answer_batch(connection, received(connection), function, capture)
    kill_all(stopped_descendants(os.getpid()))


def _adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends, so that they can be found; on Linux alone."""
    if sys.platform == "linux":
        with suppress(Exception):  # a Python or C library without it
            import ctypes  # noqa: PLC0415  # its C part may be missing

            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end_with(descriptor: int, parent: int) -> None:
    """End this process and its descendants as soon as the other end of the connection is closed."""
    closed = select.poll()
    closed.register(descriptor, 0)
    is_closed = False
    while os.getppid() == parent and not is_closed:  # a fork of the parent may hold the other end open
        for _, event in closed.poll(_LOOK_SECONDS * 1000):
            is_closed = bool(event & select.POLLHUP)
            closed.unregister(descriptor)  # else the function has closed it
    descendants = stopped_descendants(os.getpid())
    sys.setswitchinterval(_LOOK_SECONDS)  # the function must not go on and start others meanwhile
    kill_all(descendants)
    os.killpg(os.getpid(), signal.SIGKILL)


def _has_changed_since(started: float) -> bool:
    """Return whether a file that a module was loaded from is another one now."""
    files = [getattr(module, "__dict__", {}).get("__file__") for module in list(sys.modules.values())]
    for file in filter(None, files):
        with suppress(OSError):
            status = os.stat(file)  # noqa: PTH116  # a worker loads as little as it can
            if max(status.st_mtime, status.st_ctime) > started:
                return True
    return False


def _enter(surroundings: Mapping[str, Any]) -> None:
    """Be where the parent is, with a main module like its own, which what is sent by value becomes part of."""
    sys.path[:] = surroundings["path"]
    sys.argv[:] = surroundings["argv"]
    if dict(os.environ) != surroundings["environ"]:
        os.environ.clear()
        os.environ.update(surroundings["environ"])
    if surroundings["folder"] is not None:
        os.chdir(surroundings["folder"])
    module = ModuleType("__main__")
    name, file = surroundings["main_name"], surroundings["main_file"]
    module.__spec__ = None if name is None else ModuleSpec(name, None)
    if file is not None:
        module.__file__ = file
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module  # the second, as multiprocessing has it


def _answer_batch(connection: Connection, read: Callable[[], Any], function: Loaded, capture: Capture) -> None:
    """Say that the calls are begun, and how each of them ended; or why they cannot be read."""
    try:
        calls = read()
    except BaseException as error:  # noqa: BLE001  # code of the user's
        Message((None, None, taken_apart(error, _serialized), None, 0.0)).send(connection)
        return
    function.load()  # before the calls are said to be begun: it may import for longer than a call may take
    Message(None).send(connection)
    for key, kwargs, wanted in calls:
        if not wanted:
            capture.pause()
        _answer(run_call(function, key, kwargs, capture if wanted else None, _serialized)).send(connection)


def _answer(answer: tuple[Any, ...]) -> Message:
    try:
        return Message(answer, ReturningPickler)
    except BaseException as error:  # noqa: BLE001  # code of the user's; then it is this that the caller has to know
        return Message(unpicklable(answer, error, _serialized))


class Loaded:
    """The user's function; loading it may fail, which is then how every call ends.

    Args:
        read: unpickles it.
    """

    def __init__(self, read: Callable[[], Any]) -> None:
        self._read: Callable[[], Any] | None = read
        self._function: Any = None

    def load(self) -> None:
        """Load it now, as far as that works; if it does not, every call says why."""
        with suppress(BaseException):  # code of the user's
            self._loaded()

    def __call__(self, **kwargs: Any) -> Any:
        result = self._loaded()(**kwargs)
        if isinstance(result, CoroutineType):
            import asyncio  # noqa: PLC0415  # a function that is not async does not need it

            return asyncio.run(result)
        return result

    def _loaded(self) -> Any:
        if self._read is not None:
            self._function, self._read = self._read(), None
        return self._function


def run_call(
    function: Callable[..., Any], key: int | None, kwargs: dict[str, Any], capture: Capture | None, dumps: Dumps
) -> tuple[Any, ...]:
    """Return how a call ended: key, value, failure for ``rebuild``, fields of its captured output, seconds."""
    if capture is not None:
        capture.begin()
    value: Any = None
    failure: dict[str, Any] | None = None
    process = os.getpid()
    started = time.perf_counter()
    try:
        value = function(**kwargs)
    except BaseException as error:  # noqa: BLE001  # whatever it is, it is how this call ended
        seconds = time.perf_counter() - started
        if os.getpid() != process:
            _leave(error)
        failure = taken_apart(error, dumps)
    else:
        seconds = time.perf_counter() - started
        if os.getpid() != process:
            _leave(None)
    text = None if failure is None else failure["trace"]
    captured = None if capture is None else (*capture.end(), text, failure is None)
    mend_streams()
    return key, value, failure, captured, seconds


def _leave(error: BaseException | None) -> None:
    """End a process that the function has forked where the function ends: the answer is its parent's to give."""
    code = 0 if error is None else 1
    try:
        if isinstance(error, SystemExit) and isinstance(error.code, int | None):
            code = error.code or 0
        elif isinstance(error, SystemExit):
            sys.stderr.write(f"{error.code}\n")
        elif error is not None:
            traceback.print_exception(error)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    finally:
        os._exit(code & 0xFF)  # also where nothing can be printed any more


def unpicklable(answer: tuple[Any, ...], error: BaseException, dumps: Dumps) -> tuple[Any, ...]:
    """Return what ``run_call`` would have given for a call whose value cannot be sent."""
    key, value, _, captured, seconds = answer
    message = f"a {type(value).__qualname__} cannot be sent between processes: {error}"
    failure = taken_apart(TypeError(message), dumps)
    return key, None, failure, captured and (*captured[:3], failure["trace"], False), seconds
