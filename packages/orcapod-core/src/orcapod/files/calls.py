"""``output_path``: places for files, which belong to the call of a function that asks for them."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from orcapod.checks import Checks
from orcapod.errors import ConfigError, ValueTypeError
from orcapod.files.content import content_of, stamp_of
from orcapod.files.file_store import FileStore, folder_error, located, remove, temporary_folder
from orcapod.files.remote import admit

__all__ = ["KnownFile", "Unreadable", "WithFiles", "WithPlaces", "output_path", "with_files"]

_current: ContextVar[_Call | None] = ContextVar("orcapod_files", default=None)


class _Call:
    """Call of a function that takes or makes files."""

    def __init__(self, folder: Path | None, arguments: Mapping[str, Any]) -> None:
        self.folder = folder
        self.arguments = arguments
        self.made: list[Path] = []


_under_way: set[_Call] = set()


def output_path(name: str | os.PathLike[str]) -> Path:
    """Return a fresh place for a file or folder of this name, which the function makes and gives back.

    Given back as ``File``, ``Directory`` or ``Path``, it is moved into the folder of files of the store, by its
    content, and stays; what is not given back is removed when the call has ended. Outside of a pipeline it is a place
    for temporary files, which go with the process. In a thread that the function starts it is not known whose it is:
    ask before, and hand the path over.

    Args:
        name: the name that it keeps; ``plots/figure.png`` lies in a folder of its own.

    Raises:
        ConfigError: it is no such name, the store has no folder for files, or this is a thread that a function started.
        DatabaseError: nothing can be written there.
    """
    relative = PurePath(Checks("output_path").file("name", name))
    if not relative.name or relative.is_absolute() or ".." in relative.parts:
        raise ConfigError(f"output_path: found {str(name)!r}, expected a name such as 'figure.png'")
    call = _current.get()
    if call is None and _under_way:
        raise ConfigError(
            "output_path: found a thread that the function has started, expected the call itself, which knows where "
            "its files belong; call op.output_path there, and hand what it returns over to the thread"
        )
    if call is not None and call.folder is None:
        raise ConfigError(
            "output_path: found a store that has no folder for files; give the pipeline one that all workers see: "
            "Pipeline(..., files='/data/files')"
        )
    store = FileStore(temporary_folder() if call is None or call.folder is None else call.folder)
    try:
        fresh = store.fresh()
        (fresh / relative).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise folder_error(store.folder, "output_path can make no file", error) from error
    if call is not None:
        call.made.append(fresh)
    return fresh / relative


class Unreadable:
    """Argument that cannot be given, since its file is lost or has changed: the call fails with the reason."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class KnownFile(NamedTuple):
    """File or folder that was found to have the content that it should have.

    Attributes:
        path: where it is.
        digest: of its content.
        stamp: what it was then; as long as it has that, it is not read again.
    """

    path: Path
    digest: str
    stamp: str

    @classmethod
    def of(cls, path: Path, digest: str) -> KnownFile:
        """Return a file, before anybody looks whether it has that content.

        Raises:
            OSError: it cannot be looked at.
        """
        try:
            return cls(path, digest, stamp_of(path))
        except FileNotFoundError:
            path = located(path)
            return cls(path, digest, stamp_of(path))

    def what_is_wrong(self, since: str) -> str:
        """Return what has become of it, if it is not what it was; else nothing."""
        try:
            if stamp_of(self.path) == self.stamp or (found := content_of(self.path).digest) == self.digest:
                return ""
        except OSError as error:
            return f"{self.path} cannot be read any more: {error}; put it back, and run again"
        why = f"{self.path} has changed {since}: found {found}, expected {self.digest}"
        return f"{why}; run again once nobody writes to it"


@dataclass(frozen=True, slots=True)
class WithFiles:
    """Argument that is made of files, which have to be what they are from before the call to its end.

    Attributes:
        value: the argument.
        files: those files.
        node: what the function is called.
        column: which argument it is.
    """

    value: Any
    files: Sequence[KnownFile]
    node: str
    column: str

    def check(self, since: str) -> None:
        """Check that all are what they were.

        Raises:
            ValueTypeError: one is not.
        """
        for file in self.files:
            if wrong := file.what_is_wrong(since):
                why = f"{self.node}: parameter {self.column!r}: {wrong}"
                raise ValueTypeError(why, node=self.node, column=self.column)


@dataclass(frozen=True, slots=True)
class WithPlaces:
    """Value that a call has returned, and the places for files that it asked for, which go once the value is taken in.

    Attributes:
        value: what it returned.
        places: where files may be that it made.
    """

    value: Any
    places: Sequence[Path]

    def __enter__(self) -> Any:
        return self.value

    def __exit__(self, *exc_info: object) -> None:
        for path in self.places:
            remove(path)


def with_files(function: Callable[..., Any], folder: Path | None) -> Callable[..., Any]:
    """Return the function, whose calls make files in a folder, None where there is none: values ``WithPlaces``.

    Of arguments ``WithFiles``, it is given the values, and its calls fail if one of the files changes meanwhile.
    """
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        return partial(_call_async, folder, function)
    return partial(_call, folder, function)


def _call(folder: Path | None, function: Callable[..., Any], /, **kwargs: Any) -> Any:
    with _making_files(folder, kwargs) as call:
        value = function(**call.arguments)
    return WithPlaces(value, call.made) if call.made else value


async def _call_async(folder: Path | None, function: Callable[..., Any], /, **kwargs: Any) -> Any:
    with _making_files(folder, kwargs) as call:
        value = await function(**call.arguments)
    return WithPlaces(value, call.made) if call.made else value


@contextmanager
def _making_files(folder: Path | None, kwargs: Mapping[str, Any]) -> Iterator[_Call]:
    given = [value for value in kwargs.values() if isinstance(value, WithFiles)]
    for value in kwargs.values():
        if isinstance(value, Unreadable):
            raise value.error
    for each in given:
        each.check("since it was found")
    if folder is not None:
        admit(folder)  # this may be a worker's process
    arguments = {name: value.value if isinstance(value, WithFiles) else value for name, value in kwargs.items()}
    call = _Call(folder, arguments)
    token = _current.set(call)
    _under_way.add(call)
    try:
        yield call
        for each in given:
            each.check("while the function ran")
    except BaseException:
        for path in call.made:
            remove(path)
        raise
    finally:
        _under_way.discard(call)
        _current.reset(token)
