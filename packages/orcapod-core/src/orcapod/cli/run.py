"""``orcapod run``: runs a pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from orcapod.cli.exits import FINE
from orcapod.cli.options import output_option
from orcapod.cli.output import Output
from orcapod.cli.plan import show_plan
from orcapod.cli.running import run_options, run_pipeline
from orcapod.cli.tags import pairs_of
from orcapod.cli.target import check_nodes, load_pipeline

__all__ = ["run_command"]


@click.command("run")
@click.argument("target")
@click.option("--dry-run", "is_dry", is_flag=True, help="Say what would be computed, and why; compute nothing.")
@click.option("--only", multiple=True, metavar="NODE", help="Compute of this node alone; again for another.")
@click.option("--until", multiple=True, metavar="NODE", help="Go no further than this node; again for another.")
@click.option("--recompute", multiple=True, metavar="NODE", help="Compute this node again, though it is there.")
@run_options
@click.option("--note", default="", metavar="TEXT", help="What is to be said of the run.")
@click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="Likewise, by name.")
@output_option
def run_command(
    target: str,
    output: Output,
    is_dry: bool,
    only: Sequence[str],
    until: Sequence[str],
    recompute: Sequence[str],
    note: str,
    tags: Sequence[str],
    **how: Any,
) -> int:
    """Run the pipeline of TARGET: file.py, file.py:NAME, module or module:NAME.

    Results that are there are not computed again. What functions write and how they fail is kept: see orcapod logs.
    """
    pipeline = load_pipeline(target, output)
    check_nodes(pipeline, [*only, *until, *recompute])
    if is_dry:
        if only or until or recompute or how["where"]:
            raise click.UsageError("--dry-run is of a whole run; leave out --only, --until, --recompute and --where")
        show_plan(pipeline, output)
        return FINE
    part = {"only": only, "until": until, "recompute": recompute}
    named: dict[str, Any] = {argument: labels for argument, labels in part.items() if labels}
    return run_pipeline(pipeline, output, note=note, tags=dict(pairs_of(tags, "--tag")), **named, **how)
