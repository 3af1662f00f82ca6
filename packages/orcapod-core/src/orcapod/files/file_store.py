"""``FileStore``: files that functions make, kept by content in a folder beside the store of their records."""

from __future__ import annotations

import atexit
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa

from orcapod.errors import DatabaseError
from orcapod.files.content import Content, content_of, read_content
from orcapod.files.memo import MEMO, Stamp
from orcapod.files.remote import delete, download, is_place, is_remote, mirrored, stored, upload

__all__ = [
    "FileStore",
    "folder_error",
    "is_there",
    "located",
    "read_bytes",
    "remove",
    "take_in",
    "temporary_folder",
]

_FRESH = ".orcapod-fresh"
_WHOLE = f"[0-9a-f][0-9a-f]/{'[0-9a-f]' * 64}/*"
_WRITABLE = 0o222
_DEPTH = 3  # two digits, digest, name
_PLAIN, _COMPRESSED = "value.bin", "value.bin.zst"
_SAMPLES, _SAMPLE_BYTES = 4, 16_384
_MOST_COMPRESSED = 0.6  # of its bytes: else a value is read in place, without a copy
_MOST_TAKEN = 1_000
_MOST_TIMES = 1 << 17  # as many bytes as the file has: more than zstd ever makes of them


_FOR_GOOD = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG,
}  # fmt: skip
"""What no time mends."""


def folder_error(folder: Path, what: str, error: OSError) -> DatabaseError:
    """Return the error of a folder for files with which something cannot be done, and what to do."""
    why = f"{folder}: {what} there: {error}; make it a folder that you may read and write"
    advice = "or give the pipeline another folder: Pipeline(..., files='/data/files')"
    return DatabaseError(f"{why}, {advice}", is_transient=error.errno not in _FOR_GOOD)


