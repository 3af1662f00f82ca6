"""``Capture``: what a process and its children write and log, while calls are made in it."""

from __future__ import annotations

import fcntl
import io
import logging
import os
import sys
import tempfile
from contextlib import suppress
from typing import Any

__all__ = ["Capture", "mend_streams"]


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


def mend_streams() -> None:
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
