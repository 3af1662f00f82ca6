"""``orcapod ls``: what a store holds."""

from __future__ import annotations

from dataclasses import asdict

import click

from orcapod.cli.names import check_pipeline, pipeline_option
from orcapod.cli.options import output_option, store_option
from orcapod.cli.output import Output
from orcapod.ledger import open_store
from orcapod.ledger.contents import contents

__all__ = ["ls_command"]


@click.command("ls")
@store_option
@output_option
@pipeline_option
def ls_command(store: str, output: Output, pipeline: str | None) -> None:
    """List pipelines and function nodes: how many rows the last whole run gave, and their columns."""
    with open_store(store) as ledger:
        check_pipeline(ledger, pipeline)
        nodes = contents(ledger.database, pipeline)
    if output.is_json:
        output.json([asdict(node) for node in nodes])
        return
    shown = [
        {
            "pipeline": node.pipeline,
            "node": node.node,
            "rows": node.rows,
            "tags": ", ".join(node.tags),
            "outputs": ", ".join(f"{name}: {type_}" for name, type_ in node.outputs.items()),
        }
        for node in nodes
    ]
    output.table(shown, nothing="no nodes")
