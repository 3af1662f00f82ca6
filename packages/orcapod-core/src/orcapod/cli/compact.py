"""``orcapod compact``: gives back the space of what was removed."""

from __future__ import annotations

import sys

import click

from orcapod.cli.options import output_option, store_option
from orcapod.cli.output import Output
from orcapod.ledger import open_store

__all__ = ["ask", "compact_command"]


@click.command("compact")
@store_option
@output_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def compact_command(store: str, output: Output, *, yes: bool) -> None:
    """Give back the space of what was removed, by prune say.

    An SQLite file is written anew, for which it takes as much room again; runs may go on meanwhile.
    """
    with open_store(store) as ledger:
        ask(yes=yes, question="Write the store anew, without the space of what was removed?")
        ledger.compact()
    if output.is_json:
        output.json({"compacted": True})
    output.line("done")


def ask(*, yes: bool, question: str) -> None:
    """Return if it may be done: it was said before, or is now, on a terminal.

    Raises:
        UsageError: there is nobody to ask.
        Abort: it may not.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("this changes the store; give --yes")
    click.confirm(question, abort=True, err=True)
