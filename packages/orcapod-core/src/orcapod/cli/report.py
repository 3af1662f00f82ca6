"""``orcapod report``: a run as a file to send to a colleague."""

from __future__ import annotations

from pathlib import Path

import click

from orcapod.cli.options import output_option, store_option
from orcapod.cli.output import Output
from orcapod.report import write_report

__all__ = ["report_command"]


@click.command("report")
@store_option
@click.argument("run", required=False)
@click.option("-o", "--output", "file", type=click.Path(path_type=Path), metavar="FILE", help="run.html if not given.")
@output_option
def report_command(store: str, output: Output, run: str | None, file: Path | None) -> None:
    """Write the report of RUN, or of the last one: one HTML file that a browser opens, with all that it needs."""
    written = write_report(store, Path("run.html") if file is None else file, run)
    if output.is_json:
        output.json({"file": str(written)})
    output.lines(f"written to {written}")
