"""``orcapod prune``: removes values that no present row needs."""

from __future__ import annotations

from typing import get_args

import click

from orcapod.arrow import rows_of
from orcapod.cli.names import check_pipeline, pipeline_option
from orcapod.cli.options import output_option, store_option
from orcapod.cli.output import Output
from orcapod.display import duration, sizes
from orcapod.ledger import open_store
from orcapod.ledger.run_names import pipelines_in
from orcapod.records import Keep, functions_of, prune

__all__ = ["prune_command"]


@click.command("prune")
@store_option
@output_option
@pipeline_option
@click.option("--keep", type=click.Choice(get_args(Keep)), default="present", show_default=True, help="What stays.")
@click.option("--older-than", metavar="TIME", default="90d", show_default=True, help="What is younger stays.")
@click.option("--logs", is_flag=True, help="Logs and statuses too, of runs of which no result is left.")
@click.option("--yes", is_flag=True, help="Do it; without, it is only said what would go.")
def prune_command(
    store: str, output: Output, pipeline: str | None, keep: Keep, older_than: str, *, logs: bool, yes: bool
) -> None:
    """Say which values would go that no present row needs and that are older than 90 days; with --yes, remove them.

    What is known of a result stays: when it was computed, by which code and run, and how long that took. Results of
    functions of which no pipeline here ever had rows are left alone: pipelines of another store may need them.
    """
    with open_store(store) as ledger:
        check_pipeline(ledger, pipeline)
        database = ledger.database
        names = [name for name in pipelines_in(database) if pipeline in (None, "/".join(name))]
        report = prune(
            database,
            database,
            *names,
            keep=keep,
            older_than=older_than,
            dry_run=not yes,
            logs=logs,
            functions={function for name in names for function in functions_of(database, name)},
        )
    rows = rows_of(report.table)
    if output.is_json:
        facts = {"dry_run": report.is_dry_run, "rows": report.rows, "bytes": report.bytes, "seconds": report.seconds}
        output.json({**facts, "going_on": report.going_on, "table": rows})
        return
    shown = [
        {
            "kind": row["kind"],
            "function": row["function"],
            "nodes": ", ".join(row["nodes"]),
            "rows": row["rows"],
            "bytes": sizes(row["bytes"])[0],
            "to compute": duration(row["seconds"]) if row["seconds"] else "",
        }
        for row in rows
    ]
    output.table(shown)
    for run in report.going_on:
        output.line(f"run {run} goes on: the results of its functions stay")
    if rows and not yes:
        output.line(f"{sizes(report.bytes)[0]} would go; --yes removes them, orcapod compact gives back the space")
