"""A packet's function, called again here."""

from __future__ import annotations

import pdb
from collections.abc import Mapping
from typing import Any

import click

from orcapod.cli.target import user_frames, user_traceback
from orcapod.functions import PythonPacketFunction

__all__ = ["debug"]


def debug(function: PythonPacketFunction, arguments: Mapping[str, Any]) -> bool:
    """Call a function again, in this thread, and open the debugger where it fails; say whether it does.

    Args:
        function: the function.
        arguments: what it is called with.
    """
    try:
        function.call(arguments)
    except Exception as error:  # noqa: BLE001  # it is what is looked for
        click.echo(user_traceback(error), err=True)
        pdb.post_mortem(user_frames(error) or error.__traceback__)
        return True
    click.echo("it does not fail here", err=True)
    return False
