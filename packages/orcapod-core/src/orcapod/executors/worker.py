"""What runs in a worker process: takes calls from a connection, and answers each as soon as it is made.

Run as a program, by file, so that a worker loads nothing of orcapod; it needs cloudpickle and what the
user's function needs. Output is captured by file descriptor, so what C code and child processes write is
captured too, in the order written.
"""

from __future__ import annotations

import fcntl
import io
import logging
import os
import pickle
import select
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.machinery import ModuleSpec
from multiprocessing.connection import Connection
from types import CodeType, CoroutineType, FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any

import cloudpickle

_SMALL = 4096  # bytes that a slice may bring along
_LOOK_SECONDS = 1.0
_PR_SET_CHILD_SUBREAPER = 36  # of Linux, see prctl(2)

Dumps = Callable[[Any], bytes]
"""What pickles a value, by value where the other process could not import it."""


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
                case "function", content, surroundings:
                    if function is not None and _has_changed_since(started):
                        return  # another worker takes its place, with the code as it is now
                    _enter(surroundings)
                    function = Loaded(content)
                case "batch", content:
                    assert function is not None
                    _answer_batch(connection, content, function, capture)
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


def stopped_descendants(ancestor: int) -> set[int]:
    """Stop all processes that descend from one, in whichever session they are, and return them.

    Once they are all stopped, none starts another. Where there is no ``/proc``, none is found.
    """
    found: set[int] = set()
    while new := _descendants(ancestor) - found:
        _signal(new, signal.SIGSTOP)
        found |= new
    return found


def kill_all(processes: Iterable[int]) -> None:
    """End processes, as far as they are still there."""
    _signal(processes, signal.SIGKILL)


def _signal(processes: Iterable[int], number: signal.Signals) -> None:
    for process in processes:
        with suppress(OSError):  # gone, or another user's
            os.kill(process, number)


def _descendants(ancestor: int) -> set[int]:
    """Return the processes that descend from one."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():  # noqa: PTH112, PTH208  # no pathlib here
        with suppress(OSError, IndexError, ValueError):  # gone meanwhile, or no process
            with open(f"/proc/{int(name)}/stat", "rb") as file:  # noqa: PTH123  # likewise
                parent = int(file.read().rpartition(b")")[2].split()[1])
            children.setdefault(parent, []).append(int(name))
    found: set[int] = set()
    ancestors = [ancestor]
    while ancestors:
        new = children.pop(ancestors.pop(), [])
        found.update(new)
        ancestors += new
    return found


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


def _answer_batch(connection: Connection, content: bytes, function: Loaded, capture: Capture) -> None:
    """Say that the calls are begun, and how each of them ended; or why they cannot be read."""
    try:
        calls = pickle.loads(content)  # noqa: S301  # from the process that made this one
    except BaseException as error:  # noqa: BLE001  # code of the user's
        connection.send_bytes(serialized((None, None, _taken_apart(error, serialized), None, 0.0)))
        return
    function.load()  # before the calls are said to be begun: it may import for longer than a call may take
    connection.send_bytes(serialized(None))
    for key, kwargs, wanted in calls:
        if not wanted:
            capture.pause()
        answer = run_call(function, key, kwargs, capture if wanted else None, serialized)
        try:
            message = serialized(answer)
        except BaseException as error:  # noqa: BLE001  # then it is this that the caller has to know
            message = serialized(unpicklable(answer, error, serialized))
        connection.send_bytes(message)


class Loaded:
    """The user's function; loading it may fail, which is then how every call ends."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._function: Any = None

    def load(self) -> None:
        """Load it now, as far as that works; if it does not, every call says why."""
        with suppress(BaseException):  # code of the user's
            self._function = self._function or pickle.loads(self._content)  # noqa: S301  # from who made this process

    def __call__(self, **kwargs: Any) -> Any:
        if self._function is None:
            self._function = pickle.loads(self._content)  # noqa: S301  # likewise
        result = self._function(**kwargs)
        if isinstance(result, CoroutineType):
            import asyncio  # noqa: PLC0415  # a function that is not async does not need it

            return asyncio.run(result)
        return result


def run_call(
    function: Callable[..., Any], key: int, kwargs: dict[str, Any], capture: Capture | None, dumps: Dumps
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
        failure = _taken_apart(error, dumps)
    else:
        seconds = time.perf_counter() - started
        if os.getpid() != process:
            _leave(None)
    text = None if failure is None else failure["trace"]
    captured = None if capture is None else (*capture.end(), text, failure is None)
    _mend_streams()
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
    failure = _taken_apart(TypeError(message), dumps)
    return key, None, failure, captured and (*captured[:3], failure["trace"], False), seconds


# Exceptions: sent by their own way of being pickled where that gives them back, else in parts.


def _taken_apart(error: BaseException, dumps: Dumps) -> dict[str, Any]:
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
        parts |= {"text": error.message, "members": [_taken_apart(member, dumps) for member in error.exceptions]}
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
    if trace.tb_frame.f_code.co_filename == run_call.__code__.co_filename:
        return True
    return str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0] == "asyncio"


