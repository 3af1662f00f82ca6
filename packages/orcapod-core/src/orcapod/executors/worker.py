"""What runs in a worker process: takes calls from a connection, and answers each as soon as it is made.

Run as a program, by file, so that a worker loads nothing of orcapod; it needs cloudpickle and what the
user's function needs. Output is captured by file descriptor, so what C code and child processes write is
captured too, in the order written.
"""

from __future__ import annotations

import io
import logging
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
import traceback
from multiprocessing.connection import Connection
from types import CoroutineType
from typing import Any

import cloudpickle

_SMALL = 4096  # bytes that a slice may bring along


def main(descriptor: int, parent: int) -> None:
    """Answer calls until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    connection = Connection(descriptor)
    capture = Capture()
    function: Any = None
    try:
        while True:
            kind, content = pickle.loads(connection.recv_bytes())  # noqa: S301  # from the process that made this one
            match kind:
                case "path":
                    sys.path[:] = content
                case "function":
                    function = Loaded(content)
                case "batch":
                    for key, kwargs, wanted in pickle.loads(content):  # noqa: S301  # likewise
                        if not wanted:
                            capture.pause()
                        connection.send_bytes(_answer(made(function, key, kwargs, capture if wanted else None)))
    except EOFError:
        return


def _end_with(parent: int) -> None:
    """A worker whose parent is gone works for nobody."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


class Loaded:
    """The user's function; loading it may fail, which is then how every call ends."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._function: Any = None

    def __call__(self, **kwargs: Any) -> Any:
        if self._function is None:
            self._function = pickle.loads(self._content)  # noqa: S301  # from the process that made this one
        result = self._function(**kwargs)
        if isinstance(result, CoroutineType):
            import asyncio  # noqa: PLC0415  # a function that is not async does not need it

            return asyncio.run(result)
        return result


def made(function: Any, key: int, kwargs: dict[str, Any], capture: Capture | None) -> tuple[Any, ...]:
    """Return how a call ended: key, value, failure for ``put_together``, fields of its captured output, seconds."""
    if capture is not None:
        capture.begin()
    value: Any = None
    error: BaseException | None = None
    text: str | None = None
    started = time.perf_counter()
    try:
        value = function(**kwargs)
    except BaseException as raised:  # noqa: BLE001  # whatever it is, it is how this call ended
        error = raised
        text = _traceback(raised)
    seconds = time.perf_counter() - started
    captured = None if capture is None else (*capture.end(), text, error is None)
    return key, value, None if error is None else (*_taken_apart(error), text), captured, seconds


def _traceback(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == made.__code__.co_filename:
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def _taken_apart(error: BaseException) -> tuple[Any, ...]:
    """An exception without its own constructor, which may take other arguments than ``args``."""
    reduced: Any = error.__reduce__()
    return type(error), reduced[1], reduced[2] if len(reduced) > 2 else None


def put_together(
    kind: type[BaseException], args: tuple[Any, ...], state: dict[str, Any] | None, trace: str
) -> BaseException:
    """The exception that a worker took apart; its traceback there comes along as a note."""
    builtin: Any = next(base for base in kind.__mro__ if base.__module__ == "builtins")
    error = kind.__new__(kind, *args)
    builtin.__init__(error, *args)  # sets what a builtin keeps beside args: the code of an exit, for one
    if state is not None:
        error.__setstate__(state)
    error.add_note(f"In the worker process:\n{trace.rstrip()}")
    return error


class Compact:
    """What makes a pickler send a slice of an Arrow table or array alone, not with all that it was cut from."""

    def reducer_override(self, value: Any) -> Any:
        if type(value).__module__ == "pyarrow.lib" and _is_slice(value):
            import pyarrow as pa  # noqa: PLC0415  # it is there already, and workers that do not need it do without

            value = value.take(pa.array(range(len(value)), pa.int64()))
            return value.__reduce_ex__(5)
        return super().reducer_override(value)  # type: ignore[misc]  # the pickler's


def _is_slice(value: Any) -> bool:
    whole = getattr(value, "get_total_buffer_size", None)
    return whole is not None and whole() > 2 * value.nbytes + _SMALL


class _Pickler(Compact, cloudpickle.Pickler):  # type: ignore[misc]  # untyped
    pass


def packed(value: Any) -> bytes:
    """A value as bytes, by value where the other process could not import what it is."""
    file = io.BytesIO()
    _Pickler(file, protocol=5).dump(value)
    return file.getvalue()


def _answer(answer: tuple[Any, ...]) -> bytes:
    try:
        return packed(answer)
    except Exception as error:  # noqa: BLE001  # then it is this that the caller has to know
        return packed(unsendable(answer, error))


def unsendable(answer: tuple[Any, ...], error: Exception) -> tuple[Any, ...]:
    """What ``made`` would have given for a call whose value or exception cannot be sent."""
    key, value, failure, captured, seconds = answer
    what = f"an exception of type {failure[0].__qualname__}" if failure else f"a {type(value).__qualname__}"
    message = f"{what} cannot be sent between processes: {error}"
    captured = captured and (*captured[:3], message, False)
    return key, None, (TypeError, (message,), None, message), captured, seconds


class Capture:
    """Takes what is written to the descriptors 1 and 2, and what is logged, while calls are made."""

    def __init__(self) -> None:
        self._originals = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
        self._files: dict[int, int] = {}
        self._handler = _Handler()
        self._level = logging.WARNING
        self._is_active = False

    def begin(self) -> None:
        """Take what is written from now on."""
        if not self._is_active:
            self._point(self._files or self._made())
            root = logging.getLogger()
            self._level = root.level
            root.setLevel(logging.INFO)
            root.addHandler(self._handler)
            self._is_active = True

    def end(self) -> tuple[str, str, str]:
        """Return what was written to stdout and stderr, and what was logged.

        More may be taken right after, so nothing is put back yet.
        """
        sys.stdout.flush()
        sys.stderr.flush()
        logs = "".join(f"{line}\n" for line in self._handler.lines)
        self._handler.lines.clear()
        return self._read(1), self._read(2), logs

    def pause(self) -> None:
        """Let everything go where it went before."""
        if self._is_active:
            self._point(self._originals)
            root = logging.getLogger()
            root.setLevel(self._level)
            root.removeHandler(self._handler)
            self._is_active = False

    def close(self) -> None:
        """Let everything go where it went before, for good."""
        self.pause()
        for descriptor in (*self._originals.values(), *self._files.values()):
            os.close(descriptor)

    def _made(self) -> dict[int, int]:
        for descriptor in (1, 2):
            made, path = tempfile.mkstemp()
            self._files[descriptor] = os.open(path, os.O_RDWR | os.O_APPEND)
            os.close(made)
            os.unlink(path)  # noqa: PTH108  # a worker loads as little as it can
        return self._files

    @staticmethod
    def _point(files: dict[int, int]) -> None:
        for descriptor, file in files.items():
            os.dup2(file, descriptor)

    def _read(self, descriptor: int) -> str:
        file = self._files[descriptor]
        size = os.fstat(file).st_size
        if not size:
            return ""
        content = os.pread(file, size, 0)
        os.ftruncate(file, 0)
        return content.decode("utf-8", "backslashreplace")


class _Handler(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(levelname)s:%(name)s:%(message)s"))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
