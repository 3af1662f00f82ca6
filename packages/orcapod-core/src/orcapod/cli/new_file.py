"""Files that a command writes: never in the place of another that nobody gave up, nor of the store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from orcapod.ledger import Store

__all__ = ["check_free", "check_not_of_store", "force_option"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def force_option(command: _Command) -> _Command:
    """Give a command the argument ``force``: whether a file that is there may be replaced."""
    return click.option("--force", is_flag=True, help="Take the place of a file that is there.")(command)


def check_free(file: Path, *, force: bool) -> None:
    """Check that a file may be written.

    Raises:
        UsageError: there is one, and it is not to be replaced.
    """
    if file.exists() and not force:
        raise click.UsageError(f"{str(file)!r} is there; give another name, or --force to write in its place")


def check_not_of_store(file: Path, store: Store) -> None:
    """Check that a file is not one of those that a store keeps its records in.

    Raises:
        UsageError: it is.
    """
    if store.keeps_in(file):
        raise click.UsageError(f"{str(file)!r} is of the store; give another name, --force does not write over it")
