"""Options that commands share: which store they read, and how they show what is in it."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from orcapod.cli.output import Output

__all__ = ["find_store", "output_option", "store_option"]

_SETTINGS = "orcapod.toml"
_ON_DISK = re.compile(r"((?:sqlite|delta):///|)([^:]+)", re.IGNORECASE)

_Command = TypeVar("_Command", bound=Callable[..., Any])


def store_option(command: _Command) -> _Command:
    """Give a command the argument ``store``: the URL or the path of the store that it reads."""
    shown = "The store: a URL, or the path of an SQLite file."
    return click.option("--store", metavar="URL", callback=_store, help=shown)(command)


def output_option(command: _Command) -> _Command:
    """Give a command the argument ``output``, which shows tables to a person, or with ``--json`` to a program."""
    return click.option("--json", "output", is_flag=True, callback=_output, help="Print JSON.")(command)


def _output(_ctx: click.Context, _param: click.Parameter, is_json: bool) -> Output:
    return Output(is_json=is_json)


def _store(ctx: click.Context, _param: click.Parameter, given: str | None) -> str:
    if found := find_store(given)[0]:
        return found
    if ctx.resilient_parsing:  # for the shell, which completes what is being typed
        return ""
    file = _settings_file()
    there = f"; {file} has {', '.join(_settings(file)) or 'nothing in it'}" if file else ""
    raise click.UsageError(
        f'no store is named{there}; give --store URL, or write store = "lab.db" into {_SETTINGS}, or set ORCAPOD_STORE'
    )


def find_store(given: str | None = None) -> tuple[str | None, str]:
    """Return which store is meant, and what says so: the option, the settings, or the environment.

    Args:
        given: by the option.
    """
    if given:
        return given, "--store"
    file = _settings_file()
    if file is not None and (named := _in_settings(file)):
        return named, str(file)
    return os.environ.get("ORCAPOD_STORE") or None, "ORCAPOD_STORE"


def _settings_file() -> Path | None:
    here = Path.cwd()
    return next((path for folder in (here, *here.parents) if (path := folder / _SETTINGS).is_file()), None)


def _settings(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{file} cannot be read: {error}") from error


def _in_settings(file: Path) -> str | None:
    """Return the store that settings name."""
    store = _settings(file).get("store")
    if store is not None and not (isinstance(store, str) and store):
        raise click.UsageError(f'{file}: found store = {store!r}, expected a URL or a path: store = "lab.db"')
    if store and (place := _ON_DISK.fullmatch(store)):
        return f"{place[1]}{file.parent / Path(place[2]).expanduser()}"
    return store