class FileStore:
    """Folder of files by content: ``{two digits}/{digest}/{name}``, read-only.

    A file is moved there whole, and never changed afterwards. Files that are being made lie in ``.orcapod-fresh``; all
    workers must see the folder under the same path. Where it is the mirror of one on object storage, what is taken is
    uploaded, and what is missing is downloaded.

    Args:
        folder: where it is; it is created when the first file is made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(os.path.abspath(folder))  # noqa: PTH100  # links stay

    def fresh(self) -> Path:
        """Return a new folder for a file that is going to be made."""
        fresh = self.folder / _FRESH / uuid4().hex
        fresh.mkdir(parents=True)
        return fresh

    def take(self, path: Path) -> tuple[Path, Content]:
        """Move a file or folder to where its content belongs; return where that is, and its content.

        What is there already stays, unless somebody has changed it.
        """
        place, content = self._take(path)
        upload(place)
        return place, content

    def fetch(self, place: Path) -> None:
        """Download what belongs to a place, whole or not at all.

        Raises:
            OSError: it is not there, or cannot be reached.
        """
        fresh = self.fresh()
        try:
            download(place, fresh / place.name)
            found, content = self._take(fresh / place.name)
            if found != place:
                raise OSError(f"it has changed: found {content.digest}")
        finally:
            remove(fresh)

    def _take(self, path: Path) -> tuple[Path, Content]:
        _mend_links(path)
        _settle(path)
        content = read_content(path)
        place = self._place(content, path.name)
        if _is_young_again(place, content):
            remove(path)
        else:
            self._move(path, place, content)
        return place, content

    def put(self, data: Any, digest: str | None = None) -> tuple[Path, Content]:
        """Write bytes as a file, compressed where that pays; return where it is, and its content.

        Args:
            data: the bytes.
            digest: that of a file of them, if it is known.
        """
        name, written = _PLAIN, data
        if (packed := _compressed(data)) is not None:
            name, written, digest = _COMPRESSED, packed, None
        content = Content(digest or f"sha256:{sha256(written).hexdigest()}", len(written))
        place = self._place(content, name)
        if not _is_young_again(place, content):
            fresh = self.folder / _FRESH / uuid4().hex
            fresh.parent.mkdir(parents=True, exist_ok=True)
            try:
                fresh.write_bytes(written)
                _settle(fresh)
                self._move(fresh, place, content)
            except BaseException:
                fresh.unlink(missing_ok=True)
                raise
        upload(place)
        return place, content

    def _place(self, content: Content, name: str) -> Path:
        digest = content.digest.partition(":")[2]
        return self.folder / digest[:2] / digest / name

    def _move(self, path: Path, place: Path, content: Content) -> None:
        """Move a file or folder to where its content belongs."""
        place.parent.mkdir(parents=True, exist_ok=True)
        if not content.is_folder:
            path.replace(place)  # another writer's, which is the same, or a damaged one
            MEMO.put(place, Stamp.of(place.stat()), content.digest.partition(":")[2])
            return
        if place.exists() and not _is_there(place, content):
            place.chmod(place.stat().st_mode | stat.S_IWUSR)  # what is not, cannot be moved to another folder
            place.replace(self.fresh() / path.name)  # damaged: put aside, as an orphan
        try:
            path.rename(place)
        except OSError:
            if not _is_there(place, content):  # another process was first
                raise
            remove(path)
        _protect(place)

    @staticmethod
    def place(path: Path) -> tuple[str, ...]:
        """Return where a file is in its store, wherever that is."""
        return path.parts[-_DEPTH:]

    def current(self, path: Path) -> Path:
        """Return where a file of this store is that was at a path when it was stored.

        That is in its folder, or at that path; or, as the store may have been moved and renamed without its folder,
        beside that, in the folder of its former name. No other store's folder is looked into.
        """
        place, former = self.place(path), path.parts[-_DEPTH - 1 : -_DEPTH]
        if not is_place(place):  # it never was in a store's folder
            return path
        here, beside = self.folder.joinpath(*place), self.folder.parent.joinpath(*former, *place)
        return next((each for each in (here, path, beside) if each.exists()), path)

    def orphans(self, is_orphan: Callable[[tuple[str, ...]], bool]) -> list[Path]:
        """Return where files are that were only begun, and the whole ones that nothing needs.

        Args:
            is_orphan: says whether nothing needs the file at a place.
        """
        whole = [path for path in self.whole() if is_orphan(self.place(path))]
        return [*(self.folder / _FRESH).glob("*"), *whole]

    def whole(self) -> Iterator[Path]:
        """Give where the files are that were taken."""
        return (path for path in self.folder.glob(_WHOLE) if is_place(self.place(path)))

    def remove(self, is_orphan: Callable[[tuple[str, ...]], bool], *, before: float) -> list[Path]:
        """Remove the orphans among the files that were put there before a time; return where they were.

        Args:
            is_orphan: says whether nothing needs the file at a place.
            before: seconds since 1970.
        """
        away = [path for path, changed in stored(self.folder) if is_orphan(self.place(path)) and changed < before]
        for path in away:
            delete(path)
        removed = [path for path in self.orphans(is_orphan) if _changed(path) < before]
        for path in removed:
            remove(path)
            for above in [] if path.parent.name == _FRESH else [path.parent, path.parent.parent]:
                with suppress(OSError):  # there is more in it
                    above.rmdir()
        return [*removed, *(path for path in away if path not in removed)]


@cache
def temporary_folder() -> Path:
    """Return the folder for files of what is kept in memory only; it goes when this process ends."""
    folder, process = Path(tempfile.gettempdir()) / f"orcapod-{uuid4().hex}", os.getpid()

    def leave() -> None:
        if os.getpid() == process:
            remove(folder)

    atexit.register(leave)
    return folder


def located(path: Path) -> Path:
    """Return where a file is that was here when it was stored: of one of a mirror, in that of this machine.

    Raises:
        OSError: it is on object storage that cannot be reached.
    """
    if (found := _found(path)) is not None:
        return found
    if (here := mirrored(path)) is None:
        return path
    FileStore(here.parents[2]).fetch(here)
    return here


def is_there(path: Path) -> bool:
    """Say whether a file is there that was here when it was stored; it is not downloaded for that.

    Raises:
        OSError: it is on object storage that cannot be reached.
    """
    return _found(path) is not None or is_remote(path)


def _found(path: Path) -> Path | None:
    """Return where a file is on this machine."""
    if path.exists():
        return path
    here = mirrored(path)
    return here if here is not None and here.exists() else None


_taken: dict[Path, Path] = {}
"""Where fresh files went, of late: one value may name a file twice, or a folder and a file in it."""


def take_in(path: Path) -> tuple[Path, Content]:
    """Return where a file is to be found from now on, and its content: in the store, if it is a fresh one of it.

    Raises:
        OSError: it cannot be read or moved.
    """
    if path.is_symlink():
        path = Path(os.path.realpath(path))
    parts = path.parts
    if _FRESH not in parts:
        return path, content_of(path)
    at = parts.index(_FRESH)
    if at + 2 >= len(parts):
        raise OSError("it is where output_path has files made; give back what that named: op.output_path('results')")
    store, fresh = FileStore(Path(*parts[:at])), Path(*parts[: at + 2])
    if not path.exists() and (before := _taken_before(path)) is not None:
        if path in _taken:
            return before, content_of(before)
        return _take_copy(store, before)
    if not path.is_file():
        _put_back_what_was_taken_of(path)
    taken = store.take(path)
    with suppress(OSError):  # something else lies there, which may be given back, too
        for folder in [*path.relative_to(fresh).parents][:-1]:
            (fresh / folder).rmdir()
        fresh.rmdir()
    _taken[path] = taken[0]
    while len(_taken) > _MOST_TAKEN:
        _taken.pop(next(iter(_taken)), None)
    return taken


def _taken_before(path: Path) -> Path | None:
    """Return where a fresh file went, by itself or with a folder."""
    found = (_taken[each] / path.relative_to(each) for each in (path, *path.parents) if each in _taken)
    return next((place for place in found if place.exists()), None)


def _put_back_what_was_taken_of(folder: Path) -> None:
    """Have a folder be whole again, of which files were given back before it was."""
    for path, place in list(_taken.items()):  # others are taken meanwhile
        if folder in path.parents and not path.exists() and place.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _copy(place, path)


def _take_copy(store: FileStore, path: Path) -> tuple[Path, Content]:
    """Take a file or folder into a store, which stays where it is."""
    fresh = store.fresh()
    _copy(path, fresh / path.name)
    taken = store.take(fresh / path.name)
    fresh.rmdir()
    return taken


def _copy(path: Path, made: Path) -> None:
    """Copy a file or folder; a file is linked where that can be."""
    if path.is_dir():
        shutil.copytree(path, made, symlinks=True)
        return
    try:
        os.link(path, made)
    except OSError:  # it is another disk, or has no such links
        shutil.copy2(path, made)


def read_bytes(path: Path, digest: str, size: int) -> Any:
    """Return the bytes that were put into a store as a buffer, which is the file itself where it is not compressed.

    Args:
        path: where they were put.
        digest: of the file.
        size: how many bytes they are.

    Raises:
        OSError: they cannot be read.
        ValueError: they are others by now.
    """
    path = located(path)
    if (found := content_of(path).digest) != digest:
        raise ValueError(f"it has changed: found {found}, expected {digest}")
    with pa.memory_map(str(path)) as file:
        buffer = file.read_buffer()
    if path.name != _COMPRESSED:
        return buffer
    if not 0 <= size <= _MOST_TIMES * len(buffer):
        raise ValueError(f"its {len(buffer)} bytes cannot be {size}")
    return pa.Codec("zstd").decompress(buffer, size)


def _compressed(data: bytes) -> Any:
    """Return bytes compressed; None if that does not pay."""
    codec, step = pa.Codec("zstd", 1), len(data) // _SAMPLES
    sample = b"".join(data[start : start + _SAMPLE_BYTES] for start in range(0, _SAMPLES * step, max(1, step)))
    for part in (sample, data):
        if len(packed := codec.compress(part)) > _MOST_COMPRESSED * len(part):
            return None
    return packed


def _is_young_again(place: Path, content: Content) -> bool:
    """Say whether a content is at its place; if so, it is made as young as one that comes now."""
    if is_there := _is_there(place, content):
        _protect(place)
    return is_there


def _is_there(place: Path, content: Content) -> bool:
    try:
        return content_of(place) == content
    except OSError:
        return False


def _mend_links(folder: Path) -> None:
    """Have links in a folder lead where they lead after it has moved: relative within it, by whole paths out of it.

    Raises:
        OSError: one leads to what goes when the call ends.
    """
    root = Path(os.path.realpath(folder))
    for link in [each for each in folder.rglob("*") if each.is_symlink()]:
        before = os.readlink(link)  # noqa: PTH115  # as it is written
        whole = link.parent / before
        target = Path(os.path.normpath(f"{os.path.realpath(whole.parent)}{os.sep}{whole.name}"))
        if target.is_relative_to(root):
            after = os.path.relpath(target, os.path.realpath(link.parent))
        elif _FRESH in target.parts:
            why = f"{link.name} leads to {target}, which goes when the call ends; put that into the folder, too"
            raise OSError(why)
        else:
            after = str(target)
        if after != before and not (Path(before).is_absolute() and Path(after).is_absolute()):
            link.unlink()
            link.symlink_to(after)


def _settle(path: Path) -> None:
    """Have the disk hold a file, or all files of a folder, and make read-only what can be moved then."""
    for each in [*path.rglob("*")] if path.is_dir() else [path]:
        if each.is_file() and not each.is_symlink():
            with each.open("rb") as stream:
                os.fsync(stream.fileno())
        if not each.is_symlink():
            _protect(each)


def _protect(path: Path) -> None:
    """Make a file read-only, or a folder, so that nothing is added to it."""
    path.chmod(path.stat().st_mode & ~_WRITABLE)


def remove(path: Path) -> None:
    """Remove a file or folder, read-only ones too, if it is there."""
    if path.is_dir():
        for folder, _, _ in os.walk(path):
            Path(folder).chmod(0o700)
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _changed(path: Path) -> float:
    """Return when anything in a file or folder has changed last, be it that it was put there."""
    return max(each.lstat().st_ctime for each in [path, *path.rglob("*")])
