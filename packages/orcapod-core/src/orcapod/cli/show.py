"""``orcapod show``: one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from orcapod.cli.advice import advice
from orcapod.cli.names import find_run, pipeline_option, run_argument
from orcapod.cli.options import output_option, store_option
from orcapod.cli.output import OUTCOMES, Output, fact_text
from orcapod.display import duration, one_line
from orcapod.execution import FailureKind, failure_kinds
from orcapod.ledger import RunSummary, open_store
from orcapod.ledger.failures import failed_packets
from orcapod.ledger.progress import last_sign_of_life
from orcapod.ledger.run_summary import NodeSummary

__all__ = ["failure_facts", "failure_lines", "node_facts", "show_command", "told_states"]

_MOST = 10  # kinds of failures
_ALWAYS = ("computed", "cached", "failed")
_STATES = (*_ALWAYS, "incomplete", "skipped")
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
        kinds = failure_kinds(failed_packets(ledger, found))
        logs = [advice(ledger.database, "logs", found.run_id, how) for how in ("--failed", "--follow")]
        sign = last_sign_of_life(ledger.database, found) if found.ended is None else found.ended
    facts = _facts(found)
    nodes = [node_facts(node, has_ended=found.ended is not None) for node in found.nodes.values()]
    if output.is_json:
        output.json({**facts, "environment": environment, "nodes": nodes, "failures": [*map(failure_facts, kinds)]})
        return
    shown = {"run": found.run_id, "pipeline": facts["pipeline"], "outcome": found.outcome, "started": found.started}
    shown["took"] = None if found.duration is None else duration(found.duration.total_seconds())
    told = {**facts, **environment}
    shown |= {name.removesuffix("_commit"): told.get(name) for name in _TOLD}
    if environment.get("git_dirty"):
        shown["git"] = f"{shown['git']} and changes that are not committed"
    output.facts({**shown, **found.tags}, styles=OUTCOMES)
    output.line()
    states = told_states(nodes)
    output.table([_line(node, states) for node in nodes], nothing="no nodes")
    for what, where in map(failure_lines, kinds[:_MOST]):
        output.line(one_line(what, 160), "red")
        if where:
            output.lines(where)
    if len(kinds) > _MOST:
        output.line(f"and {len(kinds) - _MOST:,} more kinds of failures")
    if found.count("failed"):
        output.line(f"{logs[0]} shows what they said")
    if found.ended is None:
        output.line("it goes on, or was killed: what its nodes did is known once it ends")
        output.line(f"its last sign of life was at {fact_text(sign)}, {_since(sign)} ago")
        output.line(f"{logs[1]} shows what they say meanwhile")


def _since(instant: datetime) -> str:
    return duration(max(0.0, (datetime.now(UTC) - instant).total_seconds()))


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
    did |= {name: totals.counts.get(name, 0) for name in _STATES}
    did |= {"seconds": totals.seconds, "saved": totals.saved, "executor": totals.executor}
    told = {"node": record.label, "kind": record.kind, "name": record.name, "inputs": record.inputs}
    return {**told, **(did if has_ended else dict.fromkeys(did)), "code": record.code}


def told_states(nodes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the states of packets that a person is told of, given what ``node_facts`` says of the nodes of a run."""
    return [state for state in _STATES if state in _ALWAYS or any(node[state] for node in nodes)]


def _line(node: Mapping[str, Any], states: Sequence[str]) -> dict[str, Any]:
    """Return what a person is shown of a node; of one that is no function there are no packets."""
    counted = states if node["kind"] == "function" else ()
    return {
        "node": node["node"],
        "kind": node["kind"],
        "rows in": " + ".join(f"{count:,}" for count in node["taken"] or ()),
        "rows out": node["given"],
        **{name: node[name] if name in counted else None for name in states},
        "took": duration(node["seconds"]) if node["seconds"] else "",
        "saved": duration(node["saved"]) if node["saved"] else "",
    }


def failure_facts(kind: FailureKind) -> dict[str, Any]:
    """Return how packets failed alike, as JSON tells of it."""
    file, line, function = kind.location or (None, None, None)
    told = {"count": kind.count, "error": kind.error, "message": kind.message, "nodes": kind.nodes}
    return {**told, "file": file, "line": line, "function": function}


def failure_lines(kind: FailureKind) -> tuple[str, str]:
    """Return how packets failed alike, as a person reads it: what, and where in the user's code."""
    return f"{kind.count:,} × {kind.message} ({', '.join(kind.nodes)})", str(kind.location or "")
