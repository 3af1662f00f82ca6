"""``orcapod runs``: the runs of a store."""

from __future__ import annotations

from datetime import timedelta

import click

from orcapod.arrow import rows_of
from orcapod.cli.names import check_pipeline, pipeline_option, short_names
from orcapod.cli.options import output_option, store_option
from orcapod.cli.output import OUTCOMES, Output
from orcapod.display import duration, tags_text
from orcapod.ledger import open_store

__all__ = ["runs_command"]


@click.command("runs")
@store_option
@output_option
@pipeline_option
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the last N.")
def runs_command(store: str, output: Output, pipeline: str | None, last: int | None) -> None:
    """List the runs of a store, in the order in which they began.

    The name of a run is a beginning of its id that no other here has, which does wherever a run is asked for.
    """
    with open_store(store) as ledger:
        check_pipeline(ledger, pipeline)
        rows = rows_of(ledger.runs(pipeline))
    short = short_names([row["run_id"] for row in rows])
    rows = rows[-(last or 0) :]
    for row in rows:
        row["tags"] = dict(row["tags"])
        took: timedelta | None = row["ended"] and row["ended"] - row["started"]
        row["seconds"] = took and took.total_seconds()
    if output.is_json:
        output.json(rows)
        return
    counts = ("computed", "cached", "failed")
    shown = [
        {
            "run": short[row["run_id"]],
            "pipeline": row["pipeline"],
            "started": row["started"],
            "took": "" if row["seconds"] is None else duration(row["seconds"]),
            "outcome": row["outcome"],
            **{count: row[count] for count in counts},
            "note": row["note"],
            "tags": tags_text(row["tags"]),
        }
        for row in rows
    ]
    output.table(shown, styles=OUTCOMES, nothing="no runs")
