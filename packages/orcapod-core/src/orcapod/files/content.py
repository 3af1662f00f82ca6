"""``content_of``: what identifies a file or a folder: what is in it, wherever it lies."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from orcapod.files.memo import MEMO, Stamp

__all__ = ["TREE_METHOD", "Content", "content_of", "read_content", "reread_content", "stamp_of"]

TREE_METHOD = "tree-v1"

_BUFFER_BYTES = 1 << 20  # the quickest of those between 16 KiB and 4 MiB
_TICK_NS = 20_000_000  # the clocks of file systems go on in steps of a few milliseconds
_COARSE_NS = 2_000_000_000  # or of up to two seconds, where times are whole seconds

_Read = Callable[[Path, os.stat_result], tuple[str, int]]
"""Given a file and what ``stat`` says of it, returns a digest and the size of what that is of."""


class Content(NamedTuple):
    """Content of a file or a folder.

    Attributes:
        digest: ``sha256:`` and what ``sha256sum`` says of the file; for a folder, ``tree-v1:`` and the digest of the
            names and digests of all that is in it.
        size: the bytes of the file, or of all files in the folder.
    """

    digest: str
    size: int

    @property
    def is_folder(self) -> bool:
        return self.digest.startswith(TREE_METHOD)


def content_of(path: Path) -> Content:
    """Return the content of a file or a folder; what was read before, and has not changed since, is not read again.

    Raises:
        OSError: it is not there, cannot be read, changes meanwhile, or is neither file nor folder.
    """
    return _content(path, read=_remembered)


def read_content(path: Path) -> Content:
    """Return the same, read anew.

    Raises:
        OSError: see ``content_of``.
    """
    return _content(path, read=_digest)


def reread_content(path: Path) -> Content:
    """Return the same, read anew, and remember it: a change that its stamp does not show is known from now on.

    Raises:
        OSError: see ``content_of``.
    """
    return _content(path, read=_reread)


def stamp_of(path: Path) -> str:
    """Return what changes when somebody writes to a file, or to anything in a folder; nothing is read for that.

    Raises:
        OSError: see ``content_of``.
    """
    return _content(path, read=lambda _, found: (" ".join(map(str, Stamp.of(found))), found.st_size)).digest


def _content(path: Path, *, read: _Read, above: tuple[tuple[int, int], ...] = ()) -> Content:
    try:
        found = path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            target = os.readlink(path)  # noqa: PTH115  # as it is written
            raise FileNotFoundError(f"{path} is a link to {target}, where nothing is") from None
        raise
    if stat.S_ISREG(found.st_mode):
        digest, size = read(path, found)
        return Content(f"sha256:{digest}", size)
    if not stat.S_ISDIR(found.st_mode):
        raise OSError(f"{path} is neither a file nor a folder")
    here = (found.st_dev, found.st_ino)
    if here in above:
        raise OSError(f"{path} is a link to a folder that it lies in")
    tree, size = sha256(f"{TREE_METHOD}\n".encode()), 0
    for name in sorted(os.listdir(path), key=os.fsencode):  # noqa: PTH208  # names, not paths
        content = _content(path / name, read=read, above=(*above, here))
        encoded = os.fsencode(name)
        tree.update(f"{len(encoded)}:".encode() + encoded + f" {content.digest}\n".encode())
        size += content.size
    return Content(f"{TREE_METHOD}:{tree.hexdigest()}", size)


def _remembered(path: Path, found: os.stat_result) -> tuple[str, int]:
    digest = MEMO.get(path, Stamp.of(found))
    return _reread(path, found) if digest is None else (digest, found.st_size)


def _reread(path: Path, found: os.stat_result) -> tuple[str, int]:
    stamp = Stamp.of(found)
    is_safe = _wait_until_old(stamp.mtime_ns)
    digest, size = _digest(path, found)
    if is_safe and MEMO.get(path, stamp) != digest:
        MEMO.put(path, stamp, digest)
    return digest, size


def _wait_until_old(mtime_ns: int) -> bool:
    """Say whether every later change of a file will show in its time; it waits a few milliseconds for that."""
    age = time.time_ns() - mtime_ns
    if mtime_ns % 1_000_000_000 == 0:
        return age > _COARSE_NS
    if -_TICK_NS < age < _TICK_NS:
        time.sleep((_TICK_NS - age) / 1e9)
    return time.time_ns() - mtime_ns >= _TICK_NS


def _digest(path: Path, _: os.stat_result) -> tuple[str, int]:
    """Return the SHA-256 of a file, in hexadecimal digits, and how many bytes it is of."""
    with path.open("rb", buffering=0) as stream:
        before = Stamp.of(os.fstat(stream.fileno()))
        digest, buffer = sha256(), memoryview(bytearray(min(before.size + 1, _BUFFER_BYTES)))
        while count := stream.readinto(buffer):
            digest.update(buffer[:count])
        if before != Stamp.of(os.fstat(stream.fileno())):
            raise OSError(f"{path} was written to while it was read; wait until it is whole")
    return digest.hexdigest(), before.size
