"""``Location``: where a store is, what opens it, and the folder of each path in it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from errno import ENAMETOOLONG
from pathlib import Path

import pyarrow.fs as pafs
from deltalake import DeltaTable

from orcapod.checks import Checks
from orcapod.databases import is_path
from orcapod.display import discreet
from orcapod.errors import DatabaseError
from orcapod.protocols import RecordPath
from orcapod_delta.object_files import ObjectFiles

__all__ = ["FORMAT_TABLE", "Location", "folder_of", "paths_below"]

_EXPECTED = (
    "expected a folder, delta:///relative, delta:////absolute, delta+s3://bucket/prefix or s3://bucket/prefix, and so "
    "with gs://bucket or az://container"
)
_OBJECTS = {"s3a": "s3", **{f"{prefix}{name}": name for name in ("s3", "gs", "az") for prefix in ("", "delta+")}}
"""The schemes of object storage, and what deltalake calls them."""
_SECRET = re.compile(r"key|secret|token|password|credential|signature|sas\b", re.IGNORECASE)
_SAVED = {
    "region", "default_region", "endpoint", "endpoint_url", "allow_http", "virtual_hosted_style_request",
    "account_name", "use_emulator",
}  # fmt: skip
_VENDORS = re.compile(r"^(aws_|azure_storage_|azure_|google_)")
_BACKSLASH = r"|\\" if os.sep == "/" else ""
_UNREADABLE = re.compile(r"%[0-9a-fA-F]{2}|[\x00-\x1f\x7f\ud800-\udfff]" + _BACKSLASH)
_UNWRITABLE = re.compile(r"[\[\]^|]")
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_-")
FORMAT_TABLE = ".orcapod"
"""The folder of the table that tells the format of the store."""

_TABLE = ".delta"
_SHALLOW = 1_000  # brackets in a line, which do no harm however they are nested
_LONGEST_NAME = 200
_LONGEST_FILE = f"_delta_log/{'x' * 120}"
_LONGEST_KEY = 1024


@dataclass(frozen=True, slots=True)
class Location:
    """Location of a store, or of one Delta table.

    Attributes:
        uri: an absolute path, or ``s3://bucket/prefix``, and so with ``gs://`` and ``az://``.
        options: what object storage needs to know besides credentials, which stay in the environment.
    """

    uri: str
    options: Mapping[str, str]

    @classmethod
    def of(cls, location: str | os.PathLike[str], options: Mapping[str, str] | None) -> Location:
        """Return the location of a path or URL.

        Raises:
            DatabaseError: it is neither, or there is a secret in it.
        """
        check = Checks("", DatabaseError)
        declared = dict(check.mapping_or_empty("storage_options", options, "{'aws_region': 'eu-west-1'}"))
        secret = sorted(
            name
            for name, value in declared.items()
            if _SECRET.search(name) or (isinstance(value, str) and "@" in value)
        )
        if secret:
            raise DatabaseError(
                f"found {', '.join(secret)} in storage_options, expected no credentials there; "
                "put them into the environment, as in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                "GOOGLE_APPLICATION_CREDENTIALS, or AZURE_STORAGE_ACCOUNT_KEY"
            )
        for value in declared.values():
            check.text("storage_options with the value", value)
        is_url = isinstance(location, str) and "://" in location
        text = check.text("location", location) if is_url else check.file("location", location)
        if not is_url and not is_path(text):
            raise DatabaseError(f"{_EXPECTED}, found {discreet(text)}; give a folder of such a name by its whole path")
        if found := _UNREADABLE.search(str(Path(text).expanduser().absolute())):
            raise DatabaseError(
                f"{_EXPECTED}, found {discreet(text)!r}: deltalake takes {found[0]!r} for "
                "something else; rename the folder, or choose another"
            )
        if not is_url:
            if not text:
                raise DatabaseError(f"{_EXPECTED}, found ''")
            return cls(str(Path(text).expanduser().absolute()), declared)
        scheme, _, rest = text.partition("://")
        if scheme in _OBJECTS:
            bucket, _, prefix = rest.partition("/")
            if not bucket or "@" in rest or "?" in rest or "#" in rest:
                raise DatabaseError(f"{_EXPECTED}, without credentials or options, found {discreet(text)}")
            return cls("/".join([f"{_OBJECTS[scheme]}:/", bucket, *filter(None, prefix.split("/"))]), declared)
        if scheme == "delta" and rest.startswith("/") and rest.strip("/") and "?" not in rest:
            return cls(str(Path(rest[1:]).expanduser().absolute()), declared)
        raise DatabaseError(f"{_EXPECTED}, found {discreet(text)}")

    @property
    def folder(self) -> Path | None:
        """The folder, if it is on this machine."""
        return None if self.uri.startswith(("s3://", "gs://", "az://")) else Path(self.uri)

    @property
    def table_uri(self) -> str:
        """The URL by which deltalake opens it."""
        return self.uri if self.folder is None else self.folder.as_uri()

    def check_writable(self) -> None:
        """Return if deltalake can write there.

        Raises:
            DatabaseError: it panics over a character of the path.
        """
        if self.folder is not None and _UNWRITABLE.search(self.uri):
            raise DatabaseError(
                "expected a folder without [ ] ^ | in its path, where deltalake cannot write, "
                f"found {self.uri}; rename the folder, or choose another"
            )

    def check_length(self) -> None:
        """Check that the names of a table's files here are short enough for where they are.

        Raises:
            DatabaseError: they are longer than the file system or object storage takes.
        """
        if self.folder is None:
            is_long = len(self.uri.partition("://")[2].encode()) + len(_LONGEST_FILE) > _LONGEST_KEY
        else:
            is_long = _is_long(self.folder / _LONGEST_FILE)
        if is_long:
            raise DatabaseError(
                f"{self.uri[:200]}... (of {len(self.uri)} characters) is too long a name for where it is to be stored; "
                "give the pipeline or the function a shorter one",
                found=self.uri,
            )

    def open_table(self, version: int | None = None) -> DeltaTable:
        """Return the Delta table that is here.

        Raises:
            DatabaseError: its log would end the process.
        """
        if self.folder is not None:
            for commit in (self.folder / "_delta_log").glob("*.json"):
                _check_depth(commit)
        return DeltaTable(self.table_uri, version=version, storage_options=dict(self.options))

    def below(self, folder: str) -> Location:
        """Return a location below this one."""
        return Location(f"{self.uri}/{folder}", self.options)

    def filesystem(self) -> pafs.FileSystem:
        """Return the files below this location, by relative names."""
        if self.folder is not None:
            return pafs.SubTreeFileSystem(self.uri, pafs.LocalFileSystem())
        return pafs.PyFileSystem(ObjectFiles(self.uri, dict(self.options)))

    def saved_options(self) -> dict[str, str]:
        """Return the options that may be written down: known to hold no secret."""
        plain = {name: _VENDORS.sub("", name.lower()) for name in self.options}
        return {name: value for name, value in self.options.items() if plain[name] in _SAVED}


def _check_depth(commit: Path) -> None:
    """Check that a commit is not nested so deeply that reading it takes more stack than there is.

    Raises:
        DatabaseError: it is, or cannot be read.
    """
    with suppress(OSError):  # whoever reads it tells of these
        if commit.stat().st_size <= _SHALLOW:
            return
        for line in commit.read_text("utf-8", "replace").splitlines():
            try:
                _parse(line)
            except (RecursionError, ValueError) as error:
                raise DatabaseError(f"{commit} is damaged, or a trap: nested, {error!s:.100}") from None


def _parse(text: str) -> None:
    """Parse a text with many brackets, and those texts of an action that are documents themselves."""
    if text.count("[") + text.count("{") > _SHALLOW:
        action = json.loads(text)
        for content in action.values() if isinstance(action, dict) else ():
            for each in content.values() if isinstance(content, dict) else ():
                if isinstance(each, str):
                    _parse(each)


def folder_of(path: RecordPath) -> str:
    """Return the folder of a path's table in a store: one for each, never within another."""
    return "/".join(piece for part in path for piece in _pieces(part)) + _TABLE


