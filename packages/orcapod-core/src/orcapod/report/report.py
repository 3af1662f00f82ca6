"""``write_report``: a run as one file, to send to a colleague."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from secrets import token_hex

from orcapod.checks import Checks
from orcapod.errors import OrcapodError
from orcapod.ledger import RunSummary, Store, open_store
from orcapod.protocols import Database
from orcapod.report.changes import changes
from orcapod.report.code import code
from orcapod.report.document import document
from orcapod.report.environment import environment
from orcapod.report.failures import failures
from orcapod.report.html import Html, element, section
from orcapod.report.overview import graph, head
from orcapod.report.times import times

__all__ = ["SECTIONS", "part", "run_page", "write_report"]

SECTIONS: Mapping[str, Callable[[Store, RunSummary], Html]] = {
    "Nodes": lambda _, run: graph(run),
    "Failures": failures,
    "Times": times,
    "Changes": changes,
    "Code": code,
    "Environment": environment,
}
"""The parts of a report behind its head, by their headings."""


def write_report(
    store: Store | Database | str | os.PathLike[str] | Mapping[str, object],
    path: str | os.PathLike[str],
    run: str | None = None,
) -> Path:
    """Write the report of a run: one HTML file with all that it shows in it, which asks for nothing elsewhere.

    Args:
        store: where the run is: what ``open_store`` takes, or gave.
        path: the file, which is there whole or not at all; one that is there is replaced, but for the store's own;
            its folder has to be there.
        run: its ``run_id``, or a beginning of it that no other run has. The last run to end if None, or, where none
            has, the last one to begin.

    Returns:
        the path.

    Raises:
        UnknownRunError: no run, or more than one, is called so.
        ConfigError: an argument is nothing of that kind, or the file is of the store or cannot be written.
        DatabaseError: the store cannot be read.
    """
    check = Checks("write_report")
    target = Path(check.file("path", path))
    wanted = check.text_or_none("run", run)
    opened = nullcontext(store) if isinstance(store, Store) else open_store(store)
    with opened as source:
        if source.keeps_in(target):
            raise check.wrong("path", str(path), "the path of a file that is not of the store", "give another name")
        page = run_page(source, source.last_run() if wanted is None else source.run(wanted))
    fresh = target.parent / f".report-{token_hex(8)}"
    try:
        fresh.write_text(page, "utf-8", newline="\n")
        fresh.replace(target)
    except OSError as error:
        advice = f"this one cannot: {error.strerror}"
        raise check.wrong("path", str(path), "the path of a file that can be written", advice) from error
    finally:
        fresh.unlink(missing_ok=True)
    return target


def run_page(store: Store, run: RunSummary) -> str:
    """Return the report of a run as HTML."""
    parts = [part(name, store, run) for name in SECTIONS]
    places = {name: f"#{name.lower()}" for name in SECTIONS}
    return document(f"{'/'.join(run.pipeline)}: run {run.run_id}", head(run), *parts, places=places)


def part(name: str, store: Store, run: RunSummary) -> Html:
    """Return one of the ``SECTIONS``; where its records cannot be read, it says why."""
    try:
        content = SECTIONS[name](store, run)
    except OrcapodError as error:
        content = element("p", f"This cannot be told: {error}")
    return section(name.lower(), name, content)
