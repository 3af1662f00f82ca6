"""``DescriptorCall``: what one call in this process and all that it starts write, taken where it leaves the process."""

from __future__ import annotations

import io
import sys
import threading
from contextlib import ExitStack, redirect_stderr, redirect_stdout, suppress
from types import TracebackType
from typing import Any, Self

from orcapod.executors.capture import CapturedCall, capturing
from orcapod.executors.worker import Capture
from orcapod.protocols import CapturedOutput, PacketExecutionLoggerProtocol

__all__ = ["DescriptorCall"]

_ONE_AT_A_TIME = threading.RLock()


class DescriptorCall:
    """A context manager around one call: captures all that this process and its children write meanwhile.

    There is one stdout in a process, so calls that are captured this way wait for each other. What is logged
    is captured as by ``CapturedCall``.
    """

    def __init__(self, logger: PacketExecutionLoggerProtocol) -> None:
        self._logger = logger
        self._call = CapturedCall(self)
        self._fields: dict[str, Any] = {}
        self._stack = ExitStack()

    def record(self, **fields: object) -> None:
        """Take what was logged and how the call ended."""
        self._fields = fields

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(_ONE_AT_A_TIME)
            stack.enter_context(capturing())
            _flush()
            self._capture = Capture(logs=False)
            stack.callback(self._capture.close)
            stack.enter_context(redirect_stdout(_stream(1)))
            stack.enter_context(redirect_stderr(_stream(2)))
            self._capture.begin()
            stack.enter_context(self._call)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _flush()
        stdout, stderr, _ = self._capture.end()
        self._stack.__exit__(kind, error, trace)
        captured = CapturedOutput.of_fields(self._fields)
        self._logger.record(**captured._replace(stdout=stdout, stderr=stderr).fields())


def _stream(descriptor: int) -> io.TextIOWrapper:
    """Return a text stream that holds nothing back, so that what is printed keeps its place among what others write."""
    raw: Any = io.FileIO(descriptor, "w", closefd=False)
    return io.TextIOWrapper(raw, "utf-8", "backslashreplace", write_through=True)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        with suppress(Exception):  # closed, or none at all
            stream.flush()  # type: ignore[union-attr]  # likewise
