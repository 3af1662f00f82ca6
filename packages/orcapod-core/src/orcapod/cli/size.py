"""``orcapod size``: how large a store is."""

from __future__ import annotations

import click

from orcapod.arrow import rows_of
from orcapod.cli.options import output_option, store_option
from orcapod.cli.output import Output
from orcapod.display import sizes
from orcapod.ledger import open_store

__all__ = ["size_command"]


@click.command("size")
@store_option
@output_option
def size_command(store: str, output: Output) -> None:
    """Say how many rows and bytes there are of each pipeline, node and kind of records, the largest first."""
    with open_store(store) as ledger:
        rows = sorted(rows_of(ledger.size()), key=lambda row: -row["bytes"])
    if output.is_json:
        output.json(rows)
        return
    total = {"pipeline": None, "node": None, "kind": "total", "rows": sum(row["rows"] for row in rows)}
    total["bytes"] = sum(row["bytes"] for row in rows)
    output.table([{**row, "bytes": sizes(row["bytes"])[0]} for row in (*rows, total)])
