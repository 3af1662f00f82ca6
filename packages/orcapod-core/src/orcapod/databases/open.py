"""``open_database``: a store from its URL, its file, or what ``to_config`` gave."""

from __future__ import annotations

import os
from collections.abc import Mapping

from orcapod.databases.sqlite import SQLiteDatabase
from orcapod.display import shown
from orcapod.errors import ConfigError, DatabaseError
from orcapod.plugins import Registry
from orcapod.protocols.database import Database

__all__ = ["open_database"]

_REGISTRY = Registry(
    "orcapod.databases",
    noun="database",
    homes={
        "delta": "orcapod-delta",
        "delta+s3": "orcapod-delta",
        "postgresql": "orcapod-postgres",
        "postgres": "orcapod-postgres",
    },
)


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
    if isinstance(location, Mapping):
        if not isinstance(name := location.get("type"), str):
            raise DatabaseError(
                f"expected a configuration with a type, as to_config() gives it, found {shown(dict(location))}"
            )
        return _class(name).from_config(location)
    if not isinstance(location, str | os.PathLike):
        cls = type(location).__qualname__
        raise ConfigError(
            f"found {shown(location)} of type {cls}, expected a URL such as sqlite:///lab.db, the path of an SQLite "
            "file, or what to_config() of a store gave",
            expected="URL or path",
            found=cls,
        )
    text = os.fspath(location)
    scheme, separator, rest = text.partition("://")
    if not separator or not isinstance(location, str):
        if text.startswith("sqlite:"):
            raise DatabaseError(f"expected sqlite:///relative.db or sqlite:////absolute.db, found {text}")
        if not text:
            raise DatabaseError("expected a URL or a path, found ''; use memory:// for a store in memory")
        return SQLiteDatabase(text)
    return _class(scheme.lower()).from_url(f"{scheme.lower()}://{rest}")


def _class(name: str) -> type[Database]:
    database_class: type[Database] = _REGISTRY.load(name)
    return database_class
