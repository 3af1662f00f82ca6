"""Folders for files on object storage, and the mirror of each on this machine.

Functions make and read files in the mirror. What is taken into it is uploaded before anything is recorded of it, and
what is not in it is downloaded when it is opened. The name of the mirror says which URL it is of, so that a path in it
is all that a worker or a record needs. It may be deleted at any time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from orcapod.checks import Checks
from orcapod.display import discreet
from orcapod.files.memo import cache_folder

__all__ = ["admit", "delete", "download", "files_folder", "is_place", "is_remote", "mirrored", "stored", "upload"]

_MIRRORS = "orcapod-mirrors"
_DEPTH = 3  # two digits, digest, name
_PLACE = re.compile(r"([0-9a-f]{2})/\1[0-9a-f]{62}/[^/]+", re.DOTALL)

_admitted: set[str] = set()


def is_place(parts: Sequence[str]) -> bool:
    """Say whether these are ``{two digits}/{digest}/{name}``; what else is in a folder for files is not ours."""
    return _PLACE.fullmatch("/".join(parts)) is not None


def files_folder(check: Checks, files: str | os.PathLike[str] | None) -> Path | None:
    """Return the folder that an argument ``files`` names; of a URL, its mirror.

    Raises:
        ConfigError: it is none, or of no storage that is known.
        OSError: it cannot be reached.
    """
    if files is None:
        return None
    folder = check.file("files", files)
    if "://" not in folder or folder.startswith("file://"):
        return Path(folder.removeprefix("file://")).expanduser().absolute()  # workers may have another working folder
    advice = (
        "give the path of a folder that all workers see, or s3://bucket/folder, with secrets in the environment; "
        "for storage that pyarrow does not know, install fsspec and what it needs"
    )
    wrong = check.wrong("files", discreet(folder), "a folder, or a URL of object storage", advice)
    if "@" in folder.partition("://")[2].partition("/")[0]:
        raise wrong
    mirror = _mirror(folder)
    admit(mirror)
    try:
        _opened(str(_url_in(mirror)))
    except (ValueError, ImportError) as error:
        raise wrong from error
    return mirror


def admit(folder: Path) -> None:
    """Let the storage be asked of which a folder is the mirror: what a record names alone is not asked."""
    if (url := _url_in(folder)) is not None:
        _admitted.add(url)


def mirrored(path: Path) -> Path | None:
    """Return where a file of a mirror, of any machine, is in that of this machine; None if it is of none."""
    if (url := _url_of(path)) is None:
        return None
    return _mirror(url).joinpath(*path.parts[-_DEPTH:])


def upload(path: Path) -> None:
    """Copy a file or folder of a mirror to where it belongs; it is there whole once this returns."""
    if (url := _url_of(path)) is not None:
        filesystem, root = _opened(url)
        target = f"{root}/{_place(path)}"
        if filesystem.type_name.startswith(("py::", "local")):  # fsspec's, too, may have folders that have to be made
            filesystem.create_dir(target.rpartition("/")[0])
        _copy(str(path), target, None, filesystem)


def download(path: Path, to: Path) -> None:
    """Copy what a path of a mirror stands for to a path on this machine.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    filesystem, root = _opened(str(_url_of(path)))
    _copy(f"{root}/{_place(path)}", str(to), filesystem, None)


def is_remote(path: Path) -> bool:
    """Say whether what a path of a mirror stands for is there."""
    if (url := _url_of(path)) is None:
        return False
    filesystem, root = _opened(url)
    (found,) = filesystem.get_file_info([f"{root}/{_place(path)}"])
    return str(found.type.name) != "NotFound"


def stored(mirror: Path) -> Iterator[tuple[Path, float]]:
    """Give the path in a mirror of each that is on its storage, and when it has changed last; nothing if it is none."""
    from pyarrow.fs import FileSelector  # noqa: PLC0415 - heavy

    if (url := _url_in(mirror)) is None:
        return
    filesystem, root = _opened(url)
    changed: dict[Path, float] = {}
    for info in filesystem.get_file_info(FileSelector(root, recursive=True, allow_not_found=True)):
        parts = info.path.removeprefix(f"{root}/").split("/")
        if is_place(parts[:_DEPTH]):
            place = mirror.joinpath(*parts[:_DEPTH])
            changed[place] = max(changed.get(place, 0.0), info.mtime.timestamp() if info.mtime else 0.0)
    yield from changed.items()


def delete(path: Path) -> None:
    """Delete what a path of a mirror stands for, if it is there."""
    if not is_remote(path):
        return
    filesystem, root = _opened(str(_url_of(path)))
    (found,) = filesystem.get_file_info([f"{root}/{_place(path)}"])
    if found.type.name == "Directory":
        filesystem.delete_dir(found.path)
    else:
        filesystem.delete_file(found.path)


def _mirror(url: str) -> Path:
    return cache_folder() / _MIRRORS / quote(url.rstrip("/"), safe="")


def _url_of(path: Path) -> str | None:
    """Return the URL of the folder in whose mirror a file is; None if it is in none."""
    return _url_in(path.parents[_DEPTH - 1]) if len(path.parts) > _DEPTH else None


def _url_in(mirror: Path) -> str | None:
    return unquote(mirror.name) if mirror.parent.name == _MIRRORS else None


def _place(path: Path) -> str:
    return "/".join(path.parts[-_DEPTH:])


def _opened(url: str) -> tuple[Any, str]:
    if url not in _admitted:
        raise OSError(f"it is kept in {url}, which nobody has named here; give that as files={url!r}")
    return _connected(url)


@cache
def _connected(url: str) -> tuple[Any, str]:
    from pyarrow.fs import FileSystem  # noqa: PLC0415 - heavy, and few need it

    try:
        filesystem, root = FileSystem.from_uri(url)
    except ValueError:  # it knows no such scheme
        filesystem, root = FileSystem.from_uri(f"fsspec+{url}")
    return filesystem, root.rstrip("/")


def _copy(source: str, target: str, of: Any, to: Any) -> None:
    from pyarrow.fs import LocalFileSystem, copy_files  # noqa: PLC0415 - heavy

    local = LocalFileSystem()
    copy_files(source, target, of or local, to or local)