class Compact:
    """What makes a pickler send a slice of an Arrow table or array alone, not with all that it was cut from.

    Code keeps the name of its file, so that a traceback says where.
    """

    dispatch_table: Mapping[Any, Callable[[Any], tuple[Any, ...]]]

    def reducer_override(self, value: Any) -> Any:
        if type(value) is CodeType:
            make, args = self.dispatch_table[CodeType](value)
            return make, tuple(value.co_filename if type(arg) is str and arg == _NO_FILE else arg for arg in args)
        if type(value).__module__ == "pyarrow.lib" and _is_slice(value):
            import pyarrow as pa  # noqa: PLC0415  # it is there already, and workers that do not need it do without

            value = value.take(pa.array(range(len(value)), pa.int64()))
            return value.__reduce_ex__(5)
        return super().reducer_override(value)  # type: ignore[misc]  # the pickler's


_NO_FILE = "<dynamic-code>"  # what cloudpickle writes for the file of any code


def _is_slice(value: Any) -> bool:
    whole = getattr(value, "get_total_buffer_size", None)
    return whole is not None and whole() > 2 * value.nbytes + _SMALL


class CompactPickler(Compact, cloudpickle.Pickler):  # type: ignore[misc]  # untyped
    """Cloudpickle's pickler, compact."""


def serialized(value: Any, pickler: type[CompactPickler] = CompactPickler) -> bytes:
    """Return a value as bytes, by value where the other process could not import what it is."""
    file = io.BytesIO()
    pickler(file, protocol=5).dump(value)
    return file.getvalue()


class Capture:
    """Takes what is written to the descriptors 1 and 2 while calls are made, and what is logged, if that is wanted."""

    def __init__(self, *, logs: bool = True) -> None:
        self._originals = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
        self._files: dict[int, int] = {}
        self._handler = _Handler()
        self._logs = logs
        self._level = logging.WARNING
        self._is_active = False

    def begin(self) -> None:
        """Take what is written from now on."""
        if not self._is_active:
            self._point(self._files or self._made())
            self._is_active = True
            if self._logs:
                root = logging.getLogger()
                self._level = root.level
                root.setLevel(logging.INFO)
                root.addHandler(self._handler)

    def end(self) -> tuple[str, str, str]:
        """Return what was written to stdout and stderr, and what was logged; go on taking for the next call."""
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # closed, detached or taken away by the function, which has returned all the same
                stream.flush()
        logs = "".join(f"{line}\n" for line in self._handler.lines)
        self._handler.lines.clear()
        return self._read(1), self._read(2), logs

    def pause(self) -> None:
        """Let everything go where it went before."""
        if self._is_active:
            self._point(self._originals)
            self._is_active = False
            if self._logs:
                root = logging.getLogger()
                root.setLevel(self._level)
                root.removeHandler(self._handler)

    def close(self) -> None:
        """Let everything go where it went before, for good."""
        self.pause()
        for descriptor in (*self._originals.values(), *self._files.values()):
            os.close(descriptor)

    def _made(self) -> dict[int, int]:
        for descriptor in (1, 2):
            self._files[descriptor], path = tempfile.mkstemp()
            fcntl.fcntl(self._files[descriptor], fcntl.F_SETFL, os.O_APPEND)  # children write there, too
            os.unlink(path)  # noqa: PTH108  # a worker loads as little as it can
        return self._files

    @staticmethod
    def _point(files: dict[int, int]) -> None:
        for descriptor, file in files.items():
            os.dup2(file, descriptor)

    def _read(self, descriptor: int) -> str:
        file = self._files[descriptor]
        if not (size := os.fstat(file).st_size):
            return ""
        content = os.pread(file, size, 0)
        os.ftruncate(file, 0)
        return content.decode("utf-8", "backslashreplace")


def _mend_streams() -> None:
    """Give the next call streams to write to, if this one has closed, detached or taken away its own."""
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        try:
            is_closed = stream is None or getattr(stream, "closed", False)
        except ValueError:  # detached
            is_closed = True
        if is_closed:
            raw: Any = io.FileIO(descriptor, "w", closefd=False)
            setattr(sys, name, io.TextIOWrapper(raw, "utf-8", "backslashreplace", write_through=True))


class _Handler(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(levelname)s:%(name)s:%(message)s"))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
