"""``make_batch``: what runs in a worker of the cluster.

It is sent there by value, with what it uses of orcapod, so that workers need nothing of it. Calls
are made in the worker's main thread, as without orcapod: there ``ray.get`` gives the CPU back, and
signals work. Ray takes answers only between two calls. When a call goes on for long, another thread
sends the session those that have waited, and gives it back the calls that wait behind.
"""

from __future__ import annotations

import _thread
import hmac
import io
import pickle
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import import_module
from operator import attrgetter
from types import FunctionType, ModuleType
from typing import Any, Literal

from ray import cloudpickle

from orcapod.executors import Capture, Compact, Loaded, Returning, in_parts, run_call, unpicklable
from orcapod_ray.main_module import MainModule

__all__ = [
    "CODE_OF_CALLS",
    "Answering",
    "Direct",
    "Group",
    "Packed",
    "Pickler",
    "make_batch",
    "packed",
    "pickled",
    "unpacked",
]

Packed = tuple[list[bytes | pickle.PickleBuffer], list[pickle.PickleBuffer]]
"""A pickled value in pieces, and its large parts beside it; what is large of both, Ray hands on without a copy."""

Group = tuple[list[tuple[Any, ...]], list[tuple[int | None, Packed]], list[int]]
"""Answers as ``run_call`` gives them: those that nothing can change, and the others by key, packed.

One without a key says why the calls could not be read. Then the keys of calls that are given back, not begun.
"""

Direct = tuple[str, int, bytes, int]
"""Where a batch can send answers to directly: host, port, what they are signed with, and its number.

A plain tuple, since a class of our own would go along by value with every task.
"""

Answering = Literal["grouped", "announced", "each"]
"""How answers are handed on."""

CODE_OF_CALLS = (
    "orcapod.executors.exceptions",
    "orcapod.executors.pickling",
    "orcapod.executors.redirection",
    "orcapod.executors.worker",
    "orcapod_ray.batch",
    "orcapod_ray.main_module",
)
"""The modules that are sent to workers by value."""

_LARGE = 100_000  # bytes of a part from which on a copy would cost more than a message
_WAIT_SECONDS = 0.05  # how long an answer waits for others
_NETWORK_SECONDS = 2.0
_IMMUTABLE = frozenset((int, float, bool, str, bytes, type(None)))

_LOADED: dict[str, Any] = {}  # the function of the last task, with whatever it keeps in its globals


class Pickler(Compact, cloudpickle.Pickler):  # type: ignore[misc]  # untyped in Ray
    """A pickler for workers that may not have orcapod: what is of orcapod is looked up there.

    The user's modules, which are sent with all that they have imported, can then be read there.
    """

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, ModuleType):
            if _is_of_orcapod(value.__name__):
                return _OfOrcapod, (value.__name__,)
        elif isinstance(value, type | FunctionType) and _is_of_orcapod(value.__module__) and _has_name(value):
            return _looked_up, (value.__module__, value.__qualname__)
        return super().reducer_override(value)


class ReturningPickler(Returning, Pickler):  # type: ignore[misc]  # untyped in Ray
    """The pickler of answers."""


