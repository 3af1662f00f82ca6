"""``orcapod runs``: the runs of a store."""

from __future__ import annotations

import click

from orcapod.arrow import rows_of
from orcapod.cli.options import output_option, store_option
from orcapod.cli.output import Output
from orcapod.ledger import open_store

__all__ = ["runs_command"]

_STYLES = {"SUCCESS": "green", "FAILED": "red", "INTERRUPTED": "yellow", "UNFINISHED": "yellow"}


@click.command("runs")
@store_option
@output_option
@click.option("--pipeline", metavar="NAME", help="Only the runs of one pipeline.")
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the last N.")
def runs_command(store: str, output: Output, pipeline: str | None, last: int | None) -> None:
    """List the runs of a store, in the order in which they began."""
    with open_store(store) as ledger:
        rows = rows_of(ledger.runs(pipeline))[-(last or 0) :]
    shown = [{**row, "tags": dict(row["tags"])} for row in rows]
    output.table(shown, styles=_STYLES, nothing="no runs")
