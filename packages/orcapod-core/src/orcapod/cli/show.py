"""``orcapod show``: one run."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from orcapod.cli.names import find_run, pipeline_option, run_argument
from orcapod.cli.options import output_option, store_option
from orcapod.cli.output import OUTCOMES, Output
from orcapod.display import duration, one_line
from orcapod.ledger import RunSummary, Store, open_store
from orcapod.ledger.log_reader import LogReader
from orcapod.ledger.run_summary import NodeSummary

__all__ = ["node_facts", "show_command"]

_MOST = 10  # ways to fail
_COUNTS = ("computed", "cached", "failed", "incomplete", "skipped")
_TOLD = ("note", "orchestrator", "python", "platform", "git_commit")


@click.command("show")
@run_argument()
@store_option
@output_option
@pipeline_option
def show_command(run: str, store: str, output: Output, pipeline: str | None) -> None:
    """Show one run: what each node did, how packets failed, what it ran on.

    RUN is its id or the beginning of it; last is the newest, last~1 the one before.
    """
    with open_store(store) as ledger:
        found = find_run(ledger, run, pipeline)
        environment = ledger.environment(found.run_id)
        failures = _failures(ledger, found)
    facts = _facts(found)
    nodes = [node_facts(node, has_ended=found.ended is not None) for node in found.nodes.values()]
    if output.is_json:
        output.json({**facts, "environment": environment, "nodes": nodes, "failures": failures})
        return
    shown = {"run": found.run_id, "pipeline": facts["pipeline"], "outcome": found.outcome, "started": found.started}
    shown["took"] = None if found.duration is None else duration(found.duration.total_seconds())
    told = {**facts, **environment}
    shown |= {name.removesuffix("_commit"): told.get(name) for name in _TOLD}
    if environment.get("git_dirty"):
        shown["git"] = f"{shown['git']} and changes that are not committed"
    output.facts({**shown, **found.tags}, styles=OUTCOMES)
    output.line()
    output.table([_line(node) for node in nodes], nothing="no nodes")
    for failure in failures[:_MOST]:
        output.line(one_line(f"{failure['count']:,} × {failure['node']}: {failure['error']}", 160), "red")
    if found.count("failed"):
        output.line(f"orcapod logs {found.run_id} --failed shows what they said")
    if found.ended is None:
        output.line("it goes on, or was killed: what its nodes did is known once it ends")
        output.line(f"orcapod logs {found.run_id} --follow shows what they say meanwhile")


def _facts(run: RunSummary) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "pipeline": "/".join(run.pipeline),
        "started": run.started,
        "ended": run.ended,
        "seconds": run.duration,
        "outcome": run.outcome,
        "note": run.note,
        "tags": run.tags,
        "orchestrator": run.orchestrator,
    }


def node_facts(node: NodeSummary, *, has_ended: bool = True) -> dict[str, Any]:
    """Return what a node is, and what it did in a run, as JSON tells of it: nothing is known while the run goes on."""
    record, totals = node.record, node.totals
    did = {"taken": totals.taken, "given": totals.given}
    did |= {name: totals.counts.get(name, 0) for name in _COUNTS}
    did |= {"seconds": totals.seconds, "saved": totals.saved, "executor": totals.executor}
    told = {"node": record.label, "kind": record.kind, "name": record.name, "inputs": record.inputs}
    return {**told, **(did if has_ended else dict.fromkeys(did)), "code": record.code}


def _line(node: dict[str, Any]) -> dict[str, Any]:
    """Return what a person is shown of a node; of one that is no function there are no packets."""
    counted = _COUNTS[:3] if node["kind"] == "function" else ()
    return {
        "node": node["node"],
        "kind": node["kind"],
        "rows in": " + ".join(f"{count:,}" for count in node["taken"] or ()),
        "rows out": node["given"],
        **{name: node[name] if name in counted else None for name in _COUNTS[:3]},
        "took": duration(node["seconds"]) if node["seconds"] else "",
        "saved": duration(node["saved"]) if node["saved"] else "",
    }


def _failures(store: Store, run: RunSummary) -> list[dict[str, Any]]:
    """Return how packets failed, by what their tracebacks end with; those of most packets first."""
    if not run.count("failed") and run.ended is not None:
        return []
    entries = LogReader(store.database.at(*run.pipeline), run.run_id, failed=True).entries()
    ends = Counter((entry.node, (entry.traceback or "").strip().rpartition("\n")[2]) for entry in entries)
    return [{"node": node, "error": error, "count": count} for (node, error), count in ends.most_common()]
