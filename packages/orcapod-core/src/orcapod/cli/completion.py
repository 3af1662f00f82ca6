"""``orcapod completion``: the script by which a shell completes commands, runs, nodes and pipelines."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ["completion_command"]


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print the script by which a shell completes commands, options, and the names of runs, nodes and pipelines.

    In ~/.bashrc, or ~/.zshrc: eval "$(orcapod completion bash)". In config.fish: orcapod completion fish | source
    """
    completion = get_completion_class(shell)
    if completion is not None:
        click.echo(completion(ctx.find_root().command, {}, "orcapod", "_ORCAPOD_COMPLETE").source())
