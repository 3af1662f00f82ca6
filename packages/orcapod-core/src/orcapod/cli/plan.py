"""``orcapod plan``: what a run would compute, and why."""

from __future__ import annotations

from dataclasses import replace

import click

from orcapod.cli.options import output_option
from orcapod.cli.output import Output
from orcapod.cli.target import check_nodes, load_pipeline, run_user_code
from orcapod.hashing import CodeChanges
from orcapod.nodes import NodePlan, Plan, Reason
from orcapod.nodes.reasons import Changed
from orcapod.pipeline import Pipeline

__all__ = ["plan_command", "show_plan"]

_COLUMNS = ("cached", "new", "stale", "failed", "unknown")
_STYLES = {"+": "green", "-": "red", "@": "cyan"}


@click.command("plan")
@click.argument("target")
@click.argument("node", required=False)
@output_option
@click.option("--diff", is_flag=True, help="Show the whole difference of code that was edited.")
def plan_command(target: str, node: str | None, output: Output, diff: bool) -> None:
    """Say what a run of TARGET would compute of each node, or of one, and why. Nothing is computed or written."""
    pipeline = load_pipeline(target, output)
    check_nodes(pipeline, [] if node is None else [node])
    show_plan(pipeline, output, node=node, diff=diff)


def show_plan(pipeline: Pipeline, output: Output, *, node: str | None = None, diff: bool = False) -> None:
    """Show what a run of a pipeline would compute.

    Args:
        pipeline: the pipeline.
        output: where it is shown.
        node: of which function node; of all if None.
        diff: whether code that was edited is shown with all lines that differ.
    """
    with run_user_code(output):
        plan = pipeline.plan() if node is None else Plan({node: pipeline.plan(node)})
    if output.is_json:
        output.json({"nodes": [_node(each) for each in plan.values()]})
        return
    rows = [{"node": label, **{name: getattr(node, name) for name in _COLUMNS}} for label, node in plan.items()]
    output.table(rows, nothing="there is no function in it")
    for each in plan.values():
        for reason in each.reasons:
            output.lines(f"{each.label}: {_without_code(reason) if diff else reason}")
            for line in reason.diff.splitlines() if diff else ():
                output.lines(line, _STYLES.get(line[:1], ""))
        for note in each.notes:
            output.lines(f"{each.label}: {note}")


def _without_code(reason: Reason) -> str:
    """Return why packets are computed, but for what differs in their code."""
    if not isinstance(reason.cause, Changed):
        return str(reason)
    return str(replace(reason, cause=replace(reason.cause, code=CodeChanges()))).removesuffix(": ")


def _node(node: NodePlan) -> object:
    reasons = [
        {
            "cause": type(reason.cause).__name__.lower(),
            "why": str(reason.cause),
            "count": reason.count,
            "examples": reason.examples,
            "diff": reason.diff,
        }
        for reason in node.reasons
    ]
    counts = {name: getattr(node, name) for name in _COLUMNS}
    return {"node": node.label, **counts, "calls": node.calls, "reasons": reasons, "notes": node.notes}