def paths_below(filesystem: pafs.FileSystem) -> Iterator[RecordPath]:
    """Yield the paths of all tables."""
    seen = set()
    folders = [""]
    while folders:
        folder = folders.pop()
        for info in filesystem.get_file_info(pafs.FileSelector(folder)):
            if info.type != pafs.FileType.Directory or (real := _real(filesystem, info.path)) in seen:
                continue  # a link may lead back to where it is
            seen.add(real)
            if not info.base_name.endswith(_TABLE):
                folders += [info.path] * (not info.base_name.startswith("."))  # those are ours
            elif (path := _path_of(info.path)) is not None:
                yield path


def _real(filesystem: pafs.FileSystem, path: str) -> str:
    """Return what a folder is called where no link is on the way."""
    return (
        os.path.realpath(Path(filesystem.base_path) / path) if isinstance(filesystem, pafs.SubTreeFileSystem) else path
    )


def _pieces(part: str) -> list[str]:
    """Return a part of a path as names of folders: a to z, digits, _ and -; other bytes as ~ and hex.

    So no file system takes two of them for one. A name that is too long goes on in the next, after a ~.
    """
    encoded = part.encode("utf-8", "surrogatepass")
    text = "".join(chr(byte) if byte in _PLAIN else f"~{byte:02x}" for byte in encoded)
    pieces = [text[start : start + _LONGEST_NAME] for start in range(0, len(text), _LONGEST_NAME)]
    return [piece + "~" for piece in pieces[:-1]] + pieces[-1:]


def _path_of(folder: str) -> RecordPath | None:
    """Return the path of a folder; None if it is somebody else's, which has no name that ``folder_of`` gives."""
    whole = re.sub("~/", "", folder.strip("/").removesuffix(_TABLE))
    parts = (
        re.sub(rb"~([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), part.encode()) for part in whole.split("/")
    )
    try:
        path = tuple(part.decode("utf-8", "surrogatepass") for part in parts)
    except UnicodeDecodeError:
        return None
    return path if folder_of(path) == folder.strip("/") else None


def _is_long(file: Path) -> bool:
    """Say whether the file system refuses a name for its length."""
    try:
        file.lstat()
    except OSError as error:
        return error.errno == ENAMETOOLONG
    return False