class _OfOrcapod(ModuleType):
    """Something of orcapod, by name, that is imported when it is used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what pickle and repr ask for
            raise AttributeError(name)
        return getattr(import_module(self.__name__), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return import_module(self.__name__)


def _has_name(value: type | FunctionType) -> bool:
    """Say whether it can be found by its name: not what a function has defined."""
    return "<locals>" not in value.__qualname__


def _looked_up(module: str, name: str) -> Any:
    try:
        return attrgetter(name)(import_module(module))
    except ModuleNotFoundError:
        return _OfOrcapod(f"{module}.{name}")  # it says so when it is used


def _is_of_orcapod(module: str | None) -> bool:
    package = str(module).partition(".")[0]
    return module not in CODE_OF_CALLS and (package == "orcapod" or package.startswith("orcapod_"))


def packed(value: Any, pickler: type[Pickler] = ReturningPickler) -> Packed:
    """Return the value in a form that Ray keeps in shared memory, by value where not importable."""
    content, buffers = in_parts(value, pickler, _LARGE)
    pieces = [piece if isinstance(piece, bytes) else bytes(piece) for piece in content]  # others may be written to
    return [piece if len(piece) < _LARGE else pickle.PickleBuffer(piece) for piece in pieces], buffers


def unpacked(content: Sequence[bytes | pickle.PickleBuffer], buffers: Sequence[pickle.PickleBuffer]) -> Any:
    """Return the value that was packed; its large parts are where Ray has them."""
    file: Any = io.BufferedReader(_Joined(content))
    return pickle.Unpickler(file, buffers=buffers).load()  # noqa: S301  # from our own process


class _Joined(io.RawIOBase):
    """Pieces one after the other, as a file to read from; each byte is copied once."""

    def __init__(self, pieces: Sequence[bytes | pickle.PickleBuffer]) -> None:
        self._pieces = deque(memoryview(piece) for piece in pieces)

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        while self._pieces and not self._pieces[0]:
            self._pieces.popleft()
        if not self._pieces:
            return 0
        piece = self._pieces[0]
        size = min(len(piece), len(target))
        target[:size], self._pieces[0] = piece[:size], piece[size:]
        return size


def pickled(value: Any, pickler: type[Pickler] = ReturningPickler) -> bytes:
    """Return the value as bytes, by value where it cannot be imported."""
    content, _ = in_parts(value, pickler, sys.maxsize)
    return b"".join(content)


def make_batch(
    function: bytes,
    name: str,
    calls: Packed,
    direct: Direct | None,
    answering: Answering,
) -> Iterator[Group]:
    """Make calls one after the other, and hand on what has become of them in groups.

    Args:
        function: the user's function, pickled.
        name: what tells it from others; it is loaded once in each worker.
        calls: key, arguments and whether to capture, of each.
        direct: where answers go that have waited while a call goes on; if None, they wait on.
        answering: in groups; announced by an empty one when the work begins; or each at once besides,
            for those who watch the time.
    """
    each = answering == "each"
    if each or answering == "announced":
        yield [], [], []
    if name not in _LOADED:
        _LOADED.clear()
        MainModule(function).enter()
        _LOADED[name] = Loaded(partial(pickle.loads, function))
    answer = _, read_calls, failure, _, _ = run_call(partial(unpacked, *calls), None, {}, None, pickled)
    if failure is not None:
        yield [], [(None, packed(answer))], []
        return
    todo = deque(read_calls)
    capture = Capture()
    answers = _Answers(todo)
    sending = None
    if direct is not None and not each and len(todo) > 1:
        sending = _Sending(answers, direct)
    try:
        for key, kwargs, wanted in _popped(todo):
            if not wanted:
                capture.pause()
            output = capture if wanted else None
            answers.add(run_call(_LOADED[name], key, kwargs, output, pickled))
            if each or answers.is_due():
                capture.pause()
                yield answers.take()
    finally:
        capture.close()
        if sending is not None:
            sending.stop()
    if any(rest := answers.take()):
        yield rest


def _popped(todo: deque[Any]) -> Iterator[Any]:
    """Take one after the other of what another thread may take from, too."""
    while True:
        try:
            call = todo.popleft()
        except IndexError:
            return
        yield call


class _Answers:
    """Answers that are not handed on yet; those that a later call could change are packed at once.

    Args:
        todo: the calls that are not begun.
    """

    def __init__(self, todo: deque[Any]) -> None:
        self._todo = todo
        self._lock = threading.Lock()
        self._group: Group = [], [], []
        self._is_large = False
        self._since = time.monotonic()

    def add(self, answer: tuple[Any, ...]) -> None:
        key, value, failure, _, _ = answer
        if failure is None and type(value) in _IMMUTABLE and sys.getsizeof(value) < _LARGE:
            with self._lock:
                self._group[0].append(answer)
            return
        try:
            content, buffers = packed(answer)
        except BaseException as error:  # noqa: BLE001  # code of the user's; the caller is told
            content, buffers = packed(unpicklable(answer, error, pickled))
        with self._lock:
            self._group[1].append((key, (content, buffers)))
            self._is_large = self._is_large or len(content) > 1 or bool(buffers)

    def is_due(self) -> bool:
        """Say whether to hand them on before the next call, which may write into what is large."""
        return self._is_large or self._is_old()

    def take(self) -> Group:
        """Return all that there are, which are handed on then."""
        with self._lock:
            return self._taken()

    def take_overdue(self) -> Group:
        """Return what would have been handed on by now, were there no call that goes on, and give back the rest."""
        with self._lock:
            if self._is_large or not self._is_old():
                return [], [], []
            self._group[2].extend(key for key, _, _ in _popped(self._todo))
            return self._taken()

    def put_back(self, group: Group) -> None:
        """Take again what could not be handed on."""
        with self._lock:
            answers, others, rest = self._group
            answers[:0], others[:0], rest[:0] = group

    def _is_old(self) -> bool:
        return time.monotonic() - self._since > _WAIT_SECONDS

    def _taken(self) -> Group:
        group, self._group = self._group, ([], [], [])
        self._is_large = False
        self._since = time.monotonic()
        return group


class _Sending:
    """A thread that sends the session what the call that is being made keeps waiting.

    Neither its start nor its end is waited for, which would take a batch longer than many small calls.
    """

    def __init__(self, answers: _Answers, direct: Direct) -> None:
        self._answers = answers
        self._host, self._port, self._key, self._batch = direct
        self._done = threading.Event()
        self._lock = threading.Lock()
        _thread.start_new_thread(self._send, ())

    def stop(self) -> None:
        """Send nothing more; what could not be sent is back then."""
        self._done.set()
        with self._lock:
            return

    def _send(self) -> None:
        is_taken = True
        while is_taken and not self._done.wait(_WAIT_SECONDS / 2):
            with self._lock:
                if not self._done.is_set():
                    is_taken = self._is_taken(self._answers.take_overdue())

    def _is_taken(self, group: Group) -> bool:
        if not any(group):
            return True
        content = pickle.dumps((self._batch, group), protocol=5)
        try:
            with socket.create_connection((self._host, self._port), _NETWORK_SECONDS) as connection:
                connection.sendall(hmac.digest(self._key, content, "sha256") + content)
                connection.shutdown(socket.SHUT_WR)
                if connection.recv(1):
                    return True
        except OSError:
            pass  # a network that lets only Ray through
        self._answers.put_back(group)  # for Ray to take
        return False
