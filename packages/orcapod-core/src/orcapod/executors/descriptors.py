"""``DescriptorCall``: what one call in this process and all that it starts write, taken where it leaves the process."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self

from orcapod.executors.capture import CapturedCall, capturing
from orcapod.executors.redirection import Capture
from orcapod.functions import CaptureBuffer
from orcapod.protocols import PacketExecutionLoggerProtocol

__all__ = ["DescriptorCall"]

_ONE_AT_A_TIME = threading.RLock()


class DescriptorCall:
    """A context manager around one call: captures all that this process and its children write meanwhile.

    There is one stdout in a process, so calls that are captured this way wait for each other. What is logged
    is captured as by ``CapturedCall``.
    """

    def __init__(self, logger: PacketExecutionLoggerProtocol) -> None:
        self._logger = logger
        self._report = CaptureBuffer()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(_ONE_AT_A_TIME)
            stack.enter_context(capturing())
            _flush()
            self._capture = Capture(logs=False)
            stack.callback(self._capture.close)
            self._capture.begin()
            stack.enter_context(_WrittenCall(self._report))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _flush()
        stdout, stderr, _ = self._capture.end()
        self._stack.__exit__(kind, error, trace)
        assert self._report.output is not None
        self._logger.record(**self._report.output._replace(stdout=stdout, stderr=stderr).fields())


class _WrittenCall(CapturedCall):
    """A call that writes what Python code prints to the descriptors, so that it keeps its place among the rest."""

    __slots__ = ()

    def add(self, name: str, part: str | bytes) -> None:
        descriptor = _DESCRIPTORS.get(name)
        if descriptor is None:
            super().add(name, part)
        else:
            os.write(descriptor, part if isinstance(part, bytes) else part.encode("utf-8", "backslashreplace"))


_DESCRIPTORS = {"stdout": 1, "stderr": 2}


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        with suppress(Exception):  # closed, or none at all
            stream.flush()  # type: ignore[union-attr]  # likewise
