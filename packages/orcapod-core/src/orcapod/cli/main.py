"""``main``: the ``orcapod`` command, what it does with errors, and its exit codes."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from io import StringIO, TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from orcapod.cli.exits import DIFFERS, FAILED, FINE, UNREADABLE, USAGE
from orcapod.cli.suggestion import unknown
from orcapod.display import one_line
from orcapod.errors import DatabaseError, ExecutionError, OrcapodError

__all__ = ["main"]

_COMMANDS: Mapping[str, tuple[str, str]] = {
    "run": ("run", "Run a pipeline: compute what is missing."),
    "plan": ("plan", "Say what a run would compute, and why."),
    "retry": ("retry", "Run the packets again that failed in a run."),
    "reproduce": ("reproduce", "Call one packet's function again, and compare."),
    "graph": ("graph", "Show what a pipeline is made of."),
    "report": ("report", "Write a run as a file to send to a colleague."),
    "ui": ("ui", "Look at a store in a browser."),
    "runs": ("runs", "List the runs of a store."),
    "show": ("show", "Show one run: what each node did, what failed, what it ran on."),
    "logs": ("logs", "Print what functions wrote, and how they failed."),
    "trace": ("trace", "Show what a row was made of, or what was made of it."),
    "compare": ("compare", "Say what differs between two runs, and why."),
    "ls": ("ls", "List pipelines and nodes, their rows and columns."),
    "head": ("head", "Print the first rows of a node."),
    "export": ("export", "Write the rows of a node to a file."),
    "sql": ("sql", "Ask the store in SQL."),
    "size": ("size", "Say how large the store is, and what of."),
    "prune": ("prune", "Remove values that no present row needs."),
    "compact": ("compact", "Give back the space of what was removed."),
    "fsck": ("fsck", "Check that all is as it was stored."),
    "doctor": ("doctor", "Say what is installed here, and how the store is."),
    "completion": ("completion", "Print the script by which a shell completes."),
}
"""In which file each command is at home, and what it does: help is shown without loading any of them."""


_UNWRITTEN = (errno.ENOSPC, errno.EIO, errno.EFBIG, errno.EDQUOT)
"""Errors of a file that takes no more."""


def _drop_output() -> None:
    """Let what is still to be written to stdout go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Commands(click.Group):
    """The commands, which are loaded when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        home, _ = _COMMANDS[cmd_name]
        found: click.Command = getattr(import_module(f"orcapod.cli.{home}"), f"{cmd_name}_command")
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] in _COMMANDS or args[0].startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        raise unknown("command", args[0], _COMMANDS)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        items = [
            CompletionItem(name, help=told) for name, (_, told) in _COMMANDS.items() if name.startswith(incomplete)
        ]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]  # a group's own loads all commands

    def invoke(self, ctx: click.Context) -> Any:
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:  # the reader has seen enough
            _drop_output()
            return FINE
        except OSError as error:
            if error.errno not in _UNWRITTEN or error.filename is not None:
                raise
            _drop_output()
            told = f"orcapod: what was found cannot be written to stdout: {error.strerror}"
            click.echo(told, err=True)
            return USAGE
        return code

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, told) for name, (_, told) in _COMMANDS.items()])


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"Exit codes: 0 fine, {FAILED} packets failed, {USAGE} it cannot be done as asked, {DIFFERS} a difference "
    f"was found, {UNREADABLE} the store cannot be read.",
)
@click.version_option(package_name="orcapod-core", prog_name="orcapod")
def _orcapod() -> None:
    """See what ran, what failed and what it said, what a value was made of, and what a run would do.

    The store is --store, or "store" in orcapod.toml of this folder or one above, or ORCAPOD_STORE.
    """


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run one command, and exit with its code."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may have fewer characters than a store
    warnings.showwarning = _show_warning
    try:
        code = _orcapod.main(args, prog_name="orcapod", standalone_mode=False)
    except click.ClickException as error:
        shown = StringIO()
        error.show(shown)
        click.echo(_seen(shown.getvalue()), err=True)
        code = getattr(error, "code", USAGE)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        code = 130  # as shells have it
    except OrcapodError as error:
        click.echo(f"orcapod: {_seen(str(error))}", err=True)
        code = _code_of(error)
    sys.exit(code if isinstance(code, int) else FINE)


def _show_warning(
    message: Warning | str,
    category: object,  # noqa: ARG001  # warnings calls it so
    filename: str,
    lineno: int,
    *_: object,
    **__: object,
) -> None:
    """Write a warning as one line, with the place where that is the user's."""
    place = "" if Path(filename).is_relative_to(Path(__file__).parent) else f"{filename}:{lineno}: "
    click.echo(one_line(f"warning: {place}{message}"), err=True)


def _seen(message: str) -> str:
    """Return a message in which nothing that is named moves a cursor."""
    return "\n".join(map(one_line, message.splitlines()))


def _code_of(error: OrcapodError) -> int:
    match error:
        case LookupError():  # no such run, row, code or plugin: before what they are a kind of
            return USAGE
        case DatabaseError():
            return UNREADABLE
        case ExecutionError():
            return FAILED
        case _:
            return USAGE
