"""``Path``, ``File``, ``Directory``: files and folders as values, identified by what is in them.

At rest, one is a struct of the path, the digest and the size.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.types as pat

from orcapod.checks import Checks
from orcapod.compute import pc
from orcapod.display import shown
from orcapod.errors import ValueTypeError
from orcapod.files import Content, FileStore, content_of, located, take_in
from orcapod.types.logical import LogicalType, mismatch, registry

__all__ = [
    "FILE_ARROW",
    "Directory",
    "File",
    "FileType",
    "files_by_row",
    "files_in",
    "holds_files",
    "members_of",
    "paths_in",
    "with_current_files",
    "with_members",
]

FILE_ARROW = pa.struct([("path", pa.large_string()), ("digest", pa.large_string()), ("size", pa.int64())])


@dataclass(frozen=True, slots=True)
class File:
    """A file, to be opened like any path: ``open(file)``, ``np.loadtxt(file)``, ``file.path.read_text()``.

    Attributes:
        path: where it is.

    Raises:
        ValueTypeError: that is no path.
    """

    path: Path

    def __init__(self, path: str | os.PathLike[str]) -> None:
        object.__setattr__(self, "path", Path(Checks(type(self).__name__, ValueTypeError).file("path", path)))

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.name

    @property
    def content(self) -> Content:
        """What is in it: digest and size; it is read for that, unless it was before.

        Raises:
            OSError: it cannot be read.
        """
        return content_of(self.path)


class Directory(File):
    """A folder, with all that is in it."""

    __slots__ = ()


class FileType(LogicalType):
    """Files and folders as values of one class.

    Args:
        python: the class.
        folders: whether they are folders, files (False), or either (None).
    """

    is_identity = False
    is_total = False
    is_hashable = False
    is_canonical = False
    shows_values = True
    arrow = FILE_ARROW

    def __init__(self, python: type, *, folders: bool | None) -> None:
        self.python = python
        self.folders = folders
        self.name = python.__name__
        self.annotation = python

    def takes(self, other: LogicalType) -> bool:
        """Say whether columns of the other type may be such: which of its values are, shows when they are read."""
        return isinstance(other, FileType)

    def adopted(self, column: Any) -> Any:
        """Return a column of paths as texts as one of files."""
        if not (pat.is_string(column.type) or pat.is_large_string(column.type)):
            return column
        values = [None if text is None else Path(text) for text in column.to_pylist()]
        stored = [None if value is None else self._stored(row, value) for row, value in enumerate(values)]
        return pa.chunked_array([pa.array(stored, self.arrow)])

    def _stored(self, row: int, value: Path) -> Any:
        try:
            return self._of_path(value)
        except ValueTypeError as error:
            raise ValueTypeError(f"row {row}: {error}", **error.about(row=row)) from None

    def to_storage(self, value: Any) -> Any:
        if not isinstance(value, File | Path) or (isinstance(value, Directory) and self.folders is False):
            raise mismatch(self.name, value)
        return self._of_path(Path(value))

    def _of_path(self, path: Path) -> Any:
        try:
            str(path).encode()
            where, content = take_in(Path(os.path.abspath(path)))  # noqa: PTH100  # links stay
        except (OSError, UnicodeError, ValueError) as error:
            if isinstance(error, FileNotFoundError) and not os.path.lexists(path):
                raise self._refused(path, "nothing is there; check the path, and whether it was written") from None
            raise self._refused(path, f"it cannot be read, or stored: {error}") from None
        self._check_kind(where, content)
        return {"path": str(where), "digest": content.digest, "size": content.size}

    def from_storage(self, stored: Any) -> Any:
        path = Path(stored["path"])
        try:
            path = located(path)
            found = content_of(path)
        except OSError as error:
            raise self._refused(path, f"it was there, and cannot be read any more: {error}; put it back") from None
        if found.digest != stored["digest"]:
            why = f"it has changed: found {found.digest}, expected {stored['digest']}"
            raise self._refused(path, f"{why}; put back what it was, or run again what it comes from")
        self._check_kind(path, found)
        return path if self.python is Path else self.python(path)

    def _check_kind(self, path: Path, content: Content) -> None:
        if self.folders is not None and content.is_folder is not self.folders:
            kind, advice = ("folder", "Directory") if content.is_folder else ("file", "File")
            raise self._refused(path, f"it is a {kind}; declare it as {advice}, or as Path, which is either")

    def _refused(self, path: Path, why: str) -> ValueTypeError:
        where = shown(str(path))
        return ValueTypeError(f"expected {self.name}, found {where}: {why}", expected=self.name, found=where)

    def identity(self, column: Any) -> pa.Array[Any]:
        digests: pa.Array[Any] = pc.struct_field(column, "digest")
        return digests

    def display(self, value: Any) -> Any:
        return str(Path(value))

    def export(self, value: Any, file: Path) -> None:
        """Copy it, whatever its suffix is."""
        if Path(value).is_dir():
            shutil.copytree(value, file, copy_function=shutil.copyfile)
            for folder, _, _ in os.walk(file):  # those of a store are read-only, a copy is one's own
                Path(folder).chmod(Path(folder).stat().st_mode | stat.S_IWUSR)
        else:
            shutil.copyfile(value, file)


def holds_files(arrow: pa.DataType) -> bool:
    """Say whether values of an Arrow type are, or hold, files."""
    return arrow == FILE_ARROW or any(holds_files(member) for member in _members(arrow))


def paths_in(column: Any) -> Iterator[Path]:
    """Give the paths of all files in a column, as they are stored."""
    return (path for path, _ in files_in(column))


def files_in(column: Any) -> Iterator[tuple[Path, str]]:
    """Give the paths and the digests of all files in a column, as they are stored."""
    if not holds_files(column.type):
        return
    if column.type == FILE_ARROW:
        paths, digests = (pc.struct_field(column, name).to_pylist() for name in ("path", "digest"))
        yield from ((Path(path), digest) for path, digest in zip(paths, digests, strict=True) if path is not None)
        return
    for member in members_of(column):
        yield from files_in(member)


def files_by_row(column: Any) -> list[list[tuple[Path, str]]]:
    """Return for every row of a column, the paths and the digests of the files in it, as they are stored."""
    if column.type != FILE_ARROW:
        return [list(files_in(column.slice(row, 1))) for row in range(len(column))]
    return [[] if file is None else [(Path(file["path"]), file["digest"])] for file in column.to_pylist()]


def with_current_files(table: pa.Table, folder: Path | None) -> pa.Table:
    """Return a table whose files are where they are now: the store may have been copied or moved; see ``FileStore``.

    Args:
        table: of values as they are stored.
        folder: for files, that of the store which they were read from; None if it has none.
    """
    if folder is None:
        return table
    store = FileStore(folder)
    for at, field in enumerate(table.schema):
        if holds_files(field.type):
            parts = [_current(part, store) for part in table.column(at).chunks]
            table = table.set_column(at, field, pa.chunked_array(parts, field.type))
    return table


def _current(column: Any, store: FileStore) -> Any:
    if not holds_files(column.type):
        return column
    if column.type == FILE_ARROW:
        paths, *others = column.flatten()
        if pc.all(pc.starts_with(paths, f"{store.folder}{os.sep}")).as_py() is not False:
            return column
        moved = [None if path is None else str(store.current(Path(path))) for path in paths.to_pylist()]
        return pa.StructArray.from_arrays(
            [pa.array(moved, paths.type), *others], fields=list(FILE_ARROW), mask=column.is_null()
        )
    return with_members(column, lambda member: _current(member, store))


def members_of(column: Any) -> list[Any]:
    """Return the columns that a nested column is made of: of the fields of structs, or of the members of lists."""
    if pat.is_struct(column.type):
        fields: list[Any] = column.flatten()
        return fields
    if pat.is_map(column.type):
        whole: Any = pa.concat_arrays([column, column[:0]])  # without what lies around a slice
        return [whole.keys, whole.items]
    return [pc.list_flatten(column)]


def with_members(column: Any, change: Callable[[Any], Any]) -> Any:
    """Return a nested column, of a struct, a map or lists, with the columns that it is made of changed."""
    whole: Any = pa.concat_arrays([column, column[:0]])  # without what lies around a slice
    absent = whole.is_null()
    if pat.is_struct(whole.type):
        fields = [change(member) for member in whole.flatten()]
        return pa.StructArray.from_arrays(fields, fields=list(whole.type), mask=absent)
    if pat.is_map(whole.type):
        parts = (change(part) for part in (whole.keys, whole.items))
        return pa.MapArray.from_arrays(whole.offsets, *parts, type=whole.type, mask=absent)
    cls = type(whole)
    return cls.from_arrays(whole.offsets, change(whole.values), type=whole.type, mask=absent)


def _members(arrow: Any) -> Iterable[pa.DataType]:
    return [arrow.field(at).type for at in range(arrow.num_fields)]


for _dtype in (FileType(Path, folders=None), FileType(File, folders=False), FileType(Directory, folders=True)):
    registry.register(_dtype.python, lambda annotation, dtype=_dtype: dtype)  # type: ignore[misc]  # the default binds it
