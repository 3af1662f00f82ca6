"""``advice``: a command that shows more, as it can be pasted into a shell."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlencode

import click

from orcapod.cli.options import find_store
from orcapod.cli.suggestion import typed
from orcapod.protocols import Database

__all__ = ["advice"]

_CONNINFO = re.compile(r"(\w+)=(?:'((?:[^'\\]|\\.)*)'|(\S*))")


def advice(store: Database, *words: str) -> str:
    """Return a command on a store; which store is meant is left out where settings say it, or no URL can.

    Args:
        store: the store.
        words: what stands behind ``orcapod``.
    """
    return " ".join(map(typed, ("orcapod", *words, *_store_option(store))))


def _store_option(store: Database) -> tuple[str, ...]:
    """Return how a store is named to a command, as far as that has to be said and can be."""
    default = None
    with suppress(click.UsageError):  # settings that cannot be read name none
        default, _ = find_store()
    config = store.to_config()
    scheme, path = config.get("type"), config.get("path")
    if scheme == "postgresql":
        is_default = (default or "").startswith("postgres")
        return () if is_default else ("--store", _postgres_url(config))
    if not isinstance(path, str) or "storage_options" in config:
        return ()
    if "://" in path:  # of object storage
        url = f"{scheme}+{path}"
        return () if url == default else ("--store", url)
    prefix = "" if scheme == "sqlite" else f"{scheme}:///"
    named, _, place = (default or "").rpartition(":///")
    if place and named in (scheme, *([] if prefix else [""])) and Path(place).absolute() == Path(path).absolute():
        return ()
    return "--store", prefix + (os.path.relpath(path) if Path(path).is_absolute() else path)


def _postgres_url(config: Mapping[str, object]) -> str:
    """Return the URL of a store in PostgreSQL, given a configuration, in which there is no password."""
    found = _CONNINFO.findall(str(config["conninfo"]))
    parameters = {name: re.sub(r"\\(.)", r"\1", quoted) or plain for name, quoted, plain in found}
    return f"postgresql://?{urlencode({**parameters, 'schema': config['schema']}, quote_via=quote)}"
