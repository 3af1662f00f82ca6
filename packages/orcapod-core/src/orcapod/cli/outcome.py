"""What a run did, as commands show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orcapod.cli.advice import advice
from orcapod.cli.output import OUTCOMES, Output
from orcapod.cli.show import failure_facts, failure_lines, node_facts, told_states
from orcapod.display import duration
from orcapod.execution import FailureKind
from orcapod.ledger import RunSummary
from orcapod.protocols import Database

__all__ = ["show_outcome"]

_MANY = 10  # a second: of fewer, digits behind the point count


def show_outcome(run: RunSummary, kinds: Sequence[FailureKind], store: Database, output: Output) -> None:
    """Show what each node of a run did, then each kind of failure once, and the command that shows more of it.

    Args:
        run: the run.
        kinds: of its failures, as far as they are known.
        store: where it is recorded.
        output: where it is shown.
    """
    nodes = [node_facts(node) for node in run.nodes.values()]
    saved = sum(node["saved"] for node in nodes)
    failures = [{**failure_facts(kind), "more": _more(run.run_id, kind, store)} for kind in kinds]
    if output.is_json:
        told = {"run_id": run.run_id, "outcome": run.outcome, "saved": saved, "nodes": nodes, "failures": failures}
        output.json(told)
        return
    states = told_states(nodes)
    output.table([_shown(node, states) for node in nodes])
    output.line()
    for kind, failure in zip(kinds, failures, strict=True):
        what, where = failure_lines(kind)
        output.lines(what, "red")
        output.lines("\n".join(filter(None, [where, *failure["more"]])))
    told_saved = f"; the cache saved {duration(saved)}" if saved >= 1 else ""
    output.line(f"run {run.run_id}: {run.outcome}{told_saved}", OUTCOMES.get(run.outcome, ""))


def _shown(node: Mapping[str, Any], states: Sequence[str]) -> dict[str, Any]:
    rate, taken = node["computed"] / node["seconds"] if node["seconds"] else None, node["taken"]
    return {
        "node": node["node"],
        **{state: node[state] if node[state] or node["kind"] == "function" else None for state in states},
        "rows in": " + ".join(f"{count:,}" for count in taken) if len(taken) > 1 else next(iter(taken), None),
        "rows out": node["given"],
        "time": duration(node["seconds"]) if node["seconds"] else "",
        "rate": "" if rate is None else f"{rate:,.0f}/s" if rate >= _MANY else f"{rate:.2g}/s",
        "saved": duration(node["saved"]) if node["saved"] else "",
    }


def _more(run_id: str, kind: FailureKind, store: Database) -> list[str]:
    """Return the commands that show what is known of failures."""
    if store.to_config().get("type") == "memory":
        return []
    return [advice(store, "logs", run_id, "--failed", "--node", node) for node in kind.nodes]
