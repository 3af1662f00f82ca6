"""``orcapod doctor``: what is installed here, and how a store is; to paste into a bug report."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import sys
from contextlib import closing
from datetime import datetime
from importlib.metadata import distributions, entry_points
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from orcapod.cli.exits import FINE, UNREADABLE
from orcapod.cli.options import find_store, output_option
from orcapod.cli.output import Output
from orcapod.databases import STORE_FORMAT
from orcapod.databases.open import open_existing
from orcapod.display import discreet, sizes
from orcapod.errors import ConfigError, DatabaseError, ReadOnlyStoreError
from orcapod.ledger import Store
from orcapod.protocols import Database, files_folder_of

__all__ = ["doctor_command"]

_GROUPS = ("databases", "executors", "types")
_NOBODY = ("_doctor", "nothing")
"""A path at which no store has records: who deletes some there has the store's lock, and changes nothing."""


@click.command("doctor")
@click.option("--store", metavar="URL", help="The store: a URL, or the path of an SQLite file.")
@output_option
def doctor_command(store: str | None, output: Output) -> int:
    """Say what is installed here, which settings were found, and how the store is; nothing of it is a password.

    The store is opened, read, locked and written to, as far as that is allowed, and left as it was. If it cannot be
    read, the exit code is 4.
    """
    named, origin = find_store(store)
    health = {} if named is None else _health(named)
    facts = {"here": _here(), "packages": _packages(), "plugins": _plugins()}
    facts["store"] = {"store": discreet(named or "none is named"), "named_by": origin if named else None, **health}
    if output.is_json:
        output.json(facts)
    for heading, told in facts.items():
        output.line(heading, "bold")
        for name, value in told.items():
            shown = ", ".join(value) if isinstance(value, list) else value
            output.line(f"  {name.replace('_', ' ')}: {'-' if shown is None else shown}")
    return UNREADABLE if health.get("read", "yes") != "yes" else FINE


def _here() -> dict[str, Any]:
    now = datetime.now().astimezone()
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "executable": sys.executable,
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "clock": now.isoformat(timespec="seconds"),
        "sqlite": sqlite3.sqlite_version,
        "encoding": sys.stdout.encoding,
    }


def _packages() -> dict[str, str]:
    """Return the versions of orcapod's packages, and of what they need that is installed."""
    of_interest = (
        "pyarrow",
        "click",
        "rich",
        "cloudpickle",
        "pandas",
        "polars",
        "numpy",
        "duckdb",
        "deltalake",
        "psycopg",
        "ray",
    )
    found = {each.name.lower(): each.version for each in distributions() if each.name}
    return {name: found[name] for name in sorted(found) if name.startswith("orcapod") or name in of_interest}


def _plugins() -> dict[str, list[str]]:
    """Return the names of what is found by entry points; none of it is loaded."""
    return {group: sorted(each.name for each in entry_points(group=f"orcapod.{group}")) for group in _GROUPS}


def _health(location: str) -> dict[str, Any]:
    """Return of a store whether it can be read, locked and written to, and how much room it has."""
    try:
        database = open_existing(location)
    except (DatabaseError, ConfigError) as error:
        return {"read": f"no: {error}"}
    with database:
        health: dict[str, Any] = {"kind": type(database).__name__, "format": STORE_FORMAT}
        try:
            runs = Store(database, is_owned=False).runs().num_rows
        except DatabaseError as error:
            return {**health, "read": f"no: {error}"}
        folder = _folder(database)
        health |= {"read": "yes", "runs": runs, **_writing(database, folder)}
        if folder is not None:
            health["free_space"] = sizes(shutil.disk_usage(folder).free)[0]
        return health


def _writing(database: Database, folder: Path | None) -> dict[str, str]:
    """Return whether a store can be written to and locked."""
    try:
        database.check_writable()
        database.delete_records(_NOBODY, ["nothing"])
    except ReadOnlyStoreError as error:
        return {"written": f"may only be read: {error}"}
    except DatabaseError as error:
        return {"written": f"no: {error}"}
    return {"written": "yes", "locked": "yes" if folder is None else _locking(folder)}


def _folder(database: Database) -> Path | None:
    """Return the folder in which a store lies; None of one on a server or in memory."""
    files = files_folder_of(database)
    return None if files is None else next((each for each in files.parents if each.is_dir()), None)


def _locking(folder: Path) -> str:
    """Return whether a file system writes, and locks what is written to, which some on a network do not."""
    try:
        with TemporaryDirectory(prefix=".orcapod-doctor-", dir=folder) as scratch:
            file = Path(scratch) / "lock.db"
            with closing(sqlite3.connect(file, isolation_level=None)) as one:
                one.execute("CREATE TABLE written (x)")
                one.execute("BEGIN IMMEDIATE")
                with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as other:
                    try:
                        other.execute("BEGIN IMMEDIATE")
                    except sqlite3.OperationalError:
                        return "yes"
                    return (
                        "no: the file system lets two programs write at once; put the store on a disk of this machine"
                    )
    except (OSError, sqlite3.Error) as error:
        return f"no: {folder} cannot be written to: {error}"
