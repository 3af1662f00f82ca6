"""``orcapod retry``: runs the packets again that failed in a run."""

from __future__ import annotations

from typing import Any

import click

from orcapod.cli.exits import FINE
from orcapod.cli.names import find_run
from orcapod.cli.options import output_option
from orcapod.cli.output import Output
from orcapod.cli.running import run_options, run_pipeline
from orcapod.cli.suggestion import typed
from orcapod.cli.target import load_pipeline
from orcapod.ledger import open_store
from orcapod.nodes import FunctionNode

__all__ = ["retry_command"]


@click.command("retry")
@click.argument("run")
@click.argument("target")
@run_options
@output_option
def retry_command(run: str, target: str, output: Output, **how: Any) -> int:
    """Run the packets again that failed in RUN, and what is made of them; TARGET is the pipeline: file.py:NAME.

    Nothing else is computed: nodes of which no packet failed in that run give what is there.
    """
    pipeline = load_pipeline(target, output)
    before = find_run(open_store(pipeline.database), run, "/".join(pipeline.name))
    affected = {label for label, node in before.nodes.items() if node.totals.counts.get("failed", 0)}
    for label, node in pipeline.nodes.items():
        if any(part.label in affected for part in node.inputs):
            affected.add(label)
    again = [label for label, node in pipeline.nodes.items() if label in affected and isinstance(node, FunctionNode)]
    if again:
        return run_pipeline(pipeline, output, only=again, tags={"retry_of": before.run_id}, **how)
    if output.is_json:
        output.json({"run_id": None, "outcome": None, "saved": 0.0, "nodes": [], "failures": []})
    if before.ended is None:
        told = f"run {before.run_id} has not ended, so that it is not known which packets have failed in it"
    else:
        told = f"no packet has failed in run {before.run_id}"
    rest = f"; what is missing is computed by orcapod run {typed(target)}" if before.outcome != "SUCCESS" else ""
    output.line(f"{told}{rest}")
    return FINE
