"""``orcapod ui``: what is in a store, as a page in a browser."""

from __future__ import annotations

import sys

import click

from orcapod.cli.options import output_option, store_option
from orcapod.cli.output import Output

__all__ = ["ui_command"]


@click.command("ui")
@store_option
@click.option("--port", type=click.IntRange(0, 65_535), default=0, metavar="N", help="Where; any that is free if 0.")
@click.option("--no-browser", is_flag=True, help="Print the address, and open no browser.")
@output_option
def ui_command(store: str, output: Output, port: int, no_browser: bool) -> None:
    """Serve a store as pages, to this machine only, until Ctrl-C: runs, nodes, rows, traces, logs. Nothing is written.

    Nobody sees anything without the token in the address.
    """
    try:
        from orcapod.ui.server import serve  # noqa: PLC0415  # needs what the extra installs
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        raise click.UsageError(f"{error.name} is not installed; pip install 'orcapod-core[ui]'") from error

    def announce(address: str) -> None:
        if output.is_json:
            output.json({"address": address})
        output.line(address)
        sys.stdout.flush()

    serve(store, port=port, open_browser=not no_browser, announce=announce)
