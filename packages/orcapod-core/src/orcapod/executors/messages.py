"""How values travel between processes: pickled, and by shared memory where they are large.

What numpy, pandas and Arrow hold is not pickled byte by byte (pickle's protocol 5 calls such parts out of band). It is
copied once, into memory that both processes see, and is used where it lies by the one that it is sent to. That memory
has no name: it goes with the descriptor that one process sends the other, and is gone as soon as nobody has it, however
they end. So there is nothing to clean up.
"""

from __future__ import annotations

import mmap
import os
import pickle
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any
from weakref import WeakSet, finalize

from orcapod.executors.pickling import CompactPickler, in_parts

__all__ = ["LARGE", "Message", "received"]

LARGE = 1 << 19
"""Bytes from which on shared memory costs less than a connection, through which all else goes."""

_ALIGNMENT = 64  # what Arrow wishes for
_MOST_MAPPED = 256  # at once, since each takes one of the 1,024 descriptors that a process usually may have
_MAPPED: WeakSet[mmap.mmap] = WeakSet()
_SHARED = b"shared"  # what no pickle begins with
_IS_ACKNOWLEDGED = sys.platform == "darwin"  # which loses a descriptor that is closed before it has arrived


def received(connection: Connection) -> Callable[[], Any]:
    """Return what unpickles the value that was sent; what was written to where it was is written to here alone.

    Raises:
        EOFError: the other process has ended, as ``OSError`` says, too.
    """
    head = connection.recv_bytes()
    if not head.startswith(_SHARED):
        return partial(pickle.loads, head)
    sizes: list[int] = pickle.loads(head[len(_SHARED) :])  # noqa: S301  # from our own process
    with _socket(connection) as channel:
        sent, files, _, _ = socket.recv_fds(channel, 1, 1)
        if not sent:
            raise EOFError
        if not files:
            raise RuntimeError(
                "found no free file descriptor for a large value of another process; close files, or allow more "
                "with `ulimit -n`"
            )
        if _IS_ACKNOWLEDGED:
            channel.send(b"a")
    starts = _starts(sizes)
    try:
        memory = _content(files[0], starts[-1] + sizes[-1])
    finally:
        os.close(files[0])
    content, *buffers = (memory[start : start + size] for start, size in zip(starts, sizes, strict=True))
    return partial(pickle.loads, content, buffers=buffers)


@contextmanager
def _socket(connection: Connection) -> Iterator[socket.socket]:
    """Give the socket that a connection is, which waits, whatever ``socket.setdefaulttimeout`` says."""
    with socket.socket(fileno=os.dup(connection.fileno())) as channel:
        channel.setblocking(True)
        yield channel


def _unnamed_file() -> int:
    """Return the descriptor of a file in memory; where there is no such thing, of one without a name on a disk."""
    with suppress(AttributeError, OSError):
        return os.memfd_create("orcapod")
    file, path = tempfile.mkstemp()
    os.unlink(path)  # noqa: PTH108  # a worker loads as little as it can
    return file


def _starts(sizes: Sequence[int]) -> list[int]:
    """Return where parts of these sizes begin, one after the other."""
    starts = [0]
    for size in sizes[:-1]:
        starts.append(-(-(starts[-1] + size) // _ALIGNMENT) * _ALIGNMENT)
    return starts


def _content(file: int, size: int) -> memoryview:
    """Return what is in a file, as memory of this process alone that is filled when it is looked at."""
    if len(_MAPPED) < _MOST_MAPPED:
        with suppress(OSError):  # it takes a descriptor itself
            mapped = mmap.mmap(file, size, access=mmap.ACCESS_COPY)
            _MAPPED.add(mapped)
            return memoryview(mapped)
    content = memoryview(bytearray(size))
    done = 0
    while done < size:  # not from where the file is at, which others move who have it, too
        done += os.preadv(file, [content[done:]], done)
    return content


class Message:
    """A value as it is now, to be sent to other processes any number of times.

    Args:
        value: whatever can be pickled.
        pickler: how.
    """

    def __init__(self, value: Any, pickler: Callable[..., Any] = CompactPickler) -> None:
        content, buffers = in_parts(value, pickler, LARGE)
        size = sum(map(len, content))
        self._file: int | None = None
        if size < LARGE and not buffers:
            self._head = b"".join(content)
            return
        raws = [buffer.raw() for buffer in buffers]
        sizes = [size, *(raw.nbytes for raw in raws)]
        self._head = _SHARED + pickle.dumps(sizes)
        self._file = _unnamed_file()
        finalize(self, os.close, self._file).atexit = False  # a fork may have something else under this number by then
        with open(self._file, "wb", closefd=False) as file:  # it has no path
            file.writelines(content)
            for raw, start in zip(raws, _starts(sizes)[1:], strict=True):
                file.seek(start)
                file.write(raw)

    def send(self, connection: Connection) -> None:
        """Send it; raises ``OSError`` if the other process has ended."""
        connection.send_bytes(self._head)
        if self._file is not None:
            with _socket(connection) as channel:
                socket.send_fds(channel, [b"f"], [self._file])
                if _IS_ACKNOWLEDGED:
                    channel.recv(1)
