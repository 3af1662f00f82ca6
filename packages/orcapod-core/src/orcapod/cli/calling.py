"""A packet's function, called again here."""

from __future__ import annotations

import pdb
from collections.abc import Mapping
from typing import Any

import click

from orcapod.cli.target import user_frames, user_traceback
from orcapod.files import Unreadable
from orcapod.functions import PythonPacketFunction

__all__ = ["call_again", "debug"]


def call_again(function: PythonPacketFunction, arguments: Mapping[str, Any]) -> tuple[Any, ...]:
    """Call a function here, and return its outputs in the form that Arrow stores.

    Raises:
        ValueTypeError: a file that it is to be given is not what it was, or an output is not of its type.
        Exception: whatever the function raises.
    """
    for value in arguments.values():
        if isinstance(value, Unreadable):
            raise value.error
    return function.call(arguments)


def debug(function: PythonPacketFunction, arguments: Mapping[str, Any]) -> bool:
    """Call a function again, in this thread, and open the debugger where it fails; say whether it does.

    Args:
        function: the function.
        arguments: what it is called with.
    """
    try:
        call_again(function, arguments)
    except Exception as error:  # noqa: BLE001  # it is what is looked for
        click.echo(user_traceback(error), err=True)
        pdb.post_mortem(user_frames(error) or error.__traceback__)
        return True
    click.echo("it does not fail here", err=True)
    return False
