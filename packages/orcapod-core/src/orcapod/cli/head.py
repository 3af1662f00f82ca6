"""``orcapod head``: the first rows of a node."""

from __future__ import annotations

import click

from orcapod.arrow import rows_of
from orcapod.cli.names import find_node, node_argument, pipeline_option, run_option
from orcapod.cli.options import output_option, store_option
from orcapod.cli.output import Output
from orcapod.cli.suggestion import unknown
from orcapod.ledger import open_store
from orcapod.ledger.node_rows import first_entries, with_results

__all__ = ["head_command"]


@click.command("head")
@node_argument
@store_option
@output_option
@pipeline_option
@run_option
@click.option("-n", "count", type=click.IntRange(min=1), default=10, show_default=True, help="How many rows.")
@click.option("--columns", metavar="A,B", help="Only these columns.")
def head_command(
    node: str, store: str, output: Output, pipeline: str | None, run: str | None, count: int, columns: str | None
) -> None:
    """Print the first rows that a function node gave, in its last whole run or in another."""
    with open_store(store) as ledger:
        begun, summary = find_node(ledger, node, pipeline=pipeline, run=run)
        rows = with_results(ledger.database, summary, first_entries(ledger.database, begun, summary, count))
    if columns is not None and rows.num_columns:
        wanted = [name.strip() for name in columns.split(",")]
        for name in wanted:
            if name not in rows.column_names:
                raise unknown("column", name, rows.column_names)
        rows = rows.select(wanted)
    elif not output.is_json:  # a person sees whose values they are
        rows = rows.drop_columns([name for name in ("record_id", "run_id") if name in rows.column_names])
    output.data(rows_of(rows))
