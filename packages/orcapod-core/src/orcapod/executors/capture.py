"""``CapturedCall``: what one call in this process writes, kept apart from all others by a ContextVar.

While ``capturing()`` is entered, ``sys.stdout`` and ``sys.stderr`` are wrapped and a handler sits on
the root logger. What is written inside a captured call goes into that call's buffers; everything
else goes where it would have gone. Context variables follow tasks, ``asyncio.to_thread`` and copied
contexts, so concurrent calls never mix; threads that a call starts belong to it, too. What C code or a
child process writes goes to the original stream, and so does what a debugger says.
"""

from __future__ import annotations

import cmd
import logging
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Self

from orcapod.protocols import PacketExecutionLoggerProtocol

__all__ = ["CapturedCall", "capturing", "traceback_text"]

_LOGS = "python_logs"


class CapturedCall:
    """A context manager around one call: captures what the call writes, tells the logger how it ended.

    Captures only while ``capturing()`` is entered. The logger is told once, whatever ended the call; an
    exception goes on as itself.
    """

    __slots__ = ("_logger", "_parts", "_token", "open")

    _token: Token[CapturedCall | None]

    def __init__(self, logger: PacketExecutionLoggerProtocol) -> None:
        self._logger = logger
        self._parts: dict[str, list[str | bytes]] = {}
        self.open = True

    def add(self, name: str, part: str | bytes) -> None:
        """Take what was written to ``stdout``, ``stderr`` or ``python_logs``."""
        self._parts.setdefault(name, []).append(part)

    def text(self, name: str) -> str:
        """Return all that was written there, in order; bytes that are no UTF-8 are shown as escapes."""
        parts = self._parts.get(name)
        if parts is None:
            return ""
        data = [part if isinstance(part, bytes) else part.encode("utf-8", "backslashreplace") for part in parts]
        return b"".join(data).decode("utf-8", "backslashreplace")

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.open = False
        try:  # noqa: SIM105  # suppress() would cost every call half a microsecond
            _current.reset(self._token)
        except ValueError:
            pass  # a coroutine closed by the garbage collector ends in another context
        if self._parts:
            stdout, stderr, logs = self.text("stdout"), self.text("stderr"), self.text(_LOGS)
        else:
            stdout = stderr = logs = ""
        self._logger.record(
            stdout=stdout,
            stderr=stderr,
            python_logs=logs,
            traceback=None if error is None else traceback_text(error, trace),
            success=error is None,
        )


_current: ContextVar[CapturedCall | None] = ContextVar("orcapod_captured_call", default=None)


def _here() -> CapturedCall | None:
    """Return the call that this code belongs to; None once it has ended, for threads and tasks that it left behind."""
    call = _current.get()
    return call if call is not None and call.open else None


def traceback_text(error: BaseException, trace: TracebackType | None) -> str:
    """Return the traceback as Python prints it, chained causes included, from the user's first frame on."""
    while trace is not None and _is_machinery(trace.tb_frame.f_globals.get("__name__", "")):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def _is_machinery(module: str) -> bool:
    room, _, name = module.partition(".")
    return room in ("asyncio", "concurrent") or (room == "orcapod" and not name.startswith("testing"))


