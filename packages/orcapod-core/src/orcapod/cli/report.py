"""``orcapod report``: a run as a file to send to a colleague."""

from __future__ import annotations

from pathlib import Path

import click

from orcapod.cli.names import find_run
from orcapod.cli.new_file import check_free, check_not_of_store, force_option
from orcapod.cli.options import output_option, store_option
from orcapod.cli.output import Output
from orcapod.ledger import open_store
from orcapod.report import write_report

__all__ = ["report_command"]


@click.command("report")
@store_option
@click.argument("run", required=False)
@click.option("-o", "--output", "file", type=click.Path(path_type=Path), default="run.html", show_default=True)
@force_option
@output_option
def report_command(store: str, output: Output, run: str | None, file: Path, *, force: bool) -> None:
    """Write the report of RUN, or of the last one: one HTML file that a browser opens, with all that it needs."""
    check_free(file, force=force)
    with open_store(store) as ledger:
        check_not_of_store(file, ledger)
        written = write_report(ledger, file, run and find_run(ledger, run).run_id)
    if output.is_json:
        output.json({"file": str(written)})
    output.lines(f"written to {written}")
