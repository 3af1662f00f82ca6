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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from types import CodeType
from typing import Any
from weakref import WeakSet, finalize

import cloudpickle

__all__ = ["LARGE", "Compact", "CompactPickler", "Message", "Parts", "in_parts", "received", "serialized"]

LARGE = 1 << 17
"""Bytes from which on shared memory costs less than a connection, through which all else goes."""

_SMALL = 4096  # bytes that a slice may bring along
_ALIGNMENT = 64  # what Arrow wishes for
_MOST_MAPPED = 256  # at once, since each takes one of the 1,024 descriptors that a process usually may have
_MAPPED: WeakSet[mmap.mmap] = WeakSet()

Parts = tuple[list[bytes | memoryview], list[pickle.PickleBuffer]]
"""A pickled value, as pieces one after the other; and its large parts, which are not copied into it."""


class Message:
    """A value as it is now, to be sent to other processes any number of times.

    Args:
        value: whatever can be pickled.
        pickler: how.
    """

    def __init__(self, value: Any, pickler: Callable[..., Any] | None = None) -> None:
        content, buffers = in_parts(value, pickler)
        raws = [buffer.raw() for buffer in buffers]
        sizes = [sum(map(len, content)), *(raw.nbytes for raw in raws)]
        self._file: int | None = None
        if sum(sizes) < LARGE:
            self._head = b"".join(content)
            return
        self._head = _SHARED + pickle.dumps((sizes, [raw.readonly for raw in raws]))
        self._file = _unnamed_file()
        finalize(self, os.close, self._file)
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
    sizes, readonly = pickle.loads(head[len(_SHARED) :])  # noqa: S301  # from our own process
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
    content, *views = (memory[start : start + size] for start, size in zip(starts, sizes, strict=True))
    buffers = [view.toreadonly() if is_fixed else view for view, is_fixed in zip(views, readonly, strict=True)]
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


def in_parts(value: Any, pickler: Callable[..., Any] | None = None) -> Parts:
    """Return a value as bytes, by value where the other process could not import what it is, and its large parts."""
    buffers: list[pickle.PickleBuffer] = []

    def is_small(buffer: pickle.PickleBuffer) -> bool:
        if buffer.raw().nbytes < LARGE:
            return True
        buffers.append(buffer)
        return False

    file = _Pieces()
    (pickler or CompactPickler)(file, protocol=5, buffer_callback=is_small).dump(value)
    return file.pieces, buffers


class _Pieces:
    """A file for a pickler to write to, which copies nothing: what is large is the user's own."""

    def __init__(self) -> None:
        self.pieces: list[bytes | memoryview] = []

    def write(self, piece: bytes | pickle.PickleBuffer) -> None:
        self.pieces.append(piece.raw() if isinstance(piece, pickle.PickleBuffer) else piece)


def serialized(value: Any, pickler: Callable[..., Any] | None = None) -> bytes:
    """Return a value as bytes, by value where the other process could not import what it is."""
    file = _Pieces()
    (pickler or CompactPickler)(file, protocol=5).dump(value)
    return b"".join(file.pieces)


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