class _Shared:
    """What all captured calls of the process share: in place while anybody holds it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._restore = ExitStack()

    def hold(self) -> None:
        with self._lock:
            if not self._holders:
                with ExitStack() as stack:
                    stack.enter_context(_routed_stream("stdout"))
                    stack.enter_context(_routed_stream("stderr"))
                    stack.enter_context(_routed_logging())
                    stack.enter_context(_routed_loguru())
                    stack.enter_context(_followed_threads())
                    stack.enter_context(_undisturbed_debuggers())
                    self._restore = stack.pop_all()
            self._holders += 1

    def release(self) -> None:
        with self._lock:
            self._holders -= 1
            if not self._holders:
                self._restore.close()


_shared = _Shared()


@contextmanager
def capturing() -> Iterator[None]:
    """Put in place what captured calls need, and put back what was there.

    May be nested and entered by several threads: the first one installs, the last one restores. A
    stream, handler or level that somebody else has changed meanwhile is left as they made it.
    """
    _shared.hold()
    try:
        yield
    finally:
        _shared.release()


@contextmanager
def _routed_stream(name: str) -> Iterator[None]:
    original = getattr(sys, name)
    if isinstance(original, _Stream):  # put back by somebody who had taken ours for theirs
        original = original.original
    routed = _Stream(name, original)
    setattr(sys, name, routed)
    try:
        yield
    finally:
        if getattr(sys, name) is routed:
            setattr(sys, name, original)


class _Stream:
    """A text stream that routes: to the captured call it is used in, else to the original stream.

    Not a subclass of ``io.TextIOBase``, whose destructor closes and whose attributes would hide those of
    the original. Without an original (a process without a terminal) only calls can write.
    """

    def __init__(self, name: str, original: Any) -> None:
        self._name = name
        self.original = original

    def write(self, text: str) -> int:
        call = _here()
        if call is None:
            return len(text) if self.original is None else self.original.write(text)
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        call.add(self._name, text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if _here() is None and self.original is not None:
            self.original.flush()

    @property
    def buffer(self) -> _Bytes:
        return _Bytes(self._name, self.original.buffer)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)


class _Bytes:
    """The binary stream under a ``_Stream``."""

    def __init__(self, name: str, original: Any) -> None:
        self._name = name
        self._original = original

    def write(self, data: bytes | bytearray | memoryview) -> int:
        call = _here()
        if call is None:
            written: int = self._original.write(data)
            return written
        taken = bytes(memoryview(data))
        call.add(self._name, taken)
        return len(taken)

    def writelines(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if _here() is None:
            self._original.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


@contextmanager
def _routed_logging() -> Iterator[None]:
    """Records from INFO on reach captured calls; other handlers see what they would have seen.

    Levels that the user set on named loggers hold. While this is entered the root logger has a handler,
    so that ``logging.basicConfig`` without ``force`` does nothing, as in every configured program.
    """
    root = logging.getLogger()
    before = root.level
    keep_back = _KeepBack(before)
    others = [handler for logger in _loggers() for handler in logger.handlers]
    router = _LogRouter(keep_back)
    root.addHandler(router)
    for handler in others:
        handler.addFilter(keep_back)
    if before > logging.INFO:
        root.setLevel(logging.INFO)
    try:
        yield
    finally:
        if before > logging.INFO and root.level == logging.INFO:
            root.setLevel(before)
        for handler in others:
            handler.removeFilter(keep_back)
        root.removeHandler(router)


@contextmanager
def _routed_loguru() -> Iterator[None]:
    """Loguru's handlers write to the streams that stood in ``sys`` when they were added: now to those of calls, too.

    It is met only where the user has imported it; a handler that is added meanwhile takes the routed stream by itself.
    """
    core = getattr(getattr(sys.modules.get("loguru"), "logger", None), "_core", None)
    sinks = [getattr(handler, "_sink", None) for handler in getattr(core, "handlers", {}).values()]
    routed = [
        (sink, stream)
        for sink in sinks
        for stream in (sys.stdout, sys.stderr)
        if isinstance(stream, _Stream) and getattr(sink, "_stream", stream) is stream.original
    ]
    for sink, stream in routed:
        sink._stream = stream  # type: ignore[union-attr]  # there is no public way
    try:
        yield
    finally:
        for sink, stream in routed:
            sink._stream = stream.original  # type: ignore[union-attr]  # likewise


@contextmanager
def _followed_threads() -> Iterator[None]:
    """Threads that a captured call starts belong to it; Python lets them inherit no context before 3.14."""
    original = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        call = _here()
        if call is not None:
            run = thread.run

            def run_in_call() -> None:
                _current.set(call)
                run()

            thread.run = run_in_call  # type: ignore[method-assign]  # of this one
        original(thread)

    threading.Thread.start = start  # type: ignore[method-assign, assignment]  # as long as calls are captured
    try:
        yield
    finally:
        if threading.Thread.start is start:
            threading.Thread.start = original  # type: ignore[method-assign]  # put back


@contextmanager
def _undisturbed_debuggers() -> Iterator[None]:
    """Command loops, which debuggers are, talk to the terminal: who answers a prompt wants to see what it says."""
    original = cmd.Cmd.__init__

    def init(loop: cmd.Cmd, completekey: str = "tab", stdin: Any = None, stdout: Any = None) -> None:
        if stdout is None and isinstance(sys.stdout, _Stream):
            stdout = sys.stdout.original
        original(loop, completekey, stdin, stdout)

    cmd.Cmd.__init__ = init  # type: ignore[method-assign, assignment]  # as long as calls are captured
    try:
        yield
    finally:
        if cmd.Cmd.__init__ is init:
            cmd.Cmd.__init__ = original  # type: ignore[method-assign]  # put back


def _loggers() -> Iterator[logging.Logger]:
    yield logging.getLogger()
    for logger in list(logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            yield logger


def _ancestry(name: str) -> Iterator[logging.Logger]:
    """Return the logger of this name and those that its records go up to; none if there is no such logger."""
    found = logging.root.manager.loggerDict.get(name, logging.root if name == logging.root.name else None)
    logger = found if isinstance(found, logging.Logger) else None
    while logger is not None:
        yield logger
        logger = logger.parent


class _KeepBack(logging.Filter):
    """Drops the records that were only made because the root logger's level was lowered."""

    def __init__(self, level: int) -> None:
        super().__init__()
        self._level = level

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= self._level or logging.root.level != logging.INFO:
            return True  # the second: the user has chosen another level meanwhile
        for logger in _ancestry(record.name):
            if logger.level:
                return logger is not logging.root
        return True


class _LogRouter(logging.Handler):
    """Gives records to the captured call they belong to."""

    def __init__(self, keep_back: _KeepBack) -> None:
        super().__init__()
        self._keep_back = keep_back
        self.setFormatter(logging.Formatter("%(levelname)s:%(name)s:%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        call = _here()
        if call is None:
            self._last_resort(record)
            return
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001  # as every handler: a bad log call is reported, and harms nobody
            self.handleError(record)
        else:
            call.add(_LOGS, line + "\n")

    def _last_resort(self, record: logging.LogRecord) -> None:
        """Shown as by Python itself, where no handler of the user's was there to hear it."""
        last = logging.lastResort
        if last is None or record.levelno < last.level or not self._keep_back.filter(record):
            return
        for logger in _ancestry(record.name):
            if any(handler is not self for handler in logger.handlers):
                return
        last.handle(record)
