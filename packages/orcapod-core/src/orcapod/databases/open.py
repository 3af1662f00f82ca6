"""``open_database``: a store from its URL, its file, or what ``to_config`` gave."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from orcapod import databases  # SQLite by its door, when it is opened
from orcapod.databases.location import is_path
from orcapod.databases.sqlite_existing import may_be_store
from orcapod.display import discreet
from orcapod.errors import ConfigError, DatabaseError
from orcapod.plugins import Registry
from orcapod.protocols.database import Database
from orcapod.protocols.existing import ExistingDatabaseProtocol

__all__ = ["open_database", "open_existing"]

_REGISTRY = Registry(
    "orcapod.databases",
    noun="database",
    homes={
        "delta": "orcapod-delta",
        **dict.fromkeys(("delta+s3", "delta+gs", "delta+az"), "orcapod-delta"),
        "postgresql": "orcapod-postgres",
        "postgres": "orcapod-postgres",
    },
)
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+")
_ON_DISK = re.compile(r"(sqlite|delta):///(.+)", re.IGNORECASE | re.DOTALL)


def open_database(location: str | os.PathLike[str] | Mapping[str, object]) -> Database:
    """Return the store at a URL, in an SQLite file, or of a configuration.

    The scheme of a URL, or the ``type`` of a configuration, is the name under which a package registers a
    class in the entry point group ``orcapod.databases``; the class is a ``Database``.

    Args:
        location: a URL (``sqlite:///lab.db``, ``memory://``, ``delta:///...``), the path of an SQLite file, or
            what ``to_config`` of a store gave.

    Raises:
        PluginError: no installed package provides the scheme; names the known ones and what to install.
        ConfigError: it is nothing of that kind.
        DatabaseError: the store cannot be opened.
    """
    name = _registered_name(location)
    if isinstance(location, Mapping):
        if name is None:
            raise DatabaseError(
                f"expected a configuration with a type, as to_config() gives it, found {', '.join(map(str, location))}"
            )
        return _class(name).from_config(location)
    if not isinstance(location, str | os.PathLike):
        cls = type(location).__qualname__
        raise ConfigError(
            f"found {discreet(location)} of type {cls}, expected a URL such as sqlite:///lab.db, the path of an SQLite "
            "file, or what to_config() of a store gave",
            expected="URL or path",
            found=cls,
        )
    text = os.fspath(location)
    if name is not None:
        return _class(name).from_url(_url(name, text))
    if not text:
        raise DatabaseError("expected a URL or a path, found ''; use memory:// for a store in memory")
    if not is_path(text):
        raise DatabaseError(
            "expected a URL, such as sqlite:///relative.db, sqlite:////absolute.db or "
            f"postgresql://user@host:5432/dbname, or the path of an SQLite file, found {discreet(text)}; a password "
            "comes from PGPASSWORD or ~/.pgpass, a connection string of libpq goes to PostgresDatabase(...), and a "
            "file of such a name is opened by sqlite:///"
        )
    return databases.SQLiteDatabase(text)


def open_existing(location: str | os.PathLike[str] | Mapping[str, object]) -> Database:
    """Return the store at a location, as ``open_database`` does, which has to be there.

    Opening makes a store where there is none; a class of which that is true beyond a file or a folder is an
    ``ExistingDatabaseProtocol``.

    Raises:
        DatabaseError: there is none, or it cannot be opened.
    """
    name = _registered_name(location)
    _check_on_disk(location, name)
    if name is not None:
        database_class = _class(name)
        if isinstance(database_class, ExistingDatabaseProtocol):
            database_class.check_existing(location if isinstance(location, Mapping) else _url(name, location))
    return open_database(location)


def _check_on_disk(location: str | os.PathLike[str] | Mapping[str, object], name: str | None) -> None:
    """Check that there is something at a path, and a store of SQLite's where that is what opens it."""
    given = location.get("path") if isinstance(location, Mapping) else location
    text = os.fspath(given) if isinstance(given, str | os.PathLike) else ""
    url = _ON_DISK.fullmatch(text)
    path = url[2] if url else text if is_path(text) else ""
    if path and not any(map(_is_there, (path, unquote(path)))):
        hint = f"; there is one at /{discreet(path)}, which four slashes begin" if url and _is_there(f"/{path}") else ""
        raise DatabaseError(f"there is no store at {discreet(path)}; check the path, nothing was made there{hint}")
    if path and name in (None, "sqlite"):
        if not url and (folder := Path(path).expanduser()).is_dir():
            is_delta = (folder / ".orcapod" / "_delta_log").is_dir()
            told = f"a store of Delta tables; it is opened by delta:///{path}" if is_delta else "a folder"
            raise DatabaseError(
                f"expected a URL or the path of an SQLite file, found {discreet(path)}, which is {told}"
            )
        _check_store(path)


def _check_store(path: str) -> None:
    """Check that a file is no other SQLite file than a store, nor empty."""
    for text in dict.fromkeys((path, unquote(path))):
        file = Path(text).expanduser()
        if _is_there(text) and file.is_file() and not may_be_store(file):
            found = "no table of one" if file.stat().st_size else "nothing in it"
            raise DatabaseError(
                f"there is no store in {discreet(path)}: found {found}, expected what a run of a pipeline wrote; check "
                "the path, and of a store that is open copy lab.db-wal with lab.db; nothing was changed there",
                found=found,
            )


def _registered_name(location: str | os.PathLike[str] | Mapping[str, object]) -> str | None:
    """Return the scheme of a URL, or the type of a configuration; None if it has none."""
    if isinstance(location, Mapping):
        name = location.get("type")
    else:
        scheme, separator, _ = location.partition("://") if isinstance(location, str) else ("", "", "")
        name = separator and scheme.lower()
    return name if isinstance(name, str) and _SCHEME.fullmatch(name) else None


def _url(name: str, location: str | os.PathLike[str]) -> str:
    """Return a URL with its scheme as it is registered."""
    return f"{name}://{os.fspath(location).partition('://')[2]}"


def _is_there(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, RuntimeError, ValueError):  # no file can be called so, or nobody has such a home
        return False


def _class(name: str) -> type[Database]:
    database_class: type[Database] = _REGISTRY.load(name)
    return database_class
